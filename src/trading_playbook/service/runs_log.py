"""What the log tells of a run: each error and warning, then one line with its figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from trading_playbook.core.errors import FixRequest, PlaybookError, RetryLater
from trading_playbook.core.numbers import rounded
from trading_playbook.observability import LOGGER, log_bug
from trading_playbook.runs import RunReport
from trading_playbook.runs.report import outcome_of
from trading_playbook.service.calls import Standing

TOLD = 50
"""Errors of one run that have a line each, and as many warnings; the run's record has them all."""


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
    asked = report.request.start is not None
    for error in [error for error in report.errors if isinstance(error, PlaybookError)][:TOLD]:
        _log("error of a run", _level(error, asked), {"run_id": report.run_id, **_of_error(error)})
    for warning in report.warnings[:TOLD]:
        _log("warning of a run", logging.WARNING, {"run_id": report.run_id, "warning": warning})
    _log("run", _level(report.error, asked), {**facts, **_standing(standing)})


def log_refusal(error: Exception) -> None:
    """The line of a run that was refused as a whole, and has no report."""
    kind = outcome_of(error)
    facts: dict[str, object] = {"run_id": None, "outcome": kind, "errors": [kind]}
    _log("run", _level(error), {**facts, **(_of_error(error) if isinstance(error, PlaybookError) else {})})


def _standing(standing: Callable[[], Standing]) -> Mapping[str, object]:
    try:
        found = standing()
    except PlaybookError as error:
        return {"standing": error.message}
    except Exception as error:  # the rows are durable: what tells of them must not undo the answer
        log_bug(error)
        return {"standing": "a bug"}
    return {
        "last_session": str(max(row.trade_date for row in found.rows)) if found.rows else None,
        "win_rate_30": _rounded(found.trailing.win_rate),
        "expectancy_r": _rounded(found.whole.average_r),
        "drawdown_r": _rounded(found.whole.max_drawdown_r),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def _of_error(error: PlaybookError) -> Mapping[str, object]:
    told = error.facts()
    return {"kind": told["type"], "why": error.message} | {
        name: told[name] for name in ("symbol", "session") if name in told
    }


def _level(error: Exception | None, asked: bool = True) -> int:
    """Trouble that passes by itself, and what the caller got wrong, rings nobody.

    asked: for a range. The nightly run asks for nothing that could be wrong but what is configured.
    """
    if error is None:
        return logging.INFO
    passes = isinstance(error, RetryLater) or (asked and isinstance(error, FixRequest))
    return logging.WARNING if passes else logging.ERROR


def _log(event: str, level: int, facts: Mapping[str, object]) -> None:
    LOGGER.log(level, event, extra={"facts": facts})
