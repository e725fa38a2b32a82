from __future__ import annotations

import threading

import pytest

from tests.support.clocks import ManualClock
from trading_playbook.network.budget import RetryBudget


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_what_ends_well_costs_nothing(clock: ManualClock) -> None:
    budget = RetryBudget(clock, 10)
    with budget.lost_unless_done():
        clock.sleep(500)
    assert (budget.left, budget.seconds) == (10, 10)


@pytest.mark.parametrize("error", [ValueError("it failed"), KeyboardInterrupt()])
def test_what_ends_by_an_exception_is_lost_and_the_exception_goes_on(clock: ManualClock, error: BaseException) -> None:
    budget = RetryBudget(clock, 10)

    def fail() -> None:
        with budget.lost_unless_done():
            clock.sleep(4)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert budget.left == 6


def test_waiting_is_lost_time_and_takes_it(clock: ManualClock) -> None:
    budget = RetryBudget(clock, 10)
    budget.wait(3)
    assert (clock.slept, budget.left) == ([3], 7)


def test_nothing_is_left_of_a_budget_that_is_overspent(clock: ManualClock) -> None:
    budget = RetryBudget(clock, 10)
    budget.lose(25)
    assert (budget.left, budget.seconds) == (0, 10)


class TestPart:
    def test_is_spent_from_the_whole_as_well(self, clock: ManualClock) -> None:
        whole = RetryBudget(clock, 10)
        part = whole.part(0.5)
        part.wait(2)
        assert (part.seconds, part.left, whole.left) == (5, 3, 8)

    def test_cannot_spend_what_the_whole_has_left_beyond_it(self, clock: ManualClock) -> None:
        whole = RetryBudget(clock, 10)
        part = whole.part(0.5)
        part.lose(50)
        assert (part.left, whole.part(0.5).left) == (0, 0)

    def test_has_no_more_than_the_whole_has_left(self, clock: ManualClock) -> None:
        whole = RetryBudget(clock, 10)
        part = whole.part(0.5)
        whole.lose(8)
        assert part.left == 2

    def test_leaves_the_rest_to_others(self, clock: ManualClock) -> None:
        whole = RetryBudget(clock, 10)
        whole.part(0.5).lose(5)
        assert whole.left == 5


def test_nothing_is_forgotten_that_several_threads_lose_at_once(clock: ManualClock) -> None:
    whole = RetryBudget(clock, 1_000_000)
    part = whole.part(0.5)

    def lose() -> None:
        for _ in range(2_000):
            part.lose(1)

    threads = [threading.Thread(target=lose) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (whole.left, part.left) == (984_000, 484_000)
