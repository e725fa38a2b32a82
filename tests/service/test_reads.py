"""What the service tells of its journal: rows, runs, figures, readiness, metrics."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clocks import ManualClock
from tests.support.market import DAYS, END, START, Market
from tests.support.service import Service, problem_in
from trading_playbook.core.errors import RetryLater
from trading_playbook.service.calls import Calls

RANGE = {"symbol": "QQQ", "start": START, "end": END}


@pytest.fixture
def full(service: Service) -> Service:
    """A service with fourteen rows."""
    assert service.post(RANGE).status_code == 200
    return service


def figures(service: Service) -> dict[str, float]:
    text = service.get("/metrics").text
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    }


class TestJournal:
    def test_rows_as_json(self, full: Service) -> None:
        told = full.get("/journal").json()
        assert told["total"] == len(DAYS)
        assert [row["trade_date"] for row in told["rows"]] == list(DAYS)

    def test_rows_as_csv_are_the_journal_s_bytes(self, full: Service, journal: Path) -> None:
        answer = full.get("/journal", headers={"accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.content == journal.read_bytes()

    def test_filters(self, full: Service) -> None:
        def days(**query: str) -> list[str]:
            answer = full.get("/journal", params=query)
            assert answer.status_code == 200, answer.text
            return [row["trade_date"] for row in answer.json()["rows"]]

        assert days(start=DAYS[3], end=DAYS[5]) == list(DAYS[3:6])
        assert days(symbol="SPY") == []
        assert days(symbol="qqq,SPY") == list(DAYS)
        assert days(strategy="other") == []
        own = full.get("/stats").json()["params_hash"]
        assert days(params_hash=own) == list(DAYS)
        assert days(params_hash="p000000000000") == []
        entered, not_entered = days(entered="true"), days(entered="false")
        assert entered
        assert not_entered
        assert sorted([*entered, *not_entered]) == list(DAYS)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("symbol", "../x"), ("start", "2025-2-3"), ("end", "20250203"), ("entered", "perhaps"), ("limit", "0"),
            ("limit", "100000"), ("offset", "-1"), ("params_hash", "x"), ("start", "x" * 300), ("strategy", "x" * 300),
            ("symbol", "\0"), ("limit", "NaN"),
        ],
    )  # fmt: skip
    def test_a_wrong_filter_is_named(self, full: Service, name: str, value: str) -> None:
        told = problem_in(full.get("/journal", params={name: value}), 422)
        assert name in told["detail"]
        assert told["detail"].count("x") < 200

    def test_pages_lead_through_all_rows(self, full: Service) -> None:
        seen: list[str] = []
        path: str | None = "/journal?limit=4&symbol=QQQ"
        while path:
            answer = full.get(path)
            assert answer.headers["x-total-count"] == str(len(DAYS))
            seen += [row["trade_date"] for row in answer.json()["rows"]]
            link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
            path = link[1] if link else None
        assert seen == list(DAYS)

    def test_csv_pages_are_journals(self, full: Service) -> None:
        answer = full.get("/journal?limit=4&offset=12", headers={"accept": "text/csv"})
        assert [row["trade_date"] for row in csv.DictReader(io.StringIO(answer.text))] == list(DAYS[12:])

    def test_who_has_the_content_already_is_told_304(self, full: Service, market: Market) -> None:
        first = full.get("/journal")
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = full.get("/journal", headers={"if-none-match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        assert full.get("/journal", headers={"if-none-match": '"other"'}).status_code == 200
        assert full.get("/journal?limit=3").headers["etag"] != tag
        assert "accept" in first.headers["vary"].lower()

    def test_an_empty_journal_is_no_error(self, service: Service) -> None:
        assert service.get("/journal").json() == {"total": 0, "offset": 0, "rows": []}
        assert service.get("/stats").json()["all"]["trades"] == 0
        assert service.get("/runs").json() == {"runs": []}


class TestRuns:
    def test_runs_are_told_newest_first_and_each_whole(self, full: Service, clock: ManualClock) -> None:
        clock._passed += 60
        second = full.post(RANGE).json()
        runs = full.get("/runs").json()["runs"]
        assert [run["outcome"] for run in runs] == ["already_done", "done"]
        assert full.get("/runs?limit=1").json()["runs"] == runs[:1]
        whole = full.get(f"/runs/{second['run_id']}").json()
        assert whole["run_id"] == second["run_id"]
        assert whole["request"]["symbols"] == ["QQQ"]

    @pytest.mark.parametrize("run_id", ["000000000000", "..%2f..%2fetc%2fpasswd", "x" * 65, "%00", "a%0Ab"])
    def test_a_run_that_is_not_there_is_404(self, full: Service, run_id: str) -> None:
        answer = full.get(f"/runs/{run_id}")
        assert answer.status_code in (404, 422)
        problem_in(answer, answer.status_code)


class TestStats:
    def test_the_trailing_sessions_and_all(self, full: Service) -> None:
        told = full.get("/stats").json()
        assert told["symbols"] == ["QQQ"]
        assert told["strategy"] == "dp20"
        assert told["all"] == told["trailing_30_sessions"]
        assert told["all"]["trades"] > 0


class TestReady:
    def test_a_store_that_is_down_is_503_in_one_word_and_remembered(
        self, service: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def down(*_: object) -> None:
            asked.append(1)
            raise RetryLater("/some/where/trades.csv is gone")

        assert service.get("/ready").json() == {"status": "ready"}
        clock._passed += 5
        monkeypatch.setattr(Calls, "require_ready", down)
        for method in ("GET", "HEAD", "GET"):
            answer = service(method, "/ready")
            assert answer.status_code == 503
            assert "where" not in answer.text
            assert int(answer.headers["retry-after"]) >= 1
        assert len(asked) == 1
        monkeypatch.undo()
        clock._passed += 5
        assert asked == [1]

    def test_a_bug_in_looking_is_not_ready(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise KeyError("inside")

        monkeypatch.setattr(Calls, "require_ready", broken)
        assert "inside" not in service.get("/ready").text
        problem_in(service.get("/ready"), 503, "not_ready")

    def test_a_place_that_is_no_folder_is_not_ready(
        self, settings: Callable[..., None], clock: ManualClock, own_folder: Path
    ) -> None:
        Path("file").write_text("")
        settings(OUTPUT_DIR="file/deep")
        service = Service(clock)
        problem_in(service.get("/ready"), 503)
        assert service.get("/health").status_code == 200


class TestMetrics:
    def test_gauges_come_from_the_journal_and_survive_a_restart(self, full: Service, clock: ManualClock) -> None:
        clock._passed += 60
        before, after = figures(full), figures(Service(clock))
        assert before["playbook_trades"] in (0.0, 1.0)
        for name in (
            "playbook_win_rate_30", "playbook_expectancy_r", "playbook_drawdown_r", "playbook_trades",
            "playbook_last_session_timestamp_seconds", "playbook_journal_readable",
        ):  # fmt: skip
            assert before[name] == after[name], name
        assert before["playbook_last_session_timestamp_seconds"] == 1764892800.0

    def test_counters_count_runs_rows_and_errors(self, full: Service, market: Market) -> None:
        full.post(RANGE)
        full.post({"symbol": "QQQ", "start": "2025-11-29", "end": "2025-11-30"})
        market.set(DAYS[5], "10:30", close=-1.0)
        full.post({"symbol": "QQQ", "start": DAYS[5], "end": DAYS[5], "cost": "bps:1"})
        found = figures(full)
        assert found['playbook_runs_total{outcome="done"}'] == 1
        assert found['playbook_runs_total{outcome="already_done"}'] == 1
        assert found['playbook_runs_total{outcome="usage"}'] == 1
        assert found['playbook_runs_total{outcome="data"}'] == 1
        assert found['playbook_rows_total{outcome="added"}'] == len(DAYS)
        assert found['playbook_errors_total{kind="data"}'] == 1
        assert found["playbook_run_seconds_count"] == 3

    def test_nothing_that_came_in_becomes_a_label(self, full: Service) -> None:
        for number in range(30):
            full.get(f"/nothing/{number}")
            full.post({"symbol": f"A{number}", "start": DAYS[0], "end": DAYS[0], "cost": f"bps:{number}"})
            full.post({"strategy": f"s{number}"})
        series = figures(full)
        assert len(series) < 120
        assert not [name for name in series if "A1" in name or "s1" in name]

    def test_a_journal_that_cannot_be_read_leaves_the_counters(
        self, full: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: object) -> None:
            raise RetryLater("gone")

        monkeypatch.setattr(Calls, "standing", down)
        found = figures(full)
        assert found["playbook_journal_readable"] == 0
        assert found["playbook_win_rate_30"] != found["playbook_win_rate_30"]
        assert found['playbook_runs_total{outcome="done"}'] == 1

    def test_no_trades_have_no_rate(self, service: Service) -> None:
        found = figures(service)
        assert found["playbook_win_rate_30"] != found["playbook_win_rate_30"]
        assert found["playbook_journal_readable"] == 1


def test_the_description_of_the_interface_is_json(full: Service) -> None:
    assert json.loads(full.get("/openapi.json").content)["paths"].keys() >= {"/backtest", "/journal", "/runs", "/stats"}
