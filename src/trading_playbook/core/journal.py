"""The row of the journal: its columns, what each may depend on, its identity, and its text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from math import isfinite
from operator import attrgetter

from trading_playbook.core.numbers import rounded, rounded_text

ACCEPTED = "; accepted by name"
"""What the notes of a row say that was judged only because a person accepted its session."""

SIMULATED = "simulated"
"""data_feed of rows that no market made."""

FORMULA_STARTS = frozenset("=+-@\t\r\n")
"""A spreadsheet may take a text that begins with one of these for a formula."""


class Kind(Enum):
    """What a column holds, and so how it is written."""

    TEXT = auto()
    DATE = auto()
    TIME = auto()
    FLAG = auto()
    COUNT = auto()
    NUMBER = auto()


class KnownAt(Enum):
    """The moment after which nothing may change a column any more."""

    ALWAYS = auto()
    FIRST_OPEN = auto()
    WALK_END = auto()
    DECISION = auto()
    ENTRY = auto()
    EXIT = auto()
    SESSION_END = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in the journal, what it holds, when it is known, whether it decides if rows are equal."""

    name: str
    kind: Kind
    known_at: KnownAt
    compared: bool = True

    @property
    def attribute(self) -> str:
        """The column's name as an attribute of JournalRow."""
        return self.name.lower().removesuffix("?")


COLUMNS = (
    Column("trade_date", Kind.DATE, KnownAt.ALWAYS),
    Column("trend_valid", Kind.FLAG, KnownAt.FIRST_OPEN),
    Column("sma200_daily_at_open", Kind.NUMBER, KnownAt.FIRST_OPEN),
    Column("entry_window", Kind.TEXT, KnownAt.ALWAYS),
    Column("first_close_below_time", Kind.TIME, KnownAt.WALK_END),
    Column("reversal_candle_time", Kind.TIME, KnownAt.WALK_END),
    Column("reversal_strength_ok", Kind.FLAG, KnownAt.WALK_END),
    Column("confirmation_candle_time", Kind.TIME, KnownAt.WALK_END),
    Column("entered?", Kind.FLAG, KnownAt.DECISION),
    Column("entry_time_et", Kind.TIME, KnownAt.ENTRY),
    Column("entry_price", Kind.NUMBER, KnownAt.ENTRY),
    Column("shares", Kind.COUNT, KnownAt.ENTRY),
    Column("ema20_at_entry", Kind.NUMBER, KnownAt.ENTRY),
    Column("atr_14_2m_at_entry", Kind.NUMBER, KnownAt.ENTRY),
    Column("atr_pct_of_price", Kind.NUMBER, KnownAt.ENTRY),
    Column("stop_distance", Kind.NUMBER, KnownAt.ENTRY),
    Column("stop_price", Kind.NUMBER, KnownAt.ENTRY),
    Column("entry_bucket", Kind.TEXT, KnownAt.ENTRY),
    Column("bars_since_open", Kind.COUNT, KnownAt.ENTRY),
    Column("eod_exit_time", Kind.TIME, KnownAt.EXIT),
    Column("eod_exit_price", Kind.NUMBER, KnownAt.EXIT),
    Column("gross_pnl", Kind.NUMBER, KnownAt.EXIT),
    Column("fees_slippage", Kind.NUMBER, KnownAt.EXIT),
    Column("net_pnl", Kind.NUMBER, KnownAt.EXIT),
    Column("risk_per_share", Kind.NUMBER, KnownAt.ENTRY),
    Column("R_multiple", Kind.NUMBER, KnownAt.EXIT),
    Column("dist_to_ema_bps", Kind.NUMBER, KnownAt.ENTRY),
    Column("notes", Kind.TEXT, KnownAt.DECISION, compared=False),
    Column("chart_link_entry", Kind.TEXT, KnownAt.ENTRY, compared=False),
    Column("symbol", Kind.TEXT, KnownAt.ALWAYS),
    Column("strategy", Kind.TEXT, KnownAt.ALWAYS),
    Column("params_hash", Kind.TEXT, KnownAt.ALWAYS),
    Column("trade_no", Kind.COUNT, KnownAt.ALWAYS),
    Column("side", Kind.TEXT, KnownAt.ENTRY),
    Column("exit_reason", Kind.TEXT, KnownAt.EXIT),
    Column("reason", Kind.TEXT, KnownAt.DECISION),
    Column("mae", Kind.NUMBER, KnownAt.EXIT),
    Column("mfe", Kind.NUMBER, KnownAt.EXIT),
    Column("mae_R", Kind.NUMBER, KnownAt.EXIT),
    Column("mfe_R", Kind.NUMBER, KnownAt.EXIT),
    Column("data_feed", Kind.TEXT, KnownAt.ALWAYS, compared=False),
    Column("data_hash", Kind.TEXT, KnownAt.SESSION_END, compared=False),
    Column("revision", Kind.COUNT, KnownAt.ALWAYS, compared=False),
)
HEADER = tuple(column.name for column in COLUMNS)


