"""Bars through the cache: what is asked, what is kept, what is asked again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pytest

from tests.support.bars import joined, minute_bars, nanoseconds, session_of, sessions_of, without
from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import DOWN, RefusingStore, ScriptedFeed, cached, evening, same_bars, sparse_bars
from trading_playbook.core.bars import MINUTE, Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.errors import FixRequest, RetryLater
from trading_playbook.feeds.cached.files import DOUBT_DAYS, decode_month
from trading_playbook.feeds.cached.months import month_key

ALL = sessions_of("2025-09-15", "2025-12-10")
TODAY = "2025-12-15"
YEAR = sessions_of("2025-01-02", "2025-12-05")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def feed() -> ScriptedFeed:
    return ScriptedFeed({"QQQ": sparse_bars(ALL), "SPY": sparse_bars(ALL, "SPY"), "BRK.B": sparse_bars(ALL, "BRK.B")})


def bars_of(
    feed: ScriptedFeed, store: MemoryStore, sessions: tuple[Session, ...], now: str | datetime = TODAY, **options: Any
) -> Bars:
    answer = cached(feed, store, now, **options).bars(["QQQ"], sessions, 2)["QQQ"]
    assert isinstance(answer, Bars), answer
    return answer


def of(sessions: tuple[Session, ...]) -> Bars:
    return sparse_bars(sessions)


class TestGaps:
    def test_a_year_is_asked_month_by_month_once_and_then_no_more(self, store: MemoryStore) -> None:
        feed = ScriptedFeed({"QQQ": sparse_bars(YEAR)})
        first = bars_of(feed, store, YEAR)
        assert [len({(day.year, day.month) for day in days}) for _, days in feed.asked_bars] == [1] * 12
        assert feed.days_asked() == [session.date for session in YEAR]
        same_bars(first, sparse_bars(YEAR))
        feed.forget()
        again = cached(feed, store, TODAY)
        same_bars(again.bars(["QQQ"], YEAR, 2)["QQQ"], first)
        assert feed.calls == 0
        assert again.usage.cache_hits == len(YEAR)
        assert again.warnings == ()

    def test_one_day_more_asks_that_day_alone(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        bars_of(feed, store, ALL[:-1])
        feed.forget()
        same_bars(bars_of(feed, store, ALL), of(ALL))
        assert feed.days_asked() == [ALL[-1].date]

    def test_a_hole_in_the_middle_asks_that_hole_alone(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        bars_of(feed, store, (*ALL[:10], *ALL[20:]))
        feed.forget()
        same_bars(bars_of(feed, store, ALL), of(ALL))
        assert feed.days_asked() == [session.date for session in ALL[10:20]]

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1)])
    def test_overlapping_ranges_in_any_order_give_the_files_of_one_big_range(
        self, feed: ScriptedFeed, store: MemoryStore, order: tuple[int, ...]
    ) -> None:
        parts = (ALL[:25], ALL[15:45], ALL[40:])
        for part in order:
            same_bars(bars_of(feed, store, parts[part]), of(parts[part]))
        whole = MemoryStore()
        bars_of(feed, whole, ALL)
        assert list(store.keys("")) == list(whole.keys(""))
        assert {key: store.content(key) for key in store.keys("")} == {
            key: whole.content(key) for key in whole.keys("")
        }

    def test_symbols_that_lack_the_same_share_a_question(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        bars_of(feed, store, ALL[-3:])
        feed.forget()
        answers = cached(feed, store, TODAY, threads=4).bars(["QQQ", "SPY", "BRK.B"], ALL[-3:], 2)
        assert [symbols for symbols, _ in feed.asked_bars] == [("SPY", "BRK.B")]
        for symbol in ("QQQ", "SPY", "BRK.B"):
            same_bars(answers[symbol], sparse_bars(ALL[-3:], symbol))

    def test_a_symbol_that_fails_harms_no_other_and_what_came_of_it_stays(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        two_months = tuple(session for session in ALL if session.date.month in (10, 11))
        october = [session.date for session in two_months if session.date.month == 10]

        class FailsInNovember(ScriptedFeed):
            def bars(self, symbols: Any, sessions: Any, minutes: int) -> Any:
                self.failing = {"QQQ": DOWN} if sessions[0].date.month == 11 else {}
                return ScriptedFeed.bars(self, symbols, sessions, minutes)

        failing = FailsInNovember(feed.bars_of)
        answers = cached(failing, store, TODAY).bars(["QQQ", "SPY"], two_months, 2)
        assert answers["QQQ"] is DOWN
        same_bars(answers["SPY"], sparse_bars(two_months, "SPY"))
        same_bars(bars_of(feed, store, two_months), of(two_months))
        assert feed.days_asked() == [session.date for session in two_months if session.date not in october]

    def test_a_symbol_that_fails_is_not_asked_for_the_later_months(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        feed.failing = {"QQQ": DOWN}
        assert cached(feed, store, TODAY).bars(["QQQ"], ALL, 2)["QQQ"] is DOWN
        assert len(feed.asked_bars) == 1
        assert list(store.keys("")) == []

    def test_an_unknown_symbol_leaves_no_file_and_is_asked_again(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        for _ in range(2):
            answers = cached(feed, store, TODAY).bars(["NOSUCH", "QQQ"], ALL[:2], 2)
            assert isinstance(answers["NOSUCH"], FixRequest)
            assert isinstance(answers["QQQ"], Bars)
        assert feed.days_asked("NOSUCH") == [ALL[0].date, ALL[1].date] * 2
        assert list(store.keys("")) == [month_key(feed.name, 2, "QQQ", "2025-09")]

    def test_nothing_asked_asks_nothing(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        through = cached(feed, store, TODAY)
        assert through.bars([], ALL, 2) == {}
        empty = through.bars(["QQQ"], [], 2)["QQQ"]
        same_bars(empty, sparse_bars([]))
        assert (feed.calls, store.calls) == (0, [])

    def test_a_cold_file_is_read_once_and_written_once(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        bars_of(feed, store, ALL[:3])
        bars_of(feed, store, ALL[:5])
        key = month_key(feed.name, 2, "QQQ", "2025-09")
        assert store.calls == [("get", key), ("put", key)] * 2


class TestOrder:
    def test_bars_in_any_order_and_repeated_ones_are_told_alike_cold_and_warm(self, store: MemoryStore) -> None:
        whole = minute_bars(ALL[:3], minutes=2)
        mixed = np.random.default_rng(1).permutation(len(whole.opened))
        feed = ScriptedFeed({"QQQ": joined(whole.take(mixed), whole.take(np.array([5, 300, 5])))})
        cold, warm = (bars_of(feed, store, ALL[:3]) for _ in range(2))
        same_bars(warm, cold)
        order = np.argsort(np.concatenate([whole.opened, whole.opened[[5, 300, 5]]]), kind="stable")
        same_bars(cold, joined(whole, whole.take(np.array([5, 300, 5]))).take(order))

    def test_what_lies_outside_regular_hours_or_in_other_sessions_is_not_kept(self, store: MemoryStore) -> None:
        early, late = (
            replace(sparse_bars(ALL[:1], slots=[0]), opened=np.array([nanoseconds(at)]))
            for at in (ALL[0].opens - timedelta(minutes=2), ALL[0].closes)
        )

        class Generous(ScriptedFeed):
            def bars(self, symbols: Any, sessions: Any, minutes: int) -> Any:
                super().bars(symbols, sessions, minutes)
                return {symbol: joined(early, sparse_bars(ALL), late) for symbol in symbols}

        feed = Generous({"QQQ": sparse_bars(ALL)})
        for _ in range(2):
            same_bars(bars_of(feed, store, ALL[:2]), of(ALL[:2]))

    def test_finer_bars_are_kept_as_they_are_and_stand_among_longer_ones(self, store: MemoryStore) -> None:
        fine, coarse = minute_bars(ALL[:2], minutes=1), sparse_bars(ALL[2:4])
        same_bars(bars_of(ScriptedFeed({"QQQ": fine}), store, ALL[:2]), fine)
        both = replace(joined(fine, coarse), minutes=1)
        for _ in range(2):
            same_bars(bars_of(ScriptedFeed({"QQQ": coarse}), store, ALL[:4]), both)


class TestEmptySessions:
    """Of QQQ there is nothing on ALL[5], though there was before."""

    @pytest.fixture
    def feed(self) -> ScriptedFeed:
        return ScriptedFeed({"QQQ": sparse_bars([*ALL[:5], *ALL[6:]])})

    def test_they_are_remembered_for_the_day_and_asked_again_on_a_later_one(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        # 04:30 UTC on the 16th is still the 15th in New York.
        bars_of(feed, store, ALL[:10], "2025-12-15")
        feed.forget()
        bars_of(feed, store, ALL[:10], datetime.fromisoformat("2025-12-16T04:30:00+00:00"))
        assert feed.calls == 0
        for day in ("2025-12-16", "2026-12-16"):
            bars_of(feed, store, ALL[:10], day)
            bars_of(feed, store, ALL[:10], day)
            assert feed.days_asked() == [ALL[5].date]
            feed.forget()

    def test_what_comes_later_is_taken(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        assert len(bars_of(feed, store, ALL[:10]).opened) == 27
        feed.bars_of["QQQ"] = sparse_bars(ALL)
        same_bars(bars_of(feed, store, ALL[:10], "2025-12-16"), of(ALL[:10]))
        feed.forget()
        same_bars(bars_of(feed, store, ALL[:10], "2025-12-17"), of(ALL[:10]))
        assert feed.calls == 0

    def test_asking_again_in_vain_falls_back_on_what_is_known(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        known = bars_of(feed, store, ALL[:10])
        feed.failing = {"QQQ": DOWN}
        again = cached(feed, store, "2025-12-16")
        same_bars(again.bars(["QQQ"], ALL[:10], 2)["QQQ"], known)
        assert again.warnings == (f"QQQ {ALL[5].date}: asked for again, in vain: the feed is down",)
        assert cached(feed, store, "2025-12-16").bars(["QQQ"], ALL[:11], 2)["QQQ"] is DOWN

    def test_a_feed_without_any_bar_is_asked_again_on_a_later_day(self, store: MemoryStore) -> None:
        feed = ScriptedFeed({"QQQ": sparse_bars([])})
        for day in ("2025-12-15", "2025-12-15", "2025-12-16"):
            assert bars_of(feed, store, ALL[:2], day).first_session is None
        assert feed.days_asked() == [ALL[0].date, ALL[1].date] * 2


@pytest.mark.parametrize("exact", [True, False])
class TestBeginnings:
    def test_sessions_before_the_first_bar_are_final(self, store: MemoryStore, exact: bool) -> None:
        feed = ScriptedFeed({"QQQ": sparse_bars(ALL[20:])}, exact=True)
        cold = bars_of(feed, store, ALL)
        assert cold.first_session == ALL[20].date
        feed.forget()
        feed.exact = exact
        warm = bars_of(feed, store, ALL, "2026-05-01")
        same_bars(warm, cold)
        assert warm.first_session == ALL[20].date
        assert feed.calls == 0

    def test_a_session_is_after_the_first_one_cold_or_warm(self, store: MemoryStore, exact: bool) -> None:
        # Bars begin on ALL[20]; ALL[22] and ALL[30] are empty.
        feed = ScriptedFeed({"QQQ": sparse_bars([*ALL[20:22], *ALL[23:30], *ALL[31:]])}, exact=exact)
        for asked in (ALL[15:35], ALL[22:24], ALL[30:31], ALL[21:23]):
            plain = feed.bars(["QQQ"], asked, 2)["QQQ"]
            assert isinstance(plain, Bars)
            for _ in range(2):
                first = bars_of(feed, store, asked).first_session
                assert first is not None
                for session in asked:
                    assert (session.date > first) == (session.date > ALL[20].date) or session.date == first


class TestDoubt:
    """Of a session that was answered in part or with a bad bar."""

    DAY = session_of("2025-12-03")

    def spoilt(self, how: str) -> Bars:
        whole = minute_bars(self.DAY, minutes=2)
        if how == "a bad bar":
            low = whole.low.copy()
            low[50] = whole.high[50] + 1
            return replace(whole, low=low)
        if how == "a missing value":
            close = whole.close.copy()
            close[50] = np.nan
            return replace(whole, close=close)
        if how == "two bars that disagree":
            return joined(whole, replace(whole.take(slice(50, 51)), volume=np.array([7.0])))
        return without(whole, range(90 if how == "half of it" else 187, 195))

    @pytest.mark.parametrize(
        "how", ["a bad bar", "a missing value", "two bars that disagree", "half of it", "the last eight bars gone"]
    )
    def test_it_is_asked_again_on_each_later_day_and_not_on_the_same_for_ten_days(
        self, store: MemoryStore, how: str
    ) -> None:
        feed = ScriptedFeed({"QQQ": self.spoilt(how)})
        for after in range(DOUBT_DAYS + 3):
            for _ in range(2):
                same_bars(
                    bars_of(feed, store, (self.DAY,), evening(self.DAY.date + timedelta(days=after))),
                    bars_of(feed, MemoryStore(), (self.DAY,), evening(self.DAY.date + timedelta(days=after))),
                )
        plain = 2 * (DOUBT_DAYS + 3)
        # Once a day, on the eleventh day for the last time.
        assert len(feed.days_asked()) - plain == DOUBT_DAYS + 2

    def test_a_correction_is_taken_and_is_the_last_word(self, store: MemoryStore) -> None:
        feed = ScriptedFeed({"QQQ": self.spoilt("half of it")})
        bars_of(feed, store, (self.DAY,), evening(self.DAY.date))
        feed.bars_of["QQQ"] = minute_bars(self.DAY, minutes=2)
        same_bars(bars_of(feed, store, (self.DAY,), evening("2025-12-04")), minute_bars(self.DAY, minutes=2))
        feed.forget()
        bars_of(feed, store, (self.DAY,), evening("2025-12-05"))
        assert feed.calls == 0

    def test_what_a_run_refuses_as_cut_short_is_doubted(self, store: MemoryStore) -> None:
        """Its last bar at 15:38: a run wants one of the eight slots up to 15:54."""
        feed = ScriptedFeed({"QQQ": without(minute_bars(self.DAY, minutes=2), range(185, 195))})
        bars_of(feed, store, (self.DAY,), evening(self.DAY.date))
        bars_of(feed, store, (self.DAY,), evening("2025-12-04"))
        assert len(feed.asked_bars) == 2

    def test_a_bar_in_the_last_slots_is_enough(self, store: MemoryStore) -> None:
        feed = ScriptedFeed({"QQQ": sparse_bars([self.DAY], slots=[0, 187])})
        bars_of(feed, store, (self.DAY,), evening(self.DAY.date))
        bars_of(feed, store, (self.DAY,), evening("2025-12-04"))
        assert len(feed.asked_bars) == 1

    def test_half_a_day_asked_for_before_the_close_is_told_and_not_kept(self, store: MemoryStore) -> None:
        """F19."""
        half = sparse_bars([session_of("2025-12-02"), self.DAY], slots=[0, 90])
        feed = ScriptedFeed({"QQQ": joined(half, sparse_bars([session_of("2025-12-02")], slots=[-1]))})
        asked = sessions_of("2025-12-02", "2025-12-03")
        at_three = bars_of(feed, store, asked, evening("2025-12-03", hour=20))
        assert len(at_three.opened) == 5
        feed.bars_of["QQQ"] = sparse_bars(asked)
        feed.forget()
        same_bars(bars_of(feed, store, asked, evening("2025-12-03", hour=21)), sparse_bars(asked))
        assert feed.days_asked() == [self.DAY.date]


class TestOverrides:
    def test_a_session_whose_length_changed_is_asked_again(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        day = ALL[30].date
        early = Calendar({day: time(13)})
        bars_of(feed, store, ALL[28:33])
        feed.forget()
        feed.calendar = early
        sessions = early.sessions(ALL[28].date, ALL[32].date)
        feed.bars_of["QQQ"] = sparse_bars(sessions)
        for _ in range(2):
            same_bars(bars_of(feed, store, sessions), sparse_bars(sessions))
        assert feed.days_asked() == [day]
        assert max(bars_of(feed, store, sessions).opened[6:9]) == nanoseconds(sessions[2].closes) - 2 * MINUTE

    def test_an_early_close_of_the_table_is_whole(self, store: MemoryStore) -> None:
        day = session_of("2025-11-28")
        feed = ScriptedFeed({"QQQ": minute_bars(day, minutes=2)})
        for now in ("2025-11-28", "2025-12-01"):
            assert len(bars_of(feed, store, (day,), now).opened) == 105
        assert len(feed.asked_bars) == 1


class TestRefresh:
    def test_it_asks_for_all_once_and_tells_nothing_where_nothing_changed(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        bars_of(feed, store, ALL)
        feed.forget()
        before = {key: store.content(key) for key in store.keys("")}
        fresh = cached(feed, store, TODAY, refresh=True)
        for _ in range(3):
            same_bars(fresh.bars(["QQQ"], ALL, 2)["QQQ"], of(ALL))
        assert feed.days_asked() == [session.date for session in ALL]
        assert fresh.warnings == ()
        assert {key: store.content(key) for key in store.keys("")} == before

    def test_it_asks_once_too_where_nothing_was_known(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        fresh = cached(feed, store, TODAY, refresh=True)
        for _ in range(2):
            fresh.bars(["QQQ"], ALL[:5], 2)
        assert len(feed.asked_bars) == 1

    def test_it_tells_how_many_changed_the_first_and_the_largest_change_and_replaces_them(
        self, feed: ScriptedFeed, store: MemoryStore
    ) -> None:
        bars_of(feed, store, ALL[:10])
        close, volume = (getattr(feed.bars_of["QQQ"], name).copy() for name in ("close", "volume"))
        close[4] *= 1.25
        volume[7] *= 1.5
        changed = replace(feed.bars_of["QQQ"], close=close, volume=volume)
        feed.bars_of["QQQ"] = without(changed, [9])
        fresh = cached(feed, store, TODAY, refresh=True)
        # ALL[10] is new to the cache, and no change.
        got = fresh.bars(["QQQ"], ALL[:11], 2)["QQQ"]
        same_bars(got, feed.bars_of["QQQ"].take(slice(0, 32)))
        assert list(fresh.warnings) == [
            "QQQ: 3 bars changed, came or went at the feed, the first 2025-09-16T16:30Z, the largest change of a value "
            "0.5 of it; the cache has the new ones, rows stay unless revised"
        ]
        feed.forget()
        same_bars(bars_of(feed, store, ALL[:11]), got)
        assert feed.calls == 0

    def test_what_cannot_be_stored_is_still_the_new_answer(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        bars_of(feed, store, ALL[:3])
        feed.bars_of["QQQ"] = replace(feed.bars_of["QQQ"], close=feed.bars_of["QQQ"].close * 1.001)
        refusing = RefusingStore(RetryLater("the disk is full"), reads_from=store)
        fresh = cached(feed, refusing, TODAY, refresh=True)
        for _ in range(2):
            answer = fresh.bars(["QQQ"], ALL[:3], 2)["QQQ"]
            same_bars(answer, feed.bars_of["QQQ"].take(slice(0, 9)))

    def test_a_refresh_in_vain_is_an_error(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        bars_of(feed, store, ALL[:3])
        feed.failing = {"QQQ": DOWN}
        assert cached(feed, store, TODAY, refresh=True).bars(["QQQ"], ALL[:3], 2)["QQQ"] is DOWN
        same_bars(bars_of(feed, store, ALL[:3]), of(ALL[:3]))


class TestRivals:
    def test_what_another_process_wrote_meanwhile_stays(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        september = tuple(session for session in ALL if session.date.month == 9)
        store.rivals.append(lambda: bars_of(feed, store, september[6:]))
        bars_of(feed, store, september[:8])
        feed.forget()
        same_bars(bars_of(feed, store, september), of(september))
        assert feed.calls == 0

    def test_who_loses_a_race_against_the_same_bytes_leaves_them(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        """F21."""
        store.rivals.append(lambda: bars_of(feed, store, ALL[:3]))
        through = cached(feed, store, TODAY)
        same_bars(through.bars(["QQQ"], ALL[:3], 2)["QQQ"], of(ALL[:3]))
        assert [verb for verb, _ in store.calls].count("put") == 2
        assert through.warnings == ()
        found = store.get(month_key(feed.name, 2, "QQQ", "2025-09"))
        assert found is not None
        assert found.generation == "1"

    def test_the_file_says_what_was_asked(self, feed: ScriptedFeed, store: MemoryStore) -> None:
        feed.bars_of["QQQ"] = sparse_bars([ALL[1], ALL[3]])
        feed.exact = True
        bars_of(feed, store, ALL[:4])
        month = decode_month(store.content(month_key(feed.name, 2, "QQQ", "2025-09")), feed.name, "QQQ")
        told = [(own.minutes, own.bars, own.begun, own.asked) for own in month.sessions.values()]
        assert told == [(390, 0, False, None), (390, 3, True, None), (390, 0, True, date(2025, 12, 15)), told[3]]
        assert told[3] == (390, 3, True, None)
