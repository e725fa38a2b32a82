"""Bars for tests, made up on the spot, and the files that hold them in the forms that people have."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trading_playbook.core.bars import COLUMNS, MINUTE, Bars
from trading_playbook.core.calendar import Calendar, Session
from trading_playbook.core.daily import DailyCloses, Split, day_of

CALENDAR = Calendar()
NEW_YORK = ZoneInfo("America/New_York")
NAMES = ("timestamp", *COLUMNS)

Stamp = Callable[[datetime], str]
"""How a file writes an aware UTC time."""


def session_of(day: str) -> Session:
    """The session of an open day, YYYY-MM-DD."""
    session = CALENDAR.session(date.fromisoformat(day))
    assert session is not None, f"{day} is no session"
    return session


def sessions_of(start: str, end: str) -> tuple[Session, ...]:
    """The sessions of a range, both ends in."""
    return CALENDAR.sessions(date.fromisoformat(start), date.fromisoformat(end))


def minute_bars(sessions: Session | Sequence[Session], *, minutes: int = 1, symbol: str = "QQQ", seed: int = 1) -> Bars:
    """Plausible bars of whole sessions, oldest first, one for each slot: a walk in cents from about 500 dollars."""
    own = [sessions] if isinstance(sessions, Session) else list(sessions)
    luck = random.Random(f"{symbol} {seed}")  # its stream is the same in every Python
    opened: list[int] = []
    rows: list[tuple[float, ...]] = []
    price = 50_000
    for session in own:
        price += luck.randint(-300, 300)
        for slot in range(session.slots(minutes)):
            opened.append(nanoseconds(session.opens) + slot * minutes * MINUTE)
            first, price = price, price + luck.randint(-30, 30)
            high, low = max(first, price) + luck.randint(0, 15), min(first, price) - luck.randint(0, 15)
            rows.append((first / 100, high / 100, low / 100, price / 100, float(luck.randint(1, 90_000))))
    columns = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
    return Bars(
        symbol=symbol,
        minutes=minutes,
        opened=np.array(opened, dtype=np.int64),
        first_session=own[0].date if own else None,
        **{name: columns[:, at].copy() for at, name in enumerate(COLUMNS)},
    )


def last_closes(bars: Bars) -> dict[date, float]:
    """The close of each New York date's last bar, for bars in the order of time."""
    return {moment_of(at).astimezone(NEW_YORK).date(): close for at, close in zip(bars.opened, bars.close, strict=True)}


def daily_closes(before: str, count: int, *, symbol: str = "QQQ", seed: int = 1) -> dict[date, float]:
    """Plausible closes of the last so many sessions before a day."""
    luck = random.Random(f"{symbol} {seed} daily")
    days = CALENDAR.last_sessions(count, date.fromisoformat(before) - timedelta(days=1))
    return {session.date: luck.randint(45_000, 55_000) / 100 for session in days}


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970 UTC of an aware time of whole seconds."""
    return round(moment.timestamp()) * 1_000_000_000


def moment_of(stamp: int | np.int64) -> datetime:
    """The aware UTC time of nanoseconds since 1970."""
    return datetime.fromtimestamp(int(stamp) / 1_000_000_000, UTC)


def as_utc(moment: datetime) -> str:
    """2025-11-04T14:30:00Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def as_new_york(moment: datetime) -> str:
    """2025-11-04 09:30:00-05:00."""
    return moment.astimezone(NEW_YORK).isoformat(sep=" ")


def bar_lines(bars: Bars, *, stamp: Stamp = as_utc, names: Sequence[str] = NAMES) -> list[list[str]]:
    """The bars as fields of a text file, without a line of names, the columns in the order of names."""
    columns: dict[str, list[str]] = {name: [repr(value) for value in getattr(bars, name).tolist()] for name in COLUMNS}
    columns["timestamp"] = [stamp(moment_of(at)) for at in bars.opened]
    return [list(row) for row in zip(*(columns[name] for name in names), strict=True)]


