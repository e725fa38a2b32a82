"""What the journal commands tell, as text in 80 columns and as values of JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import pairwise
from typing import TextIO

from trading_playbook.cli.summary import Style
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.comparison import Comparison, Difference
from trading_playbook.core.journal import JournalRow, differing_columns, row_values
from trading_playbook.core.statistics import Statistics, net_r, summarize
from trading_playbook.runs.copying import CopyReport
from trading_playbook.runs.inspection import Inspection
from trading_playbook.runs.recheck import Recheck
from trading_playbook.runs.report import error_facts, statistics_facts

WIDTH = 80
SHOWN = 20
"""So many rows or sessions are told one by one, where -v does not ask for all."""

TITLES = f"{'Date':<10} {'Symbol':<6} {'In':>5} {'Price':>9} {'Out':>5} {'Price':>9} {'Exit':<8} {'R':>7} {'Net $':>10}"


@dataclass(frozen=True, slots=True)
class Shown:
    """Rows of a journal to be shown. last: so many of them are listed, all where it is None."""

    place: str
    rows: Sequence[JournalRow]
    figures: Mapping[tuple[str, str], Statistics]
    last: int | None

    @classmethod
    def of(
        cls, place: str, rows: Sequence[JournalRow], overrides: Mapping[date, time | None], last: int | None
    ) -> Shown:
        calendar = Calendar(overrides)
        own: dict[tuple[str, str], list[JournalRow]] = {}
        for row in rows:
            own.setdefault((row.strategy, row.params_hash), []).append(row)
        return cls(place, rows, {play: summarize(rows, calendar) for play, rows in sorted(own.items())}, last)

    @property
    def listed(self) -> Sequence[JournalRow]:
        return self.rows if self.last is None else self.rows[-self.last :]

    def as_json(self) -> dict[str, object]:
        totals = [
            {"strategy": strategy, "params_hash": params, **statistics_facts(figures)}
            for (strategy, params), figures in self.figures.items()
        ]
        return {"place": self.place, "totals": totals, "rows": [row_values(row) for row in self.listed]}

    def as_text(self, stream: TextIO, *, notes: bool) -> str:
        """A block for each strategy and parameters, since figures of several would mean nothing."""
        style = Style.of(stream)
        if not self.rows:
            return f"{self.place}: no row fits."
        blocks = [self.place]
        for strategy, params in self.figures:
            own = [row for row in self.listed if (row.strategy, row.params_hash) == (strategy, params)]
            blocks.append(self._block(strategy, params, own, style, notes))
        return "\n\n".join(blocks)

    def _block(self, strategy: str, params: str, rows: Sequence[JournalRow], style: Style, notes: bool) -> str:
        figures = self.figures[strategy, params]
        lines = [style.heading(f"{strategy} {params}"), style.heading(TITLES)] if rows else [f"{strategy} {params}"]
        for row in rows:
            lines.append(_row_line(row, style))
            if notes:
                told = _plain(row.notes).removeprefix(f"{row.reason}: ")
                lines += textwrap.wrap(told, WIDTH, initial_indent=" " * 11, subsequent_indent=" " * 11)
        won = "" if figures.win_rate is None else f", {figures.wins} won ({figures.win_rate:.1%})"
        lines.append(style.heading(f"{_count(figures.sessions, 'session')}, {_count(figures.trades, 'trade')}{won}"))
        if figures.trades:
            total = f"{figures.total_r:+.2f} R  {figures.net_pnl:+,.2f} $"
            lines.append(
                f"{style.by_sign(total, figures.net_pnl)}  (fees {figures.fees:,.2f} $, "
                f"deepest drawdown {figures.max_drawdown_r:.2f} R)"
            )
        return "\n".join(lines)


def history_json(place: str, revisions: Sequence[Sequence[JournalRow]]) -> dict[str, object]:
    return {"place": place, "rows": [row_values(row) for own in revisions for row in own]}


def history_text(revisions: Sequence[Sequence[JournalRow]]) -> str:
    """Every revision of each row, oldest first, and what each changed of the one before."""
    lines: list[str] = []
    for own in revisions:
        lines.append(f"{own[-1].key}: {_count(len(own), 'revision')}")
        lines.append(f"  revision {own[0].revision}  {_plain(own[0].notes)}")
        for before, after in pairwise(own):
            lines.append(f"  revision {after.revision}  {_plain(after.notes)}")
            lines += _columns(differing_columns(before, after))
    return "\n".join(lines)


def diff_json(names: tuple[str, str], found: Comparison) -> dict[str, object]:
    return {
        "outcome": "equal" if found.is_equal else "different",
        "places": list(names),
        "equal": found.equal,
        "only_in_first": [_key(row) for row in found.only_one],
        "only_in_second": [_key(row) for row in found.only_other],
        "different": [_difference(each) for each in found.different],
        "other_bars": len(found.drifted),
    }


def diff_text(names: tuple[str, str], found: Comparison, *, whole: bool) -> str:
    lines = [f"A  {names[0]}", f"B  {names[1]}", f"{_count(found.equal, 'row')} equal"]
    if found.drifted:
        lines.append(f"  {len(found.drifted):,} of them judged on other bars")
    for name, rows in (("A", found.only_one), ("B", found.only_other)):
        if rows:
            lines.append(f"{_count(len(rows), 'row')} only in {name}")
            lines += _some([f"  {row.key}" for row in rows], whole)
    if found.different:
        lines.append(f"{_count(len(found.different), 'row')} different, A first")
        told = [[f"  {each.key}", *_columns(each.columns)] for each in found.different]
        lines += _some(["\n".join(own) for own in told], whole)
    return "\n".join(lines)


def copy_text(report: CopyReport) -> str:
    lines = [f"from  {report.source}", f"to    {report.target}"]
    counts = {
        "added": report.added,
        "there already": sum(result.unchanged for result in report.written),
        "in conflict, kept as they are there": sum(len(result.conflicts) for result in report.written),
        "replaced rows for the history": report.replaced,
    }
    lines += [f"  {count:>6,}  {what}" for what, count in counts.items() if count] or ["  no row fits"]
    lines.append(f"  outcome   {report.outcome}")
    lines += [f"  manifest  {report.manifest}"] if report.manifest else []
    return "\n".join(lines)


def verify_json(found: Sequence[Inspection]) -> dict[str, object]:
    return {
        "outcome": "well" if all(inspection.well for inspection in found) else "damaged",
        "places": [_inspection(inspection) for inspection in found],
    }


def verify_text(found: Sequence[Inspection]) -> str:
    return "\n\n".join(map(_inspection_text, found))


def recheck_json(found: Recheck) -> dict[str, object]:
    return {
        "outcome": "different" if found.different else "trouble" if found.error else "equal",
        "place": found.place,
        "data_feed": found.data_feed,
        "code_version": found.code_version,
        "equal": found.equal,
        "other_bars": [str(key) for key in found.drifted],
        "different": [{**_difference(each.difference), "why": list(each.why)} for each in found.different],
        "not_judged": [str(key) for key in found.unjudged],
        "unknown_parameters": [
            {"strategy": strategy, "params_hash": params, "rows": count}
            for (strategy, params), count in found.unknown.items()
        ],
        "errors": [error_facts(error) for error in found.errors],
        "warnings": list(found.warnings),
    }


def recheck_text(found: Recheck, *, whole: bool) -> str:
    lines = [found.place, f"judged again on {found.data_feed} by {found.code_version}"]
    lines.append(f"{_count(found.equal, 'row')} equal")
    if found.drifted:
        lines.append(f"  {len(found.drifted):,} of them judged on other bars than before, to the same end")
        lines += _some([f"    {key}" for key in found.drifted], whole)
    if found.different:
        lines.append(f"{_count(len(found.different), 'row')} different, the stored value first")
        told = [
            [f"  {each.difference.key}", *_columns(each.difference.columns), *_wrapped(each.why)]
            for each in found.different
        ]
        lines += _some(["\n".join(own) for own in told], whole)
    if found.unjudged:
        lines.append(f"{_count(len(found.unjudged), 'row')} not judged")
    lines += [
        f"{_count(count, 'row')} of {strategy} {params} not judged: no record tells these parameters; name them with "
        "--param and --cost"
        for (strategy, params), count in found.unknown.items()
    ]
    lines += _some([f"error: {error_facts(error)['message']}" for error in found.errors], whole)
    lines += _some([f"warning: {warning}" for warning in found.warnings], whole)
    return "\n".join(lines)


def _row_line(row: JournalRow, style: Style) -> str:
    head = f"{row.trade_date} {_plain(row.symbol):<6}"
    if not row.entered:
        return f"{head} {_plain(row.reason)}"
    net = row.net_pnl or 0.0
    return (
        f"{head} {row.entry_time_et or '':>5} {row.entry_price or 0.0:>9.2f} {row.eod_exit_time or '':>5} "
        f"{row.eod_exit_price or 0.0:>9.2f} {_plain(row.exit_reason or ''):<8} "
        + style.by_sign(f"{net_r(row):>+7.2f} {net:>+10,.2f}", net)
    )


def _key(row: JournalRow) -> dict[str, object]:
    names = ("trade_date", "symbol", "strategy", "params_hash", "trade_no")
    values = row_values(row)
    return {name: values[name] for name in names}


def _difference(found: Difference) -> dict[str, object]:
    return {**_key(found.one), "columns": {name: list(both) for name, both in found.columns.items()},
            "same_bars": found.same_bars}  # fmt: skip


def _columns(columns: Mapping[str, tuple[str, str]]) -> list[str]:
    return [
        f"    {name:<25} {_plain(one) or '(empty)':<20} {_plain(other) or '(empty)'}"
        for name, (one, other) in columns.items()
    ]


def _wrapped(lines: Iterable[str]) -> list[str]:
    return [textwrap.fill(line, WIDTH, initial_indent="    ", subsequent_indent="      ") for line in lines]


def _some(lines: Sequence[str], whole: bool) -> list[str]:
    if whole or len(lines) <= SHOWN:
        return list(lines)
    return [*lines[:SHOWN], f"  ... and {len(lines) - SHOWN:,} more; -v shows all"]


def _inspection(found: Inspection) -> dict[str, object]:
    return {
        "place": found.place,
        "outcome": "well" if found.well else "damaged",
        "rows": len(found.rows),
        "files": [
            {
                "place": file.place,
                "sha256": file.sha256,
                "rows": file.rows,
                "left_by_run": file.last_write.run_id if file.last_write else None,
            }
            for file in found.files
        ],
        "findings": [
            {
                "kind": finding.kind,
                "grave": finding.grave,
                "place": place,
                "symbol": finding.symbol,
                "session": finding.session.isoformat() if finding.session else None,
                "told": finding.told,
            }
            for place, finding in found.findings
        ],
    }


def _inspection_text(found: Inspection) -> str:
    lines = [found.place]
    trades = sum(row.entered for row in found.rows)
    lines.append(f"  {_count(len(found.rows), 'row')}, {_count(trades, 'trade')}, {_count(len(found.files), 'file')}")
    if len(found.files) == 1 and (link := found.files[0].last_write):
        lines.append(f"  as {link.run} left it")
    elif found.files and (left := sum(file.last_write is not None for file in found.files)):
        lines.append(f"  {left:,} of {len(found.files):,} files as a run left them")
    lines += [f"  {'wrong' if each.grave else 'note'}: {each.kind}: {each.told}" for _, each in found.findings]
    grave = sum(finding.grave for _, finding in found.findings)
    return "\n".join([*lines, "  all is well" if found.well else f"  {_count(grave, 'thing')} to mend"])


def _plain(text: str) -> str:
    """Text of a file for a terminal: what could steer one is left out."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
