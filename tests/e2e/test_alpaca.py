"""Bars of Alpaca through the cache from the command line, from a double that has one bad day after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import alpaca_double as double
from tests.support.alpaca_double import AlpacaServer, Fault, alpaca_market, generated_market, many_symbols
from tests.support.bars import NEW_YORK, moment_of
from tests.support.door import Door, Told, keys_of, manifests, newest_manifest, process, rows_of, tree
from tests.support.loopback import loopback, nothing_left
from tests.support.market import DAYS, END, Market, make_market, story_market
from trading_playbook.core.calendar import Calendar, parse_overrides
from trading_playbook.network.retries import ATTEMPTS
from trading_playbook.system import SystemClock

NOW = ("--now", f"{END}T18:00:00-05:00")
JUDGED = DAYS[1:]
"""The first session has no bars before it, and is there for the second."""

KINDS = ("bars", "daily", "splits")


@pytest.fixture
def server(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
    with AlpacaServer(alpaca_market(market)) as server:
        use(server, monkeypatch)
        yield server


def use(server: AlpacaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of this process, which take no time."""
    waited: list[float] = []
    monkeypatch.setattr(SystemClock, "sleep", lambda _, seconds: waited.append(seconds))
    return waited


@pytest.fixture
def reference(door: Door, market: Market, tmp_path: Path) -> list[dict[str, str]]:
    """The rows that the feed of files makes of the same bars."""
    return rows_from_files(door, market, tmp_path / "reference" / "trades.csv")


def rows_from_files(door: Door, market: Market, journal: Path, *more: str, symbol: str = "QQQ") -> list[dict[str, str]]:
    call = (*market.call, "--symbol", symbol, "--start", JUDGED[0], "--end", END)
    door(*call, "--output", journal, *more)
    return compared(journal)


def compared(journal: Path) -> list[dict[str, str]]:
    """A journal's rows without the one column that tells where the bars came from."""
    return [{name: cell for name, cell in row.items() if name != "data_feed"} for row in rows_of(journal)]


def judge(door: Door, journal: Path, *more: str, symbol: str = "QQQ", start: str = JUDGED[0], end: str = END) -> Told:
    return door("--symbol", symbol, "--start", start, "--end", end, "--output", journal, *NOW, *more)


def night(door: Door, journal: Path, now: str, *more: str, symbol: str = "QQQ") -> Told:
    """The nightly run at a moment in New York."""
    moment = datetime.fromisoformat(now).replace(tzinfo=NEW_YORK).isoformat()
    return door("--symbol", symbol, "--today", "--output", journal, "--now", moment, *more)


def cached(kind: str = "*") -> list[str]:
    """The files of the cache, of a timeframe."""
    return sorted(str(path) for path in Path("data/cache").glob(f"*/{kind}/**/*") if path.is_file())


