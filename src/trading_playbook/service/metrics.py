"""The figures of the service for Prometheus, and as the one line a run that alerts in the cloud are made from.

Imported when first needed: prometheus_client is not worth its time to a call that only asks for /health.
"""

from __future__ import annotations

import logging
from collections import Counter as Counted
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from trading_playbook.core.errors import PlaybookError, RetryLater
from trading_playbook.observability import LOGGER
from trading_playbook.runs import RunReport
from trading_playbook.runs.report import outcome_of
from trading_playbook.service.calls import Standing

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

    def text(self, standing: Standing) -> bytes:
        """All of it in Prometheus' text form."""
        self._expectancy.set(standing.whole.average_r or 0.0)
        self._drawdown.set(standing.whole.max_drawdown_r)
        self._win_rate.set(standing.trailing.win_rate or 0.0)
        if standing.rows:
            last = max(row.trade_date for row in standing.rows)
            self._last.set(datetime.combine(last, time(0), UTC).timestamp())
            self._trades.set(sum(row.entered for row in standing.rows if row.trade_date == last))
        return generate_latest(self.registry)


def rows_by_outcome(report: RunReport) -> Mapping[str, int]:
    """How many rows were added, found unchanged, revised, in conflict."""
    return {
        "added": sum(result.added for result in report.written),
        "unchanged": sum(result.unchanged for result in report.written),
        "revised": sum(result.revised for result in report.written),
        "conflict": sum(len(result.conflicts) for result in report.written),
    }


def hit_ratio(report: RunReport) -> float:
    """Of a run: answers from the cache / all that it needed, 0 to 1."""
    needed = report.usage.cache_hits + report.usage.api_calls
    return report.usage.cache_hits / needed if needed else 1.0


def log_run(report: RunReport, standing: Callable[[], Standing]) -> None:
    """The one line of a run that holds the figures: metrics and alerts of a cloud are made from it.

    An instance that scales to zero cannot be scraped reliably. standing: how the play stands after the run.
    """
    facts: dict[str, object] = {
        "run_id": report.run_id,
        "outcome": report.outcome,
        "symbols": len(report.request.symbols),
        "judged": len(report.rows),
        "trades": report.statistics.trades,
        **{f"rows_{outcome}": number for outcome, number in rows_by_outcome(report).items()},
        "errors": sorted({outcome_of(error) for error in report.errors}),
        "warnings": len(report.warnings),
        "api_calls": report.usage.api_calls,
        "api_failed": report.usage.failed_calls,
        "api_seconds": round(report.usage.call_seconds, 3),
        "cache_hit_ratio": round(hit_ratio(report), 4),
        "seconds": round(sum(report.seconds.values()), 3),
    }
    try:
        found = standing()
    except PlaybookError as error:
        facts["standing"] = error.message
    else:
        facts |= {
            "last_session": str(max(row.trade_date for row in found.rows)) if found.rows else None,
            "win_rate_30": found.trailing.win_rate,
            "expectancy_r": found.whole.average_r,
            "drawdown_r": found.whole.max_drawdown_r,
        }
    level = logging.INFO if report.error is None else logging.WARNING
    if report.error is not None and exit_is_a_failure(report.error):
        level = logging.ERROR
    LOGGER.log(level, "run", extra={"facts": facts})


def exit_is_a_failure(error: Exception) -> bool:
    """Whether an error will not pass by itself, as temporary trouble and a session that is not settled do."""
    return not isinstance(error, RetryLater)
