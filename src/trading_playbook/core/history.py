"""From what a feed knows of one symbol to sessions that can be judged, and why the others cannot.

These checks belong to the run, not to a strategy: a session that fails one gets no row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np

from trading_playbook.core.bars import Bars, BoolArray, IntArray
from trading_playbook.core.calendar import Session, slot_label
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
from trading_playbook.core.grid import LaidOut, lay_out
from trading_playbook.core.schedule import Schedule, Timetable, are_sessions
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


def prepare(history: History, schedule: Schedule, strategy: Strategy, accepted: Collection[date]) -> Prepared:
    """Check the bars and closes of the scheduled sessions and lay out what the strategy asks for.

    accepted: sessions that a person accepted by name though they are short or empty.
    """
    own, before, days = schedule.own, schedule.before, schedule.timetable.days
    laid = lay_out(history.bars, schedule.timetable, strategy.needs.bar_minutes)
    coverage = _coverage(history, laid, schedule.timetable, strategy, accepted)
    checked = check_closes(history.daily, partial(are_sessions, schedule.calendar))
    count = strategy.needs.closes
    closes, close_days, ends = closes_before(checked, days[own], count)

    bad_closes = np.zeros(len(checked.days), dtype=np.bool_)
    bad_closes[list(checked.faults)] = True
    bad_so_far = np.concatenate([[0], np.cumsum(bad_closes)])
    uses_bad_close = bad_so_far[ends] > bad_so_far[np.maximum(ends - count, 0)]
    refused: dict[date, CheckData] = {}
    troubled = coverage.bad_itself[own] | coverage.bad_before[before] | uses_bad_close
    for place in np.flatnonzero(troubled).tolist():
        fault = coverage.fault(own[place], before[place]) or _bad_close(checked, ends[place], count)
        day = schedule.timetable.sessions[own[place]].date
        refused[day] = _needed_by(fault, history.symbol, day)

    own, before = own[~troubled], before[~troubled]
    factors = price_factors(history.splits, close_days[:, ~troubled], days[own])
    return Prepared(
        symbol=history.symbol,
        sessions=tuple(schedule.timetable.sessions[place] for place in own.tolist()),
        batch=SessionBatch(
            session=laid.grid.take(own),
            previous=laid.grid.take(before).divided_by(price_factors(history.splits, days[before], days[own])),
            closes=closes[:, ~troubled] / factors,
        ),
        accepted=tuple(coverage.short[own].tolist()),
        refused=refused,
        remarks=_remarks(history.symbol, laid, checked, _late_closes(checked, ends[~troubled], days[before])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coverage:
    """Which sessions of a timetable cannot be used for lack of bars or for bad ones; arrays of shape (sessions,).

    empty: without any bar. short: empty, or without a bar in the tail, the last slots that must hold one.
    bad_itself: cannot be judged. bad_before: cannot be the session before one that is.
    """

    symbol: str
    timetable: Timetable
    faults: Mapping[int, CheckData]
    empty: BoolArray
    short: BoolArray
    tail: tuple[IntArray, IntArray]
    bar_minutes: int
    bad_itself: BoolArray
    bad_before: BoolArray

    def fault(self, own: int, before: int) -> CheckData | None:
        """What keeps a session from being judged, for its own bars or for those of the session before it."""
        if fault := self.faults.get(own) or self.faults.get(before):
            return fault
        if self.bad_itself[own]:
            return self._shortness(own)
        return self._shortness(before) if self.bad_before[before] else None

    def _shortness(self, place: int) -> CheckData:
        symbol, day = self.symbol, self.timetable.sessions[place].date
        remedy = f"wait for the feed, or accept the session with --accept {symbol}:{day}"
        if self.empty[place]:
            return NoData(
                f"{symbol} {day}: the exchange was open and the feed has no bar; {remedy}", symbol=symbol, session=day
            )
        first, last = (slot_label(int(slots[place]), self.bar_minutes) for slots in self.tail)
        return CheckData(
            f"{symbol} {day}: truncated_session, no bar from {first} to {last}; {remedy}",
            kind="truncated_session",
            symbol=symbol,
            session=day,
        )


def _coverage(
    history: History, laid: LaidOut, timetable: Timetable, strategy: Strategy, accepted: Collection[date]
) -> _Coverage:
    grid = laid.grid
    last = strategy.exit_slot(grid.session_slots)
    first = np.maximum(last - TAIL_SLOTS + 1, 0)
    tails = first[:, np.newaxis] + np.arange(TAIL_SLOTS)
    has_tail = ~np.isnan(grid.close[np.minimum(tails, last[:, np.newaxis]), np.arange(grid.rows)[:, np.newaxis]])
    short = ~np.any(has_tail, axis=1)
    empty = short & np.all(np.isnan(grid.close), axis=0)

    faulty = np.zeros(grid.rows, dtype=np.bool_)
    faulty[list(laid.faults)] = True
    unforgiven = short & ~np.array([session.date in accepted for session in timetable.sessions], dtype=np.bool_)
    # A previous session before the feed's first bar is empty for a good reason: the later one is judged alone.
    begun = np.zeros(grid.rows, dtype=np.bool_)
    if history.bars.first_session is not None:
        begun = timetable.days > day_number(history.bars.first_session)
    return _Coverage(
        symbol=history.symbol,
        timetable=timetable,
        faults=laid.faults,
        empty=empty,
        short=short,
        tail=(first, last),
        bar_minutes=grid.bar_minutes,
        bad_itself=faulty | unforgiven,
        bad_before=faulty | (unforgiven & (begun | ~empty)),
    )


def _bad_close(checked: CheckedCloses, end: int, count: int) -> CheckData:
    """The first bad one of the `count` closes that end before this position."""
    return checked.faults[min(position for position in checked.faults if end - count <= position < end)]


def _needed_by(fault: CheckData, symbol: str, day: date) -> CheckData:
    """The fault as this session's: where it lies in earlier data, the sentence says so."""
    if fault.session == day:
        return fault
    told = copy(fault)
    told.args = (f"{symbol} {day} cannot be judged, it needs earlier data: {fault.message}",)
    told.session = day
    return told


def _late_closes(checked: CheckedCloses, ends: IntArray, before: IntArray) -> int:
    """How many sessions have earlier closes, which end at these positions, but none of the very session before."""
    last = np.concatenate([[0], checked.days])[ends]
    return int(np.sum((ends > 0) & (last < before)))


def _remarks(symbol: str, laid: LaidOut, checked: CheckedCloses, late_closes: int) -> tuple[str, ...]:
    counts = {
        "sessions judged on older daily closes, that of the session before is not there": late_closes,
        "exact repeats of bars dropped": laid.repeats,
        "exact repeats of daily closes dropped": checked.repeats,
        "daily closes left out because their date is no session": checked.off_session,
    }
    return tuple(f"{symbol}: {count} {what}" for what, count in counts.items() if count)
