"""Journal rows for tests: a plain one of each sort, many at once, and any that there may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from trading_playbook.core.journal import COLUMNS, FORMULA_STARTS, JournalRow, Kind

FIRST_DAY = date(2025, 11, 3)

_NO_TRADE: Mapping[str, Any] = {
    "trade_date": date(2025, 11, 4),
    "trend_valid": True,
    "sma200_daily_at_open": 548.123456,
    "entry_window": "10:00-10:30",
    "entered": False,
    "notes": "no_pullback: no close below EMA20 in 10:00-10:30; nearest at 10:12, close 605.1 against 605.0, 0.1 above",
    "symbol": "QQQ",
    "strategy": "dp20",
    "params_hash": "p80720bba934c",
    "reason": "no_pullback",
    "data_feed": "files",
    "data_hash": "d0123456789ab",
}
_TRADE: Mapping[str, Any] = {
    **_NO_TRADE,
    "first_close_below_time": "10:00",
    "reversal_candle_time": "10:02",
    "reversal_strength_ok": True,
    "confirmation_candle_time": "10:04",
    "entered": True,
    "entry_time_et": "10:06",
    "entry_price": 605.0,
    "shares": 100,
    "ema20_at_entry": 604.5,
    "atr_14_2m_at_entry": 0.75,
    "atr_pct_of_price": 0.00124,
    "stop_distance": 0.9,
    "stop_price": 604.1,
    "entry_bucket": "10:00-10:10",
    "bars_since_open": 18,
    "eod_exit_time": "15:54",
    "eod_exit_price": 603.5,
    "gross_pnl": -150.0,
    "fees_slippage": 0.0,
    "net_pnl": -150.0,
    "risk_per_share": 0.9,
    "r_multiple": -1.666667,
    "dist_to_ema_bps": 8.271299,
    "notes": "entered: long 100 at 10:06 for 605.0, stop 604.1; pullback 10:00, reversal 10:02, confirmation 10:04",
    "side": "long",
    "exit_reason": "time",
    "reason": "entered",
    "mae": -1.5,
    "mfe": 2.0,
    "mae_r": -1.666667,
    "mfe_r": 2.222222,
}


def no_trade(**changes: Any) -> JournalRow:
    """A session without a trade."""
    return JournalRow(**{**_NO_TRADE, **changes})


def trade(**changes: Any) -> JournalRow:
    """A losing trade."""
    return JournalRow(**{**_TRADE, **changes})


def days_of_rows(count: int, start: date = FIRST_DAY, **changes: Any) -> list[JournalRow]:
    """A row for each of so many days, every third one a trade, oldest first, all different."""
    return [
        (no_trade if day % 3 else trade)(
            trade_date=start + timedelta(days=day),
            sma200_daily_at_open=548.0 + day / 7,
            data_hash=f"d{day:012x}",
            **changes,
        )
        for day in range(count)
    ]


_OPTIONAL = frozenset(each.name for each in fields(JournalRow) if "None" in str(each.type))
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_TEXTS = st.text(_CHARACTERS, min_size=1, max_size=20).filter(lambda text: text[0] not in FORMULA_STARTS)
_VALUES: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: _TEXTS,
    Kind.DATE: st.dates(min_value=date(1990, 1, 1), max_value=date(2030, 12, 31)),
    Kind.TIME: st.times().map(lambda moment: f"{moment:%H:%M}"),
    Kind.FLAG: st.booleans(),
    Kind.COUNT: st.integers(min_value=0, max_value=10**9),
    Kind.NUMBER: st.floats(min_value=-1e8, max_value=1e8),
}


def any_rows() -> st.SearchStrategy[JournalRow]:
    """Rows of every content that a journal can hold."""
    return st.builds(
        JournalRow,
        **{
            column.attribute: (st.none() | _VALUES[column.kind])
            if column.attribute in _OPTIONAL
            else _VALUES[column.kind]
            for column in COLUMNS
        },
    )


def colliding_rows() -> st.SearchStrategy[JournalRow]:
    """Rows of few keys and few contents, so that among several some have one key, and some of those are equal."""
    return st.builds(
        trade,
        trade_date=st.sampled_from([date(2025, 11, 3), date(2025, 11, 4)]),
        symbol=st.sampled_from(["QQQ", "SPY"]),
        entry_price=st.sampled_from([605.0, 605.5]),
        notes=st.sampled_from(["entered: one", "entered: two"]),
        data_hash=st.sampled_from(["d0123456789ab", "dba9876543210"]),
    )
