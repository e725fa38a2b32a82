"""trading-playbook journal: show, export, diff, copy, verify, recheck, on files and in a bucket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.alpaca_double import AlpacaServer, alpaca_market
from tests.support.door import Door, Told, environment_with, newest_manifest, rows_of, tree
from tests.support.gcs_double import GcsDouble
from tests.support.market import DAYS, END, START, Market

SIMULATED = ("--feed", "simulated", "--symbol", "QQQ,SPY", "--start", "2025-11-17", "--end", "2025-12-05")
YEAR = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2025-01-02", "--end", "2025-12-31")
VERBS = ("show", "export", "verify", "recheck")


@pytest.fixture
def simulated(door: Door, journal: Path) -> Path:
    """A journal of two symbols and fourteen sessions."""
    assert door(*SIMULATED, "--output", journal).code == 0
    return journal


@pytest.fixture
def year(door: Door, tmp_path: Path) -> Path:
    path = tmp_path / "year" / "trades.csv"
    assert door(*YEAR, "--output", path).code == 0
    return path


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsDouble]:
    with GcsDouble(["playbook"]) as double:
        double.take_the_place_of_google(monkeypatch)
        yield double


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def findings(told: Told) -> list[tuple[str, bool]]:
    """(kind, grave) of all that verify found, but for how long ago a journal ends."""
    found = [(each["kind"], each["grave"]) for place in told.json["places"] for each in place["findings"]]
    return [each for each in found if each != ("ended", False)]


class TestShow:
    def test_each_row_is_a_line_and_the_figures_are_those_of_the_run(self, door: Door, year: Path) -> None:
        told = door.command("journal", "show", year)
        lines = told.out.splitlines()
        assert told.code == 0
        assert lines[0] == str(year)
        assert lines[2] == "dp20 p80720bba934c"
        assert len(lines) == 2 + 2 + 250 + 2
        assert lines[-2].startswith("250 sessions, 74 trades, 9 won")
        assert "+30.42 R  +202.44 $" in lines[-1]

    def test_no_line_is_wider_than_a_terminal(self, door: Door, year: Path) -> None:
        for more in ((), ("-v",)):
            lines = door.command("journal", "show", year, *more).out.splitlines()[1:]
            assert max(map(len, lines)) <= 80

    def test_notes_are_shown_on_demand(self, door: Door, simulated: Path) -> None:
        assert "SMA200" not in door.command("journal", "show", simulated).out
        assert "is not above SMA200" in " ".join(door.command("journal", "show", simulated, "-v").out.split())

    def test_the_last_rows_alone_with_the_figures_of_all(self, door: Door, year: Path) -> None:
        lines = door.command("journal", "show", year, "--last", 3).out.splitlines()
        assert [line[:10] for line in lines[4:7]] == ["2025-12-29", "2025-12-30", "2025-12-31"]
        assert lines[7].startswith("250 sessions")

    def test_filters_take_what_fits_all_of_them(self, door: Door, simulated: Path) -> None:
        told = door.command(
            "journal", "show", simulated, "--symbol", "spy", "--start", "2025-12-01", "--end", "2025-12-03", "--json"
        )
        assert [(row["symbol"], row["trade_date"]) for row in told.json["rows"]] == [
            ("SPY", f"2025-12-0{day}") for day in (1, 2, 3)
        ]
        assert door.command("journal", "show", simulated, "--strategy", "other").out.endswith("no row fits.\n")
        assert "no row fits" in door.command("journal", "show", simulated, "--params-hash", "p000000000000").out

    def test_each_play_is_told_by_itself(self, door: Door, simulated: Path) -> None:
        assert door(*SIMULATED, "--param", "stop_atr=1.5", "--output", simulated).code == 0
        told = door.command("journal", "show", simulated, "--json")
        assert [each["sessions"] for each in told.json["totals"]] == [28, 28]
        assert len({each["params_hash"] for each in told.json["totals"]}) == 2
        text = door.command("journal", "show", simulated).out
        assert text.count("28 sessions") == 2

    def test_json_holds_every_column_typed_and_null_where_it_does_not_apply(self, door: Door, year: Path) -> None:
        rows = door.command("journal", "show", year, "--json").json["rows"]
        header = year.read_text(encoding="utf-8").partition("\n")[0].split(",")
        assert all(list(row) == header for row in rows)
        traded = next(row for row in rows if row["entered?"])
        assert isinstance(traded["entry_price"], float)
        assert isinstance(traded["shares"], int)
        idle = next(row for row in rows if not row["entered?"])
        assert idle["entry_price"] is None

    def test_the_history_of_a_session_lists_its_revisions_and_what_changed(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", DAYS[3], "--end", DAYS[3], "--output", journal)
        assert door(*call).code == 0
        first = rows_of(journal)[0]
        market.closes["QQQ"] = {day: close + 0.25 for day, close in market.closes["QQQ"].items()}
        market.save()
        assert door(*call).code == 5
        assert door(*call, "--revise").code == 0
        told = door.command("journal", "show", journal, "--history", f"QQQ:{DAYS[3]}")
        assert told.code == 0
        assert "2 revisions" in told.out
        assert "sma200_daily_at_open" in told.out
        assert first["sma200_daily_at_open"] in told.out
        rows = door.command("journal", "show", journal, "--history", f"QQQ:{DAYS[3]}", "--json").json["rows"]
        assert [row["revision"] for row in rows] == [0, 1]
        assert door.command("journal", "show", journal, "--history", "QQQ:2025-01-02").code == 2

    def test_the_configured_journal_is_shown_where_none_is_named(
        self, door: Door, simulated: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUTPUT_DIR", str(simulated.parent))
        assert door.command("journal", "show").out.splitlines()[0] == str(simulated)

    def test_a_cell_cannot_steer_the_terminal(self, door: Door, simulated: Path) -> None:
        edit(simulated, "trend_down: ", "trend_down: \x1b[2J")
        told = door.command("journal", "show", simulated, "-v")
        assert (told.code, "\x1b" in told.out) == (0, False)


class TestExport:
    def test_csv_on_stdout_is_the_journal_itself(self, door: Door, simulated: Path) -> None:
        assert door.command("journal", "export", simulated).out.encode() == simulated.read_bytes()

    def test_a_filter_leaves_rows_out_and_the_form_as_it_is(self, door: Door, simulated: Path, tmp_path: Path) -> None:
        target = tmp_path / "spy.csv"
        told = door.command("journal", "export", simulated, "--symbol", "SPY", "-o", target)
        assert (told.code, "14 rows as csv" in told.out) == (0, True)
        assert rows_of(target) == [row for row in rows_of(simulated) if row["symbol"] == "SPY"]
        assert door.command("journal", "verify", target).code == 0

    @pytest.mark.parametrize("out", ["file", "stdout"])
    def test_json_is_an_array_of_typed_rows(self, door: Door, year: Path, tmp_path: Path, out: str) -> None:
        target = tmp_path / "x.json"
        if out == "file":
            assert door.command("journal", "export", year, "-o", target).code == 0
            found = json.loads(target.read_text(encoding="ascii"))
        else:
            found = json.loads(door.command("journal", "export", year, "--format", "json").out)
        assert [_as_text(row) for row in found] == rows_of(year)

    def test_parquet_is_typed_and_holds_the_same_values(self, door: Door, year: Path, tmp_path: Path) -> None:
        target = tmp_path / "x.parquet"
        assert door.command("journal", "export", year, "-o", target).code == 0
        table = pq.ParquetFile(target).read()
        types = {"trade_date": pa.date32(), "entered?": pa.bool_(), "shares": pa.int64(), "entry_price": pa.float64(),
                 "notes": pa.string(), "entry_time_et": pa.string(), "revision": pa.int64()}  # fmt: skip
        assert {name: table.schema.field(name).type for name in types} == types
        rows = [
            {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
            for row in table.to_pylist()
        ]
        assert [_as_text(row) for row in rows] == rows_of(year)

    def test_an_export_of_nothing_that_fits_is_an_empty_table(self, door: Door, year: Path, tmp_path: Path) -> None:
        for ending in ("csv", "json", "parquet"):
            target = tmp_path / f"x.{ending}"
            assert door.command("journal", "export", year, "--symbol", "SPY", "-o", target).code == 0
        assert pq.ParquetFile(tmp_path / "x.parquet").read().num_rows == 0
        assert json.loads((tmp_path / "x.json").read_text(encoding="ascii")) == []
        assert rows_of(tmp_path / "x.csv") == []

    def test_the_journal_itself_is_never_written_over(self, door: Door, simulated: Path) -> None:
        before = tree(simulated.parent)
        for name in ("trades.csv", "trades.history.csv"):
            told = door.command("journal", "export", simulated, "--symbol", "SPY", "-o", simulated.with_name(name))
            assert (told.code, "is the journal itself" in told.err) == (2, True)
        assert tree(simulated.parent) == before

    @pytest.mark.parametrize(
        "more", [("-o", "x.xlsx"), ("--format", "parquet"), ("-o", "gs://b/x.csv"), ("-o", ".csv/"), ("-o", " ")]
    )
    def test_what_cannot_be_is_refused(self, door: Door, simulated: Path, more: tuple[str, ...]) -> None:
        told = door.command("journal", "export", simulated, *more)
        assert (told.code, told.out, "Traceback" in told.err) == (2, "", False)

    def test_a_folder_that_cannot_be_written_is_told(self, door: Door, simulated: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        told = door.command("journal", "export", simulated, "-o", tmp_path / "file" / "x.csv")
        assert (told.code, "Traceback" in told.err) == (2, False)


class TestDiff:
    def test_equal_journals_end_with_nought(self, door: Door, simulated: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        other.write_bytes(simulated.read_bytes())
        told = door.command("journal", "diff", simulated, other)
        assert (told.code, "28 rows equal" in told.out) == (0, True)

    def test_what_differs_is_told_by_key_with_both_values(self, door: Door, simulated: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        lines = simulated.read_text(encoding="utf-8").splitlines(keepends=True)
        other.write_text("".join([*lines[:5], *lines[6:]]), encoding="utf-8")
        gone, price = rows_of(simulated)[4], rows_of(simulated)[0]["sma200_daily_at_open"]
        edit(other, price, "1.5")
        told = door.command("journal", "diff", simulated, other)
        assert told.code == 5
        assert "26 rows equal" in told.out
        assert "1 row only in A" in told.out
        assert f"{gone['symbol']} {gone['trade_date']}" in told.out
        assert "1 row different" in told.out
        assert price in told.out
        facts = door.command("journal", "diff", other, simulated, "--json")
        assert facts.code == 5
        assert facts.json["only_in_second"] == [
            {**{name: gone[name] for name in ("trade_date", "symbol", "strategy", "params_hash")}, "trade_no": 1}
        ]
        assert facts.json["different"][0]["columns"] == {"sma200_daily_at_open": ["1.5", price]}

    def test_filters_narrow_what_is_compared(self, door: Door, simulated: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        assert door.command("journal", "export", simulated, "--symbol", "SPY", "-o", other).code == 0
        assert door.command("journal", "diff", simulated, other).code == 5
        assert door.command("journal", "diff", simulated, other, "--symbol", "SPY").code == 0


class TestCopy:
    def test_rows_and_the_record_come_to_lie_there_and_a_second_copy_changes_nothing(
        self, door: Door, simulated: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other" / "trades.csv"
        told = door.command("journal", "copy", simulated, other)
        assert (told.code, "28  added" in told.out) == (0, True)
        assert other.read_bytes() == simulated.read_bytes()
        manifest = newest_manifest(other.parent)
        assert (manifest["outcome"], manifest["counts"]["added"]) == ("copied", 28)
        assert manifest["places"][0]["sha256_before"] is None
        assert door.command("journal", "verify", other).code == 0
        before = tree(other.parent)["trades.csv"]
        again = door.command("journal", "copy", simulated, other, "--json")
        assert (again.code, again.json["outcome"], again.json["counts"]["unchanged"]) == (0, "already_done", 28)
        assert tree(other.parent)["trades.csv"] == before

    def test_the_history_reads_the_same_there(self, door: Door, market: Market, journal: Path, tmp_path: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", DAYS[0], "--end", DAYS[3], "--output", journal)
        assert door(*call).code == 0
        for step in (0.25, 0.5):
            market.closes["QQQ"] = {day: close + step for day, close in market.closes["QQQ"].items()}
            market.save()
            assert door(*call, "--revise").code == 0
        other = tmp_path / "other" / "trades.csv"
        told = door.command("journal", "copy", journal, other)
        assert (told.code, "8  replaced rows for the history" in told.out) == (0, True)
        shown = [
            door.command("journal", "show", place, "--history", f"QQQ:{DAYS[2]}").out for place in (journal, other)
        ]
        assert shown[0] == shown[1]
        assert "3 revisions" in shown[0]
        assert door.command("journal", "verify", other).code == 0
        # A copy that a run made of the rows alone is completed.
        other.with_name("trades.history.csv").unlink()
        assert door.command("journal", "verify", other).code == 3
        assert door.command("journal", "copy", journal, other).code == 0
        assert door.command("journal", "verify", other).code == 0

    def test_a_run_that_fills_a_new_journal_hands_the_history_over_too(
        self, door: Door, market: Market, journal: Path, gcs: GcsDouble, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUTPUT_DIR", str(journal.parent))
        call = (*market.call, "--symbol", "QQQ", "--start", DAYS[0], "--end", DAYS[3])
        assert door(*call).code == 0
        market.closes["QQQ"] = {day: close + 0.25 for day, close in market.closes["QQQ"].items()}
        market.save()
        assert door(*call, "--revise").code == 0
        monkeypatch.setenv("WRITER_TYPE", "csv,gcs")
        monkeypatch.setenv("GCS_BUCKET", "playbook")
        assert door(*call).code == 0
        assert door.command("journal", "verify").code == 0
        history = gcs.objects("playbook")["output/trades/dp20-QQQ.history.csv"]
        assert rows_of(history) == rows_of(journal.with_name("trades.history.csv"))

    def test_a_different_row_is_a_conflict_and_stays_while_the_others_come(
        self, door: Door, simulated: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other" / "trades.csv"
        assert door.command("journal", "copy", simulated, other, "--symbol", "SPY").code == 0
        price = rows_of(other)[0]["sma200_daily_at_open"]
        edit(other, price, "1.5")
        told = door.command("journal", "copy", simulated, other)
        assert told.code == 5
        assert "1  in conflict" in told.out
        assert f"sma200_daily_at_open 1.5 is {price} in {simulated}" in told.err
        assert rows_of(other)[1]["sma200_daily_at_open"] == "1.5"
        assert len(rows_of(other)) == 28
        assert newest_manifest(other.parent)["outcome"] == "conflict"

    def test_simulated_and_real_rows_are_never_mixed(
        self, door: Door, simulated: Path, market: Market, tmp_path: Path
    ) -> None:
        real = tmp_path / "real" / "trades.csv"
        assert door(*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", real).code == 0
        before = tree(real.parent)
        told = door.command("journal", "copy", simulated, real)
        assert (told.code, "simulated rows" in told.err) == (2, True)
        assert tree(real.parent) == before


class TestVerify:
    def test_what_a_run_left_is_well(self, door: Door, simulated: Path) -> None:
        told = door.command("journal", "verify", simulated)
        assert (told.code, "all is well" in told.out) == (0, True)
        assert newest_manifest(simulated.parent)["run_id"] in told.out
        assert findings(door.command("journal", "verify", simulated, "--json")) == []

    def test_a_journal_that_was_moved_with_its_records_is_still_what_a_run_left(
        self, door: Door, simulated: Path, tmp_path: Path
    ) -> None:
        simulated.parent.rename(tmp_path / "elsewhere")
        told = door.command("journal", "verify", tmp_path / "elsewhere")
        assert (told.code, "left it" in told.out) == (0, True)

    def test_a_second_night_a_conflict_and_a_revision_leave_it_well(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        for day in DAYS[:3]:
            call = (*market.call, "--symbol", "QQQ", "--start", day, "--end", day, "--output", journal)
            assert door(*call).code == 0
        market.closes["QQQ"] = {day: close + 0.25 for day, close in market.closes["QQQ"].items()}
        market.save()
        assert door(*call).code == 5
        assert door.command("journal", "verify", journal).code == 0
        assert door(*call, "--revise").code == 0
        assert door.command("journal", "verify", journal).code == 0

    def test_a_number_that_was_edited_shows_twice(self, door: Door, year: Path) -> None:
        traded = next(row for row in rows_of(year) if row["entered?"] == "TRUE")
        edit(year, f",{traded['net_pnl']},{traded['risk_per_share']},", f",99.0,{traded['risk_per_share']},")
        told = door.command("journal", "verify", year, "--json")
        assert told.code == 3
        assert findings(told) == [("arithmetic", True), ("edited", True)]
        assert "net_pnl 99.0" in door.command("journal", "verify", year).out

    def test_an_edit_that_is_sound_in_itself_shows(self, door: Door, simulated: Path) -> None:
        row = rows_of(simulated)[0]
        edit(simulated, row["sma200_daily_at_open"], "1.5")
        told = door.command("journal", "verify", simulated, "--json")
        assert (told.code, findings(told)) == (3, [("edited", True)])

    def test_a_file_that_a_spreadsheet_saved_is_told_as_such(self, door: Door, simulated: Path) -> None:
        simulated.write_bytes(simulated.read_bytes().replace(b"\n", b"\r\n"))
        told = door.command("journal", "verify", simulated)
        assert told.code == 3
        assert "by another program than ours" in told.out

    def test_a_deleted_row_is_a_gap(self, door: Door, simulated: Path) -> None:
        lines = simulated.read_bytes().splitlines(keepends=True)
        simulated.write_bytes(b"".join(lines[:5] + lines[6:]))
        told = door.command("journal", "verify", simulated, "--json")
        assert (told.code, findings(told)) == (3, [("gap", True), ("edited", True)])

    def test_an_older_state_that_was_put_back_shows(self, door: Door, market: Market, journal: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--output", journal)
        assert door(*call, "--start", DAYS[0], "--end", DAYS[2]).code == 0
        old = journal.read_bytes()
        assert door(*call, "--start", DAYS[3], "--end", DAYS[3]).code == 0
        journal.write_bytes(old)
        told = door.command("journal", "verify", journal, "--json")
        assert (told.code, findings(told)) == (3, [("put_back", True)])

    def test_a_run_that_was_killed_before_its_record_is_told_and_the_next_makes_it_good(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        call = (*market.call, "--symbol", "QQQ", "--output", journal)
        assert door(*call, "--start", DAYS[0], "--end", DAYS[2]).code == 0
        assert door(*call, "--start", DAYS[3], "--end", DAYS[4]).code == 0
        max((journal.parent / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns).unlink()
        told = door.command("journal", "verify", journal)
        assert told.code == 0
        assert f"its last write has no record: 2 rows from {DAYS[3]} on came" in told.out
        assert door(*call, "--start", DAYS[5], "--end", DAYS[5]).code == 0
        told = door.command("journal", "verify", journal, "--json")
        assert (told.code, findings(told)) == (0, [("unrecorded", False)])
        assert told.json["places"][0]["files"][0]["left_by_run"] is not None

    def test_a_journal_without_records_says_so(self, door: Door, simulated: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        other.write_bytes(simulated.read_bytes())
        told = door.command("journal", "verify", other, "--json")
        assert (told.code, findings(told)) == (0, [("no_record", False)])

    def test_a_damaged_cell_is_named(self, door: Door, simulated: Path) -> None:
        edit(simulated, ",FALSE,", ",maybe,")
        told = door.command("journal", "verify", simulated)
        assert (told.code, "Traceback" in told.err) == (3, False)
        assert "line 2" in told.out
        assert "'maybe' is neither TRUE nor FALSE" in told.out

    def test_filters_narrow_the_rows_and_not_the_file(self, door: Door, simulated: Path) -> None:
        edit(simulated, rows_of(simulated)[0]["sma200_daily_at_open"], "1.5")
        told = door.command("journal", "verify", simulated, "--symbol", "SPY", "--json")
        assert (told.code, told.json["places"][0]["rows"]) == (3, 14)

    def test_a_series_that_ends_before_the_last_settled_session_is_told_and_is_no_fault(
        self, door: Door, simulated: Path
    ) -> None:
        told = door.command("journal", "verify", simulated, "--now", "2025-12-09T18:00:00-05:00")
        assert told.code == 0
        assert "SPY (dp20 p80720bba934c) end on 2025-12-05, 2 sessions ago" in told.out
        told = door.command("journal", "verify", simulated, "--now", "2025-12-07T18:00:00-05:00")
        assert "ended" not in told.out

    def test_every_configured_journal_is_verified(
        self, door: Door, simulated: Path, gcs: GcsDouble, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUTPUT_DIR", str(simulated.parent))
        monkeypatch.setenv("WRITER_TYPE", "csv,gcs")
        monkeypatch.setenv("GCS_BUCKET", "playbook")
        assert door.command("journal", "copy", simulated, "gs://playbook/output/trades/").code == 0
        told = door.command("journal", "verify", "--json")
        assert told.code == 0
        assert [place["place"] for place in told.json["places"]] == [str(simulated), "gs://playbook/output/trades/"]


class TestRecheck:
    def test_rows_that_come_out_the_same_are_equal_and_nothing_is_written(self, door: Door, simulated: Path) -> None:
        before = tree(simulated.parent)
        told = door.command("journal", "recheck", simulated, "--feed", "simulated")
        assert (told.code, "28 rows equal" in told.out) == (0, True)
        assert tree(simulated.parent) == before

    def test_an_edited_row_is_told_with_both_values_and_that_the_bars_are_the_same(
        self, door: Door, simulated: Path
    ) -> None:
        price = rows_of(simulated)[0]["sma200_daily_at_open"]
        edit(simulated, price, "1.5")
        told = door.command("journal", "recheck", simulated, "--feed", "simulated", "--json")
        assert (told.code, told.json["equal"]) == (5, 27)
        [different] = told.json["different"]
        assert different["columns"] == {"sma200_daily_at_open": ["1.5", price]}
        assert different["same_bars"] is True
        assert "an edit of the row" in different["why"][0]
        assert "the same code" in different["why"][1]

    def test_bars_and_closes_that_were_corrected_are_told_apart(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        assert door(*call).code == 0
        recheck = ("journal", "recheck", journal, *market.call)
        assert door.command(*recheck).code == 0
        bars = market.bars["QQQ"]
        for label in ("10:00", "10:02", "10:04", "10:06", "10:08"):
            market.set(DAYS[5], label, open=1.0, high=1.5, low=0.5, close=1.0)
        told = door.command(*recheck, "--json")
        assert told.json["other_bars"] or told.json["different"]
        for each in told.json["different"]:
            assert "bars of the session or of the one before" in each["why"][0]
        market.bars["QQQ"] = bars
        market.closes["QQQ"] = {day: close + 0.25 for day, close in market.closes["QQQ"].items()}
        market.save()
        told = door.command(*recheck, "--json")
        assert told.code == 5
        assert all("daily closes are others" in each["why"][0] for each in told.json["different"])

    def test_parameters_are_taken_from_the_records(self, door: Door, simulated: Path) -> None:
        assert door(*SIMULATED, "--param", "stop_atr=1.5", "--cost", "bps:2", "--output", simulated).code == 0
        told = door.command("journal", "recheck", simulated, "--feed", "simulated")
        assert (told.code, "56 rows equal" in told.out) == (0, True)

    def test_parameters_that_nobody_tells_are_named_and_can_be_given(
        self, door: Door, simulated: Path, tmp_path: Path
    ) -> None:
        assert door(*SIMULATED, "--param", "stop_atr=1.5", "--output", simulated).code == 0
        other = tmp_path / "other.csv"
        other.write_bytes(simulated.read_bytes())
        told = door.command("journal", "recheck", other, "--feed", "simulated")
        assert (told.code, "28 rows equal" in told.out) == (2, True)
        assert "no record tells these parameters" in told.out
        given = ("--feed", "simulated", "--param", "stop_atr=1.5")
        hashes = sorted({row["params_hash"] for row in rows_of(other)} - {"p80720bba934c"})
        told = door.command("journal", "recheck", other, *given, "--params-hash", hashes[0])
        assert (told.code, "28 rows equal" in told.out) == (0, True)

    def test_an_accepted_session_is_judged_again_by_the_same_leave(
        self, door: Door, market: Market, journal: Path
    ) -> None:
        market.cut(DAYS[4], "12:00")
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        assert door(*call, "--accept", f"QQQ:{DAYS[4]}").code == 0
        assert door.command("journal", "recheck", journal, *market.call).code == 0
        late = ("journal", "recheck", journal, *market.call, "--start", DAYS[5])
        assert door.command(*late).code == 0

    def test_the_cache_is_enough_and_a_fresh_look_names_the_bars_that_the_source_has_changed(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def serve(server: AlpacaServer) -> None:
            for name, value in server.settings.items():
                monkeypatch.setenv(name, value)

        recheck = ("journal", "recheck", journal)
        with AlpacaServer(alpaca_market(market)) as first:
            serve(first)
            assert door("--symbol", "QQQ", "--start", START, "--end", END, "--output", journal).code == 0
            calls, before = first.calls(), tree(journal.parent)
            assert door.command(*recheck).code == 0
            assert first.calls() == calls
        market.set(DAYS[5], "10:00", open=1.0, high=1.5, low=0.5, close=1.0)
        with AlpacaServer(alpaca_market(market)) as second:
            serve(second)
            assert door.command(*recheck).code == 0
            told = door.command(*recheck, "--force-refresh", "--json")
            assert told.code == (5 if told.json["different"] else 0)
            assert told.json["different"] or told.json["other_bars"]
            assert any("QQQ: 1 bar changed" in warning for warning in told.json["warnings"])
        assert tree(journal.parent) == before

    def test_bars_that_are_wrong_now_are_code_three(self, door: Door, market: Market, journal: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        assert door(*call).code == 0
        market.set(DAYS[3], "11:00", close=float("nan"))
        told = door.command("journal", "recheck", journal, *market.call)
        assert told.code == 3
        assert "2 rows not judged" in told.out
        assert f"QQQ {DAYS[3]} 11:00: close is missing" in told.out

    def test_bars_of_another_sort_are_refused(self, door: Door, simulated: Path, market: Market) -> None:
        told = door.command("journal", "recheck", simulated, *market.call)
        assert (told.code, "choose with --feed" in told.err) == (2, True)

    def test_a_day_that_is_no_session_any_more_is_told(
        self, door: Door, simulated: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CALENDAR_OVERRIDES", "2025-12-03:closed")
        told = door.command("journal", "recheck", simulated, "--feed", "simulated", "--symbol", "QQQ")
        assert told.code in (2, 5)
        assert "being no sessions" in told.out


class TestInABucket:
    """A journal of one object a symbol, each a chain of its own."""

    PLACE = "gs://playbook/output/trades/"

    @pytest.fixture
    def bucket(self, door: Door, gcs: GcsDouble, monkeypatch: pytest.MonkeyPatch) -> GcsDouble:
        monkeypatch.setenv("WRITER_TYPE", "gcs")
        monkeypatch.setenv("GCS_BUCKET", "playbook")
        assert door(*SIMULATED).code == 0
        return gcs

    def test_all_commands_read_it(self, door: Door, bucket: GcsDouble, tmp_path: Path) -> None:
        assert len(door.command("journal", "show", "--json").json["rows"]) == 28
        assert door.command("journal", "show", self.PLACE, "--symbol", "QQQ", "--strategy", "dp20").code == 0
        told = door.command("journal", "verify", "--json")
        assert (told.code, findings(told)) == (0, [])
        assert [file["rows"] for file in told.json["places"][0]["files"]] == [14, 14]
        assert door.command("journal", "recheck", "--feed", "simulated").code == 0
        assert door.command("journal", "export", self.PLACE, "-o", tmp_path / "x.csv").code == 0
        assert door.command("journal", "diff", self.PLACE, tmp_path / "x.csv").code == 0
        assert door.command("runs").code == 0

    def test_a_journal_is_copied_into_it_and_back_unchanged(
        self, door: Door, gcs: GcsDouble, simulated: Path, tmp_path: Path
    ) -> None:
        assert door.command("journal", "copy", simulated, self.PLACE).code == 0
        names = set(gcs.objects("playbook"))
        assert {"output/trades/dp20-QQQ.csv", "output/trades/dp20-SPY.csv"} < names
        back = tmp_path / "back" / "trades.csv"
        assert door.command("journal", "copy", self.PLACE, back).code == 0
        assert back.read_bytes() == simulated.read_bytes()
        assert door.command("journal", "verify", self.PLACE).code == 0

    def test_an_edit_of_one_object_is_told_of_that_one(self, door: Door, bucket: GcsDouble) -> None:
        name = "output/trades/dp20-SPY.csv"
        content = bucket.objects("playbook")[name]
        bucket.write("playbook", name, content.replace(b"no_reversal: ", b"no_reversal: look: ", 1))
        told = door.command("journal", "verify", "--json")
        assert (told.code, findings(told)) == (3, [("edited", True)])
        finding = told.json["places"][0]["findings"][0]
        assert finding["place"] == f"gs://playbook/{name}"

    def test_simulated_rows_of_one_symbol_beside_real_ones_of_another_are_found(
        self, door: Door, bucket: GcsDouble
    ) -> None:
        name = "output/trades/dp20-SPY.csv"
        content = bucket.objects("playbook")[name]
        bucket.write("playbook", name, content.replace(b",simulated,", b",files,"))
        told = door.command("journal", "verify", "--json")
        assert (told.code, set(findings(told))) == (3, {("edited", True), ("origin", True)})

    @pytest.mark.parametrize("name", ["dp20-SPY copy.csv", "dp20-spy.csv", "SPY.csv", "-SPY.csv", "old/dp20-SPY.csv"])
    def test_a_file_that_somebody_left_beside_the_journals_is_none_of_them(
        self, door: Door, bucket: GcsDouble, tmp_path: Path, name: str
    ) -> None:
        before = door.command("journal", "show", "--json").json["rows"]
        content = bucket.objects("playbook")["output/trades/dp20-SPY.csv"]
        bucket.write("playbook", f"output/trades/{name}", content.replace(b"no_reversal: ", b"no_reversal: x", 1))
        assert door.command("journal", "show", "--json").json["rows"] == before
        assert door.command("journal", "verify").code == 0
        assert door.command("journal", "copy", self.PLACE, tmp_path / "x.csv").code == 0

    def test_a_row_of_another_symbol_in_a_file_is_refused_by_name(self, door: Door, bucket: GcsDouble) -> None:
        objects = bucket.objects("playbook")
        bucket.write("playbook", "output/trades/dp20-IWM.csv", objects["output/trades/dp20-SPY.csv"])
        told = door.command("journal", "verify", "--json")
        assert (told.code, findings(told)) == (3, [("unreadable", True)])
        for words in (("show",), ("export",), ("diff", self.PLACE, self.PLACE), ("copy", self.PLACE, "x.csv")):
            told = door.command("journal", *words)
            assert told.code == 2
            assert "gs://playbook/output/trades/dp20-IWM.csv holds the row of SPY 2025-11-17" in told.err
        told = door(*SIMULATED, "--symbol", "QQQ,IWM")
        assert (told.code, "dp20-IWM.csv holds the row of SPY" in told.err) == (2, True)


class TestOddPlaces:
    @pytest.mark.parametrize("verb", VERBS)
    def test_a_place_where_nothing_is_is_told(self, door: Door, tmp_path: Path, verb: str) -> None:
        told = door.command("journal", verb, tmp_path / "absent.csv", *_feed(verb))
        assert (told.code, "holds no journal yet" in told.err) == (2, True)
        assert not (tmp_path / "absent.csv").exists()

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize(
        "place", ["folder", "foreign.csv", "binary.csv", "none/", "runs", "a\0b", "gs://", "s3://b/x"]
    )
    def test_what_is_no_journal_is_told_without_a_traceback(
        self, door: Door, tmp_path: Path, verb: str, place: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "runs").mkdir()
        (tmp_path / "foreign.csv").write_text("name,price\nQQQ,1\n", encoding="utf-8")
        (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
        address = place if ":" in place or "\0" in place else tmp_path / place
        told = door.command("journal", verb, address, *_feed(verb))
        assert told.code == (3 if verb == "verify" and place in ("foreign.csv", "binary.csv") else 2)
        assert "Traceback" not in told.all
        assert told.all.strip()

    @pytest.mark.parametrize("verb", [("show",), ("verify",), ("diff", "absent.csv"), ("copy", "absent.csv")])
    def test_a_refusal_is_json_where_that_was_asked_for(self, door: Door, verb: tuple[str, ...]) -> None:
        told = door.command("journal", verb[0], "absent.csv", *verb[1:], "--json")
        assert told.code == 2
        assert told.json["outcome"] == "usage"

    def test_dates_in_the_wrong_order_and_hashes_that_are_none_are_refused(self, door: Door, simulated: Path) -> None:
        for more in (("--start", "2025-12-02", "--end", "2025-12-01"), ("--params-hash", "x"), ("--last", "0")):
            assert door.command("journal", "show", simulated, *more).code == 2

    @pytest.mark.parametrize("words", [(), ("show", "--help"), ("recheck", "--help"), ("dance",)])
    def test_help_and_mistyped_verbs_end_as_usual(self, door: Door, words: tuple[str, ...]) -> None:
        told = door.command("journal", *words)
        assert told.code == (0 if "--help" in words else 2)

    def test_a_closed_pipe_ends_quietly(self, year: Path, tmp_path: Path) -> None:
        script = "import sys; from trading_playbook.cli.main import main; sys.exit(main())"
        done = subprocess.run(
            ["bash", "-c", '"$@" | head -n 1; exit "${PIPESTATUS[0]}"', "bash", sys.executable, "-c", script,
             "journal", "show", str(year), "-v"],
            cwd=tmp_path, env=environment_with(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 141)
        assert (done.stdout, done.stderr) == (f"{year}\n", "")


def _feed(verb: str) -> tuple[str, ...]:
    return ("--feed", "simulated") if verb == "recheck" else ()


def _as_text(row: dict[str, Any]) -> dict[str, str]:
    """A typed row as the journal's file has it."""

    def text(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).upper()
        if isinstance(value, float):
            return f"{value:.6f}".rstrip("0") + ("0" if value == int(value) else "")
        return str(value)

    return {name: text(value) for name, value in row.items()}
