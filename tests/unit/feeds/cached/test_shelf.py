"""A store that fails harms no answer and is told of once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.bars import sessions_of
from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import (
    RefusingStore,
    ScriptedFeed,
    cached,
    closes_of,
    same_bars,
    same_closes,
    sparse_bars,
)
from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.feeds.cached.shelf import ATTEMPTS, Shelf
from trading_playbook.ports import LostRace

SESSIONS = sessions_of("2025-10-27", "2025-11-07")
SYMBOLS = tuple("ABCDEFGHIJKL")
NOW = "2025-11-12"


@pytest.fixture
def feed() -> ScriptedFeed:
    days = [session.date for session in sessions_of("2024-06-03", "2025-11-11")]
    return ScriptedFeed(
        {symbol: sparse_bars(SESSIONS, symbol) for symbol in SYMBOLS},
        {symbol: dict(closes_of(symbol, days)) for symbol in SYMBOLS},
    )


def ask_all(through: Any) -> None:
    """All that a run asks, and that it is right."""
    first, last = SESSIONS[0].date, SESSIONS[-1].date
    closes = through.daily_closes(SYMBOLS, before=first, count=200, through=last)
    assert set(through.splits(SYMBOLS, through=last).values()) == {()}
    bars = through.bars(SYMBOLS, SESSIONS, 2)
    days = [session.date for session in sessions_of("2024-06-03", "2025-11-11")]
    for symbol in SYMBOLS:
        same_bars(bars[symbol], sparse_bars(SESSIONS, symbol))
        plain = ScriptedFeed(closes={symbol: dict(closes_of(symbol, days))})
        same_closes(closes[symbol], plain.daily_closes([symbol], before=first, count=200, through=last)[symbol])


@pytest.mark.parametrize("error", [FixConfig("no such bucket"), RetryLater("it hangs")], ids=["config", "retry"])
@pytest.mark.parametrize("threads", [1, 4])
class TestTrouble:
    def test_a_store_that_cannot_be_read_is_asked_no_more(
        self, feed: ScriptedFeed, error: Exception, threads: int
    ) -> None:
        store = RefusingStore(error)
        through = cached(feed, store, NOW, threads=threads)
        ask_all(through)
        ask_all(through)
        assert through.warnings == (f"the cache was left out, it cannot be read: {error}",)
        assert store.calls <= threads

    def test_a_store_that_cannot_be_written_is_read_on(
        self, feed: ScriptedFeed, error: Exception, threads: int
    ) -> None:
        kept = MemoryStore()
        cached(feed, kept, NOW).bars(SYMBOLS, SESSIONS[:-1], 2)
        feed.forget()
        store = RefusingStore(error, reads_from=kept)
        through = cached(feed, store, NOW, threads=threads)
        ask_all(through)
        assert through.warnings == (f"what was fetched is not cached: {error}",)
        assert {days for _, days in feed.asked_bars} == {(SESSIONS[-1].date,)}

    def test_a_damaged_file_that_cannot_be_put_aside_is_told_and_left(
        self, feed: ScriptedFeed, error: Exception, threads: int
    ) -> None:
        kept = MemoryStore()
        kept.overwrite("scripted-x/2Min/A/2025-11.parquet", b"rubbish")
        through = cached(feed, RefusingStore(error, reads_from=kept), NOW, threads=threads)
        answer = through.bars(["A"], SESSIONS, 2)["A"]
        same_bars(answer, sparse_bars(SESSIONS, "A"))
        assert set(through.warnings) == {
            f"what was fetched is not cached: {error}",
            "refused:scripted-x/2Min/A/2025-11.parquet is not used, it is damaged; its bars are fetched again",
        }
        assert kept.content("scripted-x/2Min/A/2025-11.parquet") == b"rubbish"


def test_races_that_are_lost_for_ever_are_given_up(feed: ScriptedFeed) -> None:
    store = RefusingStore(LostRace("again"), reads_from=MemoryStore())
    through = cached(feed, store, NOW)
    same_bars(through.bars(["A"], SESSIONS[-3:], 2)["A"], sparse_bars(SESSIONS[-3:], "A"))
    assert through.warnings == ("refused:scripted-x/2Min/A/2025-11.parquet was not cached: others kept writing it",)
    assert store.calls <= 2 * ATTEMPTS + 2


def test_a_bug_of_the_store_is_not_hidden(feed: ScriptedFeed) -> None:
    with pytest.raises(ZeroDivisionError):
        cached(feed, RefusingStore(ZeroDivisionError()), NOW).bars(["A"], SESSIONS, 2)


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_results_come_in_the_order_of_the_items_whoever_works_on_them(threads: int, count: int) -> None:
    workers = set()

    def work(item: int) -> int:
        workers.add(threading.get_ident())
        return item * item

    assert list(Shelf(MemoryStore(), threads).each(work, range(count))) == [item * item for item in range(count)]
    assert len(workers) <= threads


def test_what_is_asked_of_the_feed_does_not_depend_on_the_threads(feed: ScriptedFeed) -> None:
    asked = []
    for threads in (1, 8):
        feed.forget()
        store = MemoryStore()
        ask_all(cached(feed, store, NOW, threads=threads))
        warm = cached(feed, store, NOW, threads=threads)
        ask_all(warm)
        asked.append((list(feed.asked_bars), list(feed.asked_closes), list(feed.asked_splits)))
        assert warm.usage.cache_hits == len(SYMBOLS) * (len(SESSIONS) + 1)
    assert asked[0] == asked[1]
