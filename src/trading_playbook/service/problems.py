"""Errors as HTTP answers: application/problem+json (RFC 9457), without anything that is not for the caller."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from starlette.responses import JSONResponse

from trading_playbook.core.errors import (
    CheckData,
    FixConfig,
    FixRequest,
    NoData,
    PlaybookError,
    RetryLater,
    ReviewConflict,
    TooEarly,
)
from trading_playbook.observability import LOGGER
from trading_playbook.service.local_paths import LocalPaths

LONGEST_DETAIL = 600
"""Letters. What a caller sent is shown by our errors in at most 60 of them."""

TOLD_ERRORS = 50
"""Of one run. Of more, their number is told, and the record of the run has them all."""

NO_DATA_RETRY_SECONDS = 1_800
"""A feed that had no bars yet is worth another call in half an hour."""

_STATUSES: tuple[tuple[type[PlaybookError], int, str, str], ...] = (
    (TooEarly, 425, "too_early", "The session has not settled yet"),
    (RetryLater, 503, "retry", "Temporary trouble: the same call may work later"),
    (NoData, 503, "no_data", "An open session without bars"),
    (CheckData, 502, "data", "The bars are wrong"),
    (ReviewConflict, 409, "conflict", "A stored row differs"),
    (FixConfig, 500, "config", "The configuration is wrong"),
    (FixRequest, 422, "usage", "The request is wrong"),
)
"""The first kind that fits, its status, and the end of its type with a title."""


class BadCall(Exception):
    """A call that is refused before it becomes a request: its status, a title, a sentence."""

    def __init__(self, status: int, kind: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail


class _Problem(JSONResponse):
    """JSON in ASCII: what came in may hold letters that are none in UTF-8."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, default=str).encode("ascii")


def problem(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    facts: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One problem. facts: further members of it."""
    content = {
        "type": f"urn:trading-playbook:{kind}",
        "title": title,
        "status": status,
        "detail": detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}...",
        **(facts or {}),
    }
    return _Problem(content, status, headers=dict(headers or {}))


def problem_of_bug(error: Exception) -> JSONResponse:
    """The problem of a bug that no run's report holds: an id, under which the log has the rest."""
    call_id = os.urandom(6).hex()
    log_bug_of(error, call_id)
    return problem_of(error, run_id=call_id)


def log_bug_of(error: BaseException, run_id: str) -> None:
    """The traceback of a bug, with the id that the caller is told."""
    told = {"facts": {"run_id": run_id}}
    LOGGER.error("a bug of trading-playbook: %s", type(error).__name__, exc_info=error, extra=told)


def problem_of(
    error: Exception,
    *,
    run_id: str | None = None,
    others: Sequence[Exception] = (),
    report: object = None,
    paths: LocalPaths | None = None,
) -> JSONResponse:
    """The problem that an error is. others: what else went wrong in the run; report: what the run did all the same.

    paths: those of this machine, which are not told.
    """
    paths = paths or LocalPaths(())
    facts: dict[str, object] = {"run_id": run_id} if run_id else {}
    if not isinstance(error, PlaybookError):
        detail = "this is a bug of ours; the log has more under the run_id" if run_id else "this is a bug of ours"
        return problem(500, "bug", "A bug", detail, facts=facts)
    _, status, kind, title = next(known for known in _STATUSES if isinstance(error, known[0]))
    told = error.facts()
    facts |= {name: value for name, value in told.items() if name not in ("type", "message")}
    if others:
        facts["errors"] = [_short(other, paths) for other in others[:TOLD_ERRORS]]
    if len(others) > TOLD_ERRORS:
        facts["further_errors"] = len(others) - TOLD_ERRORS
    if report is not None:
        facts["report"] = paths.without(report)
    detail = paths.without_in(error.message)
    return problem(status, kind, title, detail, facts=facts, headers=_retry_after(error))


def _short(error: Exception, paths: LocalPaths) -> dict[str, object]:
    if not isinstance(error, PlaybookError):
        return {"type": "Bug", "message": "the log has more under the run_id"}
    return {**error.facts(), "message": paths.without_in(error.message)[:LONGEST_DETAIL]}


def _retry_after(error: PlaybookError) -> dict[str, str]:
    if isinstance(error, RetryLater):
        return {"Retry-After": str(max(1, ceil(error.retry_after_seconds)))}
    return {"Retry-After": str(NO_DATA_RETRY_SECONDS)} if isinstance(error, NoData) else {}
