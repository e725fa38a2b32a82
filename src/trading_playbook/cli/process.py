"""How a command ends: exit codes, interrupts, closed pipes, streams that cannot write every letter."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable

from trading_playbook.core.errors import CheckData, PlaybookError, RetryLater, ReviewConflict

INTERRUPTED = 130
CLOSED_PIPE = 141

_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (CheckData, 3),
    (RetryLater, 4),
    (ReviewConflict, 5),
    (PlaybookError, 2),
)


def exit_code(error: Exception | None) -> int:
    """What the process tells its caller: 0 done, 1 our bug, 2 mend the call, 3 the data, 4 later, 5 a conflict."""
    if error is None:
        return 0
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)


def run_command(command: Callable[[argparse.Namespace], int], chosen: argparse.Namespace) -> int:
    """Run a command to its exit code, whatever happens in it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter of a path gets an escape for it, not an error.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command(chosen)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        tell("stopped: nothing of this run was written half; run it again to complete it")
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return CLOSED_PIPE
    except PlaybookError as error:
        tell(f"error: {error.message}")
        return exit_code(error)
    except Exception as error:
        from trading_playbook.observability import log_bug

        log_bug(error)
        return exit_code(error)


def tell(text: str) -> None:
    """A line to the person at the terminal, on stderr so that stdout holds the result alone."""
    if sys.stderr is not None:
        print(text, file=sys.stderr)


def _silence_stdout() -> None:
    """Nobody reads stdout any more: let the interpreter's last flush go nowhere, without a second error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
