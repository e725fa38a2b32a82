"""How the bar files beside this were made, once: python -m tests.golden.draw

HAND tells by hand, in round numbers, what a person can follow with a pencil. SIM is drawn from a seed. Neither is made
by the product, and a new draw means new golden journals: see PROVENANCE.md.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.oracle.rows import OhlcBar
from tests.oracle.sessions import calendar_slots

DATA = Path(__file__).parent / "data"
NEW_YORK = ZoneInfo("America/New_York")
SEED = 20251119

QUIET = (100.0, 100.5, 99.5, 100.0)
STORY: Mapping[int, OhlcBar] = {
    15: (100.0, 100.5, 99.5, 99.58),
    16: (99.6, 100.375, 99.375, 100.17),
    17: (100.17, 100.625, 99.625, 100.19),
    18: (100.5, 101.0, 100.0, 100.5),
}
SPLITS = ("HAND,2025-12-01,1,2", "SIM,2025-12-03,1,4")


def hand_made() -> dict[date, dict[int, OhlcBar]]:
    """Seven sessions: nothing, an exit in time, a stop, an early close, a split and an invalidation, two holes."""
    days = [day for day in calendar_slots() if date(2025, 11, 24) <= day <= date(2025, 12, 3)]
    told: dict[date, dict[int, OhlcBar]] = {}
    for day in days:
        told[day] = {**dict.fromkeys(range(calendar_slots()[day]), QUIET), **STORY}
    told[days[0]].update(dict.fromkeys(STORY, QUIET))
    told[days[2]][30] = (100.0, 102.0, 99.0, 99.2)
    told[days[4]][17] = (100.17, 100.625, 99.625, 99.9)
    del told[days[5]][18]
    for slot in (3, 4, 7):
        del told[days[6]][slot]
    for day in days[4:]:
        told[day] = {slot: (o / 2, h / 2, low / 2, c / 2) for slot, (o, h, low, c) in told[day].items()}
    return told


def simulated(seed: int) -> dict[date, dict[int, OhlcBar]]:
    """Twelve sessions of a walk in cents, with an early close, a split of 4 for 1, and bars that are missing."""
    dice = random.Random(seed)
    days = [day for day in calendar_slots() if date(2025, 11, 19) <= day <= date(2025, 12, 5)]
    price, told = 612.4, {}
    for day in days:
        if day == date(2025, 12, 3):
            price /= 4
        price *= 1 + dice.gauss(0.0005, 0.004)
        bars: dict[int, OhlcBar] = {}
        for slot in range(calendar_slots()[day]):
            ticks = [price := price * (1 + dice.gauss(0, 0.0005)) for _ in range(4)]
            cents = [round(tick, 2) for tick in ticks]
            bars[slot] = (cents[0], max(cents), min(cents), cents[-1])
        told[day] = bars
    for day, slots in {
        days[2]: (4, 40),
        days[4]: (1, 5, 9),
        days[6]: (60, 61, 62),
        days[8]: (191, 192),
        days[10]: (19,),
    }.items():
        for slot in slots:
            del told[day][slot]
    return told


def closes(told: Mapping[date, Mapping[int, OhlcBar]], before: float, drift: float, seed: int) -> dict[date, float]:
    """205 closes before the first session, up to `before` in its terms, and the last bar's close of each session."""
    dice = random.Random(seed)
    calendar = list(calendar_slots())
    place = calendar.index(min(told))
    found: dict[date, float] = {}
    price = before
    for day in reversed(calendar[place - 205 : place]):
        found[day] = round(price, 2)
        price /= 1 + (dice.gauss(drift, 0.008) if drift else 0.0)
    for day, bars in told.items():
        found[day] = bars[max(bars)][3]
    return dict(sorted(found.items()))


def write(symbol: str, told: Mapping[date, Mapping[int, OhlcBar]], daily: Mapping[date, float]) -> None:
    """Write the symbol's 2-minute bars and daily closes, in the form that the files feed reads."""
    lines = ["timestamp,open,high,low,close,volume"]
    for day, bars in told.items():
        opens = datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC)
        for slot, bar in bars.items():
            moment = opens + slot * timedelta(minutes=2)
            lines.append(f"{moment:%Y-%m-%dT%H:%M}:00Z,{','.join(map(repr, bar))},1000")
    (DATA / "2Min" / f"{symbol}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    lines = ["date,open,high,low,close,volume"]
    lines += [f"{day},{close!r},{close!r},{close!r},{close!r},100000" for day, close in daily.items()]
    (DATA / "1Day" / f"{symbol}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def main() -> None:
    """Write every file under data/."""
    for folder in ("2Min", "1Day"):
        (DATA / folder).mkdir(parents=True, exist_ok=True)
    hand, walk = hand_made(), simulated(SEED)
    write("HAND", hand, closes(hand, 90.0, 0.0, SEED))
    write("SIM", walk, closes(walk, 611.9, 0.0006, SEED))
    text = "\n".join(("symbol,ex_date,old,new", *SPLITS)) + "\n"
    (DATA / "splits.csv").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
