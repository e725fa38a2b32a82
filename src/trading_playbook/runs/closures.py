"""Sessions that never were: closed overnight by the exchange, which the source of the bars knows before we do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np

from trading_playbook.core.bars import MINUTE
from trading_playbook.core.calendar import Session, new_york_time
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.history import TAIL_SLOTS, History, Prepared
from trading_playbook.core.schedule import Schedule
from trading_playbook.ports import BarFeed

SHORT = frozenset({"no_data", "truncated_session"})
"""Kinds of CheckData of which a day on which the exchange was closed, or closed early, makes one for each symbol."""


class Closures:
    """Asks the feed's own calendar, once a day in question, and remembers.

    closed: the days that it calls closed. warnings: what a person should set, or cannot be told.
    """

    def __init__(self, feed: BarFeed) -> None:
        self._feed = feed
        self._asked: set[date] = set()
        self.closed: set[date] = set()
        self.warnings: list[str] = []

    def look(self, fetched: Sequence[tuple[History, Schedule]], prepared: Sequence[Prepared]) -> bool:
        """Whether days have been found closed since. Asks only where sessions were refused for lack of bars."""
        if not any(error.kind in SHORT for ready in prepared for error in ready.refused.values()):
            return False
        days = [session for session in _cut_short_for_all(fetched) if session.date not in self._asked]
        if not days:
            return False
        known = len(self.closed)
        self._asked.update(session.date for session in days)
        self._ask(days)
        return len(self.closed) > known

    def _ask(self, days: Sequence[Session]) -> None:
        dates = ", ".join(str(session.date) for session in days[:5])
        try:
            times = self._feed.closing_times(days[0].date, days[-1].date)
        except PlaybookError as error:
            self.warnings.append(f"{dates}: whether the exchange was open could not be asked: {error.message}")
            return
        if times is None:
            return
        for session in days:
            day, closes = session.date, times.get(session.date)
            if closes is None:
                self.closed.add(day)
                self.warnings.append(
                    f"{day}: no symbol has a bar and the broker's calendar says closed, so it counts as closed; "
                    f"set CALENDAR_OVERRIDES={day}:closed"
                )
            elif closes < new_york_time(session.closes):
                self.warnings.append(
                    f"{day}: the broker's calendar says that the exchange closed at {closes:%H:%M}; "
                    f"set CALENDAR_OVERRIDES={day}:{closes:%H:%M} and run again"
                )
            else:
                self.warnings.append(
                    f"{day}: the exchange was open by the broker's calendar too, and no symbol has bars to its end; "
                    "a halt and a gap of the feed look the same from here"
                )


def _cut_short_for_all(fetched: Sequence[tuple[History, Schedule]]) -> Iterable[Session]:
    """The sessions without a bar in their last slots for every symbol that has them on its schedule."""
    whole: set[date] = set()
    seen: dict[date, Session] = {}
    for history, schedule in fetched:
        timetable, opened = schedule.timetable, np.sort(history.bars.opened)
        tails = np.searchsorted(opened, timetable.closes - TAIL_SLOTS * history.bars.minutes * MINUTE)
        has_tail = np.searchsorted(opened, timetable.closes) > tails
        for session, is_whole in zip(timetable.sessions, has_tail.tolist(), strict=True):
            seen[session.date] = session
            if is_whole:
                whole.add(session.date)
    return [seen[day] for day in sorted(seen.keys() - whole)]
