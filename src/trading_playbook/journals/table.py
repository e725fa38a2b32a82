"""A journal as one CSV object of any store, with the rows that were replaced in a second one beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from trading_playbook.core.errors import PlaybookError, RetryLater
from trading_playbook.core.journal import JournalRow, RowKey
from trading_playbook.core.journal_csv import StoredJournal, read_history, read_journal, write_journal
from trading_playbook.core.merge import merge, require_one_origin
from trading_playbook.ports import LostRace, ObjectStore, RowQuery, Stored, WriteResult

HISTORY_ENDING = ".history.csv"
"""In place of .csv, of the object that keeps the replaced rows."""

TRIES = 50
"""A race is lost only to a writer who has won it, so that this many are lost only in a crowd."""


class TableJournal:
    """TradeWriter and JournalReader of the journal under one key of a store."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        path = PurePosixPath(key)
        self._store = store
        self._key = key
        self._history_key = str(path.with_name(path.name.removesuffix(".csv") + HISTORY_ENDING))
        self._pending: dict[RowKey, JournalRow] = {}
        self._last_read: tuple[str, StoredJournal] | None = None

    @property
    def place(self) -> str:
        return self._store.address(self._key)

    def write_trade(self, row: JournalRow) -> None:
        """Collect a row. Raises ValueError where another one of its key was collected that is not the same."""
        if self._pending.setdefault(row.key, row) != row:
            raise ValueError(f"two rows of one key that are not the same: {row.key}")

    def finalize(self, *, revise: bool = False) -> Sequence[WriteResult | PlaybookError]:
        for _ in range(TRIES):
            try:
                result = self._write(revise)
            except LostRace:
                continue
            self._pending.clear()
            return (result,)
        raise RetryLater(f"{self.place}: others were quicker to write {TRIES} times; call again", retry_after_seconds=1)

    def rows(self, query: RowQuery) -> list[JournalRow]:
        return [stored.row for stored in self._read()[1].rows if query.takes(stored.row)]

    def history(self, key: RowKey) -> list[JournalRow]:
        replaced = [stored.row for stored in self._read_history()[1].rows if stored.row.key == key]
        # A run that was killed before it replaced a row has left that in the history already.
        now = next((stored.row.revision for stored in self._read()[1].rows if stored.row.key == key), None)
        return [row for row in replaced if now is None or row.revision < now]

    def feeds(self, query: RowQuery) -> frozenset[str]:
        return frozenset(stored.row.data_feed for stored in self._read()[1].rows)

    def require_writable(self) -> None:
        self._store.require_writable(self._key)
        self._read()
        self._read_history()

    def _write(self, revise: bool) -> WriteResult:
        """One try to write what was collected. Raises LostRace where another writer came in between."""
        if not self._pending:
            return WriteResult(place=self.place)
        found, journal = self._read()
        feeds = {stored.row.data_feed for stored in journal.rows} | {row.data_feed for row in self._pending.values()}
        require_one_origin(feeds, self.place)
        merged = merge((stored.row for stored in journal.rows), self._pending.values(), revise=revise)
        if not merged.changed:
            return merged.result(self.place)
        if merged.replaced:
            # First, so that a process killed between the two writes has lost nothing.
            self._keep_in_history(journal.with_rows(merged.replaced))
        written = journal.with_rows(merged.rows)
        content = write_journal(written)
        generation = self._store.put(self._key, content, expected=found.generation if found else None)
        self._last_read = generation, written
        return merged.result(self.place, before=_sha256(found.content) if found else None, after=_sha256(content))

    def _keep_in_history(self, replaced: StoredJournal) -> None:
        """Add rows that are about to be replaced to the history, equal ones of a revision once."""
        found, history = self._read_history()
        content = write_journal(history.joined_by(replaced))
        if found is None or found.content != content:
            self._store.put(self._history_key, content, expected=found.generation if found else None)

    def _read(self) -> tuple[Stored | None, StoredJournal]:
        """The journal's object, None where there is none yet, and what it holds."""
        found = self._store.get(self._key)
        if found is None:
            return None, StoredJournal()
        if self._last_read is None or self._last_read[0] != found.generation:
            self._last_read = found.generation, read_journal(found.content, self.place)
        return found, self._last_read[1]

    def _read_history(self) -> tuple[Stored | None, StoredJournal]:
        """The object beside it that holds the replaced rows, None where there is none yet, and what it holds."""
        found = self._store.get(self._history_key)
        if found is None:
            return None, StoredJournal()
        return found, read_history(found.content, self._store.address(self._history_key))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
