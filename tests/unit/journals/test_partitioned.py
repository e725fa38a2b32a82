"""What is a file of a journal in many, and how simulated and real rows are kept apart over all of them."""

from __future__ import annotations

import json
from datetime import date

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.rows import days_of_rows, no_trade, trade
from trading_playbook.core.errors import FixRequest, RetryLater
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, write_journal
from trading_playbook.journals.partitioned import FEEDS, PartitionedJournal
from trading_playbook.journals.table import TRIES
from trading_playbook.ports import RowQuery, WriteResult

EVERYTHING = RowQuery()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def _write(store: MemoryStore, *rows: JournalRow, revise: bool = False) -> None:
    journal = PartitionedJournal(store, threads=4)
    for row in rows:
        journal.write_trade(row)
    assert all(isinstance(answer, WriteResult) for answer in journal.finalize(revise=revise))


def _file(*rows: JournalRow) -> bytes:
    return write_journal(StoredJournal(tuple(map(StoredRow, rows))))


def _feeds(store: MemoryStore) -> object:
    return json.loads(store.content(FEEDS))["feeds"]


def test_each_symbol_has_its_file_and_one_tells_the_feeds(store: MemoryStore) -> None:
    rows = [no_trade(symbol=symbol) for symbol in ("BRK.B", "QQQ", "SPY")]
    _write(store, *rows)
    assert store.keys("") == ["dp20-BRK.B.csv", "dp20-QQQ.csv", "dp20-SPY.csv", FEEDS]
    assert [store.content(f"dp20-{row.symbol}.csv") for row in rows] == [_file(row) for row in rows]
    assert _feeds(store) == ["files"]


@pytest.mark.parametrize(
    "name",
    [
        "dp20-SPY copy.csv", "dp20-SPY (1).csv", "dp20-spy.csv", "dp20-SPY.CSV", "dp20-SPY.csv.bak", "SPY.csv",
        "-SPY.csv", " -SPY.csv", "dp20-.csv", "dp20-TOOLONGSYMBOL.csv", "old/dp20-SPY.csv", "runs/dp20-SPY.csv",
        "dp20-SPY.history.csv", "trades.csv", ".csv", "dp20-SPY",
    ],
)  # fmt: skip
def test_what_is_named_otherwise_is_no_part_of_it(store: MemoryStore, name: str) -> None:
    _write(store, no_trade(symbol="QQQ"))
    store.overwrite(name, b"my shopping list\n")
    journal = PartitionedJournal(store, threads=4)
    assert journal.rows(EVERYTHING) == [no_trade(symbol="QQQ")]
    assert len(journal.files(EVERYTHING)) == 1
    store.delete(FEEDS, expected=str(store.get(FEEDS).generation))  # type: ignore[union-attr]
    assert journal.feeds(EVERYTHING) == {"files"}


@pytest.mark.parametrize(
    "stray", [no_trade(symbol="SPY"), no_trade(symbol="QQQ", strategy="other")], ids=["symbol", "strategy"]
)
def test_a_row_of_another_symbol_or_strategy_is_refused_by_name_and_left_alone(
    store: MemoryStore, stray: JournalRow
) -> None:
    _write(store, no_trade(symbol="IWM"))
    content = _file(*sorted([no_trade(symbol="QQQ"), stray], key=lambda row: row.key))
    store.overwrite("dp20-QQQ.csv", content)
    journal = PartitionedJournal(store, threads=4)
    told = rf"memory:dp20-QQQ\.csv holds the row of {stray.symbol} 2025-11-04"
    with pytest.raises(FixRequest, match=told) as refused:
        journal.rows(EVERYTHING)
    assert refused.value.symbol == "QQQ"
    assert [isinstance(file, FixRequest) for file in journal.files(EVERYTHING)] == [False, True]
    for symbol in ("QQQ", "IWM"):
        journal.write_trade(no_trade(symbol=symbol, trade_date=date(2025, 11, 5)))
    answers = journal.finalize()
    assert sorted(type(answer).__name__ for answer in answers) == ["FixRequest", "WriteResult"]
    assert store.content("dp20-QQQ.csv") == content


def test_a_row_of_another_symbol_in_a_history_is_refused_too(store: MemoryStore) -> None:
    _write(store, trade())
    _write(store, trade(entry_price=605.5), revise=True)
    store.overwrite("dp20-QQQ.history.csv", _file(no_trade(symbol="SPY")))
    with pytest.raises(FixRequest, match=r"dp20-QQQ\.history\.csv holds the row of SPY"):
        PartitionedJournal(store, threads=4).history(trade().key)


