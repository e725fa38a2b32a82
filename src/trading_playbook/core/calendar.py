"""When the New York Stock Exchange (XNYS) is open: sessions named by New York dates and told in UTC instants.

New York's wall time is turned into UTC here and nowhere else, so neither the host's zone nor a change of clocks
reaches further in. Closed days and early closes come from a table that tools/generate_calendar.py writes; what an
exchange decides overnight is laid over it by the setting CALENDAR_OVERRIDES.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice
from types import MappingProxyType
from zoneinfo import ZoneInfo

from trading_playbook.core import calendar_table
from trading_playbook.core.errors import FixConfig, FixRequest

OPENS = time(9, 30)
CLOSES = time(16, 0)

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_FULL_SESSION_MINUTES = 390
_OVERRIDE_FORM = "a real date and its close, YYYY-MM-DD:closed or YYYY-MM-DD:HH:MM"
_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trading day, from the opening bell to the close; pre- and post-market are no part of it.

    date: the New York date that names it. opens and closes: aware UTC, 09:30 and 16:00 or an earlier hour in New York.
    Raises ValueError where an instant is not in UTC or the close is not after the opening.
    """

    date: date
    opens: datetime
    closes: datetime

    def __post_init__(self) -> None:
        if self.opens.tzinfo != UTC or self.closes.tzinfo != UTC or self.closes <= self.opens:
            raise ValueError(f"{self.date}: {self.opens} to {self.closes} is no session in UTC")

    @property
    def minutes(self) -> int:
        """Its length in minutes: 390, or 210 where it closes at 13:00."""
        return (self.closes - self.opens) // _MINUTE

    def slots(self, bar_minutes: int) -> int:
        """How many bars of that many minutes it holds; a last one that the close cuts short counts.

        Raises ValueError where bar_minutes is below 1.
        """
        _require_bar_minutes(bar_minutes)
        return -(-self.minutes // bar_minutes)

    def settles(self, after: timedelta) -> datetime:
        """The aware UTC instant at which its bars have settled, that long after the close."""
        return self.closes + after


def new_york_date(moment: datetime) -> date:
    """The date in New York at an aware moment of any zone. Raises ValueError for a naive one."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no zone: no date in New York follows from it")
    return moment.astimezone(_new_york()).date()


def new_york_time(moment: datetime) -> time:
    """The wall time in New York at an aware moment of any zone."""
    return moment.astimezone(_new_york()).time()


@cache
def slot_label(slot: int, bar_minutes: int) -> str:
    """New York wall time, HH:MM, at which a slot opens; slot 0 opens at 09:30.

    Raises ValueError where bar_minutes is below 1 or a full session has no such slot.
    """
    _require_bar_minutes(bar_minutes)
    passed = slot * bar_minutes
    if not 0 <= passed < _FULL_SESSION_MINUTES:
        raise ValueError(f"slot {slot} of {bar_minutes} minutes lies outside a session of {_FULL_SESSION_MINUTES}")
    hours, minutes = divmod(OPENS.hour * 60 + OPENS.minute + passed, 60)
    return f"{hours:02}:{minutes:02}"


def parse_overrides(text: str) -> Mapping[date, time | None]:
    """Read the setting CALENDAR_OVERRIDES, such as `2025-01-09:closed,2026-12-24:13:00`.

    Each part gives a New York date and its closing time there, None where it is closed; oldest first or not. Blanks
    and a trailing comma do no harm. Raises FixConfig, naming the part and what was expected, at a date or a time in
    any other form, a week-end, a close that is not on an even minute after 09:30 up to 16:00, or a date named twice.
    """
    overrides: dict[date, time | None] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        day, closes = _parse_override(part)
        if day in overrides:
            raise _bad_override(part, "each date once: this one is named twice")
        overrides[day] = closes
    return overrides


class Calendar:
    """The exchange's sessions, by the table and the overrides laid over it.

    An override closes a session, moves its close, or opens a weekday on which the exchange would have been closed.
    Every day asked for must lie within first and last; a day outside is FixRequest, since nothing is known of it.

    first, last: the reach, both ends in. version: the table's date and source, then the overrides, oldest first.
    Raises FixConfig where an override breaks a rule of parse_overrides or lies outside the reach.
    """

    def __init__(self, overrides: Mapping[date, time | None] = MappingProxyType({})) -> None:
        self.first = date.fromisoformat(calendar_table.FIRST)
        self.last = date.fromisoformat(calendar_table.LAST)
        for day, closes in overrides.items():
            self._check_override(day, closes)
        self.version = _version(overrides)
        self._overrides = overrides
        self._unusual_closes = {**_table_closes(), **overrides}
        self._sessions: dict[date, Session | None] = {}

    def closed_on(self, days: Iterable[date]) -> Calendar:
        """The same calendar with these days closed too."""
        return Calendar({**self._overrides, **dict.fromkeys(days)})

    def is_open(self, day: date) -> bool:
        """Whether a New York date is a session; False outside the calendar's reach. Cheaper than session."""
        return self.first <= day <= self.last and self._closing_time(day) is not None

    def open_days(self, year: int) -> Sequence[date]:
        """The dates of a year's sessions, oldest first; none outside the calendar's reach."""
        start = max(date(year, 1, 1), self.first)
        days = (start + passed * _DAY for passed in range((min(date(year, 12, 31), self.last) - start).days + 1))
        return [day for day in days if self._closing_time(day) is not None]

    def session(self, day: date) -> Session | None:
        """The session of a New York date; None on a closed day. Raises FixRequest outside the calendar's reach."""
        self._require_within_reach(day)
        return self._session(day)

    def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """The sessions from start to end, both ends in, oldest first; () where there is none.

        Raises FixRequest where either end lies outside the calendar's reach.
        """
        self._require_within_reach(start)
        self._require_within_reach(end)
        found = (self._session(start + passed * _DAY) for passed in range((end - start).days + 1))
        return tuple(session for session in found if session is not None)

    def previous(self, day: date) -> Session:
        """The last session before day, which need not be one itself.

        Raises FixRequest outside the calendar's reach, and where it knows no earlier session.
        """
        self._require_within_reach(day)
        found = next(self._sessions_back_from(day - _DAY), None)
        if found is None:
            raise FixRequest(f"no session before {day} is known: ask for a later day", session=day)
        return found

    def last_sessions(self, count: int, through: date) -> tuple[Session, ...]:
        """The last count sessions up to and including through, oldest first; fewer at the calendar's beginning.

        Raises FixRequest where through lies outside the calendar's reach, ValueError where count is negative.
        """
        if count < 0:
            raise ValueError(f"{count} sessions were asked for: expected 0 or more")
        self._require_within_reach(through)
        return tuple(islice(self._sessions_back_from(through), count))[::-1]

    def days_left(self, today: date) -> int:
        """Days from today to the calendar's last: 0 on that day, negative after it."""
        return (self.last - today).days

    def _sessions_back_from(self, day: date) -> Iterator[Session]:
        """The sessions up to and including day, newest first, back to the calendar's beginning."""
        while day >= self.first:
            session = self._session(day)
            if session is not None:
                yield session
            day -= _DAY

    def _session(self, day: date) -> Session | None:
        if day not in self._sessions:
            self._sessions[day] = self._make_session(day)
        return self._sessions[day]

    def _make_session(self, day: date) -> Session | None:
        closes = self._closing_time(day)
        if closes is None:
            return None
        return Session(date=day, opens=_to_utc(day, OPENS), closes=_to_utc(day, closes))

    def _closing_time(self, day: date) -> time | None:
        return None if day.weekday() >= _SATURDAY else self._unusual_closes.get(day, CLOSES)

    def _require_within_reach(self, day: date) -> None:
        if self.first <= day <= self.last:
            return
        known = f"the exchange calendar, which knows {self.first} to {self.last}"
        if day < self.first:
            raise FixRequest(f"{day} lies before {known}: ask for a later day", session=day)
        remedy = f"in a checkout run tools/generate_calendar.py --through {day.year}"
        raise FixRequest(
            f"{day} lies after {known}: ask for an earlier day, or update trading-playbook ({remedy})", session=day
        )

    def _check_override(self, day: date, closes: time | None) -> None:
        part = _override_text(day, closes)
        _require_override(part, day, closes)
        if not self.first <= day <= self.last:
            raise _bad_override(part, f"a date from {self.first} to {self.last}, which the calendar knows")


def missing_stretches(days: Iterable[date], calendar: Calendar, through: date) -> list[tuple[date, date]]:
    """The stretches of sessions after the first of these days, up to `through`, that are not among them."""
    done = set(days)
    first = max(min(done), calendar.first) if done else through
    stretches: list[tuple[date, date]] = []
    in_gap = False
    for year in range(first.year, through.year + 1):
        for day in calendar.open_days(year):
            if not first < day <= through:
                continue
            if day in done:
                in_gap = False
            else:
                stretches.append((stretches.pop()[0] if in_gap else day, day))
                in_gap = True
    return stretches


@cache
def _new_york() -> ZoneInfo:
    # Not at import: where the system has no zones, finding the package's loads a good part of importlib.
    return ZoneInfo("America/New_York")


def _to_utc(day: date, wall: time) -> datetime:
    return datetime.combine(day, wall, tzinfo=_new_york()).astimezone(UTC)


@cache
def _table_closes() -> Mapping[date, time | None]:
    """The table's weekdays that are not as usual: the closing time in New York, None where closed."""
    closed = {day: None for day, _ in _table_entries(calendar_table.CLOSED)}
    early = {day: time.fromisoformat(told) for day, told in _table_entries(calendar_table.EARLY_CLOSES)}
    return MappingProxyType({**closed, **early})


def _table_entries(texts_by_year: Mapping[int, str]) -> Iterator[tuple[date, str]]:
    """Each date of a part of the table with what is told of it after the equals sign, nothing where there is none."""
    for year, text in texts_by_year.items():
        for entry in text.split():
            month_and_day, _, told = entry.partition("=")
            yield date.fromisoformat(f"{year}-{month_and_day}"), told


def _version(overrides: Mapping[date, time | None]) -> str:
    table = f"XNYS {calendar_table.GENERATED} {calendar_table.SOURCE}"
    laid_over = ",".join(_override_text(day, overrides[day]) for day in sorted(overrides))
    return f"{table} +{laid_over}" if laid_over else table


def _override_text(day: date, closes: time | None) -> str:
    return f"{day}:closed" if closes is None else f"{day}:{closes:%H:%M}"


def _parse_override(part: str) -> tuple[date, time | None]:
    named, _, told = (piece.strip() for piece in part.partition(":"))
    try:
        day = date.fromisoformat(named)
        closes = None if told == "closed" else time.fromisoformat(told)
    except ValueError:
        raise _bad_override(part, _OVERRIDE_FORM) from None
    # fromisoformat also reads 20250109, 2025-W02-4, 13 and 13:00+01:00, which would not be written back as they stood.
    if _override_text(day, closes) != f"{named}:{told}":
        raise _bad_override(part, _OVERRIDE_FORM)
    _require_override(part, day, closes)
    return day, closes


def _require_override(part: str, day: date, closes: time | None) -> None:
    if day.weekday() >= _SATURDAY:
        raise _bad_override(part, f"a weekday: {day} is a {day:%A}")
    if closes is not None and not _is_closing_time(closes):
        raise _bad_override(part, f"a close on an even minute after {OPENS:%H:%M} up to {CLOSES:%H:%M} in New York")


def _is_closing_time(closes: time) -> bool:
    on_an_even_minute = closes.minute % 2 == 0 and closes == closes.replace(second=0, microsecond=0)
    return OPENS < closes <= CLOSES and on_an_even_minute


def _bad_override(part: str, expected: str) -> FixConfig:
    return FixConfig(f"CALENDAR_OVERRIDES, {part!r}: expected {expected}")


def _require_bar_minutes(bar_minutes: int) -> None:
    if bar_minutes < 1:
        raise ValueError(f"a bar of {bar_minutes} minutes: expected 1 or more")
