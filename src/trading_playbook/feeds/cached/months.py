"""The intraday half of the cache: a file for each symbol and month."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from math import gcd

import numpy as np

from trading_playbook.core.bars import COLUMNS, MINUTE, Bars, BoolArray, IntArray
from trading_playbook.core.calendar import Session, new_york_date
from trading_playbook.core.daily import day_number
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.grid import lay_out
from trading_playbook.core.history import TAIL_SLOTS
from trading_playbook.core.schedule import Timetable
from trading_playbook.feeds.cached.changes import changed_bars
from trading_playbook.feeds.cached.files import DOUBT_DAYS, Answered, Damaged, MonthOfBars, decode_month, encode_month
from trading_playbook.feeds.cached.shelf import Found, Shelf
from trading_playbook.ports import BarFeed, Clock

_DAY = 24 * 60 * MINUTE


def month_key(source: str, minutes: int, symbol: str, month: str) -> str:
    """The key of a month, YYYY-MM, of a symbol's bars."""
    return f"{source}/{minutes}Min/{symbol}/{month}.parquet"


@dataclass(slots=True)
class _Held:
    """What is known of a symbol's sessions of one month, of those asked for alone.

    found: the file. answered: what is known of each session. missing: sessions never answered; doubtful: answered on an
    earlier day and worth asking again.
    """

    symbol: str
    month: str
    found: Found[MonthOfBars]
    bars: Bars | None = None
    answered: dict[date, Answered] = field(default_factory=dict)
    missing: list[Session] = field(default_factory=list)
    doubtful: list[Session] = field(default_factory=list)

    @property
    def to_ask(self) -> tuple[Session, ...]:
        return tuple(sorted((*self.missing, *self.doubtful), key=lambda session: session.date))


