"""Calls by `requests` that end in time, however slowly their answer drips.

The timeouts of requests bound each wait for a piece of an answer, not the whole of it; they bound the connection to
each address of a name, not to all of them, and not how long it takes to resolve the name.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0


class Deadline:
    """The end of a call; when it comes, the sockets that the call's thread uses are shut and its reads end.

    passed: whether it has come. Then what was read is not to be trusted: half a head, or half a body without a length,
    looks whole when it is cut.
    """

    def __init__(self, seconds: float) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.seconds = seconds
        self.passed = False
        self.timeouts = min(CONNECT_SECONDS, seconds), min(READ_SECONDS, seconds)

    def watch(self, used: socket.socket) -> None:
        with self._lock:
            self._sockets.append(used)
            if self.passed:
                _shut(used)

    def cut(self) -> None:
        with self._lock:
            self.passed = True
            for used in self._sockets:
                _shut(used)


_of_thread = threading.local()


@contextmanager
def ending_within(seconds: float) -> Iterator[Deadline]:
    """Let the calls that this thread makes inside, through a DeadlineAdapter, end within so many seconds.

    timeouts of the Deadline: (connect, read) to hand to requests.
    """
    deadline = Deadline(seconds)
    timer = threading.Timer(seconds, deadline.cut)
    timer.daemon = True
    _of_thread.deadline = deadline
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        _of_thread.deadline = None


class DeadlineAdapter(HTTPAdapter):
    """Mounted on a requests session, it lets `ending_within` see the sockets of the session's calls."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager


class _Watched:
    """Tells the deadline of the calling thread of the socket that a request goes over."""

    sock: socket.socket | None

    def request(self, *arguments: Any, **options: Any) -> None:
        super().request(*arguments, **options)  # type: ignore[misc]
        if (deadline := _deadline()) is not None and self.sock is not None:
            deadline.watch(self.sock)

    def _new_conn(self) -> socket.socket:
        connect: Callable[[], socket.socket] = super()._new_conn  # type: ignore[misc]
        if (deadline := _deadline()) is None:
            return connect()
        try:
            used = _made_within(deadline.seconds, connect)
        except TimeoutError:
            raise ConnectTimeoutError(self, "no connection in time") from None
        deadline.watch(used)  # a proxy may drip before the request goes out
        return used

    def _tunnel(self) -> None:
        super()._tunnel()  # type: ignore[misc]
        if (deadline := _deadline()) is not None and deadline.passed:
            raise ConnectTimeoutError(self, "no tunnel through the proxy in time")


class _Connection(_Watched, HTTPConnection):
    pass


class _SecureConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _deadline() -> Deadline | None:
    """That of this thread."""
    return getattr(_of_thread, "deadline", None)


def _made_within(seconds: float, connect: Callable[[], socket.socket]) -> socket.socket:
    """The connection, made aside, since nothing else ends a wait for a name's addresses. TimeoutError where it is late.

    One that comes later is closed.
    """
    made: Future[socket.socket] = Future()

    def make() -> None:
        try:
            used = connect()
        except Exception as error:
            if made.set_running_or_notify_cancel():
                made.set_exception(error)
            return
        if made.set_running_or_notify_cancel():
            made.set_result(used)
        else:
            used.close()

    threading.Thread(target=make, daemon=True).start()
    try:
        return made.result(seconds)
    except TimeoutError:
        if made.cancel():
            raise
        return made.result()


def _shut(used: socket.socket) -> None:
    with suppress(OSError):  # closed since
        # Not the method of a secure socket: that forgets its cipher, and who reads from it takes what comes for plain.
        socket.socket.shutdown(used, socket.SHUT_RDWR)
