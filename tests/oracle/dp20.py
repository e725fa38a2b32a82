"""DP20 judged bar by bar, in plain scalar Python: the oracle that the product's journals are compared with.

A second reading of specs/dp20.md and specs/journal.md. It favours the obvious over the fast, and it never imports the
product. Where the specification leaves a choice, the reading taken looks least into the future; a comment says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from tests.oracle.parameters import STRATEGY, Parameters, fees, params_hash, read_parameters
from tests.oracle.rows import (
    COLUMNS,
    OhlcBar,
    data_hash,
    journal_text,
    number_text,
    slot_at,
    slot_time,
    ten_minute_bucket,
    truth_text,
)
from tests.oracle.sessions import (
    DailyClose,
    MinuteBar,
    SessionBars,
    calendar_slots,
    closes_of_sessions,
    exit_slot,
    is_bad_close,
    is_truncated,
    previous_sessions,
    regular_hours,
    two_minute_bars,
)

__all__ = ["OhlcBar", "journal", "journal_text", "judge_session", "number_text", "params_hash"]

Split = tuple[date, float, float]  # ex-date, old shares, new shares


class Indicators(NamedTuple):
    """The values at one bar, that bar included, in dollars."""

    ema: float
    atr: float | None  # None before atr_period true ranges


@dataclass(slots=True)
class Walk:
    """What the walk through the window found: slots, each None where it was not found."""

    pullback: int | None = None
    closed_above: bool = False  # a close above the EMA after the pullback, strong or weak
    reversal: int | None = None
    confirmation: int | None = None  # the slot after the reversal, where it lies in the window and has a bar


class Exit(NamedTuple):
    """How a trade ended: prices and excursions in dollars a share, the excursions never negative."""

    slot: int
    price: float
    reason: str  # stop, time or last_bar
    mae: float
    mfe: float


def judge_session(
    *,
    symbol: str,
    trade_date: date,
    session_slots: int,
    previous_slots: int,
    previous_date: date,
    bars: Mapping[int, OhlcBar],
    previous_bars: Mapping[int, OhlcBar],
    closes: Sequence[DailyClose],
    splits: Sequence[Split],
    parameters: Mapping[str, object] | None = None,
    cost: str = "none",
    data_feed: str = "files",
    public_url: str | None = None,
) -> dict[str, str]:
    """Return one journal row: every column in order, as text; notes holds the reason word alone.

    Bars are 2-minute bars by slot, 09:30 being 0, raw dollars, already validated; those of the session before
    (previous_date) may be missing altogether. closes are raw daily closes of sessions, each date once, in any order;
    those of trade_date and later are not used. splits come in any order. parameters holds what differs from the
    defaults, times as "HH:MM"; cost is "none", "bps:B" or "per_share:C". Raises ValueError for a parameter or a cost
    model that does not exist, TypeError for a parameter of another type.
    """
    settings = read_parameters(parameters)
    last_slot = exit_slot(session_slots, settings.exit_minutes_before_close)
    earlier_bars: dict[int, OhlcBar] = {}
    divisor = split_divisor(splits, previous_date, trade_date)
    for slot, (open_, high, low, close) in previous_bars.items():
        earlier_bars[slot] = (open_ / divisor, high / divisor, low / divisor, close / divisor)
    earlier_closes = closes_before(trade_date, closes, splits, settings.sma_period)

    row = dict.fromkeys(COLUMNS, "")
    row["trade_date"] = trade_date.isoformat()
    row["entry_window"] = f"{settings.window_start}-{settings.window_end}"
    row["symbol"] = symbol
    row["strategy"] = STRATEGY
    row["params_hash"] = params_hash(parameters, cost)
    row["trade_no"] = "1"
    row["data_feed"] = data_feed
    row["data_hash"] = data_hash(earlier_bars, previous_slots, bars, last_slot + 1, earlier_closes)
    row["revision"] = "0"

    reason = _decide(row, settings, session_slots, last_slot, bars, earlier_bars, earlier_closes, cost)
    row["entered?"] = truth_text(reason == "entered")
    row["reason"] = reason
    row["notes"] = reason
    if reason == "entered" and public_url:
        row["chart_link_entry"] = f"{public_url.rstrip('/')}/charts/{symbol}/{trade_date.isoformat()}"
    return row


def split_divisor(splits: Sequence[Split], price_date: date, trade_date: date) -> float:
    """Return what a past price is divided by, once, to stand in trade_date's price terms; 1.0 without a split."""
    divisor = 1.0
    for ex_date, old, new in sorted(splits, key=lambda split: split[0]):
        if price_date < ex_date <= trade_date:
            divisor = divisor * (new / old)
    return divisor


