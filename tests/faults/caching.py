"""Processes that fill a cache and are killed at it, or race each other, for tests that look at what they leave.

python -m tests.faults.caching FOLDER kill-before-calls STEP | kill-at-moments COUNT | race ROUNDS fills a cache in a
new folder below FOLDER each time, 0 1 2 ..., over and over in processes of its own, and prints how many folders there
are. In each folder lies, before, what a run of an earlier day had left.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.finalizing import kill_before_call
from tests.support.bars import CALENDAR, sessions_of
from tests.support.clocks import ManualClock
from trading_playbook.core.errors import PlaybookError
from trading_playbook.feeds.cached import CachedFeed
from trading_playbook.feeds.simulated import SimulatedFeed
from trading_playbook.network.budget import RetryBudget
from trading_playbook.stores.local import LocalStore
from trading_playbook.system import SystemClock

SYMBOLS = ("QQQ", "SPY")
SESSIONS = sessions_of("2025-10-30", "2025-11-05")
NOW = datetime(2025, 11, 12, 22, tzinfo=UTC)


def cache_in(folder: Path, seconds: float = 30.0) -> CachedFeed:
    """A cache of simulated bars in a folder. seconds: how long its store may wait for others."""
    store = LocalStore(folder, SystemClock(), RetryBudget(SystemClock(), seconds))
    return CachedFeed(SimulatedFeed(CALENDAR), store, CALENDAR, ManualClock(NOW))


def fill(folder: Path, begin: int = 0, end: int = len(SESSIONS)) -> CachedFeed:
    """Ask for what a run of some of the sessions asks for."""
    feed, asked = cache_in(folder), SESSIONS[begin:end]
    first, last = asked[0].date, asked[-1].date
    for answers in (
        feed.daily_closes(SYMBOLS, before=first, count=5, through=last),
        feed.splits(SYMBOLS, through=last),
        feed.bars(SYMBOLS, asked, 2),
    ):
        assert not any(isinstance(answer, PlaybookError) for answer in answers.values())
    return feed


def in_a_process(work: Callable[[], object]) -> int:
    """Start a process that does the work and nothing else; gives its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.setprofile(None)
            os._exit(code)
    return child


def kill_before_calls(folder: Path, old: Path, step: int) -> int:
    """Kill one before its first call of the system, another before a later one, up to the first that gets through."""
    count = 0
    while True:
        own = shutil.copytree(old, folder / str(count))

        def work(own: Path = own, number: int = 1 + count * step) -> None:
            kill_before_call(number)
            fill(own)

        count += 1
        if os.waitstatus_to_exitcode(os.waitpid(in_a_process(work), 0)[1]) == 0:
            return count


def kill_at_moments(folder: Path, old: Path, kills: int) -> int:
    began = time.monotonic()
    fill(shutil.copytree(old, folder / "undisturbed"))
    lasts, luck = time.monotonic() - began, random.Random(kills)
    for kill in range(kills):
        own = shutil.copytree(old, folder / str(kill))
        child = in_a_process(lambda own=own: fill(own))  # type: ignore[misc]
        time.sleep(luck.uniform(0, 1.2 * lasts))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return kills


def race(folder: Path, rounds: int) -> int:
    """Let three processes ask for overlapping sessions at once."""
    for number in range(rounds):
        own = folder / str(number)
        ready, go = os.pipe()

        def work(begin: int, end: int, own: Path = own, ready: int = ready, go: int = go) -> None:
            os.close(go)
            os.read(ready, 1)  # ends when the last writer has closed it
            assert not fill(own, begin, end).warnings

        parts = ((0, 4), (1, 5), (0, 5))
        children = [in_a_process(lambda part=part: work(*part)) for part in parts]  # type: ignore[misc]
        os.close(ready)
        os.close(go)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return rounds


def main() -> None:
    folder, what, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    old = folder / "old"
    fill(old, 0, 1)
    if what == "race":
        print(race(folder, number))
    else:
        print({"kill-before-calls": kill_before_calls, "kill-at-moments": kill_at_moments}[what](folder, old, number))


if __name__ == "__main__":
    main()
