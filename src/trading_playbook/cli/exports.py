"""Journal rows as files for other programs: CSV, JSON and parquet, all with every column of the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trading_playbook.core.journal import COLUMNS, JournalRow, Kind, row_values
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, write_journal

if TYPE_CHECKING:
    import pyarrow as pa


def as_csv(rows: Sequence[JournalRow]) -> bytes:
    """The journal's own form, without columns of a person's own."""
    return write_journal(StoredJournal(tuple(map(StoredRow, rows))))


def as_json(rows: Sequence[JournalRow]) -> bytes:
    """One array with an object a row, each on a line of its own: numbers, flags and counts as such, null for None."""
    lines = ",\n".join(json.dumps(row_values(row), allow_nan=False) for row in rows)
    return f"[\n{lines}\n]\n".encode("ascii")


def as_parquet(rows: Sequence[JournalRow]) -> bytes:
    """Typed columns, dates as dates and times as text HH:MM; what does not apply is null."""
    import pyarrow as pa
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, read_csv
    from pyarrow.parquet import ParquetWriter

    # Through the text of the journal, which holds every value exactly; pa.array would import pandas.
    table = read_csv(
        pa.BufferReader(as_csv(rows)),
        read_options=ReadOptions(use_threads=False),
        parse_options=ParseOptions(newlines_in_values=True),
        convert_options=ConvertOptions(
            column_types={column.name: _type(column.kind, pa) for column in COLUMNS},
            null_values=[""],
            strings_can_be_null=True,
            true_values=["TRUE"],
            false_values=["FALSE"],
        ),
    )
    sink = pa.BufferOutputStream()
    with ParquetWriter(sink, table.schema, compression="zstd") as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


FORMATS: Mapping[str, Callable[[Sequence[JournalRow]], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
}


def _type(kind: Kind, pa: Any) -> pa.DataType:
    match kind:
        case Kind.DATE:
            return pa.date32()
        case Kind.FLAG:
            return pa.bool_()
        case Kind.COUNT:
            return pa.int64()
        case Kind.NUMBER:
            return pa.float64()
    return pa.string()
