"""The double of Alpaca, held to Alpaca's reference and to what its own client, alpaca-py, makes of the answers."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest

from tests.support import alpaca_double as double
from tests.support.alpaca_double import (
    AlpacaMarket,
    AlpacaServer,
    Fault,
    alpaca_market,
    generated_market,
    many_symbols,
    simulated_market,
)
from tests.support.bars import minute_bars, moment_of, session_of, sessions_of
from tests.support.market import in_two_minutes, make_market
from trading_playbook.core.calendar import Calendar, parse_overrides
from trading_playbook.core.daily import Split

if TYPE_CHECKING:
    from alpaca.data.historical import StockHistoricalDataClient
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.trading.client import TradingClient

START, END = "2025-11-17", "2025-11-28"
LONG_AFTER = datetime(2026, 1, 5, 12, tzinfo=UTC)

Get = Callable[..., Any]


@pytest.fixture
def market(tmp_path: Path) -> AlpacaMarket:
    made = make_market(tmp_path / "bars", ("QQQ", "SPY"), START, END)
    made.splits = {
        "QQQ": [Split(date(2025, 11, 20), 1, 4), Split(date(2024, 6, 3), 10, 1)],
        "SPY": [Split(date(2025, 11, 24), 2, 3)],
    }
    return alpaca_market(made)


@pytest.fixture
def server(market: AlpacaMarket) -> Iterator[AlpacaServer]:
    with AlpacaServer(market, now=lambda: LONG_AFTER) as server:
        yield server


@pytest.fixture
def get(server: AlpacaServer) -> Get:
    return lambda path, **params: ask(server, path, **params)[1]


def ask(server: AlpacaServer, path: str, timeout: float = 5, **params: object) -> tuple[int, Any, dict[str, str]]:
    """Status, body as JSON or else as bytes, and headers by their small name."""
    headers = {"APCA-API-KEY-ID": server.key, "APCA-API-SECRET-KEY": server.secret}
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.request("GET", f"{path}?{urlencode(params)}", headers=headers)
        with connection.getresponse() as answer:
            body: Any = answer.read()
            with suppress(ValueError):
                body = json.loads(body)
            return answer.status, body, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def bars_of(get: Get, **params: object) -> Any:
    asked = {"symbols": "QQQ", "timeframe": "2Min", "start": START, "end": END, "limit": 10_000, **params}
    return get("/v2/stocks/bars", **asked)


@contextmanager
def quietly() -> Iterator[None]:
    """alpaca-py imports pandas and more, whose warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def stock_client(server: AlpacaServer, secret: str | None = None) -> Iterator[StockHistoricalDataClient]:
    with quietly():
        from alpaca.data.historical import StockHistoricalDataClient

        client = StockHistoricalDataClient(server.key, secret or server.secret, url_override=server.url)
        with client._session:
            yield client


@contextmanager
def actions_client(server: AlpacaServer) -> Iterator[CorporateActionsClient]:
    with quietly():
        from alpaca.data.historical.corporate_actions import CorporateActionsClient

        client = CorporateActionsClient(server.key, server.secret, url_override=server.url)
        with client._session:
            yield client


@contextmanager
def trading_client(server: AlpacaServer, secret: str | None = None) -> Iterator[TradingClient]:
    with quietly():
        from alpaca.trading.client import TradingClient

        client = TradingClient(server.key, secret or server.secret, paper=True, url_override=server.url)
        with client._session:
            yield client


def bars_request(minutes: int | None = 2, symbols: list[str] | None = None, **more: Any) -> Any:
    """A StockBarsRequest of alpaca-py; None minutes for daily bars."""
    with quietly():
        from alpaca.data.requests import StockBarsRequest
        from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

        unit = TimeFrame(1, TimeFrameUnit.Day) if minutes is None else TimeFrame(minutes, TimeFrameUnit.Minute)
        first, last = datetime(2025, 11, 17, tzinfo=UTC), datetime(2025, 11, 29, tzinfo=UTC)
        own = {"start": first, "end": last, "feed": "sip", "adjustment": "raw", **more}
        return StockBarsRequest(symbol_or_symbols=symbols or ["QQQ", "SPY"], timeframe=unit, **own)


