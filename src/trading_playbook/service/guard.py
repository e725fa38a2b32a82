"""What stands before every path: who may call, how long a body may be and take, what every answer bears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from trading_playbook.core.errors import PlaybookError
from trading_playbook.observability import LOGGER
from trading_playbook.service.auth import Authenticator, Forbidden, Unauthorized
from trading_playbook.service.problems import problem, problem_of

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

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
)
_NO_STORE = (b"cache-control", b"no-store")


class Guard:
    """ASGI middleware. allowed: by path the e-mail addresses that may call it.

    Who is not let in is told so before any of the body is read.
    """

    def __init__(
        self, app: App, authenticator: Callable[[], Authenticator], allowed: Callable[[str], Collection[str]]
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_ours(message.get("headers", ()))
            await send(message)

        refusal = await self._refusal(scope)
        if refusal is None:
            content, refusal = await _whole_body(scope, receive)
        if refusal is not None:
            # What is left of the body is not read, so nothing else can follow on this connection.
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, _replayed(content, receive), send_with_headers)

    async def _refusal(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if path in OPEN_PATHS:
            return None
        headers = Headers(scope=scope)
        try:
            # Beside the loop: it may have to fetch certificates.
            await asyncio.to_thread(self._authenticator().caller, headers, self._allowed(path))
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
    if not declared.isdecimal() or int(declared) > LARGEST_BODY:
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
