"""The one place that knows which feed, store and writers a configuration means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixConfig, FixRequest
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.ports import BarFeed, Clock
from trading_playbook.runs import Tools
from trading_playbook.system import RehearsalClock, SystemClock
from trading_playbook.version import VERSION

JOURNAL = "trades.csv"


def build_clock(rehearsed: datetime | None = None) -> Clock:
    """The machine's clock, or one that goes on from the moment that is rehearsed."""
    return SystemClock() if rehearsed is None else RehearsalClock(rehearsed)


def build_play(settings: Settings, strategy: str | None, parameters: Mapping[str, object], cost: str | None) -> Play:
    """The play of a request over that of the settings, whose parameters count for their own strategy alone."""
    name = strategy or settings.strategy
    kept = settings.strategy_params if name == settings.strategy else {}
    return Play(strategy=build_strategy(name, {**kept, **parameters}), cost=parse_cost(cost or settings.cost))


def build_feed(settings: Settings, calendar: Calendar, name: str | None, data_dir: Path | None) -> BarFeed:
    """The feed of a request over that of the settings; a folder of bars alone means the feed of files."""
    chosen = name or ("files" if data_dir else settings.data_feed)
    if chosen == "simulated":
        from trading_playbook.feeds.simulated import SimulatedFeed

        return SimulatedFeed(calendar)
    if chosen == "files":
        from trading_playbook.feeds.files import FilesFeed

        root = data_dir or settings.data_dir
        if root is None:
            raise FixConfig("the feed of files needs a folder of bars: give --data-dir or set DATA_DIR")
        return FilesFeed(root, calendar)
    raise FixConfig("no feed is chosen: give --feed files with --data-dir DIR, or --feed simulated, or set DATA_FEED")


def journal_path(settings: Settings, output: Path | None) -> Path:
    """Where the CSV journal lies: a path that was given, OUTPUT_LOCATION, or OUTPUT_DIR/trades.csv.

    A folder, or a path that ends like one, means trades.csv in it.
    """
    given = output or settings.output_location
    if given is None:
        return settings.output_dir / JOURNAL
    return given / JOURNAL if given.is_dir() else given


def build_tools(
    settings: Settings,
    *,
    clock: Clock,
    feed: str | None = None,
    data_dir: Path | None = None,
    output: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tools:
    """Everything a run works with, for these settings and what the request puts in their place."""
    from trading_playbook.journals.manifests import ManifestLog
    from trading_playbook.journals.table import TableJournal
    from trading_playbook.stores.local import LocalStore

    calendar = Calendar(settings.calendar_overrides)
    place = journal_path(settings, output)
    if not place.name:
        raise FixRequest(f"{output} names no file to keep a journal in")
    store = LocalStore(place.parent, clock, settings.retry_budget_seconds)
    journal = TableJournal(store, place.name)
    return Tools(
        clock=clock,
        calendar=calendar,
        feed=build_feed(settings, calendar, feed, data_dir),
        writer=journal,
        reader=journal,
        run_log=ManifestLog(store),
        settle_after=timedelta(minutes=settings.settle_minutes),
        catch_up_sessions=settings.catch_up_sessions,
        code_version=VERSION,
        public_url=settings.public_url,
        progress=progress,
    )
