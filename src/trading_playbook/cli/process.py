"""How a command ends: exit codes, interrupts, closed pipes, streams that cannot write every letter."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from trading_playbook.core.errors import CheckData, PlaybookError, RetryLater, ReviewConflict

BUG = 1
LATER = 4
INTERRUPTED = 130
CLOSED_PIPE = 141

_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (CheckData, 3),
    (RetryLater, LATER),
    (ReviewConflict, 5),
    (PlaybookError, 2),
)


def exit_code(error: Exception | None) -> int:
    """What the process tells its caller: 0 done, 1 our bug, 2 mend the call, 3 the data, 4 later, 5 a conflict."""
    if error is None:
        return 0
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), BUG)


def guarded(work: Callable[[], int]) -> int:
    """Do a command's work, reading its arguments included, and end with an exit code whatever happens in it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter of a path gets an escape for it, not an error.
            stream.reconfigure(errors="backslashreplace")
    code = _code_of(work)
    # Here and not in the interpreter's last breath, where a stream that fails would take the exit code's place.
    failed = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and not _is_flushed(stream)]
    return CLOSED_PIPE if sys.stdout in failed and code == 0 else code


def show(text: str) -> None:
    """The result of a command, on stdout."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RetryLater(f"what the command has to say cannot be written: {error.strerror}") from None


def tell(text: str) -> None:
    """A line to the person at the terminal, on stderr so that stdout holds the result alone; without secrets."""
    from trading_playbook.observability import say

    say(text)


def _code_of(work: Callable[[], int]) -> int:
    try:
        return work()
    except SystemExit as stop:
        # argparse has told its help or what is wrong with the call.
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        tell("stopped: nothing of this run was written half; run it again to complete it")
        return INTERRUPTED
    except BrokenPipeError:
        return CLOSED_PIPE
    except PlaybookError as error:
        tell(f"error: {error.message}")
        return exit_code(error)
    except Exception as error:
        from trading_playbook.observability import log_bug

        log_bug(error)
        return BUG


def _is_flushed(stream: TextIO) -> bool:
    """Whether a stream took all that was written to it; one that cannot is led to where nothing fails."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True
