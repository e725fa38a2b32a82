"""What a cache holds, told without a feed, and taken out by name."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

from trading_playbook.core.calendar import Calendar
from trading_playbook.core.daily import day_of
from trading_playbook.core.errors import FixConfig, FixRequest, PlaybookError
from trading_playbook.core.parsing import parse_symbol
from trading_playbook.feeds.cached.files import Damaged, decode_daily, decode_month
from trading_playbook.feeds.cached.histories import daily_key
from trading_playbook.feeds.cached.records import CacheFile, Holding, Inventory, Removal
from trading_playbook.feeds.cached.shelf import ASIDE, Shelf
from trading_playbook.feeds.cached.soundness import fault_of_daily, fault_of_month
from trading_playbook.ports import LostRace, ObjectStore, Stored

DAILY = "1Day"

_ONE_DAY = timedelta(days=1)

_KEY = re.compile(
    r"(?P<source>[^/]+)/"
    r"(?:(?P<minutes>[1-9]\d{0,3})Min/(?P<symbol>[^/]+)/(?P<month>[12]\d{3}-(?:0[1-9]|1[0-2]))|1Day/(?P<daily>[^/]+))"
    rf"\.parquet(?P<aside>{re.escape(ASIDE)}[0-9a-f]{{8}})?",
    re.ASCII,
)


class Cache:
    """The files of a cache on a store; needs neither feed nor keys. threads: how many are read or removed at once."""

    def __init__(self, store: ObjectStore, calendar: Calendar, *, threads: int = 1) -> None:
        self._store = store
        self._calendar = calendar
        self._shelf = Shelf(store, threads)
        self._open_days: dict[int, Sequence[date]] = {}

    @property
    def place(self) -> str:
        return self._store.place

    def require_writable(self, source: str, symbols: Iterable[str]) -> None:
        """Raise FixConfig where it can be told that what a feed answers of these symbols could not be kept."""
        for symbol in symbols:
            self._store.require_writable(daily_key(source, symbol))

    def inventory(self, symbols: Collection[str] = (), *, thorough: bool = False) -> Inventory:
        """Read every file, or those of some symbols. thorough: check what their checksums cannot tell, too."""
        named, foreign = self._named()
        named = [file for file in named if not symbols or file.symbol in symbols]
        found = self._shelf.each(lambda file: self._looked_into(file, thorough), named)
        files = tuple(file for file in found if file is not None)
        return Inventory(
            place=self.place,
            files=files,
            holdings=tuple(self._holdings(files)),
            foreign=() if symbols else tuple(foreign),
        )

    def chosen(
        self, *, aside: bool = False, symbols: Collection[str] = (), before: str | None = None
    ) -> list[CacheFile]:
        """The files that fit all that is given, unread but for their size; never what is none of the cache's.

        aside: those put aside. before: a month, YYYY-MM; only files of earlier months, so none of daily closes.
        """
        named, _ = self._named()
        chosen = [
            file
            for file in named
            if (file.aside or not aside)
            and (not symbols or file.symbol in symbols)
            and (before is None or (file.month is not None and file.month < before))
        ]
        return [file for file in self._shelf.each(self._measured, chosen) if file is not None]

    def remove(self, files: Iterable[CacheFile]) -> list[Removal]:
        """Take files out, each only if it is still what it was when it was looked at."""
        return list(self._shelf.each(self._removed, files))

    def _named(self) -> tuple[list[CacheFile], list[str]]:
        """The cache's files by their keys alone, and the keys of all else."""
        named: list[CacheFile] = []
        foreign: list[str] = []
        for key in self._store.keys(""):
            file = _file_of(key, self._store.address(key))
            if file is None:
                foreign.append(key)
            else:
                named.append(file)
        return named, foreign

    def _stored(self, file: CacheFile) -> tuple[CacheFile, Stored | None] | None:
        """The file with its size, and its content; None where it is gone."""
        try:
            stored = self._store.get(file.key)
        except FixConfig as error:
            return replace(file, error=error), None
        if stored is None:
            return None
        return replace(file, size=len(stored.content), generation=stored.generation), stored

    def _measured(self, file: CacheFile) -> CacheFile | None:
        found = self._stored(file)
        return None if found is None else found[0]

    def _looked_into(self, file: CacheFile, thorough: bool) -> CacheFile | None:
        found = self._stored(file)
        if found is None:
            return None
        file, stored = found
        if stored is None or file.aside:
            return file
        try:
            read = self._with_daily if file.month is None else self._with_month
            return read(file, stored.content, thorough)
        except Damaged as error:
            return replace(file, damage=str(error))

    def _with_month(self, file: CacheFile, content: bytes, thorough: bool) -> CacheFile:
        month = decode_month(content, file.source, file.symbol)
        if int(file.timeframe.removesuffix("Min")) % month.bars.minutes:
            raise Damaged(f"its bars have {month.bars.minutes} minutes")
        if thorough and (fault := fault_of_month(month, str(file.month), self._calendar)):
            return replace(file, damage=fault, unsound=True)
        days = sorted(month.sessions)
        return replace(
            file,
            first=days[0] if days else None,
            last=days[-1] if days else None,
            sessions=len(days),
            bars=len(month.bars.opened),
            doubtful=tuple(day for day in days if month.sessions[day].asked is not None),
            empty=tuple(day for day in days if not month.sessions[day].bars),
            gaps=self._lacking(days),
        )

    def _with_daily(self, file: CacheFile, content: bytes, thorough: bool) -> CacheFile:
        history = decode_daily(content, file.source, file.symbol)
        if thorough and (fault := fault_of_daily(history)):
            return replace(file, damage=fault, unsound=True)
        days = sorted({day_of(number) for number in history.closes.days.tolist()})
        return replace(
            file,
            first=days[0] if days else None,
            last=days[-1] if days else None,
            sessions=len(days),
            bars=len(history.closes.days),
            splits=len(history.splits),
            doubtful=tuple(day for day in days if day > history.end),
            gaps=self._lacking(days),
        )

    def _lacking(self, days: Sequence[date]) -> tuple[date, ...]:
        """The open days from the first of these to the last that are not among them."""
        if not days:
            return ()
        known = set(days)
        return tuple(day for day in self._between(days[0], days[-1]) if day not in known)

    def _between(self, first: date, last: date) -> list[date]:
        """The open days from first to last, both in."""
        found: list[date] = []
        for year in range(first.year, last.year + 1):
            if year not in self._open_days:
                self._open_days[year] = self._calendar.open_days(year)
            own = self._open_days[year]
            found += own[bisect_left(own, first) : bisect_right(own, last)]
        return found

    def _holdings(self, files: Iterable[CacheFile]) -> Iterable[Holding]:
        groups: dict[tuple[str, str, str], list[CacheFile]] = {}
        for file in files:
            if not file.aside:
                groups.setdefault((file.source, file.symbol, file.timeframe), []).append(file)
        for (source, symbol, timeframe), own in sorted(groups.items()):
            told = sorted((file for file in own if file.first), key=lambda file: str(file.month))
            between = sum(
                len(self._between(earlier.last + _ONE_DAY, later.first - _ONE_DAY))
                for earlier, later in pairwise(told)
                if earlier.last and later.first
            )
            yield Holding(
                source=source,
                timeframe=timeframe,
                symbol=symbol,
                first=f"{told[0].first:%Y-%m}" if told else None,
                last=f"{told[-1].last:%Y-%m}" if told else None,
                files=len(own),
                sessions=sum(file.sessions for file in own),
                bars=sum(file.bars for file in own),
                size=sum(file.size for file in own),
                doubtful=sum(len(file.doubtful) for file in own),
                empty=sum(len(file.empty) for file in own),
                gaps=sum(len(file.gaps) for file in own) + between,
                damaged=sum(not file.is_sound for file in own),
            )

    def _removed(self, file: CacheFile) -> Removal:
        if file.error is not None:
            return Removal(file, error=file.error)
        try:
            self._store.delete(file.key, expected=file.generation)
        except LostRace:
            return Removal(file, lost=True)
        except PlaybookError as error:
            return Removal(file, error=error)
        return Removal(file)


def _file_of(key: str, address: str) -> CacheFile | None:
    """What a key tells of a file, None where it is none that a cache writes."""
    found = _KEY.fullmatch(key)
    symbol = found and (found["symbol"] or found["daily"])
    if found is None or symbol is None or not _is_symbol(symbol):
        return None
    return CacheFile(
        key=key,
        address=address,
        source=found["source"],
        timeframe=f"{found['minutes']}Min" if found["minutes"] else DAILY,
        symbol=symbol,
        month=found["month"],
        aside=found["aside"] is not None,
    )


def _is_symbol(text: str) -> bool:
    with suppress(FixRequest):
        return parse_symbol(text) == text
    return False
