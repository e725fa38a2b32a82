"""When each column is known, and that the sweep sees what it is told to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from tests.support.stories import ENTRY, PULLBACK, Ohlc, history_of, play_of, prepared, quiet, steady_closes, story
from trading_playbook.core.costs import NoCost
from trading_playbook.core.journal import KnownAt
from trading_playbook.core.rows import Play, judge_sessions
from trading_playbook.core.strategies.dp20 import Dp20
from trading_playbook.core.strategies.protocol import Judgements, SessionBatch, end_of, opening_of
from trading_playbook.core.verification import Leak, futures, sweep

P, D = date(2025, 11, 3), date(2025, 11, 4)
LAST_MOMENT = 2 * 194 + 1


def batch_of(
    bars: Mapping[int, Ohlc], previous: Mapping[int, Ohlc] | None = None, closes: int = 200, close: float = 90.0
) -> SessionBatch:
    known = history_of(
        {P: quiet() if previous is None else previous, D: bars}, closes=steady_closes(D, close, count=closes)
    )
    return prepared(known, [D], accepted=[P, D]).batch


def moments(batch: SessionBatch, parameters: Mapping[str, object] | None = None) -> tuple[str, dict[KnownAt, int]]:
    """The reason of the batch's session, and the moment from which each kind of column stands."""
    judged = judge_sessions(Dp20.with_parameters(parameters or {}), batch)
    known = judged.known_at(batch.session.session_slots)
    answers = judged.judgements
    return answers.reasons[answers.reason[0]], {kind: int(when[0]) for kind, when in known.items()}


class TestKnownAt:
    """A moment counts half slots: 2 x slot is its opening, 2 x slot + 1 its end."""

    def test_moments_count_half_slots(self) -> None:
        slots = np.array([0, 18, 194])
        assert opening_of(slots).tolist() == [0, 36, 388]
        assert end_of(slots).tolist() == [1, 37, 389]

    def test_a_trade_is_known_step_by_step(self) -> None:
        assert moments(batch_of(story())) == (
            "entered",
            {
                KnownAt.ALWAYS: -1,
                KnownAt.FIRST_OPEN: 0,
                KnownAt.WALK_END: 35,  # the end of the confirmation bar, 10:04
                KnownAt.DECISION: 36,  # the opening of the entry bar, 10:06
                KnownAt.ENTRY: 36,
                KnownAt.EXIT: 385,  # the end of 15:54
                KnownAt.SESSION_END: LAST_MOMENT,
            },
        )

    def test_a_stop_is_known_at_the_end_of_its_bar(self) -> None:
        reason, known = moments(batch_of(story({30: (100.0, 102.0, 99.0, 99.2)})))
        assert (reason, known[KnownAt.EXIT]) == ("entered", 61)

    def test_a_last_bar_is_known_when_the_exit_slot_has_ended(self) -> None:
        reason, known = moments(batch_of(story({192: None, 191: None})))
        assert (reason, known[KnownAt.EXIT]) == ("entered", 385)

    def test_a_session_that_begins_late_is_known_from_its_first_bar_on(self) -> None:
        _, known = moments(batch_of(story({0: None, 1: None})))
        assert known[KnownAt.FIRST_OPEN] == 4

    @pytest.mark.parametrize(
        ("reason", "decided", "batch"),
        [
            ("no_data", LAST_MOMENT, batch_of({})),
            ("insufficient_history", 0, batch_of(story(), closes=199)),
            ("insufficient_warmup", 29, batch_of(story(), previous=quiet(4))),  # when the window opens
            ("trend_down", 0, batch_of(story(), close=100.0)),
            ("trend_down", 21, batch_of(story(), previous=quiet(9), close=100.0)),  # the 20th bar is that of 09:50
            ("incomplete_session", 35, batch_of(story({0: None, 1: None, 2: None}))),  # where the walk ends
            ("incomplete_session", 61, batch_of({**story({20: None, 21: None, 22: None}), 15: story()[0]})),
            # A first bar after the window: until it opened there might have been none, or no trend.
            ("incomplete_session", 80, batch_of({slot: bar for slot, bar in story().items() if slot >= 40})),
            ("trend_down", 80, batch_of({slot: bar for slot, bar in story().items() if slot >= 40}, close=100.0)),
            ("no_pullback", 61, batch_of(quiet())),
            ("no_reversal", 61, batch_of({**quiet(), 15: PULLBACK})),
            ("no_confirmation", 61, batch_of(story({17: None}))),
            ("invalidated", 35, batch_of(story({17: (100.17, 100.625, 99.625, 99.9)}))),
            ("no_entry_bar", 37, batch_of(story({18: None}))),  # the end of the entry slot
        ],
    )
    def test_a_row_without_a_trade_is_known_from_the_moment_that_decided(
        self, reason: str, decided: int, batch: SessionBatch
    ) -> None:
        found, known = moments(batch)
        assert (found, known[KnownAt.DECISION], known[KnownAt.EXIT]) == (reason, decided, decided)

    def test_a_risk_of_nothing_is_known_at_the_opening_of_the_entry_bar(self) -> None:
        reason, known = moments(batch_of(story()), {"atr_period": 400})
        assert (reason, known[KnownAt.DECISION]) == ("zero_risk", 36)


