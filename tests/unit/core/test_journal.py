from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import no_trade, trade
from trading_playbook.core.journal import (
    ACCEPTED,
    HEADER,
    RowKey,
    differing_columns,
    params_hash,
    row_cells,
)
from trading_playbook.core.numbers import number_text, rounded


def test_the_first_29_columns_are_those_of_the_specification() -> None:
    assert HEADER[:29] == (
        "trade_date",
        "trend_valid",
        "sma200_daily_at_open",
        "entry_window",
        "first_close_below_time",
        "reversal_candle_time",
        "reversal_strength_ok",
        "confirmation_candle_time",
        "entered?",
        "entry_time_et",
        "entry_price",
        "shares",
        "ema20_at_entry",
        "atr_14_2m_at_entry",
        "atr_pct_of_price",
        "stop_distance",
        "stop_price",
        "entry_bucket",
        "bars_since_open",
        "eod_exit_time",
        "eod_exit_price",
        "gross_pnl",
        "fees_slippage",
        "net_pnl",
        "risk_per_share",
        "R_multiple",
        "dist_to_ema_bps",
        "notes",
        "chart_link_entry",
    )


def test_14_more_columns_follow() -> None:
    assert HEADER[29:] == (
        "symbol",
        "strategy",
        "params_hash",
        "trade_no",
        "side",
        "exit_reason",
        "reason",
        "mae",
        "mfe",
        "mae_R",
        "mfe_R",
        "data_feed",
        "data_hash",
        "revision",
    )


@pytest.mark.parametrize(
    ("chosen", "published"),
    [
        ({}, "p80720bba934c"),
        ({"stop_atr": 1.5, "window_end": "10:44"}, "pc0a720e5aaac"),
        ({"window_end": "10:44", "stop_atr": 1.5}, "pc0a720e5aaac"),
        ({"cost": "bps:1.5"}, "p37dc09e94f5a"),
    ],
)
def test_parameters_have_the_published_hashes(chosen: dict[str, object], published: str) -> None:
    assert params_hash("dp20", 1, chosen) == published


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (605.0, "605.0"),
        (605, "605.0"),
        (0.1 + 0.2, "0.3"),
        (100.10000049, "100.1"),
        (100.1000006, "100.100001"),
        (-1.5, "-1.5"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (-0.0000001, "0.0"),
        (0.000012, "0.000012"),
        (-0.000001, "-0.000001"),
        (0.0000005, "0.0"),  # half to even
        (2.5e-06, "0.000003"),  # the float lies above the half
        (1234567.891, "1234567.891"),
        (1e15, "1000000000000000.0"),
        (1e16, "10000000000000000.0"),
        (1.5e22, "15000000000000000000000.0"),
    ],
)
def test_a_number_has_one_text(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_numbers_text_has_no_exponent_at_most_6_decimals_and_gives_the_number_back(value: float) -> None:
    text = number_text(value)
    whole, _, decimals = text.removeprefix("-").partition(".")
    assert whole.isdigit()
    assert decimals.isdigit()
    assert len(decimals) <= 6
    assert decimals == "0" or not decimals.endswith("0")
    assert float(text) == rounded(value)
    assert number_text(float(text)) == text
    assert text != "-0.0"


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_rounding_goes_to_the_nearest_sixth_decimal(value: float) -> None:
    assert abs(Decimal(rounded(value)) - Decimal(value)) <= Decimal("0.0000005") + Decimal(math.ulp(value))


def test_cells_have_the_form_of_the_specification() -> None:
    cells = dict(zip(HEADER, row_cells(trade(atr_pct_of_price=0.000012, fees_slippage=-0.0)), strict=True))
    assert cells["trade_date"] == "2025-11-04"
    assert cells["trend_valid"] == "TRUE"
    assert cells["entered?"] == "TRUE"
    assert cells["entry_price"] == "605.0"
    assert cells["shares"] == "100"
    assert cells["atr_pct_of_price"] == "0.000012"
    assert cells["fees_slippage"] == "0.0"
    assert cells["gross_pnl"] == "-150.0"
    assert cells["eod_exit_time"] == "15:54"
    assert cells["chart_link_entry"] == ""
    assert cells["revision"] == "0"


def test_what_does_not_apply_is_empty_and_never_zero() -> None:
    cells = dict(zip(HEADER, row_cells(no_trade(trend_valid=False)), strict=True))
    assert cells["trend_valid"] == "FALSE"
    assert cells["entered?"] == "FALSE"
    assert {cells[name] for name in ("entry_price", "shares", "side", "net_pnl", "mfe_R", "reversal_strength_ok")} == {
        ""
    }


def test_numbers_are_rounded_when_the_row_is_made() -> None:
    row = trade(entry_price=0.1 + 0.2, net_pnl=-0.0)
    assert row.entry_price == 0.3
    assert math.copysign(1.0, row.net_pnl or 0.0) == 1.0


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
@pytest.mark.parametrize("column", ["notes", "symbol", "reason", "chart_link_entry"])
def test_no_text_may_begin_like_a_formula(column: str, start: str) -> None:
    with pytest.raises(ValueError, match="formula"):
        trade(**{column: f"{start}SUM(A1)"})


def test_a_key_tells_rows_apart_and_orders_them() -> None:
    assert trade().key == RowKey(date(2025, 11, 4), "QQQ", "dp20", "p80720bba934c", 1)
    keys = [
        no_trade(trade_date=date(2025, 11, 3), symbol="SPY").key,
        no_trade().key,
        no_trade(params_hash="pc0a720e5aaac").key,
        no_trade(strategy="other").key,
        no_trade(symbol="SPY").key,
        no_trade(symbol="SPY", trade_no=2).key,
    ]
    assert sorted(keys, reverse=True) == keys[::-1]


def test_differing_columns_hold_the_stored_and_the_new_text() -> None:
    stored, judged = trade(), trade(entry_price=605.1, side=None, trend_valid=False)
    assert differing_columns(stored, judged) == {
        "trend_valid": ("TRUE", "FALSE"),
        "entry_price": ("605.0", "605.1"),
        "side": ("long", ""),
    }


def test_notes_link_feed_data_hash_and_revision_do_not_decide_whether_rows_are_equal() -> None:
    other = trade(
        notes="entered: other words",
        chart_link_entry="https://example.com/",
        data_feed="alpaca-sip",
        data_hash="dba9876543210",
        revision=7,
    )
    assert differing_columns(trade(), other) == {}


def test_a_row_says_that_a_person_accepted_its_session() -> None:
    assert no_trade(notes=f"no_data: the session has no bar{ACCEPTED}").accepted
    assert not no_trade().accepted
