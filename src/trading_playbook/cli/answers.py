"""How commands answer a program: JSON on stdout and nothing else, also where the call is refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from trading_playbook.cli.process import show
from trading_playbook.core.errors import PlaybookError, RetryLater


def show_json(value: object) -> None:
    """A value on stdout; NaN and infinity, which JSON has not, are a bug."""
    import json

    show(json.dumps(value, indent=2, allow_nan=False))


def refusal(error: PlaybookError) -> dict[str, object]:
    """What a program gets that asked for JSON and whose call was refused."""
    from trading_playbook.runs.report import error_facts, outcome_of

    return {"outcome": outcome_of(error), "errors": [error_facts(error)]}


def show_refusal(error: PlaybookError) -> None:
    """The refusal on stdout; where that cannot be written, the exit code must do."""
    with suppress(RetryLater, BrokenPipeError):
        show_json(refusal(error))


def answering(work: Callable[[], int], *, as_json: bool) -> int:
    """Do a command's work; a refusal is told in JSON too where that was asked for."""
    try:
        return work()
    except PlaybookError as error:
        if as_json:
            show_refusal(error)
        raise
