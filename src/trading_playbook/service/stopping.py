"""How the process ends when it is told to: it waits for what is under way, and for nothing that hangs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LAST_SECONDS = 9.0
"""After SIGTERM, whatever is still under way; Cloud Run kills after ten."""

_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def gone_in_time(seconds: float = LAST_SECONDS) -> Iterator[None]:
    """Inside, SIGTERM does what it did before, and so many seconds later the process ends in any case.

    Threads that wait for an outside call would hold it up. What is written is whole at any moment, so that ending
    in the midst does no harm. Outside the main thread, where no signal can be listened to, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def go(number: int, frame: FrameType | None) -> None:
        last = threading.Timer(seconds, os._exit, (_TERMINATED,))
        last.daemon = True
        last.start()
        if callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:
            os._exit(_TERMINATED)

    signal.signal(signal.SIGTERM, go)
    try:
        yield
    finally:
        # Not after SIGTERM: a second one must not find the process without what it expects.
        if signal.getsignal(signal.SIGTERM) is go:
            signal.signal(signal.SIGTERM, before)
