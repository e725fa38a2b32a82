"""The table of what the product must reach, bar beside measured.

    python -m benchmarks [--pairs N] [--symbols N] [--only cli|engine|load|cache|night|cold|service] [--folder FOLDER]

Exits with 1 where something could not be measured or the contenders do not find the same trades; a miss is only told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import harness
from benchmarks.harness import BARE, Sample, alternate, call, run, seconds
from benchmarks.table import Row, at_least, at_most, line, megabytes, peak_at_most, same_trades

if TYPE_CHECKING:
    from benchmarks.data import Bars

SLOW_SYMBOLS = 4  # what the slow rivals are measured on in the engine benchmark
RIVALS = harness.ROOT / "benchmarks" / "rivals"


def cli(bars: Bars, pairs: int) -> Iterator[Row | str]:
    """CLI, one symbol, one year, whole process."""
    from benchmarks import agreement
    from benchmarks.data import END, START

    # The second symbol has about as many trades as the average one, the first far fewer.
    symbol, start, end = bars.symbols[min(1, len(bars.symbols) - 1)], START.isoformat(), END.isoformat()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)

        def ours() -> Sample:
            return run(command(Path(tempfile.mkdtemp(dir=scratch)) / "trades.csv"), scratch)

        def command(output: Path) -> list[str]:
            words = ["-m", "trading_playbook.cli.backtest", "--feed", "files", "--data-dir", str(bars.folder)]
            return [*words, "--symbol", symbol, "--start", start, "--end", end, "--output", str(output)]

        def bare() -> Sample:
            return run(BARE, scratch)

        def rival(script: str) -> Callable[[], Sample]:
            words = [str(RIVALS / f"{script}.py"), str(bars.folder), symbol, start, end, str(scratch / f"{script}.csv")]
            return lambda: run(words, scratch)

        yield at_most(1.4, "time: only importing the libraries", alternate(ours, bare, pairs))
        pandas = alternate(ours, rival("plain_pandas"), pairs)
        yield at_most(1 / 3, "time: plain pandas script", pandas)
        yield at_most(1 / 6, "time: backtesting.py", alternate(ours, rival("backtesting_py"), pairs))
        yield at_most(1.5, "time: polars script", alternate(ours, rival("polars_script"), pairs))
        yield peak_at_most(0.8, "peak memory: plain pandas script", pandas)
        run(command(scratch / "trades.csv"), scratch)
        told = {name: agreement.trades(scratch / f"{name}.csv") for name in agreement.NAMES}
        told["product"] = agreement.trades(scratch / "trades.csv", symbol)
        yield same_trades({name: len(found) for name, found in told.items()}, len(agreement.differences(told)))


def engine(bars: Bars, pairs: int) -> Iterator[Row | str]:
    """Engine, from bars in memory to judgements."""
    from benchmarks import product

    loaded = product.in_memory(bars)

    def ours() -> Sample:
        return call(lambda: product.engine(loaded))

    import pandas as pd
    import polars as pl

    from benchmarks.rivals import backtesting_py, plain_pandas, polars_script

    def frame(path: Path) -> pl.DataFrame:
        return pl.read_parquet(path).with_columns(symbol=pl.lit(path.stem))

    minutes = pl.concat([frame(bars.minutes(name)) for name in bars.symbols])
    days = pl.concat([frame(bars.days(name)) for name in bars.symbols])
    yield at_least(5, "polars script", alternate(ours, lambda: call(lambda: polars_script.judge(minutes, days)), pairs))

    few = bars.symbols[:SLOW_SYMBOLS]
    scale = len(bars.symbols) / len(few)
    frames = [(pd.read_parquet(bars.minutes(name)), pd.read_parquet(bars.days(name))) for name in few]

    def slow(rival: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]) -> Callable[[], Sample]:
        return lambda: call(lambda: [rival(*frame) for frame in frames], scale)

    note = f" ({len(few)} symbols, scaled)" if scale > 1 else ""
    yield at_least(120, f"plain pandas script{note}", alternate(ours, slow(plain_pandas.judge), pairs))
    yield at_least(240, f"backtesting.py{note}", alternate(ours, slow(backtesting_py.judge), pairs))

    found = polars_script.judge(minutes, days)
    counts = {"product": product.entered(product.engine(loaded)), "polars": found.height}
    yield same_trades(counts, counts["product"] - counts["polars"])
    pandas = sum(len(plain_pandas.judge(*frame)) for frame in frames)
    few_counts = {"polars": found.filter(pl.col("symbol").is_in(few)).height, "pandas": pandas}
    few_counts["backtesting.py"] = sum(len(backtesting_py.judge(*frame)) for frame in frames)
    yield same_trades(few_counts, len(set(few_counts.values())) - 1) + f" (of {len(few)} symbols)"


def load(bars: Bars, pairs: int) -> Iterator[Row | str]:
    """Load and judge."""
    import pyarrow.parquet as pq

    from benchmarks import product

    files = [path for name in bars.symbols for path in (bars.minutes(name), bars.days(name))]

    def reading() -> Sample:
        return call(lambda: [pq.ParquetFile(path).read(use_threads=False).num_rows for path in files])

    judging = alternate(lambda: call(lambda: product.load_and_judge(bars)), reading, pairs)
    yield at_most(2.5, "time: reading the files, one thread", judging)
    texts = alternate(lambda: call(lambda: product.load_judge_and_write(bars)), reading, pairs)
    yield at_most(4.0, "time, to the journal's text: reading the files", texts)
    with tempfile.TemporaryDirectory() as scratch:
        words = ["-m", "benchmarks.product", str(bars.folder), str(len(bars.symbols))]
        samples = tuple(run(words, Path(scratch)) for _ in range(pairs))
    peak = megabytes(samples)
    yield Row(
        against="peak memory of such a process",
        bar="<= 300 MB",
        measured=f"{peak:.0f} MB",
        ours=f"{seconds(samples):.3f} s",
        theirs="",
        reached=peak <= 300,
    )


WORKS = {
    "cli": "CLI, one symbol, one year, whole process",
    "load": "Load and judge, {symbols} symbols, one year",
    "cache": "Reading a year of one symbol from the cache",
    "night": "One night in mid-month, 503 symbols from the cache, whole process",
    "cold": "What is not in the cache, whole process, Alpaca and GCS being doubles on loopback",
    "service": "The service, from the start of its process to the first 200 on /health",
    # Last: its data frames would weigh on what is measured in the same process after it.
    "engine": "Engine, from bars in memory to judgements, {symbols} symbols, one year",
}


def measure(name: str, arguments: argparse.Namespace) -> Iterator[Row | str]:
    """Measure one section."""
    from benchmarks import caching, data, serving

    own = {"cache": caching.cache, "night": caching.night, "cold": caching.cold, "service": serving.service}
    if name in own:
        return own[name](arguments.pairs)
    folder = arguments.folder.resolve() if arguments.folder else None
    bars = data.make(folder, arguments.symbols)
    return {"cli": cli, "load": load, "engine": engine}[name](bars, arguments.pairs)


def main() -> int:
    """Measure and print, a section at a time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="alternating pairs of each comparison (5)")
    parser.add_argument("--symbols", type=int, default=50, help="symbols of the engine and load benchmarks (50)")
    parser.add_argument("--only", choices=WORKS, help="one section")
    parser.add_argument("--folder", type=Path, help="where the bars of cli, load and engine are kept (a temporary one)")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or arguments.symbols < 1:
        parser.error("--pairs and --symbols are at least 1")
    harness.start_clean("benchmarks")

    few = "" if arguments.pairs >= 5 else ", fewer than the 5 that count"
    print(harness.facts())
    print(f"Made-up bars of 2025; medians of {arguments.pairs} alternating pairs{few}")
    whole = True
    for name in [arguments.only] if arguments.only else WORKS:
        print(f"\n{WORKS[name].format(symbols=arguments.symbols)}", flush=True)
        if name != "cold":  # facts alone
            print(f"  {line('against', 'bar', 'measured', 'ours', 'theirs')}", flush=True)
        try:
            for row in measure(name, arguments):
                print(row, flush=True)
        except (ImportError, harness.Failed) as error:
            whole = False
            print(f"  stopped: {error}", flush=True)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
