"""The one place that knows which feed, store and writers a configuration means.

What reading the settings does not need, numpy first of all, is imported by the functions that do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trading_playbook.config import Settings, for_cloud, load_settings, on_cloud_run, require_lasting
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixConfig, FixRequest, RetryLater
from trading_playbook.core.parsing import is_address
from trading_playbook.core.secret_reference import SecretReference, is_reference
from trading_playbook.core.strategies import build_strategy
from trading_playbook.network.budget import RetryBudget
from trading_playbook.observability import hide, without_secrets
from trading_playbook.ports import BarFeed, Clock, JournalPlace, LostRace, ObjectStore, Secrets
from trading_playbook.system import RehearsalClock, SystemClock
from trading_playbook.version import VERSION

if TYPE_CHECKING:
    from trading_playbook.core.rows import Play
    from trading_playbook.feeds.alpaca import GetKeys

    # For doors, which know no adapter, to name what they show.
    from trading_playbook.feeds.cached.inventory import Cache as Cache
    from trading_playbook.feeds.cached.records import CacheFile as CacheFile
    from trading_playbook.feeds.cached.records import Holding as Holding
    from trading_playbook.feeds.cached.records import Inventory as Inventory
    from trading_playbook.feeds.cached.records import Removal as Removal
    from trading_playbook.runs import Tools
    from trading_playbook.runs.standing import Expected

JOURNAL = "trades.csv"

_SHOWN_MONGODB = re.compile(r"(mongodb(?:\+srv)?://[^/]+)/([A-Za-z0-9_-]+)\.([A-Za-z0-9_.-]+)")

TABLE_WRITERS = ("csv", "gcs")
GCS_FOLDER = "output/trades"
"""Of the bucket, for journals."""

CACHE_SHARE = 0.5
"""Of the retry budget, for the cache."""

LOCAL_THREADS = 1
"""Files on a disk are read faster one after the other: threads would wait for each other's Python."""

GCS_THREADS = 16

GCS_SECONDS_BETWEEN_WRITES = 1.0
"""Google bears one write of an object a second; a run that copies rows and judges others writes a journal twice."""

LOADING_SECONDS = 60.0
"""What may be lost to Secret Manager while the settings themselves are read, before a run's budget is known."""

CLOCK_TOLERANCE = timedelta(seconds=5)
"""Two readings of a clock are not of one moment."""


def build_settings(*, cloud: bool = False, output: str | None = None) -> Settings:
    """The settings of this process as a door wants them; on Cloud Run, or where asked for, those of the cloud.

    What is no secret and yet lies in Secret Manager is read. output: the journal's place where one was given by hand.
    Raises FixConfig where a setting is wrong, or where a journal or a cache would vanish with an instance.
    """
    clock = SystemClock()
    budget = RetryBudget(clock, LOADING_SECONDS)

    def read(setting: str, reference: SecretReference) -> str:
        from trading_playbook.secret_manager import SecretManager

        return SecretManager({}, clock, budget).read(setting, reference)

    settings = load_settings(read=read)
    for secret in settings.secrets().values():
        if not is_reference(secret):
            hide(secret)
    if cloud or on_cloud_run():
        settings = for_cloud(settings, output)
    if on_cloud_run():
        require_lasting(settings, output)
    return settings


def build_secrets(settings: Settings, clock: Clock, budget: RetryBudget) -> Secrets:
    """The secret settings, each read when it is needed; from then on no log line shows it."""
    from trading_playbook.secret_manager import SecretManager

    return SecretManager(settings.secrets(), clock, budget, handed_out=hide)


def build_clock(rehearsed: datetime | None = None) -> Clock:
    """The machine's clock, or one that goes on from the moment that is rehearsed."""
    return SystemClock() if rehearsed is None else RehearsalClock(rehearsed)


def build_play(settings: Settings, strategy: str | None, parameters: Mapping[str, object], cost: str | None) -> Play:
    """The play of a request over that of the settings, whose parameters count for their own strategy alone."""
    from trading_playbook.core.rows import Play

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
    from trading_playbook.feeds.alpaca import DATA_URL, LIVE_URL, PAPER_URL, AlpacaClient, AlpacaFeed

    client = AlpacaClient(
        _alpaca_keys(settings, clock, budget),
        clock=clock,
        budget=budget,
        calls_per_minute=settings.alpaca_calls_per_minute,
        data_url=settings.alpaca_data_url or DATA_URL,
        trading_url=settings.alpaca_trading_url or (PAPER_URL if settings.alpaca_paper else LIVE_URL),
    )
    return AlpacaFeed(client, settings.alpaca_feed, calendar)


