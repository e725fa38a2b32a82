"""Runs into a file, a bucket and a database at once that are killed at random moments, or race each other."""

from __future__ import annotations

import random
import subprocess
import time
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.support.door import COMMAND, SETTINGS, environment_with
from tests.support.market import DAYS, END, START, Market, make_market
from tests.support.mongo_double import Kind
from tests.support.three import BUCKET, WRITERS, Cells, Three, three_journals
from trading_playbook.cli.backtest import main

SYMBOLS = ("QQQ", "SPY", "IWM")
RANGE = ("--symbol", ",".join(SYMBOLS), "--start", START, "--end", END)
OLD = ("--symbol", "QQQ,SPY", "--start", DAYS[2], "--end", DAYS[9])
"""What all three held of other bars before."""

RUNS = 8
"""At once."""


class World:
    """Bars as they were and as they are now, and the rows that an undisturbed run leaves."""

    def __init__(self, root: Path) -> None:
        self.old = make_market(root / "old", SYMBOLS)
        self.new = self.old.copy_to(root / "new")
        for symbol in SYMBOLS:
            for day in list(self.new.closes[symbol])[:60]:
                self.new.closes[symbol][day] = round(self.new.closes[symbol][day] + 0.01, 6)
        self.new.save()
        self.rows: dict[bool, list[Cells]] = {}
        self.histories: list[Cells] = []
        self.seconds = 0.0

    def call(self, market: Market, *more: str, range_: tuple[str, ...] = RANGE) -> list[str]:
        return [*COMMAND, *market.call, *range_, *more]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    world = World(root)
    for revise in (False, True):
        with three_journals(root / f"out-{revise}") as three:
            if revise:
                finish(three, world.call(world.old, range_=OLD))
            call = world.call(world.new, *(("--revise",) if revise else ()))
            began = time.monotonic()
            with start(three, call) as running:
                running.communicate(timeout=60)
            world.seconds = time.monotonic() - began
            world.rows[revise] = three.require_equal()
            world.histories = three.histories()["csv"]
    assert {row["revision"] for row in world.rows[True]} == {"0", "1"}
    assert len(world.histories) == 16
    return world


def start(three: Three, call: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        call, cwd=three.folder.parent, env=environment_with(**three.settings), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(three: Three, call: list[str]) -> None:
    """Run to the end, in this process since that is quicker."""
    with pytest.MonkeyPatch.context() as patched:
        for name in SETTINGS:
            patched.delenv(name, raising=False)
        for name, value in three.settings.items():
            patched.setenv(name, value)
        assert main(call[len(COMMAND) :]) == 0


FEW, MANY = 5, 50


@pytest.mark.parametrize(
    ("kind", "revise", "kills"),
    [
        pytest.param(Kind.REPLICA_SET, False, FEW, id="new rows"),
        pytest.param(Kind.STANDALONE, True, FEW, id="revised rows"),
        *(
            pytest.param(kind, revise, MANY, marks=pytest.mark.soak, id=f"{kind.value}, revise {revise}, {MANY} times")
            for kind in Kind
            for revise in (False, True)
        ),
    ],
)
def test_after_a_run_that_was_killed_the_next_one_leaves_all_three_as_if_nothing_had_been(
    tmp_path: Path, world: World, kind: Kind, revise: bool, kills: int
) -> None:
    luck = random.Random(f"{kind} {revise} {kills}")
    call = world.call(world.new, *(("--revise",) if revise else ()))
    seen: set[tuple[int, ...]] = set()
    for kill in range(kills):
        with three_journals(tmp_path / str(kill), kind) as three:
            three.mongo.engine.lifetime_seconds = 1.0
            if revise:
                finish(three, world.call(world.old, range_=OLD))
            before = three.rows()["csv"]
            with start(three, call) as running:
                # Most of them in the last part, where it reads, judges and writes.
                time.sleep(luck.uniform(0.0 if kill % 10 == 9 else 0.45, 1.0) * world.seconds)
                running.kill()
            found = three.rows()
            for rows in found.values():
                assert all(row in world.rows[revise] or row in before for row in rows)
                places = [(row["trade_date"], row["symbol"]) for row in rows]
                assert len(set(places)) == len(places) >= len(before)
            seen.add(tuple(sum(row not in before for row in found[writer]) for writer in WRITERS))
            finish(three, call)
            assert three.require_equal() == world.rows[revise]
            if revise:
                assert set(map(_text, three.histories()["mongodb"])) == set(map(_text, world.histories))
                assert three.histories()["csv"] == three.histories()["gcs"] == three.histories()["mongodb"]
            assert not [path for path in three.folder.rglob("*") if path.suffix == ".tmp"]
            again = three.state()
            finish(three, call)
            assert three.state() == again
    if kills == MANY:
        assert len(seen) > 2, seen  # some were killed before, some after, some between the writes


def _text(row: Cells) -> str:
    return "|".join(row.values())


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        pytest.param(Kind.REPLICA_SET, 1, id="once"),
        *(pytest.param(kind, 25, marks=pytest.mark.soak, id=f"{kind.value}, 25 times") for kind in Kind),
    ],
)
def test_runs_of_overlapping_ranges_at_once_leave_the_same_rows_in_all_three(
    tmp_path: Path, world: World, kind: Kind, rounds: int
) -> None:
    for number in range(rounds):
        with three_journals(tmp_path / str(number), kind) as three:
            luck = random.Random(f"{kind} {number}")
            running = []
            for symbols in islice(cycle(("QQQ,SPY", "SPY,IWM", "QQQ,SPY,IWM")), RUNS):
                first, last = sorted(luck.sample(range(len(DAYS)), 2))
                range_ = ("--symbol", symbols, "--start", DAYS[first], "--end", DAYS[last])
                running.append(start(three, world.call(world.new, range_=range_)))
            for each in running:
                out, err = each.communicate(timeout=110)
                assert (each.returncode, err) == (0, ""), out
            rows = three.rows()
            assert rows["csv"] == rows["gcs"] == rows["mongodb"]
            assert all(row in world.rows[False] for row in rows["csv"])
            finish(three, world.call(world.new))
            assert three.require_equal() == world.rows[False]
            assert [len(own) for own in three.outcomes().values()] == [RUNS + 1] * 3


@pytest.mark.parametrize("rounds", [1, pytest.param(25, marks=pytest.mark.soak)])
def test_two_first_runs_of_simulated_and_real_bars_at_once_never_mix_in_a_bucket(
    tmp_path: Path, world: World, rounds: int
) -> None:
    for number in range(rounds):
        with three_journals(tmp_path / f"{number}") as three:
            settings = {**three.settings, "WRITER_TYPE": "gcs"}
            calls = [
                [*COMMAND, *world.new.call, "--symbol", "QQQ", "--start", START, "--end", END],
                [*COMMAND, "--feed", "simulated", "--symbol", "SPY", "--start", START, "--end", END],
            ]
            running = [
                subprocess.Popen(
                    call, cwd=tmp_path, env=environment_with(**settings), stderr=subprocess.PIPE, text=True
                )
                for call in calls
            ]
            told = [each.communicate(timeout=60)[1] for each in running]
            assert sorted(each.returncode for each in running) == [0, 2], told
            names = [name for name in three.gcs.objects(BUCKET) if "/runs/" not in name]
            assert len(names) == 2
