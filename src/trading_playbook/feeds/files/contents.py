"""What a file of bars means: the bars and closes of one symbol."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np

from trading_playbook.core.bars import COLUMNS, MINUTE, Bars, IntArray
from trading_playbook.core.calendar import Calendar, new_york_date
from trading_playbook.core.daily import DailyCloses, day_of
from trading_playbook.core.schedule import Timetable, are_sessions
from trading_playbook.feeds.files.columns import BadTable, Needed, numbers
from trading_playbook.feeds.files.dates import days
from trading_playbook.feeds.files.layout import LONGEST_BAR
from trading_playbook.feeds.files.tables import faults_told, read_table
from trading_playbook.feeds.files.timestamps import instants, moment

INTRADAY = (Needed("timestamp"), *map(Needed, COLUMNS))
DAILY = (Needed("date", instead="timestamp"), Needed("close"))
_MANY = 50
"""So many bars, no two of them near each other, are bars of a longer timeframe and not those of a quiet symbol."""


def read_bars(path: Path, symbol: str, minutes: int | None, calendar: Calendar) -> Bars:
    """The bars of a file, in its order. minutes: their length, None where only they tell it.

    Raises CheckData where the file cannot be read, is empty, or holds something else than bars of 1 or 2 minutes.
    """
    with faults_told(path, kind="bad_file", symbol=symbol):
        columns = read_table(path, INTRADAY)
        opened = instants(columns["timestamp"])
        _require_some(opened)
        in_order = _sorted(opened)
        _require_known_years(in_order, calendar)
        _require_short_bars(in_order)
        values = {name: numbers(columns[name]) for name in COLUMNS}
    for array in (opened, *values.values()):
        array.flags.writeable = False
    return Bars(
        symbol=symbol,
        minutes=minutes or _length_of(in_order),
        opened=opened,
        first_session=_first_session(in_order, calendar),
        **values,
    )


def read_closes(path: Path, symbol: str, calendar: Calendar) -> DailyCloses:
    """The daily closes of a file, in its order.

    Raises CheckData where the file cannot be read, is empty, or its dates are not certain.
    """
    with faults_told(path, kind="bad_file", symbol=symbol):
        columns = read_table(path, DAILY)
        numbered = days(columns["date"])
        _require_some(numbered)
        in_order = _sorted(numbered)
        sessions = in_order[are_sessions(calendar, in_order)]
        if not len(sessions):
            raise BadTable(f"none of its dates, {day_of(in_order[0])} the first, is a session of the exchange", "date")
        closes = numbers(columns["close"])
    return DailyCloses(symbol=symbol, days=numbered, closes=closes, first_session=day_of(sessions[0]))


def closes_of(bars: Bars, calendar: Calendar) -> DailyCloses:
    """For each session the close of its last regular-hours bar.

    Where several bars claim that time, the close of each: whether they agree is for the check of closes to say.
    """
    order = np.argsort(bars.opened, kind="stable")
    times = bars.opened[order]
    first, last = _dates(times, calendar)
    timetable = Timetable.of(calendar.sessions(first, last) if first <= last else ())
    begins = np.searchsorted(times, timetable.opens, side="left")
    ends = np.searchsorted(times, timetable.closes, side="left")
    traded = ends > begins
    ends = ends[traded]
    begins = np.searchsorted(times, times[ends - 1], side="left")
    counts = ends - begins
    positions = np.repeat(ends - np.cumsum(counts), counts) + np.arange(counts.sum())
    return DailyCloses(
        symbol=bars.symbol,
        days=np.repeat(timetable.days[traded], counts),
        closes=bars.close[order][positions],
        first_session=bars.first_session,
    )


def _require_some(rows: IntArray) -> None:
    if not len(rows):
        raise BadTable("it is empty, there are names and no bars")


def _sorted(times: IntArray) -> IntArray:
    return times if np.all(times[1:] >= times[:-1]) else np.sort(times)


def _require_known_years(times: IntArray, calendar: Calendar) -> None:
    """Raise BadTable where no time lies in the calendar's years: their unit was mistaken when they were written."""
    first, last = _dates(times, calendar)
    if first > last:
        began, ended = moment(int(times[0])), moment(int(times[-1]))
        raise BadTable(
            f"the times in timestamp run from {began:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC, and the exchange "
            f"calendar knows {calendar.first} to {calendar.last}; were they written in the right unit?",
            "timestamp",
        )


def _require_short_bars(times: IntArray) -> None:
    steps = np.diff(times)
    steps = steps[steps > 0]
    if len(steps) >= _MANY and steps.min() > LONGEST_BAR * MINUTE:
        raise BadTable(f"its bars lie {steps.min() / MINUTE:g} minutes apart; expected are bars of 1 or 2 minutes")


def _length_of(times: IntArray) -> int:
    """Minutes of a bar: 2 where none opens on an odd minute, 1 otherwise."""
    return 1 if np.any(times % (2 * MINUTE)) else 2


def _first_session(times: IntArray, calendar: Calendar) -> date | None:
    """The first session with a bar in its regular hours."""
    day, last = _dates(times, calendar)
    while day <= last:
        if (session := calendar.session(day)) is not None:
            bounds = Timetable.of([session])
            if np.searchsorted(times, bounds.closes[0]) > np.searchsorted(times, bounds.opens[0]):
                return day
        day += timedelta(days=1)
    return None


def _dates(times: IntArray, calendar: Calendar) -> tuple[date, date]:
    """The New York dates of the first and the last of some sorted times, cut to what the calendar knows."""
    first, last = (new_york_date(moment(int(time))) for time in (times[0], times[-1]))
    return max(first, calendar.first), min(last, calendar.last)
