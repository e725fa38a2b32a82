from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.support.clocks import ManualClock
from tests.support.memory_store import MemoryStore
from tests.support.resaving import DAY_FIRST, MONTH_FIRST, saved_again, with_cell, with_column
from tests.support.rows import days_of_rows, no_trade, trade
from trading_playbook.core.errors import FixConfig, FixRequest, RetryLater
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, write_journal
from trading_playbook.journals.table import TRIES, TableJournal
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import RowQuery, WriteResult
from trading_playbook.stores.local import LocalStore

KEY = "trades.csv"
HISTORY = "trades.history.csv"
EVERYTHING = RowQuery()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def _write(store: MemoryStore, *rows: JournalRow, revise: bool = False) -> WriteResult:
    journal = TableJournal(store, KEY)
    for row in rows:
        journal.write_trade(row)
    [result] = journal.finalize(revise=revise)
    assert isinstance(result, WriteResult)
    return result


def _file(*rows: JournalRow) -> bytes:
    return write_journal(StoredJournal(tuple(map(StoredRow, rows))))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_bytes_are_the_same_in_whatever_order_and_however_often_rows_came(store: MemoryStore) -> None:
    rows = days_of_rows(30)
    for some in (rows[20:], rows[5:25:2], rows[::-1], rows):
        _write(store, *some)
    assert store.content(KEY) == _file(*rows)


def test_before_and_after_are_hashes_of_the_very_bytes(store: MemoryStore) -> None:
    first = _write(store, trade())
    assert (first.before, first.after) == (None, _sha256(_file(trade())))
    again = saved_again(store.content(KEY), {}, line_end="\r\n")
    store.overwrite(KEY, again)
    second = _write(store, no_trade(symbol="SPY"))
    assert (second.before, second.after) == (_sha256(again), _sha256(_file(trade(), no_trade(symbol="SPY"))))


def test_an_empty_file_is_an_empty_journal(store: MemoryStore) -> None:
    store.overwrite(KEY, b"")
    assert _write(store, trade()).before == _sha256(b"")
    assert store.content(KEY) == _file(trade())


def test_a_journal_saved_again_by_a_spreadsheet_is_not_touched_while_nothing_is_new(store: MemoryStore) -> None:
    again = saved_again(_file(*days_of_rows(20)), MONTH_FIRST)
    store.overwrite(KEY, again)
    result = _write(store, *days_of_rows(20))
    assert (result.unchanged, result.after) == (20, None)
    assert store.content(KEY) == again


def test_a_journal_saved_again_by_a_spreadsheet_goes_on_in_our_form(store: MemoryStore) -> None:
    store.overwrite(KEY, saved_again(_file(*days_of_rows(20)), MONTH_FIRST))
    assert _write(store, *days_of_rows(21)).added == 1
    assert store.content(KEY) == _file(*days_of_rows(21))


def test_a_journal_whose_dates_are_not_certain_is_left_alone(store: MemoryStore) -> None:
    again = saved_again(_file(*days_of_rows(5)), DAY_FIRST)
    store.overwrite(KEY, again)
    journal = TableJournal(store, KEY)
    journal.write_trade(trade(symbol="SPY"))
    for use in (
        journal.finalize,
        lambda: journal.feeds(EVERYTHING),
        journal.require_writable,
        lambda: journal.rows(EVERYTHING),
    ):
        with pytest.raises(FixRequest, match=r"memory:trades\.csv, line 2: trade_date '03/11/2025' can mean"):
            use()
    assert store.content(KEY) == again


def test_a_row_that_a_person_deleted_is_added_again(store: MemoryStore) -> None:
    rows = days_of_rows(5)
    store.overwrite(KEY, _file(*rows[:2], *rows[3:]))
    assert _write(store, *rows).added == 1
    assert store.content(KEY) == _file(*rows)


def test_a_row_that_a_person_changed_is_a_conflict(store: MemoryStore) -> None:
    changed = with_cell(_file(trade()), 2, "entry_price", "1.0")
    store.overwrite(KEY, changed)
    [conflict] = _write(store, trade()).conflicts
    assert conflict.columns == {"entry_price": ("1.0", "605.0")}
    assert store.content(KEY) == changed


def test_columns_that_a_person_added_stay_with_their_rows_and_new_rows_have_empty_cells(store: MemoryStore) -> None:
    rows = days_of_rows(5)
    store.overwrite(KEY, with_column(_file(*rows[1:4]), "mine", ["=1", "a, b", ""]))
    _write(store, *rows)
    assert store.content(KEY) == with_column(_file(*rows), "mine", ["", "=1", "a, b", "", ""])


def test_a_revised_row_keeps_a_persons_cells_and_so_does_its_history(store: MemoryStore) -> None:
    store.overwrite(KEY, with_column(_file(trade()), "mine", ["seen"]))
    _write(store, trade(entry_price=605.5), revise=True)
    assert store.content(KEY) == with_column(_file(trade(entry_price=605.5, revision=1)), "mine", ["seen"])
    assert store.content(HISTORY) == with_column(_file(trade()), "mine", ["seen"])


def test_the_history_lies_beside_the_journal() -> None:
    store = MemoryStore()
    for key in ("output/trades/dp20-BRK.B.csv", "plain"):
        journal = TableJournal(store, key)
        for row in (trade(), trade(entry_price=605.5)):
            journal.write_trade(row)
            journal.finalize(revise=True)
    assert list(store.keys("")) == [
        "output/trades/dp20-BRK.B.csv",
        "output/trades/dp20-BRK.B.history.csv",
        "plain",
        "plain.history.csv",
    ]


