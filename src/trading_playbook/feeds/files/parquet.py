"""Parquet files as columns: without a copy where the types allow it, and never by way of pandas.

pq.read_table, to_numpy and casts bring pandas or pyarrow.compute along, which take longer to import than a year of bars
to read; ParquetFile.read, views and DLPack do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_playbook.core.bars import FloatArray, IntArray
from trading_playbook.feeds.files.columns import (
    SHOWN,
    BadTable,
    Cells,
    Column,
    Days,
    Instants,
    Needed,
    Numbers,
    WallTimes,
    choose,
)

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_MILLISECONDS_A_DAY = 86_400_000


def read_parquet(path: Path, needed: Sequence[Needed]) -> Mapping[str, Column]:
    """The needed columns of a file, by their names in `needed`.

    Raises BadTable where the file is damaged, or lacks a column, or holds one of a type that means neither a number, a
    time, a date nor a text. OSError where it cannot be opened.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    content = path.read_bytes()
    try:
        file = ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        names = file.schema_arrow.names
        positions = choose(names, needed)
        table = file.read(columns=[names[position] for position in positions.values()])
        return {
            name: _column(names[position].strip().lower(), table.column(names[position]))
            for name, position in positions.items()
        }
    # A damaged file shows itself in as many ways: what follows from its bytes alone is no bug of ours.
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise BadTable(f"it is no whole parquet file ({_first_line(error)}); write it again") from error


def _column(name: str, column: Any) -> Column:
    """One pyarrow.ChunkedArray as what it means."""
    from pyarrow import types

    kind = column.type
    if types.is_timestamp(kind):
        stamps = _nanoseconds(name, _whole_numbers(name, column, "int64"), _NANOSECONDS[kind.unit])
        return WallTimes(name, stamps) if kind.tz is None else Instants(name, stamps)
    if types.is_date32(kind):
        return Days(name, _whole_numbers(name, column, "int32").astype(np.int64))
    if types.is_date64(kind):
        return Days(name, _whole_numbers(name, column, "int64") // _MILLISECONDS_A_DAY)
    if (types.is_floating(kind) or types.is_integer(kind)) and not column.null_count:
        return Numbers(name, _as_float64(_joined(column)))
    if any(holds(kind) for holds in _held_as_values(types)):
        return Cells(name, column.to_pylist())
    raise BadTable(f"the column {name} holds {str(kind)[:SHOWN]}, which is neither a number, a time nor a text", name)


def _held_as_values(types: Any) -> Sequence[Callable[[Any], bool]]:
    """The types that are read cell by cell. Decimals too: Arrow's own cast of them misses the nearest float."""
    return (
        types.is_floating,
        types.is_integer,
        types.is_decimal,
        types.is_null,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        lambda kind: types.is_dictionary(kind) and types.is_string(kind.value_type),
    )


def _whole_numbers(name: str, column: Any, width: str) -> IntArray:
    """What lies under a column of times or dates. Raises BadTable where one is missing."""
    if column.null_count:
        gap = [value for chunk in column.chunks for value in chunk.view(width).to_pylist()].index(None)
        raise BadTable(f"row {gap + 1}: {name} is missing", name)
    return _joined(column, width)


def _joined(column: Any, view: str | None = None) -> npt.NDArray[Any]:
    """A column without gaps as one array, read-only and without a copy where it is one chunk."""
    chunks = [np.from_dlpack(chunk.view(view) if view else chunk) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0)])


def _as_float64(values: npt.NDArray[Any]) -> FloatArray:
    """Numbers as float64; a shorter float is read as the shortest decimal that means it, so 588.76 stays 588.76."""
    if values.dtype.kind == "f" and values.dtype.itemsize < np.dtype(np.float64).itemsize:
        values = values.astype(np.str_)
    return values.astype(np.float64, copy=False)


def _nanoseconds(name: str, stamps: IntArray, unit: int) -> IntArray:
    """Times of a coarser unit as nanoseconds. Raises BadTable for years that these cannot hold."""
    if unit == 1 or not len(stamps):
        return stamps
    bound = np.iinfo(np.int64).max // unit
    if stamps.max() > bound or stamps.min() < -bound:
        raise BadTable(f"the column {name} holds times before the year 1678 or after 2261; is its unit right?", name)
    return stamps * unit


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:100]
