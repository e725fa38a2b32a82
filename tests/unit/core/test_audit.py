"""Every check has a planted fault that it finds; what runs and the oracle wrote passes clean."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import any_rows
from trading_playbook.config import Settings
from trading_playbook.core.audit import audit, audit_history, told_stretches
from trading_playbook.core.calendar import Calendar, missing_stretches
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.journal_csv import read_journal
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.runs import RunRequest, run
from trading_playbook.wiring import build_budget, build_clock, build_tools, journal_in_memory

CALENDAR = Calendar()
GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("*.csv"))


@cache
def simulated(start: str, end: str, cost: str = "none", **parameters: object) -> tuple[JournalRow, ...]:
    """What a run writes of simulated bars."""
    settings = Settings(_env_file=None)
    clock = build_clock()
    budget = build_budget(settings, clock)
    tools = build_tools(settings, clock=clock, budget=budget, places=journal_in_memory(), feed="simulated")
    play = Play(strategy=build_strategy("dp20", parameters), cost=parse_cost(cost))
    days = date.fromisoformat(start), date.fromisoformat(end)
    return run(RunRequest(symbols=("QQQ", "SPY"), play=play, start=days[0], end=days[1]), tools).rows


def hand_made() -> JournalRow:
    """A trade whose arithmetic a person can follow: in at 100.5, out at 100.0 by time, stop 99.3."""
    rows = read_journal((GOLDEN[0].parent / "hand.csv").read_bytes(), "hand.csv").rows
    return next(stored.row for stored in rows if stored.row.trade_date == date(2025, 11, 25))


TRADE = hand_made()
STOPPED = next(row for row in simulated("2025-01-02", "2025-12-31") if row.exit_reason == "stop")


def without_trade(reason: str) -> JournalRow:
    return next(row for row in simulated("2025-01-02", "2025-12-31") if row.reason == reason)


def kinds(*rows: JournalRow) -> set[str]:
    return {finding.kind for finding in audit(rows, CALENDAR)}


def forged(row: JournalRow, **values: object) -> JournalRow:
    """The row with values that no row of ours can be made with, as another program may have put them in a database."""
    other = copy(row)
    for name, value in values.items():
        object.__setattr__(other, name, value)
    return other


class TestWhatIsSound:
    @pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
    def test_the_golden_journals_pass(self, path: Path) -> None:
        rows = [stored.row for stored in read_journal(path.read_bytes(), path.name).rows]
        assert audit(rows, CALENDAR) == []

    @pytest.mark.parametrize(
        ("cost", "parameters"),
        [
            ("none", {}),
            ("bps:1.7", {"shares": 333, "stop_atr": 0.01}),
            ("per_share:0.007", {"shares": 100_000, "window_end": "11:30", "stop_atr": 4}),
            ("bps:10000", {"shares": 1, "exit_minutes_before_close": 60}),
        ],
        ids=str,
    )
    def test_a_year_of_simulated_rows_passes(self, cost: str, parameters: Mapping[str, object]) -> None:
        rows = simulated("2025-01-02", "2025-12-31", cost, **parameters)
        assert sum(row.entered for row in rows) > 50
        assert audit(rows, CALENDAR) == []

    def test_rows_of_a_strategy_that_is_not_known_here_are_held_to_what_all_share(self) -> None:
        odd = replace(TRADE, strategy="other", bars_since_open=9, confirmation_candle_time=None)
        assert kinds(replace(odd, confirmation_candle_time="10:04")) == set()
        assert kinds(replace(odd, confirmation_candle_time="10:04", net_pnl=1.0)) == {"arithmetic"}

    @given(rows=st.lists(any_rows(), max_size=5))
    def test_no_row_however_odd_makes_it_fail(self, rows: list[JournalRow]) -> None:
        for finding in audit(rows, CALENDAR):
            assert "\n" not in finding.kind


class TestTolerance:
    """Stored numbers are half a millionth off at most; what that allows is let pass, and not much more."""

    prices = st.floats(min_value=0.5, max_value=5_000)

    @given(
        entry=prices, atr=st.floats(0.0005, 50), drift=st.floats(-20, 20), shares=st.integers(1, 100_000),
        ema=prices, cost=st.floats(0, 100),
    )  # fmt: skip
    def test_what_was_computed_before_it_was_rounded_passes(
        self, entry: float, atr: float, drift: float, shares: int, ema: float, cost: float
    ) -> None:
        row = self.trade(entry, atr, drift, shares, ema, cost)
        if row is not None:
            assert audit([row], CALENDAR) == []

    def trade(self, entry: float, atr: float, drift: float, shares: int, ema: float, cost: float) -> JournalRow | None:
        """A trade as core/rows.py computes one, left by time; None where there could be none."""
        stop = entry - 1.2 * atr
        leave = entry + drift * atr
        risk = entry - stop
        if stop <= 0 or risk <= 0 or leave <= stop:
            return None
        gross, fees = (leave - entry) * shares, (entry + leave) * shares * cost / 10000
        mae, mfe = max(entry - min(leave, entry), 0.0), max(leave - entry, 0.0)
        return replace(
            TRADE, entry_price=entry, atr_14_2m_at_entry=atr, atr_pct_of_price=atr / entry, stop_distance=1.2 * atr,
            stop_price=stop, eod_exit_price=leave, shares=shares, gross_pnl=gross, fees_slippage=fees,
            net_pnl=gross - fees, risk_per_share=risk, r_multiple=(leave - entry) / risk, ema20_at_entry=ema,
            dist_to_ema_bps=(entry - ema) / ema * 10000, mae=mae, mfe=mfe, mae_r=mae / risk, mfe_r=mfe / risk,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("column", "off"),
        [
            ("gross_pnl", 0.00005), ("net_pnl", 0.000004), ("risk_per_share", 0.000004), ("stop_distance", 0.000004),
            ("r_multiple", 0.000004), ("mae_r", 0.000004), ("mfe_r", 0.000004), ("atr_pct_of_price", 0.000004),
            ("dist_to_ema_bps", 0.0003), ("stop_price", 0.000004), ("entry_price", 0.000004),
            ("eod_exit_price", 0.000004),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_few_millionths_more_are_found(self, column: str, off: float, sign: int) -> None:
        changed = replace(TRADE, **{column: getattr(TRADE, column) + sign * off})
        assert kinds(changed) == {"arithmetic"}


@pytest.mark.parametrize(
    ("row", "changes", "kind", "told"),
    [
        (TRADE, {"gross_pnl": -12.0}, "arithmetic", "gross_pnl -12.0; (exit - entry) x shares is -10.0"),
        (TRADE, {"net_pnl": 10.0}, "arithmetic", "net_pnl 10.0; gross_pnl - fees_slippage is -10.0"),
        (TRADE, {"fees_slippage": 1.0}, "arithmetic", "net_pnl -10.0; gross_pnl - fees_slippage is -11.0"),
        (TRADE, {"fees_slippage": -1.0, "net_pnl": -9.0}, "arithmetic", "fees_slippage -1.0, below 0"),
        (TRADE, {"risk_per_share": 1.3}, "arithmetic", "risk_per_share 1.3; entry - stop is 1.2"),
        (TRADE, {"stop_distance": 1.3}, "arithmetic", "stop_distance 1.3"),
        (TRADE, {"r_multiple": 0.416667}, "arithmetic", "R_multiple 0.416667; (exit - entry) / risk is -0.416667"),
        (TRADE, {"dist_to_ema_bps": 5.0}, "arithmetic", "dist_to_ema_bps 5.0; (entry - ema) / ema x 10000 is 50.0"),
        (TRADE, {"atr_pct_of_price": 0.995}, "arithmetic", "atr_pct_of_price 0.995; atr / entry is 0.00995"),
        (TRADE, {"mae": -1.0}, "arithmetic", "mae -1.0, below 0"),
        (TRADE, {"mfe": -0.5}, "arithmetic", "mfe -0.5, below 0"),
        (TRADE, {"mae_r": 0.5}, "arithmetic", "mae_R 0.5; mae / risk is 0.833333"),
        (TRADE, {"mfe_r": 0.5}, "arithmetic", "mfe_R 0.5; mfe / risk is 0.416667"),
        (TRADE, {"mae": 0.25, "mae_r": 0.208333}, "arithmetic", "outside its excursions"),
        (TRADE, {"stop_price": 101.0}, "arithmetic", "stop_price 101.0, above its entry"),
        (TRADE, {"stop_price": 100.2}, "arithmetic", "left at 100.0 by time, below its stop 100.2"),
        (TRADE, {"exit_reason": "stop"}, "arithmetic", "was stopped at 100.0, above its stop 99.3"),
        (STOPPED, {"mae": 50.0}, "arithmetic", "stopped out it ends at the fill"),
        (TRADE, {"shares": 40}, "arithmetic", "gross_pnl"),
        (TRADE, {"entry_bucket": "10:10-10:20"}, "time", "lies in 10:00-10:10"),
        (TRADE, {"bars_since_open": 17}, "time", "10:06 is bar 18"),
        (TRADE, {"eod_exit_time": "16:00"}, "time", "outside its session, 09:30 to 16:00"),
        (TRADE, {"eod_exit_time": "09:30"}, "time", "before its entry"),
        (TRADE, {"eod_exit_time": "15:55"}, "time", "no bar of 2 minutes opens"),
        (TRADE, {"first_close_below_time": "09:58"}, "time", "outside its window"),
        (TRADE, {"reversal_candle_time": "10:00"}, "time", "not after first_close_below_time"),
        (TRADE, {"confirmation_candle_time": "10:02"}, "time", "not after reversal_candle_time"),
        (TRADE, {"reversal_candle_time": "10:01"}, "time", "no bar of 2 minutes opens"),
        (TRADE, {"entry_time_et": "10:08", "bars_since_open": 19}, "time", "the bar after confirmation_candle_time"),
        (TRADE, {"entry_window": "all day"}, "time", "HH:MM-HH:MM"),
        (TRADE, {"trade_date": date(2025, 11, 27)}, "calendar", "the exchange was closed"),
        (TRADE, {"trade_date": date(1989, 11, 27)}, "calendar", "not known"),
        (TRADE, {"trade_date": date(2025, 11, 28)}, "time", "outside its session, 09:30 to 13:00"),
        (TRADE, {"entered": False}, "columns", "entered? FALSE and reason entered"),
        (TRADE, {"reason": "no_pullback"}, "columns", "entered? TRUE and reason no_pullback"),
        (TRADE, {"notes": "no_pullback: no"}, "columns", "notes that begin otherwise"),
        (TRADE, {"net_pnl": None}, "columns", "is entered and lacks net_pnl"),
        (TRADE, {"side": "short"}, "columns", "side 'short'"),
        (TRADE, {"exit_reason": "whim"}, "columns", "exit_reason 'whim'"),
        (TRADE, {"trend_valid": False}, "columns", "is entered and has trend_valid FALSE"),
        (TRADE, {"reversal_strength_ok": False}, "columns", "is entered and has reversal_strength_ok FALSE"),
        (TRADE, {"symbol": "qqq"}, "identity", "small letters"),
        (TRADE, {"symbol": "../QQQ"}, "identity", "has no symbol"),
        (TRADE, {"params_hash": "p80720"}, "identity", "params_hash 'p80720'"),
        (TRADE, {"data_hash": "d9AA67376D9D2"}, "identity", "data_hash"),
        (TRADE, {"trade_no": 0}, "identity", "trade_no 0"),
        (TRADE, {"trade_no": 2}, "identity", "trade_no 2"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_planted_fault_of_a_trade_is_found(row: JournalRow, changes: dict[str, Any], kind: str, told: str) -> None:
    found = audit([replace(row, **changes)], CALENDAR)
    assert any(finding.kind == kind and told in finding.told for finding in found), found


@pytest.mark.parametrize(
    ("reason", "changes", "told"),
    [
        ("trend_down", {"trend_valid": True}, "is trend_down and has trend_valid TRUE"),
        ("trend_down", {"sma200_daily_at_open": None}, "lacks sma200_daily_at_open"),
        ("trend_down", {"first_close_below_time": "10:00"}, "yet has first_close_below_time"),
        ("no_pullback", {"trend_valid": False}, "has trend_valid FALSE"),
        ("no_pullback", {"entry_price": 1.0}, "yet has entry_price"),
        ("no_pullback", {"chart_link_entry": "https://a/b"}, "a link to an entry and no entry"),
        ("no_pullback", {"reason": "no_mood", "notes": "no_mood"}, "which dp20 does not know"),
        ("no_reversal", {"first_close_below_time": None}, "lacks first_close_below_time"),
        ("no_reversal", {"reversal_strength_ok": True}, "reversal_strength_ok TRUE"),
        ("no_reversal", {"reversal_candle_time": "10:28"}, "yet has reversal_candle_time"),
        ("no_confirmation", {"reversal_candle_time": None}, "lacks reversal_candle_time"),
        ("no_confirmation", {"confirmation_candle_time": "10:30"}, "yet has confirmation_candle_time"),
        ("invalidated", {"confirmation_candle_time": None}, "lacks confirmation_candle_time"),
        ("invalidated", {"reversal_strength_ok": None}, "lacks reversal_strength_ok"),
        ("invalidated", {"shares": 20}, "yet has shares"),
    ],
)
def test_a_planted_fault_of_a_session_without_a_trade_is_found(reason: str, changes: dict[str, Any], told: str) -> None:
    row = without_trade(reason)
    assert kinds(row) == set()
    found = audit([replace(row, **changes)], CALENDAR)
    assert any(finding.kind == "columns" and told in finding.told for finding in found), found


@pytest.mark.parametrize(
    "values",
    [
        {"entry_price": "100.5"}, {"entry_price": 100}, {"entry_price": float("nan")}, {"entry_price": 100.5000001},
        {"shares": 20.0}, {"shares": True}, {"shares": -1}, {"entered": 1}, {"entry_time_et": "9:58"},
        {"entry_time_et": "24:00"}, {"trade_date": "2025-11-25"}, {"trade_date": datetime(2025, 11, 25)},
        {"notes": 5}, {"chart_link_entry": "=HYPERLINK(1)"}, {"revision": "0"},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_of_another_type_is_found(values: dict[str, object]) -> None:
    assert kinds(forged(TRADE, **values)) == {"type"}


@pytest.mark.parametrize("name", ["trade_date", "symbol", "reason", "notes", "data_hash", "revision", "entered"])
def test_what_every_row_has_may_not_be_absent(name: str) -> None:
    assert kinds(forged(TRADE, **{name: None})) == {"columns"}


class TestRowsTogether:
    ROWS = simulated("2025-11-17", "2025-12-05")

    def test_gaps_are_told_by_series_with_the_sessions_that_lack(self) -> None:
        rows = [row for row in self.ROWS if not (row.symbol == "QQQ" and row.trade_date.day in (19, 20, 28))]
        [finding] = audit(rows, CALENDAR)
        assert (finding.kind, finding.symbol, finding.session) == ("gap", "QQQ", date(2025, 11, 19))
        assert "no row for 2025-11-19 to 2025-11-20, 2025-11-28" in finding.told
        assert "--symbol QQQ --start 2025-11-19 --end 2025-11-28" in finding.told

    def test_what_lies_before_the_first_row_and_after_the_last_is_no_gap(self) -> None:
        assert audit([row for row in self.ROWS if row.trade_date.day > 20], CALENDAR) == []

    def test_each_set_of_parameters_has_its_own_gaps(self) -> None:
        others = [replace(row, params_hash="pc0a720e5aaac") for row in self.ROWS if row.trade_date.day != 20]
        told = [finding.told for finding in audit([*self.ROWS, *others], CALENDAR)]
        assert [name.partition(")")[0] for name in told] == ["QQQ (dp20 pc0a720e5aaac", "SPY (dp20 pc0a720e5aaac"]

    def test_simulated_rows_among_real_ones_are_found(self) -> None:
        assert kinds(*self.ROWS[:-1], replace(self.ROWS[-1], data_feed="files")) == {"origin"}

    def test_trades_of_a_session_count_from_one(self) -> None:
        second = replace(TRADE, trade_no=2)
        assert kinds(TRADE, second) == set()
        assert kinds(TRADE, replace(TRADE, trade_no=3)) == {"identity"}


class TestHistory:
    def test_a_revised_row_needs_what_it_replaced(self) -> None:
        row = replace(TRADE, revision=2)
        older = [replace(TRADE, revision=revision, entry_price=99.0) for revision in range(2)]
        assert audit_history([row], older) == []
        [finding] = audit_history([row], older[1:])
        assert "lacks revision 0" in finding.told

    def test_a_row_that_replaced_none_needs_none(self) -> None:
        assert audit_history([TRADE], []) == []


def test_stretches_are_told_for_people() -> None:
    days = [date(2025, 11, day) for day in (17, 20, 25)]
    found = missing_stretches(days, CALENDAR, date(2025, 12, 1))
    assert [(str(first), str(last)) for first, last in found] == [
        ("2025-11-18", "2025-11-19"), ("2025-11-21", "2025-11-24"), ("2025-11-26", "2025-12-01"),
    ]  # fmt: skip
    assert told_stretches(found, 2) == "2025-11-18 to 2025-11-19, 2025-11-21 to 2025-11-24, 1 more stretches"
    assert missing_stretches((), CALENDAR, date(2025, 12, 1)) == []


@pytest.mark.parametrize("name", ["symbol", "strategy", "params_hash", "reason", "notes", "side", "entry_bucket"])
def test_a_finding_is_one_plain_line_whatever_a_row_holds(name: str) -> None:
    odd = [forged(TRADE, **{name: "a\nwrong: \x1b[2J"}), forged(TRADE, **{name: "a\nwrong: \x1b[2J"}, entered=False)]
    odd.append(replace(odd[0], trade_date=date(2025, 12, 1)))
    found = audit(odd, CALENDAR)
    assert found
    assert all(finding.told.isprintable() for finding in found)