class TestAlpacasOwnClient:
    def test_reads_each_intraday_bar_as_the_market_has_it(self, server: AlpacaServer) -> None:
        with stock_client(server) as client:
            found: Any = client.get_stock_bars(bars_request())
        for symbol, own in server.market.bars.items():
            regular = {bar.timestamp: bar for bar in found.data[symbol]}
            for at, low, close, volume in zip(own.opened, own.low, own.close, own.volume, strict=True):
                bar = regular[moment_of(at)]
                assert (bar.low, bar.close, bar.volume) == (low, close, volume)

    def test_pages_through_many_bars_of_several_symbols(self) -> None:
        symbols = many_symbols(40)
        with AlpacaServer(generated_market(symbols, "2025-11-03", "2025-11-04")) as server:
            with stock_client(server) as client:
                within: dict[str, Any] = {
                    "start": datetime(2025, 11, 3, tzinfo=UTC),
                    "end": datetime(2025, 11, 5, tzinfo=UTC),
                }
                found: Any = client.get_stock_bars(bars_request(symbols=symbols, **within))
            assert sum(map(len, found.data.values())) == 40 * 2 * 200
            assert [request.page for request in server.asked("bars")] == [1, 2]

    def test_reads_daily_bars_with_their_closes(self, server: AlpacaServer) -> None:
        with stock_client(server) as client:
            found: Any = client.get_stock_bars(bars_request(None))
        told = {bar.timestamp: bar.close for bar in found.data["QQQ"]}
        expected = {
            datetime(day.year, day.month, day.day, 5, tzinfo=UTC): close
            for day, close in server.market.closes["QQQ"].items()
            if str(day) >= START
        }
        assert told == expected

    def test_reads_splits_of_both_kinds(self, server: AlpacaServer) -> None:
        with actions_client(server) as client:
            from alpaca.data.requests import CorporateActionsRequest

            asked = CorporateActionsRequest(symbols=["QQQ", "SPY"], start=date(2024, 1, 1), end=date(2025, 12, 31))
            found: Any = client.get_corporate_actions(asked)
        forward, backward = found.data["forward_splits"], found.data["reverse_splits"]
        assert [(own.symbol, own.old_rate, own.new_rate, own.ex_date) for own in forward] == [
            ("QQQ", 1, 4, date(2025, 11, 20)),
            ("SPY", 2, 3, date(2025, 11, 24)),
        ]
        assert [(own.symbol, own.old_rate, own.new_rate) for own in backward] == [("QQQ", 10, 1)]

    def test_reads_an_asset_and_learns_of_one_that_does_not_exist(self, server: AlpacaServer) -> None:
        with trading_client(server) as client:
            from alpaca.common.exceptions import APIError

            asset: Any = client.get_asset("QQQ")
            assert (asset.symbol, asset.tradable, asset.status) == ("QQQ", True, "active")
            with pytest.raises(APIError) as refused:
                client.get_asset("XYZ")
        assert (refused.value.status_code, refused.value.code, refused.value.message) == (
            404,
            40410000,
            "asset not found for XYZ",
        )

    def test_reads_the_calendar_with_its_early_close(self, server: AlpacaServer) -> None:
        with trading_client(server) as client:
            from alpaca.trading.requests import GetCalendarRequest

            asked = GetCalendarRequest(start=date(2025, 11, 26), end=date(2025, 11, 30))
            days: Any = client.get_calendar(asked)
        assert [(str(own.date), f"{own.open:%H:%M}", f"{own.close:%H:%M}") for own in days] == [
            ("2025-11-26", "09:30", "16:00"),
            ("2025-11-28", "09:30", "13:00"),
        ]

    def test_is_refused_with_a_wrong_key_by_each_host_in_its_own_way(self, server: AlpacaServer) -> None:
        from_both: list[tuple[int | None, str]] = []
        with stock_client(server, "wrong") as data, trading_client(server, "wrong") as trading:
            from alpaca.common.exceptions import APIError

            for call in (lambda: data.get_stock_bars(bars_request()), lambda: trading.get_asset("QQQ")):
                with pytest.raises(APIError) as refused:
                    call()
                from_both.append((refused.value.status_code, str(refused.value)))
        assert from_both == [
            (403, '{"message":"forbidden."}'),
            (401, '{"code":40110000,"message":"request is not authorized"}'),
        ]

    def test_is_told_which_symbol_is_no_symbol(self, server: AlpacaServer) -> None:
        with stock_client(server) as client:
            from alpaca.common.exceptions import APIError

            with pytest.raises(APIError) as refused:
                client.get_stock_bars(bars_request(symbols=["QQQ", "XX#"]))
        assert (refused.value.status_code, str(refused.value)) == (400, '{"message":"invalid symbol: XX#"}')


