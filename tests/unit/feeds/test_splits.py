"""splits.csv: the splits of a folder of bars, or what is wrong with them, told to those whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from tests.support.bars import CALENDAR, write_folder, write_text
from trading_playbook.core.daily import Split
from trading_playbook.core.errors import CheckData, PlaybookError
from trading_playbook.feeds.files import FilesFeed

FAR = date(2028, 12, 29)
NVDA = [Split(date(2021, 7, 20), 1.0, 4.0), Split(date(2024, 6, 10), 1.0, 10.0)]
TSLA = [Split(date(2022, 8, 25), 1.0, 3.0)]
GOOD = "symbol,ex_date,old,new\nNVDA,2021-07-20,1,4\nTSLA,2022-08-25,1,3\nNVDA,2024-06-10,1,10\n"


def splits_in(root: Path, through: date = FAR) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
    return FilesFeed(root, CALENDAR).splits(["NVDA", "TSLA", "QQQ"], through=through)


def test_each_symbol_has_its_own_splits(tmp_path: Path) -> None:
    write_folder(tmp_path, [], splits={"NVDA": NVDA, "TSLA": TSLA})
    assert splits_in(tmp_path) == {"NVDA": tuple(NVDA), "TSLA": tuple(TSLA), "QQQ": ()}


def test_a_folder_without_the_file_has_no_splits(tmp_path: Path) -> None:
    assert splits_in(tmp_path) == {"NVDA": (), "TSLA": (), "QQQ": ()}


def test_a_file_without_a_split_says_that_there_are_none(tmp_path: Path) -> None:
    write_text(tmp_path / "splits.csv", "symbol,ex_date,old,new\n")
    assert splits_in(tmp_path) == {"NVDA": (), "TSLA": (), "QQQ": ()}


def test_splits_after_the_day_asked_for_are_left_out(tmp_path: Path) -> None:
    write_text(tmp_path / "splits.csv", GOOD)
    assert splits_in(tmp_path, date(2024, 6, 9))["NVDA"] == tuple(NVDA[:1])
    assert splits_in(tmp_path, date(2024, 6, 10))["NVDA"] == tuple(NVDA)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + GOOD.replace("\n", "\r\n") + "\r\n", id="re-saved by a spreadsheet"),
        pytest.param(GOOD.replace(",", " , "), id="blanks"),
        pytest.param(GOOD.replace("NVDA", "nvda"), id="small letters"),
        pytest.param(GOOD.replace(",1,", ",1.0,"), id="floats"),
        pytest.param(GOOD + "NVDA,2024-06-10,1,10\nNVDA,2024-06-10,1,10.0\n", id="exact repeats"),
        pytest.param(
            "New,Old,Note,Symbol,Ex_Date\n4,1,a,NVDA,2021-07-20\n3,1,b,TSLA,2022-08-25\n10,1,c,NVDA,2024-06-10\n",
            id="columns in another order",
        ),
    ],
)
def test_a_file_in_another_form_tells_the_same_splits(text: str, tmp_path: Path) -> None:
    write_text(tmp_path / "splits.csv", text)
    assert splits_in(tmp_path) == {"NVDA": tuple(NVDA), "TSLA": tuple(TSLA), "QQQ": ()}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("NVDA,06/10/2024,1,10", "line 5: ex_date '06/10/2024' is no date; expected is one such as 2024-06-10"),
        ("NVDA,20240610,1,10", "line 5: ex_date '20240610' is no date"),
        ("NVDA,2024-02-30,1,10", "line 5: ex_date '2024-02-30' is no date"),
        ("NVDA,,1,10", "line 5: ex_date is missing"),
        ("NVDA,2025-06-10,0,10", "line 5: old '0' is no number of shares; expected is one above 0"),
        ("NVDA,2025-06-10,-1,10", "line 5: old '-1' is no number of shares"),
        ("NVDA,2025-06-10,1,ten", "line 5: new 'ten' is no number of shares"),
        ("NVDA,2025-06-10,1,inf", "line 5: new 'inf' is no number of shares"),
        ("NVDA,2025-06-10,1,nan", "line 5: new 'nan' is no number of shares"),
        ("NVDA,2025-06-10,1,", "line 5: new is missing"),
        ("NVDA,2024-06-10,1,20", "line 5: ex_date '2024-06-10' has another split already"),
    ],
)
def test_a_bad_line_is_told_to_its_symbol_alone(line: str, told: str, tmp_path: Path) -> None:
    path = write_text(tmp_path / "splits.csv", GOOD + line + "\nNVDA,2026-01-02,1,2\n")
    answers = splits_in(tmp_path, date(2020, 1, 1))
    assert isinstance(bad := answers["NVDA"], CheckData)
    assert (bad.kind, bad.symbol) == ("bad_split", "NVDA")
    assert str(bad).startswith(f"NVDA: {path}: {told}")
    assert splits_in(tmp_path)["TSLA"] == tuple(TSLA)
    assert answers["QQQ"] == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param("symbol,date,old,new\n", "lacks the column ex_date", id="a column with another name"),
        pytest.param(GOOD.replace(",", ";"), "separated by semicolons", id="semicolons"),
        pytest.param(GOOD + "AAPL,2020-08-31,1\n", "line 5 has 3 fields", id="a line cut short"),
        pytest.param(GOOD + "../x,2020-08-31,1,4\n", "line 5: symbol '../x' is no symbol", id="no symbol"),
        pytest.param(GOOD + ",2020-08-31,1,4\n", "line 5: symbol is missing", id="nobody's line"),
        pytest.param(b"\xff\xfe\x00", "no text in UTF-8", id="no text"),
    ],
)
def test_a_bad_file_is_told_to_every_symbol(text: str | bytes, told: str, tmp_path: Path) -> None:
    path = write_text(tmp_path / "splits.csv", text)
    for answer in splits_in(tmp_path).values():
        assert isinstance(answer, CheckData)
        assert answer.kind == "bad_split"
        assert str(answer).startswith(f"{path}: ")
        assert told in str(answer)


def test_a_folder_in_the_file_s_place_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").mkdir()
    answer = splits_in(tmp_path)["QQQ"]
    assert isinstance(answer, CheckData)
    assert str(answer) == f"{tmp_path / 'splits.csv'} cannot be read: Is a directory"
