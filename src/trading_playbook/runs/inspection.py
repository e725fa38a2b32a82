"""Verifying a journal: its rows against each other and the calendar, its files against the records of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from trading_playbook.core.audit import Finding, audit, audit_across, audit_endings, audit_history
from trading_playbook.core.calendar import Calendar, new_york_date
from trading_playbook.core.chain import Link, audit_chain, last_write
from trading_playbook.core.errors import FixRequest, PlaybookError
from trading_playbook.core.journal import JournalRow
from trading_playbook.ports import JournalFile, JournalPlace, Manifest, RowQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One file of a journal, or its collection: its hash, its rows, the write that left it where a record tells."""

    place: str
    sha256: str
    rows: int
    last_write: Link | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found at a place. rows: those that were looked at one by one."""

    place: str
    files: tuple[Inspected, ...]
    rows: tuple[JournalRow, ...]
    findings: tuple[tuple[str, Finding], ...]

    @property
    def well(self) -> bool:
        """Whether nothing is wrong; what a person should merely know does not count."""
        return not any(finding.grave for _, finding in self.findings)


def last_settled(calendar: Calendar, now: datetime, settle_after: timedelta) -> date | None:
    """The last session whose bars have settled, None where the calendar does not know it."""
    today = new_york_date(now)
    if not calendar.first <= today <= calendar.last:
        return None
    sessions = calendar.last_sessions(settle_after.days + 2, today)
    return max((session.date for session in sessions if session.settles(settle_after) <= now), default=None)


def inspect_journal(place: JournalPlace, query: RowQuery, calendar: Calendar, through: date | None) -> Inspection:
    """Verify the rows that the query takes, and every file that holds some, against the records beside the journal.

    through: the last settled session, up to which series are expected to go on; None to expect nothing.
    Raises FixRequest where the place holds no journal, RetryLater or FixConfig where it cannot be read; a file that is
    damaged is a finding.
    """
    found = _look(place, query, calendar, through)
    if any(file.last_write is None for file in found.files):
        # A run may have written between our looks at the records and at the files; then all fits at a second look.
        found = _look(place, query, calendar, through)
    return found


def _look(place: JournalPlace, query: RowQuery, calendar: Calendar, through: date | None) -> Inspection:
    links = links_by_name(place.runs.list())
    files: list[Inspected] = []
    rows: list[JournalRow] = []
    findings: list[tuple[str, Finding]] = []
    for file in place.journal.files(query):
        if isinstance(file, FixRequest):
            findings.append((place.journal.place, Finding(kind="unreadable", told=file.message)))
        elif isinstance(file, PlaybookError):
            raise file
        else:
            own = links.get(file_name(file.place), ())
            taken = [row for row in file.rows if query.takes(row)]
            rows += taken
            left_by = last_write(file.sha256, own)
            files.append(Inspected(place=file.place, sha256=file.sha256, rows=len(file.rows), last_write=left_by))
            findings += [(file.place, finding) for finding in _of_file(file, own, taken, calendar)]
    if not files and not findings:
        raise FixRequest(f"{place.journal.place} holds no journal yet: run a backtest first, or name another place")
    if through is not None:
        endings = audit_endings(rows, calendar, min(through, query.end or through))
        findings += [(place.journal.place, finding) for finding in endings]
    if len(files) > 1:
        findings += [(place.journal.place, finding) for finding in audit_across(rows)]
    return Inspection(
        place=place.journal.place,
        files=tuple(files),
        rows=tuple(sorted(rows, key=lambda row: row.key)),
        findings=tuple(findings),
    )


def file_name(address: str) -> str:
    """The last part of an address: a journal may be moved, with its records, and keeps its name."""
    return address.rstrip("/").rpartition("/")[2]


def links_by_name(manifests: Iterable[Manifest]) -> Mapping[str, Sequence[Link]]:
    """The writes that records tell of, by the names of the files, oldest first. What is no such fact is passed over."""
    links: dict[str, list[Link]] = {}
    for manifest in sorted(manifests, key=lambda manifest: manifest.started):
        places = manifest.facts.get("places")
        for facts in places if isinstance(places, list) else ():
            if not isinstance(facts, dict):
                continue
            address, before, after = (facts.get(name) for name in ("place", "sha256_before", "sha256_after"))
            if isinstance(address, str) and isinstance(after, str) and (before is None or isinstance(before, str)):
                link = Link(run_id=manifest.run_id, started=manifest.started, before=before, after=after)
                links.setdefault(file_name(address), []).append(link)
    return links


def _of_file(
    file: JournalFile, links: Sequence[Link], taken: Sequence[JournalRow], calendar: Calendar
) -> Iterable[Finding]:
    findings = audit(taken, calendar)
    findings += audit_history(taken, file.replaced)
    if not file.as_written:
        told = "it has not the form in which runs write it; a spreadsheet or an editor saved it. It is still read"
        findings.append(Finding(kind="form", told=told, grave=False))
    if list(file.rows) != sorted(file.rows, key=lambda row: row.key):
        findings.append(Finding(kind="form", told="its rows are not in the order of their keys"))
    name = file_name(file.place)
    chain = audit_chain(file.sha256, file.rows, links, file.as_written)
    findings += [replace(finding, told=f"{name}: {finding.told}") for finding in chain]
    return findings
