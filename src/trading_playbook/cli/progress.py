"""A line of progress on stderr, for people who wait."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from trading_playbook.ports import Clock

QUIET_SECONDS = 0.5
"""Work that is over sooner shows nothing."""


def progress_line(clock: Clock) -> Callable[[int, int], None]:
    """Told (sessions done, sessions in all); writes only where stderr is a terminal and the work takes its time."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return lambda done, total: None
    began = clock.monotonic()
    shown = False

    def show(done: int, total: int) -> None:
        nonlocal shown
        over = done >= total
        if (clock.monotonic() - began < QUIET_SECONDS or over) and not shown:
            return
        shown = not over
        text = "" if over else f"{done:,} of {total:,} sessions"
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    return show
