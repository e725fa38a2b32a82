from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.support.clocks import ManualClock
from tests.support.mongo_double import (
    ALWAYS,
    AnswerLost,
    Fault,
    Kind,
    MongoDouble,
    Refuse,
    RefuseDocument,
    Reset,
    Rival,
    Unconfirmed,
)
from tests.support.rows import days_of_rows, no_trade, trade
from tests.unit.journals.mongo import COLLECTION, DATABASE, write
from trading_playbook.core.chain import rows_sha256
from trading_playbook.core.errors import FixConfig, FixRequest, PlaybookError, RetryLater
from trading_playbook.journals.mongo import changes, connection
from trading_playbook.journals.mongo.connection import MongoPlace
from trading_playbook.journals.mongo.documents import document_of
from trading_playbook.journals.mongo.journal import MongoJournal
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import JournalFile, RowQuery
from trading_playbook.system import SystemClock

ALL = RowQuery()
ROWS = days_of_rows(5)
WRITES = ("insert", "update", "commitTransaction", "abortTransaction")

Open = Callable[[], MongoJournal]


@pytest.fixture(params=Kind, ids=lambda kind: kind.value)
def mongo(request: pytest.FixtureRequest) -> Iterator[MongoDouble]:
    with MongoDouble(request.param) as double:
        yield double


@pytest.fixture
def standalone() -> Iterator[MongoDouble]:
    with MongoDouble(Kind.STANDALONE) as double:
        yield double


@pytest.fixture
def replica_set() -> Iterator[MongoDouble]:
    with MongoDouble(Kind.REPLICA_SET) as double:
        yield double


def _opener(double: MongoDouble) -> Iterator[Open]:
    clock = ManualClock()
    with closing(MongoPlace(double.connection, DATABASE, COLLECTION, clock, RetryBudget(clock, 60))) as place:
        yield lambda: MongoJournal(place)


@pytest.fixture
def open_journal(mongo: MongoDouble) -> Iterator[Open]:
    yield from _opener(mongo)


@pytest.fixture
def open_alone(standalone: MongoDouble) -> Iterator[Open]:
    yield from _opener(standalone)


@pytest.fixture
def open_in_set(replica_set: MongoDouble) -> Iterator[Open]:
    yield from _opener(replica_set)


def _held(mongo: MongoDouble) -> list[dict[str, Any]]:
    return mongo.documents(DATABASE, COLLECTION)


def _writes(mongo: MongoDouble) -> list[str]:
    return [kind for kind in mongo.kinds() if kind in WRITES]


def test_a_row_is_a_document_under_its_identity(mongo: MongoDouble, open_journal: Open) -> None:
    write(open_journal(), trade())
    assert _held(mongo) == [document_of(trade())]


def test_the_indexes_are_made_before_the_first_row_and_once(mongo: MongoDouble, open_journal: Open) -> None:
    write(open_journal(), ROWS[0])
    assert mongo.kinds().index("createIndexes") < mongo.kinds().index("insert")
    write(open_journal(), *ROWS)
    assert mongo.kinds().count("createIndexes") == 1
    keys = [list(index["key"]) for index in mongo.engine.indexes[DATABASE, COLLECTION]]
    assert keys == [["_id"], ["trade_date"], ["symbol", "trade_date"], ["strategy", "params_hash", "trade_date"]]


@pytest.mark.parametrize("kind", ["listIndexes", "createIndexes"])
def test_who_may_make_no_indexes_may_write_all_the_same(mongo: MongoDouble, open_journal: Open, kind: str) -> None:
    mongo.misbehave(Refuse(13, "Unauthorized"), kind=kind, times=ALWAYS)
    write(open_journal(), trade())
    assert open_journal().rows(ALL) == [trade()]


def test_a_run_that_changes_nothing_reads_its_own_rows_alone(mongo: MongoDouble, open_journal: Open) -> None:
    write(open_journal(), *ROWS)
    mongo.calls.clear()
    write(open_journal(), ROWS[0], ROWS[1])
    assert mongo.kinds() == ["find"]
    assert mongo.calls[0].command["filter"] == {"_id": {"$in": [document_of(row)["_id"] for row in ROWS[:2]]}}


