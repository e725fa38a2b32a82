"""The rules of the play, every one vectorised across rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trading_playbook.core.bars import BoolArray, FloatArray, IntArray
from trading_playbook.core.grid import SessionGrid
from trading_playbook.core.indicators import ema, sma, wilder_atr
from trading_playbook.core.strategies.dp20.parameters import Dp20Parameters, exit_slot
from trading_playbook.core.strategies.protocol import (
    ENTERED,
    NO_DATA,
    NONE,
    Judgements,
    SessionBatch,
    end_of,
    opening_of,
)

Value = TypeVar("Value", bound=np.generic)

STRENGTH_DECIMALS = 9

# In the order in which the rules are asked: the first that fails is a session's reason.
REASONS = (
    NO_DATA,
    "insufficient_history",
    "insufficient_warmup",
    "trend_down",
    "incomplete_session",
    "no_pullback",
    "no_reversal",
    "no_confirmation",
    "invalidated",
    "no_entry_bar",
    "zero_risk",
    ENTERED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gates:
    """What is asked before the walk; arrays of shape (rows,).

    first: slot of the first bar; opened_at: moment at which it opened, the session's end where no bar came. closes,
    warm_bars: how many there are. warm_at: moment at which the warm-up's bars were there.
    """

    has_bar: BoolArray
    first: IntArray
    opened_at: IntArray
    first_open: FloatArray
    closes: IntArray
    mean: FloatArray
    warm_bars: IntArray
    warm_at: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The walk through the window; arrays of shape (rows,), slots NONE where it did not come so far.

    over: the last slot that the walk looked at; missing: slots without a bar from the open to there.
    ema, atr: those of the confirmation bar. close, line, strength, after, above: the window's bars, (window slots,
    rows): closes, their EMA, their strength, whether they come after the pullback, whether they close above too.
    """

    first_close_below: IntArray
    strength_ok: IntArray
    reversal: IntArray
    confirmation: IntArray
    invalidated: BoolArray
    over: IntArray
    missing: IntArray
    ema: FloatArray
    atr: FloatArray
    close: FloatArray
    line: FloatArray
    strength: FloatArray
    after: BoolArray
    above: BoolArray


def judge(rules: Dp20Parameters, batch: SessionBatch) -> Judgements:
    """Ask the rules in their order, of every row at once."""
    # The slot after the last confirmation is read too, also where every session of the batch is shorter.
    session = batch.session.of_height(max(batch.session.slots, rules.last_slot + 2))
    gates = _gates(rules, batch, session)
    walk = _walk(rules, batch, session)

    exits = exit_slot(session.session_slots, rules.exit_minutes_before_close)
    entry = walk.confirmation + 1
    entry_price = _at(session.open, entry)
    stop_distance = rules.stop_atr * walk.atr
    stop_price = entry_price - stop_distance
    # Where nothing lies below the stop it is none, and where nothing lies above it R would be infinite.
    room = np.minimum(stop_price, entry_price - stop_price)

    start, opened, over = _all(batch, rules.first_slot), gates.opened_at, end_of(walk.over)
    window_over = end_of(_all(batch, rules.last_slot))
    # For each reason but the last, in their order: where its rule failed, and the moment at which that was sure.
    verdicts = (
        (~gates.has_bar, opened),
        (gates.closes < rules.sma_period, opened),
        (gates.warm_bars < rules.ema_period, end_of(start - 1)),
        (~(gates.first_open > gates.mean), gates.warm_at),
        (walk.missing > rules.max_missing, over),
        (walk.first_close_below == NONE, window_over),
        (walk.reversal == NONE, window_over),
        (walk.confirmation == NONE, window_over),
        (walk.invalidated, over),
        (np.isnan(entry_price) | (entry > exits), end_of(entry)),
        (~(room > 0), opening_of(entry)),
    )
    failed, sure = zip(*verdicts, strict=True)
    reason = np.select(failed, range(len(failed)), REASONS.index(ENTERED))
    # Nothing is sure before the first bar: until then the session may turn out to have none, or to open below the mean.
    decided = np.maximum(opened, np.select(failed, sure, opening_of(entry)))
    walked = reason > REASONS.index("incomplete_session")
    entered = reason == REASONS.index(ENTERED)
    measured, threshold, measured_slot = _measured(rules, reason, gates, walk, room)
    return Judgements(
        reasons=REASONS,
        reason=reason,
        decided=decided,
        trend_mean=np.where(gates.has_bar, gates.mean, np.nan),
        trend_valid=gates.first_open > gates.mean,
        trend_decided=gates.opened_at,
        first_close_below=np.where(walked, walk.first_close_below, NONE),
        reversal=np.where(walked, walk.reversal, NONE),
        reversal_strength_ok=np.where(walked, walk.strength_ok, NONE),
        confirmation=np.where(walked, walk.confirmation, NONE),
        walk_decided=over,
        entry_slot=np.where(entered, entry, NONE),
        entry_price=np.where(entered, entry_price, np.nan),
        ema=np.where(entered, walk.ema, np.nan),
        atr=np.where(entered, walk.atr, np.nan),
        stop_distance=np.where(entered, stop_distance, np.nan),
        stop_price=np.where(entered, stop_price, np.nan),
        exit_slot=exits,
        shares=rules.shares,
        measured=measured,
        threshold=threshold,
        measured_slot=measured_slot,
    )


