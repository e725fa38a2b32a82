from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.support.clocks import ManualClock
from trading_playbook.network.rate import WINDOW_SECONDS, RateLimit


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_first_calls_of_a_minute_do_not_wait(clock: ManualClock) -> None:
    limit = RateLimit(clock, 3)
    for _ in range(3):
        limit.wait()
    assert clock.slept == []


def test_one_call_too_many_waits_until_the_first_is_a_minute_old(clock: ManualClock) -> None:
    limit = RateLimit(clock, 2)
    limit.wait()
    clock.sleep(10)
    limit.wait()
    clock.slept.clear()
    limit.wait()
    assert clock.slept == [50]
    limit.wait()
    assert clock.slept == [50, 10]


def test_calls_that_are_far_apart_never_wait(clock: ManualClock) -> None:
    limit = RateLimit(clock, 2)
    for _ in range(10):
        limit.wait()
        clock.sleep(30)
    assert clock.slept == [30] * 10


@pytest.mark.parametrize("allowed", [1, 7])
def test_no_minute_ever_holds_more_calls_than_are_allowed(clock: ManualClock, allowed: int) -> None:
    limit, made = RateLimit(clock, allowed), []
    pauses = np.random.default_rng(1).uniform(0, 12, 60).tolist()
    for pause in pauses:
        clock.sleep(pause)
        limit.wait()
        made.append(clock.monotonic())
    for at in range(allowed, len(made)):
        assert made[at] - made[at - allowed] >= WINDOW_SECONDS - 1e-6


def test_threads_share_the_limit(clock: ManualClock) -> None:
    limit = RateLimit(clock, 10)
    threads = [threading.Thread(target=limit.wait) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 2 * WINDOW_SECONDS
