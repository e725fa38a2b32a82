"""Keeping to a plan's calls per minute."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading_playbook.ports import Clock


WINDOW_SECONDS = 60.0


class RateLimit:
    """At most so many calls in any minute, from any thread; who would be one too many waits until one has left."""

    def __init__(self, clock: Clock, calls_per_minute: int) -> None:
        self._clock = clock
        self._began: deque[float] = deque(maxlen=calls_per_minute)
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when a call may be made, and count it."""
        with self._lock:
            if len(self._began) == self._began.maxlen:
                rest = self._began[0] + WINDOW_SECONDS - self._clock.monotonic()
                if rest > 0:
                    self._clock.sleep(rest)
            self._began.append(self._clock.monotonic())
