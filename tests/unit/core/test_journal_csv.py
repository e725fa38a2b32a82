from __future__ import annotations

import csv
import random
from datetime import date
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.resaving import (
    DAY_FIRST,
    DOTTED,
    MONTH_FIRST,
    TWELVE_HOURS,
    Rewriting,
    saved_again,
    with_cell,
    with_column,
)
from tests.support.rows import any_rows, days_of_rows, no_trade, trade
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import HEADER, JournalRow
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, read_history, read_journal, write_journal

PLACE = "output/trades.csv"
ROWS = [*days_of_rows(20), trade(trade_date=date(2025, 11, 24), atr_pct_of_price=0.000012, mae=-0.5, net_pnl=-0.3)]


def _journal(rows: list[JournalRow]) -> StoredJournal:
    return StoredJournal(tuple(map(StoredRow, rows)))


CONTENT = write_journal(_journal(ROWS))


def _rows(content: bytes) -> list[JournalRow]:
    return [stored.row for stored in read_journal(content, PLACE).rows]


def test_the_file_has_the_form_of_the_specification() -> None:
    content = write_journal(_journal([trade(), no_trade(trade_date=date(2025, 11, 3), notes='no_data: "x"')]))
    header, first, second, rest = content.decode("ascii").split("\n")
    assert header == ",".join(HEADER)
    assert first == (
        "2025-11-03,TRUE,548.123456,10:00-10:30,,,,,FALSE,,,,,,,,,,,,,,,,,,,"
        '"no_data: ""x""",,QQQ,dp20,p80720bba934c,1,,,no_pullback,,,,,files,d0123456789ab,0'
    )
    assert second == (
        "2025-11-04,TRUE,548.123456,10:00-10:30,10:00,10:02,TRUE,10:04,TRUE,10:06,605.0,100,604.5,0.75,0.00124,0.9,604.1,"
        "10:00-10:10,18,15:54,603.5,-150.0,0.0,-150.0,0.9,-1.666667,8.271299,"
        '"entered: long 100 at 10:06 for 605.0, stop 604.1; pullback 10:00, reversal 10:02, confirmation 10:04",'
        ",QQQ,dp20,p80720bba934c,1,long,time,entered,-1.5,2.0,-1.666667,2.222222,files,d0123456789ab,0"
    )
    assert rest == ""


def test_an_empty_journal_is_its_header() -> None:
    assert write_journal(StoredJournal()) == (",".join(HEADER) + "\n").encode()
    assert read_journal(write_journal(StoredJournal()), PLACE) == StoredJournal()


@given(st.lists(any_rows(), max_size=5, unique_by=lambda row: row.key))
@settings(deadline=None)
def test_rows_of_any_content_come_back_and_are_written_the_same_again(rows: list[JournalRow]) -> None:
    content = write_journal(_journal(rows))
    stored = read_journal(content, PLACE)
    assert [each.row for each in stored.rows] == sorted(rows, key=lambda row: row.key)
    assert write_journal(stored) == content


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_has_no_effect_on_the_bytes(shuffling: random.Random) -> None:
    rows = list(ROWS)
    shuffling.shuffle(rows)
    assert write_journal(_journal(rows)) == CONTENT


def test_every_kind_of_line_end_in_a_cell_is_quoted() -> None:
    row = no_trade(notes="one\rtwo\nthree\r\nfour")
    content = write_journal(_journal([row]))
    assert b'"one\rtwo\nthree\r\nfour"' in content
    assert _rows(content) == [row]


@pytest.mark.parametrize("rewriting", [{}, DAY_FIRST, MONTH_FIRST, DOTTED, TWELVE_HOURS], ids=range(5))
@pytest.mark.parametrize("quote_all", [True, False])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_journal_saved_again_by_a_spreadsheet_means_the_same(
    rewriting: Rewriting, quote_all: bool, line_end: str
) -> None:
    again = saved_again(CONTENT, rewriting, quote_all=quote_all, line_end=line_end)
    assert again != CONTENT
    assert write_journal(read_journal(again, PLACE)) == CONTENT


def test_rows_in_another_order_and_empty_lines_mean_the_same() -> None:
    header, *lines = CONTENT.decode().splitlines()
    shuffled = "\n".join([header, "", *lines[::-1], "," * 42, ""])
    assert write_journal(read_journal(shuffled.encode(), PLACE)) == CONTENT


def test_a_file_without_its_last_line_end_means_the_same() -> None:
    assert write_journal(read_journal(CONTENT.rstrip(b"\n"), PLACE)) == CONTENT


