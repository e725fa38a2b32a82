"""Files of bars in the forms that people have them: the clean row, or a refusal that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bars import (
    NAMES,
    NEW_YORK,
    as_new_york,
    bar_lines,
    bar_table,
    csv_text,
    write_closes,
    write_parquet,
    write_text,
)
from tests.support.door import Door, Told, keys_of, newest_manifest, tree
from tests.support.market import Market, make_market
from trading_playbook.core.bars import Bars

FIRST, LAST = "2025-12-03", "2025-12-05"
CALL = ("--symbol", "QQQ", "--start", FIRST, "--end", LAST)

Written = Callable[[Bars], str | bytes]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Three sessions of QQQ; tests leave it as it is."""
    return make_market(tmp_path_factory.mktemp("small") / "bars", start=FIRST, end=LAST)


@pytest.fixture
def market(small: Market, tmp_path: Path) -> Market:
    return small.copy_to(tmp_path / "bars")


@pytest.fixture
def clean(door: Door, small: Market, tmp_path: Path) -> bytes:
    """The journal of the same bars in the documented form."""
    path = tmp_path / "clean" / "trades.csv"
    assert door(*small.call, *CALL, "--output", path).code == 0
    return path.read_bytes()


def judged(door: Door, market: Market, journal: Path) -> Told:
    return door(*market.call, *CALL, "--output", journal)


def as_csv(market: Market, text: str | bytes) -> None:
    """This text in the place of the market's intraday file."""
    (market.root / "2Min" / "QQQ.parquet").unlink()
    write_text(market.root / "2Min" / "QQQ.csv", text)


def require_refused(told: Told, code: int, journal: Path, *words: str) -> None:
    assert told.code == code, told.all
    assert "Traceback" not in told.all
    assert "a bug of" not in told.all
    for wanted in words:
        assert wanted in told.err, told.err
    assert not journal.parent.exists()


def lines_of(bars: Bars, **options: object) -> list[list[str]]:
    return bar_lines(bars, **options)  # type: ignore[arg-type]


def new_york(form: str) -> Callable[[datetime], str]:
    return lambda moment: moment.astimezone(NEW_YORK).strftime(form)


ORDER = ("volume", "close", "high", "timestamp", "low", "open")


def with_more_columns(bars: Bars) -> str:
    lines = [["7", *line, "", "0.5", "x"] for line in lines_of(bars, names=ORDER)]
    return csv_text(lines, names=("count", *ORDER, "Adj Close", "vwap", "symbol"))


def in_a_frame(bars: Bars) -> str:
    """As pandas writes a frame with its index, newest bar first, saved on Windows, with blank lines at the end."""
    lines = [[str(at), *line] for at, line in enumerate(reversed(lines_of(bars, stamp=as_new_york)))]
    return csv_text(lines, names=("", *NAMES)).replace("\n", "\r\n") + "\r\n\r\n"


