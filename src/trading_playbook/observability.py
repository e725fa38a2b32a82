"""What the program says of itself while it works: a line of facts a run, the traceback of a bug; never a secret.

All that goes to stderr through here, of other libraries too, passes one handler. It puts *** in the place of every
secret that was told to `hide`, and nothing that comes from outside can begin a line of its own.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("trading_playbook")

TRACE: ContextVar[str | None] = ContextVar("trace", default=None)
"""Where it is known, the trace that lines belong to, as Cloud Logging names it: projects/PROJECT/traces/TRACE_ID."""

HIDDEN = "***"
SHORTEST = 4
"""Letters of a secret that is looked for in lines: what is shorter stands in half of all words, and guards nothing."""

_SEVERITIES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# What is as good as a key and was told to nobody: passwords in addresses, tokens, upload sessions of Google's storage.
_BY_FORM = (
    (r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#]*@", r"\1***@"),
    (r"(?i)\b(authorization\W+\w+\s+|bearer\s+(?=\S{16}))[^\s\"',;]+", r"\1***"),
    (r"(?i)\b(upload_id=)[^&\s\"']+", r"\1***"),
    (r"\bya29\.[\w.-]+", HIDDEN),
)

_lock = threading.Lock()
_hidden: set[str] = set()
_pattern: re.Pattern[str] | None = None


_OPEN_DATABASE = re.compile(r"mongodb(?:\+srv)?://[^@?\s]*")
"""A connection string without user, password and options: the address that people are shown of a journal."""


def hide(secret: str) -> None:
    """From now on no line shows this secret, nor the password in it where it is an address, in whatever spelling."""
    global _pattern
    if _OPEN_DATABASE.fullmatch(secret):
        return
    spellings = {spelling for part in (secret, *_passwords(secret)) for spelling in _spellings(part)}
    with _lock:
        if spellings <= _hidden:
            return
        _hidden.update(spellings)
        # The longest first, so that none hides a part of another one and leaves the rest.
        _pattern = re.compile("|".join(map(re.escape, sorted(_hidden, key=len, reverse=True))))


def without_secrets(text: str) -> str:
    """A text with *** in the place of each secret. Ask for it before a text is cut: half a secret is not found."""
    if _pattern is not None:
        text = _pattern.sub(HIDDEN, text)
    for form, instead in _BY_FORM:
        text = re.sub(form, instead, text)  # compiled at the first line, and kept
    return text


def set_up_logging(level: str, form: str = "text") -> None:
    """Send log lines of at least this level to stderr, as text with UTC times or as JSON for Cloud Logging.

    Other libraries are heard from WARNING, and whole where the level is DEBUG; but for Google's, whose DEBUG lines hold
    headers and answers.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(handler)
    root.addHandler(_Stderr(_JsonLine() if form == "json" else _TextLine()))
    root.setLevel(level if level == "DEBUG" else "WARNING")
    LOGGER.setLevel(level)
    google = logging.getLogger("google")
    google.setLevel("INFO" if level == "DEBUG" else "WARNING")
    google.propagate = True  # its library switches that off, and its warnings would go to stderr as they are
    logging.captureWarnings(True)


def log_facts(event: str, **facts: object) -> None:
    """One INFO line: the event, then name=value pairs. What came from outside cannot forge a second line."""
    LOGGER.info(event, extra={"facts": facts})


def log_bug(error: BaseException) -> None:
    """The traceback of an error that is no fault of the reader's."""
    _heard()
    LOGGER.error("a bug of trading-playbook: %s", type(error).__name__, exc_info=error)


def say(text: str) -> None:
    """A line to the person at the terminal; a log line where these are JSON, since something reads them then."""
    handler = next((each for each in logging.getLogger().handlers if isinstance(each, _Stderr)), None)
    if handler is None or not isinstance(handler.formatter, _JsonLine):
        _write(without_secrets(text))
        return
    kind, colon, rest = text.partition(": ")
    level = {"error": logging.ERROR, "warning": logging.WARNING}.get(kind if colon else "", logging.INFO)
    record = LOGGER.makeRecord(LOGGER.name, level, "", 0, rest if level > logging.INFO else text, (), None)
    handler.handle(record)


