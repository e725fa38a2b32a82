"""What may stand in the columns of one row: types, identity, and what is filled for which reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from trading_playbook.core.audit.findings import Wrong
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.journal import COLUMNS, FORMULA_STARTS, Column, JournalRow, Kind
from trading_playbook.core.numbers import DECIMALS, rounded
from trading_playbook.core.parsing import parse_symbol
from trading_playbook.core.rows import LONG
from trading_playbook.core.simulation import EXIT_REASONS
from trading_playbook.core.strategies import REGISTRY
from trading_playbook.core.strategies.protocol import ENTERED

_LABEL = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_HASH = {"params_hash": re.compile("p[0-9a-f]{12}"), "data_hash": re.compile("d[0-9a-f]{12}")}

# Which columns are filled, by how far the decision got; each stage holds those before it too.
_TREND = ("sma200_daily_at_open", "trend_valid")
_PULLBACK = (*_TREND, "first_close_below_time")
_STRONG = (*_PULLBACK, "reversal_strength_ok", "reversal_candle_time")
_CONFIRMED = (*_STRONG, "confirmation_candle_time")
_STAGES: Mapping[str, tuple[str, ...]] = {
    "no_data": (),
    "insufficient_history": (),
    "insufficient_warmup": _TREND,
    "trend_down": _TREND,
    "incomplete_session": _TREND,
    "no_pullback": _TREND,
    "no_reversal": _PULLBACK,
    "no_confirmation": _STRONG,
    "invalidated": _CONFIRMED,
    "no_entry_bar": _CONFIRMED,
    "zero_risk": _CONFIRMED,
}

_ANY_TREND = frozenset({"no_data", "insufficient_history", "insufficient_warmup", "trend_down"})
"""Reasons that do not need the trend to be up."""

_ALWAYS = frozenset(
    {"trade_date", "entry_window", "entered", "notes", "symbol", "strategy", "params_hash", "trade_no", "reason",
     "data_feed", "data_hash", "revision"}
)  # fmt: skip

ENTRY = frozenset(column.attribute for column in COLUMNS) - _ALWAYS - {*_CONFIRMED, "chart_link_entry"}
"""What a trade fills, and nothing else."""

NAMES = {column.attribute: column.name for column in COLUMNS}
"""The columns' names by the attributes of a row."""


def wrong_types(row: JournalRow) -> Wrong:
    """Values that cannot stand in their columns; a row that has one is not looked at any further."""
    for column in COLUMNS:
        value = getattr(row, column.attribute)
        if value is None:
            if column.attribute in _ALWAYS:
                yield "columns", f"has no {column.name}, which every row has"
        elif why := _why_no_value(column, value):
            yield "type", f"has {column.name} {str(value)[:40]!r}: {why}"


def _why_no_value(column: Column, value: Any) -> str | None:
    """Why a value cannot stand in a column, None where it can."""
    match column.kind:
        case Kind.TEXT if not isinstance(value, str) or value[:1] in FORMULA_STARTS:
            return "no text, or one that begins like a formula" if value != "" else None
        case Kind.DATE if not isinstance(value, date) or isinstance(value, datetime):
            return "no date"
        case Kind.TIME if not isinstance(value, str) or not _LABEL.fullmatch(value):
            return "no time as HH:MM"
        case Kind.FLAG if not isinstance(value, bool):
            return "neither TRUE nor FALSE"
        case Kind.COUNT if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return "no count"
        case Kind.NUMBER if not isinstance(value, float) or not math.isfinite(value):
            return "no number"
        case Kind.NUMBER if rounded(value) != value:
            return f"more than {DECIMALS} decimals"
    return None


def wrong_identity(row: JournalRow) -> Wrong:
    """A symbol, hash or number of a trade in a form that no run writes."""
    try:
        if parse_symbol(row.symbol) != row.symbol:
            yield "identity", "has a symbol in small letters"
    except PlaybookError as error:
        yield "identity", f"has no symbol: {error.message}"
    for name, form in _HASH.items():
        if not form.fullmatch(getattr(row, name)):
            yield "identity", f"has {name} {getattr(row, name)[:20]!r}, which is none: {form.pattern} is expected"
    if row.trade_no < 1 or (row.trade_no != 1 and not row.entered):
        yield "identity", f"has trade_no {row.trade_no}; trades count from 1, and a row without a trade is 1"


def wrong_columns(row: JournalRow) -> Wrong:
    """Columns that are filled though the decision never came so far, or empty though it did."""
    reason = row.reason
    if row.entered != (reason == ENTERED):
        yield "columns", f"has entered? {'TRUE' if row.entered else 'FALSE'} and reason {reason[:40]}"
        return
    if row.notes != reason and not row.notes.startswith(f"{reason}: "):
        yield "columns", f"has reason {reason[:40]}, and notes that begin otherwise: {row.notes[:40]!r}"
    if row.entered:
        yield from _misfilled(row, {*_CONFIRMED, *ENTRY}, set())
    elif reason in _STAGES:
        yield from _misfilled(row, set(_STAGES[reason]), {"reversal_strength_ok"} if reason == "no_reversal" else set())
    elif row.strategy in REGISTRY:
        yield "columns", f"has the reason {reason[:40]!r}, which {row.strategy} does not know"
    else:
        yield from (("columns", f"has {NAMES[each]} without a trade") for each in _filled(row, ENTRY))
    if reason in _STAGES or row.entered:
        yield from _wrong_flags(row)


def _misfilled(row: JournalRow, expected: set[str], allowed: set[str]) -> Wrong:
    filled = set(_filled(row, NAMES.keys() - _ALWAYS - {"chart_link_entry"}))
    if lacking := [NAMES[each] for each in NAMES if each in expected - filled]:
        yield "columns", f"is {row.reason} and lacks {', '.join(lacking[:6])}"
    if beyond := [NAMES[each] for each in NAMES if each in filled - expected - allowed]:
        yield "columns", f"is {row.reason} and yet has {', '.join(beyond[:6])}"
    if row.chart_link_entry is not None and not row.entered:
        yield "columns", "has a link to an entry and no entry"


def _filled(row: JournalRow, attributes: Iterable[str]) -> list[str]:
    return [attribute for attribute in attributes if getattr(row, attribute) is not None]


def _wrong_flags(row: JournalRow) -> Wrong:
    if row.trend_valid is True and row.reason == "trend_down":
        yield "columns", "is trend_down and has trend_valid TRUE"
    if row.trend_valid is False and row.reason not in _ANY_TREND:
        yield "columns", f"is {row.reason} and has trend_valid FALSE"
    if row.reversal_strength_ok is not None and row.reversal_strength_ok == (row.reason == "no_reversal"):
        told = "TRUE" if row.reversal_strength_ok else "FALSE"
        yield "columns", f"is {row.reason} and has reversal_strength_ok {told}"
    if row.entered and row.side not in (LONG, None):
        yield "columns", f"has side {row.side[:20]!r}; expected {LONG}"
    if row.entered and row.exit_reason not in (*EXIT_REASONS, None):
        yield "columns", f"has exit_reason {row.exit_reason[:20]!r}; expected {', '.join(EXIT_REASONS)}"
