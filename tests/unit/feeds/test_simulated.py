"""The simulated feed: the same bars everywhere, such as might have been traded, and worth a demo."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.support.bars import CALENDAR, closes_by_day, last_closes, moment_of, session_of, sessions_of
from trading_playbook.core.bars import COLUMNS, Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.grid import lay_out
from trading_playbook.core.history import History, prepare
from trading_playbook.core.rows import judge_sessions
from trading_playbook.core.schedule import Schedule, Timetable
from trading_playbook.core.strategies import build_strategy
from trading_playbook.feeds.simulated import SimulatedFeed

SOURCES = Path(__file__).parents[3] / "src"
SYMBOLS = ("QQQ", "SPY", "NVDA", "AAPL", "MSFT", "BRK.B", "A", "ZZZZ")

# A change of any bar shows here. The hashes are of the product's own bars and vouch for nothing but that these stay as
# they are; they were printed on 2026-11-25 (Python 3.11, numpy 2.4.6, x86-64), in the project's folder, by
#     .venv/bin/python -c "from tests.unit.feeds.test_simulated import *; print(*map(golden_hash, GOLDEN))"
# When the bars have to change, raise the number in the seeds of feeds/walks.py.
GOLDEN_SESSIONS = ("2000-01-03", "2024-07-03", "2025-03-10", "2025-11-04")
GOLDEN = {
    "QQQ": "d4f148b4d3d84a9e7cd01c2578bfb2997f379a916369e2a679308bfa2284a84b",
    "BRK.B": "630974f99cd0b597e8932b3ec8d2882f2fbc9b492879e15f324e1fba5a06e21f",
}


def simulated(symbol: str, sessions: Sequence[Session], calendar: Calendar = CALENDAR) -> Bars:
    bars = SimulatedFeed(calendar).bars([symbol], sessions, 2)[symbol]
    assert isinstance(bars, Bars), bars
    return bars


def golden_hash(symbol: str) -> str:
    """SHA-256 of the bars as text, a bar a line, prices in cents."""
    bars = simulated(symbol, [session_of(day) for day in GOLDEN_SESSIONS])
    columns = [getattr(bars, name).tolist() for name in COLUMNS]
    lines = (
        f"{at} " + " ".join(f"{value:.2f}" for value in row) for at, *row in zip(bars.opened, *columns, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("symbol", GOLDEN)
def test_the_bars_of_a_symbol_and_a_date_never_change(symbol: str) -> None:
    assert golden_hash(symbol) == GOLDEN[symbol]


def test_another_process_another_zone_and_other_hashes_make_the_same_bars() -> None:
    program = "from tests.unit.feeds.test_simulated import golden_hash; print(golden_hash('QQQ'))"
    paths = f"{SOURCES}{os.pathsep}{SOURCES.parent}"
    environment = {**os.environ, "PYTHONPATH": paths, "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7"}
    told = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.strip() == GOLDEN["QQQ"]


def test_a_session_alone_has_the_bars_that_it_has_among_others() -> None:
    sessions = sessions_of("2025-06-02", "2025-07-31")
    feed = SimulatedFeed(CALENDAR)
    together = feed.bars(["SPY", "QQQ"], sessions, 2)["QQQ"]
    assert isinstance(together, Bars)
    for session in (sessions[0], session_of("2025-07-03"), sessions[-1]):
        alone = simulated("QQQ", [session])
        own = np.flatnonzero(np.isin(together.opened, alone.opened))
        assert len(own) == session.slots(2)
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(together, name)[own], getattr(alone, name))


def test_a_day_closed_overnight_moves_no_other_day_s_price() -> None:
    closed = Calendar({date(2025, 3, 11): None})
    after = sessions_of("2025-03-12", "2025-03-14")
    for name in ("opened", *COLUMNS):
        np.testing.assert_array_equal(
            getattr(simulated("QQQ", after, closed), name), getattr(simulated("QQQ", after), name)
        )


@pytest.mark.parametrize(("start", "end"), [("2000-01-03", "2000-12-29"), ("2024-06-03", "2025-06-30")])
@pytest.mark.parametrize("symbol", ["QQQ", "ZZZZ"])
def test_a_daily_close_is_the_close_of_the_session_s_last_bar(symbol: str, start: str, end: str) -> None:
    sessions = sessions_of(start, end)
    answer = SimulatedFeed(CALENDAR).daily_closes([symbol], before=sessions[0].date, count=0, through=sessions[-1].date)
    assert closes_by_day(answer[symbol]) == last_closes(simulated(symbol, sessions))


def test_every_session_is_whole_and_possible() -> None:
    sessions = sessions_of("2025-06-02", "2025-12-31")  # three early closes among them
    bars = simulated("QQQ", sessions)
    laid = lay_out(bars, Timetable.of(sessions), 2)
    assert (dict(laid.faults), laid.repeats) == ({}, 0)
    counts = np.sum(~np.isnan(laid.grid.close), axis=0)
    assert counts.tolist() == [session.slots(2) for session in sessions]
    assert set(counts.tolist()) == {105, 195}
    assert (bars.volume >= 1).all()
    assert (np.rint(bars.volume) == bars.volume).all()
    for name in ("open", "high", "low", "close"):
        price = getattr(bars, name)
        np.testing.assert_array_equal(price, np.rint(price * 100) / 100)


def test_there_is_nothing_before_2000() -> None:
    bars = simulated("QQQ", sessions_of("1999-12-30", "2000-01-04"))
    assert (moment_of(bars.opened[0]).date(), len(bars.opened)) == (date(2000, 1, 3), 2 * 195)
    assert bars.first_session == date(2000, 1, 3)
    closes = SimulatedFeed(CALENDAR).daily_closes(["QQQ"], before=date(2000, 1, 5), count=200, through=date(2000, 1, 7))
    assert list(closes_by_day(closes["QQQ"])) == [session.date for session in sessions_of("2000-01-03", "2000-01-07")]
    assert getattr(closes["QQQ"], "first_session", None) == date(2000, 1, 3)


def test_it_reaches_to_the_calendar_s_last_session() -> None:
    last = CALENDAR.last_sessions(1, CALENDAR.last)
    assert len(simulated("QQQ", last).opened) == last[0].slots(2)


@pytest.mark.parametrize("minutes", [1, 3, 5])
def test_bars_that_two_minutes_cannot_make_are_a_mistake_of_the_caller(minutes: int) -> None:
    with pytest.raises(ValueError, match="bars of"):
        SimulatedFeed(CALENDAR).bars(["QQQ"], [session_of("2025-11-04")], minutes)


@pytest.mark.parametrize("symbol", ["qqq", "", "../QQQ", "QQQ "])
def test_what_is_written_like_no_symbol_has_no_bars(symbol: str) -> None:
    assert isinstance(SimulatedFeed(CALENDAR).bars([symbol], [], 2)[symbol], FixRequest)


def test_there_are_no_splits() -> None:
    assert SimulatedFeed(CALENDAR).splits(["QQQ"], through=date(2025, 1, 2)) == {"QQQ": ()}


class TestTheBarsLookTraded:
    SESSIONS = tuple(session for session in sessions_of("2024-01-02", "2025-12-31") if session.minutes == 390)

    @pytest.mark.parametrize("symbol", SYMBOLS)
    def test_a_session_is_busiest_at_both_ends(self, symbol: str) -> None:
        bars = simulated(symbol, self.SESSIONS)
        for column in ((bars.high - bars.low) / bars.open, bars.volume):
            by_slot = column.reshape(len(self.SESSIONS), 195).mean(axis=0)
            first, middle, last = by_slot[:15].mean(), by_slot[90:105].mean(), by_slot[-15:].mean()
            assert first > 1.3 * middle < last

    @pytest.mark.parametrize("symbol", SYMBOLS)
    def test_nights_and_days_move_prices_as_those_of_an_index_or_a_large_company_do(self, symbol: str) -> None:
        bars = simulated(symbol, self.SESSIONS)
        opens, closes = (bars.open[::195], bars.close[194::195])
        nights, days = opens[1:] / closes[:-1] - 1, closes / opens - 1
        assert 0.002 < nights.std() < 0.008
        assert 0.005 < days.std() < 0.015
        assert max(abs(nights).max(), abs(days).max()) < 0.08

    @pytest.mark.parametrize("symbol", SYMBOLS)
    def test_prices_of_the_2020s_are_those_of_a_listed_share(self, symbol: str) -> None:
        answer = SimulatedFeed(CALENDAR).daily_closes([symbol], before=date(2020, 1, 2), count=0, through=CALENDAR.last)
        closes = list(closes_by_day(answer[symbol]).values())
        assert min(closes) >= 20
        assert max(closes) <= 400

    def test_symbols_differ(self) -> None:
        assert len({float(simulated(symbol, self.SESSIONS[:1]).open[0]) for symbol in SYMBOLS}) == len(SYMBOLS)


def test_dp20_trades_about_one_session_in_four_and_most_open_above_their_mean() -> None:
    strategy, feed = build_strategy("dp20", {}), SimulatedFeed(CALENDAR)
    schedule = Schedule.of(sessions_of("2023-01-03", "2025-12-31"), CALENDAR)
    trades: list[float] = []
    above: list[float] = []
    for symbol in SYMBOLS:
        closes = feed.daily_closes(
            [symbol], before=schedule.sessions[0].date, count=200, through=schedule.sessions[-1].date
        )[symbol]
        bars = feed.bars([symbol], schedule.timetable.sessions, 2)[symbol]
        assert not isinstance(closes, Exception)
        assert not isinstance(bars, Exception)
        prepared = prepare(History(symbol=symbol, bars=bars, daily=closes), schedule, strategy, ())
        assert (prepared.refused, prepared.remarks) == ({}, ())
        judged = judge_sessions(strategy, prepared.batch).judgements
        trades.append(float(judged.entered.mean()))
        above.append(float(judged.trend_valid.mean()))
    assert 0.2 < np.mean(trades) < 0.33
    assert all(0.15 < share < 0.4 for share in trades), trades
    assert np.mean(above) > 0.6
