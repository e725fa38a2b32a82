from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.finalizing import OLD_ROWS, ROWS, old_rows, open_journal, race, write
from tests.support.rows import days_of_rows
from trading_playbook.ports import RowQuery

PROJECT = Path(__file__).parents[2]
Bytes = tuple[bytes, bytes | None]
"""What a journal and its history hold."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Bytes:
    """The bytes before."""
    path = tmp_path_factory.mktemp("old") / "trades.csv"
    write(open_journal(path), old_rows())
    return _bytes(path)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Bytes:
    """The bytes after a run that nothing disturbs."""
    path = tmp_path_factory.mktemp("new") / "trades.csv"
    write(open_journal(path), old_rows())
    write(open_journal(path), days_of_rows(ROWS))
    assert len(open_journal(path).rows(RowQuery())) == ROWS
    assert (_history(path).count(b"\n") - 1) == OLD_ROWS / 10
    return _bytes(path)


@pytest.mark.parametrize(
    "kills", [pytest.param(10, id="10 times"), pytest.param(100, id="100 times", marks=pytest.mark.soak)]
)
def test_a_process_killed_at_a_random_moment_leaves_the_old_journal_or_the_new_one(
    tmp_path: Path, old: Bytes, new: Bytes, kills: int
) -> None:
    undisturbed = _seconds_to_finalize(tmp_path / "undisturbed" / "trades.csv", old)
    chance = random.Random(kills)
    for kill in range(kills):
        path = tmp_path / str(kill) / "trades.csv"
        _put(path, old)
        with _finalizing(path) as process:
            _go_on(process)
            time.sleep(chance.uniform(0, undisturbed))
            process.kill()
        _require_old_or_new(path, old, new)


def test_a_process_killed_before_any_of_its_system_calls_leaves_the_old_journal_or_the_new_one(
    tmp_path: Path, old: Bytes, new: Bytes
) -> None:
    seen: list[Bytes] = []
    for number in range(1, 200):
        path = tmp_path / str(number) / "trades.csv"
        _put(path, old)
        with _finalizing(path, "--kill-before-call", str(number)) as process:
            _go_on(process)
            finished = process.wait(30) == 0
        seen.append(_bytes(path))
        _require_old_or_new(path, old, new)
        if finished:
            break
    # Nothing yet; the history alone; all of it. Each stage was met on the way.
    assert list(dict.fromkeys(seen)) == [old, (old[0], new[1]), new]
    assert len(seen) > 2 * 7


@pytest.mark.parametrize("rounds", [50])
def test_two_processes_that_finalize_into_one_file_at_once_lose_no_row_and_double_none(
    tmp_path: Path, rounds: int
) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    processes = [spawn.Process(target=race, args=(tmp_path, barrier, who, rounds)) for who in ("QQQ", "SPY")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    both = sorted((*days_of_rows(3, symbol="QQQ"), *days_of_rows(3, symbol="SPY")), key=lambda row: row.key)
    for number in range(rounds):
        assert open_journal(tmp_path / f"{number:03d}.csv").rows(RowQuery()) == both
    assert len(list(tmp_path.iterdir())) == rounds


def test_a_disk_that_is_full_is_told_and_leaves_the_old_bytes(tmp_path: Path, old: Bytes, new: Bytes) -> None:
    path = tmp_path / "trades.csv"
    _put(path, old)
    with _finalizing(path, "--largest-file", str(len(old[0]))) as process:
        _, told = process.communicate("\n", timeout=30)
    assert process.returncode == 1
    assert "cannot be written: File too large; make room" in told
    assert _bytes(path)[0] == old[0]
    assert {each.name for each in tmp_path.iterdir()} <= {"trades.csv", "trades.history.csv"}
    _require_old_or_new(path, old, new)


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "4294967295"},
        {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"},
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        {"TZ": "Asia/Tokyo"},
    ],
    ids=lambda environment: next(iter(environment)) + "=" + next(iter(environment.values())),
)
def test_the_bytes_are_the_same_in_every_environment_and_order(
    tmp_path: Path, new: Bytes, environment: dict[str, str]
) -> None:
    path = tmp_path / "trades.csv"
    write(open_journal(path), old_rows())
    with _finalizing(path, "--shuffle", "7", **environment) as process:
        _go_on(process)
        assert process.wait(30) == 0
    assert _bytes(path) == new


@contextmanager
def _finalizing(path: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is about to finalize; killed at the latest when the block ends."""
    command = [sys.executable, "-m", "tests.faults.finalizing", str(path), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=PROJECT, env=os.environ | environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _seconds_to_finalize(path: Path, old: Bytes) -> float:
    _put(path, old)
    with _finalizing(path) as process:
        started = time.monotonic()
        _go_on(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        return time.monotonic() - started


def _require_old_or_new(path: Path, old: Bytes, new: Bytes) -> None:
    """What a killed process left can be read as it is, and the next run completes it and tidies up."""
    journal, history = _bytes(path)
    assert journal in (old[0], new[0])
    assert history in (old[1], new[1])
    assert journal != new[0] or history == new[1]
    assert len(open_journal(path).rows(RowQuery())) in (OLD_ROWS, ROWS)
    write(open_journal(path), days_of_rows(ROWS))
    assert _bytes(path) == new
    assert sorted(each.name for each in path.parent.iterdir()) == ["trades.csv", "trades.history.csv"]


def _put(path: Path, content: Bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[0])
    assert content[1] is None


def _history(path: Path) -> bytes:
    return path.with_name("trades.history.csv").read_bytes()


def _bytes(path: Path) -> Bytes:
    history = path.with_name("trades.history.csv")
    return path.read_bytes(), history.read_bytes() if history.exists() else None