class Peeking(Dp20):
    """Sets its stop just below the lowest low of the whole session."""

    def judge(self, batch: SessionBatch) -> Judgements:
        judged = super().judge(batch)
        lowest = np.nanmin(batch.session.low, axis=0, initial=np.inf)
        return replace(judged, stop_price=np.minimum(judged.stop_price, lowest - 0.01))


KEY = ("QQQ", D)


def found_by(strategy: Dp20, batch: SessionBatch, keys: Sequence[tuple[str, date]] = (KEY,)) -> list[Leak]:
    return sweep(Play(strategy=strategy, cost=NoCost()), keys, batch, futures(1))


class TestSweep:
    def test_an_honest_play_has_no_leak(self) -> None:
        assert sweep(play_of(cost="bps:1.5"), [KEY], batch_of(story()), futures(1)) == []

    def test_a_leak_names_session_moment_column_and_what_it_was_before_and_after(self) -> None:
        leaks = found_by(Peeking(), batch_of(story({100: (99.4, 99.5, 98.0, 99.5)})))
        first = next(leak for leak in leaks if leak.column == "stop_price")
        assert (first.symbol, first.session, first.moment, first.future) == ("QQQ", D, 36, "nothing")
        assert (first.whole, first.altered) == (97.99, 99.3)
        told = "QQQ 2025-11-04: stop_price is 97.99 by the open of slot 18, and 99.3 with a future of nothing"
        assert str(first) == told
        assert "by the end of slot 18" in str(replace(first, moment=37))

    def test_only_the_sessions_that_leak_are_named(self) -> None:
        honest_day, leaking_day = batch_of(quiet()), batch_of(story())
        keys = [("QQQ", P), KEY]
        both = SessionBatch.side_by_side([honest_day, leaking_day])
        assert {leak.session for leak in found_by(Peeking(), both, keys)} == {D}

    def test_nothing_is_asked_before_a_column_is_known(self) -> None:
        leaks = found_by(Peeking(), batch_of(story({100: (99.4, 99.5, 98.0, 99.5)})))
        assert {leak.moment for leak in leaks if leak.column == "stop_price"} <= set(range(36, LAST_MOMENT))


class TestFutures:
    def test_there_is_nothing_then_absurd_prices_then_random_ones_near_the_true(self) -> None:
        column = np.array([[100.0, np.nan], [200.0, 50.0]])
        replaced = {name: future(column) for name, future in futures(1).items()}
        assert list(replaced) == ["nothing", "1e9", "random bars"]
        assert np.isnan(replaced["nothing"]).all()
        assert (replaced["1e9"] == 1e9).all()
        near = replaced["random bars"] / column
        assert np.isnan(near[0, 1])
        assert ((near[~np.isnan(near)] >= 0.9) & (near[~np.isnan(near)] <= 1.1)).all()
        assert not np.array_equal(replaced["random bars"], column)

    def test_a_seed_gives_the_same_random_bars_again(self) -> None:
        column = np.full((5, 3), 100.0)
        first, second = (futures(7)["random bars"](column) for _ in range(2))
        assert np.array_equal(first, second)
        assert not np.array_equal(first, futures(8)["random bars"](column))


def test_the_story_is_one_of_an_entry_at_its_bars_open() -> None:
    judged = judge_sessions(Dp20(), batch_of(story())).judgements
    assert (judged.entry_slot.tolist(), judged.entry_price.tolist()) == ([18], [ENTRY[0]])
