"""A process that finalizes a journal, for tests that kill it, starve it, or let two of them race.

python -m tests.faults.finalizing JOURNAL prints `ready`, waits for a line, finalizes, and prints `done`.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
from pathlib import Path
from threading import BrokenBarrierError
from types import FrameType
from typing import Protocol

from tests.support.rows import days_of_rows
from trading_playbook.core.errors import RetryLater
from trading_playbook.core.journal import JournalRow
from trading_playbook.journals.table import TableJournal
from trading_playbook.network.budget import RetryBudget
from trading_playbook.stores.local import LocalStore
from trading_playbook.system import SystemClock

OLD_ROWS = 400
ROWS = 500
SYSTEM_CALLS = frozenset({"open", "flock", "fchmod", "write", "fsync", "close", "replace"})
"""Those between which what lies on the disk, or who may write it, is not the same."""


class Barrier(Protocol):
    """What two processes wait at for one another."""

    def wait(self, timeout: float | None = None) -> int: ...


def open_journal(path: Path) -> TableJournal:
    return TableJournal(LocalStore(path.parent, SystemClock(), RetryBudget(SystemClock(), 30)), path.name)


def old_rows() -> list[JournalRow]:
    """What the journal holds before: the first rows, of which every tenth will differ."""
    return [
        row if place % 10 else days_of_rows(1, start=row.trade_date, trend_valid=False)[0]
        for place, row in enumerate(days_of_rows(OLD_ROWS))
    ]


def write(journal: TableJournal, rows: list[JournalRow]) -> None:
    for row in rows:
        journal.write_trade(row)
    journal.finalize(revise=True)


def race(folder: Path, barrier: Barrier, who: str, rounds: int) -> None:
    """In each round write three rows of one's own into a file that the other writes in too, both at once."""
    for number in range(rounds):
        journal = open_journal(folder / f"{number:03d}.csv")
        for row in days_of_rows(3, symbol=who):
            journal.write_trade(row)
        try:
            barrier.wait(timeout=30)
        except BrokenBarrierError:
            sys.exit(f"the other one of {who} is gone")
        journal.finalize()


def kill_before_call(number: int) -> None:
    """Let this process be killed right before its system call of this number, counted from 1 on."""
    made = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal made
        if event == "c_call" and getattr(argument, "__name__", None) in SYSTEM_CALLS:
            made += 1
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("journal", type=Path)
    parser.add_argument("--kill-before-call", type=int)
    parser.add_argument("--largest-file", type=int, help="bytes that a file may have, as if the disk were full")
    parser.add_argument("--shuffle", type=int, help="seed of the order in which rows are written")
    args = parser.parse_args()
    rows = days_of_rows(ROWS)
    if args.shuffle is not None:
        random.Random(args.shuffle).shuffle(rows)
    if args.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (args.largest_file, args.largest_file))
    journal = open_journal(args.journal)
    print("ready", flush=True)
    sys.stdin.readline()
    if args.kill_before_call:
        kill_before_call(args.kill_before_call)
    try:
        write(journal, rows)
    except RetryLater as error:
        sys.exit(error.message)
    finally:
        sys.setprofile(None)
    print("done", flush=True)


if __name__ == "__main__":
    main()
