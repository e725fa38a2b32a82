"""A folder of made-up bars as a person keeps one, to be changed and saved again, and what the oracle says of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracle.dp20 import journal, journal_text
from tests.support.bars import (
    CALENDAR,
    NEW_YORK,
    daily_closes,
    joined,
    last_closes,
    minute_bars,
    moment_of,
    sessions_of,
    without,
    write_folder,
)
from tests.support.door import rows_of
from tests.support.stories import Ohlc, bars_of, quiet, steady_closes, story, timed
from trading_playbook.core.bars import COLUMNS, MINUTE, Bars
from trading_playbook.core.daily import Split

START, END = "2025-11-17", "2025-12-05"
"""Fourteen sessions: a holiday on 27 November, an early close on the 28th."""

DAYS = tuple(str(session.date) for session in sessions_of(START, END))


@dataclass(slots=True)
class Market:
    """What a folder of bars holds, by symbol: raw bars, and raw daily closes where there are any."""

    root: Path
    bars: dict[str, Bars]
    closes: dict[str, dict[date, float]] = field(default_factory=dict)
    splits: dict[str, list[Split]] = field(default_factory=dict)
    suffix: str = ".parquet"

    def save(self) -> Market:
        """Write all of it into the folder."""
        write_folder(self.root, self.bars.values(), self.closes, self.splits or None, self.suffix)
        return self

    def copy_to(self, root: Path) -> Market:
        """The same in another folder."""
        closes = {symbol: dict(own) for symbol, own in self.closes.items()}
        return replace(self, root=root, bars=dict(self.bars), closes=closes).save()

    @property
    def call(self) -> tuple[str, ...]:
        """The arguments that name the folder."""
        return "--feed", "files", "--data-dir", str(self.root)

    def at(self, day: str, time: str, symbol: str = "QQQ") -> int:
        """The position of the bar with this New York label, HH:MM."""
        labels = [f"{moment_of(at).astimezone(NEW_YORK):%Y-%m-%d %H:%M}" for at in self.bars[symbol].opened]
        return labels.index(f"{day} {time}")

    def of_day(self, day: str, symbol: str = "QQQ") -> list[int]:
        """The positions of a New York date's bars."""
        wanted = date.fromisoformat(day)
        return [
            place
            for place, at in enumerate(self.bars[symbol].opened)
            if moment_of(at).astimezone(NEW_YORK).date() == wanted
        ]

    def set(self, day: str, time: str, symbol: str = "QQQ", **values: float) -> Market:
        """Change values of one bar and save."""
        own, place = self.bars[symbol], self.at(day, time, symbol)
        columns: dict[str, Any] = {name: getattr(own, name).copy() for name in values}
        for name, value in values.items():
            columns[name][place] = value
        self.bars[symbol] = replace(own, **columns)
        return self.save()

    def cut(self, day: str, from_time: str, to_time: str = "15:59", symbol: str = "QQQ") -> Market:
        """Take out a day's bars with labels from one time to another, both in, and save."""
        own = self.bars[symbol]
        gone = [
            place
            for place in self.of_day(day, symbol)
            if from_time <= f"{moment_of(own.opened[place]).astimezone(NEW_YORK):%H:%M}" <= to_time
        ]
        assert gone
        self.bars[symbol] = without(own, gone)
        return self.save()

    def repeat(self, day: str, time: str, symbol: str = "QQQ", **values: float) -> Market:
        """Put a second bar of a time at the end of the file, like the first but for these values, and save."""
        own = self.bars[symbol]
        again = own.take(np.array([self.at(day, time, symbol)]))
        columns: dict[str, Any] = {name: np.array([value]) for name, value in values.items()}
        again = replace(again, **columns)
        self.bars[symbol] = joined(own, again)
        return self.save()

    def oracle(
        self,
        symbols: Iterable[str],
        start: str = START,
        end: str = END,
        parameters: Mapping[str, object] | None = None,
        cost: str = "none",
        accepted: Collection[tuple[str, str]] = (),
    ) -> tuple[list[dict[str, str]], dict[tuple[str, str], str]]:
        """The rows of all sessions by the scalar reading, and by (date, symbol) why a session has none."""
        rows: list[dict[str, str]] = []
        lacking: dict[tuple[str, str], str] = {}
        for symbol in symbols:
            own = self.bars[symbol]
            columns = (getattr(own, name).tolist() for name in COLUMNS[:4])
            found, without_row = journal(
                symbol=symbol,
                minute_bars=list(zip(map(moment_of, own.opened), *columns, strict=True)),
                closes=list(self.closes.get(symbol, {}).items()),
                splits=[(split.ex_date, split.old, split.new) for split in self.splits.get(symbol, ())],
                start=date.fromisoformat(start),
                end=date.fromisoformat(end),
                parameters=parameters,
                cost=cost,
                bar_minutes=own.minutes,
                accepted={date.fromisoformat(day) for name, day in accepted if name == symbol},
            )
            rows += found
            lacking |= {(day.isoformat(), symbol): why for day, why in without_row.items()}
        return rows, lacking


