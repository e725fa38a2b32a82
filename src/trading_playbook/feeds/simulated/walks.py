"""Prices that were never traded: the random walks behind the simulated feed, the same on every machine.

Random numbers are the raw stream of PCG64, which numpy keeps as it is, while it may change its distributions. Prices
are made of them with +, -, *, / and the square root alone, whose results are everywhere the same; those of exp, log or
a sum of unstated order are not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from trading_playbook.core.bars import FloatArray

FIRST = date(2000, 1, 3)
"""A Monday, weekday 0 of every walk."""

TICKS = 4
"""Prices in a bar, of which its open, high, low and close are taken."""

RawArray = npt.NDArray[np.uint64]

# The walk of closes, a step a weekday. Prices are dollars, the others fractions of a price.
_PRICES = (15.0, 80.0)
_GROWTH = 1 + 0.05 / 261
_NIGHT, _DAY = 0.004, 0.009
_RETURN = 0.98
"""What is left, a day later, of a price's distance from its line: pulled back enough to stay near, not to look so."""

# The walk inside a session.
_SHARES = (5_000.0, 100_000.0)
_EDGES = 3.0
"""How much more the variance and the volume are at the open and at the close than in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyWalk:
    """The days of one symbol, by the number of their weekday; arrays of shape (weekdays,).

    opens, closes: dollars, not rounded. bustle: how restless a day is, about 1. shares: of a quiet bar, one number.
    """

    opens: FloatArray
    closes: FloatArray
    bustle: FloatArray
    shares: float


def weekday_number(day: date) -> int:
    """How many weekdays lie between FIRST and a weekday."""
    weeks, days = divmod((day - FIRST).days, 7)
    return weeks * 5 + days


@lru_cache(maxsize=64)
def daily_walk(symbol: str, weekdays: int) -> DailyWalk:
    """The first so many days of a symbol; more days leave the earlier ones as they are.

    Days without a session are walked as well, so that no change of the calendar moves another day's price.
    """
    raw = _raw(symbol, 2 + 3 * weekdays)
    start, shares = (_between(bounds, raw[place : place + 1]) for place, bounds in enumerate((_PRICES, _SHARES)))
    draws = raw[2:].reshape(weekdays, 3)
    restless = _uniform(draws[:, 0])
    bustle = 0.6 + 0.8 * restless * restless
    night, day = _NIGHT * bustle * _normal(draws[:, 1]), _DAY * bustle * _normal(draws[:, 2])
    distance = np.array(list(accumulate((night + day).tolist(), lambda before, step: _RETURN * before + step)))
    line = np.multiply.accumulate(np.concatenate([[start], np.full(weekdays - 1, _GROWTH)]))
    closes = line * (1 + distance)
    return DailyWalk(
        opens=np.concatenate([[start], closes[:-1]]) * (1 + night), closes=closes, bustle=bustle, shares=shares
    )


def session_walks(symbol: str, days: Sequence[date], slots: int, walk: DailyWalk) -> tuple[FloatArray, FloatArray]:
    """Prices of these days, (days, slots, TICKS) in dollars and cents, and the shares of each bar, (days, slots).

    Each day's walk goes from its open to its close, over so many slots: all days must be of one length.
    """
    numbers = np.array([weekday_number(day) for day in days], dtype=np.int64)
    raw = np.stack([_raw(f"{symbol} {day}", slots * (TICKS + 1)) for day in days]).reshape(-1, slots, TICKS + 1)
    bustle = walk.bustle[numbers][:, np.newaxis]
    busy = _busy(slots * TICKS)
    share = np.cumsum(busy) / np.cumsum(busy)[-1]
    steps = _DAY * np.sqrt(np.diff(share, prepend=0.0)) * bustle * _normal(raw[:, :, :TICKS]).reshape(len(days), -1)
    # Bent so that it ends at the close; np.cumsum along an axis adds one after the other.
    path = np.cumsum(steps, axis=1)
    whole = walk.closes[numbers] / walk.opens[numbers] - 1
    path += (whole - path[:, -1])[:, np.newaxis] * share
    prices = cents(walk.opens[numbers][:, np.newaxis] * (1 + path))
    prices[:, -1] = cents(walk.closes[numbers])
    shares = np.rint(walk.shares * bustle * _busy(slots) * (0.5 + _uniform(raw[:, :, TICKS])))
    return prices.reshape(len(days), slots, TICKS), shares


def cents(prices: FloatArray) -> FloatArray:
    """Prices rounded to cents, half to even."""
    rounded: FloatArray = np.rint(prices * 100) / 100
    return rounded


def _busy(places: int) -> FloatArray:
    """How busy the places of a session are, 1 in its middle and more at both ends."""
    from_middle = 2 * (np.arange(places) + 0.5) / places - 1
    busy: FloatArray = 1 + _EDGES * from_middle * from_middle
    return busy


def _raw(seed: str, count: int) -> RawArray:
    """So many random 64-bit numbers, always the same for a seed."""
    digest = hashlib.sha256(f"trading-playbook simulated 1 {seed}".encode()).digest()
    raw: RawArray = np.random.PCG64(int.from_bytes(digest, "big")).random_raw(count)
    return raw


def _uniform(raw: RawArray) -> FloatArray:
    """Numbers from 0 up to below 1, evenly spread."""
    fractions: FloatArray = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return fractions


def _between(bounds: tuple[float, float], raw: RawArray) -> float:
    low, high = bounds
    return low + (high - low) * float(_uniform(raw)[0])


def _normal(raw: RawArray) -> FloatArray:
    """Numbers of mean 0 and deviation 1, nearly normal, within 3.5: the sums of four even ones, 16 bits each."""
    mask = np.uint64(0xFFFF)
    parts = [(raw >> np.uint64(shift)) & mask for shift in (0, 16, 32, 48)]
    total: FloatArray = (parts[0] + parts[1] + parts[2] + parts[3]).astype(np.float64)
    return (total - 2 * 0xFFFF) * (math.sqrt(3) / 0x10000)
