"""Which sessions of which symbol a run has to judge, by the calendar, the clock and the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import ceil

from trading_playbook.core.calendar import Calendar, Session, missing_stretches, new_york_date
from trading_playbook.core.errors import FixConfig, FixRequest, TooEarly
from trading_playbook.core.journal import RowKey
from trading_playbook.runs.request import RunRequest

CALENDAR_WARNING_DAYS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sessions to judge by symbol, oldest first.

    window: the first and the last date in question. closed_days: days of the range that were no session. too_early: the
    session that has not settled yet, as an error.
    market_closed: whether a nightly run found today closed. warnings: older gaps, the calendar's coming end.
    """

    sessions: Mapping[str, tuple[Session, ...]]
    window: tuple[date, date]
    closed_days: int = 0
    too_early: TooEarly | None = None
    market_closed: bool = False
    warnings: tuple[str, ...] = ()

    def without(self, keys: Iterable[RowKey]) -> Plan:
        """The plan without these sessions of these symbols."""
        gone = {(key.symbol, key.trade_date) for key in keys}
        if not gone:
            return self
        left = {
            symbol: tuple(session for session in own if (symbol, session.date) not in gone)
            for symbol, own in self.sessions.items()
        }
        return replace(self, sessions=left)


def plan_run(
    request: RunRequest,
    calendar: Calendar,
    now: datetime,
    settle_after: timedelta,
    catch_up_sessions: int,
    stored: Mapping[str, Sequence[date]],
) -> Plan:
    """Plan a run. stored: by symbol the sessions that have a row of this play already.

    Raises FixRequest where a range holds no session, lies in the future or beyond the calendar, or a session accepted
    by name is none.
    """
    today = new_york_date(now)
    if not calendar.first <= today <= calendar.last:
        raise FixConfig(
            f"today is {today} and the exchange calendar knows {calendar.first} to {calendar.last}: "
            "update trading-playbook"
        )
    for symbol, day in sorted(request.accepted):
        if calendar.session(day) is None:
            raise FixRequest(
                f"accepted {symbol}:{day}, but the exchange was closed on {day}", symbol=symbol, session=day
            )
    if request.start is not None and request.end is not None:
        plan = _plan_range(request.symbols, request.start, request.end, calendar, today, now, settle_after)
    else:
        plan = _plan_night(request, calendar, today, now, settle_after, catch_up_sessions, stored)
    left = calendar.days_left(today)
    if left > CALENDAR_WARNING_DAYS:
        return plan
    ending = f"the exchange calendar ends on {calendar.last}, {left} days from today: update trading-playbook"
    return replace(plan, warnings=(*plan.warnings, ending))


def _plan_range(
    symbols: Sequence[str],
    start: date,
    end: date,
    calendar: Calendar,
    today: date,
    now: datetime,
    settle_after: timedelta,
) -> Plan:
    sessions = calendar.sessions(start, end)
    if not sessions:
        raise FixRequest(f"the exchange was closed from {start} to {end}: ask for days that hold a session")
    if end > today:
        raise FixRequest(f"the end {end} lies after today, {today}: ask for sessions that are over")
    # Every session is judged with the one before it, so the calendar must know that too.
    calendar.previous(sessions[0].date)
    settled = tuple(session for session in sessions if session.settles(settle_after) <= now)
    return Plan(
        sessions=dict.fromkeys(symbols, settled),
        window=(start, end),
        closed_days=(end - start).days + 1 - len(sessions),
        too_early=_too_early(sessions[len(settled)], now, settle_after) if len(settled) < len(sessions) else None,
    )


def _plan_night(
    request: RunRequest,
    calendar: Calendar,
    today: date,
    now: datetime,
    settle_after: timedelta,
    catch_up_sessions: int,
    stored: Mapping[str, Sequence[date]],
) -> Plan:
    # More than asked for: today has not settled yet, perhaps, nor have those whose bars take days to.
    recent = calendar.last_sessions(catch_up_sessions + settle_after.days + 2, today)
    unsettled = [session for session in recent if session.settles(settle_after) > now]
    settled = recent[: len(recent) - len(unsettled)][-catch_up_sessions:]
    sessions: dict[str, tuple[Session, ...]] = {}
    warnings: list[str] = []
    for symbol in request.symbols:
        done = frozenset(stored.get(symbol, ()))
        if not done:
            sessions[symbol] = tuple(settled[-1:])
            continue
        sessions[symbol] = tuple(s for s in settled if s.date not in done and s.date > min(done))
        if settled and (gaps := missing_stretches(done, calendar, settled[0].date - timedelta(days=1))):
            warnings.append(_told_gaps(request, symbol, gaps))
    return Plan(
        sessions=sessions,
        window=(settled[0].date, settled[-1].date) if settled else (today, today),
        too_early=_too_early(unsettled[0], now, settle_after) if unsettled else None,
        market_closed=not calendar.is_open(today),
        warnings=tuple(warnings),
    )


def _told_gaps(request: RunRequest, symbol: str, gaps: Sequence[tuple[date, date]]) -> str:
    """One sentence on a journal's older gaps, with the command that fills them."""
    strategy, cost = request.play.strategy, request.play.cost.name
    chosen = "".join(f" --param {name}={value}" for name, value in strategy.chosen.items())
    chosen += "" if cost == "none" else f" --cost {cost}"
    stretches = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps[:5])
    more = f" and {len(gaps) - 5} more stretches" if len(gaps) > 5 else ""
    places = f" {request.places}" if request.places else ""
    return (
        f"{symbol} has no row for {stretches}{more}, older than a nightly run reaches; fill with: trading-playbook "
        f"backtest --symbol {symbol} --strategy {strategy.name}{chosen} "
        f"--start {gaps[0][0]} --end {gaps[-1][1]}{places}"
    )


def _too_early(session: Session, now: datetime, settle_after: timedelta) -> TooEarly:
    settles = session.settles(settle_after)
    minutes = settle_after // timedelta(minutes=1)
    wait = settles - now
    return TooEarly(
        f"the session of {session.date} is judged {minutes} minutes after its close: "
        f"come back in {_duration(wait)}, at {settles:%Y-%m-%d %H:%M} UTC",
        session=session.date,
        retry_after_seconds=ceil(wait.total_seconds()),
    )


def _duration(wait: timedelta) -> str:
    minutes = ceil(wait / timedelta(minutes=1))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
