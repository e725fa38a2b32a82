"""Alpaca's market data and trading hosts on loopback: the endpoints that we use, and what may go wrong on the way.

What it answers is taken from Alpaca's reference (docs.alpaca.markets), from alpaca-py 0.44.0 and from answers that
people have recorded; where none of these tells a text, a comment says so. One server plays both hosts.

    with AlpacaServer(alpaca_market(market)) as server:
        server.misbehave(status(503), kind="bars", times=2)
        ...  # settings: server.settings
        assert server.calls("bars") == 3
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import os
import re
import select
import socket
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, product
from string import ascii_uppercase
from typing import Any, Generic, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit
from zlib import crc32

import numpy as np

from tests.support.bars import CALENDAR, NEW_YORK, joined, nanoseconds
from tests.support.market import Market
from trading_playbook.core.bars import MINUTE, Bars, FloatArray, IntArray
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import Split, day_of
from trading_playbook.feeds.simulated import SimulatedFeed

T = TypeVar("T")
Json = dict[str, Any]

KEY, SECRET = "PKTESTKEYOFTHEDOUBLE", "secret-of-the-double-1234567890abcdef"
CALLS_PER_MINUTE = {"basic": 200, "plus": 10_000}
RECENT = timedelta(minutes=15)
LONGEST_TARGET = 8_000
"""Bytes of path and query; beyond them a 414 in HTML. Alpaca has such a limit and does not publish it."""

_SYMBOL = re.compile(r"[A-Z]+(\.[A-Z]+)?")
_TIMEFRAME = re.compile(r"([1-9]\d?)(Min|T|Hour|H)|1(?:Day|D)")
_FEEDS = ("sip", "iex", "boats", "otc")
_ADJUSTMENTS = ("raw", "split", "dividend", "spin-off", "all")
_NAMESPACE = uuid.UUID(int=0)
_FOREVER = (-(2**62), 2**62)


# --- what the market holds -------------------------------------------------------------------------------------------


class Lazily(Mapping[str, T], Generic[T]):
    """Values made when first asked for, and kept."""

    def __init__(self, symbols: Collection[str], make: Callable[[str], T]) -> None:
        self._symbols = dict.fromkeys(symbols)
        self._make = cache(make)

    def __getitem__(self, symbol: str) -> T:
        if symbol not in self._symbols:
            raise KeyError(symbol)
        return self._make(symbol)

    def __iter__(self) -> Iterator[str]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)


@dataclass(slots=True, kw_only=True)
class AlpacaMarket:
    """What the double knows. Changes show at the next request, but for arrays that are written into.

    bars: raw bars of regular hours; closes: the daily bars that exist, those of the sessions of bars where a symbol
    has none of its own. finer: bars of fewer minutes, held separately. assets: the symbols that the trading host
    knows, all with data where None. feed: what bars are of; another feed has thinner ones. plan: basic (free) or plus.
    extended: whether sessions also have bars before the open, at the closing cross and after it, at other prices.
    processed: process dates, by symbol and ex-date, that are not the ex-date. renames: by new symbol the old one and
    the first day of the new one; the bars all stand under the new.
    """

    bars: Mapping[str, Bars] = field(default_factory=dict)
    closes: Mapping[str, Mapping[date, float]] = field(default_factory=dict)
    splits: Mapping[str, Sequence[Split]] = field(default_factory=dict)
    finer: Mapping[str, Bars] = field(default_factory=dict)
    assets: Collection[str] | None = None
    calendar: Calendar = CALENDAR
    feed: str = "sip"
    plan: str = "basic"
    extended: bool = True
    processed: Mapping[tuple[str, date], date] = field(default_factory=dict)
    renames: Mapping[str, tuple[str, date]] = field(default_factory=dict)

    def has_asset(self, symbol: str) -> bool:
        if self.assets is not None:
            return symbol in self.assets
        return symbol in self.bars or symbol in self.closes

    def knows(self, symbol: str) -> bool:
        """Whether the data host takes this for a symbol: anything so written, and what is held in any case."""
        return bool(_SYMBOL.fullmatch(symbol)) or symbol in self.bars or symbol in self.closes


def alpaca_market(market: Market, **options: Any) -> AlpacaMarket:
    """The bars of a folder, as Alpaca would have them; what is changed in the one changes in the other."""
    return AlpacaMarket(bars=market.bars, closes=market.closes, splits=market.splits, **options)


def simulated_market(symbols: Sequence[str], start: str, end: str, *, daily: int = 210, **options: Any) -> AlpacaMarket:
    """What the simulated feed has of these sessions, both ends in, and of the closes before them."""
    feed, first, last = SimulatedFeed(CALENDAR), date.fromisoformat(start), date.fromisoformat(end)
    sessions = CALENDAR.sessions(first, last)

    def bars(symbol: str) -> Bars:
        return cast(Bars, feed.bars([symbol], sessions, 2)[symbol])

    def closes(symbol: str) -> dict[date, float]:
        found: Any = feed.daily_closes([symbol], before=first, count=daily, through=last)[symbol]
        return dict(zip(map(day_of, found.days.tolist()), found.closes.tolist(), strict=True))

    return AlpacaMarket(bars=Lazily(symbols, bars), closes=Lazily(symbols, closes), **options)


def generated_market(
    symbols: Sequence[str], start: str, end: str, *, daily: int = 210, minutes: int = 2, **options: Any
) -> AlpacaMarket:
    """Plausible bars of many symbols, made as they are asked for: quicker than simulated_market."""
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    sessions = CALENDAR.sessions(first, last)
    before = [session.date for session in CALENDAR.last_sessions(daily, first - timedelta(days=1))]
    slots = [nanoseconds(own.opens) + np.arange(own.slots(minutes)) * minutes * MINUTE for own in sessions]
    opened, lasts = np.concatenate(slots), np.cumsum([len(own) for own in slots]) - 1

    def bars(symbol: str) -> Bars:
        luck = np.random.default_rng(crc32(symbol.encode()))
        steps = luck.integers(-30, 31, len(opened))
        cents = np.maximum(30_000 + luck.integers(0, 30_000) + np.cumsum(steps), 1_000)
        ends = np.maximum(cents + luck.integers(-20, 21, len(opened)), 1_000)
        spread = luck.integers(0, 15, (2, len(opened)))
        return Bars(
            symbol=symbol,
            minutes=minutes,
            opened=opened,
            open=cents / 100,
            high=(np.maximum(cents, ends) + spread[0]) / 100,
            low=(np.minimum(cents, ends) - spread[1]) / 100,
            close=ends / 100,
            volume=luck.integers(1, 90_000, len(opened)).astype(np.float64),
            first_session=first,
        )

    made = Lazily(symbols, bars)

    def closes(symbol: str) -> dict[date, float]:
        own, luck = made[symbol], np.random.default_rng(crc32(f"{symbol} daily".encode()))
        base = round(float(own.open[0]) * 100)
        told = dict(zip(before, ((base + luck.integers(-5_000, 5_000, len(before))) / 100).tolist(), strict=True))
        return told | dict(zip([s.date for s in sessions], own.close[lasts].tolist(), strict=True))

    return AlpacaMarket(bars=made, closes=Lazily(symbols, closes), **options)


def many_symbols(how_many: int = 503) -> list[str]:
    """So many symbols of three letters, which Alpaca would take for symbols."""
    letters = product("QXZKJ", ascii_uppercase, ascii_uppercase)
    return ["".join(next(letters)) for _ in range(how_many)]


# --- bars as text ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol's bars in the order of time, as JSON: text holds them with commas between, the bar i at offsets[i]."""

    times: IntArray
    text: bytes
    offsets: IntArray

    def between(self, first: int, end: int) -> bytes:
        return self.text[self.offsets[first] : self.offsets[end] - 1] if first < end else b""

    def one(self, at: int) -> bytes:
        return self.between(at, at + 1)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of bars in the order of time; volume in shares."""

    times: IntArray
    prices: FloatArray
    volume: FloatArray

    def in_order(self) -> Table:
        order = np.argsort(self.times, kind="stable")
        return Table(self.times[order], self.prices[:, order], self.volume[order])


def as_series(table: Table) -> Series:
    """Write the bars as Alpaca does, whole numbers without a fraction."""
    stamps = np.datetime_as_string(table.times.astype("datetime64[ns]").astype("datetime64[s]")).tolist()
    average = np.round(table.prices[1:].sum(axis=0) / 3, 6)
    whole = np.nan_to_num(table.volume, nan=0.0).astype(np.int64)
    trades = np.maximum(1, whole // 100)
    columns = [*table.prices.tolist(), whole.tolist(), trades.tolist(), average.tolist()]
    form = '{"t":"%sZ","o":%r,"h":%r,"l":%r,"c":%r,"v":%d,"n":%d,"vw":%r},'
    rows = [(form % row).replace(".0,", ",").replace(".0}", "}") for row in zip(stamps, *columns, strict=True)]
    if np.isnan(table.prices).any():
        rows = [row.replace("nan", "null") for row in rows]
    offsets = np.concatenate([[0], np.cumsum(list(map(len, rows)))]).astype(np.int64)
    return Series(table.times, "".join(rows).encode("ascii"), offsets)


def as_table(bars: Bars) -> Table:
    return Table(bars.opened, np.stack([bars.open, bars.high, bars.low, bars.close]), bars.volume).in_order()


def aggregated(table: Table, minutes: int) -> Table:
    """Bars that begin at whole multiples of so many minutes, across the opening and the close as Alpaca's do."""
    slots = table.times - table.times % (minutes * MINUTE)
    first = np.flatnonzero(np.diff(slots, prepend=slots[:1] - 1))
    if len(first) == len(slots):
        return replace(table, times=slots)
    last = np.append(first[1:], len(slots)) - 1
    opens, high, low, closes = table.prices
    prices = np.stack([opens[first], np.maximum.reduceat(high, first), np.minimum.reduceat(low, first), closes[last]])
    return Table(slots[first], prices, np.add.reduceat(table.volume, first))


