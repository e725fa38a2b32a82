"""What the files of a cache hold, and their form: parquet that any tool opens, facts about it in its own metadata.

Under the metadata's key `trading_playbook` lies JSON: schema, kind, source, symbol, what was asked for and answered,
and a checksum over the whole file. The same content has the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_playbook.core.bars import COLUMNS, Bars, FloatArray, IntArray
from trading_playbook.core.daily import DailyCloses, Split, day_of

SCHEMA = 1
METADATA_KEY = b"trading_playbook"

DOUBT_DAYS = 10
"""So long after a session an answer in part, or with a bad value, may still be completed or corrected."""

_UNKNOWN = 64 * "0"
"""In the place of a checksum that is not known yet."""

_MICROSECOND = 1_000
"""Nanoseconds. Files hold microseconds, which more tools read."""


class Damaged(Exception):
    """A file that cannot be used. The message says why, for people."""


@dataclass(frozen=True, slots=True)
class Answered:
    """That a session was asked for and answered.

    minutes: its length as the calendar knew it then. bars: how many came. begun: whether the feed's bars of the symbol
    begin before it, which is known of sessions without bars. asked: the New York date on which it was asked for, where
    the answer may not be the last word and is asked for again on a later day; None where it is final.
    """

    minutes: int
    bars: int
    begun: bool = True
    asked: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthOfBars:
    """A symbol's regular-hours bars of some sessions of one month, oldest first, as the feed gave them."""

    bars: Bars
    sessions: Mapping[date, Answered]


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyHistory:
    """A symbol's raw daily closes, oldest first, and its splits.

    begin: the first date that was asked for; whole: whether nothing lies before it. end: the last date up to which the
    closes are final; later ones were asked for up to asked_through, on the New York date asked. splits_through: the
    date up to which the splits are known, None where they were never asked for.
    """

    closes: DailyCloses
    begin: date
    end: date
    whole: bool = False
    asked_through: date | None = None
    asked: date | None = None
    splits: tuple[Split, ...] = ()
    splits_through: date | None = None

    @property
    def symbol(self) -> str:
        return self.closes.symbol


