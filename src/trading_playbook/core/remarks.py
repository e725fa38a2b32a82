"""Warnings that carry their facts: sentences for people, with what a door must know of them beside."""

from __future__ import annotations

from trading_playbook.core.errors import PlaybookError


class ChangedData(str):
    """A feed's data is not what it was when it was asked for before.

    what: bar or daily close. number: how many changed, came or went. first: the first of them, a UTC minute or a date.
    largest: the largest relative change of a value, 0.01 being 1 %; 0.0 where they only came or went.
    """

    def __new__(cls, text: str, *, symbol: str, what: str, number: int, first: str, largest: float) -> ChangedData:
        told = super().__new__(cls, text)
        told.symbol, told.what, told.number, told.first, told.largest = symbol, what, number, first, largest
        return told

    symbol: str
    what: str
    number: int
    first: str
    largest: float


class NotKept(str):
    """Something could not be kept in a cache, or could not be looked for there, for this error."""

    error: PlaybookError

    def __new__(cls, text: str, error: PlaybookError) -> NotKept:
        told = super().__new__(cls, text)
        told.error = error
        return told