@pytest.mark.parametrize(
    ("line", "column", "cell", "told"),
    [
        (3, "entry_price", "1.2E+12", "may have lost digits"),
        (4, "net_pnl", "-150,5", "has a comma"),
        (5, "trade_date", "########", "is no date"),
        (6, "trade_date", "45965", "is no date"),
        (7, "eod_exit_time", "0.6625", "is no time"),
        (8, "entered?", "WAHR", "neither TRUE nor FALSE"),
        (9, "shares", "1E+02", "is no whole number"),
        (10, "notes", "=HYPERLINK(1)", "begins like a formula"),
        (11, "symbol", "@QQQ", "begins like a formula"),
        (12, "entry_price", "=1+1", "is no number"),
        (21, "revision", "-1", "is no whole number"),
    ],
)
def test_a_cell_whose_meaning_is_not_certain_is_named_with_its_line_and_column(
    line: int, column: str, cell: str, told: str
) -> None:
    with pytest.raises(FixRequest) as refused:
        read_journal(with_cell(CONTENT, line, column, cell), PLACE)
    assert refused.value.message.startswith(f"{PLACE}, line {line}: {column} {cell!r} ")
    assert told in refused.value.message


def test_dates_that_could_be_swapped_are_refused_by_the_first_line_that_has_one() -> None:
    early = write_journal(_journal(days_of_rows(9)))
    again = saved_again(early, DAY_FIRST)
    with pytest.raises(
        FixRequest, match=r"trades\.csv, line 2: trade_date '03/11/2025' can mean 2025-03-11 or 2025-11-03"
    ):
        read_journal(again, PLACE)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    rows = [no_trade(trade_date=date(2025, 11, 3), notes="one\ntwo\nthree"), no_trade()]
    content = write_journal(_journal(rows)).replace(b"TRUE,548.123456,10:00-10:30", b"maybe,,10:00-10:30")
    assert content.count(b"maybe") == 2
    with pytest.raises(FixRequest, match="line 2: trend_valid"):
        read_journal(content, PLACE)
    with pytest.raises(FixRequest, match="line 5: trend_valid"):
        read_journal(content.replace(b"maybe", b"TRUE", 1), PLACE)


@pytest.mark.parametrize("column", ["trade_date", "symbol", "params_hash", "entered?", "data_feed", "revision"])
def test_a_cell_that_is_always_filled_must_be(column: str) -> None:
    with pytest.raises(FixRequest, match=rf"line 4: {column.replace('?', '[?]')} is empty"):
        read_journal(with_cell(CONTENT, 4, column, ""), PLACE)


def test_notes_that_a_person_cleared_are_read_as_none() -> None:
    content = with_cell(CONTENT, 2, "notes", "")
    assert _rows(content)[0].notes == ""
    assert write_journal(read_journal(content, PLACE)) == content


def test_two_rows_of_one_key_are_refused_and_both_lines_named() -> None:
    lines = CONTENT.splitlines(keepends=True)
    with pytest.raises(FixRequest, match="line 6: the row of QQQ 2025-11-04 stands on line 3 too"):
        read_journal(b"".join([*lines[:5], lines[2], *lines[5:]]), PLACE)


def test_a_history_holds_several_revisions_of_a_key_and_even_two_of_one() -> None:
    history = _journal([trade(revision=1), trade()])
    content = write_journal(history)
    assert [stored.row.revision for stored in read_history(content, PLACE).rows] == [0, 1]
    with pytest.raises(FixRequest, match="line 3: the row of QQQ 2025-11-04 stands on line 2 too"):
        read_journal(content, PLACE)
    of_one_revision = write_journal(_journal([trade(), trade(entry_price=605.5)]))
    assert len(read_history(of_one_revision, PLACE).rows) == 2


def test_a_file_that_holds_nothing_is_an_empty_journal() -> None:
    for nothing in (b"", b"\n", b"\xef\xbb\xbf", b"\r\n\r\n", b",,,\n"):
        assert read_journal(nothing, PLACE) == StoredJournal()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"hello\n", "is no journal; it was left alone"),
        (b"timestamp,open,high,low,close\n1,2,3,4,5\n", "is no journal; it was left alone"),
        (b"PAR1\0\0\1\2", "is no journal"),
        (CONTENT.decode().encode("utf-16"), "is no journal"),
        (CONTENT + "2025,ü\n".encode("latin-1"), "line 23: this is no UTF-8"),
        (CONTENT[:-40] + b',"unclosed', "this is no CSV"),
        (b'{"rows": []}', "is no journal"),
        (CONTENT.split(b"\n", 1)[1], "is no journal"),
    ],
    ids=["text", "bars", "binary", "UTF-16", "latin-1", "an open quote", "JSON", "no header"],
)
def test_a_file_that_is_no_journal_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(FixRequest) as refused:
        read_journal(content, PLACE)
    assert refused.value.message.startswith(PLACE)
    assert told in refused.value.message


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_refused_by_its_name(separator: str, name: str) -> None:
    text = StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(csv.reader(StringIO(CONTENT.decode())))
    with pytest.raises(FixRequest, match=f"is separated by {name}; save the journal as CSV with commas"):
        read_journal(text.getvalue().encode(), PLACE)


