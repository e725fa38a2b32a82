"""The store that a cache lies on, which may fail: the run goes on without it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.feeds.cached.files import Damaged
from trading_playbook.ports import LostRace, ObjectStore

ATTEMPTS = 20
"""How often an update is tried while others write the same file."""

ASIDE = ".damaged-"
"""Where a file that cannot be used is kept: its own key, this, and a part of its hash."""

_FEW = 4
"""So many files are read one after the other: threads would cost more than they save."""

Content = TypeVar("Content")
Item = TypeVar("Item")
Result = TypeVar("Result")


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

    def read(self, key: str, decode: Callable[[bytes], Content]) -> Content | None:
        """What a file holds; None where there is none, or none that can be used, which is then put aside."""
        try:
            stored = self._store.get(key) if self._readable else None
        except (FixConfig, RetryLater) as error:
            self._readable = False
            self.warnings[f"the cache was left out, it cannot be read: {error.message}"] = None
            return None
        if stored is None:
            return None
        try:
            return decode(stored.content)
        except Damaged as error:
            self._put_aside(key, stored.content, str(error))
            return None

    def update(
        self,
        key: str,
        change: Callable[[Content | None], Content],
        decode: Callable[[bytes], Content],
        encode: Callable[[Content], bytes],
    ) -> None:
        """Put in a file's place what `change` makes of its content, None where there is none that can be used.

        Who writes the same file at the same time loses nothing: the loser of a race changes what the other wrote.
        """
        if not self._writable:
            return
        try:
            for _ in range(ATTEMPTS):
                stored = self._store.get(key)
                try:
                    old = decode(stored.content) if stored else None
                except Damaged:  # and put aside when it was read
                    old = None
                content = encode(change(old))
                if stored is not None and stored.content == content:
                    return
                try:
                    self._store.put(key, content, expected=stored.generation if stored else None)
                    return
                except LostRace:
                    continue
            self.warnings[f"{self._store.address(key)} was not cached: others kept writing it"] = None
        except (FixConfig, RetryLater) as error:
            self._writable = False
            self.warnings[f"what was fetched is not cached: {error.message}"] = None

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Sequence[Result]:
        """The result of each item's work, in their order; several at once where there are many."""
        items = list(items)
        if len(items) <= _FEW or self._threads < 2:
            return [work(item) for item in items]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(self._threads, len(items))) as pool:
            return list(pool.map(work, items))

    def _put_aside(self, key: str, content: bytes, why: str) -> None:
        aside = f"{key}{ASIDE}{hashlib.sha256(content).hexdigest()[:8]}"
        told = f"{self._store.address(key)} is not used, {why}; its bars are fetched again"
        try:
            if self._writable:
                self._store.put(aside, content, expected=None)
                told += f", and the file is kept as {aside.rpartition('/')[2]}"
        except LostRace:  # it is there already
            pass
        except (FixConfig, RetryLater):
            self._writable = False
        self.warnings[told] = None
