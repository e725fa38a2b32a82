"""The service: FastAPI over the same runs as the command line.

    uvicorn trading_playbook.service.app:app        or        trading-playbook serve

Importing this reads no setting and no clock; that happens when the service starts.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from trading_playbook.service.auth import Authenticator, build_authenticator
from trading_playbook.service.bodies import told_faults
from trading_playbook.service.calls import Calls
from trading_playbook.service.guard import Guard
from trading_playbook.service.problems import BadCall, problem, problem_of
from trading_playbook.service.routes import router
from trading_playbook.service.threads import Workshop
from trading_playbook.version import VERSION

RUNS_AT_ONCE = 4
READS_AT_ONCE = 8

DESCRIPTION = """\
One trustworthy journal row for each symbol and session. POST /backtest with an empty body is the nightly run; the same
call twice changes nothing. Every error is application/problem+json (RFC 9457).
"""


class State:
    """What a started service works with."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises FixConfig where a setting is wrong: then the service does not start."""
        from trading_playbook.config import load_settings
        from trading_playbook.observability import LOGGER, set_up_logging
        from trading_playbook.wiring import build_clock

        settings, clock = load_settings(), build_clock()
        set_up_logging(settings.log_level, settings.log_format)
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
        if self.authenticator.warning:
            LOGGER.warning("%s", self.authenticator.warning)

    def allowed(self, path: str) -> Collection[str]:
        """Who may call a path: pages, figures and reads have viewers of their own."""
        settings = self.calls.settings
        return settings.oidc_service_accounts if path == "/backtest" else (
            *settings.oidc_service_accounts,
            *settings.viewers,
        )


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
    return problem(error.status, error.kind, error.title, error.detail, headers=error.headers)


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
