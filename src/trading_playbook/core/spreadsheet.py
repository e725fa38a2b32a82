"""Cells as our own writer or a spreadsheet leaves them, read where their meaning is certain.

Each reader takes the different cells of one column, none of them empty, in the order of the file, and returns what
each means. It raises Uncertain for the first whose meaning is not certain. Cells of our own form cost next to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from trading_playbook.core.journal import FORMULA_STARTS, Kind
from trading_playbook.core.numbers import number_text

# Fifteen digits at most, which a float holds exactly enough to give them back.
_OWN_NUMBER = re.compile(r"-?[0-9]{1,9}\.[0-9]{1,6}")
_OWN_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(E-[0-9]{1,3})?", re.IGNORECASE)
_SHORTENED = re.compile(r"-?[0-9]+(\.[0-9]+)?E\+?[0-9]+", re.IGNORECASE)
_COUNT = re.compile(r"([0-9]{1,15})(\.0*)?")
_TIME_OF_24 = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::00)?")
_TIME_OF_12 = re.compile(r"(0?[1-9]|1[0-2]):([0-5][0-9])(?::00)?\s*([AP])\.?M\.?", re.IGNORECASE)
_FIELD = "([0-9]{1,4}|[A-Z]{3,9})"
_BETWEEN = r"([\s.,/-]+)"
_WEEKDAY = r"(?:(?:mon|tue|tues|wed|wednes|thu|thurs|fri|sat|satur|sun)(?:day)?,?\s+)?"
_MIDNIGHT = r"(?:[ T](?:0?0:00(?::00)?|12:00(?::00)?\s*AM))?"
_DATE = re.compile(_WEEKDAY + _FIELD + _BETWEEN + _FIELD + _BETWEEN + _FIELD + r"\.?" + _MIDNIGHT, re.IGNORECASE)
_MONTHS = (
    ("jan", "january"),
    ("feb", "february"),
    ("mar", "march"),
    ("apr", "april"),
    ("may",),
    ("jun", "june"),
    ("jul", "july"),
    ("aug", "august"),
    ("sep", "sept", "september"),
    ("oct", "october"),
    ("nov", "november"),
    ("dec", "december"),
)
_MONTH_OF = {name: month for month, names in enumerate(_MONTHS, 1) for name in names}
_FIRST_CERTAIN_HOUR = 8
"""An hour of one digit from here on is of the morning: no bar of a session is labelled 20:00 or later."""

_FIRST_YEAR = 90
"""The first year of two digits that lies in the last century: no journal reaches back beyond 1990."""

Fields = tuple[str, ...]
"""The three parts of a date, as they stand."""

Order = tuple[int, int, int]
"""Where the fields of a date hold the day, the month and the year."""

DAY_FIRST: Order = (0, 1, 2)
MONTH_FIRST: Order = (1, 0, 2)
YEAR_FIRST: Order = (2, 1, 0)


class Uncertain(ValueError):
    """A cell whose meaning is not certain. why: goes on from the cell's text and says what to do."""

    def __init__(self, cell: str, why: str) -> None:
        super().__init__(cell, why)
        self.cell = cell
        self.why = why


class _Form(NamedTuple):
    """What the dates that one program wrote have in common."""

    between: str
    names: tuple[bool, ...]
    long: tuple[bool, ...]

    @property
    def orders(self) -> list[Order]:
        # Nobody writes the month first, in digits, and dots between.
        dotted = "." in self.between and not any(self.names)
        return [DAY_FIRST, YEAR_FIRST] if dotted else [DAY_FIRST, MONTH_FIRST, YEAR_FIRST]


def read_texts(cells: Collection[str]) -> dict[str, Any]:
    """Texts as they are; one that begins like a formula is none of ours."""
    for cell in cells:
        if cell[:1] in FORMULA_STARTS:
            raise Uncertain(cell, "begins like a formula: take its first character away")
    return dict(zip(cells, cells, strict=True))


def read_flags(cells: Collection[str]) -> dict[str, Any]:
    """TRUE and FALSE, in capitals or not."""
    return {cell: _flag(cell) for cell in cells}


def read_counts(cells: Collection[str]) -> dict[str, Any]:
    """Whole numbers from 0 on; a spreadsheet may have given them decimals."""
    return {cell: _count(cell) for cell in cells}


def read_numbers(cells: Collection[str]) -> dict[str, Any]:
    """Numbers with a decimal point, 605 and 1.2E-05 too; nothing that has lost digits or is grouped by thousands."""
    if all(map(_OWN_NUMBER.fullmatch, cells)):
        return {cell: float(cell) + 0.0 for cell in cells}
    return {cell: _number(cell) for cell in cells}


