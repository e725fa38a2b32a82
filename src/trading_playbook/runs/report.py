"""What a run did, for whoever asked and for the manifest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from trading_playbook.core.errors import CheckData, PlaybookError, gravest
from trading_playbook.core.journal import JournalRow, row_values
from trading_playbook.core.numbers import rounded
from trading_playbook.core.statistics import Statistics
from trading_playbook.ports import Usage, WriteResult
from trading_playbook.runs.rates import cost_facts, estimated_cost
from trading_playbook.runs.request import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """The outcome of one run.

    rows: those that were judged, in the order of the journal. errors: all that went wrong; the gravest decides the
    outcome. written: what became of the rows at each place. copied: rows that journals gave each other. not_durable:
    the places that could not be given every row, for which the errors tell why. manifests: the addresses of the run's
    records.
    not_listed: sessions before the symbols' first daily bars. seconds: by stage.
    """

    run_id: str
    started: datetime
    request: RunRequest
    rows: tuple[JournalRow, ...]
    errors: tuple[Exception, ...]
    warnings: tuple[str, ...]
    written: tuple[WriteResult, ...]
    statistics: Statistics
    closed_days: int
    not_listed: Mapping[str, tuple[date, ...]]
    market_closed: bool
    usage: Usage
    seconds: Mapping[str, float]
    code_version: str
    calendar_version: str
    data_feed: str
    copied: int = 0
    not_durable: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()

    @property
    def error(self) -> Exception | None:
        """The gravest error, None where all went well."""
        return gravest(self.errors)

    @property
    def outcome(self) -> str:
        """done, already_done, closed, too_early, or what kind of error decided: data, conflict, bug, ..."""
        if (error := self.error) is not None:
            return outcome_of(error)
        if self.market_closed and not self.rows:
            return "closed"
        changed = any(result.added or result.revised for result in self.written)
        return "done" if changed or self.request.dry_run else "already_done"

    @property
    def refused(self) -> int:
        """Sessions that could not be judged because their data is wrong."""
        return sum(1 for error in self.errors if isinstance(error, CheckData) and error.session is not None)

    def facts(self) -> dict[str, object]:
        """The report as JSON values, the manifest's content."""
        return {
            "run_id": self.run_id,
            "started": self.started.isoformat(),
            "outcome": self.outcome,
            "request": self.request.facts(),
            "code_version": self.code_version,
            "calendar_version": self.calendar_version,
            "data_feed": self.data_feed,
            "data_hashes": self._data_hashes(),
            "counts": {
                "judged": len(self.rows),
                "copied": self.copied,
                "trades": self.statistics.trades,
                "added": sum(result.added for result in self.written),
                "unchanged": sum(result.unchanged for result in self.written),
                "revised": sum(result.revised for result in self.written),
                "conflicts": sum(len(result.conflicts) for result in self.written),
                "closed_days": self.closed_days,
                "not_listed": sum(map(len, self.not_listed.values())),
                "refused": self.refused,
            },
            "reasons": dict(Counter(row.reason for row in self.rows)),
            "errors": [error_facts(error) for error in self.errors],
            "warnings": list(self.warnings),
            "places": [place_facts(result) for result in self.written],
            "not_durable": list(self.not_durable),
            "statistics": statistics_facts(self.statistics),
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            "api_calls": self.usage.api_calls,
            "cache_hits": self.usage.cache_hits,
            "estimated_cost": cost_facts(estimated_cost(sum(self.seconds.values()))),
        }

    def values(self, warnings: Sequence[str] = ()) -> dict[str, object]:
        """The facts with the judged rows, as doors answer. warnings: further ones, which come first."""
        return {
            **self.facts(),
            "warnings": [*warnings, *self.warnings],
            "manifest": next(iter(self.manifests), None),
            "manifests": list(self.manifests),
            "rows": [
                {name: value for name, value in row_values(row).items() if value is not None} for row in self.rows
            ],
        }

    def _data_hashes(self) -> dict[str, str]:
        """One hash a symbol over the data hashes of its rows, in their order."""
        hashes: dict[str, list[str]] = {}
        for row in self.rows:
            hashes.setdefault(row.symbol, []).append(row.data_hash)
        return {symbol: hashlib.sha256("".join(found).encode()).hexdigest() for symbol, found in hashes.items()}


OUTCOMES: Mapping[str, str] = {
    "FixConfig": "config",
    "FixRequest": "usage",
    "ReviewConflict": "conflict",
    "CheckData": "data",
    "NoData": "no_data",
    "RetryLater": "retry",
    "TooEarly": "too_early",
}


def outcome_of(error: Exception) -> str:
    """The outcome that an error stands for; whatever is not of our family is a bug of ours."""
    return OUTCOMES.get(type(error).__name__, "bug")


def error_facts(error: Exception) -> dict[str, object]:
    """An error as JSON values; of a bug the kind alone, since nobody knows what its message holds."""
    return error.facts() if isinstance(error, PlaybookError) else {"type": "Bug", "message": type(error).__name__}


def statistics_facts(statistics: Statistics) -> dict[str, object]:
    """Statistics as JSON values, floats rounded as in the journal."""
    return {name: rounded(value) if isinstance(value, float) else value for name, value in asdict(statistics).items()}


def place_facts(result: WriteResult) -> dict[str, object]:
    """What became of one file of a place, as JSON values: the link by which a later edit shows."""
    return {
        "place": result.place,
        "added": result.added,
        "unchanged": result.unchanged,
        "revised": result.revised,
        "conflicts": len(result.conflicts),
        "sha256_before": result.before,
        "sha256_after": result.after,
    }