class TestBars:
    def test_both_ends_of_a_window_are_in(self, get: Get) -> None:
        found = bars_of(get, start="2025-11-18T14:30:00Z", end="2025-11-18T09:34:00-05:00")
        assert [bar["t"][11:16] for bar in found["bars"]["QQQ"]] == ["14:30", "14:32", "14:34"]
        assert list(found["bars"]["QQQ"][0]) == ["t", "o", "h", "l", "c", "v", "n", "vw"]

    def test_a_date_alone_means_the_whole_day_in_new_york(self, get: Get) -> None:
        found = bars_of(get, start="2025-11-18", end="2025-11-18")["bars"]["QQQ"]
        assert {bar["t"][:10] for bar in found} == {"2025-11-18"}
        assert len(found) == 195 + 5

    def test_pages_go_by_symbol_and_then_by_time_and_end_anywhere(self, get: Get) -> None:
        asked = {"symbols": "SPY,QQQ", "start": "2025-11-18", "end": "2025-11-18", "limit": 150}
        rows, token, sizes = [], None, []
        while True:
            page = bars_of(get, **asked, **({"page_token": token} if token else {}))
            rows += [(symbol, bar["t"]) for symbol, own in page["bars"].items() for bar in own]
            sizes.append(sum(map(len, page["bars"].values())))
            token = page["next_page_token"]
            if token is None:
                break
        assert sizes == [150, 150, 100]
        assert rows == sorted(set(rows))

    def test_a_token_is_written_as_alpaca_writes_it(self, get: Get) -> None:
        daily = bars_of(get, timeframe="1Day", limit=1)["next_page_token"]
        assert base64.b64decode(daily) == b"QQQ|D|2025-11-17T05:00:00.000000000Z"

    def test_the_newest_come_first_where_asked(self, get: Get) -> None:
        whole = bars_of(get, start="2025-11-18", end="2025-11-18")["bars"]["QQQ"]
        first = bars_of(get, start="2025-11-18", end="2025-11-18", sort="desc", limit=150)
        rest = bars_of(
            get, start="2025-11-18", end="2025-11-18", sort="desc", limit=150, page_token=first["next_page_token"]
        )
        assert [*first["bars"]["QQQ"], *rest["bars"]["QQQ"]] == whole[::-1]

    def test_a_thousand_are_given_where_no_limit_is_named(self, server: AlpacaServer) -> None:
        found = ask(server, "/v2/stocks/bars", symbols="QQQ", timeframe="2Min", start=START, end=END)[1]
        assert len(found["bars"]["QQQ"]) == 1000

    def test_a_symbol_without_bars_is_absent_and_no_error(self, get: Get) -> None:
        assert list(bars_of(get, symbols="QQQ,NONE")["bars"]) == ["QQQ"]
        assert bars_of(get, symbols="NONE") == {"bars": {}, "next_page_token": None}

    def test_bars_before_the_open_and_after_the_close_are_among_them(self, get: Get, market: AlpacaMarket) -> None:
        early = session_of("2025-11-28")
        times = {bar["t"] for bar in bars_of(get, start="2025-11-28", end="2025-11-28")["bars"]["QQQ"]}
        assert {"2025-11-28T14:28:00Z", f"{early.closes:%Y-%m-%dT%H:%M:%SZ}"} <= times
        market.extended = False
        assert len(bars_of(get, start="2025-11-28", end="2025-11-28")["bars"]["QQQ"]) == 105

    def test_daily_bars_are_stamped_with_midnight_in_new_york(self, get: Get, market: AlpacaMarket) -> None:
        market.closes = {"QQQ": {date(2025, 10, 31): 500.0, date(2025, 11, 3): 501.25}}
        found = bars_of(get, timeframe="1Day", start="2025-10-01")["bars"]["QQQ"]
        assert [(bar["t"], bar["c"]) for bar in found] == [
            ("2025-10-31T04:00:00Z", 500),
            ("2025-11-03T05:00:00Z", 501.25),
        ]

    def test_daily_bars_come_from_regular_hours_where_no_closes_are_given(self, get: Get, market: AlpacaMarket) -> None:
        market.closes = {}
        own = market.bars["QQQ"]
        found = bars_of(get, timeframe="1Day", end=START)["bars"]["QQQ"]
        assert [found[0][name] for name in "ohlc"] == [
            own.open[0],
            own.high[:195].max(),
            own.low[:195].min(),
            own.close[194],
        ]

    def test_longer_bars_are_made_of_shorter_ones(self) -> None:
        single = minute_bars(sessions_of("2025-11-17", "2025-11-18"), minutes=1)
        expected = in_two_minutes(single)
        with AlpacaServer(AlpacaMarket(bars={"QQQ": single}, extended=False)) as server:
            found = bars_of(lambda path, **params: ask(server, path, **params)[1])["bars"]["QQQ"]
        for name, letter in {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}.items():
            np.testing.assert_array_equal([bar[letter] for bar in found], getattr(expected, name))

    def test_a_change_of_the_market_shows_in_the_next_answer(self, tmp_path: Path) -> None:
        made = make_market(tmp_path / "bars", ("QQQ",), START, START)
        with AlpacaServer(alpaca_market(made)) as server:
            at = {"start": "2025-11-17T15:00:00Z", "end": "2025-11-17T15:00:00Z"}
            before = bars_of(lambda path, **params: ask(server, path, **params)[1], **at)["bars"]["QQQ"][0]["c"]
            made.set("2025-11-17", "10:00", close=1234.5)
            after = bars_of(lambda path, **params: ask(server, path, **params)[1], **at)["bars"]["QQQ"][0]["c"]
        assert (before == 1234.5, after) == (False, 1234.5)

    def test_prices_are_raw_unless_adjusted_ones_are_asked_for(self, get: Get, market: AlpacaMarket) -> None:
        raw, adjusted = (bars_of(get, timeframe="1Day", adjustment=own)["bars"]["QQQ"] for own in ("raw", "split"))
        assert adjusted[0]["c"] == pytest.approx(raw[0]["c"] / 4)
        assert adjusted[-1] == raw[-1]
        assert bars_of(get, timeframe="1Day")["bars"]["QQQ"] == raw

    def test_one_venue_has_other_bars_than_the_tape(self, get: Get) -> None:
        tape, venue = (bars_of(get, feed=feed)["bars"]["QQQ"] for feed in ("sip", "iex"))
        assert [bar["t"] for bar in tape] == [bar["t"] for bar in venue]
        assert sum(bar["v"] for bar in venue) < sum(bar["v"] for bar in tape) / 40
        assert bars_of(get, feed="boats") == {"bars": {}, "next_page_token": None}

    def test_asof_maps_a_new_name_to_the_bars_under_the_old_one(self, get: Get, market: AlpacaMarket) -> None:
        market.renames = {"QQQ": ("OLD", date(2025, 11, 20))}

        def days(symbol: str, asof: str | None = None) -> list[str]:
            more = {} if asof is None else {"asof": asof}
            found = bars_of(get, symbols=symbol, timeframe="1Day", **more)["bars"]
            return [bar["t"][5:10] for bar in found.get(symbol, [])]

        assert days("QQQ") == days("QQQ", "2025-11-20") == days("OLD", "2025-11-19")
        assert (days("QQQ", "-")[0], days("OLD", "-")[-1]) == ("11-20", "11-19")
        assert days("OLD") == days("QQQ", "2025-11-19") == []

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"timeframe": "2Sec"}, "invalid timeframe: 2Sec"),
            ({"timeframe": "60Min"}, "invalid timeframe: 60Min"),
            ({"feed": "none"}, "invalid feed: none"),
            ({"adjustment": "some"}, "invalid adjustment: some"),
            ({"limit": 10_001}, "invalid limit: 10001"),
            ({"start": "yesterday"}, "invalid start: yesterday"),
            ({"page_token": "null"}, "invalid page_token"),
            ({"symbols": "QQQ,0029900E0"}, "invalid symbol: 0029900E0"),
        ],
    )
    def test_a_wrong_parameter_is_refused(self, server: AlpacaServer, params: dict[str, Any], message: str) -> None:
        asked = {"symbols": "QQQ", "timeframe": "2Min", "start": START, **params}
        assert ask(server, "/v2/stocks/bars", **asked)[:2] == (400, {"message": message})