class Months:
    """Intraday bars from their files, completed by the feed month by month, so that what came stays if the rest fails.

    refresh: ask for all sessions once in the life of this object.
    """

    def __init__(self, feed: BarFeed, shelf: Shelf, clock: Clock, *, refresh: bool) -> None:
        self._feed = feed
        self._shelf = shelf
        self._clock = clock
        self._refresh = refresh
        self._refreshed: set[tuple[str, date]] = set()
        self.hits = 0
        self.warnings: dict[str, None] = {}

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> dict[str, Bars | PlaybookError]:
        """The bars of each symbol, oldest first, or its error."""
        months: dict[str, list[Session]] = {}
        for session in sessions:
            months.setdefault(f"{session.date:%Y-%m}", []).append(session)
        pairs = [(symbol, month) for month in months for symbol in symbols]
        held = dict(zip(pairs, self._shelf.each(lambda pair: self._held(*pair, months, minutes), pairs), strict=True))
        self.hits += len(sessions) * len(symbols) - sum(len(own.to_ask) for own in held.values())
        errors: dict[str, PlaybookError] = {}
        for month in months:
            self._complete([held[symbol, month] for symbol in symbols if symbol not in errors], minutes, errors)
        return {
            symbol: errors.get(symbol) or _whole(symbol, minutes, [held[symbol, month] for month in months])
            for symbol in symbols
        }

    def _held(self, symbol: str, month: str, months: Mapping[str, Sequence[Session]], minutes: int) -> _Held:
        key = month_key(self._feed.name, minutes, symbol, month)
        found = self._shelf.read(key, lambda content: self._decoded(content, symbol, month, minutes))
        held = _Held(symbol, month, found)
        known: Mapping[date, Answered] = {}
        if found.content is not None:
            known = found.content.sessions
            held.bars = _of_days(found.content.bars, [session.date for session in months[month]])
        today = new_york_date(self._clock.now())
        for session in months[month]:
            answered = known.get(session.date)
            if answered is not None:
                held.answered[session.date] = answered
            if answered is None or answered.minutes != session.minutes or self._is_to_refresh(symbol, session):
                held.missing.append(session)
            elif answered.asked is not None and answered.asked < today:
                held.doubtful.append(session)
        if not held.to_ask:
            # Nothing will be written, so no more of the month is kept in memory than what was asked for.
            held.found = Found(generation=found.generation)
            held.bars = held.bars and _on_their_own(held.bars, found.content)
        return held

    def _is_to_refresh(self, symbol: str, session: Session) -> bool:
        return self._refresh and (symbol, session.date) not in self._refreshed

    def _decoded(self, content: bytes, symbol: str, month: str, minutes: int) -> MonthOfBars:
        decoded = decode_month(content, self._feed.name, symbol)
        if minutes % decoded.bars.minutes:
            raise Damaged(f"its bars have {decoded.bars.minutes} minutes")
        if any(f"{day:%Y-%m}" != month for day in decoded.sessions):
            raise Damaged(f"it holds sessions of another month than {month}")
        return decoded

    def _complete(self, months: Iterable[_Held], minutes: int, errors: dict[str, PlaybookError]) -> None:
        """Ask for what is missing in one month, symbols that lack the same together, and keep what comes."""
        groups: dict[tuple[Session, ...], list[_Held]] = {}
        for held in months:
            if to_ask := held.to_ask:
                groups.setdefault(to_ask, []).append(held)
        for sessions, group in groups.items():
            answers = self._feed.bars([held.symbol for held in group], sessions, minutes)
            good: list[tuple[_Held, Bars]] = []
            for held in group:
                answer = answers[held.symbol]
                if isinstance(answer, Bars):
                    good.append((held, _of_sessions(answer, sessions)))
                elif held.missing:
                    errors[held.symbol] = answer
                else:
                    self._keep_doubtful(held, answer)
            self._shelf.each(partial(self._take, sessions=sessions, minutes=minutes), good)

    def _keep_doubtful(self, held: _Held, error: PlaybookError) -> None:
        days = ", ".join(str(session.date) for session in held.doubtful[:5])
        self.warnings[f"{held.symbol} {days}: asked for again, in vain: {error.message}"] = None

    def _take(self, answer: tuple[_Held, Bars], sessions: Sequence[Session], minutes: int) -> None:
        """Put new bars of these sessions in the place of what was known of them, in memory and in the file."""
        held, new = answer
        now = self._clock.now()
        answered = _answered(new, sessions, new_york_date(now))
        # Half a session is no session: what is asked for before the close is told and not kept.
        over = {session.date: answered[session.date] for session in sessions if session.closes <= now}
        stored = self._store(held, _of_days(new, over), over, minutes) if over else None
        if self._refresh:
            known = [day for day in answered if day in held.answered]
            if held.bars is not None and (told := changed_bars(_of_days(held.bars, known), _of_days(new, known))):
                self.warnings[told] = None
            if stored is not None:
                self._refreshed.update((held.symbol, day) for day in over)
        held.bars = _merged(held.bars, new, answered)
        held.answered |= answered

    def _store(
        self, held: _Held, new: Bars, answered: Mapping[date, Answered], minutes: int
    ) -> Found[MonthOfBars] | None:
        return self._shelf.update(
            month_key(self._feed.name, minutes, held.symbol, held.month),
            held.found,
            lambda old: _with_answers(old, new, answered),
            lambda content: self._decoded(content, held.symbol, held.month, minutes),
            lambda month: encode_month(month, self._feed.name),
        )


def _whole(symbol: str, minutes: int, months: Sequence[_Held]) -> Bars:
    """The bars of several months, with the first session that the feed has as far as these tell of it."""
    bars = _joined(symbol, minutes, [held.bars for held in months if held.bars is not None])
    first: date | None = None
    for day, answered in ((day, told) for held in months for day, told in sorted(held.answered.items())):
        if answered.bars or answered.begun:
            first = day if answered.bars else day - timedelta(days=1)
            break
    return replace(bars, first_session=first)


def _joined(symbol: str, minutes: int, some: Sequence[Bars]) -> Bars:
    """Bars of several stretches, one after the other; longer ones stand among shorter ones where they begin."""
    if len(some) == 1:
        return some[0]
    return Bars(
        symbol=symbol,
        minutes=gcd(*(part.minutes for part in some)) or minutes,
        opened=np.concatenate([part.opened for part in some] or [np.empty(0, dtype=np.int64)]),
        first_session=None,
        **{name: np.concatenate([getattr(part, name) for part in some] or [np.empty(0)]) for name in COLUMNS},
    )


