"""Deadlines against real servers on loopback that are slower than anybody would wait for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.loopback import GOOD, Peer, certificate, loopback, nothing_left
from trading_playbook.network.deadlines import DeadlineAdapter, ending_within

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CLOSING_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SOON = 0.3
SLACK = 0.7
"""How much later than its deadline a call may end on a busy machine."""


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[requests.Session]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with new_session() as session:
        yield session


def new_session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter())
    return session


def get(session: requests.Session, url: str, seconds: float = SOON, **options: Any) -> bytes:
    with ending_within(seconds) as deadline, session.get(url, timeout=deadline.timeouts, **options) as response:
        content = response.content
    if deadline.passed:  # half a head or half a body without a length looks whole when it is cut
        raise TimeoutError
    return content


def require_end(session: requests.Session, url: str, seconds: float = SOON, **options: Any) -> None:
    """Fail unless the call ends by an error, at about its deadline."""
    began = time.monotonic()
    with pytest.raises((requests.RequestException, OSError)):
        get(session, url, seconds, **options)
    assert seconds * 0.9 <= time.monotonic() - began <= seconds + SLACK


def after_a_request(then: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def serve(peer: Peer) -> None:
        if peer.request():
            then(peer)

    return serve


def hanging(head: bytes) -> Callable[[Peer], None]:
    def then(peer: Peer) -> None:
        peer.send(head)
        peer.hang()

    return then


def dripping(head: bytes, drops: bytes) -> Callable[[Peer], None]:
    def then(peer: Peer) -> None:
        peer.send(head)
        peer.drip(drops)

    return then


SLOW: dict[str, Callable[[Peer], None]] = {
    "hangs before the head": Peer.hang,
    "hangs after the head": hanging(HEAD),
    "drips the status line": lambda peer: peer.drip(b"HTTP/1.1 200 " + b"O" * 50_000),
    "drips the headers": dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "drips the body": dripping(HEAD, b"A"),
    "drips the body and will close": dripping(CLOSING_HEAD, b"A"),
    "drips chunks": dripping(CHUNKED_HEAD, b"1\r\nA\r\n"),
    "drips a size of a chunk": dripping(CHUNKED_HEAD, b"0"),
    "drips 100 Continue": lambda peer: peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
}
every_slowness = pytest.mark.parametrize("slowness", SLOW.values(), ids=SLOW)


@every_slowness
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_ends_in_time_however_slow_its_answer(
    session: requests.Session, slowness: Callable[[Peer], None], stream: bool
) -> None:
    with loopback(after_a_request(slowness)) as url:
        require_end(session, url, stream=stream)


@every_slowness
def test_a_call_over_a_connection_that_served_before_ends_in_time(
    session: requests.Session, slowness: Callable[[Peer], None]
) -> None:
    connections = []

    def serve(peer: Peer) -> None:
        connections.append(peer)
        for _ in range(2):
            peer.request()
            peer.send(GOOD)
        peer.request()
        slowness(peer)

    with loopback(serve) as url:
        assert [get(session, url), get(session, url)] == [b"{}", b"{}"]
        require_end(session, url)
    assert len(connections) == 1


@pytest.mark.parametrize("slowness", [Peer.hang, dripping(HEAD, b"A"), dripping(CLOSING_HEAD, b"A")])
def test_a_secure_call_ends_in_time(
    session: requests.Session, tmp_path: Path, slowness: Callable[[Peer], None]
) -> None:
    context, trusted = certificate(tmp_path)
    with loopback(after_a_request(slowness), tls=context) as url:
        require_end(session, url, verify=str(trusted))


def test_a_secure_call_to_who_does_not_shake_hands_ends_in_time(session: requests.Session) -> None:
    for slowness in (Peer.hang, lambda peer: peer.drip(b"\x16\x03\x03\x40\x00")):
        with loopback(slowness) as url:
            require_end(session, url.replace("http:", "https:"))


def test_a_secure_connection_serves_call_after_call(session: requests.Session, tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    with loopback(lambda peer: peer.answer_all(), tls=context) as url:
        assert [get(session, url, verify=str(trusted)) for _ in range(3)] == [b"{}"] * 3


def test_several_threads_end_each_at_its_own_time(session: requests.Session) -> None:
    with loopback(after_a_request(dripping(HEAD, b"A"))) as url:
        failures: list[BaseException] = []

        def call(seconds: float) -> None:
            try:
                with new_session() as own:
                    require_end(own, url, seconds)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=call, args=(0.2 + 0.1 * place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_deadline_harms_no_call_of_another_thread_through_the_same_session(session: requests.Session) -> None:
    def serve(peer: Peer) -> None:
        while head := peer.request():
            if b"/slow" in head:
                peer.hang()
            time.sleep(0.05)
            peer.send(GOOD)

    with loopback(serve) as url:
        slow = threading.Thread(target=require_end, args=(session, f"{url}/slow"))
        slow.start()
        until = time.monotonic() + 2 * SOON
        while time.monotonic() < until:
            assert get(session, f"{url}/good", 5) == b"{}"
        slow.join()


def test_a_call_that_ends_well_is_not_cut_later(session: requests.Session) -> None:
    with loopback(lambda peer: peer.answer_all()) as url:
        with ending_within(0.1) as deadline:
            assert session.get(url, timeout=5).content == b"{}"
        time.sleep(0.2)
        assert not deadline.passed
        assert get(session, url) == b"{}"


def test_without_a_deadline_the_adapter_is_as_any_other(session: requests.Session) -> None:
    with loopback(lambda peer: peer.answer_all()) as url:
        assert session.get(url, timeout=5).content == b"{}"


def test_the_timeouts_of_a_short_call_are_short(session: requests.Session) -> None:
    with ending_within(0.5) as short, ending_within(500) as long:
        assert (short.timeouts, long.timeouts) == ((0.5, 0.5), (5.0, 20.0))


class TestNames:
    """A resolver that does not answer in time, which no timeout of a socket bounds."""

    @pytest.fixture
    def resolver(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """slow.invalid is found once the event is set, and then it is this machine."""
        answered, resolve = threading.Event(), socket.getaddrinfo

        def slowly(host: Any, *more: Any, **options: Any) -> Any:
            if host != "slow.invalid":
                return resolve(host, *more, **options)
            answered.wait(10)
            return resolve("127.0.0.1", *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", slowly)
        yield answered
        answered.set()

    def test_that_are_resolved_too_late_end_the_call_in_time_and_what_comes_of_it_is_closed(
        self, session: requests.Session, resolver: threading.Event
    ) -> None:
        heard: list[bytes] = []
        with loopback(lambda peer: heard.append(peer.request())) as url:
            require_end(session, url.replace("127.0.0.1", "slow.invalid"))
            resolver.set()
            until = time.monotonic() + 2
            while not heard and time.monotonic() < until:
                time.sleep(0.01)
        assert heard == [b""]

    def test_that_do_not_exist_end_it_at_once(self, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(requests.ConnectionError):
            get(session, "http://gone.invalid")

    def test_with_several_addresses_may_use_a_later_one(
        self, session: requests.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as deaf, loopback(lambda peer: peer.answer_all()) as url:
            deaf.bind(("127.0.0.1", 0))  # and does not listen
            port = int(url.rpartition(":")[2])
            several = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
                for address in (deaf.getsockname(), ("127.0.0.1", port))
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: several)
            assert get(session, f"http://two.invalid:{port}") == b"{}"


class TestProxies:
    def test_that_drip_the_answer_are_cut_off_too(
        self, session: requests.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with loopback(after_a_request(dripping(HEAD, b"A"))) as url:
            monkeypatch.setenv("HTTP_PROXY", url)
            require_end(session, "http://far.invalid/")

    def test_that_drip_before_the_tunnel_stands_are_cut_off_too(
        self, session: requests.Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with loopback(after_a_request(dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"))) as url:
            monkeypatch.setenv("HTTPS_PROXY", url)
            require_end(session, "https://far.invalid/")


def test_a_server_of_the_newer_internet_is_reached(session: requests.Session) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    with loopback(lambda peer: peer.answer_all(), address="::1") as url:
        assert get(session, url) == b"{}"
