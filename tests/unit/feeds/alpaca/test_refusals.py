"""Pages without an end, symbols that spoil a request for the others, and what Alpaca's refusals mean."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support import alpaca_double as double
from tests.support.alpaca_double import AlpacaMarket, AlpacaServer, Fault, generated_market, many_symbols
from tests.support.asking_alpaca import asking
from tests.support.bars import minute_bars, require_same_bars, sessions_of
from tests.support.clocks import ManualClock
from trading_playbook.core.bars import Bars
from trading_playbook.core.errors import FixConfig, FixRequest, PlaybookError, RetryLater
from trading_playbook.feeds.alpaca import AlpacaKeys
from trading_playbook.network.retries import ATTEMPTS

SESSIONS = sessions_of("2025-11-18", "2025-11-20")


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    bars = {symbol: minute_bars(SESSIONS, minutes=2, symbol=symbol) for symbol in ("QQQ", "SPY", "NVDA", "BRK.B")}
    with AlpacaServer(AlpacaMarket(bars=bars)) as server:
        yield server


def answer(server: AlpacaServer, symbol: str = "QQQ", clock: ManualClock | None = None) -> Bars | PlaybookError:
    with asking(server, clock=clock) as feed:
        return feed.bars([symbol], SESSIONS, 2)[symbol]


NOT_IN_PLAN = "subscription does not permit querying"


class TestPages:
    LOOPS = (double.same_token(), double.two_tokens(), double.new_tokens(), double.empty_token(),
             double.new_tokens(empty=True))  # fmt: skip
    NAMES = ("the same token", "two in turn", "ever new ones", "an empty one", "ever new ones and nothing")

    @pytest.mark.parametrize("loop", LOOPS, ids=NAMES)
    def test_without_an_end_are_given_up(
        self, server: AlpacaServer, monkeypatch: pytest.MonkeyPatch, loop: Fault
    ) -> None:
        monkeypatch.setattr("trading_playbook.feeds.alpaca.questions.MOST_PAGES", 30)
        server.misbehave(loop, kind="bars", times=None)
        tracemalloc.start()
        try:
            found = answer(server)
            assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
        finally:
            tracemalloc.stop()
        assert isinstance(found, RetryLater)
        assert "pages do not end" in found.message
        assert server.calls("bars") <= 30

    @pytest.mark.parametrize("loop", LOOPS, ids=NAMES)
    def test_of_splits_end_as_well(self, server: AlpacaServer, loop: Fault) -> None:
        server.misbehave(loop, kind="splits", times=None)
        with asking(server) as feed:
            found = feed.splits(["QQQ"], through=date(2025, 12, 1))["QQQ"]
        assert isinstance(found, RetryLater)
        assert server.calls("splits") <= 200

    def test_that_hold_far_too_many_bars_are_given_up(self, server: AlpacaServer) -> None:
        server.misbehave(double.with_bars(lambda _, rows: rows * 40), kind="bars", times=None)
        found = answer(server)
        assert isinstance(found, RetryLater)
        assert server.calls("bars") == 1

    def test_of_an_answer_without_an_end_are_given_up(
        self, server: AlpacaServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trading_playbook.feeds.alpaca.transport.LARGEST_ANSWER", 2**20)
        server.misbehave(double.huge(), kind="bars", times=None)
        tracemalloc.start()
        try:
            found = answer(server)
            assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
        finally:
            tracemalloc.stop()
        assert isinstance(found, RetryLater)
        assert "MiB" in found.message

    def test_of_many_symbols_are_joined(self, server: AlpacaServer) -> None:
        server.misbehave(double.asked(limit="100"), kind="bars", times=None)
        with asking(server) as feed:
            found = feed.bars(list(server.market.bars), SESSIONS, 2)
        for symbol, bars in server.market.bars.items():
            require_same_bars(found[symbol], bars)


class TestSymbols:
    def test_that_alpaca_refuses_are_found_and_harm_no_other(self, server: AlpacaServer) -> None:
        symbols = ["QQQ", "NO-1", "SPY", "NVDA", "NO-2", "BRK.B"]
        with asking(server) as feed:
            found = feed.bars(symbols, SESSIONS, 2)
        assert list(found) == symbols
        for symbol in symbols:
            if symbol in server.market.bars:
                require_same_bars(found[symbol], server.market.bars[symbol])
            else:
                assert isinstance(error := found[symbol], FixRequest)
                assert (error.symbol, error.message.count(f"invalid symbol: {symbol}")) == (symbol, 1)

    def test_that_alpaca_refuses_cost_few_calls_among_many(self) -> None:
        symbols = many_symbols(100)
        with AlpacaServer(generated_market(symbols, "2025-11-19", "2025-11-20", daily=1)) as server:
            with asking(server) as feed:
                found = feed.daily_closes(
                    [*symbols[:61], "NO-1", *symbols[61:]], before=SESSIONS[-1].date, count=0, through=SESSIONS[-1].date
                )
            assert [symbol for symbol, own in found.items() if isinstance(own, FixRequest)] == ["NO-1"]
            assert server.calls() <= 16

    @pytest.mark.parametrize("fault", [double.status(400, "invalid timeframe"), double.status(422, "no such thing")])
    def test_are_not_asked_for_one_by_one_where_something_else_is_wrong(
        self, server: AlpacaServer, fault: Fault
    ) -> None:
        server.misbehave(fault, kind="bars", times=None)
        with asking(server) as feed:
            found = feed.bars(["QQQ", "SPY", "NVDA"], SESSIONS, 2)
        assert server.calls() == 1
        assert len({id(error) for error in found.values()}) == 1
        assert isinstance(found["QQQ"], FixRequest)

    def test_share_more_requests_where_an_address_grows_too_long(self, server: AlpacaServer) -> None:
        server.misbehave(double.html(414), kind="bars")
        with asking(server) as feed:
            found = feed.bars(list(server.market.bars), SESSIONS, 2)
        assert [len(request.symbols) for request in server.asked("bars")] == [4, 2, 2]
        for symbol, bars in server.market.bars.items():
            require_same_bars(found[symbol], bars)


class TestRefusals:
    @pytest.mark.parametrize(
        ("fault", "kind", "words"),
        [
            (double.status(401), FixConfig, ("401", "ALPACA_API_KEY", "ALPACA_SECRET_KEY")),
            (double.status(403, "forbidden."), FixConfig, ("403 (forbidden.)", "ALPACA_API_KEY")),
            (double.html(401), FixConfig, ("401", "ALPACA_API_KEY")),
            (double.html(403), FixConfig, ("403", "ALPACA_API_KEY")),
            (double.says(b"", status=403), FixConfig, ("403", "ALPACA_API_KEY")),
            (double.status(403, f"{NOT_IN_PLAN} SIP data"), FixConfig, ("ALPACA_FEED=iex", "plan")),
            (double.status(403, f"{NOT_IN_PLAN} recent SIP data"), RetryLater, ("15 minutes", "SETTLE_MINUTES")),
            (double.status(422, "invalid limit: -1"), FixRequest, ("422 (invalid limit: -1)",)),
            (double.status(404, "endpoint not found."), FixConfig, ("404", "ALPACA_DATA_URL")),
            (double.html(404), FixConfig, ("404", "ALPACA_DATA_URL")),
            (double.redirect("https://elsewhere.invalid/"), FixConfig, ("302", "ALPACA_DATA_URL")),
            (double.says(b"", status=204), FixConfig, ("204", "ALPACA_DATA_URL")),
        ],
    )  # fmt: skip
    def test_for_good_are_asked_for_once_and_say_what_to_do(
        self, server: AlpacaServer, fault: Fault, kind: type[PlaybookError], words: tuple[str, ...]
    ) -> None:
        server.misbehave(fault, kind="bars", times=None)
        clock = ManualClock()
        error = answer(server, clock=clock)
        assert type(error) is kind
        assert all(word in str(error) for word in words), error
        assert (server.calls(), clock.slept) == (1, [])

    @pytest.mark.parametrize("code", [408, 429, 500, 501, 502, 503, 504, 507, 511])
    def test_that_may_pass_are_asked_for_again(self, server: AlpacaServer, code: int) -> None:
        rule = server.misbehave(double.status(code), kind="bars", times=None)
        error = answer(server)
        assert isinstance(error, RetryLater)
        assert (str(code) in error.message, rule.hits) == (True, ATTEMPTS)
        rule.lift()
        server.misbehave(double.html(code), kind="bars", times=ATTEMPTS - 1)
        require_same_bars(answer(server), server.market.bars["QQQ"])

    @pytest.mark.parametrize(
        "fault",
        [double.reset(0), double.reset(), double.cut_body(), double.cut_body(0), double.cut_json(), double.says(b""),
         double.html(200), double.gzipped(spoiled=True)],
        ids=["reset", "reset half-way", "cut", "cut at once", "cut JSON", "empty", "HTML", "cut gzip"],
    )  # fmt: skip
    def test_by_a_broken_connection_or_answer_may_pass(self, server: AlpacaServer, fault: Fault) -> None:
        server.misbehave(fault, kind="bars", times=ATTEMPTS - 1)
        require_same_bars(answer(server), server.market.bars["QQQ"])
        rule = server.misbehave(fault, kind="bars", times=None)
        assert isinstance(answer(server), RetryLater)
        assert rule.hits == ATTEMPTS

    def test_of_one_page_spoil_the_question(self, server: AlpacaServer) -> None:
        server.misbehave(double.asked(limit="150"), kind="bars", times=None)
        server.misbehave(double.status(503), kind="bars", page=3, times=None)
        assert isinstance(answer(server), RetryLater)
        assert [request.page for request in server.asked("bars")] == [1, 2, *[3] * ATTEMPTS]

    def test_are_the_same_error_for_all_symbols(self, server: AlpacaServer) -> None:
        server.misbehave(double.status(401), kind="bars", times=None)
        with asking(server) as feed:
            found = feed.bars(list(server.market.bars), SESSIONS, 2)
        assert (len({id(error) for error in found.values()}), server.calls()) == (1, 1)

    def test_for_haste_are_obeyed(self, server: AlpacaServer) -> None:
        clock = ManualClock()
        server.misbehave(double.too_many(retry_after=7), kind="bars", times=2)
        require_same_bars(answer(server, clock=clock), server.market.bars["QQQ"])
        assert clock.slept == [7.0, 7.0]

    @pytest.mark.parametrize("fault", [double.too_many(retry_after=30, by_date=True), double.too_many(reset_in=30)])
    def test_for_haste_tell_their_time_by_the_clock_of_alpaca(self, server: AlpacaServer, fault: Fault) -> None:
        clock = ManualClock(datetime(2025, 12, 1, tzinfo=UTC))  # a rehearsal of a day long past
        server.misbehave(fault, kind="bars")
        require_same_bars(answer(server, clock=clock), server.market.bars["QQQ"])
        assert len(clock.slept) == 1
        assert 28 <= clock.slept[0] <= 31

    def test_of_a_server_in_trouble_do_not_wait_for_the_next_minute(self, server: AlpacaServer) -> None:
        clock = ManualClock()
        sent = format_datetime(datetime.now(UTC), usegmt=True)
        reset = str(int((datetime.now(UTC) + timedelta(seconds=50)).timestamp()))
        headers = {"Date": sent, "X-RateLimit-Remaining": "150", "X-RateLimit-Reset": reset}
        server.misbehave(double.status(500, headers=headers), kind="bars")
        require_same_bars(answer(server, clock=clock), server.market.bars["QQQ"])
        assert clock.slept[0] <= 1

    def test_for_longer_than_there_is_time_end_it_at_once(self, server: AlpacaServer) -> None:
        clock = ManualClock()
        server.misbehave(double.too_many(retry_after=3_000), kind="bars", times=None)
        error = answer(server, clock=clock)
        assert isinstance(error, RetryLater)
        assert (error.retry_after_seconds, server.calls(), clock.slept) == (3_000, 1, [])


def saying(said: object, code: int) -> Fault:
    return lambda request, _: double.json_answer({"message": said}, code)


class TestSecrets:
    @pytest.mark.parametrize(
        ("key", "secret"),
        [("PK1", "S3CR3T"), ("ABC", "ABCDEF"), ("ABCDEF", "ABC"), ('P"K\\1', "S'<&>%0a"), ("{key}", "%(secret)s"),
         ("K" * 200, "S" * 200)],
    )  # fmt: skip
    @pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 418, 500])
    def test_that_alpaca_repeats_are_taken_out(self, server: AlpacaServer, key: str, secret: str, code: int) -> None:
        for said in (f"bad {key}:{secret} sent", secret, {"nested": [key, secret]}, [secret]):
            server.behave()
            server.misbehave(saying(said, code), kind="bars", times=None)
            with asking(server, keys=AlpacaKeys(key, secret)) as feed:
                error = feed.bars(["QQQ"], SESSIONS, 2)["QQQ"]
            assert isinstance(error, PlaybookError)
            told = re.sub(r"http://\S+", "", repr(error) + str(error.__cause__) + str(error.facts()))
            longer = max(key, secret, key=len)
            assert longer not in told
            assert "DEF" not in told

    @pytest.mark.parametrize("said", ["line\nline\x1b[31m\x00", "x" * 5_000], ids=["controls", "long"])
    def test_and_other_words_of_a_server_stay_on_one_short_line(self, server: AlpacaServer, said: str) -> None:
        server.misbehave(double.status(400, said), kind="bars", times=None)
        error = answer(server)
        assert isinstance(error, FixRequest)
        assert error.message.isprintable()
        assert len(error.message) < 250


@pytest.mark.parametrize(
    "address",
    ["http://a..b", "http://" + "a" * 70, "http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:abc", "http://*.x"],
)  # fmt: skip
def test_an_address_that_can_be_none_is_a_wrong_setting(server: AlpacaServer, address: str) -> None:
    from trading_playbook.feeds.alpaca.transport import Host

    host = Host(address, "key", "secret")
    with pytest.raises(FixConfig, match="ALPACA_DATA_URL or ALPACA_TRADING_URL"):
        host.fetch("/stocks/bars", {}, "v2", 2.0)
    host.close()
