"""The service as a process with real sockets: many at once, kills, slow peers, deadlines, the end of the process."""

from __future__ import annotations

import json
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.alpaca_double import AlpacaServer, alpaca_market, hang, late, status
from tests.support.door import process
from tests.support.market import DAYS, END, START, Market, make_market
from tests.support.mongo_double import Hang, MongoDouble, Refuse, Slow
from tests.support.service import SERVING, ServiceProcess, problem_in, service_process

RANGE = {"symbol": "QQQ", "start": START, "end": END}
SERVE = (*SERVING, "--port", "PORT")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return make_market(tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def reference(bars: Market, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the command line writes for the same sessions."""
    journal = tmp_path_factory.mktemp("reference") / "trades.csv"
    with AlpacaServer(alpaca_market(bars)) as alpaca:
        call = ("--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        assert process(*call, cwd=journal.parent, **alpaca.settings).code == 0
    return journal.read_bytes()


@pytest.fixture
def alpaca(bars: Market) -> Iterator[AlpacaServer]:
    with AlpacaServer(alpaca_market(bars)) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "service"


def journal_in(folder: Path) -> Path:
    return folder / "output" / "trades.csv"


def at_once(calls: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def took(work: Callable[[], httpx.Response]) -> float:
    began = time.monotonic()
    assert work().status_code == 200
    return time.monotonic() - began


class TestManyAtOnce:
    def test_cron_s_call_a_second_one_and_twenty_at_once_leave_one_set_of_rows(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        with service_process(folder, **alpaca.settings) as service:
            answers = at_once([lambda: service.post(RANGE)] * 20)
            for answer in answers:
                assert answer.status_code in (200, 503)
                if answer.status_code == 503:
                    problem_in(answer, 503, "retry")
                    assert int(answer.headers["retry-after"]) >= 1
            good = [answer.json() for answer in answers if answer.status_code == 200]
            assert good
            assert sum(told["counts"]["added"] for told in good) == len(DAYS)
            assert journal_in(folder).read_bytes() == reference
            assert service.post(RANGE).json()["outcome"] == "already_done"
            assert service.client.head("/health").content == service.client.head("/ready").content == b""
            lines = service.log.splitlines()
            own = lines[next(number for number, line in enumerate(lines) if line.startswith("{")) :]
            assert all("severity" in json.loads(line) for line in own if "startup" not in line)
            # Cron's own call is of the machine's today, of which this market knows nothing.
            assert service.post().status_code in (200, 425, 503)
            assert journal_in(folder).read_bytes() == reference

    def test_two_instances_at_once_leave_one_set_of_rows(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        with service_process(folder, **alpaca.settings) as one, service_process(folder, **alpaca.settings) as other:
            answers = at_once([lambda: one.post(RANGE), lambda: other.post(RANGE)] * 3)
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert {answer.status_code for answer in answers} >= {200}
        assert journal_in(folder).read_bytes() == reference


class TestKills:
    @pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.soak)])
    def test_killed_in_between_the_next_call_completes_it(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes, kills: int
    ) -> None:
        luck = random.Random(kills)
        for kill in range(kills):
            own = folder / str(kill)
            own.parent.mkdir(exist_ok=True)
            with service_process(own, **alpaca.settings) as service:

                def call(service: ServiceProcess = service) -> None:
                    with suppress(httpx.TransportError):
                        service.post(RANGE)

                calling = threading.Thread(target=call)
                calling.start()
                time.sleep(luck.uniform(0.2, 1.2))
                service.process.kill()
                calling.join()
            if journal_in(own).exists():
                assert journal_in(own).read_bytes() in (b"", reference)
            with service_process(own, **alpaca.settings) as service:
                assert service.post(RANGE).status_code == 200
            assert journal_in(own).read_bytes() == reference

    def test_told_to_go_during_a_run_it_is_gone_in_ten_seconds_and_the_next_run_is_whole(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        folder.mkdir()
        with ExitStack() as stack, MongoDouble() as mongo:
            both = {"WRITER_TYPE": "csv,mongodb", "MONGODB_CONNECTION": mongo.connection, **alpaca.settings}
            services = [
                stack.enter_context(service_process(folder / "between", **both)),
                stack.enter_context(service_process(folder / "bare", **alpaca.settings)),
                stack.enter_context(service_process(folder / "serve", *SERVE, **alpaca.settings)),
            ]
            mongo.misbehave(Hang(), kind="insert", times=10**6)
            answers: list[httpx.Response] = []

            def call(service: ServiceProcess) -> None:
                with suppress(httpx.TransportError):
                    answers.append(service.post(RANGE))

            calling = [threading.Thread(target=call, args=(service,)) for service in services]
            until = time.monotonic() + 20
            calling[0].start()
            while "insert" not in mongo.kinds():
                assert time.monotonic() < until
                time.sleep(0.02)
            alpaca.misbehave(hang(), kind="bars", times=None)
            alpaca.forget()
            for each in calling[1:]:
                each.start()
            while alpaca.calls("bars") < 2:
                assert time.monotonic() < until
                time.sleep(0.02)
            for service in services:
                service.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            for service in services:
                service.process.wait(timeout=15)
            assert time.monotonic() - began < 10
            for each in calling:
                each.join()
            assert {answer.status_code for answer in answers} <= {503}
            alpaca.behave()
            mongo.behave()
            assert journal_in(folder / "between").read_bytes() == reference
            with service_process(folder / "between", **both) as service:
                assert service.post(RANGE).status_code == 200
            assert journal_in(folder / "between").read_bytes() == reference
            assert len(mongo.documents("trading_playbook", "trades")) == len(DAYS)
        for name in ("bare", "serve"):
            assert not journal_in(folder / name).exists()
            with service_process(folder / name, **alpaca.settings) as service:
                assert service.post(RANGE).json()["outcome"] == "done"
            assert journal_in(folder / name).read_bytes() == reference

    def test_told_to_go_with_a_short_run_under_way_it_answers_it(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        alpaca.misbehave(late(1.5), kind="bars", times=1)
        with service_process(folder, *SERVE, **alpaca.settings) as service, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(service.post, RANGE)
            until = time.monotonic() + 20
            while not alpaca.calls("bars"):
                assert time.monotonic() < until
                time.sleep(0.02)
            service.process.send_signal(signal.SIGTERM)
            assert answer.result().status_code == 200
            service.process.wait(timeout=10)
        assert journal_in(folder).read_bytes() == reference

    def test_with_nothing_to_do_it_goes_at_once(self, folder: Path) -> None:
        with service_process(folder, *SERVE, DATA_FEED="simulated") as service:
            service.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            service.process.wait(timeout=10)
            assert time.monotonic() - began < 3


class TestDeadline:
    def test_work_that_takes_longer_is_503_before_it_and_the_overlapping_retry_leaves_one_set(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        rule = alpaca.misbehave(late(6), kind="bars", times=1)
        with service_process(folder, RUN_DEADLINE_SECONDS="5", **alpaca.settings) as service:
            began = time.monotonic()
            answer = service.post(RANGE)
            assert time.monotonic() - began < 5
            problem_in(answer, 503, "retry")
            assert int(answer.headers["retry-after"]) >= 1
            assert rule.hits == 1
            assert service.post(RANGE).status_code == 200
            time.sleep(3)  # the first one ends too
            assert journal_in(folder).read_bytes() == reference
            assert service.post(RANGE).json()["outcome"] == "already_done"

    def test_forty_hung_calls_keep_neither_health_nor_the_others_waiting(
        self, folder: Path, alpaca: AlpacaServer
    ) -> None:
        alpaca.misbehave(hang(), times=None)
        with service_process(folder, RUN_DEADLINE_SECONDS="6", **alpaca.settings) as service:
            waited: list[float] = []
            client = httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(max_connections=50))

            def post() -> httpx.Response:
                began = time.monotonic()
                answer = client.post(f"{service.url}/backtest", json=RANGE)
                waited.append(time.monotonic() - began)
                return answer

            with ThreadPoolExecutor(40) as pool:
                hung = [pool.submit(post) for _ in range(40)]
                time.sleep(2)
                assert len(waited) == 36
                assert max(waited) < 2
                assert took(lambda: service.get("/health")) < 1
                assert took(lambda: service.get("/metrics")) < 1
                answers = [each.result() for each in hung]
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
            assert max(waited) < 6
            client.close()

    def test_upstream_down_is_503_and_back_is_200(self, folder: Path, alpaca: AlpacaServer, reference: bytes) -> None:
        alpaca.misbehave(status(503), times=None)
        with service_process(folder, RETRY_BUDGET_SECONDS="2", **alpaca.settings) as service:
            began = time.monotonic()
            problem_in(service.post(RANGE), 503, "retry")
            assert time.monotonic() - began < 5
            alpaca.behave()
            assert service.post(RANGE).json()["outcome"] == "done"
        assert journal_in(folder).read_bytes() == reference


class TestDurability:
    def test_no_answer_before_the_slowest_writer_is_done(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        with MongoDouble() as mongo:
            own = {**alpaca.settings, "WRITER_TYPE": "csv,mongodb", "MONGODB_CONNECTION": mongo.connection}
            # Enough for one of the writers alone, each of which has a part of it.
            with service_process(folder, **own, RETRY_BUDGET_SECONDS="40") as service:
                mongo.misbehave(Slow(5.0), kind="insert")
                began = time.monotonic()
                answer = service.post(RANGE)
                assert answer.status_code == 200
                assert time.monotonic() - began > 5
                assert len(mongo.documents("trading_playbook", "trades")) == len(DAYS)
                assert journal_in(folder).read_bytes() == reference

    def test_a_writer_that_fails_is_503_the_other_one_is_whole_and_the_next_call_completes_it(
        self, folder: Path, alpaca: AlpacaServer, reference: bytes
    ) -> None:
        with MongoDouble() as mongo:
            own = {**alpaca.settings, "WRITER_TYPE": "csv,mongodb", "MONGODB_CONNECTION": mongo.connection}
            with service_process(folder, **own, RETRY_BUDGET_SECONDS="1.5") as service:
                mongo.misbehave(Refuse(10107, "NotWritablePrimary"), kind="insert", times=10**6)
                answer = service.post(RANGE)
                told = problem_in(answer, 503, "retry")
                assert told["report"]["counts"]["added"] == len(DAYS)
                assert journal_in(folder).read_bytes() == reference
                assert mongo.documents("trading_playbook", "trades") == []
                mongo.behave()
                assert service.post(RANGE).status_code == 200
                assert len(mongo.documents("trading_playbook", "trades")) == len(DAYS)
                assert journal_in(folder).read_bytes() == reference
                assert service.get("/ready").status_code == 200
            with service_process(
                folder, **{**own, "MONGODB_CONNECTION": "mongodb://127.0.0.1:9"}, RETRY_BUDGET_SECONDS="1.5"
            ) as service:
                began = time.monotonic()
                assert service.get("/ready").status_code == 503
                assert time.monotonic() - began < 6
                assert service.get("/health").status_code == 200


class TestSlowPeers:
    def test_two_hundred_slow_sockets_hold_nobody_up(self, folder: Path) -> None:
        with service_process(folder, DATA_FEED="simulated") as service, ExitStack() as stack:
            body = {"symbol": "QQQ", "start": "2025-11-03", "end": "2025-11-03", "dry_run": True}
            service.post(body)
            usual = took(lambda: service.post(body))
            port = int(service.url.rpartition(":")[2])
            slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(200)]
            head = (
                b"POST /backtest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            for number, each in enumerate(slow):
                each.sendall(head if number % 2 else head[:20])
            time.sleep(0.5)
            assert took(lambda: service.post(body)) < usual + 2
            assert took(lambda: service.get("/health")) < 1

    def test_endless_chunks_are_cut_off_and_memory_stays(self, folder: Path) -> None:
        with service_process(folder, DATA_FEED="simulated") as service:
            service.post({"dry_run": True, "symbol": "QQQ", "start": "2025-11-03", "end": "2025-11-03"})
            before = service.resident_kib
            port = int(service.url.rpartition(":")[2])
            piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
                peer.sendall(b"POST /backtest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                sent = 0
                with suppress(ConnectionError):
                    while sent < 64 * 2**20:
                        peer.sendall(piece)
                        sent += len(piece)
            assert sent < 64 * 2**20
            if sys.platform == "linux":
                assert service.resident_kib - before < 20 * 1024
            with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
                peer.sendall(b"POST /backtest HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n")
                assert b" 413 " in peer.recv(4096)
