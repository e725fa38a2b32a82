"""Dates of daily closes out of columns as files hold them: no close is ever moved to a neighbouring day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np

from trading_playbook.core.bars import IntArray
from trading_playbook.core.calendar import new_york_date
from trading_playbook.core.daily import day_number
from trading_playbook.feeds.files.columns import BadTable, Cells, Column, Days, Instants, WallTimes
from trading_playbook.feeds.files.timestamps import (
    DAY,
    Refused,
    clock_of,
    from_texts,
    halves,
    instant_of,
    midnight_of,
    moment,
)

_EXPECTED = "a `date` column of dates such as 2025-11-04"
# Closes are stamped somewhere from the opening, 09:30, to the end of late trading, 20:00 in New York.
_OPENING = timedelta(hours=9, minutes=30)
_LATE = timedelta(hours=4)
_TICK = timedelta(microseconds=1)
_SATURDAY = 5


def days(column: Column) -> IntArray:
    """A column of dates, or of times that tell their New York date, as days since 1970-01-01.

    Dates come as such, as midnights without a zone, or as times with one, which must all be midnights in UTC, or all
    midnights in New York, or all from the opening to 20:00 in New York. Raises BadTable for anything else.
    """
    if isinstance(column, Days):
        return column.values
    if isinstance(column, WallTimes):
        return _days_of_midnights(column)
    if isinstance(column, Instants):
        return _days_of_instants(column.values, column.name)
    if not isinstance(column, Cells):
        raise BadTable(f"{column.name} holds numbers; expected is {_EXPECTED}", column.name)
    if column.values and _names_a_zone(column.values[0]):
        return _days_of_instants(from_texts(column, instant_of, _EXPECTED), column.name)
    return from_texts(column, _day, _EXPECTED)


def _day(cell: object) -> int:
    """Days since 1970-01-01 of a date, or of a midnight without a zone."""
    date_part, time_part = halves(cell)
    midnight = midnight_of(date_part)
    if time_part and clock_of(time_part) != (0, False):
        raise Refused("is a time of day that tells no date")
    return midnight // DAY


def _names_a_zone(cell: object) -> bool:
    try:
        return clock_of(halves(cell)[1])[1]
    except Refused:
        return False


def _days_of_midnights(column: WallTimes) -> IntArray:
    """Days of times without a zone. Raises BadTable where one is no midnight."""
    odd = np.flatnonzero(column.values % DAY)
    if len(odd):
        told = moment(int(column.values[odd[0]])).replace(tzinfo=None)
        raise BadTable(
            f"row {odd[0] + 1}: {column.name} {told} is a time of day that tells no date; expected is {_EXPECTED}",
            column.name,
        )
    return column.values // DAY


def _days_of_instants(values: IntArray, name: str) -> IntArray:
    """New York dates of times with a zone, all of one kind."""
    midnights = [_days_of_utc_midnights(values), _days_of_new_york_midnights(values)]
    readings = [found for found in (*midnights, _days_of_trading_hours(values)) if found is not None]
    # 00:00 in UTC is 19:00 or 20:00 of the day before in New York, and midnights elsewhere fall into its late trading.
    # So that reading is the right one which puts no close on a week-end; midnights may have some to be left out.
    for found in (*filter(_spares_weekends, readings), *midnights):
        if found is not None:
            return found
    raise BadTable(
        f"the times in {name} are neither all midnights, in UTC or in New York, nor all between the opening and 20:00 "
        f"in New York, so their dates are not certain; expected is {_EXPECTED}",
        name,
    )


def _spares_weekends(found: IntArray) -> bool:
    return not np.any((found + 3) % 7 >= _SATURDAY)  # 1970-01-01 was a Thursday


def _days_of_utc_midnights(values: IntArray) -> IntArray | None:
    return None if np.any(values % DAY) else values // DAY


def _days_of_new_york_midnights(values: IntArray) -> IntArray | None:
    moments = list(map(moment, values.tolist()))
    if any(new_york_date(time) == new_york_date(time - _TICK) for time in moments):
        return None
    return _numbers(map(new_york_date, moments))


def _days_of_trading_hours(values: IntArray) -> IntArray | None:
    moments = list(map(moment, values.tolist()))
    # No clock is changed at these hours, so a time lies inside the day when it is still the same date that much
    # earlier and later.
    if any(new_york_date(time - _OPENING) != new_york_date(time + _LATE - _TICK) for time in moments):
        return None
    return _numbers(map(new_york_date, moments))


def _numbers(dates: Iterable[date]) -> IntArray:
    return np.array(list(map(day_number, dates)), dtype=np.int64)
