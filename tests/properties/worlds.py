"""Whole little feeds drawn from a seed, full of what is rare: prices on every threshold, holes at every bad place.

Bars are drawn slot by slot beside a running EMA, so that closes can be put on it, a hair above it, or below; stops are
found with the oracle's own functions, so that lows can be put exactly on them. What is drawn decides which cases come
up, never what is right: that is the oracle's to say.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from tests.oracle.dp20 import Split, closes_before, indicators_by_slot, split_divisor, walk_the_window
from tests.oracle.parameters import Parameters, read_parameters
from tests.oracle.rows import slot_at, slot_time
from tests.oracle.sessions import DailyClose, calendar_slots, exit_slot, regular_hours
from tests.support.stories import Ohlc, Timed, bars_of, closes_of, prepared, timed
from trading_playbook.core.daily import Split as CoreSplit
from trading_playbook.core.history import History, Prepared
from trading_playbook.core.strategies.dp20 import Dp20

REASONS = {
    "no_data",
    "insufficient_history",
    "insufficient_warmup",
    "trend_down",
    "incomplete_session",
    "no_pullback",
    "no_reversal",
    "no_confirmation",
    "invalidated",
    "no_entry_bar",
    "zero_risk",
    "entered",
}
EXIT_REASONS = {"stop", "time", "last_bar"}

# Early closes, changes of the clocks, a long week-end, and a day like any other: each the middle of some sessions.
TURNS = (
    date(2025, 11, 28),
    date(2025, 12, 24),
    date(2025, 11, 3),
    date(2025, 3, 10),
    date(2001, 9, 17),
    date(2025, 6, 11),
)
RATIOS = ((1.0, 2.0), (1.0, 4.0), (2.0, 3.0), (10.0, 1.0), (1.0, 3.0), (7.0, 5.0), (1.0, 1.5))
HOLES = ("warm-up", "window", "anywhere", "open", "exit", "tail", "morning", "window whole")
PLANS = ("no confirmation", "no entry", "as drawn", "nothing after", "quiet", "quiet", "touch", "near", "gap", "gap")
INTENTS = ("below", "weak", "strong", "on the line", "a hair above", "a hair below", "at the threshold", "flat")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a feed holds of one symbol, raw, and which of its sessions are to be judged, oldest first."""

    symbol: str
    minutes: int
    bars: list[Timed]
    closes: list[DailyClose]
    splits: list[Split]
    sessions: tuple[date, ...]
    accepted: frozenset[date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A play and the worlds that it is judged in."""

    parameters: dict[str, object]
    cost: str
    worlds: tuple[World, ...]


def draw_case(seed: int) -> Case:
    """The case of a seed, the same on every machine."""
    dice = random.Random(seed)
    parameters = _draw_parameters(dice)
    settings = read_parameters(parameters)
    symbols = ("AAA", "BBB")[: 1 + (dice.random() < 0.3)]
    return Case(
        parameters=parameters,
        cost=dice.choice(("none", "none", "none", "bps:1.5", "bps:2", "per_share:0.005")),
        worlds=tuple(_draw_world(dice, symbol, settings) for symbol in symbols),
    )


def history_in(world: World) -> History:
    """The world as a feed hands it to the core."""
    feed = regular_hours(world.bars, world.minutes)
    return History(
        symbol=world.symbol,
        bars=bars_of(world.bars, minutes=world.minutes, symbol=world.symbol, first_session=min(feed, default=None)),
        daily=closes_of(world.closes, world.symbol),
        splits=tuple(CoreSplit(*split) for split in world.splits),
    )


def prepared_world(case: Case, world: World, days: Iterable[date] | None = None) -> Prepared:
    """The world's sessions as the core prepares them: those of these days, or all that are to be judged."""
    strategy = Dp20.with_parameters(case.parameters)
    return prepared(history_in(world), days or world.sessions, strategy=strategy, accepted=world.accepted)


def _draw_parameters(dice: random.Random) -> dict[str, object]:
    if dice.random() < 0.5:
        return {}
    exit_minutes = dice.choice((0, 1, 4, 5, 6, 30, 60))
    latest = exit_slot(105, exit_minutes) - 2
    start = dice.choice((0, 1, 15, 15, dice.randrange(latest + 1)))
    end = min(latest, start + dice.choice((0, 1, 2, 15, 40)))
    drawn: dict[str, object] = {
        "exit_minutes_before_close": exit_minutes,
        "ema_period": dice.choice((2, 3, 5, 20, 40, 200, 400)),
        "atr_period": dice.choice((1, 2, 14, 100, 212, 400)),
        "sma_period": dice.choice((2, 3, 10, 200, 400)),
        "reversal_strength": dice.choice((0.0, 0.5, 0.6, 2 / 3, 0.75, 0.999)),
        "stop_atr": dice.choice((1e-18, 0.001, 0.5, 1.2, 2, 3.0, 100.5, 1e6)),
        "max_missing": dice.choice((0, 1, 2, 5, 400)),
        "shares": dice.choice((1, 20, 777)),
    }
    chosen = {name: value for name, value in drawn.items() if dice.random() < 0.35}
    if "exit_minutes_before_close" in chosen or exit_minutes == 5:
        chosen |= {"window_start": slot_time(start), "window_end": slot_time(end)}
    return chosen


def _draw_world(dice: random.Random, symbol: str, settings: Parameters) -> World:
    calendar = list(calendar_slots())
    turn = calendar.index(dice.choice(TURNS)) + dice.choice((-1, 0, 0, 0, 50))
    first = turn - dice.randrange(3)
    sessions = tuple(calendar[first : first + dice.choice((3, 4, 5))])
    level = dice.choice((0.02, 3.0, 25.0, 100.0, 100.0, 600.0, 5000.0))
    splits = _draw_splits(dice, calendar[first - 60 : first + 6]) if dice.random() < 0.4 else []
    history = _draw_history(dice, calendar[:first], sessions[0], level, splits, settings)

    days: dict[date, dict[int, Ohlc]] = {}
    closes = list(history)
    price = level
    for place, session in enumerate(sessions):
        before = sessions[place - 1] if place else calendar[first - 1]
        divisor = split_divisor(splits, before, session)
        price = price / divisor
        raw = days.get(before, {})
        earlier = {slot: (o / divisor, h / divisor, low / divisor, c / divisor) for slot, (o, h, low, c) in raw.items()}
        mean = _mean(closes_before(session, closes, splits, settings.sma_period), settings.sma_period)
        slots = calendar_slots()[session]
        bars = _Drawing(dice, settings, slots, earlier, price, level / 400).session(mean)
        if dice.random() < 0.07:
            bars = {}
        if bars:
            days[session] = bars
            price = bars[max(bars)][3]
        if dice.random() < 0.95:
            closes.append((session, price))

    minutes = dice.choice((1, 2))
    rows = timed({day: _in_minutes(dice, bars) if minutes == 1 else bars for day, bars in days.items()}, minutes)
    if dice.random() < 0.25:
        _spoil_order(dice, rows)
    if dice.random() < 0.1 and rows:
        _spoil_a_bar(dice, rows)
    if dice.random() < 0.25:
        _spoil_closes(dice, closes)
    accepted = frozenset(day for day in sessions if dice.random() < 0.5) if dice.random() < 0.6 else frozenset()
    return World(
        symbol=symbol,
        minutes=minutes,
        bars=rows,
        closes=closes,
        splits=splits,
        sessions=sessions[dice.random() < 0.85 :],
        accepted=accepted,
    )


def _draw_splits(dice: random.Random, days: list[date]) -> list[Split]:
    """One to three of them: long before, between two sessions, on a day without one, or after all."""
    drawn = [(dice.choice(days[-9:] if dice.random() < 0.7 else days), *dice.choice(RATIOS)) for _ in range(3)]
    kept = drawn[: dice.choice((1, 1, 2, 3))]
    if dice.random() < 0.2:
        kept = [(day + timedelta(days=1), old, new) for day, old, new in kept]
    return kept


def _draw_history(
    dice: random.Random, before: list[date], first: date, level: float, splits: list[Split], settings: Parameters
) -> list[DailyClose]:
    """Closes before the first session, mostly enough of them, above, below or all at its level in its own terms."""
    count = settings.sma_period + dice.choice((0, 0, 3) if dice.random() < 0.9 else (-1, -2, -150))
    base, noise = dice.choice(((0.9, 0.02),) * 6 + ((1.0, 0.0), (1.0, 0.002), (1.05, 0.02)))
    return [
        (day, level * base * (1 + dice.uniform(-noise, noise)) * split_divisor(splits, day, first))
        for day in before[len(before) - max(count, 1) :]
    ]


def _mean(closes: list[float], period: int) -> float | None:
    if len(closes) < period:
        return None
    total = 0.0
    for close in closes:
        total = total + close
    return total / period


class _Drawing:
    """Draws one session's 2-minute bars in its own price terms. unit: a usual bar's range, in dollars."""

    def __init__(
        self,
        dice: random.Random,
        settings: Parameters,
        slots: int,
        earlier: Mapping[int, Ohlc],
        price: float,
        unit: float,
    ) -> None:
        self.dice, self.settings, self.slots, self.earlier, self.unit = dice, settings, slots, earlier, unit
        self.price = price
        self.cents = dice.random() < 0.5 and price > 1
        self.weight = 2 / (settings.ema_period + 1)
        self.first, self.last = slot_at(settings.window_start), slot_at(settings.window_end)
        self.line: float | None = None
        for slot in sorted(earlier):
            self._move_line(earlier[slot][3])

    def session(self, mean: float | None) -> dict[int, Ohlc]:
        holes = self._draw_holes()
        intents = self._draw_intents()
        bars: dict[int, Ohlc] = {}
        calm = self.dice.choice((0.0, 0.0, 0.3, 1.0))
        for slot in range(self.slots):
            if slot in holes:
                continue
            if slot in intents and self.line is not None:
                bar = self._bar_towards(intents[slot], self.line)
            else:
                bar = self._walked_bar(calm)
            if not bars:
                bar = self._first_bar(bar, mean)
            bars[slot] = bar
            self.price = bar[3]
            self._move_line(bar[3])
        self._shape_the_trade(bars)
        return bars

    def _move_line(self, close: float) -> None:
        self.line = close if self.line is None else self.line + self.weight * (close - self.line)

    def _draw_holes(self) -> set[int]:
        dice, exits = self.dice, exit_slot(self.slots, self.settings.exit_minutes_before_close)
        if dice.random() < 0.5:
            return set()
        holes: set[int] = set()
        for _ in range(dice.choice((1, 1, 2))):
            kind = dice.choice(HOLES)
            places = {"warm-up": (0, self.first), "window": (self.first, self.last), "anywhere": (0, self.slots - 1)}
            if kind in places:
                start = dice.randint(*places[kind])
                holes |= set(range(start, start + dice.randint(1, 3)))
            elif kind == "open":
                holes |= set(range(dice.randint(1, 4)))
            elif kind == "exit":
                holes |= {exits, *dice.choice(((), (exits - 1,), range(exits, self.slots)))}
            elif kind == "tail":
                holes |= set(range(exits - dice.choice((6, 7, 7, 8)), exits + dice.choice((1, 1, 3))))
            elif kind == "morning":
                holes |= set(range(self.first - dice.randint(0, 1)))
            elif dice.random() < 0.3:
                holes |= set(range(self.first, self.last + 1))
        if dice.random() < 0.1:
            holes |= {slot for slot in range(self.slots) if dice.random() < 0.05}
        return holes

    def _draw_intents(self) -> dict[int, str]:
        """What each slot of the window, and a few after it, is to do; often the way to an entry."""
        dice = self.dice
        if dice.random() < 0.2:
            return {slot: dice.choice(INTENTS) for slot in range(self.first, self.last + 1)}
        last = min(self.last + 1, self.slots - 1)
        intents = {slot: dice.choice(("strong", "on the line", "a hair above")) for slot in range(self.first, last + 1)}
        if dice.random() < 0.05:
            return intents
        pullback = dice.randint(self.first, max(self.first, self.last - dice.choice((0, 3, 3, 3))))
        reversal = pullback + dice.choice((1, 1, 1, 2, 3, 6))
        between = ("below", "weak", "on the line", "a hair below", "at the threshold", "flat")
        intents |= {slot: dice.choice(between) for slot in range(pullback + 1, self.last + 1)}
        intents[pullback] = dice.choice(("below", "below", "a hair below"))
        intents[reversal] = dice.choice(("strong", "strong", "strong", "at the threshold"))
        intents[reversal + 1] = dice.choice(("strong", "weak", "weak", "on the line", "below", "a hair below"))
        return intents

    def _walked_bar(self, calm: float) -> Ohlc:
        dice = self.dice
        if dice.random() < calm:
            return (self.price,) * 4
        close = max(self._tick(self.price + self.unit * dice.gauss(0, 0.4)), self.unit)
        height = self.unit * dice.uniform(0, 1)
        return _bar(self.price, close + height * dice.random(), close - height * dice.random(), close)

    def _bar_towards(self, intent: str, line: float) -> Ohlc:
        dice, threshold = self.dice, self.settings.reversal_strength
        away = self.unit * dice.uniform(0.05, 1.0)
        close = {
            "below": self._tick(line - away),
            "a hair below": math.nextafter(line, 0.0),
            "on the line": line,
            "a hair above": math.nextafter(line, math.inf),
        }.get(intent, self._tick(line + away))
        if intent == "flat":
            return (close,) * 4
        strength = {
            "weak": threshold * dice.random(),
            "strong": threshold + (1 - threshold) * dice.random(),
            "at the threshold": threshold + dice.choice((0.0, 0.0, 1e-10, -1e-10, 4.9e-10, 5.1e-10, 1e-9, -1e-9)),
        }.get(intent, dice.random())
        height = self.unit * dice.choice((0.5, 1.0, 1.0, 2.0))
        low = max(close - strength * height, self.unit / 64)
        # An open out of this range would stretch it and spoil the strength that was aimed at.
        opened = low if intent == "at the threshold" else dice.choice((low, close, self.price))
        return _bar(opened, low + height, low, close)

    def _first_bar(self, bar: Ohlc, mean: float | None) -> Ohlc:
        """Often an opening right on the mean of the closes, where that is near enough."""
        if mean is None or abs(mean - bar[0]) > 8 * self.unit or self.dice.random() < 0.3:
            return bar
        opened = self.dice.choice((mean, math.nextafter(mean, 0.0), math.nextafter(mean, math.inf)))
        return _bar(opened, *bar[1:])

    def _shape_the_trade(self, bars: dict[int, Ohlc]) -> None:
        """Where the walk comes to an entry, decide how the trade ends, or that its bars are missing."""
        dice, settings = self.dice, self.settings
        indicators = indicators_by_slot(self.earlier, bars, self.last, settings)
        walk = walk_the_window(bars, indicators, self.first, self.last, settings.reversal_strength)
        confirmation = walk.confirmation
        if confirmation is None or confirmation + 1 not in bars:
            return
        entry_slot, atr = confirmation + 1, indicators[confirmation].atr
        plan = dice.choice(PLANS)
        if plan in ("no confirmation", "no entry"):
            if dice.random() < 0.6:
                del bars[entry_slot if plan == "no entry" else confirmation]
            return
        if plan == "nothing after" and dice.random() < 0.6:
            for slot in [slot for slot in bars if slot > entry_slot + dice.choice((0, 0, 5))]:
                del bars[slot]
            return
        if plan in ("as drawn", "nothing after") or atr is None:
            return
        stop = bars[entry_slot][0] - settings.stop_atr * atr
        exits = exit_slot(self.slots, settings.exit_minutes_before_close)
        if not 0 < stop < bars[entry_slot][0]:
            return
        for slot in range(entry_slot, self.slots):
            if slot in bars and bars[slot][2] <= stop:
                opened = bars[slot][0] if slot == entry_slot else max(bars[slot][0], math.nextafter(stop, math.inf))
                bars[slot] = _lifted(opened, bars[slot], math.nextafter(stop, math.inf))
        if plan == "quiet":
            return
        slot = dice.choice((entry_slot, entry_slot + 1, dice.randint(entry_slot, self.slots - 1), exits, exits + 1))
        if slot not in bars:
            return
        opened, high, low, close = bars[slot]
        if plan == "touch":
            bars[slot] = (opened, high, stop, close)
        elif plan == "near":
            bars[slot] = (opened, high, math.nextafter(stop, dice.choice((0.0, math.inf))), close)
        elif slot > entry_slot:
            opened = stop * dice.choice((1.0, 0.999, 0.9))
            bars[slot] = _bar(opened, close, min(opened, low), close)

    def _tick(self, price: float) -> float:
        return round(price, 2) if self.cents else price


def _bar(opened: float, high: float, low: float, close: float) -> Ohlc:
    """The bar, its range stretched so far that it holds its open and close."""
    return opened, max(opened, high, low, close), min(opened, high, low, close), close


def _lifted(opened: float, bar: Ohlc, floor: float) -> Ohlc:
    return _bar(opened, max(bar[1], floor), max(bar[2], floor), max(bar[3], floor))


def _in_minutes(dice: random.Random, bars: Mapping[int, Ohlc]) -> dict[int, Ohlc]:
    """1-minute bars that make these 2-minute bars: both minutes of a slot, or the first or the second alone."""
    minutes: dict[int, Ohlc] = {}
    for slot, (opened, high, low, close) in bars.items():
        kind = dice.random()
        if kind < 0.8:
            middle = dice.choice((high, low, opened, close))
            top_first, bottom_first = dice.random() < 0.5, dice.random() < 0.5
            first = (opened, high if top_first else middle, low if bottom_first else middle, middle)
            second = (middle, middle if top_first else high, middle if bottom_first else low, close)
            minutes[2 * slot], minutes[2 * slot + 1] = _bar(*first), _bar(*second)
        else:
            minutes[2 * slot + (kind < 0.9)] = (opened, high, low, close)
    return minutes


def _spoil_order(dice: random.Random, rows: list[Timed]) -> None:
    """Repeats, another order, and nonsense out of hours: none of it may matter."""
    if rows:
        rows += dice.choices(rows, k=dice.randint(0, 5))
        opened = min(rows)[0]
        for away in (timedelta(minutes=-2), timedelta(hours=12)):
            rows.append((opened + away, math.nan, 1.0, 2.0, -3.0))
    dice.shuffle(rows)


def _spoil_a_bar(dice: random.Random, rows: list[Timed]) -> None:
    place = dice.randrange(len(rows))
    moment, opened, high, low, close = rows[place]
    rows[place] = dice.choice(
        (
            (moment, opened, high, low, math.nan),
            (moment, opened, math.inf, low, close),
            (moment, 0.0, high, low, close),
            (moment, opened, high, -low, close),
            (moment, opened, low / 2, low, close),
            (moment, high * 2, high, low, close),
            (moment, opened, high, low, low / 2),
            (moment + timedelta(seconds=7), opened, high, low, close),
        )
    )
    if dice.random() < 0.2:
        rows.append((moment, opened, high * 2, low, close))


def _spoil_closes(dice: random.Random, closes: list[DailyClose]) -> None:
    if not closes:
        return
    day, close = dice.choice(closes[-12:])
    kind = dice.choice(("repeat", "repeat", "no session", "no session", "missing", "negative", "contradiction"))
    if kind == "repeat":
        closes.append((day, close))
    elif kind == "no session":
        closes.append((date(2025, 11, 2), 5000.0))
    elif kind == "contradiction":
        closes.append((day, close * 2))
    else:
        closes[closes.index((day, close))] = (day, math.nan if kind == "missing" else -close)
    dice.shuffle(closes)
