"""Parameters of strategies: frozen dataclasses whose fields say their bounds, read from text or JSON values."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Mapping
from datetime import time
from typing import Any, TypeVar, get_type_hints

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.parsing import plain_number

Parameters = TypeVar("Parameters")

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_EXPECTED = {int: "a whole number", float: "a number", time: "a time as HH:MM"}
_TESTS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", operator.ge),
    "maximum": ("at most", operator.le),
    "above": ("above", operator.gt),
    "below": ("below", operator.lt),
}


def bounded(default: float, **bounds: float) -> Any:
    """A dataclass field with its bounds: minimum and maximum may be reached, above and below may not."""
    if unknown := bounds.keys() - _TESTS.keys():
        raise TypeError(f"no such bound: {sorted(unknown)}")
    return dataclasses.field(default=default, metadata={"bounds": bounds})


def require_within_bounds(parameters: Any) -> None:
    """Raise FixRequest naming the first parameter that lies outside its bounds."""
    for field in dataclasses.fields(parameters):
        value, bounds = getattr(parameters, field.name), field.metadata.get("bounds", {})
        if not all(_TESTS[kind][1](value, bound) for kind, bound in bounds.items()):
            limits = " and ".join(f"{_TESTS[kind][0]} {bound:g}" for kind, bound in bounds.items())
            raise FixRequest(f"parameter {field.name} is {value!r}; it must be {limits}")


def parse_parameters(kind: type[Parameters], strategy: str, given: Mapping[str, object]) -> Parameters:
    """The parameters of a strategy, its defaults where nothing is given.

    Values may be text, as on a command line, or numbers, as in JSON. Raises FixRequest naming the parameter.
    """
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in hints:
            raise FixRequest(f"{strategy} has no parameter {name[:40]!r}; it has {', '.join(hints)}")
        typed = _typed(hints[name], value)
        if typed is None:
            raise FixRequest(f"parameter {name} is {str(value)[:40]!r}; expected {_EXPECTED[hints[name]]}")
        values[name] = typed
    return kind(**values)


def chosen_parameters(parameters: Any) -> dict[str, object]:
    """What is not at its default, as JSON values: times as HH:MM, floats as floats."""
    chosen: dict[str, object] = {}
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        if value == field.default:
            continue
        if isinstance(value, time):
            value = f"{value:%H:%M}"
        elif isinstance(field.default, float):
            # 2 stands as 2.0 and -0.0 as 0.0, so that equal choices have one text.
            value = float(value) + 0.0
        chosen[field.name] = value
    return chosen


def _typed(kind: type, value: object) -> object | None:
    """The value as the parameter's type; None where it is none."""
    text = str(value).strip()
    if isinstance(value, bool):
        return None
    if kind is time:
        match = _TIME.fullmatch(text)
        return time(int(match[1]), int(match[2])) if match else None
    if kind is int:
        return int(text) if _WHOLE.fullmatch(text) else None
    return plain_number(text)
