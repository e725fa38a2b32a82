"""Arguments that name journals and rows of them, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from trading_playbook.cli.arguments import argument, moment, path
from trading_playbook.cli.settings import add_cloud, add_log_level, open_settings
from trading_playbook.core.parsing import parse_day, parse_params_hash, parse_symbols

if TYPE_CHECKING:
    from trading_playbook.config import Settings
    from trading_playbook.network.budget import RetryBudget
    from trading_playbook.ports import Clock, JournalPlace, RowQuery

PLACE = "a path, gs://BUCKET/FOLDER/ or mongodb://..."
PLACE_OR_OURS = f"{PLACE} (default: the journal that WRITER_TYPE chooses)"


def add_place(parser: argparse.ArgumentParser, help_text: str = PLACE_OR_OURS) -> None:
    parser.add_argument("place", nargs="?", type=path, metavar="PLACE", help=help_text)


def add_filters(parser: argparse.ArgumentParser, *, strategy: bool = True) -> None:
    group = parser.add_argument_group("which rows")
    group.add_argument("--symbol", action="append", default=[], metavar="QQQ[,SPY]", help="of these symbols")
    group.add_argument("--start", type=argument(parse_day), metavar="YYYY-MM-DD", help="from this session on")
    group.add_argument("--end", type=argument(parse_day), metavar="YYYY-MM-DD", help="up to this session, included")
    if strategy:
        group.add_argument("--strategy", metavar="NAME", help="of this strategy")
    group.add_argument(
        "--params-hash", type=argument(parse_params_hash), metavar="HASH", help="of these parameters, as p80720bba934c"
    )


def add_telling(parser: argparse.ArgumentParser, *, now: bool = False) -> None:
    group = parser.add_argument_group("what it tells")
    group.add_argument("--json", action="store_true", help="the answer as JSON on stdout, and nothing else")
    add_log_level(group)
    add_cloud(group)
    if now:
        group.add_argument(
            "--now", type=moment, metavar="MOMENT", help="as of another moment, as 2026-11-27T13:20:00-05:00"
        )


def query_of(chosen: argparse.Namespace) -> RowQuery:
    """The rows that the filters take. FixRequest where they contradict each other."""
    from trading_playbook.core.errors import FixRequest
    from trading_playbook.ports import RowQuery

    start: date | None = chosen.start
    end: date | None = chosen.end
    if start and end and end < start:
        raise FixRequest(f"the end {end} lies before the start {start}")
    return RowQuery(
        symbols=frozenset(parse_symbols(chosen.symbol)) if chosen.symbol else None,
        start=start,
        end=end,
        strategy=getattr(chosen, "strategy", None),
        params_hash=chosen.params_hash,
    )


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with that looks at journals."""

    settings: Settings
    clock: Clock
    budget: RetryBudget

    @classmethod
    def of(cls, chosen: argparse.Namespace) -> Desk:
        from trading_playbook.wiring import build_budget, build_clock

        settings = open_settings(cloud=chosen.cloud, log_level=chosen.log_level)
        clock = build_clock(getattr(chosen, "now", None))
        return cls(settings, clock, build_budget(settings, clock))

    def place(self, address: str | None) -> JournalPlace:
        """The journal at an address, the first of the configured ones where none is named."""
        return self.places(address)[0]

    def places(self, address: str | None) -> Sequence[JournalPlace]:
        """The journal at an address, all of the configured ones where none is named."""
        from trading_playbook.wiring import build_places, open_place

        if address is None:
            return build_places(self.settings, self.clock, self.budget)
        return [open_place(address, self.settings, self.clock, self.budget)]
