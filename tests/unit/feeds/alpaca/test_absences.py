"""What is told of bars that are not there, how much is asked to find it out, and when a symbol's bars begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from tests.support import alpaca_double as double
from tests.support.alpaca_double import AlpacaMarket, AlpacaServer
from tests.support.asking_alpaca import asking
from tests.support.bars import CALENDAR, minute_bars, sessions_of
from trading_playbook.core.bars import Bars
from trading_playbook.core.calendar import Session
from trading_playbook.core.daily import DailyCloses
from trading_playbook.core.errors import FixRequest, PlaybookError, RetryLater
from trading_playbook.feeds.alpaca import AlpacaFeed

WEEK = sessions_of("2025-11-17", "2025-11-21")
DAYS = [session.date for session in WEEK]


def bars_on(days: list[int], symbol: str = "QQQ") -> Bars:
    return minute_bars([WEEK[day] for day in days], minutes=2, symbol=symbol)


def closes_on(*days: date) -> dict[date, float]:
    return dict.fromkeys(days, 500.0)


LONG_BEFORE = closes_on(*(session.date for session in CALENDAR.last_sessions(40, date(2025, 11, 14))))


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer(AlpacaMarket()) as server:
        yield server


def first_session(feed: AlpacaFeed, sessions: tuple[Session, ...] = WEEK) -> date | None:
    found = feed.bars(["QQQ"], sessions, 2)["QQQ"]
    assert isinstance(found, Bars), found
    return found.first_session


class TestFirstSession:
    def test_is_the_first_asked_for_where_that_has_bars_and_costs_no_call(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([0, 1, 2, 3, 4])}
        with asking(server) as feed:
            assert first_session(feed) == DAYS[0]
            assert first_session(feed, WEEK[2:]) == DAYS[2]
        assert server.calls() == 2

    def test_of_a_new_listing_is_its_first_day(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([2, 3, 4])}
        with asking(server) as feed:
            assert first_session(feed) == DAYS[2]
        # The bars; closes of the month before, of which there are none; then the first bar that there is.
        assert [request.kind for request in server.asked()] == ["bars", "daily", "bars"]
        assert server.asked()[-1].params["start"] == "2016-01-04T00:00:00Z"

    def test_after_a_halt_is_before_it(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([0, 2, 3])}
        with asking(server) as feed:
            assert first_session(feed, WEEK[1:4]) == DAYS[0]
        assert [request.kind for request in server.asked()] == ["bars", "daily", "bars"]

    def test_after_a_halt_of_days_is_found_from_the_beginning(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([0, 3])}
        with asking(server) as feed:
            assert first_session(feed, WEEK[2:4]) == DAYS[0]
        assert [request.kind for request in server.asked()] == ["bars", "daily", "bars", "bars"]

    def test_of_bars_that_begin_later_than_the_closes_is_that_of_the_bars(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([2, 3])}
        server.market.closes = {"QQQ": LONG_BEFORE | closes_on(*DAYS)}
        with asking(server) as feed:
            assert first_session(feed) == DAYS[2]

    def test_is_none_where_there_is_no_bar_at_all(self, server: AlpacaServer) -> None:
        server.market.closes = {"QQQ": LONG_BEFORE}
        with asking(server) as feed:
            assert first_session(feed) is None

    def test_does_not_count_bars_outside_regular_hours(self, server: AlpacaServer) -> None:
        early = double.shifted_bar(-3)  # a bar of a Sunday, say
        server.market.bars = {"QQQ": bars_on([2, 3])}
        server.misbehave(early, kind="bars", times=None)
        with asking(server) as feed:
            assert first_session(feed) == DAYS[2]

    def test_is_asked_for_those_alone_that_lack_it_and_together(self, server: AlpacaServer) -> None:
        symbols = ("QQQ", "SPY", "NVDA", "AMD")
        server.market.bars = {symbol: bars_on([0, 1, 2] if symbol == "QQQ" else [0, 2], symbol) for symbol in symbols}
        with asking(server) as feed:
            found = feed.bars(symbols, WEEK[1:3], 2)
        assert {symbol: own.first_session for symbol, own in found.items() if isinstance(own, Bars)} == {
            "QQQ": DAYS[1], "SPY": DAYS[0], "NVDA": DAYS[0], "AMD": DAYS[0]}  # fmt: skip
        assert [request.symbols for request in server.asked()[1:]] == [["SPY", "NVDA", "AMD"]] * 2

    def test_that_cannot_be_asked_for_is_an_error_of_that_symbol_alone(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([0, 1, 2]), "SPY": bars_on([0, 2], "SPY")}
        server.misbehave(double.status(503), kind="daily", times=None)
        with asking(server) as feed:
            found = feed.bars(["QQQ", "SPY"], WEEK[1:3], 2)
        assert isinstance(found["QQQ"], Bars)
        assert isinstance(found["SPY"], RetryLater)


class TestUnknownSymbols:
    def closes(self, feed: AlpacaFeed, symbol: str = "QQQ") -> DailyCloses | PlaybookError:
        return feed.daily_closes([symbol], before=DAYS[0], count=20, through=DAYS[-1])[symbol]

    def test_are_known_by_the_broker_which_is_asked_where_there_is_no_close_at_all(self, server: AlpacaServer) -> None:
        server.market.assets = ["SPY"]
        with asking(server) as feed:
            error = self.closes(feed)
        assert isinstance(error, FixRequest)
        assert error.message == "QQQ: Alpaca knows no such symbol; check how it is written"
        assert [request.kind for request in server.asked()] == ["daily", "daily", "assets"]

    def test_that_the_broker_lists_are_told_of(self, server: AlpacaServer) -> None:
        server.market.assets = ["QQQ"]
        with asking(server) as feed:
            found = self.closes(feed)
            assert isinstance(found, DailyCloses)
            assert found.first_session is None
            (warning,) = feed.warnings
        assert "the broker lists it, its status is 'active', but alpaca-sip has no bar of it" in warning

    @pytest.mark.parametrize(
        ("answer", "status"),
        [({"status": "inactive"}, "inactive"), ({}, "unknown"), ({"status": None}, "unknown"),
         ({"status": ["secret"]}, "unknown"), ({"status": "secret"}, "unknown")],
        ids=str,
    )  # fmt: skip
    def test_may_be_of_another_status(self, server: AlpacaServer, answer: object, status: str) -> None:
        server.misbehave(double.says_json(answer), kind="assets", times=None)
        with asking(server) as feed:
            self.closes(feed)
            (warning,) = feed.warnings
        assert f"its status is {status!r}" in warning
        assert "secret" not in warning

    @pytest.mark.parametrize(
        "fault", [double.status(500), double.status(401), double.says_json([]), double.html(404), double.reset(0)],
        ids=["500", "401", "another form", "a page that is not found", "reset"],
    )  # fmt: skip
    def test_that_cannot_be_asked_about_are_told_of_and_are_no_error(
        self, server: AlpacaServer, fault: double.Fault
    ) -> None:
        server.misbehave(fault, kind="assets", times=None)
        with asking(server) as feed:
            found = self.closes(feed)
            warnings = feed.warnings
        if isinstance(found, FixRequest):  # 404 is how Alpaca says so
            assert warnings == ()
        else:
            assert isinstance(found, DailyCloses)
            assert "whether it exists could not be asked" in warnings[0]

    def test_cost_no_call_where_there_are_closes(self, server: AlpacaServer) -> None:
        server.market.closes = {"QQQ": closes_on(DAYS[0])}
        with asking(server) as feed:
            assert isinstance(self.closes(feed), DailyCloses)
        assert server.calls("assets") == 0


class TestGaps:
    @pytest.fixture
    def gaps(self, server: AlpacaServer) -> AlpacaServer:
        """SPY lacks two days: of the one there is a daily bar, of the other there is none."""
        server.market.bars = {"QQQ": bars_on([0, 1, 2, 3, 4]), "SPY": bars_on([0, 2, 4], "SPY")}
        server.market.closes = {"SPY": closes_on(*DAYS[:2], DAYS[2], DAYS[4])}
        return server

    def test_of_some_symbols_are_told_apart_as_far_as_the_feed_allows(self, gaps: AlpacaServer) -> None:
        with asking(gaps) as feed:
            found = feed.bars(["QQQ", "SPY"], WEEK, 2)
            warnings = feed.warnings
        assert all(isinstance(own, Bars) for own in found.values())
        assert warnings == (
            f"{DAYS[1]}: of SPY alpaca-sip has a daily bar and no intraday one: the feed lacks what was traded",
            f"{DAYS[3]}: of SPY alpaca-sip has no bar: a halt of the whole day and a gap of the feed look the same "
            "from here",
        )
        assert gaps.calls("daily") == 2

    def test_of_all_symbols_are_not_told_of_for_the_exchange_may_have_been_closed(self, gaps: AlpacaServer) -> None:
        with asking(gaps) as feed:
            feed.bars(["SPY"], WEEK, 2)
            assert feed.warnings == ()
        assert gaps.calls("daily") == 0

    def test_before_the_first_bar_are_none(self, server: AlpacaServer) -> None:
        server.market.bars = {"QQQ": bars_on([0, 1, 2]), "SPY": bars_on([2], "SPY")}
        with asking(server) as feed:
            feed.bars(["QQQ", "SPY"], WEEK[:3], 2)
            assert feed.warnings == ()

    def test_of_many_symbols_are_one_sentence(self, server: AlpacaServer) -> None:
        symbols = [f"S{letter}" for letter in "ABCDEFGHI"]
        server.market.bars = {symbol: bars_on([0, 2], symbol) for symbol in symbols} | {"QQQ": bars_on([0, 1, 2])}
        with asking(server) as feed:
            feed.bars(["QQQ", *symbols], WEEK[:3], 2)
            (warning,) = feed.warnings
        assert "of SA, SB, SC, SD, SE and 4 more" in warning

    def test_cost_only_so_many_calls(self, server: AlpacaServer) -> None:
        sessions = sessions_of("2025-10-01", "2025-11-21")
        whole, holed = minute_bars(sessions, minutes=2), minute_bars(sessions[::2], minutes=2, symbol="SPY")
        server.market.bars = {"QQQ": whole, "SPY": holed}
        with asking(server) as feed:
            feed.bars(["QQQ", "SPY"], sessions, 2)
            assert len(feed.warnings) == 5
        assert server.calls("daily") == 5
