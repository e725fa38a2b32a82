"""A journal as a collection of MongoDB, with the rows that were replaced in a second one beside it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from trading_playbook.core.chain import rows_sha256
from trading_playbook.core.errors import FixConfig, PlaybookError, RetryLater
from trading_playbook.core.journal import JournalRow, RowKey
from trading_playbook.core.merge import merge, require_one_origin
from trading_playbook.journals.mongo.changes import (
    HISTORY_INDEXES,
    JOURNAL_INDEXES,
    Change,
    carry_out,
    keep_replaced,
    make_indexes,
)
from trading_playbook.journals.mongo.connection import MongoPlace
from trading_playbook.journals.mongo.documents import DAY, REPLACED_ID, Document, row_id, rows_of
from trading_playbook.ports import JournalFile, LostRace, RowQuery, WriteResult

TRIES = 50
"""A race is lost only to a writer who has won it, so that this many are lost only in a crowd."""

IDS_A_CALL = 10_000
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 2.0


class MongoJournal:
    """TradeWriter and JournalReader of the journal in one collection.

    What one run adds and revises becomes visible at once where the server has transactions (a replica set, a sharded
    cluster, Atlas), up to 5,000 rows; else row by row, each whole. A run that ends in between leaves rows that the next
    one finds equal, and goes on from. Two first runs at one moment, one of simulated rows and one of real ones, are
    not kept apart.
    """

    def __init__(self, place: MongoPlace) -> None:
        self._place = place
        self._pending: dict[RowKey, JournalRow] = {}
        self._replaced: list[JournalRow] = []

    @property
    def place(self) -> str:
        return self._place.place

    def write_trade(self, row: JournalRow) -> None:
        """Collect a row. Raises ValueError where another one of its key was collected that is not the same."""
        if self._pending.setdefault(row.key, row) != row:
            raise ValueError(f"two rows of one key that are not the same: {row.key}")

    def write_replaced(self, row: JournalRow) -> None:
        self._replaced.append(row)

    def finalize(self, *, revise: bool = False) -> Sequence[WriteResult | PlaybookError]:
        ours: dict[str, Change] = {}
        for lost in range(TRIES):
            if lost:
                self._wait(lost)
            with suppress(LostRace):
                result = self._write(revise, ours)
                self._pending.clear()
                self._replaced.clear()
                return (result,)
        raise self._too_slow()

    def rows(self, query: RowQuery) -> list[JournalRow]:
        found = self._find(self._place.collection, _filter(query), {DAY: 0})
        # Here, for a server sorts no more than 100 MB without an index in this very order.
        return sorted(rows_of(found, self.place), key=lambda row: row.key)

    def history(self, key: RowKey) -> list[JournalRow]:
        now = self._find(self._place.collection, {"_id": row_id(key)}, {DAY: 0})
        return _older(self._history({REPLACED_ID: row_id(key)}), rows_of(now, self.place))

    def files(self, query: RowQuery) -> Sequence[JournalFile | PlaybookError]:
        try:
            rows = self.rows(RowQuery())
            if not rows:
                return ()
            return (
                JournalFile(
                    place=self.place,
                    sha256=rows_sha256(rows),
                    as_written=True,
                    rows=tuple(rows),
                    replaced=tuple(_older(self._history({}), rows)),
                ),
            )
        except PlaybookError as error:
            return (error,)

    def feeds(self, query: RowQuery) -> frozenset[str]:
        found = self._place.call(
            f"{self.place} cannot be read",
            lambda reach: list(reach.database[self._place.collection].aggregate([{"$group": {"_id": "$data_feed"}}])),
        )
        return frozenset(str(each["_id"]) for each in found)

    def require_writable(self) -> None:
        self._place.require_rights((self._place.collection, self._place.history), ("find", "insert", "update"))

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._place.close()

    def _write(self, revise: bool, ours: dict[str, Change]) -> WriteResult:
        """One try to write what was collected. Raises LostRace where another writer came in between."""
        if not self._pending and not self._replaced:
            return WriteResult(place=self.place)
        stored = self._stored()
        self._require_one_origin(change.row for change in stored.values())
        # What a try of ours did whose answer was lost is counted as what is still to be done.
        before = [_before(change, ours) for change in stored.values()]
        known = {change.id: change for change in before if change is not None}
        merged = merge((change.row for change in known.values()), self._pending.values(), revise=revise)
        if self._replaced:
            self._make_indexes(self._place.history, HISTORY_INDEXES)
            keep_replaced(self._place, self._replaced)
        if not merged.changed:
            return merged.result(self.place)
        changes = [change for row in merged.rows if (change := _change(row, known)) is not None]
        there = {row_id(row.key): row for row in self.rows(RowQuery())}
        self._require_one_origin(there.values())
        for change in changes:
            there.pop(change.id, None)
            if change.old is not None:
                there[change.id] = change.old
        sha256_before = rows_sha256(there.values()) if there else None
        self._make_indexes(self._place.collection, JOURNAL_INDEXES)
        if merged.replaced:
            self._make_indexes(self._place.history, HISTORY_INDEXES)
        to_do = [change for change in changes if not _is_done(change, stored)]
        carry_out(self._place, to_do, ours)
        there.update((change.id, change.row) for change in changes)
        return merged.result(self.place, before=sha256_before, after=self._sha256_after(there))

    def _sha256_after(self, expected: Mapping[str, JournalRow]) -> str:
        """The hash of what lies there after a write that should have left these rows.

        Where others wrote meanwhile it is of their rows too. So, of all that write at one time, the last to look at
        what it left has seen all, and its record tells of the journal as it is.
        """
        revisions = self._find(self._place.collection, {}, {"revision": 1})
        if {each["_id"]: each.get("revision") for each in revisions} == {
            known: row.revision for known, row in expected.items()
        }:
            return rows_sha256(expected.values())
        return rows_sha256(self.rows(RowQuery()))

    def _require_one_origin(self, stored: Iterable[JournalRow]) -> None:
        require_one_origin({row.data_feed for row in (*stored, *self._pending.values())}, self.place)

    def _stored(self) -> dict[str, Change]:
        """The documents of the keys that were collected, whole, with a person's own fields."""
        ids = [row_id(key) for key in self._pending]
        found: list[Document] = []
        for first in range(0, len(ids), IDS_A_CALL):
            found += self._find(self._place.collection, {"_id": {"$in": ids[first : first + IDS_A_CALL]}}, None)
        rows = rows_of(found, self.place)
        return {each["_id"]: Change(row, document=each) for each, row in zip(found, rows, strict=True)}

    def _history(self, condition: Mapping[str, Any]) -> list[JournalRow]:
        found = self._find(self._place.history, condition, {DAY: 0})
        rows = rows_of(found, self._place.address(self._place.history))
        return sorted(rows, key=lambda row: (row.key, row.revision))

    def _find(self, collection: str, condition: Mapping[str, Any], fields: Mapping[str, int] | None) -> list[Document]:
        return self._place.read(
            f"{self._place.address(collection)} cannot be read",
            lambda reach: reach.database[collection].find(condition, fields),
        )

    def _make_indexes(self, collection: str, indexes: Sequence[Sequence[str]]) -> None:
        # Without them, because the user may not make any or an equal one has another name, all is only slower.
        with suppress(FixConfig):
            make_indexes(self._place, collection, indexes)

    def _wait(self, lost: int) -> None:
        """Let the others go on, longer with each race that was lost to them."""
        seconds = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0**lost) * random.uniform(0.5, 1.0)
        if seconds >= self._place.budget.left:
            raise self._too_slow()
        self._place.budget.wait(seconds)

    def _too_slow(self) -> RetryLater:
        told = "others were quicker to write again and again; call again"
        return RetryLater(f"{self.place}: {told}", retry_after_seconds=1)


