"""Indicators against TA-Lib where both begin alike, and against a loop over scalars to the last bit."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import talib

from trading_playbook.core.bars import FloatArray
from trading_playbook.core.indicators import ema, sma, wilder_atr

Scalars = list[float]
PERIODS = (1, 2, 3, 14, 20, 50)


def column(values: Scalars) -> FloatArray:
    """One row's values, slot-major."""
    return np.array(values, dtype=np.float64)[:, np.newaxis]


def drawn(seed: int, bars: int = 300, holes: float = 0.0) -> tuple[Scalars, Scalars, Scalars]:
    """High, low and close of a random walk, NaN where a bar is missing."""
    dice = random.Random(seed)
    price, rows = 100.0, []
    for _ in range(bars):
        price *= 1 + dice.gauss(0, 0.002)
        row = (price * (1 + dice.random() / 500), price * (1 - dice.random() / 500), price)
        rows.append((math.nan,) * 3 if dice.random() < holes else row)
    high, low, close = zip(*rows, strict=True)
    return list(high), list(low), list(close)


def ema_by_hand(close: Scalars, period: int) -> Scalars:
    weight, result, latest = 2 / (period + 1), [], math.nan
    for price in close:
        if not math.isnan(price):
            latest = price if math.isnan(latest) else latest + weight * (price - latest)
        result.append(math.nan if math.isnan(price) else latest)
    return result


def atr_by_hand(high: Scalars, low: Scalars, close: Scalars, period: int) -> Scalars:
    result, total, average, count, before = [], 0.0, math.nan, 0, math.nan
    for top, bottom, price in zip(high, low, close, strict=True):
        if math.isnan(price):
            result.append(math.nan)
            continue
        count += 1
        true_range = top - bottom if count == 1 else max(top - bottom, abs(top - before), abs(bottom - before))
        if count <= period:
            total = total + true_range
            average = total / period if count == period else math.nan
        else:
            average = ((period - 1) * average + true_range) / period
        before = price
        result.append(average)
    return result


def same_bits(found: FloatArray, expected: Scalars | FloatArray) -> bool:
    return np.array_equal(found, np.asarray(expected, dtype=np.float64).reshape(found.shape), equal_nan=True)


class TestAgainstTalib:
    @pytest.mark.parametrize("period", [2, 3, 20, 50])
    def test_ema_from_the_mean_with_which_theirs_begins(self, period: int) -> None:
        _, _, close = drawn(1)
        theirs = talib.EMA(np.array(close), period)[period - 1 :]
        found = ema(column([sum(close[:period]) / period, *close[period:]]), period)[:, 0]
        np.testing.assert_allclose(found, theirs, rtol=1e-12)

    @pytest.mark.parametrize("period", [2, 3, 20, 50])
    def test_ema_after_closes_that_are_all_the_same(self, period: int) -> None:
        close = [100.0] * period + drawn(2)[2]
        found, theirs = ema(column(close), period)[:, 0], talib.EMA(np.array(close), period)
        np.testing.assert_allclose(found[period - 1 :], theirs[period - 1 :], rtol=1e-12)

    @pytest.mark.parametrize("period", [2, 3, 14, 50])
    def test_atr(self, period: int) -> None:
        # TA-Lib leaves out the first bar's range. One before it, with its close inside it, makes both begin alike.
        high, low, close = drawn(3)
        inside = (high[0] + low[0]) / 2
        longer = [np.array([inside, *values]) for values in (high, low, close)]
        theirs = talib.ATR(longer[0], longer[1], longer[2], period)[1:]
        found = wilder_atr(column(high), column(low), column(close), period)[:, 0]
        assert np.array_equal(np.isnan(found), np.isnan(theirs))
        assert np.sum(np.isnan(found)) == period - 1
        np.testing.assert_allclose(found[period - 1 :], theirs[period - 1 :], rtol=1e-12)

    @pytest.mark.parametrize("period", [2, 20, 200])
    def test_sma(self, period: int) -> None:
        close = np.array(drawn(4)[2])
        found = sma(np.stack([close[start : start + period] for start in range(100)], axis=1))
        np.testing.assert_allclose(found, talib.SMA(close, period)[period - 1 :][:100], rtol=1e-12)


class TestAgainstScalars:
    @pytest.mark.parametrize("holes", [0.0, 0.1, 0.7])
    @pytest.mark.parametrize("period", PERIODS)
    def test_ema_to_the_last_bit(self, period: int, holes: float) -> None:
        for seed in range(5):
            _, _, close = drawn(seed, holes=holes)
            assert same_bits(ema(column(close), period), ema_by_hand(close, period))

    @pytest.mark.parametrize("holes", [0.0, 0.1, 0.7])
    @pytest.mark.parametrize("period", PERIODS)
    def test_atr_to_the_last_bit(self, period: int, holes: float) -> None:
        for seed in range(5):
            high, low, close = drawn(seed, holes=holes)
            found = wilder_atr(column(high), column(low), column(close), period)
            assert same_bits(found, atr_by_hand(high, low, close, period))

    def test_sma_adds_from_oldest_to_newest_whatever_lies_beside_it(self) -> None:
        # Pairwise or compensated, these would not come to the same: each 1 is lost on 1e16 when it comes alone.
        awkward = [1e16, *[1.0] * 199]
        total = 0.0
        for value in awkward:
            total = total + value
        assert total / 200 != math.fsum(awkward) / 200
        for rows in (1, 2, 9, 200):
            found = sma(np.repeat(column(awkward), rows, axis=1))
            assert found.tolist() == [total / 200] * rows
        assert sma(np.asfortranarray(np.repeat(column(awkward), 3, axis=1))).tolist() == [total / 200] * 3