def make_market(
    root: Path,
    symbols: Sequence[str] = ("QQQ",),
    start: str = START,
    end: str = END,
    *,
    minutes: int = 2,
    above: float = 60.0,
    suffix: str = ".parquet",
) -> Market:
    """A market of whole sessions from start to end, both in, with 210 closes before them.

    above: how far prices lie above most of the closes; with 60 the trend is up on nearly every day.
    """
    sessions = sessions_of(start, end)
    bars = {symbol: minute_bars(sessions, minutes=minutes, symbol=symbol) for symbol in symbols}
    closes = {
        symbol: {
            **{day: round(close - above, 2) for day, close in daily_closes(start, 210, symbol=symbol).items()},
            **{day: float(close) for day, close in last_closes(own).items()},
        }
        for symbol, own in bars.items()
    }
    return Market(root, bars, closes, suffix=suffix).save()


def story_market(root: Path, day: str, slots: int = 195, changes: Mapping[int, Ohlc | None] | None = None) -> Market:
    """A market whose last session has an entry at 10:06 (see stories.py), some slots changed, after a quiet one."""
    told, before = date.fromisoformat(day), CALENDAR.previous(date.fromisoformat(day))
    days = {before.date: quiet(before.slots(2)), told: story(changes, slots)}
    return Market(root, {"QQQ": bars_of(timed(days))}, {"QQQ": dict(steady_closes(told))}).save()


def in_two_minutes(bars: Bars) -> Bars:
    """1-minute bars as 2-minute ones, by plain Python, one after the other."""
    found: dict[int, list[float]] = {}
    columns = (getattr(bars, name).tolist() for name in COLUMNS)
    for opened, *values in sorted(zip(bars.opened.tolist(), *columns, strict=True)):
        slot = opened - opened % (2 * MINUTE)
        if slot in found:
            first = found[slot]
            first[1], first[2] = max(first[1], values[1]), min(first[2], values[2])
            first[3], first[4] = values[3], first[4] + values[4]
        else:
            found[slot] = list(values)
    made = np.array(list(found.values())).reshape(-1, len(COLUMNS))
    columns_of: dict[str, Any] = {name: made[:, at].copy() for at, name in enumerate(COLUMNS)}
    return replace(bars, minutes=2, opened=np.array(list(found), dtype=np.int64), **columns_of)


def require_equal(journal_file: Path, oracle_rows: Sequence[Mapping[str, str]]) -> None:
    """Fail unless a journal holds the oracle's rows, byte for byte in the oracle's CSV form.

    The oracle gives the reason alone in notes; ours goes on with a sentence, which is taken over.
    """
    found = {(row["trade_date"], row["symbol"]): row["notes"] for row in rows_of(journal_file)}
    expected = []
    for row in oracle_rows:
        notes = found.get((row["trade_date"], row["symbol"]), "no row")
        assert notes.startswith(f"{row['reason']}: "), (row["trade_date"], row["symbol"], row["reason"], notes)
        expected.append({**row, "notes": notes})
    assert journal_file.read_bytes().decode() == journal_text(expected)
