"""The grid of slots that strategies read, and the way from checked bars to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from trading_playbook.core.bars import (
    COLUMNS,
    MINUTE,
    PRICES,
    Bars,
    FloatArray,
    IntArray,
    faults_of,
    sorted_and_distinct,
)
from trading_playbook.core.errors import CheckData
from trading_playbook.core.schedule import Timetable


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
        which: IntArray | slice = rows
        if len(rows) and np.all(rows[1:] == rows[:-1] + 1):
            # Neighbours are the usual case, and a view of them costs nothing.
            which = slice(int(rows[0]), int(rows[-1]) + 1)
        return SessionGrid(
            bar_minutes=self.bar_minutes,
            session_slots=self.session_slots[which],
            **{name: getattr(self, name)[:, which] for name in COLUMNS},
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


def lay_out(bars: Bars, timetable: Timetable, bar_minutes: int) -> LaidOut:
    """Check the regular-hours bars of these sessions and lay them on a grid of bar_minutes slots.

    Bars outside the sessions' regular hours are left aside unchecked. The checks are made on the bars as the feed gave
    them, before finer bars are resampled. Raises ValueError where bar_minutes is no multiple of the bars' length.
    """
    per_slot, rest = divmod(bar_minutes, bars.minutes)
    if rest:
        raise ValueError(f"bars of {bars.minutes} minutes cannot make bars of {bar_minutes}")
    bars, repeats = sorted_and_distinct(bars)
    begins = np.searchsorted(bars.opened, timetable.opens, side="left")
    counts = np.searchsorted(bars.opened, timetable.closes, side="left") - begins
    inside = bars.take(_positions(begins, counts))
    since_open = inside.opened - np.repeat(timetable.opens, counts)
    slots = since_open // (bars.minutes * MINUTE)

    rows, session_slots = len(timetable.sessions), timetable.slots(bar_minutes)
    height = int(session_slots.max(initial=0)) * per_slot
    # Bars of one session lie beside each other, and so do their places: row by row, turned to slot by slot at the end.
    places = np.repeat(np.arange(rows) * height, counts) + slots
    columns = {name: _spread(getattr(inside, name), places, rows, height) for name in COLUMNS}
    if per_slot > 1:
        columns = _resampled(columns, per_slot)
    return LaidOut(
        grid=SessionGrid(
            bar_minutes=bar_minutes,
            session_slots=session_slots,
            **{name: np.ascontiguousarray(column.T) for name, column in columns.items()},
        ),
        faults=faults_of(inside, counts, since_open, slots, timetable.sessions),
        repeats=_repeats_inside(repeats, timetable),
    )


def _spread(values: FloatArray, places: IntArray, rows: int, height: int) -> FloatArray:
    """The values at their places of an array of shape (rows, height), NaN elsewhere."""
    column = np.full(rows * height, np.nan)
    column[places] = values
    return column.reshape(rows, height)


def _positions(begins: IntArray, counts: IntArray) -> IntArray | slice:
    """Positions of the bars of all sessions, one session after the other; a slice where nothing lies between them."""
    if len(begins) and np.all(begins[1:] == begins[:-1] + counts[:-1]):
        return slice(int(begins[0]), int(begins[-1] + counts[-1]))
    before = np.cumsum(counts) - counts
    return np.repeat(begins - before, counts) + np.arange(counts.sum())


def _resampled(columns: Mapping[str, FloatArray], per_slot: int) -> dict[str, FloatArray]:
    """Bars of per_slot neighbouring slots as one, arrays of shape (rows, slots): it exists where one of them does."""
    parts = {name: column.reshape(len(column), -1, per_slot) for name, column in columns.items()}
    whole = {name: part[:, :, 0] for name, part in parts.items()}
    for place in range(1, per_slot):
        later = {name: part[:, :, place] for name, part in parts.items()}
        before, after = ~np.isnan(whole["close"]), ~np.isnan(later["close"])
        whole = {
            "open": np.where(before, whole["open"], later["open"]),
            # fmax and fmin take the bar that exists where the other does not.
            "high": np.fmax(whole["high"], later["high"]),
            "low": np.fmin(whole["low"], later["low"]),
            "close": np.where(after, later["close"], whole["close"]),
            "volume": np.where(
                before & after, whole["volume"] + later["volume"], np.where(before, whole["volume"], later["volume"])
            ),
        }
    return whole


def _repeats_inside(times: IntArray, timetable: Timetable) -> int:
    """How many of the dropped copies lay in these sessions' regular hours."""
    if not len(times):
        return 0
    row = np.searchsorted(timetable.opens, times, side="right") - 1
    return int(np.sum((row >= 0) & (times < timetable.closes[row])))
