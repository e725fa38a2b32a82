"""Parquet files of bars: every type that can hold them, quickly and exactly, and damaged ones by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bars import (
    NAMES,
    as_new_york,
    bar_lines,
    bar_table,
    daily_closes,
    minute_bars,
    require_same_bars,
    session_of,
    sessions_of,
    write_bars,
    write_folder,
    write_parquet,
)
from tests.unit.feeds.asking import bars_in, require_refused
from trading_playbook.core.bars import COLUMNS, PRICES, Bars

BARS = minute_bars(session_of("2025-11-04"))
TABLE = bar_table(BARS)
SOURCES = Path(__file__).parents[3] / "src"

Columns = dict[str, Any]


def prices_as(kind: pa.DataType, convert: Callable[[float], object]) -> Columns:
    return {
        **TABLE,
        **{name: pa.array([convert(price) for price in getattr(BARS, name).tolist()], kind) for name in PRICES},
    }


def timestamps_as(kind: pa.DataType, texts: list[str]) -> Columns:
    return {**TABLE, "timestamp": pa.array(texts, pa.string()).cast(kind)}


def in_cents(price: float) -> Decimal:
    return Decimal(f"{price:.2f}")


TEXTS = [line[0] for line in bar_lines(BARS, stamp=as_new_york)]
UNDERSTOOD: dict[str, Callable[[], Columns]] = {
    **{f"times in {unit}": lambda unit=unit: bar_table(BARS, unit=unit) for unit in ("s", "ms", "us", "ns")},  # type: ignore[misc]
    "times of New York": lambda: bar_table(BARS, zone="America/New_York"),
    "times of an offset": lambda: bar_table(BARS, zone="-05:00"),
    "times as texts": lambda: timestamps_as(pa.string(), TEXTS),
    "times as long texts": lambda: timestamps_as(pa.large_string(), TEXTS),
    "times as texts in a dictionary": lambda: timestamps_as(pa.dictionary(pa.int32(), pa.string()), TEXTS),
    "columns in another order and extra ones": lambda: {
        "symbol": ["QQQ"] * 390,
        "trade_count": list(range(390)),
        **{name: TABLE[name] for name in reversed(NAMES)},
        "__index_level_0__": list(range(390)),
    },
    "names with capitals and blanks": lambda: {f" {name.title()} ": values for name, values in TABLE.items()},
    "shorter floats": lambda: prices_as(pa.float32(), float),
    "decimals": lambda: prices_as(pa.decimal128(12, 4), in_cents),
    "wide decimals": lambda: prices_as(pa.decimal256(50, 20), in_cents),
    "prices as texts": lambda: prices_as(pa.string(), repr),
    "volume as a float": lambda: {**TABLE, "volume": BARS.volume},
    "volume without a sign": lambda: {**TABLE, "volume": pa.array(BARS.volume.astype(np.int64), pa.uint32())},
    "newest bar first": lambda: {name: values[::-1] for name, values in TABLE.items()},
}


@pytest.mark.parametrize("form", UNDERSTOOD)
def test_a_file_of_other_types_gives_the_very_same_bars(form: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "1Min" / "QQQ.parquet", UNDERSTOOD[form]())
    require_same_bars(bars_in(tmp_path), BARS)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"row_group_size": 100}, id="several row groups"),
        pytest.param({"compression": "zstd"}, id="zstd"),
        pytest.param({"compression": "none", "use_dictionary": False}, id="as it is"),
        pytest.param({"version": "1.0", "coerce_timestamps": "ms"}, id="an old version"),
        pytest.param({"store_schema": False}, id="without Arrow's schema"),
        pytest.param({"write_page_checksum": True}, id="with checksums"),
    ],
)
def test_a_file_may_be_laid_out_in_any_way(options: dict[str, Any], tmp_path: Path) -> None:
    write_parquet(tmp_path / "1Min" / "QQQ.parquet", TABLE, **options)
    require_same_bars(bars_in(tmp_path), BARS)


def test_prices_in_whole_dollars_are_prices(tmp_path: Path) -> None:
    whole = {name: np.rint(getattr(BARS, name)) for name in PRICES}
    write_parquet(
        tmp_path / "1Min" / "QQQ.parquet",
        {**TABLE, **{name: values.astype(np.int16) for name, values in whole.items()}},
    )
    require_same_bars(bars_in(tmp_path), replace(BARS, **whole))


def test_decimals_become_the_nearest_floats(tmp_path: Path) -> None:
    # Arrow's own cast of these misses the nearest float in more than a quarter of the cases.
    exact = [Decimal(number) / 10_000 for number in range(1_000_000, 1_000_390)]
    write_parquet(tmp_path / "1Min" / "QQQ.parquet", {**TABLE, "close": pa.array(exact, pa.decimal128(20, 6))})
    bars = bars_in(tmp_path)
    assert isinstance(bars, Bars)
    assert bars.close.tolist() == [float(price) for price in exact]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.decimal128(12, 4), pa.string(), pa.null()])
def test_a_value_that_is_null_stays_missing(column: str, kind: pa.DataType, tmp_path: Path) -> None:
    values = [None] * 390 if kind == pa.null() else pa.array(["500"] * 100 + [None] + ["500"] * 289).cast(kind)
    write_parquet(tmp_path / "1Min" / "QQQ.parquet", {**TABLE, column: pa.array(values, kind)})
    bars = bars_in(tmp_path)
    assert isinstance(bars, Bars)
    missing = np.flatnonzero(np.isnan(getattr(bars, column))).tolist()
    assert missing == (list(range(390)) if kind == pa.null() else [100])


MICROSECONDS = BARS.opened // 1_000
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "times without a zone": (lambda: pa.array(MICROSECONDS, pa.timestamp("us")), "the times in timestamp have no zone"),
    "whole numbers": (lambda: MICROSECONDS, "timestamp holds numbers"),
    "floats": (lambda: MICROSECONDS / 1e6, "timestamp holds numbers"),
    "whole numbers and a gap": (lambda: [None, *MICROSECONDS.tolist()[1:]], "row 1: timestamp is missing"),
    "dates": (lambda: pa.array([20396] * 390, pa.int32()).cast(pa.date32()), "timestamp holds dates"),
    "times of day": (lambda: pa.array([34200] * 390, pa.time32("s")), "the column timestamp holds time32"),
    "durations": (lambda: pa.array(MICROSECONDS, pa.duration("us")), "the column timestamp holds duration"),
    "truths": (lambda: [True] * 390, "the column timestamp holds bool"),
    "lists": (lambda: [[1]] * 390, "the column timestamp holds list"),
    "a gap": (
        lambda: pa.array([*MICROSECONDS.tolist()[:77], None, *MICROSECONDS.tolist()[78:]], pa.timestamp("us", "UTC")),
        "row 78: timestamp is missing",
    ),
    "a gap among nanoseconds": (
        lambda: pa.array([*BARS.opened.tolist()[:77], None, *BARS.opened.tolist()[78:]], pa.timestamp("ns", "UTC")),
        "row 78: timestamp is missing",
    ),
    "texts without a zone": (
        lambda: [text[:-6] for text in TEXTS],
        "row 1: timestamp '2025-11-04 09:30:00' has no zone",
    ),
    "a text without a zone": (lambda: [*TEXTS[:-1], TEXTS[-1][:-6]], "row 390: timestamp '2025-11-04 15:59:00'"),
    "texts of numbers": (lambda: list(map(str, MICROSECONDS)), "row 1: timestamp '1762266600000000'"),
    "milliseconds taken for microseconds": (
        lambda: pa.array(MICROSECONDS // 1_000, pa.timestamp("us", "UTC")),
        "timestamp run from 1970-01-21",
    ),
    "microseconds taken for milliseconds": (
        lambda: pa.array(MICROSECONDS, pa.timestamp("ms", "UTC")),
        "timestamp holds times before the year 1678 or after 2261",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_times_that_are_not_certain_are_refused_by_the_column_s_name(kind: str, tmp_path: Path) -> None:
    make, told = REFUSED[kind]
    path = write_parquet(tmp_path / "1Min" / "QQQ.parquet", {**TABLE, "timestamp": make()})
    require_refused(answer := bars_in(tmp_path), path, told)
    assert getattr(answer, "field", None) == "timestamp"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param([True] * 390, "the column close holds bool", id="truths"),
        pytest.param(TABLE["timestamp"], "the column close holds times", id="times"),
        pytest.param([{"price": 1.0}] * 390, "the column close holds struct", id="structures"),
        pytest.param(["500"] * 99 + ["abc"] + ["500"] * 290, "row 100: close 'abc' is no number", id="words"),
    ],
)
def test_a_column_that_holds_no_numbers_is_refused_by_its_name(values: object, told: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "1Min" / "QQQ.parquet", {**TABLE, "close": values})
    require_refused(bars_in(tmp_path), path, told)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_without_one_of_the_columns_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    columns = {other: values for other, values in TABLE.items() if other != name}
    path = write_parquet(tmp_path / "1Min" / "QQQ.parquet", columns)
    require_refused(bars_in(tmp_path), path, f"lacks the column {name};")


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "1Min" / "QQQ.parquet", {**TABLE, "CLOSE": TABLE["close"]})
    require_refused(bars_in(tmp_path), path, "the column close stands twice")


def test_a_file_without_a_row_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "1Min" / "QQQ.parquet", {name: values[:0] for name, values in TABLE.items()})
    require_refused(bars_in(tmp_path), path, "is empty")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_is_refused_by_its_name(share: float, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "1Min" / "QQQ.parquet", TABLE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    require_refused(bars_in(tmp_path), path, "no whole parquet file")


def test_a_flipped_bit_shows_where_the_file_has_checksums(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "1Min" / "QQQ.parquet", TABLE, write_page_checksum=True, compression="none", use_dictionary=False
    )
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))
    require_refused(bars_in(tmp_path), path, "no whole parquet file", "CRC")


def test_a_text_under_a_parquet_file_s_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1Min" / "QQQ.parquet"
    path.parent.mkdir()
    path.write_text("timestamp,open,high,low,close,volume\n")
    require_refused(bars_in(tmp_path), path, "no whole parquet file")


def test_columns_of_a_clean_file_are_neither_copied_nor_writable(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1Min" / "QQQ.parquet", bar_table(BARS, unit="ns"))
    bars = bars_in(tmp_path)
    assert isinstance(bars, Bars)
    for name in ("opened", *PRICES):
        # What numpy was lent by pyarrow has a base and no memory of its own.
        assert getattr(bars, name).base is not None
    for name in ("opened", *COLUMNS):
        assert not getattr(bars, name).flags.writeable


def test_reading_parquet_loads_neither_pandas_nor_pyarrow_s_compute_functions(tmp_path: Path) -> None:
    bars = minute_bars(sessions_of("2025-11-03", "2025-11-28"))
    write_folder(tmp_path, [bars], {"QQQ": daily_closes("2025-12-01", 227)})
    program = f"""