def read_times(cells: Collection[str]) -> dict[str, Any]:
    """Times of day as HH:MM, out of 9:58, 10:00:00 or 1:54 PM."""
    return {cell: _time(cell) for cell in cells}


def read_dates(cells: Collection[str]) -> dict[str, Any]:
    """Dates out of any form. One program saved them, so cells of one form have their fields in one order.

    An order is certain where it alone makes a date of every cell of its form, or where all that do agree.
    """
    if all(map(_OWN_DATE.fullmatch, cells)):
        try:
            return {cell: date.fromisoformat(cell) for cell in cells}
        except ValueError:  # such as 2025-02-30, which is found and named below
            pass
    forms: dict[_Form, dict[str, Fields]] = {}
    for cell in cells:
        match = _DATE.fullmatch(cell.strip())
        if match is None:
            raise Uncertain(cell, "is no date: write it as YYYY-MM-DD")
        fields = match.group(1, 3, 5)
        form = _Form(match[2] + match[4], tuple(map(str.isalpha, fields)), tuple(len(field) > 2 for field in fields))
        forms.setdefault(form, {})[cell] = fields
    return {cell: day for form, alike in forms.items() for cell, day in _dates_of_one_form(form, alike).items()}


READERS: Mapping[Kind, Callable[[Collection[str]], dict[str, Any]]] = {
    Kind.TEXT: read_texts,
    Kind.DATE: read_dates,
    Kind.TIME: read_times,
    Kind.FLAG: read_flags,
    Kind.COUNT: read_counts,
    Kind.NUMBER: read_numbers,
}


def _flag(cell: str) -> bool:
    word = cell.strip().upper()
    if word not in ("TRUE", "FALSE"):
        raise Uncertain(cell, "is neither TRUE nor FALSE")
    return word == "TRUE"


def _count(cell: str) -> int:
    match = _COUNT.fullmatch(cell.strip())
    if match is None:
        raise Uncertain(cell, "is no whole number: write it in digits alone")
    return int(match[1])


def _number(cell: str) -> float:
    text = cell.strip()
    if _SHORTENED.fullmatch(text):
        raise Uncertain(cell, "may have lost digits when it was shortened: write the whole number")
    if "," in text:
        raise Uncertain(cell, "has a comma: write a decimal point, and no separator of thousands")
    if not _NUMBER.fullmatch(text):
        raise Uncertain(cell, "is no number: write it as 605.0, in digits and a point")
    value = float(text)
    if Decimal(number_text(value)) != Decimal(text):
        raise Uncertain(cell, "has more digits than a number of the journal: write at most 6 decimals")
    return value + 0.0


def _time(cell: str) -> str:
    text = cell.strip()
    if match := _TIME_OF_12.fullmatch(text):
        hour = int(match[1]) % 12 + (12 if match[3] in "Pp" else 0)
    elif match := _TIME_OF_24.fullmatch(text):
        hour = int(match[1])
        if len(match[1]) == 1 and hour < _FIRST_CERTAIN_HOUR:
            raise Uncertain(cell, "may be of the morning or the afternoon: write it as HH:MM, 24 hours a day")
    else:
        raise Uncertain(cell, "is no time of a bar: write it as HH:MM, 24 hours a day")
    return f"{hour:02d}:{match[2]}"


def _dates_of_one_form(form: _Form, cells: Mapping[str, Fields]) -> dict[str, date]:
    """The dates of cells that share a form, by their fields."""
    orders = form.orders
    for cell, fields in cells.items():
        orders = [order for order in orders if _in_order(fields, order) is not None]
        if not orders:
            raise Uncertain(cell, "is no date, or not in the order of those above it: write it as YYYY-MM-DD")
    dates: dict[str, date] = {}
    for cell, fields in cells.items():
        meanings = sorted({day for order in orders if (day := _in_order(fields, order)) is not None})
        if len(meanings) > 1:
            told = " or ".join(map(str, meanings))
            raise Uncertain(cell, f"can mean {told}: give the column the form YYYY-MM-DD")
        dates[cell] = meanings[0]
    return dates


def _in_order(fields: Fields, order: Order) -> date | None:
    """The date of three fields that stand in this order, None where they cannot."""
    day, month, year = (fields[place] for place in order)
    if not (day.isdigit() and len(day) <= 2 and year.isdigit() and len(year) in (2, 4)):
        return None
    if month.isdigit() and len(month) > 2:
        return None
    century = 0 if len(year) == 4 else 1900 if int(year) >= _FIRST_YEAR else 2000
    try:
        return date(century + int(year), int(month) if month.isdigit() else _MONTH_OF[month.lower()], int(day))
    except (ValueError, KeyError):
        return None
