"""The service: FastAPI over the same runs as the command line.

    uvicorn trading_playbook.service.app:app        or        trading-playbook serve

Importing this reads no setting and no clock; that happens when the service starts.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from trading_playbook.core.errors import FixConfig, FixRequest, PlaybookError
from trading_playbook.observability import LOGGER
from trading_playbook.service.auth import Authenticator, build_authenticator
from trading_playbook.service.bodies import RunBody
from trading_playbook.service.guard import Guard
from trading_playbook.service.local_paths import LocalPaths
from trading_playbook.service.problems import BadCall, log_bug_of, problem, problem_of
from trading_playbook.service.remembered import Remembered
from trading_playbook.service.routes import router
from trading_playbook.service.stopping import gone_in_time
from trading_playbook.service.threads import Workshop
from trading_playbook.version import VERSION

if TYPE_CHECKING:
    from trading_playbook.config import Settings
    from trading_playbook.ports import Clock
    from trading_playbook.runs import RunReport
    from trading_playbook.service.calls import Calls
    from trading_playbook.service.metrics import Metrics

RUNS_AT_ONCE = 4
READS_AT_ONCE = 8
READ_SECONDS = 60.0
READY_SECONDS = 5.0
FIGURES_SECONDS = 30.0

DESCRIPTION = """\
One trustworthy journal row for each symbol and session. POST /backtest with an empty body is the nightly run; the same
call twice changes nothing. Every error is application/problem+json (RFC 9457).
"""


class State:
    """What a started service works with.

    Every setting is read and judged here. What it takes to run or read, numpy and the clients with it, is loaded by
    the first call that needs it, in that call's own thread: /health never waits for it.
    """

    def __init__(self, environment: Mapping[str, str], clock: Clock | None = None) -> None:
        """Raises FixConfig where a setting is wrong: then the service does not start. clock: the machine's if none."""
        from trading_playbook.core.calendar import Calendar
        from trading_playbook.observability import set_up_logging
        from trading_playbook.wiring import build_clock, build_settings

        settings, clock = build_settings(), clock or build_clock()
        _require_strategy(settings)
        self._calendar = Calendar(settings.calendar_overrides)
        # The line that each run leaves is what figures in a cloud are made of, so it is always heard.
        set_up_logging("INFO" if settings.log_level == "WARNING" else settings.log_level, settings.log_format)
        self.settings = settings
        self._clock = clock
        self.project = environment.get("GOOGLE_CLOUD_PROJECT", "")
        self.paths = LocalPaths(
            (settings.output_dir, settings.output_location, settings.data_cache_dir, settings.data_dir)
        )
        self.authenticator: Authenticator = build_authenticator(
            settings.auth,
            audience=settings.oidc_audience,
            callers=settings.oidc_service_accounts,
            environment=environment,
            clock=clock,
        )
        self.runs = Workshop(RUNS_AT_ONCE)
        self.reads = Workshop(READS_AT_ONCE)
        self._looks = Workshop(1)
        self._loading = threading.Lock()
        self._calls: Calls | None = None
        self._metrics: Metrics | None = None
        self._readiness: Remembered[bool] = Remembered(READY_SECONDS, clock)
        self._figures: Remembered[bytes] = Remembered(FIGURES_SECONDS, clock)
        if self.authenticator.warning:
            LOGGER.warning(self.authenticator.warning)

    @property
    def calls(self) -> Calls:
        """Ask for it in a thread of its own: the first time it loads all that a run needs."""
        with self._loading:
            if self._calls is None:
                from trading_playbook.service.calls import Calls

                self._calls = Calls(self.settings, self._clock, self._calendar)
            return self._calls

    @property
    def metrics(self) -> Metrics:
        """As calls."""
        with self._loading:
            if self._metrics is None:
                from trading_playbook.service.metrics import Metrics

                self._metrics = Metrics(VERSION)
            return self._metrics

    def allowed(self, path: str) -> Collection[str]:
        """Who may call a path: pages, figures and reads have viewers of their own."""
        callers = self.settings.oidc_service_accounts
        return callers if path == "/backtest" else (*callers, *self.settings.viewers)

    async def backtest(self, body: RunBody) -> RunReport:
        """One run, counted and logged. Raises what refuses it as a whole, and RetryLater at the deadline."""
        # A little before the deadline, so that the answer is out by then.
        deadline = self.settings.run_deadline_seconds
        seconds = deadline - max(1.0, 0.05 * deadline)
        return await self.runs.do(lambda: self._run(body), seconds)

    def _run(self, body: RunBody) -> RunReport:
        from trading_playbook.service.runs_log import log_refusal, log_run

        try:
            report = self.calls.backtest(body)
            for each in report.errors:
                if not isinstance(each, PlaybookError):
                    log_bug_of(each, report.run_id)
            self.metrics.count(report)
            log_run(report, self.calls.standing)
        except Exception as error:
            self.metrics.count_failure(error)
            log_refusal(error)
            raise
        finally:
            self._figures.forget()
        return report

    async def metrics_text(self) -> bytes:
        """The figures for Prometheus; those of the journal are remembered for a while."""
        return await self._figures.value(
            lambda: self.reads.do(lambda: self.metrics.text(self.calls.standing), READ_SECONDS)
        )

    async def is_ready(self) -> bool:
        """Whether a run could write its journals; what is wrong is for the log."""

        async def look() -> bool:
            try:
                await self._looks.do(lambda: self.calls.require_ready(), READY_SECONDS)
            except PlaybookError as error:
                LOGGER.warning("not ready", extra={"facts": {"why": error.message}})
                return False
            except Exception as error:
                log_bug_of(error, "ready")
                return False
            return True

        return await self._readiness.value(look)


