"""The one place that knows which feed, store and writers a configuration means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixConfig, FixRequest
from trading_playbook.core.parsing import is_address
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import BarFeed, Clock, ObjectStore
from trading_playbook.runs import Tools
from trading_playbook.system import RehearsalClock, SystemClock
from trading_playbook.version import VERSION

if TYPE_CHECKING:
    from pydantic import SecretStr

    # For doors, which know no adapter, to name what they show.
    from trading_playbook.feeds.cached.inventory import Cache as Cache
    from trading_playbook.feeds.cached.records import CacheFile as CacheFile
    from trading_playbook.feeds.cached.records import Holding as Holding
    from trading_playbook.feeds.cached.records import Inventory as Inventory
    from trading_playbook.feeds.cached.records import Removal as Removal

JOURNAL = "trades.csv"

CACHE_SHARE = 0.5
"""Of the retry budget, for the cache."""

LOCAL_THREADS = 1
"""Files on a disk are read faster one after the other: threads would wait for each other's Python."""

GCS_THREADS = 16

CLOCK_TOLERANCE = timedelta(seconds=5)
"""Two readings of a clock are not of one moment."""


def build_clock(rehearsed: datetime | None = None) -> Clock:
    """The machine's clock, or one that goes on from the moment that is rehearsed."""
    return SystemClock() if rehearsed is None else RehearsalClock(rehearsed)


def build_play(settings: Settings, strategy: str | None, parameters: Mapping[str, object], cost: str | None) -> Play:
    """The play of a request over that of the settings, whose parameters count for their own strategy alone."""
    name = strategy or settings.strategy
    kept = settings.strategy_params if name == settings.strategy else {}
    return Play(strategy=build_strategy(name, {**kept, **parameters}), cost=parse_cost(cost or settings.cost))


def build_feed(
    settings: Settings,
    calendar: Calendar,
    clock: Clock,
    budget: RetryBudget,
    *,
    name: str | None = None,
    data_dir: Path | None = None,
    refresh: bool = False,
) -> BarFeed:
    """The feed of a request over that of the settings; a folder of bars alone means the feed of files.

    refresh: fetch again what the cache holds, for a feed that has one.
    """
    chosen = name or ("files" if data_dir else settings.data_feed)
    if chosen != "files" and data_dir is not None:
        raise FixRequest(f"{data_dir} is a place of bars, and {chosen} bars come from none: leave one of them out")
    if chosen == "alpaca":
        return _cached(_alpaca(settings, calendar, clock, budget), settings, calendar, clock, budget, refresh=refresh)
    if refresh:
        raise FixRequest(f"{chosen} bars are read anew each time, there is no cache of them to refresh")
    if chosen == "simulated":
        from trading_playbook.feeds.simulated import SimulatedFeed

        return SimulatedFeed(calendar)
    if chosen == "files":
        from trading_playbook.feeds.files import FilesFeed

        root = data_dir or settings.data_dir
        if root is None:
            raise FixConfig("the feed of files needs a folder of bars: give --data-dir or set DATA_DIR")
        return FilesFeed(_path(root), calendar)
    raise FixRequest(f"there is no feed {chosen[:40]!r}; there is alpaca, files and simulated")


def _alpaca(settings: Settings, calendar: Calendar, clock: Clock, budget: RetryBudget) -> BarFeed:
    if clock.now() > SystemClock().now() + CLOCK_TOLERANCE:
        raise FixRequest(
            f"{clock.now():%Y-%m-%d %H:%M} UTC lies ahead of this machine's clock, and Alpaca has no bars of the "
            "future: rehearse a moment that is over, or with --feed simulated"
        )
    from trading_playbook.feeds.alpaca import DATA_URL, LIVE_URL, PAPER_URL, AlpacaClient, AlpacaFeed, AlpacaKeys

    def secret(value: SecretStr | None) -> str | None:
        return value.get_secret_value() if value else None

    client = AlpacaClient(
        AlpacaKeys(secret(settings.alpaca_api_key), secret(settings.alpaca_secret_key)),
        clock=clock,
        budget=budget,
        calls_per_minute=settings.alpaca_calls_per_minute,
        data_url=settings.alpaca_data_url or DATA_URL,
        trading_url=settings.alpaca_trading_url or (PAPER_URL if settings.alpaca_paper else LIVE_URL),
    )
    return AlpacaFeed(client, settings.alpaca_feed, calendar)


def _cached(
    feed: BarFeed, settings: Settings, calendar: Calendar, clock: Clock, budget: RetryBudget, *, refresh: bool
) -> BarFeed:
    from trading_playbook.feeds.cached import CachedFeed

    # A run can do without its cache, so the cache must not lose all the time that the run has.
    store, threads = _store(settings.data_cache_dir, clock, budget.part(CACHE_SHARE))
    return CachedFeed(feed, store, calendar, clock, threads=threads, refresh=refresh)


def build_cache(settings: Settings, clock: Clock, budget: RetryBudget) -> Cache:
    """The files of the cache, to be looked at and taken out."""
    from trading_playbook.feeds.cached.inventory import Cache

    store, threads = _store(settings.data_cache_dir, clock, budget)
    return Cache(store, Calendar(settings.calendar_overrides), threads=threads)


def _store(place: str, clock: Clock, budget: RetryBudget) -> tuple[ObjectStore, int]:
    """The store at a folder or at gs://BUCKET/FOLDER, and how many of its objects are read or written at once."""
    if not is_address(place):
        from trading_playbook.stores.local import LocalStore

        return LocalStore(_path(place), clock, budget, durable=False), LOCAL_THREADS
    from trading_playbook.stores.gcs import GCSStore

    bucket, _, prefix = place.removeprefix("gs://").partition("/")
    return GCSStore(bucket, prefix.strip("/"), clock, budget, threads=GCS_THREADS), GCS_THREADS


@dataclass(frozen=True, slots=True)
class Place:
    """Where a CSV journal lies: under a key of a store, which keeps the records of its runs too."""

    store: ObjectStore
    key: str = JOURNAL


def build_budget(settings: Settings, clock: Clock) -> RetryBudget:
    """What one run may lose to calls that hang, fail or wait, over all that it calls."""
    return RetryBudget(clock, settings.retry_budget_seconds)


def journal_on_disk(settings: Settings, clock: Clock, budget: RetryBudget, output: str | None = None) -> Place:
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
    return Place(LocalStore(path.parent, clock, budget), path.name)


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
    budget: RetryBudget,
    journal: Place,
    feed: str | None = None,
    data_dir: Path | None = None,
    refresh: bool = False,
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
        feed=build_feed(settings, calendar, clock, budget, name=feed, data_dir=data_dir, refresh=refresh),
        writer=table,
        reader=table,
        run_log=ManifestLog(journal.store),
        settle_after=timedelta(minutes=settings.settle_minutes),
        catch_up_sessions=settings.catch_up_sessions,
        code_version=VERSION,
        public_url=settings.public_url,
        progress=progress,
    )
