"""What an audit finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from trading_playbook.core.journal import JournalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an audit found. told: one line, with what to do. grave: False for what a person should merely know.

    kind: unreadable, form, origin, identity, type, columns, time, arithmetic, calendar, gap, history, edited, put_back,
    unrecorded, no_record, ended.
    """

    kind: str
    told: str
    symbol: str | None = None
    session: date | None = None
    grave: bool = True

    def __post_init__(self) -> None:
        # A row may hold anything, and what is told of it must stay one plain line.
        plain = "".join(letter if letter.isprintable() else "?" for letter in self.told)
        object.__setattr__(self, "told", plain)


Wrong = Iterator[tuple[str, str]]
"""Kinds of finding, and what is told of the row."""


def finding_of(row: JournalRow, kind: str, told: str) -> Finding:
    """A finding of one row; told goes on from its symbol and session."""
    symbol, day = str(row.symbol)[:20], row.trade_date
    session = day_of_row(day)
    return Finding(kind=kind, told=f"{symbol} {str(day)[:20]} {told}", symbol=symbol, session=session)


def day_of_row(value: object) -> date | None:
    """The session of a row, None where it is no date."""
    return value if isinstance(value, date) and not isinstance(value, datetime) else None
