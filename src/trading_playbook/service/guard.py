"""What stands before every path: who may call, how long a body may be and take, what every answer bears."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from trading_playbook.core.errors import PlaybookError, RetryLater
from trading_playbook.observability import LOGGER, TRACE, without_secrets
from trading_playbook.service.auth import Authenticator, Forbidden, Unauthorized
from trading_playbook.service.problems import problem, problem_of, problem_of_bug
from trading_playbook.service.threads import Workshop

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health", "/healthz", "/ready"})
LARGEST_BODY = 64 * 1024
"""Bytes."""

BODY_SECONDS = 10.0
"""How long a body may take to come."""

CALLERS_AT_ONCE = 32
"""Tokens that are verified at the same time."""

CALLER_SECONDS = 12.0
"""How long one may take: a fetch of certificates, and the wait for another's."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
)
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_NO_STORE = (b"cache-control", b"no-store")


class Guard:
    """ASGI middleware. allowed: by path the e-mail addresses that may call it. project: of Google's, for traces.

    Who is not let in is told so before any of the body is read. A bug that comes out of a path is logged with an id,
    which is all that the caller is told.
    """

    def __init__(
        self,
        app: App,
        authenticator: Callable[[], Authenticator],
        allowed: Callable[[str], Collection[str]],
        project: Callable[[], str],
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._allowed = allowed
        self._project = project
        self._callers = Workshop(CALLERS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._live(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _with_ours(message.get("headers", ()))
            await send(message)

        TRACE.set(trace_of(Headers(scope=scope), self._project()))
        try:
            await self._answer(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The process is told to go, and has waited as long as it may.
            if not started:
                gone = RetryLater("this instance is going, the same call completes the work", retry_after_seconds=1)
                await problem_of(gone)(scope, receive, send_with_headers)
            raise
        except Exception as error:
            if started:
                raise
            await problem_of_bug(error)(scope, receive, send_with_headers)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and end. A setting that is wrong is told as it is by the command line, without a traceback."""

        async def send_plainly(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and isinstance(error := sys.exception(), PlaybookError):
                message = {**message, "message": f"error: {without_secrets(error.message)}"}
            await send(message)

        with suppress(PlaybookError):  # told already
            await self._app(scope, receive, send_plainly)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = await self._refusal(scope)
        if refusal is None:
            content, refusal = await _whole_body(scope, receive)
        if refusal is not None:
            # What is left of the body is not read, so nothing else can follow on this connection.
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send)
            return
        await self._app(scope, _replayed(content, receive), send)

    async def _refusal(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if path in OPEN_PATHS:
            return None
        headers = Headers(scope=scope)
        try:
            # Beside the loop: it may have to fetch certificates.
            who, allowed = self._authenticator(), self._allowed(path)
            await self._callers.do(lambda: who.caller(headers, allowed), CALLER_SECONDS)
        except Unauthorized as error:
            LOGGER.warning("unauthorized", extra={"facts": {"reason": error.reason}})
            told = "a bearer token is needed: valid, made out to this service, of a verified e-mail address"
            return problem(
                401, "unauthorized", "Who calls is not known", told, headers={"WWW-Authenticate": error.challenge}
            )
        except Forbidden as error:
            LOGGER.warning("forbidden", extra={"facts": {"caller": error.caller}})
            return problem(403, "forbidden", "The caller may not do this", "the caller is not on the list of this path")
        except PlaybookError as error:
            return problem_of(error)
        return None


async def _whole_body(scope: Scope, receive: Receive) -> tuple[bytes, Response | None]:
    """The body, or why it is refused."""
    declared = Headers(scope=scope).get("content-length", "0")
    too_large = problem(413, "too_large", "The body is too large", f"a body has at most {LARGEST_BODY} bytes")
    if not (declared.isascii() and declared.isdecimal()) or len(declared) > 15 or int(declared) > LARGEST_BODY:
        return b"", too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return b"", problem(400, "no_body", "The body did not come", "the connection was closed")
                body += message.get("body", b"")
                if len(body) > LARGEST_BODY:
                    return b"", too_large
                if not message.get("more_body", False):
                    return bytes(body), None
    except TimeoutError:
        return b"", problem(408, "slow", "The body came too slowly", f"a body comes within {BODY_SECONDS:g} seconds")


def trace_of(headers: Headers, project: str) -> str | None:
    """The trace of a call, by traceparent (W3C) or X-Cloud-Trace-Context, as Cloud Logging names it.

    Without a project its id alone, 32 hex digits.
    """
    for header, place in (("traceparent", 1), ("x-cloud-trace-context", 0)):
        parts = headers.get(header, "").lower().replace("/", "-").split("-")
        if len(parts) > place and _TRACE_ID.fullmatch(parts[place]) and set(parts[place]) != {"0"}:
            return f"projects/{project}/traces/{parts[place]}" if project else parts[place]
    return None


def _replayed(content: bytes, receive: Receive) -> Receive:
    """The body once more, for who reads it next; then whatever comes, such as the end of the connection."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return next_message


def _with_ours(headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {name.lower() for name, _ in headers}
    ours = [header for header in (*_HEADERS, _NO_STORE) if header[0] not in named]
    return [*headers, *ours]
