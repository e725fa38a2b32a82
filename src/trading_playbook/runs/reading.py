"""Reading journals that a person names: whole, or the rows that fit, but never a place where none is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from trading_playbook.core.errors import FixRequest, PlaybookError, gravest
from trading_playbook.core.journal import JournalRow
from trading_playbook.ports import JournalFile, JournalReader, RowQuery


def rows_of(journal: JournalReader, query: RowQuery) -> list[JournalRow]:
    """The rows that the query takes.

    Raises FixRequest where the place holds no row at all, for it may be misspelt, and where two of its files hold rows
    of one key.
    """
    rows = journal.rows(query)
    if len({row.key for row in rows}) < len(rows):
        key = next(one.key for one, other in pairwise(rows) if one.key == other.key)
        raise FixRequest(f"{journal.place} has {key} in two files: take out the one that no run writes")
    if not rows and not journal.rows(RowQuery()):
        raise FixRequest(f"{journal.place} holds no journal yet: run a backtest first, or name another place")
    return rows


def files_of(journal: JournalReader) -> Sequence[JournalFile]:
    """All files of a journal, none where nothing was written yet. Raises the gravest trouble of those that have any."""
    found = journal.files(RowQuery())
    if (error := gravest(file for file in found if isinstance(file, PlaybookError))) is not None:
        raise error
    return [file for file in found if isinstance(file, JournalFile)]
