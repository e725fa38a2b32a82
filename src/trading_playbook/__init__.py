"""Trading Playbook: one trustworthy journal row for each symbol and session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trading_playbook.api import Journal, backtest

__all__ = ["Journal", "backtest"]


def __getattr__(name: str) -> Any:
    """The door for Python, loaded when it is first asked for: importing the package costs nothing."""
    if name in __all__:
        from trading_playbook import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
