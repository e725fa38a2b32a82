"""The daily half of the cache: a file of closes and splits for each symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from trading_playbook.core.bars import HIGHEST_PRICE
from trading_playbook.core.calendar import Calendar, new_york_date
from trading_playbook.core.daily import DailyCloses, Split, day_number
from trading_playbook.core.errors import PlaybookError
from trading_playbook.feeds.beginnings import closes_begin
from trading_playbook.feeds.cached.changes import changed_closes
from trading_playbook.feeds.cached.files import DOUBT_DAYS, DailyHistory, decode_daily, encode_daily
from trading_playbook.feeds.cached.shelf import Found, Shelf
from trading_playbook.feeds.cached.stretches import begun, between, days_before, told_of, united, with_closes
from trading_playbook.ports import BarFeed, Clock

_ONE_DAY = timedelta(days=1)


def daily_key(source: str, symbol: str) -> str:
    """The key of a symbol's daily closes and splits."""
    return f"{source}/1Day/{symbol}.parquet"


class Histories:
    """Daily closes and splits from their files, completed by the feed.

    Whenever closes must be asked for, splits are too, up to today, so that one file is written once. Only the symbols
    of the last question are kept in memory. refresh: ask for all once in the life of this object.
    """

    def __init__(self, feed: BarFeed, shelf: Shelf, calendar: Calendar, clock: Clock, *, refresh: bool) -> None:
        self._feed = feed
        self._shelf = shelf
        self._calendar = calendar
        self._clock = clock
        self._refresh = refresh
        self._files: dict[str, Found[DailyHistory]] = {}
        self._known: dict[str, DailyHistory] = {}
        self._splits: dict[str, tuple[tuple[Split, ...], date]] = {}
        self._split_errors: dict[str, PlaybookError] = {}
        self._refreshed: set[str] = set()
        self._splits_refreshed: set[str] = set()
        self.hits = 0
        self.warnings: dict[str, None] = {}

    def closes(
        self, symbols: Sequence[str], before: date, count: int, through: date
    ) -> dict[str, DailyCloses | PlaybookError]:
        """The closes up to through, reaching back so far that `count` lie before `before`; or a symbol's error."""
        self._load(symbols)
        begin, today = closes_begin(self._calendar, before, count), new_york_date(self._clock.now())
        changed: dict[str, None] = {}
        errors: dict[str, PlaybookError] = {}
        for (start, end), group in self._gaps(symbols, begin, through, today).items():
            answers = self._feed.daily_closes(group, before=start, count=0, through=end)
            self._take(answers, start, end, today, changed, errors)
        self._reach_back(symbols, before, count, changed, errors)
        self.hits += sum(symbol not in changed and symbol not in errors for symbol in symbols)
        # What is wrong with splits is told when they are asked for.
        self._split_errors |= self._complete_splits(list(changed), today)
        self._shelf.each(self._store, changed)
        return {
            symbol: errors.get(symbol) or told_of(symbol, self._known.get(symbol), begin, before, count, through)
            for symbol in symbols
        }

    def splits(self, symbols: Sequence[str], through: date) -> dict[str, tuple[Split, ...] | PlaybookError]:
        """The splits with an ex-date up to through, or a symbol's error."""
        self._load(symbols)
        before = {symbol: self._known.get(symbol) for symbol in symbols}
        errors = {symbol: self._split_errors.pop(symbol) for symbol in symbols if symbol in self._split_errors}
        errors |= self._complete_splits([symbol for symbol in symbols if symbol not in errors], through)
        changed = [symbol for symbol, known in before.items() if known is not None and self._known[symbol] is not known]
        self._shelf.each(self._store, changed)
        return {
            symbol: errors.get(symbol) or tuple(split for split in self._splits[symbol][0] if split.ex_date <= through)
            for symbol in symbols
        }

    def _load(self, symbols: Sequence[str]) -> None:
        for symbol in self._files.keys() - set(symbols):
            for kept in (self._files, self._known, self._splits):
                kept.pop(symbol, None)
        new = [symbol for symbol in symbols if symbol not in self._files]
        for symbol, found in zip(new, self._shelf.each(self._read, new), strict=True):
            self._files[symbol] = found
            if (history := found.content) is not None:
                self._known[symbol] = history
                if history.splits_through is not None:
                    self._splits[symbol] = history.splits, history.splits_through

    def _read(self, symbol: str) -> Found[DailyHistory]:
        return self._shelf.read(
            daily_key(self._feed.name, symbol), lambda content: decode_daily(content, self._feed.name, symbol)
        )

    def _gaps(
        self, symbols: Sequence[str], begin: date, through: date, today: date
    ) -> Mapping[tuple[date, date], list[str]]:
        """What must be asked for, first and last date, with the symbols that lack it."""
        gaps: dict[tuple[date, date], list[str]] = {}
        for symbol in symbols:
            for gap in self._gaps_of(symbol, begin, through, today):
                gaps.setdefault(gap, []).append(symbol)
        return gaps

    def _gaps_of(self, symbol: str, begin: date, through: date, today: date) -> list[tuple[date, date]]:
        """What is known of a symbol stays one stretch: what lies between it and the dates asked for is a gap too."""
        known = self._known.get(symbol)
        if through < begin:
            return []
        if known is None:
            return [(begin, through)]
        if self._refresh and symbol not in self._refreshed:
            return [(min(begin, known.end + _ONE_DAY), max(through, known.begin - _ONE_DAY))]
        gaps = []
        if begin < known.begin and not known.whole:
            gaps.append((begin, known.begin - _ONE_DAY))
        asked_today = known.asked == today and known.asked_through is not None and through <= known.asked_through
        if through > known.end and not asked_today:
            gaps.append((known.end + _ONE_DAY, through))
        return gaps

    def _take(
        self,
        answers: Mapping[str, DailyCloses | PlaybookError],
        start: date,
        end: date,
        today: date,
        changed: dict[str, None],
        errors: dict[str, PlaybookError],
    ) -> None:
        """Add what was answered of the days from start to end."""
        for symbol, answer in answers.items():
            known = self._known.get(symbol)
            if isinstance(answer, PlaybookError):
                if known is not None and start > known.end and end <= (known.asked_through or known.end):
                    self.warnings[f"{symbol}: daily closes asked for again, in vain: {answer.message}"] = None
                else:
                    errors[symbol] = answer
                continue
            if self._refresh and known is not None:
                self._refreshed.add(symbol)
                both = max(start, known.begin), min(end, known.end)
                if told := changed_closes(between(*both, known.closes), between(*both, answer)):
                    self.warnings[told] = None
                known = replace(known, whole=known.whole and known.begin < start)
            self._known[symbol] = self._extended(known, answer, start, end, today)
            changed[symbol] = None

    def _extended(
        self, known: DailyHistory | None, answer: DailyCloses, start: date, end: date, today: date
    ) -> DailyHistory:
        answer = between(start, end, answer)
        closes = with_closes(known.closes if known else None, answer, start, end)
        if known is not None and end <= known.end:
            return replace(known, closes=closes, begin=min(start, known.begin))
        history = known or DailyHistory(closes=closes, begin=start, end=start - _ONE_DAY)
        # Before the first close of a whole history no session lacks one.
        first = closes.first_session if history.whole else None
        final = self._final(answer, max(start, first or start), end, today)
        return replace(
            history,
            # Later closes that were not final are let go: they are asked for again in any case.
            closes=between(date.min, end, closes),
            begin=min(start, history.begin),
            end=final,
            asked_through=end if final < end else None,
            asked=today if final < end else None,
        )

    def _final(self, answer: DailyCloses, start: date, end: date, today: date) -> date:
        """The date up to which an answer of the days from start to end is taken for the last word.

        That is the last one after which another session has opened, or the one before the first session that has no
        close, or more than one, or an impossible one, and is of late or has none with a close after it.
        """
        end = min(end, self._last_opened(today) - _ONE_DAY)
        if end < start:
            return start - _ONE_DAY
        by_day: dict[int, set[float]] = {}
        for day, close in zip(answer.days.tolist(), answer.closes.tolist(), strict=True):
            by_day.setdefault(day, set()).add(close if 0 < close <= HIGHEST_PRICE else np.nan)
        settled = min(day_number(today) - DOUBT_DAYS, max(by_day, default=day_number(start)) + 1)
        for session in self._calendar.sessions(start, end):
            day = day_number(session.date)
            told = by_day.get(day, ())
            if day >= settled and (len(told) != 1 or np.nan in told):
                return session.date - _ONE_DAY
        return end

    def _last_opened(self, today: date) -> date:
        """The last session that has opened."""
        *_, before, last = self._calendar.last_sessions(2, min(today, self._calendar.last))
        return last.date if last.opens <= self._clock.now() else before.date

    def _reach_back(
        self,
        symbols: Sequence[str],
        before: date,
        count: int,
        changed: dict[str, None],
        errors: dict[str, PlaybookError],
    ) -> None:
        """Ask for all that lies before what is known of symbols that have too few closes."""
        short: dict[date, list[str]] = {}
        for symbol in symbols:
            known = self._known.get(symbol)
            if symbol in errors or known is None or known.whole:
                continue
            if days_before(before, known.closes) < count:
                short.setdefault(known.begin, []).append(symbol)
        for begin, group in short.items():
            last = begin - _ONE_DAY
            for symbol, answer in self._feed.daily_closes(group, before=before, count=count, through=last).items():
                if isinstance(answer, PlaybookError):
                    errors[symbol] = answer
                    changed.pop(symbol, None)
                    continue
                known = self._known[symbol]
                closes = with_closes(known.closes, between(date.min, last, answer), date.min, last)
                whole = begun(replace(known, closes=closes, whole=True))
                if whole.asked_through is not None and whole.asked is not None:
                    whole = self._extended(whole, closes, whole.begin, whole.asked_through, whole.asked)
                self._known[symbol] = whole
                changed[symbol] = None

    def _complete_splits(self, symbols: Sequence[str], through: date) -> dict[str, PlaybookError]:
        """Ask for the splits of symbols that are not known up to through; gives the errors."""
        lacking = [symbol for symbol in symbols if self._lacks_splits(symbol, through)]
        errors: dict[str, PlaybookError] = {}
        for symbol, answer in self._feed.splits(lacking, through=through).items() if lacking else ():
            if isinstance(answer, PlaybookError):
                errors[symbol] = answer
                continue
            old, known_through = self._splits.get(symbol, ((), date.min))
            if {split for split in answer if split.ex_date <= known_through} != set(old) and known_through > date.min:
                self.warnings[f"{symbol}: the feed tells of other splits up to {known_through} than it did before"] = (
                    None
                )
            self._splits[symbol] = answer, through
            if symbol in self._known:
                self._known[symbol] = replace(self._known[symbol], splits=answer, splits_through=through)
            self._splits_refreshed.add(symbol)
        return errors

    def _lacks_splits(self, symbol: str, through: date) -> bool:
        if self._refresh and symbol not in self._splits_refreshed:
            return True
        return symbol not in self._splits or self._splits[symbol][1] < through

    def _store(self, symbol: str) -> None:
        source, own = self._feed.name, self._known[symbol]
        stored = self._shelf.update(
            daily_key(source, symbol),
            self._files[symbol],
            lambda old: united(old, own),
            lambda content: decode_daily(content, source, symbol),
            lambda history: encode_daily(history, source),
        )
        if stored is None:
            self._refreshed.discard(symbol)
        else:
            self._files[symbol] = stored
