from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_playbook.core.numbers import number_text, rounded
from trading_playbook.core.spreadsheet import (
    Uncertain,
    read_counts,
    read_dates,
    read_flags,
    read_numbers,
    read_texts,
    read_times,
)

NOV_4 = date(2025, 11, 4)
WEEK = [date(2025, 11, day) for day in (10, 11, 12, 13, 14)]


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_every_number_of_our_own_is_read_as_it_was(value: float) -> None:
    assert read_numbers([number_text(value)]) == {number_text(value): rounded(value)}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("605", 605.0),
        ("605.0", 605.0),
        ("605.00", 605.0),
        ("605.", 605.0),
        (".5", 0.5),
        ("-1.5", -1.5),
        ("-.5", -0.5),
        (" 605.5 ", 605.5),
        ("1.2E-05", 0.000012),
        ("1.2e-5", 0.000012),
        ("1E-06", 0.000001),
        ("-0.0", 0.0),
        ("123456789012", 123456789012.0),
    ],
)
def test_a_number_in_another_form_is_read_where_it_is_certain(cell: str, value: float) -> None:
    read = read_numbers([cell])
    assert read == {cell: value}
    assert str(read[cell]) != "-0.0"


@pytest.mark.parametrize("cell", ["1.2E+12", "1.2E12", "6E+02", "-1E+3", "1E0"])
def test_a_number_that_was_shortened_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="may have lost digits"):
        read_numbers(["605.0", cell])


@pytest.mark.parametrize("cell", ["605,5", "1,234.5", "1.234,5", "1,234", "-0,000012"])
def test_a_number_with_a_comma_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="has a comma"):
        read_numbers(["605.0", cell])


@pytest.mark.parametrize("cell", ["605.1234567", "1.23E-05", "1" * 400, "0." + "1" * 400, "1E-400", "9007199254740993"])
def test_a_number_of_more_digits_than_we_hold_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="more digits"):
        read_numbers([cell])


@pytest.mark.parametrize(
    "cell",
    [
        "abc",
        "########",
        "#NUM!",
        "$605.50",
        "5%",
        "(1.5)",
        "+1.5",
        "=1.5",
        "--1",
        "1 234.5",
        "nan",
        "inf",
        "1_0.5",
        "٦",
        ".",
    ],
)
def test_what_is_no_number_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="is no number"):
        read_numbers(["605.0", cell])


@pytest.mark.parametrize(("cell", "value"), [("100", 100), ("0", 0), ("100.0", 100), ("100.", 100), (" 7 ", 7)])
def test_a_count_may_have_been_given_decimals(cell: str, value: int) -> None:
    assert read_counts([cell]) == {cell: value}


@pytest.mark.parametrize("cell", ["100.5", "-1", "1E+02", "1,000", "a", "9" * 5000, "+1"])
def test_what_is_no_count_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="is no whole number"):
        read_counts([cell])


@pytest.mark.parametrize("cell", ["TRUE", "true", "True", " TRUE"])
def test_a_flag_may_be_in_any_case(cell: str) -> None:
    assert read_flags([cell, "FALSE", "false"]) == {cell: True, "FALSE": False, "false": False}


@pytest.mark.parametrize("cell", ["1", "0", "yes", "WAHR", "T", "=TRUE()"])
def test_what_is_no_flag_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="neither TRUE nor FALSE"):
        read_flags([cell])


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("09:58", "09:58"),
        ("9:58", "09:58"),
        ("10:00:00", "10:00"),
        ("9:58:00 AM", "09:58"),
        ("10:00 AM", "10:00"),
        ("12:30 PM", "12:30"),
        ("12:30 AM", "00:30"),
        ("1:54 PM", "13:54"),
        ("01:54 p.m.", "13:54"),
        ("1:54\u202fPM", "13:54"),
        ("15:54", "15:54"),
    ],
)
def test_a_time_in_another_form_is_read_where_it_is_certain(cell: str, label: str) -> None:
    assert read_times([cell]) == {cell: label}


@pytest.mark.parametrize(
    "cell", ["24:00", "10:60", "10:00:30", "13:54 PM", "0:30 AM", "10", "0.4166667", "10.00", "-10:00", "=A1", "10:00Z"]
)
def test_what_is_no_time_of_a_bar_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="is no time of a bar"):
        read_times([cell])


def test_an_afternoon_without_its_mark_is_refused() -> None:
    with pytest.raises(Uncertain, match="morning or the afternoon"):
        read_times(["9:58", "1:54"])


