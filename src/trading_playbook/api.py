"""The door for Python: the same run as the command's, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trading_playbook.config import load_settings
from trading_playbook.core.journal import COLUMNS, JournalRow, Kind
from trading_playbook.core.parsing import parse_accepted, parse_day, parse_symbols
from trading_playbook.core.statistics import Statistics
from trading_playbook.runs import RunReport, RunRequest, run
from trading_playbook.wiring import build_clock, build_play, build_tools, journal_in_memory, journal_on_disk

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
) -> Journal:
    """Judge sessions and return their rows; without start and end the nightly run.

    symbols: QQQ, or QQQ,SPY, or several; SYMBOLS where none is given. start, end: session dates, both ends in.
    params: the strategy's parameters by name. cost: none, bps:NUMBER or per_share:DOLLARS. accept: sessions as
    SYMBOL:YYYY-MM-DD. output: a path for the CSV journal; without one no journal is read and nothing is
    written. All else is as on the
    command line, where `trading-playbook backtest --help` tells more.

    Where some sessions could be judged and others not, the journal's errors tell of the others. Where none could, the
    gravest error is raised.
    """
    settings = load_settings()
    named = [symbols] if isinstance(symbols, str) else list(symbols or ())
    request = RunRequest(
        symbols=parse_symbols(named) or settings.symbols,
        play=build_play(settings, strategy, dict(params or {}), cost),
        start=_day(start),
        end=_day(end),
        accepted=frozenset(map(parse_accepted, accept)),
        revise=revise,
    )
    clock = build_clock()
    tools = build_tools(
        settings,
        clock=clock,
        journal=journal_on_disk(settings, clock, str(output)) if output else journal_in_memory(),
        feed=feed,
        data_dir=Path(data_dir) if data_dir else None,
    )
    report = run(request, tools)
    if report.error is not None and not report.rows:
        raise report.error
    return Journal(report)


def _day(day: str | date | None) -> date | None:
    if isinstance(day, str):
        return parse_day(day)
    return day.date() if isinstance(day, datetime) else day
