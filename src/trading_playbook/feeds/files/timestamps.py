"""Times of bars out of columns as files hold them: no zone is ever guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np

from trading_playbook.core.bars import SECOND, IntArray
from trading_playbook.core.daily import day_number
from trading_playbook.feeds.files.columns import BadTable, Cells, Column, Days, Instants, WallTimes

DAY = 24 * 60 * 60 * SECOND
"""Nanoseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1678, 2262)  # those that nanoseconds in an int64 can tell whole
_DATE = re.compile(r"(\d{4})-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    r"[T ] *(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r" *(?P<zone>Z|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_UNCERTAIN = "is in no form that is certain"
_WITH_ZONE = "a time with its zone or offset, such as 2025-11-04T14:30:00Z or 2025-11-04 09:30:00-05:00"


class Refused(ValueError):
    """A text that is not understood, and why."""


def instants(column: Column) -> IntArray:
    """A column of times as int64 nanoseconds since 1970 UTC.

    Raises BadTable where they are without a zone, are numbers or dates, or are texts in a form that is not certain.
    """
    if isinstance(column, Instants):
        return column.values
    if isinstance(column, Cells):
        return from_texts(column, instant_of, _WITH_ZONE)
    name = column.name
    if isinstance(column, WallTimes):
        raise BadTable(
            f"the times in {name} have no zone; write them with the one they are in, in pandas by "
            f"frame['{name}'].dt.tz_localize('UTC') or tz_localize('America/New_York')",
            name,
        )
    raise BadTable(f"{name} holds {'dates' if isinstance(column, Days) else 'numbers'}; expected is {_WITH_ZONE}", name)


def moment(nanoseconds: int) -> datetime:
    """The aware UTC time of nanoseconds since 1970, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1_000)


def from_texts(column: Cells, read: Callable[[object], int], expected: str) -> IntArray:
    """What each cell says. Raises BadTable naming the first that is not understood."""
    found: list[int] = []
    try:
        for cell in column.values:
            found.append(read(cell))
    except Refused as why:
        raise column.refusal(len(found), str(why), expected) from None
    return np.array(found, dtype=np.int64)


def instant_of(cell: object) -> int:
    """Nanoseconds since 1970 UTC."""
    date_part, time_part = halves(cell)
    midnight, (clock, has_zone) = midnight_of(date_part), clock_of(time_part)
    if not has_zone:
        raise Refused("has no zone")
    return midnight + clock


def halves(cell: object) -> tuple[str, str]:
    """The date of a text and what follows."""
    if not isinstance(cell, str):
        raise Refused(_UNCERTAIN)
    text = cell.strip()
    return text[:10], text[10:]


# A file of 100,000 bars holds a few hundred dates and times of day: each is understood once.
@lru_cache(maxsize=8192)
def midnight_of(text: str) -> int:
    """Nanoseconds from 1970 to a date written YYYY-MM-DD."""
    form = _DATE.fullmatch(text)
    if form is None or int(form[1]) not in _YEARS:
        raise Refused(_UNCERTAIN)
    try:
        return day_number(date.fromisoformat(text)) * DAY
    except ValueError:
        raise Refused(_UNCERTAIN) from None


@lru_cache(maxsize=8192)
def clock_of(text: str) -> tuple[int, bool]:
    """Nanoseconds from midnight to a time of day, in UTC where it has a zone, and whether it has one."""
    form = _TIME.fullmatch(text)
    if form is None:
        raise Refused(_UNCERTAIN)
    seconds = (int(form["hour"]) * 60 + int(form["minute"])) * 60 + int(form["second"] or 0)
    fraction = int((form["fraction"] or "").ljust(9, "0"))
    zone = form["zone"]
    return (seconds - _offset(zone or "Z")) * SECOND + fraction, zone is not None


def _offset(zone: str) -> int:
    """Seconds by which a zone's clock is ahead of UTC."""
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:] or 0) * 60
    return -seconds if zone[0] == "-" else seconds
