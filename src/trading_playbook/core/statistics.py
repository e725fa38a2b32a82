"""What a journal's trades came to, and why its other sessions did not trade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from trading_playbook.core.calendar import Calendar
from trading_playbook.core.journal import JournalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Figures over journal rows, all after costs. None where a figure has no meaning, as a mean of nothing.

    R of a trade: net_pnl / (risk_per_share x shares). A win is a trade with a net profit.
    win_rate: wins / trades, 0 to 1. average_r: mean R a trade, the expectancy in R. expectancy: mean net dollars a
    trade. profit_factor: net dollars won / net dollars lost; None where nothing was lost. drawdowns: the deepest fall
    of the running total from its highest point so far, 0 at the start, never negative, in R and in dollars.
    longest_losing_streak: most trades with a net loss in a row. exposure: time in a position / time of all sessions,
    0 to 1. reasons: sessions without a trade by the first rule that failed.
    """

    sessions: int
    trades: int
    wins: int
    win_rate: float | None
    total_r: float
    average_r: float | None
    net_pnl: float
    fees: float
    expectancy: float | None
    profit_factor: float | None
    max_drawdown_r: float
    max_drawdown: float
    longest_losing_streak: int
    exposure: float | None
    reasons: Mapping[str, int]


def summarize(rows: Iterable[JournalRow], calendar: Calendar) -> Statistics:
    """The figures of these rows, in whatever order they come; trades count in the order of their exits."""
    rows = list(rows)
    trades = sorted((row for row in rows if row.entered), key=_exit_order)
    dollars = [row.net_pnl or 0.0 for row in trades]
    r_multiples = [net_r(row) for row in trades]
    won = sum(value for value in dollars if value > 0)
    lost = -sum(value for value in dollars if value < 0)
    wins = sum(value > 0 for value in dollars)
    return Statistics(
        sessions=len(rows),
        trades=len(trades),
        wins=wins,
        win_rate=_ratio(wins, len(trades)),
        total_r=sum(r_multiples),
        average_r=_ratio(sum(r_multiples), len(trades)),
        net_pnl=sum(dollars),
        fees=sum(row.fees_slippage or 0.0 for row in trades),
        expectancy=_ratio(sum(dollars), len(trades)),
        profit_factor=_ratio(won, lost),
        max_drawdown_r=drawdown(r_multiples),
        max_drawdown=drawdown(dollars),
        longest_losing_streak=_longest_losing_streak(dollars),
        exposure=_exposure(rows, calendar),
        reasons=dict(Counter(row.reason for row in rows if not row.entered).most_common()),
    )


def net_r(row: JournalRow) -> float:
    """R of a trade after costs: net_pnl / (risk_per_share x shares); 0.0 where there was no trade."""
    risk = (row.risk_per_share or 0.0) * (row.shares or 0)
    return (row.net_pnl or 0.0) / risk if risk else 0.0


def drawdown(results: Sequence[float]) -> float:
    """The deepest fall of the running total from its highest point so far, 0 at the start; never negative."""
    totals = list(accumulate(results, initial=0.0))
    return max(peak - total for peak, total in zip(accumulate(totals, max), totals, strict=True))


def _longest_losing_streak(results: Iterable[float]) -> int:
    return max(accumulate(results, lambda streak, value: streak + 1 if value < 0 else 0, initial=0))


def _exposure(rows: Sequence[JournalRow], calendar: Calendar) -> float | None:
    """A position is held from the open of its entry bar to the open of its exit bar, at least."""
    sessions = (calendar.session(row.trade_date) for row in rows if calendar.is_open(row.trade_date))
    open_minutes = sum(session.minutes for session in sessions if session is not None)
    held = sum(
        _minutes(row.eod_exit_time) - _minutes(row.entry_time_et)
        for row in rows
        if row.entry_time_et and row.eod_exit_time
    )
    return _ratio(held, open_minutes)


def _exit_order(row: JournalRow) -> tuple[object, ...]:
    return row.trade_date, row.eod_exit_time or "", row.key


def _minutes(label: str) -> int:
    return int(label[:2]) * 60 + int(label[3:])


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
