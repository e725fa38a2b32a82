"""The command `trading-playbook`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from trading_playbook.cli import backtest, cache, journal, runs, serve, status
from trading_playbook.cli.process import guarded
from trading_playbook.version import VERSION


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run the command, return its exit code."""
    parser = argparse.ArgumentParser(
        prog="trading-playbook",
        description="One trustworthy journal row for each symbol and session.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"trading-playbook {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (backtest, cache, journal, runs, status, serve):
        command.add_parser(commands)

    def work() -> int:
        chosen = parser.parse_args(arguments)
        code: int = chosen.command(chosen)
        return code

    return guarded(work)
