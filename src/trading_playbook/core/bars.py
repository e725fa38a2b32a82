"""Bars of one symbol as a feed gave them, and the checks that every regular-hours bar must pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from trading_playbook.core.calendar import Session, slot_label
from trading_playbook.core.errors import CheckData

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

HIGHEST_PRICE = 1e12
"""Dollars. No share costs more, and sums of what is written above it may overflow."""

PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")
# Nanoseconds.
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Columns of one symbol's intraday bars: raw prices as traded, in any order, unchecked.

    minutes: length of a bar. opened: (n,) int64, the opening times, nanoseconds since 1970 UTC.
    open, high, low, close: (n,) float64, dollars; NaN where the source had nothing. volume: (n,) float64, shares.
    first_session: date of the first regular-hours bar that the feed has of this symbol, also before the bars given
    here; None where it has none at all.
    """

    symbol: str
    minutes: int
    opened: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    first_session: date | None = None

    def __post_init__(self) -> None:
        _require_one_length(self.symbol, self.opened, *(getattr(self, name) for name in COLUMNS))

    def take(self, positions: IntArray | slice) -> Bars:
        """The bars at these positions, in their order."""
        return Bars(
            symbol=self.symbol,
            minutes=self.minutes,
            opened=self.opened[positions],
            first_session=self.first_session,
            **{name: getattr(self, name)[positions] for name in COLUMNS},
        )


def sorted_and_distinct(bars: Bars) -> tuple[Bars, IntArray]:
    """The bars in the order of time without exact copies, and the times of the copies that were dropped."""
    if np.all(bars.opened[1:] > bars.opened[:-1]):
        return bars, bars.opened[:0]
    # Copies come to lie beside each other, whatever order the feed gave them in.
    order = np.lexsort((*(getattr(bars, name) for name in reversed(COLUMNS)), bars.opened))
    bars = bars.take(order)
    same = bars.opened[1:] == bars.opened[:-1]
    for name in COLUMNS:
        column = getattr(bars, name)
        same &= (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
    keep = np.concatenate([[True], ~same])
    return bars.take(np.flatnonzero(keep)), bars.opened[~keep]


def faults_of(
    bars: Bars, counts: IntArray, since_open: IntArray, slots: IntArray, sessions: Sequence[Session]
) -> Mapping[int, CheckData]:
    """The first fault of each session, by its position, whose bars are impossible, off their border, or contradictory.

    bars: sorted, inside the sessions' regular hours, so many (counts) of each session. since_open, slots: nanoseconds
    from the session's open to the bar's, and the slot that holds it, (n,) each.
    """
    if _are_plausible(bars, since_open, slots):
        return {}
    rows = np.repeat(np.arange(len(sessions)), counts)
    wrong: dict[str, BoolArray] = {"time": since_open % (bars.minutes * MINUTE) != 0}
    wrong["repeat"] = np.concatenate([[False], bars.opened[1:] == bars.opened[:-1]])[: len(rows)]
    for name in PRICES:
        price = getattr(bars, name)
        wrong[name] = ~((price > 0) & (price <= HIGHEST_PRICE))
    possible = ~np.logical_or.reduce([wrong[name] for name in PRICES])
    wrong["range"] = possible & (bars.high < bars.low)
    for name in ("open", "close"):
        price = getattr(bars, name)
        wrong[f"{name} outside"] = possible & ((price > bars.high) | (price < bars.low))
    faults: dict[int, CheckData] = {}
    for position in np.flatnonzero(np.logical_or.reduce(list(wrong.values()))):
        row = int(rows[position])
        if row not in faults:
            what = next(name for name, where in wrong.items() if where[position])
            faults[row] = _fault(bars, int(position), what, sessions[row], int(since_open[position]))
    return faults


def _are_plausible(bars: Bars, since_open: IntArray, slots: IntArray) -> bool:
    """Whether no bar at all is at fault: the usual case, told in few passes over the columns."""
    high, low = bars.high, bars.low
    plausible = (low > 0) & (high <= HIGHEST_PRICE)
    for price in (bars.open, bars.close):
        plausible &= (price >= low) & (price <= high)
    plausible &= slots * (bars.minutes * MINUTE) == since_open
    return bool(plausible.all() and np.all(bars.opened[1:] > bars.opened[:-1]))


def _fault(bars: Bars, position: int, what: str, session: Session, since_open: int) -> CheckData:
    """The sentence for one bad bar, with the bar's New York label and the field."""
    minute, rest = divmod(since_open, MINUTE)
    label = slot_label(minute, 1) + (f":{rest / SECOND:g}" if rest else "")
    value = {name: float(getattr(bars, name)[position]) for name in COLUMNS}
    column = what.removesuffix(" outside")
    if what == "time":
        column, told = "timestamp", f"its time is on no border of {bars.minutes} minutes"
    elif what == "repeat":
        earlier = {name: float(getattr(bars, name)[position - 1]) for name in COLUMNS}
        column = next(name for name in COLUMNS if value[name] != earlier[name])
        told = f"two bars of that time disagree, {column} is {earlier[column]!r} and {value[column]!r}"
    elif what == "range":
        column, told = "high", f"high {value['high']!r} is below low {value['low']!r}"
    elif what in PRICES:
        told = f"{what} is missing" if np.isnan(value[what]) else f"{what} is {value[what]!r}, which is no price"
    else:
        told = f"{column} {value[column]!r} lies outside low {value['low']!r} to high {value['high']!r}"
    return CheckData(
        f"{bars.symbol} {session.date} {label}: {told}",
        kind="bad_bar",
        symbol=bars.symbol,
        session=session.date,
        bar=label,
        field=column,
    )


def _require_one_length(symbol: str, *columns: npt.NDArray[np.generic]) -> None:
    lengths = {column.shape for column in columns}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise ValueError(f"{symbol}: columns of bars must be one-dimensional and of one length, not {sorted(lengths)}")
