"""Which sessions may be judged: what is checked before a strategy sees anything, and what a person may accept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from tests.support.stories import (
    QUIET,
    Ohlc,
    bars_of,
    closes_of,
    history_of,
    judged_rows,
    play_of,
    prepared,
    quiet,
    row_text,
    sessions_before,
    steady_closes,
    story,
    timed,
)
from trading_playbook.core.daily import Split
from trading_playbook.core.errors import CheckData, NoData
from trading_playbook.core.history import History, Prepared
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.strategies.dp20 import Dp20

P, D, NEXT, AFTER = (date(2025, 11, day) for day in (3, 4, 5, 6))
WEEK = (P, D, NEXT, AFTER)
NAN = math.nan
BAD: Ohlc = (100.0, 99.0, 101.0, 100.0)
CLOSES = [*steady_closes(P, count=220), *((day, 100.0) for day in WEEK)]
Session = Mapping[int, Ohlc]
Days = Mapping[date, Session]


def history(days: Days, closes: Sequence[tuple[date, float]] = CLOSES) -> History:
    return history_of(days, closes=closes)


def whole_week(changes: Days | None = None) -> dict[date, Mapping[int, Ohlc]]:
    """A session that begins before the week, then the week; empty days have no bar."""
    days: dict[date, Mapping[int, Ohlc]] = {date(2025, 10, 31): quiet(), **dict.fromkeys(WEEK, story())}
    return {day: bars for day, bars in {**days, **(changes or {})}.items() if bars}


def kinds(found: Prepared) -> dict[date, str]:
    return {day: fault.kind for day, fault in found.refused.items()}


def rows(found: Prepared) -> dict[date, JournalRow]:
    return {row.trade_date: row for row in judged_rows(play_of(), found)}


def test_a_whole_week_is_judged_row_by_row() -> None:
    found = prepared(history(whole_week()), WEEK)
    assert kinds(found) == {}
    assert found.remarks == ()
    assert [session.date for session in found.sessions] == list(WEEK)
    assert found.keys == [("QQQ", day) for day in WEEK]
    assert {row.reason for row in rows(found).values()} == {"entered"}


@pytest.mark.parametrize("day", WEEK)
def test_the_asked_range_has_no_effect(day: date) -> None:
    known = history(whole_week())
    alone = prepared(known, [day])
    assert rows(alone)[day] == rows(prepared(known, WEEK))[day]


class TestNoData:
    def test_a_session_without_a_bar_and_the_one_after_it_are_refused(self) -> None:
        found = prepared(history(whole_week({D: {}})), WEEK)
        assert kinds(found) == {D: "no_data", NEXT: "no_data"}
        assert [session.date for session in found.sessions] == [P, AFTER]

    def test_the_error_says_what_to_do_and_for_which_session(self) -> None:
        found = prepared(history(whole_week({D: {}})), WEEK)
        own, later = found.refused[D], found.refused[NEXT]
        sentence = (
            "QQQ 2025-11-04: the exchange was open and the feed has no bar; wait for the feed, "
            "or accept the session with --accept QQQ:2025-11-04"
        )
        assert isinstance(own, NoData)
        assert isinstance(later, NoData)
        assert own.message == sentence
        assert later.message == f"QQQ 2025-11-05 cannot be judged, it needs earlier data: {sentence}"
        assert (own.session, later.session) == (D, NEXT)
        assert own.symbol == later.symbol == "QQQ"

    def test_before_the_feeds_first_bar_the_session_alone_is_used(self) -> None:
        found = prepared(history({D: story()}), [D])
        assert np.isnan(found.batch.previous.close).all()
        assert found.batch.previous.session_slots.tolist() == [195]
        assert rows(found)[D].reason == "insufficient_warmup"

    def test_a_gap_of_the_session_before_is_told_by_the_feeds_first_session_though_its_bars_are_not_here(self) -> None:
        bars = bars_of(timed({D: story()}), first_session=date(2025, 10, 31))
        known = History(symbol="QQQ", bars=bars, daily=closes_of(steady_closes(D)))
        assert kinds(prepared(known, [D])) == {D: "no_data"}

    def test_a_feed_that_begins_with_the_session_before_and_has_no_bar_of_it_is_no_gap(self) -> None:
        bars = bars_of(timed({D: story()}), first_session=P)
        known = History(symbol="QQQ", bars=bars, daily=closes_of(steady_closes(D)))
        assert kinds(prepared(known, [D])) == {}

    def test_a_feed_without_any_bar_has_no_data(self) -> None:
        assert kinds(prepared(history({}), [D])) == {D: "no_data"}

    def test_bars_out_of_hours_make_no_session(self) -> None:
        opened = timed({D: {0: QUIET}})[0][0]
        rows_ = [(opened - timedelta(minutes=2), *QUIET), (opened + timedelta(minutes=390), *QUIET)]
        known = History(symbol="QQQ", bars=bars_of(rows_), daily=closes_of(steady_closes(D)))
        assert kinds(prepared(known, [D])) == {D: "no_data"}


class TestTruncatedSession:
    def cut(self, slots: int, *extra: int) -> dict[int, Ohlc]:
        return {slot: bar for slot, bar in story().items() if slot < slots or slot in extra}

    def test_no_bar_in_the_last_eight_slots_up_to_the_exit_is_refused_and_so_is_the_session_after(self) -> None:
        found = prepared(history(whole_week({D: self.cut(185)})), WEEK)
        assert kinds(found) == {D: "truncated_session", NEXT: "truncated_session"}
        sentence = (
            "QQQ 2025-11-04: truncated_session, no bar from 15:40 to 15:54; wait for the feed, "
            "or accept the session with --accept QQQ:2025-11-04"
        )
        assert found.refused[D].message == sentence
        assert found.refused[NEXT].message == f"QQQ 2025-11-05 cannot be judged, it needs earlier data: {sentence}"
        assert found.refused[NEXT].session == NEXT
        assert not isinstance(found.refused[D], NoData)

    @pytest.mark.parametrize("slot", [185, 188, 192])
    def test_one_bar_in_any_of_the_eight_is_enough(self, slot: int) -> None:
        assert kinds(prepared(history(whole_week({D: self.cut(100, slot)})), WEEK)) == {}

    @pytest.mark.parametrize("slots", [(193, 194), (184,)])
    def test_bars_before_and_after_the_eight_do_not_help(self, slots: tuple[int, ...]) -> None:
        found = prepared(history(whole_week({D: self.cut(100, *slots)})), WEEK)
        assert kinds(found) == {D: "truncated_session", NEXT: "truncated_session"}

    def test_the_stretch_moves_with_an_early_close(self) -> None:
        before, friday = date(2025, 11, 26), date(2025, 11, 28)
        for slots, wrong in ((96, {}), (95, {friday: "truncated_session"})):
            known = history_of({before: quiet(), friday: quiet(slots)}, closes=steady_closes(before))
            found = prepared(known, [friday])
            assert kinds(found) == wrong
            for fault in found.refused.values():
                assert "no bar from 12:40 to 12:54" in fault.message

    def test_the_stretch_moves_with_the_exit_of_the_play(self) -> None:
        play = Dp20.with_parameters({"exit_minutes_before_close": 60})
        known = history(whole_week({D: self.cut(165)}))
        assert kinds(prepared(known, WEEK)) == {D: "truncated_session", NEXT: "truncated_session"}
        assert kinds(prepared(known, WEEK, strategy=play)) == {}

    def test_a_halt_that_leaves_the_tail_whole_is_no_truncation(self) -> None:
        halted = {slot: bar for slot, bar in story().items() if not 40 <= slot < 185}
        assert kinds(prepared(history(whole_week({D: halted})), WEEK)) == {}


class TestAcceptance:
    def test_an_accepted_session_without_bars_has_a_row_that_says_so_and_the_next_is_judged_alone(self) -> None:
        found = prepared(history(whole_week({D: {}})), WEEK, accepted=[D])
        assert kinds(found) == {}
        assert found.accepted == (False, True, False, False)
        told = rows(found)
        assert told[D].notes == "no_data: the session has no bar; accepted by name"
        filled = {name for name, cell in row_text(told[D]).items() if cell}
        assert filled == {
            *("trade_date", "entry_window", "entered?", "notes", "symbol", "strategy", "params_hash", "trade_no"),
            *("reason", "data_feed", "data_hash", "revision"),
        }
        assert told[NEXT].reason == "insufficient_warmup"
        assert not told[NEXT].accepted

    def test_an_accepted_session_that_was_cut_short_is_judged_with_the_bars_there_are(self) -> None:
        short = {slot: bar for slot, bar in story().items() if slot < 100}
        found = prepared(history(whole_week({D: short})), WEEK, accepted=[D])
        assert kinds(found) == {}
        told = rows(found)
        assert (told[D].reason, told[D].exit_reason, told[D].eod_exit_time) == ("entered", "last_bar", "12:48")
        assert told[D].accepted
        assert told[NEXT].reason == "entered"
        assert not told[NEXT].accepted

    @pytest.mark.parametrize(("lacking", "kind"), [({}, "no_data"), (quiet(100), "truncated_session")])
    def test_accepting_a_session_does_not_accept_the_one_before_it(self, lacking: Session, kind: str) -> None:
        known = history(whole_week({D: lacking}))
        assert kinds(prepared(known, WEEK, accepted=[NEXT])) == {D: kind, NEXT: kind}
        assert kinds(prepared(known, WEEK, accepted=[D])) == {}

    def test_accepting_a_session_that_is_whole_leaves_no_mark(self) -> None:
        found = prepared(history(whole_week()), WEEK, accepted=WEEK)
        assert found.accepted == (False,) * 4
        assert rows(found) == rows(prepared(history(whole_week()), WEEK))

    def test_acceptance_covers_no_bad_bar_and_no_bad_close(self) -> None:
        known = history(whole_week({D: story({30: BAD})}))
        assert kinds(prepared(known, WEEK, accepted=WEEK)) == {D: "bad_bar", NEXT: "bad_bar"}
        closes = [*steady_closes(P, count=220), (P, -1.0)]
        known = history(whole_week(), closes=closes)
        assert kinds(prepared(known, WEEK, accepted=WEEK)) == dict.fromkeys((D, NEXT, AFTER), "bad_close")


class TestBadBars:
    def test_a_bad_bar_is_one_of_its_session_and_of_the_next_and_of_no_other(self) -> None:
        found = prepared(history(whole_week({D: story({30: BAD})})), WEEK)
        assert kinds(found) == {D: "bad_bar", NEXT: "bad_bar"}
        own, later = found.refused[D], found.refused[NEXT]
        assert own.message == "QQQ 2025-11-04 10:30: high 99.0 is below low 101.0"
        assert later.message == f"QQQ 2025-11-05 cannot be judged, it needs earlier data: {own.message}"
        assert (own.session, later.session) == (D, NEXT)
        assert (own.bar, own.field) == (later.bar, later.field) == ("10:30", "high")

    def test_it_matters_also_after_the_exit_slot(self) -> None:
        assert kinds(prepared(history(whole_week({D: story({194: BAD})})), [D])) == {D: "bad_bar"}

    def test_the_sessions_own_fault_is_named_before_the_one_of_the_session_before(self) -> None:
        found = prepared(history(whole_week({P: story({5: BAD}), D: story({9: BAD})})), [D])
        assert found.refused[D].bar == "09:48"

    def test_a_bad_bar_is_named_rather_than_what_is_short(self) -> None:
        short = {0: QUIET, 1: BAD}
        assert kinds(prepared(history(whole_week({D: short})), [D])) == {D: "bad_bar"}

    def test_the_rows_of_the_other_sessions_are_as_they_would_be(self) -> None:
        with_fault = rows(prepared(history(whole_week({D: story({30: BAD})})), WEEK))
        without = rows(prepared(history(whole_week()), WEEK))
        assert with_fault == {day: without[day] for day in (P, AFTER)}


class TestBadCloses:
    days = tuple(sessions_before(date(2025, 11, 7), 9))

    def refused(self, bad: list[tuple[date, float]], sma_period: int = 3) -> dict[date, CheckData]:
        """What is refused of nine sessions when these closes stand in place of the good ones of their days."""
        replaced = {day for day, _ in bad}
        closes = [*steady_closes(self.days[0], 100.0, 10), *((day, 100.0) for day in self.days)]
        known = history_of(
            dict.fromkeys(self.days, quiet()), closes=[pair for pair in closes if pair[0] not in replaced] + bad
        )
        return prepared(known, self.days, strategy=Dp20.with_parameters({"sma_period": sma_period})).refused

    @pytest.mark.parametrize(
        "wrong",
        [[NAN], [-1.0], [0.0], [99.0, 100.0], [99.0, 100.0, 101.0], [-1.0, 100.0], [100.0, NAN]],
    )
    def test_a_bad_close_harms_the_sessions_that_use_it_and_no_other(self, wrong: list[float]) -> None:
        refused = self.refused([(self.days[3], close) for close in wrong])
        assert list(refused) == [self.days[4], self.days[5], self.days[6]]
        assert {fault.kind for fault in refused.values()} == {"bad_close"}

    def test_the_sentence_names_the_close_and_the_session_that_needs_it(self) -> None:
        fault = self.refused([(self.days[3], -1.0)])[self.days[5]]
        assert (fault.session, fault.field) == (self.days[5], "close")
        assert fault.message == (
            f"QQQ {self.days[5]} cannot be judged, it needs earlier data: "
            f"QQQ {self.days[3]}: the daily close is -1.0, which is no price"
        )

    def test_of_two_bad_closes_the_older_is_named_while_it_is_used(self) -> None:
        refused = self.refused([(self.days[2], -1.0), (self.days[4], -2.0)])
        named = {day: "-1.0" if "-1.0" in fault.message else "-2.0" for day, fault in refused.items()}
        assert [named[day] for day in self.days[3:8]] == ["-1.0", "-1.0", "-1.0", "-2.0", "-2.0"]

    def test_its_own_days_close_is_not_used_by_a_session(self) -> None:
        assert self.days[8] not in self.refused([(self.days[8], -1.0)])


class TestSplits:
    """One share becomes two: raw prices halve, and the rows of the story do not change by it."""

    @staticmethod
    def times(factor: float, bars: Mapping[int, Ohlc]) -> dict[int, Ohlc]:
        return {slot: (o * factor, h * factor, low * factor, c * factor) for slot, (o, h, low, c) in bars.items()}

    def row(self, previous: Mapping[int, Ohlc], closes: list[tuple[date, float]], *splits: Split) -> JournalRow:
        return rows(prepared(history_of({P: previous, D: story()}, closes=closes, splits=splits), [D]))[D]

    @pytest.fixture
    def plain(self) -> JournalRow:
        return self.row(quiet(), steady_closes(D))

    @pytest.mark.parametrize(("old", "new"), [(1.0, 2.0), (1.0, 4.0), (8.0, 1.0)])
    def test_on_the_day_itself_all_that_is_past_is_divided(self, plain: JournalRow, old: float, new: float) -> None:
        factor = new / old
        closes = [(day, close * factor) for day, close in steady_closes(D)]
        assert self.row(self.times(factor, quiet()), closes, Split(D, old, new)) == plain

    def test_among_the_closes_only_the_older_ones_are_divided(self, plain: JournalRow) -> None:
        ex_date = date(2025, 6, 2)
        closes = [(day, close * 2 if day < ex_date else close) for day, close in steady_closes(D)]
        assert self.row(quiet(), closes, Split(ex_date, 1.0, 2.0)) == plain

    def test_a_split_on_p_leaves_p_and_divides_the_closes_before_it(self, plain: JournalRow) -> None:
        closes = [(day, close * 2 if day < P else close) for day, close in steady_closes(D)]
        assert self.row(quiet(), closes, Split(P, 1.0, 2.0)) == plain

    def test_a_split_after_the_session_is_not_known(self, plain: JournalRow) -> None:
        assert self.row(quiet(), steady_closes(D), Split(NEXT, 1.0, 2.0)) == plain

    def test_two_splits_divide_what_lies_before_both_by_their_product(self, plain: JournalRow) -> None:
        first = date(2025, 6, 2)
        closes = [(day, close * (8 if day < first else 2)) for day, close in steady_closes(D)]
        for splits in ((Split(D, 1.0, 2.0), Split(first, 1.0, 4.0)), (Split(first, 1.0, 4.0), Split(D, 1.0, 2.0))):
            assert self.row(self.times(2.0, quiet()), closes, *splits) == plain

    def test_each_session_of_a_range_is_in_its_own_terms(self) -> None:
        days = {P: self.times(2.0, quiet()), D: story(), NEXT: story(), AFTER: self.times(0.25, story())}
        closes = [(day, 180.0) for day, _ in steady_closes(D)] + [(D, 90.0), (NEXT, 90.0)]
        splits = (Split(AFTER, 1.0, 4.0), Split(D, 1.0, 2.0))
        found = prepared(history_of(days, closes=closes, splits=splits), [D, NEXT, AFTER])
        together = rows(found)
        assert [row.entry_price for row in together.values()] == [100.5, 100.5, 25.125]
        assert [row.sma200_daily_at_open for row in together.values()] == [90.0, 90.0, 22.5]
        for day, row in together.items():
            assert rows(prepared(history_of(days, closes=closes, splits=splits), [day]))[day] == row


def test_what_was_dropped_is_told_in_remarks() -> None:
    bars = timed(whole_week())
    closes = [*steady_closes(P, count=220), *steady_closes(P, count=3), (date(2025, 11, 2), 5.0)]
    known = History(symbol="QQQ", bars=bars_of([*bars, *bars[:2]]), daily=closes_of(closes))
    found = prepared(known, WEEK)
    assert found.remarks == (
        "QQQ: 3 sessions judged on older daily closes, that of the session before is not there",
        "QQQ: 2 exact repeats of bars dropped",
        "QQQ: 3 exact repeats of daily closes dropped",
        "QQQ: 1 daily closes left out because their date is no session",
    )


def test_closes_that_reach_to_the_session_before_leave_no_remark() -> None:
    assert prepared(history_of({P: quiet(), D: story()}, closes=steady_closes(D, count=210)), [D]).remarks == ()


def test_a_day_without_a_close_reaches_further_back_and_refuses_nobody() -> None:
    gap = sessions_before(D, 10)[0]
    closes = [pair for pair in steady_closes(D, count=201) if pair[0] != gap]
    assert rows(prepared(history_of({P: quiet(), D: story()}, closes=closes), [D]))[D].reason == "entered"
    one_less = closes[1:]
    found = rows(prepared(history_of({P: quiet(), D: story()}, closes=one_less), [D]))[D]
    assert found.notes == "insufficient_history: 199 earlier daily closes, 200 needed, 1 short"
