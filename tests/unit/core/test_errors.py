"""Errors carry their facts, also across processes, and have an order of gravity."""

from __future__ import annotations

import pickle
from copy import copy
from datetime import date

import pytest

from trading_playbook.core.errors import (
    CheckData,
    FixConfig,
    FixRequest,
    NoData,
    PlaybookError,
    RetryLater,
    ReviewConflict,
    TooEarly,
    gravest,
    gravity,
)

DAY = date(2025, 11, 4)
EACH = (
    PlaybookError("some trouble", symbol="QQQ", session=DAY),
    FixConfig("mend the setting"),
    FixRequest("mend the request", symbol="QQQ"),
    ReviewConflict("look at both", symbol="QQQ", session=DAY, columns={"net_pnl": ("1.0", "2.0")}),
    CheckData("bad bar", kind="bad_bar", symbol="QQQ", session=DAY, bar="10:02", field="high"),
    NoData("no bar", symbol="QQQ", session=DAY),
    RetryLater("later", symbol="QQQ", session=DAY, retry_after_seconds=7.5),
    TooEarly("not yet", symbol="QQQ", session=DAY, retry_after_seconds=1200.0),
)


def family(kind: type[PlaybookError]) -> set[type[PlaybookError]]:
    return {kind}.union(*(family(child) for child in kind.__subclasses__()))


def test_no_kind_of_error_is_left_out_here() -> None:
    """Other modules may name a case of their own, which is told as the kind that it is one of."""
    ours = {kind for kind in family(PlaybookError) if kind.__module__ == PlaybookError.__module__}
    assert {type(error) for error in EACH} == ours


@pytest.mark.parametrize("error", EACH, ids=lambda error: type(error).__name__)
def test_an_error_pickles_and_copies_with_all_its_facts(error: PlaybookError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy(error)):
        assert type(other) is type(error)
        assert str(other) == error.message == str(error)
        assert vars(other) == vars(error)
        assert other.facts() == error.facts()


def test_facts_are_plain_values_and_leave_out_what_is_absent() -> None:
    assert EACH[4].facts() == {
        "type": "CheckData",
        "message": "bad bar",
        "kind": "bad_bar",
        "symbol": "QQQ",
        "session": "2025-11-04",
        "bar": "10:02",
        "field": "high",
    }
    assert FixConfig("mend the setting").facts() == {"type": "FixConfig", "message": "mend the setting"}


def test_no_data_is_the_kind_of_check_data_that_may_heal() -> None:
    error = NoData("no bar", symbol="QQQ", session=DAY)
    assert isinstance(error, CheckData)
    assert (error.kind, error.bar, error.field) == ("no_data", None, None)


@pytest.mark.parametrize(("asked", "told"), [(0.0, 1.0), (-5.0, 1.0), (0.2, 1.0), (7.5, 7.5)])
def test_nobody_is_sent_back_sooner_than_in_a_second(asked: float, told: float) -> None:
    assert RetryLater("later", retry_after_seconds=asked).retry_after_seconds == told


def test_gravity_goes_from_a_bug_over_configuration_usage_conflict_and_data_to_retry() -> None:
    in_order = (
        ValueError("our bug"),
        FixConfig("configuration"),
        FixRequest("usage"),
        ReviewConflict("conflict"),
        CheckData("data"),
        RetryLater("retry"),
        TooEarly("merely too early"),
    )
    assert sorted(sorted(in_order, key=str), key=gravity) == list(in_order)
    assert len({gravity(error) for error in in_order}) == len(in_order)
    assert gravity(NoData("no bar")) == gravity(CheckData("data"))


def test_the_gravest_decides_and_the_first_of_equals() -> None:
    first, second = CheckData("first"), NoData("second")
    assert gravest([TooEarly("not yet"), first, second, RetryLater("later")]) is first
    assert gravest([first, KeyError("a bug"), FixConfig("setting")]).__class__ is KeyError
    assert gravest([]) is None
