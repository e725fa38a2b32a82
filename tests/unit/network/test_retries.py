from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clocks import ManualClock
from trading_playbook.core.errors import FixRequest, RetryLater
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.retries import (
    ATTEMPTS,
    CALL_SECONDS,
    LONGEST_ASKED_SECONDS,
    TEMPORARY_STATUSES,
    Temporary,
    asked_wait,
    with_retries,
)

NOW = datetime(2025, 11, 4, 22, 0, 5, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


class Trouble:
    """An attempt that fails so often, each time after so many seconds, and asks for a wait."""

    def __init__(self, clock: ManualClock, times: float = math.inf, *, takes: float = 0.0, asks: float = 0.0) -> None:
        self.clock, self.times, self.takes, self.asks = clock, times, takes, asks
        self.given: list[float] = []
        self.began: list[float] = []

    def __call__(self, seconds: float) -> str:
        self.given.append(seconds)
        self.began.append(self.clock.monotonic())
        if len(self.given) > self.times:
            return "good"
        if self.takes:
            self.clock.sleep(min(self.takes, seconds))
        raise Temporary("the other side is ill", self.asks)


class TestRetries:
    def test_what_works_at_once_is_asked_once(self, clock: ManualClock) -> None:
        attempt = Trouble(clock, 0)
        assert with_retries(attempt, RetryBudget(clock, 100)) == "good"
        assert (attempt.given, clock.slept) == ([CALL_SECONDS], [])

    def test_waits_grow_and_are_drawn_at_random(self, clock: ManualClock) -> None:
        attempt = Trouble(clock, ATTEMPTS - 1)
        assert with_retries(attempt, RetryBudget(clock, 100)) == "good"
        assert len(clock.slept) == ATTEMPTS - 1
        for wait, longest in zip(clock.slept, (1, 2, 4, 8), strict=True):
            assert longest / 2 <= wait <= longest
        others = Trouble(clock)
        with pytest.raises(RetryLater):
            with_retries(others, RetryBudget(clock, 100))
        assert len(set(clock.slept)) == len(clock.slept)

    def test_a_call_is_made_so_often_and_then_given_up(self, clock: ManualClock) -> None:
        attempt = Trouble(clock)
        with pytest.raises(RetryLater, match="the other side is ill"):
            with_retries(attempt, RetryBudget(clock, 100))
        assert len(attempt.given) == ATTEMPTS

    def test_other_errors_end_it_at_once(self, clock: ManualClock) -> None:
        calls = []

        def attempt(seconds: float) -> str:
            calls.append(seconds)
            raise FixRequest("never")

        with pytest.raises(FixRequest):
            with_retries(attempt, RetryBudget(clock, 100))
        assert len(calls) == 1

    @pytest.mark.parametrize("seconds", [0.5, 3.0, 17.0, 100.0])
    def test_all_that_is_lost_stays_within_the_budget(self, clock: ManualClock, seconds: float) -> None:
        budget, attempt = RetryBudget(clock, seconds), Trouble(clock, takes=math.inf)
        with pytest.raises(RetryLater):
            with_retries(attempt, budget)
        assert clock.monotonic() <= seconds + 1e-9
        assert attempt.given[0] == min(CALL_SECONDS, seconds)
        assert budget.left <= 8  # less than the next wait

    def test_a_second_call_gets_what_the_first_has_left(self, clock: ManualClock) -> None:
        budget = RetryBudget(clock, 20)
        budget.lose(15)
        attempt = Trouble(clock, 0)
        with_retries(attempt, budget)
        assert attempt.given == [5]

    def test_nothing_is_called_where_nothing_is_left(self, clock: ManualClock) -> None:
        budget, attempt = RetryBudget(clock, 20), Trouble(clock, 0)
        budget.lose(20)
        with pytest.raises(RetryLater, match="no time is left"):
            with_retries(attempt, budget)
        assert attempt.given == []

    def test_nothing_is_called_where_others_spend_the_rest_during_the_wait(self, clock: ManualClock) -> None:
        budget, attempt = RetryBudget(clock, 20), Trouble(clock, 1)
        with pytest.raises(RetryLater, match="ill"):
            with_retries(attempt, budget, in_turn=lambda: budget.lose(15))
        assert len(attempt.given) == 1

    def test_the_wait_for_ones_turn_is_no_lost_time(self, clock: ManualClock) -> None:
        budget = RetryBudget(clock, 20)
        assert with_retries(Trouble(clock, 0), budget, in_turn=lambda: clock.sleep(59)) == "good"
        assert budget.left == 20

    def test_each_attempt_waits_for_its_turn(self, clock: ManualClock) -> None:
        turns: list[float] = []
        with_retries(Trouble(clock, 2), RetryBudget(clock, 100), in_turn=lambda: turns.append(clock.monotonic()))
        assert len(turns) == 3

    def test_no_attempt_is_made_before_the_time_that_is_asked_for(self, clock: ManualClock) -> None:
        attempt = Trouble(clock, 2, asks=7)
        assert with_retries(attempt, RetryBudget(clock, 100)) == "good"
        assert all(later - earlier >= 7 for earlier, later in zip(attempt.began, attempt.began[1:], strict=False))

    @pytest.mark.parametrize("asks", [7.0, 90.0, LONGEST_ASKED_SECONDS])
    def test_a_longer_wait_than_is_left_ends_it_at_once_and_is_handed_on(self, clock: ManualClock, asks: float) -> None:
        attempt = Trouble(clock, asks=asks)
        with pytest.raises(RetryLater) as later:
            with_retries(attempt, RetryBudget(clock, 5))
        assert (len(attempt.given), clock.monotonic()) == (1, 0)
        assert later.value.retry_after_seconds >= asks

    def test_the_statuses_that_may_pass_are_those_of_the_issue_and_408(self) -> None:
        assert {408, 429, 500, 502, 503, 504} == TEMPORARY_STATUSES


def at(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


def epoch(seconds: float) -> str:
    return str(int(NOW.timestamp() + seconds))


class TestAskedWait:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, 0),
            ({"Retry-After": "7"}, 7),
            ({"Retry-After": " 7 "}, 7),
            ({"Retry-After": "0"}, 0),
            ({"Retry-After": "1.5"}, 1.5),
            ({"Retry-After": at(7)}, 7),
            ({"Retry-After": at(-7)}, 0),
            ({"Retry-After": "Tue, 04 Nov 2025 17:00:12 -0500"}, 7),
            ({"Retry-After": "Tue, 04 Nov 2025 22:00:12 -0000"}, 7),
            ({"X-RateLimit-Reset": epoch(9)}, 9),
            ({"X-RateLimit-Reset": epoch(9), "X-RateLimit-Remaining": "0"}, 9),
            ({"X-RateLimit-Reset": epoch(-9)}, 0),
            ({"Retry-After": "7", "X-RateLimit-Reset": epoch(9)}, 7),
            ({"Retry-After": "soon", "X-RateLimit-Reset": epoch(9)}, 9),
        ],
        ids=str,
    )
    def test_is_what_the_answer_asks_for(self, headers: dict[str, str], seconds: float) -> None:
        assert asked_wait(headers, NOW) == seconds

    @pytest.mark.parametrize(
        "garbage", ["", "-7", "soon", "7 s", "1e9", "nan", "inf", "-inf", "0x7", "7,5", "1.2.3", ".", "Tue", "99:99"]
    )
    @pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset"])
    def test_is_nothing_where_nothing_can_be_read(self, name: str, garbage: str) -> None:
        assert asked_wait({name: garbage}, NOW) == 0

    @pytest.mark.parametrize(
        "headers",
        [
            {"Retry-After": "9" * 400},
            {"Retry-After": "99999999"},
            {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
            {"X-RateLimit-Reset": "9" * 400},
            {"X-RateLimit-Reset": str(int(NOW.timestamp() * 1000))},
        ],
        ids=["no number", "years", "a far date", "no time", "milliseconds"],
    )
    def test_is_never_longer_than_a_day(self, headers: dict[str, str]) -> None:
        assert asked_wait(headers, NOW) == LONGEST_ASKED_SECONDS

    def test_a_reset_does_not_matter_while_calls_are_left(self) -> None:
        # Alpaca tells of it with every answer; a 500 with 150 calls left is no reason to wait for a minute.
        assert asked_wait({"X-RateLimit-Reset": epoch(50), "X-RateLimit-Remaining": "150"}, NOW) == 0

    @pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset"])
    def test_times_are_taken_by_the_clock_of_who_tells_them(self, name: str) -> None:
        # A rehearsal of a day long past goes by another clock, and so does a machine whose clock is wrong.
        told = {"Retry-After": at(7), "X-RateLimit-Reset": epoch(7)}[name]
        for now in (NOW - timedelta(days=400), NOW, NOW + timedelta(hours=1)):
            assert asked_wait({name: told, "Date": at(0)}, now) == 7

    @given(
        retry_after=st.text(max_size=40) | st.integers().map(str) | st.floats().map(str),
        reset=st.text(max_size=40) | st.floats().map(str),
        sent=st.text(max_size=40) | st.datetimes().map(lambda moment: f"{moment:%a, %d %b %Y %H:%M:%S} GMT"),
    )
    def test_is_always_a_number_to_count_on(self, retry_after: str, reset: str, sent: str) -> None:
        wait = asked_wait({"Retry-After": retry_after, "X-RateLimit-Reset": reset, "Date": sent}, NOW)
        assert 0 <= wait <= LONGEST_ASKED_SECONDS


def test_a_temporary_error_keeps_what_it_was_told() -> None:
    error: Callable[..., Temporary] = Temporary
    assert (str(error("ill", 3.0)), error("ill").wait_seconds, error("ill", 3.0).wait_seconds) == ("ill", 0, 3)
