"""Stretches of a symbol's daily closes: cut out of one another, put together, joined with what others stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from trading_playbook.core.daily import DailyCloses, day_number, day_of
from trading_playbook.feeds.cached.files import DailyHistory

_ONE_DAY = timedelta(days=1)


def told_of(
    symbol: str, known: DailyHistory | None, begin: date, before: date, count: int, through: date
) -> DailyCloses:
    """The closes from begin, or from the first where these are too few, up to through: no matter how many are known."""
    if known is None:  # none was asked for
        return DailyCloses(symbol=symbol, days=np.empty(0, dtype=np.int64), closes=np.empty(0))
    told = between(begin, through, known.closes)
    return told if days_before(before, told) >= count else between(date.min, through, known.closes)


def days_before(before: date, daily: DailyCloses) -> int:
    """How many days before a date have a close."""
    days = daily.days[: np.searchsorted(daily.days, day_number(before))]
    return int(np.count_nonzero(days[1:] != days[:-1])) + bool(len(days))


def between(first: date, last: date, daily: DailyCloses) -> DailyCloses:
    """The closes from first to last, both in, in their order."""
    kept = (daily.days >= day_number(first)) & (daily.days <= day_number(last))
    return replace(daily, days=daily.days[kept], closes=daily.closes[kept])


def with_closes(old: DailyCloses | None, new: DailyCloses, start: date, end: date) -> DailyCloses:
    """The old closes with those from start to end replaced by the new ones, oldest first."""
    days, closes = new.days, new.closes
    if old is not None:
        kept = (old.days < day_number(start)) | (old.days > day_number(end))
        days, closes = np.concatenate([old.days[kept], days]), np.concatenate([old.closes[kept], closes])
    order = np.lexsort((closes, days))
    days, closes = days[order], closes[order]
    first = day_of(int(days[0])) if len(days) else None
    return DailyCloses(symbol=new.symbol, days=days, closes=closes, first_session=first)


def united(old: DailyHistory | None, own: DailyHistory) -> DailyHistory:
    """What to store of our own where another process has stored something since; where both know a day, our own."""
    if old is None or old.begin > own.end + _ONE_DAY or own.begin > old.end + _ONE_DAY:
        return begun(own)
    later = old if old.end > own.end else own
    splits = old if (old.splits_through or date.min) > (own.splits_through or date.min) else own
    final = with_closes(
        between(date.min, old.end, old.closes), between(own.begin, own.end, own.closes), own.begin, own.end
    )
    # Behind the last final close stand those that are not, of one of the two.
    rest = later.end + _ONE_DAY
    return begun(
        DailyHistory(
            closes=with_closes(final, between(rest, date.max, later.closes), rest, date.max),
            begin=min(old.begin, own.begin),
            end=later.end,
            whole=own.whole or (old.whole and old.begin < own.begin),
            asked_through=later.asked_through,
            asked=later.asked,
            splits=splits.splits,
            splits_through=splits.splits_through,
        )
    )


def begun(history: DailyHistory) -> DailyHistory:
    """A whole history begins with its first close, whatever was asked for first."""
    first = history.closes.first_session
    if not history.whole or first is None:
        return history
    return replace(history, begin=first, end=max(history.end, first - _ONE_DAY))
