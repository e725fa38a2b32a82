"""The product's side of the benchmarks that run in one process: the one file here that knows its inside.

    python -m benchmarks.product FOLDER SYMBOLS

loads and judges so many symbols and makes the journal's text, for the peak memory of such a process. The steps are
those of trading_playbook.runs, batch by batch, without its places and its clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.data import END, START, Bars, make
from benchmarks.harness import Failed
from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.costs import NoCost
from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.history import History, Prepared, prepare
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.journal_csv import StoredJournal, StoredRow, write_journal
from trading_playbook.core.rows import JudgedSessions, Play, RowMaker, judge_sessions
from trading_playbook.core.schedule import Schedule
from trading_playbook.core.strategies import build_strategy
from trading_playbook.core.strategies.protocol import SessionBatch
from trading_playbook.feeds.files import FilesFeed
from trading_playbook.ports import BarFeed
from trading_playbook.runs.execution import BATCH_ROWS, keep_freed_memory
from trading_playbook.wiring import build_budget, build_clock, build_feed

CALENDAR = Calendar()
PLAY = Play(strategy=build_strategy("dp20", {}), cost=NoCost())
SCHEDULE = Schedule.of(CALENDAR.sessions(START, END), CALENDAR)


def in_memory(bars: Bars) -> list[History]:
    """Read every symbol's bars and daily closes into what engine() takes. Not timed."""
    return list(_histories(bars))


def engine(loaded: Iterable[History]) -> list[JudgedSessions]:
    """Judge every session from data.START to data.END of what in_memory() gave: no files, no text.

    The bars are 1-minute ones as a feed gives them; resampling, checks and indicators are part of the work. As in a
    run, a batch's grids are gone when it has been judged.
    """
    return [judged for _, _, judged in _judged(loaded)]


def load_and_judge(bars: Bars) -> list[JudgedSessions]:
    """Read the files and judge every session from data.START to data.END; returns what engine() returns."""
    return engine(_histories(bars))


def load_judge_and_write(bars: Bars) -> str:
    """The same up to the journal's CSV text, a row a session."""
    maker = RowMaker(play=PLAY, data_feed="files")
    rows: list[JournalRow] = []
    for prepared, batch, judged in _judged(_histories(bars)):
        keys = [key for ready in prepared for key in ready.keys]
        rows += maker.rows(keys, batch, judged, [flag for ready in prepared for flag in ready.accepted])
    return write_journal(StoredJournal(rows=tuple(map(StoredRow, rows)))).decode()


def cached_feed(cache: Path) -> Callable[[], BarFeed]:
    """Return what builds the feed of a run: Alpaca's, through the cache in this folder, without keys to ask Alpaca."""
    settings = Settings(_env_file=None, data_cache_dir=str(cache))
    clock = build_clock()
    return lambda: build_feed(settings, CALENDAR, clock, build_budget(settings, clock))


def read_cached_year(feed: BarFeed, symbol: str) -> int:
    """Ask a feed what a run over data.START to data.END asks of one symbol; returns how many bars came."""
    needs, through = PLAY.strategy.needs, CALENDAR.previous(END).date
    closes = feed.daily_closes([symbol], before=START, count=needs.closes, through=through)[symbol]
    splits = feed.splits([symbol], through=END)[symbol]
    bars = feed.bars([symbol], SCHEDULE.timetable.sessions, needs.bar_minutes)[symbol]
    if isinstance(closes, PlaybookError) or isinstance(splits, PlaybookError) or isinstance(bars, PlaybookError):
        raise Failed(f"{symbol}: the cache of the benchmark has not all of the year")
    return len(bars.opened)


def entered(judged: Iterable[JudgedSessions]) -> int:
    """Return how many of the judged sessions have a trade, to be held against the rivals' count."""
    return sum(len(one.entries) for one in judged)


def _histories(bars: Bars) -> Iterator[History]:
    """What the feed of files knows of each symbol, one after the other."""
    feed = FilesFeed(bars.folder, CALENDAR)
    sessions, needs = SCHEDULE.timetable.sessions, PLAY.strategy.needs
    for symbol in bars.symbols:
        daily = feed.daily_closes([symbol], before=START, count=needs.closes, through=END)[symbol]
        own = feed.bars([symbol], sessions, needs.bar_minutes)[symbol]
        if isinstance(daily, PlaybookError) or isinstance(own, PlaybookError):
            raise SystemExit(f"{symbol}: the benchmark's own bars cannot be read")
        yield History(symbol=symbol, bars=own, daily=daily)


def _judged(histories: Iterable[History]) -> Iterator[tuple[Sequence[Prepared], SessionBatch, JudgedSessions]]:
    """Batches of about BATCH_ROWS sessions with what they are made of and what was judged."""
    keep_freed_memory()
    waiting: list[Prepared] = []
    for history in histories:
        waiting.append(prepare(history, SCHEDULE, PLAY.strategy, ()))
        if sum(len(ready.sessions) for ready in waiting) + len(SCHEDULE.sessions) > BATCH_ROWS:
            yield _judge(waiting)
            waiting = []
    if waiting:
        yield _judge(waiting)


def _judge(prepared: Sequence[Prepared]) -> tuple[Sequence[Prepared], SessionBatch, JudgedSessions]:
    batch = SessionBatch.side_by_side([ready.batch for ready in prepared])
    return prepared, batch, judge_sessions(PLAY.strategy, batch)


def main(argv: list[str]) -> None:
    """Do the whole work once and throw the text away."""
    folder, symbols = argv
    load_judge_and_write(make(Path(folder), int(symbols)))


if __name__ == "__main__":
    main(sys.argv[1:])
