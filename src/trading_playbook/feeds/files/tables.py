"""One way to read a file of either kind, and its faults as errors that a run can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from trading_playbook.core.errors import CheckData
from trading_playbook.feeds.files.columns import BadTable, Column, Needed
from trading_playbook.feeds.files.parquet import read_parquet
from trading_playbook.feeds.files.text import read_csv


def read_table(path: Path, needed: Sequence[Needed]) -> Mapping[str, Column]:
    """The needed columns of a parquet or CSV file, told apart by the name's end. Raises BadTable or OSError."""
    return read_csv(path, needed) if path.suffix.lower() == ".csv" else read_parquet(path, needed)


@contextmanager
def faults_told(path: Path, *, kind: str, symbol: str | None = None) -> Iterator[None]:
    """Turn what is wrong with a file into CheckData of this kind that names it."""
    whose = f"{symbol}: " if symbol else ""
    try:
        yield
    except BadTable as bad:
        raise CheckData(f"{whose}{path}: {bad.message}", kind=kind, symbol=symbol, field=bad.column) from bad
    except OSError as error:
        raise CheckData(f"{whose}{path} cannot be read: {error.strerror or error}", kind=kind, symbol=symbol) from error