def csv_text(lines: Iterable[Sequence[str]], *, names: Sequence[str] = NAMES) -> str:
    """A CSV file of plain fields under a line of names."""
    return "".join(",".join(line) + "\n" for line in (names, *lines))


def bar_table(bars: Bars, *, unit: str = "us", zone: str | None = "UTC") -> dict[str, Any]:
    """The bars as columns for write_parquet, volume as whole numbers, the times of some unit and zone."""
    ticks = bars.opened // (1_000_000_000 // {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit])
    values: dict[str, Any] = {name: getattr(bars, name) for name in COLUMNS}
    if not np.isnan(bars.volume).any():
        values["volume"] = bars.volume.astype(np.int64)
    return {"timestamp": pa.array(ticks, pa.timestamp(unit, tz=zone)), **values}


def write_text(path: Path, text: str | bytes) -> Path:
    """Write a file as it is, line ends and all, with the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    """Write columns, anything that pyarrow makes a table of; options are those of pyarrow's write_table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def write_bars(root: Path, bars: Bars, suffix: str = ".parquet") -> Path:
    """Write bars where a folder of files keeps them."""
    path = root / f"{bars.minutes}Min" / f"{bars.symbol}{suffix}"
    if suffix == ".csv":
        return write_text(path, csv_text(bar_lines(bars)))
    return write_parquet(path, bar_table(bars))


def write_closes(root: Path, symbol: str, closes: Mapping[date, float], suffix: str = ".parquet") -> Path:
    """Write daily closes where a folder of files keeps them."""
    path = root / "1Day" / f"{symbol}{suffix}"
    if suffix == ".csv":
        lines = [[day.isoformat(), repr(close)] for day, close in closes.items()]
        return write_text(path, csv_text(lines, names=("date", "close")))
    return write_parquet(path, {"date": pa.array(list(closes), pa.date32()), "close": list(closes.values())})


def write_folder(
    root: Path,
    bars: Iterable[Bars],
    closes: Mapping[str, Mapping[date, float]] | None = None,
    splits: Mapping[str, Iterable[Split]] | None = None,
    suffix: str = ".parquet",
) -> Path:
    """Write a folder of bars, with the closes and splits of each symbol, in the layout that the feed of files reads."""
    root.mkdir(parents=True, exist_ok=True)
    for own in bars:
        write_bars(root, own, suffix)
    for symbol, days in (closes or {}).items():
        write_closes(root, symbol, days, suffix)
    if splits is not None:
        lines = [
            [symbol, split.ex_date.isoformat(), f"{split.old:g}", f"{split.new:g}"]
            for symbol, own_splits in splits.items()
            for split in own_splits
        ]
        write_text(root / "splits.csv", csv_text(lines, names=("symbol", "ex_date", "old", "new")))
    return root


def require_same_bars(found: object, expected: Bars) -> None:
    """Fail unless a feed's answer holds just these bars, in whatever order, told of the same first session."""
    assert isinstance(found, Bars), found
    assert (found.symbol, found.minutes, found.first_session) == (
        expected.symbol,
        expected.minutes,
        expected.first_session,
    )
    orders = np.argsort(found.opened, kind="stable"), np.argsort(expected.opened, kind="stable")
    for name in ("opened", *COLUMNS):
        np.testing.assert_array_equal(getattr(found, name)[orders[0]], getattr(expected, name)[orders[1]], err_msg=name)


def closes_by_day(found: object) -> dict[date, float]:
    """A feed's daily closes by their date; fails where the answer is an error or names a date twice."""
    assert isinstance(found, DailyCloses), found
    days = [day_of(number) for number in found.days.tolist()]
    assert len(set(days)) == len(days)
    return dict(zip(days, found.closes.tolist(), strict=True))


def joined(*parts: Bars) -> Bars:
    """The bars of several tables of one symbol, one after the other; the first session is that of the first table."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("opened", *COLUMNS)
    }
    return replace(parts[0], **columns)


def without(bars: Bars, positions: Iterable[int]) -> Bars:
    """The bars but for those at these positions."""
    return bars.take(np.delete(np.arange(len(bars.opened)), list(positions)))
