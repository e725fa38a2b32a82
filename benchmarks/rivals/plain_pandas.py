"""DP20 as a plain pandas script: resample, group by day, loop over the day's bars.

What someone writes in an afternoon with a notebook and the strategy's page. Sessions are the days that the file has,
the session before is the day before in the file, prices are taken as they are (no splits), and only trades are told.

    python benchmarks/rivals/plain_pandas.py DATA_DIR SYMBOL START END OUTPUT.csv
"""

from __future__ import annotations

import sys
from datetime import date, time
from pathlib import Path
from typing import Any

import pandas as pd

COLUMNS = ["date", "entry_time", "entry_price", "stop", "exit_time", "exit_price", "R"]
EARLY_CLOSES = {date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)}
EARLY_CLOSES |= {date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24), date(2026, 11, 27), date(2026, 12, 24)}


def two_minute_bars(bars_1min: pd.DataFrame) -> pd.DataFrame:
    """Return the regular hours' 2-minute bars, indexed by their opening time in New York, oldest first."""
    bars = bars_1min.set_index(bars_1min["timestamp"].dt.tz_convert("America/New_York")).sort_index()
    bars = bars.between_time("09:30", "15:59")
    times = pd.DatetimeIndex(bars.index)
    early = pd.Series(times.date, index=times).isin(EARLY_CLOSES)
    bars = bars[~early | (times.hour < 13)]
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return bars.resample("2min").agg(how).dropna(subset=["open"])


def with_indicators(bars: pd.DataFrame) -> pd.DataFrame:
    """Add EMA20 and Wilder's ATR14 in dollars, both begun at the first bar given (the session before's first)."""
    previous = bars["close"].shift()
    ranges = [bars["high"] - bars["low"], (bars["high"] - previous).abs(), (bars["low"] - previous).abs()]
    true_range = pd.concat(ranges, axis=1).max(axis=1)
    # Wilder's average is an exponential one that starts from the mean of the first 14.
    seeded = true_range.iloc[13:].copy()
    if len(seeded):
        seeded.iloc[0] = true_range.iloc[:14].mean()
    return bars.assign(
        ema=bars["close"].ewm(span=20, adjust=False).mean(),
        atr=seeded.ewm(alpha=1 / 14, adjust=False).mean(),
    )


def is_strong(bar: Any) -> bool:
    """Return whether the bar closes in the upper 40 % of its range."""
    return bool(bar.high > bar.low and round((bar.close - bar.low) / (bar.high - bar.low), 9) > 0.60)


def judge_session(
    day: date, today: pd.DataFrame, before: pd.DataFrame | None, closes: pd.Series
) -> dict[str, Any] | None:
    """Return the trade of one session, or None.

    today and before are the 2-minute bars of the session and of the one before; closes are daily, by date, oldest
    first.
    """
    history = closes[closes.index < day].iloc[-200:]
    if len(history) < 200:
        return None
    bars = today if before is None else pd.concat([before, today])
    known = len(bars) - len(today) + len(today.between_time("09:30", "09:59"))
    if known < 20 or not today["open"].iloc[0] > history.mean():
        return None

    midnight = pd.Timestamp(day).tz_localize("America/New_York")
    two_minutes = pd.Timedelta(minutes=2)
    last_exit = time(12, 54) if day in EARLY_CLOSES else time(15, 54)
    pullback = False
    reversal = confirmation = entry_time = last = None
    entry = stop = atr = 0.0
    seen = 0
    bar: Any
    for bar in with_indicators(bars).loc[midnight:].itertuples():
        now = bar.Index.time()
        seen += 1
        if entry_time is None:
            if now < time(10, 0):
                continue
            if confirmation is not None:
                if bar.Index != confirmation + two_minutes:
                    return None
                entry_time, entry, stop = bar.Index, bar.open, bar.open - 1.2 * atr
                if not atr > 0 or stop <= 0:
                    return None
            elif now > time(10, 30):
                return None
            elif reversal is not None:
                slots = (bar.Index - midnight - pd.Timedelta(hours=9, minutes=30)) // two_minutes + 1
                if bar.Index != reversal + two_minutes or bar.close < bar.ema or slots - seen > 2:
                    return None
                confirmation, atr = bar.Index, bar.atr
            elif not pullback:
                pullback = bar.close < bar.ema
            elif bar.close > bar.ema and is_strong(bar):
                reversal = bar.Index
        if entry_time is not None:
            if now > last_exit:
                break
            last = (bar.Index, bar.close)
            if bar.low <= stop:
                last = (bar.Index, min(stop, bar.open))
                break
    if entry_time is None or last is None:
        return None
    exit_time, exit_price = last
    return {
        "date": day,
        "entry_time": entry_time.strftime("%H:%M"),
        "entry_price": entry,
        "stop": stop,
        "exit_time": exit_time.strftime("%H:%M"),
        "exit_price": exit_price,
        "R": (exit_price - entry) / (entry - stop),
    }


def judge(bars_1min: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return the trades of one symbol, a row each, oldest first, with COLUMNS; times are New York, prices dollars.

    bars_1min has timestamp (aware, UTC), open, high, low, close, volume; daily has date and close.
    """
    closes = daily.set_index("date")["close"].sort_index()
    bars = two_minute_bars(bars_1min)
    trades = []
    before = None
    day: Any
    for day, today in bars.groupby(pd.DatetimeIndex(bars.index).date):
        trade = judge_session(day, today, before, closes)
        if trade:
            trades.append(trade)
        before = today
    return pd.DataFrame(trades, columns=COLUMNS)


def main(argv: list[str]) -> None:
    """Write the trades of SYMBOL from START to END, both in, to OUTPUT.csv."""
    folder, symbol, start, end, output = argv
    bars = pd.read_parquet(Path(folder) / "1Min" / f"{symbol}.parquet")
    daily = pd.read_parquet(Path(folder) / "1Day" / f"{symbol}.parquet")
    trades = judge(bars, daily)
    inside = trades["date"].between(date.fromisoformat(start), date.fromisoformat(end))
    trades[inside].to_csv(output, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
