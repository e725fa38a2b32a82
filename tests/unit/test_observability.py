"""Log lines: their two forms, that nothing from outside forges one, and that no secret gets through by any channel."""

from __future__ import annotations

import base64
import errno
import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from trading_playbook import observability
from trading_playbook.observability import LOGGER, TRACE, hide, log_bug, log_facts, say, set_up_logging, without_secrets

KEY = "PKCANARY0123456789AB"
ODD = "s3cr&t/ with+ü%\"quotes' and\\slashes@home"
CONNECTION = "mongodb+srv://trader:p%40ss%2Fw0rd-canary@cluster0.example.net/?retryWrites=true"
FORGED = "x\n2026-01-01T00:00:00Z ERROR forged\r\x1b[31m\u2028"


@pytest.fixture(autouse=True)
def as_at_the_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins without secrets, and leaves the loggers of the machine as they were."""
    monkeypatch.setattr(observability, "_hidden", set())
    monkeypatch.setattr(observability, "_pattern", None)
    levels = {name: logging.getLogger(name).level for name in ("", "trading_playbook", "google")}
    yield
    logging.captureWarnings(False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    forget_our_handler()


def forget_our_handler() -> None:
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if not isinstance(each, observability._Stderr)]


Heard = Callable[[], list[str]]


@pytest.fixture
def heard(capsys: pytest.CaptureFixture[str]) -> Heard:
    """The lines on stderr since the last look."""
    return lambda: capsys.readouterr().err.splitlines()


def only(lines: list[str]) -> dict[str, Any]:
    """The one line that there is, as JSON without the constants that JSON does not have."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert len(lines) == 1, lines
    found = json.loads(lines[0], parse_constant=refuse)
    assert isinstance(found, dict)
    return found


class TestText:
    def test_a_line_of_facts_is_a_time_a_level_and_pairs(self, heard: Heard) -> None:
        set_up_logging("INFO")
        log_facts("run", id="ab12", judged=3, place="my folder/trades.csv")
        (line,) = heard()
        moment, rest = line.split(" ", 1)
        assert datetime.fromisoformat(moment).tzinfo is not None
        assert rest == "INFO run id=ab12 judged=3 place='my folder/trades.csv'"

    def test_another_library_is_named(self, heard: Heard) -> None:
        set_up_logging("INFO")
        logging.getLogger("urllib3.connectionpool").warning("Retrying %s", "soon")
        assert heard()[0].endswith("WARNING urllib3.connectionpool: Retrying soon")

    def test_what_came_from_outside_makes_no_line_of_its_own(self, heard: Heard) -> None:
        set_up_logging("INFO")
        log_facts("run", symbol=FORGED)
        LOGGER.warning("got %s", FORGED)
        logging.getLogger("other").warning(FORGED)
        lines = heard()
        assert len(lines) == 3
        assert all(line.isprintable() for line in lines)

    def test_in_a_traceback_neither(self, heard: Heard) -> None:
        set_up_logging("INFO")
        log_bug(raised(ValueError(FORGED)))
        first, *others = heard()
        assert first.endswith("a bug of trading-playbook: ValueError")
        assert all(line.startswith("    ") and line.isprintable() for line in others)

    def test_who_sets_it_up_twice_hears_a_line_once(self, heard: Heard) -> None:
        set_up_logging("INFO")
        set_up_logging("INFO")
        log_facts("run")
        assert len(heard()) == 1


