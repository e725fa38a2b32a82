"""A journal's file as programs leave it that a person opened and saved it with."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from io import StringIO

from trading_playbook.core.journal import COLUMNS, Column, Kind

Rewriting = Mapping[Kind, Callable[[str], str]]
"""How a program writes the filled cells of a kind; kinds that are not named stay as they are."""

DAY_FIRST: Rewriting = {Kind.DATE: lambda cell: f"{date.fromisoformat(cell):%d/%m/%Y}"}
MONTH_FIRST: Rewriting = {
    Kind.DATE: lambda cell: f"{_day(cell).month}/{_day(cell).day}/{_day(cell).year}",
    Kind.FLAG: str.lower,
    Kind.NUMBER: lambda cell: _shortest(cell),
    Kind.TIME: lambda cell: cell.lstrip("0"),
}
DOTTED: Rewriting = {
    Kind.DATE: lambda cell: f"{date.fromisoformat(cell):%d.%m.%Y}",
    Kind.TIME: lambda cell: f"{cell}:00",
    Kind.FLAG: str.capitalize,
}
TWELVE_HOURS: Rewriting = {
    Kind.DATE: lambda cell: f"{_day(cell):%B} {_day(cell).day}, {_day(cell).year}",
    Kind.TIME: lambda cell: f"{(int(cell[:2]) + 11) % 12 + 1}:{cell[3:]} {'PM' if cell >= '12' else 'AM'}",
    Kind.COUNT: lambda cell: f"{cell}.0",
    Kind.NUMBER: lambda cell: f"{cell}0",
}


def saved_again(
    content: bytes,
    rewriting: Rewriting,
    *,
    byte_order_mark: bool = True,
    line_end: str = "\r\n",
    quote_all: bool = True,
    empty_columns: int = 2,
    empty_lines: int = 2,
) -> bytes:
    """The file after a spreadsheet: its cells rewritten, quotes everywhere, and empty cells around."""
    header, *rows = csv.reader(StringIO(content.decode(), newline=""))
    around = [""] * empty_columns
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
    writer.writerow(header + around)
    writer.writerows(_rewritten(row, rewriting) + around for row in rows)
    writer.writerows([[""] * len(header + around)] * empty_lines)
    return (b"\xef\xbb\xbf" if byte_order_mark else b"") + text.getvalue().encode()


def with_cell(content: bytes, line: int, column: str, cell: str) -> bytes:
    """The file with one cell changed by hand; line: as an editor counts, the header being line 1."""
    rows = list(csv.reader(StringIO(content.decode(), newline="")))
    rows[line - 1][rows[0].index(column)] = cell
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def with_column(content: bytes, name: str, cells: Sequence[str], place: int | None = None) -> bytes:
    """The file with a person's own column, at the end or in another place."""
    rows = list(csv.reader(StringIO(content.decode(), newline="")))
    for row, cell in zip(rows, (name, *cells), strict=True):
        row.insert(len(row) if place is None else place, cell)
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _rewritten(row: Sequence[str], rewriting: Rewriting) -> list[str]:
    cells = zip(row, (*COLUMNS, *[None] * (len(row) - len(COLUMNS))), strict=True)
    return [_rewritten_cell(cell, column, rewriting) for cell, column in cells]


def _rewritten_cell(cell: str, column: Column | None, rewriting: Rewriting) -> str:
    if not cell or column is None or column.kind not in rewriting:
        return cell
    return rewriting[column.kind](cell)


def _day(cell: str) -> date:
    return date.fromisoformat(cell)


def _shortest(cell: str) -> str:
    """605 for 605.0 and 1.2E-05 for 0.000012."""
    value = float(cell)
    return f"{value:.1E}" if 0 < abs(value) < 0.0001 else cell.removesuffix(".0")