class TestPlans:
    MOMENT = datetime(2025, 11, 18, 21, 10, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("plan", "feed", "end", "status", "message"),
        [
            ("basic", "sip", "2025-11-18T20:55:01Z", 403, "subscription does not permit querying recent SIP data"),
            ("basic", "sip", "2025-11-18", 403, "subscription does not permit querying recent SIP data"),
            ("basic", "sip", "2025-11-18T20:55:00Z", 200, None),
            ("basic", "iex", "2025-11-18T21:10:00Z", 200, None),
            ("basic", "otc", "2025-11-17", 403, "subscription does not permit querying OTC data"),
            ("plus", "sip", "2025-11-18T21:10:00Z", 200, None),
        ],
    )
    def test_the_free_plan_waits_a_quarter_of_an_hour_for_the_tape(
        self, market: AlpacaMarket, plan: str, feed: str, end: str, status: int, message: str | None
    ) -> None:
        market.plan = plan
        with AlpacaServer(market, now=lambda: self.MOMENT) as server:
            asked: dict[str, Any] = {"symbols": "QQQ", "timeframe": "2Min", "start": "2025-11-17"}
            found = ask(server, "/v2/stocks/bars", **asked, feed=feed, end=end)
        assert (found[0], found[1].get("message")) == (status, message)

    def test_bars_that_have_not_ended_are_not_there(self, market: AlpacaMarket) -> None:
        market.plan = "plus"
        with AlpacaServer(market, now=lambda: datetime(2025, 11, 18, 14, 41, tzinfo=UTC)) as server:
            found = bars_of(lambda path, **params: ask(server, path, **params)[1])["bars"]["QQQ"]
            days = bars_of(lambda path, **params: ask(server, path, **params)[1], timeframe="1Day")["bars"]["QQQ"]
        assert (found[-1]["t"], days[-1]["t"]) == ("2025-11-18T14:38:00Z", "2025-11-18T05:00:00Z")


