"""Symbols, dates and choices as people write them, read strictly: what is not certain is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import date

from trading_playbook.core.errors import FixRequest

SYMBOL_LENGTH = 10
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*([.][A-Z]+)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
_PARAMS_HASH = re.compile(r"p[0-9a-f]{12}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def is_symbol(text: str) -> bool:
    """Whether a text is a symbol as rows bear it, such as QQQ or BRK.B."""
    return len(text) <= SYMBOL_LENGTH and _SYMBOL.fullmatch(text) is not None


def parse_symbol(text: str) -> str:
    """A symbol such as QQQ or BRK.B, small letters raised; FixRequest for all else, so that none can name a file."""
    symbol = text.strip().upper()
    if not text.isascii() or not is_symbol(symbol):
        raise FixRequest(
            f"{text[:40]!r} is no symbol; expected letters and digits such as QQQ or BRK.B, at most {SYMBOL_LENGTH}"
        )
    return symbol


def parse_symbols(texts: Iterable[str]) -> tuple[str, ...]:
    """The symbols of one or several lists with commas, each once, in the order of their first naming."""
    named = (part for text in texts for part in text.split(",") if part.strip())
    return tuple(dict.fromkeys(map(parse_symbol, named)))


def parse_day(text: str) -> date:
    """A date as YYYY-MM-DD; FixRequest for any other form and for days that do not exist."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise FixRequest(f"{text[:40]!r} is no date; expected YYYY-MM-DD")


def parse_params_hash(text: str) -> str:
    """A hash of parameters as rows bear it, such as p80720bba934c; FixRequest for all else."""
    if not _PARAMS_HASH.fullmatch(text.strip()):
        raise FixRequest(f"{text[:40]!r} is no hash of parameters; expected p and 12 hex digits, as p80720bba934c")
    return text.strip()


def plain_number(text: str) -> float | None:
    """The finite number that a text is, None where it is none or in a form such as 1_5 that nobody means."""
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def is_address(text: str) -> bool:
    """Whether a text names a place that is no path, as gs://bucket/trades.csv does."""
    return _ADDRESS.match(text) is not None


def parse_accepted(text: str) -> tuple[str, date]:
    """A session that a person accepts by name, as SYMBOL:YYYY-MM-DD."""
    symbol, colon, day = text.strip().partition(":")
    if not colon:
        raise FixRequest(f"{text[:40]!r} names no session; expected SYMBOL:YYYY-MM-DD")
    return parse_symbol(symbol), parse_day(day)


def parse_choices(texts: Iterable[str]) -> dict[str, str]:
    """Parameters as name=value, each name once; FixRequest where one is no such pair or is named twice."""
    chosen: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise FixRequest(f"{text[:40]!r} is no parameter; expected name=value")
        if name in chosen:
            raise FixRequest(f"parameter {name[:40]!r} is named twice")
        chosen[name] = value
    return chosen
