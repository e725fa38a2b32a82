"""Fetching again what a cache holds of some sessions, without judging them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading_playbook.core.calendar import Calendar, new_york_date
from trading_playbook.core.errors import FixRequest, gravest
from trading_playbook.core.remarks import ChangedData, NotKept
from trading_playbook.ports import Usage
from trading_playbook.runs.execution import in_batches
from trading_playbook.runs.fetching import fetch
from trading_playbook.runs.harvest import Harvest
from trading_playbook.runs.plan import plan_run
from trading_playbook.runs.request import RunRequest, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshReport:
    """What a refresh came to.

    sessions: the settled ones of the range, oldest first. changed: what the cache held of them otherwise, or of the
    session before them and the daily closes that they need. errors: the gravest decides the outcome; one of them tells
    that the cache could not be written.
    """

    data_feed: str
    symbols: tuple[str, ...]
    sessions: tuple[date, ...]
    changed: tuple[ChangedData, ...]
    warnings: tuple[str, ...]
    errors: tuple[Exception, ...]
    usage: Usage

    @property
    def error(self) -> Exception | None:
        """The gravest error, None where all went well."""
        return gravest(self.errors)


def refresh(request: RunRequest, tools: Tools) -> RefreshReport:
    """Ask for all that a run of these sessions would ask for; tools.feed is one that asks again and keeps the answers.

    Daily closes are those up to the last session's own where that is final. Neither journal nor run log is touched.
    Raises FixRequest or FixConfig where the request is wrong as a whole, as a run does.
    """
    if request.start is None or request.end is None:
        raise FixRequest("a refresh needs a start and an end")
    now = tools.clock.now()
    plan = plan_run(request, tools.calendar, now, tools.settle_after, tools.catch_up_sessions, stored={})
    harvest = Harvest(stored={})
    for sessions in in_batches(plan.sessions):
        first = min(own[0].date for own in sessions.values())
        last = max(own[-1].date for own in sessions.values())
        closes = tools.feed.daily_closes(
            list(sessions),
            before=first,
            count=request.play.strategy.needs.closes,
            through=_last_final(last, tools.calendar, now),
        )
        good = harvest.good(closes)
        if good:
            # What was asked for above is not asked for again: the feed asks once.
            fetch(request, tools, {symbol: sessions[symbol] for symbol in good}, harvest)
    warnings = tuple(dict.fromkeys((*plan.warnings, *tools.feed.warnings, *harvest.warnings, *_not_listed(harvest))))
    not_kept = [warning.error for warning in warnings if isinstance(warning, NotKept)]
    return RefreshReport(
        data_feed=tools.feed.name,
        symbols=request.symbols,
        sessions=tuple(session.date for session in next(iter(plan.sessions.values()))),
        changed=tuple(warning for warning in warnings if isinstance(warning, ChangedData)),
        warnings=tuple(warning for warning in warnings if not isinstance(warning, ChangedData | NotKept)),
        errors=(*harvest.errors, *not_kept, *([plan.too_early] if plan.too_early else [])),
        usage=tools.feed.usage,
    )


def _last_final(day: date, calendar: Calendar, now: datetime) -> date:
    """The day itself once a later session has opened, which makes its close final, else the session before it."""
    opened = [session for session in calendar.last_sessions(2, new_york_date(now)) if session.opens <= now]
    return day if opened and opened[-1].date > day else calendar.previous(day).date


def _not_listed(harvest: Harvest) -> Sequence[str]:
    return [
        f"{symbol}: {len(days)} sessions lie before its first daily bar and were not asked for"
        for symbol, days in harvest.not_listed.items()
    ]
