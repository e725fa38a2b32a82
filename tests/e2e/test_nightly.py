"""The nightly run, rehearsed at moments of one's choice: what it fills, when it waits, what it records."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.bars import sessions_of
from tests.support.door import Door, Told, keys_of, newest_manifest, rows_of, tree
from tests.support.market import DAYS, END, START, Market, make_market, require_equal, story_market
from trading_playbook.cli.main import main

THANKSGIVING, BLACK_FRIDAY = "2025-11-27", "2025-11-28"


def night(door: Door, market: Market, journal: Path, now: str, *more: str, symbol: str = "QQQ") -> Told:
    """The nightly run at a moment in New York, its offset that of winter."""
    return door(*market.call, "--symbol", symbol, "--output", journal, "--today", "--now", f"{now}-05:00", *more)


def judge(door: Door, market: Market, journal: Path, *days: str, symbol: str = "QQQ") -> None:
    for day in days:
        call = (*market.call, "--symbol", symbol, "--start", day, "--end", day)
        assert door(*call, "--output", journal).code == 0


def days_of(journal: Path, symbol: str = "QQQ") -> list[str]:
    return [day for day, name in keys_of(journal) if name == symbol]


def outcome(journal: Path) -> tuple[str, int, int]:
    """What the newest record says: the outcome, rows judged, rows added."""
    found = newest_manifest(journal.parent)
    return found["outcome"], found["counts"]["judged"], found["counts"]["added"]


def spoil(market: Market) -> None:
    """From here on any look at the symbol's files is an error."""
    for path in market.root.rglob("QQQ.*"):
        path.write_bytes(b"no bars, no closes")


