"""What the service bears: figures and health asked for while a run goes, equal requests by the thousand, memory."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.door import rows_of
from tests.support.service import ServiceProcess, service_process

YEARS = {"symbol": "QQQ", "start": "2016-01-04", "end": "2025-12-31", "dry_run": True}
DAY = {"symbol": "QQQ", "start": "2025-11-03", "end": "2025-11-03"}
A_SECOND = 200


def asked(service: ServiceProcess, path: str, seconds: float, per_second: float, waits: list[float]) -> None:
    """Ask at an even pace, and note how long each answer took; another status fails."""
    with httpx.Client(base_url=service.url, timeout=10, trust_env=False) as client:
        began = time.monotonic()
        for number in range(int(seconds * per_second)):
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            at = time.monotonic()
            assert client.get(path).status_code == 200
            waits.append(time.monotonic() - at)


def lasted(service: ServiceProcess) -> float:
    began = time.monotonic()
    answer = service.post(YEARS)
    assert answer.status_code == 200, answer.text[:500]
    return time.monotonic() - began


@pytest.mark.soak
def test_two_hundred_requests_a_second_while_runs_go_all_succeed(tmp_path: Path) -> None:
    with service_process(tmp_path / "service", DATA_FEED="simulated") as service:
        lasted(service)
        alone = sorted(lasted(service) for _ in range(5))[2]
        waits: list[float] = []
        stop = threading.Event()
        durations: list[float] = []

        def run() -> None:
            while not stop.is_set():
                durations.append(lasted(service))

        with ThreadPoolExecutor(5) as pool:
            running = pool.submit(run)
            asking = [
                pool.submit(asked, service, path, 15, A_SECOND / 4, waits) for path in ("/health", "/metrics") * 2
            ]
            for each in asking:
                each.result()
            stop.set()
            running.result()
        assert len(waits) == 15 * A_SECOND
        waits.sort()
        busy = sorted(durations)[len(durations) // 2]
        print(f"run alone {alone:.2f} s, under load {busy:.2f} s ({len(durations)} runs)")
        print(f"median {waits[len(waits) // 2] * 1e3:.1f} ms, p99 {waits[int(len(waits) * 0.99)] * 1e3:.1f} ms")
        assert waits[int(len(waits) * 0.99)] < 1


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_after_a_thousand_runs_is_that_after_ten(tmp_path: Path) -> None:
    with service_process(tmp_path / "service", DATA_FEED="simulated") as service:
        sizes = []
        for number in range(1, 1001):
            day = f"2025-{1 + number % 11:02d}-10"
            answer = service.post({"symbol": "QQQ", "start": f"2025-{1 + number % 11:02d}-03", "end": day})
            assert answer.status_code == 200, answer.text[:500]
            if number in (10, 100, 1000):
                sizes.append(service.resident_kib)
        print(f"KiB after 10, 100 and 1,000 runs: {sizes}")
        assert sizes[2] < 1.2 * sizes[0] + 10 * 1024


@pytest.mark.soak
def test_a_thousand_equal_requests_to_two_instances_leave_one_row(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    own = {"DATA_FEED": "simulated"}
    with service_process(folder, **own) as one, service_process(folder, **own) as other, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: (one, other)[number % 2].post(DAY), range(1000)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert sum(answer.json()["counts"]["added"] for answer in answers if answer.status_code == 200) == 1
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    assert len(rows_of(folder / "output" / "trades.csv")) == 1
