"""Daily closes and splits: what is dropped, what is refused, and past prices in a later session's terms."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

import numpy as np
import pytest

from tests.support.stories import CALENDAR, closes_of, sessions_before
from trading_playbook.core.daily import (
    CheckedCloses,
    Split,
    check_closes,
    closes_before,
    day_number,
    day_of,
    price_factors,
)
from trading_playbook.core.schedule import are_sessions

D = date(2025, 11, 4)
MON, TUE, WED, THU, FRI = (date(2025, 11, day) for day in (3, 4, 5, 6, 7))
SUNDAY, HOLIDAY = date(2025, 11, 2), date(2025, 11, 27)


def checked(pairs: Sequence[tuple[date, float]]) -> CheckedCloses:
    return check_closes(closes_of(pairs), partial(are_sessions, CALENDAR))


def told(found: CheckedCloses) -> list[tuple[date, float]]:
    return [(day_of(day), close) for day, close in zip(found.days.tolist(), found.closes.tolist(), strict=True)]


@pytest.mark.parametrize("day", [date(1970, 1, 1), date(1969, 12, 31), date(1990, 1, 2), date(2028, 2, 29)])
def test_day_numbers_count_from_1970_and_lead_back(day: date) -> None:
    assert day_of(day_number(day)) == day
    assert day_number(day) == (day - date(1970, 1, 1)).days


class TestCheckCloses:
    def test_good_closes_are_sorted_by_day(self) -> None:
        pairs = [(WED, 3.0), (MON, 1.0), (TUE, 2.0)]
        found = checked(pairs)
        assert told(found) == sorted(pairs)
        assert (dict(found.faults), found.repeats, found.off_session) == ({}, 0, 0)

    def test_exact_repeats_are_dropped_and_counted(self) -> None:
        found = checked([(MON, 1.0), (TUE, 2.0), (MON, 1.0), (MON, 1.0)])
        assert told(found) == [(MON, 1.0), (TUE, 2.0)]
        assert found.repeats == 2

    def test_days_without_a_session_are_left_out_and_counted_whatever_they_hold(self) -> None:
        found = checked([(SUNDAY, 5000.0), (MON, 1.0), (HOLIDAY, math.nan), (SUNDAY, 1.0), (date(1985, 1, 2), 1.0)])
        assert told(found) == [(MON, 1.0)]
        assert (dict(found.faults), found.off_session) == ({}, 4)

    @pytest.mark.parametrize(
        ("close", "sentence"),
        [
            (math.nan, "QQQ 2025-11-04: the daily close is missing"),
            (math.inf, "QQQ 2025-11-04: the daily close is inf, which is no price"),
            (0.0, "QQQ 2025-11-04: the daily close is 0.0, which is no price"),
            (-1.5, "QQQ 2025-11-04: the daily close is -1.5, which is no price"),
        ],
    )
    def test_an_impossible_close_is_named(self, close: float, sentence: str) -> None:
        found = checked([(MON, 1.0), (TUE, close), (WED, 3.0)])
        (fault,) = found.faults.values()
        assert list(found.faults) == [1]
        assert fault.message == sentence
        assert (fault.kind, fault.symbol, fault.session, fault.field) == ("bad_close", "QQQ", TUE, "close")

    def test_two_closes_of_a_day_that_disagree_are_named_with_both_values(self) -> None:
        for pairs in ([(TUE, 2.0), (TUE, 2.5)], [(TUE, 2.5), (TUE, 2.0), (TUE, 2.5)]):
            found = checked([(MON, 1.0), *pairs, (WED, 3.0)])
            (fault,) = found.faults.values()
            assert fault.message == "QQQ 2025-11-04: two daily closes of that date disagree, 2.0 and 2.5"
            assert (fault.kind, fault.session, fault.field) == ("bad_close", TUE, "close")

    def test_a_close_that_is_missing_twice_is_one_fault(self) -> None:
        found = checked([(TUE, math.nan), (TUE, math.nan)])
        assert (len(found.faults), found.repeats) == (1, 1)

    def test_no_closes_are_no_trouble(self) -> None:
        assert told(checked([])) == []
        assert told(checked([(SUNDAY, 1.0)])) == []

    def test_order_does_not_matter(self) -> None:
        pairs = [(day, float(place)) for place, day in enumerate(sessions_before(D, 30), start=1)]
        pairs += [pairs[3], (SUNDAY, 1.0), (pairs[5][0], 9.0)]
        expected = checked(pairs)
        for seed in range(5):
            found = checked(random.Random(seed).sample(pairs, len(pairs)))
            assert told(found) == told(expected)
            assert [str(fault) for fault in found.faults.values()] == [str(fault) for fault in expected.faults.values()]


class TestClosesBefore:
    def before(self, pairs: Sequence[tuple[date, float]], days: Sequence[date], count: int) -> list[list[float | None]]:
        """The closes before each day, None where there is none."""
        found, numbers, _ = closes_before(checked(pairs), np.array([day_number(day) for day in days]), count)
        assert found.shape == numbers.shape == (count, len(days))
        assert np.array_equal(np.isnan(found), numbers == 0)
        return [[None if np.isnan(close) else float(close) for close in row] for row in found.T]

    def test_they_are_the_last_ones_oldest_first_without_the_session_itself(self) -> None:
        pairs = [(MON, 1.0), (TUE, 2.0), (WED, 3.0), (THU, 4.0)]
        assert self.before(pairs, [MON, TUE, THU, FRI], 2) == [[None, None], [None, 1.0], [2.0, 3.0], [3.0, 4.0]]

    def test_a_day_without_a_close_is_stepped_over(self) -> None:
        assert self.before([(MON, 1.0), (WED, 3.0)], [WED, THU], 2) == [[None, 1.0], [1.0, 3.0]]

    def test_where_there_are_none_at_all_every_place_is_empty(self) -> None:
        assert self.before([], [TUE], 3) == [[None, None, None]]


class TestPriceFactors:
    """What P's prices of one day are divided by for a session D of another."""

    def factor(self, splits: Sequence[Split], past: date = MON, session: date = WED) -> float:
        found = price_factors(splits, np.array([day_number(past)]), np.array([day_number(session)]))
        return float(found[0])

    @pytest.mark.parametrize(
        ("ex_date", "factor"),
        [
            (MON - timedelta(days=3), 1.0),
            (MON, 1.0),
            (TUE, 4.0),
            (WED, 4.0),
            (THU, 1.0),
        ],
    )
    def test_a_split_counts_after_the_past_day_and_not_after_the_session(self, ex_date: date, factor: float) -> None:
        assert self.factor([Split(ex_date, 1.0, 4.0)]) == factor

    def test_a_split_on_a_closed_day_between_them_counts(self) -> None:
        assert self.factor([Split(SUNDAY, 1.0, 2.0)], past=date(2025, 10, 31), session=MON) == 2.0

    def test_a_reverse_split_makes_past_prices_larger(self) -> None:
        assert self.factor([Split(TUE, 10.0, 1.0)]) == 0.1

    def test_two_splits_are_multiplied_oldest_first_in_whatever_order_they_come(self) -> None:
        older, newer = Split(TUE, 3.0, 7.0), Split(WED, 11.0, 1.0)
        expected = 1.0 * (7.0 / 3.0) * (1.0 / 11.0)
        assert self.factor([older, newer]) == self.factor([newer, older]) == expected

    def test_three_splits_go_in_the_order_of_their_dates_to_the_last_bit(self) -> None:
        splits = [Split(TUE, 2.0, 3.0), Split(WED, 10.0, 1.0), Split(THU, 3.0, 7.0)]
        in_order = 1.0 * (3.0 / 2.0) * (1.0 / 10.0) * (7.0 / 3.0)
        assert in_order != 1.0 * (7.0 / 3.0) * (1.0 / 10.0) * (3.0 / 2.0)
        for order in (splits, splits[::-1], [splits[1], splits[2], splits[0]]):
            assert self.factor(order, session=FRI) == in_order

    def test_closes_on_both_sides_of_a_split_have_each_their_own_factor(self) -> None:
        past = np.array([[day_number(MON), day_number(MON)], [day_number(TUE), day_number(TUE)]])
        sessions = np.array([day_number(TUE), day_number(THU)])
        found = price_factors([Split(WED, 1.0, 2.0), Split(TUE, 1.0, 3.0)], past, sessions)
        assert found.tolist() == [[3.0, 6.0], [1.0, 2.0]]

    def test_without_a_split_every_factor_is_one(self) -> None:
        assert (
            price_factors([], np.zeros((2, 3), dtype=np.int64), np.zeros(3, dtype=np.int64)).tolist() == [[1.0] * 3] * 2
        )