@pytest.mark.parametrize(
    "cell",
    [
        "2025-11-04",
        "2025-11-4",
        "2025/11/04",
        "2025/11/4",
        "2025.11.04",
        "2025. 11. 4.",
        "2025-11-04 00:00:00",
        "2025-11-04T00:00:00",
        "04.11.2025",
        "4.11.2025",
        "4-Nov-2025",
        "04 Nov 2025",
        "4 November 2025",
        "Nov 4, 2025",
        "NOV 4 2025",
        "Tuesday, November 4, 2025",
        "Tue 4 Nov 2025",
        "2025-Nov-04",
        "4-Nov-25",
        "Nov. 4, 2025 12:00:00 AM",
    ],
)
def test_a_date_whose_form_says_what_is_what_is_certain_alone(cell: str) -> None:
    assert read_dates([cell]) == {cell: NOV_4}


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %m %Y"])
def test_a_day_beyond_12_makes_the_whole_column_certain(form: str) -> None:
    cells = [f"{day:{form}}" for day in WEEK]
    assert list(read_dates(cells).values()) == WEEK


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y"])
def test_dates_whose_day_and_month_could_be_swapped_are_refused_by_the_first_of_them(form: str) -> None:
    # The 11th of November is the same in both orders, so it is not the first that is uncertain.
    cells = [f"{day:{form}}" for day in (date(2025, 11, 11), NOV_4, date(2025, 11, 5))]
    with pytest.raises(Uncertain, match="can mean 2025-04-11 or 2025-11-04: give the column the form") as refused:
        read_dates(cells)
    assert refused.value.cell == cells[1]


def test_dates_that_are_the_same_in_every_order_are_certain() -> None:
    assert read_dates(["11/11/2025", "12/12/2025"]) == {
        "11/11/2025": date(2025, 11, 11),
        "12/12/2025": date(2025, 12, 12),
    }


def test_dates_that_fit_no_one_order_are_refused() -> None:
    with pytest.raises(Uncertain, match="not in the order of those above") as refused:
        read_dates(["13/11/2025", "11/14/2025"])
    assert refused.value.cell == "11/14/2025"


def test_dates_of_our_own_among_rewritten_ones_decide_nothing() -> None:
    with pytest.raises(Uncertain, match="can mean"):
        read_dates(["2025-11-13", "04/11/2025"])
    assert read_dates(["2025-11-04", "13/11/2025"]) == {"2025-11-04": NOV_4, "13/11/2025": date(2025, 11, 13)}


def test_a_two_digit_year_is_certain_where_one_order_alone_fits() -> None:
    month_first = {f"{day:%m/%d/%y}": day for day in WEEK}
    assert read_dates(list(month_first)) == month_first
    # A day of one digit cannot be a year.
    day_first = {"4/11/25": NOV_4, "13/11/25": date(2025, 11, 13)}
    assert read_dates(list(day_first)) == day_first
    assert read_dates(["31/12/99", "4/1/99"]) == {"31/12/99": date(1999, 12, 31), "4/1/99": date(1999, 1, 4)}


@pytest.mark.parametrize("cell", ["13/11/25", "04.11.25", "04-Nov-25", "10-11-12"])
def test_a_two_digit_year_that_could_be_a_day_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="can mean 20"):
        read_dates([cell])


@pytest.mark.parametrize(
    "cell",
    [
        "2025-02-30",
        "45965",
        "abc",
        "########",
        "2025-11-04 16:00:00",
        "2025-11-04Z",
        "4. Okt 2025",
        "2025-13-04",
        "20251104",
        "11/2025",
        "=TODAY()",
        "0/0/2025",
        "4/11/202",
    ],
)
def test_what_is_no_date_is_refused(cell: str) -> None:
    with pytest.raises(Uncertain, match="is no date") as refused:
        read_dates(["2025-11-03", cell])
    assert refused.value.cell == cell


@given(
    st.lists(st.dates(min_value=date(1990, 1, 1), max_value=date(2030, 12, 31)), min_size=1, max_size=30),
    st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%m/%d/%y", "%d/%m/%y"]),
)
def test_a_column_of_one_form_is_read_as_it_was_meant_or_refused(days: list[date], form: str) -> None:
    cells = dict.fromkeys(f"{day:{form}}" for day in days)
    try:
        read = read_dates(cells)
    except Uncertain:
        return
    assert all(read[f"{day:{form}}"] == day for day in days)


def test_a_year_of_dates_is_certain_in_every_usual_form() -> None:
    days = [date(2025, 1, 1) + timedelta(days=passed) for passed in range(365)]
    for form in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%m/%d/%y"):
        assert list(read_dates([f"{day:{form}}" for day in days]).values()) == days


def test_a_text_is_taken_as_it_is() -> None:
    assert read_texts(["10:00-10:30", " a ", "1-2", "'=1"]) == {
        text: text for text in ("10:00-10:30", " a ", "1-2", "'=1")
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_text_that_begins_like_a_formula_is_refused(start: str) -> None:
    with pytest.raises(Uncertain, match="begins like a formula"):
        read_texts(["no_pullback", f"{start}HYPERLINK(A1)"])
