"""The product's rows against journals that the oracle wrote; PROVENANCE.md tells where all of it comes from."""

from __future__ import annotations

import csv
import re
from hashlib import sha256

import pytest

from tests.golden.make import DATA, FOLDER, GOLDEN, Golden, golden_text, read_bars, read_closes, read_splits
from tests.support.stories import bars_of, closes_of, judged_rows, play_of, prepared, row_text
from trading_playbook.core.daily import Split
from trading_playbook.core.history import History
from trading_playbook.core.journal import HEADER
from trading_playbook.core.strategies.dp20 import Dp20

EVERY_GOLDEN = pytest.mark.parametrize("name", GOLDEN)


def product_rows(golden: Golden) -> list[dict[str, str]]:
    bars = read_bars(golden.symbol)
    history = History(
        symbol=golden.symbol,
        bars=bars_of(bars, symbol=golden.symbol),
        daily=closes_of(read_closes(golden.symbol), golden.symbol),
        splits=tuple(Split(*split) for split in read_splits(golden.symbol)),
    )
    days = sorted({opened.date() for opened, *_ in bars})
    sessions = prepared(history, days, strategy=Dp20.with_parameters(golden.parameters))
    assert not sessions.refused
    return [row_text(row) for row in judged_rows(play_of(golden.parameters, golden.cost), sessions)]


@EVERY_GOLDEN
def test_the_products_rows_equal_the_golden_journal(name: str) -> None:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        golden = csv.DictReader(file)
        assert tuple(golden.fieldnames or ()) == HEADER
        assert product_rows(GOLDEN[name]) == list(golden)


@EVERY_GOLDEN
def test_the_oracle_still_writes_the_same_bytes(name: str) -> None:
    assert golden_text(GOLDEN[name]).encode() == (FOLDER / name).read_bytes()


def test_the_hashes_in_the_provenance_fit_and_leave_out_no_file() -> None:
    provenance = (FOLDER / "PROVENANCE.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (\S+\.csv) \| ([0-9a-f]{64}) \|$", provenance, re.MULTILINE))
    files = [*FOLDER.glob("*.csv"), *DATA.rglob("*.csv")]
    assert told == {path.relative_to(FOLDER).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_goldens_show_an_early_close_a_split_holes_and_each_exit() -> None:
    rows = [row for name in GOLDEN for row in product_rows(GOLDEN[name])]
    assert {row["exit_reason"] for row in rows} == {"", "stop", "time", "last_bar"}
    assert {row["reason"] for row in rows} >= {"entered", "invalidated", "incomplete_session", "no_entry_bar"}
    assert any(row["eod_exit_time"] == "12:54" for row in rows)
    assert any(row["reason"] == "entered" and row["trade_date"] == "2025-12-03" for row in rows)
