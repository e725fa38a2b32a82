"""The data of the MongoDB double: documents, the operators that we use, transactions with snapshots and conflicts."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson

Document = dict[str, Any]
Namespace = tuple[str, str]
Collections = dict[Namespace, dict[bytes, Document]]

WAIT_SECONDS = 5.0
LIFETIME_SECONDS = 60.0
"""As transactionLifetimeLimitSeconds: what a client left open is aborted then."""

_ABSENT = object()


class Refused(Exception):
    """A command that is answered by an error."""

    def __init__(self, code: int, name: str, told: str, labels: Iterable[str] = ()) -> None:
        super().__init__(told)
        self.code = code
        self.name = name
        self.told = told
        self.labels = tuple(labels)


class Duplicate(Refused):
    """A document whose _id is taken."""

    def __init__(self, document: Document) -> None:
        super().__init__(11000, "DuplicateKey", f"E11000 duplicate key error dup key: {{ _id: {document['_id']!r} }}")


@dataclass(slots=True)
class Transaction:
    """What one sees: the documents when it began, with its own writes. touched: what it wrote."""

    number: int
    began: int
    view: Collections
    ends: float
    touched: set[tuple[Namespace, bytes]] = field(default_factory=set)


class Engine:
    """Collections of documents. Outside of a transaction each write is one of its own."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.indexes: dict[Namespace, list[Document]] = {}
        self.transactions: dict[bytes, Transaction] = {}
        self._data: Collections = {}
        self._written: dict[tuple[Namespace, bytes], int] = {}
        self._commits = 0
        self.lifetime_seconds = LIFETIME_SECONDS

    def snapshot(self) -> Collections:
        """All documents as they are now; documents themselves are never changed in place."""
        with self.lock:
            return {namespace: dict(documents) for namespace, documents in self._data.items()}

    def begin(self, session: bytes, number: int) -> Transaction:
        with self.lock:
            ends = time.monotonic() + self.lifetime_seconds
            self.transactions[session] = Transaction(number, self._commits, self.snapshot(), ends)
            return self.transactions[session]

    def commit(self, session: bytes) -> None:
        with self.lock:
            done = self.transactions.pop(session)
            self._commits += 1
            for namespace, known in done.touched:
                document = done.view.get(namespace, {}).get(known)
                self._store(namespace, known, document)
            self.lock.notify_all()

    def abort(self, session: bytes) -> None:
        with self.lock:
            self.transactions.pop(session, None)
            self.lock.notify_all()

    def find(self, data: Collections, namespace: Namespace, condition: Mapping[str, Any]) -> list[Document]:
        return [document for document in data.get(namespace, {}).values() if matches(document, condition)]

    def insert(self, within: Transaction | None, namespace: Namespace, document: Document) -> None:
        known = key_of(document["_id"])
        with self.lock:
            if within is None:
                self._let_end(namespace, known)
            if known in self._seen(within).get(namespace, {}):
                raise Duplicate(document)
            self._put(within, namespace, known, {"_id": document["_id"], **copy.deepcopy(document)})

    def update(
        self, within: Transaction | None, namespace: Namespace, statement: Mapping[str, Any]
    ) -> tuple[int, int, Any]:
        """Apply one update; how many were found, how many changed, and the _id that was upserted."""
        condition, change = statement["q"], statement["u"]
        with self.lock:
            found = self.find(self._seen(within), namespace, condition)
            if within is None and found:
                self._let_end(namespace, key_of(found[0]["_id"]))
                found = self.find(self._seen(within), namespace, condition)
            if not found:
                if not statement.get("upsert"):
                    return 0, 0, _ABSENT
                made = {name: value for name, value in condition.items() if not isinstance(value, dict)}
                document = changed(made, change, inserting=True)
                self.insert(within, namespace, document)
                return 1, 0, document["_id"]
            count = 0
            for old in found if statement.get("multi") else found[:1]:
                new = changed(old, change, inserting=False)
                count += new != old
                self._put(within, namespace, key_of(old["_id"]), new)
            return len(found if statement.get("multi") else found[:1]), count, _ABSENT

    def delete(self, within: Transaction | None, namespace: Namespace, condition: Mapping[str, Any]) -> int:
        with self.lock:
            found = self.find(self._seen(within), namespace, condition)
            for document in found:
                self._put(within, namespace, key_of(document["_id"]), None)
            return len(found)

    def drop(self, database: str) -> None:
        with self.lock:
            for namespace in [known for known in self._data if known[0] == database]:
                del self._data[namespace]
            for namespace in [known for known in self.indexes if known[0] == database]:
                del self.indexes[namespace]

    def _seen(self, within: Transaction | None) -> Collections:
        return self._data if within is None else within.view

    def _put(self, within: Transaction | None, namespace: Namespace, known: bytes, document: Document | None) -> None:
        if within is None:
            self._commits += 1
            self._store(namespace, known, document)
            return
        touched = namespace, known
        for session in [session for session, each in self.transactions.items() if each.ends < time.monotonic()]:
            self.abort(session)
        others = (each for each in self.transactions.values() if each is not within)
        if self._written.get(touched, 0) > within.began or any(touched in other.touched for other in others):
            raise Refused(112, "WriteConflict", "Write conflict during plan execution", ["TransientTransactionError"])
        within.touched.add(touched)
        if document is not None:
            within.view.setdefault(namespace, {})[known] = document
        else:
            within.view[namespace].pop(known, None)

    def _store(self, namespace: Namespace, known: bytes, document: Document | None) -> None:
        self._written[namespace, known] = self._commits
        if document is not None:
            self._data.setdefault(namespace, {})[known] = document
        else:
            self._data.get(namespace, {}).pop(known, None)

    def _let_end(self, namespace: Namespace, known: bytes) -> None:
        """Wait for the transactions that have written this document, as a write outside of them does."""
        end = time.monotonic() + WAIT_SECONDS
        while any((namespace, known) in each.touched for each in self.transactions.values()):
            if not self.lock.wait(end - time.monotonic()):
                raise Refused(50, "MaxTimeMSExpired", "operation exceeded time limit")


