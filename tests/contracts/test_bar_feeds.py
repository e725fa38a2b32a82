"""Each feed against the contract of the port, and what its bars must be where we know what went in."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.contracts.bar_feed import BarFeedContract
from tests.support.bars import CALENDAR, closes_by_day, daily_closes, minute_bars, write_folder
from tests.support.clocks import ManualClock
from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import RefusingStore, evening
from trading_playbook.core.bars import COLUMNS, Bars
from trading_playbook.core.daily import Split
from trading_playbook.core.errors import FixConfig
from trading_playbook.feeds.cached import CachedFeed
from trading_playbook.feeds.files import FilesFeed
from trading_playbook.feeds.simulated import SimulatedFeed
from trading_playbook.ports import BarFeed, ObjectStore


class FilesContract(BarFeedContract):
    """The feed of files over a folder that was made for it."""

    FIRST = BarFeedContract.SESSIONS[0].date
    FIRST_CLOSE = CALENDAR.last_sessions(40, date(2025, 12, 2))[0].date
    SUFFIX = ".parquet"
    LENGTH = 1
    SPLIT = Split(date(2025, 11, 24), 1.0, 4.0)

    def made(self, symbol: str) -> Bars:
        return minute_bars(self.SESSIONS, minutes=self.LENGTH, symbol=symbol)

    @pytest.fixture
    def feed(self, tmp_path: Path) -> BarFeed:
        return self.files(tmp_path)

    def files(self, tmp_path: Path) -> FilesFeed:
        write_folder(
            tmp_path,
            [self.made(symbol) for symbol in self.KNOWN],
            {symbol: daily_closes("2025-12-03", 40, symbol=symbol) for symbol in self.KNOWN},
            {"QQQ": [self.SPLIT, Split(date(2026, 1, 2), 1.0, 2.0)]},
            self.SUFFIX,
        )
        return FilesFeed(tmp_path, CALENDAR)

    def test_prices_are_raw_as_they_were_written(self, feed: BarFeed) -> None:
        for symbol, bars in self.bars(feed).items():
            for name in ("opened", *COLUMNS):
                np.testing.assert_array_equal(getattr(bars, name), getattr(self.made(symbol), name))
        for symbol, daily in self.closes(feed, date(2025, 12, 2), date(2025, 12, 2)).items():
            assert closes_by_day(daily) == daily_closes("2025-12-03", 40, symbol=symbol)

    def test_splits_are_those_that_were_written(self, feed: BarFeed) -> None:
        answers = feed.splits(self.KNOWN, through=date(2025, 12, 2))
        assert answers == {"QQQ": (self.SPLIT,), "BRK.B": (), "SPY": ()}


class TestFilesInParquet(FilesContract):
    pass


class TestFilesInCSV(FilesContract):
    SUFFIX = ".csv"


class TestFilesOfTwoMinutes(FilesContract):
    LENGTH = 2


class TestSimulated(BarFeedContract):
    UNKNOWN = "no-such"
    FIRST = FIRST_CLOSE = date(2000, 1, 3)

    @pytest.fixture
    def feed(self) -> BarFeed:
        return SimulatedFeed(CALENDAR)


def behind_a_cache(feed: BarFeed, store: ObjectStore) -> CachedFeed:
    return CachedFeed(feed, store, CALENDAR, ManualClock(evening("2025-12-03")), threads=2)


class TestFilesBehindAColdCache(FilesContract):
    LENGTH = 2

    @pytest.fixture
    def feed(self, tmp_path: Path) -> BarFeed:
        return behind_a_cache(self.files(tmp_path), MemoryStore())


class TestFilesBehindAWarmCache(FilesContract):
    LENGTH = 2

    @pytest.fixture
    def feed(self, tmp_path: Path) -> BarFeed:
        store = MemoryStore()
        self.ask_all(behind_a_cache(self.files(tmp_path), store))
        assert len(store.keys("")) == 3 * (1 + 2)
        return behind_a_cache(self.files(tmp_path), store)

    def ask_all(self, feed: BarFeed) -> None:
        for _ in range(2):
            self.bars(feed)
            self.closes(feed, self.SESSIONS[0].date, self.SESSIONS[-1].date)
            feed.splits(self.KNOWN, through=self.SESSIONS[-1].date)


class TestFilesOfOneMinuteBehindACache(TestFilesBehindAWarmCache):
    LENGTH = 1


class TestFilesBehindACacheThatRefuses(FilesContract):
    LENGTH = 2

    @pytest.fixture
    def feed(self, tmp_path: Path) -> BarFeed:
        return behind_a_cache(self.files(tmp_path), RefusingStore(FixConfig("no such bucket")))


class TestSimulatedBehindACache(TestSimulated):
    @pytest.fixture
    def feed(self) -> BarFeed:
        return behind_a_cache(SimulatedFeed(CALENDAR), MemoryStore())
