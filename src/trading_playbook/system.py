"""The machine's clock, and the clock of a rehearsal."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The time as the machine tells it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class RehearsalClock(SystemClock):
    """Goes on from another moment, so that a day that is over or still to come can be rehearsed."""

    def __init__(self, start: datetime) -> None:
        """start: aware, of any zone."""
        self._start = start.astimezone(UTC)
        self._shift = self._start - super().now()

    def now(self) -> datetime:
        return super().now() + self._shift
