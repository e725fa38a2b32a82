"""Rows as documents and back: a field for each column that applies, under the column's name in the journal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from math import isfinite
from operator import attrgetter
from typing import Any

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import (
    COLUMNS,
    FORMULA_STARTS,
    HEADER,
    Column,
    JournalRow,
    Kind,
    RowKey,
    compared_values,
)
from trading_playbook.core.journal_csv import rows_of_columns
from trading_playbook.core.numbers import rounded

Document = Mapping[str, Any]

DAY = "trade_day"
"""trade_date again, as a date of MongoDB (midnight UTC), for its own functions of dates; never read by us."""

REPLACED_ID = "replaced_id"
"""In the history: the _id that the document had in the journal."""

SHOWN = 60
"""Of a value that is not understood, so many characters are shown."""

_values_of = attrgetter(*(column.attribute for column in COLUMNS))
_CAN_BE_ABSENT = frozenset(each.name for each in fields(JournalRow) if each.default is None)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")


def row_id(key: RowKey) -> str:
    """The _id of a key's document, such as dp20|p80720bba934c|QQQ|2025-11-04|1.

    A text, since equal documents inside a document are those whose fields stand in the same order too.
    """
    parts = (key.strategy, key.params_hash, key.symbol, key.trade_date.isoformat(), str(key.trade_no))
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def document_of(row: JournalRow) -> dict[str, Any]:
    """The document of a row: dates as text, numbers as doubles, counts as integers; what does not apply is absent."""
    return {"_id": row_id(row.key), **_given(row), DAY: _midnight(row.trade_date)}


def update_to(row: JournalRow) -> dict[str, Any]:
    """What makes a row's document that of another one of its key, and leaves alone what a person added to it."""
    given = _given(row)
    absent = {name: "" for name in HEADER if name not in given}
    return {"$set": {**given, DAY: _midnight(row.trade_date)}, "$unset": absent}


def still(document: Document) -> dict[str, Any]:
    """The filter that finds a document as long as all columns are as they were read; null finds what is absent."""
    return {"_id": document["_id"], **{name: document.get(name) for name in HEADER}}


def replaced_document(document: Document, row: JournalRow) -> dict[str, Any]:
    """What the history keeps of a document: all of it, once for each content that a revision of it had.

    A row that a person deleted begins at revision 0 again, and what it had replaced is kept.
    """
    content = hashlib.sha256(repr(compared_values(row)).encode("utf-8", "backslashreplace")).hexdigest()[:12]
    kept = f"{document['_id']}|{row.revision}|{content}"
    return {**document, "_id": kept, REPLACED_ID: document["_id"]}


def rows_of(documents: Sequence[Document], place: str) -> list[JournalRow]:
    """The rows of documents, in their order.

    A number may be an integer too, as a shell writes 605.0, and an empty text or null stands for what is absent. Raises
    FixRequest where a document is no row, naming its _id and the field.
    """
    if not documents:
        return []
    columns = [_read(column, documents, place) for column in COLUMNS]
    rows = rows_of_columns(columns)
    for document, row in zip(documents, rows, strict=True):
        known = document.get(REPLACED_ID, document["_id"])
        if known != row_id(row.key):
            raise _refusal(document, place, f"its _id is not that of its row, which is {row_id(row.key)!r}")
    return rows


def _given(row: JournalRow) -> dict[str, Any]:
    """The columns that apply. Raises ValueError for NaN and infinity, which no run could read again."""
    given = {name: value for name, value in zip(HEADER, _values_of(row), strict=True) if value is not None}
    for name, value in given.items():
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{name}: {value} is no number of a journal")
    given["trade_date"] = row.trade_date.isoformat()
    return given


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - MongoDB takes it for UTC


def _read(column: Column, documents: Sequence[Document], place: str) -> list[Any]:
    """What the values of one column mean, None where they are absent."""
    values = [document.get(column.name) for document in documents]
    own, read = _READERS[column.kind]
    try:
        if set(map(type, values)) <= {own, type(None)}:
            # Many rows share a value; with other types among them, 1 and True would be one.
            meanings = {value: read(value) for value in set(values) - {None, ""}}
            meant = list(map(meanings.get, values))
        else:
            meant = [None if value in (None, "") else read(value) for value in values]
    except ValueError:
        raise _first_refusal(column, read, documents, place) from None
    if column.name == "notes":
        return [text or "" for text in meant]
    if column.attribute not in _CAN_BE_ABSENT and None in meant:
        told = f"{column.name} is absent, which it never is in a journal"
        raise _refusal(documents[meant.index(None)], place, told)
    return meant


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    if value[:1] in FORMULA_STARTS:
        raise ValueError("a text that begins like a formula")
    return value


def _read_date(value: Any) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("no date written as the text YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("no day of the calendar") from None


def _read_time(value: Any) -> str:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("no time written as the text HH:MM")
    return value


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _read_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value < 0:
        raise ValueError("no whole number from 0 on")
    return int(value)


def _read_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError("no number")
    if rounded(value) != value:
        raise ValueError("a number with more than 6 decimals")
    return float(value) + 0.0


_READERS: Mapping[Kind, tuple[type, Callable[[Any], Any]]] = {
    Kind.TEXT: (str, _read_text),
    Kind.DATE: (str, _read_date),
    Kind.TIME: (str, _read_time),
    Kind.FLAG: (bool, _read_flag),
    Kind.COUNT: (int, _read_count),
    Kind.NUMBER: (float, _read_number),
}
"""For each kind the type that we write, and what makes of a value what it means, or raises ValueError."""


def _first_refusal(column: Column, read: Callable[[Any], Any], documents: Sequence[Document], place: str) -> FixRequest:
    for document in documents:
        value = document.get(column.name)
        try:
            if value not in (None, ""):
                read(value)
        except ValueError as error:
            return _refusal(document, place, f"{column.name} is {repr(value)[:SHOWN]}, which is {error}")
    raise AssertionError("each of the values can be read")


def _refusal(document: Document, place: str, told: str) -> FixRequest:
    return FixRequest(
        f"{place}, document {repr(document['_id'])[:SHOWN]}: {told}; it was left alone. Mend it, or move it elsewhere"
    )
