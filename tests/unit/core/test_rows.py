"""The edge between arrays and the journal: what of a row is neither the oracle's to say nor the writer's."""

from __future__ import annotations

from datetime import date

import pytest

from tests.support.stories import Ohlc, history_of, play_of, prepared, quiet, steady_closes, story
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.rows import RowMaker, judge_sessions

P, D = date(2025, 11, 3), date(2025, 11, 4)


def row_of(bars: dict[int, Ohlc], *, public_url: str | None = None, symbol: str = "QQQ") -> JournalRow:
    known = history_of({P: quiet(), D: bars}, closes=steady_closes(D), symbol=symbol)
    found, play = prepared(known, [D], accepted=[D]), play_of()
    maker = RowMaker(play=play, data_feed="alpaca-sip", public_url=public_url)
    return maker.rows(found.keys, found.batch, judge_sessions(play.strategy, found.batch), found.accepted)[0]


@pytest.mark.parametrize("address", ["https://plays.example", "https://plays.example/"])
def test_an_entry_links_to_its_chart_where_the_service_has_an_address(address: str) -> None:
    row = row_of(story(), public_url=address, symbol="BRK.B")
    assert row.chart_link_entry == "https://plays.example/charts/BRK.B/2025-11-04"


def test_without_an_entry_or_without_an_address_there_is_no_link() -> None:
    assert row_of(quiet(), public_url="https://plays.example").chart_link_entry is None
    assert row_of(story()).chart_link_entry is None


def test_a_row_names_the_feed_that_its_bars_came_from() -> None:
    assert row_of(story()).data_feed == "alpaca-sip"


def test_only_the_row_of_a_session_that_was_short_says_that_it_was_accepted() -> None:
    short = {slot: bar for slot, bar in story().items() if slot < 150}
    assert row_of(short).notes.endswith("; accepted by name")
    assert row_of(short).accepted
    assert not row_of(story()).accepted


def test_a_row_is_a_first_one() -> None:
    assert (row_of(story()).trade_no, row_of(story()).revision) == (1, 0)
