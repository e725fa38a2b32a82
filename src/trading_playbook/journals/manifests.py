"""The record of each run as a JSON file in a folder of any store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby, islice, takewhile

from trading_playbook.ports import LostRace, Manifest, ObjectStore

FOLDER = "runs"
TIME_FORM = "%Y%m%dT%H%M%SZ"
_RUN_ID = re.compile(r"[A-Za-z0-9_-]+")
_NAME = re.compile(rf"(?P<time>[0-9]{{8}}T[0-9]{{6}}Z)-(?P<run>{_RUN_ID.pattern})\.json")


class ManifestLog:
    """RunLog with one object a run, runs/20251104T220005Z-<run id>.json, named by when the run began (UTC).

    The file is one JSON object: run_id, started and outcome, then the other facts. Read back, facts holds all of it.
    """

    def __init__(self, store: ObjectStore, folder: str = FOLDER) -> None:
        self._store = store
        self._folder = folder

    def require_writable(self) -> None:
        self._store.require_writable(f"{self._folder}/manifest.json")

    def append(self, manifest: Manifest) -> str:
        """Keep a manifest. Raises ValueError where its run id cannot be part of a name, or a fact is no JSON value."""
        require_run_id(manifest.run_id)
        key = f"{self._folder}/{_time_text(manifest.started)}-{manifest.run_id}.json"
        with suppress(LostRace):  # kept before, and a manifest is never changed
            self._store.put(key, manifest_json(manifest), expected=None)
        return self._store.address(key)

    def list(self, *, since: datetime | None = None, limit: int | None = None) -> Sequence[Manifest]:
        """The manifests, newest first; what else lies in the folder, or cannot be read as one, is passed over."""
        return list(islice(self._newest_first(since), limit))

    def _newest_first(self, since: datetime | None) -> Iterator[Manifest]:
        names = [key.removeprefix(f"{self._folder}/") for key in self._store.keys(f"{self._folder}/")]
        ours = sorted(filter(_NAME.fullmatch, names), reverse=True)
        if since is not None:
            earliest = _time_text(since)
            ours = list(takewhile(lambda name: _time_of(name) >= earliest, ours))
        # Names tell seconds; within one the files must be opened to know which run began first.
        for _, same_second in groupby(ours, key=_time_of):
            found = [manifest for name in same_second if (manifest := self._read(name)) is not None]
            found.sort(key=lambda manifest: manifest.started, reverse=True)
            yield from (manifest for manifest in found if since is None or manifest.started >= since)

    def _read(self, name: str) -> Manifest | None:
        stored = self._store.get(f"{self._folder}/{name}")
        return None if stored is None else read_manifest(stored.content)


def _time_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(TIME_FORM)


def _time_of(name: str) -> str:
    return name.partition("-")[0]


def require_run_id(run_id: str) -> None:
    """Raise ValueError where it could not be part of a name."""
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"{run_id!r} is no run id; expected are letters, digits, - and _")


def manifest_json(manifest: Manifest) -> bytes:
    """One JSON object in ASCII. Raises ValueError where a fact is no JSON value."""
    head = {
        "run_id": manifest.run_id,
        "started": manifest.started.astimezone(UTC).isoformat(),
        "outcome": manifest.outcome,
    }
    return (json.dumps({**head, **manifest.facts, **head}, indent=2, allow_nan=False) + "\n").encode("ascii")


def read_manifest(content: bytes | str) -> Manifest | None:
    """The manifest of such an object, facts with all of it; None where it is none."""
    try:
        facts = json.loads(content)
        run_id, started, outcome = facts["run_id"], datetime.fromisoformat(facts["started"]), facts["outcome"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(run_id, str) or not isinstance(outcome, str) or started.tzinfo is None:
        return None
    return Manifest(run_id=run_id, started=started.astimezone(UTC), outcome=outcome, facts=facts)