def closes_before(trade_date: date, closes: Sequence[DailyClose], splits: Sequence[Split], most: int) -> list[float]:
    """Return the last closes before trade_date, at most so many, oldest first, in trade_date's price terms."""
    earlier = sorted((day, close) for day, close in closes if day < trade_date)
    return [close / split_divisor(splits, day, trade_date) for day, close in earlier[-most:]]


def indicators_by_slot(
    earlier_bars: Mapping[int, OhlcBar], bars: Mapping[int, OhlcBar], last_slot: int, settings: Parameters
) -> dict[int, Indicators]:
    """Return EMA and ATR at each bar of D up to last_slot, carried over from P's bars; all in D's price terms."""
    history = [(None, earlier_bars[slot]) for slot in sorted(earlier_bars)]
    today = [(slot, bars[slot]) for slot in sorted(bars) if slot <= last_slot]

    weight = 2 / (settings.ema_period + 1)
    period = settings.atr_period
    values: dict[int, Indicators] = {}
    ema = 0.0
    atr: float | None = None
    true_range_sum = 0.0
    previous_close = 0.0
    for count, (slot, (_, high, low, close)) in enumerate([*history, *today], start=1):
        if count == 1:
            ema = close
            true_range = high - low
        else:
            ema = ema + weight * (close - ema)
            true_range = max(high - low, abs(high - previous_close), abs(low - previous_close))
        if atr is None:
            true_range_sum = true_range_sum + true_range
            if count == period:
                atr = true_range_sum / period
        else:
            atr = ((period - 1) * atr + true_range) / period
        previous_close = close
        if slot is not None:
            values[slot] = Indicators(ema, atr)
    return values


def walk_the_window(
    bars: Mapping[int, OhlcBar], indicators: Mapping[int, Indicators], first: int, last: int, strength_threshold: float
) -> Walk:
    """Look for pullback, strong reversal and confirmation bar in the slots from first to last, both in."""
    walk = Walk()
    for slot in range(first, last + 1):
        if slot not in bars:
            continue
        _, high, low, close = bars[slot]
        ema = indicators[slot].ema
        if walk.pullback is None:
            if close < ema:
                walk.pullback = slot
        elif close > ema:
            walk.closed_above = True
            if high != low and round((close - low) / (high - low), 9) > strength_threshold:
                walk.reversal = slot
                break
    if walk.reversal is not None and walk.reversal + 1 <= last and walk.reversal + 1 in bars:
        walk.confirmation = walk.reversal + 1
    return walk


def follow(bars: Mapping[int, OhlcBar], entry_slot: int, entry: float, stop: float, last_slot: int) -> Exit:
    """Hold from the entry bar, which exists, until the stop or the exit slot (last_slot); read nothing after it."""
    lowest = entry
    highest = entry
    last_bar = entry_slot
    for slot in range(entry_slot, last_slot + 1):
        if slot not in bars:
            continue
        open_, high, low, _ = bars[slot]
        highest = max(highest, high)
        if low <= stop:
            fill = min(stop, open_)
            lowest = min(lowest, fill)
            return Exit(slot, fill, "stop", entry - lowest, highest - entry)
        lowest = min(lowest, low)
        last_bar = slot
    reason = "time" if last_bar == last_slot else "last_bar"
    return Exit(last_bar, bars[last_bar][3], reason, entry - lowest, highest - entry)


