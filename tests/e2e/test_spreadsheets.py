"""A journal that a person or a spreadsheet had in hand: read where its meaning is certain, refused where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.door import Door, Told, keys_of, newest_manifest, rows_of, tree
from tests.support.market import DAYS, END, START, Market
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

LAST = DAYS[-1]
NIGHT = ("--today", "--now", f"{LAST}T18:00:00-05:00")


@pytest.fixture
def kept(door: Door, market: Market, journal: Path) -> Path:
    """A journal of all sessions but the last."""
    call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", DAYS[-2])
    assert door(*call, "--output", journal).code == 0
    return journal


@pytest.fixture
def whole(door: Door, market: Market, tmp_path: Path) -> bytes:
    """The journal of all sessions, as nobody but us wrote it."""
    path = tmp_path / "whole" / "trades.csv"
    assert door(*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", path).code == 0
    return path.read_bytes()


def night(door: Door, market: Market, journal: Path) -> Told:
    """The run of the last session's evening."""
    return door(*market.call, "--symbol", "QQQ", "--output", journal, *NIGHT)


SAVED = {
    "as it was": saved_again,
    "without quotes": lambda content, rewriting: saved_again(content, rewriting, quote_all=False),
    "on a Mac": lambda content, rewriting: saved_again(content, rewriting, line_end="\r"),
    "without a mark": lambda content, rewriting: saved_again(content, rewriting, byte_order_mark=False, line_end="\n"),
}


class TestCertain:
    @pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
    @pytest.mark.parametrize(
        "rewriting",
        [{}, DAY_FIRST, MONTH_FIRST, DOTTED, TWELVE_HOURS],
        ids=["nothing", "day first", "month first", "dots", "twelve hours"],
    )
    def test_a_journal_saved_again_gets_the_next_session_and_keeps_its_values(
        self,
        door: Door,
        market: Market,
        kept: Path,
        whole: bytes,
        saved: Callable[[bytes, Rewriting], bytes],
        rewriting: Rewriting,
    ) -> None:
        kept.write_bytes(saved(kept.read_bytes(), rewriting))
        told = night(door, market, kept)
        assert (told.code, told.err) == (0, "")
        assert newest_manifest(kept.parent)["counts"]["added"] == 1
        assert kept.read_bytes() == whole

    def test_a_run_that_has_nothing_to_add_leaves_the_spreadsheets_bytes(
        self, door: Door, market: Market, kept: Path
    ) -> None:
        kept.write_bytes(saved_again(kept.read_bytes(), DAY_FIRST))
        before = tree(kept.parent)["trades.csv"]
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", DAYS[-2])
        assert door(*call, "--output", kept).code == 0
        assert tree(kept.parent)["trades.csv"] == before

    def test_rows_in_another_order_and_columns_in_another_place_are_put_back(
        self, door: Door, market: Market, kept: Path, whole: bytes
    ) -> None:
        rows = rows_of(kept)
        names = sorted(rows[0])
        lines = [",".join(f'"{name}"' for name in names)]
        lines += [",".join(f'"{row[name]}"' for name in names) for row in reversed(rows)]
        kept.write_text("\n".join(lines), encoding="utf-8")
        assert night(door, market, kept).code == 0
        assert kept.read_bytes() == whole


class TestUncertain:
    @pytest.mark.parametrize(
        ("column", "cell", "words"),
        [
            ("trade_date", "11/12/2025", "can mean 2025-11-12 or 2025-12-11"),
            ("trade_date", "45965", "is no date"),
            ("trade_date", "2025-02-30", "is no date"),
            ("trade_date", "########", "is no date"),
            ("trade_date", "", "is empty"),
            ("entry_price", "1.2E+12", "may have lost digits"),
            ("sma200_daily_at_open", "1.2E+12", "may have lost digits"),
            ("sma200_daily_at_open", "605,5", "has a comma"),
            ("sma200_daily_at_open", "1,605.50", "has a comma"),
            ("sma200_daily_at_open", "#REF!", "is no number"),
            ("sma200_daily_at_open", "inf", "is no number"),
            ("sma200_daily_at_open", "nan", "is no number"),
            ("sma200_daily_at_open", "605.1234567", "more digits"),
            ("trend_valid", "WAHR", "is neither TRUE nor FALSE"),
            ("trend_valid", "1", "is neither TRUE nor FALSE"),
            ("entered?", "", "is empty"),
            ("shares", "20.5", "is no whole number"),
            ("shares", "-20", "is no whole number"),
            ("revision", "", "is empty"),
            ("first_close_below_time", "1:30", "morning or the afternoon"),
            ("first_close_below_time", "0.4201", "is no time"),
            ("symbol", "=QQQ", "like a formula"),
            ("symbol", "", "is empty"),
            ("notes", "@SUM(A1)", "like a formula"),
        ],
        ids=lambda text: ascii(text)[:24],
    )
    def test_a_cell_whose_meaning_is_not_certain_is_named_and_nothing_is_touched(
        self, door: Door, market: Market, kept: Path, column: str, cell: str, words: str
    ) -> None:
        content = kept.read_bytes()
        if column == "trade_date" and "/" in cell:
            content = saved_again(content, {})
            rows = content.decode("utf-8-sig").replace("2025-12-04", cell)
            kept.write_text(rows, encoding="utf-8", newline="")
        else:
            kept.write_bytes(with_cell(content, 5, column, cell))
        before = tree(kept.parent)
        told = night(door, market, kept)
        assert told.code == 2
        for each in (str(kept), "line", column, words):
            assert each in told.err, told.err
        assert "Traceback" not in told.all
        assert tree(kept.parent) == before

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda content: content.replace(b",", b";"), "semicolons"),
            (lambda content: content.replace(b",", b"\t"), "tabs"),
            (lambda content: content + content.splitlines(keepends=True)[3], "stands on line 4 too"),
            (lambda content: content[:-40], "line"),
            (lambda content: content.decode().encode("utf-16"), "UTF-8"),
            (lambda content: with_column(content, "mine", ["é"] * 13).decode().encode("cp1252"), "UTF-8"),
            (lambda content: content.replace(b"trade_date", b"Datum", 1), "lacks the journal's column trade_date"),
            (lambda content: content.split(b"\n", 1)[1], "is no journal"),
        ],
        ids=["semicolons", "tabs", "a row twice", "cut off", "UTF-16", "Latin letters", "a column renamed", "no names"],
    )
    def test_a_file_that_is_not_certain_as_a_whole_is_refused_and_left(
        self, door: Door, market: Market, kept: Path, change: Callable[[bytes], bytes], words: str
    ) -> None:
        kept.write_bytes(change(kept.read_bytes()))
        before = tree(kept.parent)
        told = night(door, market, kept)
        assert (told.code, words in told.err) == (2, True), told.err
        assert tree(kept.parent) == before

    def test_two_rows_of_one_key_are_named_with_both_lines(self, door: Door, market: Market, kept: Path) -> None:
        content = kept.read_bytes()
        kept.write_bytes(with_cell(content, 5, "trade_date", DAYS[0]))
        told = night(door, market, kept)
        assert (told.code, "line 5" in told.err, "stands on line 2 too" in told.err) == (2, True, True)


