"""What the two fills of a trade cost, by three written formulas."""

from __future__ import annotations

import pytest

from trading_playbook.core.costs import BasisPoints, NoCost, PerShare, parse_cost
from trading_playbook.core.errors import FixRequest


def test_without_a_cost_model_fills_are_free() -> None:
    assert NoCost().fees(100.5, 100.0, 20) == 0.0
    assert NoCost().name == "none"


def test_basis_points_are_a_fraction_of_what_both_fills_move() -> None:
    # (100.5 + 100.0) x 20 = 4010 dollars, of which 1.5 in 10000 are 0.6015.
    assert BasisPoints(1.5).fees(100.5, 100.0, 20) == pytest.approx(0.6015, abs=1e-15)
    assert BasisPoints(1.5).fees(100.5, 100.0, 20) == (100.5 + 100.0) * 20 * 1.5 / 10000
    assert BasisPoints(0.0).fees(100.5, 100.0, 20) == 0.0


def test_dollars_a_share_are_paid_on_entering_and_on_leaving() -> None:
    assert PerShare(0.005).fees(100.5, 100.0, 20) == 2 * 20 * 0.005 == 0.2
    assert PerShare(0.005).fees(1.0, 2.0, 20) == 0.2


@pytest.mark.parametrize(
    ("text", "model", "name"),
    [
        ("none", NoCost(), "none"),
        (" none ", NoCost(), "none"),
        ("bps:1.5", BasisPoints(1.5), "bps:1.5"),
        ("bps:2", BasisPoints(2.0), "bps:2.0"),
        ("bps: 2", BasisPoints(2.0), "bps:2.0"),
        ("bps:1e-7", BasisPoints(1e-07), "bps:1e-07"),
        ("bps:0", BasisPoints(0.0), "bps:0.0"),
        ("bps:-0.0", BasisPoints(0.0), "bps:0.0"),
        ("per_share:.005", PerShare(0.005), "per_share:0.005"),
    ],
)
def test_a_text_names_a_model_whose_number_stands_as_a_float(
    text: str, model: NoCost | BasisPoints | PerShare, name: str
) -> None:
    found = parse_cost(text)
    assert found == model
    assert found.name == name
    assert parse_cost(found.name) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "free",
        "bps",
        "bps:",
        "bps:x",
        "bps:-1",
        "bps:nan",
        "bps:inf",
        "bps:1e999",
        "none:1",
        "percent:1",
        "bps:1:2",
        "BPS:1",
    ],
)
def test_what_names_no_model_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(FixRequest) as refused:
        parse_cost(text)
    assert repr(text) in refused.value.message
    assert "expected none, bps:NUMBER or per_share:DOLLARS" in refused.value.message


def test_a_long_text_is_not_echoed_whole() -> None:
    with pytest.raises(FixRequest) as refused:
        parse_cost("bps:" + "9" * 500 + "x")
    assert len(refused.value.message) < 200
