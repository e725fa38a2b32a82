"""What becomes of an entry: stops, the exit slot, the last bar, and how far price went for and against it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.stories import Ohlc
from trading_playbook.core.grid import SessionGrid
from trading_playbook.core.simulation import EXIT_REASONS, Fills, simulate_long

ENTRY_SLOT, EXIT_SLOT, SLOTS = 2, 8, 10
ENTRY, STOP = 100.0, 98.0
CALM: Ohlc = (100.0, 101.0, 99.0, 100.5)


@dataclass(frozen=True, slots=True)
class Told:
    """One entry's end."""

    slot: int
    price: float
    reason: str
    known: int
    mae: float
    mfe: float


def grid_of(rows: list[Mapping[int, Ohlc]], slots: int = SLOTS) -> SessionGrid:
    columns = {name: np.full((slots, len(rows)), np.nan) for name in ("open", "high", "low", "close", "volume")}
    for row, bars in enumerate(rows):
        for slot, bar in bars.items():
            for name, price in zip(("open", "high", "low", "close"), bar, strict=True):
                columns[name][slot, row] = price
    return SessionGrid(bar_minutes=2, session_slots=np.full(len(rows), slots), **columns)


def told(fills: Fills) -> list[Told]:
    return [
        Told(slot, price, EXIT_REASONS[reason], known, mae, mfe)
        for slot, price, reason, known, mae, mfe in zip(
            fills.exit_slot.tolist(),
            fills.exit_price.tolist(),
            fills.exit_reason.tolist(),
            fills.exit_known.tolist(),
            fills.mae.tolist(),
            fills.mfe.tolist(),
            strict=True,
        )
    ]


def hold(changes: Mapping[int, Ohlc | None] | None = None, stop: float = STOP, entry: float = ENTRY) -> Told:
    """What becomes of an entry in a calm session with some bars changed, or taken out where None."""
    bars = {**dict.fromkeys(range(SLOTS), CALM), **(changes or {})}
    fills = simulate_long(
        grid_of([{slot: bar for slot, bar in bars.items() if bar is not None}]),
        rows=np.array([0]),
        entry_slot=np.array([ENTRY_SLOT]),
        entry_price=np.array([entry]),
        stop_price=np.array([stop]),
        exit_slot=np.array([EXIT_SLOT]),
    )
    return told(fills)[0]


class TestTime:
    def test_an_entry_that_is_never_stopped_is_given_up_at_the_close_of_the_exit_slot(self) -> None:
        assert hold({EXIT_SLOT: (100.0, 101.0, 99.0, 100.75)}) == Told(8, 100.75, "time", 8, 1.0, 1.0)

    def test_nothing_after_the_exit_slot_is_looked_at(self) -> None:
        assert hold({EXIT_SLOT + 1: (1.0, 500.0, 1.0, 400.0)}) == hold()

    def test_nothing_before_the_entry_is_looked_at(self) -> None:
        assert hold({ENTRY_SLOT - 1: (1.0, 500.0, 1.0, 400.0)}) == hold()


class TestStop:
    def test_a_bar_that_reaches_the_stop_fills_at_it(self) -> None:
        assert hold({5: (99.0, 99.5, 97.0, 97.5)}) == Told(5, 98.0, "stop", 5, 2.0, 1.0)

    def test_a_low_that_equals_the_stop_reaches_it_and_a_hair_above_does_not(self) -> None:
        assert hold({5: (99.0, 99.5, STOP, 99.0)}).reason == "stop"
        above = math.nextafter(STOP, 99.0)
        assert hold({5: (99.0, 99.5, above, 99.0)}) == Told(8, 100.5, "time", 8, ENTRY - above, 1.0)

    def test_a_bar_that_opens_below_the_stop_fills_at_its_open(self) -> None:
        assert hold({5: (96.0, 97.0, 95.0, 96.5)}) == Told(5, 96.0, "stop", 5, 4.0, 1.0)

    def test_the_stop_comes_first_in_a_bar_that_could_have_done_both(self) -> None:
        assert hold({EXIT_SLOT: (100.0, 110.0, 97.0, 109.0)}) == Told(8, 98.0, "stop", 8, 2.0, 10.0)

    def test_the_entry_bar_can_stop(self) -> None:
        assert hold({ENTRY_SLOT: (100.0, 103.0, 97.0, 102.0)}) == Told(2, 98.0, "stop", 2, 2.0, 3.0)

    def test_the_first_of_two_bars_that_reach_it_decides(self) -> None:
        assert hold({4: (99.0, 99.5, 97.9, 99.0), 6: (90.0, 91.0, 89.0, 90.0)}) == Told(4, 98.0, "stop", 4, 2.0, 1.0)

    def test_on_the_stop_bar_the_adverse_excursion_ends_at_the_fill_and_the_favourable_takes_the_high(self) -> None:
        assert hold({5: (99.0, 104.0, 90.0, 91.0)}) == Told(5, 98.0, "stop", 5, 2.0, 4.0)


