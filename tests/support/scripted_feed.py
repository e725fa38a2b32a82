"""A feed that answers from a script and remembers every question, and a store that refuses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NoReturn

import numpy as np

from tests.support.bars import CALENDAR, moment_of, nanoseconds
from tests.support.clocks import ManualClock
from trading_playbook.core.bars import COLUMNS, MINUTE, Bars
from trading_playbook.core.calendar import Calendar, Session, new_york_date
from trading_playbook.core.daily import DailyCloses, Split, day_number, day_of
from trading_playbook.core.errors import FixRequest, PlaybookError, RetryLater
from trading_playbook.feeds.beginnings import closes_begin
from trading_playbook.feeds.cached import CachedFeed
from trading_playbook.ports import ObjectStore, Stored, Usage

DOWN = RetryLater("the feed is down")


def sparse_bars(sessions: Sequence[Session], symbol: str = "QQQ", slots: Sequence[int] = (0, 90, -1)) -> Bars:
    """A few bars in each session, prices by symbol and time alone. slots: -1 is the last."""
    opened = [
        nanoseconds(session.opens) + (slot % session.slots(2)) * 2 * MINUTE for session in sessions for slot in slots
    ]
    at = np.array(opened, dtype=np.int64)
    price = 100 + (at // (2 * MINUTE)) % 9973 / 100 + sum(map(ord, symbol))
    values: dict[str, Any] = {
        "open": price, "high": price + 0.5, "low": price - 0.5, "close": price + 0.25, "volume": price * 10,
    }  # fmt: skip
    return Bars(symbol=symbol, minutes=2, opened=at, **values)


def closes_of(symbol: str, days: Collection[date]) -> dict[date, float]:
    """A close of each day, by symbol and date alone."""
    return {day: 100 + (day_number(day) % 997) / 10 + sum(map(ord, symbol)) for day in days}


@dataclass(slots=True)
class ScriptedFeed:
    """Answers what is scripted, as Alpaca's feed would, and keeps every question.

    bars: all that there are of a symbol. closes: all there are, a list where one day has several. failing: symbols of
    which nothing can be told now, all with "*". exact: whether first_session is always exact, or only where it must be.
    """

    bars_of: dict[str, Bars] = field(default_factory=dict)
    closes: dict[str, dict[date, float | list[float]]] = field(default_factory=dict)
    splits_of: dict[str, tuple[Split, ...]] = field(default_factory=dict)
    failing: dict[str, PlaybookError] = field(default_factory=dict)
    exact: bool = False
    calendar: Calendar = CALENDAR
    name: str = "scripted-x"
    asked_bars: list[tuple[tuple[str, ...], tuple[date, ...]]] = field(default_factory=list)
    asked_closes: list[tuple[tuple[str, ...], date, int, date]] = field(default_factory=list)
    asked_splits: list[tuple[tuple[str, ...], date]] = field(default_factory=list)
    warnings: Sequence[str] = ()

    @property
    def usage(self) -> Usage:
        return Usage(api_calls=self.calls)

    @property
    def calls(self) -> int:
        return len(self.asked_bars) + len(self.asked_closes) + len(self.asked_splits)

    def forget(self) -> None:
        for asked in (self.asked_bars, self.asked_closes, self.asked_splits):
            asked.clear()

    def days_asked(self, symbol: str = "QQQ") -> list[date]:
        """The sessions whose bars were asked for, in the order of asking."""
        return [day for symbols, days in self.asked_bars for day in days if symbol in symbols]

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        assert symbols, "nothing was asked"
        assert sessions, "nothing was asked"
        self.asked_bars.append((tuple(symbols), tuple(session.date for session in sessions)))
        return {symbol: self._error(symbol) or self._bars(symbol, sessions) for symbol in symbols}

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        assert symbols, "nothing was asked"
        self.asked_closes.append((tuple(symbols), before, count, through))
        return {symbol: self._error(symbol) or self._closes(symbol, before, count, through) for symbol in symbols}

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        assert symbols, "nothing was asked"
        self.asked_splits.append((tuple(symbols), through))
        return {
            symbol: self._error(symbol)
            or tuple(split for split in self.splits_of.get(symbol, ()) if split.ex_date <= through)
            for symbol in symbols
        }

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        return None

    def _error(self, symbol: str) -> PlaybookError | None:
        if symbol not in self.bars_of and symbol not in self.closes:
            return FixRequest(f"{symbol}: there is no such symbol", symbol=symbol)
        return self.failing.get(symbol) or self.failing.get("*")

    def _bars(self, symbol: str, sessions: Sequence[Session]) -> Bars:
        own = self.bars_of.get(symbol) or sparse_bars([], symbol)
        dates = np.array([day_number(new_york_date(moment_of(at))) for at in own.opened], dtype=np.int64)
        wanted = [day_number(session.date) for session in sessions]
        first = day_of(int(dates.min())) if len(dates) else None
        if first is not None and not self.exact:
            first = max(first, sessions[0].date)
        kept = np.flatnonzero(np.isin(dates, wanted))
        return replace(own.take(kept), first_session=first)

    def _closes(self, symbol: str, before: date, count: int, through: date) -> DailyCloses:
        rows = [
            (day, value)
            for day, own in sorted(self.closes.get(symbol, {}).items())
            for value in (own if isinstance(own, list) else [own])
            if day <= through
        ]
        begin = closes_begin(self.calendar, before, count)
        if len({day for day, _ in rows if begin <= day < before}) >= count:
            rows = [row for row in rows if row[0] >= begin]
        return DailyCloses(
            symbol=symbol,
            days=np.array([day_number(day) for day, _ in rows], dtype=np.int64),
            closes=np.array([value for _, value in rows], dtype=np.float64),
            first_session=rows[0][0] if rows else None,
        )


class RefusingStore:
    """A store of which everything, or only writing, goes wrong. calls: how often it was asked."""

    place = "refused:"

    def __init__(self, error: Exception, *, reads_from: ObjectStore | None = None) -> None:
        self.error = error
        self.calls = 0
        self._inner = reads_from

    def address(self, key: str) -> str:
        return f"refused:{key}"

    def get(self, key: str) -> Stored | None:
        self.calls += 1
        return self._inner.get(key) if self._inner is not None else self._refuse()

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        self.calls += 1
        self._refuse()

    def delete(self, key: str, *, expected: str) -> None:
        self._refuse()

    def keys(self, prefix: str) -> Sequence[str]:
        self._refuse()

    def require_writable(self, key: str) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise self.error


def evening(day: str | date, hour: int = 22) -> datetime:
    """That UTC hour of a day: 22 is past the close in New York, winter and summer."""
    at = date.fromisoformat(day) if isinstance(day, str) else day
    return datetime(at.year, at.month, at.day, hour, tzinfo=UTC)


def cached(
    feed: ScriptedFeed, store: ObjectStore, now: str | date | datetime, *, refresh: bool = False, threads: int = 1
) -> CachedFeed:
    """A new process's view of the cache, at a moment or in the evening of a day."""
    moment = now if isinstance(now, datetime) else evening(now)
    return CachedFeed(feed, store, feed.calendar, ManualClock(moment), refresh=refresh, threads=threads)


def same_bars(found: object, expected: object) -> None:
    """Fail unless both are the same bars in the same order."""
    assert isinstance(found, Bars), found
    assert isinstance(expected, Bars), expected
    assert (found.symbol, found.minutes) == (expected.symbol, expected.minutes)
    for name in ("opened", *COLUMNS):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def same_closes(found: object, expected: object) -> None:
    """Fail unless both are the same daily closes in the same order."""
    assert isinstance(found, DailyCloses), found
    assert isinstance(expected, DailyCloses), expected
    np.testing.assert_array_equal(found.days, expected.days)
    np.testing.assert_array_equal(found.closes, expected.closes)


def trading_days(start: str, end: str) -> list[date]:
    return [session.date for session in CALENDAR.sessions(date.fromisoformat(start), date.fromisoformat(end))]


def days_before(day: date, count: int) -> list[date]:
    return [session.date for session in CALENDAR.last_sessions(count, day - timedelta(days=1))]
