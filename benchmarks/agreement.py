"""Whether the rivals, and a journal of the product, tell the same trades.

    python -m benchmarks.agreement DATA_DIR SYMBOL START END [JOURNAL.csv]

prints each trade that not all of them have, and exits with 1 where there is one.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

NAMES = ("plain_pandas", "polars_script", "backtesting_py")


class Trade(NamedTuple):
    """A trade's facts: ISO date, New York times, prices in dollars and R, rounded to 6 decimals."""

    date: str
    entry_time: str
    entry: float
    stop: float
    exit_time: str
    exit: float
    r: float


JOURNAL = ("trade_date", "entry_time_et", "entry_price", "stop_price", "eod_exit_time", "eod_exit_price", "R_multiple")
RIVAL = ("date", "entry_time", "entry_price", "stop", "exit_time", "exit_price", "R")


def trades(path: Path, symbol: str | None = None) -> set[Trade]:
    """Return the trades in a rival's CSV file or in a journal, of one symbol where it is given."""
    found = trades_by_symbol(path)
    return set().union(*(own for name, own in found.items() if symbol is None or name in (symbol, "")))


def trades_by_symbol(path: Path) -> dict[str, set[Trade]]:
    """Return the trades of each symbol; those that are told without one stand under an empty one."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = JOURNAL if rows and "trade_date" in rows[0] else RIVAL
    found: dict[str, set[Trade]] = {}
    for row in rows:
        if row.get("entered?", "TRUE") == "TRUE":
            day, entry_time, entry, stop, exit_time, out, r = (row[name] for name in names)
            numbers = (round(float(text), 6) for text in (entry, stop, out, r))
            entry_price, stop_price, exit_price, multiple = numbers
            trade = Trade(day, entry_time, entry_price, stop_price, exit_time, exit_price, multiple)
            found.setdefault(row.get("symbol", ""), set()).add(trade)
    return found


def differences(told: dict[str, set[Trade]]) -> list[str]:
    """Return a line for each trade that not all of them tell, with the names of those that do; by date."""
    every = sorted(set().union(*told.values()))
    lines = []
    for trade in every:
        names = [name for name, has in told.items() if trade in has]
        if len(names) < len(told):
            lines.append(f"{' '.join(str(fact) for fact in trade)}: only {', '.join(names)}")
    return lines


def main(argv: list[str]) -> int:
    """Run the rivals, compare, print what differs and how many agree."""
    from benchmarks.rivals import backtesting_py, plain_pandas, polars_script

    folder, symbol, start, end, *journal = argv
    told = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, rival in zip(NAMES, (plain_pandas, polars_script, backtesting_py), strict=True):
            output = Path(scratch) / f"{name}.csv"
            rival.main([folder, symbol, start, end, str(output)])
            told[name] = trades(output)
    for path in journal:
        inside = trades(Path(path), symbol)
        told["journal"] = {trade for trade in inside if start <= trade.date <= end}
    different = differences(told)
    print(*different, sep="\n", end="\n" if different else "")
    print(f"{symbol} {start} to {end}: {', '.join(f'{name} {len(found)}' for name, found in told.items())} trades")
    print("they agree" if not different else f"{len(different)} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