class TestJson:
    @pytest.fixture(autouse=True)
    def json_lines(self) -> None:
        set_up_logging("DEBUG", "json")

    def test_a_line_of_facts_has_them_as_fields_under_the_names_of_cloud_logging(self, heard: Heard) -> None:
        log_facts("run", id="ab12", judged=3, seconds=1.5, rate=float("nan"), dry=True, none=None, places=("a", "b"))
        line = only(heard())
        assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
        message = "run id=ab12 judged=3 seconds=1.5 rate=nan dry=True none=None places=\"('a', 'b')\""
        assert line == {
            "severity": "INFO",
            "message": message,
            "event": "run",
            "logger": "trading_playbook",
            "id": "ab12",
            "judged": 3,
            "seconds": 1.5,
            "rate": "nan",
            "dry": True,
            "none": None,
            "places": ["a", "b"],
        }

    @pytest.mark.parametrize(
        ("level", "severity"),
        [(10, "DEBUG"), (20, "INFO"), (25, "INFO"), (30, "WARNING"), (40, "ERROR"), (50, "CRITICAL"), (90, "CRITICAL")],
    )
    def test_severities_are_those_of_cloud_logging(self, heard: Heard, level: int, severity: str) -> None:
        logging.getLogger("other").log(level, "said")
        assert only(heard())["severity"] == severity

    def test_a_trace_is_told_where_it_is_known(self, heard: Heard) -> None:
        token = TRACE.set("projects/playbook/traces/06796866738c859f2f19b7cfb3214824")
        log_facts("run")
        TRACE.reset(token)
        assert only(heard())["logging.googleapis.com/trace"].endswith("b7cfb3214824")
        log_facts("run")
        assert "logging.googleapis.com/trace" not in only(heard())

    def test_a_fact_takes_the_place_of_no_field(self, heard: Heard) -> None:
        log_facts("run", severity="INFO2", message="no", time="never")
        line = only(heard())
        assert (line["severity"], line["message"]) == ("INFO", "run severity=INFO2 message=no time=never")
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None

    @pytest.mark.parametrize(
        "tell",
        [
            lambda text: log_facts("run", symbol=text),
            lambda text: LOGGER.warning("got %s", text),
            lambda text: logging.getLogger("other").warning(text),
            lambda text: say(f"error: {text}"),
            lambda text: log_bug(raised(ValueError(text))),
        ],
    )
    def test_what_came_from_outside_makes_no_line_of_its_own(self, heard: Heard, tell: Callable[[str], object]) -> None:
        tell(FORGED)
        (line,) = heard()
        assert line.isprintable()
        told = json.loads(line)
        assert "forged" in told["message"] + told.get("stack_trace", "")

    def test_a_bug_has_its_traceback_where_error_reporting_looks_for_it(self, heard: Heard) -> None:
        log_bug(raised(ValueError("no")))
        line = only(heard())
        assert line["severity"] == "ERROR"
        assert line["stack_trace"].startswith("Traceback (most recent call last):")
        assert line["stack_trace"].endswith("ValueError: no")

    @pytest.mark.parametrize(
        ("text", "severity", "message"),
        [
            ("error: no bars", "ERROR", "no bars"),
            ("warning: SYMBOL is no setting", "WARNING", "SYMBOL is no setting"),
            ("stopped: nothing was written half", "INFO", "stopped: nothing was written half"),
        ],
    )
    def test_what_is_told_to_a_person_is_a_line_too(self, heard: Heard, text: str, severity: str, message: str) -> None:
        say(text)
        line = only(heard())
        assert (line["severity"], line["message"]) == (severity, message)

    def test_warnings_of_python_are_lines_too(self, heard: Heard) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(False)
            set_up_logging("INFO", "json")
            warnings.warn("end user credentials", UserWarning, stacklevel=1)
        assert only(heard())["severity"] == "WARNING"


class TestLevels:
    def test_other_libraries_are_heard_from_warning(self, heard: Heard) -> None:
        set_up_logging("INFO")
        for name in ("urllib3.connectionpool", "pymongo.command", "google.auth.transport.requests"):
            logging.getLogger(name).info("chatter")
        assert heard() == []

    def test_and_whole_where_all_is_wanted_but_for_googles_which_log_answers(self, heard: Heard) -> None:
        set_up_logging("DEBUG")
        for name in ("urllib3.connectionpool", "pymongo.command", "google.auth.transport.requests"):
            logging.getLogger(name).debug("chatter")
        assert [line.split()[2] for line in heard()] == ["urllib3.connectionpool:", "pymongo.command:"]

    def test_googles_warnings_come_as_ours_do_whatever_its_library_sets_up(self, heard: Heard) -> None:
        from google.api_core import client_logging

        set_up_logging("INFO", "json")
        client_logging.setup_logging()
        logging.getLogger("google.auth._default").warning("no project")
        assert only(heard())["logger"] == "google.auth._default"


def raised(error: Exception) -> Exception:
    """The error with a traceback."""
    try:
        raise error
    except Exception as caught:
        return caught


def chained(secret: str) -> Exception:
    try:
        try:
            raise KeyError(secret)
        except KeyError as cause:
            raise RuntimeError("outer") from cause
    except RuntimeError as error:
        return error


CHANNELS: dict[str, Callable[[str], object]] = {
    "a fact": lambda secret: log_facts("run", key=secret),
    "a fact in a list": lambda secret: log_facts("run", keys=[secret, {"key": secret}]),
    "the event": lambda secret: log_facts(secret),
    "a message": lambda secret: LOGGER.warning(f"key {secret}"),
    "an argument": lambda secret: LOGGER.warning("key %s", secret),
    "an argument's repr": lambda secret: LOGGER.warning("key %r", secret),
    "arguments by name": lambda secret: LOGGER.warning("%(key)s", {"key": secret}),
    "arguments that do not fit": lambda secret: LOGGER.warning("%d keys", secret),
    "an argument that cannot be shown": lambda secret: LOGGER.warning("%s", Unshown(secret)),
    "a bug": lambda secret: log_bug(raised(ValueError(f"bad key {secret}"))),
    "a bug's cause": lambda secret: log_bug(chained(secret)),
    "the stack": lambda secret: LOGGER.warning("here", stack_info=bool(secret)),
    "another library": lambda secret: logging.getLogger("urllib3").debug("%s", secret),
    "another library's traceback": lambda secret: logging.getLogger("x").error(
        "e", exc_info=raised(ValueError(secret))
    ),
    "a warning": lambda secret: logging.getLogger("py.warnings").warning("%s", secret),
    "an address": lambda secret: LOGGER.warning("GET /?key=%s", quote(secret, "")),
    "an address in small letters": lambda secret: LOGGER.warning("GET /?key=%s", small(quote(secret, ""))),
    "a form": lambda secret: LOGGER.warning("key=%s", quote_plus(secret)),
    "JSON": lambda secret: LOGGER.warning("%s", json.dumps({"key": secret})),
    "a header": lambda secret: LOGGER.warning("%s", {"Authorization": f"Bearer {secret}"}),
    "base64": lambda secret: LOGGER.warning("%s", base64.b64encode(secret.encode()).decode()),
    "base64 with a name before it": lambda secret: LOGGER.warning("%s", base64.b64encode(b"me:" + secret.encode())),
    "base64 for addresses": lambda secret: LOGGER.warning(
        "%s", base64.urlsafe_b64encode(b"a:" + secret.encode() + b":b").decode()
    ),
    "a line to a person": lambda secret: say(f"error: {secret}"),
    "the name of a logger": lambda secret: logging.getLogger("x").warning("%s", secret),
}


