"""Processes that fill a cache and are killed, race each other, or find a store that does not work."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.caching import SESSIONS, SYMBOLS, cache_in, fill
from tests.support.bars import CALENDAR
from tests.support.door import PROJECT, environment_with
from tests.support.scripted_feed import same_bars, same_closes
from trading_playbook.feeds.beginnings import SPARE_SESSIONS
from trading_playbook.feeds.cached import CachedFeed
from trading_playbook.feeds.cached.files import decode_daily, decode_month
from trading_playbook.feeds.simulated import SimulatedFeed

FIRST, LAST = SESSIONS[0].date, SESSIONS[-1].date
FILES = 2 + 2 * 2
"""Of each symbol one of closes and one of each month."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a cache that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    fill(folder)
    return files_in(folder)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def run_all(folder: Path, what: str, number: int) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.caching", str(folder), what, str(number)],
        cwd=PROJECT, env=environment_with(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def require_right(feed: CachedFeed) -> None:
    """Fail unless a run gets the very bars and closes from the cache that the feed has."""
    plain = SimulatedFeed(CALENDAR)
    bars, expected = feed.bars(SYMBOLS, SESSIONS, 2), plain.bars(SYMBOLS, SESSIONS, 2)
    closes = feed.daily_closes(SYMBOLS, before=FIRST, count=15, through=LAST)
    for symbol in SYMBOLS:
        same_bars(bars[symbol], expected[symbol])
        with_spare = plain.daily_closes(SYMBOLS, before=FIRST, count=15 + SPARE_SESSIONS, through=LAST)
        same_closes(closes[symbol], with_spare[symbol])


def require_sound(folder: Path, whole: dict[str, bytes]) -> int:
    """Fail unless what a killed process left is whole files, and the next run is right, and completes them."""
    left = files_in(folder)
    for name, content in left.items():
        source, timeframe, symbol, *_ = name.removesuffix(".parquet").split("/")
        (decode_daily if timeframe == "1Day" else decode_month)(content, source, symbol)
    again = fill(folder)
    assert again.warnings == ()
    assert files_in(folder) == whole
    return sum(left.get(name) == content for name, content in whole.items())


@pytest.mark.parametrize("step", [pytest.param(7, id="each 7th"), pytest.param(1, id="each", marks=pytest.mark.soak)])
def test_one_killed_before_any_of_its_system_calls_leaves_what_the_next_completes(
    tmp_path: Path, whole: dict[str, bytes], step: int
) -> None:
    count = run_all(tmp_path, "kill-before-calls", step)
    done = [require_sound(tmp_path / str(number), whole) for number in range(count)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, FILES)
    assert count > 60 / step


@pytest.mark.parametrize(
    "kills", [pytest.param(12, id="12 times"), pytest.param(400, id="400 times", marks=pytest.mark.soak)]
)
def test_one_killed_at_a_random_moment_leaves_what_the_next_completes(
    tmp_path: Path, whole: dict[str, bytes], kills: int
) -> None:
    for number in range(run_all(tmp_path, "kill-at-moments", kills)):
        require_sound(tmp_path / str(number), whole)


@pytest.mark.parametrize(
    "rounds", [pytest.param(5, id="5 rounds"), pytest.param(200, id="200 rounds", marks=pytest.mark.soak)]
)
def test_processes_that_fill_the_same_months_at_once_all_finish_and_lose_no_bar(
    tmp_path: Path, whole: dict[str, bytes], rounds: int
) -> None:
    for number in range(run_all(tmp_path, "race", rounds)):
        assert files_in(tmp_path / str(number)) == whole
        assert {path.suffix for path in (tmp_path / str(number)).rglob("*") if path.is_file()} == {".parquet"}


class TestPlacesThatDoNotWork:
    def test_a_file_in_the_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        feed = cache_in(tmp_path / "cache")
        require_right(feed)
        (warning,) = feed.warnings
        assert warning.startswith("the cache was left out, it cannot be read: ")
        assert "Not a directory" in warning
        assert (tmp_path / "cache").read_text() == "a file"

    def test_a_folder_in_the_place_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "simulated" / "2Min" / "QQQ" / "2025-11.parquet").mkdir(parents=True)
        feed = cache_in(tmp_path)
        require_right(feed)
        assert "is no file but a folder" in feed.warnings[0]

    def test_a_link_that_leads_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "cache").symlink_to(tmp_path / "cache")
        feed = cache_in(tmp_path / "cache")
        require_right(feed)
        assert len(feed.warnings) == 1

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
    @pytest.mark.parametrize("mode", [0o500, 0o000], ids=["no right to write", "no right to read"])
    def test_a_folder_without_the_right_to_it(self, tmp_path: Path, mode: int) -> None:
        folder = tmp_path / "cache"
        folder.mkdir()
        folder.chmod(mode)
        try:
            feed = cache_in(folder)
            require_right(feed)
        finally:
            folder.chmod(0o700)
        assert len(feed.warnings) == 1

    def test_a_folder_that_another_process_holds_costs_its_share_once(self, tmp_path: Path) -> None:
        folder = tmp_path / "simulated" / "1Day"
        folder.mkdir(parents=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            began = time.monotonic()
            feed = cache_in(tmp_path, seconds=0.3)
            require_right(feed)
            require_right(feed)
            assert time.monotonic() - began < 0.3 + 2
        finally:
            os.close(handle)
        (warning,) = feed.warnings
        assert warning.startswith("what was fetched is not cached: another process has been writing in")