class TestByHand:
    def test_ema_begins_with_the_first_close_and_moves_by_two_over_period_plus_one(self) -> None:
        # A period of 3 moves half of the way: 10, then 10 + 2 / 2 = 11, then 11 - 5 / 2 = 8.5.
        assert ema(column([10.0, 12.0, 6.0]), 3)[:, 0].tolist() == [10.0, 11.0, 8.5]

    def test_atr_is_undefined_before_its_period_and_smooths_as_wilder_has_it(self) -> None:
        # True ranges 2, then max(1, |11 - 10|, |10 - 10|) = 1, then max(1, |15 - 10.5|, ...) = 4.5: a mean of 2.5, and
        # (2 x 2.5 + 1) / 3 = 2.
        high, low, close = [11.0, 11.0, 15.0, 15.0], [9.0, 10.0, 14.0, 14.0], [10.0, 10.5, 14.5, 14.5]
        found = wilder_atr(column(high), column(low), column(close), 3)[:, 0]
        assert np.isnan(found[:2]).all()
        assert found[2:].tolist() == [2.5, 2.0]

    def test_a_true_range_reaches_up_and_down_to_the_close_before(self) -> None:
        for high, low in ((21.0, 20.0), (0.5, 0.0)):
            found = wilder_atr(column([10.0, high]), column([10.0, low]), column([10.0, low]), 1)[:, 0]
            assert found.tolist() == [0.0, abs((high if high > 10 else low) - 10.0)]

    def test_sma_is_the_sum_over_the_count(self) -> None:
        assert sma(np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])).tolist() == [3.0, 30.0]

    def test_sma_of_too_few_is_undefined(self) -> None:
        assert np.isnan(sma(np.array([[math.nan, 1.0], [2.0, 3.0]]))).tolist() == [True, False]


class TestHoles:
    """A missing bar is stepped over: nothing is told at it, and nothing after it changes by it."""

    @pytest.mark.parametrize("period", PERIODS)
    def test_the_bars_that_exist_have_the_values_they_would_have_side_by_side(self, period: int) -> None:
        high, low, close = (np.array(values) for values in drawn(5, holes=0.3))
        here = ~np.isnan(close)
        assert same_bits(ema(close[:, np.newaxis], period)[here], ema(close[here][:, np.newaxis], period))
        with_holes = wilder_atr(high[:, np.newaxis], low[:, np.newaxis], close[:, np.newaxis], period)
        dense = [values[here][:, np.newaxis] for values in (high, low, close)]
        side_by_side = wilder_atr(dense[0], dense[1], dense[2], period)
        assert same_bits(with_holes[here], side_by_side)
        assert np.isnan(with_holes[~here]).all()

    def test_rows_may_begin_and_end_anywhere(self) -> None:
        close = np.full((6, 3), np.nan)
        close[0:2, 0], close[3:6, 1] = 10.0, 20.0
        assert same_bits(ema(close, 3), close)
        found = wilder_atr(close, close, close, 2)
        assert np.flatnonzero(~np.isnan(found[:, 0])).tolist() == [1]
        assert np.flatnonzero(~np.isnan(found[:, 1])).tolist() == [4, 5]
        assert np.isnan(found[:, 2]).all()

    def test_a_bar_whose_open_alone_is_known_counts_as_missing(self) -> None:
        high, low, close = drawn(6, bars=40)
        high[-1] = low[-1] = close[-1] = math.nan
        assert np.isnan(ema(column(close), 5)[-1, 0])
        assert np.isnan(wilder_atr(column(high), column(low), column(close), 5)[-1, 0])


class TestCompany:
    """A row's values are the same bits alone and among others."""

    @pytest.mark.parametrize("period", [1, 14, 20])
    def test_one_row_equals_many_rows(self, period: int) -> None:
        rows = [drawn(seed, holes=(0.0, 0.02, 0.5)[seed % 3]) for seed in range(17)]
        high, low, close = (np.array(values).T for values in zip(*rows, strict=True))
        many = ema(close, period), wilder_atr(high, low, close, period)
        for row in range(len(rows)):
            alone = slice(row, row + 1)
            assert same_bits(many[0][:, alone], ema(close[:, alone], period))
            assert same_bits(many[1][:, alone], wilder_atr(high[:, alone], low[:, alone], close[:, alone], period))

    def test_what_is_given_stays_as_it_was(self) -> None:
        arrays = tuple(column(values) for values in drawn(8, holes=0.2))
        before = [array.copy() for array in arrays]
        ema(arrays[2], 3)
        wilder_atr(arrays[0], arrays[1], arrays[2], 3)
        sma(arrays[2])
        assert all(same_bits(array, old) for array, old in zip(arrays, before, strict=True))
