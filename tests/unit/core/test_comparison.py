from datetime import date

from tests.support.rows import days_of_rows, no_trade, trade
from trading_playbook.core.comparison import compare

THIRD, FOURTH, FIFTH = (date(2025, 11, day) for day in (3, 4, 5))


def test_rows_are_held_against_each_other_by_their_keys() -> None:
    here = [no_trade(trade_date=THIRD), trade(trade_date=FOURTH), no_trade(trade_date=FIFTH, symbol="SPY")]
    there = [trade(trade_date=FOURTH, entry_price=606.0), no_trade(trade_date=FIFTH), here[2]]
    found = compare(here, there)
    assert found.only_one == (here[0],)
    assert found.only_other == (there[1],)
    assert [(each.key, each.columns) for each in found.different] == [
        (here[1].key, {"entry_price": ("605.0", "606.0")})
    ]
    assert found.equal == 1
    assert not found.is_equal


def test_other_notes_links_feeds_and_revisions_do_not_make_rows_different() -> None:
    row = trade()
    other = trade(notes="entered: otherwise", chart_link_entry="https://a/b", data_feed="alpaca-sip", revision=3)
    found = compare([row], [other])
    assert (found.is_equal, found.equal, found.drifted) == (True, 1, ())


def test_equal_rows_of_other_bars_are_told() -> None:
    found = compare([trade()], [trade(data_hash="dffffffffffff")])
    assert (found.is_equal, found.drifted) == (True, (trade().key,))


def test_whether_rows_that_differ_come_of_the_same_bars_is_told() -> None:
    found = (
        compare([trade()], [trade(entry_price=606.0)]),
        compare([trade()], [trade(entry_price=606.0, data_hash="dffffffffffff")]),
    )
    assert [each.same_bars for one in found for each in one.different] == [True, False]


def test_the_order_of_rows_does_not_matter() -> None:
    rows = days_of_rows(20)
    assert compare(rows, rows[::-1]).is_equal
    assert compare([], []).is_equal
