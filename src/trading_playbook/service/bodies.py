"""The body of POST /backtest, read strictly: what is not certain is refused by the name of its field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trading_playbook.service.problems import BadCall

Value = str | int | float | bool

TOLD_FAULTS = 3


class RunBody(BaseModel):
    """What to judge. An empty body is the nightly run: the last settled session, and nights that were missed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        defer_build=True,
        json_schema_extra={
            "examples": [
                {},
                {"symbol": "QQQ", "start": "2025-11-03", "end": "2025-11-04"},
                {"symbols": ["QQQ", "SPY"], "start": "2025-11-03", "end": "2025-11-07", "params": {"stop_atr": 1.5}},
                {"symbol": "QQQ", "start": "2025-11-04", "end": "2025-11-04", "revise": True},
            ]
        },
    )

    symbols: list[str] | str | None = Field(None, description="Symbols, as a list or with commas. Default: SYMBOLS.")
    symbol: str | None = Field(None, description="One symbol, in the place of symbols.")
    start: str | None = Field(None, description="First session date, YYYY-MM-DD, included. With end.")
    end: str | None = Field(None, description="Last session date, YYYY-MM-DD, included. With start.")
    strategy: str | None = Field(None, description="The strategy. Default: STRATEGY.")
    params: dict[str, Value] | None = Field(None, description="The strategy's parameters by name.")
    cost: str | None = Field(None, description="none, bps:NUMBER or per_share:DOLLARS. Default: COST.")
    accept: Annotated[list[str], Field(max_length=100)] | None = Field(
        None, description="Sessions judged though their bars end early or are absent, as SYMBOL:YYYY-MM-DD."
    )
    revise: bool = Field(False, description="Replace stored rows that differ; the old ones go to the history.")
    dry_run: bool = Field(False, description="Judge and compare, write nothing.")
    force_refresh: bool = Field(False, description="Fetch again what the cache holds, and tell what changed.")


def read_run_body(content: bytes, content_type: str) -> RunBody:
    """The body's meaning. An empty one, of any content type, asks for nothing in particular.

    Raises BadCall: 415 for another type than JSON, 400 for what is no JSON, 422 for a field that is wrong.
    """
    if not content:
        return RunBody()
    if content_type.partition(";")[0].strip().lower() not in ("application/json", ""):
        raise BadCall(415, "media_type", "Not JSON", "the body must be application/json, or empty for the nightly run")
    try:
        found = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except _NotStrict as error:
        raise BadCall(422, "usage", "The request is wrong", str(error)) from None
    except (ValueError, RecursionError):
        raise BadCall(400, "no_json", "The body is no JSON", "expected is one JSON object in UTF-8") from None
    if not isinstance(found, dict):
        raise BadCall(422, "usage", "The request is wrong", "the body must be one JSON object")
    try:
        return RunBody.model_validate(found)
    except ValidationError as error:
        raise BadCall(422, "usage", "The request is wrong", told_faults(error.errors(include_url=False))) from None


def told_faults(faults: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with which field; of what was sent its names alone, cut short."""
    told = [f"{'.'.join(map(str, fault['loc']))[:50]!a}: {fault['msg']}" for fault in faults[:TOLD_FAULTS]]
    more = [f"{len(faults) - TOLD_FAULTS} more"] if len(faults) > TOLD_FAULTS else []
    return "; ".join([*told, *more])


class _NotStrict(Exception):
    pass


def _refuse_constant(name: str) -> None:
    raise _NotStrict(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _NotStrict(f"the field {twice[:60]!r} is named twice")
    return found
