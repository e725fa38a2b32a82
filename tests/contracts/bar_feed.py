"""What every adapter of the port BarFeed must do, whoever it asks. One short subclass a feed: test_bar_feeds.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from tests.support.bars import CALENDAR, moment_of, sessions_of
from trading_playbook.core.bars import COLUMNS, Bars
from trading_playbook.core.calendar import Session, new_york_date
from trading_playbook.core.daily import CheckedCloses, DailyCloses, check_closes, day_number, day_of
from trading_playbook.core.errors import FixRequest, PlaybookError
from trading_playbook.core.grid import lay_out
from trading_playbook.core.schedule import Timetable, are_sessions
from trading_playbook.ports import BarFeed, Usage


class BarFeedContract:
    """A subclass gives a feed that knows KNOWN on SESSIONS whole, with at least COUNT closes before, and not UNKNOWN.

    An early close and a holiday lie among the sessions. FIRST: the first session that the feed has of KNOWN.
    """

    KNOWN: ClassVar[tuple[str, ...]] = ("QQQ", "BRK.B", "SPY")
    UNKNOWN: ClassVar[str] = "NOSUCH"
    SESSIONS: ClassVar[tuple[Session, ...]] = sessions_of("2025-11-20", "2025-12-02")
    COUNT: ClassVar[int] = 30
    FIRST: ClassVar[date]
    FIRST_CLOSE: ClassVar[date]
    MINUTES: ClassVar[int] = 2

    @pytest.fixture
    def feed(self) -> BarFeed:
        raise NotImplementedError

    def bars(self, feed: BarFeed, sessions: tuple[Session, ...] = SESSIONS) -> Mapping[str, Bars]:
        answers = feed.bars(self.KNOWN, sessions, self.MINUTES)
        assert set(answers) == set(self.KNOWN)
        good = {symbol: answer for symbol, answer in answers.items() if isinstance(answer, Bars)}
        assert len(good) == len(answers), answers
        return good

    def closes(self, feed: BarFeed, before: date, through: date) -> Mapping[str, DailyCloses]:
        answers = feed.daily_closes(self.KNOWN, before=before, count=self.COUNT, through=through)
        assert set(answers) == set(self.KNOWN)
        good = {symbol: answer for symbol, answer in answers.items() if isinstance(answer, DailyCloses)}
        assert len(good) == len(answers), answers
        return good

    def test_it_says_what_it_is(self, feed: BarFeed) -> None:
        assert feed.name
        assert feed.name == feed.name.strip().lower()
        assert isinstance(feed.usage, Usage)
        assert all(isinstance(warning, str) for warning in feed.warnings)

    def test_whole_sessions_come_whole(self, feed: BarFeed) -> None:
        timetable = Timetable.of(self.SESSIONS)
        for bars in self.bars(feed).values():
            laid = lay_out(bars, timetable, self.MINUTES)
            assert np.sum(~np.isnan(laid.grid.close), axis=0).tolist() == timetable.slots(self.MINUTES).tolist()

    def test_good_bars_pass_the_checks_of_the_core(self, feed: BarFeed) -> None:
        for bars in self.bars(feed).values():
            laid = lay_out(bars, Timetable.of(self.SESSIONS), self.MINUTES)
            assert (dict(laid.faults), laid.repeats) == ({}, 0)

    def test_bars_are_of_their_symbol_and_of_a_length_that_divides_what_is_asked_for(self, feed: BarFeed) -> None:
        for symbol, bars in self.bars(feed).items():
            assert bars.symbol == symbol
            assert self.MINUTES % bars.minutes == 0
            assert bars.opened.dtype == np.int64
            assert {getattr(bars, name).dtype for name in COLUMNS} == {np.dtype(np.float64)}

    def test_bars_lie_in_the_order_of_their_sessions(self, feed: BarFeed) -> None:
        for bars in self.bars(feed).values():
            days = [new_york_date(moment_of(at)) for at in bars.opened]
            assert days == sorted(days)

    def test_a_session_has_the_same_bars_alone_and_among_others(self, feed: BarFeed) -> None:
        together = self.bars(feed)
        for session in self.SESSIONS:
            timetable = Timetable.of([session])
            for symbol, alone in self.bars(feed, (session,)).items():
                for name in COLUMNS:
                    np.testing.assert_array_equal(
                        getattr(lay_out(alone, timetable, self.MINUTES).grid, name),
                        getattr(lay_out(together[symbol], timetable, self.MINUTES).grid, name),
                    )

    def test_the_first_session_is_not_after_the_first_that_is_asked_for(self, feed: BarFeed) -> None:
        for sessions in (self.SESSIONS, self.SESSIONS[-1:]):
            for bars in self.bars(feed, sessions).values():
                assert bars.first_session is not None
                assert self.FIRST <= bars.first_session <= sessions[0].date

    def test_the_first_session_is_exact_where_one_before_it_is_asked_for(self, feed: BarFeed) -> None:
        around = (CALENDAR.previous(self.FIRST), *CALENDAR.sessions(self.FIRST, self.FIRST))
        for _ in range(2):
            assert {bars.first_session for bars in self.bars(feed, around).values()} == {self.FIRST}

    def test_closes_reach_back_as_far_as_is_asked_for_and_on_to_the_last_day(self, feed: BarFeed) -> None:
        before, through = self.SESSIONS[2].date, self.SESSIONS[-2].date
        for symbol, daily in self.closes(feed, before, through).items():
            days = checked(daily).days
            assert daily.symbol == symbol
            assert np.sum(days < day_number(before)) >= self.COUNT
            expected = [session.date for session in CALENDAR.sessions(day_of(days[0]), through)]
            assert [day_of(day) for day in days] == expected

    def test_good_closes_pass_the_checks_of_the_core(self, feed: BarFeed) -> None:
        for daily in self.closes(feed, self.SESSIONS[0].date, self.SESSIONS[-1].date).values():
            found = checked(daily)
            assert (dict(found.faults), found.repeats) == ({}, 0)

    def test_a_close_does_not_depend_on_the_range_that_is_asked_for(self, feed: BarFeed) -> None:
        whole = self.closes(feed, self.SESSIONS[0].date, self.SESSIONS[-1].date)
        for part in (self.SESSIONS[0].date, self.SESSIONS[3].date):
            for symbol, daily in self.closes(feed, part, part).items():
                assert by_day(daily).items() <= by_day(whole[symbol]).items()

    def test_the_first_close_is_not_after_those_that_are_asked_for(self, feed: BarFeed) -> None:
        for before in (self.SESSIONS[0].date, self.SESSIONS[-1].date):
            for closes in self.closes(feed, before, self.SESSIONS[-1].date).values():
                assert closes.first_session is not None
                assert self.FIRST_CLOSE <= closes.first_session <= day_of(closes.days[0])

    def test_splits_are_told_by_symbol_up_to_a_day(self, feed: BarFeed) -> None:
        answers = feed.splits(self.KNOWN, through=self.SESSIONS[-1].date)
        assert set(answers) == set(self.KNOWN)
        for splits in answers.values():
            assert isinstance(splits, tuple)
            assert all(split.ex_date <= self.SESSIONS[-1].date for split in splits)

    def test_an_unknown_symbol_is_a_wrong_request_and_harms_no_other(self, feed: BarFeed) -> None:
        symbols = (self.KNOWN[0], self.UNKNOWN, *self.KNOWN[1:])
        first, last = self.SESSIONS[0].date, self.SESSIONS[-1].date
        bars = feed.bars(symbols, self.SESSIONS, self.MINUTES)
        closes = feed.daily_closes(symbols, before=first, count=self.COUNT, through=last)
        for answers in (bars, closes):
            assert set(answers) == set(symbols)
            assert isinstance(error := answers[self.UNKNOWN], FixRequest)
            assert error.symbol == self.UNKNOWN
            assert [symbol for symbol, answer in answers.items() if isinstance(answer, PlaybookError)] == [self.UNKNOWN]

    def test_the_same_question_has_the_same_answer(self, feed: BarFeed) -> None:
        first, last = self.SESSIONS[0].date, self.SESSIONS[-1].date
        bars, closes = self.bars(feed), self.closes(feed, first, last)
        splits = feed.splits(self.KNOWN, through=last)
        for symbol, again in self.bars(feed).items():
            for name in ("opened", *COLUMNS):
                np.testing.assert_array_equal(getattr(again, name), getattr(bars[symbol], name))
        for symbol, closes_again in self.closes(feed, first, last).items():
            assert by_day(closes_again) == by_day(closes[symbol])
        assert feed.splits(self.KNOWN, through=last) == splits

    def test_nothing_asked_is_nothing_answered(self, feed: BarFeed) -> None:
        day = self.SESSIONS[0].date
        assert feed.bars([], self.SESSIONS, self.MINUTES) == {}
        assert feed.daily_closes([], before=day, count=self.COUNT, through=day) == {}
        assert feed.splits([], through=day) == {}


def checked(daily: DailyCloses) -> CheckedCloses:
    """The closes as the core takes them."""
    return check_closes(daily, partial(are_sessions, CALENDAR))


def by_day(daily: DailyCloses) -> dict[int, float]:
    """Closes by their day numbers."""
    found = checked(daily)
    return dict(zip(found.days.tolist(), found.closes.tolist(), strict=True))
