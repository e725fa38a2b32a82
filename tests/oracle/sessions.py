"""What belongs to the run and not to the strategy: the calendar, the checks of bars and closes, resampling."""

import importlib
import math
import warnings
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from zoneinfo import ZoneInfo

from tests.oracle.rows import MINUTES_TO_OPEN, SLOT_MINUTES, OhlcBar

NEW_YORK = ZoneInfo("America/New_York")
TRUNCATION_SLOTS = 8

MinuteBar = tuple[datetime, float, float, float, float]  # aware opening time, open, high, low, close
DailyClose = tuple[date, float]


@cache
def calendar_slots() -> dict[date, int]:
    """Return every XNYS session from 1990 to 2028, oldest first, with its number of 2-minute slots from 09:30."""
    slots: dict[date, int] = {}
    # Imported here because it brings pandas along, which judging one session does not need.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pandas tells the library is none of our tests' concern
        calendars = importlib.import_module("exchange_calendars")
        calendar = calendars.get_calendar("XNYS", start="1990-01-01", end="2028-12-31")
        for session, closing in calendar.closes.items():
            wall = closing.to_pydatetime().astimezone(NEW_YORK)
            slots[session.date()] = (wall.hour * 60 + wall.minute - MINUTES_TO_OPEN) // SLOT_MINUTES
    return slots


@cache
def previous_sessions() -> dict[date, date]:
    """Return the session before each session in the calendar; the calendar's first has none and is left out."""
    sessions = list(calendar_slots())
    return dict(zip(sessions[1:], sessions[:-1], strict=True))


@dataclass(slots=True)
class SessionBars:
    """One session's regular-hours bars as the feed gave them, repeats dropped."""

    by_minute: dict[int, OhlcBar] = field(default_factory=dict)  # whole minutes since 09:30
    is_bad: bool = False  # no session may be judged on these; what by_minute holds is then of no use
    last_closes: list[float] = field(default_factory=list)  # of the last bar: one, or each that its time came with


def regular_hours(bars: Iterable[MinuteBar], bar_minutes: int) -> dict[date, SessionBars]:
    """Return the regular-hours bars of each session that has any, checked one by one, oldest session first.

    Bars come in any order; bar_minutes is the feed's timeframe, 1 or 2. Pre- and post-market bars and bars of closed
    days are dropped unseen. Raises ValueError for a time without a zone.
    """
    calendar = calendar_slots()
    found: dict[date, SessionBars] = {}
    latest: datetime | None = None
    for opened, open_, high, low, close in sorted(bars, key=lambda bar: bar[0]):
        if opened.tzinfo is None:
            raise ValueError(f"{opened} has no zone")
        wall = opened.astimezone(NEW_YORK)
        minute = wall.hour * 60 + wall.minute - MINUTES_TO_OPEN
        if not 0 <= minute < SLOT_MINUTES * calendar.get(wall.date(), 0):
            continue
        session = found.setdefault(wall.date(), SessionBars())
        bar = (open_, high, low, close)
        on_border = wall.second == 0 and wall.microsecond == 0 and minute % bar_minutes == 0
        if not on_border or _is_impossible(bar) or session.by_minute.get(minute, bar) != bar:
            session.is_bad = True
        session.by_minute[minute] = bar
        if opened != latest:
            session.last_closes.clear()
            latest = opened
        session.last_closes.append(close)
    return found


def _is_impossible(bar: OhlcBar) -> bool:
    open_, high, low, close = bar
    for price in bar:
        if not math.isfinite(price) or price <= 0:
            return True
    return high < low or not low <= open_ <= high or not low <= close <= high


def two_minute_bars(session: SessionBars) -> dict[int, OhlcBar]:
    """Return a session's bars by slot, from its good 1-minute or 2-minute bars. A slot needs one of its minutes."""
    slots: dict[int, OhlcBar] = {}
    for minute in sorted(session.by_minute):
        slot = minute // SLOT_MINUTES
        open_, high, low, close = session.by_minute[minute]
        if slot in slots:
            first_open, first_high, first_low, _ = slots[slot]
            slots[slot] = (first_open, max(first_high, high), min(first_low, low), close)
        else:
            slots[slot] = (open_, high, low, close)
    return slots


def exit_slot(slots: int, exit_minutes_before_close: int) -> int:
    """Return the slot that ends at or just after that many minutes before the close of a session of so many slots."""
    minutes = SLOT_MINUTES * slots - exit_minutes_before_close
    slot = 0
    while SLOT_MINUTES * slot + SLOT_MINUTES < minutes:
        slot += 1
    return slot


def is_truncated(bars: Container[int], last_slot: int) -> bool:
    """Tell whether none of the eight slots that end with the exit slot (last_slot, counted in) has a bar."""
    return all(slot not in bars for slot in range(last_slot - TRUNCATION_SLOTS + 1, last_slot + 1))


def closes_of_sessions(closes: Iterable[DailyClose]) -> dict[date, list[float]]:
    """Return the different closes that each session's date comes with, oldest date first; one is as it should be.

    A date that is no session is left out, and an exact repeat is dropped.
    """
    calendar = calendar_slots()
    found: dict[date, list[float]] = {}
    for day, close in sorted(closes, key=lambda daily: daily[0]):
        if day not in calendar:
            continue
        values = found.setdefault(day, [])
        if close not in values:
            values.append(close)
    return found


def is_bad_close(values: Sequence[float]) -> bool:
    """Tell whether a date's closes contradict each other, or its close is not finite or not positive."""
    return len(values) != 1 or not math.isfinite(values[0]) or values[0] <= 0
