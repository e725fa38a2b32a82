"""Symbols, dates and choices: read where they are certain, refused with the text and what was expected elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.parsing import parse_accepted, parse_choices, parse_day, parse_symbol, parse_symbols

LONG = "A" * 300


def refusal(parse: Callable[[], object]) -> str:
    with pytest.raises(FixRequest) as refused:
        parse()
    assert len(refused.value.message) < 250
    return refused.value.message


class TestSymbols:
    @pytest.mark.parametrize(
        ("text", "symbol"),
        [
            ("QQQ", "QQQ"),
            ("qqq", "QQQ"),
            (" Spy\t", "SPY"),
            ("A", "A"),
            ("BRK.B", "BRK.B"),
            ("brk.b", "BRK.B"),
            ("X2Y", "X2Y"),
            ("ABCDEFGHIJ", "ABCDEFGHIJ"),
            ("ABCDEFGH.B", "ABCDEFGH.B"),
        ],
    )
    def test_a_symbol_is_read_in_small_letters_too(self, text: str, symbol: str) -> None:
        assert parse_symbol(text) == symbol

    @pytest.mark.parametrize(
        "text",
        [
            *("", " ", "1QQQ", ".B", "BRK.", "BRK.1", "BRK.B.C", "BRK-B", "Q Q", "QQQ;", "$SPY", "^GSPC", "ES=F"),
            *("../../etc/passwd", "..", ".", "/QQQ", "QQQ/..", "C:\\QQQ", "QQQ\x00", "QQQ\nSPY", "%51QQ", "QQQ.csv2"),
            *("ABCDEFGHIJK", "ABCDEFGHI.B", LONG, "\u017fPY", "\uff31QQ", "QQQ\u00a0", "\u0391PL"),
        ],
    )
    def test_what_could_name_anything_else_is_refused(self, text: str) -> None:
        assert "is no symbol; expected letters and digits such as QQQ or BRK.B" in refusal(lambda: parse_symbol(text))

    def test_lists_give_each_symbol_once_in_the_order_of_their_first_naming(self) -> None:
        assert parse_symbols(["SPY, qqq,", "QQQ,NVDA", ""]) == ("SPY", "QQQ", "NVDA")
        assert parse_symbols([]) == ()
        assert parse_symbols([" , ,"]) == ()

    def test_one_bad_symbol_in_a_list_is_named(self) -> None:
        assert "'S!Y'" in refusal(lambda: parse_symbols(["QQQ,S!Y"]))


class TestDays:
    @pytest.mark.parametrize("day", [date(2025, 11, 4), date(1990, 1, 1), date(2024, 2, 29)])
    def test_a_date_is_read_in_its_one_form(self, day: date) -> None:
        assert parse_day(day.isoformat()) == day

    @pytest.mark.parametrize(
        "text",
        [
            *("", "2025-02-30", "2025-02-29", "2025-13-01", "2025-00-10", "0000-01-01", "1704067200", "20250901"),
            *("2025-9-1", "25-09-01", "2025-W36-1", "2025-09-01T00:00", "2025/09/01", "09/01/2025", "01.09.2025"),
            *(" 2025-09-01", "2025-09-01\n", "2025-09-01 ", "+2025-09-01", "\u0662\u0660\u0662\u0665-09-01", "today"),
        ],
    )
    def test_any_other_form_and_days_that_do_not_exist_are_refused(self, text: str) -> None:
        assert refusal(lambda: parse_day(text)) == f"{text!r} is no date; expected YYYY-MM-DD"


class TestAccepted:
    @pytest.mark.parametrize("text", ["QQQ:2026-03-04", " qqq:2026-03-04 "])
    def test_a_session_is_named_by_symbol_and_date(self, text: str) -> None:
        assert parse_accepted(text) == ("QQQ", date(2026, 3, 4))

    @pytest.mark.parametrize("text", ["", "QQQ", "2026-03-04"])
    def test_without_both_it_names_no_session(self, text: str) -> None:
        assert refusal(lambda: parse_accepted(text)) == f"{text!r} names no session; expected SYMBOL:YYYY-MM-DD"

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("QQQ:2026-02-30", "'2026-02-30' is no date"),
            ("QQQ:", "'' is no date"),
            (":2026-03-04", "'' is no symbol"),
            ("Q!:2026-03-04", "'Q!' is no symbol"),
            ("QQQ:2026-03-04:x", "'2026-03-04:x' is no date"),
        ],
    )
    def test_the_part_that_is_wrong_is_named(self, text: str, told: str) -> None:
        assert told in refusal(lambda: parse_accepted(text))


class TestChoices:
    def test_pairs_are_read_with_blanks_round_their_parts(self) -> None:
        assert parse_choices(["stop_atr=1.5", " window_end = 10:44 "]) == {"stop_atr": "1.5", "window_end": "10:44"}
        assert parse_choices([]) == {}

    def test_only_the_first_equals_sign_parts_name_and_value(self) -> None:
        assert parse_choices(["name=a=b"]) == {"name": "a=b"}

    @pytest.mark.parametrize("text", ["", "stop_atr", "=1.5", "stop_atr=", " = ", LONG])
    def test_what_is_no_pair_is_refused(self, text: str) -> None:
        assert refusal(lambda: parse_choices([text])) == f"{text[:40]!r} is no parameter; expected name=value"

    def test_a_name_comes_once(self) -> None:
        assert refusal(lambda: parse_choices(["shares=1", "shares=1"])) == "parameter 'shares' is named twice"
