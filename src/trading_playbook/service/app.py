"""The service: FastAPI over the same runs as the command line.

    uvicorn trading_playbook.service.app:app        or        trading-playbook serve

Importing this reads no setting and no clock; that happens when the service starts.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from trading_playbook.core.errors import PlaybookError
from trading_playbook.observability import LOGGER
from trading_playbook.service.auth import Authenticator, build_authenticator
from trading_playbook.service.bodies import RunBody, told_faults
from trading_playbook.service.guard import Guard
from trading_playbook.service.problems import BadCall, problem, problem_of
from trading_playbook.service.remembered import Remembered
from trading_playbook.service.routes import router
from trading_playbook.service.threads import Workshop
from trading_playbook.version import VERSION

if TYPE_CHECKING:
    from trading_playbook.runs import RunReport
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
    """What a started service works with."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises FixConfig where a setting is wrong: then the service does not start."""
        from trading_playbook.observability import set_up_logging
        from trading_playbook.service.calls import Calls
        from trading_playbook.wiring import build_clock, build_settings

        settings, clock = build_settings(), build_clock()
        # The line that each run leaves is what figures in a cloud are made of, so it is always heard.
        set_up_logging("INFO" if settings.log_level == "WARNING" else settings.log_level, settings.log_format)
        self._clock = clock
        self._project = environment.get("GOOGLE_CLOUD_PROJECT", "")
        self.calls = Calls(settings, clock)
        self.authenticator: Authenticator = build_authenticator(
            settings.auth,
            audience=settings.oidc_audience,
            callers=settings.oidc_service_accounts,
            environment=environment,
            clock=clock,
        )
        self.runs = Workshop(RUNS_AT_ONCE)
        self.reads = Workshop(READS_AT_ONCE)
        self._metrics: Metrics | None = None
        self._readiness: Remembered[bool] = Remembered(READY_SECONDS, clock)
        self._figures: Remembered[bytes] = Remembered(FIGURES_SECONDS, clock)
        if self.authenticator.warning:
            LOGGER.warning(self.authenticator.warning)

    @property
    def metrics(self) -> Metrics:
        if self._metrics is None:
            from trading_playbook.service.metrics import Metrics

            self._metrics = Metrics(VERSION)
        return self._metrics

    def allowed(self, path: str) -> Collection[str]:
        """Who may call a path: pages, figures and reads have viewers of their own."""
        settings = self.calls.settings
        callers = settings.oidc_service_accounts
        return callers if path == "/backtest" else (*callers, *settings.viewers)

    async def backtest(self, body: RunBody, trace: str | None) -> RunReport:
        """One run, counted and logged. Raises what refuses it as a whole, and RetryLater at the deadline."""
        # A little before the deadline, so that the answer is out by then.
        seconds = 0.95 * self.calls.settings.run_deadline_seconds
        return await self.runs.do(lambda: self._run(body, trace), seconds)

    def _run(self, body: RunBody, trace: str | None) -> RunReport:
        from trading_playbook.observability import TRACE, log_bug
        from trading_playbook.service.metrics import log_run

        TRACE.set(f"projects/{self._project}/traces/{trace}" if trace and self._project else trace)
        try:
            report = self.calls.backtest(body)
        except Exception as error:
            self.metrics.count_failure(error)
            raise
        for each in report.errors:
            if not isinstance(each, PlaybookError):
                log_bug(each)
        self.metrics.count(report)
        log_run(report, self.calls.standing)
        self._figures.forget()
        return report

    async def metrics_text(self) -> bytes:
        """The figures for Prometheus; those of the journal are remembered for a while."""
        return await self._figures.value(
            lambda: self.reads.do(lambda: self.metrics.text(self.calls.standing()), READ_SECONDS)
        )

    async def is_ready(self) -> bool:
        """Whether a run could write its journals; what is wrong is for the log."""

        async def look() -> bool:
            try:
                await self.reads.do(self.calls.require_ready, READY_SECONDS)
            except PlaybookError as error:
                LOGGER.warning("not ready", extra={"facts": {"why": error.message}})
                return False
            return True

        return await self._readiness.value(look)


@asynccontextmanager
async def _started(app: FastAPI) -> AsyncIterator[None]:
    if not hasattr(app.state, "playbook"):
        app.state.playbook = State(os.environ)
    yield


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
    made.add_exception_handler(BadCall, _bad_call)
    made.add_exception_handler(RequestValidationError, _bad_query)
    made.add_exception_handler(PlaybookError, _known_error)
    made.add_exception_handler(HTTPException, _http_error)
    made.add_exception_handler(Exception, _any_error)
    made.add_middleware(
        Guard,
        authenticator=lambda: made.state.playbook.authenticator,
        allowed=lambda path: made.state.playbook.allowed(path),
    )
    return made


async def _bad_call(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadCall)
    return problem(error.status, error.kind, error.title, error.detail)


async def _known_error(request: Request, error: Exception) -> Response:
    return problem_of(error)


async def _bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(422, "usage", "The request is wrong", told_faults(error.errors()))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    titles = {404: "There is nothing here", 405: "The path does not take this method"}
    title = titles.get(error.status_code, "The call is refused")
    return problem(error.status_code, "http", title, title, headers=error.headers)


async def _any_error(request: Request, error: Exception) -> Response:
    from trading_playbook.observability import log_bug

    log_bug(error)
    return problem_of(error)


app = create_app()