def _of_days(bars: Bars, days: Collection[date]) -> Bars:
    """The bars of these days out of regular-hours bars, oldest first: a view where they lie together."""
    if not days:
        return bars.take(slice(0))
    first, last = (day_number(day) * _DAY for day in (min(days), max(days)))
    begin, end = np.searchsorted(bars.opened, [first, last + _DAY]).tolist()
    between = _are_of(bars.opened[begin:end], days)
    return bars.take(slice(begin, end) if between.all() else begin + np.flatnonzero(between))


def _on_their_own(bars: Bars, month: MonthOfBars | None) -> Bars:
    """The bars without the month that they are a view of, where they are a small part of it."""
    if month is None or 2 * len(bars.opened) > len(month.bars.opened):
        return bars
    return bars.take(np.arange(len(bars.opened)))


def _are_of(opened: IntArray, days: Iterable[date]) -> BoolArray:
    """Whether bars are of these days. Regular hours in New York lie on one day of UTC, the session's own."""
    wanted = np.array(sorted(map(day_number, days)), dtype=np.int64)
    own = opened // _DAY
    found: BoolArray = np.append(wanted, -1)[np.searchsorted(wanted, own)] == own
    return found


def _of_sessions(bars: Bars, sessions: Sequence[Session]) -> Bars:
    """The bars inside the regular hours of these sessions, oldest first; those of one time in an order of their own."""
    timetable = Timetable.of(sessions)
    row = np.searchsorted(timetable.opens, bars.opened, side="right") - 1
    bars = bars.take(np.flatnonzero((row >= 0) & (bars.opened < timetable.closes[row])))
    if np.all(bars.opened[1:] > bars.opened[:-1]):
        return bars
    return bars.take(np.lexsort((*(getattr(bars, name) for name in reversed(COLUMNS)), bars.opened)))


def _answered(bars: Bars, sessions: Sequence[Session], today: date) -> dict[date, Answered]:
    """What is to be kept of an answer: final where it is whole and sound, else to be asked for again another day.

    Whole it is where it has a bar in the last slots. They are as many as a run wants to see one in, so that what a run
    refuses as cut short is asked for again.
    """
    timetable = Timetable.of(sessions)
    ends = np.searchsorted(bars.opened, timetable.closes)
    counts = ends - np.searchsorted(bars.opened, timetable.opens)
    has_tail = ends > np.searchsorted(bars.opened, timetable.closes - TAIL_SLOTS * bars.minutes * MINUTE)
    faults = lay_out(bars, timetable, bars.minutes).faults
    first = bars.first_session
    answered: dict[date, Answered] = {}
    for place, (session, count) in enumerate(zip(sessions, counts.tolist(), strict=True)):
        begun = bool(count) or (first is not None and first <= session.date)
        if count:
            final = (has_tail[place] and place not in faults) or today - session.date > timedelta(days=DOUBT_DAYS)
        else:
            # Nothing comes of a session before the feed's first.
            final = first is not None and not begun
        answered[session.date] = Answered(session.minutes, count, begun, None if final else today)
    return answered


def _with_answers(old: MonthOfBars | None, new: Bars, answered: Mapping[date, Answered]) -> MonthOfBars:
    return MonthOfBars(
        bars=_merged(old.bars if old else None, new, answered),
        sessions={**(old.sessions if old else {}), **answered},
    )


def _merged(old: Bars | None, new: Bars, replaced: Iterable[date]) -> Bars:
    """The bars of both, oldest first, without the old ones of the days that are replaced."""
    if old is None:
        return replace(new, first_session=None)
    kept = old.take(np.flatnonzero(~_are_of(old.opened, replaced)))
    whole = _joined(new.symbol, new.minutes, [kept, new])
    # Stable, so that bars of one time stay in the order of their own that they were given.
    return whole.take(np.argsort(whole.opened, kind="stable"))
