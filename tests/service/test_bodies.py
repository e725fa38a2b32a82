"""What POST /backtest takes for a request, and what it refuses by name."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.door import rows_of, tree
from tests.support.market import DAYS, END, START
from tests.support.service import JSON, Service, chunks, problem_in
from trading_playbook.service import guard

RANGE = {"symbol": "QQQ", "start": START, "end": END}
DAY = {"start": "2025-12-05", "end": "2025-12-05"}

NO_SYMBOLS = ("../../x", "A%2F..", "Q\0Q", "Q\nQ", "Q" * 300, "/etc/passwd", "QQQ/../../x", "=cmd()", "")
NO_DAYS = ("20260203", "2026-2-3", "2025-11-03+00:00", "2025-11-03T00:00:00Z", "2025-02-29", "1704067200", "NaN", "")


def anything(*values: object) -> tuple[object, ...]:
    return values


def wrong_bodies() -> list[tuple[str, str]]:
    """(body, the field that must be named)"""
    found = [
        *((json.dumps({"symbol": text}), "symbol") for text in NO_SYMBOLS),
        *((json.dumps({"symbols": [text]}), "symbols") for text in NO_SYMBOLS),
        *((json.dumps({**DAY, "start": text}), "start") for text in NO_DAYS),
        *((json.dumps({**DAY, "end": text}), "end") for text in NO_DAYS),
        *((json.dumps({"symbol": symbol}), "symbol") for symbol in anything(1, True, ["QQQ"], {}, 1.5)),
        *((json.dumps({"symbols": symbols}), "symbols") for symbols in anything(1, [1], [["QQQ"]], {"QQQ": 1}, [])),
        *((json.dumps({**DAY, "start": day}), "start") for day in anything(1704067200, 1.7e9, True, [], {})),
        *((json.dumps({"params": params}), "param") for params in anything(1, "stop_atr=1", [], {"stop_atr": []})),
        *(
            (json.dumps({"params": {"stop_atr": value}}), "stop_atr")
            for value in ("NaN", "Infinity", "-inf", "nan", "1e999", -1, True, "x" * 500)
        ),
        *((json.dumps({"params": {name: 1}}), "param") for name in ("nope", "", "x" * 400, "\ud800", "a\nb")),
        *((json.dumps({"cost": cost}), "cost") for cost in ("bps:NaN", "bps:Infinity", "x" * 400, 1, "bps:-1")),
        *(
            (json.dumps({"accept": accept}), "accept")
            for accept in anything("QQQ:2025-12-05", [1], ["QQQ"], ["../x:2025-12-05"])
        ),
        *((json.dumps({name: "yes"}), name) for name in ("revise", "dry_run", "force_refresh")),
        *((json.dumps({name: 1}), name) for name in ("revise", "dry_run", "force_refresh")),
        *((json.dumps({name: 1}), name[:40]) for name in ("nope", "notify_urls", "url", "x" * 3000, "output")),
        ('{"params": {"stop_atr": NaN}}', "NaN"),
        ('{"params": {"stop_atr": Infinity}}', "Infinity"),
        ('{"params": {"stop_atr": -Infinity}}', "Infinity"),
        ('{"params": {"stop_atr": 1e999}}', "stop_atr"),
        ('{"symbol": "QQQ", "symbol": "SPY"}', "symbol"),
        ('{"params": {"stop_atr": 1, "stop_atr": 2}}', "stop_atr"),
        ('{"\\ud800": 1}', ""),
        ('{"symbol": "\\ud800"}', "symbol"),
        (json.dumps({"strategy": "nope"}), "strategy"),
        (json.dumps({"strategy": "\ud800" * 100}), "strategy"),
        (json.dumps({"symbol": "QQQ", "symbols": ["QQQ"]}), "symbol"),
        (json.dumps({"start": START}), "end"),
        (json.dumps({"end": END}), "start"),
        (json.dumps({"start": END, "end": START}), "end"),
        (json.dumps({"start": "2025-11-29", "end": "2025-11-30"}), "closed"),
        (json.dumps({"start": START, "end": "2025-12-08"}), "after today"),
        (json.dumps({"start": "1998-01-05", "end": END}), "trading-playbook backtest"),
        (json.dumps({"symbols": [f"A{n}" for n in range(600)], "start": START, "end": END}), "trading-playbook"),
        ("[]", "object"),
        ('"QQQ"', "object"),
        ("null", "object"),
        ("1", "object"),
    ]
    return found


@pytest.mark.parametrize(("body", "named"), wrong_bodies(), ids=lambda value: ascii(value)[:60])
def test_what_is_not_certain_is_refused_by_the_name_of_its_field(
    service: Service, tmp_path: Path, body: str, named: str
) -> None:
    before = tree(tmp_path)
    told = problem_in(service.post(body), 422, "usage")
    assert named in told["detail"]
    assert tree(tmp_path) == before
    assert told["detail"].count("x") < 200
    assert told["detail"].count("Q") < 200
    assert "\n" not in told["detail"]
    assert "\0" not in told["detail"]


@pytest.mark.parametrize(
    "body",
    ["{", "no", b"\xff\xfe", '{"a": 1,}', "{'a': 1}", "[" * 20_000, b"\xef\xbb\xbf{}", "{}{}", "9" * 5000, "\n", " "],
)
def test_what_is_no_json_is_400(service: Service, body: str | bytes) -> None:
    problem_in(service.post(body), 400, "no_json")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "text/json", "x", "application/xml"]
)
def test_another_content_type_is_415_and_an_empty_body_of_it_is_the_nightly_run(service: Service, kind: str) -> None:
    headers = {"content-type": kind}
    problem_in(service("POST", "/backtest", content='{"symbol": "QQQ"}', headers=headers), 415)
    assert service("POST", "/backtest", content="", headers=headers).status_code == 200


def test_an_empty_body_without_or_with_a_content_type_is_the_nightly_run(service: Service, journal: Path) -> None:
    for headers in ({}, JSON, {"content-type": "application/octet-stream"}):
        assert service("POST", "/backtest", headers=headers).status_code == 200
    assert [row["trade_date"] for row in rows_of(journal)] == [DAYS[-1]]
    assert service.post("{}").status_code == 200
    assert service(
        "POST", "/backtest", content="{}", headers={"content-type": "application/json; charset=utf-8"}
    ).is_success


def test_a_body_that_is_declared_too_long_is_refused_before_it_is_read(service: Service) -> None:
    taken: list[int] = []
    headers = {**JSON, "content-length": str(10 * 2**20)}
    answer = service("POST", "/backtest", content=chunks(b"x" * 1024, 10_240, taken), headers=headers)
    problem_in(answer, 413)
    assert taken == []
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("declared", ["-1", "1e3", "0x10", "9" * 5000, "\xb2"])
def test_a_declared_length_that_is_none_is_refused(service: Service, declared: str) -> None:
    headers = [(b"content-length", declared.encode("latin-1")), (b"content-type", b"application/json")]
    assert service("POST", "/backtest", content=chunks(b"{}", 1), headers=headers).status_code == 413


def test_endless_chunks_are_refused_with_bounded_memory(service: Service) -> None:
    taken: list[int] = []
    tracemalloc.start()
    try:
        answer = service("POST", "/backtest", content=chunks(b"x" * 2**16, 2**20, taken), headers=JSON)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    problem_in(answer, 413)
    assert len(taken) <= 3
    assert peak < 20 * 2**20


def test_64_kib_are_taken(service: Service) -> None:
    assert service.post("{}" + " " * (64 * 1024 - 2)).status_code == 200
    problem_in(service.post("{}" + " " * (64 * 1024 - 1)), 413)


def test_a_body_that_comes_too_slowly_is_408(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)

    async def slowly() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.05)
            yield b" "

    began = time.monotonic()
    problem_in(service("POST", "/backtest", content=slowly(), headers=JSON), 408)
    assert time.monotonic() - began < 2


def test_many_wrong_fields_are_told_in_bounded_words(service: Service) -> None:
    told = problem_in(service.post({f"{n}{'x' * 100}": 1 for n in range(100)}), 422)
    assert told["detail"].count("x") < 200
    assert "97 more" in told["detail"]


def test_every_answer_bears_the_security_headers(service: Service) -> None:
    answers = [service.post("{"), service.get("/health"), service.get("/nothing"), service.post({"dry_run": True})]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "content-security-policy" in answer.headers


def test_an_unknown_path_is_404_and_another_method_405_as_problems(service: Service) -> None:
    problem_in(service.get("/nothing"), 404)
    answer = service.get("/backtest")
    problem_in(answer, 405)
    assert answer.headers["allow"] == "POST"
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        problem_in(service(method, "/health"), 405)