def thinned(table: Table) -> Table:
    """What one venue saw of it: fewer shares, and neither the highs nor the lows."""
    opens, _, _, closes = table.prices
    prices = np.stack([opens, np.fmax(opens, closes), np.fmin(opens, closes), closes])
    return Table(table.times, prices, np.maximum(1, table.volume // 50))


def split_adjusted(table: Table, splits: Sequence[Split]) -> Table:
    """Prices before each ex-date divided by new / old, shares multiplied."""
    factors = np.ones(len(table.times))
    for split in splits:
        factors[table.times < midnight(split.ex_date)] *= split.new / split.old
    return Table(table.times, np.round(table.prices / factors, 4), np.rint(table.volume * factors))


@cache
def midnight(day: date) -> int:
    """Nanoseconds of midnight in New York, which stamps a daily bar: 05:00 UTC in winter, 04:00 in summer."""
    return nanoseconds(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK))


@dataclass(frozen=True, slots=True)
class Library:
    """A market's bars by symbol, timeframe, feed and adjustment, written once and again where they have changed."""

    market: AlpacaMarket
    _kept: dict[tuple[str, int, str, bool], tuple[object, Series, object]] = field(default_factory=dict)

    def series(self, symbol: str, minutes: int, feed: str, adjusted: bool) -> Series | None:
        """minutes: 0 for daily bars. None where nothing is held; LookupError where the bars held are too long."""
        market = self.market
        bars, closes, finer = market.bars.get(symbol), market.closes.get(symbol), market.finer.get(symbol)
        if bars is None and closes is None:
            return None
        splits = tuple(market.splits.get(symbol, ()))
        own_closes = None if closes is None else dict(closes)
        source = (id(bars), id(finer), own_closes, splits, market.extended, market.feed, market.calendar.version)
        key = (symbol, minutes, feed, adjusted)
        kept = self._kept.get(key)
        if kept is None or kept[0] != source:
            table = self._daily(bars, closes) if minutes == 0 else self._intraday(bars, finer, closes or {}, minutes)
            table = table if feed == market.feed else thinned(table)
            # The bars are kept as well: while they live, no others can have their id.
            kept = (source, as_series(split_adjusted(table, splits) if adjusted else table), (bars, finer))
            self._kept[key] = kept
        return kept[1]

    def _intraday(self, bars: Bars | None, finer: Bars | None, closes: Mapping[date, float], minutes: int) -> Table:
        held = next((own for own in (bars, finer) if own is not None and minutes % own.minutes == 0), None)
        if held is None:
            if bars is None:
                return Table(np.empty(0, dtype=np.int64), np.empty((4, 0)), np.empty(0))
            raise LookupError(f"the double has no bars of {bars.symbol} that make {minutes} minutes")
        if self.market.extended and len(held.opened):
            held = joined(held, self._extended(held, closes))
        return aggregated(as_table(held), minutes)

    def _extended(self, bars: Bars, closes: Mapping[date, float]) -> Bars:
        """Bars before the open, at the closing cross and after it, at prices that would spoil a session's own."""
        width = bars.minutes * MINUTE
        rows: list[tuple[float, ...]] = []
        for session, own in self._by_session(bars):
            opens, ends = nanoseconds(session.opens), nanoseconds(session.closes)
            first, last = (float(value) for value in (bars.open[own[0]], bars.close[own[-1]]))
            low, high, official = round(first * 0.97, 2), round(last * 1.03, 2), closes.get(session.date, last)
            rows += [(at, low, low, round(low - 0.05, 2), low, 300) for at in (opens - 60 * 5 * MINUTE, opens - width)]
            rows += [(ends, official, official, official, official, 500_000)]
            rows += [(at, high, round(high + 0.05, 2), high, high, 200) for at in (ends + width, ends + 120 * MINUTE)]
        columns = np.array(rows).reshape(-1, 6).T
        names = ("open", "high", "low", "close", "volume")
        values: dict[str, Any] = dict(zip(names, columns[1:], strict=True))
        opened = np.array([row[0] for row in rows], dtype=np.int64)
        return Bars(symbol=bars.symbol, minutes=bars.minutes, opened=opened, **values)

    def _by_session(self, bars: Bars) -> Iterator[tuple[Session, IntArray]]:
        """The sessions that have bars, with the positions of those in regular hours, oldest first."""
        order = np.argsort(bars.opened, kind="stable")
        times = bars.opened[order]
        if not len(times):
            return
        first, last = (datetime.fromtimestamp(int(at) / 1e9, NEW_YORK).date() for at in (times[0], times[-1]))
        for session in self.market.calendar.sessions(first, last):
            start, end = np.searchsorted(times, [nanoseconds(session.opens), nanoseconds(session.closes)])
            if start < end:
                yield session, order[start:end]

    def _daily(self, bars: Bars | None, closes: Mapping[date, float] | None) -> Table:
        """Prices of regular hours with the official close. Days without intraday bars get a range about the close."""
        found: dict[date, tuple[float, ...]] = {}
        wanted = None if closes is None else set(closes)
        for session, own in () if bars is None else self._by_session(bars):
            if wanted is not None and session.date not in wanted:
                continue
            assert bars is not None
            close = float(bars.close[own[-1]]) if closes is None else closes[session.date]
            high, low = float(np.fmax.reduce(bars.high[own])), float(np.fmin.reduce(bars.low[own]))
            opens = float(bars.open[own[0]])
            found[session.date] = (opens, max(high, close), min(low, close), close, float(bars.volume[own].sum()))
        for day, close in (closes or {}).items():
            found.setdefault(day, (close, round(close * 1.01, 2), round(close * 0.99, 2), close, 1_000_000.0))
        days = sorted(found)
        columns = np.array([found[day] for day in days]).reshape(-1, 5).T
        return Table(np.array([midnight(day) for day in days], dtype=np.int64), columns[:4], columns[4])


# --- requests and answers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came. kind: bars, daily, splits, assets, calendar, or unknown; at: by time.monotonic.

    page: 1 where it has no page_token, else one more than that of the answer which gave the token.
    """

    kind: str
    path: str
    params: Mapping[str, str]
    header_names: frozenset[str]
    at: float
    page: int
    credentials: tuple[str | None, str | None] = field(repr=False)

    @property
    def symbols(self) -> list[str]:
        if self.kind == "assets":
            return [unquote(self.path.rpartition("/")[2])]
        return [symbol for symbol in self.params.get("symbols", "").split(",") if symbol]

    def with_params(self, **params: str) -> Request:
        return replace(self, params={**self.params, **params})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent, and how. token: its next_page_token; length: a Content-Length that is not the body's."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json; charset=UTF-8"
    token: str | None = None
    length: int | None = None
    deliver: Delivery | None = None


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(status, message, code)
        self.answer = json_answer({"message": message} if code is None else {"code": code, "message": message}, status)


def json_answer(content: object, status: int = 200, **more: Any) -> Answer:
    return Answer(status=status, body=json.dumps(content, separators=(",", ":")).encode(), **more)


def html_answer(status: int) -> Answer:
    told = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html>\r\n<head><title>{told}</title></head>\r\n<body>\r\n<center><h1>{told}</h1></center>\r\n"
    body = f"{page}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n".encode()
    return Answer(status=status, body=body, content_type="text/html")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: its last symbol and time. mark: anything that makes the token another one."""

    symbol: str = ""
    time: int = _FOREVER[0]
    unit: str = "M"
    mark: str = ""

    def token(self) -> str:
        """As Alpaca writes it: base64 of AAPL|D|2023-09-29T04:00:00.000000000Z."""
        stamp = str(np.datetime64(self.time, "ns")) + "Z" if self.symbol else ""
        text = f"{self.symbol}|{self.unit}|{stamp}" + (f"|{self.mark}" if self.mark else "")
        return base64.b64encode(text.encode()).decode()

    @classmethod
    def of(cls, token: str | None) -> Cursor:
        if not token:
            return cls()
        try:
            symbol, unit, stamp, *marks = base64.b64decode(token, validate=True).decode().split("|")
            at = int(np.datetime64(stamp.removesuffix("Z"), "ns").astype(np.int64)) if stamp else _FOREVER[0]
        except (ValueError, binascii.Error):
            raise Refused(400, "invalid page_token") from None  # its text is not known
        return cls(symbol, at, unit, marks[0] if marks else "")


class Endpoints:
    """The answers of a host in good health."""

    def __init__(self, market: AlpacaMarket, now: Callable[[], datetime], key: str, secret: str) -> None:
        self.market = market
        self._library = Library(market)
        self._now = now
        self._keys = (key, secret)

    def answer(self, request: Request) -> Answer:
        """Refusals are answers as well."""
        answers: dict[str, Callable[[Request], Answer]] = {
            "bars": self._bars,
            "daily": self._bars,
            "splits": self._splits,
            "assets": self._asset,
            "calendar": self._calendar,
        }
        try:
            if request.kind not in answers:
                raise Refused(404, "endpoint not found.")
            self._require_keys(request)
            return answers[request.kind](request)
        except Refused as refusal:
            return refusal.answer

    def _require_keys(self, request: Request) -> None:
        if request.credentials == self._keys:
            return
        if request.kind in ("assets", "calendar"):
            raise Refused(401, "request is not authorized", 40110000)
        # The data host: 401 without keys, 403 with wrong ones; its page tells of both as 403.
        raise Refused(403, "forbidden.") if all(request.credentials) else Refused(401, "unauthorized.")

    def _bars(self, request: Request) -> Answer:
        params, market = request.params, self.market
        if not request.symbols:
            raise Refused(400, "symbols is required")
        for symbol in request.symbols:
            if not market.knows(symbol):
                raise Refused(400, f"invalid symbol: {symbol}")
        minutes = _minutes_of(params.get("timeframe", ""))
        limit = _limit_of(params, 1_000, 10_000)
        adjustment = _one_of(params, "adjustment", _ADJUSTMENTS, "raw")
        feed = _one_of(params, "feed", _FEEDS, "sip")
        newest_first = _one_of(params, "sort", ("asc", "desc"), "asc") == "desc"
        asof = params.get("asof", "")
        if asof not in ("", "-"):
            _day_of(params, "asof")
        start, end = self._window(params, feed)
        cursor = Cursor.of(params.get("page_token"))
        if feed == "boats":
            return Answer(body=b'{"bars":{},"next_page_token":null}')
        held = self._held(request.symbols, asof, minutes, feed, adjustment in ("split", "all"))
        return _page(held, (start, end), cursor, limit, newest_first, "D" if minutes == 0 else "M")

    def _held(
        self, symbols: Sequence[str], asof: str, minutes: int, feed: str, adjusted: bool
    ) -> Iterator[tuple[str, Series, int, int]]:
        """What is held, in the order of symbols, with the first and last time that the name stands for."""
        visible = nanoseconds(self._now()) - minutes * MINUTE - (570 * MINUTE if minutes == 0 else 0)
        for symbol in sorted(set(symbols)):
            holder, first, last = _named(symbol, asof, self.market.renames)
            series = self._library.series(holder, minutes, feed, adjusted)
            if series is not None:
                yield symbol, series, first, min(last, visible)

    def _window(self, params: Mapping[str, str], feed: str) -> tuple[int, int]:
        """start and end in nanoseconds, both in, and whether the plan permits them."""
        now, basic = self._now(), self.market.plan == "basic"
        if feed == "otc":
            raise Refused(403, "subscription does not permit querying OTC data")
        latest = nanoseconds(now - RECENT if basic and feed == "sip" else now)
        end = _moment_of(params, "end", latest, last=True)
        start = _moment_of(params, "start", midnight(now.astimezone(NEW_YORK).date()))
        if end < start and "end" in params and "start" in params:
            raise Refused(400, "end should not be before start")  # its text is not known
        if end > latest and basic and feed == "sip":
            raise Refused(403, "subscription does not permit querying recent SIP data")
        return start, end

    def _splits(self, request: Request) -> Answer:
        params, today = request.params, self._now().astimezone(NEW_YORK).date()
        types = [kind for kind in params.get("types", "").split(",") if kind] or ["forward_split", "reverse_split"]
        limit = _limit_of(params, 100, 1_000)
        start, end = (_day_of(params, name) if name in params else today for name in ("start", "end"))
        if end < start:
            raise Refused(400, "end should not be before start")  # its text is not known
        newest_first = _one_of(params, "sort", ("asc", "desc"), "asc") == "desc"
        found = sorted(
            (
                action
                for action in self._actions(request.symbols)
                if action["kind"] in types and str(start) <= action["process_date"] <= str(end)
            ),
            key=lambda action: (action["process_date"], action["symbol"]),
            reverse=newest_first,
        )
        done = Cursor.of(params.get("page_token")).mark or "0"
        first = int(done.partition("#")[0])
        grouped: dict[str, list[Json]] = {}
        for action in found[first : first + limit]:
            grouped.setdefault(f"{action['kind']}s", []).append({k: v for k, v in action.items() if k != "kind"})
        more = first + limit < len(found)
        token = Cursor(mark=str(first + limit)).token() if more else None
        return json_answer({"corporate_actions": grouped, "next_page_token": token}, token=token)

    def _actions(self, symbols: Sequence[str]) -> Iterator[Json]:
        for symbol in sorted(set(symbols)) or sorted(self.market.splits):
            for split in self.market.splits.get(symbol, ()):
                forward = split.new > split.old
                cusips = {"cusip": "000000000"} if forward else {"old_cusip": "000000000", "new_cusip": "000000001"}
                yield {
                    "kind": "forward_split" if forward else "reverse_split",
                    "id": str(uuid.uuid5(_NAMESPACE, f"{symbol} {split}")),
                    "symbol": symbol,
                    **cusips,
                    "new_rate": _number(split.new),
                    "old_rate": _number(split.old),
                    "process_date": str(self.market.processed.get((symbol, split.ex_date), split.ex_date)),
                    "ex_date": str(split.ex_date),
                    "record_date": str(split.ex_date),
                    "payable_date": str(split.ex_date),
                }

    def _asset(self, request: Request) -> Answer:
        (symbol,) = request.symbols
        if not self.market.has_asset(symbol):
            raise Refused(404, f"asset not found for {symbol}", 40410000)
        permitted = ("tradable", "marginable", "shortable", "easy_to_borrow", "fractionable")
        return json_answer(
            {
                "id": str(uuid.uuid5(_NAMESPACE, symbol)),
                "class": "us_equity",
                "exchange": "NASDAQ",
                "symbol": symbol,
                "name": f"{symbol} Common Stock",
                "status": "active",
                **dict.fromkeys(permitted, True),
                "maintenance_margin_requirement": 30,
                "margin_requirement_long": "30",
                "margin_requirement_short": "30",
                "attributes": [],
            }
        )

    def _calendar(self, request: Request) -> Answer:
        known = self.market.calendar
        start, end = (
            _day_of(request.params, name, 422) if name in request.params else default
            for name, default in (("start", known.first), ("end", known.last))
        )
        start, end = max(start, known.first), min(end, known.last)
        return json_answer([self._calendar_day(own) for own in known.sessions(start, end)] if start <= end else [])

    def _calendar_day(self, session: Session) -> Json:
        opens, closes = (moment.astimezone(NEW_YORK) for moment in (session.opens, session.closes))
        early = closes.hour < 16
        after = 1 if session.date >= date(2024, 5, 28) else 2
        settles = session.date
        while after:
            settles += timedelta(days=1)
            after -= self.market.calendar.is_open(settles) or settles > self.market.calendar.last
        return {
            "date": str(session.date),
            "open": f"{opens:%H:%M}",
            "close": f"{closes:%H:%M}",
            "session_open": "0400",
            "session_close": "1700" if early else "2000",
            "settlement_date": str(settles),
        }


def _page(
    held: Iterator[tuple[str, Series, int, int]],
    window: tuple[int, int],
    cursor: Cursor,
    limit: int,
    newest_first: bool,
    unit: str,
) -> Answer:
    """Bars after the cursor, at most limit of them, by symbol and then by time."""
    parts: list[bytes] = []
    reached, room = cursor, limit
    for symbol, series, lowest, highest in held:
        if symbol < cursor.symbol:
            continue
        low, high = max(window[0], lowest), min(window[1], highest)
        if symbol == cursor.symbol:
            low, high = (low, min(high, cursor.time - 1)) if newest_first else (max(low, cursor.time + 1), high)
        first, end = int(np.searchsorted(series.times, low)), int(np.searchsorted(series.times, high, "right"))
        if first >= end:
            continue
        if room == 0:
            token = replace(reached, unit=unit).token()
            break
        taken = min(room, end - first)
        if newest_first:
            text = b",".join(series.one(at) for at in range(end - 1, end - 1 - taken, -1))
        else:
            text = series.between(first, first + taken)
        parts.append(b'"%s":[%s]' % (symbol.encode(), text))
        room -= taken
        reached = Cursor(symbol, int(series.times[end - taken if newest_first else first + taken - 1]))
        if taken < end - first:
            token = replace(reached, unit=unit).token()
            break
    else:
        return Answer(body=b'{"bars":{%s},"next_page_token":null}' % b",".join(parts))
    return Answer(body=b'{"bars":{%s},"next_page_token":"%s"}' % (b",".join(parts), token.encode()), token=token)


def _named(symbol: str, asof: str, renames: Mapping[str, tuple[str, date]]) -> tuple[str, int, int]:
    """Under which symbol the bars stand, and from when to when this name, on that day, means them."""
    for new, (old, since) in renames.items():
        if symbol not in (new, old):
            continue
        if asof == "-":
            return (new, midnight(since), _FOREVER[1]) if symbol == new else (new, _FOREVER[0], midnight(since) - 1)
        then_old = asof != "" and date.fromisoformat(asof) < since
        return (new, *_FOREVER) if (symbol == old) == then_old else (new, _FOREVER[1], _FOREVER[0])
    return symbol, *_FOREVER


def _minutes_of(timeframe: str) -> int:
    """Minutes of a timeframe, 0 for a day; weeks and months are left out of the double."""
    found = _TIMEFRAME.fullmatch(timeframe)
    if found is None:
        raise Refused(400, f"invalid timeframe: {timeframe}")
    if found[1] is None:
        return 0
    hours, many = found[2].startswith("H"), int(found[1])
    if many > (23 if hours else 59):
        raise Refused(400, f"invalid timeframe: {timeframe}")
    return many * (60 if hours else 1)


def _limit_of(params: Mapping[str, str], default: int, highest: int) -> int:
    told = params.get("limit", str(default))
    if not told.isdigit() or not 1 <= int(told) <= highest:
        raise Refused(400, f"invalid limit: {told}")  # its text is not known
    return int(told)


def _one_of(params: Mapping[str, str], name: str, values: Sequence[str], default: str) -> str:
    told = params.get(name, default)
    if told not in values:
        raise Refused(400, f"invalid {name}: {told}")
    return told


def _day_of(params: Mapping[str, str], name: str, status: int = 400) -> date:
    told = params[name]
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", told):
            return date.fromisoformat(told)
        return datetime.fromisoformat(told).date()
    except ValueError:
        raise Refused(status, f"invalid {name}: {told}") from None


def _moment_of(params: Mapping[str, str], name: str, default: int, *, last: bool = False) -> int:
    """An instant of RFC 3339, or a day in New York: its first nanosecond, or its last."""
    told = params.get(name)
    if told is None:
        return default
    if re.fullmatch(r"\d{4}-\d\d-\d\d", told):
        day = _day_of(params, name)
        return midnight(day + timedelta(days=1)) - 1 if last else midnight(day)
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", told)
    try:
        if found is None:
            raise ValueError(told)
        whole = nanoseconds(datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3])))
    except ValueError:
        raise Refused(400, f"invalid {name}: {told}") from None
    return whole + int((found[2] or ".0")[1:].ljust(9, "0"))


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else value


