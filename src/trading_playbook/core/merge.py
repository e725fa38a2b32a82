"""What becomes of a journal when a run has judged rows: added, left alone, in conflict, or revised."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from trading_playbook.core.errors import FixRequest, ReviewConflict
from trading_playbook.core.journal import SIMULATED, JournalRow, RowKey, compared_values, differing_columns

TOLD_COLUMNS = 3
"""So many of the columns that differ are told in the sentence of a conflict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What finalize made durable at one place.

    conflicts: stored rows that differ and were kept. drifted: rows that are equal though judged on other bars.
    before, after: SHA-256 of the place's bytes around the write, taken from the very bytes that the write stands for;
    before is None where there was nothing, both are None where nothing was written.
    """

    place: str
    added: int = 0
    unchanged: int = 0
    revised: int = 0
    conflicts: tuple[ReviewConflict, ...] = ()
    drifted: tuple[RowKey, ...] = ()
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A journal after a run.

    rows: all of it, in the order of keys. added: rows that it did not have. unchanged: how many judged rows are equal
    to stored ones, which were kept. replaced: rows that gave way to their next revision. conflicts, drifted: as in
    WriteResult.
    """

    rows: tuple[JournalRow, ...]
    added: int
    unchanged: int
    replaced: tuple[JournalRow, ...]
    conflicts: tuple[ReviewConflict, ...]
    drifted: tuple[RowKey, ...]

    @property
    def changed(self) -> bool:
        """Whether the journal is not what it was."""
        return bool(self.added or self.replaced)

    def result(self, place: str, *, before: str | None = None, after: str | None = None) -> WriteResult:
        """The merge as it was carried out at a place."""
        return WriteResult(
            place=place,
            added=self.added,
            unchanged=self.unchanged,
            revised=len(self.replaced),
            conflicts=self.conflicts,
            drifted=self.drifted,
            before=before,
            after=after,
        )


def merge(stored: Iterable[JournalRow], judged: Iterable[JournalRow], *, revise: bool = False) -> Merged:
    """Add what is absent, leave what is equal, keep what differs and report it; with revise, replace that.

    A row that replaces another has the next revision, or a later one that it bears already: that of other journals,
    which are all to hold the same row. With revise it then replaces an equal row of an earlier revision too.
    Keys of stored are unique. Raises ValueError where two judged rows of one key are not the same.
    """
    table = {row.key: row for row in stored}
    unchanged = 0
    replaced: list[JournalRow] = []
    conflicts: list[ReviewConflict] = []
    drifted: list[RowKey] = []
    before = len(table)
    for key, row in sorted(by_key(judged).items()):
        old = table.get(key)
        if old is None:
            table[key] = row
        elif compared_values(old) == compared_values(row) and not (revise and row.revision > old.revision):
            unchanged += 1
            if old.data_hash != row.data_hash:
                drifted.append(key)
        elif revise:
            table[key] = replace(row, revision=max(row.revision, old.revision + 1))
            replaced.append(old)
        else:
            conflicts.append(_conflict(old, row))
    return Merged(
        rows=tuple(table[key] for key in sorted(table)),
        added=len(table) - before,
        unchanged=unchanged,
        replaced=tuple(replaced),
        conflicts=tuple(conflicts),
        drifted=tuple(drifted),
    )


def by_key(rows: Iterable[JournalRow]) -> dict[RowKey, JournalRow]:
    """The rows under their keys. Raises ValueError where two of one key are not the same."""
    found: dict[RowKey, JournalRow] = {}
    for row in rows:
        if found.setdefault(row.key, row) != row:
            raise ValueError(f"two rows of one key that are not the same: {row.key}")
    return found


def require_one_origin(feeds: Collection[str], place: str) -> None:
    """Raise FixRequest where rows of these feeds would come to lie in one journal: simulated and real ones."""
    real = sorted(set(feeds) - {SIMULATED})
    if real and SIMULATED in feeds:
        raise FixRequest(
            f"{place} would hold simulated rows and rows of {', '.join(real)}: "
            "a journal holds one or the other, so give this run a journal of its own (--output)"
        )


def _conflict(stored: JournalRow, judged: JournalRow) -> ReviewConflict:
    columns = differing_columns(stored, judged)
    told = [f"{name} {old or 'empty'} is now {new or 'empty'}" for name, (old, new) in columns.items()]
    if len(told) > TOLD_COLUMNS:
        told[TOLD_COLUMNS:] = [f"and {len(told) - TOLD_COLUMNS} more columns differ"]
    return ReviewConflict(
        f"{stored.key} differs from the stored row, which was kept: {', '.join(told)}. Look at both; to replace the "
        "stored row and keep it in the history, run these sessions again with --revise",
        symbol=stored.symbol,
        session=stored.trade_date,
        columns=columns,
    )
