"""What the use case asks of the outside, in its own words. Every adapter passes its port's contract suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Protocol

from trading_playbook.core.merge import WriteResult as WriteResult

if TYPE_CHECKING:  # a door that asks for the time alone must not wait for numpy
    from trading_playbook.core.bars import Bars
    from trading_playbook.core.calendar import Session
    from trading_playbook.core.daily import DailyCloses, Split
    from trading_playbook.core.errors import PlaybookError
    from trading_playbook.core.journal import JournalRow, RowKey


class Clock(Protocol):
    """The only way to the time. Tests and rehearsals hand in another."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds from some fixed moment, never running backwards."""

    def sleep(self, seconds: float) -> None: ...


class Secrets(Protocol):
    """The settings that are secret, by their names such as ALPACA_API_KEY: each is read when it is needed, and kept.

    Raises FixConfig, which names the setting and never its value, where one cannot be had; RetryLater where the same
    call may work later.
    """

    def get(self, setting: str) -> str | None:
        """The value, None where the setting is not set."""

    def renewed(self, setting: str, refused: str) -> str | None:
        """The value as it is now that the other side refuses this one; the same again where there is no newer one."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a feed was asked and how it answered.

    Calls made over the network, how many of them failed, the seconds they took; answers that were found in a cache.
    """

    api_calls: int = 0
    cache_hits: int = 0
    failed_calls: int = 0
    call_seconds: float = 0.0


class BarFeed(Protocol):
    """Where bars come from: raw prices as traded, for several symbols at once, unchecked.

    Answers are by symbol: what was found, or the error of that symbol alone, so that one bad symbol harms no other.
    FixRequest where the source says that there is no such symbol, CheckData where its data cannot be read, RetryLater
    where the same call may work later, FixConfig where a setting is wrong; every symbol's own where all are concerned.
    """

    @property
    def name(self) -> str:
        """The source and its feed, as rows call it: alpaca-sip, files, simulated."""

    def daily_closes(
        self, symbols: Sequence[str], *, before: date, count: int, through: date
    ) -> Mapping[str, DailyCloses | PlaybookError]:
        """Raw closes up to `through`, reaching back so far that `count` lie before `before` where the feed has them."""

    def bars(
        self, symbols: Sequence[str], sessions: Sequence[Session], minutes: int
    ) -> Mapping[str, Bars | PlaybookError]:
        """Bars of these sessions, oldest session first, of a length that divides `minutes`; none where nothing traded.

        Bars outside regular hours or of other sessions may be among them.
        """

    def splits(self, symbols: Sequence[str], *, through: date) -> Mapping[str, tuple[Split, ...] | PlaybookError]:
        """The splits known with an ex-date up to `through`."""

    def closing_times(self, first: date, last: date) -> Mapping[date, time] | None:
        """The sessions from first to last, both in, with their closing times in New York, as the source knows them.

        None where it has no calendar of its own. RetryLater or FixConfig where it cannot be asked.
        """

    @property
    def usage(self) -> Usage:
        """Calls and cache hits since this feed was made."""

    @property
    def warnings(self) -> Sequence[str]:
        """What a person should know of the answers given so far."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes under a key, and the generation they are of: it changes with every write that changes them."""

    content: bytes
    generation: str


class LostRace(Exception):
    """The object is not of the generation that the write named: somebody wrote in between. Read again."""


class ObjectStore(Protocol):
    """Bytes under keys such as runs/a.json, with compare-and-swap.

    A reader sees the old bytes or the new ones, never a part; a process killed at any moment leaves one of the two.
    Raises RetryLater on temporary trouble (a full disk too), FixConfig where permission or the place is wrong.
    """

    @property
    def place(self) -> str:
        """The store's address, for people."""

    def address(self, key: str) -> str:
        """The address of one key, for people."""

    def get(self, key: str) -> Stored | None:
        """The object, None where there is none."""

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        """Store bytes durably and return their generation.

        expected: the generation that the write replaces, None where the key must be absent; LostRace where it is
        another.
        """

    def delete(self, key: str, *, expected: str) -> None:
        """Remove the object of this generation durably; LostRace where it is of another one, or gone."""

    def keys(self, prefix: str) -> Sequence[str]:
        """The keys that begin with prefix, sorted."""

    def require_writable(self, key: str) -> None:
        """Raise FixConfig where it can be told, without writing, that a put of this key would be refused."""


