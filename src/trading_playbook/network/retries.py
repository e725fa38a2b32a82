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

LONGEST_ASKED_SECONDS = 24 * 3_600.0
"""What asks for a longer wait than this does not mean it."""

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
        seconds = min(CALL_SECONDS, budget.left)
        if seconds <= 0:  # others have spent it meanwhile
            break
        try:
            with budget.lost_unless_done():
                return attempt(seconds)
        except Temporary as error:
            trouble = error
    raise RetryLater(trouble.message, retry_after_seconds=max(trouble.wait_seconds, 60.0)) from trouble


def asked_wait(headers: Mapping[str, str], now: datetime) -> float:
    """The seconds that an answer asks to be left alone: Retry-After, else X-RateLimit-Reset; 0 where it asks nothing.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3); X-RateLimit-Reset a time in seconds since 1970,
    which counts where no call is left, for good answers tell of it too. Both are times of the other side's clock: they
    are taken from its Date, and from `now` where it has none.
    """
    now = _moment(headers.get("Date", "")) or now
    after, reset = headers.get("Retry-After", "").strip(), headers.get("X-RateLimit-Reset", "").strip()
    wait = 0.0
    if after.replace(".", "", 1).isdecimal():
        wait = float(after)
    elif moment := _moment(after):
        wait = (moment - now).total_seconds()
    elif reset.replace(".", "", 1).isdecimal() and headers.get("X-RateLimit-Remaining", "0").strip() == "0":
        wait = float(reset) - now.timestamp()
    return min(max(0.0, wait), LONGEST_ASKED_SECONDS)


def _moment(text: str) -> datetime | None:
    """The time that a date of HTTP means; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _backoff(tried: int) -> float:
    longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0**tried)
    return random.uniform(longest / 2, longest)