class TestSplits:
    def test_the_window_goes_by_process_date_with_both_ends_in(self, get: Get, market: AlpacaMarket) -> None:
        market.processed = {("QQQ", date(2025, 11, 20)): date(2025, 11, 21)}
        asked = {"symbols": "QQQ", "types": "forward_split,reverse_split"}
        none = get("/v1/corporate-actions", **asked, start="2025-11-20", end="2025-11-20")
        one = get("/v1/corporate-actions", **asked, start="2025-11-21", end="2025-11-21")
        assert none == {"corporate_actions": {}, "next_page_token": None}
        assert one["corporate_actions"]["forward_splits"][0]["ex_date"] == "2025-11-20"

    def test_without_a_window_only_today_is_told(self, get: Get) -> None:
        assert get("/v1/corporate-actions", symbols="QQQ")["corporate_actions"] == {}

    def test_pages_count_actions_of_all_kinds(self, get: Get) -> None:
        asked = {"symbols": "QQQ,SPY", "start": "2024-01-01", "end": "2025-12-31", "limit": 2}
        first = get("/v1/corporate-actions", **asked)
        rest = get("/v1/corporate-actions", **asked, page_token=first["next_page_token"])
        counts = [{kind: len(own) for kind, own in page["corporate_actions"].items()} for page in (first, rest)]
        assert counts == [{"reverse_splits": 1, "forward_splits": 1}, {"forward_splits": 1}]
        assert rest["next_page_token"] is None