class TradeWriter(Protocol):
    """Collects the rows of one run and makes them durable at once. Nothing is visible before finalize."""

    def write_trade(self, row: JournalRow) -> None: ...

    def write_replaced(self, row: JournalRow) -> None:
        """Collect a row for the history: one that an earlier revision was, where a journal is copied."""

    def finalize(self, *, revise: bool = False) -> Sequence[WriteResult | PlaybookError]:
        """Add what is absent, leave what is equal, keep what differs and report it; with revise, replace that.

        A replaced row goes to the history and its successor has revision + 1. After it returns all is durable.
        Gives what became of the rows in each file or collection of the place, an error for one that could not be
        written, which harms no other. Raises FixRequest where simulated and real rows would come to lie in one journal,
        or the place holds no journal.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RowQuery:
    """Which rows: all that fit what is given. start and end: session dates, both ends in."""

    symbols: frozenset[str] | None = None
    start: date | None = None
    end: date | None = None
    strategy: str | None = None
    params_hash: str | None = None

    def takes(self, row: JournalRow) -> bool:
        return (
            (self.symbols is None or row.symbol in self.symbols)
            and (self.start is None or row.trade_date >= self.start)
            and (self.end is None or row.trade_date <= self.end)
            and (self.strategy is None or row.strategy == self.strategy)
            and (self.params_hash is None or row.params_hash == self.params_hash)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFile:
    """All that lies in one file of a journal, or in its collection.

    place: its address, as the records of runs name it. sha256: of its bytes; of a collection, of its rows as canonical
    CSV text. as_written: whether it is, byte for byte, what a run writes of it. rows: in the order of their keys.
    replaced: the rows that these have replaced, and those of keys that have no row any more.
    """

    place: str
    sha256: str
    as_written: bool
    rows: tuple[JournalRow, ...]
    replaced: tuple[JournalRow, ...] = ()


class JournalReader(Protocol):
    """Reads a journal; a place where nothing was written yet is an empty one."""

    @property
    def place(self) -> str:
        """The journal's address, for people."""

    def rows(self, query: RowQuery) -> list[JournalRow]:
        """The rows that the query takes, in the order of their keys."""

    def history(self, key: RowKey) -> list[JournalRow]:
        """The rows that a key's row has replaced, oldest revision first."""

    def files(self, query: RowQuery) -> Sequence[JournalFile | PlaybookError]:
        """Each file, whole, that can hold what the query takes; of one that cannot be read, why. None where none is."""

    def feeds(self, query: RowQuery) -> frozenset[str]:
        """data_feed of all rows of the journal, of whichever files it is made."""

    def require_writable(self) -> None:
        """Raise FixConfig or FixRequest where it can be told, without writing, that finalize would be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The record of one run: when it began (UTC), how it ended, and every fact of it as JSON values."""

    run_id: str
    started: datetime
    outcome: str
    facts: Mapping[str, object] = field(default_factory=dict)


class RunLog(Protocol):
    """Keeps the manifests of runs beside the journal that they wrote."""

    def require_writable(self) -> None:
        """Raise FixConfig where it can be told, without writing, that append would be refused."""

    def append(self, manifest: Manifest) -> str:
        """Keep a manifest durably and return its address. The same run twice is kept once."""

    def list(self, *, since: datetime | None = None, limit: int | None = None) -> Sequence[Manifest]:
        """The manifests of runs that began at or after `since`, newest first, at most `limit` of them."""


class Journal(TradeWriter, JournalReader, Protocol):
    """One journal, to write and to read."""


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """A journal and the records of the runs that wrote it."""

    journal: Journal
    runs: RunLog
