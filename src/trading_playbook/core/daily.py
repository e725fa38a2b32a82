"""Daily closes and splits of one symbol, and past prices in a later session's own terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from trading_playbook.core.bars import HIGHEST_PRICE, BoolArray, FloatArray, IntArray
from trading_playbook.core.errors import CheckData

_EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Days from 1970-01-01 to a date, which is how arrays hold dates."""
    return (day - _EPOCH).days


def day_of(number: int) -> date:
    """The date of a day number."""
    return _EPOCH + timedelta(days=int(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyCloses:
    """Raw daily closes of one symbol as a feed gave them, in any order, unchecked.

    days: (n,) int64 day numbers. closes: (n,) float64, dollars. first_session: date of the first daily bar that the
    feed has of this symbol, also before those given here; None where it has none.
    """

    symbol: str
    days: IntArray
    closes: FloatArray
    first_session: date | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """So many new shares for so many old ones, from the opening of ex_date on: old 1, new 4 quarters the price."""

    ex_date: date
    old: float
    new: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCloses:
    """Closes of sessions, oldest first, each day once.

    faults: what is wrong with a close, by its position. repeats: exact copies that were dropped. off_session: closes
    that were left out because their date is no session.
    """

    days: IntArray
    closes: FloatArray
    faults: Mapping[int, CheckData]
    repeats: int
    off_session: int


def check_closes(daily: DailyCloses, are_sessions: Callable[[IntArray], BoolArray]) -> CheckedCloses:
    """The closes that may be counted on, and what is wrong with the others. are_sessions: of day numbers."""
    order = np.lexsort((daily.closes, daily.days))
    days, closes = daily.days[order], daily.closes[order]
    on_session = are_sessions(days)
    days, closes = days[on_session], closes[on_session]
    same_day = np.zeros(len(days), dtype=np.bool_)
    same_day[1:] = days[1:] == days[:-1]
    copies = same_day.copy()
    copies[1:] &= (closes[1:] == closes[:-1]) | (np.isnan(closes[1:]) & np.isnan(closes[:-1]))
    contradictory = (same_day & ~copies)[~copies]
    days, closes = days[~copies], closes[~copies]
    impossible = ~((closes > 0) & (closes <= HIGHEST_PRICE))
    faults = {
        int(position): _close_fault(daily.symbol, days, closes, int(position), bool(impossible[position]))
        for position in np.flatnonzero(impossible | contradictory)
    }
    return CheckedCloses(
        days=days,
        closes=closes,
        faults=faults,
        repeats=int(copies.sum()),
        off_session=int(np.sum(~on_session)),
    )


def closes_before(checked: CheckedCloses, sessions: IntArray, count: int) -> tuple[FloatArray, IntArray, IntArray]:
    """The last `count` closes before each session, raw, oldest first: values and day numbers, (count, sessions) each.

    Where fewer exist, NaN and 0 stand at the top. The third array gives the position after each session's last close.
    """
    ends = np.searchsorted(checked.days, sessions, side="left")
    padded_closes = np.concatenate([np.full(count, np.nan), checked.closes])
    padded_days = np.concatenate([np.zeros(count, dtype=np.int64), checked.days])
    positions = ends + np.arange(count)[:, np.newaxis]
    return padded_closes[positions], padded_days[positions], ends


def price_factors(splits: Sequence[Split], past: IntArray, sessions: IntArray) -> FloatArray:
    """What past prices are divided by to stand in their sessions' terms; day numbers that broadcast to one shape.

    The product 1.0 x (new / old) of all splits after the past day and not after the session, oldest first.
    """
    factors = np.ones(np.broadcast_shapes(past.shape, sessions.shape))
    for split in sorted(splits, key=lambda split: split.ex_date):
        ex_day = day_number(split.ex_date)
        factors = np.where((past < ex_day) & (ex_day <= sessions), factors * (split.new / split.old), factors)
    return factors


def _close_fault(symbol: str, days: IntArray, closes: FloatArray, position: int, impossible: bool) -> CheckData:
    day, value = day_of(days[position]), float(closes[position])
    if impossible:
        told = "the daily close is missing" if np.isnan(value) else f"the daily close is {value!r}, which is no price"
    else:
        told = f"two daily closes of that date disagree, {float(closes[position - 1])!r} and {value!r}"
    return CheckData(f"{symbol} {day}: {told}", kind="bad_close", symbol=symbol, session=day, field="close")
