"""Fills, stops and exits over a grid: what became of each long entry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading_playbook.core.bars import FloatArray, IntArray
from trading_playbook.core.grid import SessionGrid

EXIT_REASONS = ("stop", "time", "last_bar")
STOP, TIME, LAST_BAR = range(len(EXIT_REASONS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """How each entry ended; arrays of shape (entries,).

    exit_slot: slot of the exit bar, -1 where no bar is whole yet. exit_price: dollars, NaN then. exit_reason: index
    into EXIT_REASONS. exit_known: slot at whose end the exit is known. mae, mfe: adverse and favourable excursion from
    the entry bar to the exit bar, both in, dollars a share, never negative.
    """

    exit_slot: IntArray
    exit_price: FloatArray
    exit_reason: npt.NDArray[np.int8]
    exit_known: IntArray
    mae: FloatArray
    mfe: FloatArray


def simulate_long(
    grid: SessionGrid,
    *,
    rows: IntArray,
    entry_slot: IntArray,
    entry_price: FloatArray,
    stop_price: FloatArray,
    exit_slot: IntArray,
) -> Fills:
    """Hold each entry until its stop or its exit slot; arrays of shape (entries,), rows naming rows of the grid.

    A bar whose low reaches the stop fills at min(stop, its open), and the stop is taken to come before all else in that
    bar. Else the close of the exit slot's bar, or of the last bar before it that exists. Nothing after is looked at.
    """
    low, high, close = grid.low[:, rows], grid.high[:, rows], grid.close[:, rows]
    slots = np.arange(grid.slots)[:, np.newaxis]
    held = (slots >= entry_slot) & (slots <= exit_slot) & ~np.isnan(close)
    reached = held & (low <= stop_price)
    stopped = np.any(reached, axis=0)
    last_held = np.where(np.any(held, axis=0), grid.slots - 1 - np.argmax(held[::-1], axis=0), -1)
    exits = np.where(stopped, np.argmax(reached, axis=0), last_held)

    entries = np.arange(len(rows))
    at_stop = np.minimum(stop_price, grid.open[exits, rows])
    price = np.where(stopped, at_stop, np.where(exits >= 0, close[exits, entries], np.nan))
    timed = exits == exit_slot

    held &= slots <= exits
    lows = np.where(held & ~(stopped & (slots == exits)), low, np.inf).min(axis=0, initial=np.inf)
    lowest = np.where(stopped, np.minimum(lows, price), lows)
    highest = np.where(held, high, -np.inf).max(axis=0, initial=-np.inf)
    return Fills(
        exit_slot=exits,
        exit_price=price,
        exit_reason=np.where(stopped, STOP, np.where(timed, TIME, LAST_BAR)).astype(np.int8),
        exit_known=np.where(stopped, exits, exit_slot),
        mae=np.maximum(entry_price - lowest, 0.0),
        mfe=np.maximum(highest - entry_price, 0.0),
    )