# --- faults ----------------------------------------------------------------------------------------------------------

Next = Callable[[Request], Answer]
Fault = Callable[[Request, Next], Answer]
"""Stands before an endpoint: may ask it something else, change what it says, or not ask it at all."""

UNSET = object()
"""A field to be left out, for with_bar."""


class Wire:
    """The connection that an answer goes out on."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self._connection = connection
        self._stopped = stopped

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)

    def wait(self, seconds: float) -> bool:
        """Wait, and say whether to go on: not where the double is stopped or the client has gone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopped.wait(min(left, 0.02)) or self._gone():
                return False
        return not self._stopped.is_set()

    def reset(self) -> None:
        """Break the connection off, so that the client sees a reset and no orderly end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._connection.detach())

    def _gone(self) -> bool:
        ready, _, _ = select.select([self._connection], [], [], 0)
        return bool(ready) and self._connection.recv(1, socket.MSG_PEEK) == b""


Delivery = Callable[[Wire, bytes, bytes], None]
"""Sends head and body; where a delivery is not given, both go out at once and the connection is kept."""


def delivered(deliver: Delivery) -> Fault:
    """The right answer, sent in another way."""
    return lambda request, answer: replace(answer(request), deliver=deliver)


def hang() -> Fault:
    """Take the request and never answer."""

    def deliver(wire: Wire, head: bytes, body: bytes) -> None:
        while wire.wait(3600):
            pass

    return lambda request, answer: Answer(deliver=deliver)


def late(seconds: float) -> Fault:
    """Answer after so long."""

    def deliver(wire: Wire, head: bytes, body: bytes) -> None:
        if wire.wait(seconds):
            wire.write(head + body)

    return delivered(deliver)


def drip(every: float, *, part: str = "body", size: int = 1) -> Fault:
    """Send the body, or the headers, in so many bytes each so many seconds."""

    def deliver(wire: Wire, head: bytes, body: bytes) -> None:
        at_once, slowly = (head, body) if part == "body" else (b"", head)
        wire.write(at_once)
        for at in range(0, len(slowly), size):
            if not wire.wait(every):
                return
            wire.write(slowly[at : at + size])
        wire.write(b"" if part == "body" else body)

    return delivered(deliver)


def reset(after: float = 0.5) -> Fault:
    """Break the connection off after this part of the body; with 0 before anything is sent."""

    def deliver(wire: Wire, head: bytes, body: bytes) -> None:
        if after:
            wire.write(head + body[: int(len(body) * after)])
            wire.wait(0.05)  # what is sent must arrive before the reset, which throws away what has not
        wire.reset()

    return delivered(deliver)


def cut_body(keep: float = 0.5) -> Fault:
    """Close the connection after this part of what Content-Length promises."""
    return delivered(lambda wire, head, body: wire.write(head + body[: int(len(body) * keep)]))


def cut_json(keep: float = 0.5) -> Fault:
    """Good HTTP with a part of the JSON."""

    def fault(request: Request, answer: Next) -> Answer:
        whole = answer(request)
        return replace(whole, body=whole.body[: int(len(whole.body) * keep)])

    return fault


def says(body: bytes | str, *, status: int = 200, content_type: str = "application/json") -> Fault:
    """Always this body: empty, or no JSON."""
    text = body.encode() if isinstance(body, str) else body
    return lambda request, answer: Answer(status=status, body=text, content_type=content_type)


def says_json(content: object) -> Fault:
    """Always this JSON: a list, a number, an object without the keys."""
    return lambda request, answer: json_answer(content)


def html(status: int = 502) -> Fault:
    """A page for people, as a proxy shows one; with 200 as well."""
    return lambda request, answer: html_answer(status)


def status(code: int, message: str | None = None, *, headers: Mapping[str, str] | None = None) -> Fault:
    """An error with a message of Alpaca's form and these headers."""
    told = {"message": HTTPStatus(code).phrase.lower() if message is None else message}
    return lambda request, answer: json_answer(told, code, headers=tuple((headers or {}).items()))


