"""The summary of a run, as text that a person likes to read and as JSON for a program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from trading_playbook.core.journal import JournalRow
from trading_playbook.core.statistics import Statistics, net_r
from trading_playbook.ports import WriteResult
from trading_playbook.runs import RunReport

SHOWN_TRADES = 20
SHOWN_WARNINGS = 8
_BOLD, _GREEN, _RED, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Style:
    """Whether text may carry colour."""

    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO | None) -> Style:
        """Colour where the stream is a terminal that shows it and nobody asked for none (NO_COLOR)."""
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        return cls(colour=stream is not None and stream.isatty() and not plain)

    def heading(self, text: str) -> str:
        return f"{_BOLD}{text}{_PLAIN}" if self.colour else text

    def by_sign(self, text: str, value: float) -> str:
        if not self.colour or value == 0:
            return text
        return f"{_GREEN if value > 0 else _RED}{text}{_PLAIN}"


def as_text(report: RunReport, warnings: Sequence[str], style: Style, *, whole: bool) -> str:
    """The summary: what was judged, why the rest did not trade, the trades, the figures, where it all lies."""
    blocks = [_head(report, style), _sessions(report, style)]
    if whole:
        blocks.append(_every_session(report.rows, style))
    if report.statistics.trades:
        blocks += [_trades(report.rows, style, whole), _result(report.statistics, style)]
    blocks += [_places(report, style), _warnings([*warnings, *report.warnings], style, whole)]
    return "\n\n".join(block for block in blocks if block)


def _head(report: RunReport, style: Style) -> str:
    request, play = report.request, report.request.play
    symbols = ", ".join(request.symbols[:6])
    if len(request.symbols) > 6:
        symbols += f" and {len(request.symbols) - 6} more"
    parts = [
        symbols,
        f"{request.start} to {request.end}" if request.start else "nightly run",
        f"{play.strategy.name} {play.params_hash}",
        *(f"{name}={value}" for name, value in play.strategy.chosen.items()),
        "" if play.cost.name == "none" else f"cost {play.cost.name}",
        f"feed {report.data_feed}",
    ]
    return style.heading("  ".join(part for part in parts if part))


def _sessions(report: RunReport, style: Style) -> str:
    """How many sessions were judged, and why the others did not trade or could not be judged."""
    figures = report.statistics
    others = {
        "sessions before the symbol was listed": sum(map(len, report.not_listed.values())),
        "sessions not judged, see the errors": report.refused,
        "days of the range without a session": report.closed_days,
    }
    if not report.rows and not report.errors and not any(others.values()):
        return "The exchange is closed today; no row is missing." if report.market_closed else "No row is missing."
    judged = f"{_count(figures.sessions, 'session')} judged, {_count(figures.trades, 'trade')}"
    counts = {**figures.reasons, **{what: count for what, count in others.items() if count}}
    return "\n".join([style.heading(judged), *(f"  {count:>6}  {what}" for what, count in counts.items())])


def _every_session(rows: Sequence[JournalRow], style: Style) -> str:
    if not rows:
        return ""
    return "\n".join([style.heading("Sessions"), *(f"  {row.trade_date}  {row.symbol:<6} {row.notes}" for row in rows)])


def _trades(rows: Sequence[JournalRow], style: Style, whole: bool) -> str:
    """The trades as a table, the last ones where there are many."""
    trades = [row for row in rows if row.entered]
    shown = trades if whole else trades[-SHOWN_TRADES:]
    titles = f"{'Date':<10}  {'Symbol':<6}  {'In':>5} {'Price':>9}  {'Stop':>9}  {'Out':>5} {'Price':>9}  {'Exit':<8}"
    lines = [style.heading(f"{titles} {'R':>7} {'Net $':>10}")]
    for row in shown:
        net = row.net_pnl or 0.0
        lines.append(
            f"{row.trade_date}  {row.symbol:<6}  {row.entry_time_et:>5} {row.entry_price:>9.2f}  "
            f"{row.stop_price:>9.2f}  {row.eod_exit_time:>5} {row.eod_exit_price:>9.2f}  {row.exit_reason:<8} "
            + style.by_sign(f"{net_r(row):>+7.2f} {net:>+10,.2f}", net)
        )
    if len(shown) < len(trades):
        lines.append(f"... and {len(trades) - len(shown)} earlier ones; -v shows all")
    return "\n".join(lines)


def _result(figures: Statistics, style: Style) -> str:
    """The figures after costs, in R and in dollars."""
    total = style.by_sign(f"{figures.total_r:+.2f} R  {figures.net_pnl:+,.2f} $", figures.net_pnl)
    lines = {
        "total": f"{total}  (fees {figures.fees:,.2f} $)",
        "a trade": f"{figures.average_r or 0.0:+.2f} R  {figures.expectancy or 0.0:+,.2f} $",
        "won": f"{figures.wins} of {figures.trades}, {figures.win_rate or 0.0:.1%}",
        "profit factor": "no losing trade" if figures.profit_factor is None else f"{figures.profit_factor:.2f}",
        "deepest drawdown": f"{figures.max_drawdown_r:.2f} R  {figures.max_drawdown:,.2f} $",
        "longest losing streak": _count(figures.longest_losing_streak, "trade"),
        "in the market": f"{figures.exposure or 0.0:.1%} of the time",
    }
    return "\n".join([style.heading("Result after costs"), *(f"  {name:<22}{told}" for name, told in lines.items())])


def _places(report: RunReport, style: Style) -> str:
    """Where it all lies, or would lie, and in a word how the run ended."""
    dry = report.request.dry_run
    lines = [f"  journal   {result.place}  ({_became(result)})" for result in report.written]
    lines += [f"  lacking   {place}  (not all is durable there, see the errors)" for place in report.not_durable]
    lines += [f"  manifest  {address}" for address in report.manifests]
    lines += [f"  outcome   {report.outcome}"]
    return "\n".join([style.heading("Dry run, nothing was written" if dry else "Written"), *lines])


def _became(result: WriteResult) -> str:
    counts = {
        "added": result.added,
        "revised": result.revised,
        "unchanged": result.unchanged,
        "in conflict, kept as they were": len(result.conflicts),
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "nothing to write"


def _warnings(warnings: Sequence[str], style: Style, whole: bool) -> str:
    if not warnings:
        return ""
    shown = warnings if whole else warnings[:SHOWN_WARNINGS]
    more = [f"  ... and {len(warnings) - len(shown)} more; -v shows all"] if len(shown) < len(warnings) else []
    return "\n".join([style.heading("Warnings"), *(f"  {warning}" for warning in shown), *more])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