def _decide(
    row: dict[str, str],
    settings: Parameters,
    slots: int,
    last_slot: int,
    bars: Mapping[int, OhlcBar],
    earlier_bars: Mapping[int, OhlcBar],
    earlier_closes: Sequence[float],
    cost: str,
) -> str:
    """Fill in the row as far as the decision gets and return its reason. All prices in D's price terms."""
    if not bars:
        return "no_data"
    if len(earlier_closes) < settings.sma_period:
        return "insufficient_history"

    closes_sum = 0.0
    for close in earlier_closes:
        closes_sum = closes_sum + close
    sma = closes_sum / settings.sma_period
    is_up = bars[min(bars)][0] > sma
    row["sma200_daily_at_open"] = number_text(sma)
    row["trend_valid"] = truth_text(is_up)

    window_start = slot_at(settings.window_start)
    # A slot after the close is none of the session's, so it can neither be missing nor hold a bar.
    window_end = min(slot_at(settings.window_end), slots - 1)
    warm_up = len(earlier_bars)
    for slot in bars:
        if slot < window_start:
            warm_up += 1
    if warm_up < settings.ema_period:
        return "insufficient_warmup"
    if not is_up:
        return "trend_down"

    indicators = indicators_by_slot(earlier_bars, bars, window_end, settings)
    walk = walk_the_window(bars, indicators, window_start, window_end, settings.reversal_strength)
    walk_end = window_end if walk.confirmation is None else walk.confirmation
    missing = 0
    for slot in range(walk_end + 1):
        if slot not in bars:
            missing += 1
    if missing > settings.max_missing:
        return "incomplete_session"

    if walk.pullback is None:
        return "no_pullback"
    row["first_close_below_time"] = slot_time(walk.pullback)
    if walk.closed_above:
        row["reversal_strength_ok"] = truth_text(walk.reversal is not None)
    if walk.reversal is None:
        return "no_reversal"
    row["reversal_candle_time"] = slot_time(walk.reversal)
    if walk.confirmation is None:
        return "no_confirmation"
    row["confirmation_candle_time"] = slot_time(walk.confirmation)
    ema, atr = indicators[walk.confirmation]
    if bars[walk.confirmation][3] < ema:
        return "invalidated"

    entry_slot = walk.confirmation + 1
    # After the exit slot nothing is looked at. That can only bite on a close before 13:00, which no calendar has yet.
    if entry_slot not in bars or entry_slot > last_slot:
        return "no_entry_bar"
    entry = bars[entry_slot][0]
    if atr is None or atr == 0:
        return "zero_risk"
    stop = entry - settings.stop_atr * atr
    # An ATR too small to move the stop off the entry leaves no risk either, and R would be a division by zero.
    if stop <= 0 or entry - stop == 0:
        return "zero_risk"
    ended = follow(bars, entry_slot, entry, stop, last_slot)
    _fill_in_trade(row, settings, entry_slot, entry, stop, ema, atr, ended, cost)
    return "entered"


def _fill_in_trade(
    row: dict[str, str],
    settings: Parameters,
    entry_slot: int,
    entry: float,
    stop: float,
    ema: float,
    atr: float,
    ended: Exit,
    cost: str,
) -> None:
    """Fill in what an entry and its exit say. Everything is derived from unrounded values and rounded at the end."""
    risk = entry - stop
    gross = (ended.price - entry) * settings.shares
    paid = fees(cost, entry, ended.price, settings.shares)
    row["entry_time_et"] = slot_time(entry_slot)
    row["entry_price"] = number_text(entry)
    row["shares"] = str(settings.shares)
    row["ema20_at_entry"] = number_text(ema)
    row["atr_14_2m_at_entry"] = number_text(atr)
    row["atr_pct_of_price"] = number_text(atr / entry)
    row["stop_distance"] = number_text(settings.stop_atr * atr)
    row["stop_price"] = number_text(stop)
    row["entry_bucket"] = ten_minute_bucket(entry_slot)
    row["bars_since_open"] = str(entry_slot)
    row["eod_exit_time"] = slot_time(ended.slot)
    row["eod_exit_price"] = number_text(ended.price)
    row["gross_pnl"] = number_text(gross)
    row["fees_slippage"] = number_text(paid)
    row["net_pnl"] = number_text(gross - paid)
    row["risk_per_share"] = number_text(risk)
    row["R_multiple"] = number_text((ended.price - entry) / risk)
    row["dist_to_ema_bps"] = number_text((entry - ema) / ema * 10000)
    row["side"] = "long"
    row["exit_reason"] = ended.reason
    row["mae"] = number_text(ended.mae)
    row["mfe"] = number_text(ended.mfe)
    row["mae_R"] = number_text(ended.mae / risk)
    row["mfe_R"] = number_text(ended.mfe / risk)