class TestLastBar:
    def test_without_a_bar_in_the_exit_slot_the_last_one_before_it_is_taken(self) -> None:
        found = hold({EXIT_SLOT: None, EXIT_SLOT - 1: None, 6: (100.0, 101.0, 99.0, 99.25)})
        assert found == Told(6, 99.25, "last_bar", 8, 1.0, 1.0)

    def test_it_is_known_only_when_the_exit_slot_has_ended(self) -> None:
        assert hold({EXIT_SLOT: None}).known == EXIT_SLOT

    def test_it_may_be_the_entry_bar(self) -> None:
        assert hold(dict.fromkeys(range(3, SLOTS))) == Told(2, 100.5, "last_bar", 8, 1.0, 1.0)

    def test_a_bar_after_the_exit_slot_does_not_take_its_place(self) -> None:
        assert hold({EXIT_SLOT: None, EXIT_SLOT + 1: (90.0, 91.0, 89.0, 90.0)}).slot == EXIT_SLOT - 1


class TestExcursions:
    def test_they_run_from_the_entry_bar_to_the_exit_bar_with_both_in(self) -> None:
        far = {ENTRY_SLOT: (100.0, 105.0, 99.5, 100.0), EXIT_SLOT: (100.0, 101.0, 98.25, 100.0)}
        assert (hold(far).mae, hold(far).mfe) == (1.75, 5.0)

    def test_they_are_never_negative(self) -> None:
        only_up = dict.fromkeys(range(SLOTS), (101.0, 102.0, 100.5, 101.0))
        assert (hold(only_up).mae, hold(only_up).mfe) == (0.0, 2.0)
        only_down = dict.fromkeys(range(SLOTS), (99.0, 99.5, 98.5, 99.0))
        assert (hold(only_down).mae, hold(only_down).mfe) == (1.5, 0.0)


def test_while_no_bar_of_it_is_whole_there_is_no_exit() -> None:
    grid = grid_of([dict.fromkeys(range(ENTRY_SLOT), CALM)])
    grid.open[ENTRY_SLOT, 0] = ENTRY
    fills = simulate_long(
        grid,
        rows=np.array([0]),
        entry_slot=np.array([ENTRY_SLOT]),
        entry_price=np.array([ENTRY]),
        stop_price=np.array([STOP]),
        exit_slot=np.array([EXIT_SLOT]),
    )
    assert fills.exit_slot.tolist() == [-1]
    assert np.isnan(fills.exit_price).all()


@pytest.mark.parametrize("seed", range(3))
def test_many_entries_at_once_end_as_each_would_alone(seed: int) -> None:
    dice = random.Random(seed)
    sessions: list[Mapping[int, Ohlc]] = []
    for _ in range(40):
        bars: dict[int, Ohlc] = {}
        for slot in range(SLOTS):
            low, first, second, high = sorted(dice.uniform(96, 104) for _ in range(4))
            if slot == ENTRY_SLOT or dice.random() < 0.8:
                bars[slot] = (first, high, low, second)
        sessions.append(bars)
    grid, rows = grid_of(sessions), np.array(dice.sample(range(40), 25))
    entry_price = grid.open[ENTRY_SLOT, rows]
    stop_price, exit_slot = entry_price - np.linspace(0.5, 5, 25), np.array([dice.randint(3, 9) for _ in range(25)])

    def simulate(entries: slice) -> list[Told]:
        return told(
            simulate_long(
                grid,
                rows=rows[entries],
                entry_slot=np.full(25, ENTRY_SLOT)[entries],
                entry_price=entry_price[entries],
                stop_price=stop_price[entries],
                exit_slot=exit_slot[entries],
            )
        )

    together = simulate(slice(None))
    assert together == [simulate(slice(entry, entry + 1))[0] for entry in range(25)]
    assert {end.reason for end in together} == {"stop", "time", "last_bar"}
    assert simulate(slice(0, 0)) == []