def _alpaca_keys(settings: Settings, clock: Clock, budget: RetryBudget) -> GetKeys:
    """Reads the key pair when it is asked for; anew where the pair that it is given was refused."""
    from trading_playbook.feeds.alpaca import AlpacaKeys

    names = ("ALPACA_API_KEY", "ALPACA_SECRET_KEY")
    given = settings.secrets()
    secrets = build_secrets(settings, clock, budget)

    def keys(refused: AlpacaKeys | None) -> AlpacaKeys:
        if not all(name in given for name in names):  # the client tells so, and the other one is not needed
            return AlpacaKeys(*map(given.get, names))
        if refused is None:
            return AlpacaKeys(*map(secrets.get, names))
        old = (refused.key or "", refused.secret or "")
        return AlpacaKeys(*map(secrets.renewed, names, old))

    return keys


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
    return _bucket(place, clock, budget), GCS_THREADS


def _bucket(place: str, clock: Clock, budget: RetryBudget, *, seconds_between_writes: float = 0.0) -> ObjectStore:
    """The store at gs://BUCKET/FOLDER."""
    from trading_playbook.stores.gcs import GCSStore

    bucket, _, prefix = place.removeprefix("gs://").partition("/")
    return GCSStore(
        bucket,
        prefix.strip("/"),
        clock,
        budget,
        threads=GCS_THREADS,
        seconds_between_writes=seconds_between_writes,
    )


def build_budget(settings: Settings, clock: Clock) -> RetryBudget:
    """What one run may lose to calls that hang, fail or wait, over all that it calls."""
    return RetryBudget(clock, settings.retry_budget_seconds)


def build_places(
    settings: Settings, clock: Clock, budget: RetryBudget, output: str | None = None
) -> tuple[JournalPlace, ...]:
    """The journals of WRITER_TYPE, a table's at the place that was given, at OUTPUT_LOCATION, or at its usual one.

    Raises FixRequest or FixConfig where a journal cannot lie there.
    """
    given = output or settings.output_location
    tables = [writer for writer in settings.writer_type if writer in TABLE_WRITERS]
    if given and len(tables) != 1:
        named = "the output that was given" if output else "OUTPUT_LOCATION"
        raise FixRequest(
            f"{named} is the place of one table, and WRITER_TYPE={','.join(settings.writer_type)} has "
            f"{'none' if not tables else 'several'}: leave it out, or choose one of {' and '.join(TABLE_WRITERS)}"
        )
    if given and tables == ["csv"] and is_address(given):
        raise (FixRequest if output else FixConfig)(
            f"{'--output' if output else 'OUTPUT_LOCATION'} is {without_secrets(given)!r}, and WRITER_TYPE=csv writes "
            "to a disk: set WRITER_TYPE=gcs for a place in a bucket, or give a path"
        )
    places: list[JournalPlace] = []
    several = len(settings.writer_type) > 1
    for writer in settings.writer_type:
        # What one of several journals loses, when it hangs for one, must not be lost to the others and to the feed.
        own = budget.part(1 / (len(settings.writer_type) + 1)) if several else budget
        if writer == "csv":
            places.append(_journal_on_disk(given or f"{settings.output_dir}/", clock, own))
        elif writer == "gcs":
            places.append(_journal_in_bucket(given or _usual_place(settings), clock, own))
        else:
            places.append(_journal_in_mongodb(settings, clock, own))
    return tuple(places)


def open_place(address: str, settings: Settings, clock: Clock, budget: RetryBudget) -> JournalPlace:
    """The journal at an address that a person names: a path, gs://..., mongodb://..."""
    if address.startswith(("mongodb:", "mongodb+srv:")):
        return _journal_in_mongodb(settings, clock, budget, address)
    if address.startswith("gs://"):
        return _journal_in_bucket(address, clock, budget)
    return _journal_on_disk(address, clock, budget)


def write_file(address: str, content: bytes, clock: Clock, budget: RetryBudget) -> str:
    """Put a file on this disk whole or not at all, also over one that is there; returns its path."""
    from trading_playbook.stores.local import LocalStore

    path = _path(address)
    if is_address(address) or "\0" in address or not path.name or path.name == ".." or address.endswith("/"):
        raise FixRequest(f"{address!r} names no file on this disk")
    store = LocalStore(path.parent, clock, budget)
    found = store.get(path.name)
    try:
        store.put(path.name, content, expected=found.generation if found else None)
    except LostRace:
        raise RetryLater(f"{path}: another process wrote it meanwhile; call again", retry_after_seconds=1) from None
    return store.address(path.name)


def build_expected(settings: Settings) -> Expected:
    """What the settings ask of the nights, told without a feed."""
    from trading_playbook.runs.standing import Expected

    source = settings.data_feed
    return Expected(
        symbols=settings.symbols,
        play=build_play(settings, None, {}, None),
        data_feed=f"{source}-{settings.alpaca_feed}" if source == "alpaca" else source,
        settle_after=timedelta(minutes=settings.settle_minutes),
        catch_up_sessions=settings.catch_up_sessions,
    )


