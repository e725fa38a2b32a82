"""What the HTTP door does for a call: the same as the other doors, with the settings of the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar, new_york_date
from trading_playbook.core.errors import FixConfig, FixRequest
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.parsing import parse_accepted, parse_day, parse_symbol, parse_symbols
from trading_playbook.core.statistics import Statistics, summarize
from trading_playbook.ports import Clock, JournalPlace, Manifest, RowQuery
from trading_playbook.runs import RunReport, RunRequest, run
from trading_playbook.service.bodies import RunBody
from trading_playbook.service.fields import of_field
from trading_playbook.wiring import build_budget, build_places, build_play, build_tools

if TYPE_CHECKING:
    from trading_playbook.network.budget import RetryBudget

MOST_SESSIONS = 2_600
"""Symbols times sessions of one range: ten years of one symbol, or five days of 503, which fit the deadline."""

READY_BUDGET_SECONDS = 4.0
"""What looking whether the journals can be reached may lose; less than whoever asks waits for."""

_DEADLINE_SHARE = 0.8
"""Of RUN_DEADLINE_SECONDS, after which a run begins nothing new; the rest is for writing."""

Built = TypeVar("Built")

TRAILING_SESSIONS = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """How the configured play stands: of all its rows, and of its last sessions."""

    rows: Sequence[JournalRow]
    whole: Statistics
    trailing: Statistics


class Calls:
    """One method a path; each builds what it works with anew, so that calls share nothing but the settings."""

    def __init__(self, settings: Settings, clock: Clock, calendar: Calendar) -> None:
        # Nobody waits any more for what a call does after the deadline.
        lost = min(settings.retry_budget_seconds, _DEADLINE_SHARE * settings.run_deadline_seconds)
        self.settings = settings.model_copy(update={"retry_budget_seconds": lost})
        self.clock = clock
        self.calendar = calendar
        self.play = _configured(lambda: build_play(settings, None, {}, None))

    def backtest(self, body: RunBody) -> RunReport:
        """Judge what a body asks for. Raises as runs.run does; of an empty body the configuration is to blame."""
        return _configured(lambda: self._backtest(body)) if body == RunBody() else self._backtest(body)

    def _backtest(self, body: RunBody) -> RunReport:
        deadline = self.clock.monotonic() + _DEADLINE_SHARE * self.settings.run_deadline_seconds
        request = self._request(body)
        self._require_a_bounded_range(request)
        budget = build_budget(self.settings, self.clock)
        tools = build_tools(
            self.settings,
            clock=self.clock,
            budget=budget,
            places=self._places(budget),
            refresh=body.force_refresh,
            deadline=deadline,
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
        settings = self.settings
        if settings.data_feed == "alpaca" and not (settings.alpaca_api_key and settings.alpaca_secret_key):
            raise FixConfig("ALPACA_API_KEY and ALPACA_SECRET_KEY are not both set")
        if settings.data_feed == "files" and settings.data_dir is None:
            raise FixConfig("DATA_DIR is not set, and DATA_FEED=files needs it")
        lost = min(READY_BUDGET_SECONDS, settings.retry_budget_seconds)
        hasty = settings.model_copy(update={"retry_budget_seconds": lost})
        for place in self._places(build_budget(hasty, self.clock)):
            place.journal.require_writable()

    def _first_place(self) -> JournalPlace:
        return self._places(build_budget(self.settings, self.clock))[0]

    def _places(self, budget: RetryBudget) -> tuple[JournalPlace, ...]:
        return _configured(lambda: build_places(self.settings, self.clock, budget))

    def _request(self, body: RunBody) -> RunRequest:
        return RunRequest(
            symbols=self._symbols(body),
            play=build_play(self.settings, body.strategy, body.params or {}, body.cost),
            start=of_field("start", parse_day, body.start) if body.start is not None else None,
            end=of_field("end", parse_day, body.end) if body.end is not None else None,
            accepted=frozenset(of_field("accept", parse_accepted, text) for text in body.accept or ()),
            revise=body.revise,
            dry_run=body.dry_run,
        )

    def _symbols(self, body: RunBody) -> tuple[str, ...]:
        if body.symbol is not None and body.symbols is not None:
            raise FixRequest("symbol and symbols are both given: leave one of them out")
        if body.symbol is not None:
            return (of_field("symbol", parse_symbol, body.symbol),)
        if body.symbols is None:
            return self.settings.symbols
        named = of_field("symbols", parse_symbols, [body.symbols] if isinstance(body.symbols, str) else body.symbols)
        if not named:
            raise FixRequest("symbols names none: give at least one, or leave it out")
        return named

    def _require_a_bounded_range(self, request: RunRequest) -> None:
        if request.start is None or request.end is None:
            return  # what is configured is meant, and most of its nights are there already
        first, last = max(request.start, self.calendar.first), min(request.end, self.calendar.last)
        sessions = len(self.calendar.sessions(first, last)) if first <= last else 0
        if (asked := sessions * len(request.symbols)) > MOST_SESSIONS:
            raise FixRequest(
                f"start to end are {asked} sessions, and one call judges {MOST_SESSIONS}: ask for a part, or run "
                "trading-playbook backtest on a machine or as a job"
            )


def _configured(build: Callable[[], Built]) -> Built:
    """What the settings alone mean: where that is wrong, no request is to blame."""
    try:
        return build()
    except FixRequest as error:
        raise FixConfig(error.message) from None
