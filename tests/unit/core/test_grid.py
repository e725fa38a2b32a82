"""Checked bars on the grid: one place for each slot of each session, NaN where no bar is."""

from __future__ import annotations

import random
from datetime import date, timedelta

import numpy as np
import pytest

from tests.support.stories import QUIET, Ohlc, bars_of, laid_out, quiet, timed, with_volume
from trading_playbook.core.bars import COLUMNS
from trading_playbook.core.grid import SessionGrid

P, D, NEXT = date(2025, 11, 3), date(2025, 11, 4), date(2025, 11, 5)
EARLY_CLOSE = date(2025, 11, 28)
NAN = float("nan")


def bar_at(grid: SessionGrid, slot: int, row: int = 0) -> tuple[float, ...]:
    return tuple(float(getattr(grid, name)[slot, row]) for name in COLUMNS)


def same(one: SessionGrid, other: SessionGrid) -> bool:
    return one.session_slots.tolist() == other.session_slots.tolist() and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in COLUMNS
    )


def numbered(row: int, slots: int = 195) -> dict[int, Ohlc]:
    """Bars that tell by their open to which row and slot they belong."""
    return {slot: (1000.0 * row + slot + 1, 9999.0, 0.5, 1.0) for slot in range(slots)}


class TestLayOut:
    def test_each_bar_lies_in_the_slot_that_its_opening_time_names(self) -> None:
        grid = laid_out(bars_of(timed({D: {0: QUIET, 16: (100.0, 101.0, 99.0, 100.5), 194: QUIET}})), [D]).grid
        assert (grid.bar_minutes, grid.slots, grid.rows) == (2, 195, 1)
        assert bar_at(grid, 16) == (100.0, 101.0, 99.0, 100.5, 100.0)
        assert np.flatnonzero(~np.isnan(grid.close[:, 0])).tolist() == [0, 16, 194]

    def test_a_session_opens_at_half_past_nine_in_new_york_in_summer_and_in_winter(self) -> None:
        days = [date(2025, 3, 7), date(2025, 3, 10), date(2025, 10, 31), P]
        grid = laid_out(bars_of(timed({day: numbered(row) for row, day in enumerate(days)})), days).grid
        assert [bar_at(grid, 0, row)[0] for row in range(4)] == [1.0, 1001.0, 2001.0, 3001.0]

    def test_order_does_not_matter(self) -> None:
        rows = timed({P: numbered(0), D: numbered(1), NEXT: numbered(2)})
        mixed = random.Random(1).sample(rows, len(rows))
        days = [P, D, NEXT]
        assert same(laid_out(bars_of(mixed), days).grid, laid_out(bars_of(rows), days).grid)

    def test_exact_repeats_are_dropped_and_counted_where_they_lie_in_the_sessions(self) -> None:
        rows = timed({P: numbered(0), D: numbered(1)})
        before_the_bell = (rows[-195][0] - timedelta(minutes=30), *QUIET)
        bars = bars_of([*rows, *rows[195:200], rows[195], *[before_the_bell] * 3])
        laid = laid_out(bars, [D])
        assert laid.repeats == 6
        assert same(laid.grid, laid_out(bars_of(rows), [D]).grid)
        assert dict(laid.faults) == {}

    def test_bars_of_other_sessions_and_out_of_hours_are_left_aside(self) -> None:
        rows = timed({P: numbered(0), D: numbered(1), NEXT: numbered(2)})
        around = [(rows[195][0] + timedelta(minutes=away), *QUIET) for away in (-2, 390, 392)]
        grid = laid_out(bars_of([*rows, *around]), [P, NEXT]).grid
        assert same(grid, laid_out(bars_of(timed({P: numbered(0), NEXT: numbered(2)})), [P, NEXT]).grid)
        alone = laid_out(bars_of([*rows, *around]), [D]).grid
        assert np.sum(~np.isnan(alone.close)) == 195

    def test_an_early_close_ends_at_slot_105(self) -> None:
        days = [date(2025, 11, 26), EARLY_CLOSE]
        grid = laid_out(bars_of(timed({days[0]: quiet(), EARLY_CLOSE: quiet(120)})), days).grid
        assert grid.session_slots.tolist() == [195, 105]
        assert grid.slots == 195
        assert np.flatnonzero(np.isnan(grid.close[:, 1])).tolist() == list(range(105, 195))
        assert laid_out(bars_of(timed({EARLY_CLOSE: quiet(120)})), [EARLY_CLOSE]).grid.slots == 105

    def test_a_session_without_bars_is_a_row_of_nan(self) -> None:
        grid = laid_out(bars_of(timed({P: quiet(), NEXT: quiet()})), [P, D, NEXT]).grid
        assert np.isnan(grid.open).all(axis=0).tolist() == [False, True, False]
        assert np.isnan(laid_out(bars_of([]), [D]).grid.close).all()

    def test_bars_that_do_not_divide_the_slot_are_a_bug_of_the_caller(self) -> None:
        with pytest.raises(ValueError, match="bars of 2 minutes cannot make bars of 3"):
            laid_out(bars_of(timed({D: quiet()})), [D], bar_minutes=3)


