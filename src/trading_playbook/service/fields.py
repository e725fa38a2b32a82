"""Fields of a body or a query, as they are meant; what is wrong is told by the field's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from trading_playbook.core.errors import FixRequest
from trading_playbook.core.parsing import parse_day, parse_params_hash, parse_symbols
from trading_playbook.ports import RowQuery

Read = TypeVar("Read")
Parsed = TypeVar("Parsed")


def of_field(name: str, parse: Callable[[Read], Parsed], value: Read) -> Parsed:
    """The value as it is meant. FixRequest names the field."""
    try:
        return parse(value)
    except FixRequest as error:
        raise FixRequest(f"{name}: {error.message}") from None


def query_of(
    symbols: str | None, start: str | None, end: str | None, strategy: str | None, params_hash: str | None
) -> RowQuery:
    """The query of a GET. Raises FixRequest where a value is none."""
    return RowQuery(
        symbols=frozenset(of_field("symbol", parse_symbols, [symbols])) if symbols is not None else None,
        start=of_field("start", parse_day, start) if start is not None else None,
        end=of_field("end", parse_day, end) if end is not None else None,
        strategy=strategy,
        params_hash=of_field("params_hash", parse_params_hash, params_hash) if params_hash is not None else None,
    )
