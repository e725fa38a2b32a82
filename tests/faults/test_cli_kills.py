"""Whole runs of the command that are killed, race each other, find the disk full or the place taken."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.door import COMMAND, PROJECT, Told, environment_with, keys_of, manifests, process, rows_of, tree
from trading_playbook.cli.main import main

CALL = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2020-01-02", "--end", "2025-12-31")
SHORT = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2020-01-02", "--end", "2020-06-30")
SESSIONS = 1508


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of half a year."""
    path = tmp_path_factory.mktemp("old") / "trades.csv"
    assert process(*SHORT, "--output", path, cwd=path.parent).code == 0
    return path.read_bytes()


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of six years."""
    path = tmp_path_factory.mktemp("new") / "trades.csv"
    assert process(*CALL, "--output", path, cwd=path.parent).code == 0
    assert len(rows_of(path)) == SESSIONS
    return path.read_bytes()


def start(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment_with(**environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder as a process does that hangs while it writes there."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class TestKills:
    @pytest.mark.parametrize(
        "kills", [pytest.param(10, id="10 times"), pytest.param(100, id="100 times", marks=pytest.mark.soak)]
    )
    def test_a_run_killed_at_a_random_moment_leaves_the_old_journal_or_the_new_and_the_next_completes_it(
        self, tmp_path: Path, old: bytes, new: bytes, kills: int
    ) -> None:
        began = time.monotonic()
        (tmp_path / "trades.csv").write_bytes(old)
        assert process(*CALL, cwd=tmp_path, OUTPUT_LOCATION="trades.csv").code == 0
        lasted = time.monotonic() - began
        luck = random.Random(kills)
        for kill in range(kills):
            journal = tmp_path / str(kill) / "trades.csv"
            journal.parent.mkdir()
            journal.write_bytes(old)
            # Half of them in the last tenth, where it writes.
            moment = luck.uniform(0.85, 1.02) if kill % 2 else luck.uniform(0, 1)
            with start(*CALL, "--output", journal, cwd=tmp_path) as running:
                time.sleep(moment * lasted)
                running.kill()
            assert journal.read_bytes() in (old, new)
            if kill % 5 == 0 or kills > 10:
                assert process(*CALL, "--output", journal, cwd=tmp_path).code == 0
                assert journal.read_bytes() == new
                assert sorted(path.name for path in journal.parent.iterdir()) == ["runs", "trades.csv"]
            assert all(found["run_id"] for found in manifests(journal.parent))

    def test_a_first_run_that_was_killed_is_completed_by_the_next(self, tmp_path: Path, new: bytes) -> None:
        journal = tmp_path / "deep" / "er" / "trades.csv"
        with start(*CALL, "--output", journal, cwd=tmp_path) as running:
            time.sleep(0.4)
            running.kill()
        assert not journal.exists() or journal.read_bytes() == new
        assert process(*CALL, "--output", journal, cwd=tmp_path).code == 0
        assert journal.read_bytes() == new

    @pytest.mark.parametrize(
        "step", [pytest.param(4, id="each fourth"), pytest.param(1, id="each", marks=pytest.mark.soak)]
    )
    def test_a_run_killed_before_a_system_call_is_completed_by_the_next_which_tidies_up(
        self, tmp_path: Path, step: int
    ) -> None:
        day = ("--feed", "simulated", "--start", "2025-01-03", "--end", "2025-01-03", "--symbol")
        before, after = tmp_path / "before.csv", tmp_path / "after.csv"
        assert main(["backtest", *day, "QQQ", "--output", str(before)]) == 0
        assert main(["backtest", *day, "QQQ,SPY", "--output", str(after)]) == 0
        seen = []
        for number in range(1, 200, step):
            journal = tmp_path / str(number) / "trades.csv"
            journal.parent.mkdir()
            journal.write_bytes(before.read_bytes())
            call = [*day, "QQQ,SPY", "--output", str(journal)]
            # A dry run first, so that all is loaded and only the work itself is counted.
            script = (
                "import sys\nfrom tests.faults.finalizing import kill_before_call\n"
                "from trading_playbook.cli.backtest import main\n"
                f"main({[*call, '--dry-run']!r})\n"
                f"kill_before_call({number})\ncode = main({call!r})\nsys.setprofile(None)\nsys.exit(code)\n"
            )
            finished = subprocess.run(
                [sys.executable, "-c", script], cwd=PROJECT, env=environment_with(), capture_output=True, check=False
            )
            seen.append(len(rows_of(journal)))
            assert main(["backtest", *call]) == 0
            assert journal.read_bytes() == after.read_bytes()
            left = [path.name for path in journal.parent.rglob("*") if path.suffix not in (".csv", ".json", "")]
            assert not left
            if finished.returncode == 0:
                break
        assert seen == sorted(seen)
        assert set(seen) == {1, 2}
        assert len(seen) > 20 / step


class TestRaces:
    def test_runs_of_several_symbols_into_one_journal_at_once_lose_no_row(self, tmp_path: Path) -> None:
        symbols = ("QQQ", "SPY", "IWM", "DIA")
        for number in range(3):
            journal = tmp_path / f"{number}" / "trades.csv"
            running = [start(*SHORT, "--symbol", symbol, "--output", journal, cwd=tmp_path) for symbol in symbols[1:]]
            for each in running:
                out, err = each.communicate(timeout=60)
                assert (each.returncode, err) == (0, ""), out
            keys = keys_of(journal)
            assert len(keys) == len(set(keys)) == 4 * 125
            assert keys == sorted(keys)
            assert len(manifests(journal.parent)) == 3

    def test_the_same_run_many_times_at_once_is_one_row_each(self, tmp_path: Path, old: bytes) -> None:
        journal = tmp_path / "trades.csv"
        running = [start(*SHORT, "--output", journal, "--json", cwd=tmp_path) for _ in range(4)]
        added = 0
        for each in running:
            out, err = each.communicate(timeout=60)
            assert each.returncode == 0, err
            added += Told(0, out, err).json["counts"]["added"]
        assert journal.read_bytes() == old
        assert added == 125

    def test_a_place_that_another_process_holds_is_waited_for_and_then_told(self, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        with locked(folder):
            began = time.monotonic()
            told = process(*SHORT, "--output", folder / "trades.csv", cwd=tmp_path, RETRY_BUDGET_SECONDS="1")
            lasted = time.monotonic() - began
        assert told.code == 4
        assert f"another process has been writing in {folder} for 1 seconds" in told.err
        assert 1 < lasted < 1 + 2
        assert not (folder / "trades.csv").exists()
        assert process(*SHORT, "--output", folder / "trades.csv", cwd=tmp_path).code == 0

    def test_what_a_run_waits_is_bounded_by_its_budget_all_waits_summed(self, tmp_path: Path) -> None:
        with locked(tmp_path / "out"), locked(tmp_path / "out" / "runs"):
            began = time.monotonic()
            told = process(*SHORT, "--output", "out/trades.csv", cwd=tmp_path, RETRY_BUDGET_SECONDS="2.2")
            lasted = time.monotonic() - began
        assert told.code == 4
        assert lasted < 2.2 + 2

    def test_a_place_that_is_free_again_in_time_is_written(self, tmp_path: Path, old: bytes) -> None:
        with locked(tmp_path / "out"):
            running = start(*SHORT, "--output", "out/trades.csv", cwd=tmp_path)
            time.sleep(1)
            assert running.poll() is None
        out, err = running.communicate(timeout=30)
        assert (running.returncode, err) == (0, ""), out
        assert (tmp_path / "out" / "trades.csv").read_bytes() == old


class TestFullDisks:
    """A limit on the size of files stands for a disk without room."""

    def limited(self, largest: int, *arguments: object, cwd: Path) -> Told:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd, env=environment_with(), capture_output=True, text=True, timeout=60, check=False,
            preexec_fn=limit,
        )  # fmt: skip
        return Told(done.returncode, done.stdout, done.stderr)

    def test_without_room_for_the_journal_it_stays_as_it_was_and_the_next_run_completes_it(
        self, tmp_path: Path, old: bytes, new: bytes
    ) -> None:
        journal = tmp_path / "out" / "trades.csv"
        journal.parent.mkdir()
        journal.write_bytes(old)
        before = tree(journal.parent)["trades.csv"]
        told = self.limited(len(old) + 10_000, *CALL, "--output", journal, cwd=tmp_path)
        assert told.code == 4
        assert f"{journal} cannot be written: File too large; make room" in told.err
        assert "Traceback" not in told.err
        assert tree(journal.parent)["trades.csv"] == before
        assert sorted(path.name for path in journal.parent.iterdir()) == ["runs", "trades.csv"]
        assert [found["outcome"] for found in manifests(journal.parent)] == ["retry"]
        assert process(*CALL, "--output", journal, cwd=tmp_path).code == 0
        assert journal.read_bytes() == new

    def test_without_any_room_a_first_run_leaves_no_file(self, tmp_path: Path) -> None:
        told = self.limited(100, *SHORT, "--output", "out/trades.csv", cwd=tmp_path)
        assert told.code == 4
        assert "Traceback" not in told.err
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