def journal_in_memory() -> tuple[JournalPlace, ...]:
    """A journal that is gone with the process: for a run whose rows are wanted as a value."""
    from trading_playbook.stores.memory import MemoryStore

    return (_table(MemoryStore(), JOURNAL),)


def _journal_on_disk(given: str, clock: Clock, budget: RetryBudget) -> JournalPlace:
    """The journal at a path. A folder, and a path that ends like one, mean trades.csv in it."""
    from trading_playbook.journals.manifests import FOLDER
    from trading_playbook.journals.table import HISTORY_ENDING
    from trading_playbook.stores.local import LocalStore

    if is_address(given) or "\0" in given:
        raise FixRequest(f"{given!r} is no path, and the csv writer writes to a disk")
    path = _path(given)
    if given.endswith("/") or _is_folder(path):
        path = path / JOURNAL
    if path.name == FOLDER or path.name.endswith(HISTORY_ENDING):
        raise FixRequest(f"{path}: the name {path.name} is kept for what lies beside a journal; give another one")
    return _table(LocalStore(path.parent, clock, budget), path.name)


def _usual_place(settings: Settings) -> str:
    if settings.gcs_bucket is None:
        raise FixConfig("the gcs writer needs a bucket: set GCS_BUCKET, or OUTPUT_LOCATION=gs://BUCKET/FOLDER/")
    return f"gs://{settings.gcs_bucket}/{GCS_FOLDER}/"


def _journal_in_bucket(given: str, clock: Clock, budget: RetryBudget) -> JournalPlace:
    """The journal in one object, where the address ends with .csv, else in a folder with one for each symbol."""
    from trading_playbook.journals.manifests import ManifestLog
    from trading_playbook.journals.partitioned import PartitionedJournal

    if not given.startswith("gs://"):
        raise FixRequest(
            f"{given!r} is no place in a bucket, and the gcs writer writes to one: give gs://BUCKET/FOLDER/"
        )
    folder, _, name = given.rpartition("/")
    if name.endswith(".csv") and folder != "gs:/":
        return _table(_bucket(folder, clock, budget, seconds_between_writes=GCS_SECONDS_BETWEEN_WRITES), name)
    store = _bucket(given, clock, budget, seconds_between_writes=GCS_SECONDS_BETWEEN_WRITES)
    return JournalPlace(PartitionedJournal(store, GCS_THREADS), ManifestLog(store))


def _journal_in_mongodb(
    settings: Settings, clock: Clock, budget: RetryBudget, address: str | None = None
) -> JournalPlace:
    """The journal in a collection, by MONGODB_CONNECTION or by an address that a person gives.

    An address as journals show it, mongodb://HOST/DATABASE.COLLECTION, is reached with the configured user and password
    where the host is the configured one.
    """
    from trading_playbook.journals.mongo.connection import MongoPlace
    from trading_playbook.journals.mongo.journal import MongoJournal
    from trading_playbook.journals.mongo.runs import MongoRunLog

    database, collection = settings.mongodb_database, settings.mongodb_collection
    connection = build_secrets(settings, clock, budget).get("MONGODB_CONNECTION")
    if shown := _SHOWN_MONGODB.fullmatch(address or ""):
        server, database, collection = shown.groups()
        of_the_settings = connection and MongoPlace(connection, database, collection, clock, budget).place == address
        connection = connection if of_the_settings else server
    elif address:
        connection = address
    if connection is None:
        raise FixConfig("the mongodb writer needs MONGODB_CONNECTION, such as mongodb://localhost:27017")
    place = MongoPlace(connection, database, collection, clock, budget)
    return JournalPlace(MongoJournal(place), MongoRunLog(place))


def _table(store: ObjectStore, key: str) -> JournalPlace:
    from trading_playbook.journals.manifests import ManifestLog
    from trading_playbook.journals.table import TableJournal

    return JournalPlace(TableJournal(store, key), ManifestLog(store))


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


def build_tools(
    settings: Settings,
    *,
    clock: Clock,
    budget: RetryBudget,
    places: tuple[JournalPlace, ...],
    feed: str | None = None,
    data_dir: Path | None = None,
    refresh: bool = False,
    deadline: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tools:
    """Everything a run works with, for these settings and what the request puts in their place."""
    from trading_playbook.runs import Tools

    calendar = Calendar(settings.calendar_overrides)
    return Tools(
        clock=clock,
        calendar=calendar,
        feed=build_feed(settings, calendar, clock, budget, name=feed, data_dir=data_dir, refresh=refresh),
        places=places,
        settle_after=timedelta(minutes=settings.settle_minutes),
        catch_up_sessions=settings.catch_up_sessions,
        code_version=VERSION,
        public_url=settings.public_url,
        deadline=deadline,
        progress=progress,
    )
