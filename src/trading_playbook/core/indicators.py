"""Causal indicators, vectorised across rows: the value at a bar reads that bar and the bars before it.

Every array is slot-major, shape (n, rows), oldest first, NaN where no bar is. Loops go over slots, never over rows,
so that each row's sums run from oldest to newest by plain additions, whatever rows lie beside it.
"""

from __future__ import annotations

import numpy as np

from trading_playbook.core.bars import BoolArray, FloatArray


def sma(values: FloatArray) -> FloatArray:
    """Simple mean of all values of each row, shape (rows,); NaN where one is missing."""
    total = np.zeros(values.shape[1])
    for value in values:
        total = total + value
    return total / len(values)


def ema(close: FloatArray, period: int) -> FloatArray:
    """Exponential mean over the bars that exist, in the unit of close; NaN where no bar is.

    e_0 is the first close, then e + k (c - e) with k = 2 / (period + 1).
    """
    weight = 2 / (period + 1)
    exists = ~np.isnan(close)
    everywhere = np.all(exists, axis=1).tolist()
    last_to_begin = np.argmax(exists, axis=0).max(initial=0)
    result = np.empty_like(close)
    latest = np.full(close.shape[1], np.nan)
    for slot, price in enumerate(close):
        value = result[slot]
        np.subtract(price, latest, out=value)
        np.multiply(value, weight, out=value)
        np.add(latest, value, out=value)
        if slot <= last_to_begin:
            np.copyto(value, price, where=np.isnan(latest))
        latest = _kept(latest, value, exists[slot], everywhere[slot])
    return result


def wilder_atr(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    """Average true range over the bars that exist, in the unit of the prices; NaN where no bar is or too few came.

    The mean of the first `period` true ranges, then ((period - 1) a + tr) / period. A true range reaches to the close
    of the bar before, across missing slots and nights too; the first bar's is high - low.
    Source: Wilder, New Concepts in Technical Trading Systems (1978).
    """
    rows = close.shape[1]
    exists = ~np.isnan(close)
    everywhere = np.all(exists, axis=1).tolist()
    result = np.empty_like(close)
    # The first bar has no close before it; its own lies inside its range and so adds nothing.
    before = close[np.argmax(exists, axis=0), np.arange(rows)]
    average, total = np.full(rows, np.nan), np.zeros(rows)
    count, warming = np.zeros(rows, dtype=np.int64), True
    true_range, floor = np.empty(rows), np.empty(rows)
    for slot, here in enumerate(exists):
        np.maximum(high[slot], before, out=true_range)
        np.minimum(low[slot], before, out=floor)
        np.subtract(true_range, floor, out=true_range)
        value = result[slot]
        np.multiply(average, period - 1, out=value)
        np.add(value, true_range, out=value)
        np.divide(value, period, out=value)
        if warming:
            count += here
            np.add(total, true_range, out=total, where=here)
            np.copyto(value, total / period, where=here & (count == period))
            warming = count.min(initial=period) < period
        average = _kept(average, value, here, everywhere[slot])
        before = _kept(before, close[slot], here, everywhere[slot])
    return result


def _kept(old: FloatArray, new: FloatArray, where: BoolArray, everywhere: bool) -> FloatArray:
    """The new values where a bar is, the old ones elsewhere; without copying where every row has its bar."""
    return new if everywhere else np.where(where, new, old)
