"""What a cache holds, as text that fits 80 columns and as JSON for a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from typing import TYPE_CHECKING

from trading_playbook.cli.summary import Style
from trading_playbook.core.errors import CheckData
from trading_playbook.runs.report import error_facts, outcome_of

if TYPE_CHECKING:
    from trading_playbook.wiring import CacheFile, Holding, Inventory

SHOWN_FOREIGN = 5
SHOWN_DAYS = 5


def inventory_text(inventory: Inventory, symbols: Sequence[str], style: Style, *, whole: bool) -> str:
    """A line a symbol and timeframe, the totals, what is damaged or foreign; a line a file where asked for."""
    if not inventory.files:
        return _nothing(inventory, symbols)
    blocks = [_table(inventory, style)] if inventory.holdings else []
    if whole:
        blocks.append(
            lines_under(style.heading("Files"), [line for file in inventory.files for line in _file_lines(file)])
        )
    damaged = [f"{plain(file.key)}: {file.damage}" for file in inventory.damaged]
    blocks += [lines_under(style.heading("Damaged"), damaged), _beside(inventory, style)]
    return "\n\n".join(block for block in blocks if block)


def inventory_json(inventory: Inventory) -> dict[str, object]:
    """All that is known of every file, and the same by symbol and timeframe."""
    return {
        "place": inventory.place,
        "holdings": [_facts(holding) for holding in inventory.holdings],
        "files": [_file_json(file) for file in inventory.files],
        "foreign": list(inventory.foreign),
        "totals": {
            "files": len(inventory.files),
            "size": sum(file.size for file in inventory.files),
            "sessions": sum(holding.sessions for holding in inventory.holdings),
            "bars": sum(holding.bars for holding in inventory.holdings),
            "doubtful": sum(holding.doubtful for holding in inventory.holdings),
            "gaps": sum(holding.gaps for holding in inventory.holdings),
            "damaged": len(inventory.damaged),
            "aside": len(inventory.aside),
        },
        "errors": [error_facts(error) for error in inventory.errors],
    }


def verification_text(inventory: Inventory, symbols: Sequence[str], style: Style) -> str:
    """Whether all files are sound; which are not, why, and what to do."""
    if not inventory.files:
        return _nothing(inventory, symbols)
    bad, unread = len(inventory.damaged), len(inventory.errors)
    read = f"{counted(len(inventory.used) - unread, 'file')} read, {size(sum(file.size for file in inventory.used))}"
    told = f"{bad} damaged" if bad else "all sound"
    head = style.heading(f"{read}: {told}{f', {unread} could not be read' if unread else ''}")
    lines = [
        line for file in inventory.damaged for line in (plain(file.address), f"  {file.damage}", f"  {remedy(file)}")
    ]
    blocks = [head, lines_under(style.heading("Damaged"), lines), _beside(inventory, style)]
    return "\n\n".join(block for block in blocks if block)


def verification_json(inventory: Inventory) -> dict[str, object]:
    """The outcome, and every damaged file with what to do."""
    damaged = [{**_file_json(file), "remedy": remedy(file)} for file in inventory.damaged]
    return {
        "place": inventory.place,
        "outcome": outcome_of(inventory.errors[0]) if inventory.errors else "data" if damaged else "done",
        "read": len(inventory.used) - len(inventory.errors),
        "size": sum(file.size for file in inventory.used),
        "damaged": damaged,
        "aside": [_file_json(file) for file in inventory.aside],
        "foreign": list(inventory.foreign),
        "errors": [error_facts(error) for error in inventory.errors],
    }


def damage_of(file: CacheFile) -> CheckData:
    """The error that a damaged file is."""
    return CheckData(f"{file.address}: {file.damage}", kind="bad_file", symbol=file.symbol)


def remedy(file: CacheFile) -> str:
    """What to do about a damaged file."""
    if file.unsound:
        return "remove it: a run would not notice; what it held is fetched again"
    return "nothing: the next run that needs it puts it aside and fetches it again"


def size(count: int) -> str:
    """Bytes for people: 512 B, 13 KB, 1.2 MB."""
    if count < 1_000:
        return f"{count} B"
    if count < 999_500:
        return f"{count / 1_000:.0f} KB"
    return f"{count / 1e6:,.1f} MB" if count < 999_950_000 else f"{count / 1e9:,.1f} GB"


def _nothing(inventory: Inventory, symbols: Sequence[str]) -> str:
    of = f" of {', '.join(symbols)}" if symbols else ""
    told = f"The cache at {plain(inventory.place)} holds nothing{of}."
    return told if not inventory.foreign else f"{told}\n{_foreign(inventory.foreign)}"


def _table(inventory: Inventory, style: Style) -> str:
    holdings, used = inventory.holdings, inventory.used
    titles = ("Source", "Frame", "Symbol", "From", "To", "Sessions", "Bars", "Size", "Gaps", "Doubt")
    rows = [_cells(holding) for holding in holdings]
    widths = [max(len(row[place]) for row in (titles, *rows)) for place in range(len(titles))]
    head, *lines = (_aligned(row, widths) for row in (titles, *rows))
    symbols = len({holding.symbol for holding in holdings})
    total = (
        f"{counted(symbols, 'symbol')}, {counted(len(used), 'file')}, {size(sum(file.size for file in used))}, "
        f"at {plain(inventory.place)}"
    )
    legend = {
        "Gaps: open days between the first session and the last that are not held.": any(own.gaps for own in holdings),
        "Doubt: answers that may not be final yet; asked for again on a later day.": any(
            own.doubtful for own in holdings
        ),
    }
    told = [text for text, applies in legend.items() if applies]
    return "\n".join([style.heading(head), *lines, "", total, *told])


def _cells(holding: Holding) -> tuple[str, ...]:
    return (
        holding.source,
        holding.timeframe,
        holding.symbol,
        holding.first or "-",
        holding.last or "-",
        f"{holding.sessions:,}",
        f"{holding.bars:,}",
        size(holding.size),
        str(holding.gaps or "-"),
        str(holding.doubtful or "-"),
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, two blanks between; numbers to the right, one between."""
    names = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[:5], widths[:5], strict=True))
    return f"{names}  " + " ".join(f"{cell:>{width}}" for cell, width in zip(row[5:], widths[5:], strict=True))


