"""No play reads the future: every session of a month, every moment of every slot, three other futures after it.

Each registered strategy is swept on made-up bars, and on real ones where they are at hand. And since a proof that
cannot fail proves nothing, plays that cheat in every way we know are planted here, and each must be caught.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.worlds import REASONS, draw_case, prepared_world
from tests.support.bars import daily_closes, minute_bars, sessions_of
from tests.support.real import real_closes, real_minutes
from tests.support.stories import (
    CALENDAR,
    Ohlc,
    bars_of,
    closes_of,
    history_of,
    judged_rows,
    play_of,
    prepared,
    quiet,
    steady_closes,
    story,
)
from trading_playbook.core.bars import FloatArray, IntArray
from trading_playbook.core.costs import NoCost
from trading_playbook.core.history import History, Prepared, prepare
from trading_playbook.core.rows import Play
from trading_playbook.core.schedule import Schedule
from trading_playbook.core.strategies import REGISTRY, build_strategy
from trading_playbook.core.strategies.dp20 import Dp20
from trading_playbook.core.strategies.protocol import NONE, Judgements, SessionBatch, Strategy, end_of, opening_of
from trading_playbook.core.verification import Leak, futures, sweep

EVERY_STRATEGY = pytest.mark.parametrize("name", REGISTRY)
P, D = date(2025, 11, 3), date(2025, 11, 4)


def leaks_of(strategy: Strategy, found: Prepared) -> list[Leak]:
    return sweep(Play(strategy=strategy, cost=NoCost()), found.keys, found.batch, futures(1))


def month_of(strategy: Strategy, history: History, start: str, end: str) -> Prepared:
    """Every session of a month, made ready for a strategy."""
    schedule = Schedule.of(sessions_of(start, end), CALENDAR)
    found = prepare(history, schedule, strategy, ())
    assert not found.refused
    return found


@EVERY_STRATEGY
def test_no_strategy_reads_the_future_in_a_month_of_made_up_bars(name: str) -> None:
    strategy = build_strategy(name, {})
    history = History(
        symbol="QQQ",
        bars=minute_bars(sessions_of("2025-10-31", "2025-11-28"), minutes=strategy.needs.bar_minutes),
        daily=closes_of((day, close / 2) for day, close in daily_closes("2025-12-01", 400).items()),
    )
    month = month_of(strategy, history, "2025-11-03", "2025-11-28")
    assert len(month.sessions) == 19
    assert leaks_of(strategy, month) == []


@EVERY_STRATEGY
def test_no_strategy_reads_the_future_in_a_month_of_real_bars(name: str, real_bars: Path) -> None:
    strategy = build_strategy(name, {})
    history = History(
        symbol="QQQ",
        bars=bars_of(real_minutes(real_bars, "QQQ"), minutes=1),
        daily=closes_of(real_closes(real_bars, "QQQ")),
    )
    month = month_of(strategy, history, "2025-10-01", "2025-10-31")
    assert len(month.sessions) == 23
    assert leaks_of(strategy, month) == []


def test_dp20_reads_no_future_on_the_way_to_any_of_its_reasons() -> None:
    swept: Counter[str] = Counter()
    for seed in range(150):
        case = draw_case(seed)
        play = play_of(case.parameters, case.cost)
        for world in case.worlds:
            found = prepared_world(case, world)
            for place, row in enumerate(judged_rows(play, found) if found.keys else ()):
                if swept[row.reason] < 3:
                    swept[row.reason] += 1
                    session = _rows_of(found.batch, np.array([place]))
                    assert sweep(play, [found.keys[place]], session, futures(seed)) == []
    assert swept == dict.fromkeys(REASONS, 3)


@pytest.mark.soak
@settings(max_examples=1_000, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**40))
def test_dp20_reads_no_future_in_thousands_of_drawn_sessions(seed: int) -> None:
    case = draw_case(seed)
    play = play_of(case.parameters, case.cost)
    for world in case.worlds:
        found = prepared_world(case, world)
        assert sweep(play, found.keys, found.batch, futures(seed)) == []


@pytest.mark.parametrize("first", [0, 14, 15, 20, 30, 31, 32, 100, 186])
def test_a_session_whose_first_bar_comes_late_is_decided_no_sooner(first: int) -> None:
    late = {slot: bar for slot, bar in story().items() if slot >= first}
    for parameters in ({}, {"max_missing": 400}, {"window_start": "09:30", "window_end": "09:30"}, {"ema_period": 210}):
        found = prepared(history_of({P: quiet(), D: late}, closes=steady_closes(D)), [D])
        assert sweep(play_of(parameters), found.keys, found.batch, futures(1)) == []


def test_a_session_that_was_accepted_without_a_bar_is_decided_at_its_end() -> None:
    found = prepared(history_of({P: quiet()}, closes=steady_closes(D)), [D], accepted=[D])
    assert sweep(play_of(), found.keys, found.batch, futures(1)) == []


class EntersOnlyWhereTheSessionEndsUp(Dp20):
    """Drops the entry where the last close lies below the first open."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        ends_up = _last(batch.session.close) > batch.session.open[0]
        dropped = judged.entered & ~ends_up
        return replace(judged, reason=np.where(dropped, judged.reasons.index("invalidated"), judged.reason))


