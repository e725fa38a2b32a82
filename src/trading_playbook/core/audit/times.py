"""Whether the times of a row fit its session, its window and each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from trading_playbook.core.audit.findings import Wrong
from trading_playbook.core.calendar import Calendar, Session, new_york_time
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.strategies import REGISTRY

_OPENS = 9 * 60 + 30

_WINDOW = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")

_FOLLOWED = frozenset({"reversal_candle_time", "confirmation_candle_time"})
"""What comes next to these comes on the very next bar."""


def wrong_times(row: JournalRow, calendar: Calendar) -> Wrong:
    """Days without a session, and times outside it, off the grid of bars, or out of order."""
    try:
        session = calendar.session(row.trade_date)
    except PlaybookError as error:
        yield "calendar", f"is of a day that is not known: {error.message}"
        return
    if session is None:
        yield "calendar", f"is of a day on which the exchange was closed, by the calendar of {calendar.version[:40]}"
        return
    window = _WINDOW.fullmatch(row.entry_window)
    if window is None:
        yield "time", f"has entry_window {row.entry_window[:20]!r}; expected is HH:MM-HH:MM"
        return
    walk = {
        "first_close_below_time": row.first_close_below_time,
        "reversal_candle_time": row.reversal_candle_time,
        "confirmation_candle_time": row.confirmation_candle_time,
    }
    trade = {"entry_time_et": row.entry_time_et, "eod_exit_time": row.eod_exit_time}
    step = _bar_minutes(row.strategy)
    for name, label in {**walk, **trade}.items():
        if label is not None:
            yield from _wrong_label(name, label, session, step)
            if name in walk and not window[1] <= label <= window[2]:
                yield "time", f"has {name} {label}, outside its window {row.entry_window}"
    yield from _wrong_order(row, walk, step)
    if row.entry_time_et is not None:
        yield from _wrong_entry_time(row, row.entry_time_et, step)


def _wrong_label(name: str, label: str, session: Session, step: int | None) -> Wrong:
    if not _OPENS <= _minutes(label) < _OPENS + session.minutes:
        yield "time", f"has {name} {label}, outside its session, 09:30 to {new_york_time(session.closes):%H:%M}"
    elif step is not None and (_minutes(label) - _OPENS) % step:
        yield "time", f"has {name} {label}, on which no bar of {step} minutes opens"


def _wrong_order(row: JournalRow, walk: Mapping[str, str | None], step: int | None) -> Wrong:
    times = {**walk, "entry_time_et": row.entry_time_et}
    known = [(name, label) for name, label in times.items() if label is not None]
    for (name, label), (later_name, later) in pairwise(known):
        if label >= later:
            yield "time", f"has {later_name} {later}, not after {name} {label}"
        elif step and name in _FOLLOWED and _minutes(later) - _minutes(label) != step:
            yield "time", f"has {later_name} {later}; expected is the bar after {name} {label}"
    if row.entry_time_et is not None and row.eod_exit_time is not None and row.eod_exit_time < row.entry_time_et:
        yield "time", f"has eod_exit_time {row.eod_exit_time}, before its entry at {row.entry_time_et}"


def _wrong_entry_time(row: JournalRow, label: str, step: int | None) -> Wrong:
    start = _minutes(label) // 10 * 10
    bucket = "-".join(f"{moment // 60:02}:{moment % 60:02}" for moment in (start, start + 10))
    if row.entry_bucket not in (bucket, None):
        yield "time", f"has entry_bucket {row.entry_bucket[:20]!r}; the entry at {label} lies in {bucket}"
    slots = (_minutes(label) - _OPENS) // step if step else None
    if row.bars_since_open is not None and slots is not None and row.bars_since_open != slots:
        yield "time", f"has bars_since_open {row.bars_since_open}; {label} is bar {slots}, 09:30 being 0"


@cache
def _bar_minutes(strategy: str) -> int | None:
    return REGISTRY[strategy]({}).needs.bar_minutes if strategy in REGISTRY else None


def _minutes(label: str) -> int:
    return int(label[:2]) * 60 + int(label[3:5])
