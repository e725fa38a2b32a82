"""The record of each run as a document of the collection runs, beside the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from trading_playbook.core.errors import FixConfig
from trading_playbook.journals.manifests import manifest_json, read_manifest, require_run_id
from trading_playbook.journals.mongo.changes import make_indexes
from trading_playbook.journals.mongo.connection import RUNS, MongoPlace
from trading_playbook.ports import LostRace, Manifest

TEXT = "json"
"""The field with the record as JSON text, the only one that is read again.

A document cannot hold all that a record can: not half a character, no integer of more than 64 bits.
"""

STARTED = "started_utc"
"""The field with the moment as text of fixed length, in the order of time: a date of MongoDB has no microseconds."""

_DEEPEST = 90
"""A document has at most 100 levels."""


class MongoRunLog:
    """RunLog with a document for each run: _id is the run's id, started a date, outcome a text, and facts for queries.

    In the facts an integer of more than 64 bits is a double, half a character a question mark, and the signs . and $ in
    names are _, which old servers refuse.
    """

    def __init__(self, place: MongoPlace) -> None:
        self._place = place

    def require_writable(self) -> None:
        self._place.require_rights((RUNS,), ("find", "insert"))

    def append(self, manifest: Manifest) -> str:
        """Keep a manifest. Raises ValueError where its run id cannot be part of a name, or a fact is no JSON value."""
        require_run_id(manifest.run_id)
        document = _document(manifest)
        with suppress(FixConfig):  # without it, all is only slower
            make_indexes(self._place, RUNS, ((STARTED,),))
        with suppress(LostRace):  # kept before, and a manifest is never changed
            self._place.call(
                f"{self._place.address(RUNS)} cannot be written",
                lambda reach: reach.database[RUNS].insert_one(document),
            )
        return f"{self._place.address(RUNS)}/{manifest.run_id}"

    def list(self, *, since: datetime | None = None, limit: int | None = None) -> Sequence[Manifest]:
        """The manifests, newest first; what else lies in the collection is passed over."""
        if limit == 0:
            return []
        asked = {STARTED: {"$gte": _moment_text(since)}} if since is not None else {STARTED: {"$exists": True}}
        found = self._place.read(
            f"{self._place.address(RUNS)} cannot be read",
            lambda reach: reach.database[RUNS].find(asked, {TEXT: 1}).sort(STARTED, -1).limit(limit or 0),
        )
        read = (read_manifest(each[TEXT]) for each in found if isinstance(each.get(TEXT), str))
        return [manifest for manifest in read if manifest is not None]


def _document(manifest: Manifest) -> dict[str, Any]:
    text = manifest_json(manifest).decode("ascii")
    return {
        "_id": manifest.run_id,
        "started": manifest.started.astimezone(UTC),
        "outcome": manifest.outcome,
        STARTED: _moment_text(manifest.started),
        "facts": _as_document(json.loads(text)),
        TEXT: text,
    }


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _as_document(value: Any, depth: int = 0) -> Any:
    """A JSON value as MongoDB can hold it."""
    if depth > _DEEPEST:
        return _as_document(json.dumps(value))
    if isinstance(value, Mapping):
        return {_name(name): _as_document(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_document(each, depth + 1) for each in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else str(value)
    return value


def _name(text: str) -> str:
    known: str = _as_document(text)
    return known.replace(".", "_").replace("$", "_").replace("\0", "_")