def _heard() -> None:
    """Make sure that a line goes where secrets are taken out of it, even where nobody set up the logging."""
    if not any(isinstance(handler, _Stderr) for handler in logging.getLogger().handlers):
        set_up_logging("WARNING")


class _Stderr(logging.Handler):
    """Writes to what is stderr at the time, whatever may have become of it."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        # The standard handling of an error in here would show the message and its arguments as they are.
        try:
            line = self.format(record)
        except Exception as error:
            line = f"{type(error).__name__} while a line of {record.name} was written"
        _write(line)


class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message, stack = _told(record)
        own = record.name.partition(".")[0] == LOGGER.name
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = f"{moment} {record.levelname} {'' if own else f'{record.name}: '}{_one_line(message)}"
        # Lines of a traceback are indented, since a message in it may be made to look like a line of ours.
        return "\n".join([line, *(f"    {_one_line(each)}" for each in stack.splitlines())])


class _JsonLine(logging.Formatter):
    """One object a line, with Cloud Logging's names.

    https://cloud.google.com/logging/docs/structured-logging
    """

    def format(self, record: logging.LogRecord) -> str:
        message, stack = _told(record)
        line: dict[str, Any] = {
            **{str(name): _plain(value) for name, value in _facts(record).items()},
            "severity": _SEVERITIES[min(max(record.levelno // 10, 1), 5) - 1],
            "message": message,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "logger": record.name,
        }
        if record.__dict__.get("facts") is not None:
            line["event"] = without_secrets(record.getMessage())
        if stack:
            line["stack_trace"] = stack
        if trace := TRACE.get():
            line["logging.googleapis.com/trace"] = without_secrets(trace)
        return json.dumps(line, allow_nan=False)


def _told(record: logging.LogRecord) -> tuple[str, str]:
    """What a record says, its facts too, and its traceback, without secrets."""
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the message
        message = f"{record.msg} {record.args}"
    facts = [f"{name}={_quoted(str(value))}" for name, value in _facts(record).items()]
    stack = [logging.Formatter().formatException(record.exc_info)] if record.exc_info else []
    stack += [record.exc_text] if record.exc_text and not record.exc_info else []
    stack += [record.stack_info] if record.stack_info else []
    return without_secrets(" ".join([message, *facts])), without_secrets("\n".join(stack))


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    found = record.__dict__.get("facts")
    return found if isinstance(found, Mapping) else {}


def _plain(value: object) -> object:
    """A fact as JSON has it, texts without secrets."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {without_secrets(str(name)): _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return without_secrets(str(value))


def _quoted(text: str) -> str:
    return text if text.isprintable() and " " not in text else repr(text)


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(_escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def _write(line: str) -> None:
    if sys.stderr is None:
        return
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # there is nobody to tell it to
        return


def _passwords(secret: str) -> Iterable[str]:
    """The password in an address, as it stands there and as it is meant."""
    from urllib.parse import unquote, unquote_plus

    found = re.match(r"[A-Za-z][\w+.-]*://[^/?#:@]*:([^/?#]*)@", secret)
    return {found[1], unquote(found[1]), unquote_plus(found[1])} if found else ()


def _spellings(secret: str) -> Iterable[str]:
    """A secret as it stands, and as addresses, JSON, Python and base64 have it."""
    if len(secret) < SHORTEST:
        return
    from urllib.parse import quote, quote_plus

    yield secret
    for safe in ("", "/", "/:@"):
        escaped = quote(secret, safe)
        yield escaped
        yield re.sub(r"%..", lambda code: code[0].lower(), escaped)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield from _in_base64(secret.encode())


def _in_base64(content: bytes) -> Iterable[str]:
    """The letters that a secret leaves in base64, wherever in the encoded bytes it begins; they name no neighbour."""
    from base64 import b64encode

    for before in range(3):
        letters = b64encode(bytes(before) + content).decode()
        own = letters[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        if len(own) >= 2 * SHORTEST:
            yield own
            yield own.replace("+", "-").replace("/", "_")