def test_a_run_of_one_symbol_reads_its_file_and_that_of_the_feeds_alone(store: MemoryStore) -> None:
    _write(store, *(no_trade(symbol=f"S{number}") for number in range(503)))
    store.calls.clear()
    journal = PartitionedJournal(store, threads=4)
    query = RowQuery(symbols=frozenset({"S7"}), strategy="dp20")
    journal.require_writable()
    assert journal.feeds(query) == {"files"}
    assert len(journal.rows(query)) == 1
    journal.write_trade(no_trade(symbol="S7", trade_date=date(2025, 11, 5)))
    journal.finalize()
    assert store.calls == [("get", FEEDS), ("get", "dp20-S7.csv"), ("put", "dp20-S7.csv")]


@pytest.mark.parametrize(("first", "second"), [("simulated", "files"), ("alpaca-sip", "simulated")])
def test_simulated_and_real_rows_are_kept_apart_over_all_files(store: MemoryStore, first: str, second: str) -> None:
    _write(store, no_trade(data_feed=first))
    before = list(store.keys(""))
    journal = PartitionedJournal(store, threads=4)
    assert journal.feeds(RowQuery(symbols=frozenset({"SPY"}), strategy="dp20")) == {first}
    journal.write_trade(no_trade(symbol="SPY", data_feed=second))
    with pytest.raises(FixRequest, match="memory:/ would hold simulated rows"):
        journal.finalize()
    assert (store.keys(""), _feeds(store)) == (before, [first])


def test_real_feeds_are_entered_one_after_the_other(store: MemoryStore) -> None:
    for feed in ("files", "alpaca-sip", "files"):
        _write(store, no_trade(symbol=f"X{len(store.keys(''))}", data_feed=feed))
    assert _feeds(store) == ["alpaca-sip", "files"]


def test_without_the_file_of_feeds_all_others_are_read_once_to_make_it(store: MemoryStore) -> None:
    store.overwrite("dp20-QQQ.csv", _file(no_trade(data_feed="simulated")))
    with pytest.raises(FixRequest, match="simulated"):
        _write(store, no_trade(symbol="SPY"))
    _write(store, no_trade(symbol="SPY", data_feed="simulated"))
    assert _feeds(store) == ["simulated"]
    store.calls.clear()
    _write(store, no_trade(symbol="IWM", data_feed="simulated"))
    assert ("get", "dp20-QQQ.csv") not in store.calls


def test_of_two_first_writers_at_once_the_slower_one_is_refused(store: MemoryStore) -> None:
    store.rivals.append(lambda: _write(store, no_trade(data_feed="simulated")))
    with pytest.raises(FixRequest, match="simulated"):
        _write(store, no_trade(symbol="SPY"))
    assert store.keys("") == ["dp20-QQQ.csv", FEEDS]


def test_of_two_first_writers_of_one_feed_at_once_both_write(store: MemoryStore) -> None:
    store.rivals.append(lambda: _write(store, no_trade()))
    _write(store, no_trade(symbol="SPY"))
    assert store.keys("") == ["dp20-QQQ.csv", "dp20-SPY.csv", FEEDS]


def test_races_for_the_file_of_feeds_come_to_an_end(store: MemoryStore) -> None:
    def rival(number: int) -> None:
        store.overwrite(FEEDS, json.dumps({"feeds": [f"feed{number}"]}).encode())

    store.rivals.extend([lambda number=number: rival(number) for number in range(TRIES)])  # type: ignore[misc]
    with pytest.raises(RetryLater, match=r"feeds\.json.*call again"):
        _write(store, no_trade())


@pytest.mark.parametrize("content", [b"", b"[]", b'{"feeds": "files"}', b'{"feeds": [1]}', b"\xff", b"{}"])
def test_a_file_of_feeds_that_tells_nothing_is_refused_by_name(store: MemoryStore, content: bytes) -> None:
    store.overwrite(FEEDS, content)
    journal = PartitionedJournal(store, threads=4)
    for use in (lambda: journal.feeds(EVERYTHING), lambda: _write(store, no_trade())):
        with pytest.raises(FixRequest, match=r"memory:feeds\.json does not tell.*delete it"):
            use()
    assert store.keys("") == [FEEDS]


def test_a_history_without_a_row_enters_no_feed(store: MemoryStore) -> None:
    _write(store, trade(revision=1))
    journal = PartitionedJournal(store, threads=4)
    journal.write_replaced(trade(entry_price=1.0))
    journal.finalize()
    assert journal.history(trade().key) == [trade(entry_price=1.0)]


def test_a_query_of_symbols_alone_reads_no_other_file(store: MemoryStore) -> None:
    _write(store, *days_of_rows(2), no_trade(symbol="SPY"), no_trade(symbol="SPY", strategy="other"))
    store.calls.clear()
    found = PartitionedJournal(store, threads=4).rows(RowQuery(symbols=frozenset({"SPY"})))
    assert [row.strategy for row in found] == ["dp20", "other"]
    assert sorted(store.calls) == [("get", "dp20-SPY.csv"), ("get", "other-SPY.csv")]