def journal(
    *,
    symbol: str,
    minute_bars: Sequence[MinuteBar],
    closes: Sequence[DailyClose],
    splits: Sequence[Split],
    start: date,
    end: date,
    parameters: Mapping[str, object] | None = None,
    cost: str = "none",
    data_feed: str = "files",
    bar_minutes: int = 1,
    accepted: Collection[date] = (),
) -> tuple[list[dict[str, str]], dict[date, str]]:
    """Return the rows of every open session from start to end, both in, oldest first, and the sessions without one.

    minute_bars are raw bars of bar_minutes (1 or 2) under their aware opening times, in any order, exact repeats and
    extended hours allowed. closes are raw daily closes as the feed gives them; where there are none a session's close
    is its last regular bar's. accepted names sessions that a person accepted. A session without a row has one of the
    words not_listed, bad_bar (CheckData of every kind but the next), no_data, truncated_session. Raises ValueError
    for a time without a zone, a session outside the calendar, and what judge_session refuses.
    """
    settings = read_parameters(parameters)
    calendar = calendar_slots()
    feed = regular_hours(minute_bars, bar_minutes)
    daily = closes_of_sessions(closes or _closes_of_bars(feed))
    by_slot = {session: two_minute_bars(found) for session, found in feed.items()}

    rows: list[dict[str, str]] = []
    without_row: dict[date, str] = {}
    for session, slots in calendar.items():
        if not start <= session <= end:
            continue
        if session not in previous_sessions():
            raise ValueError(f"the calendar does not know the session before {session}")
        previous = previous_sessions()[session]
        recent = [day for day in daily if day < session][-settings.sma_period :]
        trouble = _trouble(session, previous, feed, by_slot, daily, recent, settings, accepted)
        if trouble is not None:
            without_row[session] = trouble
            continue
        rows.append(
            judge_session(
                symbol=symbol,
                trade_date=session,
                session_slots=slots,
                previous_slots=calendar[previous],
                previous_date=previous,
                bars=by_slot.get(session, {}),
                previous_bars=by_slot.get(previous, {}),
                closes=[(day, daily[day][0]) for day in recent],
                splits=splits,
                parameters=parameters,
                cost=cost,
                data_feed=data_feed,
            )
        )
    return rows, without_row


def _closes_of_bars(feed: Mapping[date, SessionBars]) -> list[DailyClose]:
    """Return each session's last regular close; a last bar that came with several closes gives each of them."""
    return [(session, close) for session, found in feed.items() for close in found.last_closes]


def _trouble(
    session: date,
    previous: date,
    feed: Mapping[date, SessionBars],
    by_slot: Mapping[date, Mapping[int, OhlcBar]],
    daily: Mapping[date, Sequence[float]],
    recent: Sequence[date],
    settings: Parameters,
    accepted: Collection[date],
) -> str | None:
    """Return the word for why a session must not be judged, in the order in which the specification tells them."""
    if daily and session < min(daily):
        return "not_listed"

    # Bars that no session here is judged on, and closes older than the last sma_period or not yet known, do no harm:
    # otherwise a session's outcome would depend on the range that was asked for.
    for day in (session, previous):
        if day in feed and feed[day].is_bad:
            return "bad_bar"
    for day in recent:
        if is_bad_close(daily[day]):
            return "bad_bar"

    # Accepting a session covers what is short or absent in its own bars, and nothing else: whoever accepts D has not
    # accepted P, and D is judged on a short or empty P only where P itself was accepted by name.
    if session not in feed and session not in accepted:
        return "no_data"
    if previous not in feed and feed and min(feed) < previous and previous not in accepted:
        return "no_data"

    for day in (session, previous):
        if day in feed and day not in accepted and _ends_early(day, by_slot, settings):
            return "truncated_session"
    return None


def _ends_early(session: date, by_slot: Mapping[date, Mapping[int, OhlcBar]], settings: Parameters) -> bool:
    last_slot = exit_slot(calendar_slots()[session], settings.exit_minutes_before_close)
    return is_truncated(by_slot[session], last_slot)
