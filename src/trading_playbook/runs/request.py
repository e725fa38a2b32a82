"""What a run is asked to do, and what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from trading_playbook.core.calendar import Calendar
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.rows import Play
from trading_playbook.ports import BarFeed, Clock, JournalPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Which sessions of which symbols to judge, by which play.

    start, end: session dates, both ends in; both None for the nightly run, which does what is missing.
    accepted: (symbol, session) that a person accepts though its bars are short or absent. revise: replace stored rows
    that differ. dry_run: judge and compare, write nothing. places: options that name the same bars and journal on a
    command line, for warnings that tell a command. Raises FixRequest where these contradict each other.
    """

    symbols: tuple[str, ...]
    play: Play
    start: date | None = None
    end: date | None = None
    accepted: frozenset[tuple[str, date]] = frozenset()
    revise: bool = False
    dry_run: bool = False
    places: str = ""

    def __post_init__(self) -> None:
        if not self.symbols:
            raise FixRequest("no symbol to judge: name at least one")
        if (self.start is None) != (self.end is None):
            raise FixRequest("a range needs both its start and its end")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise FixRequest(f"the end {self.end} lies before the start {self.start}")
        for symbol, session in sorted(self.accepted):
            if symbol not in self.symbols:
                raise FixRequest(f"accepted {symbol}:{session}, but the run is of {', '.join(self.symbols)}")

    def facts(self) -> dict[str, object]:
        """The request as JSON values."""
        return {
            "symbols": list(self.symbols),
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
            "strategy": self.play.strategy.name,
            "parameters": dict(self.play.strategy.chosen),
            "cost": self.play.cost.name,
            "params_hash": self.play.params_hash,
            "accepted": [f"{symbol}:{session}" for symbol, session in sorted(self.accepted)],
            "revise": self.revise,
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a run works with; wiring hands it over.

    places: the journals, all of which are to hold the same rows. settle_after: how long after a close its bars have
    settled. catch_up_sessions: how far back the nightly run looks for missing rows. deadline: the clock's monotonic
    seconds after which no more is judged. progress: told (sessions done, sessions in all) now and then.
    """

    clock: Clock
    calendar: Calendar
    feed: BarFeed
    places: tuple[JournalPlace, ...]
    settle_after: timedelta
    catch_up_sessions: int
    code_version: str
    public_url: str | None = None
    deadline: float | None = None
    progress: Callable[[int, int], None] = lambda done, total: None
