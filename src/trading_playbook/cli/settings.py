"""The settings of a command, and the logging that they ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading_playbook.config import Settings

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def add_cloud(parser: argparse._ActionsContainer) -> None:
    """The option --cloud."""
    parser.add_argument(
        "--cloud",
        action="store_true",
        help="cache and journal in the bucket GCS_BUCKET and log lines as JSON, where the settings do not say "
        "otherwise; on Cloud Run this is the default",
    )


def add_log_level(parser: argparse._ActionsContainer) -> None:
    """The option --log-level."""
    parser.add_argument(
        "--log-level",
        type=str.upper,
        choices=LOG_LEVELS,
        help="log lines on stderr from this level (default: LOG_LEVEL)",
    )


def open_settings(*, cloud: bool = False, log_level: str | None = None, output: str | None = None) -> Settings:
    """The settings, with --cloud over their defaults; from then on log lines are as they say.

    output: the journal's place where one was given. Raises FixConfig where a setting is wrong.
    """
    from trading_playbook.config import on_cloud_run
    from trading_playbook.observability import set_up_logging
    from trading_playbook.wiring import build_settings

    # What is wrong with the settings is for the logs too.
    set_up_logging(log_level or "WARNING", "json" if cloud or on_cloud_run() else "text")
    settings = build_settings(cloud=cloud, output=output)
    set_up_logging(log_level or settings.log_level, settings.log_format)
    return settings