class TestWhatIsMissing:
    def test_a_first_night_judges_the_last_settled_session_alone(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        told = night(door, market, journal, "2025-12-05T16:20:00")
        assert (told.code, days_of(journal), outcome(journal)) == (0, ["2025-12-05"], ("done", 1, 1))

    def test_a_night_after_three_missed_ones_fills_them_and_the_next_changes_nothing(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, "2025-12-01")
        told = night(door, market, journal, "2025-12-05T18:00:00")
        assert (told.code, outcome(journal)) == (0, ("done", 4, 4))
        assert days_of(journal) == ["2025-12-01", "2025-12-02", "2025-12-03", "2025-12-04", "2025-12-05"]
        require_equal(journal, market.oracle(("QQQ",), "2025-12-01", "2025-12-05")[0])
        before = tree(journal.parent)["trades.csv"]
        again = night(door, market, journal, "2025-12-05T19:00:00")
        assert (again.code, outcome(journal)) == (0, ("already_done", 0, 0))
        assert tree(journal.parent)["trades.csv"] == before
        assert "No row is missing" in again.out

    def test_a_night_without_anything_to_do_does_not_look_at_the_files(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, "2025-12-05")
        spoil(market)
        assert night(door, market, journal, "2025-12-05T18:00:00").code == 0

    def test_a_night_whose_bars_were_wrong_heals_at_the_next_call(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, "2025-12-01")
        good = market.bars["QQQ"]
        market.set("2025-12-03", "11:00", close=float("nan"))
        told = night(door, market, journal, "2025-12-05T18:00:00")
        # The session after it needs its bars too.
        assert (told.code, days_of(journal)) == (3, ["2025-12-01", "2025-12-02", "2025-12-05"])
        assert "QQQ 2025-12-03 11:00: close is missing" in told.err
        assert outcome(journal) == ("data", 2, 2)
        market.bars["QQQ"] = good
        market.save()
        assert night(door, market, journal, "2025-12-05T18:30:00").code == 0
        require_equal(journal, market.oracle(("QQQ",), "2025-12-01", "2025-12-05")[0])

    def test_the_file_of_the_last_session_that_comes_a_day_late_adds_the_missing_row_alone(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, "2025-12-03")
        good = market.bars["QQQ"]
        market.cut("2025-12-05", "09:30")
        told = night(door, market, journal, "2025-12-05T18:00:00")
        assert (told.code, days_of(journal)) == (3, ["2025-12-03", "2025-12-04"])
        assert "QQQ 2025-12-05: the exchange was open and the feed has no bar" in told.err
        assert outcome(journal)[0] == "no_data"
        market.bars["QQQ"] = good
        market.save()
        told = night(door, market, journal, "2025-12-06T09:00:00")
        assert (told.code, outcome(journal)) == (0, ("done", 1, 1))
        require_equal(journal, market.oracle(("QQQ",), "2025-12-03", "2025-12-05")[0])

    def test_only_the_last_ten_sessions_are_filled_and_the_older_gap_is_named(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, DAYS[0], DAYS[2])
        told = night(door, market, journal, "2025-12-05T18:00:00")
        assert (told.code, outcome(journal)) == (0, ("done", 10, 10))
        assert days_of(journal) == [DAYS[0], DAYS[2], *DAYS[4:]]
        assert f"QQQ has no row for {DAYS[1]}, {DAYS[3]}, older than a nightly run reaches" in told.out
        assert any("older than a nightly run reaches" in each for each in newest_manifest(journal.parent)["warnings"])

    def test_how_many_sessions_are_filled_is_a_setting(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CATCH_UP_SESSIONS", "2")
        judge(door, market, journal, DAYS[0])
        assert night(door, market, journal, "2025-12-05T18:00:00").code == 0
        assert days_of(journal) == [DAYS[0], *DAYS[-2:]]

    def test_nothing_before_a_journals_first_row_is_filled(self, door: Door, market: Market, journal: Path) -> None:
        judge(door, market, journal, "2025-12-03")
        assert night(door, market, journal, "2025-12-05T18:00:00").code == 0
        assert days_of(journal) == ["2025-12-03", "2025-12-04", "2025-12-05"]

    def test_a_row_that_was_deleted_by_hand_is_judged_again(self, door: Door, market: Market, journal: Path) -> None:
        judge(door, market, journal, *DAYS[-4:])
        whole = journal.read_bytes()
        lines = whole.splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[:2] + lines[3:]))
        assert night(door, market, journal, "2025-12-05T18:00:00").code == 0
        assert journal.read_bytes() == whole

    def test_each_symbol_is_missing_its_own_sessions_and_an_unknown_one_harms_no_other(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        market = make_market(tmp_path / "bars", ("QQQ", "NVDA", "SPY"))
        judge(door, market, journal, "2025-12-02", symbol="QQQ")
        judge(door, market, journal, "2025-12-04", symbol="NVDA")
        told = night(door, market, journal, "2025-12-05T18:00:00", symbol="SPY,ZZZ,NVDA,QQQ")
        assert told.code == 2
        assert "ZZZ: no file of bars" in told.err
        assert days_of(journal, "QQQ") == ["2025-12-02", "2025-12-03", "2025-12-04", "2025-12-05"]
        assert days_of(journal, "NVDA") == ["2025-12-04", "2025-12-05"]
        assert days_of(journal, "SPY") == ["2025-12-05"]
        assert outcome(journal) == ("usage", 5, 5)

    def test_each_set_of_parameters_is_missing_its_own_sessions(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, *DAYS[-3:])
        told = night(door, market, journal, "2025-12-05T18:00:00", "--param", "stop_atr=1.5")
        assert (told.code, outcome(journal)) == (0, ("done", 1, 1))
        assert len(rows_of(journal)) == 4

    def test_a_dry_night_says_what_is_missing_and_writes_nothing(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, "2025-12-03")
        before = tree(journal.parent)
        told = night(door, market, journal, "2025-12-05T18:00:00", "--dry-run")
        assert (told.code, "2 added" in told.out) == (0, True)
        assert tree(journal.parent) == before


class TestOlderGaps:
    """The command that fills an older gap works as it stands: copied, and run in the same folder."""

    def gap(self, told: str) -> Sequence[str]:
        line = next(line for line in told.splitlines() if "fill with: " in line)
        command = shlex.split(line.partition("fill with: ")[2])
        assert command[0] == "trading-playbook"
        return command[1:]

    def fill(self, door: Door, told: Told, journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([*self.gap(told.out)]) == 0, capsys.readouterr().err
        assert days_of(journal) == list(DAYS)

    def test_where_settings_name_the_bars_and_the_journal(
        self,
        door: Door,
        market: Market,
        journal: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        judge(door, market, journal, DAYS[0])
        monkeypatch.setenv("DATA_FEED", "files")
        monkeypatch.setenv("DATA_DIR", str(market.root))
        monkeypatch.setenv("OUTPUT_LOCATION", str(journal))
        told = door("--today", "--now", "2025-12-05T18:00:00-05:00")
        self.fill(door, told, journal, capsys)

    def test_where_options_name_the_bars_and_the_journal(
        self, door: Door, market: Market, journal: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        judge(door, market, journal, DAYS[0])
        told = night(door, market, journal, "2025-12-05T18:00:00")
        self.fill(door, told, journal, capsys)

    def test_where_paths_hold_blanks_and_quotes(
        self, door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        market, journal = make_market(tmp_path / "my bars"), tmp_path / "it's mine" / "my trades #1.csv"
        judge(door, market, journal, DAYS[0])
        told = night(door, market, journal, "2025-12-05T18:00:00")
        self.fill(door, told, journal, capsys)

    def test_where_parameters_and_costs_are_not_the_default_ones(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATA_DIR", str(market.root))
        monkeypatch.setenv("DATA_FEED", "files")
        monkeypatch.setenv("OUTPUT_LOCATION", str(journal))
        chosen = ("--param", "window_end=10:44", "--param", "stop_atr=0.1", "--cost", "bps:0.00001")
        assert door("--start", DAYS[0], "--end", DAYS[0], *chosen).code == 0
        told = door("--today", "--now", "2025-12-05T18:00:00-05:00", *chosen)
        assert main([*self.gap(told.out)]) == 0
        assert days_of(journal) == list(DAYS)
        assert len({row["params_hash"] for row in rows_of(journal)}) == 1


class TestClosedDays:
    @pytest.mark.parametrize(
        "now", ["2025-11-27T18:00:00", "2025-11-29T12:00:00", "2025-11-30T23:59:59"], ids=["holiday", "Sat", "Sun"]
    )
    def test_a_closed_day_with_nothing_missing_is_said_and_ends_well(
        self, door: Door, market: Market, journal: Path, now: str
    ) -> None:
        judge(door, market, journal, "2025-11-26", BLACK_FRIDAY)
        before = journal.read_bytes()
        spoil(market)
        told = night(door, market, journal, now)
        assert (told.code, told.err, outcome(journal)) == (0, "", ("closed", 0, 0))
        assert "The exchange is closed today" in told.out
        assert journal.read_bytes() == before

    def test_a_closed_day_fills_what_is_missing(self, door: Door, market: Market, journal: Path) -> None:
        judge(door, market, journal, "2025-11-24")
        told = night(door, market, journal, f"{THANKSGIVING}T18:00:00")
        assert (told.code, outcome(journal)) == (0, ("done", 2, 2))
        assert days_of(journal) == ["2025-11-24", "2025-11-25", "2025-11-26"]

    def test_a_first_night_on_a_closed_day_judges_the_session_before(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        assert night(door, market, journal, f"{THANKSGIVING}T18:00:00").code == 0
        assert days_of(journal) == ["2025-11-26"]


class TestSettlement:
    @pytest.mark.parametrize(
        ("day", "before", "settled"),
        [
            ("2025-12-04", "16:19:59", "16:20:00"),
            (BLACK_FRIDAY, "13:19:59", "13:20:00"),
        ],
        ids=["16:00", "13:00"],
    )
    def test_a_session_is_judged_from_its_close_and_settling_time_on_and_not_a_second_sooner(
        self, door: Door, market: Market, journal: Path, day: str, before: str, settled: str
    ) -> None:
        at = DAYS.index(day)
        judge(door, market, journal, DAYS[at - 1])
        good, content = journal.read_bytes(), {path: path.read_bytes() for path in market.root.rglob("QQQ.*")}
        spoil(market)
        told = night(door, market, journal, f"{day}T{before}", "--json")
        assert told.code == 4
        (error,) = told.json["errors"]
        assert (error["type"], error["session"], error["retry_after_seconds"]) == ("TooEarly", day, 1)
        assert "come back in 1 min" in error["message"]
        assert (journal.read_bytes(), outcome(journal)) == (good, ("too_early", 0, 0))
        for path, was in content.items():
            path.write_bytes(was)
        assert night(door, market, journal, f"{day}T{settled}").code == 0
        assert days_of(journal) == [DAYS[at - 1], day]

    def test_an_open_day_that_has_not_settled_writes_what_is_missing_and_waits(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        judge(door, market, journal, "2025-12-02")
        told = night(door, market, journal, "2025-12-05T08:20:00")
        assert (told.code, days_of(journal)) == (4, ["2025-12-02", "2025-12-03", "2025-12-04"])
        assert outcome(journal) == ("too_early", 2, 2)
        assert "come back in 8 h 0 min, at 2025-12-05 21:20 UTC" in told.err

    def test_a_range_that_ends_today_writes_the_rest_and_waits(self, door: Door, market: Market, journal: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", "2025-12-03", "--end", "2025-12-05", "--output", journal)
        told = door(*call, "--now", "2025-12-05T15:59:00-05:00", "--json")
        assert (told.code, days_of(journal)) == (4, ["2025-12-03", "2025-12-04"])
        assert told.json["errors"][0]["retry_after_seconds"] == 21 * 60
        assert door(*call, "--now", "2025-12-05T16:20:00-05:00").code == 0
        require_equal(journal, market.oracle(("QQQ",), "2025-12-03", "2025-12-05")[0])

    def test_an_evening_in_new_york_that_is_tomorrow_in_utc_is_still_today(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        told = night(door, market, journal, "2025-12-04T23:59:59")
        assert (told.code, days_of(journal)) == (0, ["2025-12-04"])

    def test_how_long_bars_settle_is_a_setting(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SETTLE_MINUTES", "0")
        assert night(door, market, journal, "2025-12-04T16:00:00").code == 0
        assert days_of(journal) == ["2025-12-04"]

    def test_where_bars_settle_for_a_day_the_last_settled_session_is_judged(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SETTLE_MINUTES", "1440")
        monkeypatch.setenv("CATCH_UP_SESSIONS", "1")
        told = night(door, market, journal, "2025-12-04T15:59:00")
        assert told.code == 4
        assert days_of(journal) == ["2025-12-02"]

    def test_the_wait_is_that_for_the_next_session_to_settle(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SETTLE_MINUTES", "600")
        told = night(door, market, journal, "2025-12-04T00:30:00", "--json")
        assert told.code == 4
        assert told.json["errors"][0]["retry_after_seconds"] == 90 * 60

    @pytest.mark.parametrize("day", ["2024-11-29", "2024-12-24", "2025-12-24", "2026-11-27"])
    def test_on_an_early_close_a_trade_ends_at_12_54_of_105_slots(
        self, door: Door, tmp_path: Path, journal: Path, day: str
    ) -> None:
        market = story_market(tmp_path / "bars", day, slots=105)
        assert night(door, market, journal, f"{day}T13:20:00").code == 0
        (row,) = rows_of(journal)
        assert (row["entry_time_et"], row["eod_exit_time"], row["exit_reason"]) == ("10:06", "12:54", "time")
        require_equal(journal, market.oracle(("QQQ",), day, day)[0])


class TestRehearsals:
    @pytest.mark.parametrize("now", ["2025-12-05T18:00:00", "2025-12-05", "yesterday", "", "1764975600", "18:00-05:00"])
    def test_a_moment_without_its_zone_or_none_at_all_is_refused(
        self, door: Door, market: Market, journal: Path, now: str
    ) -> None:
        told = door(*market.call, "--today", "--now", now, "--output", journal)
        assert (told.code, told.out) == (2, "")
        assert "--now" in told.err
        assert "offset" in told.err
        assert not journal.parent.exists()

    @pytest.mark.parametrize("now", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
    def test_a_moment_at_the_end_of_all_time_is_refused(self, door: Door, journal: Path, now: str) -> None:
        told = door("--feed", "simulated", "--today", "--now", now, "--output", journal)
        assert (told.code, "Traceback" in told.err) == (2, False)

    def test_the_calendars_last_half_year_warns_and_beyond_it_nothing_is_done(self, door: Door, journal: Path) -> None:
        call = ("--feed", "simulated", "--symbol", "QQQ", "--output", journal, "--today", "--now")
        told = door(*call, "2028-12-20T18:00:00-05:00")
        assert (told.code, "the exchange calendar ends on 2028-12-31" in told.out) == (0, True)
        before = tree(journal.parent)
        told = door(*call, "2029-01-03T18:00:00-05:00")
        assert (told.code, "update trading-playbook" in told.err) == (2, True)
        assert tree(journal.parent) == before

    def test_the_sessions_of_the_market_are_those_of_the_calendar(self) -> None:
        assert list(DAYS) == [str(session.date) for session in sessions_of(START, END)]
        assert THANKSGIVING not in DAYS