def _gates(rules: Dp20Parameters, batch: SessionBatch, session: SessionGrid) -> _Gates:
    opened = ~np.isnan(session.open)
    has_bar, first = np.any(opened, axis=0), np.argmax(opened, axis=0)
    opened_at = np.where(has_bar, opening_of(first), end_of(session.session_slots - 1))
    earlier = np.sum(~np.isnan(batch.previous.close), axis=0)
    bars = earlier + np.cumsum(~np.isnan(session.close[: rules.first_slot]), axis=0)
    # The first slot at whose end enough bars are there.
    warm_slot = np.sum(bars < rules.ema_period, axis=0)
    return _Gates(
        has_bar=has_bar,
        first=first,
        opened_at=opened_at,
        first_open=_at(session.open, first),
        closes=np.sum(~np.isnan(batch.closes), axis=0),
        mean=sma(batch.closes),
        warm_bars=bars[-1] if rules.first_slot else earlier,
        warm_at=np.where(earlier >= rules.ema_period, opened_at, end_of(warm_slot)),
    )


def _walk(rules: Dp20Parameters, batch: SessionBatch, session: SessionGrid) -> _Walk:
    start, stop = rules.first_slot, rules.last_slot + 1
    high, low, close = (
        np.concatenate([getattr(batch.previous, name), getattr(session, name)[:stop]])
        for name in ("high", "low", "close")
    )
    average, true_range = ema(close, rules.ema_period), wilder_atr(high, low, close, rules.atr_period)
    window = slice(batch.previous.slots + start, None)
    high, low, close, line, true_range = high[window], low[window], close[window], average[window], true_range[window]

    # Places count from the first slot of the window.
    place, last_place = np.arange(stop - start)[:, np.newaxis], stop - start - 1
    below = close < line
    pulled_back, pullback = _first(below)
    after = pulled_back & (place > pullback) & ~np.isnan(close)
    above = after & (close > line)
    strength = _strength(high, low, close)
    reversed_, reversal = _first(above & _stronger(strength, rules.reversal_strength))
    confirmation = np.minimum(reversal + 1, last_place)
    confirmed = reversed_ & (reversal < last_place) & ~np.isnan(_at(close, confirmation))

    over = np.where(confirmed, start + confirmation, stop - 1)
    missing = np.isnan(session.close[:stop]) & (np.arange(stop)[:, np.newaxis] < session.session_slots)
    return _Walk(
        first_close_below=np.where(pulled_back, start + pullback, NONE),
        strength_ok=np.where(reversed_, 1, np.where(np.any(above, axis=0), 0, NONE)),
        reversal=np.where(reversed_, start + reversal, NONE),
        confirmation=np.where(confirmed, start + confirmation, NONE),
        invalidated=confirmed & _at(below, confirmation),
        over=over,
        missing=_at(np.cumsum(missing, axis=0), over),
        ema=_at(line, confirmation),
        atr=_at(true_range, confirmation),
        close=close,
        line=line,
        strength=strength,
        after=after,
        above=above,
    )