class TestGoodDays:
    def test_the_rows_equal_those_of_files_but_for_the_name_of_the_feed(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        assert judge(door, journal).code == 0
        assert compared(journal) == reference
        assert [day for day, _ in keys_of(journal)] == list(JUDGED)
        assert {row["data_feed"] for row in rows_of(journal)} == {"alpaca-sip"}
        assert newest_manifest(journal.parent)["api_calls"] == server.calls() == 4

    def test_a_second_run_makes_no_call_and_needs_no_keys(
        self, door: Door, server: AlpacaServer, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert judge(door, journal).code == 0
        server.forget()
        monkeypatch.delenv("ALPACA_API_KEY")
        monkeypatch.delenv("ALPACA_SECRET_KEY")
        other = tmp_path / "other" / "trades.csv"
        assert judge(door, other).code == 0
        assert (server.calls(), other.read_bytes()) == (0, journal.read_bytes())

    def test_one_day_more_asks_for_that_day_alone(self, door: Door, server: AlpacaServer, journal: Path) -> None:
        assert judge(door, journal, end=DAYS[-2]).code == 0
        server.forget()
        assert judge(door, journal).code == 0
        (request,) = server.asked("bars")
        assert (request.params["start"][:10], request.params["end"][:10]) == (END, END)
        assert [request.params["start"][:10] for request in server.asked("daily")] == [DAYS[-2]]

    def test_another_feed_is_kept_apart_and_named_in_the_rows(
        self, door: Door, server: AlpacaServer, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert judge(door, journal).code == 0
        monkeypatch.setenv("ALPACA_FEED", "IEX")
        server.forget()
        other = tmp_path / "other" / "trades.csv"
        assert judge(door, other).code == 0
        assert {request.params["feed"] for request in server.asked() if request.kind != "splits"} == {"iex"}
        assert {row["data_feed"] for row in rows_of(other)} == {"alpaca-iex"}
        assert {path.split("/")[2] for path in cached()} == {"alpaca-sip", "alpaca-iex"}
        assert compared(other) != compared(journal)

    def test_a_year_of_a_symbol_takes_a_call_a_month_and_then_none(
        self, door: Door, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with AlpacaServer(generated_market(["QQQ"], "2024-01-02", "2024-12-31")) as server:
            use(server, monkeypatch)
            year = {"start": "2024-01-03", "end": "2024-12-31"}
            assert judge(door, journal, **year).code == 0
            assert {kind: server.calls(kind) for kind in ("daily", "splits", "bars", "assets", "calendar")} == {
                "daily": 1, "splits": 1, "bars": 12, "assets": 0, "calendar": 0}  # fmt: skip
            server.forget()
            assert judge(door, journal, **year).code == 0
            assert server.calls() == 0

    def test_a_first_night_of_503_symbols_takes_as_many_calls_as_its_bars_have_pages(
        self, door: Door, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        symbols = many_symbols(503)
        with AlpacaServer(generated_market(symbols, "2025-11-03", "2025-11-04")) as server:
            use(server, monkeypatch)
            assert night(door, journal, "2025-11-04T18:00", symbol=",".join(symbols)).code == 0
            # 209 closes and two sessions of 195 bars, 10,000 a page.
            assert {kind: server.calls(kind) for kind in KINDS} == {"bars": 20, "daily": 11, "splits": 1}
        assert len(rows_of(journal)) == 503

    def test_splits_forward_and_reverse_give_the_rows_of_files(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path, tmp_path: Path
    ) -> None:
        from trading_playbook.core.daily import Split

        market.splits["QQQ"] = [
            Split(date(2025, 6, 2), 3.0, 1.0), Split(date(2025, 11, 20), 1.0, 4.0), Split(date(2025, 12, 2), 10.0, 1.0)
        ]  # fmt: skip
        market.save()
        reference = rows_from_files(door, market, tmp_path / "reference" / "trades.csv")
        assert judge(door, journal).code == 0
        assert compared(journal) == reference
        assert server.calls("splits") == 1

    def test_a_new_listing_is_judged_from_its_first_session_on(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path, tmp_path: Path
    ) -> None:
        market.closes["QQQ"] = {day: own for day, own in market.closes["QQQ"].items() if str(day) >= DAYS[4]}
        for day in DAYS[:4]:
            market.cut(day, "09:30")
        reference = rows_from_files(door, market, tmp_path / "reference" / "trades.csv")
        assert judge(door, journal).code == 0
        assert (compared(journal), [day for day, _ in keys_of(journal)]) == (reference, list(DAYS[4:]))
        assert newest_manifest(journal.parent)["counts"]["not_listed"] == 3


TROUBLE: dict[str, Fault] = {
    "500": double.status(500),
    "502 in HTML": double.html(502),
    "503": double.status(503),
    "504": double.status(504),
    "429": double.too_many(),
    "reset at once": double.reset(0),
    "reset half-way": double.reset(),
    "cut body": double.cut_body(),
    "cut JSON": double.cut_json(),
    "empty body": double.says(b""),
    "HTML with 200": double.html(200),
    "a list": double.says_json([]),
    "null": double.says_json(None),
    "cut gzip": double.gzipped(spoiled=True),
}
every_trouble = pytest.mark.parametrize("fault", TROUBLE.values(), ids=TROUBLE)


class TestTemporaryTrouble:
    @every_trouble
    def test_that_passes_leaves_no_trace(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float],
        reference: list[dict[str, str]], fault: Fault,
    ) -> None:  # fmt: skip
        for kind in KINDS:
            server.misbehave(fault, kind=kind)
        assert judge(door, journal).code == 0
        assert compared(journal) == reference
        assert len(waits) == 3

    @every_trouble
    def test_that_stays_is_told_after_the_documented_number_of_calls_and_the_next_run_is_whole(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float],
        reference: list[dict[str, str]], fault: Fault,
    ) -> None:  # fmt: skip
        self.require_retry(door, server, journal, fault, "bars")
        assert judge(door, journal).code == 0
        assert compared(journal) == reference

    @pytest.mark.parametrize(
        "kind",
        [
            "daily",
            "splits",
        ],
    )
    def test_of_any_question_that_stays_is_told_alike(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], kind: str
    ) -> None:
        self.require_retry(door, server, journal, double.status(503), kind)

    def require_retry(self, door: Door, server: AlpacaServer, journal: Path, fault: Fault, kind: str) -> None:
        """Let a fault last for a run, which must give up after ATTEMPTS calls and keep nothing that is not whole."""
        rule = server.misbehave(fault, kind=kind, times=None)
        told = judge(door, journal, "--json")
        assert (told.code, told.json["outcome"], told.json["rows"]) == (4, "retry", [])
        assert told.json["errors"][0]["retry_after_seconds"] >= 1
        assert (rule.hits, journal.exists(), cached("2Min")) == (ATTEMPTS, False, [])
        server.behave()

    def test_on_one_page_spoils_nothing(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.asked(limit="450"), kind="bars", times=None)
        server.misbehave(double.status(503), kind="bars", page=3, times=None)
        assert judge(door, journal).code == 4
        assert [request.page for request in server.asked("bars")] == [1, 2, *[3] * ATTEMPTS]
        assert (journal.exists(), cached("2Min")) == (False, [])
        server.behave()
        assert judge(door, journal).code == 0
        assert compared(journal) == reference

    def test_in_a_later_month_leaves_the_earlier_one_in_the_cache(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], reference: list[dict[str, str]]
    ) -> None:
        def in_december(request: double.Request, answer: double.Next) -> double.Answer:
            fault = double.status(503) if request.params["start"] >= "2025-12" else double.asked()
            return fault(request, answer)

        server.misbehave(in_december, kind="bars", times=None)
        assert judge(door, journal).code == 4
        assert [Path(path).stem for path in cached("2Min")] == ["2025-11"]
        server.behave()
        server.forget()
        assert judge(door, journal).code == 0
        assert compared(journal) == reference
        assert [request.params["start"][:7] for request in server.asked("bars")] == ["2025-12"]

    @pytest.mark.parametrize(
        "loop", [double.same_token(), double.two_tokens(), double.new_tokens(), double.empty_token()],
        ids=["the same token", "two in turn", "ever new ones", "an empty one"],
    )  # fmt: skip
    def test_pages_without_an_end_end(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]], loop: Fault
    ) -> None:
        server.misbehave(loop, kind="bars", times=None)
        told = judge(door, journal)
        assert (told.code, journal.exists(), cached("2Min")) == (4, False, [])
        assert "pages do not end" in told.err
        server.behave()
        assert judge(door, journal).code == 0
        assert compared(journal) == reference


