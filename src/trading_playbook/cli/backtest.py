"""trading-playbook backtest: judge sessions and journal them, once for a range or nightly for what is missing."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_playbook.cli.answers import show_json, show_refusal
from trading_playbook.cli.arguments import argument, moment, path
from trading_playbook.cli.process import BUG, LATER, exit_code, guarded, show, tell
from trading_playbook.cli.settings import add_cloud, add_log_level, open_settings
from trading_playbook.core.errors import PlaybookError, RetryLater
from trading_playbook.core.parsing import parse_accepted, parse_choices, parse_day, parse_symbols

if TYPE_CHECKING:
    from trading_playbook.config import Settings
    from trading_playbook.runs import RunReport, RunRequest

DESCRIPTION = """\
Judge each session of the symbols and write one journal row for it: a trade, or the reason why there was none.
A second run of the same sessions changes nothing. Give a range (--start and --end) or --today.
"""
EXIT_CODES = """\
exit codes: 0 done, or done before; 1 a bug of ours; 2 mend the call or a setting; 3 the bars are wrong or absent;
4 come back later; 5 a stored row differs, look and then --revise; 130 stopped.
Settings come from the environment and from .env; see .env.template. Flags stand above them.
"""
PARSER: dict[str, Any] = {
    "description": DESCRIPTION,
    "epilog": EXIT_CODES,
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "allow_abbrev": False,
}
"""How the command's parser is made, be it one of several commands or a module of its own."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _add_arguments(commands.add_parser("backtest", help="judge sessions and journal them", **PARSER))


def main(arguments: Sequence[str] | None = None) -> int:
    """The same command as a module: python -m trading_playbook.cli.backtest."""
    parser = argparse.ArgumentParser(prog="python -m trading_playbook.cli.backtest", **PARSER)
    _add_arguments(parser)
    return guarded(lambda: backtest(parser.parse_args(arguments)))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_argument_group("which sessions")
    which.add_argument(
        "--symbol", action="append", default=[], metavar="QQQ[,SPY]", help="one or several symbols (default: SYMBOLS)"
    )
    which.add_argument("--start", type=argument(parse_day), metavar="YYYY-MM-DD", help="first session date, included")
    which.add_argument("--end", type=argument(parse_day), metavar="YYYY-MM-DD", help="last session date, included")
    which.add_argument(
        "--today", action="store_true", help="the nightly run: the last settled session, and nights that were missed"
    )
    bars = parser.add_argument_group("where bars come from")
    bars.add_argument(
        "--feed",
        choices=("alpaca", "files", "simulated"),
        help="alpaca, through the cache at DATA_CACHE_DIR; files; or simulated bars (default: DATA_FEED)",
    )
    bars.add_argument(
        "--data-dir",
        type=path,
        metavar="DIR",
        help="for files: DIR/{1Min,2Min,1Day}/SYMBOL.parquet or .csv, or one such file (default: DATA_DIR)",
    )
    bars.add_argument(
        "--accept",
        type=argument(parse_accepted),
        action="append",
        default=[],
        metavar="SYMBOL:DATE",
        help="judge this session though its bars end early or are absent; may be repeated",
    )
    bars.add_argument(
        "--force-refresh",
        action="store_true",
        help="fetch again what the cache holds, tell of each bar that changed; stored rows stay unless revised",
    )
    play = parser.add_argument_group("the play")
    play.add_argument("--strategy", metavar="NAME", help="the strategy (default: STRATEGY)")
    play.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a strategy's parameter; may be repeated"
    )
    play.add_argument("--cost", metavar="MODEL", help="none, bps:NUMBER or per_share:DOLLARS (default: COST)")
    journal = parser.add_argument_group("the journal")
    journal.add_argument(
        "--output",
        type=path,
        metavar="FILE",
        help="the CSV journal, or a folder to keep trades.csv in (default: OUTPUT_LOCATION, or OUTPUT_DIR/trades.csv); "
        "with WRITER_TYPE=gcs a place in a bucket, as gs://BUCKET/FOLDER/",
    )
    add_cloud(journal)
    journal.add_argument(
        "--revise", action="store_true", help="replace stored rows that differ; the old ones go to the history"
    )
    journal.add_argument("--dry-run", action="store_true", help="judge and compare, write nothing")
    telling = parser.add_argument_group("what it tells")
    telling.add_argument("--json", action="store_true", help="the whole report as JSON on stdout, and nothing else")
    telling.add_argument("-v", "--verbose", action="store_true", help="show every trade, session and warning")
    add_log_level(telling)
    telling.add_argument(
        "--now", type=moment, metavar="MOMENT", help="rehearse another moment, as 2026-11-27T13:20:00-05:00"
    )
    parser.set_defaults(command=backtest, parser=parser)