class EntersOnlyWhereTheSessionEndsUpAndSaysSoAtTheEnd(EntersOnlyWhereTheSessionEndsUp):
    """The same, and tells of a dropped entry only when the session is over."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        dropped = ~judged.entered & (judged.confirmation != NONE)
        return replace(judged, decided=np.where(dropped, _session_end(batch), judged.decided))


class SetsItsStopBelowTheLaterLow(Dp20):
    """Is never stopped."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        lowest = np.nanmin(batch.session.low, axis=0, initial=np.inf)
        return replace(judged, stop_price=np.minimum(judged.stop_price, lowest - 0.01))


class TakesTheEntryBarsOwnCloseIntoItsAverage(Dp20):
    """Its EMA at the entry includes a close that is two minutes away."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        close = _at(batch.session.close, judged.entry_slot)
        return replace(judged, ema=judged.ema + 2 / 21 * (close - judged.ema))


class BuysAtTheLowOfItsBar(Dp20):
    """Fills at a price that only the whole bar knows."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        low = _at(batch.session.low, judged.entry_slot)
        return replace(judged, entry_price=np.where(np.isnan(low), judged.entry_price, low))


class PicksTheBestBarOfTheWindowAfterwards(Dp20):
    """Enters where the window opened lowest, as if it had known."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        start, stop = self.parameters.first_slot, self.parameters.last_slot + 1
        opens = batch.session.open[start:stop]
        best = start + np.argmin(np.where(np.isnan(opens), np.inf, opens), axis=0)
        price = _at(batch.session.open, best)
        return replace(
            judged,
            entry_slot=np.where(judged.entered, best, NONE),
            entry_price=np.where(judged.entered, price, np.nan),
            stop_price=np.where(judged.entered, price - judged.stop_distance, np.nan),
            decided=np.where(judged.entered, opening_of(best), judged.decided),
        )


class DecidesWhenTheWindowIsOver(Dp20):
    """Enters in the past: what it decides at the end of the window is filled at an earlier open."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        late = end_of(np.full(batch.rows, self.parameters.last_slot))
        return replace(judged, decided=np.where(judged.entered, late, judged.decided))


class LeavesAtTheBestClose(Dp20):
    """Chooses its exit slot when the session is over."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        slots = np.arange(batch.session.slots)[:, np.newaxis]
        held = (slots >= judged.entry_slot) & ~np.isnan(batch.session.close)
        best = np.argmax(np.where(held, batch.session.close, -np.inf), axis=0)
        return replace(judged, exit_slot=np.where(judged.entered, best, judged.exit_slot))


class CallsItATrendWhereTheSessionWentUp(Dp20):
    """Its trend is one of the closes and of the session's own high."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        highest = np.nanmax(batch.session.high, axis=0, initial=-np.inf)
        return replace(judged, trend_valid=highest > batch.session.open[0] + 1.0)


class KnowsItsWalkFromTheFirstBarOn(Dp20):
    """Says of the window's bars what only the window can tell."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        return replace(judged, walk_decided=np.zeros_like(judged.walk_decided))


class SaysWhenItKnewByWhatCameLater(Dp20):
    """Its answers are honest; how early it claims to have known them is not."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        ends_up = _last(batch.session.close) > batch.session.open[0]
        late = ~judged.entered & ~ends_up
        return replace(judged, decided=np.where(late, _session_end(batch), judged.decided))


