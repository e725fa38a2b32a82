"""Sessions told slot by slot, and the core asked about them: histories, prepared sessions, rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from trading_playbook.core.bars import Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.costs import NoCost, parse_cost
from trading_playbook.core.daily import DailyCloses, Split, day_number
from trading_playbook.core.grid import LaidOut, lay_out
from trading_playbook.core.history import History, Prepared, prepare
from trading_playbook.core.journal import HEADER, JournalRow, row_cells
from trading_playbook.core.rows import Play, RowMaker, judge_sessions
from trading_playbook.core.schedule import Schedule, Timetable
from trading_playbook.core.strategies.dp20 import Dp20
from trading_playbook.core.strategies.protocol import SessionBatch, Strategy

Ohlc = tuple[float, float, float, float]
"""Open, high, low, close."""

Timed = tuple[datetime, float, float, float, float]
"""Aware opening time, open, high, low, close."""

CALENDAR = Calendar()
NEW_YORK = ZoneInfo("America/New_York")
VOLUME = 100.0

# The story that the tests tell by hand. Until 10:00 every bar closes at 100 with a range of 1, so EMA20 is 100 and
# ATR14 is 1. From there, with k = 2 / 21, every true range stays 1 and so does ATR14:
#   10:00 PULLBACK  close  99.58: EMA = 100   - 0.42 x 2/21 =  99.96, the close lies below it
#   10:02 REVERSAL  close 100.17: EMA =  99.96 + 0.21 x 2/21 =  99.98, above; (100.17 - 99.375) / 1 = 0.795 > 0.60
#   10:04 CONFIRM   close 100.19: EMA =  99.98 + 0.21 x 2/21 = 100.00, not below
#   10:06 ENTRY     open  100.50: stop = 100.50 - 1.2 x 1 = 99.30, risk 1.20
# QUIET bars after it have a low of 99.50 and leave the stop alone.
QUIET: Ohlc = (100.0, 100.5, 99.5, 100.0)
PULLBACK: Ohlc = (100.0, 100.5, 99.5, 99.58)
REVERSAL: Ohlc = (99.6, 100.375, 99.375, 100.17)
CONFIRM: Ohlc = (100.17, 100.625, 99.625, 100.19)
ENTRY: Ohlc = (100.5, 101.0, 100.0, 100.5)


def quiet(slots: int = 195) -> dict[int, Ohlc]:
    """A session in which nothing happens."""
    return dict.fromkeys(range(slots), QUIET)


def story(changes: Mapping[int, Ohlc | None] | None = None, slots: int = 195) -> dict[int, Ohlc]:
    """A session with an entry at 10:06, with some slots changed, or taken out where None."""
    told = {**quiet(slots), 15: PULLBACK, 16: REVERSAL, 17: CONFIRM, 18: ENTRY, **(changes or {})}
    return {slot: bar for slot, bar in told.items() if bar is not None}


def session_of(day: date) -> Session:
    """The session of an open day."""
    session = CALENDAR.session(day)
    assert session is not None
    return session


def timed(days: Mapping[date, Mapping[int, Ohlc]], minutes: int = 2) -> list[Timed]:
    """Bars of some minutes, told by slots from 09:30 New York, under their opening times in UTC."""
    return [
        (datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC) + slot * timedelta(minutes=minutes), *bar)
        for day, slots in days.items()
        for slot, bar in slots.items()
    ]


def bars_of(rows: Sequence[Timed], *, minutes: int = 2, symbol: str = "QQQ", first_session: date | None = None) -> Bars:
    """The bars as a feed hands them over, in the order given; 100 shares each.

    first_session: where none is named, the New York date of the earliest bar.
    """
    prices = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 4)
    if first_session is None and rows:
        first_session = min(row[0] for row in rows).astimezone(NEW_YORK).date()
    return Bars(
        symbol=symbol,
        minutes=minutes,
        opened=np.array([_nanoseconds(row[0]) for row in rows], dtype=np.int64),
        open=prices[:, 0],
        high=prices[:, 1],
        low=prices[:, 2],
        close=prices[:, 3],
        volume=np.full(len(rows), VOLUME),
        first_session=first_session,
    )


def closes_of(pairs: Iterable[tuple[date, float]], symbol: str = "QQQ") -> DailyCloses:
    """Daily closes as a feed hands them over, in the order given."""
    pairs = list(pairs)
    return DailyCloses(
        symbol=symbol,
        days=np.array([day_number(day) for day, _ in pairs], dtype=np.int64),
        closes=np.array([close for _, close in pairs], dtype=np.float64),
        first_session=min((day for day, _ in pairs), default=None),
    )


def sessions_before(day: date, count: int) -> list[date]:
    """The dates of the last so many sessions before a day, oldest first."""
    return [session.date for session in CALENDAR.last_sessions(count, day - timedelta(days=1))]


def steady_closes(before: date, close: float = 90.0, count: int = 200) -> list[tuple[date, float]]:
    """The same close for the last so many sessions before a day."""
    return [(day, close) for day in sessions_before(before, count)]


def history_of(
    days: Mapping[date, Mapping[int, Ohlc]],
    *,
    closes: Iterable[tuple[date, float]],
    splits: Iterable[Split] = (),
    minutes: int = 2,
    symbol: str = "QQQ",
) -> History:
    """What a feed knows of a symbol that has these bars, by slots of so many minutes, and no others."""
    return History(
        symbol=symbol,
        bars=bars_of(timed(days, minutes), minutes=minutes, symbol=symbol),
        daily=closes_of(closes, symbol),
        splits=tuple(splits),
    )


def laid_out(bars: Bars, days: Iterable[date], bar_minutes: int = 2) -> LaidOut:
    """The sessions of these days, oldest first, on a grid."""
    return lay_out(bars, Timetable.of([session_of(day) for day in days]), bar_minutes)


def prepared(
    history: History, days: Iterable[date], *, strategy: Strategy | None = None, accepted: Iterable[date] = ()
) -> Prepared:
    """The sessions of these days, as prepare leaves them; dp20 with its defaults where no strategy is named."""
    schedule = Schedule.of([session_of(day) for day in days], CALENDAR)
    return prepare(history, schedule, strategy or Dp20(), set(accepted))


def play_of(parameters: Mapping[str, object] | None = None, cost: str | None = None) -> Play:
    """dp20 with what is not at its default."""
    return Play(strategy=Dp20.with_parameters(parameters or {}), cost=NoCost() if cost is None else parse_cost(cost))


def judged_rows(play: Play, sessions: Prepared | Sequence[Prepared], data_feed: str = "files") -> list[JournalRow]:
    """The journal rows of one symbol's sessions, or of several symbols' in one batch."""
    parts = [sessions] if isinstance(sessions, Prepared) else list(sessions)
    batch = SessionBatch.side_by_side([part.batch for part in parts])
    keys = [key for part in parts for key in part.keys]
    accepted = [leave for part in parts for leave in part.accepted]
    return RowMaker(play=play, data_feed=data_feed).rows(keys, batch, judge_sessions(play.strategy, batch), accepted)


def row_text(row: JournalRow) -> dict[str, str]:
    """A row's cells by column, with the reason alone for notes, as the oracle writes them."""
    cells = dict(zip(HEADER, row_cells(row), strict=True))
    cells["notes"] = cells["notes"].partition(":")[0]
    return cells


def with_volume(bars: Bars, volume: Sequence[float]) -> Bars:
    """The same bars with these shares."""
    return replace(bars, volume=np.array(volume, dtype=np.float64))


def _nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
