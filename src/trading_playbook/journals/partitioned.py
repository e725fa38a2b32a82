"""A journal in many files, one for each strategy and symbol, so that tasks of a fan-out never write the same one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TypeVar

from trading_playbook.core.errors import FixRequest, PlaybookError, RetryLater
from trading_playbook.core.journal import JournalRow, RowKey
from trading_playbook.core.merge import require_one_origin
from trading_playbook.core.parsing import is_symbol
from trading_playbook.journals.table import TRIES, TableJournal
from trading_playbook.network.pool import each
from trading_playbook.ports import JournalFile, LostRace, ObjectStore, RowQuery, Stored, WriteResult

ENDING = ".csv"

FEEDS = "feeds.json"
"""The file that tells of which feeds the rows of all the others are, so that one need not read them all to know."""

Answer = TypeVar("Answer")


class PartitionedJournal:
    """TradeWriter and JournalReader over <strategy>-<SYMBOL>.csv, each a journal of its own.

    Whatever else lies in the folder is none of it. Simulated and real rows are kept apart over all files: a feed is
    entered into feeds.json, by compare-and-swap, before the first of its rows is written, and never taken out again.
    Where that file is absent, all others are read once to make it.
    threads: how many files are read or written at once.
    """

    def __init__(self, store: ObjectStore, threads: int) -> None:
        self._store = store
        self._threads = threads
        self._tables: dict[str, TableJournal] = {}
        self._pending: dict[str, set[str]] = {}
        self._entered: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        return f"{self._store.place}/"

    def write_trade(self, row: JournalRow) -> None:
        """Collect a row. Raises ValueError where another one of its key was collected that is not the same."""
        key = _key(row.strategy, row.symbol)
        self._table(key).write_trade(row)
        self._pending.setdefault(key, set()).add(row.data_feed)

    def write_replaced(self, row: JournalRow) -> None:
        key = _key(row.strategy, row.symbol)
        self._table(key).write_replaced(row)
        self._pending.setdefault(key, set())

    def finalize(self, *, revise: bool = False) -> Sequence[WriteResult | PlaybookError]:
        def finished(key: str) -> Sequence[WriteResult | PlaybookError]:
            try:
                return self._table(key).finalize(revise=revise)
            except PlaybookError as error:
                return (_of_symbol(key, error),)

        self._enter(frozenset().union(*self._pending.values()))
        answers = each(finished, self._pending, self._threads)
        self._pending.clear()
        return [answer for own in answers for answer in own]

    def rows(self, query: RowQuery) -> list[JournalRow]:
        def found(key: str) -> list[JournalRow]:
            try:
                return self._table(key).rows(query)
            except FixRequest as error:
                raise _of_symbol(key, error) from error

        found_rows = each(found, self._keys(query), self._threads)
        return sorted((row for own in found_rows for row in own), key=lambda row: row.key)

    def history(self, key: RowKey) -> list[JournalRow]:
        return self._table(_key(key.strategy, key.symbol)).history(key)

    def files(self, query: RowQuery) -> Sequence[JournalFile | PlaybookError]:
        found = each(lambda key: self._table(key).files(query), self._keys(query), self._threads)
        return [file for own in found for file in own]

    def feeds(self, query: RowQuery) -> frozenset[str]:
        """data_feed of all rows in the folder, as feeds.json tells them."""
        found = self._store.get(FEEDS)
        feeds = self._feeds(found)
        if found is not None:
            self._entered |= feeds
        return feeds

    def require_writable(self) -> None:
        self._store.require_writable(f"trades{ENDING}")

    def _enter(self, feeds: frozenset[str]) -> None:
        """Enter feeds whose rows are about to be written. Raises FixRequest where they do not go with the others."""
        for _ in range(TRIES):
            if feeds <= self._entered:  # none is ever taken out
                return
            found = self._store.get(FEEDS)
            there = self._feeds(found)
            require_one_origin(there | feeds, self.place)
            content = json.dumps({"feeds": sorted(there | feeds)}).encode("ascii") + b"\n"
            try:
                if found is None or not feeds <= there:
                    self._store.put(FEEDS, content, expected=found.generation if found else None)
            except LostRace:
                continue
            self._entered = there | feeds
        if not feeds <= self._entered:
            raise RetryLater(f"{self._store.address(FEEDS)}: others were quicker to write again and again; call again")

    def _feeds(self, found: Stored | None) -> frozenset[str]:
        if found is None:
            known = each(lambda key: self._table(key).feeds(RowQuery()), self._keys(RowQuery()), self._threads)
            return frozenset().union(*known)
        try:
            feeds = json.loads(found.content)["feeds"]
            if isinstance(feeds, list) and all(isinstance(feed, str) for feed in feeds):
                return frozenset(feeds)
        except (ValueError, KeyError, TypeError):
            pass
        raise FixRequest(
            f"{self._store.address(FEEDS)} does not tell of which feeds the journals beside it are: delete it, and the "
            "next run makes it anew"
        )

    def _keys(self, query: RowQuery) -> Iterable[str]:
        """The files that hold what a query takes."""
        if query.symbols is not None and query.strategy is not None:
            return [_key(query.strategy, symbol) for symbol in sorted(query.symbols)]
        return [key for key in self._store.keys("") if _is_journal(key) and _takes(query, key)]

    def _table(self, key: str) -> TableJournal:
        return self._tables.setdefault(key, TableJournal(self._store, key, only=_parts(key)))


def _key(strategy: str, symbol: str) -> str:
    return f"{strategy}-{symbol}{ENDING}"


def _parts(key: str) -> tuple[str, str]:
    """The strategy and the symbol that a file's name tells."""
    strategy, _, symbol = key.removesuffix(ENDING).rpartition("-")
    return strategy, symbol


def _is_journal(key: str) -> bool:
    strategy, symbol = _parts(key)
    return "/" not in key and key.endswith(ENDING) and strategy.strip() == strategy != "" and is_symbol(symbol)


def _takes(query: RowQuery, key: str) -> bool:
    strategy, symbol = _parts(key)
    return (query.strategy in (None, strategy)) and (query.symbols is None or symbol in query.symbols)


def _of_symbol(key: str, error: PlaybookError) -> PlaybookError:
    error.symbol = error.symbol or _parts(key)[1]
    return error