import sys
from datetime import date
from pathlib import Path
from trading_playbook.core.calendar import Calendar
from trading_playbook.feeds.files import FilesFeed
watched = ("pandas", "pyarrow", "pyarrow.compute", "pyarrow.dataset", "numpy.ma")
loaded = lambda: [name for name in watched if name in sys.modules]
feed = FilesFeed(Path({str(tmp_path)!r}), Calendar())
print(loaded())
closes = feed.daily_closes(["QQQ"], before=date(2025, 11, 3), count=200, through=date(2025, 11, 28))["QQQ"]
bars = feed.bars(["QQQ"], [], 2)["QQQ"]
print(loaded(), len(closes.days), len(bars.opened))
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    told = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.splitlines() == ["[]", f"['pyarrow'] 227 {len(bars.opened)}"]


@pytest.mark.parametrize("form", ["times as texts", "decimals", "prices as texts", "shorter floats"])
def test_rarer_types_do_without_pandas_too(form: str, tmp_path: Path) -> None:
    write_parquet(tmp_path / "1Min" / "QQQ.parquet", UNDERSTOOD[form]())
    program = f"""
import sys
from pathlib import Path
from trading_playbook.core.calendar import Calendar
from trading_playbook.feeds.files import FilesFeed
bars = FilesFeed(Path({str(tmp_path)!r}), Calendar()).bars(["QQQ"], [], 2)["QQQ"]
print(len(bars.opened), "pandas" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    told = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["390", "False"]


def test_real_bars_are_the_same_from_parquet_and_from_a_csv_copy(real_bars: Path, tmp_path: Path) -> None:
    bars = bars_in(real_bars)
    assert isinstance(bars, Bars)
    write_bars(tmp_path, bars, ".csv")
    require_same_bars(bars_in(tmp_path), bars)