def too_many(*, retry_after: float | str | None = None, reset_in: float | None = None, by_date: bool = False) -> Fault:
    """429, with Retry-After in seconds or as a date, or X-RateLimit-Reset so many seconds ahead."""

    def fault(request: Request, answer: Next) -> Answer:
        headers: list[tuple[str, str]] = []
        if isinstance(retry_after, str) or (retry_after is not None and not by_date):
            headers.append(("Retry-After", str(retry_after)))
        elif retry_after is not None:
            then = datetime.now(UTC) + timedelta(seconds=retry_after)
            headers.append(("Retry-After", format_datetime(then, usegmt=True)))
        if reset_in is not None:
            headers += [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(int(time.time() + reset_in)))]
        return json_answer({"message": "too many requests."}, 429, headers=tuple(headers))

    return fault


def redirect(to: str) -> Fault:
    return lambda request, answer: Answer(status=302, headers=(("Location", to),))


def gzipped(*, spoiled: bool = False) -> Fault:
    """The right answer compressed, whether or not that was asked for; spoiled: cut, so that it cannot be read."""

    def fault(request: Request, answer: Next) -> Answer:
        plain = answer(request)
        packed = gzip.compress(plain.body, 1)
        packed = packed[: len(packed) // 2] if spoiled else packed
        return replace(plain, body=packed, headers=(*plain.headers, ("Content-Encoding", "gzip")))

    return fault


def huge(size: int = 200_000_000, *, chunk: int = 1 << 16) -> Fault:
    """A body of so many bytes of JSON that never comes to anything."""

    def deliver(wire: Wire, head: bytes, body: bytes) -> None:
        wire.write(head + b'{"bars":{"')
        left = size
        while left > 0 and wire.wait(0):
            wire.write(b"A" * min(chunk, left))
            left -= chunk

    return lambda request, answer: Answer(length=size + 10, deliver=deliver)


def reshaped(change: Callable[[Request, Json], object]) -> Fault:
    """The right answer's JSON, changed; errors stay as they are."""

    def fault(request: Request, answer: Next) -> Answer:
        given = answer(request)
        if given.status != 200:
            return given
        made = change(request, json.loads(given.body))
        token = made.get("next_page_token") if isinstance(made, dict) else None
        return replace(given, body=json.dumps(made).encode(), token=token)

    return fault


def with_values(**values: object) -> Fault:
    """Keys of the answer with other values: bars=None."""
    return reshaped(lambda request, content: {**content, **values})


def without_keys(*names: str) -> Fault:
    return reshaped(lambda request, content: {name: own for name, own in content.items() if name not in names})


def asked(**params: str) -> Fault:
    """Answer as though something else had been asked for: sort="desc" gives pages of later bars first."""
    return lambda request, answer: answer(request.with_params(**params))


def together(*faults: Fault) -> Fault:
    """Several faults at once, the last one outermost."""

    def fault(request: Request, answer: Next) -> Answer:
        for own in faults:
            answer = _behind(own, answer)
        return answer(request)

    return fault


# Pages without an end.


def _paged(token_of: Callable[[Request, Json], str | None], *, empty: bool = False) -> Fault:
    def change(request: Request, content: Json) -> Json:
        token = token_of(request, content)
        return {name: {} if empty and name != "next_page_token" else own for name, own in content.items()} | {
            "next_page_token": token
        }

    return reshaped(change)


def _marked(request: Request, mark: str) -> str:
    cursor = Cursor.of(request.params.get("page_token"))
    if request.kind == "splits":
        return replace(cursor, mark=f"{(cursor.mark or '0').partition('#')[0]}#{mark}").token()
    return replace(cursor, mark=mark).token()


def same_token() -> Fault:
    """The first page's token comes back with each page, for ever."""
    return _paged(
        lambda request, content: (
            request.params.get("page_token") or content.get("next_page_token") or _marked(request, "same")
        )
    )


def two_tokens() -> Fault:
    """Two tokens take turns."""

    def token(request: Request, content: Json) -> str:
        one, other = _marked(request, "one"), _marked(request, "other")
        return other if request.params.get("page_token") == one else one

    return _paged(token)


def new_tokens(*, empty: bool = False) -> Fault:
    """A new token with each page, and always the same data, or none."""
    numbers = count(1)
    return _paged(lambda request, content: _marked(request, str(next(numbers))), empty=empty)


def empty_token() -> Fault:
    """The last page ends with "" where null is due."""
    return _paged(lambda request, content: content.get("next_page_token") or "")


def empty_page_after_the_last() -> Fault:
    """A token on the last page that leads to a page without anything, which has none."""

    def change(request: Request, content: Json) -> Json:
        if Cursor.of(request.params.get("page_token")).mark == "end":
            return {**content, "bars": {}, "next_page_token": None}
        token = content["next_page_token"] or _marked(request, "end")
        return {**content, "next_page_token": token}

    return reshaped(change)


# Bars that are not as they should be.

Rows = list[Any]


def with_bars(change: Callable[[str, Rows], Rows], symbol: str | None = None) -> Fault:
    """A change to the bars of a symbol, or of each one in the page."""

    def made(request: Request, content: Json) -> Json:
        own = {name: change(name, rows) if symbol in (None, name) else rows for name, rows in content["bars"].items()}
        return {**content, "bars": own}

    return reshaped(made)


def newest_first() -> Fault:
    """Each page's bars in the wrong order."""
    return with_bars(lambda symbol, rows: rows[::-1])


def with_bar(at: int | str = 0, symbol: str | None = None, /, **fields: object) -> Fault:
    """Fields of one bar changed, or left out where UNSET. at: its place in the page, or its time as the page has it.

    c=None is a null, c=float("nan") the literal NaN, c="1.5" a number as text.
    """

    def change(_: str, rows: Rows) -> Rows:
        return _at(rows, at, lambda row: [{k: v for k, v in {**row, **fields}.items() if v is not UNSET}])

    return with_bars(change, symbol)


def with_null_bar(at: int | str = 0, symbol: str | None = None) -> Fault:
    return with_bars(lambda _, rows: _at(rows, at, lambda row: [None]), symbol)


def without_bar(at: int | str = 0, symbol: str | None = None) -> Fault:
    return with_bars(lambda _, rows: _at(rows, at, lambda row: []), symbol)


def repeated_bar(at: int | str = 0, symbol: str | None = None, /, **fields: object) -> Fault:
    """One bar twice: exactly so, or the second time with other fields."""
    return with_bars(lambda _, rows: _at(rows, at, lambda row: [row, {**row, **fields}]), symbol)


def shifted_bar(days: int, at: int | str = 0, symbol: str | None = None) -> Fault:
    """One bar more, so many days away: outside what was asked for."""

    def shift(row: Json) -> Rows:
        then = datetime.fromisoformat(row["t"]) + timedelta(days=days)
        other = {**row, "t": f"{then:%Y-%m-%dT%H:%M:%SZ}"}
        return [other, row] if days < 0 else [row, other]

    return with_bars(lambda _, rows: _at(rows, at, shift), symbol)


def without_symbol(symbol: str) -> Fault:
    return reshaped(lambda _, content: {**content, "bars": {k: v for k, v in content["bars"].items() if k != symbol}})


def with_stranger(symbol: str = "ZZZZ") -> Fault:
    """The bars of the first symbol under a name that was not asked for as well."""

    def change(request: Request, content: Json) -> Json:
        first: Rows = next(iter(content["bars"].values()), [])
        return {**content, "bars": {**content["bars"], symbol: first}}

    return reshaped(change)


def _at(rows: Rows, at: int | str, change: Callable[[Json], Rows]) -> Rows:
    """The bars with one of them changed; as they are where the page does not have it."""
    places = {row["t"]: place for place, row in enumerate(rows) if row} if isinstance(at, str) else {}
    place = places.get(at) if isinstance(at, str) else at % len(rows) if rows else None
    return rows if place is None else [*rows[:place], *change(rows[place]), *rows[place + 1 :]]


# --- the server ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Rule:
    """A fault and where it strikes. left: how often yet, None while the rule stands; hits: how often it did."""

    fault: Fault
    kind: str | None
    page: int | None
    symbol: str | None
    left: int | None
    hits: int = 0

    def takes(self, request: Request) -> bool:
        return (
            self.left != 0
            and self.kind in (None, request.kind)
            and self.page in (None, request.page)
            and (self.symbol is None or self.symbol in request.symbols)
        )

    def lift(self) -> None:
        """It strikes no more."""
        self.left = 0


class Allowance:
    """So many calls, given back evenly over a window of seconds; full again at the reset, which headers tell."""

    def __init__(self, calls: int, window: float, enforced: bool) -> None:
        self._calls, self._window, self._enforced = calls, window, enforced
        self._left, self._at = float(calls), time.monotonic()

    def take(self) -> tuple[bool, tuple[tuple[str, str], ...]]:
        """Whether the call is granted, and the headers that say what is left."""
        now = time.monotonic()
        self._left = min(self._calls, self._left + (now - self._at) * self._calls / self._window)
        self._at = now
        granted = self._left >= 1
        self._left = self._left - 1 if granted else self._left
        full = time.time() + (self._calls - self._left) * self._window / self._calls
        names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
        values = (str(self._calls), str(max(0, int(self._left))), str(int(full)))
        return granted or not self._enforced, tuple(zip(names, values, strict=True))


class AlpacaServer:
    """Both hosts at one address, from __enter__ to stop.

    now: the time that plans and unfinished bars go by, the machine's where not given. limit: calls a minute (window:
    of how many seconds) that each host grants before it answers 429; told in headers and not enforced where None.
    """

    def __init__(
        self,
        market: AlpacaMarket,
        *,
        now: Callable[[], datetime] | None = None,
        limit: int | None = None,
        window: float = 60.0,
        key: str = KEY,
        secret: str = SECRET,
    ) -> None:
        self.market = market
        self.key, self.secret = key, secret
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self.most_at_once = 0
        self._endpoints = Endpoints(market, now or (lambda: datetime.now(UTC)), key, secret)
        self._rules: list[Rule] = []
        self._pages: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()
        self._running = 0
        calls = CALLS_PER_MINUTE[market.plan] if limit is None else limit
        self._allowances = {
            "data": Allowance(calls, window, limit is not None),
            "trading": Allowance(200 if limit is None else limit, window, limit is not None),
        }
        self.stopped = threading.Event()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> AlpacaServer:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.stop()
        if error is None and self.errors:
            raise self.errors[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def settings(self) -> dict[str, str]:
        """What a client of ours must be told, by environment variable."""
        return {
            "ALPACA_API_KEY": self.key,
            "ALPACA_SECRET_KEY": self.secret,
            "ALPACA_DATA_URL": self.url,
            "ALPACA_TRADING_URL": self.url,
        }

    def misbehave(
        self,
        fault: Fault,
        *,
        kind: str | None = None,
        page: int | None = None,
        symbol: str | None = None,
        times: int | None = 1,
    ) -> Rule:
        """Let a fault strike requests of this kind, page and symbol, the next so many times, or always with None.

        Rules that are counted strike one after the other, a request each, in the order in which they were given; those
        that last strike together, the newest outermost, and before them the one that is counted.
        """
        rule = Rule(fault, kind, page, symbol, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def behave(self) -> None:
        """Lift all rules."""
        with self._lock:
            self._rules.clear()

    def calls(self, kind: str | None = None) -> int:
        """How many requests have come, of a kind or of all."""
        return len(self.asked(kind))

    def asked(self, kind: str | None = None) -> list[Request]:
        """The requests that have come, of a kind or of all."""
        with self._lock:
            return [request for request in self.requests if kind in (None, request.kind)]

    def forget(self) -> None:
        """Forget the requests so far; rules stay."""
        with self._lock:
            self.requests.clear()
            self.most_at_once = 0

    def stop(self) -> None:
        """Let go of whoever waits, and end every thread and connection."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.cut_off()
        self._http.server_close()

    def serve(self, handler: _Handler) -> None:
        """Answer one request on its connection."""
        if len(handler.path) > LONGEST_TARGET:
            self._send(handler, html_answer(414), ())
            return
        with self._lock:
            request = self._read(handler)
            self.requests.append(request)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            host = "trading" if request.kind in ("assets", "calendar") else "data"
            granted, headers = self._allowances[host].take()
            answer: Next = self._endpoints.answer if granted else _too_many
            for rule in self._rules_for(request):
                rule.left, rule.hits = None if rule.left is None else rule.left - 1, rule.hits + 1
                answer = _behind(rule.fault, answer)
        try:
            given = answer(request)
            if given.token is not None:
                with self._lock:
                    self._pages[self._page_key(request, given.token)] = request.page + 1
            self._send(handler, given, headers)
        finally:
            with self._lock:
                self._running -= 1

    def _rules_for(self, request: Request) -> list[Rule]:
        """Innermost first."""
        taking = [rule for rule in self._rules if rule.takes(request)]
        lasting, counted = ([rule for rule in taking if (rule.left is None) == endless] for endless in (True, False))
        return [*lasting, *counted[:1]]

    def _read(self, handler: _Handler) -> Request:
        split = urlsplit(handler.path)
        params = dict(parse_qsl(split.query, keep_blank_values=True))
        headers = handler.headers
        request = Request(
            kind=_kind_of(split.path, params),
            path=split.path,
            params=params,
            header_names=frozenset(name.lower() for name in headers),
            at=time.monotonic(),
            page=1,
            credentials=(headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY")),
        )
        token = params.get("page_token")
        return replace(request, page=self._pages.get(self._page_key(request, token), 2)) if token else request

    def _page_key(self, request: Request, token: str) -> tuple[str, str, str]:
        return request.kind, request.params.get("symbols", ""), token

    def _send(self, handler: _Handler, answer: Answer, headers: tuple[tuple[str, str], ...]) -> None:
        own = {name.lower() for name, _ in answer.headers}
        lines = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body) if answer.length is None else answer.length}",
            f"X-Request-ID: {uuid.uuid4().hex}",
            *(f"{name}: {value}" for name, value in (*answer.headers, *headers) if name.lower() not in own),
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        wire = Wire(handler.connection, self.stopped)
        with suppress(ConnectionError):
            if answer.deliver is None:
                wire.write(head + answer.body)
                return
            handler.close_connection = True
            answer.deliver(wire, head, answer.body)


def _behind(fault: Fault, answer: Next) -> Next:
    return lambda request: fault(request, answer)


def _too_many(request: Request) -> Answer:
    return json_answer({"message": "too many requests."}, 429)


def _kind_of(path: str, params: Mapping[str, str]) -> str:
    if path == "/v2/stocks/bars":
        return "daily" if params.get("timeframe") in ("1Day", "1D") else "bars"
    if re.fullmatch(r"/v2/assets/[^/]+", path):
        return "assets"
    return {"/v1/corporate-actions": "splits", "/v2/calendar": "calendar"}.get(path, "unknown")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        self.server.double.serve(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Http(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, double: AlpacaServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.double = double
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_off(self) -> None:
        """End the connections that clients keep open."""
        with self._guard:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.double.errors.append(error)
