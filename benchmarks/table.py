"""The lines of the table: what was compared, the bar, what was measured beside it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks import harness
from benchmarks.harness import Pairs, Sample, seconds

WIDTHS = (44, 14, 10, 10, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what was compared, the bar, what was measured beside it."""

    against: str
    bar: str
    measured: str
    ours: str
    theirs: str
    reached: bool

    def __str__(self) -> str:
        cells = (self.against, self.bar, self.measured, self.ours, self.theirs)
        return "  " + line(*cells) + ("pass" if self.reached else "MISS")


def line(*cells: str) -> str:
    """Return the cells in columns, the first to the left, the others to the right."""
    first, *rest = (cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return "".join((first.strip().ljust(WIDTHS[0]), *rest)) + "  "


def at_most(limit: float, against: str, pairs: Pairs) -> Row:
    """Return the row of a time that may be at most limit times theirs."""
    return Row(
        against=against,
        bar=f"<= {limit:.2f}x",
        measured=f"{pairs.ratio():.2f}x",
        ours=f"{seconds(pairs.ours):.3f} s",
        theirs=f"{seconds(pairs.theirs):.3f} s",
        reached=pairs.ratio() <= limit,
    )


def at_least(limit: float, against: str, pairs: Pairs) -> Row:
    """Return the row of a speed that must be at least limit times theirs."""
    faster = 1 / pairs.ratio()
    return Row(
        against=against,
        bar=f">= {limit:.0f}x",
        measured=f"{faster:.1f}x",
        ours=f"{seconds(pairs.ours):.3f} s",
        theirs=f"{seconds(pairs.theirs):.3f} s",
        reached=faster >= limit,
    )


def peak_at_most(limit: float, against: str, pairs: Pairs) -> Row:
    """Return the row of a peak of memory that may be at most limit times theirs."""
    return Row(
        against=against,
        bar=f"<= {limit:.2f}x",
        measured=f"{pairs.peak_ratio():.2f}x",
        ours=f"{megabytes(pairs.ours):.0f} MB",
        theirs=f"{megabytes(pairs.theirs):.0f} MB",
        reached=pairs.peak_ratio() <= limit,
    )


def megabytes(samples: tuple[Sample, ...]) -> float:
    """Return the samples' median peak in MB (10^6 bytes)."""
    return median(harness.peaks(samples)) / 1e6


def same_trades(counts: dict[str, int], different: int) -> str:
    """Return the line that says that all found the same trades. Raises Failed where they did not."""
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    if different:
        raise harness.Failed(f"not the same trades, so the times say little: {told}")
    return f"  the same trades: {told}"
