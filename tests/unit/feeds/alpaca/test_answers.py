"""What Alpaca's answers mean, odd ones too: bars, closes, splits, the calendar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, time
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.support import alpaca_double as double
from tests.support.alpaca_double import AlpacaMarket, AlpacaServer, Fault
from tests.support.asking_alpaca import asking
from tests.support.bars import CALENDAR, last_closes, minute_bars, moment_of, require_same_bars, session_of, sessions_of
from trading_playbook.core.bars import Bars
from trading_playbook.core.daily import CheckedCloses, DailyCloses, Split, check_closes
from trading_playbook.core.errors import CheckData, PlaybookError, RetryLater
from trading_playbook.core.grid import LaidOut, lay_out
from trading_playbook.core.schedule import Timetable, are_sessions

SESSIONS = sessions_of("2025-11-18", "2025-11-20")
AT = "2025-11-18T15:00:00Z"
LABEL = "10:00"


def name_of(value: object) -> str:
    """A short name for a parameter, the same in every process."""
    return str(value).replace(str(double.UNSET), "left out")[:40]


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    bars = {symbol: minute_bars(SESSIONS, minutes=2, symbol=symbol) for symbol in ("QQQ", "SPY")}
    with AlpacaServer(AlpacaMarket(bars=bars)) as server:
        yield server


def bars_of(server: AlpacaServer, fault: Fault | None = None, symbol: str = "QQQ") -> Bars | PlaybookError:
    if fault is not None:
        server.misbehave(fault, kind="bars", times=None)
    with asking(server) as feed:
        return feed.bars([symbol], SESSIONS, 2)[symbol]


def laid(found: object) -> LaidOut:
    """The answer as the core sees it."""
    assert isinstance(found, Bars), found
    return lay_out(found, Timetable.of(SESSIONS), 2)


def fault_in(found: object) -> tuple[date | None, str | None, str | None]:
    """Session, bar and field of the one fault that there is, whoever finds it."""
    if isinstance(found, CheckData):
        return found.session, found.bar, found.field
    (fault,) = laid(found).faults.values()
    return fault.session, fault.bar, fault.field


class TestGoodBars:
    def test_are_those_of_regular_hours_alone(self, server: AlpacaServer) -> None:
        require_same_bars(bars_of(server), server.market.bars["QQQ"])

    def test_end_with_the_slot_before_an_early_close(self) -> None:
        early = session_of("2025-11-28")
        bars = minute_bars(early, minutes=2)
        with AlpacaServer(AlpacaMarket(bars={"QQQ": bars})) as server, asking(server) as feed:
            found = feed.bars(["QQQ"], [early], 2)["QQQ"]
        require_same_bars(found, bars)
        assert f"{moment_of(bars.opened[-1]):%H:%M}" == "17:58"

    @pytest.mark.parametrize(
        "fault",
        [
            double.newest_first(),
            double.with_stranger(),
            double.gzipped(),
            double.empty_page_after_the_last(),
            double.shifted_bar(-300),
            double.shifted_bar(300),
            double.shifted_bar(-3),
            double.together(double.asked(limit="100"), double.newest_first()),
            double.with_bars(lambda _, rows: [{**row, "t": row["t"].replace("Z", "+00:00")} for row in rows]),
            double.with_bars(lambda _, rows: [{**row, "t": row["t"].replace("Z", ".000000000Z")} for row in rows]),
            double.with_bars(lambda _, rows: [{**row, "new": {"x": [None]}} for row in rows]),
        ],
        ids=["newest first", "a stranger", "gzip", "an empty last page", "a bar of long ago", "a bar to come",
             "a bar of a weekend", "small pages in disorder", "offsets", "fractions", "fields to come"],
    )  # fmt: skip
    def test_are_the_same_however_they_come(self, server: AlpacaServer, fault: Fault) -> None:
        require_same_bars(bars_of(server, fault), server.market.bars["QQQ"])

    def test_may_come_twice_over_and_the_copies_are_counted(self, server: AlpacaServer) -> None:
        found = laid(bars_of(server, double.repeated_bar(AT)))
        assert (dict(found.faults), found.repeats) == ({}, 1)

    def test_under_another_name_are_not_those_of_the_symbol(self, server: AlpacaServer) -> None:
        renamed = double.reshaped(lambda _, content: {**content, "bars": {"qqq": [], "QQQ.A": content["bars"]["QQQ"]}})
        found = bars_of(server, renamed)
        assert isinstance(found, Bars)
        assert (len(found.opened), found.first_session) == (0, None)

    @pytest.mark.parametrize("bars", [None, {}], ids=name_of)
    def test_may_be_none(self, server: AlpacaServer, bars: object) -> None:
        found = bars_of(server, double.with_values(bars=bars))
        assert isinstance(found, Bars)
        assert (len(found.opened), found.first_session) == (0, None)


class TestBadBars:
    """They are never passed over in silence: the answer or the core names session, bar and field."""

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"c": None}, "close"),
            ({"c": double.UNSET}, "close"),
            ({"o": "501.5"}, "open"),
            ({"o": True}, "open"),
            ({"h": float("nan")}, "high"),
            ({"h": float("inf")}, "high"),
            ({"l": -1.0}, "low"),
            ({"l": 0}, "low"),
            ({"c": 10**400}, "close"),
            ({"c": -(10**400)}, "close"),
            ({"c": [500]}, "close"),
            ({"l": 1e11, "o": 1e11, "c": 1e11}, "high"),
            ({"v": None}, "volume"),
            ({"v": double.UNSET}, "volume"),
            ({"v": "12"}, "volume"),
            ({"v": -1}, "volume"),
            ({"v": float("nan")}, "volume"),
            ({"v": float("inf")}, "volume"),
            ({"v": 10**400}, "volume"),
        ],
        ids=name_of,
    )
    def test_with_a_value_that_is_none(self, server: AlpacaServer, values: dict[str, Any], field: str) -> None:
        found = bars_of(server, double.with_bar(AT, **values))
        assert fault_in(found) == (date(2025, 11, 18), LABEL, field)

    @pytest.mark.parametrize("values", [{"c": None}, {"v": None}, {"o": "x", "v": -1}], ids=name_of)
    def test_outside_regular_hours_do_not_matter(self, server: AlpacaServer, values: dict[str, Any]) -> None:
        found = laid(bars_of(server, double.with_bar("2025-11-18T21:00:00Z", **values)))
        assert dict(found.faults) == {}

    @pytest.mark.parametrize(
        "stamp",
        [None, double.UNSET, 1763478000, "1763478000", "", "soon", "2025-11-18 15:00:00Z", "2025-11-18T15:00:00",
         "2025-11-18T15:00Z", "2025-02-30T15:00:00Z", "2025-11-18T25:00:00Z", "2025-11-18T15:00:0 Z",
         "٢٠٢٥-11-18T15:00:00Z",
         "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:58Z", ["2025"], {"t": 1}, True],
        ids=name_of,
    )  # fmt: skip
    def test_with_a_time_that_is_none(self, server: AlpacaServer, stamp: object) -> None:
        found = bars_of(server, double.with_bar(AT, t=stamp))
        assert isinstance(found, CheckData)
        assert (found.symbol, found.field) == ("QQQ", "timestamp")

    @pytest.mark.parametrize(
        ("stamp", "label"),
        [
            ("2025-11-18T15:01:00Z", "10:01"),
            ("2025-11-18T15:00:30Z", "10:00:30"),
            ("2025-11-18T15:00:00.5Z", "10:00:0.5"),
        ],
    )
    def test_with_a_time_between_slots(self, server: AlpacaServer, stamp: str, label: str) -> None:
        assert fault_in(bars_of(server, double.with_bar(AT, t=stamp))) == (date(2025, 11, 18), label, "timestamp")

    def test_that_contradict_each_other(self, server: AlpacaServer) -> None:
        found = bars_of(server, double.repeated_bar(AT, v=1))
        assert fault_in(found) == (date(2025, 11, 18), LABEL, "volume")

    @pytest.mark.parametrize(
        ("at", "day", "label"),
        [(AT, "2025-11-18", "10:00"), ("2025-11-18T14:30:00Z", "2025-11-18", "09:30"),
         ("2025-11-18T20:58:00Z", "2025-11-18", "15:58"), ("2025-11-19T14:30:00Z", "2025-11-19", "09:30"),
         ("2025-11-20T20:58:00Z", "2025-11-20", "15:58")],
    )  # fmt: skip
    @pytest.mark.parametrize("extended", [True, False])
    def test_that_are_null(self, server: AlpacaServer, at: str, day: str, label: str, extended: bool) -> None:
        server.market.extended = extended
        session, bar, field = fault_in(bars_of(server, double.with_null_bar(at)))
        assert (str(session), bar, field) == (day, label, "open")

    def test_that_are_null_all_of_them(self, server: AlpacaServer) -> None:
        found = bars_of(server, double.with_bars(lambda _, rows: [None] * len(rows)))
        assert isinstance(found, CheckData)
        assert found.field == "timestamp"

    def test_that_are_no_bars(self, server: AlpacaServer) -> None:
        found = bars_of(server, double.with_bars(lambda _, rows: [*rows[:40], "bar", 7, [], *rows[43:]]))
        assert fault_in(found)[2] == "open"

    def test_of_one_symbol_harm_no_other(self, server: AlpacaServer) -> None:
        server.misbehave(double.with_bar(AT, "QQQ", t=None), kind="bars", times=None)
        with asking(server) as feed:
            found = feed.bars(["QQQ", "SPY"], SESSIONS, 2)
        assert isinstance(found["QQQ"], CheckData)
        require_same_bars(found["SPY"], server.market.bars["SPY"])


def closes_of(server: AlpacaServer, fault: Fault, through: str = "2025-11-20") -> DailyCloses | PlaybookError:
    server.misbehave(fault, kind="daily", times=None)
    with asking(server) as feed:
        return feed.daily_closes(["QQQ"], before=date(2025, 11, 18), count=0, through=date.fromisoformat(through))[
            "QQQ"
        ]


def checked(found: object) -> CheckedCloses:
    assert isinstance(found, DailyCloses), found
    return check_closes(found, lambda days: are_sessions(CALENDAR, days))


class TestCloses:
    @pytest.mark.parametrize(
        "fault", [double.newest_first(), double.shifted_bar(1, -1), double.shifted_bar(-5), double.with_stranger()],
        ids=["newest first", "a bar of today as well", "a bar of before", "a stranger"],
    )  # fmt: skip
    def test_are_those_of_the_days_asked_for(self, server: AlpacaServer, fault: Fault) -> None:
        found = closes_of(server, fault)
        told = checked(found)
        assert isinstance(found, DailyCloses)
        assert found.first_session == date(2025, 11, 18)
        assert told.closes.tolist() == list(last_closes(server.market.bars["QQQ"]).values())
        assert (len(found.days), told.faults, told.repeats) == (3, {}, 0)

    def test_that_come_twice_are_counted(self, server: AlpacaServer) -> None:
        assert checked(closes_of(server, double.repeated_bar(1))).repeats == 1

    @pytest.mark.parametrize(
        "close", [None, double.UNSET, "500", 0, -1, float("nan"), float("inf"), 10**400], ids=name_of
    )
    def test_that_are_none_are_faults_of_their_day(self, server: AlpacaServer, close: object) -> None:
        (fault,) = checked(closes_of(server, double.with_bar(1, c=close))).faults.values()
        assert (fault.session, fault.field) == (date(2025, 11, 19), "close")

    def test_that_contradict_each_other_are_a_fault_of_their_day(self, server: AlpacaServer) -> None:
        (fault,) = checked(closes_of(server, double.repeated_bar(1, c=1.5))).faults.values()
        assert fault.session == date(2025, 11, 19)

    @pytest.mark.parametrize(
        "fault",
        [double.with_null_bar(1), double.with_bar(1, t=None), double.with_bar(1, t="2025-11-19T14:30:00Z"),
         double.with_bar(1, t="2025-11-19"), double.with_bar(1, t="2025-11-19T05:00:00.5Z")],
    )  # fmt: skip
    def test_of_no_day_are_refused(self, server: AlpacaServer, fault: Fault) -> None:
        assert isinstance(closes_of(server, fault), CheckData)

    def test_have_the_midnights_of_summer_and_winter(self) -> None:
        days = {date(2025, 10, 31): 1.5, date(2025, 11, 3): 2.5}
        with AlpacaServer(AlpacaMarket(closes={"QQQ": days})) as server, asking(server) as feed:
            found = feed.daily_closes(["QQQ"], before=date(2025, 11, 3), count=1, through=date(2025, 11, 3))["QQQ"]
        assert isinstance(found, DailyCloses)
        assert (found.closes.tolist(), np.diff(found.days).tolist()) == ([1.5, 2.5], [3])


FORWARD, REVERSE = Split(date(2025, 11, 20), 1.0, 4.0), Split(date(2025, 11, 18), 10.0, 1.0)


def splits_of(server: AlpacaServer, through: date = date(2025, 12, 1)) -> object:
    with asking(server) as feed:
        return feed.splits(["QQQ"], through=through)["QQQ"]


class TestSplits:
    def test_of_both_kinds_come_oldest_first(self, server: AlpacaServer) -> None:
        server.market.splits = {"QQQ": [FORWARD, REVERSE], "SPY": [Split(date(2025, 11, 19), 2.0, 3.0)]}
        assert splits_of(server) == (REVERSE, FORWARD)

    def test_keep_ratios_that_are_no_whole_numbers(self, server: AlpacaServer) -> None:
        server.market.splits = {"QQQ": [Split(date(2025, 11, 20), 1.0, 1.0375), Split(date(2025, 11, 18), 3.0, 2.0)]}
        assert splits_of(server) == (Split(date(2025, 11, 18), 3.0, 2.0), Split(date(2025, 11, 20), 1.0, 1.0375))

    def test_may_be_processed_after_their_ex_date(self, server: AlpacaServer) -> None:
        server.market.splits = {"QQQ": [FORWARD]}
        server.market.processed = {("QQQ", FORWARD.ex_date): date(2025, 12, 3)}
        assert splits_of(server, FORWARD.ex_date) == (FORWARD,)

    def test_of_later_days_are_left_out(self, server: AlpacaServer) -> None:
        server.market.splits = {"QQQ": [FORWARD, REVERSE]}
        assert splits_of(server, date(2025, 11, 19)) == (REVERSE,)

    def test_that_are_told_twice_count_once(self, server: AlpacaServer) -> None:
        server.market.splits = {"QQQ": [FORWARD, FORWARD]}
        assert splits_of(server) == (FORWARD,)

    def test_come_from_several_pages(self, server: AlpacaServer) -> None:
        server.market.splits = {"QQQ": [FORWARD, REVERSE]}
        server.misbehave(double.asked(limit="1"), kind="splits", times=None)
        assert splits_of(server) == (REVERSE, FORWARD)

    @pytest.mark.parametrize(
        "change",
        [{"new_rate": 0}, {"old_rate": -1}, {"new_rate": None}, {"old_rate": "x"}, {"ex_date": None}, {"ex_date": "20"},
         {"new_rate": float("nan")}, {"new_rate": float("inf")}, {"new_rate": 10**400}],
        ids=name_of,
    )  # fmt: skip
    def test_without_a_date_or_a_ratio_are_bad_for_their_symbol_alone(
        self, server: AlpacaServer, change: dict[str, Any]
    ) -> None:
        server.market.splits = {"QQQ": [FORWARD], "SPY": [FORWARD]}

        def spoil(_: object, content: dict[str, Any]) -> dict[str, Any]:
            kinds = content["corporate_actions"]
            spoiled = [{**one, **change} if one["symbol"] == "QQQ" else one for one in kinds["forward_splits"]]
            return {**content, "corporate_actions": {**kinds, "forward_splits": spoiled}}

        server.misbehave(double.reshaped(spoil), kind="splits", times=None)
        with asking(server) as feed:
            found = feed.splits(["QQQ", "SPY"], through=date(2025, 12, 1))
        assert isinstance(error := found["QQQ"], CheckData)
        assert (error.kind, error.symbol, found["SPY"]) == ("bad_split", "QQQ", (FORWARD,))

    @pytest.mark.parametrize("actions", [{}, {"forward_splits": None}, {"cash_dividends": [{}]}], ids=name_of)
    def test_may_be_none(self, server: AlpacaServer, actions: object) -> None:
        server.misbehave(double.with_values(corporate_actions=actions), kind="splits")
        assert splits_of(server) == ()


class TestForms:
    """An answer of another form may be a proxy's or a bad day's: it is asked for again, and never an error of ours."""

    ANSWERS: ClassVar[tuple[object, ...]] = (
        None, [], 7, "text", {}, {"bars": []}, {"bars": {"QQQ": None}}, {"bars": {"QQQ": {}}}, {"bars": 1},
        {"bars": {}, "next_page_token": 7}, {"bars": {}, "next_page_token": {}},
    )  # fmt: skip

    def ask(self, server: AlpacaServer, kind: str) -> object:
        with asking(server) as feed:
            questions: dict[str, Callable[[], object]] = {
                "bars": lambda: feed.bars(["QQQ"], SESSIONS, 2)["QQQ"],
                "daily": lambda: feed.daily_closes(
                    ["QQQ"], before=date(2025, 11, 18), count=0, through=date(2025, 11, 19)
                )["QQQ"],
                "splits": lambda: feed.splits(["QQQ"], through=date(2025, 11, 19))["QQQ"],
                "calendar": lambda: feed.closing_times(date(2025, 11, 19), date(2025, 11, 19)),
            }
            try:
                return questions[kind]()
            except PlaybookError as error:
                return error

    @pytest.mark.parametrize("kind", ["bars", "daily"])
    @pytest.mark.parametrize("answer", ANSWERS, ids=name_of)
    def test_of_bars(self, server: AlpacaServer, kind: str, answer: object) -> None:
        rule = server.misbehave(double.says_json(answer), kind=kind, times=None)
        assert isinstance(self.ask(server, kind), RetryLater)
        assert rule.hits == 5
        rule.lift()
        server.misbehave(double.says_json(answer), kind=kind, times=4)
        assert not isinstance(self.ask(server, kind), PlaybookError)

    @pytest.mark.parametrize(
        "answer", [None, [], {}, {"corporate_actions": None}, {"corporate_actions": []},
                   {"corporate_actions": {"forward_splits": {}}}, {"corporate_actions": {}, "next_page_token": 0},
                   {"corporate_actions": {"forward_splits": [None]}},
                   {"corporate_actions": {"reverse_splits": [{"old_rate": 1}]}}], ids=name_of,
    )  # fmt: skip
    def test_of_splits(self, server: AlpacaServer, answer: object) -> None:
        server.misbehave(double.says_json(answer), kind="splits", times=None)
        assert isinstance(self.ask(server, "splits"), RetryLater)

    @pytest.mark.parametrize(
        "answer",
        [None, [], {}, 7, "text", [None], [{}], [{"date": "2025-11-19"}], [{"date": "soon", "close": "16:00"}],
         [{"date": "2025-11-19", "close": None}], [{"date": "2025-11-19", "close": "late"}],
         [{"date": "2025-11-19", "close": "16:00Z"}], [{"date": 20251119, "close": "16:00"}]],
        ids=name_of,
    )  # fmt: skip
    def test_of_the_calendar(self, server: AlpacaServer, answer: object) -> None:
        server.misbehave(double.says_json(answer), kind="calendar", times=None)
        assert isinstance(self.ask(server, "calendar"), RetryLater)

    def test_of_the_calendar_that_mean_what_they_mean(self, server: AlpacaServer) -> None:
        assert self.ask(server, "calendar") == {date(2025, 11, 19): time(16)}
        server.misbehave(double.says_json([{"date": "2025-11-19", "close": "1300", "new": 1}]), kind="calendar")
        assert self.ask(server, "calendar") == {date(2025, 11, 19): time(13)}
        server.misbehave(double.says_json([{"date": "2025-11-18", "close": "16:00"}]), kind="calendar")
        assert self.ask(server, "calendar") == {}

    @pytest.mark.parametrize(
        "body",
        [b"", b" ", b"{", b"<html></html>", b"\xff\xfe", b"[" * 100_000, b'{"bars":{}}{"bars":{}}',
         b'{"bars": {"QQQ": [' + b"9" * 5_000 + b"]}}"],
        ids=lambda body: repr(body[:12]),
    )  # fmt: skip
    def test_of_bytes_that_are_no_json(self, server: AlpacaServer, body: bytes) -> None:
        server.misbehave(double.says(body), kind="bars", times=None)
        assert isinstance(self.ask(server, "bars"), RetryLater)
