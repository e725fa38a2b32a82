"""Daily closes and splits through the cache: what is asked, what is kept, what is asked again."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import (
    DOWN,
    RefusingStore,
    ScriptedFeed,
    cached,
    closes_of,
    days_before,
    evening,
    same_closes,
    trading_days,
)
from trading_playbook.core.daily import DailyCloses, Split, day_of
from trading_playbook.core.errors import FixRequest, RetryLater
from trading_playbook.feeds.beginnings import SPARE_SESSIONS
from trading_playbook.feeds.cached.files import DOUBT_DAYS, decode_daily
from trading_playbook.feeds.cached.histories import daily_key

DAYS = trading_days("2023-01-03", "2025-12-31")
FIRST, THROUGH = date(2025, 11, 3), date(2025, 11, 21)
TODAY = "2025-11-24"
KEY = daily_key("scripted-x", "QQQ")
LONG_AGO = Split(date(2024, 6, 10), 1.0, 2.0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def feed() -> ScriptedFeed:
    return ScriptedFeed(closes={symbol: dict(closes_of(symbol, DAYS)) for symbol in ("QQQ", "SPY", "BRK.B")})


def ask(feed: Any, before: date = FIRST, through: date = THROUGH, symbol: str = "QQQ", count: int = 200) -> Any:
    return feed.daily_closes([symbol], before=before, count=count, through=through)[symbol]


def closes(feed: ScriptedFeed, store: Any, now: Any = TODAY, **question: Any) -> DailyCloses:
    answer = ask(cached(feed, store, now, refresh=question.pop("refresh", False)), **question)
    assert isinstance(answer, DailyCloses), answer
    return answer


def plain(feed: ScriptedFeed, **question: Any) -> DailyCloses:
    """What the feed itself answers, without leaving a trace."""
    answer = ask(ScriptedFeed(closes=feed.closes), **question)
    assert isinstance(answer, DailyCloses), answer
    return answer


class TestGaps:
    def test_the_closes_before_the_first_session_are_asked_with_some_to_spare_once(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        cold = closes(feed, store)
        begin = days_before(FIRST, 200 + SPARE_SESSIONS)[0]
        assert feed.asked_closes == [(("QQQ",), begin, 0, THROUGH)]
        assert feed.asked_splits == [(("QQQ",), date.fromisoformat(TODAY))]
        same_closes(cold, plain(feed))
        feed.forget()
        through = cached(feed, store, "2026-03-03")
        same_closes(ask(through), cold)
        assert feed.calls == 0
        assert through.usage.cache_hits == 1

    def test_one_day_more_asks_that_day_alone(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store, "2025-11-21", through=date(2025, 11, 20))
        feed.forget()
        same_closes(closes(feed, store, before=date(2025, 11, 4)), plain(feed, before=date(2025, 11, 4)))
        assert feed.asked_closes == [(("QQQ",), THROUGH, 0, THROUGH)]

    def test_an_earlier_range_asks_what_lies_before_alone(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store)
        feed.forget()
        earlier: Any = {"before": date(2024, 6, 3), "through": date(2024, 6, 28)}
        same_closes(closes(feed, store, **earlier), plain(feed, **earlier))
        begins = [days_before(day, 200 + SPARE_SESSIONS)[0] for day in (earlier["before"], FIRST)]
        assert feed.asked_closes == [(("QQQ",), begins[0], 0, begins[1] - timedelta(days=1))]

    def test_what_is_told_does_not_depend_on_what_is_known(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store)
        closes(feed, store, before=date(2024, 6, 3), through=date(2024, 6, 28))
        question: Any
        for question in (
            {},
            {"before": date(2025, 3, 3), "through": date(2025, 3, 20)},
            {"before": FIRST, "through": FIRST - timedelta(days=3)},
        ):
            same_closes(closes(feed, store, **question), plain(feed, **question))

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
    @pytest.mark.parametrize("listed", [date(2023, 1, 3), date(2024, 8, 1), date(2025, 9, 2)])
    def test_overlapping_ranges_in_any_order_give_the_file_of_one_big_range(
        self, feed: ScriptedFeed, store: MemoryStore, order: tuple[int, ...], listed: date
    ) -> None:
        feed.closes["QQQ"] = {day: close for day, close in feed.closes["QQQ"].items() if day >= listed}
        ranges = [
            (date(2025, 3, 3), date(2025, 6, 30)), (date(2025, 6, 2), date(2025, 9, 30)), (date(2025, 9, 2), THROUGH)
        ]  # fmt: skip
        for part in order:
            before, through = ranges[part]
            closes(feed, store, before=before, through=through)
        whole = MemoryStore()
        closes(feed, whole, before=ranges[0][0], through=THROUGH)
        assert store.content(KEY) == whole.content(KEY)

    def test_no_closes_wanted_and_none_before_is_nothing_and_no_question(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        assert len(closes(feed, store, count=0, through=FIRST - timedelta(days=1)).days) == 0
        assert feed.calls == 0

    def test_one_bad_symbol_harms_no_other_and_leaves_no_file(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        through = cached(feed, store, TODAY, threads=4)
        feed.failing = {"SPY": DOWN}
        symbols = ["NOSUCH", "SPY", "QQQ"]
        answers = through.daily_closes(symbols, before=FIRST, count=200, through=THROUGH)
        assert isinstance(answers["NOSUCH"], FixRequest)
        assert answers["SPY"] is DOWN
        same_closes(answers["QQQ"], plain(feed))
        assert list(store.keys("")) == [KEY]

    def test_only_the_symbols_of_the_last_question_stay_in_memory(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        through = cached(feed, store, TODAY)
        for symbol in ("QQQ", "SPY", "BRK.B"):
            ask(through, symbol=symbol)
            through.splits([symbol], through=THROUGH)
        kept = vars(through._histories)
        assert {name: set(own) for name, own in kept.items() if isinstance(own, dict) and own} == {
            "_files": {"BRK.B"}, "_known": {"BRK.B"}, "_splits": {"BRK.B"}
        }  # fmt: skip
        feed.forget()
        ask(through)
        assert feed.calls == 0


class TestShortHistories:
    LISTED = date(2025, 9, 2)

    @pytest.fixture
    def feed(self) -> ScriptedFeed:
        return ScriptedFeed(closes={"QQQ": dict(closes_of("QQQ", trading_days("2025-09-02", "2025-12-31")))})

    def test_they_are_reached_back_for_whole_and_once(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        cold = closes(feed, store)
        assert cold.first_session == self.LISTED
        same_closes(cold, plain(feed))
        assert len(feed.asked_closes) == 2
        feed.forget()
        earlier: Any = {"before": date(2025, 9, 5), "through": THROUGH}
        question: Any
        for question in ({}, earlier, {"before": date(2024, 1, 3), "through": date(2024, 1, 31)}):
            found = closes(feed, store, "2026-03-03", **question)
            same_closes(found, plain(feed, **question))
            assert found.first_session == self.LISTED
        assert feed.calls == 0

    def test_a_symbol_that_lacks_closes_here_and_there_is_reached_back_for(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        feed.closes["QQQ"] = dict(closes_of("QQQ", DAYS[::3]))
        cold, warm = (closes(feed, store) for _ in range(2))
        same_closes(cold, plain(feed))
        same_closes(warm, plain(feed))
        assert len(feed.asked_closes) == 2

    def test_what_was_reached_back_for_joins_what_was_known(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        dense = trading_days("2024-12-02", "2025-12-31")
        feed.closes["QQQ"] = dict(closes_of("QQQ", [*(day for day in DAYS[::3] if day < dense[0]), *dense]))
        questions: Any = ({}, {"before": date(2025, 3, 3)}, {}, {"before": date(2024, 12, 30)})
        for question in questions:
            same_closes(closes(feed, store, **question), plain(feed, **question))
        assert len(feed.asked_closes) == 3
        assert decode_daily(store.content(KEY), feed.name, "QQQ").begin == DAYS[0]

    def test_a_refresh_reaches_back_again(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store)
        feed.closes["QQQ"] = dict(closes_of("QQQ", trading_days("2024-01-02", "2025-12-31")))
        same_closes(closes(feed, store, refresh=True), plain(feed))
        question: Any = {"before": date(2025, 1, 3), "through": THROUGH}
        same_closes(closes(feed, store, **question), plain(feed, **question))


class TestDoubt:
    def test_a_last_close_that_is_missing_is_asked_for_on_a_later_day(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        whole = plain(feed)
        late = feed.closes["QQQ"].pop(THROUGH)
        for _ in range(2):
            assert day_of(closes(feed, store).days[-1]) == date(2025, 11, 20)
        assert len(feed.asked_closes) == 1
        feed.forget()
        feed.closes["QQQ"][THROUGH] = late
        same_closes(closes(feed, store, "2025-11-25"), whole)
        assert feed.asked_closes == [(("QQQ",), THROUGH, 0, THROUGH)]
        feed.forget()
        closes(feed, store, "2025-11-26")
        assert feed.calls == 0

    def test_a_close_of_late_that_is_missing_before_others_is_asked_for_again(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        late = feed.closes["QQQ"].pop(date(2025, 11, 19))
        closes(feed, store)
        feed.forget()
        feed.closes["QQQ"][date(2025, 11, 19)] = late
        same_closes(closes(feed, store, "2025-11-25"), plain(feed))
        assert feed.asked_closes == [(("QQQ",), date(2025, 11, 19), 0, THROUGH)]

    def test_one_that_has_been_missing_for_long_is_not(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        del feed.closes["QQQ"][date(2025, 11, 4)]
        for day in (TODAY, "2025-11-25"):
            same_closes(closes(feed, store, day), plain(feed))
        assert len(feed.asked_closes) == 1

    @pytest.mark.parametrize("wrong", [np.nan, 0.0, -1.0, 1e15, np.inf, [500.0, 501.0]], ids=str)
    def test_a_bad_close_is_told_as_it_is_and_asked_again_from_there_on_for_ten_days(
        self, feed: ScriptedFeed, store: MemoryStore, wrong: Any
    ) -> None:
        day = date(2025, 11, 19)
        feed.closes["QQQ"][day] = wrong
        for passed in range(DOUBT_DAYS + 3):
            today = evening(day + timedelta(days=passed + 3))
            feed.forget()
            for _ in range(2):
                same_closes(closes(feed, store, today), plain(feed))
            if passed == 0:
                begin = days_before(FIRST, 200 + SPARE_SESSIONS)[0]
                assert feed.asked_closes == [(("QQQ",), begin, 0, THROUGH)]
            elif passed + 3 <= DOUBT_DAYS + 1:
                assert feed.asked_closes == [(("QQQ",), day, 0, THROUGH)]
            else:
                assert feed.asked_closes == []

    def test_a_correction_is_taken_and_is_the_last_word(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        right = plain(feed)
        day = date(2025, 11, 19)
        close, feed.closes["QQQ"][day] = feed.closes["QQQ"][day], [1.0, 2.0]
        closes(feed, store)
        feed.closes["QQQ"][day] = close
        same_closes(closes(feed, store, "2025-11-25"), right)
        feed.forget()
        same_closes(closes(feed, store, "2025-11-26"), right)
        assert feed.calls == 0

    def test_asking_again_in_vain_falls_back_on_what_is_known(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        del feed.closes["QQQ"][THROUGH]
        known = closes(feed, store)
        feed.failing = {"QQQ": DOWN}
        again = cached(feed, store, "2025-11-25")
        same_closes(ask(again), known)
        assert again.warnings == ("QQQ: daily closes asked for again, in vain: the feed is down",)
        # What was never asked for cannot be told.
        assert ask(cached(feed, store, "2025-11-25"), through=date(2025, 11, 24)) is DOWN

    def test_a_close_is_final_only_when_a_later_session_has_opened(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        """Asked on Friday evening and over the week-end, then on Monday before and after the opening."""
        official = feed.closes["QQQ"][THROUGH]
        feed.closes["QQQ"][THROUGH] = 1.5
        for moment in (evening("2025-11-21"), evening("2025-11-22"), evening("2025-11-24", hour=13)):
            assert closes(feed, store, moment).closes[-1] == 1.5
        assert len(feed.asked_closes) == 3
        feed.closes["QQQ"][THROUGH] = official
        assert closes(feed, store, evening("2025-11-25", hour=15)).closes[-1] == official
        feed.forget()
        closes(feed, store, "2025-11-26")
        assert feed.calls == 0


class TestSplits:
    def test_they_are_fetched_with_the_closes_and_kept_in_their_file(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        today = date.fromisoformat(TODAY)
        known = (LONG_AGO, Split(FIRST, 10.0, 1.0), Split(date(2025, 11, 10), 3.0, 2.0))
        feed.splits_of["QQQ"] = (*known, Split(date(2025, 11, 24), 1.0, 5.0), Split(date(2025, 12, 1), 1.0, 7.0))
        for _ in range(2):
            through = cached(feed, store, TODAY)
            ask(through)
            assert through.splits(["QQQ"], through=THROUGH)["QQQ"] == known
            assert through.splits(["QQQ"], through=today)["QQQ"] == feed.splits_of["QQQ"][:4]
            assert through.splits(["QQQ"], through=date(2025, 11, 3))["QQQ"] == known[:2]
        assert len(feed.asked_splits) == 1
        daily = decode_daily(store.content(KEY), feed.name, "QQQ")
        assert (daily.splits, daily.splits_through) == (feed.splits_of["QQQ"][:4], today)

    def test_later_ones_are_asked_for_on_a_later_day(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store, "2025-11-21", through=date(2025, 11, 20))
        split = Split(date(2025, 11, 24), 1.0, 4.0)
        feed.splits_of["QQQ"] = (split,)
        through = cached(feed, store, TODAY)
        ask(through, through=date(2025, 11, 20))
        assert through.splits(["QQQ"], through=date(2025, 11, 24))["QQQ"] == (split,)
        assert cached(feed, store, TODAY).splits(["QQQ"], through=date(2025, 11, 24))["QQQ"] == (split,)
        assert [through for _, through in feed.asked_splits] == [date(2025, 11, 21), date(2025, 11, 24)]
        assert through.warnings == ()

    def test_late_news_of_one_are_taken_and_warned_of(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        feed.splits_of["QQQ"] = (LONG_AGO,)
        closes(feed, store, "2025-11-20", through=date(2025, 11, 19))
        late = Split(date(2025, 11, 18), 1.0, 2.0)
        feed.splits_of["QQQ"] = (late, LONG_AGO)
        through = cached(feed, store, TODAY)
        ask(through)
        assert through.splits(["QQQ"], through=THROUGH)["QQQ"] == (late, LONG_AGO)
        assert through.warnings == ("QQQ: the feed tells of other splits up to 2025-11-20 than it did before",)

    def test_the_same_ones_in_another_order_are_no_news(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        two = (LONG_AGO, Split(date(2025, 11, 18), 1.0, 2.0))
        feed.splits_of["QQQ"] = two
        closes(feed, store, "2025-11-20", through=date(2025, 11, 19))
        feed.splits_of["QQQ"] = two[::-1]
        through = cached(feed, store, TODAY)
        ask(through)
        assert through.warnings == ()

    def test_where_they_cannot_be_told_closes_are_kept_and_splits_asked_again(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        class NoSplits(ScriptedFeed):
            def splits(self, symbols: Any, *, through: date) -> Any:
                super().splits(symbols, through=through)
                return dict.fromkeys(symbols, DOWN)

        failing = NoSplits(closes=feed.closes)
        through = cached(failing, store, TODAY)
        same_closes(ask(through), plain(feed))
        assert through.splits(["QQQ"], through=THROUGH)["QQQ"] is DOWN
        feed.splits_of["QQQ"] = (LONG_AGO,)
        assert cached(feed, store, TODAY).splits(["QQQ"], through=THROUGH)["QQQ"] == (LONG_AGO,)
        assert feed.asked_closes == []

    def test_nothing_asked_asks_nothing(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        through = cached(feed, store, TODAY)
        assert through.splits([], through=THROUGH) == {}
        assert through.daily_closes([], before=FIRST, count=200, through=THROUGH) == {}
        assert feed.calls == 0


class TestRefresh:
    def test_it_asks_once_and_tells_what_changed(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store)
        days = [date(2025, 11, 5), date(2025, 11, 12)]
        for day, factor in zip(days, (1.1, 0.5), strict=True):
            feed.closes["QQQ"][day] = feed.closes["QQQ"][day] * factor  # type: ignore[operator]
        feed.splits_of["QQQ"] = (LONG_AGO,)
        feed.forget()
        fresh = cached(feed, store, TODAY, refresh=True)
        for _ in range(3):
            same_closes(ask(fresh), plain(feed))
            assert fresh.splits(["QQQ"], through=THROUGH)["QQQ"] == (LONG_AGO,)
        assert (len(feed.asked_closes), len(feed.asked_splits)) == (1, 1)
        assert fresh.warnings == (
            "QQQ: 2 daily closes changed, came or went at the feed, the first 2025-11-05, the largest change of a "
            "value 0.5 of it; the cache has the new ones, rows stay unless revised",
            "QQQ: the feed tells of other splits up to 2025-11-24 than it did before",
        )
        feed.forget()
        same_closes(closes(feed, store), plain(feed))
        assert feed.calls == 0

    @pytest.mark.parametrize(
        "question",
        [
            {"before": date(2025, 2, 3), "through": date(2025, 3, 31)},
            {"before": date(2023, 12, 4), "through": date(2023, 12, 29)},
            {"before": date(2025, 12, 1), "through": date(2025, 12, 10)},
        ],
        ids=["inside", "before", "after"],
    )
    def test_of_another_range_it_calls_nothing_changed_that_is_only_new_or_not_asked_for(
        self, feed: ScriptedFeed, store: MemoryStore, question: dict[str, Any]
    ) -> None:
        closes(feed, store, before=date(2025, 1, 3))
        fresh = cached(feed, store, "2025-12-12", refresh=True)
        same_closes(ask(fresh, **question), plain(feed, **question))
        assert fresh.warnings == ()
        same_closes(closes(feed, store), plain(feed))

    def test_what_cannot_be_stored_is_still_the_new_answer(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        closes(feed, store)
        closes(feed, store, symbol="SPY")
        feed.closes["QQQ"][FIRST] = 7.0
        fresh = cached(feed, RefusingStore(RetryLater("full"), reads_from=store), TODAY, refresh=True)
        for symbol in ("QQQ", "SPY", "QQQ"):
            same_closes(ask(fresh, symbol=symbol), plain(feed, symbol=symbol))


class TestRivals:
    def test_what_another_process_wrote_meanwhile_stays(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        older: Any = {"before": date(2024, 12, 2), "through": date(2024, 12, 31)}
        store.rivals.append(lambda: closes(feed, store, **older))
        closes(feed, store)
        feed.forget()
        same_closes(closes(feed, store, **older), plain(feed, **older))
        same_closes(closes(feed, store), plain(feed))
        assert feed.calls == 0

    def test_closes_that_are_not_final_are_never_doubled(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        feed.closes["QQQ"][date(2025, 11, 19)] = np.nan
        store.rivals.append(lambda: closes(feed, store))
        closes(feed, store)
        same_closes(closes(feed, store), plain(feed))
        for day in ("2025-11-25", "2025-11-26"):
            same_closes(closes(feed, store, day), plain(feed))
            daily = decode_daily(store.content(KEY), feed.name, "QQQ")
            assert len(daily.closes.days) == len(set(daily.closes.days.tolist()))

    def test_of_two_answers_the_one_that_is_final_further_on_stays(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        right = plain(feed)

        def rival() -> None:
            closes(ScriptedFeed(closes={"QQQ": dict(closes_of("QQQ", DAYS))}), store)

        feed.closes["QQQ"][date(2025, 11, 19)] = np.nan
        store.rivals.append(rival)
        closes(feed, store)
        feed.forget()
        same_closes(closes(feed, store), right)
        assert feed.calls == 0
