"""An answer that is asked for often and changes seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from trading_playbook.ports import Clock

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """The last answer for so many seconds; who asks while it is being found waits for the same one."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: tuple[float, Value] | None = None
        self._changes = 0
        self._lock = asyncio.Lock()

    async def value(self, find: Callable[[], Awaitable[Value]]) -> Value:
        async with self._lock:
            if (known := self._known) is not None and self._clock.monotonic() - known[0] < self._seconds:
                return known[1]
            changes = self._changes
            found = await find()
            # One that was forgotten while it was being found is told to who asked, and not kept.
            self._known = (self._clock.monotonic(), found) if changes == self._changes else None
            return found

    def forget(self) -> None:
        """The next one who asks gets a fresh answer. May be called from any thread."""
        self._changes += 1
        self._known = None
