"""What a refresh or a pruning did to a cache, as text that fits 80 columns and as JSON for a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from trading_playbook.cli.cache_text import counted, lines_under, plain, size
from trading_playbook.cli.summary import Style
from trading_playbook.core.errors import TooEarly
from trading_playbook.core.remarks import ChangedData
from trading_playbook.runs.refreshing import RefreshReport
from trading_playbook.runs.report import error_facts, outcome_of

if TYPE_CHECKING:
    from trading_playbook.wiring import CacheFile, Removal

SHOWN_FILES = 20


def refresh_text(report: RefreshReport, start: date, end: date, style: Style) -> str:
    """What was asked for again and what changed, by symbol."""
    symbols = ", ".join(report.symbols[:6]) + (f" and {len(report.symbols) - 6} more" if report.symbols[6:] else "")
    blocks = [style.heading(f"{symbols}  {start} to {end}  feed {report.data_feed}")]
    if not report.sessions:
        return blocks[0]
    calls = counted(report.usage.api_calls, "call")
    blocks[0] += f"\n{counted(len(report.sessions), 'session')} asked for again, and the one before; {calls}"
    changes = [_change_line(change) for change in _by_symbol(report.changed)]
    if changes:
        blocks.append(lines_under(style.heading("Changed, and kept as it is now"), changes))
        blocks.append("Rows of a journal stay as they are; a backtest with --revise replaces them.")
    elif all(isinstance(error, TooEarly) for error in report.errors):
        blocks.append("No bar and no daily close that the cache held has changed.")
    blocks.append(lines_under(style.heading("Warnings"), report.warnings))
    return "\n\n".join(block for block in blocks if block)


def refresh_json(report: RefreshReport, start: date, end: date) -> dict[str, object]:
    return {
        "outcome": outcome_of(report.error) if report.error else "done",
        "data_feed": report.data_feed,
        "symbols": list(report.symbols),
        "start": start.isoformat(),
        "end": end.isoformat(),
        "sessions": [day.isoformat() for day in report.sessions],
        "changed": [
            {
                "symbol": change.symbol,
                "what": change.what,
                "number": change.number,
                "first": change.first,
                "largest": change.largest,
            }
            for change in _by_symbol(report.changed)
        ],
        "warnings": list(report.warnings),
        "errors": [error_facts(error) for error in report.errors],
        "api_calls": report.usage.api_calls,
    }


def pruning_text(
    place: str, files: Sequence[CacheFile], removals: Sequence[Removal] | None, style: Style, *, whole: bool
) -> str:
    """What went and what stayed. removals: None where nothing was to be touched."""
    if not files:
        return f"Nothing to remove: the cache at {plain(place)} holds no such file."
    gone = list(files) if removals is None else [removal.file for removal in removals if removal.is_done]
    total = f"{counted(len(gone), 'file')}, {size(sum(file.size for file in gone))}"
    head = f"Would remove {total}; nothing was touched" if removals is None else f"Removed {total}"
    shown = gone if whole else gone[:SHOWN_FILES]
    lines = [f"{plain(file.key)}  {size(file.size)}" for file in shown]
    if len(shown) < len(gone):
        lines.append(f"... and {len(gone) - len(shown)} more; -v names all")
    lost = [plain(removal.file.key) for removal in removals or () if removal.lost]
    blocks = [
        lines_under(style.heading(head), lines),
        lines_under(style.heading("Left, changed by another process"), lost),
    ]
    return "\n\n".join(block for block in blocks if block) or head


def pruning_json(place: str, files: Sequence[CacheFile], removals: Sequence[Removal] | None) -> dict[str, object]:
    outcomes = removals or ()
    gone = files if removals is None else [removal.file for removal in removals if removal.is_done]
    errors = [file.error for file in files] if removals is None else [removal.error for removal in outcomes]
    found = [error for error in errors if error is not None]
    return {
        "place": place,
        "outcome": outcome_of(found[0]) if found else "done",
        "dry_run": removals is None,
        "removed": [{"key": file.key, "address": file.address, "size": file.size} for file in gone],
        "size": sum(file.size for file in gone),
        "lost": [removal.file.key for removal in outcomes if removal.lost],
        "errors": [error_facts(error) for error in found],
    }


def _by_symbol(changes: Iterable[ChangedData]) -> list[ChangedData]:
    """The changes of each symbol's bars as one, and those of its closes; they came month by month."""
    whole: dict[tuple[str, str], ChangedData] = {}
    for change in changes:
        key = change.symbol, change.what
        known = whole.get(key, change)
        whole[key] = ChangedData(
            str(change),
            symbol=change.symbol,
            what=change.what,
            number=change.number + (known.number if key in whole else 0),
            first=min(known.first, change.first),
            largest=max(known.largest, change.largest),
        )
    return list(whole.values())


def _change_line(change: ChangedData) -> str:
    by = f", by up to {change.largest:.3%}" if change.largest else ""
    return f"{change.symbol}: {counted(change.number, change.what)}, the first {change.first}{by}"
