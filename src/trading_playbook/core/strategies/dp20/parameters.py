"""The numbers of the play, their bounds, and the slots that they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, TypeVar

from trading_playbook.core.calendar import slot_label
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.strategies.parameters import bounded, require_within_bounds

if TYPE_CHECKING:
    from trading_playbook.core.bars import IntArray

BAR_MINUTES = 2
_EARLY_CLOSE_SLOTS = 105
_OPENS = 9 * 60 + 30

Whole = TypeVar("Whole", int, "IntArray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dp20Parameters:
    """The numbers of the play; stop_atr in multiples of the ATR, shares a count. FixRequest outside their bounds."""

    window_start: time = time(10, 0)
    window_end: time = time(10, 30)
    ema_period: int = bounded(20, minimum=2, maximum=400)
    atr_period: int = bounded(14, minimum=1, maximum=400)
    sma_period: int = bounded(200, minimum=2, maximum=400)
    reversal_strength: float = bounded(0.60, minimum=0, below=1)
    stop_atr: float = bounded(1.2, above=0)
    exit_minutes_before_close: int = bounded(5, minimum=0, maximum=60)
    max_missing: int = bounded(2, minimum=0)
    shares: int = bounded(20, minimum=1)

    def __post_init__(self) -> None:
        require_within_bounds(self)
        for name in ("window_start", "window_end"):
            label = getattr(self, name)
            if _minutes_after_open(label) < 0 or _minutes_after_open(label) % BAR_MINUTES:
                raise FixRequest(f"parameter {name} is {label:%H:%M}; it must lie on a 2-minute slot from 09:30 on")
        if self.window_start > self.window_end:
            raise FixRequest(
                f"parameter window_start is {self.window_start:%H:%M}, after window_end {self.window_end:%H:%M}"
            )
        latest = _slot_that_ends(_EARLY_CLOSE_SLOTS * BAR_MINUTES - self.exit_minutes_before_close) - 2
        if self.last_slot > latest:
            raise FixRequest(
                f"parameter window_end is {self.window_end:%H:%M}; it must be at most "
                f"{slot_label(latest, BAR_MINUTES)}, two slots before the exit of a 13:00 close"
            )

    @property
    def first_slot(self) -> int:
        """The first slot of the window."""
        return _minutes_after_open(self.window_start) // BAR_MINUTES

    @property
    def last_slot(self) -> int:
        """The last slot of the window, still in it."""
        return _minutes_after_open(self.window_end) // BAR_MINUTES


def exit_slot(session_slots: IntArray, minutes_before_close: int) -> IntArray:
    """The slot that ends at or just after so many minutes before the close of a session of so many slots.

    It is the first slot where the session is shorter than that.
    """
    import numpy as np

    return np.maximum(_slot_that_ends(session_slots * BAR_MINUTES - minutes_before_close), 0)


def _slot_that_ends(minutes: Whole) -> Whole:
    """The slot that ends so many minutes after the open, or just after that."""
    return -(-minutes // BAR_MINUTES) - 1


def _minutes_after_open(label: time) -> int:
    return label.hour * 60 + label.minute - _OPENS
