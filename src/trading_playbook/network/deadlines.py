"""Calls by `requests` that end in time, however slowly their answer drips.

The timeouts of requests bound each wait for a piece of an answer, not the whole of it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0


class Deadline:
    """The end of a call; when it comes, the sockets that the call's thread uses are shut and its reads fail."""

    def __init__(self, seconds: float) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
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


class _Watched:
    """Tells the deadline of the calling thread of the socket that a request goes over."""

    sock: socket.socket | None

    def request(self, *arguments: Any, **options: Any) -> None:
        super().request(*arguments, **options)  # type: ignore[misc]
        deadline: Deadline | None = getattr(_of_thread, "deadline", None)
        if deadline is not None and self.sock is not None:
            deadline.watch(self.sock)


class _Connection(_Watched, HTTPConnection):
    pass


class _SecureConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _shut(used: socket.socket) -> None:
    with suppress(OSError):  # closed since
        used.shutdown(socket.SHUT_RDWR)
