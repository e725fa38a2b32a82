"""What the two fills of a trade cost, by one of three written formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.parsing import plain_number

HIGHEST = {"bps": 10_000, "per_share": 1_000_000}
"""What a fill can cost at most: all that it moves, or a million dollars a share."""


class CostModel(Protocol):
    """What entering and leaving a position costs."""

    @property
    def name(self) -> str:
        """The model and its number in canonical text, such as bps:1.5; none for the default."""

    def fees(self, entry: float, exit: float, shares: int) -> float:
        """Fees and slippage of both fills together, in dollars; prices in dollars a share."""


@dataclass(frozen=True, slots=True)
class NoCost:
    """Fills are free."""

    name: str = "none"

    def fees(self, entry: float, exit: float, shares: int) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class BasisPoints:
    """Each fill costs a fraction of what it moves: (entry + exit) x shares x bps / 10000."""

    bps: float

    @property
    def name(self) -> str:
        return f"bps:{self.bps!r}"

    def fees(self, entry: float, exit: float, shares: int) -> float:
        return (entry + exit) * shares * self.bps / 10000


@dataclass(frozen=True, slots=True)
class PerShare:
    """Each fill costs so many dollars a share: 2 x shares x dollars."""

    dollars: float

    @property
    def name(self) -> str:
        return f"per_share:{self.dollars!r}"

    def fees(self, entry: float, exit: float, shares: int) -> float:
        return 2 * shares * self.dollars


def parse_cost(text: str) -> CostModel:
    """The model a text such as none, bps:1.5 or per_share:0.005 names; FixRequest where it names none."""
    model, _, number = text.strip().partition(":")
    if model == "none" and not number:
        return NoCost()
    amount = plain_number(number.strip())
    if amount is not None and 0 <= amount <= HIGHEST.get(model, -1):
        return BasisPoints(amount + 0.0) if model == "bps" else PerShare(amount + 0.0)
    raise FixRequest(
        f"cost {text[:40]!r} is not understood; expected none, bps:NUMBER or per_share:DOLLARS, "
        + " and ".join(f"{name} from 0 to {highest}" for name, highest in HIGHEST.items())
    )
