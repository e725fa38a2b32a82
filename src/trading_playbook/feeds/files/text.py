"""CSV files as columns: UTF-8, commas, one line of names, quotes where they are wanted."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from trading_playbook.feeds.files.columns import BadTable, Cells, Needed, choose


def read_csv(path: Path, needed: Sequence[Needed]) -> Mapping[str, Cells]:
    """The needed columns of a file, by their names in `needed`; lines without any text are left out.

    Raises BadTable where the file is no text, lacks a column, or has a line that is cut or too long. OSError where it
    cannot be opened.
    """
    rows, lines = _rows(path.read_bytes())
    if not rows:
        raise BadTable(f"it is empty; expected is a first line that names {', '.join(map(str, needed))}")
    names = rows[0]
    positions = choose(names, needed)
    _require_one_width(rows, lines)
    columns = list(zip(*rows, strict=True))
    return {name: Cells(names[at].strip().lower(), columns[at][1:], lines[1:]) for name, at in positions.items()}


def _rows(content: bytes) -> tuple[list[list[str]], list[int]]:
    """The lines' fields, and the number of each line, the first being 1."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTable(f"it is no text in UTF-8 (byte {error.start + 1}); save it as CSV in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if "".join(row).strip():
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise BadTable(f"line {reader.line_num}: it is no CSV ({error})") from error
    return rows, lines


def _require_one_width(rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
    """Raise BadTable at the first line that has more or fewer fields than the line of names."""
    width = len(rows[0])
    # In C from end to end, for the millions of lines of which none is wrong.
    if all(map(width.__eq__, map(len, rows))):
        return
    row, line = next((row, line) for row, line in zip(rows, lines, strict=True) if len(row) != width)
    raise BadTable(
        f"line {line} has {len(row)} fields and the line of names has {width}; "
        "a line is cut, or decimals are written with commas"
    )
