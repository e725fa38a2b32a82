"""DP20 for one night and many symbols as a plain pandas script: the plain script's own steps, symbol after symbol.

It reads the files of a cache, which it takes as they are, and looks at the last two sessions alone.

    SYMBOLS=QQQ,SPY python benchmarks/rivals/pandas_night.py FOLDER DATE OUTPUT.csv

where FOLDER has 2Min/SYMBOL/YYYY-MM.parquet and 1Day/SYMBOL.parquet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.rivals.plain_pandas import COLUMNS, judge_session, two_minute_bars


def judge_night(bars: pd.DataFrame, daily: pd.DataFrame, day: date) -> dict[str, Any] | None:
    """Return the symbol's trade of that day, or None. bars are of 2 minutes; the session before must be among them."""
    closes = daily.set_index("date")["close"].sort_index()
    midnights = bars["timestamp"].dt.normalize()  # regular hours in New York lie on one day of UTC
    night = pd.Timestamp(day, tz="UTC")
    before = midnights[midnights < night].max()
    today, earlier = (two_minute_bars(bars[midnights == one]) for one in (night, before))
    return judge_session(day, today, earlier, closes)


def trades(folder: Path, symbols: list[str], day: date) -> Iterator[dict[str, Any]]:
    for symbol in symbols:
        bars = pd.read_parquet(folder / "2Min" / symbol / f"{day:%Y-%m}.parquet")
        daily = pd.read_parquet(folder / "1Day" / f"{symbol}.parquet")
        trade = judge_night(bars, daily, day)
        if trade:
            yield {"symbol": symbol, **trade}


def main(argv: list[str]) -> None:
    """Write the trades of that day to OUTPUT.csv."""
    folder, day, output = argv
    found = trades(Path(folder), os.environ["SYMBOLS"].split(","), date.fromisoformat(day))
    pd.DataFrame(list(found), columns=["symbol", *COLUMNS]).to_csv(output, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
