"""The product's side of the benchmarks that run in one process: the one file here that knows its inside.

    python -m benchmarks.product FOLDER SYMBOLS

loads and judges so many symbols and makes the journal's text, for the peak memory of such a process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.data import Bars, make

MISSING = "benchmarks/product.py is not yet connected to trading_playbook"


def in_memory(bars: Bars) -> Any:
    """Read every symbol's bars and daily closes into what engine() takes. Not timed."""
    raise ImportError(MISSING)


def engine(loaded: Any) -> Any:
    """Judge every session from data.START to data.END of what in_memory() gave: no files, no text.

    The bars are 1-minute ones as a feed gives them; resampling, checks and indicators are part of the work.
    """
    raise ImportError(MISSING)


def load_and_judge(bars: Bars) -> Any:
    """Read the files and judge every session from data.START to data.END; returns what engine() returns."""
    raise ImportError(MISSING)


def entered(judged: Any) -> int:
    """Return how many of the judged sessions have a trade, to be held against the rivals' count."""
    raise ImportError(MISSING)


def to_text(judged: Any) -> str:
    """Return the journal of what was judged as its CSV text, a row a session."""
    raise ImportError(MISSING)


def main(argv: list[str]) -> None:
    """Do the whole work once and throw the text away."""
    folder, symbols = argv
    to_text(load_and_judge(make(Path(folder), int(symbols))))


if __name__ == "__main__":
    main(sys.argv[1:])
