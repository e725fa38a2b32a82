"""trading-playbook cache: what the cache of bars holds, whether it is whole, fetching it again, clearing it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from trading_playbook.cli.answers import show_json, show_refusal
from trading_playbook.cli.arguments import argument, moment, month, path
from trading_playbook.cli.process import exit_code, show, tell
from trading_playbook.core.errors import PlaybookError, gravest
from trading_playbook.core.parsing import parse_day, parse_symbols

if TYPE_CHECKING:
    from trading_playbook.config import Settings
    from trading_playbook.wiring import Cache

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DESCRIPTION = "Look after the bars that were fetched and kept, at DATA_CACHE_DIR."
VERIFY = """\
Read every file and check it against its checksum and against what it says of itself. Changes nothing, needs no keys
and no network. Exit code 3 where a file is damaged. Files that were put aside before are named and count as no damage.
"""
REFRESH = """\
Ask the feed again for these sessions, the session before them and the daily closes that judging them takes, tell what
changed, and keep the new answer. Only settled sessions; a journal is never touched. It needs what a backtest needs: a
feed of the network (DATA_FEED) and its keys.
"""
PRUNE = """\
Remove files of the cache: those that fit all that is named here, of which there must be something. What is removed is
fetched again when a run needs it. Files that are none of the cache's are never touched.
"""


def add_parser(commands: Subparsers) -> None:
    cache = commands.add_parser("cache", help="look after the cache of bars", **_parser(DESCRIPTION))
    verbs = cache.add_subparsers(title="commands", metavar="COMMAND", required=True)

    shown = _add(verbs, "show", show_cache, "what is there, by symbol", "Tell what the cache holds. Changes nothing.")
    _add_symbols(shown, "only these symbols")
    shown.add_argument("-v", "--verbose", action="store_true", help="a line for every file too")

    verified = _add(verbs, "verify", verify_cache, "read every file; exit code 3 on damage", VERIFY)
    _add_symbols(verified, "only these symbols")

    refreshed = _add(verbs, "refresh", refresh_cache, "fetch sessions again and tell what changed", REFRESH)
    _add_symbols(refreshed, "one or several symbols (default: SYMBOLS)")
    for edge, which in (("--start", "first"), ("--end", "last")):
        refreshed.add_argument(
            edge,
            type=argument(parse_day),
            required=True,
            metavar="YYYY-MM-DD",
            help=f"{which} session date, included",
        )
    refreshed.add_argument(
        "--now", type=moment, metavar="MOMENT", help="rehearse another moment, as 2026-11-27T13:20:00-05:00"
    )

    pruned = _add(verbs, "prune", prune_cache, "remove what is named", PRUNE)
    pruned.add_argument("--damaged", action="store_true", help="files that were put aside as damaged")
    _add_symbols(pruned, "files of these symbols")
    pruned.add_argument(
        "--before",
        type=month,
        metavar="YYYY-MM",
        help="months that lie wholly before this one, or before a date YYYY-MM-DD; daily closes stay",
    )
    pruned.add_argument("--dry-run", action="store_true", help="tell what would go, remove nothing")
    pruned.add_argument("-v", "--verbose", action="store_true", help="name every file")


def show_cache(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.cache_text import inventory_json, inventory_text
    from trading_playbook.cli.summary import Style

    symbols = parse_symbols(chosen.symbol)
    inventory = _open(chosen).inventory(symbols)
    if chosen.json:
        show_json(inventory_json(inventory))
    else:
        show(inventory_text(inventory, symbols, Style.of(sys.stdout), whole=chosen.verbose))
    return _told(inventory.errors)


def verify_cache(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.cache_text import damage_of, verification_json, verification_text
    from trading_playbook.cli.summary import Style

    symbols = parse_symbols(chosen.symbol)
    inventory = _open(chosen).inventory(symbols, thorough=True)
    if chosen.json:
        show_json(verification_json(inventory))
    else:
        show(verification_text(inventory, symbols, Style.of(sys.stdout)))
    _told(inventory.errors)
    return exit_code(gravest([*inventory.errors, *map(damage_of, inventory.damaged)]))


def refresh_cache(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.cache_changes import refresh_json, refresh_text
    from trading_playbook.cli.summary import Style
    from trading_playbook.runs import RunRequest
    from trading_playbook.runs.refreshing import refresh
    from trading_playbook.wiring import (
        build_budget,
        build_cache,
        build_clock,
        build_play,
        build_tools,
        journal_in_memory,
    )

    settings = _settings(chosen)
    request = RunRequest(
        symbols=parse_symbols(chosen.symbol) or settings.symbols,
        play=build_play(settings, None, {}, None),
        start=chosen.start,
        end=chosen.end,
    )
    clock = build_clock(chosen.now)
    budget = build_budget(settings, clock)
    tools = build_tools(settings, clock=clock, budget=budget, places=journal_in_memory(), refresh=True)
    build_cache(settings, clock, budget).require_writable(tools.feed.name, request.symbols)
    report = refresh(request, tools)
    if chosen.json:
        show_json(refresh_json(report, chosen.start, chosen.end))
    else:
        show(refresh_text(report, chosen.start, chosen.end, Style.of(sys.stdout)))
    return _told(report.errors)


def prune_cache(chosen: argparse.Namespace) -> int:
    symbols = parse_symbols(chosen.symbol)
    if not (chosen.damaged or symbols or chosen.before):
        chosen.parser.error("name what is to go: --damaged, --symbol, --before")
    from trading_playbook.cli.cache_changes import pruning_json, pruning_text
    from trading_playbook.cli.summary import Style

    cache = _open(chosen)
    files = cache.chosen(aside=chosen.damaged, symbols=symbols, before=chosen.before)
    removals = None if chosen.dry_run else cache.remove(files)
    if chosen.json:
        show_json(pruning_json(cache.place, files, removals))
    else:
        show(pruning_text(cache.place, files, removals, Style.of(sys.stdout), whole=chosen.verbose))
    failed = [file.error for file in files] if removals is None else [removal.error for removal in removals]
    return _told([error for error in failed if error is not None])


def _add(
    verbs: Subparsers, name: str, command: Callable[[argparse.Namespace], int], what: str, description: str
) -> argparse.ArgumentParser:
    """A command of the cache with the options that all of them have."""

    def guarded(chosen: argparse.Namespace) -> int:
        try:
            return command(chosen)
        except PlaybookError as error:
            if chosen.json:
                show_refusal(error)
            raise

    parser = verbs.add_parser(name, help=what, **_parser(description))
    parser.add_argument(
        "--cache-dir", type=path, metavar="PLACE", help="a folder or gs://BUCKET/FOLDER (default: DATA_CACHE_DIR)"
    )
    parser.add_argument("--json", action="store_true", help="the answer as JSON on stdout, and nothing else")
    parser.set_defaults(command=guarded, parser=parser)
    return parser


def _add_symbols(parser: argparse.ArgumentParser, told: str) -> None:
    parser.add_argument("--symbol", action="append", default=[], metavar="QQQ[,SPY]", help=told)


def _parser(description: str) -> dict[str, Any]:
    return {"description": description, "allow_abbrev": False}


def _settings(chosen: argparse.Namespace) -> Settings:
    from trading_playbook.cli.settings import open_settings
    from trading_playbook.config import unknown_settings, with_cache_at

    for warning in unknown_settings():
        tell(f"warning: {warning}")
    settings = open_settings()
    return with_cache_at(settings, chosen.cache_dir) if chosen.cache_dir else settings


def _open(chosen: argparse.Namespace) -> Cache:
    from trading_playbook.wiring import build_budget, build_cache, build_clock

    settings, clock = _settings(chosen), build_clock()
    return build_cache(settings, clock, build_budget(settings, clock))


def _told(errors: Sequence[Exception]) -> int:
    """Tell of errors on stderr and give the exit code of the gravest."""
    for error in errors[:10]:
        tell(f"error: {error.message}" if isinstance(error, PlaybookError) else "error: a bug of ours")
    if len(errors) > 10:
        tell(f"... and {len(errors) - 10} more")
    return exit_code(gravest(errors))