def key_of(identity: Any) -> bytes:
    return bson.encode({"": identity})


def matches(document: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    return all(_fits(document.get(name, _ABSENT), wanted) for name, wanted in condition.items())


def _fits(value: Any, wanted: Any) -> bool:
    if not (isinstance(wanted, dict) and any(name.startswith("$") for name in wanted)):
        return _same(value, wanted)
    return all(_OPERATORS[operator](value, operand) for operator, operand in wanted.items())


def _same(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return value is None or value is _ABSENT
    # 1 and true are two things to MongoDB, 1 and 1.0 are one.
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _comparable(value: Any, operand: Any) -> bool:
    numbers = isinstance(value, int | float) and isinstance(operand, int | float)
    return value is not _ABSENT and (numbers or type(value) is type(operand))


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, operand: any(_same(value, each) for each in operand),
    "$gte": lambda value, operand: _comparable(value, operand) and bool(value >= operand),
    "$lte": lambda value, operand: _comparable(value, operand) and bool(value <= operand),
    "$exists": lambda value, operand: (value is not _ABSENT) == bool(operand),
}


def changed(old: Mapping[str, Any], change: Mapping[str, Any], *, inserting: bool) -> Document:
    """A document after an update, or the one that replaces it."""
    if not any(name.startswith("$") for name in change):
        return {"_id": old.get("_id", bson.ObjectId()), **change}
    if unknown := set(change) - {"$set", "$unset", "$setOnInsert"}:
        raise Refused(9, "FailedToParse", f"Unknown modifier: {unknown}")
    new = {**old, **change.get("$set", {}), **(change.get("$setOnInsert", {}) if inserting else {})}
    if not inserting and new.get("_id") != old.get("_id"):
        raise Refused(66, "ImmutableField", "the _id cannot be changed")
    return {name: value for name, value in new.items() if name not in change.get("$unset", {})}


def projected(document: Mapping[str, Any], fields: Mapping[str, Any]) -> Document:
    kept = {name for name, taken in fields.items() if taken}
    if kept:
        return {name: value for name, value in document.items() if name in kept or name == "_id"}
    return {name: value for name, value in document.items() if name not in fields}


def sorted_by(documents: list[Document], order: Mapping[str, int]) -> list[Document]:
    for name, direction in reversed(list(order.items())):
        documents = sorted(documents, key=lambda each: each[name], reverse=direction < 0)
    return documents


def grouped(documents: Iterable[Document], pipeline: list[Mapping[str, Any]]) -> Iterator[Document]:
    """The different values of one field, the one aggregation that we use."""
    [stage] = pipeline
    name = stage["$group"]["_id"].removeprefix("$")
    values = {key_of(document.get(name)): document.get(name) for document in documents}
    return ({"_id": value} for value in values.values())


def was_upserted(identity: Any) -> bool:
    return identity is not _ABSENT
