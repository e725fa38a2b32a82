"""Turning the core's parsers into argument types, so that a wrong value ends as a usage error naming its flag."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TypeVar

from trading_playbook.core.errors import PlaybookError

Parsed = TypeVar("Parsed")

YEARS = range(1990, 2101)
"""The years of moments that can be rehearsed."""


def argument(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """An argument type whose error is the parser's own sentence."""

    def read(text: str) -> Parsed:
        try:
            return parse(text)
        except PlaybookError as error:
            raise argparse.ArgumentTypeError(error.message) from None

    return read


def moment(text: str) -> datetime:
    """A moment with its zone or offset, such as 2026-11-27T13:20:00-05:00."""
    with suppress(ValueError, OverflowError):
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None and read.astimezone(UTC).year in YEARS:
            return read
    raise argparse.ArgumentTypeError(
        f"{text[:40]!r} is no moment from {YEARS[0]} to {YEARS[-1]}; expected a date and time with Z or an offset, "
        "as 2026-11-27T13:20:00-05:00"
    )


def month(text: str) -> str:
    """A month as YYYY-MM, also that of a date."""
    with suppress(ValueError):
        if re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", text, re.ASCII):
            return f"{date.fromisoformat(text if len(text) > 7 else f'{text}-01'):%Y-%m}"
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is no month; expected YYYY-MM, or a date YYYY-MM-DD")


def path(text: str) -> str:
    """A path; a blank one is more likely a variable that was not set than a wish."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is blank; expected a path")
    return text
