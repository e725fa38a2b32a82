"""trading-playbook status and runs: how the journals stand, and what runs did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.door import Door, Told, manifests, newest_manifest, tree
from tests.support.gcs_double import GcsDouble
from tests.support.market import DAYS, Market

FRIDAY = "2025-12-05T18:00:00-05:00"


@pytest.fixture
def kept(market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journal of the settings, on bars of files; nothing is there yet."""
    monkeypatch.setenv("DATA_FEED", "files")
    monkeypatch.setenv("DATA_DIR", str(market.root))
    monkeypatch.setenv("OUTPUT_DIR", str(journal.parent))
    return journal


def judge(door: Door, *days: str) -> None:
    for day in days:
        assert door("--start", day, "--end", day).code == 0


def status(door: Door, now: str = FRIDAY, *more: object) -> Told:
    return door.command("status", "--now", now, *more)


def lines(told: Told) -> dict[str, str]:
    """The lines of a status by their names."""
    return {line[:11].strip(): line[12:] for line in told.out.splitlines()}


class TestStatus:
    def test_a_night_that_ran_is_told_in_five_lines(self, door: Door, kept: Path) -> None:
        judge(door, *DAYS[-3:])
        before = tree(kept.parent)
        told = status(door)
        assert told.code == 0
        found = lines(told)
        assert list(found) == ["last night", "gaps", "last run", "December", "journal"]
        assert found["last night"] == "2025-12-05: the row of QQQ is there"
        assert found["gaps"] == "none"
        assert "done, 1 added; no error" in found["last run"]
        assert "in 3 sessions" in found["December"]
        assert found["journal"] == f"{kept}: dp20 p80720bba934c on files"
        assert tree(kept.parent) == before

    def test_a_night_without_a_run_is_found_and_the_next_run_heals_it(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[-2])
        told = status(door)
        assert told.code == 3
        assert lines(told)["last night"] == "2025-12-05: MISSING for QQQ"
        assert door("--today", "--now", FRIDAY).code == 0
        assert status(door).code == 0

    def test_before_the_session_has_settled_the_night_before_counts(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[-2])
        for now, code in (("2025-12-05T16:19:00-05:00", 0), ("2025-12-05T16:20:00-05:00", 3)):
            assert status(door, now).code == code

    def test_weekends_and_holidays_miss_nothing(self, door: Door, kept: Path) -> None:
        judge(door, "2025-12-05")
        for now in ("2025-12-06T12:00:00-05:00", "2025-12-07T23:00:00-05:00", "2025-12-08T09:00:00-05:00"):
            assert status(door, now).code == 0
        assert status(door, "2025-11-27T18:00:00-05:00").code == 3

    def test_a_missing_night_inside_is_named(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[-4], DAYS[-2], DAYS[-1])
        told = status(door)
        assert told.code == 3
        assert lines(told)["last night"].endswith("is there")
        assert lines(told)["gaps"] == f"MISSING QQQ {DAYS[-3]}; backtest --today fills that"

    def test_an_older_gap_is_told_and_rings_no_more_than_a_nightly_run_does(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[0], DAYS[2], *DAYS[4:])
        told = status(door)
        assert told.code == 0
        assert lines(told)["gaps"].startswith(f"older: QQQ {DAYS[1]}, {DAYS[3]}; backtest --start --end fills")
        assert status(door, FRIDAY, "--json").json["places"][0]["older_gaps"] == {
            "QQQ": [[DAYS[1], DAYS[1]], [DAYS[3], DAYS[3]]]
        }

    def test_each_symbol_and_each_journal_is_asked(
        self, door: Door, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judge(door, "2025-12-05")
        monkeypatch.setenv("SYMBOLS", "QQQ,SPY")
        told = status(door)
        assert (told.code, "MISSING for SPY" in told.out) == (3, True)
        monkeypatch.setenv("SYMBOLS", "QQQ")
        with GcsDouble(["playbook"]) as gcs:
            gcs.take_the_place_of_google(monkeypatch)
            monkeypatch.setenv("WRITER_TYPE", "csv,gcs")
            monkeypatch.setenv("GCS_BUCKET", "playbook")
            told = status(door)
            assert (told.code, lines(told)["last night"]) == (
                3, "2025-12-05: no row yet in gs://playbook/output/trades/",
            )  # fmt: skip
            assert door.command("journal", "copy", kept, "gs://playbook/output/trades/").code == 0
            assert status(door).code == 0
            assert status(door, FRIDAY, "gs://playbook/output/trades/").code == 0

    def test_a_journal_that_was_never_written_misses_its_night(self, door: Door, kept: Path) -> None:
        told = status(door)
        assert (told.code, lines(told)["last night"]) == (3, "2025-12-05: no row yet")
        assert lines(told)["last run"] == "no record of any"
        assert not kept.parent.exists()

    def test_the_last_error_is_told(self, door: Door, kept: Path, market: Market) -> None:
        good = market.bars["QQQ"]
        market.set(DAYS[-2], "11:00", close=float("nan"))
        assert door("--start", DAYS[-2], "--end", DAYS[-2]).code == 3
        assert f"data, 0 added: QQQ {DAYS[-2]} 11:00: close is missing" in lines(status(door))["last run"]
        market.bars["QQQ"] = good
        market.save()
        judge(door, *DAYS[-2:])
        told = status(door)
        assert told.code == 0
        assert "done, 1 added; last error" in lines(told)["last run"]
        assert f"data: QQQ {DAYS[-2]} 11:00: close is missing" in lines(told)["last run"]

    def test_other_sets_of_parameters_are_told(self, door: Door, kept: Path) -> None:
        judge(door, "2025-12-05")
        assert door("--start", DAYS[0], "--end", DAYS[2], "--param", "stop_atr=1.5").code == 0
        told = status(door)
        assert told.code == 0
        assert "it also holds 3 rows of dp20 p" in lines(told)["journal"]

    def test_json_tells_the_same(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[-2])
        told = status(door, FRIDAY, "--json")
        assert (told.code, told.json["outcome"], told.json["night"]) == (3, "missing", "2025-12-05")
        assert told.json["places"][0]["missing"] == {"QQQ": [["2025-12-05", "2025-12-05"]]}

    def test_a_journal_that_cannot_be_read_is_told_without_a_traceback(self, door: Door, kept: Path) -> None:
        kept.parent.mkdir()
        kept.write_text("name,price\nQQQ,1\n", encoding="utf-8")
        told = status(door)
        assert (told.code, "is no journal" in told.out, "Traceback" in told.all) == (2, True, False)

    def test_no_keys_are_needed(self, door: Door, tmp_path: Path) -> None:
        told = status(door)
        assert (told.code, "alpaca-sip" in told.out) == (3, True)


class TestRuns:
    def test_runs_are_listed_newest_first_in_eighty_columns(self, door: Door, kept: Path) -> None:
        judge(door, *DAYS[:3])
        told = door.command("runs")
        found = told.out.splitlines()
        assert (told.code, len(found)) == (0, 4)
        assert max(map(len, found)) <= 80
        assert newest_manifest(kept.parent)["run_id"] in found[1]
        assert door.command("runs", "--limit", 2).out.splitlines() == found[:3]

    def test_json_holds_every_fact(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[0])
        [manifest] = manifests(kept.parent)
        assert door.command("runs", "--json").json["runs"] == [manifest]
        assert door.command("runs", manifest["run_id"], "--json").json == manifest

    def test_one_run_is_told_by_its_id_or_its_beginning(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[0])
        [manifest] = manifests(kept.parent)
        for run in (manifest["run_id"], manifest["run_id"][:6]):
            told = door.command("runs", run)
            assert told.code == 0
            assert manifest["places"][0]["sha256_after"] in told.out
            assert "outcome" in told.out

    def test_a_run_that_is_none_is_refused(self, door: Door, kept: Path) -> None:
        judge(door, *DAYS[:2])
        assert door.command("runs", "zzz").code == 2
        assert "there is no record of a run 'zzz'" in door.command("runs", "zzz").err

    def test_since_leaves_earlier_ones_out(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[0])
        assert "No record of a run" in door.command("runs", "--since", "2100-01-01").out
        assert len(door.command("runs", "--since", "2020-01-01").out.splitlines()) == 2
        assert door.command("runs", "--since", "yesterday").code == 2

    def test_without_any_record_it_says_so(self, door: Door, kept: Path) -> None:
        told = door.command("runs")
        assert (told.code, told.out) == (0, f"No record of a run beside {kept}.\n")

    def test_copies_are_listed_too(self, door: Door, kept: Path, tmp_path: Path) -> None:
        judge(door, DAYS[0])
        other = tmp_path / "other" / "trades.csv"
        assert door.command("journal", "copy", kept, other).code == 0
        told = door.command("runs", "--place", other)
        assert (told.code, " copied " in told.out) == (0, True)

    def test_a_record_that_is_none_is_passed_over(self, door: Door, kept: Path) -> None:
        judge(door, DAYS[0])
        odd = kept.parent / "runs" / "20990101T000000Z-odd.json"
        odd.write_text('{"run_id": "odd", "started": "2099-01-01T00:00:00+00:00", "outcome": "done", "counts": 5, '
                       '"places": [1, {"place": 2}], "seconds": [], "request": "x", "errors": "y"}')  # fmt: skip
        for words in (("runs",), ("runs", "odd"), ("status",), ("journal", "verify"), ("journal", "recheck")):
            told = door.command(*words)
            assert "Traceback" not in told.all
            assert told.code in (0, 3)
