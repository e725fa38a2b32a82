"""Alpaca's bars as a BarFeed: which requests are made, and what is said of bars that are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

import numpy as np

from trading_playbook.core.bars import COLUMNS, Bars, FloatArray, IntArray
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses, Split, day_number, day_of
from trading_playbook.core.errors import CheckData, FixConfig, FixRequest, PlaybookError, RetryLater
from trading_playbook.core.schedule import Timetable
from trading_playbook.feeds.alpaca.answers import (
    asset_status,
    bars_page,
    closes_in,
    closing_times,
    columns_of,
    splits_page,
)
from trading_playbook.feeds.alpaca.client import AlpacaClient, NotFound
from trading_playbook.feeds.beginnings import closes_begin, have_bars, with_first_sessions
from trading_playbook.ports import Usage

FIRST = date(2016, 1, 4)
"""Alpaca's history of stocks begins in 2016."""

PAGE = 10_000
"""Bars on a page, of all its symbols together: the most that Alpaca gives."""

MOST_PAGES = 200
MOST_SYMBOLS = 500
"""Of one request, so that its address keeps to the lengths that servers take."""

MOST_GAPS_TOLD = 5
"""Sessions of one question. Each costs a call."""

_DAY_MINUTES = 960
"""Of a session's day in which there may be bars: 04:00 to 20:00."""

_SPLITS_LATE = timedelta(days=14)
"""Corporate actions are searched by the day they are processed, which may lie after their ex-date."""

Answer = TypeVar("Answer")


