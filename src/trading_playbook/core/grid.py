"""The grid of slots that strategies read, and the way from checked bars to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

import numpy as np

from trading_playbook.core.bars import (
    COLUMNS,
    MINUTE,
    PRICES,
    SECOND,
    Bars,
    FloatArray,
    IntArray,
    faults_of,
    sorted_and_distinct,
)
from trading_playbook.core.calendar import Session
from trading_playbook.core.errors import CheckData


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionGrid:
    """Bars of many sessions, slot by slot: float64 arrays of shape (slots, rows), slot-major, NaN where no bar is.

    A row is one (symbol, session). bar_minutes: length of a slot; slot 0 opens at 09:30 New York.
    session_slots: (rows,) how many slots the row's session has; later slots of a shorter session stay NaN.
    A bar whose open alone is known (the bar under way) has NaN in its other columns.
    """

    bar_minutes: int
    session_slots: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    @property
    def slots(self) -> int:
        return int(self.open.shape[0])

    @property
    def rows(self) -> int:
        return int(self.open.shape[1])

    @classmethod
    def empty(cls, *, bar_minutes: int, session_slots: IntArray, slots: int) -> Self:
        """A grid without a bar."""
        shape = (slots, len(session_slots))
        columns = {name: np.full(shape, np.nan) for name in COLUMNS}
        return cls(bar_minutes=bar_minutes, session_slots=session_slots, **columns)

    @classmethod
    def side_by_side(cls, grids: Sequence[SessionGrid]) -> SessionGrid:
        """The rows of several grids of the same bar length as one grid, as tall as the tallest."""
        if len(grids) == 1:
            return grids[0]
        slots = max(grid.slots for grid in grids)
        grids = [grid.of_height(slots) for grid in grids]
        return cls(
            bar_minutes=grids[0].bar_minutes,
            session_slots=np.concatenate([grid.session_slots for grid in grids]),
            **{name: np.concatenate([getattr(grid, name) for grid in grids], axis=1) for name in COLUMNS},
        )

    def take(self, rows: IntArray) -> SessionGrid:
        """These rows, in this order; a row may be taken more than once."""
        return SessionGrid(
            bar_minutes=self.bar_minutes,
            session_slots=self.session_slots[rows],
            **{name: np.take(getattr(self, name), rows, axis=1) for name in COLUMNS},
        )

    def of_height(self, slots: int) -> SessionGrid:
        """The same bars with NaN slots added at the end, up to this many slots."""
        if self.slots == slots:
            return self
        missing = np.full((slots - self.slots, self.rows), np.nan)
        columns = {name: np.concatenate([getattr(self, name), missing]) for name in COLUMNS}
        return SessionGrid(bar_minutes=self.bar_minutes, session_slots=self.session_slots, **columns)

    def divided_by(self, factors: FloatArray) -> SessionGrid:
        """The same bars in other price terms: prices divided by the row's factor, shares multiplied by it."""
        if np.all(factors == 1.0):
            return self
        columns = {name: getattr(self, name) / factors for name in PRICES}
        return SessionGrid(
            bar_minutes=self.bar_minutes,
            session_slots=self.session_slots,
            volume=self.volume * factors,
            **columns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """Sessions of one symbol on a grid, and what was wrong with the bars.

    grid: one row for each session asked, in their order. faults: the first bad bar of each session that has one, by
    the session's position; the row of such a session must not be judged. repeats: exact copies that were dropped.
    """

    grid: SessionGrid
    faults: Mapping[int, CheckData] = field(default_factory=lambda: MappingProxyType({}))
    repeats: int = 0


def lay_out(bars: Bars, sessions: Sequence[Session], bar_minutes: int) -> LaidOut:
    """Check the regular-hours bars of these sessions (oldest first) and lay them on a grid of bar_minutes slots.

    Bars outside the sessions' regular hours are left aside unchecked. The checks are made on the bars as the feed gave
    them, before finer bars are resampled. Raises ValueError where bar_minutes is no multiple of the bars' length.
    """
    if bar_minutes % bars.minutes:
        raise ValueError(f"bars of {bars.minutes} minutes cannot make bars of {bar_minutes}")
    bars, repeats = sorted_and_distinct(bars)
    opens = np.array([round(session.opens.timestamp()) * SECOND for session in sessions], dtype=np.int64)
    closes = np.array([round(session.closes.timestamp()) * SECOND for session in sessions], dtype=np.int64)
    begins = np.searchsorted(bars.opened, opens, side="left")
    ends = np.searchsorted(bars.opened, closes, side="left")
    counts = ends - begins
    rows = np.repeat(np.arange(len(sessions)), counts)
    inside = bars.take(_positions(begins, counts))
    since_open = inside.opened - opens[rows]
    faults = faults_of(inside, rows, since_open, sessions)

    session_slots = np.array([session.slots(bars.minutes) for session in sessions], dtype=np.int64)
    grid = SessionGrid.empty(
        bar_minutes=bars.minutes, session_slots=session_slots, slots=int(session_slots.max(initial=0))
    )
    slots = since_open // (bars.minutes * MINUTE)
    for name in COLUMNS:
        getattr(grid, name)[slots, rows] = getattr(inside, name)
    return LaidOut(
        grid=_resampled(grid, bar_minutes // bars.minutes),
        faults=faults,
        repeats=_repeats_inside(repeats, opens, closes),
    )


def _positions(begins: IntArray, counts: IntArray) -> IntArray | slice:
    """Positions of the bars of all sessions, one session after the other; a slice where nothing lies between them."""
    if len(begins) and np.all(begins[1:] == begins[:-1] + counts[:-1]):
        return slice(int(begins[0]), int(begins[-1] + counts[-1]))
    before = np.cumsum(counts) - counts
    return np.repeat(begins - before, counts) + np.arange(counts.sum())


def _resampled(grid: SessionGrid, per_slot: int) -> SessionGrid:
    """Bars of per_slot neighbouring slots as one: it exists where at least one of them does."""
    if per_slot == 1:
        return grid
    slots = -(-grid.slots // per_slot)
    parts = grid.of_height(slots * per_slot)
    opened = parts.open[0::per_slot].copy()
    high, low = parts.high[0::per_slot].copy(), parts.low[0::per_slot].copy()
    closed, volume = parts.close[0::per_slot].copy(), parts.volume[0::per_slot].copy()
    for part in range(1, per_slot):
        later = {name: getattr(parts, name)[part::per_slot] for name in COLUMNS}
        opened = np.where(np.isnan(opened), later["open"], opened)
        closed = np.where(np.isnan(later["close"]), closed, later["close"])
        # fmax and fmin take the bar that exists where the other does not.
        np.fmax(high, later["high"], out=high)
        np.fmin(low, later["low"], out=low)
        volume = np.where(np.isnan(volume), later["volume"], volume + np.nan_to_num(later["volume"]))
    return SessionGrid(
        bar_minutes=grid.bar_minutes * per_slot,
        session_slots=-(-grid.session_slots // per_slot),
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=volume,
    )


def _repeats_inside(times: IntArray, opens: IntArray, closes: IntArray) -> int:
    """How many of the dropped copies lay in these sessions' regular hours."""
    if not len(times):
        return 0
    row = np.searchsorted(opens, times, side="right") - 1
    return int(np.sum((row >= 0) & (times < closes[row])))
