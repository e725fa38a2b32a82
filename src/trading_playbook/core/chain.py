"""Whether a journal's file is what a run left: the hashes before and after each write, as the runs recorded them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from trading_playbook.core.audit import Finding
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, write_journal

TRIED = 25
"""So many sessions at each end are taken away to see whether the rest is what a run left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A write of a file, as its run recorded it: SHA-256 before, None where there was no file, and after."""

    run_id: str
    started: datetime
    before: str | None
    after: str

    @property
    def run(self) -> str:
        return f"run {self.run_id} of {self.started:%Y-%m-%d %H:%M} UTC"


def rows_sha256(rows: Iterable[JournalRow]) -> str:
    """SHA-256 of the canonical CSV text of these rows, which is that of a journal's file without columns of others."""
    return hashlib.sha256(write_journal(StoredJournal(tuple(map(StoredRow, rows))))).hexdigest()


def last_write(sha256: str, links: Sequence[Link]) -> Link | None:
    """The write that left this state, None where no record tells of it or another write came after it."""
    edges = {(link.before, link.after): link for link in links if link.before != link.after}
    into = [link for (_, after), link in edges.items() if after == sha256]
    out = [link for (before, _), link in edges.items() if before == sha256]
    # A state may come back, a deleted row that is judged again, so that it is counted.
    return max(into, key=lambda link: link.started) if len(into) > len(out) else None


def audit_chain(sha256: str, rows: Sequence[JournalRow], links: Sequence[Link], as_written: bool) -> list[Finding]:
    """What the records of runs say against a file of this hash and these rows. links: all that tell of this file.

    as_written: whether the file has the very form in which runs write it.
    """
    if not links:
        told = "no record of a run tells of it, so that an edit would not show; keep runs/ beside the journal"
        return [Finding(kind="no_record", told=told, grave=False)]
    found = [*_lost_writes(links)]
    if last_write(sha256, links) is not None:
        return found
    newest = max(links, key=lambda link: link.started)
    if later := [link for link in links if link.before == sha256]:
        told = (
            f"it was put back to what it was before {later[-1].run}: bring back what that run wrote, or run again what "
            "it did"
        )
        return [*found, Finding(kind="put_back", told=told)]
    if added := _added_since(rows, {link.after for link in links} - {link.before for link in links}):
        told = (
            f"its last write has no record: {added} came since {newest.run}, and all else is as recorded. A run that "
            "was killed before it kept its record does that; the next run that writes is recorded again"
        )
        return [*found, Finding(kind="unrecorded", told=told, grave=False)]
    form = "" if as_written else ", by another program than ours,"
    told = (
        f"it was changed{form} since {newest.run}, the last that left a record. An edit does that, or a run that was "
        "killed before it kept its record; journal recheck tells whether the rows are those that the bars give"
    )
    return [*found, Finding(kind="edited", told=told)]


def _lost_writes(links: Sequence[Link]) -> Iterator[Finding]:
    """Writes that began from a state which no record tells of: something had changed the file before."""
    known = {link.after for link in links} | {None}
    for link in sorted(links, key=lambda link: link.started):
        if link.before not in known:
            told = (
                f"before {link.run} something changed it that left no record: an edit, a run that was killed, or one "
                "whose record is gone"
            )
            yield Finding(kind="unrecorded", told=told, grave=False)


def _added_since(rows: Sequence[JournalRow], tips: set[str]) -> str | None:
    """Which rows were added to a recorded state, where taking some away gives that state again."""
    for what, keep in _without_some(rows):
        rest = [row for row in rows if keep(row)]
        if rest and len(rest) < len(rows) and rows_sha256(rest) in tips:
            return f"{len(rows) - len(rest)} row{'s' if len(rows) - len(rest) > 1 else ''} {what}"
    return None


def _without_some(rows: Sequence[JournalRow]) -> Iterator[tuple[str, Callable[[JournalRow], bool]]]:
    """Ways to take away what one run may have added: the last sessions, the first ones, a symbol, a play."""
    days = sorted({row.trade_date for row in rows})
    for day in days[:-TRIED:-1]:
        yield f"from {day} on", lambda row, day=day: row.trade_date < day  # type: ignore[misc]
    for day in days[:TRIED]:
        yield f"up to {day}", lambda row, day=day: row.trade_date > day  # type: ignore[misc]
    for symbol in sorted({row.symbol for row in rows})[:TRIED]:
        yield f"of {symbol}", lambda row, symbol=symbol: row.symbol != symbol  # type: ignore[misc]
    for params in sorted({row.params_hash for row in rows})[:TRIED]:
        yield f"of {params}", lambda row, params=params: row.params_hash != params  # type: ignore[misc]
