"""The journal as a CSV file: read also after a person or a spreadsheet had it, written in one form."""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import repeat, zip_longest
from operator import attrgetter
from typing import Any, NamedTuple

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import COLUMNS, HEADER, Column, JournalRow, compared_values, row_cells

SHOWN = 60
"""Of a text that is not understood, so many characters are shown."""

_IDENTITY = ("trade_date", "symbol", "strategy", "params_hash", "trade_no", "revision")
_identity_of = attrgetter(*_IDENTITY)
_ALWAYS_FILLED = frozenset({*_IDENTITY, "entry_window", "entered?", "reason", "data_feed", "data_hash"})


class StoredRow(NamedTuple):
    """A row with the cells that a person's own columns hold for it; fewer cells than columns: the others are empty."""

    row: JournalRow
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """What a journal's file holds: rows in the order of their keys, then revisions, and a person's own columns."""

    rows: tuple[StoredRow, ...] = ()
    extra_header: tuple[str, ...] = ()

    def with_rows(self, rows: Iterable[JournalRow]) -> StoredJournal:
        """Other rows in the place of these, each with the cells that a person gave the row of its key."""
        extra_of = {stored.row.key: stored.extra for stored in self.rows} if self.extra_header else {}
        return replace(self, rows=tuple(StoredRow(row, extra_of.get(row.key, ())) for row in rows))

    def joined_by(self, other: StoredJournal) -> StoredJournal:
        """The rows of both, a person's columns by their names; of equal rows of one revision, the other's."""
        missing = Counter(other.extra_header) - Counter(self.extra_header)
        header = (*self.extra_header, *missing.elements())
        places = _places_of(other.extra_header, header)
        moved = (StoredRow(row, _moved(extra, places, len(header))) for row, extra in other.rows)
        rows = {(compared_values(stored.row), stored.row.revision): stored for stored in (*self.rows, *moved)}
        return StoredJournal(rows=tuple(rows.values()), extra_header=header)


class _Table(NamedTuple):
    """A file's cells by columns, the header first in each, and the line on which each record begins."""

    place: str
    columns: list[tuple[str, ...]]
    lines: list[int]

    def refusal(self, record: int, told: str) -> FixRequest:
        return FixRequest(f"{self.place}, line {self.lines[record]}: {told}")


def read_journal(content: bytes, place: str) -> StoredJournal:
    """Read a journal's file, also one that was edited or saved again where its meaning is certain.

    place: the file's name, for people. A file that holds nothing at all is an empty journal. Raises FixRequest where
    the file is no journal, naming line, column and cell where a meaning is not certain, or both lines where two rows
    have one key.
    """
    return _read(content, place, keys_are_unique=True)


def read_history(content: bytes, place: str) -> StoredJournal:
    """Read the rows that were replaced: as read_journal, but a key may have several.

    Even of one revision: a row that a person deleted begins at revision 0 again, and what it had replaced is kept.
    """
    return _read(content, place, keys_are_unique=False)


def write_journal(journal: StoredJournal) -> bytes:
    """The file of a journal or a history: UTF-8, LF, minimal quoting, sorted by key, then revision."""
    lines = _Lines()
    # A CR in a cell is quoted by every Python only where lines end with one.
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow((*HEADER, *journal.extra_header))
    width = len(journal.extra_header)
    rows = sorted(journal.rows, key=_place_of)
    if width:
        empty = ("",) * width
        writer.writerows([*row_cells(row), *(extra + empty)[:width]] for row, extra in rows)
    else:
        writer.writerows(row_cells(row) for row, _ in rows)
    return ("\n".join(lines) + "\n").encode()


class _Lines(list[str]):
    def write(self, line: str) -> None:
        self.append(line[:-2])


def _read(content: bytes, place: str, *, keys_are_unique: bool) -> StoredJournal:
    table = _parse(_decoded(content, place), place)
    if not table.columns:
        return StoredJournal()
    positions = _positions([column[0] for column in table.columns], place)
    values = [_values(column, table, position) for column, position in zip(COLUMNS, positions, strict=True)]
    if keys_are_unique:
        _require_unique(table, [values[HEADER.index(name)] for name in _IDENTITY[:-1]])
    own = set(positions)
    extras = [column for position, column in enumerate(table.columns) if position not in own and any(column)]
    cells = zip(*(column[1:] for column in extras), strict=True) if extras else repeat(())
    return StoredJournal(
        rows=tuple(sorted(map(StoredRow, rows_of_columns(values), cells), key=_place_of)),
        extra_header=tuple(column[0] for column in extras),
    )


