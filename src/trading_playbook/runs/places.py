"""The journals that a run writes, all of them to hold the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import date

from trading_playbook.core.errors import PlaybookError, ReviewConflict, gravest
from trading_playbook.core.journal import JournalRow, RowKey, compared_values, differing_columns
from trading_playbook.core.merge import TOLD_COLUMNS, WriteResult, merge, require_one_origin
from trading_playbook.ports import JournalPlace, Manifest, RowQuery


class Places:
    """The journals of a run and what they hold of its symbols and its play.

    One journal's trouble does not stop the others: it is among the errors, and the journal is left out of this run.
    Where there is one journal alone, or none can be used, the gravest trouble is raised when they are opened.
    errors: trouble of single journals, and sessions of which two journals hold different rows.
    """

    def __init__(self, places: Sequence[JournalPlace], *, dry_run: bool) -> None:
        self._places = places
        self._dry_run = dry_run
        self._rows: dict[int, dict[RowKey, JournalRow]] = {}
        self.errors: list[PlaybookError] = []
        self.contradictory: set[RowKey] = set()
        self.stored: dict[RowKey, JournalRow] = {}

    @property
    def names(self) -> str:
        return ", ".join(place.journal.place for place in self._places)

    def open(self, query: RowQuery, feed: str) -> None:
        """Read what the journals hold. feed: data_feed of the rows to come."""
        failed: list[PlaybookError] = []
        for number, place in enumerate(self._places):
            try:
                self._rows[number] = self._read(place, query, feed)
            except PlaybookError as error:
                failed.append(_of_place(place, error))
        if not self._rows:
            raise gravest(failed) or ValueError("a run needs a journal")
        self.errors += failed
        for rows in self._rows.values():
            for key, row in rows.items():
                known = self.stored.setdefault(key, row)
                if compared_values(known) != compared_values(row):
                    self.contradictory.add(key)
        self.errors += [self._contradiction(key) for key in sorted(self.contradictory)]

    def copied(self, first: date, last: date) -> dict[RowKey, JournalRow]:
        """The rows from first to last that some journals hold and others lack: they are copied, not judged again."""
        return {
            key: row
            for key, row in self.stored.items()
            if first <= key.trade_date <= last
            and key not in self.contradictory
            and any(key not in rows for rows in self._rows.values())
        }

    def copy(self, rows: Mapping[RowKey, JournalRow]) -> list[WriteResult]:
        """Give each journal those of these rows that it lacks, with their revisions and what they had replaced."""
        if not self._dry_run:
            self._hand_over_histories(rows)
        return self._write(
            {number: [row for key, row in rows.items() if key not in own] for number, own in self._rows.items()},
            revise=False,
        )

    def write(self, rows: Sequence[JournalRow], *, revise: bool) -> list[WriteResult]:
        """Make judged rows durable in every journal; in a dry run only say what would become of them."""
        return self._write(dict.fromkeys(self._rows, rows), revise=revise)

    def keep(self, manifest: Manifest) -> tuple[str, ...]:
        """Keep the record of the run beside each journal and return the addresses; trouble is among the errors."""
        kept: list[str] = []
        for number in self._rows:
            place = self._places[number]
            try:
                kept.append(place.runs.append(manifest))
            except PlaybookError as error:
                self.errors.append(_of_place(place, error))
        return tuple(kept)

    def told_lacks(self, copied: Iterable[RowKey]) -> list[str]:
        """A sentence for each journal that lacks older rows which another one holds."""
        done = set(copied)
        told = []
        for number, own in self._rows.items():
            lacks = [key for key in self.stored if key not in own and key not in done]
            if lacks:
                source = next(other for other, rows in self._rows.items() if any(key in rows for key in lacks))
                here, there = (self._places[each].journal.place for each in (number, source))
                told.append(
                    f"{here} lacks {len(lacks)} rows that {there} holds; copy them with: "
                    f"trading-playbook journal copy {there} {here}"
                )
        return told

    def _read(self, place: JournalPlace, query: RowQuery, feed: str) -> dict[RowKey, JournalRow]:
        if not self._dry_run:
            place.journal.require_writable()
            place.runs.require_writable()
        require_one_origin(place.journal.feeds(query) | {feed}, place.journal.place)
        return {row.key: row for row in place.journal.rows(query)}

    def _write(self, rows: Mapping[int, Sequence[JournalRow]], *, revise: bool) -> list[WriteResult]:
        results: list[WriteResult] = []
        for number, own in rows.items():
            if not own:
                continue
            place = self._places[number]
            if self._dry_run:
                merged = merge(self._rows[number].values(), own, revise=revise)
                results.append(merged.result(place.journal.place))
                continue
            try:
                for row in own:
                    place.journal.write_trade(row)
                answers: Sequence[WriteResult | PlaybookError] = place.journal.finalize(revise=revise)
            except PlaybookError as error:
                answers = [error]
            for answer in answers:
                if isinstance(answer, PlaybookError):
                    self.errors.append(_of_place(place, answer))
                else:
                    results.append(answer)
        return results

    def _hand_over_histories(self, rows: Mapping[RowKey, JournalRow]) -> None:
        """Let each journal that lacks a revised row have the history of one that holds it."""
        for key in (key for key, row in rows.items() if row.revision):
            source = next(number for number, own in self._rows.items() if key in own)
            try:
                replaced = self._places[source].journal.history(key)
            except PlaybookError as error:
                self.errors.append(_of_place(self._places[source], error))
                continue
            for number, own in self._rows.items():
                if key not in own:
                    for row in replaced:
                        self._places[number].journal.write_replaced(row)

    def _contradiction(self, key: RowKey) -> ReviewConflict:
        """Two journals of one run that hold different rows of a session."""
        holders = [(number, rows[key]) for number, rows in self._rows.items() if key in rows]
        (first, one), (second, other) = (
            holders[0],
            next(holder for holder in holders if compared_values(holder[1]) != compared_values(holders[0][1])),
        )
        columns = differing_columns(one, other)
        names = [self._places[number].journal.place for number in (first, second)]
        told = [f"{name} {here or 'empty'} and {there or 'empty'}" for name, (here, there) in columns.items()]
        return ReviewConflict(
            f"{names[0]} and {names[1]} hold different rows of {key}: {', '.join(told[:TOLD_COLUMNS])}. Look at both; "
            "--revise judges the session again and writes the same row to all",
            symbol=key.symbol,
            session=key.trade_date,
            columns=columns,
        )


def _of_place(place: JournalPlace, error: PlaybookError) -> PlaybookError:
    """The error with the journal's address, where its sentence does not name it."""
    name = place.journal.place
    if name in error.message:
        return error
    told = copy(error)
    told.args = (f"{name}: {error.message}",)
    return told


def days_of(keys: Iterable[RowKey]) -> dict[str, list[date]]:
    """The sessions of some keys by their symbols."""
    found: dict[str, list[date]] = {}
    for key in keys:
        found.setdefault(key.symbol, []).append(key.trade_date)
    return found
