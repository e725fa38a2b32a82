"""How the configured journals stand: last night, gaps, the last run, the month. Reads only, and asks no feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from trading_playbook.core.calendar import Calendar, missing_stretches, new_york_date
from trading_playbook.core.errors import FixConfig, PlaybookError
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.rows import Play
from trading_playbook.core.statistics import Statistics, summarize
from trading_playbook.ports import JournalPlace, Manifest, RowQuery

WELL = frozenset({"done", "already_done", "closed", "copied", "too_early"})
"""Outcomes of runs in which nothing went wrong."""

LOOKED_AT = 30
"""Records of runs, the newest, among which the last error is looked for."""

Stretches = Sequence[tuple[date, date]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceStanding:
    """One journal. begun, lacking: the symbols that have rows, and those that lack that of the last settled session.

    recent, older: the sessions without a row since a symbol's first one, those that a nightly run fills and those that
    it does not. others: rows of other strategies or parameters by (strategy, params_hash).
    """

    place: str
    error: PlaybookError | None = None
    begun: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    recent: Mapping[str, Stretches] | None = None
    older: Mapping[str, Stretches] | None = None
    others: Mapping[tuple[str, str], int] | None = None
    last_run: Manifest | None = None
    last_error: Manifest | None = None

    @property
    def missing(self) -> bool:
        """Whether a night is missing."""
        return bool(self.lacking or self.recent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How it stands at `now`. night: the last settled session. month: figures of its month, by the first journal."""

    now: datetime
    night: date
    play: Play
    symbols: tuple[str, ...]
    data_feed: str
    places: tuple[PlaceStanding, ...]
    month: Statistics

    @property
    def missing(self) -> bool:
        return any(place.missing for place in self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the settings ask of the nights."""

    symbols: tuple[str, ...]
    play: Play
    data_feed: str
    settle_after: timedelta
    catch_up_sessions: int


def standing_of(places: Sequence[JournalPlace], expected: Expected, calendar: Calendar, now: datetime) -> Standing:
    """How these journals stand. Raises FixConfig outside the calendar's reach; trouble of one journal is told of it."""
    today = new_york_date(now)
    if not calendar.first <= today <= calendar.last:
        raise FixConfig(f"today is {today}, which the exchange calendar does not know: update trading-playbook")
    count = expected.catch_up_sessions + expected.settle_after.days + 2
    sessions = calendar.last_sessions(count, today)
    settled = [session.date for session in sessions if session.settles(expected.settle_after) <= now]
    recent = settled[-expected.catch_up_sessions :]
    found = [_place(place, expected, calendar, recent) for place in places]
    night = recent[-1]
    rows = next((rows for standing, rows in found if standing.error is None), [])
    month = [row for row in rows if night.replace(day=1) <= row.trade_date <= night]
    return Standing(
        now=now,
        night=night,
        play=expected.play,
        symbols=expected.symbols,
        data_feed=expected.data_feed,
        places=tuple(standing for standing, _ in found),
        month=summarize(month, calendar),
    )


def _place(
    place: JournalPlace, expected: Expected, calendar: Calendar, recent: Sequence[date]
) -> tuple[PlaceStanding, list[JournalRow]]:
    """How one journal stands, and its rows of the play and the symbols."""
    try:
        every = place.journal.rows(RowQuery())
        runs = place.runs.list(limit=LOOKED_AT)
    except PlaybookError as error:
        return PlaceStanding(place=place.journal.place, error=error), []
    wanted = RowQuery(
        symbols=frozenset(expected.symbols), strategy=expected.play.strategy.name,
        params_hash=expected.play.params_hash,
    )  # fmt: skip
    rows = [row for row in every if wanted.takes(row)]
    days: dict[str, list[date]] = {symbol: [] for symbol in expected.symbols}
    for row in rows:
        days[row.symbol].append(row.trade_date)
    night = recent[-1]
    gaps = {symbol: missing_stretches(own, calendar, night) for symbol, own in days.items() if own}
    late = {symbol: [day for day in recent if day > min(own) and day not in own] for symbol, own in days.items() if own}
    return PlaceStanding(
        place=place.journal.place,
        begun=tuple(symbol for symbol, own in days.items() if own),
        lacking=tuple(symbol for symbol, own in days.items() if night not in own),
        recent={symbol: [(day, day) for day in own] for symbol, own in late.items() if own},
        older={symbol: older for symbol, own in gaps.items() if (older := _before(own, recent[0], calendar))},
        others=Counter((row.strategy, row.params_hash) for row in every if row.params_hash != wanted.params_hash),
        last_run=next(iter(runs), None),
        last_error=next((manifest for manifest in runs if manifest.outcome not in WELL), None),
    ), rows


def _before(stretches: Stretches, day: date, calendar: Calendar) -> Stretches:
    """The stretches, cut where they reach a day."""
    cut = [(first, last) for first, last in stretches if first < day]
    if cut and cut[-1][1] >= day:
        cut[-1] = (cut[-1][0], calendar.previous(day).date)
    return cut
