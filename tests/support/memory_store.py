"""The store in memory, with eyes and with rivals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from trading_playbook.ports import Stored
from trading_playbook.stores import memory


class MemoryStore(memory.MemoryStore):
    """Remembers what it was asked, and can lose a race on demand.

    rivals: what other writers do right before this one's next puts, one a put. calls: what was asked, as (verb, key).
    """

    def __init__(self) -> None:
        super().__init__()
        self.rivals: deque[Callable[[], object]] = deque()
        self.calls: list[tuple[str, str]] = []

    def get(self, key: str) -> Stored | None:
        self.calls.append(("get", key))
        return super().get(key)

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        self.calls.append(("put", key))
        if self.rivals:
            self.rivals.popleft()()
        return super().put(key, content, expected=expected)

    def delete(self, key: str, *, expected: str) -> None:
        self.calls.append(("delete", key))
        super().delete(key, expected=expected)

    def overwrite(self, key: str, content: bytes) -> None:
        """What somebody does who asks for no generation: an editor, a spreadsheet."""
        found = super().get(key)
        super().put(key, content, expected=found.generation if found else None)

    def content(self, key: str) -> bytes:
        """An object that must be there, looked at from outside."""
        found = super().get(key)
        assert found is not None
        return found.content
