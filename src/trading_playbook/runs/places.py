"""The journals that a run writes, all of them to hold the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import date

from trading_playbook.core.errors import FixRequest, PlaybookError, ReviewConflict, gravest
from trading_playbook.core.journal import JournalRow, RowKey, compared_values, differing_columns
from trading_playbook.core.merge import TOLD_COLUMNS, WriteResult, merge, require_one_origin
from trading_playbook.ports import JournalFile, JournalPlace, Manifest, RowQuery

SHUT_SYMBOLS = 10
"""Of so many symbols a journal's files may be damaged; where there are more, all of it is left out."""

ONE_BY_ONE = 20
"""So many histories are asked for by their keys; more are read by whole files."""


class Places:
    """The journals of a run and what they hold of its symbols and its play.

    One journal's trouble does not stop the others: it is among the errors, and the journal is left out from then on.
    Where there is one journal alone, or none can be used, the gravest trouble is raised when they are opened.
    stored: under each key the row of the highest revision that a journal holds.
    """

    def __init__(self, places: Sequence[JournalPlace], *, dry_run: bool) -> None:
        self._places = places
        self._dry_run = dry_run
        self._rows: dict[int, dict[RowKey, JournalRow]] = {}
        self._shut: dict[int, set[str]] = {}
        self._failed: set[int] = set()
        self._behind: set[int] = set()
        self._trouble: list[PlaybookError] = []
        self._contradictions: dict[RowKey, ReviewConflict] = {}
        self.stored: dict[RowKey, JournalRow] = {}

    @property
    def names(self) -> str:
        return ", ".join(place.journal.place for place in self._places)

    @property
    def errors(self) -> list[PlaybookError]:
        """Rows of which two journals hold different ones that this run did not revise, and trouble of journals."""
        return [*self._contradictions.values(), *self._trouble]

    @property
    def contradictory(self) -> frozenset[RowKey]:
        """Of which two journals hold different rows."""
        return frozenset(self._contradictions)

    @property
    def not_durable(self) -> tuple[str, ...]:
        """The journals that could not be given every row of this run."""
        return tuple(self._places[number].journal.place for number in sorted(self._behind))

    def open(self, query: RowQuery, feed: str) -> None:
        """Read what the journals hold. feed: data_feed of the rows to come.

        Raises FixRequest where one of the journals holds rows that rows of this feed must not lie beside.
        """
        for number, place in enumerate(self._places):
            try:
                if not self._dry_run:
                    place.journal.require_writable()
                    place.runs.require_writable()
                feeds = place.journal.feeds(query)
                rows = self._read(number, query)
            except PlaybookError as error:
                self._tell(number, error)
                continue
            # Before any journal is written: what is wrong is the request, not one of them.
            require_one_origin({feed, *feeds, *(row.data_feed for row in rows)}, place.journal.place)
            self._rows[number] = {row.key: row for row in rows}
        if not self._rows:
            raise gravest(self._trouble) or ValueError("a run needs a journal")
        self._compare()

    def copied(self, first: date, last: date) -> dict[RowKey, JournalRow]:
        """The rows from first to last that some journals hold and others lack: they are copied, not judged again."""
        return {
            key: row
            for key, row in self.stored.items()
            if first <= key.trade_date <= last
            and key not in self._contradictions
            and any(self._lacks(number, key) for number in self._rows)
        }

    def copy(self, rows: Mapping[RowKey, JournalRow]) -> list[WriteResult]:
        """Give each journal those of these rows that it lacks, with their revisions and what they had replaced."""
        lacking = {number: [row for key, row in rows.items() if self._lacks(number, key)] for number in self._rows}
        self._hand_over_histories(
            {key: row.revision for key, row in rows.items() if row.revision},
            {number: [row.key for row in own] for number, own in lacking.items()},
        )
        results = self._write(lacking, revise=False)
        for number, own in lacking.items():
            if number not in self._failed:
                self._rows[number].update((row.key, row) for row in own)
        return results

    def write(self, rows: Sequence[JournalRow], *, revise: bool) -> list[WriteResult]:
        """Make judged rows durable in every journal; in a dry run only say what would become of them.

        With revise they become the same everywhere: where journals held different rows of a key, or some of them none,
        all get the row under the highest revision of them, or under the next one where that was another row.
        """
        if not revise:
            return self._write({number: self._open_to(number, rows) for number in self._rows}, revise=False)
        agreed = {row.key: self._agreed(row) for row in rows}
        different = {
            key: row.revision
            for key, row in agreed.items()
            if len({_content(own.get(key)) for own in self._rows.values()}) > 1
        }
        self._hand_over_histories(different, dict.fromkeys(self._rows, different))
        results = self._write(
            {
                number: [self._as_kept(number, row, agreed[row.key]) for row in self._open_to(number, rows)]
                for number in self._rows
            },
            revise=True,
        )
        for key in agreed:
            self._contradictions.pop(key, None)
        return results

    def keep(self, manifest: Manifest) -> tuple[str, ...]:
        """Keep the record of the run beside each journal and return the addresses; trouble is among the errors."""
        kept: list[str] = []
        for number in self._rows:
            try:
                kept.append(self._places[number].runs.append(manifest))
            except PlaybookError as error:
                if number not in self._failed:
                    self._trouble.append(_of_place(self._places[number], error))
        return tuple(kept)

    def told_lacks(self, copied: Iterable[RowKey]) -> list[str]:
        """A sentence for each journal that lacks older rows which another one holds."""
        done = set(copied)
        told = []
        for number in self._rows:
            if number in self._failed:
                continue
            lacks = [key for key in self.stored if key not in done and self._lacks(number, key)]
            if lacks:
                source = next(other for other, rows in self._rows.items() if any(key in rows for key in lacks))
                here, there = (self._places[each].journal.place for each in (number, source))
                told.append(
                    f"{here} lacks {len(lacks)} rows that {there} holds; copy them with: "
                    f"trading-playbook journal copy {there} {here}"
                )
        return told

    def _read(self, number: int, query: RowQuery) -> list[JournalRow]:
        """The rows that a journal holds of a query; a damaged file of one symbol of several is told and passed over."""
        shut = self._shut.setdefault(number, set())
        while True:
            try:
                return self._places[number].journal.rows(query)
            except FixRequest as error:
                left = (query.symbols or frozenset()) - {error.symbol}
                if error.symbol is None or not left or len(left) == len(query.symbols or ()):
                    raise
                if len(shut) == SHUT_SYMBOLS:
                    raise
                shut.add(error.symbol)
                query = replace(query, symbols=left)
                self._tell(number, error)

    def _compare(self) -> None:
        """Find what is stored, and of which rows two journals hold different ones."""
        different: set[RowKey] = set()
        for rows in self._rows.values():
            for key, row in rows.items():
                known = self.stored.setdefault(key, row)
                if compared_values(known) != compared_values(row):
                    different.add(key)
                if known.revision < row.revision:
                    self.stored[key] = row
        self._contradictions = {key: self._contradiction(key) for key in sorted(different)}

    def _lacks(self, number: int, key: RowKey) -> bool:
        return key not in self._rows[number] and key.symbol not in self._shut[number]

    def _open_to(self, number: int, rows: Iterable[JournalRow]) -> list[JournalRow]:
        """Those of the rows whose files at a journal can be used."""
        return [row for row in rows if row.symbol not in self._shut[number]]

    def _agreed(self, judged: JournalRow) -> JournalRow:
        """What all journals are to hold of a judged row when it was revised."""
        held = [rows[judged.key] for rows in self._rows.values() if judged.key in rows]
        if not held:
            return judged
        newest = max(row.revision for row in held)
        last = [row for row in held if row.revision == newest]
        if all(compared_values(row) == compared_values(judged) for row in last):
            return last[0]
        return replace(judged, revision=newest + 1)

    def _as_kept(self, number: int, judged: JournalRow, agreed: JournalRow) -> JournalRow:
        """The row to hand to a journal: the judged one where it has the agreed one, so that other bars show."""
        return judged if _content(self._rows[number].get(judged.key)) == _content(agreed) else agreed

    def _write(self, rows: Mapping[int, Sequence[JournalRow]], *, revise: bool) -> list[WriteResult]:
        results: list[WriteResult] = []
        for number, own in rows.items():
            if not own or number in self._failed:
                continue
            journal = self._places[number].journal
            if self._dry_run:
                merged = merge(self._rows[number].values(), own, revise=revise)
                results.append(merged.result(journal.place))
                continue
            try:
                for row in own:
                    journal.write_trade(row)
                answers = journal.finalize(revise=revise)
            except PlaybookError as error:
                # What was collected is collected still, and may not be what is to be written next.
                self._failed.add(number)
                answers = [error]
            for answer in answers:
                if isinstance(answer, PlaybookError):
                    self._tell(number, answer)
                else:
                    results.append(answer)
        return results

    def _hand_over_histories(self, revisions: Mapping[RowKey, int], missing: Mapping[int, Iterable[RowKey]]) -> None:
        """Give each journal, of its missing keys, the rows of earlier revisions than these that any journal holds."""
        if self._dry_run or not revisions:
            return
        earlier: list[JournalRow] = []
        for number, own in self._rows.items():
            held = [key for key in revisions if key in own]
            try:
                found = self._histories(number, held)
            except PlaybookError as error:
                self._tell(number, error)
                found = []
            found += [own[key] for key in held]
            earlier += [row for row in found if row.revision < revisions[row.key]]
        for number, keys in missing.items():
            wanted = set(keys)
            for row in self._open_to(number, earlier):
                if row.key in wanted:
                    self._places[number].journal.write_replaced(row)

    def _histories(self, number: int, keys: Sequence[RowKey]) -> list[JournalRow]:
        """What the rows of these keys have replaced at a journal."""
        journal = self._places[number].journal
        if len(keys) <= ONE_BY_ONE:
            return [row for key in keys for row in journal.history(key)]
        wanted = set(keys)
        query = RowQuery(symbols=frozenset(key.symbol for key in keys), strategy=keys[0].strategy)
        found = journal.files(query)
        if (error := gravest(each for each in found if isinstance(each, PlaybookError))) is not None:
            raise error
        files = (each for each in found if isinstance(each, JournalFile))
        return [row for file in files for row in file.replaced if row.key in wanted]

    def _tell(self, number: int, error: PlaybookError) -> None:
        """Keep a journal's trouble, for which it lacks rows."""
        self._behind.add(number)
        self._trouble.append(_of_place(self._places[number], error))

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


def _content(row: JournalRow | None) -> tuple[object, ...] | None:
    """What must not differ from journal to journal once a row was revised."""
    return None if row is None else (row.revision, compared_values(row))


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
