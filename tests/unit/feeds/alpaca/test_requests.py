"""Which requests are made: what they always say, how far they reach, how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.support.alpaca_double import AlpacaMarket, AlpacaServer, generated_market, many_symbols
from tests.support.asking_alpaca import asking
from tests.support.bars import CALENDAR, minute_bars, session_of, sessions_of
from tests.support.clocks import ManualClock
from trading_playbook.core.bars import Bars
from trading_playbook.core.daily import DailyCloses
from trading_playbook.feeds.alpaca import AlpacaKeys

SESSIONS = sessions_of("2025-11-20", "2025-12-02")


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    market = AlpacaMarket(bars={symbol: minute_bars(SESSIONS, minutes=2, symbol=symbol) for symbol in ("QQQ", "SPY")})
    with AlpacaServer(market) as server:
        yield server


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("feed", ["sip", "iex"])
def test_each_request_for_bars_names_feed_adjustment_asof_limit_and_order(server: AlpacaServer, feed: str) -> None:
    with asking(server, feed=feed) as asked:
        assert asked.name == f"alpaca-{feed}"
        asked.daily_closes(["QQQ"], before=date(2025, 11, 25), count=3, through=date(2025, 12, 1))
        asked.bars(["QQQ"], sessions_of("2025-11-18", "2025-12-02"), 2)
    kinds = {request.kind for request in server.asked()}
    assert kinds == {"daily", "bars"}
    for request in server.asked():
        told = {name: request.params[name] for name in ("feed", "adjustment", "asof", "limit", "sort")}
        assert told == {"feed": feed, "adjustment": "raw", "asof": "-", "limit": "10000", "sort": "asc"}


def test_times_are_sent_with_their_zone_and_reach_no_farther_than_the_sessions(server: AlpacaServer) -> None:
    with asking(server) as feed:
        feed.bars(["QQQ"], SESSIONS[:2], 2)
    (request,) = server.asked("bars")
    assert (request.params["timeframe"], request.params["start"], request.params["end"]) == (
        "2Min", "2025-11-20T14:30:00Z", "2025-11-21T20:59:59Z")  # fmt: skip


def test_an_early_close_ends_the_window(server: AlpacaServer) -> None:
    with asking(server) as feed:
        feed.bars(["QQQ"], [session_of("2025-11-28")], 2)
    assert [request.params["end"] for request in server.asked("bars")] == ["2025-11-28T17:59:59Z"]


@pytest.mark.parametrize(("day", "start", "end"), [
    ("2026-03-06", "14:30", "20:59"), ("2026-03-09", "13:30", "19:59"),
    ("2026-10-30", "13:30", "19:59"), ("2026-11-02", "14:30", "20:59"),
])  # fmt: skip
def test_windows_follow_the_clock_changes_of_new_york(day: str, start: str, end: str) -> None:
    session = session_of(day)
    market = AlpacaMarket(bars={"QQQ": minute_bars(session, minutes=2)})
    with AlpacaServer(market, now=lambda: moment("2027-01-04T12:00Z")) as server:
        with asking(server) as feed:
            found = feed.bars(["QQQ"], [session], 2)["QQQ"]
        (request,) = server.asked("bars")
    assert (request.params["start"][11:16], request.params["end"][11:16]) == (start, end)
    assert isinstance(found, Bars)
    assert len(found.opened) == 195


def test_keys_go_in_headers_and_never_in_an_address(server: AlpacaServer) -> None:
    with asking(server) as feed:
        feed.bars(["QQQ"], SESSIONS, 2)
    for request in server.asked():
        assert {"apca-api-key-id", "apca-api-secret-key"} <= request.header_names
        assert not any(server.key in value or server.secret in value for value in request.params.values())


def test_daily_closes_of_today_are_not_asked_for_beyond_the_close(server: AlpacaServer) -> None:
    # The free plan refuses whatever ends in the last quarter of an hour.
    with asking(server) as feed:
        feed.daily_closes(["QQQ"], before=date(2025, 11, 28), count=2, through=date(2025, 11, 28))
    assert {request.params["end"] for request in server.asked("daily")} == {"2025-11-28T17:59:59Z"}


def test_closes_are_asked_for_as_far_back_as_is_needed_and_spare_sessions_more(server: AlpacaServer) -> None:
    with asking(server) as feed:
        feed.daily_closes(["QQQ"], before=date(2025, 12, 2), count=3, through=date(2025, 12, 1))
    (request,) = server.asked("daily")
    begin = CALENDAR.last_sessions(13, date(2025, 12, 1))[0].date
    assert (request.params["start"], request.params["end"]) == (f"{begin}T00:00:00Z", "2025-12-01T20:59:59Z")


def test_a_symbol_with_too_few_closes_is_asked_for_all_of_history_and_alone(server: AlpacaServer) -> None:
    server.market.closes = {
        "QQQ": {session.date: 500.0 for session in CALENDAR.last_sessions(60, date(2025, 12, 1))},
        "SPY": {date(2025, 11, 28): 600.0},
    }
    with asking(server) as feed:
        found = feed.daily_closes(["QQQ", "SPY"], before=date(2025, 12, 2), count=20, through=date(2025, 12, 1))
    later = server.asked("daily")[-1]
    assert (later.params["symbols"], later.params["start"]) == ("SPY", "2016-01-04T00:00:00Z")
    assert server.calls("daily") == 2
    assert isinstance(found["SPY"], DailyCloses)
    assert found["SPY"].first_session == date(2025, 11, 28)


def test_symbols_share_requests(server: AlpacaServer) -> None:
    with asking(server) as feed:
        feed.bars(["QQQ", "SPY"], SESSIONS, 2)
        feed.splits(["QQQ", "SPY"], through=date(2025, 12, 2))
    assert [(request.kind, request.symbols) for request in server.asked()] == [
        ("bars", ["QQQ", "SPY"]), ("splits", ["QQQ", "SPY"])]  # fmt: skip


def test_a_year_of_a_symbol_takes_two_calls_for_each_sixty_sessions() -> None:
    sessions = sessions_of("2024-01-02", "2024-12-31")
    with AlpacaServer(generated_market(["QQQ"], "2024-01-02", "2024-12-31")) as server, asking(server) as feed:
        found = feed.bars(["QQQ"], sessions, 2)["QQQ"]
        assert isinstance(found, Bars)
        assert len(found.opened) == sum(session.slots(2) for session in sessions)
        assert server.calls() == feed.usage.api_calls == 9
        assert [request.page for request in server.asked()] == [1, 2, 1, 2, 1, 2, 1, 2, 1]


def test_windows_do_not_bridge_what_lies_far_apart(server: AlpacaServer) -> None:
    with asking(server) as feed:
        feed.bars(["QQQ"], [session_of("2025-01-02"), *SESSIONS], 2)
    for request in server.asked("bars"):
        if request.params["start"] > "2016-02":  # but for the one that looks for the first bar
            assert moment(request.params["end"]) - moment(request.params["start"]) < timedelta(days=40)


def test_503_symbols_of_one_night_take_a_dozen_calls_or_so() -> None:
    symbols = many_symbols(503)
    with AlpacaServer(generated_market(symbols, "2025-11-03", "2025-11-04", daily=3)) as server:
        with asking(server) as feed:
            day = session_of("2025-11-04")
            closes = feed.daily_closes(symbols, before=day.date, count=0, through=day.date)
            bars = feed.bars(symbols, [day], 2)
            splits = feed.splits(symbols, through=day.date)
        assert len(closes) == len(bars) == len(splits) == 503
        assert all(isinstance(own, Bars) and len(own.opened) == 195 for own in bars.values())
        assert {kind: server.calls(kind) for kind in ("daily", "bars", "splits", "assets")} == {
            "daily": 1, "bars": 10, "splits": 1, "assets": 0}  # fmt: skip


def test_the_rate_of_the_plan_is_kept() -> None:
    clock = ManualClock()
    symbols = many_symbols(60)
    with AlpacaServer(generated_market(symbols, "2025-11-03", "2025-11-04")) as server:
        with asking(server, clock=clock, calls_per_minute=1) as feed:
            feed.bars(symbols, sessions_of("2025-11-03", "2025-11-04"), 2)
        assert (server.calls(), clock.slept) == (4, [60.0] * 3)


def test_nothing_is_asked_for_before_history_begins(server: AlpacaServer) -> None:
    with asking(server) as feed:
        found = feed.daily_closes(["QQQ"], before=date(2016, 1, 4), count=200, through=date(2015, 12, 31))["QQQ"]
        assert isinstance(found, DailyCloses)
        assert (len(found.days), server.calls("daily")) == (0, 0)


def test_keys_that_are_not_there_show_at_the_first_call_and_not_before(server: AlpacaServer) -> None:
    with asking(server, keys=AlpacaKeys(None, "something")) as feed:
        assert feed.bars([], SESSIONS, 2) == {}
        error = feed.bars(["QQQ"], SESSIONS, 2)["QQQ"]
    assert "ALPACA_API_KEY is not set" in str(error)
    assert "something" not in repr(AlpacaKeys("something", "something"))
    assert server.calls() == 0


def test_the_calendar_of_the_broker_is_asked_once_from_some_days_before(server: AlpacaServer) -> None:
    with asking(server) as feed:
        found = feed.closing_times(date(2025, 11, 27), date(2025, 11, 28))
    (request,) = server.asked()
    assert (request.kind, request.params) == ("calendar", {"start": "2025-11-17", "end": "2025-11-28"})
    assert found == {date(2025, 11, 28): datetime(2025, 11, 28, 13, tzinfo=UTC).time()}
