"""The table of what the product must reach, bar beside measured.

    python -m benchmarks [--pairs N] [--symbols N] [--only cli|engine|load] [--folder FOLDER]

Exits with 1 where something could not be measured or the contenders do not find the same trades; a miss is only told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import harness
from benchmarks.harness import Pairs, Sample, alternate, call, run, seconds

if TYPE_CHECKING:
    from benchmarks.data import Bars

SLOW_SYMBOLS = 4  # what the slow rivals are measured on in the engine benchmark
BARE = ["-c", "import numpy, pyarrow.parquet, pydantic_settings"]
RIVALS = harness.ROOT / "benchmarks" / "rivals"
WIDTHS = (44, 14, 10, 10, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what was compared, the bar, what was measured beside it."""

    against: str
    bar: str
    measured: str
    ours: str
    theirs: str
    reached: bool

    def __str__(self) -> str:
        cells = (self.against, self.bar, self.measured, self.ours, self.theirs)
        return "  " + line(*cells) + ("pass" if self.reached else "MISS")


def line(*cells: str) -> str:
    """Return the cells in columns, the first to the left, the others to the right."""
    first, *rest = (cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return "".join((first.strip().ljust(WIDTHS[0]), *rest)) + "  "


def at_most(limit: float, against: str, pairs: Pairs) -> Row:
    """Return the row of a time that may be at most limit times theirs."""
    return Row(
        against=against,
        bar=f"<= {limit:.2f}x",
        measured=f"{pairs.ratio():.2f}x",
        ours=f"{seconds(pairs.ours):.3f} s",
        theirs=f"{seconds(pairs.theirs):.3f} s",
        reached=pairs.ratio() <= limit,
    )


def at_least(limit: float, against: str, pairs: Pairs) -> Row:
    """Return the row of a speed that must be at least limit times theirs."""
    faster = 1 / pairs.ratio()
    return Row(
        against=against,
        bar=f">= {limit:.0f}x",
        measured=f"{faster:.1f}x",
        ours=f"{seconds(pairs.ours):.3f} s",
        theirs=f"{seconds(pairs.theirs):.3f} s",
        reached=faster >= limit,
    )


def megabytes(samples: tuple[Sample, ...]) -> float:
    """Return the samples' median peak in MB (10^6 bytes)."""
    return median(harness.peaks(samples)) / 1e6


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
        yield Row(
            against="peak memory: plain pandas script",
            bar="<= 0.80x",
            measured=f"{pandas.peak_ratio():.2f}x",
            ours=f"{megabytes(pandas.ours):.0f} MB",
            theirs=f"{megabytes(pandas.theirs):.0f} MB",
            reached=pandas.peak_ratio() <= 0.8,
        )
        run(command(scratch / "trades.csv"), scratch)
        told = {name: agreement.trades(scratch / f"{name}.csv") for name in agreement.NAMES}
        told["product"] = agreement.trades(scratch / "trades.csv", symbol)
        yield same_trades({name: len(found) for name, found in told.items()}, len(agreement.differences(told)))


def same_trades(counts: dict[str, int], different: int) -> str:
    """Return the line that says that all found the same trades. Raises Failed where they did not."""
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    if different:
        raise harness.Failed(f"not the same trades, so the times say little: {told}")
    return f"  the same trades: {told}"


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


BENCHMARKS = {"cli": cli, "engine": engine, "load": load}


def main() -> int:
    """Measure and print, a section at a time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="alternating pairs of each comparison (5)")
    parser.add_argument("--symbols", type=int, default=50, help="symbols of the engine and load benchmarks (50)")
    parser.add_argument("--only", choices=BENCHMARKS, help="one section")
    parser.add_argument("--folder", type=Path, help="where the bars are kept (the temporary folder)")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or arguments.symbols < 1:
        parser.error("--pairs and --symbols are at least 1")
    harness.start_clean("benchmarks")
    from benchmarks import data

    print(harness.facts())
    folder = arguments.folder.resolve() if arguments.folder else None
    bars = data.make(folder, arguments.symbols)
    few = "" if arguments.pairs >= 5 else ", fewer than the 5 that count"
    print(f"{bars.sessions} sessions of 2025 in 1-minute bars; medians of {arguments.pairs} alternating pairs{few}")
    works = {
        "cli": "CLI, one symbol, one year, whole process",
        "engine": f"Engine, from bars in memory to judgements, {arguments.symbols} symbols, one year",
        "load": f"Load and judge, {arguments.symbols} symbols, one year",
    }
    whole = True
    # The engine comes last: its data frames would weigh on what is measured in the same process after it.
    for name in [arguments.only] if arguments.only else ["cli", "load", "engine"]:
        print(f"\n{works[name]}\n  {line('against', 'bar', 'measured', 'ours', 'theirs')}", flush=True)
        try:
            for row in BENCHMARKS[name](bars, arguments.pairs):
                print(row, flush=True)
        except (ImportError, harness.Failed) as error:
            whole = False
            print(f"  stopped: {error}", flush=True)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
