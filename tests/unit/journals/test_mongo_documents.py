from __future__ import annotations

from datetime import date, datetime
from typing import Any

import bson
import pytest
from hypothesis import given

from tests.support.rows import any_rows, no_trade, trade
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import HEADER
from trading_playbook.journals.mongo.documents import (
    document_of,
    replaced_document,
    row_id,
    rows_of,
    still,
    update_to,
)

PLACE = "mongodb://host/playbook.trades"


def test_a_document_has_the_journals_columns_under_their_names_and_types() -> None:
    document = document_of(trade())
    assert document["_id"] == "dp20|p80720bba934c|QQQ|2025-11-04|1"
    assert set(document) == {"_id", "trade_day", *HEADER} - {"chart_link_entry"}
    assert document["trade_date"] == "2025-11-04"
    assert document["trade_day"] == datetime(2025, 11, 4)
    assert document["entered?"] is True
    assert (document["entry_price"], type(document["entry_price"])) == (605.0, float)
    assert (document["shares"], type(document["shares"])) == (100, int)
    assert document["entry_time_et"] == "10:06"


def test_what_does_not_apply_is_absent() -> None:
    assert "entry_price" not in document_of(no_trade())
    assert None not in document_of(no_trade()).values()


def test_no_two_keys_have_one_id() -> None:
    one = no_trade(strategy="a|b", params_hash="c")
    other = no_trade(strategy="a", params_hash="b|c")
    assert row_id(one.key) != row_id(other.key)
    assert rows_of([document_of(one), document_of(other)], PLACE) == [one, other]


@given(any_rows())
def test_every_row_comes_back_as_it_was(row: Any) -> None:
    stored = bson.decode(bson.encode(document_of(row)))
    [found] = rows_of([stored], PLACE)
    assert found == row
    assert repr(found) == repr(row)  # -0.0 is equal to 0.0, and 1 to 1.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("entry_price", 605),
        ("entry_price", bson.Int64(605)),
        ("shares", 100.0),
        ("shares", bson.Int64(100)),
        ("chart_link_entry", ""),
        ("chart_link_entry", None),
        ("fees_slippage", -0.0),
    ],
)
def test_what_a_shell_writes_is_read_where_its_meaning_is_certain(field: str, value: object) -> None:
    found = rows_of([document_of(no_trade()), {**document_of(trade()), field: value}], PLACE)
    assert repr(found) == repr([no_trade(), trade()])


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("entry_price", "605.0", "no number"),
        ("entry_price", True, "no number"),
        ("entry_price", float("nan"), "no number"),
        ("entry_price", float("inf"), "no number"),
        ("entry_price", bson.Decimal128("605.0"), "no number"),
        ("entry_price", 605.1234567, "more than 6 decimals"),
        ("shares", 1.5, "no whole number"),
        ("shares", -1, "no whole number"),
        ("shares", False, "no whole number"),
        ("entered?", 1, "neither true nor false"),
        ("entered?", "TRUE", "neither true nor false"),
        ("trade_date", datetime(2025, 11, 4), "no date written as the text"),
        ("trade_date", "4.11.2025", "no date written as the text"),
        ("trade_date", "2025-02-30", "no day of the calendar"),
        ("entry_time_et", "9:58", "no time written as the text"),
        ("entry_time_et", [], "no time written as the text"),
        ("symbol", 5, "no text"),
        ("notes", "=1+1", "a text that begins like a formula"),
        ("symbol", "SPY", "is not that of its row"),
        ("trade_no", 2, "is not that of its row"),
        ("reason", None, "is absent, which it never is"),
        ("revision", None, "is absent, which it never is"),
        ("data_hash", "", "is absent, which it never is"),
    ],
)
def test_what_is_no_row_is_refused_by_its_id_and_field(field: str, value: object, told: str) -> None:
    edited = {**document_of(trade()), field: value}
    with pytest.raises(FixRequest, match=told) as refused:
        rows_of([document_of(no_trade(symbol="SPY")), edited], PLACE)
    assert f"{PLACE}, document 'dp20|p80720bba934c|QQQ|2025-11-04|1'" in refused.value.message
    assert "left alone" in refused.value.message


def test_a_document_of_something_else_is_refused() -> None:
    with pytest.raises(FixRequest, match=r"document ObjectId\(.*trade_date is absent"):
        rows_of([{"_id": bson.ObjectId(), "user": "somebody"}], PLACE)


def test_a_flag_that_is_a_number_is_none_even_among_others() -> None:
    good, edited = document_of(trade()), {**document_of(trade(symbol="SPY")), "entered?": 1}
    with pytest.raises(FixRequest, match=r"SPY.*entered\?"):
        rows_of([good, edited], PLACE)


def test_a_row_that_no_run_could_read_again_is_not_written() -> None:
    with pytest.raises(ValueError, match="no number of a journal"):
        document_of(trade(entry_price=float("nan")))


def test_an_update_sets_what_applies_and_takes_away_what_does_not() -> None:
    update = update_to(no_trade(trade_date=date(2025, 11, 5)))
    assert set(update["$set"]) & set(update["$unset"]) == set()
    assert set(update["$set"]) | set(update["$unset"]) == {*HEADER, "trade_day"}
    assert "_id" not in update["$set"]


def test_a_document_is_found_again_as_long_as_all_columns_are_as_they_were_read() -> None:
    condition = still({**document_of(no_trade()), "mine": 1})
    assert set(condition) == {"_id", *HEADER}
    assert condition["entry_price"] is None


def test_the_history_keeps_each_content_of_a_revision_once_and_a_persons_fields_too() -> None:
    document = {**document_of(trade()), "mine": {"a.b": 1}}
    kept = replaced_document(document, trade())
    assert kept["mine"] == {"a.b": 1}
    assert kept["replaced_id"] == document["_id"]
    assert kept["_id"] == replaced_document(document, trade(notes="entered: other words"))["_id"]
    ids = {replaced_document(document, row)["_id"] for row in (trade(), trade(revision=1), trade(entry_price=606.0))}
    assert len(ids) == 3
    assert rows_of([kept], PLACE) == [trade()]
