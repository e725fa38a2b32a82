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
        self._lock = asyncio.Lock()

    async def value(self, find: Callable[[], Awaitable[Value]]) -> Value:
        async with self._lock:
            now = self._clock.monotonic()
            if self._known is None or now - self._known[0] >= self._seconds:
                self._known = now, await find()
            return self._known[1]

    def forget(self) -> None:
        """The next one who asks gets a fresh answer."""
        self._known = None