def backtest(chosen: argparse.Namespace) -> int:
    _require_range_or_today(chosen)
    # Imported here, since --help and a mistyped flag need none of it.
    from trading_playbook.config import unknown_settings

    warnings: Sequence[str] = ()
    try:
        warnings = unknown_settings()
        report = _run(chosen)
    except PlaybookError as error:
        for warning in warnings:
            tell(f"warning: {warning}")
        if chosen.json:
            show_refusal(error)
        raise
    code = exit_code(report.error)
    try:
        _show(report, chosen, warnings)
    except RetryLater as error:
        # What the run came to is graver than that nobody can read of it.
        tell(f"error: {error.message}")
        return code or LATER
    return code


def _run(chosen: argparse.Namespace) -> RunReport:
    from trading_playbook.cli.progress import progress_line
    from trading_playbook.observability import log_bug, log_facts
    from trading_playbook.runs import run
    from trading_playbook.wiring import build_budget, build_clock, build_places, build_tools

    settings = open_settings(cloud=chosen.cloud, log_level=chosen.log_level, output=chosen.output)
    request = _request(chosen, settings)
    clock = build_clock(chosen.now)
    budget = build_budget(settings, clock)
    tools = build_tools(
        settings,
        clock=clock,
        budget=budget,
        places=build_places(settings, clock, budget, chosen.output),
        feed=chosen.feed,
        data_dir=Path(chosen.data_dir) if chosen.data_dir else None,
        refresh=chosen.force_refresh,
        progress=progress_line(clock) if settings.log_format == "text" else lambda done, total: None,
    )
    report = run(request, tools)
    manifests = ",".join(report.manifests)
    log_facts("run", id=report.run_id, outcome=report.outcome, judged=len(report.rows), manifests=manifests)
    for error in report.errors:
        if exit_code(error) == BUG:
            log_bug(error)
    return report


def _require_range_or_today(chosen: argparse.Namespace) -> None:
    if chosen.today and (chosen.start or chosen.end):
        chosen.parser.error("--today names its sessions itself: leave --start and --end out")
    if not chosen.today and not (chosen.start and chosen.end):
        chosen.parser.error("give a range with --start and --end, or --today")


def _request(chosen: argparse.Namespace, settings: Settings) -> RunRequest:
    from trading_playbook.runs import RunRequest
    from trading_playbook.wiring import build_play

    return RunRequest(
        symbols=parse_symbols(chosen.symbol) if chosen.symbol else settings.symbols,
        play=build_play(settings, chosen.strategy, parse_choices(chosen.param), chosen.cost),
        start=chosen.start,
        end=chosen.end,
        accepted=frozenset(chosen.accept),
        revise=chosen.revise,
        dry_run=chosen.dry_run,
        places=_places(chosen),
    )


def _places(chosen: argparse.Namespace) -> str:
    """The options given that name the bars and the journal, as they would stand on a command line."""
    given = {"--feed": chosen.feed, "--data-dir": chosen.data_dir, "--output": chosen.output}
    words = [word for option, value in given.items() if value for word in (option, value)]
    return shlex.join(words + (["--cloud"] if chosen.cloud else []))


def _show(report: RunReport, chosen: argparse.Namespace, warnings: Sequence[str]) -> None:
    from trading_playbook.cli.summary import Style, as_text

    if chosen.json:
        show_json(report.values(warnings))
        return
    show(as_text(report, warnings, Style.of(sys.stdout), whole=chosen.verbose))
    for line in _told_errors(report):
        tell(line)


def _told_errors(report: RunReport) -> list[str]:
    shown = [
        f"error: {error.args[0]}" if exit_code(error) != BUG else "error: a bug of ours" for error in report.errors
    ]
    return shown[:10] + ([f"... and {len(shown) - 10} more, in the manifest"] if len(shown) > 10 else [])


if __name__ == "__main__":
    sys.exit(main())
