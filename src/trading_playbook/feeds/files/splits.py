"""The splits of a folder of bars: splits.csv with symbol, ex_date, old, new."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from trading_playbook.core.daily import Split
from trading_playbook.core.errors import CheckData, FixRequest
from trading_playbook.core.parsing import parse_day, parse_symbol
from trading_playbook.feeds.files.columns import Cells, Needed, number_of
from trading_playbook.feeds.files.tables import faults_told
from trading_playbook.feeds.files.text import read_csv

COLUMNS = tuple(map(Needed, ("symbol", "ex_date", "old", "new")))
SymbolSplits = Mapping[str, dict[date, Split] | CheckData]


def read_splits(path: Path) -> SymbolSplits:
    """The splits of each symbol that the file names, by their ex-date, or what is wrong with them.

    An exact repeat counts once. Raises CheckData where the file as a whole, or whom a line concerns, is not understood.
    """
    with faults_told(path, kind="bad_split"):
        columns = read_csv(path, COLUMNS)
        symbols = [_symbol(columns["symbol"], position) for position in range(len(columns["symbol"].values))]
    found: dict[str, dict[date, Split] | CheckData] = {}
    for position, symbol in enumerate(symbols):
        known = found.setdefault(symbol, {})
        if isinstance(known, CheckData):
            continue
        try:
            with faults_told(path, kind="bad_split", symbol=symbol):
                _add(_split(columns, position), known, columns["ex_date"], position)
        except CheckData as error:
            found[symbol] = error
    return found


def _add(split: Split, known: dict[date, Split], ex_dates: Cells, position: int) -> None:
    if known.setdefault(split.ex_date, split) != split:
        raise ex_dates.refusal(position, "has another split already", "one split of a symbol on one day")


def _symbol(column: Cells, position: int) -> str:
    try:
        return parse_symbol(str(column.values[position]))
    except FixRequest:
        raise column.refusal(position, "is no symbol", "one such as QQQ or BRK.B") from None


def _split(columns: Mapping[str, Cells], position: int) -> Split:
    """The split on one line. Raises BadTable naming the line and the column that is not understood."""
    return Split(
        ex_date=_ex_date(columns["ex_date"], position),
        old=_shares(columns["old"], position),
        new=_shares(columns["new"], position),
    )


def _ex_date(column: Cells, position: int) -> date:
    try:
        return parse_day(str(column.values[position]).strip())
    except FixRequest:
        raise column.refusal(position, "is no date", "one such as 2024-06-10") from None


def _shares(column: Cells, position: int) -> float:
    try:
        shares = number_of(column.values[position])
    except ValueError:
        shares = math.nan
    if not 0 < shares < math.inf:
        raise column.refusal(position, "is no number of shares", "one above 0")
    return shares
