"""Questions to Alpaca's market data: several symbols a request, page by page to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from trading_playbook.core.daily import Split
from trading_playbook.core.errors import CheckData, FixConfig, FixRequest, PlaybookError, RetryLater
from trading_playbook.feeds.alpaca.answers import bars_page, splits_page
from trading_playbook.feeds.alpaca.client import AlpacaClient

FIRST = date(2016, 1, 4)
"""Alpaca's history of stocks begins in 2016."""

PAGE = 10_000
"""Bars on a page, of all its symbols together: the most that Alpaca gives."""

MOST_PAGES = 200
MOST_SYMBOLS = 600
"""Of one request, so that its address keeps to the lengths that servers take: the S&P 500 makes 3,000 letters."""

_SPLITS_LATE = timedelta(days=14)
"""Corporate actions are searched by the day they are processed, which may lie after their ex-date."""

Answer = TypeVar("Answer")


class Questions:
    """feed: sip, iex, ...

    Requests always name feed, adjustment and asof. asof is "-": bars of a name are those that traded under it then, so
    that a session's bars do not depend on later renamings, nor on the day on which they are asked for.
    """

    def __init__(self, client: AlpacaClient, feed: str) -> None:
        self._client = client
        self._feed = feed

    def bars(
        self,
        symbols: Sequence[str],
        timeframe: str,
        start: datetime,
        end: datetime,
        *,
        most: int,
        read: Callable[[str, Sequence[Any]], Answer],
    ) -> dict[str, Answer | PlaybookError]:
        """What is read of each symbol's bars from start to end, both in. most: how many there can be of a symbol."""

        def ask(group: Sequence[str]) -> dict[str, Answer | PlaybookError]:
            return _read_each(self._collected(group, timeframe, start, end, most), read)

        return _of_each(symbols, ask)

    def first_bars(self, symbol: str, minutes: int, until: datetime) -> Sequence[Any]:
        """The first page of a symbol's bars, oldest first, of all that Alpaca has until then."""
        params = self._params([symbol], f"{minutes}Min", datetime.combine(FIRST, datetime.min.time()), until)
        page, _ = self._client.data("/stocks/bars", params, bars_page)
        return page.get(symbol, ())

    def splits(self, symbols: Sequence[str], through: date) -> dict[str, tuple[Split, ...] | PlaybookError]:
        """The splits of each symbol with an ex-date up to through, oldest first."""

        def ask(group: Sequence[str]) -> dict[str, tuple[Split, ...] | PlaybookError]:
            found: dict[str, set[Split]] = {symbol: set() for symbol in group}
            bad: dict[str, PlaybookError] = {}
            params = {
                "symbols": ",".join(group),
                "types": "forward_split,reverse_split",
                "start": str(FIRST),
                "end": str(through + _SPLITS_LATE),
                "limit": "1000",
                "sort": "asc",
            }
            for page in self._pages("/corporate-actions", params, splits_page, version="v1"):
                for symbol, split in page:
                    if isinstance(split, CheckData):
                        bad[symbol] = split
                    elif symbol in found and split.ex_date <= through:
                        found[symbol].add(split)
            return {symbol: bad.get(symbol) or _oldest_first(own) for symbol, own in found.items()}

        return _of_each(symbols, ask)

    def _collected(
        self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime, most: int
    ) -> Mapping[str, Sequence[Any]]:
        found: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
        # Twice what there can be, for exact repeats: more than that is a server that sends the same for ever.
        left = 2 * most * len(symbols) + PAGE
        for page in self._pages("/stocks/bars", self._params(symbols, timeframe, start, end), bars_page):
            for symbol, bars in page.items():
                left -= len(bars)
                if symbol in found:
                    found[symbol] += bars
            if left < 0:
                raise RetryLater("Alpaca's pages do not end: they hold more bars than there can be")
        return found

    def _params(self, symbols: Sequence[str], timeframe: str, start: datetime, end: datetime) -> dict[str, str]:
        return {
            "symbols": ",".join(symbols),
            "timeframe": timeframe,
            "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "limit": str(PAGE),
            "adjustment": "raw",
            "feed": self._feed,
            "asof": "-",
            "sort": "asc",
        }

    def _pages(
        self, path: str, params: dict[str, str], read: Callable[[Any], tuple[Answer, str | None]], version: str = "v2"
    ) -> Iterator[Answer]:
        """What is read of the pages of an answer. Raises RetryLater where they do not end."""
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            page, token = self._client.data(path, params, read, version)
            yield page
            if token is None:
                return
            if not token or token in seen:
                raise RetryLater("Alpaca's pages do not end: a page token is empty or came before")
            seen.add(token)
            params = {**params, "page_token": token}
        raise RetryLater(f"Alpaca's pages do not end: there are more than {MOST_PAGES}")


def _of_each(
    symbols: Sequence[str], ask: Callable[[Sequence[str]], dict[str, Answer | PlaybookError]]
) -> dict[str, Answer | PlaybookError]:
    """The answer or the error of each symbol; symbols share requests as long as none spoils them for the others.

    Alpaca refuses a request as a whole for one symbol that it does not like, and says that it is for a symbol.
    """
    answers: dict[str, Answer | PlaybookError] = {}
    groups = [symbols[place : place + MOST_SYMBOLS] for place in range(0, len(symbols), MOST_SYMBOLS)]
    while groups:
        group = groups.pop(0)
        try:
            answers |= ask(group)
        except FixRequest as error:
            if len(group) == 1:
                answers[group[0]] = FixRequest(f"{group[0]}: {error.message}", symbol=group[0])
            elif "symbol" in error.message.lower():
                half = len(group) // 2
                groups[:0] = [group[:half], group[half:]]
            else:
                answers |= dict.fromkeys(group, error)
        except (FixConfig, RetryLater) as error:
            answers |= dict.fromkeys(group, error)
    return answers


def _read_each(
    collected: Mapping[str, Sequence[Any]], read: Callable[[str, Sequence[Any]], Answer]
) -> dict[str, Answer | PlaybookError]:
    """What each symbol's bars mean, or what is wrong with them."""
    answers: dict[str, Answer | PlaybookError] = {}
    for symbol, bars in collected.items():
        try:
            answers[symbol] = read(symbol, bars)
        except CheckData as error:
            answers[symbol] = error
    return answers


def _oldest_first(splits: set[Split]) -> tuple[Split, ...]:
    return tuple(sorted(splits, key=lambda split: (split.ex_date, split.old, split.new)))