def _file_lines(file: CacheFile) -> list[str]:
    key = plain(file.key)
    if file.aside:
        return [f"{key}  {size(file.size)}"]
    what = "bar" if file.month else "close"
    notes = {
        "damaged": file.damage or "",
        "unreadable": "see the errors" if file.error else "",
        "lacks": _days(file.gaps),
        "in doubt": _days(file.doubtful),
        "without bars": _days(file.empty),
    }
    head = f"{key}  {counted(file.sessions, 'session')}, {counted(file.bars, what)}, {size(file.size)}"
    return [head, *(f"  {name}: {told}" for name, told in notes.items() if told)]


def _days(days: Sequence[date]) -> str:
    more = f" and {len(days) - SHOWN_DAYS} more" if len(days) > SHOWN_DAYS else ""
    return ", ".join(map(str, days[:SHOWN_DAYS])) + more


def _beside(inventory: Inventory, style: Style) -> str:
    """What lies in the cache's place and takes no part."""
    lines = []
    if aside := inventory.aside:
        told = f"{counted(len(aside), 'file')}, {size(sum(file.size for file in aside))}"
        lines.append(f"Put aside as damaged: {told}, until `cache prune --damaged`.")
    if inventory.foreign:
        lines.append(_foreign(inventory.foreign))
    return "\n".join(lines)


def _foreign(keys: Sequence[str]) -> str:
    names = ", ".join(map(plain, keys[:SHOWN_FOREIGN])) + (", ..." if len(keys) > SHOWN_FOREIGN else "")
    return f"Not of the cache, left alone: {counted(len(keys), 'file')} ({names})."


def _file_json(file: CacheFile) -> dict[str, object]:
    return {**_facts(file), "error": file.error.message if file.error else None}


def _facts(record: CacheFile | Holding) -> dict[str, object]:
    """Its fields as JSON values."""
    return {own.name: _json_value(getattr(record, own.name)) for own in fields(record)}


def _json_value(value: object) -> object:
    if isinstance(value, tuple):
        return [_json_value(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value


def lines_under(head: str, lines: Sequence[str]) -> str:
    """A heading with lines under it; nothing where there is no line."""
    return "\n".join([head, *(f"  {line}" for line in lines)]) if lines else ""


def counted(number: int, what: str) -> str:
    """1 file, 2 files."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """A name for people: what could move a terminal's cursor is escaped."""
    return text if text.isprintable() else ascii(text)
