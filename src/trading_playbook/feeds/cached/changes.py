"""What a refresh changed, in a sentence that carries its facts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trading_playbook.core.bars import COLUMNS, Bars, FloatArray, IntArray
from trading_playbook.core.daily import DailyCloses, day_of
from trading_playbook.core.remarks import ChangedData


def changed_bars(old: Bars, new: Bars) -> ChangedData | None:
    """How many bars differ, the first of them, and the largest relative change; None where none does.

    Both of the same symbol and sessions, oldest first.
    """
    at, largest = _changes(old.opened, _columns(old), new.opened, _columns(new))
    if not len(at):
        return None
    return _told(old.symbol, "bar", len(at), f"{np.datetime_as_string(at[0].astype('datetime64[ns]'), 'm')}Z", largest)


def changed_closes(old: DailyCloses, new: DailyCloses) -> ChangedData | None:
    """As changed_bars, of daily closes of the same days."""
    at, largest = _changes(old.days, [old.closes], new.days, [new.closes])
    return _told(old.symbol, "daily close", len(at), str(day_of(int(at[0]))), largest) if len(at) else None


def _columns(bars: Bars) -> list[FloatArray]:
    return [getattr(bars, name) for name in COLUMNS]


def _changes(
    old_keys: IntArray, old: Sequence[FloatArray], new_keys: IntArray, new: Sequence[FloatArray]
) -> tuple[IntArray, float]:
    """The keys at which something differs, came or went, and the largest relative change of a value, 0.01 being 1 %."""
    keys = np.array(sorted({*old_keys.tolist(), *new_keys.tolist()}), dtype=np.int64)
    differs = np.zeros(len(keys), dtype=np.bool_)
    largest = 0.0
    for before, after in zip(old, new, strict=True):
        was, now = _spread(keys, old_keys, before), _spread(keys, new_keys, after)
        differs |= ~((was == now) | (np.isnan(was) & np.isnan(now)))
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.abs(now - was) / np.abs(was)
        largest = max(largest, float(np.max(change, initial=0.0, where=np.isfinite(change))))
    return keys[differs], largest


def _spread(keys: IntArray, own: IntArray, values: FloatArray) -> FloatArray:
    spread = np.full(len(keys), np.nan)
    spread[np.searchsorted(keys, own)] = values
    return spread


def _told(symbol: str, what: str, count: int, first: str, largest: float) -> ChangedData:
    text = (
        f"{symbol}: {count} {what}{'s' if count > 1 else ''} changed, came or went at the feed, the first {first}, the "
        f"largest change of a value {largest:.3g} of it; the cache has the new ones, rows stay unless revised"
    )
    return ChangedData(text, symbol=symbol, what=what, number=count, first=first, largest=largest)
