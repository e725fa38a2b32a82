"""Writes the golden journals beside this from the bar files in data/, by the oracle alone: python -m tests.golden.make

The product never takes part. Each text has the journal's CSV form, with the reason alone in notes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from tests.oracle.dp20 import Split, journal, journal_text
from tests.oracle.sessions import DailyClose, MinuteBar

FOLDER = Path(__file__).parent
DATA = FOLDER / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One golden journal: which symbol, and what its owner chose."""

    symbol: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    cost: str = "none"


GOLDEN: Mapping[str, Golden] = {
    "hand.csv": Golden(symbol="HAND"),
    "simulated.csv": Golden(symbol="SIM"),
    "simulated-wider.csv": Golden(symbol="SIM", parameters={"stop_atr": 1.5, "window_end": "10:44"}),
    "simulated-costs.csv": Golden(symbol="SIM", cost="bps:1.5"),
}


def read_bars(symbol: str) -> list[MinuteBar]:
    """The symbol's 2-minute bars under their aware opening times."""
    with (DATA / "2Min" / f"{symbol}.csv").open(encoding="utf-8", newline="") as file:
        return [
            (
                datetime.fromisoformat(row["timestamp"]),
                float(row["open"]),
                float(row["high"]),
                float(row["low"]),
                float(row["close"]),
            )
            for row in csv.DictReader(file)
        ]


def read_closes(symbol: str) -> list[DailyClose]:
    """The symbol's raw daily closes."""
    with (DATA / "1Day" / f"{symbol}.csv").open(encoding="utf-8", newline="") as file:
        return [(date.fromisoformat(row["date"]), float(row["close"])) for row in csv.DictReader(file)]


def read_splits(symbol: str) -> list[Split]:
    """The symbol's splits: ex-date, old shares, new shares."""
    with (DATA / "splits.csv").open(encoding="utf-8", newline="") as file:
        return [
            (date.fromisoformat(row["ex_date"]), float(row["old"]), float(row["new"]))
            for row in csv.DictReader(file)
            if row["symbol"] == symbol
        ]


def golden_text(golden: Golden) -> str:
    """What the oracle says of every session that has bars."""
    bars = read_bars(golden.symbol)
    rows, without_row = journal(
        symbol=golden.symbol,
        minute_bars=bars,
        closes=read_closes(golden.symbol),
        splits=read_splits(golden.symbol),
        start=bars[0][0].date(),
        end=bars[-1][0].date(),
        parameters=golden.parameters,
        cost=golden.cost,
        bar_minutes=2,
    )
    assert not without_row, without_row
    return journal_text(rows)


def main() -> None:
    """Write every golden journal."""
    for name, golden in GOLDEN.items():
        (FOLDER / name).write_text(golden_text(golden), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
