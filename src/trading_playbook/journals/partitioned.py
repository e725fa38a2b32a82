"""A journal in many files, one for each strategy and symbol, so that tasks of a fan-out never write the same one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.journal import JournalRow, RowKey
from trading_playbook.journals.table import HISTORY_ENDING, TableJournal
from trading_playbook.network.pool import each
from trading_playbook.ports import JournalFile, ObjectStore, RowQuery, WriteResult

ENDING = ".csv"


class PartitionedJournal:
    """TradeWriter and JournalReader over <strategy>-<SYMBOL>.csv, each a journal of its own.

    threads: how many files are read or written at once.
    """

    def __init__(self, store: ObjectStore, threads: int) -> None:
        self._store = store
        self._threads = threads
        self._tables: dict[str, TableJournal] = {}
        self._pending: dict[str, None] = {}

    @property
    def place(self) -> str:
        return f"{self._store.place}/"

    def write_trade(self, row: JournalRow) -> None:
        """Collect a row. Raises ValueError where another one of its key was collected that is not the same."""
        key = _key(row.strategy, row.symbol)
        self._table(key).write_trade(row)
        self._pending[key] = None

    def write_replaced(self, row: JournalRow) -> None:
        key = _key(row.strategy, row.symbol)
        self._table(key).write_replaced(row)
        self._pending[key] = None

    def finalize(self, *, revise: bool = False) -> Sequence[WriteResult | PlaybookError]:
        def finished(key: str) -> Sequence[WriteResult | PlaybookError]:
            try:
                return self._table(key).finalize(revise=revise)
            except PlaybookError as error:
                return (error,)

        answers = each(finished, self._pending, self._threads)
        self._pending.clear()
        return [answer for own in answers for answer in own]

    def rows(self, query: RowQuery) -> list[JournalRow]:
        found = each(lambda key: self._table(key).rows(query), self._keys(query), self._threads)
        return sorted((row for own in found for row in own), key=lambda row: row.key)

    def history(self, key: RowKey) -> list[JournalRow]:
        return self._table(_key(key.strategy, key.symbol)).history(key)

    def files(self, query: RowQuery) -> Sequence[JournalFile | PlaybookError]:
        found = each(lambda key: self._table(key).files(query), self._keys(query), self._threads)
        return [file for own in found for file in own]

    def feeds(self, query: RowQuery) -> frozenset[str]:
        found = each(lambda key: self._table(key).feeds(query), self._keys(query), self._threads)
        return frozenset().union(*found)

    def require_writable(self) -> None:
        self._store.require_writable(f"trades{ENDING}")

    def _keys(self, query: RowQuery) -> Iterable[str]:
        """The files that hold what a query takes."""
        if query.symbols is not None and query.strategy is not None:
            return [_key(query.strategy, symbol) for symbol in sorted(query.symbols)]
        return [key for key in self._store.keys("") if _is_journal(key)]

    def _table(self, key: str) -> TableJournal:
        return self._tables.setdefault(key, TableJournal(self._store, key))


def _key(strategy: str, symbol: str) -> str:
    return f"{strategy}-{symbol}{ENDING}"


def _is_journal(key: str) -> bool:
    return "/" not in key and key.endswith(ENDING) and not key.endswith(HISTORY_ENDING)