def test_the_history_is_written_first_and_a_run_that_stopped_in_between_is_completed(store: MemoryStore) -> None:
    _write(store, trade(), no_trade(symbol="SPY"))
    store.rivals.extend([lambda: None, _stop])
    with pytest.raises(KeyboardInterrupt):
        _write(store, trade(entry_price=605.5), revise=True)
    assert store.content(KEY) == _file(trade(), no_trade(symbol="SPY"))
    assert store.content(HISTORY) == _file(trade())
    assert TableJournal(store, KEY).history(trade().key) == []
    _write(store, trade(entry_price=605.5), revise=True)
    assert store.content(KEY) == _file(trade(entry_price=605.5, revision=1), no_trade(symbol="SPY"))
    assert store.content(HISTORY) == _file(trade())
    assert TableJournal(store, KEY).history(trade().key) == [trade()]


def test_what_a_run_that_stopped_left_in_the_history_gives_way_to_the_row_that_is_replaced(store: MemoryStore) -> None:
    _write(store, trade())
    store.overwrite(HISTORY, _file(trade(notes="entered: before a person wrote into the notes")))
    _write(store, trade(entry_price=605.5), revise=True)
    assert store.content(HISTORY) == _file(trade())


def test_a_lost_race_is_run_again_on_what_the_other_wrote(store: MemoryStore) -> None:
    rows = days_of_rows(4)
    store.rivals.extend(
        [lambda: store.overwrite(KEY, _file(rows[1])), lambda: store.overwrite(KEY, _file(rows[1], rows[2]))]
    )
    result = _write(store, *rows)
    assert (result.added, result.unchanged) == (2, 2)
    assert result.before == _sha256(_file(rows[1], rows[2]))
    assert store.content(KEY) == _file(*rows)


def test_a_race_lost_to_the_same_row_ends_without_a_write(store: MemoryStore) -> None:
    store.rivals.append(lambda: store.overwrite(KEY, _file(trade())))
    result = _write(store, trade())
    assert (result.added, result.unchanged, result.after) == (0, 1, None)


def test_a_race_lost_to_another_row_of_the_key_is_a_conflict(store: MemoryStore) -> None:
    store.rivals.append(lambda: store.overwrite(KEY, _file(trade(entry_price=605.5))))
    assert len(_write(store, trade()).conflicts) == 1
    assert store.content(KEY) == _file(trade(entry_price=605.5))


def test_two_who_revise_one_row_at_once_leave_one_revision_and_one_history(store: MemoryStore) -> None:
    _write(store, trade())
    revised = trade(entry_price=605.5)
    store.rivals.extend([lambda: None, lambda: _write(store, revised, revise=True)])
    result = _write(store, revised, revise=True)
    assert (result.revised, result.unchanged) == (0, 1)
    assert store.content(KEY) == _file(replace(revised, revision=1))
    assert store.content(HISTORY) == _file(trade())


def test_a_race_that_is_lost_again_and_again_ends_with_retry_and_can_be_taken_up(store: MemoryStore) -> None:
    rows = days_of_rows(TRIES)
    store.rivals.extend([partial(store.overwrite, KEY, _file(*rows[: lost + 1])) for lost in range(TRIES)])
    journal = TableJournal(store, KEY)
    journal.write_trade(no_trade(symbol="SPY"))
    with pytest.raises(RetryLater, match="call again"):
        journal.finalize()
    assert store.content(KEY) == _file(*rows)
    assert [each.added for each in journal.finalize() if isinstance(each, WriteResult)] == [1]


def test_reads_are_one_get_and_a_journal_that_did_not_change_is_not_parsed_again(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(store, *days_of_rows(5))
    store.calls.clear()
    journal = TableJournal(store, KEY)
    assert len(journal.rows(EVERYTHING)) == 5
    assert store.calls == [("get", KEY)]
    monkeypatch.setattr("trading_playbook.journals.table.read_journal", None)
    assert journal.feeds(EVERYTHING) == {"files"}
    assert len(journal.rows(EVERYTHING)) == 5


def test_mixing_is_refused_before_anything_is_written(store: MemoryStore) -> None:
    _write(store, no_trade(data_feed="simulated"))
    before = store.content(KEY)
    with pytest.raises(FixRequest, match=r"memory:trades\.csv would hold simulated rows and rows of files"):
        _write(store, no_trade(data_feed="simulated", reason="no_reversal"), trade(symbol="SPY"), revise=True)
    assert list(store.keys("")) == [KEY]
    assert store.content(KEY) == before


def test_a_file_that_is_no_journal_is_left_alone(store: MemoryStore) -> None:
    store.overwrite(KEY, b"my shopping list\n")
    with pytest.raises(FixRequest, match="is no journal"):
        _write(store, trade())
    with pytest.raises(FixRequest, match="is no journal"):
        TableJournal(store, KEY).require_writable()
    assert store.content(KEY) == b"my shopping list\n"


def test_a_history_that_is_none_keeps_the_journal_as_it_is(store: MemoryStore) -> None:
    _write(store, trade())
    store.overwrite(HISTORY, b"my shopping list\n")
    with pytest.raises(FixRequest, match=r"trades\.history\.csv is no journal"):
        _write(store, trade(entry_price=605.5), revise=True)
    assert store.content(KEY) == _file(trade())
    assert store.content(HISTORY) == b"my shopping list\n"


def test_a_folder_in_the_journals_place_can_be_told_without_writing(tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir()
    journal = TableJournal(LocalStore(tmp_path, ManualClock(), RetryBudget(ManualClock(), 1)), KEY)
    with pytest.raises(FixConfig, match="is no file but a folder"):
        journal.require_writable()


def _stop() -> None:
    raise KeyboardInterrupt