class TestTheRest:
    def test_the_calendar_knows_what_was_decided_overnight(self, market: AlpacaMarket) -> None:
        market.calendar = Calendar(parse_overrides("2025-11-18:closed"))
        with AlpacaServer(market) as server:
            days = ask(server, "/v2/calendar", start="2025-11-17", end="2025-11-19")[1]
        assert days == [
            {
                "date": day,
                "open": "09:30",
                "close": "16:00",
                "session_open": "0400",
                "session_close": "2000",
                "settlement_date": settled,
            }
            for day, settled in (("2025-11-17", "2025-11-19"), ("2025-11-19", "2025-11-20"))
        ]

    def test_an_unknown_path_is_not_found(self, server: AlpacaServer) -> None:
        assert ask(server, "/v2/stocks/nothing")[0] == 404

    def test_an_address_that_is_too_long_is_refused_by_the_proxy(self, server: AlpacaServer) -> None:
        status, body, headers = ask(server, "/v2/stocks/bars", symbols=",".join(many_symbols(1500)))
        assert (status, headers["content-type"], b"414" in body) == (414, "text/html", True)

    def test_headers_tell_what_is_left_of_the_minute(self, server: AlpacaServer) -> None:
        headers = [ask(server, "/v2/assets/QQQ")[2] for _ in range(2)][1]
        assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("200", "198")
        assert 0 <= int(headers["x-ratelimit-reset"]) - time.time() + 1 <= 3

    def test_an_enforced_limit_gives_back_calls_as_time_goes_by(self, market: AlpacaMarket) -> None:
        with AlpacaServer(market, limit=2, window=0.5) as server:
            found = [ask(server, "/v2/assets/QQQ") for _ in range(3)]
            assert [status for status, _, _ in found] == [200, 200, 429]
            assert (found[2][1], found[2][2]["x-ratelimit-remaining"]) == ({"message": "too many requests."}, "0")
            time.sleep(0.3)
            assert ask(server, "/v2/assets/QQQ")[0] == 200

    def test_requests_are_kept_with_what_they_asked(self, server: AlpacaServer) -> None:
        ask(server, "/v2/stocks/bars", symbols="QQQ", timeframe="1Day", feed="sip", adjustment="raw", asof="-")
        (request,) = server.requests
        assert (request.kind, request.path, request.page) == ("daily", "/v2/stocks/bars", 1)
        assert request.params == {
            "symbols": "QQQ",
            "timeframe": "1Day",
            "feed": "sip",
            "adjustment": "raw",
            "asof": "-",
        }
        assert "apca-api-key-id" in request.header_names
        assert abs(time.monotonic() - request.at) < 5
        assert server.secret not in repr(server.requests)
        server.forget()
        assert (server.calls(), server.calls("daily")) == (0, 0)

    def test_one_connection_serves_many_requests(self, server: AlpacaServer) -> None:
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            for _ in range(3):
                connection.request("GET", "/v2/assets/QQQ")
                with connection.getresponse() as answer:
                    assert (answer.status, answer.read()[:8]) == (401, b'{"code":')
        finally:
            connection.close()

    def test_simulated_bars_are_those_of_the_simulated_feed(self) -> None:
        made = simulated_market(["SIM"], "2025-11-17", "2025-11-18")
        assert len(made.bars["SIM"].opened) == 390
        assert len(made.closes["SIM"]) == 212
        assert "NONE" not in made.bars

    def test_hundreds_of_symbols_are_served_in_no_time(self) -> None:
        symbols = many_symbols()
        with AlpacaServer(generated_market(symbols, "2025-11-03", "2025-11-04")) as server:
            began, rows = time.monotonic(), 0
            asked: dict[str, Any] = {"timeframe": "1Day", "start": "2024-01-01", "end": "2025-11-04", "limit": 10_000}
            while True:
                page = ask(server, "/v2/stocks/bars", symbols=",".join(symbols), **asked)[1]
                rows += sum(map(len, page["bars"].values()))
                if page["next_page_token"] is None:
                    break
                asked["page_token"] = page["next_page_token"]
            assert (rows, server.calls("daily")) == (503 * 212, 11)
            assert time.monotonic() - began < 10


