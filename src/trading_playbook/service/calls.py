"""What the HTTP door does for a call: the same as the other doors, with the settings of the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar, new_york_date
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.parsing import parse_accepted, parse_day, parse_symbol, parse_symbols
from trading_playbook.core.statistics import Statistics, summarize
from trading_playbook.ports import Clock, JournalPlace, Manifest, RowQuery
from trading_playbook.runs import RunReport, RunRequest, run
from trading_playbook.service.bodies import RunBody
from trading_playbook.wiring import build_budget, build_places, build_play, build_tools

MOST_SESSIONS = 2_600
"""Symbols times sessions of one call: ten years of one symbol, or a day of 503 five times, which fit the deadline."""

TRAILING_SESSIONS = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """How the configured play stands: of all its rows, and of its last sessions."""

    rows: Sequence[JournalRow]
    whole: Statistics
    trailing: Statistics


class Calls:
    """One method a path; each builds what it works with anew, so that calls share nothing but the settings."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.calendar = Calendar(settings.calendar_overrides)
        self.play = build_play(settings, None, {}, None)

    def backtest(self, body: RunBody) -> RunReport:
        """Judge what a body asks for. Raises as runs.run does."""
        request = self._request(body)
        self._require_a_bounded_range(request)
        budget = build_budget(self.settings, self.clock)
        tools = build_tools(
            self.settings,
            clock=self.clock,
            budget=budget,
            places=build_places(self.settings, self.clock, budget),
            refresh=body.force_refresh,
            deadline=self.clock.monotonic() + 0.8 * self.settings.run_deadline_seconds,
        )
        return run(request, tools)

    def rows(self, query: RowQuery) -> list[JournalRow]:
        """The rows of the first of the configured journals."""
        return self._first_place().journal.rows(query)

    def runs(self, limit: int, since: datetime | None = None) -> Sequence[Manifest]:
        """The records of runs beside it, newest first."""
        return self._first_place().runs.list(since=since, limit=limit)

    def run_of(self, run_id: str) -> Manifest | None:
        return next((found for found in self._first_place().runs.list() if found.run_id == run_id), None)

    def standing(self) -> Standing:
        """The figures of the configured symbols, strategy and parameters."""
        rows = self.rows(
            RowQuery(
                symbols=frozenset(self.settings.symbols),
                strategy=self.play.strategy.name,
                params_hash=self.play.params_hash,
            )
        )
        today = new_york_date(self.clock.now())
        recent = {session.date for session in self.calendar.last_sessions(TRAILING_SESSIONS, today)}
        return Standing(
            rows=rows,
            whole=summarize(rows, self.calendar),
            trailing=summarize([row for row in rows if row.trade_date in recent], self.calendar),
        )

    def require_ready(self) -> None:
        """Raise what would keep a run from writing: a setting, a permission, a store that does not answer."""
        budget = build_budget(self.settings, self.clock)
        for place in build_places(self.settings, self.clock, budget):
            place.journal.require_writable()

    def _first_place(self) -> JournalPlace:
        return build_places(self.settings, self.clock, build_budget(self.settings, self.clock))[0]

    def _request(self, body: RunBody) -> RunRequest:
        return RunRequest(
            symbols=self._symbols(body),
            play=build_play(self.settings, body.strategy, body.params or {}, body.cost),
            start=parse_day(body.start) if body.start is not None else None,
            end=parse_day(body.end) if body.end is not None else None,
            accepted=frozenset(map(parse_accepted, body.accept or ())),
            revise=body.revise,
            dry_run=body.dry_run,
        )

    def _symbols(self, body: RunBody) -> tuple[str, ...]:
        if body.symbol is not None and body.symbols is not None:
            raise FixRequest("symbol and symbols are both given: leave one of them out")
        if body.symbol is not None:
            return (parse_symbol(body.symbol),)
        if body.symbols is None:
            return self.settings.symbols
        named = parse_symbols([body.symbols] if isinstance(body.symbols, str) else body.symbols)
        if not named:
            raise FixRequest("symbols names none: give at least one, or leave it out")
        return named

    def _require_a_bounded_range(self, request: RunRequest) -> None:
        if request.start is None or request.end is None:
            sessions = self.settings.catch_up_sessions
        else:
            first, last = max(request.start, self.calendar.first), min(request.end, self.calendar.last)
            sessions = len(self.calendar.sessions(first, last)) if first <= last else 0
        if (asked := sessions * len(request.symbols)) > max(MOST_SESSIONS, self.settings.catch_up_sessions * 503):
            raise FixRequest(
                f"{asked} sessions are more than one call judges, which is {MOST_SESSIONS}: ask for a part, or run "
                "trading-playbook backtest on a machine or as a job"
            )


def query_of(
    symbols: str | None, start: str | None, end: str | None, strategy: str | None, params_hash: str | None
) -> RowQuery:
    """The query of a GET. Raises FixRequest where a value is none."""
    return RowQuery(
        symbols=frozenset(parse_symbols([symbols])) if symbols is not None else None,
        start=_day(start),
        end=_day(end),
        strategy=strategy,
        params_hash=params_hash,
    )


def _day(text: str | None) -> date | None:
    return None if text is None else parse_day(text)
