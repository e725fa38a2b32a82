"""What a person and a program see: terminals, pipes, closed streams, letters beyond ASCII, JSON, logs, Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.door import COMMAND, Door, environment_with, keys_of, process, rows_of
from tests.support.market import DAYS, END, START, Market

SIMULATED = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2025-01-02", "--end", "2025-03-31")
REFUSED = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2025-01-04", "--end", "2025-01-05")
LONG = ("--feed", "simulated", "--symbol", ",".join(f"S{letter}" for letter in "ABCDEFGHIJ"),
        "--start", "2020-01-02", "--end", "2025-12-31")  # fmt: skip
ESCAPE = "\x1b"


def shell(script: str, *arguments: object, cwd: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run the command inside a line of bash, where "$@" stands for it."""
    return subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment_with(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def on_a_terminal(*arguments: object, cwd: Path, **environment: str | None) -> tuple[int, str]:
    """The exit code, and all that the terminal was sent."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment_with(**environment),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        sent = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # on Linux the end of a terminal that nobody holds any more
                break
            if not part:
                break
            sent += part
        os.close(ours)
        return running.wait(60), sent.decode()


class TestColour:
    def test_a_terminal_gets_colour(self, tmp_path: Path) -> None:
        code, sent = on_a_terminal(*SIMULATED, "--output", tmp_path / "trades.csv", cwd=tmp_path, TERM="xterm-256color")
        assert (code, ESCAPE in sent) == (0, True)
        assert "sessions judged" in sent

    @pytest.mark.parametrize(
        "environment",
        [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}],
        ids=lambda environment: next(iter(environment)),
    )
    def test_a_terminal_that_wants_none_gets_none(self, tmp_path: Path, environment: dict[str, str]) -> None:
        code, sent = on_a_terminal(*SIMULATED, "--output", tmp_path / "trades.csv", cwd=tmp_path, **environment)
        assert (code, ESCAPE in sent) == (0, False)

    def test_a_pipe_gets_none(self, door: Door) -> None:
        told = door(*SIMULATED)
        assert (told.code, ESCAPE in told.all) == (0, False)

    def test_what_a_terminal_shows_is_what_a_pipe_gets(self, door: Door, tmp_path: Path) -> None:
        path = tmp_path / "trades.csv"
        _, sent = on_a_terminal(*SIMULATED, "--dry-run", "--output", path, cwd=tmp_path, TERM="xterm")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", sent).replace("\r\n", "\n")
        assert plain == door(*SIMULATED, "--dry-run", "--output", path).out


class TestProgress:
    """Shown when work takes over a second; here at once, so that the tests need not wait."""

    TWO = ("--feed", "simulated", "--symbol", "QQQ,SPY", "--start", "2020-01-02", "--end", "2025-12-31", "--dry-run")

    def sent(self, *arguments: str, cwd: Path, **environment: str) -> str:
        """What a terminal gets from a run that shows its progress at once."""
        (cwd / "sitecustomize.py").write_text(
            "from trading_playbook.cli import progress\nprogress.QUIET_SECONDS = 0.0\n", encoding="ascii"
        )
        path = os.pathsep.join(filter(None, [str(cwd), os.environ.get("PYTHONPATH")]))
        code, sent = on_a_terminal(*arguments, cwd=cwd, PYTHONPATH=path, **environment)
        assert code == 0
        return sent

    def test_long_work_shows_how_far_it_is_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        before, _, summary = self.sent(*self.TWO, cwd=tmp_path, TERM="xterm").rpartition("\r\x1b[K")
        assert re.fullmatch(r"(\r\x1b\[K[\d,]+ of 3,016 sessions)+", before)
        assert "sessions judged" in summary
        assert "3,016 sessions\r" not in summary

    def test_work_of_less_than_a_second_shows_none(self, tmp_path: Path) -> None:
        _, sent = on_a_terminal(*SIMULATED, "--dry-run", cwd=tmp_path, TERM="xterm")
        assert "\x1b[K" not in sent

    def test_long_work_on_one_symbol_shows_how_far_it_is(self, tmp_path: Path) -> None:
        call = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2000-01-03", "--end", "2025-12-31", "--dry-run")
        assert re.search(r"\r\x1b\[K[\d,]+ of 6,5\d\d sessions", self.sent(*call, cwd=tmp_path, TERM="xterm"))

    def test_a_dumb_terminal_is_sent_no_escapes(self, tmp_path: Path) -> None:
        assert ESCAPE not in self.sent(*self.TWO, cwd=tmp_path, TERM="dumb")


class TestPipes:
    @pytest.mark.parametrize("unbuffered", [None, "1"])
    @pytest.mark.parametrize("reader", ["head -1", "true"])
    @pytest.mark.parametrize("more", [("-v", "--log-level", "debug"), ("--json",)], ids=" ".join)
    def test_a_reader_that_leaves_ends_it_without_a_word_and_the_journal_is_whole(
        self, tmp_path: Path, unbuffered: str | None, reader: str, more: tuple[str, ...]
    ) -> None:
        script = f'{{ "$@"; echo $? > code; }} | {reader}'
        done = shell(script, *SIMULATED, *more, "--output", "trades.csv", cwd=tmp_path, PYTHONUNBUFFERED=unbuffered)
        assert (tmp_path / "code").read_text(encoding="ascii").strip() in ("0", "141")
        for unwanted in ("Traceback", "Exception ignored", "BrokenPipe"):
            assert unwanted not in done.stderr
        assert len(rows_of(tmp_path / "trades.csv")) == 60

    def test_a_reader_of_the_help_that_leaves_does_no_harm(self, tmp_path: Path) -> None:
        done = shell('{ sleep 0.2; "$@"; echo $? > code; } | true', "--help", cwd=tmp_path, PYTHONUNBUFFERED=None)
        assert done.stderr == ""
        assert (tmp_path / "code").read_text(encoding="ascii").strip() in ("0", "141")

    @pytest.mark.parametrize(
        ("more", "unbuffered"), [(REFUSED, None), (REFUSED, "1"), (("--bogus",), None)], ids=["told", "raw", "usage"]
    )
    def test_nobody_who_hears_an_error_does_not_change_its_code(
        self, tmp_path: Path, more: tuple[str, ...], unbuffered: str | None
    ) -> None:
        script = '{ sleep 0.2; "$@"; echo $? > code; } 2>&1 >/dev/null | true'
        shell(script, *more, cwd=tmp_path, PYTHONUNBUFFERED=unbuffered)
        assert (tmp_path / "code").read_text(encoding="ascii").strip() in ("2", "141")

    @pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
    @pytest.mark.parametrize("more", [("--json",), ("-v", "--log-level", "debug")], ids=" ".join)
    def test_closed_streams_do_no_harm(self, door: Door, tmp_path: Path, closed: str, more: tuple[str, ...]) -> None:
        plain, path = tmp_path / "plain.csv", tmp_path / "trades.csv"
        assert door(*SIMULATED, "--output", plain).code == 0
        done = shell(f'exec "$@" {closed}', *SIMULATED, *more, "--output", path, cwd=tmp_path)
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert path.read_bytes() == plain.read_bytes()

    @pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
    def test_closed_streams_change_no_exit_code(self, tmp_path: Path, closed: str) -> None:
        assert shell(f'exec "$@" {closed}', *REFUSED, cwd=tmp_path).returncode == 2
        assert shell(f'exec "$@" {closed}', "--bogus", cwd=tmp_path).returncode == 2

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
    def test_a_full_disk_under_stdout_is_no_bug_of_ours(self, tmp_path: Path) -> None:
        done = shell('exec "$@" > /dev/full', *SIMULATED, "--output", "trades.csv", cwd=tmp_path)
        assert len(rows_of(tmp_path / "trades.csv")) == 60
        assert "a bug of" not in done.stderr
        assert done.returncode in (0, 4)


class TestLetters:
    @pytest.mark.parametrize(
        "environment",
        [
            {"PYTHONIOENCODING": "ascii"},
            {"PYTHONIOENCODING": "latin-1"},
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            {"LC_ALL": "POSIX"},
        ],
        ids=lambda environment: " ".join(f"{name}={value}" for name, value in environment.items()),
    )
    def test_a_stream_that_cannot_write_a_letter_gets_an_escape_for_it(
        self, tmp_path: Path, environment: dict[str, str]
    ) -> None:
        folder = tmp_path / "Börse ☃ 取引"
        told = process(*SIMULATED, "--output", folder / "trades.csv", cwd=tmp_path, **environment)
        assert (told.code, told.err) == (0, "")
        assert len(rows_of(folder / "trades.csv")) == 60

    def test_an_error_about_such_a_path_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "☃").write_text("a file", encoding="ascii")
        told = process(*SIMULATED, "--output", "☃/trades.csv", cwd=tmp_path, PYTHONIOENCODING="ascii")
        assert (told.code, "\\u2603/trades.csv" in told.err) == (2, True)

    def test_a_path_that_is_no_unicode_at_all_holds_a_journal(self, tmp_path: Path) -> None:
        name = os.fsdecode(b"out \xff\xe9.csv")
        for more in (("--json",), ("--log-level", "debug")):
            told = process(*SIMULATED, *more, "--output", tmp_path / name, cwd=tmp_path)
            assert (told.code, "Traceback" in told.err) == (0, False)
        assert len(rows_of(tmp_path / name)) == 60


class TestWhatIsTold:
    def test_json_is_alone_on_stdout_and_whole(self, door: Door, market: Market, journal: Path) -> None:
        market.set(DAYS[-1], "10:00", low=0.0).repeat(DAYS[0], "10:00")
        call = (*market.call, "--symbol", "QQQ,ZZZ", "--start", START, "--end", END, "--output", journal)
        told = door(*call, "--json", "-v", "--log-level", "debug")
        assert told.code == 2
        found = told.json
        assert found["outcome"] == "usage"
        assert found["request"]["symbols"] == ["QQQ", "ZZZ"]
        assert [row["trade_date"] for row in found["rows"]] == list(DAYS[:-1])
        assert {error["type"] for error in found["errors"]} == {"FixRequest", "CheckData"}
        assert found["warnings"] == ["QQQ: 1 exact repeats of bars dropped"]
        assert Path(found["manifest"]).is_file()
        kept = json.loads(Path(found["manifest"]).read_text(encoding="ascii"))
        assert {name: found[name] for name in kept} == kept

    def test_json_rows_hold_the_values_of_the_journal(self, door: Door, market: Market, journal: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        told = door(*call, "--json", "--cost", "bps:1.5")
        for row, stored in zip(told.json["rows"], rows_of(journal), strict=True):
            assert set(row) == {name for name, cell in stored.items() if cell}
            for name, value in row.items():
                if isinstance(value, bool):
                    assert stored[name] == str(value).upper()
                elif isinstance(value, str):
                    assert stored[name] == value
                else:
                    assert float(stored[name]) == value
            assert isinstance(row.get("shares", 20), int)

    @pytest.mark.parametrize("more", [(), ("--symbol", "!!")], ids=["a closed range", "no symbol"])
    def test_a_refusal_is_json_too(self, door: Door, more: tuple[str, ...]) -> None:
        assert door(*REFUSED, *more, "--json").json["outcome"] == "usage"

    def test_a_summary_names_what_a_person_wants_to_know(self, door: Door, market: Market, journal: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        told = door(*call)
        rows = rows_of(journal)
        trades = [row for row in rows if row["entered?"] == "TRUE"]
        assert f"{len(DAYS)} sessions judged, {len(trades)} trade" in told.out
        for row in rows:
            assert row["reason"] == "entered" or row["reason"] in told.out
        net = sum(float(row["net_pnl"]) for row in trades)
        assert f"{net:+,.2f} $" in told.out
        for words in (str(journal), str(journal.parent / "runs"), "profit factor", "in the market"):
            assert words in told.out

    def test_v_shows_every_session_with_its_reason(self, door: Door, market: Market, journal: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", journal)
        told = door(*call, "-v")
        for row in rows_of(journal):
            assert f"{row['trade_date']}  QQQ    {row['notes']}" in told.out

    @pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("INFO", 1), ("warning", 0), ("ERROR", 0)])
    def test_log_lines_go_to_stderr_from_a_level_on(self, door: Door, level: str, lines: int) -> None:
        told = door(*SIMULATED, "--log-level", level)
        assert (told.code, told.err.count("\n")) == (0, lines)
        assert not lines or re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO run id=[0-9a-f]{12} outcome=done", told.err)

    def test_a_losing_journal_and_one_without_a_trade_have_a_summary(self, door: Door, tmp_path: Path) -> None:
        for number, more in enumerate((("--param", "stop_atr=1e9"), ("--cost", "per_share:50"), ())):
            told = door(*SIMULATED, *more, "--output", tmp_path / f"{number}.csv")
            assert (told.code, told.err) == (0, "")
            assert "nan" not in told.out
            assert "inf" not in told.out


class TestInterrupts:
    def test_ctrl_c_during_the_work_exits_130_and_leaves_the_old_journal(self, tmp_path: Path) -> None:
        journal = tmp_path / "trades.csv"
        assert process(*SIMULATED, "--output", journal, cwd=tmp_path).code == 0
        before = journal.read_bytes()
        with subprocess.Popen(
            [*COMMAND, *LONG, "--output", journal],
            cwd=tmp_path, env=environment_with(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as running:  # fmt: skip
            time.sleep(0.5)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=10)
        assert running.returncode in (130, -signal.SIGINT)
        assert (out, err.count("\n"), "stopped" in err) == ("", 1, True)
        assert journal.read_bytes() == before
        told = process(*LONG, "--output", journal, cwd=tmp_path, TERM="xterm")
        assert (told.code, told.err) == (0, "")  # no progress where stderr is no terminal
        assert len(keys_of(journal)) == 60 + 10 * 1508

    @pytest.mark.parametrize("times", [10, pytest.param(200, marks=pytest.mark.soak)])
    def test_ctrl_c_at_any_moment_leaves_the_journal_whole_and_tells_no_bug(self, tmp_path: Path, times: int) -> None:
        plain, journal = tmp_path / "plain.csv", tmp_path / "trades.csv"
        call = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2020-01-02", "--end", "2025-12-31")
        began = time.monotonic()
        assert process(*call, "--output", plain, cwd=tmp_path).code == 0
        lasted = time.monotonic() - began
        luck = random.Random(times)
        for _ in range(times):
            journal.unlink(missing_ok=True)
            with subprocess.Popen(
                [*COMMAND, *call, "--output", journal],
                cwd=tmp_path, env=environment_with(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ) as running:  # fmt: skip
                # Not while Python itself starts: until then nobody but Python can answer.
                time.sleep(luck.uniform(0.4, 1.05) * lasted)
                running.send_signal(signal.SIGINT)
                _, err = running.communicate(timeout=10)
            assert running.returncode in (0, 130, -signal.SIGINT), err
            for unwanted in ("Traceback", "a bug of", "Exception ignored"):
                assert unwanted not in err
            assert not journal.exists() or journal.read_bytes() == plain.read_bytes()
        assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


class TestHomes:
    @pytest.mark.parametrize("home", [None, "/nonexistent", "/proc"])
    def test_no_home_to_write_to_does_no_harm(
        self, market: Market, tmp_path: Path, door: Door, home: str | None
    ) -> None:
        plain, path = tmp_path / "plain.csv", tmp_path / "trades.csv"
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output")
        assert door(*call, plain).code == 0
        told = process(*call, path, cwd=tmp_path, HOME=home, XDG_CACHE_HOME=None, XDG_CONFIG_HOME=None)
        assert (told.code, told.err) == (0, "")
        assert path.read_bytes() == plain.read_bytes()

    def test_nothing_is_written_but_the_journal_and_the_records(self, market: Market, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output", "out/trades.csv")
        assert process(*call, cwd=home, HOME=str(home), TMPDIR=str(home)).code == 0
        found = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
        assert found[:3] == ["out", "out/runs", found[2]]
        assert found[3:] == ["out/trades.csv"]


def test_the_installed_command_is_the_same(tmp_path: Path, door: Door) -> None:
    command = Path(sys.executable).with_name("trading-playbook")
    if not command.exists():
        pytest.skip("the package is not installed, only on the path")
    call = ["backtest", *SIMULATED, "--dry-run", "--output", str(tmp_path / "trades.csv")]
    done = subprocess.run(
        [command, *call], cwd=tmp_path, env=environment_with(), capture_output=True, text=True, check=True
    )
    assert done.stdout == door(*call[1:]).out
    told = subprocess.run([command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"trading-playbook \d+\.\d+\.\d+\n", told)


def test_a_program_that_reads_slowly_gets_all_of_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, *SIMULATED, "--json"], cwd=tmp_path, env=environment_with(), stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        handle = running.stdout.fileno()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, 4096)
        content = b""
        while select.select([handle], [], [], 10)[0] and (part := os.read(handle, 1500)):
            content += part
            time.sleep(0.001)
        assert running.wait(10) == 0
    assert len(json.loads(content)["rows"]) == 60
