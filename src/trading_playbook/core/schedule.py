"""Sessions as arrays: when they open and close, and which lies before which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trading_playbook.core.bars import MINUTE, SECOND, BoolArray, IntArray
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import day_number, day_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Some sessions, oldest first: opens and closes in nanoseconds since 1970 UTC, days as day numbers, (sessions,)."""

    sessions: tuple[Session, ...]
    opens: IntArray
    closes: IntArray
    days: IntArray

    @classmethod
    def of(cls, sessions: Sequence[Session]) -> Timetable:
        return cls(
            sessions=tuple(sessions),
            opens=_array(round(session.opens.timestamp()) * SECOND for session in sessions),
            closes=_array(round(session.closes.timestamp()) * SECOND for session in sessions),
            days=_array(day_number(session.date) for session in sessions),
        )

    def slots(self, bar_minutes: int) -> IntArray:
        """How many slots each session has."""
        return -((self.opens - self.closes) // (bar_minutes * MINUTE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The sessions to judge, and with them the session before each.

    timetable: all of these, each once. own, before: places in it of the sessions to judge and of those before them.
    """

    calendar: Calendar
    sessions: tuple[Session, ...]
    timetable: Timetable
    own: IntArray
    before: IntArray

    @classmethod
    def of(cls, sessions: Sequence[Session], calendar: Calendar) -> Schedule:
        """Raises FixRequest where the calendar knows no session before one of these."""
        previous = [calendar.previous(session.date) for session in sessions]
        known = {session.date: session for session in (*previous, *sessions)}
        days = sorted(known)
        place = {day: place for place, day in enumerate(days)}
        return cls(
            calendar=calendar,
            sessions=tuple(sessions),
            timetable=Timetable.of([known[day] for day in days]),
            own=_array(place[session.date] for session in sessions),
            before=_array(place[session.date] for session in previous),
        )


def are_sessions(calendar: Calendar, days: IntArray) -> BoolArray:
    """Whether each of these day numbers, oldest first, is a session; False outside the calendar's reach."""
    if not len(days):
        return np.zeros(0, dtype=np.bool_)
    years = range(day_of(days[0]).year, day_of(days[-1]).year + 1)
    known = np.concatenate([_session_days(calendar, year) for year in years])
    # np.isin would do, but its first call imports numpy.ma. At the end stands a day that is none of those asked for.
    places = np.searchsorted(known, days)
    among: BoolArray = np.append(known, days[-1] + 1)[places] == days
    return among


@lru_cache(maxsize=128)
def _session_days(calendar: Calendar, year: int) -> IntArray:
    return _array(map(day_number, calendar.open_days(year)))


def _array(numbers: Iterable[int]) -> IntArray:
    return np.fromiter(numbers, dtype=np.int64)