class LooksOneBarAhead(Dp20):
    """Enters only where the bar after the entry bar closes above it."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        rises = _at(batch.session.close, judged.entry_slot + 1) > judged.entry_price
        dropped = judged.entered & ~rises
        return replace(judged, reason=np.where(dropped, judged.reasons.index("no_entry_bar"), judged.reason))


class TellsTheFutureInItsNotes(Dp20):
    """Says in its sentence how the session ended; no number of the row shows it."""

    def judge(self, batch: SessionBatch) -> Judgements:
        return replace(super().judge(batch), measured=_last(batch.session.close))

    def sentence(self, judgements: Judgements, row: int) -> str:
        return f"the session ended at {judgements.measured[row]:.2f}"


class FillsHolesFromTheFuture(Dp20):
    """Where a bar is missing it takes the next one's, as a backward fill does."""

    def judge(self, batch: SessionBatch) -> Judgements:
        columns = {}
        for name in ("open", "high", "low", "close", "volume"):
            column = getattr(batch.session, name).copy()
            for slot in range(len(column) - 2, -1, -1):
                column[slot] = np.where(np.isnan(column[slot]), column[slot + 1], column[slot])
            columns[name] = column
        return super().judge(replace(batch, session=replace(batch.session, **columns)))


class MeasuresAgainstTheWholeSessionsMean(Dp20):
    """Divides prices by a mean that reaches to the close, as a careless normalisation does."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(batch.session.close, axis=0) / np.sum(~np.isnan(batch.session.close), axis=0)
        return replace(judged, atr=judged.atr / mean * 100.0)


def _at(values: FloatArray, slots: IntArray) -> FloatArray:
    """The value of each row at its slot; of a row without one, any."""
    found: FloatArray = values[np.minimum(slots, len(values) - 1), np.arange(values.shape[1])]
    return found


def _last(close: FloatArray) -> FloatArray:
    """Each row's last close that exists."""
    return _at(close, len(close) - 1 - np.argmax(~np.isnan(close[::-1]), axis=0))


def _session_end(batch: SessionBatch) -> IntArray:
    return end_of(batch.session.session_slots - 1)


def _rows_of(batch: SessionBatch, rows: IntArray) -> SessionBatch:
    return SessionBatch(
        session=batch.session.take(rows), previous=batch.previous.take(rows), closes=batch.closes[:, rows]
    )


def _cheats(kind: type[Dp20] = Dp20) -> Iterator[type[Dp20]]:
    for child in kind.__subclasses__():
        if child.__module__ == __name__:
            yield child
            yield from _cheats(child)


@pytest.fixture(scope="module")
def eventful() -> Prepared:
    """Three sessions that come to an entry slot: a rise to the end, a fall through the stop, a hole in that slot."""
    rising: Ohlc = (100.5, 103.0, 100.25, 102.5)
    falling: Ohlc = (98.0, 98.5, 97.0, 97.5)
    days = [session.date for session in sessions_of("2025-11-03", "2025-11-10")]
    told = [
        story(dict.fromkeys(range(40, 195), rising)),
        story(dict.fromkeys(range(40, 195), falling)),
        story({18: None}),
    ]
    bars = {day: quiet() for day in days} | dict(zip(days[1::2], told, strict=True))
    found = prepared(history_of(bars, closes=steady_closes(days[-1], count=206)), days[1::2])
    rows = judged_rows(play_of(), found)
    assert [(row.reason, row.exit_reason) for row in rows] == [
        ("entered", "time"),
        ("entered", "stop"),
        ("no_entry_bar", None),
    ]
    return found


@pytest.mark.parametrize("cheat", list(_cheats()), ids=lambda cheat: cheat.__name__)
def test_a_play_that_cheats_is_caught(cheat: type[Dp20], eventful: Prepared) -> None:
    assert leaks_of(cheat(), eventful)


def test_the_honest_play_has_no_leak_where_the_cheats_are_caught(eventful: Prepared) -> None:
    assert leaks_of(Dp20(), eventful) == []
