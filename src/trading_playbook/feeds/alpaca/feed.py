"""Alpaca's bars as a BarFeed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import numpy as np

from trading_playbook.core.bars import COLUMNS, PRICES, SECOND, Bars, FloatArray, IntArray
from trading_playbook.core.calendar import Calendar, Session, new_york_date, new_york_time
from trading_playbook.core.daily import DailyCloses, Split, day_number, day_of
from trading_playbook.core.errors import CheckData, PlaybookError
from trading_playbook.core.schedule import Timetable
from trading_playbook.feeds.alpaca.absences import Absences
from trading_playbook.feeds.alpaca.answers import closes_in, closing_times, columns_of
from trading_playbook.feeds.alpaca.client import AlpacaClient
from trading_playbook.feeds.alpaca.questions import FIRST, PAGE, Questions
from trading_playbook.feeds.beginnings import closes_begin
from trading_playbook.ports import Usage

_DAY_MINUTES = 960
"""Of a day in which there may be bars: 04:00 to 20:00."""

_WINDOW = 3 * PAGE
"""Bars of one question: a month of a symbol fits, and most symbols have bars in a half of those minutes."""

_LAST_SECOND = time(23, 59, 59)

_LONGEST_CLOSURE = timedelta(days=10)

Columns = tuple[IntArray, dict[str, FloatArray]]
"""Opening times and values of some bars of one symbol."""


class AlpacaFeed:
    """A BarFeed over Alpaca's market data, raw, of one of its feeds (sip, iex)."""

    def __init__(self, client: AlpacaClient, feed: str, calendar: Calendar) -> None:
        self.name = f"alpaca-{feed}"
        self._client = client
        self._questions = Questions(client, feed)
        self._absences = Absences(client, self._questions, self._closes, self.name, calendar)
        self._calendar = calendar

    @property
    def usage(self) -> Usage:
        client = self._client
        return Usage(api_calls=client.calls, failed_calls=client.failed_calls, call_seconds=client.call_seconds)

    @property
    def warnings(self) -> Sequence[str]:
        return tuple(self._absences.warnings)

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        begin = max(FIRST, closes_begin(self._calendar, before, count))
        answers = self._closes(symbols, begin, through)
        short = [symbol for symbol, found in answers.items() if _days_before(found, before) < count]
        if begin > FIRST:
            answers |= self._closes(short, FIRST, through)
        for symbol in short:
            answers[symbol] = self._absences.known_at_least(symbol, answers[symbol])
        return answers

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        pieces: dict[str, list[Columns]] = {symbol: [] for symbol in symbols}
        errors: dict[str, PlaybookError] = {}
        for window in _windows(sessions, len(symbols), minutes):
            asked = [symbol for symbol in symbols if symbol not in errors]
            for symbol, answer in self._window(asked, window, minutes).items():
                if isinstance(answer, PlaybookError):
                    errors[symbol] = answer
                else:
                    pieces[symbol].append(answer)
        found = {symbol: _joined(symbol, minutes, own) for symbol, own in pieces.items() if symbol not in errors}
        self._absences.tell_of_gaps(found, sessions)
        answers = self._absences.with_first_sessions(found, sessions)
        return {symbol: errors.get(symbol) or answers[symbol] for symbol in symbols}

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        return self._questions.splits(symbols, through)

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        # From a few days before, for an answer without any session means trouble, and no closed exchange.
        asked = {"start": str(first - _LONGEST_CLOSURE), "end": str(last)}
        times = self._client.trading("/calendar", asked, closing_times)
        return {day: closes for day, closes in times.items() if first <= day <= last}

    def _closes(self, symbols: Sequence[str], begin: date, through: date) -> dict[str, DailyCloses | PlaybookError]:
        """The closes from begin to through, both in; first_session is that of the first of them."""
        if through < begin:
            return {symbol: _daily_within(begin, through, symbol, ()) for symbol in symbols}
        session = self._calendar.session(through)
        end = datetime.combine(through, _LAST_SECOND, UTC)
        # A free plan must not ask for the last minutes, not even of a daily bar.
        end = min(end, session.closes - timedelta(seconds=1)) if session else end
        start = datetime.combine(begin, time(0), UTC)
        read = partial(_daily_within, begin, through)
        return self._questions.bars(symbols, "1Day", start, end, most=(through - begin).days + 1, read=read)

    def _window(
        self, symbols: Sequence[str], window: Sequence[Session], minutes: int
    ) -> dict[str, Columns | PlaybookError]:
        """The bars of some sessions inside their regular hours."""
        start, end = window[0].opens, window[-1].closes - timedelta(seconds=1)
        return self._questions.bars(
            symbols,
            f"{minutes}Min",
            start,
            end,
            most=-(-(end - start) // timedelta(minutes=minutes)),
            read=partial(_inside, Timetable.of(window), minutes),
        )


def _windows(sessions: Sequence[Session], symbols: int, minutes: int) -> Iterator[Sequence[Session]]:
    """The sessions in stretches whose bars, those outside regular hours too, fit a few pages; one session at least."""
    if not symbols:
        return
    most = max(1, _WINDOW // (symbols * _DAY_MINUTES // minutes))
    stretch: list[Session] = []
    for session in sessions:
        # What lies between two sessions of a stretch is fetched with them, so it must not be long.
        if stretch and (len(stretch) == most or (session.date - stretch[0].date).days > 2 * len(stretch) + 7):
            yield stretch
            stretch = []
        stretch.append(session)
    if stretch:
        yield stretch


def _inside(timetable: Timetable, minutes: int, symbol: str, bars: Sequence[Any]) -> Columns:
    """The bars in the regular hours of some sessions. Raises CheckData where one lacks nothing but its volume."""
    opened, columns = columns_of(symbol, bars, minutes)
    row = np.searchsorted(timetable.opens, opened, side="right") - 1
    kept = (row >= 0) & (opened < timetable.closes[row])
    opened, columns = opened[kept], {name: column[kept] for name, column in columns.items()}
    # Of what else is wrong with a bar the core tells.
    prices = ~np.isnan([columns[name] for name in PRICES]).any(axis=0)
    lacking = np.flatnonzero(prices & ~((columns["volume"] >= 0) & np.isfinite(columns["volume"])))
    if len(lacking):
        at = datetime.fromtimestamp(int(opened[lacking[0]]) / SECOND, UTC)
        day, label = new_york_date(at), f"{new_york_time(at):%H:%M}"
        raise CheckData(
            f"{symbol} {day} {label}: volume is missing or no number of shares",
            symbol=symbol,
            session=day,
            bar=label,
            field="volume",
        )
    return opened, columns


def _joined(symbol: str, minutes: int, pieces: Sequence[Columns]) -> Bars:
    """The bars of several windows, oldest first."""
    opened = np.concatenate([opened for opened, _ in pieces] or [np.empty(0, dtype=np.int64)])
    columns = {name: np.concatenate([own[name] for _, own in pieces] or [np.empty(0)]) for name in COLUMNS}
    order = np.argsort(opened, kind="stable")
    return Bars(symbol=symbol, minutes=minutes, opened=opened, first_session=None, **columns).take(order)


def _daily_within(begin: date, through: date, symbol: str, bars: Sequence[Any]) -> DailyCloses:
    """The closes of the days from begin to through, both in, and of no others that came with them."""
    days, closes = closes_in(symbol, bars)
    asked = (days >= day_number(begin)) & (days <= day_number(through))
    days, closes = days[asked], closes[asked]
    first = day_of(int(days.min())) if len(days) else None
    return DailyCloses(symbol=symbol, days=days, closes=closes, first_session=first)


def _days_before(found: DailyCloses | PlaybookError, before: date) -> int:
    """How many days before a date have a close."""
    if isinstance(found, PlaybookError):
        return 0
    return len(set(found.days[found.days < day_number(before)].tolist()))