SLOWNESS: dict[str, Fault] = {
    "a server that hangs": double.hang(),
    "headers that drip": double.drip(0.02, part="head"),
    "a body that drips": double.drip(0.02),
    "a body that drips in lumps": double.drip(0.1, size=50),
    "a body without an end": double.together(double.huge(10**9, chunk=64), double.asked()),
}


class TestTime:
    @pytest.fixture
    def server(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
        """The same, and nothing may be left of those who were kept waiting."""
        with nothing_left(), AlpacaServer(alpaca_market(market)) as server:
            use(server, monkeypatch)
            yield server

    @pytest.mark.parametrize("kind", ["bars", "daily"])
    @pytest.mark.parametrize("fault", SLOWNESS.values(), ids=SLOWNESS)
    def test_the_budget_is_kept_however_slow_the_server(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch,
        reference: list[dict[str, str]], fault: Fault, kind: str,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", "0.5")
        server.misbehave(fault, kind=kind, times=None)
        began = time.monotonic()
        told = judge(door, journal)
        assert time.monotonic() - began < 0.5 + 2
        assert (told.code, journal.exists(), cached("2Min")) == (4, False, [])
        server.behave()
        assert judge(door, journal).code == 0
        assert compared(journal) == reference

    def test_the_budget_is_one_for_all_that_a_run_calls(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", "0.5")
        symbols = ",".join(many_symbols(700))
        server.misbehave(double.hang(), times=None)
        began = time.monotonic()
        told = judge(door, journal, symbol=symbols)
        assert told.code == 4
        assert time.monotonic() - began < 0.5 + 2
        assert server.calls() == 1

    def test_a_hung_server_leaves_a_process_of_its_own_in_time(
        self, server: AlpacaServer, journal: Path, own_folder: Path
    ) -> None:
        server.misbehave(double.hang(), times=None)
        told = process(
            "--symbol", "QQQ", "--start", JUDGED[0], "--end", END, "--output", journal, *NOW,
            cwd=own_folder, RETRY_BUDGET_SECONDS="1", **server.settings,
        )  # fmt: skip
        assert (told.code, "gave no whole answer within 1 seconds" in told.err) == (4, True)
        (request,) = server.asked()
        assert time.monotonic() - request.at < 1 + 2

    def test_a_wait_that_is_asked_for_is_obeyed(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.too_many(retry_after=7), times=2)
        assert judge(door, journal).code == 0
        assert (waits, compared(journal)) == ([7.0, 7.0], reference)

    def test_no_call_is_made_inside_a_wait_that_is_asked_for(
        self, door: Door, server: AlpacaServer, journal: Path
    ) -> None:
        server.misbehave(double.too_many(retry_after=1), times=2)
        assert judge(door, journal).code == 0
        first, second, third = [request.at for request in server.asked()[:3]]
        assert second - first >= 1
        assert third - second >= 1

    @pytest.mark.parametrize(
        "fault",
        [double.too_many(retry_after=7), double.too_many(retry_after=7, by_date=True), double.too_many(reset_in=9),
         double.too_many(retry_after="9" * 400)],
        ids=["seconds", "a date", "a reset", "for ever"],
    )  # fmt: skip
    def test_a_longer_wait_than_there_is_time_is_handed_on_at_once(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
    ) -> None:
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", "2")
        server.misbehave(fault, times=None)
        told = judge(door, journal, "--json")
        assert (told.code, server.calls()) == (4, 1)
        assert 7 <= told.json["errors"][0]["retry_after_seconds"] <= 86_400
        assert newest_manifest(journal.parent)["outcome"] == "retry"

    def test_the_rate_of_the_plan_is_kept(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALPACA_CALLS_PER_MINUTE", "1")
        assert judge(door, journal).code == 0
        assert len(waits) == server.calls() - 1 == 3
        assert all(59 < wait <= 60 for wait in waits[:1])


def stamp(market: Market, day: str, label: str) -> str:
    """How Alpaca writes the time of a bar."""
    return f"{moment_of(market.bars['QQQ'].opened[market.at(day, label)]):%Y-%m-%dT%H:%M:%SZ}"


class TestBadData:
    DAY, NEXT = DAYS[5], DAYS[6]

    def without(self, rows: Sequence[dict[str, str]], *days: str) -> list[dict[str, str]]:
        return [row for row in rows if row["trade_date"] not in days]

    @pytest.mark.parametrize(
        ("values", "field"),
        [({"c": None}, "close"), ({"h": double.UNSET}, "high"), ({"o": "500"}, "open"), ({"l": float("nan")}, "low"),
         ({"h": 1}, "high"), ({"l": -5}, "low"), ({"c": 10**400}, "close")],
        ids=["null", "missing", "text", "NaN", "impossible", "negative", "too large"],
    )  # fmt: skip
    def test_of_a_bar_is_told_by_name_and_harms_two_sessions_alone(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path,
        reference: list[dict[str, str]], values: dict[str, Any], field: str,
    ) -> None:  # fmt: skip
        server.misbehave(double.with_bar(stamp(market, self.DAY, "10:30"), **values), kind="bars", times=None)
        told = judge(door, journal, "--json")
        assert told.code == 3
        facts = [(error["session"], error["bar"], error["field"]) for error in told.json["errors"]]
        assert facts == [(self.DAY, "10:30", field), (self.NEXT, "10:30", field)]
        assert compared(journal) == self.without(reference, self.DAY, self.NEXT)

    def test_of_a_bar_that_is_null_is_told_by_its_place(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.with_null_bar(stamp(market, self.DAY, "10:30")), kind="bars", times=None)
        told = judge(door, journal)
        assert (told.code, f"QQQ {self.DAY} 10:30: open is missing" in told.err) == (3, True)
        assert compared(journal) == self.without(reference, self.DAY, self.NEXT)

    @pytest.mark.parametrize("values", [{"v": None}, {"t": None}, {"t": "yesterday"}], ids=str)
    def test_of_a_bar_that_no_session_can_be_told_of_harms_its_symbol_alone(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path, tmp_path: Path, values: dict[str, Any]
    ) -> None:
        both = make_market(tmp_path / "both", ("QQQ", "SPY"))
        market.bars |= both.bars
        market.closes |= both.closes
        server.misbehave(double.with_bar(stamp(market, self.DAY, "10:30"), "QQQ", **values), kind="bars", times=None)
        told = judge(door, journal, "--json", symbol="QQQ,SPY")
        assert told.code == 3
        (error,) = told.json["errors"]
        assert (error["symbol"], error["field"]) == ("QQQ", "volume" if "v" in values else "timestamp")
        assert {symbol for _, symbol in keys_of(journal)} == {"SPY"}
        assert not any("QQQ" in path for path in cached("2Min"))
        server.behave()
        assert judge(door, journal, symbol="QQQ,SPY").code == 0
        assert compared(journal) == rows_from_files(door, both, tmp_path / "ref" / "trades.csv", symbol="QQQ,SPY")

    def test_of_a_bar_told_twice_is_counted_or_contradictory(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path, tmp_path: Path,
        reference: list[dict[str, str]],
    ) -> None:  # fmt: skip
        at = stamp(market, self.DAY, "10:30")
        rule = server.misbehave(double.repeated_bar(at), kind="bars", times=None)
        told = judge(door, journal)
        assert (told.code, "QQQ: 1 exact repeats of bars dropped" in told.out) == (0, True)
        assert compared(journal) == reference
        rule.lift()
        place = market.at(self.DAY, "10:30")
        close, high, low = (getattr(market.bars["QQQ"], name)[place].item() for name in ("close", "high", "low"))
        server.misbehave(double.repeated_bar(at, c=low if close == high else high), kind="bars", times=None)
        other = tmp_path / "other" / "trades.csv"
        told = judge(door, other, "--force-refresh")
        assert (told.code, f"QQQ {self.DAY} 10:30: two bars of that time disagree" in told.err) == (3, True)

    def test_of_a_daily_close_is_told_and_heals_the_next_day(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.with_bar(-3, c=None), kind="daily", times=None)
        told = judge(door, journal)
        assert (told.code, "the daily close is missing" in told.err) == (3, True)
        server.behave()
        told = judge(door, journal, "--now", "2025-12-06T12:00-05:00")
        assert told.code == 0
        assert compared(journal) == reference

    def test_of_a_split_is_told_and_not_passed_over(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        bad = {"forward_splits": [{"symbol": "QQQ", "ex_date": "2025-11-20", "old_rate": 0, "new_rate": 4}]}
        server.misbehave(double.with_values(corporate_actions=bad), kind="splits", times=None)
        told = judge(door, journal)
        assert (told.code, "QQQ: Alpaca tells of a split without usable date or rates" in told.err) == (3, True)
        server.behave()
        assert judge(door, journal).code == 0
        assert compared(journal) == reference

    def test_an_empty_answer_is_no_data_and_never_a_row(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.with_values(bars={}), kind="bars", times=None)
        told = judge(door, journal, "--json", start=self.DAY, end=self.DAY)
        assert (told.code, told.json["outcome"], told.json["rows"]) == (3, "no_data", [])
        server.behave()
        # The same evening it is remembered that there was nothing; the next day it is asked for again.
        told = judge(door, journal, "--now", "2025-12-08T18:00-05:00", start=self.DAY, end=self.DAY)
        assert told.code == 0
        assert compared(journal) == [row for row in reference if row["trade_date"] == self.DAY]

    def test_one_unknown_symbol_is_one_bad_key(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        told = judge(door, journal, "--json", symbol="NOSUCH,QQQ")
        assert told.code == 2
        (error,) = told.json["errors"]
        assert (error["type"], error["symbol"]) == ("FixRequest", "NOSUCH")
        assert "Alpaca knows no such symbol" in error["message"]
        assert compared(journal) == reference
        assert not any("NOSUCH" in path for path in cached())

    def test_a_symbol_that_alpaca_refuses_harms_no_other(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.status(400, "invalid symbol: A1"), symbol="A1", times=None)
        told = judge(door, journal, symbol="A1,QQQ")
        assert (told.code, "invalid symbol: A1" in told.err) == (2, True)
        assert compared(journal) == reference

    def test_a_corrected_bar_is_a_conflict_until_it_is_revised(
        self, door: Door, tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        market = story_market(tmp_path / "story", "2025-12-03")
        day = {"start": "2025-12-03", "end": "2025-12-03"}
        with AlpacaServer(alpaca_market(market)) as server:
            use(server, monkeypatch)
            assert judge(door, journal, **day).code == 0
            before = journal.read_bytes()
            market.set("2025-12-03", "15:54", close=100.25)
            server.forget()
            assert judge(door, journal, **day).code == 0
            assert (server.calls(), journal.read_bytes()) == (0, before)
            told = judge(door, journal, "--force-refresh", "--json", **day)
            assert told.code == 5
            (error,) = told.json["errors"]
            assert set(error["columns"]) == {"eod_exit_price", "gross_pnl", "net_pnl", "R_multiple"}
            assert any("1 bar changed" in warning for warning in told.json["warnings"])
            assert journal.read_bytes() == before
            assert judge(door, journal, "--revise", **day).code == 0
            (row,) = rows_of(journal)
            assert (row["revision"], row["eod_exit_price"]) == ("1", "100.25")


class TestRefusals:
    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (double.status(401), ("401", "ALPACA_API_KEY", "ALPACA_SECRET_KEY")),
            (double.status(403, "forbidden."), ("403", "ALPACA_API_KEY")),
            (double.html(403), ("403", "ALPACA_API_KEY")),
            (double.status(403, "subscription does not permit querying SIP data"), ("ALPACA_FEED=iex",)),
            (double.html(404), ("404", "ALPACA_DATA_URL")),
            (double.redirect("https://elsewhere.invalid/"), ("302", "ALPACA_DATA_URL")),
        ],
        ids=["401", "403", "403 in HTML", "plan", "404", "302"],
    )
    def test_say_what_to_mend_and_are_not_repeated(
        self, door: Door, server: AlpacaServer, journal: Path, fault: Fault, words: tuple[str, ...]
    ) -> None:
        server.misbehave(fault, times=None)
        told = judge(door, journal)
        assert (told.code, server.calls()) == (2, 1)
        assert all(word in told.err for word in words)
        assert (cached(), journal.parent.exists()) == ([], False)

    def test_wrong_keys_are_told_as_they_are_by_alpaca(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALPACA_SECRET_KEY", "another")
        told = judge(door, journal)
        assert (told.code, server.calls(), "403 (forbidden.)" in told.err) == (2, 1, True)

    def test_bars_that_are_too_recent_for_the_plan_come_later(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SETTLE_MINUTES", "0")
        closed = datetime.fromisoformat(f"{END}T16:00:00-05:00")
        with AlpacaServer(alpaca_market(market), now=lambda: closed + timedelta(minutes=1)) as server:
            use(server, monkeypatch)
            told = night(door, journal, f"{END}T16:01", "--json")
        assert told.code == 4
        (error,) = told.json["errors"]
        assert error["retry_after_seconds"] == 900
        assert "SETTLE_MINUTES" in error["message"]

    @pytest.mark.parametrize("name", ["ALPACA_API_KEY", "ALPACA_SECRET_KEY"])
    @pytest.mark.parametrize("value", [None, "", "   "], ids=["unset", "empty", "blank"])
    def test_a_key_that_is_not_there_is_named_and_nothing_is_called(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch,
        name: str, value: str | None,
    ) -> None:  # fmt: skip
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
        told = judge(door, journal)
        assert (told.code, server.calls(), journal.parent.exists()) == (2, 0, False)
        assert f"{name} is not set" in told.err
        assert server.secret not in told.all

    def test_keys_that_no_header_can_hold_are_refused_without_being_shown(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for value in ("two words", "line\nbreak", "schlüssel"):
            monkeypatch.setenv("ALPACA_SECRET_KEY", value)
            told = judge(door, journal)
            assert (told.code, server.calls(), "ALPACA_SECRET_KEY is wrong" in told.err) == (2, 0, True)
            assert value not in told.all

    def test_a_moment_ahead_of_the_machines_clock_is_refused(
        self, door: Door, server: AlpacaServer, journal: Path
    ) -> None:
        ahead = (datetime.now(NEW_YORK) + timedelta(days=2)).isoformat(timespec="seconds")
        told = door("--symbol", "QQQ", "--today", "--output", journal, "--now", ahead)
        assert (told.code, server.calls(), journal.exists()) == (2, 0, False)
        assert "ahead of this machine's clock" in told.err


class TestAddresses:
    def test_each_host_has_its_own(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with AlpacaServer(alpaca_market(market)) as data, AlpacaServer(alpaca_market(market)) as trading:
            use(data, monkeypatch)
            monkeypatch.setenv("ALPACA_TRADING_URL", f"{trading.url}/")
            assert judge(door, journal, symbol="NOSUCH,QQQ").code == 2
            assert {request.kind for request in data.asked()} == {"daily", "splits", "bars"}
            assert [request.kind for request in trading.asked()] == ["assets"]

    @pytest.mark.parametrize(
        "address", ["ftp://host", "localhost:80", "http://", "http://user:word@host", "http://a b", "https:///x"]
    )
    @pytest.mark.parametrize("name", ["ALPACA_DATA_URL", "ALPACA_TRADING_URL"])
    def test_that_are_none_are_named_before_anything_is_called(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch, name: str, address: str
    ) -> None:
        monkeypatch.setenv(name, address)
        told = judge(door, journal)
        assert (told.code, server.calls(), name in told.err, "word" in told.err) == (2, 0, True, False)

    @pytest.mark.parametrize("address", ["http://a..b", "http://127.0.0.1:99999", "http://" + "a" * 70])
    def test_that_no_host_can_have_are_a_wrong_setting(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setenv("ALPACA_DATA_URL", address)
        told = judge(door, journal)
        assert (told.code, "ALPACA_DATA_URL" in told.err) == (2, True)

    @pytest.mark.parametrize("address", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
    def test_where_nobody_listens_are_temporary_trouble(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch,
        address: str,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("ALPACA_DATA_URL", address)
        told = judge(door, journal)
        assert (told.code, address in told.err, len(waits)) == (4, True, ATTEMPTS - 1)

    def test_that_speak_no_tls_are_temporary_trouble(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALPACA_DATA_URL", server.url.replace("http:", "https:"))
        told = judge(door, journal)
        assert (told.code, "SSLError" in told.err, server.calls()) == (4, True, 0)

    def test_that_speak_no_http_are_temporary_trouble(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with loopback(lambda peer: peer.send(b"220 mail.invalid ESMTP\r\n")) as url:
            monkeypatch.setenv("ALPACA_DATA_URL", url)
            assert judge(door, journal).code == 4

    def test_may_be_reached_through_a_proxy(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch,
        reference: list[dict[str, str]],
    ) -> None:  # fmt: skip
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("ALPACA_DATA_URL", "http://data.invalid")
        assert judge(door, journal).code == 0
        assert compared(journal) == reference

    def test_of_a_proxy_that_are_none_are_told(
        self, door: Door, server: AlpacaServer, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", "http://:")
        monkeypatch.setenv("ALPACA_DATA_URL", "http://data.invalid")
        told = judge(door, journal)
        assert (told.code, "proxy" in told.err) == (2, True)

    def test_of_a_server_that_closes_each_connection_serve_as_well(
        self, door: Door, server: AlpacaServer, journal: Path, waits: list[float], reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.delivered(lambda wire, head, body: wire.write(head + body)), times=None)
        assert judge(door, journal).code == 0
        assert compared(journal) == reference

    def test_with_bars_packed_unasked_serve_as_well(
        self, door: Door, server: AlpacaServer, journal: Path, reference: list[dict[str, str]]
    ) -> None:
        server.misbehave(double.gzipped(), times=None)
        assert judge(door, journal).code == 0
        assert compared(journal) == reference


class TestNights:
    @pytest.mark.parametrize(
        ("day", "early", "due"),
        [("2025-12-05", "16:19:59", "16:20:00"), ("2025-11-28", "13:19:59", "13:20:00"),
         ("2025-03-07", "16:19:59", "16:20:00"), ("2025-03-10", "16:19:59", "16:20:00"),
         ("2025-10-31", "16:19:59", "16:20:00"), ("2025-11-03", "16:19:59", "16:20:00")],
        ids=["a day", "an early close", "before summer time", "in summer time", "before winter time", "in winter time"],
    )  # fmt: skip
    def test_wait_for_the_close_and_the_settling_and_then_judge(
        self, door: Door, tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch, day: str, early: str, due: str
    ) -> None:
        start = str(date.fromisoformat(day) - timedelta(days=7))
        market = make_market(tmp_path / "own", start=start, end=day)
        with AlpacaServer(alpaca_market(market)) as server:
            use(server, monkeypatch)
            before = [session for session in market.closes["QQQ"] if str(session) < day][-1]
            assert judge(door, journal, start=str(before), end=str(before)).code == 0
            server.forget()
            kept = tree(journal.parent)["trades.csv"]
            told = night(door, journal, f"{day}T{early}", "--json")
            assert (told.code, server.calls(), tree(journal.parent)["trades.csv"]) == (4, 0, kept)
            (error,) = told.json["errors"]
            assert (error["type"], error["retry_after_seconds"]) == ("TooEarly", 1)
            assert "come back in 1 min" in error["message"]
            assert night(door, journal, f"{day}T{due}").code == 0
            other = tmp_path / "other" / "trades.csv"
            assert door(*market.call, "--symbol", "QQQ", "--start", before, "--end", day, "--output", other).code == 0
        assert (compared(journal), keys_of(journal)[-1]) == (compared(other), (day, "QQQ"))

    @pytest.mark.parametrize("day", ["2025-11-27", "2025-11-29", "2025-11-30"], ids=["holiday", "Saturday", "Sunday"])
    def test_of_closed_days_call_nothing_where_nothing_is_missing(
        self, door: Door, server: AlpacaServer, journal: Path, day: str
    ) -> None:
        before = [session for session in DAYS if session < day][-1]
        assert judge(door, journal, start=before, end=before).code == 0
        server.forget()
        told = night(door, journal, f"{day}T18:00")
        assert (told.code, server.calls(), newest_manifest(journal.parent)["outcome"]) == (0, 0, "closed")

    def test_of_a_holiday_judge_the_last_session(self, door: Door, server: AlpacaServer, journal: Path) -> None:
        assert night(door, journal, "2025-11-27T18:00").code == 0
        assert keys_of(journal) == [("2025-11-26", "QQQ")]
        assert not any(request.params.get("end", "") >= "2025-11-27" for request in server.asked("bars"))

    def test_ask_for_no_bar_of_a_session_that_is_not_over(
        self, door: Door, server: AlpacaServer, journal: Path
    ) -> None:
        assert night(door, journal, f"{END}T12:00").code == 4
        assert all(request.params["end"] < END for request in server.asked("bars"))
        assert keys_of(journal) == [(DAYS[-2], "QQQ")]
        assert not any("2025-12-05" in str(manifest["request"]) for manifest in manifests(journal.parent))

    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
    def test_give_the_same_bytes_whatever_zone_the_machine_is_in(
        self, door: Door, server: AlpacaServer, journal: Path, own_folder: Path, tmp_path: Path, zone: str
    ) -> None:
        assert judge(door, journal).code == 0
        other, cache = tmp_path / "zone" / "trades.csv", tmp_path / "zone" / "cache"
        told = process(
            "--symbol", "QQQ", "--start", JUDGED[0], "--end", END, "--output", other, *NOW,
            cwd=own_folder, TZ=zone, DATA_CACHE_DIR=str(cache), **server.settings,
        )  # fmt: skip
        assert (told.code, other.read_bytes()) == (0, journal.read_bytes())
        for path in map(Path, cached()):
            assert (cache / path.relative_to("data/cache")).read_bytes() == path.read_bytes()


class TestClosures:
    """The exchange closed overnight, or early: the broker knows, and our calendar does not."""

    CLOSED, AFTER = "2025-12-03", "2025-12-04"

    @pytest.fixture
    def closed(self, server: AlpacaServer, market: Market) -> AlpacaServer:
        market.cut(self.CLOSED, "09:30")
        market.closes["QQQ"].pop(date.fromisoformat(self.CLOSED))
        market.save()
        self.decide(server, f"{self.CLOSED}:closed")
        return server

    def decide(self, server: AlpacaServer, overrides: str) -> None:
        server.market.calendar = Calendar(parse_overrides(overrides))

    def test_a_day_that_the_broker_calls_closed_is_no_session(
        self, door: Door, closed: AlpacaServer, market: Market, journal: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        told = judge(door, journal)
        assert (told.code, closed.calls("calendar")) == (0, 1)
        assert f"set CALENDAR_OVERRIDES={self.CLOSED}:closed" in told.out
        assert [day for day, _ in keys_of(journal)] == [day for day in JUDGED if day != self.CLOSED]
        monkeypatch.setenv("CALENDAR_OVERRIDES", f"{self.CLOSED}:closed")
        assert compared(journal) == rows_from_files(door, market, tmp_path / "reference" / "trades.csv")

    def test_the_session_after_is_judged_with_the_one_before(
        self, door: Door, closed: AlpacaServer, journal: Path
    ) -> None:
        told = judge(door, journal, start=self.AFTER, end=self.AFTER)
        assert (told.code, closed.calls("calendar")) == (0, 1)
        assert keys_of(journal) == [(self.AFTER, "QQQ")]

    def test_a_night_on_it_is_closed(self, door: Door, closed: AlpacaServer, journal: Path) -> None:
        assert judge(door, journal, start="2025-12-02", end="2025-12-02").code == 0
        told = night(door, journal, f"{self.CLOSED}T18:00")
        assert (told.code, newest_manifest(journal.parent)["outcome"]) == (0, "closed")
        assert f"set CALENDAR_OVERRIDES={self.CLOSED}:closed" in told.out
        assert [day for day, _ in keys_of(journal)] == ["2025-12-02"]

    def test_an_early_close_is_named(
        self, door: Door, server: AlpacaServer, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        market.cut(self.CLOSED, "13:00")
        self.decide(server, f"{self.CLOSED}:13:00")
        told = judge(door, journal, start=self.CLOSED, end=self.CLOSED)
        assert (told.code, server.calls("calendar")) == (3, 1)
        assert f"set CALENDAR_OVERRIDES={self.CLOSED}:13:00" in told.out
        monkeypatch.setenv("CALENDAR_OVERRIDES", f"{self.CLOSED}:13:00")
        assert judge(door, journal, start=self.CLOSED, end=self.CLOSED).code == 0

    def test_a_day_that_was_open_stays_without_a_row(self, door: Door, closed: AlpacaServer, journal: Path) -> None:
        self.decide(closed, "")
        told = judge(door, journal, start=self.CLOSED, end=self.CLOSED)
        assert (told.code, closed.calls("calendar"), journal.exists()) == (3, 1, False)
        assert "the exchange was open by the broker's calendar too" in told.out

    @pytest.mark.parametrize(
        "fault",
        [double.status(500), double.status(401), double.says_json([]), double.says_json({"message": "?"}),
         double.html(200)],
        ids=["500", "401", "empty", "another form", "HTML"],
    )  # fmt: skip
    def test_a_calendar_that_cannot_be_read_closes_nothing(
        self, door: Door, closed: AlpacaServer, journal: Path, waits: list[float], fault: Fault
    ) -> None:
        closed.misbehave(fault, kind="calendar", times=None)
        told = judge(door, journal, start=self.CLOSED, end=self.CLOSED)
        assert (told.code, journal.exists()) == (3, False)
        assert "whether the exchange was open could not be asked" in told.out

    def test_it_is_not_asked_where_another_symbol_has_bars(
        self, door: Door, closed: AlpacaServer, market: Market, journal: Path, tmp_path: Path
    ) -> None:
        other = make_market(tmp_path / "other", ("SPY",))
        market.bars |= other.bars
        market.closes |= other.closes
        told = judge(door, journal, symbol="QQQ,SPY")
        assert (told.code, closed.calls("calendar")) == (3, 0)
        assert [day for day, symbol in keys_of(journal) if symbol == "SPY"] == list(JUDGED)
        assert f"{self.CLOSED}: of QQQ alpaca-sip has no bar" in told.out


CANARIES = (("CANARYKEY", "CANARYSECRET"), ('CANARY"KEY\\', "{CANARY}%s<SECRET>&'"))


class TestSecrets:
    """With a server that repeats the keys it was sent in all that it says, and logs that tell everything."""

    def repeating(self, code: int, key: str, secret: str) -> Fault:
        def fault(request: double.Request, answer: double.Next) -> double.Answer:
            if code == 200:
                return answer(request)
            return double.json_answer({"message": f"bad {key} and {secret} in {request.path}"}, code)

        return fault

    def require_hidden(self, told: Told, *folders: Path) -> None:
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        content = told.all.encode() + b"".join(path.read_bytes() for path in files)
        assert b"CANARY" not in content
        assert b"SECRET" not in content.replace(b"ALPACA_SECRET_KEY", b"")

    @pytest.mark.parametrize(("key", "secret"), CANARIES, ids=["plain", "odd"])
    @pytest.mark.parametrize("code", [200, 400, 401, 403, 404, 422, 429, 500])
    def test_no_fault_shows_a_key(
        self, door: Door, market: Market, journal: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch,
        waits: list[float], key: str, secret: str, code: int,
    ) -> None:  # fmt: skip
        with AlpacaServer(alpaca_market(market), key=key, secret=secret) as server:
            use(server, monkeypatch)
            server.misbehave(self.repeating(code, key, secret), kind="bars", times=None)
            told = judge(door, journal, "--log-level", "DEBUG", "-v")
            assert server.calls("bars") >= 1
        assert told.code == {200: 0, 429: 4, 500: 4}.get(code, 2)
        self.require_hidden(told, own_folder, journal.parent)

    def test_a_process_of_its_own_shows_no_key(self, market: Market, journal: Path, own_folder: Path) -> None:
        key, secret = CANARIES[1]
        with AlpacaServer(alpaca_market(market), key=key, secret=secret) as server:
            server.misbehave(self.repeating(500, key, secret), kind="bars", times=None)
            told = process(
                "--symbol", "QQQ", "--start", JUDGED[0], "--end", END, "--output", journal, "--log-level", "DEBUG",
                *NOW, cwd=own_folder, RETRY_BUDGET_SECONDS="0.3", **server.settings,
            )  # fmt: skip
        assert told.code == 4
        self.require_hidden(told, own_folder, journal.parent)

    def test_a_bug_shows_no_key(
        self, door: Door, market: Market, journal: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr("trading_playbook.feeds.alpaca.client.asked_wait", broken)
        key, secret = CANARIES[1]
        with AlpacaServer(alpaca_market(market), key=key, secret=secret) as server:
            use(server, monkeypatch)
            server.misbehave(self.repeating(500, key, secret), times=None)
            told = judge(door, journal, "--log-level", "DEBUG")
        assert (told.code, "ZeroDivisionError" in told.err) == (1, True)
        self.require_hidden(told, own_folder)
