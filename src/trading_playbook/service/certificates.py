"""The public keys that Google signs its tokens with: fetched when one is needed, kept for as long as Google allows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trading_playbook.core.errors import RetryLater

if TYPE_CHECKING:
    from jwt import PyJWK

    from trading_playbook.ports import Clock

GOOGLE_CERTIFICATES = "https://www.googleapis.com/oauth2/v3/certs"
"""Google's keys as a JWK set (RFC 7517)."""

ALGORITHM = "RS256"
"""The only one that Google signs ID tokens with, hence the only one that is read here."""

FETCH_SECONDS = 5.0
"""What a fetch may lose, tries and waits together, while a caller waits for its answer."""

PAUSE_SECONDS = 10.0
"""After a fetch that failed nobody asks for so long."""

UNKNOWN_SECONDS = 30.0
"""A key that is not among those kept is asked for at most this often: whoever invents key ids must not make us ask."""

SHORTEST_SECONDS, USUAL_SECONDS, LONGEST_SECONDS = 60.0, 300.0, 86_400.0
"""How long keys are kept at least, without a word of the server's, and at most. Google says some hours."""

_MAX_AGE = re.compile(r"""(?:^|[\s,])max-age="?(\d{1,9})""", re.ASCII | re.IGNORECASE)


class Unavailable(RetryLater):
    """Google's keys cannot be had at present, so nobody's token can be judged."""


class Certificates:
    """Google's public keys, by their id. Safe for threads: one fetches, and only who needs what it fetches waits."""

    def __init__(self, clock: Clock, url: str = GOOGLE_CERTIFICATES) -> None:
        self._clock = clock
        self._url = url
        self._fetching = threading.Lock()
        self._keys: tuple[Mapping[str, PyJWK], datetime] = {}, datetime.min.replace(tzinfo=UTC)
        self._pause_ends = self._next_unknown = float("-inf")

    def key(self, key_id: str) -> PyJWK | None:
        """The key of this id, None where Google has none. Raises Unavailable where that cannot be told."""
        if (key := self._kept().get(key_id)) is not None:
            return key
        with self._fetching:
            kept = self._kept()  # once: they may be too old a moment later
            if key_id not in kept:  # nobody has fetched it while this thread waited for its turn
                kept = self._refreshed(kept)
            return kept.get(key_id)

    def _kept(self) -> Mapping[str, PyJWK]:
        """The keys, none once they are too old.

        By the time of day: while an instance sleeps, its monotonic clock may sleep too.
        """
        keys, end = self._keys
        return keys if self._clock.now() < end else {}

    def _refreshed(self, kept: Mapping[str, PyJWK]) -> Mapping[str, PyJWK]:
        """Google's keys of now, or those kept where it is too early to ask again. Raises Unavailable."""
        began = self._clock.monotonic()
        if began < self._pause_ends:
            raise self._unavailable("it has just failed to", self._pause_ends - began)
        if kept and began < self._next_unknown:
            return kept
        fetched = self._clock.now()
        try:
            keys, seconds = _fetch(self._url, self._clock)
        except RetryLater as error:
            self._pause_ends = self._clock.monotonic() + PAUSE_SECONDS
            raise self._unavailable(error.message, PAUSE_SECONDS) from error
        self._keys = keys, fetched + timedelta(seconds=seconds)
        if kept:
            self._next_unknown = self._clock.monotonic() + UNKNOWN_SECONDS
        return keys

    def _unavailable(self, why: str, seconds: float) -> Unavailable:
        return Unavailable(
            f"{self._url} must give Google's keys before a token can be verified: {why}", retry_after_seconds=seconds
        )


def _fetch(url: str, clock: Clock) -> tuple[Mapping[str, PyJWK], float]:
    """The keys and for how many seconds they are good. Raises RetryLater."""
    # Imported here, for a service that wakes up to answer /health needs none of it.
    from requests import RequestException, Session

    from trading_playbook.network.budget import RetryBudget
    from trading_playbook.network.deadlines import DeadlineAdapter, ending_within
    from trading_playbook.network.retries import Temporary, asked_wait, with_retries

    def attempt(seconds: float) -> tuple[Mapping[str, PyJWK], float]:
        with Session() as session, ending_within(seconds) as deadline:
            session.mount("https://", DeadlineAdapter())
            session.mount("http://", DeadlineAdapter())
            try:
                # A redirect would let another host than the one that is configured say whom to trust.
                answer = session.get(url, timeout=deadline.timeouts, allow_redirects=False)
                body = answer.content
            except (RequestException, OSError) as error:
                raise Temporary(f"it could not be read: {type(error).__name__}") from None
        if answer.status_code != 200:
            raise Temporary(f"it answers {answer.status_code}", asked_wait(answer.headers, clock.now()))
        return _read(body), _good_for(answer.headers)

    return with_retries(attempt, RetryBudget(clock, FETCH_SECONDS))


def _read(body: bytes) -> Mapping[str, PyJWK]:
    """The keys of a JWK set that verify RS256, by id. Raises Temporary where there is none."""
    from jwt import PyJWKSet, PyJWTError

    from trading_playbook.network.retries import Temporary

    try:
        keys = PyJWKSet.from_dict(json.loads(body)).keys
    except (PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        raise Temporary("its answer is no set of keys") from None
    fit = {
        key.key_id: key
        for key in keys
        if key.algorithm_name == ALGORITHM and key.public_key_use in ("sig", None) and isinstance(key.key_id, str)
    }
    if not fit:
        raise Temporary("its answer has no key for signatures")
    return fit


def _good_for(headers: Mapping[str, str]) -> float:
    """Seconds, by max-age less the Age that the answer has already (RFC 9111, 4.2)."""
    if (told := _MAX_AGE.search(headers.get("Cache-Control", ""))) is None:
        return USUAL_SECONDS
    age = headers.get("Age", "").strip()
    left = float(told[1]) - (float(age) if re.fullmatch(r"[0-9]{1,9}", age) else 0.0)
    # Never less than the shortest: else a header could make every call ask.
    return min(LONGEST_SECONDS, max(SHORTEST_SECONDS, left))
