"""Causal indicators, vectorised across rows: the value at a bar reads that bar and the bars before it.

Every array is slot-major, shape (n, rows), oldest first, NaN where no bar is. Loops go over slots, never over rows,
so that each row's sums run from oldest to newest by plain additions, whatever rows lie beside it.
"""

from __future__ import annotations

import numpy as np

from trading_playbook.core.bars import FloatArray


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
    result = np.empty_like(close)
    latest = np.full(close.shape[1], np.nan)
    for slot, price in enumerate(close):
        value = np.where(np.isnan(latest), price, latest + weight * (price - latest))
        latest = np.where(np.isnan(value), latest, value)
        result[slot] = value
    return result


def wilder_atr(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    """Average true range over the bars that exist, in the unit of the prices; NaN where no bar is or too few came.

    The mean of the first `period` true ranges, then ((period - 1) a + tr) / period. A true range reaches to the close
    of the bar before, across missing slots and nights too; the first bar's is high - low.
    Source: Wilder, New Concepts in Technical Trading Systems (1978).
    """
    rows = close.shape[1]
    result = np.full_like(close, np.nan)
    average, total = np.full(rows, np.nan), np.zeros(rows)
    before = np.full(rows, np.nan)
    count = np.zeros(rows, dtype=np.int64)
    for slot in range(len(close)):
        exists = ~np.isnan(close[slot])
        # fmax passes over the distances to a close that is not there.
        reach = np.fmax(np.abs(high[slot] - before), np.abs(low[slot] - before))
        true_range = np.fmax(high[slot] - low[slot], reach)
        count = count + exists
        total = np.where(exists & (count <= period), total + true_range, total)
        smoothed = ((period - 1) * average + true_range) / period
        average = np.where(exists & (count >= period), np.where(count == period, total / period, smoothed), average)
        before = np.where(exists, close[slot], before)
        result[slot] = np.where(exists, average, np.nan)
    return result
