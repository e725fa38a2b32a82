"""Alpaca through the cache: reading what is kept, one night of many symbols, and what a run without a cache costs.

Everything in the cache came through the product, from the double of Alpaca in tests/support.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks import agreement, doubles, harness
from benchmarks.data import END, START
from benchmarks.doubles import Double, double
from benchmarks.harness import BARE, ROOT, Sample, alternate, call, run, seconds
from benchmarks.reading import read
from benchmarks.table import Row, at_most, megabytes, peak_at_most, same_trades

NIGHT = date(2025, 11, 14)
BEFORE = date(2025, 11, 13)
MONTH = date(2025, 11, 3)
"""The night, the session before it, and the first session that the cache holds of that month."""

MANY = 503
READINGS = 20
"""How often a year is read for one sample, which would else be of a few milliseconds."""

AGAIN = "  the same again"
NO_LIMIT = {"ALPACA_CALLS_PER_MINUTE": "100000"}
READING = str(ROOT / "benchmarks" / "reading.py")
PANDAS = str(ROOT / "benchmarks" / "rivals" / "pandas_night.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """The command line for a range of sessions, and what it is told by the environment."""

    symbols: tuple[str, ...]
    start: date
    end: date
    settings: Mapping[str, str]
    evening: date | None = None

    def run(self, scratch: Path, journal: Path | None = None) -> Sample:
        """Run it as a whole process; into a fresh journal where none is given."""
        output = journal or Path(tempfile.mkdtemp(dir=scratch)) / "fresh.csv"
        words = ["-m", "trading_playbook.cli.backtest", "--feed", "alpaca", "--output", str(output)]
        words += ["--start", self.start.isoformat(), "--end", self.end.isoformat()]
        words += ["--now", f"{self.evening}T17:00:00-05:00"] if self.evening else []
        return run(words, scratch, {**self.settings, "SYMBOLS": ",".join(self.symbols)})


@contextmanager
def scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        yield Path(name)


def cache(pairs: int) -> Iterator[Row | str]:
    """Reading a cached year of one symbol."""
    from benchmarks import product

    with scratch_folder() as scratch:
        folder = scratch / "cache"
        (symbol,) = symbols = tuple(doubles.symbols(1))
        with double("alpaca", date(2024, 12, 30), END, 1) as alpaca:
            settings = {**alpaca.settings, "DATA_CACHE_DIR": str(folder)}
            Night(symbols=symbols, start=START, end=END, settings=settings).run(scratch)
        files = sorted(folder.rglob("*.parquet"))
        build = product.cached_feed(folder)

        def ours() -> Sample:
            return call(lambda: [product.read_cached_year(build(), symbol) for _ in range(READINGS)], 1 / READINGS)

        def theirs() -> Sample:
            return call(lambda: [read(files) for _ in range(READINGS)], 1 / READINGS)

        yield at_most(3.0, f"time: reading its {len(files)} files", alternate(ours, theirs, pairs))


def night(pairs: int) -> Iterator[Row | str]:
    """One night in mid-month from the cache, whole process."""
    with scratch_folder() as scratch:
        folder = scratch / "cache"
        many = tuple(doubles.symbols(2 * MANY))
        with double("alpaca", date(2025, 10, 31), NIGHT, len(many)) as alpaca:
            settings = {**alpaca.settings, **NO_LIMIT, "DATA_CACHE_DIR": str(folder)}
            Night(symbols=many, start=MONTH, end=NIGHT, settings=settings).run(scratch)
        # Without keys, so that a call would be the end of the run.
        settings = {"DATA_CACHE_DIR": str(folder)}
        twice = Night(symbols=many, start=NIGHT, end=NIGHT, settings=settings)
        once = Night(symbols=many[:MANY], start=NIGHT, end=NIGHT, settings=settings)
        source = folder / "alpaca-sip"
        files = [source / "2Min" / symbol / f"{NIGHT:%Y-%m}.parquet" for symbol in once.symbols]
        files += [source / "1Day" / f"{symbol}.parquet" for symbol in once.symbols]
        paths = scratch / "files.txt"
        paths.write_text("\n".join(map(str, files)))

        def reading() -> Sample:
            return run([READING, str(paths)], scratch)

        def pandas() -> Sample:
            words = [PANDAS, str(source), NIGHT.isoformat(), str(scratch / "pandas.csv")]
            return run(words, scratch, {"SYMBOLS": ",".join(once.symbols)})

        def apart(one: Night) -> Sample:
            """What is left of the time when that of the imports is taken off."""
            return Sample(seconds=one.run(scratch).seconds - run(BARE, scratch).seconds)

        against_reading = alternate(lambda: once.run(scratch), reading, pairs)
        yield at_most(1.5, "time: reading the same files", against_reading)
        yield peak_at_most(1.5, "peak memory: reading the same files", against_reading)
        yield at_most(1 / 5, "time: plain pandas script", alternate(lambda: once.run(scratch), pandas, pairs))
        doubled = alternate(lambda: apart(twice), lambda: apart(once), pairs)
        yield at_most(2.0, "time: half the symbols, both without imports", doubled)
        once.run(scratch, scratch / "trades.csv")
        told = {
            "product": agreement.trades_by_symbol(scratch / "trades.csv"),
            "plain_pandas": agreement.trades_by_symbol(scratch / "pandas.csv"),
        }
        counts = {name: sum(map(len, found.values())) for name, found in told.items()}
        named = [{name: found.get(symbol, set()) for name, found in told.items()} for symbol in once.symbols]
        yield same_trades(counts, sum(len(agreement.differences(own)) for own in named))


def cold(pairs: int) -> Iterator[Row | str]:
    """What is not in the cache: calls, time and memory. Facts without a bar, medians of so many runs as of pairs.

    Each run is rehearsed on the evening of its last session, when that session's close is not final yet.
    """
    with scratch_folder() as scratch:
        yield from _cold_year(scratch / "year", pairs)
        yield from _cold_night(scratch / "night", pairs)


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, and the calls by kind that the doubles saw of it."""

    sample: Sample
    asked: Mapping[str, int]
    stored: Mapping[str, int] | None = None


