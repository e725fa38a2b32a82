"""What a run costs in the cloud, estimated from list prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "list prices of Google Cloud, tier 1 regions (us-central1), without the free tier"
AS_OF = "2026-11-25"


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars. The one table of rates, by which runs estimate themselves."""

    cpu_second: float = 0.000024
    gib_second: float = 0.0000025
    request: float = 0.40 / 1_000_000
    object_write: float = 0.005 / 1_000
    object_read: float = 0.0004 / 1_000


RATES = Rates()
CPUS = 1.0
MEMORY_GIB = 1.0


def estimated_cost(seconds: float, reads: int = 0, writes: int = 0, rates: Rates = RATES) -> float:
    """Dollars for one call of the service that took so long on one processor with 1 GiB, and its object calls."""
    working = seconds * (CPUS * rates.cpu_second + MEMORY_GIB * rates.gib_second)
    return working + rates.request + reads * rates.object_read + writes * rates.object_write


def cost_facts(dollars: float) -> Mapping[str, object]:
    """An estimate as JSON values, with where the rates are from."""
    return {"dollars": round(dollars, 6), "source": SOURCE, "as_of": AS_OF}
