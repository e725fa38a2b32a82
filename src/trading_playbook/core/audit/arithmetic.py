"""Whether the numbers of a trade fit each other, as far as six decimals can tell."""

from __future__ import annotations

from collections.abc import Callable

from trading_playbook.core.audit.columns import ENTRY, NAMES
from trading_playbook.core.audit.findings import Wrong
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.numbers import DECIMALS, number_text

HALF = 0.5 * 10.0**-DECIMALS
"""How far a stored number may lie from the one that was rounded."""

_NOISE = 1e-14
"""Of the size of what is compared: what float64 itself loses in a handful of operations."""


def wrong_sums(row: JournalRow) -> Wrong:
    """Arithmetic between stored numbers, each of which may be HALF off what it was before it was rounded.

    A sum of n stored numbers is n x HALF off at most, a product a x b by (|a| + |b|) x HALF and HALF squared. Quotients
    are compared as products, so that nothing is divided by a small risk. Rounding keeps order, so that comparisons hold
    exactly.
    """
    needed = [getattr(row, name) for name in ENTRY if name not in ("side", "exit_reason", "entry_bucket")]
    if not row.entered or any(value is None for value in needed):
        return
    value: Callable[[str], float] = lambda name: getattr(row, name)  # noqa: E731
    entry, leave, stop, shares = value("entry_price"), value("eod_exit_price"), value("stop_price"), value("shares")
    ema, risk, gain = value("ema20_at_entry"), value("risk_per_share"), leave - entry
    mae, mfe = value("mae"), value("mfe")

    def off(left: float, right: float, halves: float, size: float) -> bool:
        return abs(left - right) > halves * HALF + 8 * HALF * HALF + _NOISE * size

    prices = abs(entry) + abs(leave) + abs(stop)
    sums = (
        ("gross_pnl", "(exit - entry) x shares", gain * shares, 1 + 2 * shares, prices * shares),
        ("net_pnl", "gross_pnl - fees_slippage", value("gross_pnl") - value("fees_slippage"), 3, prices * shares),
        ("risk_per_share", "entry - stop", entry - stop, 3, prices),
        ("stop_distance", "entry - stop", entry - stop, 3, prices),
    )
    for name, told, expected, halves, size in sums:
        if off(value(name), expected, halves, size):
            yield "arithmetic", f"has {name} {number_text(value(name))}; {told} is {number_text(expected)}"
    quotients = (
        ("r_multiple", "(exit - entry) / risk", gain, risk, 2.0),
        ("mae_r", "mae / risk", mae, risk, 1.0),
        ("mfe_r", "mfe / risk", mfe, risk, 1.0),
        ("atr_pct_of_price", "atr / entry", value("atr_14_2m_at_entry"), entry, 1.0),
        ("dist_to_ema_bps", "(entry - ema) / ema x 10000", (entry - ema) * 10000, ema, 20000.0),
    )
    for name, told, over, under, halves in quotients:
        stored = value(name)
        if off(stored * under, over, halves + abs(stored) + abs(under), (prices + ema) * 10000):
            expected_text = number_text(over / under) if under else "undefined"
            yield "arithmetic", f"has {NAMES[name]} {number_text(stored)}; {told} is {expected_text}"
    yield from _wrong_bounds(row, entry, leave, stop, mae, mfe)


def _wrong_bounds(row: JournalRow, entry: float, leave: float, stop: float, mae: float, mfe: float) -> Wrong:
    for name in ("mae", "mfe", "fees_slippage", "shares", "entry_price", "eod_exit_price", "stop_price"):
        if (number := getattr(row, name)) < 0:
            yield "arithmetic", f"has {name} {number}, below 0"
    if stop > entry:
        yield "arithmetic", f"has stop_price {stop}, above its entry at {entry}"
    room = 3 * HALF + _NOISE * (entry + leave)
    if leave - entry > mfe + room or entry - leave > mae + room:
        yield "arithmetic", f"left at {leave} after an entry at {entry}, outside its excursions mae {mae} and mfe {mfe}"
    if row.exit_reason == "stop" and leave > stop:
        yield "arithmetic", f"was stopped at {leave}, above its stop {stop}"
    if row.exit_reason == "stop" and abs(entry - leave - mae) > room:
        yield "arithmetic", f"has mae {mae}; stopped out it ends at the fill, {number_text(entry - leave)}"
    if row.exit_reason in ("time", "last_bar") and leave < stop:
        yield "arithmetic", f"left at {leave} by {row.exit_reason}, below its stop {stop}"