class TestFaults:
    def test_strike_so_often_and_where_they_are_told_to(self, server: AlpacaServer, get: Get) -> None:
        rule = server.misbehave(double.status(503), kind="bars", page=2, symbol="QQQ", times=1)
        token = bars_of(get, limit=10)["next_page_token"]
        asked = {"symbols": "QQQ", "timeframe": "2Min", "start": START, "limit": 10, "page_token": token}
        assert [ask(server, "/v2/stocks/bars", **asked)[0] for _ in range(2)] == [503, 200]
        assert rule.hits == 1

    def test_last_until_they_are_lifted(self, server: AlpacaServer) -> None:
        rule = server.misbehave(double.html(502), times=None)
        assert [ask(server, "/v2/assets/QQQ")[0] for _ in range(3)] == [502] * 3
        rule.lift()
        assert ask(server, "/v2/assets/QQQ")[0] == 200

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (double.hang(), TimeoutError),
            (double.late(5), TimeoutError),
            (double.reset(0), ConnectionResetError),
            (double.reset(0.5), ConnectionResetError),
            (double.cut_body(), http.client.IncompleteRead),
        ],
        ids=["hang", "late", "reset at once", "reset midway", "cut body"],
    )
    def test_of_the_connection_reach_the_client(
        self, server: AlpacaServer, fault: Fault, error: type[Exception]
    ) -> None:
        server.misbehave(fault)
        with pytest.raises(error):
            ask(server, "/v2/stocks/bars", timeout=0.2, symbols="QQQ", timeframe="2Min", start=START, end=END)
        assert ask(server, "/v2/assets/QQQ")[0] == 200

    @pytest.mark.parametrize("part", ["headers", "body"])
    def test_what_comes_drop_by_drop_outlasts_a_timeout_of_each_read(self, server: AlpacaServer, part: str) -> None:
        server.misbehave(double.drip(0.02, part=part, size=20))
        began = time.monotonic()
        assert ask(server, "/v2/assets/QQQ", timeout=0.2)[1]["symbol"] == "QQQ"
        assert time.monotonic() - began > 0.2

    def test_a_huge_body_goes_on_until_the_client_has_enough(self, server: AlpacaServer) -> None:
        server.misbehave(double.huge(50_000_000))
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        connection.request("GET", "/v2/calendar")
        answer = connection.getresponse()
        assert len(answer.read(1_000_000)) == 1_000_000
        answer.close()
        connection.close()
        assert ask(server, "/v2/assets/QQQ")[0] == 200

    @pytest.mark.parametrize(
        ("fault", "status", "body"),
        [
            (double.says(b""), 200, b""),
            (double.says_json([]), 200, []),
            (double.with_values(bars=None), 200, {"bars": None, "next_page_token": None}),
            (double.without_keys("bars"), 200, {"next_page_token": None}),
            (double.status(422, "no"), 422, {"message": "no"}),
            (double.redirect("http://127.0.0.1:9/"), 302, b""),
            (double.without_symbol("QQQ"), 200, {"bars": {}, "next_page_token": None}),
            (double.empty_token(), 200, ""),
            (double.new_tokens(empty=True), 200, {}),
        ],
    )
    def test_of_the_answer_reach_the_client(self, server: AlpacaServer, fault: Fault, status: int, body: Any) -> None:
        server.misbehave(fault)
        found = ask(server, "/v2/stocks/bars", symbols="QQQ", timeframe="1Day", start=START, end=END)
        told = found[1]
        if body == "":
            told = told["next_page_token"]
        elif body == {}:
            told = told["bars"]
        assert (found[0], told) == (status, body)

    def test_cut_json_is_good_http(self, server: AlpacaServer) -> None:
        server.misbehave(double.cut_json())
        status, body, _ = ask(server, "/v2/stocks/bars", symbols="QQQ", timeframe="1Day", start=START, end=END)
        assert (status, body[:9]) == (200, b'{"bars":{')

    def test_a_refusal_for_haste_tells_when_to_come_again(self, server: AlpacaServer) -> None:
        server.misbehave(double.too_many(retry_after=7))
        server.misbehave(double.too_many(retry_after=7, by_date=True))
        server.misbehave(double.too_many(reset_in=30))
        (first, _, seconds), (second, _, stamp), (third, _, reset) = (ask(server, "/v2/assets/QQQ") for _ in range(3))
        assert ((first, second, third), seconds["retry-after"]) == ((429, 429, 429), "7")
        assert 4 < (parsedate_to_datetime(stamp["retry-after"]) - datetime.now(UTC)).total_seconds() < 8
        assert 27 < int(reset["x-ratelimit-reset"]) - time.time() < 31
        assert ask(server, "/v2/assets/QQQ")[0] == 200

    def test_that_last_strike_together_and_behind_one_that_is_counted(self, server: AlpacaServer, get: Get) -> None:
        server.misbehave(double.without_symbol("SPY"), times=None)
        server.misbehave(double.newest_first(), times=None)
        server.misbehave(double.together(double.with_stranger("IWM"), double.with_values(more=1)))
        found = bars_of(get, symbols="QQQ,SPY", end=START, limit=400)
        assert (set(found["bars"]), found["more"]) == ({"QQQ", "IWM"}, 1)
        assert found["bars"]["QQQ"][0]["t"] > found["bars"]["QQQ"][-1]["t"]

    @pytest.mark.parametrize("loop", [double.same_token, double.two_tokens, double.new_tokens])
    def test_pages_may_never_end(self, server: AlpacaServer, get: Get, loop: Callable[[], Fault]) -> None:
        server.misbehave(loop(), kind="bars", times=None)
        tokens: list[str] = []
        for _ in range(6):
            more = {"page_token": tokens[-1]} if tokens else {}
            page = bars_of(get, limit=100, **more)
            assert len(page["bars"]["QQQ"]) == 100
            tokens.append(page["next_page_token"])
        assert len(set(tokens)) == {"same_token": 1, "two_tokens": 2, "new_tokens": 6}[loop.__name__]
        assert [request.page for request in server.requests] == [1, 2, 3, 4, 5, 6]

    def test_an_empty_page_may_follow_the_last(self, server: AlpacaServer, get: Get) -> None:
        server.misbehave(double.empty_page_after_the_last(), times=None)
        last = bars_of(get, end=START)
        assert bars_of(get, end=START, page_token=last["next_page_token"]) == {"bars": {}, "next_page_token": None}

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (double.newest_first(), "cba"),
            (double.with_bar(0, c=None), [None, "b", "c"]),
            (double.with_bar("2025-11-18T14:32:00Z", "QQQ", c="1.5"), ["a", "1.5", "c"]),
            (double.with_null_bar(1), ["a", "null", "c"]),
            (double.without_bar(-1), "ab"),
            (double.repeated_bar(0), "aabc"),
            (double.repeated_bar(0, "QQQ", c=1.5), ["a", 1.5, "b", "c"]),
            (double.with_bar(0, "SPY", c=1.5), "abc"),
        ],
    )
    def test_bars_may_be_other_than_they_were(
        self, server: AlpacaServer, get: Get, fault: Fault, expected: list[Any] | str
    ) -> None:
        window = {"start": "2025-11-18T14:30:00Z", "end": "2025-11-18T14:34:00Z"}
        names = dict(zip([bar["c"] for bar in bars_of(get, **window)["bars"]["QQQ"]], "abc", strict=True))
        server.misbehave(fault)
        found = bars_of(get, **window)["bars"]["QQQ"]
        assert [names.get(bar["c"], bar["c"]) if bar else "null" for bar in found] == list(expected)

    def test_a_bar_may_lack_a_field_or_hold_nan_or_lie_elsewhere(self, server: AlpacaServer, get: Get) -> None:
        server.misbehave(double.with_bar(0, h=double.UNSET, l=float("nan")))
        bar = bars_of(get, end=START)["bars"]["QQQ"][0]
        assert ("h" in bar, bar["l"] != bar["l"]) == (False, True)
        server.misbehave(double.shifted_bar(-1))
        assert bars_of(get, end=START)["bars"]["QQQ"][0]["t"] < START
        server.misbehave(double.with_stranger("IWM"))
        assert set(bars_of(get, end=START)["bars"]) == {"QQQ", "IWM"}

    def test_an_answer_may_come_compressed_unasked(self, server: AlpacaServer) -> None:
        server.misbehave(double.gzipped())
        _, body, headers = ask(server, "/v2/assets/QQQ")
        assert (headers["content-encoding"], body[:2]) == ("gzip", b"\x1f\x8b")

    def test_later_pages_may_come_first(self, server: AlpacaServer, get: Get) -> None:
        server.misbehave(double.asked(sort="desc"), times=None)
        first = bars_of(get, limit=10)
        later = bars_of(get, limit=10, page_token=first["next_page_token"])
        assert first["bars"]["QQQ"][0]["t"] > later["bars"]["QQQ"][0]["t"]


