"""Bars to measure with: every session of 2025, made from a seed, the same in each run.

    python -m benchmarks.data FOLDER [--symbols N]

writes FOLDER/1Min/SYMBOL.parquet (timestamp in UTC, open, high, low, close, volume) and FOLDER/1Day/SYMBOL.parquet
(date instead of timestamp), snappy, one file a symbol. The calendar is written out here, none of
the product is used.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

VERSION = 1  # raised when the bars change, so that an older folder is made anew
START, END = date(2025, 1, 2), date(2025, 12, 31)
HISTORY = 300  # sessions of daily bars before START
MISSING = 0.003  # the share of minutes without a trade
TICKS = 4  # prices in a minute, of which open, high, low and close are taken
EARLY_CLOSES = {date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24)}
CLOSED = """
2023-09-04 2023-11-23 2023-12-25
2024-01-01 2024-01-15 2024-02-19 2024-03-29 2024-05-27 2024-06-19 2024-07-04 2024-09-02 2024-11-28 2024-12-25
2025-01-01 2025-01-09 2025-01-20 2025-02-17 2025-04-18 2025-05-26 2025-06-19 2025-07-04 2025-09-01 2025-11-27 2025-12-25
"""
NEW_YORK = ZoneInfo("America/New_York")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A folder of benchmark bars and the symbols in it."""

    folder: Path
    symbols: tuple[str, ...]
    sessions: int

    def minutes(self, symbol: str) -> Path:
        """Return the file of the symbol's 1-minute bars."""
        return self.folder / "1Min" / f"{symbol}.parquet"

    def days(self, symbol: str) -> Path:
        """Return the file of the symbol's daily bars."""
        return self.folder / "1Day" / f"{symbol}.parquet"


def weekdays(start: date, step: int) -> Iterator[date]:
    """Yield the exchange's open days from start on, in steps of 1 (forward) or -1 (backward) day."""
    closed = set(CLOSED.split())
    day = start
    while True:
        if day.weekday() < 5 and day.isoformat() not in closed:
            yield day
        day += timedelta(days=step)


def sessions_of_2025() -> list[date]:
    """Return the 250 sessions from START to END."""
    found: list[date] = []
    for day in weekdays(START, 1):
        if day > END:
            return found
        found.append(day)
    raise AssertionError("unreachable: the days do not end")


def sessions_before() -> list[date]:
    """Return the HISTORY sessions before START, oldest first."""
    days = weekdays(START - timedelta(days=1), -1)
    return [next(days) for _ in range(HISTORY)][::-1]


def session_minutes(day: date) -> tuple[Integers, Floats]:
    """Return the opening times of a session's minutes and how far each is through it.

    The times are microseconds since 1970 in UTC, the other runs from 0 to just under 1.
    """
    count = 210 if day in EARLY_CLOSES else 390
    opens = datetime.combine(day, time(9, 30), NEW_YORK)
    place = np.arange(count)
    return round(opens.timestamp()) * 1_000_000 + place * 60_000_000, place / count


def minute_bars(random: np.random.Generator, price: float, sessions: list[date]) -> tuple[dict[str, Any], Integers]:
    """Return the columns of a year of 1-minute bars and, for each, the number of its session (0 for the first).

    A random walk that begins at price (dollars) and is busier near the open and the close, as volume is.
    """
    times, through = zip(*(session_minutes(day) for day in sessions), strict=True)
    counts = np.array([len(one) for one in times])
    busy = 1.0 + 2.0 * (2.0 * np.concatenate(through) - 1.0) ** 2
    steps = random.normal(1e-7, 2.4e-4, (counts.sum(), TICKS)) * np.sqrt(busy)[:, None]
    first = np.cumsum(counts) - counts
    steps[first, 0] += random.normal(2e-4, 6e-3, len(counts))  # the night
    ticks = np.round(price * np.exp(np.cumsum(steps.ravel())).reshape(steps.shape), 2)
    columns = {
        "timestamp": np.concatenate(times),
        "open": ticks[:, 0],
        "high": ticks.max(axis=1),
        "low": ticks.min(axis=1),
        "close": ticks[:, -1],
        "volume": (8_000.0 * busy * random.lognormal(0.0, 0.6, len(busy))).astype(np.int64) + 1,
    }
    kept = random.random(len(busy)) >= MISSING
    number = np.repeat(np.arange(len(counts)), counts)
    return {name: values[kept] for name, values in columns.items()}, number[kept]


def daily_bars(random: np.random.Generator, minutes: dict[str, Any], number: Integers) -> dict[str, Any]:
    """Return the columns of the daily bars: HISTORY sessions that lead up to the minutes, and the minutes' own."""
    first = np.flatnonzero(np.diff(number, prepend=-1))
    last = np.append(first[1:], len(number)) - 1
    back = np.cumsum(random.normal(5e-4, 1.4e-2, HISTORY))[::-1]
    before = np.round(minutes["open"][0] * np.exp(-back), 2)
    opens = np.round(before * np.exp(random.normal(0.0, 5e-3, HISTORY)), 2)
    own = {
        "open": minutes["open"][first],
        "high": np.maximum.reduceat(minutes["high"], first),
        "low": np.minimum.reduceat(minutes["low"], first),
        "close": minutes["close"][last],
        "volume": np.add.reduceat(minutes["volume"], first),
    }
    past = {
        "open": opens,
        "high": np.round(np.maximum(before, opens) * 1.004, 2),
        "low": np.round(np.minimum(before, opens) * 0.996, 2),
        "close": before,
        "volume": random.integers(3_000_000, 9_000_000, HISTORY),
    }
    return {name: np.concatenate((past[name], own[name])) for name in own}


def write(path: Path, columns: dict[str, Any]) -> None:
    """Write a parquet file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    pq.write_table(pa.table(columns), part, compression="snappy")
    part.replace(path)


def make(folder: Path | None = None, symbols: int = 50) -> Bars:
    """Return a folder with the bars of so many symbols, made now unless they are there already.

    Without a folder they lie in the machine's temporary one and serve the next run too. A symbol's bars do not depend
    on how many symbols are made.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"trading-playbook-benchmarks-{os.getuid()}"
    sessions = sessions_of_2025()
    names = tuple(f"B{index:03d}" for index in range(symbols))
    made = Bars(folder=folder, symbols=names, sessions=len(sessions))
    mark = folder / "made.json"
    if mark.exists():
        known = json.loads(mark.read_text())
        if known["version"] == VERSION and known["symbols"] >= symbols:
            return made

    days = pa.array(sessions_before() + sessions, pa.date32())
    for index, symbol in enumerate(names):
        random = np.random.default_rng([VERSION, index])
        minutes, number = minute_bars(random, random.uniform(40.0, 500.0), sessions)
        daily = daily_bars(random, minutes, number)
        stamps = pa.array(minutes.pop("timestamp"), pa.timestamp("us", tz="UTC"))
        write(made.minutes(symbol), {"timestamp": stamps, **minutes})
        write(made.days(symbol), {"date": days, **daily})
    part = folder / f"made.{os.getpid()}.part"
    part.write_text(json.dumps({"version": VERSION, "symbols": symbols}))
    part.replace(mark)
    return made


def main() -> None:
    """Make the bars and say where they are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description="Make the benchmarks' bars.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--symbols", type=int, default=50)
    arguments = parser.parse_args()
    made = make(arguments.folder, arguments.symbols)
    print(f"{len(made.symbols)} symbols of {made.sessions} sessions in {made.folder}")


if __name__ == "__main__":
    main()
