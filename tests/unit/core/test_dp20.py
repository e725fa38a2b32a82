"""The play told by hand: what each reason says to a person, and thresholds that are just met or just missed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

import pytest

from tests.support.stories import (
    PULLBACK,
    QUIET,
    Ohlc,
    history_of,
    judged_rows,
    play_of,
    prepared,
    quiet,
    steady_closes,
    story,
)
from trading_playbook.core.journal import JournalRow

P, D = date(2025, 11, 3), date(2025, 11, 4)
ALL_BELOW = {**quiet(), **dict.fromkeys(range(15, 31), PULLBACK)}
# EMA20 after sixteen closes of 99.58, 0.42 below where it began.
NEAREST_LINE = round(99.58 + 0.42 * (19 / 21) ** 16, 6)


def row_of(
    bars: Mapping[int, Ohlc],
    parameters: Mapping[str, object] | None = None,
    *,
    previous: Mapping[int, Ohlc] | None = None,
    closes: int = 200,
    close: float = 90.0,
) -> JournalRow:
    days = {P: quiet() if previous is None else previous, D: bars}
    play = play_of(parameters)
    known = history_of(days, closes=steady_closes(D, close, count=closes))
    return judged_rows(play, prepared(known, [D], strategy=play.strategy, accepted=[P, D]))[0]


class TestSentences:
    """Notes say which rule decided, its value, its threshold and the distance, in the journal's own number text."""

    @pytest.mark.parametrize(
        ("row", "reason", "facts"),
        [
            (row_of({}), "no_data", ["no bar"]),
            (row_of(story(), closes=199), "insufficient_history", ["199", "200", "1 short"]),
            (row_of(story(), previous=quiet(4)), "insufficient_warmup", ["19 bars", "10:00", "20", "1 short"]),
            (
                row_of(story({0: None}), close=100.5),
                "trend_down",
                ["first open 100.0", "at 09:32", "SMA200 100.5", "0.5 short"],
            ),
            (
                row_of(story({0: None, 1: None, 2: None})),
                "incomplete_session",
                ["3 slots", "up to 10:04", "at most 2", "1 too many"],
            ),
            (row_of(quiet()), "no_pullback", ["nearest at 10:00", "close 100.0 against 100.0", "0.0 above"]),
            (
                row_of({slot: bar for slot, bar in quiet().items() if not 15 <= slot <= 30}, {"max_missing": 16}),
                "no_pullback",
                ["no bar in 10:00-10:30"],
            ),
            (
                row_of({**quiet(), 15: PULLBACK, 20: (100.0, 100.5, 99.5, 100.05)}),
                "no_reversal",
                ["pullback at 10:00", "weak", "strongest at 10:10", "strength 0.55", "0.6", "0.05 short"],
            ),
            (
                row_of(ALL_BELOW),
                "no_reversal",
                ["pullback at 10:00", "EMA20", "nearest at 10:30", f"close 99.58 against {NEAREST_LINE}", "short"],
            ),
            (row_of({**quiet(), 30: PULLBACK}), "no_reversal", ["pullback at 10:30"]),
            (row_of(story({17: None})), "no_confirmation", ["no bar", "reversal at 10:02"]),
            (
                row_of({**quiet(), 29: PULLBACK, 30: (99.6, 100.375, 99.375, 100.17)}),
                "no_confirmation",
                ["10:30", "last slot of 10:00-10:30"],
            ),
            (
                # EMA20 = 99.98 - 0.08 x 2 / 21 = 99.972381.
                row_of(story({17: (100.17, 100.625, 99.625, 99.9)})),
                "invalidated",
                ["confirmation at 10:04", "EMA20", "close 99.9 against 99.972381", "0.072381 below"],
            ),
            (row_of(story({18: None})), "no_entry_bar", ["no bar", "confirmation at 10:04"]),
            (row_of(story(), {"atr_period": 400}), "zero_risk", ["ATR400 is undefined at 10:04"]),
            (row_of(story(), {"stop_atr": 100.75}), "zero_risk", ["at 10:06", "-0.25", "0.0"]),
            (
                row_of(story()),
                "entered",
                ["long 20 at 10:06", "100.5", "stop 99.3", "pullback 10:00", "reversal 10:02", "confirmation 10:04"],
            ),
        ],
    )
    def test_a_row_says_what_decided_it(self, row: JournalRow, reason: str, facts: list[str]) -> None:
        assert row.reason == reason
        told, _, sentence = row.notes.partition(": ")
        assert told == reason
        for fact in facts:
            assert fact in sentence
        assert "nan" not in sentence

    def test_a_pullback_in_the_last_slot_has_no_bar_to_be_nearest(self) -> None:
        assert "nearest" not in row_of({**quiet(), 30: PULLBACK}).notes

    def test_the_parameters_in_use_are_those_that_are_named(self) -> None:
        parameters: dict[str, object] = {"ema_period": 9, "window_start": "10:10", "window_end": "10:20"}
        notes = row_of(quiet(), parameters).notes
        assert "EMA9" in notes
        assert "10:10-10:20" in notes


