"""What the program says of itself while it works: a line of facts a run, and the traceback of a bug."""

from __future__ import annotations

import logging
import sys
import time

LOGGER = logging.getLogger("trading_playbook")


def set_up_logging(level: str) -> None:
    """Send log lines of at least this level to stderr, as text with UTC times."""
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False


def log_facts(event: str, **facts: object) -> None:
    """One INFO line: the event, then name=value pairs. What came from outside cannot forge a second line."""
    LOGGER.info("%s", " ".join([event, *(f"{name}={_one_line(value)}" for name, value in facts.items())]))


def log_bug(error: BaseException) -> None:
    """The traceback of an error that is no fault of the reader's."""
    LOGGER.error("a bug of trading-playbook: %s", type(error).__name__, exc_info=error)


def _one_line(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