def test_the_hashes_are_of_the_canonical_text_of_all_rows(open_journal: Open) -> None:
    first = write(open_journal(), *ROWS[:3])
    second = write(open_journal(), *ROWS)
    third = write(open_journal(), replace(ROWS[0], sma200_daily_at_open=1.0), revise=True)
    assert (first.before, first.after) == (None, rows_sha256(ROWS[:3]))
    assert (second.before, second.after) == (rows_sha256(ROWS[:3]), rows_sha256(ROWS))
    assert (third.before, third.after) == (rows_sha256(ROWS), rows_sha256(open_journal().rows(ALL)))
    [file] = open_journal().files(ALL)
    assert isinstance(file, JournalFile)
    assert file.sha256 == third.after


def test_a_run_on_a_replica_set_is_one_transaction(replica_set: MongoDouble, open_in_set: Open) -> None:
    write(open_in_set(), *ROWS)
    write(open_in_set(), replace(ROWS[0], sma200_daily_at_open=1.0), *days_of_rows(6)[5:], revise=True)
    assert _writes(replica_set) == ["insert", "commitTransaction", "insert", "update", "update", "commitTransaction"]


def test_what_exceeds_a_transaction_goes_into_several(
    replica_set: MongoDouble, open_in_set: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "AT_ONCE", 2)
    write(open_in_set(), *ROWS)
    assert _writes(replica_set) == ["insert", "commitTransaction"] * 3
    assert open_in_set().rows(ALL) == ROWS


def test_a_server_that_stands_alone_keeps_the_old_row_before_it_is_replaced(
    standalone: MongoDouble, open_alone: Open
) -> None:
    write(open_alone(), trade())
    standalone.calls.clear()
    write(open_alone(), trade(entry_price=605.5), revise=True)
    updates = [call.collection for call in standalone.calls if call.kind == "update"]
    assert updates == ["trades_history", "trades"]


def test_a_server_that_only_says_that_it_has_transactions_is_written_without(
    replica_set: MongoDouble, open_in_set: Open
) -> None:
    told = "Transaction numbers are only allowed on a replica set member or mongos"
    replica_set.misbehave(Refuse(20, "IllegalOperation", told), kind="insert")
    result = write(open_in_set(), *ROWS)
    assert result.added == len(ROWS)
    assert [call.command.get("txnNumber") for call in replica_set.calls if call.kind == "insert"] == [1, None]


def test_a_run_that_was_killed_between_history_and_row_is_completed_by_the_next(
    standalone: MongoDouble, open_alone: Open
) -> None:
    write(open_alone(), trade())
    # The first update goes to the history, the second one to the row.
    standalone.misbehave(Rival(lambda: standalone.misbehave(Refuse(2, "BadValue"), kind="update")), kind="update")
    with pytest.raises(FixConfig, match="BadValue"):
        write(open_alone(), trade(entry_price=605.5), revise=True)
    assert len(standalone.documents(DATABASE, "trades_history")) == 1
    assert open_alone().rows(ALL) == [trade()]
    assert open_alone().history(trade().key) == []
    assert write(open_alone(), trade(entry_price=605.5), revise=True).revised == 1
    assert open_alone().history(trade().key) == [trade()]
    assert len(standalone.documents(DATABASE, "trades_history")) == 1


