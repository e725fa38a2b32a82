"""What the service logs: a JSON line an event, the run's figures, the trace; never a secret or a forged line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.alpaca_double import AlpacaServer, alpaca_market, status
from tests.support.clocks import ManualClock
from tests.support.market import DAYS, END, START, Market
from tests.support.service import Service

RANGE = {"symbol": "QQQ", "start": START, "end": END}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """stderr as what it must be: one JSON object a line."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all({"severity", "message", "time"} <= line.keys() for line in lines)
    return lines


def runs_in(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("event") == "run"]


def test_each_run_leaves_one_line_with_its_figures(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    told = service.post(RANGE).json()
    (line,) = runs_in(lines_of(capsys))
    assert (line["severity"], line["run_id"], line["outcome"]) == ("INFO", told["run_id"], "done")
    assert (line["judged"], line["rows_added"], line["last_session"]) == (len(DAYS), len(DAYS), DAYS[-1])
    assert {"win_rate_30", "expectancy_r", "drawdown_r", "api_calls", "cache_hit_ratio", "seconds"} <= line.keys()
    figures = service.get("/metrics").text
    assert f"playbook_drawdown_r {line['drawdown_r']}" in figures


def test_trouble_is_a_line_of_its_own_with_symbol_and_session(
    service: Service, market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    market.set(DAYS[-1], "10:30", close=-1.0)
    told = service.post(RANGE).json()
    lines = lines_of(capsys)
    (error,) = [line for line in lines if line.get("event") == "error of a run"]
    assert (error["run_id"], error["symbol"], error["session"]) == (told["run_id"], "QQQ", DAYS[-1])
    assert error["severity"] == runs_in(lines)[0]["severity"] == "ERROR"


def test_a_run_that_is_refused_as_a_whole_leaves_a_line_too(
    settings: Callable[..., None], clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    settings(DATA_DIR="nowhere", OUTPUT_DIR="/dev/null/x")
    Service(clock).post()
    (line,) = runs_in(lines_of(capsys))
    assert (line["outcome"], line["severity"]) == ("config", "ERROR")


@pytest.mark.parametrize(
    ("header", "value", "found"),
    [
        ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01", f"projects/mine/traces/{TRACE_ID}"),
        ("x-cloud-trace-context", f"{TRACE_ID.upper()}/123;o=1", f"projects/mine/traces/{TRACE_ID}"),
        ("x-cloud-trace-context", TRACE_ID, f"projects/mine/traces/{TRACE_ID}"),
        ("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        ("traceparent", "00-nothing-01", None),
        ("traceparent", f"00-{TRACE_ID}x-1-1", None),
        ("x-cloud-trace-context", "/" * 3000, None),
    ],
)
def test_lines_bear_the_trace_of_the_call(
    settings: Callable[..., None],
    clock: ManualClock,
    capsys: pytest.CaptureFixture[str],
    header: str,
    value: str,
    found: str | None,
) -> None:
    service = Service(clock, {"GOOGLE_CLOUD_PROJECT": "mine"})
    capsys.readouterr()
    service("POST", "/backtest", headers={header: value})
    service("POST", "/backtest", content='{"symbol": "/"}', headers={header: value, "content-type": "application/json"})
    lines = lines_of(capsys)
    assert len(lines) >= 3
    assert {line.get("logging.googleapis.com/trace") for line in lines} == {found}


def test_what_comes_in_cannot_forge_a_line(
    service: Service, settings: Callable[..., None], clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"severity": "ERROR", "event": "run", "outcome": "forged"}'
    forged = f"\n{line}\n2026-01-01T00:00:00Z ERROR forged\u2028\x85\x1b[31m"
    for called in (service, Service(clock)):
        called.post({"symbol": forged})
        called.post({"strategy": forged})
        called.post({"params": {forged: 1}})
        called.post({forged: 1})
        called.get("/journal", params={"symbol": forged, "start": forged})
        called.get("/runs/" + "%0A%7B%22event%22%3A%22run%22%7D")
        for text in capsys.readouterr().err.splitlines():
            assert json.loads(text).get("outcome") != "forged"
        settings(LOG_FORMAT="text")
    Service(clock).post({"symbol": forged})
    for text in capsys.readouterr().err.split("\n"):
        assert not text.startswith(("{", "2026-01-01"))
        assert text.isprintable()


def test_no_secret_leaves_by_any_door(
    settings: Callable[..., None], clock: ManualClock, market: Market, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = ("CANARYKEY0123456789", "canary-secret-0123456789", "canary-password-0123")
    with AlpacaServer(alpaca_market(market), key=canaries[0], secret=canaries[1]) as alpaca:
        settings(
            DATA_FEED="alpaca", DATA_CACHE_DIR="cache", LOG_LEVEL="DEBUG", RETRY_BUDGET_SECONDS="0.5",
            MONGODB_CONNECTION=f"mongodb://user:{canaries[2]}@127.0.0.1:9/?serverSelectionTimeoutMS=100",
            **alpaca.settings,
        )  # fmt: skip
        service = Service(clock)
        told: list[str] = []

        def hear() -> None:
            told.extend(answer.text for answer in (service.post(RANGE), service.post()))
            told.extend(service.get(path).text for path in ("/metrics", "/ready", "/runs", "/stats", "/journal"))

        hear()
        for fault in (status(401), status(403), status(500)):
            alpaca.misbehave(fault, times=None)
            told.append(service.post({**RANGE, "force_refresh": True}).text)
            alpaca.behave()
        settings(WRITER_TYPE="csv,mongodb")
        service = Service(clock)
        hear()
    told.append(capsys.readouterr().err)
    told += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for canary in canaries:
        assert not [text for text in told if canary in text], canary
