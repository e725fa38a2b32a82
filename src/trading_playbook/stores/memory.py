"""Objects that live as long as the process: for a run whose journal is a value and no file."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from trading_playbook.ports import LostRace, Stored
from trading_playbook.stores.keys import require_key


class MemoryStore:
    """An ObjectStore in memory; generations count its writes."""

    def __init__(self) -> None:
        self._objects: dict[str, Stored] = {}
        self._writes = 0
        self._lock = threading.RLock()

    @property
    def place(self) -> str:
        return "memory:"

    def address(self, key: str) -> str:
        require_key(key)
        return f"memory:{key}"

    def get(self, key: str) -> Stored | None:
        require_key(key)
        return self._objects.get(key)

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        require_key(key)
        with self._lock:
            old = self._objects.get(key)
            if expected != (old.generation if old else None):
                raise LostRace(key)
            self._writes += 1
            self._objects[key] = Stored(content, str(self._writes))
            return str(self._writes)

    def delete(self, key: str, *, expected: str) -> None:
        require_key(key)
        with self._lock:
            old = self._objects.get(key)
            if old is None or expected != old.generation:
                raise LostRace(key)
            del self._objects[key]

    def keys(self, prefix: str) -> Sequence[str]:
        # A copy in one step: other threads may write while this one goes through it.
        return sorted(key for key in list(self._objects) if key.startswith(prefix))

    def require_writable(self, key: str) -> None:
        require_key(key)
