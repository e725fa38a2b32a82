"""The core against the scalar oracle, on drawn feeds: every session, every column but the sentence in notes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, time

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.oracle.dp20 import journal, judge_session
from tests.oracle.sessions import regular_hours, two_minute_bars
from tests.properties.worlds import EXIT_REASONS, REASONS, Case, World, draw_case, history_in, prepared_world
from tests.support.stories import (
    Ohlc,
    bars_of,
    history_of,
    judged_rows,
    play_of,
    prepared,
    quiet,
    row_text,
    steady_closes,
    story,
    timed,
)
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.history import History, Prepared, prepare
from trading_playbook.core.journal import row_cells
from trading_playbook.core.rows import Play, RowMaker, judge_sessions
from trading_playbook.core.schedule import Schedule
from trading_playbook.core.strategies.dp20 import Dp20
from trading_playbook.core.strategies.protocol import SessionBatch
from trading_playbook.core.verification import futures, sweep

Row = dict[str, str]

SEEDS = st.integers(min_value=0, max_value=2**40)


def told_by_the_oracle(case: Case, world: World) -> tuple[list[Row], set[date]]:
    """The rows of a world's sessions and the dates of those that must not be judged."""
    rows, without_row = journal(
        symbol=world.symbol,
        minute_bars=world.bars,
        closes=world.closes,
        splits=world.splits,
        start=world.sessions[0],
        end=world.sessions[-1],
        parameters=case.parameters,
        cost=case.cost,
        bar_minutes=world.minutes,
        accepted=world.accepted,
    )
    return rows, set(without_row)


def resampled_beforehand(world: World) -> list[tuple[date, dict[int, Ohlc]]]:
    """The 2-minute bars of each session whose bars are good."""
    feed = regular_hours(world.bars, world.minutes)
    return [(day, two_minute_bars(session)) for day, session in feed.items() if not session.is_bad]


def cells_of(play: Play, parts: Prepared | Sequence[Prepared]) -> list[list[str]]:
    return [row_cells(row) for row in judged_rows(play, parts)]


def require_core_equals_oracle(case: Case) -> list[Row]:
    """Hold every session of the case against the oracle; the oracle's rows."""
    play = play_of(case.parameters, case.cost)
    parts = [prepared_world(case, world) for world in case.worlds]
    expected: list[Row] = []
    for world, part in zip(case.worlds, parts, strict=True):
        rows, refused = told_by_the_oracle(case, world)
        assert set(part.refused) == refused
        expected += rows
    assert [row_text(row) for row in judged_rows(play, parts)] == expected
    return expected


def require_company_does_not_matter(case: Case, seed: int) -> None:
    """The bytes of every row are the same alone, together, shuffled, and from bars that were resampled beforehand."""
    play = play_of(case.parameters, case.cost)
    parts = [prepared_world(case, world) for world in case.worlds]
    together = cells_of(play, parts)

    alone = []
    for world, part in zip(case.worlds, parts, strict=True):
        for session in part.sessions:
            alone += cells_of(play, prepared_world(case, world, [session.date]))
    assert alone == together

    batch = SessionBatch.side_by_side([part.batch for part in parts])
    keys = [key for part in parts for key in part.keys]
    leave = [accepted for part in parts for accepted in part.accepted]
    order = random.Random(seed).sample(range(len(keys)), len(keys))
    shuffled = SessionBatch(
        session=batch.session.take(np.array(order, dtype=np.int64)),
        previous=batch.previous.take(np.array(order, dtype=np.int64)),
        closes=batch.closes[:, order],
    )
    rows = RowMaker(play=play, data_feed="files").rows(
        [keys[place] for place in order],
        shuffled,
        judge_sessions(play.strategy, shuffled),
        [leave[place] for place in order],
    )
    assert [row_cells(row) for row in rows] == [together[place] for place in order]

    coarse = []
    for world, part in zip(case.worlds, parts, strict=True):
        days = [session.date for session in part.sessions]
        if not days:
            continue
        fine = history_in(world)
        bars = bars_of(
            timed(dict(resampled_beforehand(world))), symbol=world.symbol, first_session=fine.bars.first_session
        )
        resampled = History(symbol=world.symbol, bars=bars, daily=fine.daily, splits=fine.splits)
        strategy = Dp20.with_parameters(case.parameters)
        coarse += cells_of(play, prepared(resampled, days, strategy=strategy, accepted=world.accepted))
    assert coarse == together


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS)
def test_every_column_of_every_row_equals_the_oracles(seed: int) -> None:
    for row in require_core_equals_oracle(draw_case(seed)):
        event(row["reason"])
        event(row["exit_reason"] or "no exit")


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_rows_are_the_same_bytes_alone_together_shuffled_and_resampled_beforehand(seed: int) -> None:
    require_company_does_not_matter(draw_case(seed), seed)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(seed=SEEDS)
def test_every_column_equals_the_oracles_over_thousands_of_feeds(seed: int) -> None:
    require_core_equals_oracle(draw_case(seed))


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None)
@given(seed=SEEDS)
def test_rows_do_not_depend_on_company_over_thousands_of_feeds(seed: int) -> None:
    require_company_does_not_matter(draw_case(seed), seed)


@pytest.mark.parametrize("parameters", [{}, {"exit_minutes_before_close": 60}, {"window_start": "09:30"}])
@pytest.mark.parametrize("closes_at", [time(9, 32), time(9, 50), time(10), time(10, 4), time(10, 6), time(10, 8)])
def test_a_session_that_an_override_closes_early_is_judged_as_the_oracle_reads_it(
    closes_at: time, parameters: dict[str, object]
) -> None:
    before, day = date(2025, 11, 3), date(2025, 11, 4)
    calendar = Calendar({day: closes_at})
    session = calendar.session(day)
    assert session is not None
    slots = session.slots(2)
    bars = {slot: bar for slot, bar in story().items() if slot < slots}
    closes = steady_closes(day)
    play = play_of(parameters)
    found = prepare(
        history_of({before: quiet(), day: bars}, closes=closes), Schedule.of([session], calendar), play.strategy, ()
    )
    assert found.refused == {}
    expected = judge_session(
        symbol="QQQ",
        trade_date=day,
        session_slots=slots,
        previous_slots=195,
        previous_date=before,
        bars=bars,
        previous_bars=quiet(),
        closes=closes,
        splits=[],
        parameters=parameters,
    )
    assert [row_text(row) for row in judged_rows(play, found)] == [expected]
    assert sweep(play, found.keys, found.batch, futures(1)) == []


def test_the_drawn_feeds_come_to_every_reason_and_every_exit() -> None:
    reasons: Counter[str] = Counter()
    exits: Counter[str] = Counter()
    for seed in range(120):
        for row in require_core_equals_oracle(draw_case(seed)):
            reasons[row["reason"]] += 1
            exits[row["exit_reason"]] += 1
    assert set(reasons) == REASONS, reasons
    assert set(exits) == EXIT_REASONS | {""}, exits
