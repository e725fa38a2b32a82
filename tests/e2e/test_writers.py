"""Several writers in one run: the same rows in a file, a bucket and a database, whatever one of them does."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import gcs_double, mongo_double
from tests.support.alpaca_double import AlpacaServer, alpaca_market
from tests.support.door import Door, Told, rows_of
from tests.support.market import DAYS, END, START, Market, make_market
from tests.support.mongo_double import Kind
from tests.support.three import BUCKET, COLLECTION, DATABASE, FOLDER, WRITERS, Three, three_journals

SYMBOLS = ("QQQ", "SPY")
NIGHT = "2025-12-05T22:00:00Z"
TRADED = "2025-12-02"
FOREVER = 10**9


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return make_market(tmp_path / "bars", SYMBOLS)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    with three_journals(tmp_path / "out") as three:
        for name, value in three.settings.items():
            monkeypatch.setenv(name, value)
        yield three


Judge = Callable[..., Told]


@pytest.fixture
def judge(door: Door, market: Market) -> Judge:
    def judge(*more: object, symbols: str = "QQQ,SPY", start: str = START, end: str = END) -> Told:
        return door(*market.call, "--symbol", symbols, "--start", start, "--end", end, *more)

    return judge


def write_to(monkeypatch: pytest.MonkeyPatch, *writers: str) -> None:
    monkeypatch.setenv("WRITER_TYPE", ",".join(writers))


def raise_closes(market: Market, by: float = 0.01) -> None:
    """Correct the oldest closes: every mean changes, and with it every row from the first on."""
    for symbol in SYMBOLS:
        for day in list(market.closes[symbol])[:60]:
            market.closes[symbol][day] = round(market.closes[symbol][day] + by, 6)
    market.save()


class TestTheSameRows:
    @pytest.mark.parametrize("kind", Kind)
    def test_all_hold_the_same_rows_and_the_oracle_has_them_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: Judge, market: Market, kind: Kind
    ) -> None:
        with three_journals(tmp_path / "out", kind) as three:
            for name, value in three.settings.items():
                monkeypatch.setenv(name, value)
            told = judge()
            assert (told.code, told.err) == (0, "")
            expected, _ = market.oracle(SYMBOLS)
            rows = three.require_equal()
            expected.sort(key=lambda row: (row["trade_date"], row["symbol"]))
            assert [{**row, "notes": ""} for row in rows] == [{**row, "notes": ""} for row in expected]
            assert {row["reason"] for row in rows} >= {"entered"}
            assert three.outcomes() == {writer: ["done"] for writer in WRITERS}
            for address in three.addresses.values():
                assert address in told.out

    def test_a_second_run_changes_nothing(self, three: Three, judge: Judge) -> None:
        assert judge().code == 0
        before = three.state()
        told = judge("--json")
        assert (told.code, told.json["outcome"], told.json["not_durable"]) == (0, "already_done", [])
        assert three.state() == before
        assert three.outcomes() == dict.fromkeys(WRITERS, three.outcomes()["csv"])
        assert sorted(three.outcomes()["csv"]) == ["already_done", "done"]

    def test_in_parts_and_in_any_order_of_writers_it_is_the_same(
        self, three: Three, judge: Judge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts = (DAYS[5], DAYS[-1]), (DAYS[0], DAYS[6]), (DAYS[4], DAYS[9])
        for part, writers in zip(parts, (WRITERS, WRITERS[::-1], ("gcs", "csv", "mongodb")), strict=True):
            write_to(monkeypatch, *writers)
            assert judge(start=part[0], end=part[1]).code == 0
        assert len(three.require_equal()) == 2 * len(DAYS)

    def test_what_a_run_left_is_verified_at_each_place(self, three: Three, door: Door, judge: Judge) -> None:
        assert judge(start=DAYS[0], end=DAYS[3]).code == 0
        assert judge().code == 0
        for address in three.addresses.values():
            assert door.command("journal", "verify", address).code == 0
            assert door.command("journal", "diff", three.csv, address).code == 0

    def test_nothing_is_written_in_a_dry_run(self, three: Three, judge: Judge) -> None:
        assert judge("--dry-run").code == 0
        assert three.require_equal() == []
        assert not three.folder.exists()
        assert three.gcs.objects(BUCKET) == {}
        assert three.mongo.documents(DATABASE, "runs") == []

    def test_a_bucket_that_bears_one_write_of_an_object_a_second_refuses_none(
        self, three: Three, judge: Judge, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        three.gcs.one_write_a_second = True
        write_to(monkeypatch, "csv")
        assert judge(start=DAYS[0], end=DAYS[3]).code == 0
        write_to(monkeypatch, *WRITERS)
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", "1")  # would not do for a refusal of each symbol
        assert judge(start=DAYS[0], end=DAYS[6]).code == 0  # copied rows, then judged ones
        three.require_equal()
        raise_closes(market)
        time.sleep(1.1)  # what another process wrote just now, this one cannot know
        assert judge("--revise", start=DAYS[0], end=DAYS[6]).code == 0
        assert {row["revision"] for row in three.require_equal()} == {"1"}
        names = [call.name for call in three.gcs.calls if call.kind == "put" and "/runs/" not in call.name]
        # The file of feeds, two journals twice, then their histories and they themselves again.
        assert len(names) == 1 + 4 + 4

    def test_a_night_is_written_to_all(self, three: Three, door: Door, market: Market) -> None:
        told = door(*market.call, "--symbol", "QQQ,SPY", "--today", "--now", NIGHT)
        assert told.code == 0
        assert {row["trade_date"] for row in three.require_equal()} == {END}


def folder_in_the_place_of_the_file(three: Three) -> None:
    three.csv.mkdir(parents=True)


DOWN: Mapping[str, Mapping[str, Callable[[Three], None]]] = {
    "reading": {
        "csv": folder_in_the_place_of_the_file,
        "gcs": lambda three: three.gcs.misbehave(gcs_double.Status(503), times=FOREVER),
        "mongodb": lambda three: three.mongo.misbehave(mongo_double.Reset(), times=FOREVER),
    },
    "writing": {
        "gcs": lambda three: three.gcs.misbehave(
            gcs_double.Status(503), kind="put", name=lambda name: "/runs/" not in name, times=FOREVER
        ),
        "mongodb": lambda three: three.mongo.misbehave(mongo_double.Reset(), kind="insert", times=FOREVER),
    },
}


class TestOneIsDown:
    @pytest.fixture(autouse=True)
    def small_budget(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", "6")

    @pytest.mark.parametrize("writer", ["gcs", "mongodb"])
    @pytest.mark.parametrize("moment", DOWN)
    def test_the_others_keep_their_rows_and_a_later_run_completes_it_with_these(
        self, three: Three, judge: Judge, market: Market, writer: str, moment: str
    ) -> None:
        DOWN[moment][writer](three)
        told = judge("--json")
        assert told.code == 4
        assert told.json["not_durable"] == [three.addresses[writer]]
        assert all(three.addresses[writer].rstrip("/") in error["message"] for error in told.json["errors"])
        rows = three.rows()
        assert rows.pop(writer) == []
        assert [len(own) for own in rows.values()] == [2 * len(DAYS)] * 2
        durable = {place["place"] for place in told.json["places"] if place["added"]}
        assert all(any(place.startswith(three.addresses[other]) for place in durable) for other in rows)
        before = three.state()
        three.gcs.behave()
        three.mongo.behave()
        raise_closes(market)  # what is stored is copied, whatever the bars say now
        told = judge("--json")
        assert (told.code, told.json["counts"]["copied"], told.json["counts"]["judged"]) == (0, 2 * len(DAYS), 0)
        assert told.json["not_durable"] == []
        assert three.require_equal() == rows["csv"]
        after = three.state()
        assert {other: after[other] for other in rows} == {other: before[other] for other in rows}

    def test_a_person_reads_which_are_durable_and_which_are_not(self, three: Three, judge: Judge) -> None:
        DOWN["writing"]["mongodb"](three)
        told = judge()
        assert told.code == 4
        for address in (three.addresses["csv"], f"{three.addresses['gcs']}dp20-QQQ.csv"):
            assert re.search(
                rf"journal +{re.escape(address)} +\(14 added|journal +{re.escape(address)} +\(28", told.out
            )
        assert re.search(rf"lacking +{re.escape(three.addresses['mongodb'])}", told.out)
        assert "outcome   retry" in told.out

    def test_a_file_that_is_taken_by_a_folder_stops_only_its_writer(self, three: Three, judge: Judge) -> None:
        DOWN["reading"]["csv"](three)
        told = judge("--json")
        assert (told.code, told.json["not_durable"]) == (2, [str(three.csv)])
        three.csv.rmdir()
        assert judge().code == 0
        assert len(three.require_equal()) == 2 * len(DAYS)

    @pytest.mark.parametrize("writer", ["gcs", "mongodb"])
    def test_one_that_hangs_leaves_time_to_the_others_and_to_the_feed(
        self, three: Three, door: Door, market: Market, monkeypatch: pytest.MonkeyPatch, writer: str
    ) -> None:
        with AlpacaServer(alpaca_market(market)) as server:
            for name, value in server.settings.items():
                monkeypatch.setenv(name, value)
            three.gcs.misbehave(gcs_double.Hang(), times=FOREVER if writer == "gcs" else 0)
            three.mongo.misbehave(mongo_double.Hang(), times=FOREVER if writer == "mongodb" else 0)
            write_to(monkeypatch, writer, *(other for other in WRITERS if other != writer))
            began = time.monotonic()
            told = door("--symbol", "QQQ,SPY", "--start", START, "--end", END, "--json")
            assert time.monotonic() - began < 6 + 2
        assert (told.code, told.json["not_durable"]) == (4, [three.addresses[writer]])
        rows = three.rows()
        assert rows.pop(writer) == []
        assert [len(own) for own in rows.values()] == [2 * len(DAYS)] * 2

    def test_all_of_them_down_is_told_of_the_gravest(self, three: Three, judge: Judge) -> None:
        DOWN["reading"]["gcs"](three)
        DOWN["reading"]["mongodb"](three)
        DOWN["reading"]["csv"](three)
        assert judge().code == 2
        three.csv.rmdir()
        three.folder.rmdir()
        assert judge().code == 4
        assert len(rows_of(three.csv)) == 2 * len(DAYS)

    def test_a_record_that_cannot_be_kept_is_told_and_the_rows_are_there(self, three: Three, judge: Judge) -> None:
        three.gcs.misbehave(gcs_double.Status(503), kind="put", name=lambda name: "/runs/" in name, times=FOREVER)
        told = judge("--json")
        assert (told.code, told.json["not_durable"]) == (4, [])
        assert len(three.require_equal()) == 2 * len(DAYS)
        assert [len(own) for own in three.outcomes().values()] == [1, 0, 1]


class TestANewOne:
    def test_the_nightly_run_fills_its_last_sessions_and_tells_the_command_for_the_others(
        self, three: Three, door: Door, judge: Judge, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_to(monkeypatch, "csv")
        assert judge(end=DAYS[-2]).code == 0
        write_to(monkeypatch, *WRITERS)
        told = door(*market.call, "--symbol", "QQQ,SPY", "--today", "--now", NIGHT, "--json")
        assert (told.code, told.json["counts"]["judged"], told.json["counts"]["copied"]) == (0, 2, 2 * 2 * 9)
        rows = three.rows()
        assert [len(own) for own in rows.values()] == [28, 20, 20]
        commands = [
            warning.partition("copy them with: trading-playbook ")[2]
            for warning in told.json["warnings"]
            if "lacks 8 rows" in warning
        ]
        assert len(commands) == 2
        for command in commands:
            assert door.command(*shlex.split(command)).code == 0
        assert three.require_equal() == rows["csv"]
        before = three.state()
        told = door(*market.call, "--symbol", "QQQ,SPY", "--today", "--now", NIGHT, "--json")
        assert (told.code, told.json["warnings"], three.state()) == (0, [], before)

    def test_a_revised_row_comes_with_its_revision_and_what_it_replaced(
        self, three: Three, judge: Judge, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_to(monkeypatch, "csv")
        assert judge().code == 0
        raise_closes(market)
        assert judge("--revise", start=DAYS[2], end=DAYS[4]).code == 0
        write_to(monkeypatch, *WRITERS)
        assert judge().code == 0
        assert sorted(row["revision"] for row in three.require_equal()) == ["0"] * 22 + ["1"] * 6
        assert [len(own) for own in three.histories().values()] == [6, 6, 6]
        assert three.histories()["csv"] == three.histories()["gcs"] == three.histories()["mongodb"]


class TestContradictions:
    @pytest.fixture
    def torn(self, three: Three, judge: Judge, market: Market, monkeypatch: pytest.MonkeyPatch) -> Three:
        """The database holds other rows of three sessions than the file; the bucket holds none of them."""
        write_to(monkeypatch, "csv")
        assert judge(start=DAYS[2], end=DAYS[4]).code == 0
        raise_closes(market)
        write_to(monkeypatch, "mongodb")
        assert judge(start=DAYS[2], end=DAYS[4]).code == 0
        write_to(monkeypatch, *WRITERS)
        return three

    def test_both_places_are_named_the_rows_stay_and_all_others_are_written(self, torn: Three, judge: Judge) -> None:
        before = torn.rows()
        told = judge("--json")
        assert told.code == 5
        assert len(told.json["errors"]) == 6
        for error in told.json["errors"]:
            assert error["type"] == "ReviewConflict"
            assert set(error["columns"]) == {"sma200_daily_at_open"}
            for place in ("csv", "mongodb"):
                assert torn.addresses[place] in error["message"]
        after = torn.rows()
        disputed = {row["trade_date"] for row in before["csv"]}
        for writer in WRITERS:
            assert [row for row in after[writer] if row["trade_date"] in disputed] == before[writer]
        others = [[row for row in own if row["trade_date"] not in disputed] for own in after.values()]
        assert others[0] == others[1] == others[2]
        assert len(others[0]) == 2 * (len(DAYS) - 3)
        again = torn.state()
        assert judge().code == 5
        assert torn.state() == again

    @pytest.mark.parametrize("closes", ["of the file", "of the database", "of neither"])
    def test_revise_makes_them_the_same_in_all_their_histories_too(
        self, torn: Three, judge: Judge, market: Market, closes: str
    ) -> None:
        stored = torn.rows()
        raise_closes(market, {"of the file": -0.01, "of the database": 0.0, "of neither": 0.05}[closes])
        told = judge("--revise", "--json")
        assert (told.code, told.json["errors"], told.json["outcome"]) == (0, [], "done")
        rows = torn.require_equal()
        disputed = {row["trade_date"] for row in stored["csv"]}
        assert {row["revision"] for row in rows if row["trade_date"] in disputed} == {"1"}
        assert {row["revision"] for row in rows if row["trade_date"] not in disputed} == {"0"}
        histories = torn.histories()
        assert histories["csv"] == histories["gcs"] == histories["mongodb"]
        assert all(row in histories["csv"] for own in stored.values() for row in own)
        assert len(histories["csv"]) == 12
        before = torn.state()
        assert judge("--revise").code == 0
        assert torn.state() == before

    def test_a_dry_run_of_it_tells_what_would_become_and_touches_nothing(self, torn: Three, judge: Judge) -> None:
        before = torn.state()
        assert judge("--revise", "--dry-run").code == 0
        assert judge("--dry-run").code == 5
        assert torn.state() == before

    def test_what_a_revise_of_other_sessions_leaves_is_told_still(self, torn: Three, judge: Judge) -> None:
        told = judge("--revise", "--json", start=DAYS[3], end=DAYS[3])
        assert told.code == 5
        assert {error["session"] for error in told.json["errors"]} == {DAYS[2], DAYS[4]}

    def test_one_that_was_down_when_rows_were_revised_gets_them_by_the_next_revise(
        self, three: Three, judge: Judge, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert judge().code == 0
        raise_closes(market)
        DOWN["reading"]["mongodb"](three)
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", "6")
        assert judge("--revise").code == 4
        monkeypatch.delenv("RETRY_BUDGET_SECONDS")
        three.mongo.behave()
        assert judge().code == 5
        before = three.state()
        assert judge("--revise").code == 0
        assert {row["revision"] for row in three.require_equal()} == {"1"}
        after = three.state()
        assert (after["csv"], after["gcs"]) == (before["csv"], before["gcs"])
        assert three.histories()["mongodb"] == three.histories()["csv"]

    def test_a_row_that_was_changed_at_one_place_alone_is_a_conflict_of_both(self, three: Three, judge: Judge) -> None:
        assert judge().code == 0
        three.mongo.update(
            DATABASE, COLLECTION, {"trade_date": TRADED, "symbol": "QQQ"}, {"$set": {"sma200_daily_at_open": 1.5}}
        )
        told = judge("--json")
        assert told.code == 5
        (error,) = told.json["errors"]
        assert (error["symbol"], error["session"]) == ("QQQ", TRADED)
        assert error["columns"]["sma200_daily_at_open"][1] == "1.5"
        assert judge("--revise").code == 0
        rows = three.require_equal()
        assert [row["trade_date"] for row in rows if row["revision"] == "1"] == [TRADED]
        assert len(three.histories()["mongodb"]) == 2


class TestOrigin:
    SIMULATED = ("--feed", "simulated", "--start", START, "--end", END)

    def test_simulated_rows_go_nowhere_where_one_of_them_holds_real_ones(
        self, three: Three, door: Door, judge: Judge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for writer in WRITERS:
            write_to(monkeypatch, writer)
            assert judge(symbols="QQQ").code == 0
            write_to(monkeypatch, *WRITERS)
            before = three.state()
            told = door(*self.SIMULATED, "--symbol", "SPY")
            assert told.code == 2
            assert three.addresses[writer].rstrip("/") in told.err
            assert "simulated" in told.err
            assert three.state() == before
            if writer == "csv":
                three.csv.unlink()
            if writer == "gcs":
                three.gcs._buckets[BUCKET].clear()

    @pytest.mark.parametrize("first", ["simulated", "files"])
    def test_in_a_bucket_they_never_lie_beside_each_other_and_no_file_but_one_is_read_for_it(
        self, three: Three, door: Door, judge: Judge, monkeypatch: pytest.MonkeyPatch, first: str
    ) -> None:
        write_to(monkeypatch, "gcs")

        def simulated(symbol: str) -> Told:
            return door(*self.SIMULATED, "--symbol", symbol)

        def real(symbol: str) -> Told:
            return judge(symbols=symbol)

        one, other = (simulated, real) if first == "simulated" else (real, simulated)
        assert one("QQQ").code == 0
        before = three.gcs.objects(BUCKET)
        three.gcs.calls.clear()
        told = other("SPY")
        assert (told.code, "gs://playbook/output/trades/ would hold simulated rows" in told.err) == (2, True)
        assert [call.name for call in three.gcs.calls if call.kind == "get"] == [
            f"{FOLDER}feeds.json",
            f"{FOLDER}dp20-SPY.csv",
        ]
        assert three.gcs.objects(BUCKET) == before
        assert json.loads(before[f"{FOLDER}feeds.json"]) == {"feeds": [first]}
        assert one("SPY").code == 0


class TestRequests:
    @pytest.mark.parametrize("writers", ["csv,tape", "", " , ", "csv,gcs,csv", "mongo", "csv;gcs"])
    def test_writers_unknown_none_or_twice_end_before_any_fetch(
        self, door: Door, three: Three, market: Market, monkeypatch: pytest.MonkeyPatch, writers: str
    ) -> None:
        with AlpacaServer(alpaca_market(market)) as server:
            for name, value in server.settings.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("WRITER_TYPE", writers)
            told = door("--symbol", "QQQ", "--start", START, "--end", END)
            assert (told.code, "WRITER_TYPE" in told.err) == (2, True)
            assert server.calls() == 0
        assert three.gcs.calls == []
        assert three.mongo.calls == []

    @pytest.mark.parametrize("given", ["setting", "option"])
    @pytest.mark.parametrize("writers", [WRITERS, ("csv", "gcs")])
    def test_one_place_for_several_tables_is_refused(
        self, three: Three, judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str,
        writers: tuple[str, ...],
    ) -> None:  # fmt: skip
        write_to(monkeypatch, *writers)
        if given == "setting":
            monkeypatch.setenv("OUTPUT_LOCATION", str(tmp_path / "x.csv"))
        told = judge(*(("--output", tmp_path / "x.csv") if given == "option" else ()))
        assert (told.code, "several" in told.err) == (2, True)
        assert three.gcs.calls == []
        assert not (tmp_path / "x.csv").exists()

    def test_a_place_given_for_one_table_beside_a_database_is_taken(
        self, three: Three, judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        write_to(monkeypatch, "mongodb", "csv")
        assert judge("--output", tmp_path / "x.csv").code == 0
        assert rows_of(tmp_path / "x.csv") == three.rows()["mongodb"]

    @pytest.mark.parametrize("missing", ["GCS_BUCKET", "MONGODB_CONNECTION"])
    def test_a_setting_that_a_writer_lacks_is_named_and_no_other_is_written(
        self, three: Three, judge: Judge, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.delenv(missing)
        told = judge()
        assert (told.code, missing in told.err) == (2, True)
        assert three.require_equal() == []


def test_a_damaged_file_of_one_symbol_keeps_no_other_from_its_rows(
    three: Three, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_to(monkeypatch, "gcs")
    assert judge(symbols="SPY", end=DAYS[0]).code == 0
    for writers in (("gcs",), WRITERS):
        write_to(monkeypatch, *writers)
        three.gcs.write(BUCKET, f"{FOLDER}dp20-QQQ.csv", b"my shopping list\n")
        told = judge("--json")
        assert (told.code, told.json["not_durable"]) == (2, [three.addresses["gcs"]])
        assert f"{FOLDER}dp20-QQQ.csv is no journal" in told.json["errors"][0]["message"]
        assert [len(rows_of(content)) for content in three.objects().values()] == [0, len(DAYS)]
        assert three.objects()["QQQ"] == b"my shopping list\n"
    assert [len(own) for writer, own in three.rows().items() if writer != "gcs"] == [2 * len(DAYS)] * 2
    three.gcs._buckets[BUCKET].pop(f"{FOLDER}dp20-QQQ.csv")
    assert judge().code == 0
    assert len(three.require_equal()) == 2 * len(DAYS)
