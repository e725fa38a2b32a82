from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import colliding_rows, days_of_rows, no_trade, trade
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import JournalRow, RowKey
from trading_playbook.core.merge import Merged, WriteResult, merge, require_one_origin

STORED = st.lists(colliding_rows(), max_size=4, unique_by=lambda row: row.key)
JUDGED = st.lists(colliding_rows(), max_size=4, unique_by=lambda row: row.key)


@given(STORED, JUDGED, st.booleans())
def test_merging_again_changes_nothing(stored: list[JournalRow], judged: list[JournalRow], revise: bool) -> None:
    once = merge(stored, judged, revise=revise)
    twice = merge(once.rows, judged, revise=revise)
    assert twice.rows == once.rows
    assert not twice.changed
    assert twice.replaced == ()
    assert len(twice.conflicts) == len(once.conflicts)


@given(STORED, JUDGED, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rows_has_no_effect(
    stored: list[JournalRow], judged: list[JournalRow], revise: bool, random: object
) -> None:
    shuffled_stored, shuffled_judged = list(stored), list(judged)
    random.shuffle(shuffled_stored)  # type: ignore[attr-defined]
    random.shuffle(shuffled_judged)  # type: ignore[attr-defined]
    assert _facts(merge(shuffled_stored, shuffled_judged, revise=revise)) == _facts(
        merge(stored, judged, revise=revise)
    )


@given(STORED, JUDGED, st.booleans())
def test_one_by_one_equals_all_at_once(stored: list[JournalRow], judged: list[JournalRow], revise: bool) -> None:
    at_once = merge(stored, judged, revise=revise)
    rows: Sequence[JournalRow] = sorted(stored, key=lambda row: row.key)
    steps = []
    for row in judged:
        steps.append(merge(rows, [row], revise=revise))
        rows = steps[-1].rows
    assert tuple(rows) == at_once.rows
    assert sum(step.added for step in steps) == at_once.added
    assert sum(step.unchanged for step in steps) == at_once.unchanged
    assert _sorted(row for step in steps for row in step.replaced) == _sorted(at_once.replaced)
    assert sum(len(step.conflicts) for step in steps) == len(at_once.conflicts)
    assert sorted(key for step in steps for key in step.drifted) == sorted(at_once.drifted)


@given(STORED, JUDGED, st.booleans())
def test_no_row_is_lost_and_none_is_doubled(stored: list[JournalRow], judged: list[JournalRow], revise: bool) -> None:
    merged = merge(stored, judged, revise=revise)
    keys = [row.key for row in merged.rows]
    assert keys == sorted({row.key for row in (*stored, *judged)})
    assert merged.added + merged.unchanged + len(merged.replaced) + len(merged.conflicts) == len(judged)
    kept = {row.key: row for row in merged.rows}
    assert all(kept[row.key] == row or row in merged.replaced for row in stored)


def test_a_conflict_tells_three_columns_and_counts_the_others() -> None:
    judged = trade(entry_price=605.5, shares=None, stop_price=604.6, net_pnl=1.0, gross_pnl=1.0)
    [conflict] = merge([trade()], [judged]).conflicts
    assert conflict.message == (
        "QQQ 2025-11-04 (dp20 p80720bba934c, trade 1) differs from the stored row, which was kept: "
        "entry_price 605.0 is now 605.5, shares 100 is now empty, stop_price 604.1 is now 604.6, and 2 more columns "
        "differ. Look at both; to replace the stored row and keep it in the history, run these sessions again with "
        "--revise"
    )
    assert conflict.columns is not None
    assert set(conflict.columns) == {"entry_price", "shares", "stop_price", "net_pnl", "gross_pnl"}
    assert pickle.loads(pickle.dumps(conflict)).columns == conflict.columns


def test_a_result_says_where_and_around_which_bytes() -> None:
    merged = merge([trade()], [trade(entry_price=605.5), no_trade(symbol="SPY")], revise=True)
    assert merged.result("trades.csv", before="a", after="b") == WriteResult(
        place="trades.csv", added=1, revised=1, before="a", after="b"
    )


def test_two_judged_rows_of_one_key_must_be_the_same() -> None:
    assert merge([], [trade(), trade()]).added == 1
    with pytest.raises(ValueError, match="not the same"):
        merge([], [trade(), trade(notes="entered: other words")])


def test_rows_of_equal_content_and_other_dates_are_other_rows() -> None:
    rows = days_of_rows(3, start=date(2025, 11, 3))
    assert merge(rows[:1], rows[1:]).rows == tuple(rows)


@pytest.mark.parametrize("feeds", [{"simulated", "files"}, {"simulated", "files", "alpaca-sip"}])
def test_simulated_and_real_feeds_do_not_mix_and_the_file_is_named(feeds: set[str]) -> None:
    with pytest.raises(FixRequest, match=r"output/trades\.csv would hold simulated rows and rows of .*files"):
        require_one_origin(feeds, "output/trades.csv")


@pytest.mark.parametrize("feeds", [set(), {"simulated"}, {"files"}, {"files", "alpaca-sip"}])
def test_feeds_of_one_origin_may_share_a_journal(feeds: set[str]) -> None:
    require_one_origin(feeds, "trades.csv")


def _facts(merged: Merged) -> tuple[object, ...]:
    told: list[tuple[RowKey | str, object]] = [(conflict.message, conflict.columns) for conflict in merged.conflicts]
    return merged.rows, merged.added, merged.unchanged, merged.replaced, told, merged.drifted


def _sorted(rows: Iterable[JournalRow]) -> list[JournalRow]:
    return sorted(rows, key=lambda row: row.key)
