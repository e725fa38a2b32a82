"""Real bars and closes out of a folder of files, read with pyarrow alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from tests.support.stories import Timed

FIRST, LAST = date(2025, 9, 15), date(2026, 1, 21)
"""The sessions of which there are 1-minute bars, both ends in."""


def real_minutes(folder: Path, symbol: str) -> list[Timed]:
    """The symbol's 1-minute bars under their aware opening times."""
    table = pq.ParquetFile(folder / "1Min" / f"{symbol}.parquet").read()
    columns = (table.column(name).to_pylist() for name in ("timestamp", "open", "high", "low", "close"))
    return list(zip(*columns, strict=True))


def real_closes(folder: Path, symbol: str) -> list[tuple[date, float]]:
    """The symbol's raw daily closes."""
    table = pq.ParquetFile(folder / "1Day" / f"{symbol}.parquet").read()
    return list(zip(table.column("date").to_pylist(), table.column("close").to_pylist(), strict=True))
