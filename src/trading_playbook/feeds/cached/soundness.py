"""What a checksum cannot tell of a cache's file: whether what it holds agrees with what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from trading_playbook.core.bars import MINUTE, SECOND
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.daily import day_number, day_of
from trading_playbook.feeds.cached.files import DailyHistory, MonthOfBars

_DAY = 24 * 60 * MINUTE


def fault_of_month(month: MonthOfBars, named: str, calendar: Calendar) -> str | None:
    """What is wrong first, None where nothing is. named: the month of its key, YYYY-MM."""
    return next(_faults_of_month(month, named, calendar), None)


def fault_of_daily(history: DailyHistory) -> str | None:
    """What is wrong first, None where nothing is."""
    return next(_faults_of_daily(history), None)


def _faults_of_month(month: MonthOfBars, named: str, calendar: Calendar) -> Iterator[str]:
    if strangers := [day for day in sorted(month.sessions) if f"{day:%Y-%m}" != named]:
        yield f"it is named {named} and holds {strangers[0]}"
    opened = month.bars.opened
    if np.any(opened[1:] < opened[:-1]):
        yield "its bars are not in the order of time"
    # Regular hours in New York lie on one day of UTC, the session's own.
    days = opened // _DAY
    spoken_of = np.array([day_number(day) for day in month.sessions], dtype=np.int64)
    if len(others := days[~np.isin(days, spoken_of)]):
        yield f"it has bars of {day_of(int(others[0]))}, of which it does not speak"
    for day, told in sorted(month.sessions.items()):
        own = opened[days == day_number(day)]
        if len(own) != told.bars:
            yield f"it has {len(own)} bars of {day} and speaks of {told.bars}"
        # A session that an override has taken out since is still what it was when it was fetched.
        if calendar.is_open(day) and (session := calendar.session(day)) is not None:
            opens = round(session.opens.timestamp()) * SECOND
            if np.any((own < opens) | (own >= opens + told.minutes * MINUTE)):
                yield f"it has bars of {day} outside the session's {told.minutes} minutes"


def _faults_of_daily(history: DailyHistory) -> Iterator[str]:
    days = history.closes.days
    if np.any(days[1:] < days[:-1]):
        yield "its closes are not in the order of time"
    if history.end < history.begin - timedelta(days=1):
        yield f"it ends with {history.end}, before it begins with {history.begin}"
    if len(days):
        first, last = day_of(int(days.min())), day_of(int(days.max()))
        through = max(history.end, history.asked_through or history.end)
        if first < history.begin:
            yield f"it has a close of {first} and begins with {history.begin}"
        if last > through:
            yield f"it has a close of {last} and was asked for up to {through}"
    for split in history.splits:
        if not all(math.isfinite(number) and number > 0 for number in (split.old, split.new)):
            yield f"its split of {split.ex_date} makes {split.new:g} of {split.old:g}"
