"""Bars that a person has: a folder of parquet or CSV files, or one such file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import TypeVar

from trading_playbook.core.bars import Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses, Split, day_number
from trading_playbook.core.errors import CheckData, FixRequest, PlaybookError
from trading_playbook.feeds.files.contents import closes_of, read_bars, read_closes
from trading_playbook.feeds.files.layout import LONGEST_BAR, find
from trading_playbook.feeds.files.splits import read_splits
from trading_playbook.feeds.files.tables import faults_told
from trading_playbook.ports import Usage

Answer = TypeVar("Answer")


class FilesFeed:
    """A BarFeed over root/{1Min,2Min,1Day}/SYMBOL.parquet or .csv with an optional root/splits.csv, or one file.

    Files are read whole at each call; of the intraday ones the last is remembered, since closes may be asked of it
    right before its bars. Without a daily file a session's close is that of its last regular-hours bar.
    Raises FixRequest where root is neither a folder nor a file of bars, and, when asked, where several symbols are to
    be read from one file.
    """

    name = "files"

    def __init__(self, root: Path, calendar: Calendar) -> None:
        self._place = find(root)
        self._calendar = calendar
        self._remembered: tuple[object, Bars] | None = None
        self._warnings: dict[str, None] = {}

    @property
    def usage(self) -> Usage:
        return Usage()

    @property
    def warnings(self) -> Sequence[str]:
        return tuple(self._warnings)

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        return self._answers(symbols, lambda symbol: _up_to(through, self._closes(symbol)))

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        return self._answers(symbols, lambda symbol: self._bars(symbol, minutes))

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        return None

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        try:
            known = read_splits(self._place.splits) if self._place.splits else {}
        except CheckData as error:
            return dict.fromkeys(symbols, error)

        def splits_of(symbol: str) -> tuple[Split, ...]:
            found = known.get(symbol, {})
            if isinstance(found, CheckData):
                raise found
            return tuple(split for split in found.values() if split.ex_date <= through)

        return self._answers(symbols, splits_of)

    def _answers(
        self, symbols: Sequence[str], answer_of: Callable[[str], Answer]
    ) -> Mapping[str, Answer | PlaybookError]:
        """The answer or the error of each symbol, so that none harms another."""
        self._place.require_room_for(symbols)
        answers: dict[str, Answer | PlaybookError] = {}
        for symbol in symbols:
            try:
                answers[symbol] = answer_of(symbol)
            except PlaybookError as error:
                answers[symbol] = error
        return answers

    def _closes(self, symbol: str) -> DailyCloses:
        if (path := self._place.daily(symbol)) is not None:
            return read_closes(path, symbol, self._calendar)
        closes = closes_of(self._bars(symbol, LONGEST_BAR), self._calendar)
        if self._place.has_daily:
            told = f"{symbol}: 1Day has no file of it; the close of each session's last bar stands for its daily close"
            self._warnings[told] = None
        return closes

    def _bars(self, symbol: str, minutes: int) -> Bars:
        file = self._place.intraday(symbol, minutes)
        with faults_told(file.path, kind="bad_file", symbol=symbol):
            state = file.path.stat()
        key = symbol, file, state.st_mtime_ns, state.st_size
        if self._remembered is None or self._remembered[0] != key:
            self._remembered = key, read_bars(file.path, symbol, file.minutes, self._calendar)
        bars = self._remembered[1]
        if minutes % bars.minutes:
            raise FixRequest(
                f"{symbol}: {file.path} has bars of {bars.minutes} minutes, and such of {minutes} are needed",
                symbol=symbol,
            )
        return bars


def _up_to(through: date, daily: DailyCloses) -> DailyCloses:
    early = daily.days <= day_number(through)
    return replace(daily, days=daily.days[early], closes=daily.closes[early])
