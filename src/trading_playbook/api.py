"""The door for Python: the same run as the command's, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.journal import COLUMNS, JournalRow, Kind
from trading_playbook.core.parsing import parse_accepted, parse_day, parse_symbols
from trading_playbook.core.statistics import Statistics
from trading_playbook.runs import RunReport, RunRequest, run
from trading_playbook.wiring import (
    build_budget,
    build_clock,
    build_places,
    build_play,
    build_settings,
    build_tools,
    journal_in_memory,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Journal:
    """The judged rows of a run, in the journal's order, and what became of them."""

    report: RunReport

    @property
    def rows(self) -> tuple[JournalRow, ...]:
        return self.report.rows

    @property
    def statistics(self) -> Statistics:
        return self.report.statistics

    @property
    def errors(self) -> tuple[Exception, ...]:
        """What kept other sessions from being judged or written, the gravest not necessarily first."""
        return self.report.errors

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.report.warnings

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[JournalRow]:
        return iter(self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a frame with the journal's columns: dates as datetimes, flags and counts nullable."""
        import pandas as pd

        types = {Kind.FLAG: "boolean", Kind.COUNT: "Int64", Kind.NUMBER: "float64", Kind.DATE: "datetime64[s]"}
        return pd.DataFrame(
            {
                column.name: pd.Series(
                    [getattr(row, column.attribute) for row in self.rows], dtype=types.get(column.kind, "str")
                )
                for column in COLUMNS
            }
        )


def backtest(
    symbols: str | Iterable[str] | None = None,
    start: str | date | None = None,
    end: str | date | None = None,
    *,
    feed: str | None = None,
    data_dir: str | Path | None = None,
    strategy: str | None = None,
    params: Mapping[str, object] | None = None,
    cost: str | None = None,
    accept: Iterable[str] = (),
    output: str | Path | None = None,
    revise: bool = False,
    force_refresh: bool = False,
) -> Journal:
    """Judge sessions and return their rows; without start and end the nightly run.

    symbols: QQQ, or QQQ,SPY, or several; SYMBOLS where none is given. start, end: session dates, both ends in.
    params: the strategy's parameters by name. cost: none, bps:NUMBER or per_share:DOLLARS. accept: sessions as
    SYMBOL:YYYY-MM-DD. output: a path for the CSV journal; without one no journal is read and nothing is
    written. force_refresh: fetch again what the cache holds, and warn of what changed. All else is as
    on the command line, where `trading-playbook backtest --help` tells more.

    Where some sessions could be judged and others not, the journal's errors tell of the others. Where none could, the
    gravest error is raised.
    """
    _require_kind(str, "a text", {"feed": feed, "strategy": strategy, "cost": cost})
    _require_kind(str | Path, "a path", {"data_dir": data_dir, "output": output})
    settings = build_settings(output=str(output) if output else None)
    request = RunRequest(
        symbols=settings.symbols if symbols is None else _symbols(symbols),
        play=build_play(settings, strategy, _params(params), cost),
        start=_day(start),
        end=_day(end),
        accepted=frozenset(map(parse_accepted, accept)),
        revise=revise,
    )
    clock = build_clock()
    budget = build_budget(settings, clock)
    tools = build_tools(
        settings,
        clock=clock,
        budget=budget,
        places=build_places(settings, clock, budget, str(output)) if output else journal_in_memory(),
        feed=feed,
        data_dir=Path(data_dir) if data_dir else None,
        refresh=force_refresh,
    )
    report = run(request, tools)
    if report.error is not None and not report.rows:
        raise report.error
    return Journal(report)


def _require_kind(kind: Any, expected: str, given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, kind):
            raise FixRequest(f"{name} is {value!r}; expected {expected}")


def _symbols(given: str | Iterable[str]) -> tuple[str, ...]:
    named = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(symbol, str) for symbol in named):
        raise FixRequest(f"symbols is {given!r}; expected one or several texts")
    return parse_symbols(named)


def _params(given: object) -> Mapping[str, object]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise FixRequest(f"params is {given!r}; expected values by the names of parameters")
    return given


def _day(given: str | date | None) -> date | None:
    if given is None or (isinstance(given, date) and not isinstance(given, datetime)):
        return given
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, str):
        return parse_day(given)
    raise FixRequest(f"{given!r} is no date; expected a date or YYYY-MM-DD")
