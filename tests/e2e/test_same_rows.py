"""One session, one row, the same bytes: against the oracle, and however and wherever the run was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.oracle.dp20 import journal as oracle_journal
from tests.support.bars import joined, sessions_of
from tests.support.door import Door, keys_of, newest_manifest, process, rows_of, tree
from tests.support.market import DAYS, END, START, Market, in_two_minutes, make_market, require_equal
from tests.support.real import FIRST, LAST, real_closes, real_minutes
from trading_playbook.core.daily import Split

RANGE = ("--start", START, "--end", END)
BOTH = ("--symbol", "QQQ,NVDA")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """QQQ and NVDA on 1-minute bars; tests leave it as it is."""
    return make_market(tmp_path_factory.mktemp("two") / "bars", ("QQQ", "NVDA"), minutes=1)


@pytest.fixture(scope="module")
def whole(two: Market, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of both in one run."""
    path = tmp_path_factory.mktemp("whole") / "trades.csv"
    assert process(*two.call, *BOTH, *RANGE, "--output", path, cwd=path.parent).code == 0
    return path.read_bytes()


class TestOracle:
    def test_a_journal_equals_the_oracle_byte_for_byte(self, door: Door, two: Market, journal: Path) -> None:
        assert door(*two.call, *BOTH, *RANGE, "--output", journal).code == 0
        rows, lacking = two.oracle(("QQQ", "NVDA"))
        assert not lacking
        assert {row["reason"] for row in rows} >= {"entered", "no_pullback", "no_reversal", "invalidated"}
        require_equal(journal, rows)

    @pytest.mark.parametrize(
        ("parameters", "cost"),
        [
            ({"stop_atr": 1.5, "window_end": "10:44"}, "none"),
            ({"window_start": "09:30", "window_end": "12:50", "reversal_strength": 0.0}, "bps:1.5"),
            ({"ema_period": 2, "atr_period": 1, "sma_period": 2, "shares": 7}, "per_share:0.005"),
            ({"exit_minutes_before_close": 60, "max_missing": 0, "window_start": "10:02"}, "bps:0"),
            ({"exit_minutes_before_close": 0, "sma_period": 211, "reversal_strength": 0.999}, "none"),
            ({"ema_period": 400, "atr_period": 400}, "none"),
            ({"stop_atr": 1e9}, "none"),
            ({"stop_atr": 1e-300}, "none"),
            ({"stop_atr": 1e308}, "none"),
            ({"shares": 1000}, "bps:10000"),
        ],
        ids=lambda value: (
            None if isinstance(value, str) else " ".join(f"{name}={each}" for name, each in value.items())
        ),
    )
    def test_a_journal_of_other_parameters_equals_the_oracle(
        self, door: Door, two: Market, journal: Path, parameters: dict[str, object], cost: str
    ) -> None:
        chosen = chain.from_iterable(("--param", f"{name}={value}") for name, value in parameters.items())
        assert door(*two.call, *BOTH, *RANGE, *chosen, "--cost", cost, "--output", journal).code == 0
        rows, _ = two.oracle(("QQQ", "NVDA"), parameters=parameters, cost=cost)
        require_equal(journal, rows)

    def test_sets_of_parameters_lie_beside_each_other_in_one_journal(
        self, door: Door, two: Market, journal: Path
    ) -> None:
        for cost in ("bps:1.5", "none"):
            assert door(*two.call, *BOTH, *RANGE, "--cost", cost, "--output", journal).code == 0
        rows = rows_of(journal)
        assert len(rows) == 2 * 2 * len(DAYS)
        assert rows == sorted(rows, key=lambda row: (row["trade_date"], row["symbol"], row["params_hash"]))
        assert {row["params_hash"] for row in rows} == {"p80720bba934c", "p37dc09e94f5a"}

    def test_splits_and_holes_are_judged_as_the_oracle_does(self, door: Door, tmp_path: Path, journal: Path) -> None:
        market = make_market(tmp_path / "bars", ("QQQ", "NVDA"))
        market.splits = {
            "QQQ": [Split(date(2025, 11, 21), 1, 4), Split(date(2025, 6, 2), 3, 2)],
            "NVDA": [Split(date(2025, 11, 29), 10, 1), Split(date(2026, 1, 5), 1, 2)],
        }
        market.cut("2025-11-19", "09:46", "10:03").cut("2025-11-20", "11:00", "12:00").cut(
            "2025-11-21", "09:30", "09:31"
        )
        market.cut("2025-11-24", "10:10", "10:11").cut("2025-11-20", "09:46", "10:03", "NVDA").cut(
            "2025-12-02", "15:54"
        ).cut("2025-11-28", "12:50", "12:55", "NVDA")
        assert door(*market.call, *BOTH, *RANGE, "--output", journal).code == 0
        rows, lacking = market.oracle(("QQQ", "NVDA"))
        assert not lacking
        assert "incomplete_session" in {row["reason"] for row in rows}
        require_equal(journal, rows)

    @pytest.mark.parametrize(
        ("start", "end"),
        [("2026-03-04", "2026-03-10"), ("2025-10-30", "2025-11-05"), ("2024-11-27", "2024-12-02")],
        ids=["clocks go forward", "clocks go back", "an early close"],
    )
    def test_sessions_around_a_change_of_clocks_equal_the_oracle(
        self, door: Door, tmp_path: Path, journal: Path, start: str, end: str
    ) -> None:
        market = make_market(tmp_path / "bars", start=start, end=end)
        told = door(*market.call, "--symbol", "QQQ", "--start", start, "--end", end, "--output", journal,
                    "--now", "2027-01-04T12:00:00Z")  # fmt: skip
        assert told.code == 0
        rows, lacking = market.oracle(("QQQ",), start, end)
        assert not lacking
        assert [row["trade_date"] for row in rows] == [str(session.date) for session in sessions_of(start, end)]
        require_equal(journal, rows)

    def test_a_new_listing_is_judged_from_its_first_daily_bar_on(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        day = date(2025, 11, 24)
        market.closes["QQQ"] = {each: close for each, close in market.closes["QQQ"].items() if each >= day}
        market.cut("2025-11-17", "09:30").cut("2025-11-18", "09:30").cut("2025-11-19", "09:30")
        market.cut("2025-11-20", "09:30").cut("2025-11-21", "09:30")
        told = door(*market.call, "--symbol", "QQQ", *RANGE, "--output", journal, "--param", "sma_period=2")
        assert told.code == 0
        rows, lacking = market.oracle(("QQQ",), parameters={"sma_period": 2})
        assert set(lacking.values()) == {"not_listed"}
        assert [row["reason"] for row in rows[:2]] == ["insufficient_history"] * 2
        require_equal(journal, rows)
        assert newest_manifest(journal.parent)["counts"]["not_listed"] == 5
        assert "5  sessions before the symbol was listed" in told.out

    def test_without_daily_bars_the_last_regular_bar_gives_the_close(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        market = make_market(tmp_path / "bars")
        (market.root / "1Day" / "QQQ.parquet").unlink()
        market.closes.clear()
        chosen = {"sma_period": 5}
        assert door(*market.call, "--symbol", "QQQ", *RANGE, "--param", "sma_period=5", "--output", journal).code == 0
        require_equal(journal, market.oracle(("QQQ",), parameters=chosen)[0])


class TestRealBars:
    def test_real_bars_give_the_journal_of_the_oracle_and_each_session_alone_its_row(
        self, door: Door, real_bars: Path, tmp_path: Path
    ) -> None:
        journal, alone = tmp_path / "trades.csv", tmp_path / "alone.csv"
        call = ("--feed", "files", "--data-dir", real_bars, *BOTH)
        assert door(*call, "--start", FIRST, "--end", LAST, "--output", journal).code == 0
        rows = []
        for symbol in ("QQQ", "NVDA"):
            found, lacking = oracle_journal(
                symbol=symbol,
                minute_bars=real_minutes(real_bars, symbol),
                closes=real_closes(real_bars, symbol),
                splits=[],
                start=FIRST,
                end=LAST,
            )
            assert not lacking
            rows += found
        require_equal(journal, rows)
        days = [str(session.date) for session in sessions_of(str(FIRST), str(LAST))]
        assert {"2025-11-28", "2025-12-24"} <= set(days)
        assert keys_of(journal) == [(day, symbol) for day in days for symbol in ("NVDA", "QQQ")]
        again = door(*call, "--start", FIRST, "--end", LAST, "--output", journal)
        assert (again.code, f"({2 * len(days)} unchanged)" in again.out) == (0, True)
        for day in reversed(days[:: max(1, len(days) // 30)]):
            assert door(*call, "--start", day, "--end", day, "--output", alone).code == 0
        lines = set(journal.read_bytes().splitlines())
        assert set(alone.read_bytes().splitlines()) <= lines


class TestSameBytes:
    def test_a_second_run_changes_no_byte_and_adds_nothing(self, door: Door, two: Market, journal: Path) -> None:
        call = (*two.call, *BOTH, *RANGE, "--output", journal)
        first = door(*call)
        before = tree(journal.parent)["trades.csv"]
        second = door(*call)
        assert (first.code, second.code) == (0, 0)
        assert f"({2 * len(DAYS)} added)" in first.out
        assert f"({2 * len(DAYS)} unchanged)" in second.out
        assert tree(journal.parent)["trades.csv"] == before
        found = newest_manifest(journal.parent)
        assert (found["outcome"], found["counts"]["added"], found["counts"]["unchanged"]) == (
            "already_done", 0, 2 * len(DAYS))  # fmt: skip

    def test_each_session_alone_newest_first_comes_to_the_same_journal(
        self, door: Door, two: Market, whole: bytes, journal: Path
    ) -> None:
        for day in reversed(DAYS):
            for symbol in ("QQQ", "NVDA"):
                call = (*two.call, "--symbol", symbol, "--start", day, "--end", day)
                assert door(*call, "--output", journal).code == 0
        assert journal.read_bytes() == whole

    @pytest.mark.parametrize("symbols", [["NVDA,QQQ"], ["NVDA", "QQQ"], ["qqq , NVDA,", "QQQ"]], ids=" + ".join)
    def test_the_order_and_form_of_symbols_has_no_effect(
        self, door: Door, two: Market, whole: bytes, journal: Path, symbols: list[str]
    ) -> None:
        named = chain.from_iterable(("--symbol", each) for each in symbols)
        assert door(*two.call, *named, *RANGE, "--output", journal).code == 0
        assert journal.read_bytes() == whole

    @pytest.mark.parametrize("suffix", [".parquet", ".csv"])
    def test_bars_of_two_minutes_give_the_bytes_of_those_of_one(
        self, door: Door, two: Market, whole: bytes, tmp_path: Path, journal: Path, suffix: str
    ) -> None:
        made = Market(tmp_path / "made", {name: in_two_minutes(own) for name, own in two.bars.items()}, two.closes)
        made.suffix = suffix
        assert door(*made.save().call, *BOTH, *RANGE, "--output", journal).code == 0
        assert journal.read_bytes() == whole

    def test_shuffled_bars_in_one_file_give_the_same_bytes(
        self, door: Door, two: Market, whole: bytes, tmp_path: Path, journal: Path
    ) -> None:
        luck = np.random.default_rng(7)
        made = two.copy_to(tmp_path / "made")
        made.bars = {name: own.take(luck.permutation(len(own.opened))) for name, own in two.bars.items()}
        made.closes = {name: dict(reversed(list(own.items()))) for name, own in two.closes.items()}
        assert door(*made.save().call, *BOTH, *RANGE, "--output", journal).code == 0
        assert journal.read_bytes() == whole

    def test_extended_hours_even_bad_ones_and_bars_of_closed_days_take_no_part(
        self, door: Door, two: Market, whole: bytes, tmp_path: Path, journal: Path
    ) -> None:
        made = two.copy_to(tmp_path / "made")
        for name, own in two.bars.items():
            hours = 3_600 * 1_000_000_000
            outside = own.take(np.arange(300))
            for shift in (-9 * hours, 7 * hours, -24 * hours):  # before the opening, after the close, a Sunday
                moved = replace(outside, opened=outside.opened + shift, close=np.full(300, np.nan))
                made.bars[name] = joined(made.bars[name], moved)
        assert door(*made.save().call, *BOTH, *RANGE, "--output", journal).code == 0
        assert journal.read_bytes() == whole

    @pytest.mark.parametrize(
        "environment",
        [
            {"TZ": "UTC", "PYTHONHASHSEED": "0"},
            {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"},
            {"TZ": "America/Los_Angeles", "PYTHONHASHSEED": "4294967295"},
            {"TZ": "Pacific/Kiritimati", "LC_ALL": "de_DE.UTF-8"},
            {"TZ": "Nowhere/Land", "PYTHONTZPATH": "", "OMP_NUM_THREADS": "1"},
        ],
        ids=lambda environment: environment["TZ"],
    )
    def test_the_host_has_no_effect(
        self, two: Market, whole: bytes, journal: Path, environment: dict[str, str], tmp_path: Path
    ) -> None:
        told = process(*two.call, *BOTH, *RANGE, "--output", journal, cwd=tmp_path, **environment)
        assert (told.code, told.err) == (0, "")
        assert journal.read_bytes() == whole

    def test_a_range_of_27_years_has_the_same_row_as_its_session_alone(self, door: Door, tmp_path: Path) -> None:
        call = ("--feed", "simulated", "--symbol", "QQQ")
        long, alone = tmp_path / "long.csv", tmp_path / "alone.csv"
        assert door(*call, "--start", "1999-06-01", "--end", "2025-12-31", "--output", long).code == 0
        lines = set(long.read_bytes().splitlines())
        assert len(lines) > 6500
        for day in ("2000-01-03", "2000-10-17", "2008-03-10", "2012-10-31", "2019-12-24", "2025-12-31"):
            assert door(*call, "--start", day, "--end", day, "--output", alone).code == 0
        assert len(rows_of(alone)) == 6
        assert set(alone.read_bytes().splitlines()) <= lines


class TestLongRanges:
    """A range of more sessions than are judged at once is still one run."""

    LONG = ("--start", "2016-01-04", "--end", "2023-12-15")
    EDGE = ("2023-12-11", "2023-12-12", "2023-12-13", "2023-12-14", "2023-12-15")
    """The last five; the third is the 2,001st."""

    @pytest.fixture
    def market(self, tmp_path: Path) -> Market:
        market = make_market(tmp_path / "bars", start=self.EDGE[0], end=self.EDGE[-1])
        first = date.fromisoformat(self.EDGE[0])
        market.closes["QQQ"] = {day: close for day, close in market.closes["QQQ"].items() if day >= first}
        return market.save()

    def test_the_rows_on_both_sides_of_an_edge_equal_the_oracle(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        assert str(sessions_of("2016-01-04", "2023-12-15")[2000].date) == self.EDGE[2]
        chosen = ("--param", "sma_period=2")
        told = door(*market.call, "--symbol", "QQQ", *self.LONG, *chosen, "--output", journal)
        assert told.code == 0
        require_equal(journal, market.oracle(("QQQ",), self.EDGE[0], self.EDGE[-1], {"sma_period": 2})[0])
        assert newest_manifest(journal.parent)["counts"]["not_listed"] == 1998

    @pytest.mark.parametrize("symbol", ["ZZZ", "QQQ"])
    def test_what_is_wrong_with_a_symbol_is_told_once(
        self, door: Door, market: Market, journal: Path, symbol: str
    ) -> None:
        market.closes["QQQ"][date(2016, 1, 4)] = 400.0
        (market.save().root / "2Min" / "QQQ.parquet").write_bytes(b"no bars")
        told = door(*market.call, "--symbol", symbol, *self.LONG, "--output", journal, "--json")
        assert [error["symbol"] for error in told.json["errors"]] == [symbol]

    def test_exact_repeats_are_counted_once_and_together(self, door: Door, market: Market, journal: Path) -> None:
        for day in self.EDGE[:3]:
            market.repeat(day, "10:00")
        told = door(*market.call, "--symbol", "QQQ", *self.LONG, "--output", journal, "--json")
        assert [each for each in told.json["warnings"] if "repeats of bars" in each] == [
            "QQQ: 3 exact repeats of bars dropped"
        ]


class TestCalendar:
    @pytest.mark.parametrize(
        ("start", "end", "open_days"),
        [
            ("2001-09-10", "2001-09-17", ["2001-09-10", "2001-09-17"]),
            ("2004-06-10", "2004-06-14", ["2004-06-10", "2004-06-14"]),
            ("2006-12-29", "2007-01-03", ["2006-12-29", "2007-01-03"]),
            ("2012-10-26", "2012-10-31", ["2012-10-26", "2012-10-31"]),
            ("2018-12-04", "2018-12-06", ["2018-12-04", "2018-12-06"]),
            ("2025-01-08", "2025-01-10", ["2025-01-08", "2025-01-10"]),
            ("2025-11-26", "2025-11-28", ["2025-11-26", "2025-11-28"]),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_closed_days_in_a_range_are_left_out_and_counted(
        self, door: Door, journal: Path, start: str, end: str, open_days: list[str]
    ) -> None:
        told = door("--feed", "simulated", "--symbol", "QQQ", "--start", start, "--end", end, "--output", journal)
        assert told.code == 0
        assert [day for day, _ in keys_of(journal)] == open_days
        days = (date.fromisoformat(end) - date.fromisoformat(start)).days + 1
        assert newest_manifest(journal.parent)["counts"]["closed_days"] == days - len(open_days)
        assert "days of the range without a session" in told.out

    def test_overrides_close_a_session_and_move_a_close(
        self, door: Door, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALENDAR_OVERRIDES", "2025-11-19:closed, 2025-11-20:13:00,")
        call = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2025-11-18", "--end", "2025-11-21")
        assert door(*call, "--output", journal).code == 0
        assert [day for day, _ in keys_of(journal)] == ["2025-11-18", "2025-11-20", "2025-11-21"]
        assert newest_manifest(journal.parent)["calendar_version"].endswith("2025-11-19:closed,2025-11-20:13:00")
