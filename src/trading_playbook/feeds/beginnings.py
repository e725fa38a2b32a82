"""Where a network feed's history of a symbol begins, without asking for all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from trading_playbook.core.bars import Bars, BoolArray
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.schedule import Timetable

SPARE_SESSIONS = 10
"""So many sessions more than closes are asked for, since a symbol may lack a close here and there."""

AskDaily = Callable[[Sequence[str]], Mapping[str, DailyCloses | PlaybookError]]


def closes_begin(calendar: Calendar, before: date, count: int) -> date:
    """The date from which closes are asked for, so that `count` lie before `before`.

    A function of its arguments alone, so that what a cache comes to hold does not depend on what it held.
    """
    reaching = calendar.last_sessions(count + SPARE_SESSIONS, before - timedelta(days=1)) if count else ()
    return reaching[0].date if reaching else before


def have_bars(bars: Bars, timetable: Timetable) -> BoolArray:
    """Whether each session of a timetable has a bar, (sessions,). bars: oldest first."""
    begins = np.searchsorted(bars.opened, timetable.opens)
    found: BoolArray = np.searchsorted(bars.opened, timetable.closes) > begins
    return found


def with_first_sessions(
    found: Mapping[str, Bars], sessions: Sequence[Session], daily: AskDaily
) -> dict[str, Bars | PlaybookError]:
    """The bars with their first_session; the error of a symbol for which it cannot be told.

    The first of the sessions that has bars is one on which the feed had begun, which is all that is asked where no
    session before it is empty. Where one is, the feed's daily closes tell whether it had begun by then.
    """
    timetable = Timetable.of(sessions)
    firsts: dict[str, date | None] = {}
    late: list[str] = []
    for symbol, bars in found.items():
        traded = np.flatnonzero(have_bars(bars, timetable))
        firsts[symbol] = sessions[int(traded[0])].date if len(traded) else None
        if len(traded) and traded[0]:
            late.append(symbol)
    closes = daily(late) if late else {}
    answers: dict[str, Bars | PlaybookError] = {}
    for symbol, bars in found.items():
        known = closes.get(symbol)
        if isinstance(known, PlaybookError):
            answers[symbol] = known
            continue
        first = firsts[symbol]
        if known is not None and known.first_session is not None and first is not None:
            first = min(first, known.first_session)
        answers[symbol] = replace(bars, first_session=first)
    return answers
