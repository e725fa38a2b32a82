"""Bars that were never traded, for demos, rehearsals and tests: any symbol, every session since 2000."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from typing import TypeVar

import numpy as np

from trading_playbook.core.bars import COLUMNS, MINUTE, Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses, Split, day_number
from trading_playbook.core.errors import FixRequest, PlaybookError
from trading_playbook.core.parsing import parse_symbol
from trading_playbook.core.schedule import Timetable
from trading_playbook.feeds.simulated.walks import FIRST, cents, daily_walk, session_walks, weekday_number
from trading_playbook.ports import Usage

BAR_MINUTES = 2

Answer = TypeVar("Answer")


class SimulatedFeed:
    """A BarFeed of made-up bars, which depend on symbol, date and closing time alone.

    Whole sessions of 2-minute bars since 2000-01-03, with the daily closes that go with them, and no splits.
    """

    name = "simulated"

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._weekdays = weekday_number(calendar.last) + 1

    @property
    def usage(self) -> Usage:
        return Usage()

    @property
    def warnings(self) -> Sequence[str]:
        return ()

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        """Raises FixRequest where the calendar does not reach that far."""
        earlier = self._calendar.last_sessions(count, before - timedelta(days=1))
        later = self._calendar.sessions(before, through) if before <= through else ()
        days = [session.date for session in (*earlier, *later) if FIRST <= session.date <= through]
        return _answers(symbols, lambda symbol: self._closes(symbol, days))

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        """Raises ValueError where bars of 2 minutes cannot make bars of so many."""
        if minutes % BAR_MINUTES:
            raise ValueError(f"bars of {minutes} minutes cannot be made of simulated ones, which have {BAR_MINUTES}")
        timetable = Timetable.of([session for session in sessions if session.date >= FIRST])
        return _answers(symbols, lambda symbol: self._bars(symbol, timetable))

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        return None

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        return _answers(symbols, lambda _: ())

    def _closes(self, symbol: str, days: Sequence[date]) -> DailyCloses:
        closes = cents(daily_walk(symbol, self._weekdays).closes)
        return DailyCloses(
            symbol=symbol,
            days=np.array(list(map(day_number, days)), dtype=np.int64),
            closes=closes[list(map(weekday_number, days))],
            first_session=self._first_session,
        )

    def _bars(self, symbol: str, timetable: Timetable) -> Bars:
        walk = daily_walk(symbol, self._weekdays)
        slots = timetable.slots(BAR_MINUTES)
        first = np.cumsum(slots) - slots
        opened = np.empty(int(slots.sum()), dtype=np.int64)
        columns = {name: np.empty(len(opened)) for name in COLUMNS}
        # Sessions of one length are walked together.
        for length in sorted(set(slots.tolist())):
            rows = np.flatnonzero(slots == length)
            days = [timetable.sessions[row].date for row in rows.tolist()]
            prices, shares = session_walks(symbol, days, length, walk)
            place = np.arange(length)
            at = first[rows][:, np.newaxis] + place
            opened[at] = timetable.opens[rows][:, np.newaxis] + place * (BAR_MINUTES * MINUTE)
            columns["open"][at], columns["close"][at] = prices[:, :, 0], prices[:, :, -1]
            columns["high"][at], columns["low"][at] = prices.max(axis=2), prices.min(axis=2)
            columns["volume"][at] = shares
        return Bars(symbol=symbol, minutes=BAR_MINUTES, opened=opened, first_session=self._first_session, **columns)

    @property
    def _first_session(self) -> date:
        return self._calendar.sessions(FIRST, FIRST + timedelta(days=14))[0].date


def _answers(symbols: Sequence[str], answer_of: Callable[[str], Answer]) -> Mapping[str, Answer | PlaybookError]:
    """An answer for all that is written as a symbol is, FixRequest for what is not."""
    return {symbol: _refusal(symbol) or answer_of(symbol) for symbol in symbols}


def _refusal(symbol: str) -> FixRequest | None:
    try:
        certain = parse_symbol(symbol) == symbol
    except FixRequest:
        certain = False
    return None if certain else FixRequest(f"{symbol[:40]!r} is no symbol, so it has no bars", symbol=symbol[:40])