class TestStopping:
    def test_lets_go_of_those_who_wait_and_leaves_no_thread(self, market: AlpacaMarket) -> None:
        before = threading.active_count()
        server = AlpacaServer(market).__enter__()
        server.misbehave(double.hang(), times=None)
        waiting = threading.Thread(target=lambda: _ignoring(lambda: ask(server, "/v2/assets/QQQ", timeout=30)))
        waiting.start()
        while not server.calls():
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        waiting.join(5)
        assert (threading.active_count(), time.monotonic() - began < 2) == (before, True)

    def test_ends_connections_that_are_kept_open(self, market: AlpacaMarket) -> None:
        with AlpacaServer(market) as server:
            address = urlsplit(server.url)
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
            connection.request("GET", "/v2/nothing")
            with connection.getresponse() as answer:
                answer.read()
        connection.close()

    def test_a_mistake_in_the_double_is_not_hidden(self, market: AlpacaMarket) -> None:
        def fails() -> None:
            with AlpacaServer(market) as server, suppress(http.client.HTTPException, ConnectionError):
                bars_of(lambda path, **params: ask(server, path, **params)[1], timeframe="1Min")

        with pytest.raises(LookupError, match="make 1 minutes"):
            fails()


def _ignoring(call: Callable[[], object]) -> None:
    with suppress(http.client.HTTPException, OSError):
        call()
