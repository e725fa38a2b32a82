"""Every regular-hours bar is checked as the feed gave it, and a bad one is named with bar and field."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import permutations

import numpy as np
import pytest

from tests.support.stories import QUIET, Ohlc, Timed, bars_of, laid_out, quiet, timed, with_volume
from trading_playbook.core.bars import Bars, sorted_and_distinct
from trading_playbook.core.errors import CheckData

P, D, NEXT = date(2025, 11, 3), date(2025, 11, 4), date(2025, 11, 5)
NAN, INF = math.nan, math.inf


def faults(rows: list[Timed], minutes: int = 2, days: tuple[date, ...] = (D,)) -> dict[date, CheckData]:
    laid = laid_out(bars_of(rows, minutes=minutes), days)
    return {days[row]: fault for row, fault in laid.faults.items()}


def session_with(bar: Ohlc, slot: int = 16) -> list[Timed]:
    return timed({D: {**quiet(), slot: bar}})


def test_good_bars_have_no_fault() -> None:
    at_the_edges: dict[int, Ohlc] = {
        0: (99.5, 100.5, 99.5, 100.5),
        1: (100.5, 100.5, 99.5, 99.5),
        2: (1.0, 1.0, 1.0, 1.0),
        3: (5e-324, 1e12, 5e-324, 1e12),
    }
    assert faults(timed({D: {**quiet(), **at_the_edges}})) == {}


@pytest.mark.parametrize(
    ("bar", "field", "told"),
    [
        ((NAN, 100.5, 99.5, 100.0), "open", "open is missing"),
        ((100.0, NAN, 99.5, 100.0), "high", "high is missing"),
        ((100.0, 100.5, NAN, 100.0), "low", "low is missing"),
        ((100.0, 100.5, 99.5, NAN), "close", "close is missing"),
        ((NAN, NAN, NAN, NAN), "open", "open is missing"),
        ((INF, INF, 99.5, 100.0), "open", "open is inf, which is no price"),
        ((100.0, INF, 99.5, 100.0), "high", "high is inf, which is no price"),
        ((100.0, 100.5, -INF, 100.0), "low", "low is -inf, which is no price"),
        ((100.0, 100.5, 0.0, 100.0), "low", "low is 0.0, which is no price"),
        ((-1.0, 100.5, -1.0, 100.0), "open", "open is -1.0, which is no price"),
        ((100.0, 100.5, 99.5, -0.0), "close", "close is -0.0, which is no price"),
        ((100.0, 99.0, 101.0, 100.0), "high", "high 99.0 is below low 101.0"),
        ((100.51, 100.5, 99.5, 100.0), "open", "open 100.51 lies outside low 99.5 to high 100.5"),
        ((99.49, 100.5, 99.5, 100.0), "open", "open 99.49 lies outside low 99.5 to high 100.5"),
        ((100.0, 100.5, 99.5, 100.51), "close", "close 100.51 lies outside low 99.5 to high 100.5"),
        ((100.0, 100.5, 99.5, 99.49), "close", "close 99.49 lies outside low 99.5 to high 100.5"),
    ],
)
def test_an_impossible_bar_is_named_with_its_time_and_field(bar: Ohlc, field: str, told: str) -> None:
    fault = faults(session_with(bar))[D]
    assert fault.message == f"QQQ 2025-11-04 10:02: {told}"
    assert (fault.kind, fault.symbol, fault.session) == ("bad_bar", "QQQ", D)
    assert (fault.bar, fault.field) == ("10:02", field)


def test_a_bar_after_the_exit_slot_is_checked_too() -> None:
    assert faults(session_with((100.0, 100.5, 99.5, NAN), slot=194))[D].bar == "15:58"


def test_a_bad_minute_is_found_though_its_neighbour_would_hide_it() -> None:
    bars = timed({D: {0: (100.0, 110.0, 90.0, 100.0), 1: (100.0, 99.0, 101.0, 100.0)}}, minutes=1)
    assert (faults(bars, minutes=1)[D].bar, faults(bars, minutes=1)[D].field) == ("09:31", "high")


@pytest.mark.parametrize(
    ("minutes", "away", "label"),
    [
        (1, timedelta(seconds=30), "10:00:30"),
        (2, timedelta(minutes=1), "10:01"),
        (2, timedelta(microseconds=250_000), "10:00:0.25"),
    ],
)
def test_a_time_on_no_border_of_its_timeframe_is_a_bad_bar(minutes: int, away: timedelta, label: str) -> None:
    rows = timed({D: quiet(15)})
    moment = rows[0][0] + timedelta(minutes=30)
    fault = faults([*rows, (moment + away, *QUIET)], minutes=minutes)[D]
    assert (fault.bar, fault.field) == (label, "timestamp")
    assert fault.message == f"QQQ 2025-11-04 {label}: its time is on no border of {minutes} minutes"


@pytest.mark.parametrize(
    ("other", "field", "told"),
    [
        ((100.25, 100.5, 99.5, 100.0), "open", "open is 100.0 and 100.25"),
        ((100.0, 100.75, 99.5, 100.0), "high", "high is 100.5 and 100.75"),
        ((100.0, 100.5, 99.25, 100.0), "low", "low is 99.25 and 99.5"),
        ((100.0, 100.5, 99.5, 100.25), "close", "close is 100.0 and 100.25"),
    ],
)
def test_two_bars_of_one_time_that_disagree_are_named_with_both_values(other: Ohlc, field: str, told: str) -> None:
    rows = session_with(QUIET)
    for order in ([*rows, (rows[16][0], *other)], [(rows[16][0], *other), *rows]):
        fault = faults(order)[D]
        assert fault.message == f"QQQ 2025-11-04 10:02: two bars of that time disagree, {told}"
        assert (fault.bar, fault.field) == ("10:02", field)


def test_two_bars_that_differ_in_their_shares_alone_disagree_too() -> None:
    rows = timed({D: {0: QUIET}}) * 2
    bars = with_volume(bars_of(rows), [100.0, 101.0])
    assert laid_out(bars, [D]).faults[0].field == "volume"


def test_of_several_bad_bars_the_first_in_time_is_named_whatever_the_order() -> None:
    bad = (100.0, 99.0, 101.0, 100.0)
    rows = timed({D: {**quiet(), 20: bad, 30: (NAN,) * 4}})
    assert faults(rows)[D].bar == faults(rows[::-1])[D].bar == "10:10"


def test_each_session_has_its_own_fault_and_the_others_have_none() -> None:
    bad = (100.0, 99.0, 101.0, 100.0)
    rows = timed({P: {**quiet(), 3: bad}, D: quiet(), NEXT: {**quiet(), 5: bad}})
    found = faults(rows, days=(P, D, NEXT))
    assert {day: fault.bar for day, fault in found.items()} == {P: "09:36", NEXT: "09:40"}


def test_bars_out_of_regular_hours_are_not_looked_at() -> None:
    opened = timed({D: {0: QUIET}})[0][0]
    nonsense = (NAN, -1.0, INF, 0.0)
    out_of_hours = [
        (opened - timedelta(minutes=2), *nonsense),
        (opened + timedelta(minutes=390), *nonsense),
        (opened + timedelta(hours=-5, seconds=17), *nonsense),
        (opened + timedelta(days=4), *nonsense),
    ]
    assert faults([*timed({D: quiet()}), *out_of_hours, *out_of_hours]) == {}


def test_bars_after_an_early_close_are_not_looked_at() -> None:
    friday = date(2025, 11, 28)
    rows = timed({friday: {**quiet(105), 105: (NAN,) * 4}})
    assert faults(rows, days=(friday,)) == {}


class TestSortedAndDistinct:
    def test_bars_in_order_are_left_as_they_are(self) -> None:
        bars = bars_of(timed({D: quiet(5)}))
        assert sorted_and_distinct(bars)[0] is bars

    def test_every_order_comes_to_the_same_bars(self) -> None:
        rows = timed({D: {slot: (100.0 + slot, 101.0 + slot, 99.0, 100.0) for slot in range(4)}})
        for order in permutations(rows):
            found, repeats = sorted_and_distinct(bars_of(order))
            assert found.open.tolist() == [100.0, 101.0, 102.0, 103.0]
            assert len(repeats) == 0

    def test_exact_repeats_are_dropped_and_told_also_with_another_bar_of_their_time_between_them(self) -> None:
        first, second = timed({D: {0: QUIET, 1: QUIET}})
        other = (first[0], 100.0, 100.5, 99.5, 100.25)
        found, repeats = sorted_and_distinct(bars_of([first, other, second, first, first]))
        assert found.close.tolist() == [100.0, 100.25, 100.0]
        assert repeats.tolist() == [found.opened[0]] * 2

    def test_what_is_missing_in_both_is_no_difference(self) -> None:
        rows = timed({D: {0: QUIET}}) * 2
        found, repeats = sorted_and_distinct(with_volume(bars_of(rows), [NAN, NAN]))
        assert (len(found.opened), len(repeats)) == (1, 1)

    def test_no_bars_are_no_trouble(self) -> None:
        assert len(sorted_and_distinct(bars_of([]))[0].opened) == 0


def test_columns_of_several_lengths_are_a_bug_of_the_caller() -> None:
    good = bars_of(timed({D: quiet(3)}))
    columns = {name: getattr(good, name) for name in ("opened", "open", "high", "low", "close", "volume")}
    for broken in ({"volume": np.ones(2)}, {"open": np.ones((3, 1))}):
        with pytest.raises(ValueError, match="one length"):
            Bars(symbol="QQQ", minutes=2, **{**columns, **broken})
