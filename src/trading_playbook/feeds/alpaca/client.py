"""Asking Alpaca within the run's budget and the plan's rate, and what its refusals mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from trading_playbook.core.errors import FixConfig, FixRequest, PlaybookError, RetryLater
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.rate import RateLimit
from trading_playbook.network.retries import TEMPORARY_STATUSES, Temporary, asked_wait, with_retries
from trading_playbook.ports import Clock

if TYPE_CHECKING:
    from trading_playbook.feeds.alpaca.transport import Host

DATA_URL = "https://data.alpaca.markets"
PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"

RECENT_SECONDS = 15 * 60
"""How old SIP data must be for the free plan."""

NOTHING = object()
"""Stands for the answer where there is none of that name."""

_SHOWN = 120

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class AlpacaKeys:
    """A key pair; repr hides it. None where the configuration has none, which shows at the first call."""

    key: str | None = field(repr=False)
    secret: str | None = field(repr=False)


GetKeys = Callable[[AlpacaKeys | None], AlpacaKeys]
"""The key pair, asked for at the first call; given a pair that Alpaca refuses, the pair as it is now."""


class AlpacaClient:
    """GETs at the data host and at the trading host.

    read: makes of an answer's JSON what is wanted of it, and raises Temporary where it has another form.
    Raises RetryLater on temporary trouble, FixConfig where keys, plan or address are wrong, FixRequest where Alpaca
    calls the question wrong. No message holds a key, not even where the answer does.
    """

    def __init__(
        self,
        keys: GetKeys,
        *,
        clock: Clock,
        budget: RetryBudget,
        calls_per_minute: int = 200,
        data_url: str = DATA_URL,
        trading_url: str = PAPER_URL,
    ) -> None:
        self._get_keys = keys
        self._keys: AlpacaKeys | None = None
        self._renewed = False
        self._known: list[str] = []
        self._clock = clock
        self._budget = budget
        self._rate = RateLimit(clock, calls_per_minute)
        self._urls = {"data": data_url.rstrip("/"), "trading": trading_url.rstrip("/")}
        self._hosts: dict[str, Host] = {}
        self.calls = self.failed_calls = 0
        self.call_seconds = 0.0

    def data(self, path: str, params: Mapping[str, str], read: Callable[[Any], Answer], version: str = "v2") -> Answer:
        return self._get("data", path, params, read, version)

    def trading(self, path: str, params: Mapping[str, str], read: Callable[[Any], Answer]) -> Answer:
        return self._get("trading", path, params, read, "v2")

    def trading_or_nothing(self, path: str, read: Callable[[Any], Answer]) -> Answer | None:
        """As trading; None where the answer is 404, which is how Alpaca says that there is nothing of a name."""
        return self._get("trading", path, {}, lambda answer: None if answer is NOTHING else read(answer), "v2", NOTHING)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        for host in self._hosts.values():
            host.close()
        self._hosts.clear()

    def _get(
        self,
        name: str,
        path: str,
        params: Mapping[str, str],
        read: Callable[[Any], Answer],
        version: str,
        if_absent: object = None,
    ) -> Answer:
        try:
            return self._asked(name, path, params, read, version, if_absent)
        except _KeysRefused as refused:
            if not self._take_newer_keys():
                raise refused.error from None
        try:
            return self._asked(name, path, params, read, version, if_absent)
        except _KeysRefused as refused:
            raise refused.error from None

    def _asked(
        self,
        name: str,
        path: str,
        params: Mapping[str, str],
        read: Callable[[Any], Answer],
        version: str,
        if_absent: object,
    ) -> Answer:
        host = self._host(name)

        def counted(seconds: float) -> Answer:
            began = self._clock.monotonic()
            self.calls += 1
            try:
                return attempt(seconds)
            except BaseException:
                self.failed_calls += 1
                raise
            finally:
                self.call_seconds += self._clock.monotonic() - began

        def attempt(seconds: float) -> Answer:
            response, body = host.fetch(path, dict(params), version, seconds)
            if response.status_code == 404 and if_absent is not None:
                return read(if_absent)
            if response.status_code != 200:
                wait = asked_wait(response.headers, self._clock.now())
                raise self._refusal(name, response.status_code, body, wait)
            try:
                answer = json.loads(body)
            except (ValueError, RecursionError):
                raise Temporary(f"{self._urls[name]} gave an answer that is no JSON") from None
            return read(answer)

        return with_retries(counted, self._budget, in_turn=self._rate.wait)

    def _take_newer_keys(self) -> bool:
        """Whether there are other keys than those that were refused: they may have been rotated. Asked once."""
        if self._renewed:
            return False
        self._renewed = True
        newer = self._get_keys(self._keys)
        if newer == self._keys:
            return False
        self.close()
        self._take(newer)
        return True

    def _take(self, keys: AlpacaKeys) -> None:
        self._keys = keys
        self._known += [secret for secret in (keys.key, keys.secret) if secret]

    def _host(self, name: str) -> Host:
        if self._keys is None:
            self._take(self._get_keys(None))
        if name not in self._hosts:
            key, secret = (self._keys.key, self._keys.secret) if self._keys else (None, None)
            if not key or not secret:
                pair = {"ALPACA_API_KEY": key, "ALPACA_SECRET_KEY": secret}
                lacking = [variable for variable, value in pair.items() if not value]
                raise FixConfig(
                    f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set, and bars must be fetched "
                    "from Alpaca: set both in the environment or in .env, or choose another feed (DATA_FEED=files or "
                    "simulated)"
                )
            from trading_playbook.feeds.alpaca.transport import Host

            self._hosts[name] = Host(self._urls[name], key, secret)
        return self._hosts[name]

    def _refusal(self, name: str, status: int, body: bytes, wait_seconds: float) -> Exception:
        """What an answer with another status than 200 means."""
        url, said = self._urls[name], self._said(body)
        told = f"{url} answers {status}{f' ({said})' if said else ''}"
        if status in TEMPORARY_STATUSES or status >= 500:
            return Temporary(told, wait_seconds)
        if "subscription" in said.lower():
            return _of_the_plan(told, "recent" in said.lower() or "15 minutes" in said.lower())
        if status in (401, 403):
            paper = ", and that ALPACA_PAPER says whether they are of a paper account" if name == "trading" else ""
            return _KeysRefused(
                FixConfig(f"{told}: check that ALPACA_API_KEY and ALPACA_SECRET_KEY are a valid pair{paper}")
            )
        if status in (400, 422):
            return FixRequest(told)
        if status == 414:
            return FixRequest(f"{told}: too many symbols for one address")
        setting = "ALPACA_DATA_URL" if name == "data" else "ALPACA_TRADING_URL"
        return FixConfig(f"{told}, which is no answer of Alpaca's: check {setting}")

    def _said(self, body: bytes) -> str:
        """The message of an answer, cut to one short line; what it repeats of the keys is taken out."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        said = found.get("message") if isinstance(found, dict) else None
        if not isinstance(said, str):
            return ""
        # The longer one first: it may hold the other.
        for secret in sorted(self._known, key=len, reverse=True):
            said = said.replace(secret, "***")
        return "".join(letter if letter.isprintable() else " " for letter in said)[:_SHOWN].strip()


class _KeysRefused(Exception):
    """Alpaca does not take the keys; the error is what it means unless there are newer ones."""

    def __init__(self, error: FixConfig) -> None:
        super().__init__(error)
        self.error = error


def _of_the_plan(told: str, recent: bool) -> PlaybookError:
    if recent:
        return RetryLater(
            f"{told}: the free plan reads SIP data once it is 15 minutes old; come back later, and set SETTLE_MINUTES "
            "to 20 or more",
            retry_after_seconds=RECENT_SECONDS,
        )
    return FixConfig(
        f"{told}: the plan of these keys does not include the feed; set ALPACA_FEED=iex, or change the plan"
    )
