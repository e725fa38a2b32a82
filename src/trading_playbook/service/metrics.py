"""The figures of the service for Prometheus.

Imported when first needed: prometheus_client is not worth its time to a call that only asks for /health.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable
from datetime import UTC, datetime, time
from math import nan
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from trading_playbook.core.errors import PlaybookError
from trading_playbook.observability import LOGGER
from trading_playbook.runs import RunReport
from trading_playbook.runs.report import outcome_of
from trading_playbook.service.calls import Standing
from trading_playbook.service.runs_log import hit_ratio, rows_by_outcome

RUN_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)


class Metrics:
    """Counters of this process, and gauges that are read from the journal, so that a restart does not reset them."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        only: dict[str, Any] = {"registry": self.registry}
        self._duration = Histogram("playbook_run_seconds", "Duration of runs.", buckets=RUN_SECONDS, **only)
        self._stages = Counter("playbook_stage_seconds", "Seconds of runs by stage.", ["stage"], **only)
        self._runs = Counter("playbook_runs", "Runs by outcome.", ["outcome"], **only)
        self._errors = Counter("playbook_errors", "Errors of runs by kind.", ["kind"], **only)
        self._rows = Counter("playbook_rows", "Rows by what became of them.", ["outcome"], **only)
        self._calls = Counter("playbook_api_calls", "Calls to the feed's interface by outcome.", ["outcome"], **only)
        self._latency = Counter("playbook_api_seconds", "Seconds that calls to the feed's interface took.", **only)
        self._hits = Counter("playbook_cache_hits", "Answers found in the cache.", **only)
        self._ratio = Gauge("playbook_cache_hit_ratio", "Of the last run: answers from the cache, 0 to 1.", **only)
        self._trades = Gauge("playbook_trades", "Trades of the last session in the journal.", **only)
        self._win_rate = Gauge("playbook_win_rate_30", "Wins / trades of the trailing 30 sessions, 0 to 1.", **only)
        self._expectancy = Gauge("playbook_expectancy_r", "Mean R of a trade after costs, all sessions.", **only)
        self._drawdown = Gauge("playbook_drawdown_r", "Deepest drawdown in R after costs, all sessions.", **only)
        self._last = Gauge("playbook_last_session_timestamp_seconds", "Midnight UTC of the last row's session.", **only)
        self._readable = Gauge("playbook_journal_readable", "Whether the journal could be read: 1 or 0.", **only)
        Info("playbook_build", "The program.", **only).info({"version": version})

    def count(self, report: RunReport) -> None:
        """Count one run."""
        self._duration.observe(sum(report.seconds.values()))
        for stage, seconds in report.seconds.items():
            self._stages.labels(stage).inc(seconds)
        self._runs.labels(report.outcome).inc()
        for kind, number in Counted(map(outcome_of, report.errors)).items():
            self._errors.labels(kind).inc(number)
        for outcome, number in rows_by_outcome(report).items():
            self._rows.labels(outcome).inc(number)
        self._hits.inc(report.usage.cache_hits)
        self._calls.labels("failed").inc(report.usage.failed_calls)
        self._calls.labels("answered").inc(report.usage.api_calls - report.usage.failed_calls)
        self._latency.inc(report.usage.call_seconds)
        self._ratio.set(hit_ratio(report))

    def count_failure(self, error: Exception) -> None:
        """Count a run that was refused as a whole."""
        kind = outcome_of(error) if isinstance(error, PlaybookError) else "bug"
        self._runs.labels(kind).inc()
        self._errors.labels(kind).inc()

    def text(self, standing: Callable[[], Standing]) -> bytes:
        """All of it in Prometheus' text form. Where the journal cannot be read its gauges are NaN, which rings none."""
        try:
            self._show(standing())
        except PlaybookError as error:
            LOGGER.warning("the journal cannot be read", extra={"facts": {"why": error.message}})
            for gauge in (self._expectancy, self._drawdown, self._win_rate, self._trades, self._last):
                gauge.set(nan)
            self._readable.set(0)
        return generate_latest(self.registry)

    def _show(self, standing: Standing) -> None:
        self._readable.set(1)
        self._expectancy.set(_or_nan(standing.whole.average_r))
        self._drawdown.set(standing.whole.max_drawdown_r)
        self._win_rate.set(_or_nan(standing.trailing.win_rate))
        last = max((row.trade_date for row in standing.rows), default=None)
        self._trades.set(sum(row.entered for row in standing.rows if row.trade_date == last))
        self._last.set(datetime.combine(last, time(0), UTC).timestamp() if last else nan)


def _or_nan(value: float | None) -> float:
    """No trades have no rate: 0 would be one, and a bad one."""
    return nan if value is None else value