def _require_strategy(settings: Settings) -> None:
    """FixConfig where there is no such strategy, or none with such parameters: settings know their form alone."""
    from trading_playbook.core.strategies import build_strategy

    try:
        build_strategy(settings.strategy, settings.strategy_params)
    except FixRequest as error:
        raise FixConfig(f"STRATEGY or STRATEGY_PARAMS: {error.message}") from None


@asynccontextmanager
async def _started(app: FastAPI) -> AsyncIterator[None]:
    if not hasattr(app.state, "playbook"):
        app.state.playbook = State(os.environ)
    _hear_the_server()
    with gone_in_time():
        yield


def _hear_the_server() -> None:
    """Let uvicorn's lines go where ours do: in our form, and without secrets. Each call's own line is the proxy's."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def create_app() -> FastAPI:
    """The application, not started: settings are read when it starts."""
    made = FastAPI(
        title="Trading Playbook",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=_started,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    made.include_router(router)
    made.openapi = lambda: _document(made)  # type: ignore[method-assign] # as FastAPI has it done
    made.add_exception_handler(BadCall, _bad_call)
    made.add_exception_handler(PlaybookError, _known_error)
    made.add_exception_handler(HTTPException, _http_error)
    made.add_middleware(
        Guard,
        authenticator=lambda: made.state.playbook.authenticator,
        allowed=lambda path: made.state.playbook.allowed(path),
        project=lambda: made.state.playbook.project,
    )
    return made


def _document(app: FastAPI) -> dict[str, Any]:
    from trading_playbook.service.openapi import document

    return document(app)


async def _bad_call(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadCall)
    return problem(error.status, error.kind, error.title, error.detail)


async def _known_error(request: Request, error: Exception) -> Response:
    state: State = request.app.state.playbook
    level = logging.ERROR if isinstance(error, FixConfig) else logging.WARNING
    facts = {"path": request.url.path, "kind": type(error).__name__, "why": str(error)}
    LOGGER.log(level, "refused", extra={"facts": facts})
    return problem_of(error, paths=state.paths)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    titles = {404: "There is nothing here", 405: "The path does not take this method"}
    title = titles.get(error.status_code, "The call is refused")
    return problem(error.status_code, "http", title, title, headers=error.headers)


app = create_app()
