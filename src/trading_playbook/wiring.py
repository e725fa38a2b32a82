"""The one place that knows which feed, store and writers a configuration means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixConfig, FixRequest
from trading_playbook.core.parsing import is_address
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.ports import BarFeed, Clock, ObjectStore
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
        if data_dir is not None:
            raise FixRequest(f"{data_dir} is a place of bars, and simulated bars come from none: leave one of them out")
        from trading_playbook.feeds.simulated import SimulatedFeed

        return SimulatedFeed(calendar)
    if chosen == "files":
        from trading_playbook.feeds.files import FilesFeed

        root = data_dir or settings.data_dir
        if root is None:
            raise FixConfig("the feed of files needs a folder of bars: give --data-dir or set DATA_DIR")
        return FilesFeed(_path(root), calendar)
    if chosen is not None:
        raise FixRequest(f"there is no feed {chosen[:40]!r}; there is files and simulated")
    raise FixConfig("no feed is chosen: give --feed files with --data-dir DIR, or --feed simulated, or set DATA_FEED")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a CSV journal lies: under a key of a store, which keeps the records of its runs too."""

    store: ObjectStore
    key: str = JOURNAL


def journal_on_disk(settings: Settings, clock: Clock, output: str | None = None) -> Place:
    """The journal at a path that was given, at OUTPUT_LOCATION, or at OUTPUT_DIR/trades.csv.

    A folder, and a path that ends like one, mean trades.csv in it. FixRequest where a journal cannot lie there.
    """
    from trading_playbook.journals.manifests import FOLDER
    from trading_playbook.journals.table import HISTORY_ENDING
    from trading_playbook.stores.local import LocalStore

    given = output or settings.output_location or f"{settings.output_dir}/"
    if is_address(given) or "\0" in given:
        raise FixRequest(f"{given!r} is no path, and the csv writer writes to a disk")
    path = _path(given)
    if given.endswith("/") or _is_folder(path):
        path = path / JOURNAL
    if path.name == FOLDER or path.name.endswith(HISTORY_ENDING):
        raise FixRequest(f"{path}: the name {path.name} is kept for what lies beside a journal; give another one")
    return Place(LocalStore(path.parent, clock, settings.retry_budget_seconds), path.name)


def _path(text: str | Path) -> Path:
    """A path, from a person's home where it begins with ~."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no home
        return Path(text)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, for one: the store tells of it
        return False


def journal_in_memory() -> Place:
    """A journal that is gone with the process: for a run whose rows are wanted as a value."""
    from trading_playbook.stores.memory import MemoryStore

    return Place(MemoryStore())


def build_tools(
    settings: Settings,
    *,
    clock: Clock,
    journal: Place,
    feed: str | None = None,
    data_dir: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tools:
    """Everything a run works with, for these settings and what the request puts in their place."""
    from trading_playbook.journals.manifests import ManifestLog
    from trading_playbook.journals.table import TableJournal

    calendar = Calendar(settings.calendar_overrides)
    table = TableJournal(journal.store, journal.key)
    return Tools(
        clock=clock,
        calendar=calendar,
        feed=build_feed(settings, calendar, feed, data_dir),
        writer=table,
        reader=table,
        run_log=ManifestLog(journal.store),
        settle_after=timedelta(minutes=settings.settle_minutes),
        catch_up_sessions=settings.catch_up_sessions,
        code_version=VERSION,
        public_url=settings.public_url,
        progress=progress,
    )