def test_a_journal_cut_short_in_its_last_row_is_refused() -> None:
    with pytest.raises(FixRequest, match="line 22"):
        read_journal(CONTENT[:-100], PLACE)


def test_columns_that_a_person_added_stay_with_their_rows_as_they_are() -> None:
    mine = ["=1+1", "", 'a "b", c', *[""] * 18]
    content = with_column(with_column(CONTENT, "mine", mine), "", ["x"] * 21)
    stored = read_journal(content, PLACE)
    assert stored.extra_header == ("mine", "")
    assert [row.extra for row in stored.rows[:3]] == [("=1+1", "x"), ("", "x"), ('a "b", c', "x")]
    assert write_journal(stored) == content


def test_a_persons_columns_move_to_the_end_and_ours_are_taken_by_their_names() -> None:
    inserted = with_column(CONTENT, "mine", [str(place) for place in range(21)], place=3)
    at_the_end = with_column(CONTENT, "mine", [str(place) for place in range(21)])
    assert write_journal(read_journal(inserted, PLACE)) == at_the_end


def test_our_columns_in_another_order_are_taken_by_their_names() -> None:
    reversed_columns = StringIO(newline="")
    csv.writer(reversed_columns).writerows(row[::-1] for row in csv.reader(StringIO(CONTENT.decode())))
    assert write_journal(read_journal(reversed_columns.getvalue().encode(), PLACE)) == CONTENT


def test_a_persons_column_at_the_end_may_have_the_name_of_ours() -> None:
    content = with_column(CONTENT, "notes", ["mine"] * 21)
    assert write_journal(read_journal(content, PLACE)) == content
    with pytest.raises(FixRequest, match="has the column notes twice"):
        read_journal(with_column(CONTENT, "notes", ["mine"] * 21, place=0), PLACE)


@pytest.mark.parametrize("column", ["notes", "trade_no", "mfe_R"])
def test_a_journal_without_one_of_our_columns_is_refused(column: str) -> None:
    rows = list(csv.reader(StringIO(CONTENT.decode())))
    place = rows[0].index(column)
    text = StringIO(newline="")
    csv.writer(text).writerows(row[:place] + row[place + 1 :] for row in rows)
    with pytest.raises(FixRequest, match=f"lacks the journal's column {column}"):
        read_journal(text.getvalue().encode(), PLACE)


def test_empty_columns_behind_are_dropped_and_cells_without_a_header_kept() -> None:
    again = saved_again(CONTENT, {}, empty_columns=3)
    assert read_journal(again, PLACE).extra_header == ()
    lines = CONTENT.splitlines(keepends=True)
    beyond = b"".join([*lines[:2], lines[2].replace(b"\n", b",,mine\n"), *lines[3:]])
    stored = read_journal(beyond, PLACE)
    assert stored.extra_header == ("",)
    assert [row.extra for row in stored.rows[:3]] == [("",), ("mine",), ("",)]


def test_other_rows_get_the_cells_of_the_rows_of_their_keys() -> None:
    stored = StoredJournal((StoredRow(trade(), ("seen",)),), ("mine",))
    rows = (trade(revision=1), no_trade(symbol="SPY"))
    assert stored.with_rows(rows).rows == (StoredRow(rows[0], ("seen",)), StoredRow(rows[1]))
    assert write_journal(stored.with_rows(rows)).splitlines()[2].endswith(b",0,")


def test_joining_brings_columns_together_by_their_names() -> None:
    history = StoredJournal((StoredRow(trade(), ("a", "b", "c")),), ("x", "", ""))
    newer = StoredJournal(
        (StoredRow(trade(revision=1), ("1", "2", "3")), StoredRow(no_trade(symbol="SPY"))), ("new", "", "x")
    )
    joined = history.joined_by(newer)
    assert joined.extra_header == ("x", "", "", "new")
    assert [row.extra for row in joined.rows] == [("a", "b", "c"), ("3", "2", "", "1"), ("", "", "", "")]


def test_joining_keeps_each_revision_once_as_it_was_last() -> None:
    joined = _journal([trade(notes="first")]).joined_by(_journal([trade(notes="last"), trade(revision=1)]))
    assert [stored.row for stored in joined.rows] == [trade(notes="last"), trade(revision=1)]


def test_joining_keeps_rows_of_one_revision_that_differ() -> None:
    joined = _journal([trade()]).joined_by(_journal([trade(entry_price=605.5)]))
    assert len(joined.rows) == 2