class AlpacaFeed:
    """A BarFeed over Alpaca's market data, raw, of one of its feeds (sip, iex).

    Requests always name feed, adjustment and asof. asof is "-": bars of a name are those that traded under it then, so
    that a session's bars do not depend on later renamings, nor on the day on which they are asked for.
    """

    def __init__(self, client: AlpacaClient, feed: str, calendar: Calendar) -> None:
        self.name = f"alpaca-{feed}"
        self._client = client
        self._feed = feed
        self._calendar = calendar
        self._warnings: dict[str, None] = {}

    @property
    def usage(self) -> Usage:
        return Usage(api_calls=self._client.calls)

    @property
    def warnings(self) -> Sequence[str]:
        return tuple(self._warnings)

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        begin = max(FIRST, closes_begin(self._calendar, before, count))
        answers = self._closes(symbols, begin, through)
        short = [symbol for symbol, found in answers.items() if _closes_before(found, before) < count]
        if begin > FIRST:
            answers |= self._closes(short, FIRST, through)
        for symbol in short:
            answers[symbol] = self._known_at_least(symbol, answers[symbol])
        return answers

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        pieces: dict[str, list[tuple[IntArray, dict[str, FloatArray]]]] = {symbol: [] for symbol in symbols}
        errors: dict[str, PlaybookError] = {}
        for window in _windows(sessions, len(symbols), minutes):
            asked = [symbol for symbol in symbols if symbol not in errors]
            for symbol, answer in self._window(asked, window, minutes).items():
                if isinstance(answer, PlaybookError):
                    errors[symbol] = answer
                else:
                    pieces[symbol].append(answer)
        found = {symbol: _joined(symbol, minutes, own) for symbol, own in pieces.items() if symbol not in errors}
        self._tell_of_gaps(found, sessions)
        first = sessions[0].date if sessions else FIRST
        answers = with_first_sessions(
            found, sessions, lambda late: self.daily_closes(late, before=first, count=1, through=first)
        )
        return {symbol: errors.get(symbol) or answers[symbol] for symbol in symbols}

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        def ask(group: Sequence[str]) -> dict[str, tuple[Split, ...] | PlaybookError]:
            found: dict[str, list[Split]] = {symbol: [] for symbol in group}
            bad: dict[str, PlaybookError] = {}
            params = {
                "symbols": ",".join(group),
                "types": "forward_split,reverse_split",
                "start": str(FIRST),
                "end": str(through + _SPLITS_LATE),
                "limit": "1000",
                "sort": "asc",
            }
            for page in self._pages("/corporate-actions", params, splits_page, version="v1"):
                for symbol, split in page:
                    if symbol not in found:
                        continue
                    if isinstance(split, CheckData):
                        bad[symbol] = split
                    elif split.ex_date <= through and split not in found[symbol]:
                        found[symbol].append(split)
            by_date = {symbol: tuple(sorted(own, key=lambda split: split.ex_date)) for symbol, own in found.items()}
            return {**by_date, **bad}

        return self._answers(symbols, ask)

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        return self._client.trading("/calendar", {"start": str(first), "end": str(last)}, closing_times)

    def _closes(self, symbols: Sequence[str], begin: date, through: date) -> dict[str, DailyCloses | PlaybookError]:
        """The closes from begin to through, both in; first_session is that of the first of them."""

        def ask(group: Sequence[str]) -> dict[str, DailyCloses | PlaybookError]:
            start = datetime.combine(begin, time(0), UTC)
            end = min(datetime.combine(through, time(23, 59, 59), UTC), self._close_of(through))
            if end < start:
                return {symbol: _daily(symbol, []) for symbol in group}
            span = (through - begin).days + 1
            collected = self._collected(group, "1Day", start, end, span)
            return _read_each(collected, _daily)

        return self._answers(symbols, ask)

    def _close_of(self, day: date) -> datetime:
        """One second before the close: a free plan must not ask for the last minutes, not even of a daily bar."""
        session = self._calendar.session(day)
        last = datetime.combine(day, time(23, 59, 59), UTC)
        return last if session is None else session.closes - timedelta(seconds=1)

    def _window(
        self, symbols: Sequence[str], window: Sequence[Session], minutes: int
    ) -> dict[str, tuple[IntArray, dict[str, FloatArray]] | PlaybookError]:
        """The bars of some sessions inside their regular hours."""
        timetable = Timetable.of(window)

        def inside(symbol: str, bars: Sequence[Any]) -> tuple[IntArray, dict[str, FloatArray]]:
            opened, columns = columns_of(symbol, bars, minutes)
            row = np.searchsorted(timetable.opens, opened, side="right") - 1
            kept = (row >= 0) & (opened < timetable.closes[row])
            return opened[kept], {name: column[kept] for name, column in columns.items()}

        def ask(group: Sequence[str]) -> dict[str, tuple[IntArray, dict[str, FloatArray]] | PlaybookError]:
            start, end = window[0].opens, window[-1].closes - timedelta(seconds=1)
            span = -(-(end - start) // timedelta(minutes=minutes))
            collected = self._collected(group, f"{minutes}Min", start, end, span)
            return _read_each(collected, inside)

        return self._answers(symbols, ask)

    def _collected(
        self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime, span: int
    ) -> Mapping[str, Sequence[Any]]:
        """All bars from start to end, both in, as they came. span: how many there can be of a symbol."""
        params = {
            "symbols": ",".join(symbols),
            "timeframe": timeframe,
            "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "limit": str(PAGE),
            "adjustment": "raw",
            "feed": self._feed,
            "asof": "-",
            "sort": "asc",
        }
        found: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
        # Twice what there can be, for exact repeats: more than that is a server that sends the same for ever.
        left = 2 * span * len(symbols) + PAGE
        for page in self._pages("/stocks/bars", params, bars_page):
            for symbol, bars in page.items():
                left -= len(bars)
                if symbol in found:
                    found[symbol] += bars
            if left < 0:
                raise RetryLater("Alpaca's pages do not end: they hold more bars than there can be")
        return found

    def _pages(
        self, path: str, params: dict[str, str], read: Callable[[Any], tuple[Answer, str | None]], version: str = "v2"
    ) -> Iterator[Answer]:
        """What is read of the pages of an answer. Raises RetryLater where they do not end."""
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            page, token = self._client.data(path, params, read, version)
            yield page
            if token is None:
                return
            if not token or token in seen:
                raise RetryLater("Alpaca's pages do not end: a page token is empty or came before")
            seen.add(token)
            params = {**params, "page_token": token}
        raise RetryLater(f"Alpaca's pages do not end: there are more than {MOST_PAGES}")

    def _answers(
        self, symbols: Sequence[str], ask: Callable[[Sequence[str]], dict[str, Answer | PlaybookError]]
    ) -> dict[str, Answer | PlaybookError]:
        """The answer or the error of each symbol; symbols share requests as long as none spoils them for the others."""
        answers: dict[str, Answer | PlaybookError] = {}
        groups = [symbols[place : place + MOST_SYMBOLS] for place in range(0, len(symbols), MOST_SYMBOLS)]
        while groups:
            group = groups.pop(0)
            try:
                answers |= ask(group)
            except FixRequest as error:
                if len(group) == 1:
                    answers[group[0]] = FixRequest(f"{group[0]}: {error.message}", symbol=group[0])
                else:
                    half = len(group) // 2
                    groups[:0] = [group[:half], group[half:]]
            except (FixConfig, RetryLater) as error:
                answers |= dict.fromkeys(group, error)
        return answers

    def _known_at_least(self, symbol: str, found: DailyCloses | PlaybookError) -> DailyCloses | PlaybookError:
        """What was found of a symbol; where that is nothing, FixRequest if the broker does not know it either."""
        if isinstance(found, PlaybookError) or len(found.days):
            return found
        try:
            status = self._client.trading(f"/assets/{symbol}", {}, asset_status)
            told = f"the broker lists it, its status is {status!r}, but {self.name} has no bar of it at all"
        except NotFound:
            return FixRequest(f"{symbol}: Alpaca knows no such symbol; check how it is written", symbol=symbol)
        except PlaybookError as error:
            told = f"{self.name} has no bar of it at all; whether it exists could not be asked: {error.message}"
        self._warnings[f"{symbol}: {told}"] = None
        return found

    def _tell_of_gaps(self, found: Mapping[str, Bars], sessions: Sequence[Session]) -> None:
        """Warn of sessions without a bar, and of what can be told of them.

        Where every symbol lacks a session nothing is said here: then the exchange may have been closed, which the
        caller finds out.
        """
        timetable = Timetable.of(sessions)
        traded_on = {symbol: have_bars(bars, timetable) for symbol, bars in found.items()}
        gaps = {
            session: [symbol for symbol, traded in traded_on.items() if traded[:place].any() and not traded[place]]
            for place, session in enumerate(sessions)
        }
        partial = [(session, symbols) for session, symbols in gaps.items() if 0 < len(symbols) < len(found)]
        for session, symbols in partial[-MOST_GAPS_TOLD:]:
            daily = self._closes(symbols, session.date, session.date)
            traded = [symbol for symbol in symbols if _closes_before(daily[symbol], date.max)]
            silent = [symbol for symbol in symbols if symbol not in traded]
            if traded:
                told = "a daily bar and no intraday one: the feed lacks what was traded"
                self._warnings[f"{session.date}: {_some(traded)}: {self.name} has {told}"] = None
            if silent:
                told = "no bar: a halt of the whole day and a gap of the feed look the same from here"
                self._warnings[f"{session.date}: {_some(silent)}: {self.name} has {told}"] = None


def _windows(sessions: Sequence[Session], symbols: int, minutes: int) -> Iterator[Sequence[Session]]:
    """The sessions in stretches whose bars, those outside regular hours too, fit a page; one session at least."""
    if not symbols:
        return
    most = max(1, PAGE // (symbols * _DAY_MINUTES // minutes))
    stretch: list[Session] = []
    for session in sessions:
        if stretch and (len(stretch) == most or (session.date - stretch[0].date).days > 2 * most):
            yield stretch
            stretch = []
        stretch.append(session)
    if stretch:
        yield stretch


def _read_each(
    collected: Mapping[str, Sequence[Any]], read: Callable[[str, Sequence[Any]], Answer]
) -> dict[str, Answer | PlaybookError]:
    """What each symbol's bars mean, or what is wrong with them."""
    answers: dict[str, Answer | PlaybookError] = {}
    for symbol, bars in collected.items():
        try:
            answers[symbol] = read(symbol, bars)
        except CheckData as error:
            answers[symbol] = error
    return answers


def _daily(symbol: str, bars: Sequence[Any]) -> DailyCloses:
    days, closes = closes_in(symbol, bars)
    return DailyCloses(
        symbol=symbol, days=days, closes=closes, first_session=day_of(int(days.min())) if len(days) else None
    )


def _closes_before(found: DailyCloses | PlaybookError, before: date) -> int:
    """How many days before a date have a close."""
    if isinstance(found, PlaybookError):
        return 0
    return len(set(found.days[found.days < day_number(before)].tolist()))


def _joined(symbol: str, minutes: int, pieces: Sequence[tuple[IntArray, dict[str, FloatArray]]]) -> Bars:
    """The bars of several windows, oldest first."""
    opened = np.concatenate([opened for opened, _ in pieces] or [np.empty(0, dtype=np.int64)])
    columns = {name: np.concatenate([own[name] for _, own in pieces] or [np.empty(0)]) for name in COLUMNS}
    order = np.argsort(opened, kind="stable")
    return Bars(symbol=symbol, minutes=minutes, opened=opened, first_session=None, **columns).take(order)


def _some(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - 5} more" if len(symbols) > 5 else ""
    return ", ".join(symbols[:5]) + more
