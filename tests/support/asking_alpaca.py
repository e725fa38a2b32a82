"""The feed of Alpaca over its double, without the waits that a clock would tell of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.alpaca_double import AlpacaServer
from tests.support.bars import CALENDAR
from tests.support.clocks import ManualClock
from trading_playbook.core.calendar import Calendar
from trading_playbook.feeds.alpaca import AlpacaClient, AlpacaFeed, AlpacaKeys
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import Clock


@contextmanager
def asking(
    server: AlpacaServer,
    *,
    feed: str = "sip",
    clock: Clock | None = None,
    budget: float = 100.0,
    keys: AlpacaKeys | None = None,
    calls_per_minute: int = 10_000,
    calendar: Calendar = CALENDAR,
) -> Iterator[AlpacaFeed]:
    """The feed; its connections are closed at the end."""
    clock = clock or ManualClock()
    pair = keys or AlpacaKeys(server.key, server.secret)
    client = AlpacaClient(
        lambda refused: pair,
        clock=clock,
        budget=RetryBudget(clock, budget),
        calls_per_minute=calls_per_minute,
        data_url=server.url,
        trading_url=server.url,
    )
    try:
        yield AlpacaFeed(client, feed, calendar)
    finally:
        client.close()
