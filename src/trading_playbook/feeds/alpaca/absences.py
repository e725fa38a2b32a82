"""What can be told of bars that are not there: no such symbol, not listed yet, a halt, a gap of the feed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from trading_playbook.core.bars import SECOND, Bars
from trading_playbook.core.calendar import Calendar, Session, new_york_date
from trading_playbook.core.daily import DailyCloses
from trading_playbook.core.errors import FixRequest, PlaybookError
from trading_playbook.core.schedule import Timetable
from trading_playbook.feeds.alpaca.answers import asset_status, columns_of
from trading_playbook.feeds.alpaca.client import AlpacaClient
from trading_playbook.feeds.alpaca.questions import Questions
from trading_playbook.feeds.beginnings import have_bars

MOST_GAPS_TOLD = 5
"""Sessions of one question. Each costs a call."""

_LAST_MINUTES = timedelta(minutes=30)
_SHOWN = 5


class Absences:
    """Asks little more than is needed to tell one kind of absence from another; what cannot be told is said.

    closes: the feed's daily closes of symbols from one date to another.
    """

    def __init__(
        self,
        client: AlpacaClient,
        questions: Questions,
        closes: Callable[[Sequence[str], date, date], Mapping[str, DailyCloses | PlaybookError]],
        name: str,
        calendar: Calendar,
    ) -> None:
        self._client = client
        self._questions = questions
        self._closes = closes
        self._name = name
        self._calendar = calendar
        self.warnings: dict[str, None] = {}

    def known_at_least(self, symbol: str, found: DailyCloses | PlaybookError) -> DailyCloses | PlaybookError:
        """What was found of a symbol; where that is nothing, FixRequest if the broker does not know it either."""
        if isinstance(found, PlaybookError) or len(found.days):
            return found
        try:
            status = self._client.trading_or_nothing(f"/assets/{symbol}", asset_status)
            if status is None:
                return FixRequest(f"{symbol}: Alpaca knows no such symbol; check how it is written", symbol=symbol)
            told = f"the broker lists it, its status is {status!r}, but {self._name} has no bar of it at all"
        except PlaybookError as error:
            told = f"{self._name} has no bar of it at all; whether it exists could not be asked: {error.message}"
        self.warnings[f"{symbol}: {told}"] = None
        return found

    def tell_of_gaps(self, found: Mapping[str, Bars], sessions: Sequence[Session]) -> None:
        """Warn of sessions without a bar of a symbol that had bars before, and of what can be told of them.

        Where every symbol lacks a session nothing is said here: then the exchange may have been closed, which the
        caller finds out.
        """
        timetable = Timetable.of(sessions)
        traded_on = {symbol: have_bars(bars.opened, timetable) for symbol, bars in found.items()}
        gaps = (
            (session, [symbol for symbol, on in traded_on.items() if on[:place].any() and not on[place]])
            for place, session in enumerate(sessions)
        )
        partial = [(session, symbols) for session, symbols in gaps if 0 < len(symbols) < len(found)]
        for session, symbols in partial[-MOST_GAPS_TOLD:]:
            daily = self._closes(symbols, session.date, session.date)
            traded = [symbol for symbol in symbols if _has_closes(daily[symbol])]
            silent = [symbol for symbol in symbols if symbol not in traded]
            self._tell(session, traded, "a daily bar and no intraday one: the feed lacks what was traded")
            self._tell(session, silent, "no bar: a halt of the whole day and a gap of the feed look the same from here")

    def with_first_sessions(
        self, found: Mapping[str, Bars], sessions: Sequence[Session]
    ) -> dict[str, Bars | PlaybookError]:
        """The bars with their first_session; the error of a symbol of which it cannot be told.

        A symbol with bars on the first of these sessions had begun by then, which is all that anybody asks. Of the
        others it is found out, with no more calls than are needed: whether they have daily bars from before, whether
        they had bars on the session before, and only then when their bars begin.
        """
        timetable = Timetable.of(sessions)
        answers: dict[str, Bars | PlaybookError] = {}
        late: dict[str, Bars] = {}
        for symbol, bars in found.items():
            if not sessions or have_bars(bars.opened, timetable)[0]:
                answers[symbol] = replace(bars, first_session=sessions[0].date if sessions else None)
            else:
                late[symbol] = bars
        if not late:
            return answers
        first = sessions[0]
        before = self._calendar.previous(first.date)
        daily = self._closes(list(late), before.date - timedelta(days=30), before.date)
        listed = [symbol for symbol in late if _has_closes(daily[symbol])]
        traded = self._questions.bars(
            listed,
            f"{late[listed[0]].minutes}Min" if listed else "",
            before.closes - _LAST_MINUTES,
            before.closes - timedelta(seconds=1),
            most=int(_LAST_MINUTES / timedelta(minutes=1)),
            read=lambda _, bars: bool(bars),
        )
        for symbol, bars in late.items():
            asked = (daily[symbol], traded.get(symbol))
            error = next((answer for answer in asked if isinstance(answer, PlaybookError)), None)
            if error is not None:
                answers[symbol] = error
            elif traded.get(symbol):
                answers[symbol] = replace(bars, first_session=before.date)
            else:
                answers[symbol] = self._with_first_bar(bars, sessions[-1])
        return answers

    def _with_first_bar(self, bars: Bars, last: Session) -> Bars | PlaybookError:
        """The bars with the session of the first bar that the feed has, in regular hours."""
        try:
            first = self._questions.first_bars(bars.symbol, bars.minutes, last.closes - timedelta(seconds=1))
            opened, _ = columns_of(bars.symbol, first, bars.minutes)
        except PlaybookError as error:
            return error
        if not len(opened):
            return replace(bars, first_session=None)
        days = [new_york_date(datetime.fromtimestamp(at / SECOND, UTC)) for at in (opened.min(), opened.max())]
        timetable = Timetable.of(self._calendar.sessions(*days))
        traded = np.flatnonzero(have_bars(np.sort(opened), timetable)).tolist()
        return replace(bars, first_session=timetable.sessions[traded[0]].date if traded else None)

    def _tell(self, session: Session, symbols: Sequence[str], told: str) -> None:
        if symbols:
            more = f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else ""
            self.warnings[f"{session.date}: of {', '.join(symbols[:_SHOWN])}{more} {self._name} has {told}"] = None


def _has_closes(found: DailyCloses | PlaybookError) -> bool:
    return not isinstance(found, PlaybookError) and len(found.days) > 0
