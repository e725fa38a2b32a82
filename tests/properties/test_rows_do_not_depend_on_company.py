"""Real bars: a row for each open session, equal to the oracle's, whatever else is judged beside it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.oracle.dp20 import journal
from tests.oracle.sessions import regular_hours, two_minute_bars
from tests.support.real import FIRST, LAST, real_closes, real_minutes
from tests.support.stories import (
    CALENDAR,
    bars_of,
    closes_of,
    judged_rows,
    play_of,
    prepared,
    row_text,
    steady_closes,
    timed,
)
from trading_playbook.core.bars import MINUTE, Bars
from trading_playbook.core.daily import Split, day_number
from trading_playbook.core.history import History, Prepared
from trading_playbook.core.journal import HEADER, row_cells
from trading_playbook.core.rows import RowMaker, judge_sessions
from trading_playbook.core.schedule import Timetable
from trading_playbook.core.strategies.protocol import SessionBatch

SYMBOLS = ("QQQ", "NVDA")
EACH_SYMBOL = pytest.mark.parametrize("symbol", SYMBOLS)
SESSIONS = [session.date for session in CALENDAR.sessions(FIRST, LAST)]
PLAYS: tuple[tuple[dict[str, object], str], ...] = (
    ({}, "none"),
    ({"stop_atr": 1.5, "window_end": "10:44"}, "none"),
    ({"ema_period": 9, "reversal_strength": 0.5, "sma_period": 50, "max_missing": 0}, "bps:1.5"),
    ({"window_start": "09:30", "window_end": "12:50", "atr_period": 1, "shares": 7}, "per_share:0.005"),
)

Text = list[list[str]]


@pytest.fixture(scope="module")
def histories(real_bars: Path) -> Mapping[str, History]:
    """What the folder knows of each symbol."""
    return {
        symbol: History(
            symbol=symbol,
            bars=bars_of(real_minutes(real_bars, symbol), minutes=1, symbol=symbol),
            daily=closes_of(real_closes(real_bars, symbol), symbol),
        )
        for symbol in SYMBOLS
    }


@pytest.fixture(scope="module")
def whole(histories: Mapping[str, History]) -> Mapping[str, Text]:
    """The text of every row of each symbol, judged all at once."""
    return {symbol: text_of(prepared(history, SESSIONS)) for symbol, history in histories.items()}


def text_of(found: Prepared | Sequence[Prepared]) -> Text:
    return [row_cells(row) for row in judged_rows(play_of(), found)]


@EACH_SYMBOL
@pytest.mark.parametrize(("parameters", "cost"), PLAYS)
def test_there_is_one_row_for_each_open_session_equal_to_the_oracles(
    symbol: str, parameters: dict[str, object], cost: str, histories: Mapping[str, History], real_bars: Path
) -> None:
    play = play_of(parameters, cost)
    found = prepared(histories[symbol], SESSIONS, strategy=play.strategy)
    rows = [row_text(row) for row in judged_rows(play, found)]
    expected, without_row = journal(
        symbol=symbol,
        minute_bars=real_minutes(real_bars, symbol),
        closes=real_closes(real_bars, symbol),
        splits=[],
        start=FIRST,
        end=LAST,
        parameters=parameters,
        cost=cost,
    )
    assert (found.refused, without_row) == ({}, {})
    assert rows == expected
    assert len(rows) == 89
    assert {"2025-11-28", "2025-12-24"} <= {row["trade_date"] for row in rows}
    assert "2025-11-27" not in {row["trade_date"] for row in rows}


@EACH_SYMBOL
def test_every_session_alone_is_the_same_bytes(
    symbol: str, histories: Mapping[str, History], whole: Mapping[str, Text]
) -> None:
    assert [text_of(prepared(histories[symbol], [day]))[0] for day in SESSIONS] == whole[symbol]


@EACH_SYMBOL
def test_a_session_in_a_month_is_the_same_bytes(
    symbol: str, histories: Mapping[str, History], whole: Mapping[str, Text]
) -> None:
    months = [[day for day in SESSIONS if (day.year, day.month) == month] for month in ((2025, 11), (2026, 1))]
    for month in months:
        start = SESSIONS.index(month[0])
        assert text_of(prepared(histories[symbol], month)) == whole[symbol][start : start + len(month)]


def test_two_symbols_together_are_the_same_bytes(histories: Mapping[str, History], whole: Mapping[str, Text]) -> None:
    together = [prepared(histories[symbol], SESSIONS) for symbol in SYMBOLS]
    assert text_of(together) == whole["QQQ"] + whole["NVDA"]
    assert text_of(together[::-1]) == whole["NVDA"] + whole["QQQ"]


@EACH_SYMBOL
def test_bars_that_were_resampled_beforehand_give_the_same_bytes(
    symbol: str, histories: Mapping[str, History], whole: Mapping[str, Text], real_bars: Path
) -> None:
    feed = regular_hours(real_minutes(real_bars, symbol), 1)
    coarse = timed({day: two_minute_bars(session) for day, session in feed.items()})
    history = History(symbol=symbol, bars=bars_of(coarse, symbol=symbol), daily=histories[symbol].daily)
    assert text_of(prepared(history, SESSIONS)) == whole[symbol]


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_of_the_array_shuffled_give_the_same_bytes(
    seed: int, histories: Mapping[str, History], whole: Mapping[str, Text]
) -> None:
    parts = [prepared(histories[symbol], SESSIONS) for symbol in SYMBOLS]
    batch = SessionBatch.side_by_side([part.batch for part in parts])
    keys = [key for part in parts for key in part.keys]
    order = random.Random(seed).sample(range(len(keys)), len(keys))
    rows = np.array(order, dtype=np.int64)
    shuffled = SessionBatch(
        session=batch.session.take(rows), previous=batch.previous.take(rows), closes=batch.closes[:, rows]
    )
    play = play_of()
    found = RowMaker(play=play, data_feed="files").rows(
        [keys[place] for place in order], shuffled, judge_sessions(play.strategy, shuffled), [False] * len(keys)
    )
    expected = whole["QQQ"] + whole["NVDA"]
    assert [row_cells(row) for row in found] == [expected[place] for place in order]


def test_the_order_in_which_a_feed_gives_its_bars_does_not_matter(
    histories: Mapping[str, History], whole: Mapping[str, Text]
) -> None:
    history = histories["QQQ"]
    order = np.random.default_rng(1).permutation(len(history.bars.opened))
    mixed = History(symbol="QQQ", bars=history.bars.take(order), daily=history.daily)
    assert text_of(prepared(mixed, SESSIONS)) == whole["QQQ"]


def test_what_the_feed_knows_of_later_days_does_not_matter(real_bars: Path, whole: Mapping[str, Text]) -> None:
    last = date(2025, 11, 21)
    history = History(
        symbol="QQQ",
        bars=bars_of([bar for bar in real_minutes(real_bars, "QQQ") if bar[0].date() <= last], minutes=1),
        daily=closes_of([(day, close) for day, close in real_closes(real_bars, "QQQ") if day <= last]),
    )
    days = [day for day in SESSIONS if day <= last]
    assert text_of(prepared(history, days)) == whole["QQQ"][: len(days)]


def test_a_session_alone_in_a_month_and_in_ten_years_is_the_same_bytes() -> None:
    history = ten_years()
    days = [session.date for session in CALENDAR.sessions(date(2015, 1, 2), date(2024, 12, 31))]
    found = prepared(history, days)
    assert len(found.sessions) == len(days) == 2516
    text = dict(zip(days, text_of(found), strict=True))
    assert sum(cells[HEADER.index("entered?")] == "TRUE" for cells in text.values()) > 100
    # About each split, each end of the range, an early close, and days drawn by lot.
    asked = [*days[:3], *days[-2:], *(day for split in history.splits for day in around(split.ex_date, days))]
    asked += [date(2019, 11, 29), date(2019, 12, 2), *random.Random(1).sample(days, 20)]
    for day in asked:
        assert text_of(prepared(history, [day])) == [text[day]]
    month = [day for day in days if (day.year, day.month) == (2020, 8)]
    assert text_of(prepared(history, month)) == [text[day] for day in month]


def around(day: date, days: Sequence[date]) -> Sequence[date]:
    return days[days.index(day) - 1 : days.index(day) + 2]


def ten_years() -> History:
    """Ten years of 2-minute bars in cents that begin before they are asked for, with two splits."""
    sessions = CALENDAR.sessions(date(2014, 12, 30), date(2024, 12, 31))
    splits = (Split(date(2016, 3, 1), 1.0, 2.0), Split(date(2020, 8, 31), 1.0, 3.0))
    timetable = Timetable.of(sessions)
    dice = np.random.default_rng(2015)
    counts = timetable.slots(2)
    steps = dice.normal(2e-7, 6e-4, (int(counts.sum()), 4))
    prices = 100.0 * np.exp(np.cumsum(steps.ravel()).reshape(steps.shape))
    for split in splits:
        prices[np.repeat(timetable.days, counts) >= day_number(split.ex_date)] /= split.new / split.old
    ticks = np.round(prices, 2)
    first = np.cumsum(counts) - counts
    slots = np.arange(counts.sum()) - np.repeat(first, counts)
    last_closes = ticks[first + counts - 1, 3].tolist()
    bars = Bars(
        symbol="QQQ",
        minutes=2,
        opened=np.repeat(timetable.opens, counts) + slots * 2 * MINUTE,
        open=ticks[:, 0],
        high=ticks.max(axis=1),
        low=ticks.min(axis=1),
        close=ticks[:, 3],
        volume=np.ones(len(ticks)),
        first_session=sessions[0].date,
    )
    daily = [(session.date, close) for session, close in zip(sessions, last_closes, strict=True)]
    return History(
        symbol="QQQ", bars=bars, daily=closes_of([*steady_closes(sessions[0].date, 80.0), *daily]), splits=splits
    )
