"""A journal as one CSV object of any store, with the rows that were replaced in a second one beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from trading_playbook.core.errors import FixRequest, PlaybookError, RetryLater
from trading_playbook.core.journal import JournalRow, RowKey
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, read_history, read_journal, write_journal
from trading_playbook.core.merge import merge, require_one_origin
from trading_playbook.ports import JournalFile, LostRace, ObjectStore, RowQuery, Stored, WriteResult

HISTORY_ENDING = ".history.csv"
"""In place of .csv, of the object that keeps the replaced rows."""

TRIES = 50
"""A race is lost only to a writer who has won it, so that this many are lost only in a crowd."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a journal, or written to it: its generation and SHA-256, None where there was no object."""

    generation: str | None
    sha256: str | None
    journal: StoredJournal


class TableJournal:
    """TradeWriter and JournalReader of the journal under one key of a store.

    only: the strategy and the symbol whose rows alone belong there; None for any.
    """

    def __init__(self, store: ObjectStore, key: str, *, only: tuple[str, str] | None = None) -> None:
        path = PurePosixPath(key)
        self._store = store
        self._key = key
        self._only = only
        self._history_key = str(path.with_name(path.name.removesuffix(".csv") + HISTORY_ENDING))
        self._pending: dict[RowKey, JournalRow] = {}
        self._replaced: list[JournalRow] = []
        self._known: _Known | None = None

    @property
    def place(self) -> str:
        return self._store.address(self._key)

    def write_trade(self, row: JournalRow) -> None:
        """Collect a row. Raises ValueError where another one of its key was collected that is not the same."""
        if self._pending.setdefault(row.key, row) != row:
            raise ValueError(f"two rows of one key that are not the same: {row.key}")

    def write_replaced(self, row: JournalRow) -> None:
        self._replaced.append(row)

    def finalize(self, *, revise: bool = False) -> Sequence[WriteResult | PlaybookError]:
        for _ in range(TRIES):
            try:
                result = self._write(revise)
            except LostRace:
                continue
            self._pending.clear()
            self._replaced.clear()
            return (result,)
        raise RetryLater(f"{self.place}: others were quicker to write {TRIES} times; call again", retry_after_seconds=1)

    def rows(self, query: RowQuery) -> list[JournalRow]:
        return [stored.row for stored in self._read().journal.rows if query.takes(stored.row)]

    def history(self, key: RowKey) -> list[JournalRow]:
        now = [stored.row for stored in self._read().journal.rows if stored.row.key == key]
        return [row for row in self._replaced_by(now) if row.key == key]

    def files(self, query: RowQuery) -> Sequence[JournalFile | PlaybookError]:
        try:
            found = self._store.get(self._key)
            if found is None:
                return ()
            journal = self._checked(read_journal(found.content, self.place), self.place)
            rows = tuple(stored.row for stored in journal.rows)
            return (
                JournalFile(
                    place=self.place,
                    sha256=_sha256(found.content),
                    as_written=found.content == write_journal(journal),
                    rows=rows,
                    replaced=tuple(self._replaced_by(rows)),
                ),
            )
        except PlaybookError as error:
            return (error,)

    def feeds(self, query: RowQuery) -> frozenset[str]:
        return frozenset(stored.row.data_feed for stored in self._read().journal.rows)

    def require_writable(self) -> None:
        self._store.require_writable(self._key)
        self._read()
        self._read_history()

    def _write(self, revise: bool) -> WriteResult:
        """One try to write what was collected. Raises LostRace where another writer came in between."""
        if not self._pending and not self._replaced:
            return WriteResult(place=self.place)
        # What was read last will do: where it is no longer what lies there, the write is refused.
        known = self._known or self._read()
        self._known = None
        feeds = {stored.row.data_feed for stored in known.journal.rows} | {
            row.data_feed for row in self._pending.values()
        }
        require_one_origin(feeds, self.place)
        merged = merge((stored.row for stored in known.journal.rows), self._pending.values(), revise=revise)
        if self._replaced:
            self._keep_in_history(StoredJournal(tuple(map(StoredRow, self._replaced))))
        if not merged.changed:
            # Nothing is written, so nothing would show that this is still what lies there.
            self._known = known
            if self._read().generation != known.generation:
                raise LostRace(self._key)
            return merged.result(self.place)
        if merged.replaced:
            # First, so that a process killed between the two writes has lost nothing.
            self._keep_in_history(known.journal.with_rows(merged.replaced))
        written = known.journal.with_rows(merged.rows)
        content = write_journal(written)
        generation = self._store.put(self._key, content, expected=known.generation)
        self._known = _Known(generation, _sha256(content), written)
        return merged.result(self.place, before=known.sha256, after=self._known.sha256)

    def _keep_in_history(self, replaced: StoredJournal) -> None:
        """Add rows that are about to be replaced to the history, equal ones of a revision once."""
        found, history = self._read_history()
        content = write_journal(history.joined_by(replaced))
        if found is None or found.content != content:
            self._store.put(self._history_key, content, expected=found.generation if found else None)

    def _replaced_by(self, rows: Iterable[JournalRow]) -> list[JournalRow]:
        """The rows in the history that are older than these, oldest revision first, and those of other keys."""
        now = {row.key: row.revision for row in rows}
        # A run that was killed before it replaced a row has left that in the history already.
        return [
            stored.row
            for stored in self._read_history()[1].rows
            if (revision := now.get(stored.row.key)) is None or stored.row.revision < revision
        ]

    def _read(self) -> _Known:
        """What lies under the key now."""
        found = self._store.get(self._key)
        if found is None:
            self._known = _Known(None, None, StoredJournal())
        elif self._known is None or self._known.generation != found.generation:
            journal = self._checked(read_journal(found.content, self.place), self.place)
            self._known = _Known(found.generation, _sha256(found.content), journal)
        return self._known

    def _read_history(self) -> tuple[Stored | None, StoredJournal]:
        """The object beside it that holds the replaced rows, None where there is none yet, and what it holds."""
        found = self._store.get(self._history_key)
        if found is None:
            return None, StoredJournal()
        address = self._store.address(self._history_key)
        return found, self._checked(read_history(found.content, address), address)

    def _checked(self, journal: StoredJournal, address: str) -> StoredJournal:
        """The journal. Raises FixRequest where a row of it does not belong there."""
        if self._only is not None:
            for row, _ in journal.rows:
                if (row.strategy, row.symbol) != self._only:
                    raise FixRequest(
                        f"{address} holds the row of {row.key}, and by its name rows of {' and '.join(self._only)} "
                        "alone belong there; it was left alone. Give the file its right name, or move it elsewhere"
                    )
        return journal


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
