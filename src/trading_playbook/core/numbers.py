"""Numbers as the journal holds and writes them, the same on every machine."""

from __future__ import annotations

DECIMALS = 6


def rounded(value: float) -> float:
    """The value to 6 decimals, half to even as Python's round does it (np.round differs); -0.0 becomes 0.0."""
    return round(float(value), DECIMALS) + 0.0


def rounded_text(value: float) -> str:
    """A rounded value as text: no exponent, at most 6 decimals, no trailing zeros but one decimal at least."""
    text = f"{value:.{DECIMALS}f}".rstrip("0")
    return text + "0" if text[-1] == "." else text


def number_text(value: float) -> str:
    """Any value as the journal would write it: rounded, then as text."""
    return rounded_text(rounded(value))
