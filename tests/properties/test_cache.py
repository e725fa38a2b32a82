"""Whatever is asked in whatever order, the cache answers what the feed would, and asks no more than it must."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bars import joined, sessions_of
from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import (
    DOWN,
    ScriptedFeed,
    cached,
    closes_of,
    days_before,
    same_bars,
    same_closes,
    sparse_bars,
)
from trading_playbook.core.bars import Bars
from trading_playbook.core.calendar import Session
from trading_playbook.core.daily import DailyCloses, Split
from trading_playbook.core.errors import PlaybookError
from trading_playbook.feeds.cached.files import DOUBT_DAYS, decode_daily
from trading_playbook.feeds.cached.histories import daily_key
from trading_playbook.feeds.cached.soundness import fault_of_daily

SYMBOLS = ("A", "B", "C")
SESSIONS = sessions_of("2025-11-17", "2025-12-19")
DAYS = tuple(session.date for session in SESSIONS)
START = date(2025, 11, 26)
COUNT = 4
"""Closes before a session: few, so that short histories are met."""

Days = Mapping[date, Any]

EXAMPLES = [
    pytest.param(100, id="some"),
    pytest.param(3_000, id="many", marks=pytest.mark.soak),
]


def with_examples(property_of: Callable[..., None], count: int, *strategies: Any) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large]
    given_all: Any = given(*strategies)
    tried = given_all(property_of)
    limits: Any = settings(max_examples=count, deadline=None, suppress_health_check=checks, database=None)
    limits(tried)()


@cache
def session_bars(session: Session, symbol: str, state: str) -> Bars:
    whole = sparse_bars([session], symbol)
    if state == "bad":
        return replace(whole, low=whole.high + 1)
    return whole.take(slice({"whole": 3, "short": 2, "empty": 0}[state]))


@dataclass
class World:
    """What a feed has on each day: of a symbol from its first session on; of some sessions less, up to a day.

    lacks: (symbol, session) to what is wrong with its bars and how many days after it that is mended.
    """

    begins: dict[str, int]
    lacks: dict[tuple[str, int], tuple[str, int]]
    exact: bool

    def state(self, symbol: str, place: int, today: date) -> str:
        if place < self.begins[symbol]:
            return "empty"
        what, days = self.lacks.get((symbol, place), ("whole", 0))
        if place == self.begins[symbol] and what == "empty":
            return "whole"
        return what if (today - DAYS[place]).days < days else "whole"

    def is_final(self, symbol: str, place: int, today: date) -> bool:
        """Whether what is told today is the last word."""
        state = self.state(symbol, place, today)
        if state == "whole" or place < self.begins[symbol]:
            return True
        return state != "empty" and (today - DAYS[place]).days > DOUBT_DAYS

    def bars(self, today: date) -> dict[str, Bars]:
        return {
            symbol: joined(
                sparse_bars([], symbol),
                *(session_bars(own, symbol, self.state(symbol, place, today)) for place, own in enumerate(SESSIONS)),
            )
            for symbol in SYMBOLS
        }


worlds = st.builds(
    World,
    begins=st.fixed_dictionaries({symbol: st.sampled_from([0, 0, 0, 3, 8]) for symbol in SYMBOLS}),
    lacks=st.dictionaries(
        st.tuples(st.sampled_from(SYMBOLS), st.integers(0, len(DAYS) - 1)),
        st.tuples(st.sampled_from(["short", "bad", "empty"]), st.integers(1, DOUBT_DAYS)),
        max_size=8,
    ),
    exact=st.booleans(),
)


@dataclass
class Ask:
    """A run: so many days after the one before, of these symbols, so many sessions up to the last but some."""

    later: int
    symbols: list[str]
    back: int
    length: int
    failing: list[str]
    hole: bool = False
    same_process: bool = False

    def sessions(self, today: date) -> tuple[Session, ...]:
        over = [session for session in SESSIONS if session.date <= today]
        end = max(1, len(over) - self.back)
        asked = over[max(0, end - self.length) : end]
        return tuple(asked[::2] if self.hole else asked)


some_symbols = st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True)
asks = st.lists(
    st.builds(
        Ask,
        later=st.sampled_from([0, 0, 1, 1, 2, 5, 12]),
        symbols=some_symbols,
        back=st.integers(0, 8),
        length=st.integers(1, 12),
        failing=st.lists(st.sampled_from(SYMBOLS), max_size=1),
        hole=st.booleans(),
        same_process=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@dataclass
class Model:
    """What a cache that follows the rules knows: of each session the day it was asked for last, and what was told."""

    asked: dict[tuple[str, int], date] = field(default_factory=dict)
    final: set[tuple[str, int]] = field(default_factory=set)
    told: dict[tuple[str, int], Bars] = field(default_factory=dict)

    def must_ask(self, symbol: str, places: Iterable[int], today: date) -> set[int]:
        return {
            place for place in places if (symbol, place) not in self.final and self.asked.get((symbol, place)) != today
        }


@pytest.mark.parametrize("count", EXAMPLES)
def test_bars(count: int) -> None:
    with_examples(bars_are_the_feed_s_and_asked_for_once, count, worlds, asks)


def bars_are_the_feed_s_and_asked_for_once(world: World, runs: list[Ask]) -> None:
    store, model, today, through = MemoryStore(), Model(), START, None
    for run in runs:
        today += timedelta(days=run.later)
        feed = ScriptedFeed(world.bars(today), exact=world.exact, failing=dict.fromkeys(run.failing, DOWN))
        if through is None or run.later or not run.same_process:
            through = cached(feed, store, today)
        through._months._feed = feed
        sessions = run.sessions(today)
        places = [DAYS.index(session.date) for session in sessions]
        answers = through.bars(run.symbols, sessions, 2)
        assert list(answers) == run.symbols
        plain = ScriptedFeed(feed.bars_of).bars(run.symbols, sessions, 2)
        for symbol in run.symbols:
            asked = [DAYS.index(day) for day in feed.days_asked(symbol)]
            due = model.must_ask(symbol, places, today)
            assert len(asked) == len(set(asked))
            if symbol in run.failing:
                assert set(asked) <= due
                lacking = any((symbol, place) not in model.asked for place in places)
                assert isinstance(answers[symbol], PlaybookError) == lacking
            else:
                assert set(asked) == due
                same_bars(answers[symbol], plain[symbol])
                for place in asked:
                    model.asked[symbol, place] = today
                    model.told[symbol, place] = session_bars(SESSIONS[place], symbol, world.state(symbol, place, today))
                    if world.is_final(symbol, place, today):
                        model.final.add((symbol, place))
            answer = answers[symbol]
            if isinstance(answer, Bars):
                same_bars(answer, joined(sparse_bars([], symbol), *(model.told[symbol, place] for place in places)))
                # What a run makes of it: that an empty session lies after the first one.
                for place in places:
                    if not len(model.told[symbol, place].opened):
                        begun = answer.first_session is not None and DAYS[place] > answer.first_session
                        assert begun == (place > world.begins[symbol])


@pytest.mark.parametrize("count", EXAMPLES)
def test_the_files_do_not_depend_on_the_order(count: int) -> None:
    parts = st.lists(st.tuples(st.integers(0, len(DAYS) - 1), st.integers(1, 10), some_symbols), min_size=1, max_size=6)
    with_examples(files_are_those_of_one_question, count, worlds, parts)


def files_are_those_of_one_question(world: World, parts: list[tuple[int, int, list[str]]]) -> None:
    """Where all is asked on one day, in several processes."""
    today = date(2025, 12, 22)
    feed, store, whole = ScriptedFeed(world.bars(today), exact=True), MemoryStore(), MemoryStore()
    asked: dict[str, set[date]] = {}
    for begin, length, symbols in parts:
        sessions = SESSIONS[begin : begin + length]
        cached(feed, store, today).bars(symbols, sessions, 2)
        for symbol in symbols:
            asked.setdefault(symbol, set()).update(session.date for session in sessions)
    for symbol, days in asked.items():
        cached(feed, whole, today).bars([symbol], [own for own in SESSIONS if own.date in days], 2)
    assert {key: store.content(key) for key in store.keys("")} == {key: whole.content(key) for key in whole.keys("")}


@dataclass
class DailyWorld:
    """Closes from a day on; of some days, up to a day, none, a bad one, or two. splits by the day of their news."""

    begins: dict[str, int]
    lacks: dict[tuple[str, int], tuple[Any, int]]
    splits: dict[str, list[tuple[Split, date]]]

    REACH = tuple(days_before(DAYS[-1], 60)) + DAYS[-1:]

    def closes(self, today: date) -> dict[str, dict[date, Any]]:
        found: dict[str, dict[date, Any]] = {}
        for symbol in SYMBOLS:
            # The last close is there when the next session has opened.
            own: dict[date, Any] = dict(closes_of(symbol, self.REACH[self.begins[symbol] :]))
            for (name, place), (what, days) in self.lacks.items():
                day = self.REACH[place]
                if name == symbol and day in own and (today - day).days < days:
                    own.pop(day) if what is None else own.update({day: what})
            found[symbol] = own
        return found

    def splits_on(self, today: date) -> dict[str, tuple[Split, ...]]:
        return {symbol: tuple(own for own, news in told if news <= today) for symbol, told in self.splits.items()}


reach = st.integers(20, len(DailyWorld.REACH) - 1)
daily_worlds = st.builds(
    DailyWorld,
    begins=st.fixed_dictionaries({symbol: st.sampled_from([0, 0, 30, 45]) for symbol in SYMBOLS}),
    lacks=st.dictionaries(
        st.tuples(st.sampled_from(SYMBOLS), reach),
        st.tuples(st.sampled_from([None, 0.0, float("nan"), [100.0, 101.0]]), st.integers(2, DOUBT_DAYS)),
        max_size=6,
    ),
    splits=st.dictionaries(
        st.sampled_from(SYMBOLS),
        st.lists(
            st.tuples(
                st.builds(Split, st.sampled_from(DailyWorld.REACH), st.just(1.0), st.sampled_from([2.0, 0.1])),
                st.sampled_from(DailyWorld.REACH[20:]),
            ),
            max_size=3,
            unique_by=lambda told: told[0].ex_date,
        ),
    ),
)


@pytest.mark.parametrize("count", EXAMPLES)
def test_closes_and_splits(count: int) -> None:
    with_examples(closes_and_splits_are_the_feed_s, count, daily_worlds, asks)


def closes_and_splits_are_the_feed_s(world: DailyWorld, runs: list[Ask]) -> None:
    store, today = MemoryStore(), START
    splits_known: dict[str, date] = {}
    splits_told: dict[str, tuple[Split, ...]] = {}
    for run in runs:
        today += timedelta(days=run.later)
        feed = ScriptedFeed(
            closes=world.closes(today),
            splits_of=world.splits_on(today),
            failing=dict.fromkeys(run.failing, DOWN),
        )
        sessions = run.sessions(today)
        first, last = sessions[0].date, sessions[-1].date
        question: Any = {"before": first, "count": COUNT, "through": days_before(last, 1)[0]}
        known = {symbol: held(store, symbol) for symbol in SYMBOLS}
        through = cached(feed, store, today)
        answers = through.daily_closes(run.symbols, **question)
        splits = through.splits(run.symbols, through=last)
        plain_feed = ScriptedFeed(closes=feed.closes, splits_of=feed.splits_of)
        plain = plain_feed.daily_closes(run.symbols, **question)
        asked = list(feed.asked_closes)
        assert len({symbol for symbols, *_ in asked for symbol in symbols}) <= len(run.symbols)
        for symbols, before, count, until in asked:
            for symbol in symbols:
                if (file := known[symbol]) is not None:
                    # What is final is not asked for again.
                    assert until < file.begin or (count == 0 and before > file.end)
                    assert not (file.whole and until < file.begin)
                    assert not (before > file.end and file.asked == today and until <= (file.asked_through or file.end))
        for symbol in run.symbols:
            if (file := held(store, symbol)) is not None:
                assert fault_of_daily(file) is None
            if symbol not in run.failing:
                same_closes(answers[symbol], plain[symbol])
                before_news = splits_known.get(symbol, date.min)
                if any(symbol in symbols for symbols, _ in feed.asked_splits):
                    splits_known[symbol] = max(until for own, until in feed.asked_splits if symbol in own)
                    splits_told[symbol] = feed.splits_of.get(symbol, ())
                else:
                    assert last <= before_news
                assert splits[symbol] == tuple(own for own in splits_told[symbol] if own.ex_date <= last)
            elif isinstance(answers[symbol], DailyCloses):
                file = known[symbol]
                assert file is not None
                assert question["through"] <= max(file.end, file.asked_through or file.end)


def held(store: MemoryStore, symbol: str) -> Any:
    key = daily_key("scripted-x", symbol)
    return decode_daily(store.content(key), "scripted-x", symbol) if key in store.keys("") else None