def _before(stored: Change, ours: Mapping[str, Change]) -> Change | None:
    """What lay there before we may have written what lies there now."""
    own = ours.get(stored.id)
    if own is None or own.row != stored.row:
        return stored
    return None if own.old is None else Change(own.old, document=own.document)


def _change(row: JournalRow, known: Mapping[str, Change]) -> Change | None:
    """How a row of the merged journal comes to be, None where it is there."""
    stored = known.get(row_id(row.key))
    if stored is None:
        return Change(row)
    return None if row is stored.row else Change(row, stored.row, stored.document)


def _is_done(change: Change, stored: Mapping[str, Change]) -> bool:
    now = stored.get(change.id)
    return now is not None and now.row == change.row


def _older(replaced: Iterable[JournalRow], rows: Iterable[JournalRow]) -> list[JournalRow]:
    """The replaced rows that are older than these, and those of other keys."""
    now = {row.key: row.revision for row in rows}
    # A run that was killed before it replaced a row has left that in the history already.
    return [row for row in replaced if (revision := now.get(row.key)) is None or row.revision < revision]


def _filter(query: RowQuery) -> dict[str, Any]:
    """What finds the documents that a query takes."""
    days = {
        operator: day.isoformat() for operator, day in (("$gte", query.start), ("$lte", query.end)) if day is not None
    }
    asked = {
        "symbol": None if query.symbols is None else {"$in": sorted(query.symbols)},
        "trade_date": days or None,
        "strategy": query.strategy,
        "params_hash": query.params_hash,
    }
    return {name: condition for name, condition in asked.items() if condition is not None}
