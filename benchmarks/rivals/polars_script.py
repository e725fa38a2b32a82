"""DP20 as a polars script: all symbols in one frame, expressions from the first bar to the exit.

Indicators are window expressions over (symbol, session), where each session's group holds the bars of the session
before and its own. Sessions are the days that the file has, prices are taken as they are (no splits), and only trades
are told.

    python benchmarks/rivals/polars_script.py DATA_DIR SYMBOL START END OUTPUT.csv
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import polars as pl

EARLY_CLOSES = [date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)]
EARLY_CLOSES += [date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24), date(2026, 11, 27), date(2026, 12, 24)]
KEY = ["symbol", "session"]
# Slots are counted from 09:30 in steps of two minutes.
WINDOW_START, WINDOW_END = 15, 30
EXIT_SLOT = pl.when(pl.col("session").is_in(EARLY_CLOSES)).then(102).otherwise(192)
SLOTS = EXIT_SLOT + 3


def two_minute_bars(bars_1min: pl.DataFrame) -> pl.DataFrame:
    """Return the regular hours' 2-minute bars of every symbol with session and slot, ordered by symbol and time."""
    local = pl.col("timestamp").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    minute = pl.col("local").dt.hour().cast(pl.Int32) * 60 + pl.col("local").dt.minute() - (9 * 60 + 30)
    return (
        bars_1min.lazy()
        .group_by_dynamic("timestamp", every="2m", group_by="symbol")
        .agg(pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last())
        .with_columns(local=local)
        .with_columns(session=pl.col("local").dt.date(), slot=minute // 2)
        .filter(pl.col("slot").is_between(0, SLOTS - 1))
        .select(*KEY, "slot", "open", "high", "low", "close")
        .collect()
    )


def candidates(bars: pl.DataFrame, daily: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, session and `previous` (the session before) of those that pass history, warm-up and trend."""
    trend = (
        daily.lazy()
        .sort("symbol", "date")
        .select("symbol", "date", sma=pl.col("close").rolling_mean(200).over("symbol"))
        .sort("date")
    )
    return (
        bars.lazy()
        .group_by(KEY)
        .agg(
            pl.col("open").first(),
            bars=pl.len(),
            early=(pl.col("slot") < WINDOW_START).sum(),
        )
        .sort(KEY)
        .with_columns(
            previous=pl.col("session").shift(1).over("symbol"),
            warm=pl.col("early") + pl.col("bars").shift(1).over("symbol").fill_null(0),
        )
        .sort("session")
        .join_asof(
            trend, left_on="session", right_on="date", by="symbol", allow_exact_matches=False, check_sortedness=False
        )
        .filter(pl.col("warm") >= 20, pl.col("open") > pl.col("sma"))
        .select("symbol", "session", "previous")
        .collect()
    )


def with_indicators(bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.LazyFrame:
    """Return each session's bars up to the latest entry, with EMA20 and Wilder's ATR14 in dollars.

    Both are begun at the first bar of the session before, so its bars stand in front while they are computed.
    """
    wanted = sessions.lazy()
    own = bars.lazy().filter(pl.col("slot") <= WINDOW_END + 1).join(wanted.select(KEY), on=KEY, how="semi")
    before = bars.lazy().join(wanted, left_on=KEY, right_on=["symbol", "previous"]).drop("session")
    together = [before.rename({"session_right": "session"}).with_columns(own=False), own.with_columns(own=True)]
    previous = pl.col("close").shift(1)
    true_range = pl.max_horizontal(
        pl.col("high") - pl.col("low"), (pl.col("high") - previous).abs(), (pl.col("low") - previous).abs()
    )
    place = pl.int_range(pl.len())
    # Wilder's average is an exponential one that starts from the mean of the first 14.
    seeded = pl.when(place == 13).then(true_range.head(14).mean()).when(place > 13).then(true_range)
    return (
        pl.concat(together, how="diagonal")
        .sort("symbol", "session", "own", "slot")
        .with_columns(
            ema=pl.col("close").ewm_mean(span=20, adjust=False).over(KEY),
            atr=seeded.ewm_mean(alpha=1 / 14, adjust=False, ignore_nulls=True).over(KEY),
        )
        .filter("own")
    )


def entries(indicators: pl.LazyFrame) -> pl.LazyFrame:
    """Walk the window: return symbol, session, entry slot, entry price and stop of each session that enters."""
    slot, close, ema = pl.col("slot"), pl.col("close"), pl.col("ema")
    in_window = slot.is_between(WINDOW_START, WINDOW_END)
    strength = ((close - pl.col("low")) / (pl.col("high") - pl.col("low"))).round(9)
    strong = (close > ema) & (pl.col("high") > pl.col("low")) & (strength > 0.60)
    return (
        indicators.with_columns(pullback=slot.filter(in_window & (close < ema)).min().over(KEY))
        .with_columns(confirmation=slot.filter(in_window & strong & (slot > pl.col("pullback"))).min().over(KEY) + 1)
        .group_by(KEY)
        .agg(
            pl.col("confirmation").first(),
            bars=(slot <= pl.col("confirmation")).sum(),
            confirmed=(close >= ema).filter(in_window & (slot == pl.col("confirmation"))).first(),
            atr=pl.col("atr").filter(slot == pl.col("confirmation")).first(),
            entry=pl.col("open").filter(slot == pl.col("confirmation") + 1).first(),
        )
        .filter(pl.col("confirmed"), pl.col("confirmation") + 1 - pl.col("bars") <= 2, pl.col("atr") > 0)
        .select(*KEY, "entry", entry_slot=pl.col("confirmation") + 1, stop=pl.col("entry") - 1.2 * pl.col("atr"))
        .filter(pl.col("stop") > 0)
    )


def exits(bars: pl.DataFrame, entered: pl.LazyFrame) -> pl.LazyFrame:
    """Add exit slot and exit price: the first bar that touches the stop, else the last bar up to the exit slot."""
    slot, hit = pl.col("slot"), pl.col("low") <= pl.col("stop")
    fill = pl.min_horizontal("stop", "open")
    return (
        bars.lazy()
        .join(entered, on=KEY, how="inner", maintain_order="left")
        .filter(slot.is_between(pl.col("entry_slot"), EXIT_SLOT))
        .group_by(KEY)
        .agg(
            pl.col("entry_slot", "entry", "stop").first(),
            exit_slot=pl.coalesce(slot.filter(hit).first(), slot.last()),
            exit=pl.coalesce(fill.filter(hit).first(), pl.col("close").last()),
        )
    )


def clock(slot: str) -> pl.Expr:
    """Return the column of slots as New York wall time, HH:MM."""
    return (pl.datetime(2000, 1, 1, 9, 30) + pl.duration(minutes=pl.col(slot) * 2)).dt.strftime("%H:%M")


def judge(bars_1min: pl.DataFrame, daily: pl.DataFrame) -> pl.DataFrame:
    """Return the trades of every symbol, a row each, by symbol and date; times are New York, prices dollars.

    bars_1min has symbol, timestamp (UTC), open, high, low, close, volume, each symbol's rows in order of time; daily
    has symbol, date and close.
    """
    bars = two_minute_bars(bars_1min)
    entered = entries(with_indicators(bars, candidates(bars, daily)))
    return (
        exits(bars, entered)
        .sort(KEY)
        .select(
            "symbol",
            pl.col("session").alias("date"),
            clock("entry_slot").alias("entry_time"),
            pl.col("entry").alias("entry_price"),
            "stop",
            clock("exit_slot").alias("exit_time"),
            pl.col("exit").alias("exit_price"),
            R=(pl.col("exit") - pl.col("entry")) / (pl.col("entry") - pl.col("stop")),
        )
        .collect()
    )


def main(argv: list[str]) -> None:
    """Write the trades of SYMBOL from START to END, both in, to OUTPUT.csv."""
    folder, symbol, start, end, output = argv
    named = pl.lit(symbol).alias("symbol")
    bars = pl.read_parquet(Path(folder) / "1Min" / f"{symbol}.parquet").with_columns(named)
    daily = pl.read_parquet(Path(folder) / "1Day" / f"{symbol}.parquet").with_columns(named)
    inside = pl.col("date").is_between(date.fromisoformat(start), date.fromisoformat(end))
    judge(bars, daily).filter(inside).drop("symbol").write_csv(output)


if __name__ == "__main__":
    main(sys.argv[1:])
