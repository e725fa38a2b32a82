"""Two sets of journal rows, key by key: what one lacks, what differs, what is equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trading_playbook.core.journal import JournalRow, RowKey, differing_columns
from trading_playbook.core.merge import by_key


@dataclass(frozen=True, slots=True)
class Difference:
    """Two rows of one key that are not equal. columns: where they differ, the text of the one and of the other."""

    one: JournalRow
    other: JournalRow
    columns: dict[str, tuple[str, str]]

    @property
    def key(self) -> RowKey:
        return self.one.key

    @property
    def same_bars(self) -> bool:
        """Whether both were judged on the very same bars and closes."""
        return self.one.data_hash == self.other.data_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two sets of rows have in common, each in the order of keys.

    equal: rows that decide nothing differently. drifted: the keys of those among them that were judged on other bars.
    """

    only_one: tuple[JournalRow, ...]
    only_other: tuple[JournalRow, ...]
    different: tuple[Difference, ...]
    equal: int
    drifted: tuple[RowKey, ...]

    @property
    def is_equal(self) -> bool:
        return not self.only_one and not self.only_other and not self.different


def compare(one: Iterable[JournalRow], other: Iterable[JournalRow]) -> Comparison:
    """Compare by key; equal is what specs call equal: all columns but notes, link, feed, data's hash and revision.

    Raises ValueError where one of the two holds two rows of one key that are not the same.
    """
    ones, others = by_key(one), by_key(other)
    different: list[Difference] = []
    drifted: list[RowKey] = []
    shared = sorted(ones.keys() & others.keys())
    for key in shared:
        here, there = ones[key], others[key]
        if columns := differing_columns(here, there):
            different.append(Difference(here, there, columns))
        elif here.data_hash != there.data_hash:
            drifted.append(key)
    return Comparison(
        only_one=tuple(ones[key] for key in sorted(ones.keys() - others.keys())),
        only_other=tuple(others[key] for key in sorted(others.keys() - ones.keys())),
        different=tuple(different),
        equal=len(shared) - len(different),
        drifted=tuple(drifted),
    )