def _cold_year(scratch: Path, pairs: int) -> Iterator[str]:
    scratch.mkdir()
    symbols, last = tuple(doubles.symbols(1)), date(2025, 12, 30)
    found: dict[str, list[Seen]] = {}
    with double("alpaca", date(2024, 12, 30), END, 1) as alpaca:
        for turn in range(pairs + 1):
            settings = {**alpaca.settings, "DATA_CACHE_DIR": tempfile.mkdtemp(dir=scratch)}
            for name, end in (("a year of one symbol, nothing cached", last), (AGAIN, last), ("  one day more", END)):
                year = Night(symbols=symbols, start=START, end=end, settings=settings, evening=end)
                seen = Seen(year.run(scratch), alpaca.calls())
                # What the double makes when it is asked for the first time is no part of it.
                if turn:
                    found.setdefault(name, []).append(seen)
    yield from (fact(name, seen) for name, seen in found.items())


def _cold_night(scratch: Path, pairs: int) -> Iterator[str]:
    """A night with nothing cached and the usual one, with the sessions before cached, on a disk and on GCS."""
    scratch.mkdir()
    symbols, filled = tuple(doubles.symbols(MANY)), scratch / "filled"
    found: dict[tuple[str, str], list[Seen]] = {}
    with double("alpaca", date(2025, 10, 31), NIGHT, MANY) as alpaca:
        settings = {**alpaca.settings, **NO_LIMIT, "DATA_CACHE_DIR": str(filled)}
        Night(symbols=symbols, start=MONTH, end=BEFORE, settings=settings, evening=BEFORE).run(scratch)
        alpaca.calls()

        def measure(name: str, place: Mapping[str, str], store: Double | None = None) -> None:
            settings = {**alpaca.settings, **place}
            own = Night(symbols=symbols, start=NIGHT, end=NIGHT, settings=settings, evening=NIGHT)
            for which in (name, AGAIN):
                seen = Seen(own.run(scratch), alpaca.calls(), store.calls() if store else None)
                found.setdefault((name, which), []).append(seen)

        for _ in range(pairs):
            for name, source in (
                (f"a night of {MANY}, nothing cached", None),
                (f"a night of {MANY}, days before cached", filled),
            ):
                folder = Path(tempfile.mkdtemp(dir=scratch)) / "cache"
                if source:
                    shutil.copytree(source, folder)
                measure(name, {"DATA_CACHE_DIR": str(folder)})
                shutil.rmtree(folder)
                with double("gcs") as store:
                    if source:
                        store.hold(source)
                    measure(f"{name}, on GCS", store.settings, store)
    yield from (fact(name, seen) for (_, name), seen in found.items())


def fact(name: str, seen: list[Seen]) -> str:
    """Return the line of a fact. Raises Failed where the same run made other calls the next time."""
    first = seen[0]
    if any((other.asked, other.stored) != (first.asked, first.stored) for other in seen):
        raise harness.Failed(f"{name}: not the same calls each time")
    samples = tuple(one.sample for one in seen)
    parts = [counted("Alpaca", first.asked), *([] if first.stored is None else [counted("GCS", first.stored)])]
    return f"  {name.ljust(44)}{seconds(samples):7.2f} s{megabytes(samples):5.0f} MB  {'; '.join(parts)}"


def counted(whose: str, calls: Mapping[str, int]) -> str:
    """Return how many calls there were of whom, and of which kinds where they are several."""
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(calls.items()))
    return f"{whose} {sum(calls.values())}" + (f" ({by_kind})" if by_kind else "")
