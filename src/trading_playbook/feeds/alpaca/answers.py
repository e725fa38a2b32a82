"""What Alpaca's answers mean: their names, times and null values end here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import Any

import numpy as np

from trading_playbook.core.bars import PRICES, SECOND, FloatArray, IntArray
from trading_playbook.core.daily import Split
from trading_playbook.core.errors import CheckData
from trading_playbook.network.retries import Temporary

_FIELDS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_SPLITS = ("forward_splits", "reverse_splits")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DAY_SECONDS = 86_400
_NEW_YORK_MIDNIGHTS = (4 * 3_600, 5 * 3_600)
"""Seconds after midnight UTC, in summer and in winter."""


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

    Raises Temporary where the answer has another form.
    """
    actions = answer.get("corporate_actions") if isinstance(answer, dict) else None
    splits = [actions.get(kind) or [] for kind in _SPLITS] if isinstance(actions, dict) else [None]
    if not all(isinstance(kind, list) for kind in splits):
        raise Temporary("an answer of Alpaca's has no corporate actions in the form that is known")
    found = []
    for action in chain.from_iterable(filter(None, splits)):
        symbol = str(action.get("symbol", "")) if isinstance(action, dict) else ""
        found.append((symbol, _split(symbol, action)))
    return found, _next_page(answer)


def columns_of(symbol: str, bars: Sequence[Any], minutes: int) -> tuple[IntArray, dict[str, FloatArray]]:
    """Opening times, nanoseconds since 1970 UTC, and columns of bars; NaN where a price is no number.

    A null in the place of a bar becomes a bar without prices at the time that the place means, so that the checks of
    the core tell of it. Raises CheckData where a time or a volume cannot be read, or nothing tells a bar's time.
    """
    if not all(isinstance(bar, dict) for bar in bars):
        bars = _without_nulls(symbol, bars, minutes)
    opened = _instants(symbol, [bar.get("t") for bar in bars])
    columns = {name: _numbers([bar.get(field) for bar in bars]) for name, field in _FIELDS.items()}
    lacking = np.flatnonzero(~(columns["volume"] >= 0) & ~np.isnan([columns[name] for name in PRICES]).any(axis=0))
    if len(lacking):
        at = bars[int(lacking[0])]["t"]
        raise CheckData(f"{symbol} {at}: volume is missing or no number of shares", symbol=symbol, field="volume")
    return opened * SECOND if len(opened) else opened, columns


def closes_in(symbol: str, bars: Sequence[Any]) -> tuple[IntArray, FloatArray]:
    """Day numbers and closes of daily bars, NaN where a close is no number.

    A daily bar is stamped with its midnight in New York. Raises CheckData where a bar is not.
    """
    if not all(isinstance(bar, dict) for bar in bars):
        raise CheckData(f"{symbol}: a daily bar is null", kind="bad_close", symbol=symbol, field="close")
    stamps = _instants(symbol, [bar.get("t") for bar in bars])
    odd = np.flatnonzero(np.logical_and.reduce([stamps % _DAY_SECONDS != midnight for midnight in _NEW_YORK_MIDNIGHTS]))
    if len(odd):
        at = bars[int(odd[0])]["t"]
        raise CheckData(
            f"{symbol}: a daily bar is stamped {at}, which is no midnight in New York",
            kind="bad_close",
            symbol=symbol,
            field="timestamp",
        )
    return stamps // _DAY_SECONDS, _numbers([bar.get("c") for bar in bars])


def asset_status(answer: Any) -> str:
    """How the broker calls the state of an asset, active or inactive. Raises Temporary at another form."""
    if not isinstance(answer, dict):
        raise Temporary("an asset came in no form that is known")
    return str(answer.get("status", "unknown"))[:20]


def closing_times(answer: Any) -> Mapping[date, time]:
    """The closing time in New York by session. Raises Temporary where the answer has another form."""
    try:
        return {date.fromisoformat(day["date"]): time.fromisoformat(day["close"]) for day in answer}
    except (TypeError, KeyError, ValueError):
        raise Temporary("the broker's calendar came in no form that is known") from None


def _next_page(answer: dict[str, Any]) -> str | None:
    token = answer.get("next_page_token")
    if token is not None and not isinstance(token, str):
        raise Temporary("an answer of Alpaca's has a page token in no form that is known")
    return token


def _split(symbol: str, told: Any) -> Split | CheckData:
    try:
        ex_date = date.fromisoformat(told["ex_date"])
        old, new = float(told["old_rate"]), float(told["new_rate"])
    except (TypeError, KeyError, ValueError):
        ex_date, old, new = date.min, 0.0, 0.0
    if not (0 < old < np.inf and 0 < new < np.inf):
        return CheckData(
            f"{symbol}: Alpaca tells of a split without usable date or rates", kind="bad_split", symbol=symbol
        )
    return Split(ex_date, old, new)


def _without_nulls(symbol: str, bars: Sequence[Any], minutes: int) -> list[dict[str, Any]]:
    """The bars with an empty one for each null, timed by the bar before it, else by the one after."""
    whole: list[dict[str, Any]] = []
    for place, bar in enumerate(bars):
        if isinstance(bar, dict):
            whole.append(bar)
            continue
        before = whole[-1].get("t") if whole else None
        after = next((later.get("t") for later in bars[place:] if isinstance(later, dict)), None)
        known, step = (before, minutes) if before else (after, -minutes)
        if not isinstance(known, str) or not _STAMP.fullmatch(known):
            raise CheckData(
                f"{symbol}: a bar is null, and nothing tells of when it is", symbol=symbol, field="timestamp"
            )
        moment = datetime.fromisoformat(known).astimezone(UTC) + timedelta(minutes=step)
        whole.append({"t": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "v": 0})
    return whole


def _instants(symbol: str, texts: Sequence[Any]) -> IntArray:
    """Seconds since 1970 UTC of RFC 3339 times. Raises CheckData at what is none."""
    if all(type(text) is str and len(text) == 20 and text[-1] == "Z" and text[10] == "T" for text in texts):
        try:
            return np.array([text[:-1] for text in texts], dtype="datetime64[s]").astype(np.int64)
        except ValueError:
            pass
    for text in texts:
        if not isinstance(text, str) or not _STAMP.fullmatch(text):
            raise CheckData(f"{symbol}: a bar has {str(text)[:40]!r} for its time", symbol=symbol, field="timestamp")
    try:
        return np.array([int(datetime.fromisoformat(text).timestamp()) for text in texts], dtype=np.int64)
    except ValueError:
        raise CheckData(f"{symbol}: a bar has a time that is none", symbol=symbol, field="timestamp") from None


def _numbers(values: Sequence[Any]) -> FloatArray:
    """Numbers as float64, NaN for what is none: a null, a text, a truth value."""
    if not set(map(type, values)) <= {int, float}:
        values = [value if type(value) in (int, float) else np.nan for value in values]
    return np.array(values, dtype=np.float64)
