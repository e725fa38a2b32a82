"""The journal's row as text: its columns, its numbers, its identity of data, and the CSV form."""

import csv
import hashlib
import io
import struct
from collections.abc import Iterable, Mapping, Sequence

OhlcBar = tuple[float, float, float, float]  # open, high, low, close, in dollars

COLUMNS = (
    "trade_date",
    "trend_valid",
    "sma200_daily_at_open",
    "entry_window",
    "first_close_below_time",
    "reversal_candle_time",
    "reversal_strength_ok",
    "confirmation_candle_time",
    "entered?",
    "entry_time_et",
    "entry_price",
    "shares",
    "ema20_at_entry",
    "atr_14_2m_at_entry",
    "atr_pct_of_price",
    "stop_distance",
    "stop_price",
    "entry_bucket",
    "bars_since_open",
    "eod_exit_time",
    "eod_exit_price",
    "gross_pnl",
    "fees_slippage",
    "net_pnl",
    "risk_per_share",
    "R_multiple",
    "dist_to_ema_bps",
    "notes",
    "chart_link_entry",
    # after the 29
    "symbol",
    "strategy",
    "params_hash",
    "trade_no",
    "side",
    "exit_reason",
    "reason",
    "mae",
    "mfe",
    "mae_R",
    "mfe_R",
    "data_feed",
    "data_hash",
    "revision",
)

MINUTES_TO_OPEN = 9 * 60 + 30  # from midnight, New York
SLOT_MINUTES = 2
# The one NaN that the specification names, spelled in bytes so that no platform's own NaN gets in.
MISSING_BAR = bytes.fromhex("000000000000f87f") * 4


def number_text(value: float) -> str:
    """Return a number as every writer holds it: at most 6 decimals, at least one, no exponent, no minus zero.

    Raises ValueError for what is not finite: no cell holds such a value.
    """
    rounded = round(value, 6)
    if rounded != rounded or rounded in (float("inf"), float("-inf")):
        raise ValueError(f"{value!r} has no text in a journal")
    if rounded == 0:
        rounded = 0.0
    whole, decimals = f"{rounded:.6f}".split(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"


def truth_text(value: bool) -> str:
    """Return TRUE or FALSE."""
    return "TRUE" if value else "FALSE"


def slot_at(wall_time: str) -> int:
    """Return the slot that opens at a New York wall time HH:MM, 09:30 being 0."""
    hours, minutes = wall_time.split(":")
    return (int(hours) * 60 + int(minutes) - MINUTES_TO_OPEN) // SLOT_MINUTES


def slot_time(slot: int) -> str:
    """Return the opening time of a slot, New York wall time HH:MM."""
    return _wall_time(MINUTES_TO_OPEN + SLOT_MINUTES * slot)


def ten_minute_bucket(slot: int) -> str:
    """Return the ten minutes, half open and counted from the full hour, that hold a slot's opening: 10:00-10:10."""
    minutes = MINUTES_TO_OPEN + SLOT_MINUTES * slot
    start = minutes - minutes % 10
    return f"{_wall_time(start)}-{_wall_time(start + 10)}"


def _wall_time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def data_hash(
    previous_bars: Mapping[int, OhlcBar],
    previous_slots: int,
    bars: Mapping[int, OhlcBar],
    slots: int,
    closes: Sequence[float],
) -> str:
    """Return the name of the inputs: `d` and 12 hex digits. All prices in D's own price terms, closes oldest first.

    Slots count from 09:30: all of P's session, D's up to and including the exit slot.
    """
    content = _bars_digest(previous_bars, previous_slots) + _bars_digest(bars, slots)
    for close in closes:
        content += struct.pack("<d", close)
    return "d" + hashlib.sha256(content).hexdigest()[:12]


def _bars_digest(bars: Mapping[int, OhlcBar], slots: int) -> bytes:
    """Return the 32 raw bytes of SHA-256 over slots 0 to slots - 1."""
    content = b""
    for slot in range(slots):
        content += struct.pack("<4d", *bars[slot]) if slot in bars else MISSING_BAR
    return hashlib.sha256(content).digest()


def journal_text(rows: Iterable[Mapping[str, str]]) -> str:
    """Return the CSV form of rows given in any order: header, sorted rows, LF, a final newline, notes as given."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=_place):
        writer.writerow([row[column] for column in COLUMNS])
    return text.getvalue()


def _place(row: Mapping[str, str]) -> tuple[str, str, str, str, int]:
    return row["trade_date"], row["symbol"], row["strategy"], row["params_hash"], int(row["trade_no"])