@dataclass(frozen=True, slots=True, order=True)
class RowKey:
    """A row's identity; rows of a journal lie in the order of their keys."""

    trade_date: date
    symbol: str
    strategy: str
    params_hash: str
    trade_no: int

    def __str__(self) -> str:
        return f"{self.symbol} {self.trade_date} ({self.strategy} {self.params_hash}, trade {self.trade_no})"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One judged session of one symbol: a trade, or the reason why there was none.

    Attributes are the journal's columns in lower case. Times are New York wall time HH:MM, the opening time of a bar;
    prices, stops, excursions and risk are dollars a share, pnl and fees dollars, R multiples of the risk. None means
    "does not apply". Numbers are rounded to 6 decimals here, so that every writer holds the same values.
    """

    trade_date: date
    trend_valid: bool | None = None
    sma200_daily_at_open: float | None = None
    entry_window: str
    first_close_below_time: str | None = None
    reversal_candle_time: str | None = None
    reversal_strength_ok: bool | None = None
    confirmation_candle_time: str | None = None
    entered: bool
    entry_time_et: str | None = None
    entry_price: float | None = None
    shares: int | None = None
    ema20_at_entry: float | None = None
    atr_14_2m_at_entry: float | None = None
    atr_pct_of_price: float | None = None
    stop_distance: float | None = None
    stop_price: float | None = None
    entry_bucket: str | None = None
    bars_since_open: int | None = None
    eod_exit_time: str | None = None
    eod_exit_price: float | None = None
    gross_pnl: float | None = None
    fees_slippage: float | None = None
    net_pnl: float | None = None
    risk_per_share: float | None = None
    r_multiple: float | None = None
    dist_to_ema_bps: float | None = None
    notes: str
    chart_link_entry: str | None = None
    symbol: str
    strategy: str
    params_hash: str
    trade_no: int = 1
    side: str | None = None
    exit_reason: str | None = None
    reason: str
    mae: float | None = None
    mfe: float | None = None
    mae_r: float | None = None
    mfe_r: float | None = None
    data_feed: str
    data_hash: str
    revision: int = 0

    def __post_init__(self) -> None:
        for attribute, value in zip(_NUMBERS, _numbers_of(self), strict=True):
            if value is not None:
                object.__setattr__(self, attribute, rounded(value))
        for value in _texts_of(self):
            if value is not None and value[:1] in FORMULA_STARTS:
                raise ValueError(f"a cell may not begin like a formula: {value[:40]!r}")

    @property
    def key(self) -> RowKey:
        return RowKey(self.trade_date, self.symbol, self.strategy, self.params_hash, self.trade_no)

    @property
    def accepted(self) -> bool:
        """Whether a person accepted this session by name, its bars being short or absent."""
        return self.reason == "no_data" or ACCEPTED in self.notes


def _number_cell(value: float) -> str:
    """Raises ValueError for NaN and infinity: no run could read them again."""
    if not isfinite(value):
        raise ValueError(f"{value} is no number of a journal")
    return rounded_text(value)


_NUMBERS = tuple(column.attribute for column in COLUMNS if column.kind is Kind.NUMBER)
_numbers_of = attrgetter(*_NUMBERS)
_texts_of = attrgetter(*(column.attribute for column in COLUMNS if column.kind is Kind.TEXT))
_values_of = attrgetter(*(column.attribute for column in COLUMNS))
_WRITERS: Mapping[Kind, Callable[..., str]] = {
    Kind.TEXT: str,
    Kind.DATE: date.isoformat,
    Kind.TIME: str,
    Kind.FLAG: lambda value: "TRUE" if value else "FALSE",
    Kind.COUNT: str,
    Kind.NUMBER: _number_cell,
}
_WRITE = tuple(_WRITERS[column.kind] for column in COLUMNS)


def row_cells(row: JournalRow) -> list[str]:
    """The row as text, a cell for each of COLUMNS, empty where a column does not apply."""
    return ["" if value is None else write(value) for write, value in zip(_WRITE, _values_of(row), strict=True)]


def row_values(row: JournalRow) -> dict[str, object]:
    """The row by its columns' names as values of JSON: numbers, flags and counts as such, dates as text, or None."""
    values = zip(COLUMNS, _values_of(row), strict=True)
    return {column.name: value.isoformat() if isinstance(value, date) else value for column, value in values}


compared_values: Callable[[JournalRow], tuple[object, ...]] = attrgetter(
    *(column.attribute for column in COLUMNS if column.compared)
)
"""The values that decide whether two rows are equal, the key's among them."""


def differing_columns(stored: JournalRow, judged: JournalRow) -> dict[str, tuple[str, str]]:
    """The columns in which two rows of one key are not equal, with the stored and the new text.

    Notes, the chart's link, the feed, the data's hash and the revision do not decide whether rows are equal.
    """
    pairs = zip(COLUMNS, row_cells(stored), row_cells(judged), strict=True)
    return {column.name: (old, new) for column, old, new in pairs if column.compared and old != new}


def params_hash(strategy: str, rules: int, chosen: Mapping[str, object]) -> str:
    """The hash of all that a journal's owner chose: `chosen` holds what is not at its default, the cost model too."""
    canonical = json.dumps(
        {"strategy": strategy, "rules": rules, "set": dict(chosen)}, sort_keys=True, separators=(",", ":")
    )
    return "p" + hashlib.sha256(canonical.encode("ascii")).hexdigest()[:12]