class TestResampling:
    """A 2-minute bar exists where one of its minutes does: first open, last close, extremes, the sum of the volumes."""

    def test_one_to_two_minutes(self) -> None:
        minutes = {
            30: (100.0, 101.0, 99.0, 100.5),
            31: (100.5, 103.0, 100.0, 102.0),
            32: (102.0, 104.0, 98.0, 99.0),
            35: (97.0, 98.0, 96.0, 97.5),
        }
        bars = with_volume(bars_of(timed({D: minutes}, 1), minutes=1), [10.0, 20.0, 40.0, 80.0])
        grid = laid_out(bars, [D]).grid
        assert (grid.bar_minutes, grid.slots, grid.session_slots.tolist()) == (2, 195, [195])
        assert bar_at(grid, 15) == (100.0, 103.0, 99.0, 102.0, 30.0)
        assert bar_at(grid, 16) == (102.0, 104.0, 98.0, 99.0, 40.0)
        assert bar_at(grid, 17) == (97.0, 98.0, 96.0, 97.5, 80.0)
        assert np.flatnonzero(~np.isnan(grid.open[:, 0])).tolist() == [15, 16, 17]

    def test_the_high_and_the_low_may_come_from_either_minute(self) -> None:
        down = {0: (100.0, 105.0, 99.0, 99.5), 1: (99.5, 100.0, 95.0, 96.0)}
        grid = laid_out(bars_of(timed({D: down}, 1), minutes=1), [D]).grid
        assert bar_at(grid, 0)[:4] == (100.0, 105.0, 95.0, 96.0)

    def test_it_is_the_same_as_a_loop_over_the_minutes(self) -> None:
        dice = random.Random(7)
        minutes: dict[int, Ohlc] = {}
        for minute in range(390):
            low, *inside, high = sorted(dice.uniform(90, 110) for _ in range(4))
            if dice.random() < 0.7:
                minutes[minute] = (inside[0], high, low, inside[1])
        expected: dict[int, Ohlc] = {}
        for minute, (opened, high, low, close) in minutes.items():
            before = expected.get(minute // 2, (opened, high, low, close))
            expected[minute // 2] = (before[0], max(before[1], high), min(before[2], low), close)
        one, two = bars_of(timed({D: minutes}, 1), minutes=1), bars_of(timed({D: expected}))
        grids = laid_out(one, [D]).grid, laid_out(two, [D]).grid
        for name in ("open", "high", "low", "close"):
            assert np.array_equal(getattr(grids[0], name), getattr(grids[1], name), equal_nan=True)

    def test_an_unknown_volume_makes_the_sum_unknown_and_nothing_else(self) -> None:
        bars = with_volume(bars_of(timed({D: {0: QUIET, 1: QUIET}}, 1), minutes=1), [10.0, NAN])
        grid = laid_out(bars, [D]).grid
        assert np.isnan(grid.volume[0, 0])
        assert bar_at(grid, 0)[:4] == QUIET

    def test_an_early_close_has_105_slots_of_two_minutes_from_one_minute_bars(self) -> None:
        grid = laid_out(bars_of(timed({EARLY_CLOSE: quiet(240)}, 1), minutes=1), [EARLY_CLOSE]).grid
        assert (grid.slots, grid.session_slots.tolist()) == (105, [105])
        assert not np.isnan(grid.close).any()


class TestSessionGrid:
    days = (P, D, NEXT)

    @pytest.fixture
    def grid(self) -> SessionGrid:
        return laid_out(bars_of(timed({day: numbered(row) for row, day in enumerate(self.days)})), self.days).grid

    @pytest.fixture
    def short(self) -> SessionGrid:
        return laid_out(bars_of(timed({EARLY_CLOSE: numbered(7, 105)})), [EARLY_CLOSE]).grid

    def test_side_by_side_is_as_tall_as_the_tallest_and_keeps_the_rows_in_order(
        self, grid: SessionGrid, short: SessionGrid
    ) -> None:
        both = SessionGrid.side_by_side([short, grid])
        assert (both.slots, both.rows, both.session_slots.tolist()) == (195, 4, [105, 195, 195, 195])
        assert [bar_at(both, 0, row)[0] for row in range(4)] == [7001.0, 1.0, 1001.0, 2001.0]
        assert np.isnan(both.close[105:, 0]).all()
        assert SessionGrid.side_by_side([grid]) is grid

    @pytest.mark.parametrize("rows", [[2, 0, 1], [1, 1, 1], [0, 1, 2], [1, 2], [2, 1], [1], []])
    def test_take_gives_these_rows_in_this_order(self, grid: SessionGrid, rows: list[int]) -> None:
        taken = grid.take(np.array(rows, dtype=np.int64))
        assert (taken.slots, taken.rows) == (195, len(rows))
        assert taken.open[3].tolist() == [1000.0 * row + 4 for row in rows]
        assert taken.session_slots.tolist() == [195] * len(rows)

    def test_taken_rows_put_side_by_side_again_are_the_grid(self, grid: SessionGrid) -> None:
        parts = [grid.take(np.array([row])) for row in range(3)]
        assert same(SessionGrid.side_by_side(parts), grid)

    def test_of_height_adds_empty_slots_and_no_length_to_a_session(self, short: SessionGrid) -> None:
        taller = short.of_height(195)
        assert (taller.slots, taller.session_slots.tolist()) == (195, [105])
        assert np.isnan(taller.open[105:]).all()
        assert same(taller.of_height(195), taller)

    def test_divided_by_divides_prices_and_multiplies_shares_row_by_row(self, grid: SessionGrid) -> None:
        divided = grid.divided_by(np.array([1.0, 4.0, 0.1]))
        assert bar_at(divided, 3, 0) == bar_at(grid, 3, 0)
        assert bar_at(divided, 3, 1) == (1004.0 / 4, 9999.0 / 4, 0.125, 0.25, 400.0)
        assert bar_at(divided, 3, 2) == (2004.0 / 0.1, 9999.0 / 0.1, 5.0, 10.0, 10.0)
        assert same(grid.divided_by(np.ones(3)), grid)

    def test_what_is_made_of_a_grid_leaves_it_as_it_was(self, grid: SessionGrid) -> None:
        before = grid.open.copy()
        grid.divided_by(np.array([2.0, 2.0, 2.0]))
        grid.of_height(300)
        SessionGrid.side_by_side([grid, grid])
        assert np.array_equal(grid.open, before)
