"""What a run has gathered so far: rows, and all that went wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from trading_playbook.core.errors import CheckData, PlaybookError
from trading_playbook.core.journal import JournalRow

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Harvest:
    """Filled by the steps of a run. stored: the rows that the journal held of its sessions before it."""

    stored: Mapping[tuple[str, date], JournalRow]
    rows: list[JournalRow] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    not_listed: dict[str, tuple[date, ...]] = field(default_factory=dict)

    def good(self, answers: Mapping[str, Answer | PlaybookError]) -> dict[str, Answer]:
        """The answers that are no errors; the errors are kept."""
        found: dict[str, Answer] = {}
        for symbol, answer in answers.items():
            if isinstance(answer, PlaybookError):
                # What concerns every symbol is one error, not one a symbol.
                if not any(answer is known for known in self.errors[-1:]):
                    self.errors.append(answer)
            else:
                found[symbol] = answer
        return found

    def refuse(self, symbol: str, refused: Mapping[date, CheckData]) -> None:
        """Sessions that cannot be judged: an error, or a warning where the session has its row already."""
        for session, error in refused.items():
            if (symbol, session) in self.stored:
                self.warnings.append(f"the stored row was kept, though its data is wrong now: {error}")
            else:
                self.errors.append(error)
