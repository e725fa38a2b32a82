"""What POST /backtest answers for each way a run can end, and what lies in the journal then."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.alpaca_double import AlpacaServer, alpaca_market, status, without_symbol
from tests.support.clocks import ManualClock
from tests.support.door import process, rows_of, tree
from tests.support.market import DAYS, END, START, Market, make_market, story_market
from tests.support.service import Service, problem_in
from trading_playbook.core.errors import RetryLater
from trading_playbook.service.calls import Calls
from trading_playbook.stores.local import LocalStore

RANGE = {"symbol": "QQQ", "start": START, "end": END}
LAST = DAYS[-1]


def require_no_paths(text: str, tmp_path: Path) -> None:
    assert str(tmp_path) not in text
    assert "journal/" not in text
    assert not re.search(r"[\"' ]/\w+/", text), text


class TestDone:
    def test_a_range_is_judged_and_the_answer_tells_of_it(self, service: Service, journal: Path) -> None:
        told = service.post(RANGE).json()
        assert told["outcome"] == "done"
        assert told["counts"]["added"] == told["counts"]["judged"] == len(DAYS)
        assert [row["trade_date"] for row in told["rows"]] == list(DAYS)
        assert {"run_id", "warnings", "statistics", "seconds", "api_calls", "cache_hits", "places"} <= told.keys()
        assert {"dollars", "source", "as_of"} <= told["estimated_cost"].keys()
        assert len(rows_of(journal)) == len(DAYS)

    def test_the_same_call_again_changes_nothing_and_says_so(self, service: Service, journal: Path) -> None:
        first = service.post(RANGE).json()
        before = journal.read_bytes()
        for _ in range(2):
            again = service.post(RANGE)
            assert again.status_code == 200
            assert again.json()["outcome"] == "already_done"
            assert again.json()["rows"] == first["rows"]
            assert journal.read_bytes() == before

    def test_the_journal_is_the_command_line_s_byte_for_byte(
        self, service: Service, market: Market, journal: Path, tmp_path: Path
    ) -> None:
        assert service.post(RANGE).status_code == 200
        other = tmp_path / "cli" / "trades.csv"
        call = ("--symbol", "QQQ", "--start", START, "--end", END, "--output", other)
        assert process(*market.call, *call, cwd=tmp_path).code == 0
        assert journal.read_bytes() == other.read_bytes()

    def test_three_missed_nights_heal_at_the_next_call(
        self, service: Service, clock: ManualClock, market: Market, journal: Path, tmp_path: Path
    ) -> None:
        clock._start = datetime(2025, 12, 1, 22, 0, tzinfo=UTC)
        assert service.post().json()["counts"]["added"] == 1
        clock._start = datetime(2025, 12, 5, 22, 0, tzinfo=UTC)
        assert service.post().json()["counts"]["added"] == 4
        assert [row["trade_date"] for row in rows_of(journal)] == list(DAYS[-5:])
        other = tmp_path / "cli" / "trades.csv"
        call = ("--symbol", "QQQ", "--start", "2025-12-01", "--end", END, "--output", other)
        assert process(*market.call, *call, cwd=tmp_path).code == 0
        assert journal.read_bytes() == other.read_bytes()

    def test_a_closed_day_with_nothing_missing_is_closed(self, service: Service, clock: ManualClock) -> None:
        assert service.post().json()["outcome"] == "done"
        clock._start = datetime(2025, 12, 6, 22, 0, tzinfo=UTC)
        answer = service.post()
        assert (answer.status_code, answer.json()["outcome"]) == (200, "closed")

    def test_a_dry_run_writes_nothing(self, service: Service, tmp_path: Path) -> None:
        before = tree(tmp_path)
        told = service.post({**RANGE, "dry_run": True}).json()
        assert (told["outcome"], told["counts"]["judged"]) == ("done", len(DAYS))
        assert tree(tmp_path) == before

    def test_parameters_and_costs_of_a_body_count(self, service: Service, journal: Path) -> None:
        body = {**RANGE, "params": {"stop_atr": 1.5, "window_end": "10:44"}, "cost": "bps:1.5"}
        told = service.post(body).json()
        assert told["outcome"] == "done"
        assert {row["params_hash"] for row in rows_of(journal)} != {Service().state.calls.play.params_hash}


class TestTooEarly:
    @pytest.mark.parametrize("body", [None, {"start": START, "end": END}])
    def test_today_not_settled_is_425_with_the_wait_and_the_rest_is_written(
        self, service: Service, clock: ManualClock, journal: Path, body: object
    ) -> None:
        clock._start = datetime(2025, 12, 5, 21, 19, 59, tzinfo=UTC)
        answer = service.post(body)
        told = problem_in(answer, 425, "too_early")
        assert int(answer.headers["retry-after"]) == 1
        assert told["run_id"]
        assert rows_of(journal)[-1]["trade_date"] == DAYS[-2]
        clock._passed += int(answer.headers["retry-after"])
        assert service.post(body).status_code == 200
        assert rows_of(journal)[-1]["trade_date"] == LAST


class TestConflict:
    def test_a_row_that_differs_is_409_with_its_columns_until_it_is_revised(
        self, settings: Callable[..., None], clock: ManualClock, tmp_path: Path, journal: Path
    ) -> None:
        market = story_market(tmp_path / "story", "2025-12-03")
        settings(DATA_DIR=str(market.root))
        service, day = Service(clock), {"symbol": "QQQ", "start": "2025-12-03", "end": "2025-12-03"}
        assert service.post(day).status_code == 200
        before = journal.read_bytes()
        market.set("2025-12-03", "15:54", close=100.25)
        told = problem_in(service.post(day), 409, "conflict")
        assert (told["symbol"], told["session"]) == ("QQQ", "2025-12-03")
        assert told["columns"]["eod_exit_price"] == ["100.0", "100.25"]
        assert journal.read_bytes() == before
        assert service.post({**day, "revise": True}).json()["counts"]["revised"] == 1
        assert service.post(day).json()["outcome"] == "already_done"


class TestData:
    def test_a_bad_bar_is_502_with_bar_and_field_and_harms_no_other_session(
        self, service: Service, market: Market, journal: Path, tmp_path: Path
    ) -> None:
        market.set(DAYS[5], "10:30", close=-1.0)
        answer = service.post(RANGE)
        told = problem_in(answer, 502, "data")
        assert (told["symbol"], told["session"], told["bar"], told["field"]) == ("QQQ", DAYS[5], "10:30", "close")
        assert told["report"]["counts"]["added"] >= len(DAYS) - 2
        assert len(rows_of(journal)) == told["report"]["counts"]["added"]
        require_no_paths(answer.text, tmp_path)

    def test_one_bad_symbol_harms_no_other(
        self, settings: Callable[..., None], clock: ManualClock, tmp_path: Path, journal: Path
    ) -> None:
        market = make_market(tmp_path / "two", ("QQQ", "SPY"))
        market.set(DAYS[5], "10:30", "SPY", high=0.0)
        settings(DATA_DIR=str(market.root))
        told = problem_in(Service(clock).post({**RANGE, "symbol": None, "symbols": "QQQ,SPY"}), 502, "data")
        assert told["symbol"] == "SPY"
        assert [row["trade_date"] for row in rows_of(journal) if row["symbol"] == "QQQ"] == list(DAYS)
        assert told["report"]["counts"]["added"] == len(rows_of(journal))

    def test_an_open_session_without_bars_is_503_with_a_wait(
        self, service: Service, market: Market, journal: Path
    ) -> None:
        market.cut(LAST, "09:30")
        answer = service.post(RANGE)
        told = problem_in(answer, 503, "no_data")
        assert told["session"] == LAST
        assert int(answer.headers["retry-after"]) >= 1
        assert [row["trade_date"] for row in rows_of(journal)] == list(DAYS[:-1])
        accepted = service.post({**RANGE, "accept": [f"QQQ:{LAST}"]})
        assert accepted.status_code == 200, accepted.text
        assert rows_of(journal)[-1]["trade_date"] == LAST

    def test_a_symbol_without_a_file_is_one_bad_key(self, service: Service, tmp_path: Path, journal: Path) -> None:
        answer = service.post({**RANGE, "symbol": None, "symbols": ["QQQ", "NVDA"]})
        told = problem_in(answer, 422, "usage")
        assert "NVDA" in told["detail"]
        require_no_paths(answer.text, tmp_path)
        assert len(rows_of(journal)) == len(DAYS)


class TestUpstream:
    @pytest.fixture
    def alpaca(self, market: Market, settings: Callable[..., None]) -> Iterator[AlpacaServer]:
        with AlpacaServer(alpaca_market(market)) as server:
            settings(DATA_FEED="alpaca", DATA_CACHE_DIR="cache", **server.settings)
            yield server

    def test_down_is_503_with_a_wait_and_back_is_200(
        self, alpaca: AlpacaServer, clock: ManualClock, journal: Path
    ) -> None:
        service = Service(clock)
        alpaca.misbehave(status(503), times=None)
        answer = service.post(RANGE)
        problem_in(answer, 503, "retry")
        assert int(answer.headers["retry-after"]) >= 1
        assert not journal.exists() or rows_of(journal) == []
        alpaca.behave()
        assert service.post(RANGE).json()["outcome"] == "done"
        calls = alpaca.calls()
        assert service.post(RANGE).json()["api_calls"] == 0
        assert alpaca.calls() == calls

    def test_refused_keys_are_500_of_their_own_type(self, alpaca: AlpacaServer, clock: ManualClock) -> None:
        alpaca.misbehave(status(401), times=None)
        answer = Service(clock).post(RANGE)
        told = problem_in(answer, 500, "config")
        assert alpaca.secret not in answer.text
        assert alpaca.key not in answer.text
        assert "ALPACA" in told["detail"]

    def test_keys_that_are_not_set_are_500_and_not_ready(
        self, alpaca: AlpacaServer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ALPACA_SECRET_KEY")
        service = Service(clock)
        assert "ALPACA_SECRET_KEY" in problem_in(service.post(RANGE), 500, "config")["detail"]
        problem_in(service.get("/ready"), 503, "not_ready")
        assert alpaca.calls() == 0

    def test_one_symbol_without_bars_is_503_and_the_other_one_is_written(
        self, alpaca: AlpacaServer, clock: ManualClock, journal: Path
    ) -> None:
        alpaca.market.bars = {**alpaca.market.bars, "SPY": alpaca.market.bars["QQQ"]}
        alpaca.market.closes = {**alpaca.market.closes, "SPY": alpaca.market.closes["QQQ"]}
        alpaca.misbehave(without_symbol("SPY"), kind="bars", times=None)
        answer = Service(clock).post({**RANGE, "symbol": None, "symbols": "QQQ,SPY"})
        assert answer.status_code == 503
        assert [row["trade_date"] for row in rows_of(journal)] == list(DAYS)


class TestPlaces:
    def test_a_place_that_cannot_be_written_is_500_without_its_path(
        self, settings: Callable[..., None], clock: ManualClock, tmp_path: Path
    ) -> None:
        (tmp_path / "a file").write_text("")
        settings(OUTPUT_DIR=str(tmp_path / "a file" / "deep"))
        answer = Service(clock).post(RANGE)
        problem_in(answer, 500, "config")
        require_no_paths(answer.text, tmp_path)

    def test_a_relative_place_is_not_told_either(
        self, settings: Callable[..., None], clock: ManualClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("some").write_text("")
        settings(OUTPUT_DIR="some/where")
        answer = Service(clock).post(RANGE)
        told = problem_in(answer, 500, "config")
        assert "some/where" not in answer.text
        assert "trades.csv" in told["detail"]
        assert "some/where" in capsys.readouterr().err

    def test_a_journal_of_another_kind_is_told_without_its_path(
        self, service: Service, journal: Path, tmp_path: Path
    ) -> None:
        journal.parent.mkdir()
        journal.write_text("this,is,no\njournal,of,ours\n")
        answer = service.post(RANGE)
        assert answer.status_code in (409, 422, 500, 502)
        assert "trades.csv" in answer.text
        require_no_paths(answer.text, tmp_path)

    def test_a_full_disk_is_503_and_the_next_call_completes_it(
        self, service: Service, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise RetryLater(f"{journal.absolute()} cannot be written: No space left on device", retry_after_seconds=30)

        with monkeypatch.context() as broken:
            broken.setattr(LocalStore, "put", full)
            answer = service.post(RANGE)
        problem_in(answer, 503, "retry")
        assert answer.headers["retry-after"] == "30"
        require_no_paths(answer.text, tmp_path)
        assert service.post(RANGE).json()["outcome"] == "done"


class TestBug:
    def test_a_bug_tells_an_id_only_and_the_log_has_the_rest(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("a secret of the inside")

        monkeypatch.setattr(Calls, "backtest", broken)
        answer = service.post(RANGE)
        told = problem_in(answer, 500, "bug")
        assert set(told) == {"type", "title", "status", "detail", "run_id"}
        assert "inside" not in answer.text
        assert "ZeroDivision" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        (found,) = [line for line in lines if "stack_trace" in line]
        assert found["run_id"] == told["run_id"]
        assert "a secret of the inside" in found["stack_trace"]

    def test_a_bug_that_one_session_brings_out_is_logged_under_the_run_s_id(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: object) -> None:
            raise KeyError("inside")

        monkeypatch.setattr("trading_playbook.runs.execution.prepare", broken)
        answer = service.post(RANGE)
        told = problem_in(answer, 500, "bug")
        assert set(told) == {"type", "title", "status", "detail", "run_id"}
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [line["run_id"] for line in lines if "stack_trace" in line] == [told["run_id"]]

    def test_a_reading_that_breaks_after_the_run_does_not_undo_the_answer(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise KeyError("inside")

        monkeypatch.setattr(Calls, "standing", broken)
        assert service.post(RANGE).status_code == 200


class TestStarting:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("STRATEGY", "nope"),
            ("STRATEGY_PARAMS", "stop_atr=-1"),
            ("COST", "nope"),
            ("SYMBOLS", "../x"),
            ("RUN_DEADLINE_SECONDS", "1"),
            ("AUTH", "maybe"),
            ("CALENDAR_OVERRIDES", "x"),
        ],
    )
    def test_a_wrong_setting_keeps_the_service_from_starting(
        self, settings: Callable[..., None], name: str, value: str
    ) -> None:
        settings(**{name: value})
        with pytest.raises(Exception) as failed:  # noqa: PT011 # FixConfig or FixRequest, looked at below
            Service()
        assert type(failed.value).__name__ in ("FixConfig", "FixRequest")

    def test_places_that_the_settings_get_wrong_are_no_fault_of_the_request(
        self, settings: Callable[..., None], clock: ManualClock
    ) -> None:
        settings(OUTPUT_LOCATION="x.csv", WRITER_TYPE="mongodb", MONGODB_CONNECTION="mongodb://127.0.0.1:9")
        service = Service(clock)
        problem_in(service.post(RANGE), 500, "config")
        problem_in(service.get("/ready"), 503)