FAULTS: list[Fault] = [
    Reset(),
    AnswerLost(),
    Refuse(10107, "NotWritablePrimary"),
    Refuse(91, "ShutdownInProgress"),
    Refuse(189, "PrimarySteppedDown"),
    Refuse(50, "MaxTimeMSExpired"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("kind", ["find", "insert", "update", "commitTransaction"])
def test_trouble_that_passes_leaves_one_of_each_row_and_a_true_result(
    mongo: MongoDouble, open_journal: Open, kind: str, fault: Fault
) -> None:
    before = write(open_journal(), *ROWS[:2])
    mongo.misbehave(fault, kind=kind)
    changed = replace(ROWS[0], sma200_daily_at_open=1.0)
    result = write(open_journal(), changed, *ROWS[1:], revise=True)
    assert (result.added, result.unchanged, result.revised) == (3, 1, 1)
    rows = [replace(changed, revision=1), *ROWS[1:]]
    assert open_journal().rows(ALL) == rows
    assert (result.before, result.after) == (before.after, rows_sha256(rows))
    assert open_journal().history(ROWS[0].key) == [ROWS[0]]
    assert len(mongo.documents(DATABASE, "trades_history")) == 1


@pytest.mark.parametrize("code", [64, 91, 50])
def test_what_the_majority_did_not_confirm_is_not_done_and_the_next_run_succeeds(
    mongo: MongoDouble, open_journal: Open, code: int
) -> None:
    mongo.misbehave(Unconfirmed(code), kind="commitTransaction" if mongo.kind is Kind.REPLICA_SET else "insert")
    with pytest.raises(RetryLater, match="not confirmed by the majority"):
        write(open_journal(), *ROWS)
    assert len(_held(mongo)) == len(ROWS)
    again = write(open_journal(), *ROWS)
    assert (again.added, again.unchanged) == (0, len(ROWS))
    assert open_journal().rows(ALL) == ROWS


def test_rows_that_the_majority_lacks_are_not_taken_for_kept(mongo: MongoDouble, open_journal: Open) -> None:
    mongo.fall_behind()
    with pytest.raises(RetryLater):
        write(open_journal(), *ROWS)
    with pytest.raises(RetryLater):
        write(open_journal(), *ROWS)
    assert open_journal().rows(ALL) == []
    mongo.catch_up()
    assert write(open_journal(), *ROWS).unchanged == len(ROWS)
    assert open_journal().rows(ALL) == ROWS


def test_an_equal_row_that_came_in_between_is_a_success_of_the_other(mongo: MongoDouble, open_journal: Open) -> None:
    mongo.misbehave(Rival(lambda: mongo.insert(DATABASE, COLLECTION, document_of(ROWS[1]))), kind="insert")
    result = write(open_journal(), *ROWS)
    assert (result.added, result.unchanged, result.conflicts) == (4, 1, ())
    assert open_journal().rows(ALL) == ROWS
    assert result.after == rows_sha256(ROWS)
    assert result.before == rows_sha256([ROWS[1]])


def test_another_row_that_came_in_between_is_a_conflict(mongo: MongoDouble, open_journal: Open) -> None:
    other = replace(ROWS[1], sma200_daily_at_open=1.0)
    mongo.misbehave(Rival(lambda: mongo.insert(DATABASE, COLLECTION, document_of(other))), kind="insert")
    result = write(open_journal(), *ROWS)
    assert (result.added, len(result.conflicts)) == (4, 1)
    assert open_journal().rows(ALL) == [ROWS[0], other, *ROWS[2:]]


def test_a_rivals_change_is_never_overwritten(mongo: MongoDouble, open_journal: Open) -> None:
    write(open_journal(), trade())
    identity = {"_id": document_of(trade())["_id"]}
    rival = {"$set": {"entry_price": 600.0, "revision": 1}}
    mongo.misbehave(Rival(lambda: mongo.update(DATABASE, COLLECTION, identity, rival)), kind="update")
    result = write(open_journal(), trade(entry_price=605.5), revise=True)
    assert result.revised == 1
    assert open_journal().rows(ALL) == [trade(entry_price=605.5, revision=2)]
    assert trade(entry_price=600.0, revision=1) in open_journal().history(trade().key)


def test_a_field_of_a_persons_own_stays_with_its_row(mongo: MongoDouble, open_journal: Open) -> None:
    write(open_journal(), trade())
    identity = {"_id": document_of(trade())["_id"]}
    mongo.update(DATABASE, COLLECTION, identity, {"$set": {"mine": {"tags": ["late"]}}})
    write(open_journal(), no_trade(reason="no_window", notes="no_window: none"), revise=True)
    [held] = _held(mongo)
    [kept] = mongo.documents(DATABASE, "trades_history")
    assert held["mine"] == kept["mine"] == {"tags": ["late"]}
    assert held == {**document_of(open_journal().rows(ALL)[0]), "mine": {"tags": ["late"]}}


def test_rows_of_others_that_came_in_between_are_in_the_hash(mongo: MongoDouble, open_journal: Open) -> None:
    other = no_trade(symbol="SPY")
    mongo.misbehave(Rival(lambda: mongo.insert(DATABASE, COLLECTION, document_of(other))), kind="insert")
    result = write(open_journal(), trade())
    assert (result.added, result.after) == (1, rows_sha256([trade(), other]))


def test_a_document_that_is_no_row_is_named_and_left_alone(mongo: MongoDouble, open_journal: Open) -> None:
    write(open_journal(), trade())
    identity = document_of(trade())["_id"]
    mongo.update(DATABASE, COLLECTION, {"_id": identity}, {"$set": {"entry_price": "605"}})
    held = _held(mongo)
    for use in (
        lambda: open_journal().rows(ALL),
        lambda: write(open_journal(), trade()),
        lambda: write(open_journal(), no_trade(symbol="SPY")),
    ):
        with pytest.raises(FixRequest, match=r"QQQ.*entry_price is '605'"):
            use()
    [told] = open_journal().files(ALL)
    assert isinstance(told, FixRequest)
    assert _held(mongo) == held


def test_a_collection_of_something_else_is_refused_and_left_alone(mongo: MongoDouble, open_journal: Open) -> None:
    mongo.insert(DATABASE, COLLECTION, {"_id": 1, "user": "somebody"})
    with pytest.raises(FixRequest, match="document 1"):
        write(open_journal(), trade())
    assert _held(mongo) == [{"_id": 1, "user": "somebody"}]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Refuse(13, "Unauthorized"), FixConfig),
        (RefuseDocument(13), FixConfig),
        (RefuseDocument(121, "Document failed validation"), FixConfig),
        (Refuse(14031, "OutOfDiskSpace"), RetryLater),
        (RefuseDocument(14031), RetryLater),
        (RefuseDocument(12501), RetryLater),
        (Unconfirmed(14031), RetryLater),
    ],
    ids=repr,
)
def test_a_write_that_is_refused_can_be_made_later(
    mongo: MongoDouble, open_journal: Open, fault: Fault, error: type[PlaybookError]
) -> None:
    mongo.misbehave(fault, kind="insert")
    journal = open_journal()
    with pytest.raises(error):
        write(journal, *ROWS)
    assert write(journal, *ROWS).conflicts == ()
    assert open_journal().rows(ALL) == ROWS