class TestPersonsHand:
    def test_a_persons_column_stays_with_its_rows_whatever_it_holds(
        self, door: Door, market: Market, kept: Path, whole: bytes
    ) -> None:
        cells = ["=SUM(A1:A9)", "+1", "-1", "@me", "ü, \"x\"", "", "1.2E+12", "\tx", "two\nlines", "05/06/07",
                 "true", "#REF!", "end"]  # fmt: skip
        kept.write_bytes(with_column(kept.read_bytes(), "my mood", cells))
        assert night(door, market, kept).code == 0
        rows = rows_of(kept)
        assert [row.pop("my mood") for row in rows] == [*cells, ""]
        assert rows == rows_of(whole)
        before = kept.read_bytes()
        assert night(door, market, kept).code == 0
        assert kept.read_bytes() == before

    def test_a_persons_column_stays_when_rows_are_revised_and_goes_with_them_to_the_history(
        self, door: Door, market: Market, kept: Path
    ) -> None:
        kept.write_bytes(with_column(kept.read_bytes(), "mine", [f"note {at}" for at in range(13)]))
        for day in list(market.closes["QQQ"])[:60]:
            market.closes["QQQ"][day] += 1
        call = (*market.save().call, "--symbol", "QQQ", "--start", START, "--end", END)
        assert door(*call, "--output", kept, "--revise").code == 0
        expected = [f"note {at}" for at in range(13)]
        assert [row["mine"] for row in rows_of(kept)] == [*expected, ""]
        assert [row["mine"] for row in rows_of(kept.with_name("trades.history.csv"))] == expected

    def test_a_row_deleted_by_hand_is_judged_again_by_a_run_over_it_and_not_before(
        self, door: Door, market: Market, kept: Path, whole: bytes
    ) -> None:
        lines = kept.read_bytes().splitlines(keepends=True)
        kept.write_bytes(b"".join(lines[:2] + lines[3:]))
        assert night(door, market, kept).code == 0
        assert (DAYS[1], "QQQ") not in keys_of(kept)
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END)
        assert door(*call, "--output", kept).code == 0
        assert kept.read_bytes() == whole

    def test_an_acceptance_survives_a_spreadsheet(self, door: Door, market: Market, journal: Path) -> None:
        market.cut(DAYS[-2], "14:00")
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", DAYS[-2], "--output", journal)
        assert door(*call, "--accept", f"QQQ:{DAYS[-2]}").code == 0
        journal.write_bytes(saved_again(journal.read_bytes(), DAY_FIRST))
        assert night(door, market, journal).code == 0

    @pytest.mark.parametrize("notes", ["{} ", "{}.", "{} - broker outage"])
    def test_an_acceptance_survives_a_remark_in_the_notes(
        self, door: Door, market: Market, journal: Path, notes: str
    ) -> None:
        market.cut(DAYS[-2], "14:00")
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", DAYS[-2], "--output", journal)
        assert door(*call, "--accept", f"QQQ:{DAYS[-2]}").code == 0
        told = rows_of(journal)[-1]["notes"]
        journal.write_bytes(with_cell(journal.read_bytes(), len(DAYS), "notes", notes.format(told)))
        assert night(door, market, journal).code == 0

    def test_no_cell_of_ours_acts_as_a_formula_and_a_negative_number_stays_one(
        self, door: Door, tmp_path: Path
    ) -> None:
        journal = tmp_path / "trades.csv"
        call = ("--feed", "simulated", "--symbol", "QQQ,SPY,IWM", "--start", "2024-01-02", "--end", "2024-12-31")
        assert door(*call, "--cost", "bps:2", "--output", journal).code == 0
        numbers = {"gross_pnl", "net_pnl", "R_multiple", "dist_to_ema_bps"}
        negative = 0
        for row in rows_of(journal):
            for name, cell in row.items():
                if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
                    assert name in numbers, (name, cell)
                    assert float(cell) < 0
                    negative += 1
                assert "e" not in cell.lower() or not cell[:1].isdigit()
        assert negative > 100
