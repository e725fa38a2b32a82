"""CSV files of bars as people have them: understood to the last bit, or refused by what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from tests.support.bars import (
    NAMES,
    NEW_YORK,
    Stamp,
    as_new_york,
    as_utc,
    bar_lines,
    csv_text,
    minute_bars,
    require_same_bars,
    session_of,
    sessions_of,
    write_text,
)
from tests.unit.feeds.asking import bars_in, require_refused
from trading_playbook.core.bars import PRICES, Bars
from trading_playbook.core.grid import lay_out
from trading_playbook.core.schedule import Timetable

SESSION = session_of("2025-11-04")
BARS = minute_bars(SESSION)
LINES = bar_lines(BARS)
HEADER = ",".join(NAMES)
NEWFOUNDLAND = timezone(-timedelta(hours=3, minutes=30))
STAMPS: dict[str, Stamp] = {
    "blank instead of T": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}+00:00",
    "New York's offset": as_new_york,
    "New York's offset after T": lambda moment: moment.astimezone(NEW_YORK).isoformat(),
    "offset without colon": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S%z}",
    "offset of hours": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}+00",
    "blank before the zone": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S} UTC",
    "small letters": lambda moment: f"{moment:%Y-%m-%dt%H:%M:%S}z",
    "no seconds": lambda moment: f"{moment:%Y-%m-%dT%H:%M}Z",
    "milliseconds": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.000Z",
    "nanoseconds": lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}.000000000+00:00",
    "one line otherwise than the rest": lambda moment: as_utc(moment) if moment.minute else as_new_york(moment),
    "Newfoundland's offset of half an hour": lambda moment: moment.astimezone(NEWFOUNDLAND).isoformat(),
}


def shuffled_columns() -> str:
    """Open, close, high, low, as some vendors have them, and columns that nobody asked for."""
    names = ("volume", "open", "close", "high", "low", "timestamp")
    lines = [[*line, "588.1", "text"] for line in bar_lines(BARS, names=names)]
    return csv_text(lines, names=(*names, "vwap", "remark"))


def quoted() -> str:
    return "".join(",".join(f'"{field}"' for field in line) + "\n" for line in (NAMES, *LINES))


UNDERSTOOD: dict[str, Callable[[], str | bytes]] = {
    "the documented form": lambda: csv_text(LINES),
    "columns in another order and extra ones": shuffled_columns,
    "names in capital letters": lambda: csv_text(LINES, names=[name.upper() for name in NAMES]),
    "names with a capital and blanks": lambda: csv_text(LINES, names=[f" {name.title()} " for name in NAMES]),
    "a frame's own index first": lambda: csv_text(
        [[str(row), *line] for row, line in enumerate(LINES)], names=("", *NAMES)
    ),
    "newest bar first": lambda: csv_text(LINES[::-1]),
    "Windows line ends": lambda: csv_text(LINES).replace("\n", "\r\n"),
    "old Macintosh line ends": lambda: csv_text(LINES).replace("\n", "\r"),
    "a byte order mark": lambda: b"\xef\xbb\xbf" + csv_text(LINES).encode(),
    "blank lines at the end": lambda: csv_text(LINES) + "\n\n  \n",
    "blank lines between": lambda: csv_text(LINES).replace("\n", "\n\n"),
    "lines of commas at the end, as spreadsheets leave them": lambda: csv_text(LINES) + ",,,,,\n" * 3,
    "no line end after the last bar": lambda: csv_text(LINES).rstrip("\n"),
    "blanks after the commas": lambda: csv_text(LINES).replace(",", ", "),
    "blanks on both sides of the commas": lambda: csv_text(LINES).replace(",", " , "),
    "quotes everywhere": quoted,
    "quotes after blanks": lambda: quoted().replace(",", ", "),
}


@pytest.mark.parametrize("form", UNDERSTOOD)
def test_a_file_in_another_form_gives_the_very_same_bars(form: str, tmp_path: Path) -> None:
    write_text(tmp_path / "1Min" / "QQQ.csv", UNDERSTOOD[form]())
    require_same_bars(bars_in(tmp_path), BARS)


@pytest.mark.parametrize("form", STAMPS)
def test_a_time_with_a_zone_or_an_offset_is_understood_in_every_usual_form(form: str, tmp_path: Path) -> None:
    write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(bar_lines(BARS, stamp=STAMPS[form])))
    require_same_bars(bars_in(tmp_path), BARS)


def test_the_same_wall_time_is_another_instant_in_summer_and_in_winter(tmp_path: Path) -> None:
    bars = minute_bars(sessions_of("2025-10-31", "2025-11-03"))
    write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(bar_lines(bars, stamp=as_new_york)))
    require_same_bars(bars_in(tmp_path), bars)


UNCERTAIN = {
    "no zone": "2025-11-04 09:30:00",
    "no zone after T": "2025-11-04T09:30:00",
    "a zone in words": "20251104 09:30:00 US/Eastern",
    "a zone in words after dashes": "2025-11-04 09:30:00 America/New_York",
    "a zone in letters": "2025-11-04 09:30:00 EST",
    "seconds since 1970": "1762266600",
    "milliseconds since 1970": "1762266600000",
    "nanoseconds since 1970": "1762266600000000000",
    "seconds since 1970 with a fraction": "1762266600.0",
    "month first": "11/04/2025 09:30",
    "month first with a zone": "11/04/2025 09:30:00Z",
    "a date alone": "2025-11-04",
    "a time alone": "09:30:00Z",
    "no such day": "2025-02-30T14:30:00Z",
    "no such hour": "2025-11-04T24:00:00Z",
    "no such offset": "2025-11-04T14:30:00+25:00",
    "a week's day": "2025-W45-2T14:30:00Z",
    "a year far off": "9999-11-04T14:30:00Z",
    "other digits": "\uff12\uff10\uff12\uff15-11-04T14:30:00Z",
    "words": "yesterday",
    "a very long text": "x" * 3000,
    "nothing": "",
    "a blank": " ",
}


@pytest.mark.parametrize("form", UNCERTAIN)
@pytest.mark.parametrize("at", [0, 200, 389])
def test_a_time_that_is_not_certain_is_refused_by_line_and_text(form: str, at: int, tmp_path: Path) -> None:
    text = UNCERTAIN[form]
    lines = [list(line) for line in LINES]
    lines[at][0] = text
    path = write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    shown = repr(text[:40]) if text.strip() else "is missing"
    require_refused(answer := bars_in(tmp_path), path, f"line {at + 2}: timestamp {shown}", "with its zone or offset")
    assert len(str(answer)) < 400 + len(str(path))
    assert getattr(answer, "field", None) == "timestamp"


def test_three_lines_of_1560_without_a_zone_are_enough_to_refuse_a_file(tmp_path: Path) -> None:
    lines = bar_lines(minute_bars(sessions_of("2025-11-03", "2025-11-06")))
    assert len(lines) == 1560
    for at in (700, 701, 1200):
        lines[at][0] = lines[at][0].rstrip("Z")
    path = write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    require_refused(bars_in(tmp_path), path, f"line 702: timestamp {lines[700][0]!r} has no zone")


def test_lines_are_counted_as_an_editor_does_it(tmp_path: Path) -> None:
    lines = [list(line) for line in LINES]
    lines[9][4] = "abc"
    path = write_text(tmp_path / "1Min" / "QQQ.csv", "\r\n\r\n" + csv_text(lines).replace("\n", "\r\n\r\n"))
    require_refused(bars_in(tmp_path), path, "line 23: close 'abc' is no number")


def test_dates_of_other_digits_than_these_are_not_taken_for_the_epoch(tmp_path: Path) -> None:
    lines = bar_lines(BARS, stamp=lambda moment: f"{moment.year - 55}{as_utc(moment)[4:]}")
    path = write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    require_refused(bars_in(tmp_path), path, "timestamp run from 1970-11-04 14:30", "1990-01-01 to")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_without_one_of_the_columns_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    names = [other for other in NAMES if other != name]
    path = write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(bar_lines(BARS, names=names), names=names))
    require_refused(bars_in(tmp_path), path, f"lacks the column {name};", "expected are timestamp, open, high")


@pytest.mark.parametrize("again", ["close", " Close", "CLOSE"])
def test_a_column_that_stands_twice_is_refused(again: str, tmp_path: Path) -> None:
    text = csv_text([[*line, line[4]] for line in LINES], names=(*NAMES, again))
    path = write_text(tmp_path / "1Min" / "QQQ.csv", text)
    require_refused(bars_in(tmp_path), path, "the column close stands twice")


def vendor_lines(form: str, separator: str) -> list[str]:
    """Bars the way they are sold: date and time apart, in New York, by some form of strftime."""
    moments = [datetime.fromisoformat(line[0]).astimezone(NEW_YORK) for line in LINES]
    return [
        f"{moment:{form}}{separator}{separator.join(line[1:])}" for moment, line in zip(moments, LINES, strict=True)
    ]


NOT_OURS: dict[str, tuple[str | bytes, str]] = {
    "no line of names": ("\n".join(vendor_lines("%m/%d/%Y,%H:%M", ",")), "lacks the columns timestamp, open, high"),
    "names in angle brackets": (
        "\n".join(
            ["<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"]
            + [f"QQQ.US,1,{line},0" for line in vendor_lines("%Y%m%d,%H%M%S", ",")]
        ),
        "lacks the columns timestamp, open, high, low, close, volume",
    ),
    "semicolons and decimal commas": (
        csv_text(LINES).replace(",", ";").replace(".", ","),
        "separated by semicolons",
    ),
    "semicolons": (csv_text(LINES).replace(",", ";"), "separated by semicolons"),
    "tabs": (csv_text(LINES).replace(",", "\t"), "separated by tabs"),
    "decimal commas between commas": (
        HEADER + "\n" + csv_text(LINES).partition("\n")[2].replace(".", ","),
        "line 2 has 11 fields and the line of names has 6",
    ),
    "a line cut short": (csv_text(LINES)[:-25], "line 391 has"),
    "a line too long": (csv_text([*LINES[:9], [*LINES[9], "1"], *LINES[10:]]), "line 11 has 7 fields"),
    "nothing at all": ("", "is empty"),
    "blank lines alone": ("\n\n", "is empty"),
    "names and no bars": (HEADER + "\n", "is empty"),
    "letters beyond UTF-8": ("timestamp,opén\n".encode("latin-1"), "no text in UTF-8"),
    "sixteen bits a letter": (csv_text(LINES).encode("utf-16"), "no text in UTF-8"),
    "a quote that never ends": (csv_text(LINES).replace(LINES[-1][0], '"' + LINES[-1][0]), "it is no CSV"),
    "bytes of another kind of file": (b"PAR1\x00\x00\x15\x04", "lacks the columns"),
    "bars of 5 minutes": (csv_text(LINES[::5]), "its bars lie 5 minutes apart"),
    "bars of a day": (
        csv_text(bar_lines(minute_bars(sessions_of("2025-01-02", "2025-06-30")))[::390]),
        "its bars lie",
    ),
}


@pytest.mark.parametrize("kind", NOT_OURS)
def test_a_file_in_a_form_that_is_not_certain_is_refused_by_what_is_wrong(kind: str, tmp_path: Path) -> None:
    text, told = NOT_OURS[kind]
    path = write_text(tmp_path / "1Min" / "QQQ.csv", text)
    require_refused(bars_in(tmp_path), path, told)


NO_NUMBERS = {
    "words": "abc",
    "a dollar sign": "$588.76",
    "a decimal comma": "588,76",
    "commas at thousands": "1,588.76",
    "underscores": "5_88.76",
    "other digits": "\uff1588.76",
    "two points": "588.76.1",
    "two signs": "--588.76",
    "another base": "0x24C",
    "a truth": "True",
}


@pytest.mark.parametrize("column", NAMES[1:])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_a_text_that_is_no_number_is_refused_by_line_and_column(column: str, kind: str, tmp_path: Path) -> None:
    lines = [list(line) for line in LINES]
    lines[100][NAMES.index(column)] = f'"{NO_NUMBERS[kind]}"'
    path = write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    require_refused(bars_in(tmp_path), path, f"line 102: {column} {NO_NUMBERS[kind]!r} is no number")


@pytest.mark.parametrize("column", NAMES[1:])
@pytest.mark.parametrize("gap", ["", " ", "null", "NULL", "NaN", "nan", "None", "N/A"])
def test_a_value_that_is_missing_stays_missing(column: str, gap: str, tmp_path: Path) -> None:
    lines = [list(line) for line in LINES]
    lines[100][NAMES.index(column)] = gap
    write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    bars = bars_in(tmp_path)
    assert isinstance(bars, Bars)
    assert np.flatnonzero(np.isnan(getattr(bars, column))).tolist() == [100]


@pytest.mark.parametrize("column", PRICES)
@pytest.mark.parametrize("text", ["", "null", "-1", "0", "-0.0", "inf", "1e400"])
def test_the_core_names_bar_and_field_of_a_price_that_is_none(column: str, text: str, tmp_path: Path) -> None:
    lines = [list(line) for line in LINES]
    lines[100][NAMES.index(column)] = text
    write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    bars = bars_in(tmp_path)
    assert isinstance(bars, Bars)
    fault = lay_out(bars, Timetable.of([SESSION]), 2).faults[0]
    assert (fault.bar, fault.field) == ("11:10", column)


def test_fractions_of_a_second_are_read_to_the_nanosecond(tmp_path: Path) -> None:
    lines = bar_lines(BARS, stamp=lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}.123456789Z")
    write_text(tmp_path / "1Min" / "QQQ.csv", csv_text(lines))
    bars = bars_in(tmp_path)
    assert isinstance(bars, Bars)
    assert (bars.opened - BARS.opened == 123_456_789).all()
