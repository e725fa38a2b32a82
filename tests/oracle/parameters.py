"""What an owner chooses: the parameters of dp20, the cost model, and the hash that names the choice."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields

RULES_VERSION = 1
STRATEGY = "dp20"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters of dp20, each with its default. Times are New York wall time, HH:MM. Bounds are not checked."""

    window_start: str = "10:00"
    window_end: str = "10:30"
    ema_period: int = 20
    atr_period: int = 14
    sma_period: int = 200
    reversal_strength: float = 0.60
    stop_atr: float = 1.2
    exit_minutes_before_close: int = 5
    max_missing: int = 2
    shares: int = 20


def read_parameters(chosen: Mapping[str, object] | None) -> Parameters:
    """Return the defaults with what was chosen in their place, each value in its parameter's own type.

    Raises ValueError for a name that is no parameter, TypeError for a value of another kind.
    """
    values = dict(chosen or {})
    settings: dict[str, str | int | float] = {}
    for field in fields(Parameters):
        if field.name in values:
            settings[field.name] = _as_type_of(field.default, values.pop(field.name))
    if values:
        raise ValueError(f"no parameter of dp20: {sorted(values)}")
    return Parameters(**settings)  # type: ignore[arg-type]  # each value has its default's type


def _as_type_of(default: object, value: object) -> str | int | float:
    """Return the value as its parameter's type: 2 stands as 2.0 where the parameter is a float."""
    if isinstance(default, float) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, int) and isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(default, str) and isinstance(value, str):
        return value
    raise TypeError(f"{value!r} cannot stand for the default {default!r}")


def read_cost(cost: str) -> tuple[str, float]:
    """Return a cost model's kind ("none", "bps", "per_share") and its number (0.0 for "none").

    Raises ValueError for another kind.
    """
    if cost == "none":
        return "none", 0.0
    kind, _, number = cost.partition(":")
    if kind not in ("bps", "per_share"):
        raise ValueError(f"no cost model: {cost!r}")
    return kind, float(number)


def fees(cost: str, entry: float, exit_price: float, shares: int) -> float:
    """Return what the entry and the exit of one trade cost together, in dollars, not rounded."""
    kind, number = read_cost(cost)
    if kind == "bps":
        return (entry + exit_price) * shares * number / 10000
    if kind == "per_share":
        return 2 * shares * number
    return 0.0


def params_hash(parameters: Mapping[str, object] | None, cost: str) -> str:
    """Return the name of a choice: `p` and 12 hex digits over what is not at its default, the cost model included."""
    settings = read_parameters(parameters)
    changed: dict[str, str | int | float] = {}
    for field in fields(Parameters):
        value = getattr(settings, field.name)
        if value != field.default:
            changed[field.name] = value
    kind, number = read_cost(cost)
    if kind != "none":
        changed["cost"] = f"{kind}:{number!r}"
    identity = {"strategy": STRATEGY, "rules": RULES_VERSION, "set": changed}
    # json writes a float as Python's repr does, which is what the canonical form asks for.
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "p" + hashlib.sha256(canonical.encode("ascii")).hexdigest()[:12]