class TestStrength:
    """A reversal needs more than 0.60 of its range, rounded to 9 decimals."""

    @pytest.mark.parametrize(
        ("strength", "strong"),
        [
            (0.6, False),
            (0.6 - 1e-10, False),
            (0.6 + 1e-10, False),
            (0.6 + 4.9e-10, False),
            (0.6 + 5.1e-10, True),
            (0.6 + 1e-9, True),
            (0.61, True),
            (1.0, True),
        ],
    )
    def test_it_is_rounded_before_it_is_compared(self, strength: float, strong: bool) -> None:
        row = row_of(story({16: (99.5, 100.5, 99.5, 99.5 + strength)}))
        assert (row.reversal_candle_time == "10:02") is strong

    def test_a_bar_without_a_range_is_never_strong_even_where_any_strength_would_do(self) -> None:
        flat = (100.25,) * 4
        row = row_of({**quiet(), 15: PULLBACK, **dict.fromkeys(range(16, 31), flat)}, {"reversal_strength": 0})
        assert (row.reason, row.reversal_strength_ok) == ("no_reversal", False)

    def test_a_bar_that_closes_at_its_low_is_not_stronger_than_nothing(self) -> None:
        at_its_low = (100.25, 100.75, 100.25, 100.25)
        row = row_of({**quiet(), 15: PULLBACK, **dict.fromkeys(range(16, 31), at_its_low)}, {"reversal_strength": 0})
        assert (row.reason, row.reversal_strength_ok) == ("no_reversal", False)


class TestOnTheLine:
    """With a period of 2 the EMA moves two thirds of the way: 100, then 98 after a close of 97."""

    down: Ohlc = (100.0, 100.5, 96.0, 97.0)

    def test_a_close_at_the_line_is_no_pullback(self) -> None:
        assert row_of(quiet(), {"ema_period": 2}).reason == "no_pullback"

    def test_a_close_at_the_line_is_no_reversal(self) -> None:
        on_the_line = (97.0, 98.0, 96.0, 98.0)
        bars = {**quiet(), 15: self.down, **dict.fromkeys(range(16, 31), on_the_line)}
        row = row_of(bars, {"ema_period": 2})
        assert (row.reason, row.reversal_strength_ok) == ("no_reversal", None)

    def test_a_confirmation_at_the_line_holds(self) -> None:
        # 98 + (101 - 98) x 2 / 3 = 100, and a close of 100 leaves it there.
        row = row_of(story({15: self.down, 16: (97.0, 102.0, 96.0, 101.0), 17: QUIET}), {"ema_period": 2})
        assert (row.reason, row.ema20_at_entry) == ("entered", 100.0)


class TestZeroRisk:
    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"stop_atr": 100.5}, "zero_risk"),  # 100.5 - 100.5 x 1 = 0: no stop above nothing
            ({"stop_atr": 100.4375}, "entered"),
            ({"stop_atr": 1e-18}, "zero_risk"),  # 100.5 - 1e-18 is 100.5 in floats
            ({"stop_atr": 2.0**-45}, "entered"),  # two of the smallest steps there are at 100.5
            ({"stop_atr": 1e300}, "zero_risk"),
            ({"atr_period": 214}, "zero_risk"),  # 195 bars of P and 18 of D make 213 true ranges
            ({"atr_period": 213}, "entered"),
        ],
    )
    def test_without_a_stop_or_a_risk_there_is_no_entry(self, parameters: dict[str, object], reason: str) -> None:
        row = row_of(story(), parameters)
        assert row.reason == reason
        if reason == "zero_risk":
            assert (row.entry_time_et, row.entry_price, row.stop_price, row.confirmation_candle_time) == (
                *(None, None, None),
                "10:04",
            )

    def test_a_range_of_nothing_is_no_risk(self) -> None:
        # A period of 1 takes the confirmation bar's true range alone, and that bar lies flat on the close before it.
        row = row_of(story({17: (100.17,) * 4}), {"atr_period": 1})
        assert row.reason == "zero_risk"
        assert row.notes.startswith("zero_risk: no risk to take at 10:06: 0.0")

    def test_a_risk_too_small_for_floats_is_told_as_nothing(self) -> None:
        assert row_of(story(), {"stop_atr": 1e-18}).notes.startswith("zero_risk: no risk to take at 10:06: 0.0")

    def test_a_risk_of_one_step_has_finite_numbers(self) -> None:
        row = row_of(story(), {"stop_atr": 2.0**-45})
        assert row.r_multiple is not None
        assert math.isfinite(row.r_multiple)
