"""How much time one run may lose, summed over all it calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading_playbook.ports import Clock


class RetryBudget:
    """Seconds that calls may lose by hanging, failing and waiting to be tried again; time of good calls is free.

    One budget is shared by everything a run calls, from any thread. A part of it is for callers that the run can do
    without, such as a cache: what they lose is lost to the whole, but they cannot lose all of it.
    """

    def __init__(self, clock: Clock, seconds: float, whole: RetryBudget | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lost = 0.0
        self._whole = whole
        self._lock = threading.Lock()

    def part(self, share: float) -> RetryBudget:
        """A budget of this share of the seconds, 0 to 1, that is spent from this one too."""
        return RetryBudget(self._clock, self._seconds * share, self)

    @property
    def seconds(self) -> float:
        """The budget when it was new."""
        return self._seconds

    @property
    def left(self) -> float:
        """Seconds, not below 0."""
        own = max(0.0, self._seconds - self._lost)
        return own if self._whole is None else min(own, self._whole.left)

    def lose(self, seconds: float) -> None:
        with self._lock:
            self._lost += seconds
        if self._whole is not None:
            self._whole.lose(seconds)

    @contextmanager
    def lost_unless_done(self) -> Iterator[None]:
        """Count the time of what happens inside as lost where it ends by an exception."""
        began = self._clock.monotonic()
        try:
            yield
        except BaseException:
            self.lose(self._clock.monotonic() - began)
            raise

    def wait(self, seconds: float) -> None:
        """Sleep so long, as lost time."""
        self._clock.sleep(seconds)
        self.lose(seconds)