def _decoded(content: bytes, place: str) -> str:
    if b"\0" in content:
        raise FixRequest(f"{place} is no journal, nor any text in UTF-8; it was left alone")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FixRequest(f"{place}, line {line}: this is no UTF-8; save the journal as CSV in UTF-8") from None


def _parse(text: str, place: str) -> _Table:
    """The file's cells; lines without a filled cell are left out."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    records: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for record in reader:
            if any(record):
                records.append(record)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise FixRequest(f"{place}, line {line}: this is no CSV ({error}); it was left alone") from None
    return _Table(place, list(zip_longest(*records, fillvalue="")), lines)


def _positions(header: Sequence[str], place: str) -> Sequence[int]:
    """Where each of COLUMNS stands: in its own place, or by its name where a person moved columns."""
    if tuple(header[: len(HEADER)]) == HEADER:
        return range(len(HEADER))
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if set(HEADER) <= set(header[0].split(separator)):
            raise FixRequest(f"{place} is separated by {name}; save the journal as CSV with commas")
    missing = [name for name in HEADER if name not in header]
    if len(missing) > len(HEADER) // 2:
        raise FixRequest(f"{place} is no journal; it was left alone. Its first line is {','.join(header)[:SHOWN]!r}")
    if missing:
        raise FixRequest(f"{place} lacks the journal's column {', '.join(missing)}; it was left alone")
    if twice := [name for name in HEADER if header.count(name) > 1]:
        raise FixRequest(f"{place} has the column {twice[0]} twice; give yours another name")
    return [header.index(name) for name in HEADER]


def _values(column: Column, table: _Table, position: int) -> list[Any]:
    """What the cells of one column mean, None where they are empty."""
    # Not at the top: the first run of a journal has nothing to read, and patterns of dates take their time.
    from trading_playbook.core.spreadsheet import READERS, Uncertain

    cells = table.columns[position][1:]
    different = dict.fromkeys(cells)
    has_empty = "" in different
    different.pop("", None)
    try:
        meanings = READERS[column.kind](different)
    except Uncertain as error:
        told = f"{column.name} {error.cell[:SHOWN]!r} {error.why}"
        raise table.refusal(cells.index(error.cell) + 1, told) from None
    if has_empty:
        if column.name in _ALWAYS_FILLED:
            raise table.refusal(cells.index("") + 1, f"{column.name} is empty, which it never is in a journal")
        meanings[""] = "" if column.name == "notes" else None
    return list(map(meanings.__getitem__, cells))


def _require_unique(table: _Table, identity: Sequence[Sequence[object]]) -> None:
    found = list(zip(*identity, strict=True))
    if len(set(found)) == len(found):
        return
    first: dict[object, int] = {}
    for record, key in enumerate(found, 1):
        if key in first:
            day, symbol = key[:2]
            told = f"the row of {symbol} {day} stands on line {table.lines[first[key]]} too; remove one of the two"
            raise table.refusal(record, told)
        first[key] = record


def rows_of_columns(columns: Sequence[Sequence[Any]]) -> list[JournalRow]:
    """Rows out of whole columns of values.

    The readers have made sure of all that JournalRow looks after; not doing it again is ten times as fast.
    """
    rows = [object.__new__(JournalRow) for _ in columns[0]]
    for column, values in zip(COLUMNS, columns, strict=True):
        keep: Callable[[JournalRow, Any], None] = getattr(JournalRow, column.attribute).__set__
        deque(map(keep, rows, values), maxlen=0)
    return rows


def _places_of(names: Sequence[str], header: Sequence[str]) -> list[int]:
    """Where a header that holds them all has these names; the second of one name is the second there too."""
    free: dict[str, deque[int]] = {}
    for place, name in enumerate(header):
        free.setdefault(name, deque()).append(place)
    return [free[name].popleft() for name in names]


def _moved(cells: Sequence[str], places: Sequence[int], width: int) -> tuple[str, ...]:
    moved = [""] * width
    for place, cell in zip(places, cells, strict=False):  # a row of ours may have fewer cells
        moved[place] = cell
    return tuple(moved)


def _place_of(stored: StoredRow) -> Any:
    """Where a row stands among the others."""
    return _identity_of(stored.row)
