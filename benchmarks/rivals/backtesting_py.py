"""DP20 as a Strategy of backtesting.py: one run a symbol, indicators precomputed, the walk in next().

Two places where the library cannot say what the play says, and what is done instead:
- A stop's price is given with the order, before the fill it is measured from. So the next bar's open is a column, and
  the order carries the stop that the fill will have; it decides nothing else than that there is a bar to be filled at.
  (A stop above the last close is refused by the library; then it is set once the fill is there, from the bar after the
  entry on: the entry bar's own low goes unseen in such a trade.)
- A position is closed at a bar's open, never at its close. So the bars after the exit slot, which the play never looks
  at, give way to one flat bar at the exit slot's close, at whose open the library fills.

    python benchmarks/rivals/backtesting_py.py DATA_DIR SYMBOL START END OUTPUT.csv
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

COLUMNS = ["date", "entry_time", "entry_price", "stop", "exit_time", "exit_price", "R"]
EARLY_CLOSES = {date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)}
EARLY_CLOSES |= {date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24), date(2026, 11, 27), date(2026, 12, 24)}
WINDOW_START, WINDOW_END = 15, 30  # slots: two minutes each, counted from 09:30
EXIT_SLOT, EARLY_EXIT_SLOT = 192, 102


class DeepPullback(Strategy):  # type: ignore[misc,unused-ignore]
    """Walk each session bar by bar; `data` has the columns that prepare() adds."""

    def init(self) -> None:
        """Nothing to do: the indicators are columns of the data."""
        self.forget()

    def forget(self) -> None:
        """Start a session's walk."""
        self.open = self.stop = float("nan")
        self.seen, self.reversal = 0, -1
        self.pullback = self.over = False

    def next(self) -> None:
        """Decide at the close of one bar."""
        data = self.data
        slot = int(data.Slot[-1])
        if data.First[-1]:
            self.forget()
            self.open = data.Open[-1]
        self.seen += 1
        if self.position:
            if data.Last[-1]:
                self.position.close()
            elif self.trades[0].sl is None:
                self.trades[0].sl = self.stop
        elif WINDOW_START <= slot <= WINDOW_END and not self.over and self.open > data.SMA[-1]:
            self.walk(slot)

    def walk(self, slot: int) -> None:
        """Take one bar of the window: pullback, then reversal, then confirmation and the order."""
        data = self.data
        close, high, low, ema = data.Close[-1], data.High[-1], data.Low[-1], data.EMA[-1]
        if self.reversal >= 0:
            self.over = True
            if slot == self.reversal + 1 and close >= ema and slot + 1 - self.seen <= 2:
                self.enter(close)
        elif not self.pullback:
            self.pullback = close < ema
        elif close > ema and high > low and round((close - low) / (high - low), 9) > 0.60:
            self.reversal = slot

    def enter(self, close: float) -> None:
        """Order 20 shares at the next bar's open, with the stop 1.2 ATR below it."""
        atr, entry = self.data.ATR[-1], self.data.NextOpen[-1]
        self.stop = entry - 1.2 * atr
        if atr > 0 and self.stop > 0:
            self.buy(size=20, sl=self.stop if self.stop < close else None)


def indicators(bars: pd.DataFrame) -> pd.DataFrame:
    """Return EMA and ATR of bars, in dollars, both begun at the first bar given (the session before's first)."""
    previous = bars["Close"].shift()
    true_range = pd.Series(np.fmax(bars["High"], previous) - np.fmin(bars["Low"], previous))
    seeded = true_range.iloc[13:].copy()
    if len(seeded):
        # Wilder's average is an exponential one that starts from the mean of the first 14.
        seeded.iloc[0] = true_range.iloc[:14].mean()
    ema = bars["Close"].ewm(span=20, adjust=False).mean()
    return pd.DataFrame({"EMA": ema, "ATR": seeded.ewm(alpha=1 / 14, adjust=False).mean()}, index=bars.index)


def prepare(bars_1min: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return 2-minute bars by New York wall time, with the strategy's columns.

    These are Slot, First and Last (of the session, up to the exit slot), NextOpen (NaN where no bar follows in the next
    slot), SMA (NaN where history or warm-up is short), EMA, ATR, and Closing: whether it is the flat bar for the exit.
    """
    bars = bars_1min.set_index(bars_1min["timestamp"].dt.tz_convert("America/New_York").dt.tz_localize(None))
    bars = bars.sort_index().between_time("09:30", "15:59")
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    bars = bars.resample("2min").agg(how).dropna(subset=["open"]).rename(columns=str.capitalize)
    times = pd.DatetimeIndex(bars.index)
    day = pd.Series(times.date, index=times)
    slot = (times.hour * 60 + times.minute - (9 * 60 + 30)) // 2
    open_ = ~day.isin(EARLY_CLOSES) | (slot < 105)
    bars, slot, day = bars[open_], slot[open_], day[open_]
    exit_slot = np.where(day.isin(EARLY_CLOSES), EARLY_EXIT_SLOT, EXIT_SLOT)

    closes = daily.set_index("date")["close"].sort_index()
    averages = closes.rolling(200).mean()
    parts = []
    before = None
    for name, today in bars.groupby(day.to_numpy()):
        whole = today if before is None else pd.concat([before, today])
        warm = len(whole) - len(today) + len(today.between_time("09:30", "09:59")) >= 20
        place = closes.index.searchsorted(name) - 1
        average = averages.iloc[place] if warm and place >= 0 else np.nan
        parts.append(indicators(whole).iloc[-len(today) :].assign(SMA=average))
        before = today
    table = bars.join(pd.concat(parts)).assign(Slot=slot, Session=day.to_numpy())
    follows = (table["Slot"].shift(-1) == table["Slot"] + 1) & (table["Session"].shift(-1) == table["Session"])
    table["NextOpen"] = table["Open"].shift(-1).where(follows)

    table = table[slot <= exit_slot]
    table["First"] = table["Session"] != table["Session"].shift()
    table["Last"] = table["Session"] != table["Session"].shift(-1)
    flat = table[table["Last"]].assign(First=False, Last=False, Closing=True)
    flat["Open"] = flat["High"] = flat["Low"] = flat["Close"]
    flat["Slot"] += 1
    flat.index += pd.Timedelta(minutes=2)
    whole = pd.concat([table.assign(Closing=False), flat])
    return whole.sort_index().drop(columns="Session")


def judge(bars_1min: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return the trades of one symbol, a row each, oldest first, with COLUMNS; times are New York, prices dollars.

    bars_1min has timestamp (aware, UTC), open, high, low, close, volume; daily has date and close.
    """
    bars = prepare(bars_1min, daily)
    found = Backtest(bars, DeepPullback, cash=1_000_000, finalize_trades=True).run()["_trades"]
    # A close at the flat bar stands for the close of the bar before it.
    exit_bar = found["ExitBar"] - bars["Closing"].to_numpy()[found["ExitBar"]]
    risk = found["EntryPrice"] - found["SL"]
    return pd.DataFrame(
        {
            "date": pd.DatetimeIndex(found["EntryTime"]).date,
            "entry_time": pd.DatetimeIndex(found["EntryTime"]).strftime("%H:%M"),
            "entry_price": found["EntryPrice"],
            "stop": found["SL"],
            "exit_time": bars.index[exit_bar].strftime("%H:%M"),
            "exit_price": found["ExitPrice"],
            "R": (found["ExitPrice"] - found["EntryPrice"]) / risk,
        },
        columns=COLUMNS,
    )


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