def _strength(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Where in its range each bar closes, 0 at the low to 1 at the high; 0 for a bar without a range."""
    height = high - low
    return np.divide(close - low, height, out=np.zeros_like(height), where=height != 0)


def _stronger(strength: FloatArray, threshold: float) -> BoolArray:
    """Whether each strength, rounded to 9 decimals as Python's round does it, is greater than the threshold."""
    stronger = strength > threshold
    # Rounding can turn the answer only next to the threshold, so only there is it worth Python's own round.
    for place in zip(*np.nonzero(np.abs(strength - threshold) < 10.0**-STRENGTH_DECIMALS), strict=True):
        stronger[place] = round(float(strength[place]), STRENGTH_DECIMALS) > threshold
    return stronger


def _measured(
    rules: Dp20Parameters, reason: IntArray, gates: _Gates, walk: _Walk, room: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    """For the rule that decided each row: its value, its threshold, and the slot of the bar that it looked at.

    Where a whole window failed a rule, the bar is named that came nearest to passing it.
    """
    rows = len(reason)
    measured, threshold, slot = np.full(rows, np.nan), np.full(rows, np.nan), np.full(rows, NONE)

    def tell(
        name: str,
        value: IntArray | FloatArray,
        limit: FloatArray | float,
        at: IntArray | None = None,
        where: BoolArray | None = None,
    ) -> None:
        told = (reason == REASONS.index(name)) & (True if where is None else where)
        np.copyto(measured, value, where=told)
        np.copyto(threshold, limit, where=told)
        if at is not None:
            np.copyto(slot, at, where=told)

    tell("insufficient_history", gates.closes, rules.sma_period)
    tell("insufficient_warmup", gates.warm_bars, rules.ema_period)
    tell("trend_down", gates.first_open, gates.mean, gates.first)
    tell("incomplete_session", walk.missing, rules.max_missing, walk.over)
    start, has_bar = rules.first_slot, ~np.isnan(walk.close)
    near = np.argmin(np.where(has_bar, walk.close - walk.line, np.inf), axis=0)
    tell("no_pullback", _at(walk.close, near), _at(walk.line, near), start + near, np.any(has_bar, axis=0))
    near = np.argmin(np.where(walk.after, walk.line - walk.close, np.inf), axis=0)
    tell("no_reversal", _at(walk.close, near), _at(walk.line, near), start + near, np.any(walk.after, axis=0))
    best = np.argmax(np.where(walk.above, walk.strength, -1.0), axis=0)
    tell("no_reversal", _at(walk.strength, best), rules.reversal_strength, start + best, walk.strength_ok == 0)
    at = np.maximum(walk.confirmation - start, 0)
    tell("invalidated", _at(walk.close, at), walk.ema, walk.confirmation)
    tell("zero_risk", room, 0.0, walk.confirmation + 1)
    return measured, threshold, slot


def _all(batch: SessionBatch, slot: int) -> IntArray:
    """The same slot for every row."""
    return np.full(batch.rows, slot)


def _first(true: BoolArray) -> tuple[BoolArray, IntArray]:
    """Whether each row holds a true value, and the first one's place, NONE where there is none."""
    some = np.any(true, axis=0)
    return some, np.where(some, np.argmax(true, axis=0), NONE)


def _at(values: npt.NDArray[Value], places: IntArray) -> npt.NDArray[Value]:
    """The value at each row's place, shape (rows,); any value of the row where the place is NONE."""
    return values[places, np.arange(values.shape[1])]
