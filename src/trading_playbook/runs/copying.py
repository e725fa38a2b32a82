"""Copying a journal to another place, by the identity rules of a writer, with its history and a record."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trading_playbook.core.errors import PlaybookError, ReviewConflict, gravest
from trading_playbook.core.journal import JournalRow, RowKey, compared_values
from trading_playbook.core.merge import TOLD_COLUMNS, WriteResult, require_one_origin
from trading_playbook.ports import Clock, JournalPlace, Manifest, RowQuery
from trading_playbook.runs.reading import files_of, rows_of
from trading_playbook.runs.report import error_facts, outcome_of, place_facts

COPIED = "copied"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What became of the rows of one journal in another. replaced: rows of the history that were handed over."""

    run_id: str
    started: datetime
    source: str
    target: str
    query: RowQuery
    written: tuple[WriteResult, ...]
    errors: tuple[PlaybookError, ...]
    replaced: int
    seconds: float
    code_version: str
    manifest: str | None = None

    @property
    def error(self) -> Exception | None:
        return gravest(self.errors)

    @property
    def outcome(self) -> str:
        """copied, already_done where all was there, or what kind of error decided."""
        if (error := self.error) is not None:
            return outcome_of(error)
        return COPIED if self.added else "already_done"

    @property
    def added(self) -> int:
        return sum(result.added for result in self.written)

    def facts(self) -> dict[str, object]:
        """The report as JSON values, the content of its record."""
        query = self.query
        return {
            "run_id": self.run_id,
            "started": self.started.isoformat(),
            "outcome": self.outcome,
            "request": {
                "copy_from": self.source,
                "copy_to": self.target,
                "symbols": None if query.symbols is None else sorted(query.symbols),
                "start": query.start.isoformat() if query.start else None,
                "end": query.end.isoformat() if query.end else None,
                "strategy": query.strategy,
                "params_hash": query.params_hash,
            },
            "code_version": self.code_version,
            "counts": {
                "added": self.added,
                "unchanged": sum(result.unchanged for result in self.written),
                "revised": 0,
                "conflicts": sum(len(result.conflicts) for result in self.written),
                "replaced": self.replaced,
            },
            "errors": [error_facts(error) for error in self.errors],
            "warnings": [],
            "places": [place_facts(result) for result in self.written],
            "seconds": {"copy": round(self.seconds, 3)},
            "api_calls": 0,
        }


def copy_journal(
    source: JournalPlace, target: JournalPlace, query: RowQuery, clock: Clock, code_version: str
) -> CopyReport:
    """Give the target those rows of the source that it lacks, with their revisions and what they have replaced.

    Equal rows stay, different ones are conflicts and stay too. Raises FixRequest where the source holds no journal, or
    simulated and real rows would come to lie together.
    """
    run_id, started, began = os.urandom(6).hex(), clock.now(), clock.monotonic()
    target.journal.require_writable()
    target.runs.require_writable()
    rows = rows_of(source.journal, query)
    there = files_of(target.journal)
    require_one_origin({row.data_feed for row in rows} | target.journal.feeds(RowQuery()), target.journal.place)
    stored = {row.key: row for file in there for row in file.rows}
    kept = {(compared_values(row), row.revision) for file in there for row in file.replaced}
    replaced = [row for row in _replaced(source, rows, stored) if (compared_values(row), row.revision) not in kept]
    for row in rows:
        target.journal.write_trade(row)
    for row in replaced:
        target.journal.write_replaced(row)
    answers: Sequence[WriteResult | PlaybookError] = target.journal.finalize()
    written = tuple(answer for answer in answers if isinstance(answer, WriteResult))
    report = CopyReport(
        run_id=run_id,
        started=started,
        source=source.journal.place,
        target=target.journal.place,
        query=query,
        written=written,
        errors=(
            *(answer for answer in answers if isinstance(answer, PlaybookError)),
            *(_told(conflict, source.journal.place) for result in written for conflict in result.conflicts),
        ),
        replaced=len(replaced),
        seconds=clock.monotonic() - began,
        code_version=code_version,
    )
    manifest = Manifest(run_id=run_id, started=started, outcome=report.outcome, facts=report.facts())
    try:
        return replace(report, manifest=target.runs.append(manifest))
    except PlaybookError as error:
        return replace(report, errors=(*report.errors, error))


def _told(conflict: ReviewConflict, source: str) -> ReviewConflict:
    """A conflict in the words of a copy: nothing was judged, so there is nothing to revise."""
    columns = conflict.columns or {}
    told = [f"{name} {here or 'empty'} is {there or 'empty'} in {source}" for name, (here, there) in columns.items()]
    more = f" and {len(told) - TOLD_COLUMNS} more columns" if len(told) > TOLD_COLUMNS else ""
    return ReviewConflict(
        f"{conflict.symbol} {conflict.session} differs and was kept as it is: {', '.join(told[:TOLD_COLUMNS])}{more}. "
        "journal diff shows all; journal recheck tells which of the two the bars give",
        symbol=conflict.symbol,
        session=conflict.session,
        columns=columns,
    )


def _replaced(
    source: JournalPlace, rows: Sequence[JournalRow], stored: dict[RowKey, JournalRow]
) -> Iterator[JournalRow]:
    """The history of the rows that the target is to have of the same revision as the source."""
    fitting = {
        row.key
        for row in rows
        if row.revision
        and (
            (known := stored.get(row.key)) is None
            or (compared_values(known) == compared_values(row) and known.revision == row.revision)
        )
    }
    if fitting:
        yield from (row for file in files_of(source.journal) for row in file.replaced if row.key in fitting)
