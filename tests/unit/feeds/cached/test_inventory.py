"""What a cache is said to hold, what is found wrong with it, and what is taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bars import CALENDAR, bar_table, nanoseconds, sessions_of, write_parquet
from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import ScriptedFeed, cached, closes_of, sparse_bars, trading_days
from trading_playbook.core.bars import MINUTE, Bars
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.daily import DailyCloses, Split, day_number
from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.feeds.cached import files
from trading_playbook.feeds.cached.files import (
    Answered,
    DailyHistory,
    MonthOfBars,
    decode_month,
    encode_daily,
    encode_month,
)
from trading_playbook.feeds.cached.inventory import Cache
from trading_playbook.feeds.cached.records import CacheFile, Inventory
from trading_playbook.feeds.cached.shelf import ASIDE
from trading_playbook.ports import Stored

SOURCE = "scripted-x"
OCTOBER, NOVEMBER = f"{SOURCE}/2Min/QQQ/2025-10.parquet", f"{SOURCE}/2Min/QQQ/2025-11.parquet"
DAILY = f"{SOURCE}/1Day/QQQ.parquet"
ALL = sessions_of("2025-10-20", "2025-11-14")
DAYS = trading_days("2024-11-01", "2025-11-14")


@pytest.fixture
def store() -> MemoryStore:
    """A cache of QQQ and SPY from 20 October to 14 November, filled through the cached feed."""
    store = MemoryStore()
    feed = ScriptedFeed(
        {symbol: sparse_bars(ALL, symbol) for symbol in ("QQQ", "SPY")},
        {symbol: dict(closes_of(symbol, DAYS)) for symbol in ("QQQ", "SPY")},
        {"QQQ": (Split(date(2025, 6, 2), 1, 4),)},
    )
    through = cached(feed, store, "2025-12-15")
    through.daily_closes(["QQQ", "SPY"], before=ALL[0].date, count=200, through=ALL[-1].date)
    through.bars(["QQQ", "SPY"], ALL, 2)
    return store


def inventory(store: MemoryStore, *symbols: str, thorough: bool = True, threads: int = 1) -> Inventory:
    return Cache(store, CALENDAR, threads=threads).inventory(symbols, thorough=thorough)


def file(store: MemoryStore, key: str, *, thorough: bool = True) -> CacheFile:
    (found,) = (file for file in inventory(store, thorough=thorough).files if file.key == key)
    return found


def damage(store: MemoryStore, key: str) -> str | None:
    return file(store, key).damage


def change_month(store: MemoryStore, key: str, change: Callable[[MonthOfBars], MonthOfBars]) -> None:
    """Write a month anew, whole and with a right checksum."""
    month = decode_month(store.content(key), SOURCE, "QQQ")
    store.overwrite(key, encode_month(change(month), SOURCE))


def with_bars(month: MonthOfBars, **columns: Any) -> MonthOfBars:
    return replace(month, bars=replace(month.bars, **columns))


class TestWhatIsThere:
    def test_every_file_is_told_with_what_it_covers(self, store: MemoryStore) -> None:
        found = inventory(store)
        assert [file.key for file in found.files] == sorted(store.keys(""))
        october = file(store, OCTOBER)
        assert (october.source, october.timeframe, october.symbol, october.month) == (SOURCE, "2Min", "QQQ", "2025-10")
        assert (october.first, october.last, october.sessions, october.bars) == (
            date(2025, 10, 20), date(2025, 10, 31), 10, 30,
        )  # fmt: skip
        assert october.size == len(store.content(OCTOBER))
        daily = file(store, DAILY)
        assert (daily.timeframe, daily.month, daily.last, daily.splits) == ("1Day", None, date(2025, 11, 14), 1)
        assert daily.sessions == daily.bars >= 200
        assert not found.damaged
        assert not found.foreign

    def test_a_symbol_is_summed_over_its_months(self, store: MemoryStore) -> None:
        (own,) = (own for own in inventory(store).holdings if (own.symbol, own.timeframe) == ("QQQ", "2Min"))
        assert (own.first, own.last, own.files, own.sessions, own.bars) == ("2025-10", "2025-11", 2, 20, 60)
        assert own.size == len(store.content(OCTOBER)) + len(store.content(NOVEMBER))
        assert (own.gaps, own.doubtful, own.empty, own.damaged) == (0, 0, 0, 0)

    def test_only_symbols_that_are_asked_for_are_read(self, store: MemoryStore) -> None:
        store.calls.clear()
        assert {file.symbol for file in inventory(store, "SPY").files} == {"SPY"}
        assert all("SPY" in key for verb, key in store.calls if verb == "get")

    def test_nothing_is_written(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER, b"no parquet")
        store.calls.clear()
        inventory(store)
        assert {verb for verb, _ in store.calls} == {"get"}

    def test_an_absent_cache_is_an_empty_one(self) -> None:
        found = inventory(MemoryStore())
        assert (found.files, found.holdings, found.foreign) == ((), (), ())

    def test_threads_find_the_same(self, store: MemoryStore) -> None:
        assert inventory(store, threads=8) == inventory(store)

    def test_holes_in_a_month_and_whole_months_between_are_gaps(self) -> None:
        store = MemoryStore()
        some = [*sessions_of("2025-08-04", "2025-08-06"), *sessions_of("2025-08-11", "2025-08-12"),
                *sessions_of("2025-10-01", "2025-10-02")]  # fmt: skip
        cached(ScriptedFeed({"QQQ": sparse_bars(some)}), store, "2025-12-15").bars(["QQQ"], some, 2)
        found = inventory(store)
        assert [list(map(str, file.gaps)) for file in found.files] == [["2025-08-07", "2025-08-08"], []]
        between = trading_days("2025-08-13", "2025-09-30")
        assert found.holdings[0].gaps == 2 + len(between)

    def test_sessions_that_are_asked_for_again_are_doubtful(self) -> None:
        store, some = MemoryStore(), sessions_of("2025-11-10", "2025-11-14")
        bars = sparse_bars([some[0], some[2], some[3], some[4]])
        half = sparse_bars([some[4]], slots=(0,)).opened[0]
        bars = bars.take(np.flatnonzero((bars.opened < nanoseconds(some[4].opens)) | (bars.opened == half)))
        cached(ScriptedFeed({"QQQ": bars}), store, "2025-11-14").bars(["QQQ"], some, 2)
        (found,) = inventory(store).files
        assert found.empty == (some[1].date,)
        assert found.doubtful == (some[1].date, some[4].date)
        assert found.damage is None

    def test_closes_that_are_not_final_are_doubtful(self) -> None:
        store, feed = MemoryStore(), ScriptedFeed({}, {"QQQ": dict(closes_of("QQQ", DAYS))})
        cached(feed, store, "2025-11-14").daily_closes(
            ["QQQ"], before=date(2025, 11, 14), count=5, through=date(2025, 11, 14)
        )
        (found,) = inventory(store).files
        assert found.doubtful == (date(2025, 11, 14),)


class TestWhatIsNoneOfIt:
    @pytest.mark.parametrize(
        "key",
        ["notes.txt", f"{SOURCE}/notes.txt", f"{SOURCE}/2Min/QQQ/2025-13.parquet", f"{SOURCE}/2Min/qqq/2025-11.parquet",
         f"{SOURCE}/2Min/QQQ/2025-11.csv", f"{NOVEMBER}.bak", f"{SOURCE}/0Min/QQQ/2025-11.parquet",
         f"{SOURCE}/2Min/2025-11.parquet", f"more/{NOVEMBER}", f"{SOURCE}/1Day/QQQ/2025.parquet",
         "runs/2025.json", "trades.csv"],
    )  # fmt: skip
    def test_it_is_named_and_neither_read_nor_removed(self, store: MemoryStore, key: str) -> None:
        store.overwrite(key, b"mine")
        store.calls.clear()
        assert inventory(store).foreign == (key,)
        cache = Cache(store, CALENDAR)
        for chosen in (cache.chosen(symbols=["QQQ"]), cache.chosen(before="2099-01"), cache.chosen(aside=True)):
            assert key not in {file.key for file in chosen}
        assert ("get", key) not in store.calls


class TestDamage:
    def test_a_file_cut_anywhere_is_damaged(self, store: MemoryStore) -> None:
        whole = store.content(OCTOBER)
        for kept in (0, 1, 4, 100, len(whole) // 2, len(whole) - 1):
            store.overwrite(OCTOBER, whole[:kept])
            assert damage(store, OCTOBER)

    @pytest.mark.parametrize("key", [OCTOBER, DAILY])
    def test_a_bit_that_flips_in_the_columns_is_damage(self, store: MemoryStore, key: str) -> None:
        whole = bytearray(store.content(key))
        whole[60] ^= 1
        store.overwrite(key, bytes(whole))
        assert damage(store, key)

    def test_a_text_in_its_place_is_damage(self, store: MemoryStore) -> None:
        store.overwrite(DAILY, b"date,close\n")
        assert damage(store, DAILY) == "it is damaged"

    def test_parquet_of_others_is_told(self, store: MemoryStore, tmp_path: Path) -> None:
        store.overwrite(OCTOBER, write_parquet(tmp_path / "x.parquet", bar_table(sparse_bars(ALL))).read_bytes())
        assert damage(store, OCTOBER) == "it was not written by this program"

    def test_the_file_of_another_symbol_is_told(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER, store.content(OCTOBER.replace("QQQ", "SPY")))
        assert "another symbol: 'SPY'" in str(damage(store, OCTOBER))

    def test_the_file_of_another_feed_is_told(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER.replace(SOURCE, "scripted-y"), store.content(OCTOBER))
        assert "another source" in str(damage(store, OCTOBER.replace(SOURCE, "scripted-y")))

    def test_daily_closes_in_the_place_of_bars_are_told(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER, store.content(DAILY))
        assert "another kind" in str(damage(store, OCTOBER))

    def test_a_newer_schema_is_told(self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as later:
            later.setattr(files, "SCHEMA", files.SCHEMA + 1)
            change_month(store, OCTOBER, lambda month: month)
        assert "written by a newer version" in str(damage(store, OCTOBER))

    def test_bars_that_cannot_make_those_of_the_key_are_told(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER.replace("2Min", "5Min"), store.content(OCTOBER))
        assert damage(store, OCTOBER.replace("2Min", "5Min")) == "its bars have 2 minutes"

    def test_a_damaged_file_harms_no_other(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER, b"")
        found = inventory(store)
        assert [file.key for file in found.damaged] == [OCTOBER]
        (own,) = (own for own in found.holdings if (own.symbol, own.timeframe) == ("QQQ", "2Min"))
        assert (own.first, own.last, own.damaged, own.files) == ("2025-11", "2025-11", 1, 2)

    def test_a_file_put_aside_is_no_damage(self, store: MemoryStore) -> None:
        store.overwrite(OCTOBER, b"")
        feed = ScriptedFeed({"QQQ": sparse_bars(ALL)})
        cached(feed, store, "2025-12-15").bars(["QQQ"], ALL, 2)
        found = inventory(store)
        assert not found.damaged
        (aside,) = found.aside
        assert aside.key.startswith(f"{OCTOBER}{ASIDE}")
        assert (aside.symbol, aside.month, aside.size) == ("QQQ", "2025-10", 0)
        assert aside.key not in {file.key for file in found.used}


class TestWhatNoChecksumTells:
    """Files that are whole, and say something wrong."""

    def told(self, store: MemoryStore, change: Callable[[MonthOfBars], MonthOfBars]) -> str:
        change_month(store, OCTOBER, change)
        assert file(store, OCTOBER, thorough=False).damage is None
        found = file(store, OCTOBER)
        assert found.unsound
        return str(found.damage)

    def told_of_daily(self, store: MemoryStore, history: DailyHistory) -> str:
        store.overwrite(DAILY, encode_daily(history, SOURCE))
        assert file(store, DAILY, thorough=False).damage is None
        found = file(store, DAILY)
        assert found.unsound
        return str(found.damage)

    def test_the_month_of_another_key(self, store: MemoryStore) -> None:
        store.overwrite(NOVEMBER, store.content(OCTOBER))
        assert damage(store, NOVEMBER) == "it is named 2025-11 and holds 2025-10-20"

    def test_bars_out_of_order(self, store: MemoryStore) -> None:
        told = self.told(store, lambda month: with_bars(month, opened=month.bars.opened[::-1].copy()))
        assert told == "its bars are not in the order of time"

    def test_a_count_that_is_not_so(self, store: MemoryStore) -> None:
        first = ALL[0].date
        told = self.told(store, lambda m: replace(m, sessions={**m.sessions, first: Answered(390, 4)}))
        assert told == f"it has 3 bars of {first} and speaks of 4"

    def test_bars_of_a_day_that_it_does_not_speak_of(self, store: MemoryStore) -> None:
        first = ALL[0].date
        told = self.told(
            store, lambda m: replace(m, sessions={day: own for day, own in m.sessions.items() if day != first})
        )
        assert told == f"it has bars of {first}, of which it does not speak"

    @pytest.mark.parametrize("minutes", [-2, 390])
    def test_a_bar_outside_regular_hours(self, store: MemoryStore, minutes: int) -> None:
        opens = nanoseconds(ALL[0].opens)

        def moved(month: MonthOfBars) -> MonthOfBars:
            opened = month.bars.opened.copy()
            opened[0 if minutes < 0 else 2] = opens + minutes * MINUTE
            return with_bars(month, opened=opened)

        assert self.told(store, moved) == f"it has bars of {ALL[0].date} outside the session's 390 minutes"

    def test_closes_before_the_beginning(self, store: MemoryStore) -> None:
        told = self.told_of_daily(store, _history(begin=date(2025, 11, 11)))
        assert told == "it has a close of 2025-11-10 and begins with 2025-11-11"

    def test_closes_after_the_last_that_were_asked_for(self, store: MemoryStore) -> None:
        told = self.told_of_daily(store, _history(end=date(2025, 11, 13)))
        assert told == "it has a close of 2025-11-14 and was asked for up to 2025-11-13"

    def test_closes_out_of_order(self, store: MemoryStore) -> None:
        told = self.told_of_daily(store, _history(days=trading_days("2025-11-10", "2025-11-14")[::-1]))
        assert told == "its closes are not in the order of time"

    def test_an_end_before_the_beginning(self, store: MemoryStore) -> None:
        told = self.told_of_daily(store, _history(days=[], end=date(2025, 11, 1)))
        assert told == "it ends with 2025-11-01, before it begins with 2025-11-10"

    @pytest.mark.parametrize("new", [0.0, -4.0, float("inf")])
    def test_a_split_that_is_none(self, store: MemoryStore, new: float) -> None:
        history = replace(_history(), splits=(Split(date(2025, 6, 2), 1.0, new),))
        assert "its split of 2025-06-02 makes" in self.told_of_daily(store, history)


class TestWhatIsSoundThoughUnusual:
    def test_two_bars_of_one_time_as_a_feed_gave_them(self, store: MemoryStore) -> None:
        def repeated(month: MonthOfBars) -> MonthOfBars:
            bars: Bars = month.bars.take(np.array([0, 0, *range(1, len(month.bars.opened))]))
            return replace(month, bars=bars, sessions={**month.sessions, ALL[0].date: Answered(390, 4)})

        change_month(store, OCTOBER, repeated)
        assert damage(store, OCTOBER) is None

    def test_a_month_without_any_bar(self, store: MemoryStore) -> None:
        def emptied(month: MonthOfBars) -> MonthOfBars:
            sessions = {day: Answered(390, 0, asked=date(2025, 12, 15)) for day in month.sessions}
            return MonthOfBars(bars=month.bars.take(slice(0)), sessions=sessions)

        change_month(store, OCTOBER, emptied)
        found = file(store, OCTOBER)
        assert (found.damage, len(found.empty), len(found.doubtful)) == (None, 10, 10)

    def test_a_session_that_an_override_closed_since(self, store: MemoryStore) -> None:
        calendar = Calendar({ALL[0].date: None})
        assert not Cache(store, calendar).inventory(thorough=True).damaged

    def test_an_early_close_that_was_not_known_then(self, store: MemoryStore) -> None:
        calendar = Calendar({ALL[0].date: time(13, 0)})
        assert not Cache(store, calendar).inventory(thorough=True).damaged

    def test_a_history_of_which_nothing_is_final(self, store: MemoryStore) -> None:
        begin = date(2025, 11, 10)
        history = replace(
            _history(end=begin - timedelta(days=1)), asked_through=date(2025, 11, 14), asked=date(2025, 11, 14)
        )
        store.overwrite(DAILY, encode_daily(history, SOURCE))
        assert damage(store, DAILY) is None


class TestTakingOut:
    @pytest.fixture
    def cache(self, store: MemoryStore) -> Cache:
        store.overwrite(f"{OCTOBER}{ASIDE}1a2b3c4d", b"old")
        store.overwrite(f"{DAILY}{ASIDE}1a2b3c4d", b"old too")
        return Cache(store, CALENDAR, threads=4)

    def test_what_is_named_is_chosen_and_more_words_choose_less(self, cache: Cache) -> None:
        def chosen(**words: Any) -> list[str]:
            return [file.key.removeprefix(f"{SOURCE}/") for file in cache.chosen(**words)]

        asides = [f"1Day/QQQ.parquet{ASIDE}1a2b3c4d", f"2Min/QQQ/2025-10.parquet{ASIDE}1a2b3c4d"]
        assert chosen(aside=True) == asides
        assert chosen(aside=True, before="2025-11") == asides[1:]
        assert chosen(aside=True, symbols=["SPY"]) == []
        assert chosen(symbols=["SPY"]) == ["1Day/SPY.parquet", "2Min/SPY/2025-10.parquet", "2Min/SPY/2025-11.parquet"]
        assert chosen(symbols=["SPY"], before="2025-11") == ["2Min/SPY/2025-10.parquet"]
        assert chosen(before="2025-10") == []

    def test_what_is_taken_out_is_gone_and_the_rest_is_as_it_was(self, cache: Cache, store: MemoryStore) -> None:
        before = {key: store.content(key) for key in store.keys("")}
        removals = cache.remove(cache.chosen(symbols=["QQQ"]))
        assert all(removal.is_done for removal in removals)
        assert {key: store.content(key) for key in store.keys("")} == {
            key: content for key, content in before.items() if "QQQ" not in key
        }

    def test_a_file_that_changed_since_stays(self, cache: Cache, store: MemoryStore) -> None:
        chosen = cache.chosen(symbols=["QQQ"], before="2025-11")
        store.overwrite(OCTOBER, b"new")
        assert [(removal.file.key, removal.lost) for removal in cache.remove(chosen)] == [
            (OCTOBER, True), (f"{OCTOBER}{ASIDE}1a2b3c4d", False),
        ]  # fmt: skip
        assert store.content(OCTOBER) == b"new"

    def test_a_file_that_cannot_go_is_told_and_harms_no_other(
        self, cache: Cache, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delete = MemoryStore.delete

        def refusing(self: MemoryStore, key: str, *, expected: str) -> None:
            if key == OCTOBER:
                raise FixConfig("not yours")
            delete(self, key, expected=expected)

        monkeypatch.setattr(MemoryStore, "delete", refusing)
        removals = {removal.file.key: removal for removal in cache.remove(cache.chosen(symbols=["QQQ"]))}
        assert not removals[OCTOBER].is_done
        assert isinstance(removals[OCTOBER].error, FixConfig)
        assert [key for key in store.keys("") if "QQQ" in key] == [OCTOBER]


class TestTroubleWithTheStore:
    def failing(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        get = MemoryStore.get

        def refusing(self: MemoryStore, key: str) -> Stored | None:
            if key == OCTOBER:
                raise error
            return get(self, key)

        monkeypatch.setattr(MemoryStore, "get", refusing)

    def test_a_file_that_may_not_be_read_is_told_and_harms_no_other(
        self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.failing(monkeypatch, FixConfig("not yours"))
        found = inventory(store)
        assert [error.message for error in found.errors] == ["not yours"]
        assert not found.damaged
        assert len(found.files) == 6

    def test_trouble_that_may_pass_ends_it(self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing(monkeypatch, RetryLater("down"))
        with pytest.raises(RetryLater):
            inventory(store)

    def test_a_file_that_goes_meanwhile_is_left_out(self, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = [*store.keys(""), f"{SOURCE}/1Day/GONE.parquet"]
        monkeypatch.setattr(MemoryStore, "keys", lambda self, prefix: keys)
        assert {file.symbol for file in inventory(store).files} == {"QQQ", "SPY"}


def _history(
    *,
    begin: date = date(2025, 11, 10),
    end: date = date(2025, 11, 14),
    days: list[date] | None = None,
) -> DailyHistory:
    own = trading_days("2025-11-10", "2025-11-14") if days is None else days
    return DailyHistory(
        closes=DailyCloses(
            symbol="QQQ",
            days=np.array([day_number(day) for day in own], dtype=np.int64),
            closes=np.full(len(own), 100.0),
        ),
        begin=begin,
        end=end,
    )