def small(escaped: str) -> str:
    """An address with the digits of its escapes in small letters, as some write them."""
    return re.sub("%..", lambda code: code[0].lower(), escaped)


class Unshown:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __str__(self) -> str:
        raise RuntimeError(self.secret)

    __repr__ = __str__


def leaks(secret: str, text: str) -> list[str]:
    """The spellings of a secret that stand in a text, looked for by other means than ours."""
    core = {before: base64.b64encode(bytes(before) + secret.encode()).decode()[4:-4] for before in range(3)}
    spellings = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret), small(quote(secret, "")),
                 quote_plus(secret), json.dumps(json.dumps(secret)[1:-1])[1:-1], *core.values()}  # fmt: skip
    return [spelling for spelling in spellings if spelling in text]


class TestSecrets:
    @pytest.mark.parametrize("form", ["text", "json"])
    @pytest.mark.parametrize("secret", [KEY, ODD, CONNECTION], ids=["a key", "an odd password", "a connection"])
    @pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS)
    def test_no_channel_lets_one_through(
        self, heard: Heard, channel: Callable[[str], object], secret: str, form: str
    ) -> None:
        logging.getLogger().handlers[:] = []  # pytest's, which raise what cannot be formatted
        hide(secret)
        set_up_logging("DEBUG", form)
        channel(secret)
        told = "\n".join(heard())
        assert told
        assert leaks(secret, told) == []

    @pytest.mark.parametrize("shown", ["p@ss/w0rd-canary", "p%40ss%2Fw0rd-canary", "p%40ss%2fw0rd-canary"])
    def test_the_password_in_an_address_is_one_by_itself(self, heard: Heard, shown: str) -> None:
        hide(CONNECTION)
        set_up_logging("INFO")
        LOGGER.warning("Authentication failed: trader / %s", shown)
        assert "canary" not in heard()[0]

    def test_the_longest_of_several_is_taken_whole(self) -> None:
        hide("alpaca-canary")
        hide("alpaca-canary-and-more")
        assert without_secrets("key alpaca-canary-and-more, alpaca-canary") == "key ***, ***"

    def test_all_else_is_left_as_it_is(self) -> None:
        hide(KEY)
        text = "QQQ 2025-11-04 gs://bucket/output https://data.alpaca.markets/v2 me@example.org basic information"
        assert without_secrets(text) == text

    @pytest.mark.parametrize("text", ["", "a", "abc"])
    def test_what_is_too_short_for_a_secret_is_not_looked_for(self, text: str) -> None:
        hide(text)
        assert without_secrets("an abc of a") == "an abc of a"

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("mongodb://u:p@ss@host/db", "mongodb://***@host/db"),
            ("PUT /upload?upload_id=ABC-123_x HTTP/1.1", "PUT /upload?upload_id=*** HTTP/1.1"),
            ("{'Authorization': 'Bearer ya29.c.abc-DEF_1'}", "{'Authorization': 'Bearer ***'}"),
            ("token ya29.c.abc-DEF_1 expired", "token *** expired"),
            ("bearer eyJhbGciOiJSUzI1NiJ9.eyJh.c2ln", "bearer ***"),
        ],
    )  # fmt: skip
    def test_what_is_a_key_by_its_form_is_hidden_though_nobody_told(self, text: str, shown: str) -> None:
        assert without_secrets(text) == shown

    def test_a_bug_before_the_logging_is_set_up_is_heard_without_them(self, heard: Heard) -> None:
        hide(KEY)
        forget_our_handler()
        log_bug(raised(ValueError(KEY)))
        told = "\n".join(heard())
        assert "ValueError" in told
        assert KEY not in told


class Failing(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed(), Failing()], ids=["none", "closed", "full"])
def test_a_stderr_that_takes_nothing_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stream: io.StringIO | None
) -> None:
    set_up_logging("INFO")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        log_facts("run")
        say("error: no")
    assert capsys.readouterr().out == ""
