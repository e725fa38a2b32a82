"""The store that a cache lies on, which may fail: the run goes on without it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.core.remarks import NotKept
from trading_playbook.feeds.cached.files import Damaged
from trading_playbook.network.pool import each
from trading_playbook.ports import LostRace, ObjectStore

ATTEMPTS = 20
"""How often an update is tried while others write the same file."""

ASIDE = ".damaged-"
"""Where a file that cannot be used is kept: its own key, this, and a part of its hash."""

Content = TypeVar("Content")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Found(Generic[Content]):
    """What lies under a key: content None where there is none that can be used, generation None where there is none."""

    content: Content | None = None
    generation: str | None = None


class Shelf:
    """Reads and updates files. What cannot be read is absent; what cannot be written is told of once, and left.

    After the first trouble the store is not asked again, so that a store that hangs costs its time once. threads: how
    many files are read or written at once.
    """

    def __init__(self, store: ObjectStore, threads: int) -> None:
        self._store = store
        self._threads = threads
        self._readable = self._writable = True
        self.warnings: dict[str, None] = {}

    def read(self, key: str, decode: Callable[[bytes], Content]) -> Found[Content]:
        """What a file holds. One that cannot be used is put aside."""
        try:
            stored = self._store.get(key) if self._readable else None
        except (FixConfig, RetryLater) as error:
            self._readable = self._writable = False
            self.warnings[NotKept(f"the cache was left out, it cannot be read: {error.message}", error)] = None
            return Found()
        if stored is None:
            return Found()
        try:
            return Found(decode(stored.content), stored.generation)
        except Damaged as error:
            self._put_aside(key, stored.content, str(error))
            return Found(generation=stored.generation)

    def update(
        self,
        key: str,
        found: Found[Content],
        change: Callable[[Content | None], Content],
        decode: Callable[[bytes], Content],
        encode: Callable[[Content], bytes],
    ) -> Found[Content] | None:
        """Put in the place of what was found there what `change` makes of it, and return that; None where it fails.

        Who writes the same file at the same time loses nothing: the loser of a race changes what the other wrote.
        """
        for attempt in range(ATTEMPTS):
            if not self._writable:
                return None
            content = change(found.content)
            written = encode(content)
            if attempt and found.content is not None and encode(found.content) == written:
                return found  # the winner of the race wrote the same
            try:
                return Found(content, self._store.put(key, written, expected=found.generation))
            except LostRace:
                found = self.read(key, decode)
            except (FixConfig, RetryLater) as error:
                self._writable = False
                self.warnings[NotKept(f"what was fetched is not cached: {error.message}", error)] = None
        told = f"{self._store.address(key)} was not cached: others kept writing it"
        self.warnings[NotKept(told, RetryLater(told))] = None
        return None

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Sequence[Result]:
        """The result of each item's work, in their order; several at once where there are many."""
        return each(work, items, self._threads)

    def _put_aside(self, key: str, content: bytes, why: str) -> None:
        aside = f"{key}{ASIDE}{hashlib.sha256(content).hexdigest()[:8]}"
        told = f"{self._store.address(key)} is not used, {why}; its bars are fetched again"
        try:
            if self._writable:
                self._store.put(aside, content, expected=None)
                told += f", and the file is kept as {aside.rpartition('/')[2]}"
        except LostRace:  # it is there already
            pass
        except (FixConfig, RetryLater) as error:
            self._writable = False
            self.warnings[NotKept(f"what was fetched is not cached: {error.message}", error)] = None
        self.warnings[told] = None
