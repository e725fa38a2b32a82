"""Which file holds what: a folder of timeframes, or a single file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.parsing import parse_symbol

DAILY = "1Day"
SPLITS = "splits.csv"
SUFFIXES = (".parquet", ".csv")
LONGEST_BAR = 2
"""Minutes."""

_MINUTES = (LONGEST_BAR, 1)  # of the folders there may be


@dataclass(frozen=True, slots=True)
class IntradayFile:
    """A file of intraday bars. minutes: their length, None where only the bars tell it."""

    path: Path
    minutes: int | None


@dataclass(frozen=True, slots=True)
class BarFolder:
    """root/{1Min,2Min,1Day}/SYMBOL.parquet or .csv, and root/splits.csv where there were any."""

    root: Path

    def require_room_for(self, symbols: Sequence[str]) -> None:
        """A folder has room for any symbols."""

    def intraday(self, symbol: str, minutes: int) -> IntradayFile:
        """The symbol's file of the longest bars that divide `minutes`. Raises FixRequest where there is none."""
        folders = {length: self.root / f"{length}Min" for length in _MINUTES if minutes % length == 0}
        for length, folder in folders.items():
            if path := _file_of(symbol, folder):
                return IntradayFile(path, length)
        places = " or ".join(map(str, folders.values()))
        raise FixRequest(
            f"{symbol}: no file of bars; looked for {_named(symbol)} in {places}. Put one there, or ask for another "
            "symbol",
            symbol=symbol,
        )

    def daily(self, symbol: str) -> Path | None:
        """The symbol's file of daily closes, where it has one."""
        return _file_of(symbol, self.root / DAILY)

    @property
    def has_daily(self) -> bool:
        """Whether daily closes are kept here at all."""
        return (self.root / DAILY).is_dir()

    @property
    def splits(self) -> Path | None:
        path = self.root / SPLITS
        return path if path.exists() else None


class SingleFile:
    """One file of intraday bars of one symbol."""

    has_daily = False
    splits = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked: set[str] = set()

    def require_room_for(self, symbols: Sequence[str]) -> None:
        """Raise FixRequest where more than one symbol is asked for, at once or one after the other."""
        self._asked.update(symbols)
        if len(self._asked) > 1:
            named = ", ".join(sorted(self._asked))
            raise FixRequest(f"{self._path} is one file, of one symbol, and not of {named}; give a folder of files")

    def intraday(self, symbol: str, minutes: int) -> IntradayFile:
        """The file, whose name may be anything but another symbol: then FixRequest."""
        if _symbol_written(self._path.stem) not in (None, symbol):
            raise FixRequest(
                f"{symbol}: {self._path} is by its name a file of {self._path.stem}; ask for that symbol, or rename it",
                symbol=symbol,
            )
        return IntradayFile(self._path, None)

    def daily(self, symbol: str) -> Path | None:
        """None: there is no file of daily closes beside it."""
        return None


def find(root: Path) -> BarFolder | SingleFile:
    """What lies at a path. Raises FixRequest where there is nothing, or a file that is neither parquet nor CSV."""
    try:
        if root.is_dir():
            return BarFolder(root)
        if not root.exists():
            raise FixRequest(
                f"{root} does not exist; expected is a folder with 1Min, 2Min or 1Day in it, or one file of bars"
            )
    except OSError as error:
        raise FixRequest(f"{root} cannot be reached: {error.strerror}") from error
    if root.suffix.lower() not in SUFFIXES:
        raise FixRequest(f"{root} is no file of bars; expected is a name that ends in {' or '.join(SUFFIXES)}")
    return SingleFile(root)


def _file_of(symbol: str, folder: Path) -> Path | None:
    """The one file of a symbol in a folder. Raises FixRequest where there are two, or the name would lead elsewhere."""
    if symbol != _symbol_written(symbol):
        raise FixRequest(f"{symbol[:40]!r} is no symbol, so no file is looked for", symbol=symbol[:40])
    found = [path for suffix in SUFFIXES if _is_file(path := folder / f"{symbol}{suffix}")]
    if len(found) > 1:
        raise FixRequest(
            f"{symbol}: both {found[0]} and {found[1]} are there, and which is right is not certain; remove one",
            symbol=symbol,
        )
    return found[0] if found else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a folder that may not be looked into; the newest Pythons say False
        raise FixRequest(f"{path} cannot be reached: {error.strerror}") from error


def _symbol_written(text: str) -> str | None:
    """The text where it is written as a symbol is, None otherwise."""
    try:
        return text if parse_symbol(text) == text else None
    except FixRequest:
        return None


def _named(symbol: str) -> str:
    return " and ".join(symbol + suffix for suffix in SUFFIXES)
