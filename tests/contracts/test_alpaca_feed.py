"""The feed of Alpaca, over the double of its endpoints, against the contract of the port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from tests.contracts.bar_feed import BarFeedContract
from tests.support.alpaca_double import AlpacaMarket, AlpacaServer
from tests.support.asking_alpaca import asking
from tests.support.bars import CALENDAR, closes_by_day, daily_closes, last_closes, minute_bars
from trading_playbook.core.bars import COLUMNS, Bars
from trading_playbook.core.daily import Split
from trading_playbook.core.errors import FixRequest
from trading_playbook.ports import BarFeed


class TestAlpaca(BarFeedContract):
    # Written as no symbol; one that is written as a symbol and does not exist shows when its closes are asked for.
    UNKNOWN = "NO-SUCH"
    FIRST = BarFeedContract.SESSIONS[0].date
    # Few enough that each question of the contract reaches back to the first: nobody asks for all of history.
    BEFORE = CALENDAR.last_sessions(BarFeedContract.COUNT + 1, FIRST - timedelta(days=1))
    FIRST_CLOSE = BEFORE[0].date
    SPLIT = Split(date(2025, 11, 24), 1.0, 4.0)

    def made(self, symbol: str) -> Bars:
        return minute_bars(self.SESSIONS, minutes=self.MINUTES, symbol=symbol)

    def closes_of(self, symbol: str) -> dict[date, float]:
        return daily_closes(str(self.FIRST), len(self.BEFORE), symbol=symbol) | last_closes(self.made(symbol))

    @pytest.fixture
    def server(self) -> Iterator[AlpacaServer]:
        market = AlpacaMarket(
            bars={symbol: self.made(symbol) for symbol in self.KNOWN},
            closes={symbol: self.closes_of(symbol) for symbol in self.KNOWN},
            splits={"QQQ": [self.SPLIT, Split(date(2026, 1, 2), 1.0, 2.0)]},
        )
        with AlpacaServer(market) as server:
            yield server

    @pytest.fixture
    def feed(self, server: AlpacaServer) -> Iterator[BarFeed]:
        with asking(server) as feed:
            yield feed

    def test_prices_are_raw_as_they_were_traded(self, feed: BarFeed) -> None:
        for symbol, bars in self.bars(feed).items():
            for name in ("opened", *COLUMNS):
                np.testing.assert_array_equal(getattr(bars, name), getattr(self.made(symbol), name))
        for symbol, daily in self.closes(feed, self.FIRST, date(2025, 12, 2)).items():
            assert closes_by_day(daily) == self.closes_of(symbol)

    def test_splits_are_those_that_were_made(self, feed: BarFeed) -> None:
        answers = feed.splits(self.KNOWN, through=date(2025, 12, 2))
        assert answers == {"QQQ": (self.SPLIT,), "BRK.B": (), "SPY": ()}

    def test_the_session_before_counts_where_bars_began_there(self, feed: BarFeed) -> None:
        first, second = CALENDAR.previous(self.FIRST), self.SESSIONS[0]
        for bars in self.bars(feed, (first, second)).values():
            assert bars.first_session == self.FIRST

    @pytest.mark.parametrize("others", [(), ("QQQ",)])
    def test_a_symbol_that_nobody_knows_shows_when_its_closes_are_asked_for(
        self, feed: BarFeed, others: Sequence[str]
    ) -> None:
        answers = feed.daily_closes([*others, "NOSUCH"], before=self.FIRST, count=self.COUNT, through=self.FIRST)
        assert isinstance(error := answers["NOSUCH"], FixRequest)
        assert error.symbol == "NOSUCH"
        assert not any(isinstance(answers[symbol], FixRequest) for symbol in others)
