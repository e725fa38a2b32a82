"""Seconds of a run by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from trading_playbook.ports import Clock


class Stopwatch:
    """Adds up the seconds spent in each stage, by the clock that was handed in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside, exceptions too."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self._clock.monotonic() - began

    @property
    def seconds(self) -> Mapping[str, float]:
        return dict(self._seconds)
