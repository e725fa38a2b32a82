"""The plays: what a strategy is, and the registry of those there are. A new strategy is one new file or folder here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.strategies.dp20 import Dp20

if TYPE_CHECKING:
    from trading_playbook.core.strategies.protocol import Strategy

REGISTRY: Mapping[str, Callable[[Mapping[str, object]], Strategy]] = {Dp20.name: Dp20.with_parameters}
"""How to build each strategy, by its name, from parameters as text or JSON values."""


def build_strategy(name: str, parameters: Mapping[str, object]) -> Strategy:
    """The strategy of that name; FixRequest where there is none or a parameter is impossible."""
    if name not in REGISTRY:
        raise FixRequest(f"there is no strategy {name[:40]!r}; there is {', '.join(sorted(REGISTRY))}")
    return REGISTRY[name](parameters)