def test_a_filter_is_the_servers_work(mongo: MongoDouble, open_journal: Open) -> None:
    query = RowQuery(
        symbols=frozenset({"SPY", "QQQ"}),
        start=date(2025, 11, 3),
        end=date(2025, 11, 4),
        strategy="dp20",
        params_hash="p80720bba934c",
    )
    open_journal().rows(query)
    assert mongo.calls[-1].command["filter"] == {
        "symbol": {"$in": ["QQQ", "SPY"]},
        "trade_date": {"$gte": "2025-11-03", "$lte": "2025-11-04"},
        "strategy": "dp20",
        "params_hash": "p80720bba934c",
    }


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READ_ROWS", 100)


@pytest.mark.usefixtures("small_parts")
def test_answers_of_many_batches_are_read_whole(mongo: MongoDouble, open_journal: Open) -> None:
    rows = days_of_rows(300)
    write(open_journal(), *rows)
    assert open_journal().rows(ALL) == rows
    assert "getMore" in mongo.kinds()


@pytest.mark.usefixtures("small_parts")
def test_a_cursor_that_is_gone_is_begun_anew(mongo: MongoDouble, open_journal: Open) -> None:
    rows = days_of_rows(300)
    write(open_journal(), *rows)
    mongo.misbehave(Refuse(43, "CursorNotFound"), kind="getMore")
    assert open_journal().rows(ALL) == rows


@pytest.mark.parametrize("revise", [False, True])
def test_many_writers_of_overlapping_rows_leave_one_of_each(mongo: MongoDouble, revise: bool) -> None:
    clock = SystemClock()
    rows = days_of_rows(40)
    if revise:
        with closing(MongoPlace(mongo.connection, DATABASE, COLLECTION, clock, RetryBudget(clock, 20))) as place:
            write(MongoJournal(place), *rows)
        rows = [replace(row, sma200_daily_at_open=1.0) for row in rows]

    def run(number: int) -> str | None:
        with closing(MongoPlace(mongo.connection, DATABASE, COLLECTION, clock, RetryBudget(clock, 20))) as place:
            return write(MongoJournal(place), *rows[number * 4 : number * 4 + 12], revise=revise).after

    with ThreadPoolExecutor(8) as pool:
        afters = list(pool.map(run, range(8)))
    with closing(MongoPlace(mongo.connection, DATABASE, COLLECTION, clock, RetryBudget(clock, 20))) as place:
        journal = MongoJournal(place)
        found = journal.rows(ALL)
        # The runs reach as far as the last row, so that each row was written by some of them.
        assert found == [replace(row, revision=int(revise)) for row in rows]
        # The last to write has seen all, so that some run's record tells of the journal as it is.
        assert rows_sha256(found) in afters
        if revise:
            assert [len(journal.history(row.key)) for row in found] == [row.revision for row in found]