def encode_month(month: MonthOfBars, source: str) -> bytes:
    """The file of a month. source: the feed's name, such as alpaca-sip."""
    bars = month.bars
    sessions = {
        str(day): {
            "minutes": told.minutes,
            "bars": told.bars,
            **({} if told.bars else {"begun": told.begun}),
            **({"asked": str(told.asked)} if told.asked else {}),
        }
        for day, told in sorted(month.sessions.items())
    }
    facts = {"kind": "bars", "source": source, "symbol": bars.symbol, "minutes": bars.minutes, "sessions": sessions}
    columns = {name: getattr(bars, name) for name in COLUMNS}
    return _encoded(facts, {"timestamp": bars.opened // _MICROSECOND, **columns})


def decode_month(content: bytes, source: str, symbol: str) -> MonthOfBars:
    """Raises Damaged where the file is not whole, or of something else."""
    facts, columns = _decoded(content, ("timestamp", *COLUMNS), kind="bars", source=source, symbol=symbol)
    with _form_of_facts():
        sessions = {
            date.fromisoformat(day): Answered(
                told["minutes"], told["bars"], told.get("begun", True), _date(told.get("asked"))
            )
            for day, told in facts["sessions"].items()
        }
        if (minutes := int(facts["minutes"])) < 1:
            raise ValueError(minutes)
    opened = columns.pop("timestamp") * _MICROSECOND
    bars = Bars(symbol=symbol, minutes=minutes, opened=opened, first_session=None, **columns)
    return MonthOfBars(bars=bars, sessions=sessions)


def encode_daily(daily: DailyHistory, source: str) -> bytes:
    """The file of daily closes and splits. source: the feed's name, such as alpaca-sip."""
    facts = {
        "kind": "daily",
        "source": source,
        "symbol": daily.symbol,
        "begin": str(daily.begin),
        "whole": daily.whole,
        "end": str(daily.end),
        "asked_through": str(daily.asked_through) if daily.asked_through else None,
        "asked": str(daily.asked) if daily.asked else None,
        "splits": [[str(split.ex_date), split.old, split.new] for split in daily.splits],
        "splits_through": str(daily.splits_through) if daily.splits_through else None,
    }
    return _encoded(facts, {"date": daily.closes.days.astype(np.int32), "close": daily.closes.closes})


def decode_daily(content: bytes, source: str, symbol: str) -> DailyHistory:
    """Raises Damaged where the file is not whole, or of something else."""
    facts, columns = _decoded(content, ("date", "close"), kind="daily", source=source, symbol=symbol)
    days: IntArray = columns["date"].astype(np.int64)
    closes: FloatArray = columns["close"]
    with _form_of_facts():
        return DailyHistory(
            closes=DailyCloses(
                symbol=symbol, days=days, closes=closes, first_session=day_of(int(days[0])) if len(days) else None
            ),
            begin=date.fromisoformat(facts["begin"]),
            end=date.fromisoformat(facts["end"]),
            whole=bool(facts["whole"]),
            asked_through=_date(facts["asked_through"]),
            asked=_date(facts["asked"]),
            splits=tuple(Split(date.fromisoformat(day), float(old), float(new)) for day, old, new in facts["splits"]),
            splits_through=_date(facts["splits_through"]),
        )


def _encoded(facts: Mapping[str, object], columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The parquet file of some columns and what is known of them."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    types = {"timestamp": pa.timestamp("us", tz="UTC"), "date": pa.date32()}
    fields = [pa.field(name, types.get(name, pa.float64()), nullable=False) for name in columns]
    schema = pa.schema(fields)
    # From buffers: pa.array would import pandas.
    arrays = [
        pa.Array.from_buffers(own.type, len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])
        for own, column in zip(fields, columns.values(), strict=True)
    ]
    told = json.dumps({"schema": SCHEMA, "checksum": _UNKNOWN, **facts}, sort_keys=True, separators=(",", ":"))
    sink = pa.BufferOutputStream()
    with ParquetWriter(sink, schema, store_schema=False, compression="zstd", use_dictionary=False) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({METADATA_KEY: told.encode("ascii")})
    content: bytes = sink.getvalue().to_pybytes()
    # Metadata stand at the end of a file.
    before, _, after = content.rpartition(_UNKNOWN.encode("ascii"))
    return before + _checksum(content, _UNKNOWN).encode("ascii") + after


def _decoded(
    content: bytes, names: Sequence[str], **expected: object
) -> tuple[Mapping[str, Any], dict[str, npt.NDArray[Any]]]:
    """The facts and columns of a file. expected: facts that it must have. Raises Damaged."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(pa.BufferReader(content))
        facts = facts_of(file.metadata.metadata)
        _require_of(facts, expected)
        told = facts.get("checksum")
        if not isinstance(told, str) or len(told) != len(_UNKNOWN) or _checksum(content, told) != told:
            raise Damaged("it is damaged, its checksum is wrong")
        table = file.read(use_threads=False)
        return facts, {name: _column(table.column(name)) for name in names}
    # A damaged file shows itself in as many ways: what follows from its bytes alone is no bug of ours.
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise Damaged("it is damaged") from error


def facts_of(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """What a file says of itself. Raises Damaged where it is none of ours, or of a newer program."""
    told = (metadata or {}).get(METADATA_KEY)
    if told is None:
        raise Damaged("it was not written by this program")
    facts = json.loads(told)
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise Damaged("what it says of itself cannot be read")
    if facts["schema"] > SCHEMA:
        raise Damaged(f"it is of schema {facts['schema']}, written by a newer version; this one knows {SCHEMA}")
    return facts


def _require_of(facts: Mapping[str, Any], expected: Mapping[str, object]) -> None:
    for name, value in expected.items():
        if facts.get(name) != value:
            raise Damaged(f"it is of another {name}: {str(facts.get(name))[:40]!r} in the place of {value!r}")


def _column(column: Any) -> npt.NDArray[Any]:
    """A column without gaps as an array. Raises TypeError where it is of another type."""
    kind = str(column.type)
    view = {"double": None, "timestamp[us, tz=UTC]": "int64", "date32[day]": "int32"}[kind]
    if column.null_count:
        raise TypeError("a value is missing")
    chunks = [np.from_dlpack(chunk.view(view) if view else chunk) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, dtype=view or np.float64)])


def _checksum(content: bytes, told: str) -> str:
    """SHA-256 over a file, as it was before the checksum that it tells took the place of _UNKNOWN."""
    before, found, after = content.rpartition(told.encode())
    return hashlib.sha256(b"".join((before, _UNKNOWN.encode() if found else b"", after))).hexdigest()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


@contextmanager
def _form_of_facts() -> Iterator[None]:
    """Turn what a wrong form of facts brings about into Damaged."""
    try:
        yield
    except (TypeError, KeyError, ValueError, AttributeError):
        raise Damaged("what it says of itself cannot be read") from None
