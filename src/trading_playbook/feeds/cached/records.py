"""What is told of a cache: its files, what they hold together, what became of those that were to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from trading_playbook.core.errors import PlaybookError


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFile:
    """One file of a cache.

    source: the feed, such as alpaca-sip. timeframe: 2Min, or 1Day. month: YYYY-MM, None for daily closes. aside: it was
    put aside as damaged, and nothing reads it. size: in bytes. first, last: the sessions it reaches from and to.
    sessions: how many it knows. bars: or closes. doubtful: sessions that are asked for again on a later day. empty:
    those without bars. gaps: open days between first and last that it lacks. damage: what is wrong with it; unsound:
    whether a run would not see that. error: why it cannot even be read.
    """

    key: str
    address: str
    source: str
    timeframe: str
    symbol: str
    month: str | None
    aside: bool = False
    size: int = 0
    generation: str = ""
    first: date | None = None
    last: date | None = None
    sessions: int = 0
    bars: int = 0
    splits: int = 0
    doubtful: tuple[date, ...] = ()
    empty: tuple[date, ...] = ()
    gaps: tuple[date, ...] = ()
    damage: str | None = None
    unsound: bool = False
    error: PlaybookError | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it is in use and nothing is known to be wrong with it."""
        return not self.aside and self.damage is None and self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a cache has of a symbol in one timeframe, over all its files that are in use.

    first, last: months, YYYY-MM; None where no file can be read. gaps: open days between the first session and the last
    that no file has.
    """

    source: str
    timeframe: str
    symbol: str
    first: str | None
    last: str | None
    files: int
    sessions: int
    bars: int
    size: int
    doubtful: int
    empty: int
    gaps: int
    damaged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All that was found. files: by key. foreign: keys of what is none of the cache's, which was not looked into."""

    place: str
    files: tuple[CacheFile, ...]
    holdings: tuple[Holding, ...]
    foreign: tuple[str, ...]

    @property
    def used(self) -> list[CacheFile]:
        return [file for file in self.files if not file.aside]

    @property
    def aside(self) -> list[CacheFile]:
        return [file for file in self.files if file.aside]

    @property
    def damaged(self) -> list[CacheFile]:
        return [file for file in self.files if file.damage is not None]

    @property
    def errors(self) -> list[PlaybookError]:
        """Why files could not be read."""
        return [file.error for file in self.files if file.error is not None]


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a file that was to go. lost: somebody has changed it since, so it stays. error: it cannot go."""

    file: CacheFile
    lost: bool = False
    error: PlaybookError | None = None

    @property
    def is_done(self) -> bool:
        return not self.lost and self.error is None
