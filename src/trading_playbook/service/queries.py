"""The query of a read, as strictly as a body: a name that is unknown or there twice is refused, not passed over.

Declared to FastAPI itself these would be the only reason to load a second, older pydantic where the service wakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trading_playbook.service.bodies import told_faults
from trading_playbook.service.problems import BadCall

MOST_ROWS = 5_000

Query = TypeVar("Query", bound=BaseModel)
Day = Annotated[str | None, Field(description="Session date, YYYY-MM-DD, included.", max_length=40)]
Text = Annotated[str | None, Field(max_length=80)]


class JournalQuery(BaseModel):
    """Which rows, and which page of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    symbol: str | None = Field(None, description="One or several symbols with commas.", max_length=6_000)
    start: Day = None
    end: Day = None
    strategy: Text = None
    params_hash: Text = None
    entered: bool | None = Field(None, description="Trades alone, or sessions without one.")
    limit: int = Field(500, ge=1, le=MOST_ROWS, description="Rows on a page.")
    offset: int = Field(0, ge=0, le=10**9, description="Rows before this page.")


class RunsQuery(BaseModel):
    """How many records."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    limit: int = Field(50, ge=1, le=500, description="Records, the newest first.")


def read_query(kind: type[Query], given: Sequence[tuple[str, str]]) -> Query:
    """What a query asks for. Raises BadCall with 422 and the name of what is wrong."""
    found = dict(given)
    if len(found) < len(given):
        raise BadCall(
            422, "usage", "The request is wrong", "the query has a name twice: give several symbols with commas"
        )
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise BadCall(422, "usage", "The request is wrong", told_faults(error.errors(include_url=False))) from None
