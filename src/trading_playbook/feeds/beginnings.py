"""How far back a network feed is asked, and on which sessions it answered."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from trading_playbook.core.bars import BoolArray, IntArray
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.schedule import Timetable

SPARE_SESSIONS = 10
"""So many sessions more than closes are asked for, since a symbol may lack a close here and there."""


def closes_begin(calendar: Calendar, before: date, count: int) -> date:
    """The date from which closes are asked for, so that `count` lie before `before`.

    A function of its arguments alone, so that what a cache comes to hold does not depend on what it held.
    """
    reaching = calendar.last_sessions(count + SPARE_SESSIONS, before - timedelta(days=1)) if count else ()
    return reaching[0].date if reaching else before


def have_bars(opened: IntArray, timetable: Timetable) -> BoolArray:
    """Whether each session of a timetable has a bar, (sessions,). opened: the bars' times, oldest first."""
    begins = np.searchsorted(opened, timetable.opens)
    found: BoolArray = np.searchsorted(opened, timetable.closes) > begins
    return found
