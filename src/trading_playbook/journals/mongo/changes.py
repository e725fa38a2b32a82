"""What a run changes, carried out in one transaction where the server has them, else in an order that loses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trading_playbook.core.journal import JournalRow
from trading_playbook.journals.mongo.connection import MongoPlace, in_transaction
from trading_playbook.journals.mongo.documents import (
    REPLACED_ID,
    Document,
    document_of,
    replaced_document,
    row_id,
    still,
    update_to,
)
from trading_playbook.journals.mongo.failures import NoTransactions, Taken
from trading_playbook.ports import LostRace

AT_ONCE = 5000
"""Rows of one call: a transaction of them is far from what servers allow, 16 MB in old ones and a minute in all."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row to be written, and what it replaces: the row and the document as they were read, None where nothing."""

    row: JournalRow
    old: JournalRow | None = None
    document: Document | None = None

    @property
    def id(self) -> str:
        return row_id(self.row.key)


def carry_out(place: MongoPlace, changes: Sequence[Change], ours: dict[str, Change]) -> None:
    """Write the rows durably.

    A row is added where there is none, and replaces what was read where that is still what lies there. Raises LostRace
    where another writer came in between; other rows may be written by then, without transactions one by one. ours is
    given, under the document's _id, each change that may have been carried out.
    """
    for first in range(0, len(changes), AT_ONCE):
        part = changes[first : first + AT_ONCE]
        if place.has_transactions():
            try:
                _carry_out(place, part, ours, whole=True)
                continue
            except NoTransactions:
                place.do_without_transactions()
        _carry_out(place, part, ours, whole=False)


def keep_replaced(place: MongoPlace, rows: Sequence[JournalRow]) -> None:
    """Put rows into the history that were replaced elsewhere; those that it has stay as they are."""
    from pymongo import UpdateOne

    documents = [replaced_document(document_of(row), row) for row in rows]
    updates = [UpdateOne({"_id": each["_id"]}, {"$setOnInsert": each}, upsert=True) for each in documents]
    place.call(
        f"{place.address(place.history)} cannot be written",
        lambda reach: reach.database[place.history].bulk_write(updates, ordered=False),
    )


def make_indexes(place: MongoPlace, collection: str, indexes: Sequence[Sequence[str]]) -> None:
    """Make a collection with indexes of these fields; one that is there stays, whatever its name is."""
    from pymongo import IndexModel

    def work(reach: Any) -> None:
        there = [list(index["key"]) for index in reach.database[collection].list_indexes()]
        if missing := [IndexModel(list(names)) for names in indexes if list(names) not in there]:
            reach.database[collection].create_indexes(missing)

    place.call(f"{place.address(collection)} cannot be given its indexes", work)


JOURNAL_INDEXES = (("trade_date",), ("symbol", "trade_date"), ("strategy", "params_hash", "trade_date"))
HISTORY_INDEXES = ((REPLACED_ID,),)


def _carry_out(place: MongoPlace, changes: Sequence[Change], ours: dict[str, Change], *, whole: bool) -> None:
    tries = 0

    def work(reach: Any) -> None:
        nonlocal tries
        tries += 1
        if whole:
            in_transaction(reach, lambda session: _write(place, reach.database, changes, session))
        else:
            _write(place, reach.database, changes, None)

    ours.update((change.id, change) for change in changes)
    try:
        place.call(f"{place.place} cannot be written", work)
    except (LostRace, NoTransactions) as lost:
        # Of the first try it is known what was not done; of a later one, not what those before it did.
        undone = _undone(changes, lost, whole) if tries == 1 else ()
        for change in undone:
            del ours[change]
        raise


def _undone(changes: Sequence[Change], lost: Exception, whole: bool) -> Iterator[str]:
    """The changes that were surely not carried out by a try that ended like this."""
    taken = lost.ids if isinstance(lost, Taken) else frozenset()
    return (change.id for change in changes if whole or change.id in taken)


def _write(place: MongoPlace, database: Any, changes: Sequence[Change], session: Any) -> None:
    from pymongo import ReplaceOne, UpdateOne

    added = [document_of(change.row) for change in changes if change.old is None]
    replacing = [
        (change.document, change.old, change.row)
        for change in changes
        if change.document is not None and change.old is not None
    ]
    journal = database[place.collection]
    if added:
        journal.insert_many(added, ordered=False, session=session)
    if replacing:
        # First, so that a process killed between the two writes has lost nothing.
        kept = [replaced_document(document, old) for document, old, _ in replacing]
        database[place.history].bulk_write(
            [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in kept], ordered=False, session=session
        )
        updates = [UpdateOne(still(document), update_to(row)) for document, _, row in replacing]
        if journal.bulk_write(updates, ordered=False, session=session).matched_count < len(updates):
            raise LostRace(place.place)
