"""Paths of this machine, which no answer about an error shows; the log does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_ABSOLUTE = r"(?<![\w:/.<>-])~?/[^\s'\",;:()]+"
"""A path from the root on, in a sentence; no part of an address, of a fraction or of a relative path."""


class LocalPaths:
    """Takes folders out of what is told, so that of a path its last name is left.

    places: the configured ones, as they were written and as they are meant; these may hold blanks.
    """

    def __init__(self, places: Iterable[str | Path | None]) -> None:
        known = {spelling for place in places if place for spelling in _spellings(str(place))}
        # A place stands alone or begins a path; a name without a folder, which may be any word, only begins one.
        named = [
            rf"(?<![\w/.-]){re.escape(place)}(?:/[^\s'\",;:()]*){'*' if '/' in place else '+'}(?![\w-])"
            for place in sorted(known, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join([*named, _ABSOLUTE]))

    def without(self, value: object) -> object:
        """The value, in which every text that it holds, however deep, shows no folder."""
        if isinstance(value, str):
            return self.without_in(value)
        if isinstance(value, Mapping):
            return {name: self.without(held) for name, held in value.items()}
        if isinstance(value, list | tuple):
            return [self.without(held) for held in value]
        return value

    def without_in(self, text: str) -> str:
        return self._pattern.sub(_last_name, text)


def _last_name(found: re.Match[str]) -> str:
    path = found[0]
    ending = path[len(path.rstrip(".!?")) :]
    return (path.removesuffix(ending).rstrip("/").rpartition("/")[2] or "a folder") + ending


def _spellings(place: str) -> Iterable[str]:
    """A place as it stands and as it is meant; none of an address."""
    if "://" in place:
        return
    bare = place.rstrip("/")
    absolute = str(Path(bare).expanduser().absolute()).rstrip("/")
    spellings = {bare, str(Path(bare)), absolute, os.path.realpath(absolute)}
    yield from spellings - {"", ".", ".."}
