"""Data that is corrected after its row was written, sessions that stay short, and the outcome of a mixed run."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.support.door import Door, Told, keys_of, newest_manifest, rows_of, tree
from tests.support.market import DAYS, END, START, Market, make_market, require_equal, story_market
from tests.support.stories import QUIET

RANGE = ("--start", START, "--end", END)
TRADED = "2025-12-02"
"""A session of the market with a trade, which ends by its stop."""


def judge(door: Door, market: Market, journal: Path, *more: str, start: str = START, end: str = END) -> Told:
    return door(*market.call, "--symbol", "QQQ", "--start", start, "--end", end, "--output", journal, *more)


def raise_closes(market: Market, by: float = 0.01) -> None:
    """Correct the oldest closes: every mean changes, and with it every row from the first on."""
    for day in list(market.closes["QQQ"])[:60]:
        market.closes["QQQ"][day] = round(market.closes["QQQ"][day] + by, 6)
    market.save()


class TestConflicts:
    def test_a_corrected_bar_is_told_with_its_columns_and_the_stored_row_stays(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        market = story_market(tmp_path / "bars", "2025-12-03")
        assert judge(door, market, journal, start="2025-12-03", end="2025-12-03").code == 0
        before = journal.read_bytes()
        market.set("2025-12-03", "15:54", close=100.25)
        told = judge(door, market, journal, "--json", start="2025-12-03", end="2025-12-03")
        assert told.code == 5
        (error,) = told.json["errors"]
        assert error["type"] == "ReviewConflict"
        assert set(error["columns"]) == {"eod_exit_price", "gross_pnl", "net_pnl", "R_multiple"}
        assert error["columns"]["eod_exit_price"] == ["100.0", "100.25"]
        for words in ("QQQ 2025-12-03", "eod_exit_price 100.0 is now 100.25", "kept", "--revise"):
            assert words in error["message"]
        assert journal.read_bytes() == before
        assert newest_manifest(journal.parent)["outcome"] == "conflict"
        assert not journal.with_name("trades.history.csv").exists()

    def test_every_other_row_of_the_run_is_written(self, door: Door, market: Market, journal: Path) -> None:
        assert judge(door, market, journal, start=TRADED, end=TRADED).code == 0
        (stored,) = rows_of(journal)
        raise_closes(market)
        told = judge(door, market, journal)
        assert told.code == 5
        assert f"QQQ {TRADED}" in told.err
        rows = rows_of(journal)
        assert [row["trade_date"] for row in rows] == list(DAYS)
        assert stored in rows
        expected, _ = market.oracle(("QQQ",))
        assert [row["sma200_daily_at_open"] for row in rows if row["trade_date"] != TRADED] == [
            row["sma200_daily_at_open"] for row in expected if row["trade_date"] != TRADED
        ]
        counts = newest_manifest(journal.parent)["counts"]
        assert (counts["conflicts"], counts["added"], counts["revised"]) == (1, len(DAYS) - 1, 0)
        assert f"{len(DAYS) - 1} added, 1 in conflict, kept as they were" in told.out

    def test_a_revised_row_takes_the_old_ones_place_and_the_old_one_goes_to_the_history(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        assert judge(door, market, journal).code == 0
        first = rows_of(journal)
        raise_closes(market)
        told = judge(door, market, journal, "--revise")
        assert (told.code, f"({len(DAYS)} revised)" in told.out) == (0, True)
        expected, _ = market.oracle(("QQQ",))
        require_equal(journal, [{**row, "revision": "1"} for row in expected])
        assert rows_of(journal.with_name("trades.history.csv")) == first
        before = tree(journal.parent)["trades.csv"]
        again = judge(door, market, journal, "--revise")
        assert (again.code, tree(journal.parent)["trades.csv"]) == (0, before)
        raise_closes(market)
        assert judge(door, market, journal, "--revise", start=TRADED, end=TRADED).code == 0
        assert [row["revision"] for row in rows_of(journal) if row["trade_date"] == TRADED] == ["2"]
        history = rows_of(journal.with_name("trades.history.csv"))
        assert [row["revision"] for row in history if row["trade_date"] == TRADED] == ["0", "1"]

    def test_a_dry_run_tells_the_conflict_and_writes_nothing(self, door: Door, market: Market, journal: Path) -> None:
        assert judge(door, market, journal).code == 0
        raise_closes(market)
        before = tree(journal.parent)
        assert judge(door, market, journal, "--dry-run").code == 5
        revised = judge(door, market, journal, "--dry-run", "--revise")
        assert (revised.code, f"{len(DAYS)} revised" in revised.out) == (0, True)
        assert tree(journal.parent) == before

    def test_an_equal_row_of_other_bars_is_kept_with_a_warning(self, door: Door, tmp_path: Path, journal: Path) -> None:
        market = story_market(tmp_path / "bars", "2025-12-03")
        assert judge(door, market, journal, start="2025-12-03", end="2025-12-03").code == 0
        before = journal.read_bytes()
        market.set("2025-12-03", "13:00", high=100.75)
        told = judge(door, market, journal, "--revise", start="2025-12-03", end="2025-12-03")
        assert (told.code, "data_drift: QQQ 2025-12-03" in told.out) == (0, True)
        assert journal.read_bytes() == before
        assert any("data_drift" in each for each in newest_manifest(journal.parent)["warnings"])

    def test_what_comes_after_the_exit_slot_is_no_drift(self, door: Door, tmp_path: Path, journal: Path) -> None:
        market = story_market(tmp_path / "bars", "2025-12-03")
        assert judge(door, market, journal, start="2025-12-03", end="2025-12-03").code == 0
        before = journal.read_bytes()
        market.set("2025-12-03", "15:56", high=140.0)
        told = judge(door, market, journal, start="2025-12-03", end="2025-12-03")
        assert (told.code, "drift" in told.all, journal.read_bytes()) == (0, False, before)

    def test_no_row_is_ever_lost_from_the_history(self, door: Door, market: Market, journal: Path) -> None:
        judge(door, market, journal, start=TRADED, end=TRADED)
        raise_closes(market)
        judge(door, market, journal, "--revise", start=TRADED, end=TRADED)
        (old,) = rows_of(journal.with_name("trades.history.csv"))
        journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
        assert judge(door, market, journal, start=TRADED, end=TRADED).code == 0
        raise_closes(market)
        assert judge(door, market, journal, "--revise", start=TRADED, end=TRADED).code == 0
        assert old in rows_of(journal.with_name("trades.history.csv"))

    def test_a_stored_row_whose_bars_became_bad_is_kept_with_a_warning(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        assert judge(door, market, journal).code == 0
        before = journal.read_bytes()
        market.set(TRADED, "11:00", close=float("nan"))
        told = judge(door, market, journal, "--revise")
        assert (told.code, told.err, journal.read_bytes()) == (0, "", before)
        assert f"QQQ {TRADED} 11:00: close is missing" in told.out
        warnings = newest_manifest(journal.parent)["warnings"]
        assert sum("the stored row was kept" in each for each in warnings) == 2  # its own, and that of the next session

    def test_a_bad_bar_of_the_session_before_is_an_error_for_a_session_without_a_row(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        at = DAYS.index(TRADED)
        assert judge(door, market, journal, end=TRADED).code == 0
        market.set(TRADED, "11:00", close=float("nan"))
        told = judge(door, market, journal)
        assert told.code == 3
        assert f"QQQ {DAYS[at + 1]} cannot be judged, it needs earlier data: QQQ {TRADED} 11:00" in told.err
        assert [day for day, _ in keys_of(journal)] == [*DAYS[: at + 1], *DAYS[at + 2 :]]


class TestGravity:
    """The outcome of a run of several keys is the gravest, and the good rows are written whatever else went wrong."""

    def test_usage_stands_above_conflict_above_data_above_retry(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        market = make_market(tmp_path / "bars", ("QQQ", "NVDA", "SPY"))
        call = (*market.call, "--output", journal, "--start", DAYS[-3], "--end", DAYS[-1])
        now = ("--now", f"{DAYS[-1]}T12:00:00-05:00")
        assert door(*call[:-1], DAYS[-3], "--symbol", "QQQ").code == 0
        raise_closes(market)
        market.set(DAYS[-3], "10:00", symbol="NVDA", low=0.0)
        assert door(*call, *now, "--symbol", "SPY").code == 4
        assert door(*call, *now, "--symbol", "SPY,NVDA").code == 3
        assert door(*call, *now, "--symbol", "NVDA,SPY,QQQ").code == 5
        told = door(*call, *now, "--symbol", "NVDA,SPY,QQQ,ZZZ", "--json")
        assert told.code == 2
        assert {error["type"] for error in told.json["errors"]} == {
            "CheckData", "TooEarly", "ReviewConflict", "FixRequest"}  # fmt: skip
        assert told.json["outcome"] == "usage"
        assert keys_of(journal) == [
            (DAYS[-3], "QQQ"), (DAYS[-3], "SPY"), (DAYS[-2], "QQQ"), (DAYS[-2], "SPY")]  # fmt: skip


class TestShortSessions:
    @pytest.mark.parametrize("day", ["2025-12-03", "2025-11-28"], ids=["16:00", "13:00"])
    def test_a_session_cut_short_has_no_row_until_a_person_accepts_it(
        self, door: Door, market: Market, journal: Path, day: str
    ) -> None:
        at, last = DAYS.index(day), "12:40" if day == "2025-11-28" else "15:40"
        market.cut(day, last)
        told = judge(door, market, journal)
        assert told.code == 3
        assert f"QQQ {day}: truncated_session, no bar from {last} to" in told.err
        assert f"--accept QQQ:{day}" in told.err
        without = {day, DAYS[at + 1]}
        assert {name for name, _ in keys_of(journal)} == set(DAYS) - without
        errors = newest_manifest(journal.parent)["errors"]
        assert [(error["kind"], error["session"]) for error in errors] == [
            ("truncated_session", day), ("truncated_session", DAYS[at + 1])]  # fmt: skip
        assert judge(door, market, journal, "--accept", f"qqq:{day}").code == 0
        expected, lacking = market.oracle(("QQQ",), accepted=[("QQQ", day)])
        assert not lacking
        rows = rows_of(journal)
        assert rows[at]["notes"].endswith("; accepted by name")
        assert not any(row["notes"].endswith("by name") for row in (*rows[:at], *rows[at + 1 :]))
        require_equal(journal, expected)

    def test_one_bar_in_the_last_eight_slots_is_enough(self, door: Door, market: Market, journal: Path) -> None:
        market.cut("2025-12-03", "15:40", "15:52").cut("2025-12-03", "15:56", "15:58")
        assert judge(door, market, journal).code == 0
        require_equal(journal, market.oracle(("QQQ",))[0])

    def test_a_halt_in_the_morning_is_an_incomplete_session_and_one_of_an_hour_in_a_trade_is_none(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        halted = story_market(tmp_path / "one", "2025-12-03", changes=dict.fromkeys(range(2, 10)))
        assert judge(door, halted, journal, start="2025-12-03", end="2025-12-03").code == 0
        (row,) = rows_of(journal)
        assert (row["reason"], row["first_close_below_time"]) == ("incomplete_session", "")
        traded = story_market(
            tmp_path / "two", "2025-12-04", changes={**dict.fromkeys(range(30, 60)), 61: (*QUIET[:2], 90.0, 95.0)}
        )
        assert judge(door, traded, journal, start="2025-12-04", end="2025-12-04").code == 0
        row = rows_of(journal)[-1]
        assert (row["exit_reason"], row["eod_exit_time"]) == ("stop", "11:32")
        require_equal(
            journal,
            [
                *halted.oracle(("QQQ",), "2025-12-03", "2025-12-03")[0],
                *traded.oracle(("QQQ",), "2025-12-04", "2025-12-04")[0],
            ],
        )

    def test_an_empty_session_is_no_data_and_its_accepted_row_says_so(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        market.cut("2025-12-03", "09:30")
        told = judge(door, market, journal, start="2025-12-03", end="2025-12-03")
        assert told.code == 3
        assert "QQQ 2025-12-03: the exchange was open and the feed has no bar" in told.err
        assert not journal.exists()
        found = newest_manifest(journal.parent)
        assert (found["outcome"], found["errors"][0]["kind"]) == ("no_data", "no_data")
        accept = ("--accept", "QQQ:2025-12-03")
        assert judge(door, market, journal, *accept, start="2025-12-03", end="2025-12-03").code == 0
        (row,) = rows_of(journal)
        assert {name for name, cell in row.items() if cell} == {
            "trade_date", "entry_window", "entered?", "notes", "symbol", "strategy", "params_hash", "trade_no",
            "reason", "data_feed", "data_hash", "revision"}  # fmt: skip
        assert (row["reason"], row["notes"]) == ("no_data", "no_data: the session has no bar; accepted by name")

    @pytest.mark.parametrize("without_records", [False, True])
    def test_the_session_after_an_accepted_one_is_judged_without_naming_it_again(
        self, door: Door, market: Market, journal: Path, without_records: bool
    ) -> None:
        market.cut("2025-12-02", "14:00").cut("2025-12-03", "09:30")
        accept = ("--accept", "QQQ:2025-12-02", "--accept", "QQQ:2025-12-03")
        assert judge(door, market, journal, *accept, end="2025-12-03").code == 0
        if without_records:
            for path in (journal.parent / "runs").iterdir():
                path.unlink()
            (journal.parent / "runs").rmdir()
        now = ("--today", "--now", "2025-12-05T18:00:00-05:00")
        assert door(*market.call, "--symbol", "QQQ", "--output", journal, *now).code == 0
        accepted = [("QQQ", "2025-12-02"), ("QQQ", "2025-12-03")]
        require_equal(journal, market.oracle(("QQQ",), accepted=accepted)[0])
        before = journal.read_bytes()
        assert judge(door, market, journal).code == 0
        assert journal.read_bytes() == before

    def test_an_acceptance_counts_for_its_own_parameters_alone(self, door: Door, market: Market, journal: Path) -> None:
        market.cut("2025-12-03", "14:00")
        assert judge(door, market, journal, "--accept", "QQQ:2025-12-03").code == 0
        told = judge(door, market, journal, "--cost", "bps:1")
        assert told.code == 3
        assert len([row for row in rows_of(journal) if row["params_hash"] != "p80720bba934c"]) == len(DAYS) - 2

    def test_an_acceptance_counts_for_its_own_symbol_alone(self, door: Door, tmp_path: Path, journal: Path) -> None:
        market = make_market(tmp_path / "bars", ("QQQ", "NVDA"))
        market.cut("2025-12-03", "14:00", symbol="QQQ").cut("2025-12-03", "14:00", symbol="NVDA")
        call = (*market.call, "--symbol", "QQQ,NVDA", *RANGE, "--output", journal)
        assert door(*call, "--accept", "NVDA:2025-12-03").code == 3
        assert [name for day, name in keys_of(journal) if day == "2025-12-03"] == ["NVDA"]

    def test_accepting_covers_no_impossible_bar(self, door: Door, market: Market, journal: Path) -> None:
        market.cut("2025-12-03", "14:00").set("2025-12-03", "10:00", high=1.0)
        told = judge(door, market, journal, "--accept", "QQQ:2025-12-03")
        assert told.code == 3
        assert "QQQ 2025-12-03 10:00: high 1.0 is below low" in told.err
        assert "2025-12-03" not in {day for day, _ in keys_of(journal)}

    def test_accepting_what_is_whole_changes_nothing(self, door: Door, market: Market, journal: Path) -> None:
        assert judge(door, market, journal, "--accept", "QQQ:2025-12-03").code == 0
        require_equal(journal, market.oracle(("QQQ",))[0])
        assert b"accepted" not in journal.read_bytes()

    def test_accepting_the_session_before_alone_lets_the_next_be_judged(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        market.cut("2025-12-03", "09:30")
        told = judge(door, market, journal, "--accept", "QQQ:2025-12-03", start="2025-12-04", end="2025-12-04")
        assert told.code == 0
        require_equal(journal, market.oracle(("QQQ",), "2025-12-04", "2025-12-04", accepted=[("QQQ", "2025-12-03")])[0])
        # Its row stands for itself: a later run need not name the session before again.
        before = journal.read_bytes()
        assert judge(door, market, journal, start="2025-12-04", end="2025-12-04").code == 0
        assert journal.read_bytes() == before

    def test_bars_that_come_after_all_are_a_conflict_and_then_a_revision(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        good = market.bars["QQQ"]
        market.cut("2025-12-03", "09:30")
        assert judge(door, market, journal, "--accept", "QQQ:2025-12-03").code == 0
        market.bars["QQQ"] = good
        market.save()
        assert judge(door, market, journal).code == 5
        assert judge(door, market, journal, "--revise").code == 0
        rows = rows_of(journal)
        assert not any("accepted" in row["notes"] for row in rows if row["revision"] == "1")
        expected, _ = market.oracle(("QQQ",))
        revised = {row["trade_date"]: row["revision"] for row in rows}
        assert revised["2025-12-03"] == "1"
        unlike = ("data_hash", "notes")
        assert [{**row, **dict.fromkeys(unlike)} for row in rows] == [
            {**row, "revision": revised[row["trade_date"]], **dict.fromkeys(unlike)} for row in expected
        ]

    def test_a_gap_of_the_feed_before_a_session_is_not_a_new_listing(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        market.cut(DAYS[3], "09:30")
        told = judge(door, market, journal, start=DAYS[4], end=DAYS[4])
        assert (told.code, newest_manifest(journal.parent)["outcome"]) == (3, "no_data")
        assert f"QQQ {DAYS[4]} cannot be judged, it needs earlier data: QQQ {DAYS[3]}" in told.err
        for day in DAYS[:3]:
            market.cut(day, "09:30")
        assert judge(door, market, journal, start=DAYS[4], end=DAYS[4]).code == 0
        require_equal(journal, market.oracle(("QQQ",), DAYS[4], DAYS[4])[0])
        assert date.fromisoformat(DAYS[4]) > date.fromisoformat(START)
