"""What only several rows can tell: gaps, trades of a session, histories, where series end, what lies together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby

from trading_playbook.core.audit.findings import Finding, day_of_row, finding_of
from trading_playbook.core.calendar import Calendar, missing_stretches
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.merge import require_one_origin


def audit_history(rows: Sequence[JournalRow], replaced: Iterable[JournalRow]) -> list[Finding]:
    """Whether each revised row has all that it replaced in the history."""
    kept: dict[object, set[int]] = {}
    for row in replaced:
        kept.setdefault(row.key, set()).add(row.revision)
    findings = []
    for row in rows:
        own = kept.get(row.key, set()) if row.revision else set()
        lacking = next((revision for revision in range(row.revision) if revision not in own), None)
        if lacking is not None:
            told = (
                f"is of revision {row.revision}, and the history lacks revision {lacking}; bring the history file "
                "back, or copy from a journal that has it"
            )
            findings.append(finding_of(row, "history", told))
    return findings


def audit_across(rows: Sequence[JournalRow]) -> list[Finding]:
    """What is wrong between the files of a journal that has several: rows of one key in two, simulated beside real."""
    counts = Counter(row.key for row in rows)
    told = "lies in two files of the journal; take out the file that no run writes"
    return [
        Finding(kind="identity", told=f"{key} {told}", symbol=key.symbol, session=day_of_row(key.trade_date))
        for key, count in counts.items()
        if count > 1
    ] + wrong_origins(rows)


def audit_endings(rows: Iterable[JournalRow], calendar: Calendar, through: date) -> list[Finding]:
    """Which series end before the last settled session. No fault: a play may have been given up, or tried once."""
    last: dict[tuple[str, str, str], date] = {}
    for row in rows:
        last[_series(row)] = max(row.trade_date, last.get(_series(row), row.trade_date))
    by_day: dict[date, list[str]] = {}
    for (strategy, params, symbol), day in sorted(last.items()):
        if day < through:
            by_day.setdefault(day, []).append(f"{symbol} ({strategy} {params})")
    findings = []
    for day, series in sorted(by_day.items()):
        sessions = sum(day < other <= through for year in range(day.year, through.year + 1)
                       for other in calendar.open_days(year))  # fmt: skip
        more = f" and {len(series) - 3} more" if len(series) > 3 else ""
        told = f"{', '.join(series[:3])}{more} end{'s' if len(series) == 1 else ''} on {day}, {sessions} sessions ago"
        findings.append(Finding(kind="ended", told=told, session=day, grave=False))
    return findings


def told_stretches(stretches: Sequence[tuple[date, date]], shown: int = 5) -> str:
    """Stretches of days for people."""
    told = [str(first) if first == last else f"{first} to {last}" for first, last in stretches[:shown]]
    more = [f"{len(stretches) - shown} more stretches"] if len(stretches) > shown else []
    return ", ".join(told + more)


def wrong_origins(rows: Sequence[JournalRow]) -> list[Finding]:
    """Simulated rows among real ones."""
    try:
        require_one_origin({row.data_feed for row in rows}, "the journal")
    except PlaybookError:
        return [Finding(kind="origin", told="simulated rows lie among real ones; take one of the two sorts out")]
    return []


def wrong_trade_numbers(rows: Sequence[JournalRow]) -> list[Finding]:
    """The trades of a session count from 1 without a gap, and a row without a trade is alone."""
    findings = []
    for _, same in groupby(rows, key=lambda row: (row.trade_date, *_series(row))):
        session = list(same)
        numbers = [row.trade_no for row in session]
        if numbers != list(range(1, len(session) + 1)) or (len(session) > 1 and not all(r.entered for r in session)):
            told = f"has rows of trade_no {', '.join(map(str, numbers))}: they count from 1, and no trade stands alone"
            findings.append(finding_of(session[0], "identity", told))
    return findings


def gaps_in(rows: Sequence[JournalRow], calendar: Calendar) -> list[Finding]:
    """Open sessions without a row between the first and the last of each series."""
    days: dict[tuple[str, str, str], list[date]] = {}
    for row in rows:
        days.setdefault(_series(row), []).append(row.trade_date)
    findings = []
    for (strategy, params, symbol), own in sorted(days.items()):
        if gaps := missing_stretches(own, calendar, max(own)):
            told = (
                f"{symbol} ({strategy} {params}) has no row for {told_stretches(gaps)}; run backtest --symbol {symbol} "
                f"--start {gaps[0][0]} --end {gaps[-1][1]} with these parameters"
            )
            findings.append(Finding(kind="gap", told=told, symbol=symbol, session=gaps[0][0]))
    return findings


def _series(row: JournalRow) -> tuple[str, str, str]:
    return row.strategy, row.params_hash, row.symbol
