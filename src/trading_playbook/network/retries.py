"""Trying again what may work the next time, within a budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from trading_playbook.core.errors import RetryLater
from trading_playbook.network.budget import RetryBudget

ATTEMPTS = 5
"""How often one call is made at most."""

TEMPORARY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
CALL_SECONDS = 60.0
"""How long one attempt may take from its beginning to the last byte of its answer."""

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 8.0

Answer = TypeVar("Answer")


class Temporary(Exception):
    """One attempt failed in a way that may pass. wait_seconds: how long the other side asks to be left alone."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.wait_seconds = wait_seconds


def with_retries(
    attempt: Callable[[float], Answer], budget: RetryBudget, in_turn: Callable[[], None] = lambda: None
) -> Answer:
    """The answer of the first attempt that does not raise Temporary.

    attempt is given the seconds it may take; in_turn returns when it may be made, which is no lost time. Waits grow,
    are drawn at random so that many callers do not come back at once, and are never shorter than what the other side
    asks for. Only for calls that do no harm when made twice.
    Raises RetryLater after ATTEMPTS attempts, or where the budget does not reach for another one.
    """
    trouble = Temporary("no time is left for another call in this run")
    wait = 0.0
    for tried in range(ATTEMPTS):
        if tried:
            wait = max(_backoff(tried), trouble.wait_seconds)
        if wait >= budget.left:
            break
        if wait:
            budget.wait(wait)
        in_turn()
        try:
            with budget.lost_unless_done():
                return attempt(min(CALL_SECONDS, budget.left))
        except Temporary as error:
            trouble = error
    raise RetryLater(trouble.message, retry_after_seconds=max(trouble.wait_seconds, 60.0)) from trouble


def asked_wait(headers: Mapping[str, str], now: datetime) -> float:
    """The seconds that an answer asks to be left alone: Retry-After, else X-RateLimit-Reset; 0 where it asks nothing.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3); X-RateLimit-Reset a time in seconds since 1970.
    """
    try:
        if (after := headers.get("Retry-After", "").strip()) != "":
            if after.replace(".", "", 1).isdecimal():
                return float(after)
            moment = parsedate_to_datetime(after)
            return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
        if (reset := headers.get("X-RateLimit-Reset", "").strip()) != "":
            return max(0.0, float(reset) - now.timestamp())
    except (ValueError, OverflowError, TypeError):
        pass
    return 0.0


def _backoff(tried: int) -> float:
    longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0**tried)
    return random.uniform(longest / 2, longest)
