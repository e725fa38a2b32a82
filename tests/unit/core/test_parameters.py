"""The parameters of a play: their defaults and bounds, each named where it is impossible, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import time

import numpy as np
import pytest

from tests.support.stories import play_of
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.strategies import REGISTRY, build_strategy
from trading_playbook.core.strategies.dp20 import Dp20
from trading_playbook.core.strategies.dp20.parameters import Dp20Parameters, exit_slot
from trading_playbook.core.strategies.parameters import bounded

# Name, default, the smallest and the largest that may be, and values just outside.
WHOLE = (
    ("ema_period", 20, 2, 400, (1, 0, -3, 401)),
    ("atr_period", 14, 1, 400, (0, 401)),
    ("sma_period", 200, 2, 400, (1, 401)),
    ("exit_minutes_before_close", 5, 0, 60, (-1, 61)),
    ("max_missing", 2, 0, 100_000, (-1,)),
    ("shares", 20, 1, 1_000_000, (0, -20)),
)


def refusal(given: Mapping[str, object]) -> str:
    with pytest.raises(FixRequest) as refused:
        Dp20.with_parameters(given)
    return refused.value.message


def chosen(**given: object) -> Mapping[str, object]:
    return Dp20.with_parameters(given).chosen


class TestDefaults:
    def test_they_are_those_of_the_plays_page(self) -> None:
        assert Dp20().parameters == Dp20Parameters(
            window_start=time(10, 0),
            window_end=time(10, 30),
            ema_period=20,
            atr_period=14,
            sma_period=200,
            reversal_strength=0.60,
            stop_atr=1.2,
            exit_minutes_before_close=5,
            max_missing=2,
            shares=20,
        )
        assert Dp20.with_parameters({}) == Dp20()
        assert chosen() == {}

    def test_what_is_given_at_its_default_is_not_chosen(self) -> None:
        assert chosen(shares="20", stop_atr="1.20", window_start="10:00", reversal_strength=0.6) == {}

    def test_no_parameter_is_left_out_here(self) -> None:
        named = {name for name, *_ in WHOLE} | {"window_start", "window_end", "reversal_strength", "stop_atr"}
        assert {field.name for field in fields(Dp20Parameters)} == named


class TestWholeNumbers:
    @pytest.mark.parametrize(("name", "default", "least", "most", "outside"), WHOLE)
    def test_bounds_may_be_reached_and_not_passed(
        self, name: str, default: int, least: int, most: int, outside: tuple[int, ...]
    ) -> None:
        assert getattr(Dp20().parameters, name) == default
        for value in (least, most):
            assert chosen(**{name: value}) == chosen(**{name: str(value)}) == {name: value}
        for value in outside:
            assert refusal({name: value}).startswith(f"parameter {name} is {value}; it must be at least ")

    @pytest.mark.parametrize("value", ["", "x", "2.5", 2.5, 20.0, "1e2", "0x14", None, True, [20], "9" * 30, "2 0"])
    @pytest.mark.parametrize("name", [name for name, *_ in WHOLE])
    def test_what_is_no_whole_number_is_refused_by_name(self, name: str, value: object) -> None:
        assert refusal({name: value}).startswith(f"parameter {name} is {str(value)[:40]!r}; expected a whole number")


class TestNumbers:
    @pytest.mark.parametrize(("value", "stands"), [(0, 0.0), ("0.75", 0.75), (0.999999999, 0.999999999), ("-0.0", 0.0)])
    def test_a_strength_lies_from_0_to_below_1(self, value: object, stands: float) -> None:
        found = chosen(reversal_strength=value)["reversal_strength"]
        assert repr(found) == repr(stands)

    @pytest.mark.parametrize("value", [1, 1.0, -0.001, "2"])
    def test_a_strength_outside_is_refused(self, value: object) -> None:
        told = refusal({"reversal_strength": value})
        assert told == f"parameter reversal_strength is {float(str(value))!r}; it must be at least 0 and below 1"

    @pytest.mark.parametrize("value", [0, 0.0, -1.2, "-0.0"])
    def test_a_stop_lies_above_0(self, value: object) -> None:
        assert "parameter stop_atr is " in refusal({"stop_atr": value})
        assert refusal({"stop_atr": value}).endswith("it must be above 0")

    def test_a_number_stands_as_a_float(self) -> None:
        for given in (2, "2", "2.0", 2.0):
            assert repr(chosen(stop_atr=given)) == "{'stop_atr': 2.0}"

    @pytest.mark.parametrize("value", ["", "x", "nan", "inf", "-inf", "1e999", None, False, "1,5", float("nan")])
    @pytest.mark.parametrize("name", ["stop_atr", "reversal_strength"])
    def test_what_is_no_number_is_refused_by_name(self, name: str, value: object) -> None:
        assert refusal({name: value}).startswith(f"parameter {name} is {str(value)[:40]!r}; expected a number")


class TestWindow:
    @pytest.mark.parametrize(
        ("start", "end"), [("09:30", "09:30"), ("10:00", "10:44"), ("09:30", "12:50"), ("12:50", "12:50")]
    )
    def test_it_may_lie_anywhere_from_the_open_to_two_slots_before_an_early_exit(self, start: str, end: str) -> None:
        play = Dp20.with_parameters({"window_start": start, "window_end": end})
        assert play.entry_window == f"{start}-{end}"

    @pytest.mark.parametrize(
        ("name", "value", "told"),
        [
            ("window_start", "09:28", "it must lie on a 2-minute slot from 09:30 on"),
            ("window_start", "10:01", "it must lie on a 2-minute slot from 09:30 on"),
            ("window_end", "10:31", "it must lie on a 2-minute slot from 09:30 on"),
            ("window_end", "00:00", "it must lie on a 2-minute slot from 09:30 on"),
            ("window_end", "12:52", "it must be at most 12:50, two slots before the exit of a 13:00 close"),
            ("window_start", "10:32", "after window_end 10:30"),
        ],
    )
    def test_outside_it_is_refused_by_name(self, name: str, value: str, told: str) -> None:
        message = refusal({name: value})
        assert message.startswith(f"parameter {name} is {value}")
        assert told in message

    @pytest.mark.parametrize("value", ["", "10", "10:0", "24:00", "10:60", "10:00:00", "10.00", 10, 1000, True, None])
    @pytest.mark.parametrize("name", ["window_start", "window_end"])
    def test_what_is_no_time_is_refused_by_name(self, name: str, value: object) -> None:
        assert refusal({name: value}).startswith(f"parameter {name} is {str(value)!r}; expected a time as HH:MM")

    def test_its_latest_end_moves_with_the_exit(self) -> None:
        assert Dp20.with_parameters({"window_end": "11:54", "exit_minutes_before_close": 60}).chosen
        message = refusal({"window_end": "11:56", "exit_minutes_before_close": 60})
        assert message.startswith("parameter window_end is 11:56; it must be at most 11:54")
        assert Dp20.with_parameters({"window_end": "12:54", "exit_minutes_before_close": 0}).chosen

    def test_a_time_stands_as_hours_and_minutes(self) -> None:
        assert chosen(window_end="10:44") == {"window_end": "10:44"}
        assert Dp20(Dp20Parameters(window_end=time(10, 44))).chosen == {"window_end": "10:44"}


class TestExitSlot:
    @pytest.mark.parametrize(
        ("slots", "minutes", "slot"),
        [
            (195, 5, 192),  # 15:54 ends at 15:56, the first end at or after 15:55
            (195, 4, 192),  # 15:56 is an end itself
            (195, 3, 193),
            (195, 0, 194),
            (195, 60, 164),
            (105, 5, 102),
            (135, 5, 132),
        ],
    )
    def test_it_ends_at_or_just_after_the_minute(self, slots: int, minutes: int, slot: int) -> None:
        assert exit_slot(np.array([slots, slots]), minutes).tolist() == [slot, slot]

    def test_a_session_that_is_shorter_than_the_time_before_its_close_exits_in_its_first_slot(self) -> None:
        assert exit_slot(np.array([1, 15, 30, 31, 195]), 60).tolist() == [0, 0, 0, 0, 164]


class TestIdentity:
    def test_the_published_hashes_come_out(self) -> None:
        assert play_of().params_hash == "p80720bba934c"
        assert play_of({"stop_atr": "1.5", "window_end": "10:44"}).params_hash == "pc0a720e5aaac"
        assert play_of(cost="bps:1.5").params_hash == "p37dc09e94f5a"

    def test_the_form_in_which_a_value_was_given_does_not_matter(self) -> None:
        given = ({"stop_atr": 2, "shares": 7}, {"shares": "7", "stop_atr": "2.0"}, {"stop_atr": "+2e0", "shares": "+7"})
        assert len({play_of(parameters).params_hash for parameters in given}) == 1

    def test_a_play_built_in_python_is_the_one_built_from_text(self) -> None:
        built = Dp20(Dp20Parameters(stop_atr=2, reversal_strength=0))
        assert repr(dict(built.chosen)) == repr(dict(chosen(reversal_strength="0", stop_atr="2")))

    def test_every_parameter_changes_the_hash(self) -> None:
        other: dict[str, object] = {name: default + 1 for name, default, *_ in WHOLE}
        other |= {"window_start": "10:02", "window_end": "10:32", "reversal_strength": 0.61, "stop_atr": 1.3}
        hashes = {play_of({name: value}).params_hash for name, value in other.items()}
        assert len(hashes | {play_of().params_hash}) == len(fields(Dp20Parameters)) + 1


class TestRegistry:
    def test_a_strategy_is_built_by_its_name(self) -> None:
        assert build_strategy("dp20", {"shares": "7"}) == Dp20(Dp20Parameters(shares=7))
        assert set(REGISTRY) == {"dp20"}

    def test_an_unknown_name_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(FixRequest, match="there is no strategy 'dp21'; there is dp20"):
            build_strategy("dp21", {})

    def test_an_unknown_parameter_is_refused_with_those_there_are(self) -> None:
        message = refusal({"stop_art": 1})
        assert message.startswith("dp20 has no parameter 'stop_art'; it has window_start, window_end, ema_period")

    def test_a_bound_of_no_known_kind_is_a_bug_of_its_author(self) -> None:
        with pytest.raises(TypeError, match="no such bound"):
            bounded(1, atleast=0)
