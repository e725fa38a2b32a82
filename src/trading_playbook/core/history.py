"""From what a feed knows of one symbol to sessions that can be judged, and why the others cannot.

These checks belong to the run, not to a strategy: a session that fails one gets no row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date

import numpy as np

from trading_playbook.core.bars import Bars, BoolArray, IntArray
from trading_playbook.core.calendar import Calendar, Session, slot_label
from trading_playbook.core.daily import (
    CheckedCloses,
    DailyCloses,
    Split,
    check_closes,
    closes_before,
    day_number,
    price_factors,
)
from trading_playbook.core.errors import CheckData, NoData
from trading_playbook.core.grid import LaidOut, SessionGrid, lay_out
from trading_playbook.core.strategies.protocol import SessionBatch, Strategy

TAIL_SLOTS = 8
"""A session without a bar in this many slots, the exit slot the last of them, was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a feed knows of one symbol, raw and unchecked."""

    symbol: str
    bars: Bars
    daily: DailyCloses
    splits: tuple[Split, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The sessions of one symbol that can be judged, and what became of the others.

    sessions: those of batch, one a row. accepted: whether a row is judged only by a person's leave.
    refused: for each other session the error. remarks: what was dropped on the way, for people.
    """

    symbol: str
    sessions: tuple[Session, ...]
    batch: SessionBatch
    accepted: tuple[bool, ...]
    refused: dict[date, CheckData]
    remarks: tuple[str, ...]

    @property
    def keys(self) -> list[tuple[str, date]]:
        return [(self.symbol, session.date) for session in self.sessions]


def prepare(
    history: History, sessions: Sequence[Session], calendar: Calendar, strategy: Strategy, accepted: Collection[date]
) -> Prepared:
    """Check the bars and closes of these sessions (oldest first) and lay out what the strategy asks for.

    accepted: sessions that a person accepted by name though they are short or empty.
    """
    previous = [calendar.previous(session.date) for session in sessions]
    known = {session.date: session for session in (*previous, *sessions)}
    days = sorted(known)
    laid = lay_out(history.bars, [known[day] for day in days], strategy.needs.bar_minutes)
    coverage = _coverage(laid.grid, strategy)
    row_of = {day: row for row, day in enumerate(days)}
    checked = check_closes(history.daily, calendar.is_open)
    closes, close_days, ends = closes_before(checked, _numbers(sessions), strategy.needs.closes)

    def fault_of(session: Session, before: Session, end: int) -> CheckData | None:
        row, row_before = row_of[session.date], row_of[before.date]
        fault = laid.faults.get(row) or laid.faults.get(row_before)
        if fault is None and session.date not in accepted:
            fault = coverage.fault(history.symbol, session.date, row)
        # A previous session before the feed's first bar has none for a good reason: the session alone is used.
        begun = history.bars.first_session is not None and history.bars.first_session < before.date
        if fault is None and before.date not in accepted and (begun or not coverage.empty[row_before]):
            fault = coverage.fault(history.symbol, before.date, row_before)
        return fault or _bad_close(checked, end, strategy.needs.closes)

    refused: dict[date, CheckData] = {}
    for session, before, end in zip(sessions, previous, ends.tolist(), strict=True):
        if (fault := fault_of(session, before, end)) is not None:
            refused[session.date] = _needed_by(fault, history.symbol, session.date)

    good = np.array([session.date not in refused for session in sessions], dtype=np.bool_)
    own = np.array([row_of[session.date] for session in sessions], dtype=np.int64)[good]
    prior = np.array([row_of[session.date] for session in previous], dtype=np.int64)[good]
    numbers = _numbers(sessions)[good]
    return Prepared(
        symbol=history.symbol,
        sessions=tuple(session for session in sessions if session.date not in refused),
        batch=SessionBatch(
            session=laid.grid.take(own),
            previous=laid.grid.take(prior).divided_by(price_factors(history.splits, _numbers(previous)[good], numbers)),
            closes=closes[:, good] / price_factors(history.splits, close_days[:, good], numbers),
        ),
        accepted=tuple((coverage.empty | coverage.cut_short)[own].tolist()),
        refused=refused,
        remarks=_remarks(history.symbol, laid, checked),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coverage:
    """Which sessions are without any bar, and which end before their exit; arrays of shape (sessions,).

    tail: first and last slot of the stretch that must hold a bar, shape (2, sessions).
    """

    empty: BoolArray
    cut_short: BoolArray
    tail: IntArray
    bar_minutes: int

    def fault(self, symbol: str, day: date, row: int) -> CheckData | None:
        """What is wrong with a session that nobody accepted."""
        if self.empty[row]:
            return NoData(
                f"{symbol} {day}: the exchange was open and the feed has no bar; wait for the feed, "
                f"or accept the session with --accept {symbol}:{day}",
                symbol=symbol,
                session=day,
            )
        if self.cut_short[row]:
            first, last = (slot_label(int(slot), self.bar_minutes) for slot in self.tail[:, row])
            return CheckData(
                f"{symbol} {day}: truncated_session, no bar from {first} to {last}; wait for the feed, "
                f"or accept the session with --accept {symbol}:{day}",
                kind="truncated_session",
                symbol=symbol,
                session=day,
            )
        return None


def _coverage(grid: SessionGrid, strategy: Strategy) -> _Coverage:
    has_bar = ~np.isnan(grid.close)
    last = strategy.exit_slot(grid.session_slots)
    first = np.maximum(last - TAIL_SLOTS + 1, 0)
    slots = np.arange(grid.slots)[:, np.newaxis]
    empty = ~np.any(has_bar, axis=0)
    in_tail = (has_bar & (slots >= first) & (slots <= last)).any(axis=0)
    return _Coverage(
        empty=empty, cut_short=~empty & ~in_tail, tail=np.stack([first, last]), bar_minutes=grid.bar_minutes
    )


def _bad_close(checked: CheckedCloses, end: int, count: int) -> CheckData | None:
    """The first bad one of the `count` closes that end before this position."""
    bad = [position for position in checked.faults if end - count <= position < end]
    return checked.faults[min(bad)] if bad else None


def _needed_by(fault: CheckData, symbol: str, day: date) -> CheckData:
    """The fault as this session's: where it lies in earlier data, the sentence says so."""
    if fault.session == day:
        return fault
    told = copy(fault)
    told.args = (f"{symbol} {day} cannot be judged, it needs earlier data: {fault.message}",)
    told.session = day
    return told


def _remarks(symbol: str, laid: LaidOut, checked: CheckedCloses) -> tuple[str, ...]:
    counts = {
        "exact repeats of bars dropped": laid.repeats,
        "exact repeats of daily closes dropped": checked.repeats,
        "daily closes left out because their date is no session": checked.off_session,
    }
    return tuple(f"{symbol}: {count} {what}" for what, count in counts.items() if count)


def _numbers(sessions: Sequence[Session]) -> IntArray:
    return np.array([day_number(session.date) for session in sessions], dtype=np.int64)
