"""What Alpaca's answers mean: their names, times and null values end here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from trading_playbook.core.bars import SECOND, FloatArray, IntArray
from trading_playbook.core.daily import Split
from trading_playbook.core.errors import CheckData
from trading_playbook.network.retries import Temporary

_FIELDS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_SPLITS = ("forward_splits", "reverse_splits")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DAY = 86_400 * SECOND
_NEW_YORK_MIDNIGHTS = (4 * 3_600 * SECOND, 5 * 3_600 * SECOND)
"""Nanoseconds after midnight UTC, in summer and in winter."""

_LARGEST = 2**1023
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_SECOND = 2**33
"""In 2242; nanoseconds since 1970 of later times soon need more than 64 bits."""


def bars_page(answer: Any) -> tuple[Mapping[str, Sequence[Any]], str | None]:
    """The bars of a page by symbol, as they came, and the token of the next page.

    Raises Temporary where the answer has another form.
    """
    found = answer.get("bars", ()) if isinstance(answer, dict) else ()
    if found is None:
        found = {}
    if not isinstance(found, dict) or not all(isinstance(bars, list) for bars in found.values()):
        raise Temporary("an answer of Alpaca's has no bars in the form that is known")
    return found, _next_page(answer)


def splits_page(answer: Any) -> tuple[Sequence[tuple[str, Split | CheckData]], str | None]:
    """Each split of a page with its symbol, CheckData in the place of one that cannot be read, and the next page.

    Raises Temporary where the answer has another form, or a split no symbol.
    """
    actions = answer.get("corporate_actions") if isinstance(answer, dict) else None
    splits: list[Any] = []
    for kind in _SPLITS:
        own = actions.get(kind, []) if isinstance(actions, dict) else 0
        splits += own if isinstance(own, list) else [] if own is None else [own]
    if not all(isinstance(split, dict) and isinstance(split.get("symbol"), str) for split in splits):
        raise Temporary("an answer of Alpaca's has no corporate actions in the form that is known")
    return [(split["symbol"], _split(split["symbol"], split)) for split in splits], _next_page(answer)


def columns_of(symbol: str, bars: Sequence[Any], minutes: int) -> tuple[IntArray, dict[str, FloatArray]]:
    """Opening times, nanoseconds since 1970 UTC, and columns of bars; NaN where a price is no number.

    A null in the place of a bar becomes a bar without prices at each time that the place may mean, so that the checks
    of the core tell of it. Raises CheckData where a time cannot be read, or nothing tells a bar's time.
    """
    if not all(isinstance(bar, dict) for bar in bars):
        bars = _without_nulls(symbol, bars, minutes)
    opened = _instants(symbol, [bar.get("t") for bar in bars])
    return opened, {name: _numbers([bar.get(field) for bar in bars]) for name, field in _FIELDS.items()}


def closes_in(symbol: str, bars: Sequence[Any]) -> tuple[IntArray, FloatArray]:
    """Day numbers and closes of daily bars, NaN where a close is no number.

    A daily bar is stamped with its midnight in New York. Raises CheckData where a bar is not.
    """
    if not all(isinstance(bar, dict) for bar in bars):
        raise CheckData(f"{symbol}: a daily bar is null", kind="bad_close", symbol=symbol, field="close")
    stamps = _instants(symbol, [bar.get("t") for bar in bars])
    odd = np.flatnonzero(np.logical_and.reduce([stamps % _DAY != midnight for midnight in _NEW_YORK_MIDNIGHTS]))
    if len(odd):
        at = bars[int(odd[0])]["t"]
        raise CheckData(
            f"{symbol}: a daily bar is stamped {at}, which is no midnight in New York",
            kind="bad_close",
            symbol=symbol,
            field="timestamp",
        )
    return stamps // _DAY, _numbers([bar.get("c") for bar in bars])


def asset_status(answer: Any) -> str:
    """How the broker calls the state of an asset: active, inactive, or unknown. Raises Temporary at another form."""
    if not isinstance(answer, dict):
        raise Temporary("an asset came in no form that is known")
    status = answer.get("status")
    return str(status) if status in ("active", "inactive") else "unknown"


def closing_times(answer: Any) -> Mapping[date, time]:
    """The closing time in New York by session. Raises Temporary where the answer has another form, or no session."""
    try:
        times = {date.fromisoformat(day["date"]): time.fromisoformat(day["close"]) for day in answer}
    except (TypeError, KeyError, ValueError):
        times = {}
    if not times or any(closes.tzinfo for closes in times.values()):
        raise Temporary("the broker's calendar came in no form that is known, or empty")
    return times


def _next_page(answer: dict[str, Any]) -> str | None:
    token = answer.get("next_page_token")
    if token is not None and not isinstance(token, str):
        raise Temporary("an answer of Alpaca's has a page token in no form that is known")
    return token


def _split(symbol: str, told: Mapping[str, Any]) -> Split | CheckData:
    try:
        ex_date = date.fromisoformat(told["ex_date"])
        old, new = float(told["old_rate"]), float(told["new_rate"])
    except (TypeError, KeyError, ValueError, OverflowError):
        ex_date, old, new = date.min, 0.0, 0.0
    if not (0 < old < np.inf and 0 < new < np.inf):
        return CheckData(
            f"{symbol}: Alpaca tells of a split without usable date or rates", kind="bad_split", symbol=symbol
        )
    return Split(ex_date, old, new)


def _without_nulls(symbol: str, bars: Sequence[Any], minutes: int) -> list[dict[str, Any]]:
    """The bars with empty ones for each null: just after the bar before it, and just before the bar after it.

    Between the last bar of a session and the first of the next one, a null may mean either.
    """
    whole = [bar for bar in bars if isinstance(bar, dict)]
    known = _instants(symbol, [bar.get("t") for bar in whole]).tolist()
    if not known:
        raise CheckData(f"{symbol}: a bar is null, and nothing tells of when it is", symbol=symbol, field="timestamp")
    passed = 0
    for bar in bars:
        if isinstance(bar, dict):
            passed += 1
            continue
        times = [at + minutes * 60 * SECOND for at in known[:passed][-1:]]
        times += [at - minutes * 60 * SECOND for at in known[passed : passed + 1]]
        whole += [{"t": f"{np.datetime64(at // SECOND, 's')}Z"} for at in dict.fromkeys(times)]
    return whole


def _instants(symbol: str, texts: Sequence[Any]) -> IntArray:
    """Nanoseconds since 1970 UTC of RFC 3339 times. Raises CheckData at what is none."""
    if all(type(text) is str and len(text) == 20 and text[-1] == "Z" and text[10] == "T" for text in texts):
        try:
            seconds = np.array([text[:-1] for text in texts], dtype="datetime64[s]").astype(np.int64)
            if np.all((seconds >= 0) & (seconds < _LATEST_SECOND)):
                return seconds * SECOND
        except ValueError:
            pass
    return np.array([_instant(symbol, text) for text in texts], dtype=np.int64)


def _instant(symbol: str, text: Any) -> int:
    """As _instants, of one time, with a fraction of a second or an offset too."""
    try:
        if isinstance(text, str) and _STAMP.fullmatch(text):
            passed = (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * 1_000
            if 0 <= passed < _LATEST_SECOND * SECOND:
                return passed
    except ValueError:
        pass
    raise CheckData(f"{symbol}: a bar has {str(text)[:40]!r} for its time", symbol=symbol, field="timestamp")


def _numbers(values: Sequence[Any]) -> FloatArray:
    """Numbers as float64, NaN for what is none: a null, a text, a truth value, what float64 cannot hold."""
    if not set(map(type, values)) <= {int, float}:
        values = [value if type(value) in (int, float) else np.nan for value in values]
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.array([value if abs(value) < _LARGEST else np.nan for value in values], dtype=np.float64)