UNDERSTOOD: Mapping[str, Written] = {
    "UTC": lambda bars: csv_text(lines_of(bars)),
    "an offset": lambda bars: csv_text(lines_of(bars, stamp=as_new_york)),
    "offsets of two kinds": lambda bars: csv_text(
        [pair[at % 2] for at, pair in enumerate(zip(lines_of(bars), lines_of(bars, stamp=as_new_york), strict=True))]
    ),
    "seconds and fractions": lambda bars: csv_text(
        lines_of(bars, stamp=lambda moment: moment.isoformat(timespec="milliseconds"))
    ),
    "the word UTC": lambda bars: csv_text(lines_of(bars, stamp=lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC")),
    "other order, other case, more columns": with_more_columns,
    "capitals": lambda bars: csv_text(lines_of(bars), names=[name.upper() for name in NAMES]),
    "blanks round the names": lambda bars: csv_text(lines_of(bars), names=[f" {name} " for name in NAMES]),
    "a frame's index": in_a_frame,
    "no last newline": lambda bars: csv_text(lines_of(bars)).rstrip("\n"),
    "a byte order mark": lambda bars: "\ufeff" + csv_text(lines_of(bars)),
    "quotes everywhere": lambda bars: csv_text(
        [[f'"{cell}"' for cell in line] for line in lines_of(bars)], names=[f'"{name}"' for name in NAMES]
    ),
    "blanks after commas": lambda bars: csv_text(lines_of(bars)).replace(",", ", "),
    "old line ends": lambda bars: csv_text(lines_of(bars)).replace("\n", "\r"),
    "blank lines between": lambda bars: csv_text(lines_of(bars)).replace("\n", "\n\n"),
    "no volume in some lines": lambda bars: csv_text(
        [line if at % 7 else [*line[:5], ""] for at, line in enumerate(lines_of(bars))]
    ),
    "six decimals": lambda bars: csv_text(
        [[line[0], *(f"{float(cell):.6f}" for cell in line[1:])] for line in lines_of(bars)]
    ),
    "exponents": lambda bars: csv_text(
        [[line[0], *(f"{float(cell):.12e}" for cell in line[1:])] for line in lines_of(bars)]
    ),
}


def without_header(bars: Bars) -> str:
    lines = lines_of(bars, stamp=new_york("%m/%d/%Y,%H:%M"))
    return "".join(",".join(line) + "\n" for line in lines)


def some_naive(bars: Bars) -> str:
    lines = lines_of(bars)
    for at in (100, 200, 300):
        lines[at][0] = lines[at][0].removesuffix("Z")
    return csv_text(lines)


def halted(bars: Bars) -> str:
    lines = lines_of(bars)
    lines[5][4] = "halted"
    return csv_text(lines)


def epoch(unit: float) -> Written:
    return lambda bars: csv_text(lines_of(bars, stamp=lambda moment: str(int(moment.timestamp() * unit))))


def decimal_commas(bars: Bars) -> str:
    lines = [[line[0], *(cell.replace(".", ",") for cell in line[1:])] for line in lines_of(bars)]
    return "".join(";".join(line) + "\n" for line in (list(NAMES), *lines))


def stooq(bars: Bars) -> str:
    lines = [["QQQ.US", "5", *line] for line in lines_of(bars, stamp=new_york("%Y%m%d,%H%M%S"))]
    names = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>"
    return csv_text(lines, names=names.split(","))


REFUSED: Mapping[str, tuple[Written, list[str]]] = {
    "no header, New York time": (without_header, ["lacks the column", "timestamp"]),
    "no zone": (lambda bars: csv_text(lines_of(bars, stamp=new_york("%Y-%m-%d %H:%M:%S"))), ["line 2", "zone"]),
    "no zone in three lines": (some_naive, ["line 102", "zone or offset"]),
    "the broker's zone": (
        lambda bars: csv_text(lines_of(bars, stamp=new_york("%Y%m%d %H:%M:%S US/Eastern"))),
        ["line 2", "timestamp"],
    ),
    "a zone's name": (
        lambda bars: csv_text(lines_of(bars, stamp=new_york("%Y-%m-%d %H:%M:%S %Z"))),
        ["line 2", "timestamp"],
    ),
    "epoch seconds": (epoch(1), ["line 2", "timestamp"]),
    "epoch milliseconds": (epoch(1e3), ["line 2", "timestamp"]),
    "epoch nanoseconds": (epoch(1e9), ["line 2", "timestamp"]),
    "day first": (
        lambda bars: csv_text(lines_of(bars, stamp=lambda moment: f"{moment:%d/%m/%Y %H:%M}Z")),
        ["line 2", "timestamp"],
    ),
    "semicolons and decimal commas": (decimal_commas, ["lacks the column", "semicolons"]),
    "decimal commas alone": (
        lambda bars: csv_text([[line[0], *(c.replace(".", ",") for c in line[1:])] for line in lines_of(bars)]),
        ["line 2"],
    ),
    "tabs": (lambda bars: csv_text(lines_of(bars)).replace(",", "\t"), ["lacks the column", "tabs"]),
    "Stooq's": (stooq, ["lacks the column", "timestamp"]),
    "a column missing": (
        lambda bars: csv_text([line[:-2] + line[-1:] for line in lines_of(bars)], names=[*NAMES[:-2], "volume"]),
        ["lacks the column close"],
    ),
    "a column twice": (
        lambda bars: csv_text([[*line, line[4]] for line in lines_of(bars)], names=[*NAMES, "Close"]),
        ["close", "twice"],
    ),
    "a word for a price": (halted, ["line 7", "close 'halted' is no number"]),
    "thousands in groups": (
        lambda bars: csv_text([[line[0], *(f'"1,{c}"' for c in line[1:5]), line[5]] for line in lines_of(bars)]),
        ["line 2", "is no number"],
    ),
    "a currency": (
        lambda bars: csv_text([[line[0], *(f"${c}" for c in line[1:5]), line[5]] for line in lines_of(bars)]),
        ["line 2", "is no number"],
    ),
    "a header in the middle": (
        lambda bars: csv_text(lines_of(bars)[:9]) + csv_text(lines_of(bars)[9:]),
        ["line 11", "timestamp"],
    ),
    "a line cut off": (lambda bars: csv_text(lines_of(bars))[:-25], ["fields"]),
    "nothing": (lambda bars: "", ["empty"]),
    "names alone": (lambda bars: csv_text([]), ["empty"]),
    "UTF-16": (lambda bars: csv_text(lines_of(bars)).encode("utf-16"), ["UTF-8"]),
    "a parquet file by another name": (lambda bars: b"PAR1\x15\x04\xff\xfe" + bytes(200), ["UTF-8"]),
}  # fmt: skip


class TestText:
    @pytest.mark.parametrize("written", UNDERSTOOD.values(), ids=UNDERSTOOD)
    def test_what_is_certain_gives_the_clean_rows(
        self, door: Door, market: Market, journal: Path, clean: bytes, written: Written
    ) -> None:
        as_csv(market, written(market.bars["QQQ"]))
        told = judged(door, market, journal)
        assert (told.code, told.err) == (0, "")
        assert journal.read_bytes() == clean

    @pytest.mark.parametrize(("written", "words"), REFUSED.values(), ids=REFUSED)
    def test_what_is_not_certain_is_refused_and_nothing_is_touched(
        self, door: Door, market: Market, journal: Path, written: Written, words: list[str]
    ) -> None:
        as_csv(market, written(market.bars["QQQ"]))
        require_refused(judged(door, market, journal), 3, journal, "QQQ.csv", *words)

    def test_a_file_that_is_wrong_harms_no_other_symbol_and_the_record_says_so(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        market = make_market(tmp_path / "bars", ("QQQ", "NVDA"), FIRST, LAST)
        (market.root / "2Min" / "QQQ.parquet").write_bytes(b"PAR1 and no more")
        call = ("--symbol", "QQQ,NVDA", *CALL[2:])
        told = door(*market.call, *call, "--output", journal)
        assert (told.code, [name for _, name in keys_of(journal)]) == (3, ["NVDA"] * 3)
        (error,) = newest_manifest(journal.parent)["errors"]
        assert (error["symbol"], error["kind"]) == ("QQQ", "bad_file")
        market.save()
        assert door(*market.call, *call, "--output", journal).code == 0
        found = newest_manifest(journal.parent)["counts"]
        assert (found["added"], found["unchanged"]) == (3, 3)

    def test_bars_that_are_wrong_are_recorded_also_where_another_file_is_wrong_as_a_whole(
        self, door: Door, tmp_path: Path, journal: Path
    ) -> None:
        market = make_market(tmp_path / "bars", ("QQQ", "NVDA"), FIRST, FIRST)
        market.set(FIRST, "10:00", symbol="NVDA", low=0.0)
        (market.root / "2Min" / "QQQ.parquet").write_bytes(b"no bars")
        call = (*market.call, "--symbol", "QQQ,NVDA", "--start", FIRST, "--end", FIRST)
        assert door(*call, "--output", journal).code == 3
        assert {error["symbol"] for error in newest_manifest(journal.parent)["errors"]} == {"QQQ", "NVDA"}

    def test_two_files_of_one_symbol_are_refused(self, door: Door, market: Market, journal: Path) -> None:
        write_text(market.root / "2Min" / "QQQ.csv", csv_text(lines_of(market.bars["QQQ"])))
        require_refused(judged(door, market, journal), 2, journal, "QQQ.parquet", "QQQ.csv", "remove one")

    @pytest.mark.parametrize("name", ["QQQ.csv", "my bars.csv", "bars.CSV", "download (1).csv"])
    def test_a_single_file_gives_the_rows_of_its_symbol(
        self, door: Door, market: Market, tmp_path: Path, journal: Path, name: str
    ) -> None:
        (market.root / "1Day" / "QQQ.parquet").unlink()
        assert judged(door, market, tmp_path / "folder" / "trades.csv").code == 0
        single = write_text(tmp_path / "one" / name, csv_text(lines_of(market.bars["QQQ"])))
        assert door("--data-dir", single, *CALL, "--output", journal).code == 0
        assert journal.read_bytes() == (tmp_path / "folder" / "trades.csv").read_bytes()


def typed(unit: str = "us", zone: str | None = "UTC") -> Callable[[Bars], Mapping[str, object]]:
    return lambda bars: bar_table(bars, unit=unit, zone=zone)


def decimals(bars: Bars) -> Mapping[str, object]:
    table = dict(bar_table(bars))
    for name in ("open", "high", "low", "close"):
        table[name] = pa.array([f"{value:.2f}" for value in getattr(bars, name)]).cast(pa.decimal128(12, 4))
    return table


def texts(bars: Bars) -> Mapping[str, object]:
    return {name: list(column) for name, column in zip(NAMES, zip(*lines_of(bars), strict=True), strict=True)}


PARQUET: Mapping[str, Callable[[Bars], Mapping[str, object]]] = {
    "seconds": typed("s"),
    "milliseconds": typed("ms"),
    "nanoseconds": typed("ns"),
    "New York": typed("us", "America/New_York"),
    "an offset": typed("us", "+09:00"),
    "decimals": decimals,
    "texts": texts,
    "single precision": lambda bars: {
        **bar_table(bars),
        **{name: getattr(bars, name).astype(np.float32) for name in ("open", "high", "low", "close")},
    },
    "other order and case": lambda bars: {
        name.upper(): column for name, column in reversed(list(bar_table(bars).items()))
    },
}
BAD_PARQUET: Mapping[str, tuple[Callable[[Bars], Mapping[str, object]], list[str]]] = {
    "no zone": (typed("us", None), ["timestamp", "tz_localize"]),
    "epoch milliseconds": (
        lambda bars: {**bar_table(bars), "timestamp": bars.opened // 1_000_000},
        ["timestamp holds numbers"],
    ),
    "milliseconds called microseconds": (
        lambda bars: {
            **bar_table(bars),
            "timestamp": pa.array(bars.opened // 1_000_000, pa.timestamp("us", tz="UTC")),
        },
        ["1970", "unit"],
    ),
    "seconds called milliseconds": (
        lambda bars: {
            **bar_table(bars),
            "timestamp": pa.array(bars.opened // 1_000_000_000, pa.timestamp("ms", tz="UTC")),
        },
        ["1970", "unit"],
    ),
    "dates": (
        lambda bars: {**bar_table(bars), "timestamp": [date(2025, 12, 3)] * len(bars.opened)},
        ["timestamp holds dates"],
    ),
    "an index without a name": (
        lambda bars: {
            "__index_level_0__" if name == "timestamp" else name: column for name, column in bar_table(bars).items()
        },
        ["lacks the column timestamp"],
    ),
    "lists": (
        lambda bars: {**bar_table(bars), "close": [[value] for value in bars.close.tolist()]},
        ["close"],
    ),
    "a time missing": (
        lambda bars: {**bar_table(bars), "timestamp": [None, *map(_moment, bars.opened[1:].tolist())]},
        ["row 1: timestamp is missing"],
    ),
}


def _moment(opened: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=opened // 1000)


class TestParquet:
    @pytest.mark.parametrize("table", PARQUET.values(), ids=PARQUET)
    def test_types_that_mean_the_same_give_the_clean_rows(
        self, door: Door, market: Market, journal: Path, clean: bytes, table: Callable[[Bars], Mapping[str, object]]
    ) -> None:
        write_parquet(market.root / "2Min" / "QQQ.parquet", table(market.bars["QQQ"]))
        told = judged(door, market, journal)
        assert (told.code, told.err) == (0, "")
        assert journal.read_bytes() == clean

    @pytest.mark.parametrize(("table", "words"), BAD_PARQUET.values(), ids=BAD_PARQUET)
    def test_types_that_mean_something_else_are_refused(
        self,
        door: Door,
        market: Market,
        journal: Path,
        table: Callable[[Bars], Mapping[str, object]],
        words: list[str],
    ) -> None:
        write_parquet(market.root / "2Min" / "QQQ.parquet", table(market.bars["QQQ"]))
        require_refused(judged(door, market, journal), 3, journal, "QQQ.parquet", *words)

    @pytest.mark.parametrize("keep", [0, 3, 100, 5_000, -1_000, -9, -1])
    def test_a_file_cut_off_is_refused(self, door: Door, market: Market, journal: Path, keep: int) -> None:
        path = market.root / "2Min" / "QQQ.parquet"
        path.write_bytes(path.read_bytes()[:keep])
        require_refused(judged(door, market, journal), 3, journal, "QQQ.parquet")

    def test_a_file_with_a_byte_flipped_is_refused_or_has_the_clean_rows(
        self, door: Door, market: Market, tmp_path: Path, clean: bytes
    ) -> None:
        path = market.root / "2Min" / "QQQ.parquet"
        write_parquet(path, bar_table(market.bars["QQQ"]), write_page_checksum=True)
        whole = path.read_bytes()
        for place in range(0, len(whole), len(whole) // 60):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
            journal = tmp_path / str(place) / "trades.csv"
            told = judged(door, market, journal)
            if told.code == 0:
                assert journal.read_bytes() == clean
            else:
                require_refused(told, 3, journal)


def at_hour(hour: int) -> Callable[[date], datetime]:
    return lambda day: datetime(day.year, day.month, day.day, hour, tzinfo=NEW_YORK)


class TestDailyCloses:
    @pytest.mark.parametrize(
        "stamp",
        [
            pytest.param(lambda day: f"{day}", id="dates"),
            pytest.param(lambda day: f"{day} 00:00:00", id="midnights without a zone"),
            pytest.param(lambda day: f"{day}T00:00:00Z", id="midnight UTC"),
            pytest.param(lambda day: at_hour(0)(day).isoformat(), id="midnight New York"),
            pytest.param(lambda day: at_hour(16)(day).isoformat(), id="the close"),
            pytest.param(lambda day: at_hour(16)(day).astimezone(UTC).isoformat(), id="the close in UTC"),
        ],
    )
    @pytest.mark.parametrize("name", ["date", "timestamp", "Date"])
    def test_no_stamp_moves_a_close_to_another_day(
        self, door: Door, market: Market, journal: Path, clean: bytes, stamp: Callable[[date], str], name: str
    ) -> None:
        (market.root / "1Day" / "QQQ.parquet").unlink()
        lines = [[stamp(day), "9", repr(close)] for day, close in market.closes["QQQ"].items()]
        write_text(market.root / "1Day" / "QQQ.csv", csv_text(lines, names=(name, "Adj Close", "Close")))
        told = judged(door, market, journal)
        assert (told.code, told.err) == (0, "")
        assert journal.read_bytes() == clean

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
    def test_midnights_in_parquet_are_the_dates_they_stand_for(
        self, door: Door, market: Market, journal: Path, clean: bytes, zone: str
    ) -> None:
        days, closes = market.closes["QQQ"].keys(), list(market.closes["QQQ"].values())
        midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC if zone == "UTC" else NEW_YORK) for day in days]
        write_parquet(
            market.root / "1Day" / "QQQ.parquet",
            {"timestamp": pa.array(midnights, pa.timestamp("us", tz=zone)), "close": closes},
        )
        assert judged(door, market, journal).code == 0
        assert journal.read_bytes() == clean

    @pytest.mark.parametrize(
        ("stamp", "words"),
        [
            (lambda day: f"{day:%m/%d/%Y}", "line 2"),
            (lambda day: f"{day:%Y%m%d}", "line 2"),
            (lambda day: str(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())), "line 2"),
            (lambda day: f"{day} 16:00:00", "tells no date"),
            (lambda day: f"{day}T03:00:00Z", "not certain"),
        ],
        ids=["month first", "digits", "epoch", "a time of day without a zone", "the night"],
    )  # fmt: skip
    def test_dates_that_are_not_certain_are_refused(
        self, door: Door, market: Market, journal: Path, stamp: Callable[[date], str], words: str
    ) -> None:
        (market.root / "1Day" / "QQQ.parquet").unlink()
        lines = [[stamp(day), repr(close)] for day, close in market.closes["QQQ"].items()]
        write_text(market.root / "1Day" / "QQQ.csv", csv_text(lines, names=("date", "close")))
        require_refused(judged(door, market, journal), 3, journal, "1Day", words)

    def test_closes_of_days_without_a_session_are_left_out_and_counted(
        self, door: Door, market: Market, journal: Path, clean: bytes
    ) -> None:
        odd = {date(2025, 11, 27): 1.0, date(2025, 11, 29): float("nan")}
        write_closes(market.root, "QQQ", {**market.closes["QQQ"], **odd})
        told = judged(door, market, journal)
        assert (told.code, journal.read_bytes()) == (0, clean)
        assert "QQQ: 2 daily closes left out because their date is no session" in told.out

    @pytest.mark.parametrize("close", [float("nan"), 0.0, -1.0, float("inf")])
    def test_an_impossible_close_keeps_the_sessions_that_need_it_from_being_judged(
        self, door: Door, market: Market, journal: Path, close: float
    ) -> None:
        market.closes["QQQ"][date(2025, 12, 3)] = close
        told = judged(door, market.save(), journal)
        assert (told.code, keys_of(journal)) == (3, [("2025-12-03", "QQQ")])
        assert "QQQ 2025-12-03: the daily close is" in told.err
        errors = newest_manifest(journal.parent)["errors"]
        assert {(error["session"], error["kind"], error["field"]) for error in errors} == {
            ("2025-12-04", "bad_close", "close"), ("2025-12-05", "bad_close", "close")}  # fmt: skip

    def test_closes_that_mean_no_value_never_spoil_the_journal(self, door: Door, market: Market, journal: Path) -> None:
        assert door(*market.call, "--symbol", "QQQ", "--start", FIRST, "--end", FIRST, "--output", journal).code == 0
        # Trading platforms write the largest float where they have nothing.
        for day in list(market.closes["QQQ"])[-10:-4]:
            market.closes["QQQ"][day] = 1.7976931348623157e308
        told = judged(door, market.save(), journal)
        assert b"inf" not in journal.read_bytes().replace(b"insufficient", b"")
        assert told.code == 3
        assert judged(door, market, journal).code == 3


class TestBars:
    FAULTS: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
        "no open": ({"open": float("nan")}, "open", "open is missing"),
        "no high": ({"high": float("nan")}, "high", "high is missing"),
        "no close": ({"close": float("nan")}, "close", "close is missing"),
        "a low without end": ({"low": float("-inf")}, "low", "low is -inf, which is no price"),
        "a high without end": ({"high": float("inf")}, "high", "high is inf, which is no price"),
        "a negative close": ({"close": -1.0}, "close", "close is -1.0, which is no price"),
        "a low of zero": ({"low": 0.0}, "low", "low is 0.0, which is no price"),
        "all minus one": ({"open": -1, "high": -1, "low": -1, "close": -1}, "open", "open is -1.0"),
        "all zero": ({"open": 0, "high": 0, "low": 0, "close": 0, "volume": 0}, "open", "open is 0.0"),
        "high below low": ({"open": 5, "high": 4, "low": 6, "close": 5}, "high", "high 4.0 is below low 6.0"),
        "open above high": ({"open": 9, "high": 6, "low": 4, "close": 5}, "open", "open 9.0 lies outside"),
        "open below low": ({"open": 3, "high": 6, "low": 4, "close": 5}, "open", "open 3.0 lies outside"),
        "close above high": ({"open": 5, "high": 6, "low": 4, "close": 9}, "close", "close 9.0 lies outside"),
        "close below low": ({"open": 5, "high": 6, "low": 4, "close": 3}, "close", "close 3.0 lies outside"),
    }

    @pytest.mark.parametrize("suffix", [".parquet", ".csv"])
    @pytest.mark.parametrize(("values", "field", "words"), FAULTS.values(), ids=FAULTS)
    def test_an_impossible_bar_keeps_just_the_sessions_that_need_it_without_a_row(
        self,
        door: Door,
        tmp_path: Path,
        journal: Path,
        suffix: str,
        values: Mapping[str, Any],
        field: str,
        words: str,
    ) -> None:
        market = make_market(tmp_path / "bars", start="2025-12-01", end=LAST, suffix=suffix)
        market.set("2025-12-03", "15:58", **values)
        told = door(*market.call, "--symbol", "QQQ", "--start", "2025-12-01", "--end", LAST, "--output", journal)
        assert told.code == 3
        assert f"QQQ 2025-12-03 15:58: {words}" in told.err
        assert [day for day, _ in keys_of(journal)] == ["2025-12-01", "2025-12-02", "2025-12-05"]
        found = newest_manifest(journal.parent)
        assert (found["outcome"], found["counts"]["refused"], found["counts"]["added"]) == ("data", 2, 3)
        assert [(error["session"], error["bar"], error["field"]) for error in found["errors"]] == [
            ("2025-12-03", "15:58", field), ("2025-12-04", "15:58", field)]  # fmt: skip

    @pytest.mark.parametrize("cell", ["", "null", "NaN", "NA", " ", "None"])
    def test_a_blank_or_null_price_in_a_csv_names_bar_and_field(
        self, door: Door, market: Market, journal: Path, cell: str
    ) -> None:
        lines = lines_of(market.bars["QQQ"])
        lines[195 + 10][3] = cell
        as_csv(market, csv_text(lines))
        told = judged(door, market, journal)
        assert (told.code, [day for day, _ in keys_of(journal)]) == (3, ["2025-12-03"])
        assert "QQQ 2025-12-04 09:50: low is missing" in told.err

    def test_exact_repeats_are_dropped_and_counted(
        self, door: Door, market: Market, journal: Path, clean: bytes
    ) -> None:
        market.repeat("2025-12-03", "10:00").repeat("2025-12-03", "10:00").repeat("2025-12-05", "09:30")
        told = judged(door, market, journal)
        assert (told.code, journal.read_bytes()) == (0, clean)
        assert "QQQ: 3 exact repeats of bars dropped" in told.out
        assert "QQQ: 3 exact repeats of bars dropped" in newest_manifest(journal.parent)["warnings"]

    @pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
    def test_repeats_that_disagree_name_the_slot_and_the_field(
        self, door: Door, market: Market, journal: Path, column: str
    ) -> None:
        own = market.bars["QQQ"]
        value = float(getattr(own, column)[market.at("2025-12-04", "11:00")])
        other: dict[str, Any] = {column: value + (1 if column in ("high", "volume") else -0.0001)}
        market.repeat("2025-12-04", "11:00", **other)
        told = judged(door, market, journal)
        assert (told.code, [day for day, _ in keys_of(journal)]) == (3, ["2025-12-03"])
        assert "QQQ 2025-12-04 11:00: " in told.err
        assert column in told.err

    @pytest.mark.parametrize("seconds", [1, 30, 60])
    def test_a_bar_on_no_border_of_its_timeframe_is_named(
        self, door: Door, market: Market, journal: Path, seconds: int
    ) -> None:
        own = market.bars["QQQ"]
        opened = own.opened.copy()
        opened[market.at("2025-12-05", "12:00")] += seconds * 1_000_000_000
        market.bars["QQQ"] = replace(own, opened=opened)
        told = judged(door, market.save(), journal)
        assert (told.code, [day for day, _ in keys_of(journal)]) == (3, ["2025-12-03", "2025-12-04"])
        assert "on no border of 2 minutes" in told.err
        assert "12:0" in told.err

    def test_bars_of_an_hour_are_refused(self, door: Door, market: Market, journal: Path) -> None:
        own = market.bars["QQQ"]
        hours = own.take(np.arange(0, len(own.opened), 5))
        write_parquet(market.root / "2Min" / "QQQ.parquet", bar_table(hours))
        told = judged(door, market, journal)
        require_refused(told, 3, journal, "10 minutes apart", "1 or 2 minutes")

    @pytest.mark.parametrize("time", ["15:50", "09:32"])
    def test_a_high_that_means_no_value_is_never_judged_as_a_price(
        self, door: Door, market: Market, journal: Path, time: str
    ) -> None:
        market.set("2025-12-04", time, high=1.7976931348623157e308)
        told = judged(door, market, journal)
        assert told.code == 3
        assert "inf" not in told.all


class TestSplits:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("symbol,ex_date,old,new\nQQQ,2025-12-04,1,0\n", "new"),
            ("symbol,ex_date,old,new\nQQQ,2025-12-04,one,4\n", "old"),
            ("symbol,ex_date,old,new\nQQQ,12/04/2025,1,4\n", "ex_date"),
            ("symbol,ex_date,old,new\nQQQ,2025-12-04,1,4\nQQQ,2025-12-04,1,5\n", "another split"),
            ("symbol,ex_date,ratio\nQQQ,2025-12-04,4\n", "lacks the columns old, new"),
            ("symbol,ex_date,old,new\n../QQQ,2025-12-04,1,4\n", "symbol"),
            ("", "empty"),
        ],
        ids=["no new share", "a word", "month first", "two on one day", "no columns", "no symbol", "nothing"],
    )
    def test_a_file_of_splits_that_is_wrong_is_refused(
        self, door: Door, market: Market, journal: Path, text: str, words: str
    ) -> None:
        write_text(market.root / "splits.csv", text)
        require_refused(judged(door, market, journal), 3, journal, "splits.csv", words)

    def test_a_split_of_another_symbol_that_is_wrong_does_no_harm(
        self, door: Door, market: Market, journal: Path, clean: bytes
    ) -> None:
        write_text(market.root / "splits.csv", "symbol,ex_date,old,new\nSPY,2025-12-04,1,0\nspy,2020-01-01,1,2\n")
        assert judged(door, market, journal).code == 0
        assert journal.read_bytes() == clean


def test_no_look_at_a_refused_file_changes_it(door: Door, market: Market, journal: Path) -> None:
    as_csv(market, "no bars")
    before = tree(market.root)
    assert judged(door, market, journal).code == 3
    assert tree(market.root) == before
