"""A feed behind a cache: what was answered once is not asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, time

from trading_playbook.core.bars import Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses, Split
from trading_playbook.core.errors import PlaybookError
from trading_playbook.feeds.cached.histories import Histories
from trading_playbook.feeds.cached.months import Months
from trading_playbook.feeds.cached.shelf import Shelf
from trading_playbook.ports import BarFeed, Clock, ObjectStore, Usage


class CachedFeed:
    """A BarFeed that keeps what another one answers, in files on a store, and asks it for gaps alone.

    Trouble with the store never harms an answer: it is a warning. refresh: ask for all again, replace what is there,
    and tell in warnings of bars and closes that changed. threads: how many files are read or written at once.
    """

    def __init__(
        self,
        feed: BarFeed,
        store: ObjectStore,
        calendar: Calendar,
        clock: Clock,
        *,
        threads: int = 1,
        refresh: bool = False,
    ) -> None:
        self.name = feed.name
        self._feed = feed
        self._shelf = Shelf(store, threads)
        self._months = Months(feed, self._shelf, clock, refresh=refresh)
        self._histories = Histories(feed, self._shelf, calendar, clock, refresh=refresh)

    @property
    def usage(self) -> Usage:
        asked = self._feed.usage
        hits = self._months.hits + self._histories.hits
        return replace(asked, cache_hits=asked.cache_hits + hits)

    @property
    def warnings(self) -> Sequence[str]:
        told = (self._shelf.warnings, self._histories.warnings, self._months.warnings, self._feed.warnings)
        return tuple(dict.fromkeys(warning for own in told for warning in own))

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        return self._histories.closes(symbols, before, count, through)

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        return self._months.bars(symbols, sessions, minutes)

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        return self._histories.splits(symbols, through)

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        return self._feed.closing_times(first, last)
