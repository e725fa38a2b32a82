"""What the feed knows of a batch of symbols, made into histories and schedules."""

from __future__ import annotations

from collections.abc import Mapping

from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses
from trading_playbook.core.history import History
from trading_playbook.core.schedule import Schedule
from trading_playbook.runs.harvest import Harvest
from trading_playbook.runs.request import RunRequest, Tools

Sessions = Mapping[str, tuple[Session, ...]]
"""Sessions by symbol, oldest first."""


def fetch(request: RunRequest, tools: Tools, sessions: Sessions, harvest: Harvest) -> list[tuple[History, Schedule]]:
    """What the feed knows of each symbol, with the sessions at which the symbol was listed."""
    needs, feed = request.play.strategy.needs, tools.feed
    first = min(own[0].date for own in sessions.values())
    last = max(own[-1].date for own in sessions.values())
    # A session is judged on closes before it alone, so that of the last one is not asked for: it may not be final yet.
    through = tools.calendar.previous(last).date
    closes = harvest.good(feed.daily_closes(list(sessions), before=first, count=needs.closes, through=through))
    listed = {symbol: _listed(symbol, sessions[symbol], daily, harvest) for symbol, daily in closes.items()}
    wanted = [symbol for symbol, own in listed.items() if own]
    if not wanted:
        return []
    splits = harvest.good(feed.splits(wanted, through=last))
    schedules = _schedules({symbol: listed[symbol] for symbol in splits}, tools.calendar)
    days = {session.date: session for schedule in schedules.values() for session in schedule.timetable.sessions}
    bars = harvest.good(feed.bars(list(schedules), [days[day] for day in sorted(days)], needs.bar_minutes))
    return [
        (History(symbol=symbol, bars=own, daily=closes[symbol], splits=splits[symbol]), schedules[symbol])
        for symbol, own in bars.items()
    ]


def _listed(symbol: str, sessions: tuple[Session, ...], daily: DailyCloses, harvest: Harvest) -> tuple[Session, ...]:
    """The sessions from the symbol's first daily bar on; the earlier ones are counted."""
    since = daily.first_session
    if since is None or since <= sessions[0].date:
        return sessions
    harvest.not_listed[symbol] = tuple(session.date for session in sessions if session.date < since)
    return tuple(session for session in sessions if session.date >= since)


def _schedules(sessions: Sessions, calendar: Calendar) -> dict[str, Schedule]:
    """A schedule for each symbol; symbols with the very same sessions, the usual case, share one."""
    schedules: dict[str, Schedule] = {}
    schedule: Schedule | None = None
    for symbol, own in sessions.items():
        if schedule is None or schedule.sessions is not own:
            schedule = Schedule.of(own, calendar)
        schedules[symbol] = schedule
    return schedules
