"""Columns as files hold them, found by their names, and the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from trading_playbook.core.bars import FloatArray, IntArray

SHOWN = 40
"""Of a text that is not understood, so many characters are shown."""

_MISSING = frozenset({"", "nan", "null", "none", "na", "n/a"})


class BadTable(Exception):
    """A file that cannot be understood; the message goes on from the file's name. column: where the fault lies."""

    def __init__(self, message: str, column: str | None = None) -> None:
        super().__init__(message, column)
        self.message = message
        self.column = column


@dataclass(frozen=True, slots=True)
class Numbers:
    """A typed column of numbers without a gap, as float64."""

    name: str
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Instants:
    """A typed column of times with a zone, without a gap: int64 nanoseconds since 1970 UTC."""

    name: str
    values: IntArray


@dataclass(frozen=True, slots=True)
class WallTimes:
    """A typed column of times without a zone, without a gap: int64 nanoseconds since 1970 by whatever clock it was."""

    name: str
    values: IntArray


@dataclass(frozen=True, slots=True)
class Days:
    """A typed column of dates, without a gap: int64 days since 1970-01-01."""

    name: str
    values: IntArray


@dataclass(frozen=True, slots=True)
class Cells:
    """A column of anything: texts of a CSV file, or what a parquet file holds otherwise, None where it has a gap.

    lines: the line of each cell in a text file, None where the file has rows.
    """

    name: str
    values: Sequence[object]
    lines: Sequence[int] | None = None

    def refusal(self, position: int, wrong: str, expected: str) -> BadTable:
        """What is wrong with one cell, and where: `line 7: close 'abc' is no number; expected is ...`."""
        place = f"row {position + 1}" if self.lines is None else f"line {self.lines[position]}"
        cell = self.values[position]
        text = "" if cell is None else str(cell).strip()
        told = f"{text[:SHOWN]!r} {wrong}" if text else "is missing"
        return BadTable(f"{place}: {self.name} {told}; expected is {expected}", self.name)


Column = Numbers | Instants | WallTimes | Days | Cells


@dataclass(frozen=True, slots=True)
class Needed:
    """A column that must be there, by its name or by another one that serves as well."""

    name: str
    instead: str | None = None

    def __str__(self) -> str:
        return f"{self.name} or {self.instead}" if self.instead else self.name


def choose(found: Sequence[str], needed: Sequence[Needed]) -> Mapping[str, int]:
    """Where each needed column stands, in any order and case, blanks round the names aside; others are ignored.

    Raises BadTable where one is missing or a needed name stands twice.
    """
    names = [name.strip().lower() for name in found]
    positions: dict[str, int] = {}
    for column in needed:
        name = column.instead if column.instead in names and column.name not in names else column.name
        if names.count(name) > 1:
            raise BadTable(f"the column {name} stands twice in it; each name must be there once", name)
        if name in names:
            positions[column.name] = names.index(name)
    missing = [str(column) for column in needed if column.name not in positions]
    if missing:
        raise BadTable(
            f"it lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"expected are {', '.join(map(str, needed))}, by name and in any order; {_told(found)}",
            missing[0],
        )
    return positions


def numbers(column: Column) -> FloatArray:
    """A column's numbers as float64, NaN where the file has none. Raises BadTable naming what is no number."""
    if isinstance(column, Numbers):
        return column.values
    if not isinstance(column, Cells):
        raise BadTable(f"the column {column.name} holds times; expected are numbers", column.name)
    if (quickly := _plain_numbers(column.values)) is not None:
        return quickly
    found: list[float] = []
    try:
        for cell in column.values:
            found.append(number_of(cell))
    except ValueError:
        raise column.refusal(len(found), "is no number", "one such as 588.76") from None
    return np.array(found, dtype=np.float64)


def number_of(cell: object) -> float:
    """One cell's number, NaN for a gap. Raises ValueError for what is none."""
    if cell is None:
        return math.nan
    if isinstance(cell, int | float | Decimal):
        return float(cell)
    if not isinstance(cell, str):
        raise ValueError(cell)
    text = cell.strip()
    if text.lower() in _MISSING:
        return math.nan
    if not _is_plain(text):
        raise ValueError(text)
    return float(text)


def _plain_numbers(cells: Sequence[object]) -> FloatArray | None:
    """The numbers where every cell is the text of one, as nearly always in a CSV file; None otherwise."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    if len(texts) < len(cells) or not _is_plain("".join(texts)):
        return None
    try:
        return np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError:
        return None


def _is_plain(text: str) -> bool:
    """Whether it is free of what Python's float reads and a price list never means: 1_000, digits of other scripts."""
    return text.isascii() and "_" not in text


def _told(found: Sequence[str]) -> str:
    """What stands where the names should be; a file with other separators looks like one long name."""
    first = ", ".join(name.strip() for name in found)
    for separator, called in {";": "semicolons", "\t": "tabs"}.items():
        if separator in first:
            return f"its columns are separated by {called}, expected are commas (and points in decimals)"
    return f"found are {first[: 2 * SHOWN]!r}"
