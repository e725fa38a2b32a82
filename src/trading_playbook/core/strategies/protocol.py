"""What a strategy is given, what it answers, and what it must say of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from trading_playbook.core.bars import BoolArray, FloatArray, IntArray
from trading_playbook.core.grid import SessionGrid

NONE = -1
"""In an array of slots: there is none."""

NO_DATA = "no_data"
ENTERED = "entered"
"""The two reasons that every strategy shares."""


def opening_of(slot: IntArray) -> IntArray:
    """The moment at which a slot opens and the open of its bar is known; see Judgements for moments."""
    return 2 * slot


def end_of(slot: IntArray) -> IntArray:
    """The moment at which a slot ends and its bar is known whole."""
    return 2 * slot + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a strategy must be given: length of a bar in minutes, and how many earlier daily closes."""

    bar_minutes: int
    closes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBatch:
    """All that a strategy may look at, one entry a row, in the session's own price terms.

    session: the session to judge, or any prefix of it. previous: the whole session before it in the calendar, all NaN
    where it is not to be used. closes: (needs.closes, rows) the last daily closes of earlier sessions, oldest first,
    NaN at the top where fewer exist.
    """

    session: SessionGrid
    previous: SessionGrid
    closes: FloatArray

    @property
    def rows(self) -> int:
        return self.session.rows

    def take(self, rows: IntArray) -> SessionBatch:
        """These rows, in this order."""
        return SessionBatch(
            session=self.session.take(rows), previous=self.previous.take(rows), closes=self.closes[:, rows]
        )

    @classmethod
    def side_by_side(cls, batches: Sequence[Self]) -> Self:
        """The rows of several batches as one."""
        if len(batches) == 1:
            return batches[0]
        return cls(
            session=SessionGrid.side_by_side([batch.session for batch in batches]),
            previous=SessionGrid.side_by_side([batch.previous for batch in batches]),
            closes=np.concatenate([batch.closes for batch in batches], axis=1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """A strategy's answers, arrays of shape (rows,). Slots are NONE and floats NaN where they do not apply.

    A moment counts half slots: 2 x slot is the slot's opening, when of its bar the open alone is known, and
    2 x slot + 1 its end. What is named known at a moment depends on nothing later.

    reason: index into reasons. decided: moment at which reason was certain.
    trend_mean, trend_valid, trend_decided: mean of the daily closes, whether the session opened above it (read only
    where trend_mean is not NaN), and the moment at which that was known.
    first_close_below, reversal, confirmation: slots of the walk through the window; reversal_strength_ok: 1, 0 or NONE;
    walk_decided: moment at which the walk was over.
    entry_slot, entry_price, ema, atr, stop_distance, stop_price: the entry, dollars; shares is a count for all.
    exit_slot: the slot at whose close a position still open is given up.
    measured, threshold: the value that the deciding rule looked at and what it was held against; measured_slot: the bar
    it was measured on. How far one is from the other is how far the session was from passing.
    """

    reasons: tuple[str, ...]
    reason: IntArray
    decided: IntArray
    trend_mean: FloatArray
    trend_valid: BoolArray
    trend_decided: IntArray
    first_close_below: IntArray
    reversal: IntArray
    reversal_strength_ok: IntArray
    confirmation: IntArray
    walk_decided: IntArray
    entry_slot: IntArray
    entry_price: FloatArray
    ema: FloatArray
    atr: FloatArray
    stop_distance: FloatArray
    stop_price: FloatArray
    exit_slot: IntArray
    shares: int
    measured: FloatArray
    threshold: FloatArray
    measured_slot: IntArray

    @property
    def entered(self) -> BoolArray:
        entered: BoolArray = self.reason == self.reasons.index(ENTERED)
        return entered


class Strategy(Protocol):
    """A play, with its parameters: a frozen value that judges sessions and says what it needs.

    A row's answer depends on that row of the batch alone. judge takes any prefix of a session, and a bar under way
    whose open alone is known.
    """

    @property
    def name(self) -> str: ...

    @property
    def rules(self) -> int:
        """Raised when a rule or a default changes, so that rows of other rules have another params_hash."""

    @property
    def chosen(self) -> Mapping[str, object]:
        """The parameters that are not at their defaults, as JSON values, times as HH:MM."""

    @property
    def needs(self) -> Needs: ...

    @property
    def entry_window(self) -> str:
        """From the first to the last slot of the window, such as 10:00-10:30."""

    def exit_slot(self, session_slots: IntArray) -> IntArray:
        """The last slot that is looked at in sessions of so many slots."""

    def judge(self, batch: SessionBatch) -> Judgements: ...

    def sentence(self, judgements: Judgements, row: int) -> str:
        """The reason of one row in words: which rule, its value, its threshold, the distance."""
