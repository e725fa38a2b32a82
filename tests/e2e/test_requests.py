"""Requests, settings and places that are wrong as a whole: a clear message, exit 2, and no file touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.door import Door, Told, keys_of, newest_manifest, process, rows_of, tree
from tests.support.market import DAYS, END, START, Market

RANGE = ("--start", START, "--end", END)
SIMULATED = ("--feed", "simulated", "--symbol", "QQQ", "--start", "2025-01-02", "--end", "2025-01-03")
KEEP = "a journal of its own"


def require_refused(told: Told, code: int, *words: str) -> None:
    """Fail unless a command was refused with this code, in words that hold these, and without a traceback."""
    assert told.code == code, told.all
    for unwanted in ("Traceback", "a bug of", "Exception ignored", "Warning:"):
        assert unwanted not in told.all, told.all
    for wanted in words:
        assert wanted in told.err, told.err


@pytest.fixture
def kept(door: Door, market: Market, journal: Path) -> Path:
    """A journal with rows, whose folder no refused call may touch."""
    assert door(*market.call, "--symbol", "QQQ", "--start", DAYS[-1], "--end", DAYS[-1], "--output", journal).code == 0
    return journal


DATES = {
    "2025-02-30": "is no date",
    "2025-02-29": "is no date",
    "1704067200": "is no date",
    "20260203": "is no date",
    "2026-2-3": "is no date",
    "26-02-03": "is no date",
    "03.02.2026": "is no date",
    "02/03/2026": "is no date",
    "2026-02-03T00:00:00": "is no date",
    "2026-02-03Z": "is no date",
    "2026-02-03-05:00": "is no date",
    "2026-02-03+09:00": "is no date",
    "2026-W06-2": "is no date",
    "2026-034": "is no date",
    "\uff12\uff10\uff12\uff16-02-03": "is no date",
    " 2025-12-01": "is no date",
    "2025-12-01\n": "is no date",
    "0000-00-00": "is no date",
    "today": "is no date",
    "": "is no date",
}


class TestDates:
    @pytest.mark.parametrize("flag", ["--start", "--end"])
    @pytest.mark.parametrize(("text", "words"), DATES.items(), ids=map(repr, DATES))
    def test_what_is_no_date_is_refused(
        self, door: Door, market: Market, kept: Path, flag: str, text: str, words: str
    ) -> None:
        before = tree(kept.parent)
        other = {"--start": ("--end", END), "--end": ("--start", START)}[flag]
        told = door(*market.call, "--symbol", "QQQ", f"{flag}={text}", *other, "--output", kept)
        require_refused(told, 2, flag, words, "YYYY-MM-DD")
        assert tree(kept.parent) == before

    @pytest.mark.parametrize(
        ("start", "end", "words"),
        [
            ("2025-12-05", "2025-12-04", "lies before the start"),
            ("2025-11-27", "2025-11-27", "closed from 2025-11-27 to 2025-11-27"),
            ("2025-11-29", "2025-11-30", "closed from 2025-11-29 to 2025-11-30"),
            ("1989-12-29", "1990-01-05", "1989-12-29 lies before the exchange calendar"),
            ("1990-01-01", "1990-01-05", "no session before 1990-01-02 is known"),
            ("0001-01-01", "0001-01-05", "lies before the exchange calendar"),
            ("2025-12-01", "9999-12-31", "9999-12-31 lies after the exchange calendar"),
            ("2025-12-01", "2029-01-02", "lies after the exchange calendar"),
            ("2025-12-01", "2025-12-09", "2025-12-09 lies after today, 2025-12-08"),
            ("2025-12-09", "2025-12-09", "lies after today"),
        ],
    )
    def test_a_range_that_cannot_be_judged_is_refused(
        self, door: Door, market: Market, kept: Path, start: str, end: str, words: str
    ) -> None:
        before = tree(kept.parent)
        told = door(*market.call, "--symbol", "QQQ", "--start", start, "--end", end, "--output", kept,
                    "--now", "2025-12-08T23:00:00-05:00")  # fmt: skip
        require_refused(told, 2, words)
        assert tree(kept.parent) == before

    def test_a_week_end_makes_no_journal(self, door: Door, market: Market, journal: Path) -> None:
        told = door(
            *market.call, "--symbol", "QQQ", "--start", "2025-11-29", "--end", "2025-11-30", "--output", journal
        )
        require_refused(told, 2, "the exchange was closed")
        assert not journal.parent.exists()


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--start", START],
            ["--end", END],
            ["--today", *RANGE],
            ["--today", "--start", START],
            ["--symbol"],
            ["--bogus"],
            ["--sym", "QQQ", *RANGE],
            [*RANGE, "extra"],
            [*RANGE, "--feed", "yahoo"],
            [*RANGE, "--feed", "ALPACA"],
            [*RANGE, "--log-level", "loud"],
            ["--today=yes"],
        ],
        ids=lambda arguments: " ".join(arguments) or "nothing",
    )
    def test_a_call_in_the_wrong_form_shows_the_usage_on_stderr_alone(self, door: Door, arguments: list[str]) -> None:
        told = door(*arguments)
        require_refused(told, 2, "usage: ")
        assert told.out == ""

    def test_help_is_no_error_and_lies_on_stdout(self, door: Door) -> None:
        told = door("--help")
        assert (told.code, told.err) == (0, "")
        for option in ("--symbol", "--start", "--end", "--today", "--output", "--feed", "--data-dir", "--strategy",
                       "--param", "--cost", "--accept", "--dry-run", "--revise", "--json", "--now", "--log-level",
                       "--verbose"):  # fmt: skip
            assert option in told.out
        assert "exit codes: 0 done" in told.out


NO_SYMBOLS = ["../../etc/passwd", "Q" * 300, "Q\0Q", "Q\nQ", "QQQ;rm", "QQQ SPY", "-QQQ", "1QQ", "BRK..B", "BRK.",
              ".B", "Q/Q", "\uff31\uff31\uff31", "\xdf", "\u0131", "QQQ.B1", "ABCDEFGHIJK", "~", "*", "%s"]  # fmt: skip
SYMBOLS = ["", ",", " , ", *NO_SYMBOLS, *(f"QQQ,{each}" for each in NO_SYMBOLS)]


class TestSymbols:
    @pytest.mark.parametrize("symbol", SYMBOLS, ids=map(ascii, SYMBOLS))
    def test_what_is_no_symbol_is_refused_and_names_no_file(
        self, door: Door, market: Market, kept: Path, symbol: str
    ) -> None:
        before = tree(kept.parent.parent)
        told = door(*market.call, f"--symbol={symbol}", *RANGE, "--output", kept)
        require_refused(told, 2, "symbol")
        assert len(told.err) < 300
        assert len(symbol) < 50 or symbol not in told.all
        assert tree(kept.parent.parent) == before

    def test_an_unknown_symbol_alone_touches_nothing(self, door: Door, market: Market, kept: Path) -> None:
        before = tree(kept.parent)
        told = door(*market.call, "--symbol", "ZZZ", *RANGE, "--output", kept)
        require_refused(told, 2, "ZZZ: no file of bars; looked for ZZZ.parquet and ZZZ.csv in")
        assert tree(kept.parent) == before

    @pytest.mark.parametrize("symbol", ["ZZZ", "QQQ"])
    def test_a_run_that_could_judge_nothing_does_not_say_that_no_row_is_missing(
        self, door: Door, market: Market, journal: Path, symbol: str
    ) -> None:
        (market.root / "2Min" / "QQQ.parquet").write_bytes(b"no bars")
        told = door(*market.call, "--symbol", symbol, "--start", DAYS[-3], "--end", DAYS[-1], "--output", journal)
        assert told.code == {"ZZZ": 2, "QQQ": 3}[symbol]
        assert "No row is missing" not in told.out

    def test_an_unknown_symbol_harms_no_good_one(self, door: Door, market: Market, journal: Path) -> None:
        told = door(*market.call, "--symbol", "ZZZ,QQQ,BRK.B", *RANGE, "--output", journal)
        require_refused(told, 2, "ZZZ: no file of bars", "BRK.B: no file of bars")
        assert keys_of(journal) == [(day, "QQQ") for day in DAYS]
        found = newest_manifest(journal.parent)
        assert (found["outcome"], found["counts"]["added"]) == ("usage", len(DAYS))
        assert [error["symbol"] for error in found["errors"]] == ["ZZZ", "BRK.B"]

    @pytest.mark.parametrize("name", ["qqq", "QQQ,", "qqq , QQQ"])
    def test_small_letters_blanks_and_commas_are_understood(
        self, door: Door, market: Market, journal: Path, name: str
    ) -> None:
        assert door(*market.call, "--symbol", name, *RANGE, "--output", journal).code == 0
        assert keys_of(journal) == [(day, "QQQ") for day in DAYS]


PLAYS: Mapping[str, tuple[list[str], str]] = {
    "a parameter that is none": (["--param", "stop=1.5"], "dp20 has no parameter 'stop'; it has window_start"),
    "a parameter without a value": (["--param", "stop_atr="], "expected name=value"),
    "a parameter without a name": (["--param", "=1.5"], "expected name=value"),
    "a parameter without either": (["--param", ""], "expected name=value"),
    "a parameter twice": (["--param", "stop_atr=1.5", "--param", "stop_atr=1.5"], "'stop_atr' is named twice"),
    "no stop": (["--param", "stop_atr=0"], "parameter stop_atr"),
    "a negative stop": (["--param", "stop_atr=-1"], "parameter stop_atr"),
    "a stop of NaN": (["--param", "stop_atr=nan"], "parameter stop_atr"),
    "a stop without end": (["--param", "stop_atr=inf"], "parameter stop_atr"),
    "a decimal comma": (["--param", "stop_atr=1,5"], "parameter stop_atr"),
    "half a share": (["--param", "shares=0.5"], "parameter shares"),
    "no share": (["--param", "shares=0"], "parameter shares"),
    "a period of one": (["--param", "ema_period=1"], "parameter ema_period"),
    "a period too long": (["--param", "sma_period=401"], "parameter sma_period"),
    "a strength of one": (["--param", "reversal_strength=1"], "parameter reversal_strength"),
    "a window off its slot": (["--param", "window_start=10:01"], "parameter window_start"),
    "a window before the open": (["--param", "window_start=09:28"], "parameter window_start"),
    "a window the wrong way round": (["--param", "window_end=09:58"], "window_end"),
    "a window beyond an early close": (["--param", "window_end=12:52"], "parameter window_end"),
    "an hour that is none": (["--param", "window_end=24:00"], "parameter window_end"),
    "an hour with seconds": (["--param", "window_end=10:30:00"], "parameter window_end"),
    "an exit too early": (["--param", "exit_minutes_before_close=61"], "parameter exit_minutes_before_close"),
    "a bar length": (["--param", "bar_minutes=5"], "no parameter 'bar_minutes'"),
    "a cost that is none": (["--cost", "cheap"], "expected none, bps:NUMBER or per_share:DOLLARS"),
    "a cost without a number": (["--cost", "bps:"], "expected none, bps:NUMBER"),
    "a negative cost": (["--cost", "bps:-1"], "expected none, bps:NUMBER"),
    "a cost of NaN": (["--cost", "per_share:nan"], "expected none, bps:NUMBER"),
    "a cost without end": (["--cost", "bps:inf"], "expected none, bps:NUMBER"),
    "a cost in another unit": (["--cost", "bps:1.5%"], "expected none, bps:NUMBER"),
    "a cost of two": (["--cost", "bps:1:2"], "expected none, bps:NUMBER"),
    "no such strategy": (["--strategy", "dp21"], "dp21"),
    "a path as a strategy": (["--strategy", "../dp20"], "dp20"),
    "accepting no session": (["--accept", "QQQ"], "names no session"),
    "accepting no symbol": (["--accept", ":2025-11-26"], "is no symbol"),
    "accepting no day": (["--accept", "QQQ:2025-02-30"], "is no date"),
    "accepting a closed day": (["--accept", "QQQ:2025-11-27"], "the exchange was closed on 2025-11-27"),
    "accepting a day beyond the calendar": (["--accept", "QQQ:2031-01-02"], "lies after the exchange calendar"),
    "accepting for another symbol": (["--accept", "SPY:2025-11-26"], "but the run is of QQQ"),
}


class TestPlays:
    @pytest.mark.parametrize(("arguments", "words"), PLAYS.values(), ids=PLAYS)
    def test_an_impossible_play_is_refused(
        self, door: Door, market: Market, kept: Path, arguments: list[str], words: str
    ) -> None:
        before = tree(kept.parent)
        told = door(*market.call, "--symbol", "QQQ", *RANGE, *arguments, "--output", kept)
        require_refused(told, 2, words)
        assert tree(kept.parent) == before

    @pytest.mark.parametrize(
        "arguments",
        [["--param", "stop_atr=1_5"], ["--cost", "bps:1_5"], ["--cost", "bps:\u0661"], ["--param", "shares=\u0663"]],
        ids=lambda arguments: ascii(arguments[1]),
    )
    def test_numbers_in_forms_that_are_not_certain_are_refused(
        self, door: Door, market: Market, kept: Path, arguments: list[str]
    ) -> None:
        told = door(*market.call, "--symbol", "QQQ", *RANGE, *arguments, "--output", kept)
        require_refused(told, 2, "expected")

    @pytest.mark.parametrize("cost", ["bps:1e308", "per_share:1e307"])
    def test_a_cost_beyond_all_numbers_is_refused_and_never_spoils_the_journal(
        self, door: Door, market: Market, kept: Path, cost: str
    ) -> None:
        before = tree(kept.parent)
        told = door(*market.call, "--symbol", "QQQ", *RANGE, "--cost", cost, "--output", kept)
        assert b"inf," not in kept.read_bytes()
        require_refused(told, 2, "cost")
        assert tree(kept.parent) == before


class TestWriters:
    @pytest.mark.parametrize("writers", ["csv,csv", "none", "", " ", ",", "excel", "csv,mongo", "CSV,csv"])
    def test_writers_unknown_none_or_twice_are_refused_before_any_bar_is_read(
        self, door: Door, market: Market, kept: Path, monkeypatch: pytest.MonkeyPatch, writers: str
    ) -> None:
        for path in market.root.rglob("QQQ.*"):
            path.write_bytes(b"no bars")
        before = tree(kept.parent)
        monkeypatch.setenv("WRITER_TYPE", writers)
        require_refused(door(*market.call, "--symbol", "QQQ", *RANGE, "--output", kept), 2, "WRITER_TYPE", "csv")
        assert tree(kept.parent) == before


class TestFeeds:
    def test_no_feed_at_all_is_alpaca_which_needs_keys(self, door: Door, journal: Path) -> None:
        told = door("--symbol", "QQQ", *RANGE, "--output", journal)
        assert told.code == 2
        assert "ALPACA_API_KEY and ALPACA_SECRET_KEY are not set" in told.err
        assert "DATA_FEED=files or simulated" in told.err
        assert not journal.parent.exists()

    def test_files_without_a_folder_is_refused(self, door: Door, journal: Path) -> None:
        require_refused(door("--feed", "files", *RANGE, "--output", journal), 2, "--data-dir", "DATA_DIR")

    @pytest.mark.parametrize("place", ["nowhere", "text.txt", "x" * 300, "/dev/null", "a\0b"])
    def test_a_folder_of_bars_that_is_none_is_refused(self, door: Door, journal: Path, place: str) -> None:
        Path("text.txt").write_text("hello", encoding="ascii")
        told = door("--feed", "files", "--data-dir", place, "--symbol", "QQQ", *RANGE, "--output", journal)
        require_refused(told, 2)
        assert not journal.parent.exists()

    def test_one_file_for_two_symbols_is_refused(self, door: Door, market: Market, journal: Path) -> None:
        file = market.root / "2Min" / "QQQ.parquet"
        told = door("--data-dir", file, "--symbol", "QQQ,SPY", *RANGE, "--output", journal)
        require_refused(told, 2, "is one file, of one symbol")
        assert not journal.parent.exists()

    def test_one_file_named_after_another_symbol_is_refused(self, door: Door, market: Market, journal: Path) -> None:
        file = market.root / "2Min" / "QQQ.parquet"
        told = door("--data-dir", file, "--symbol", "SPY", *RANGE, "--output", journal)
        require_refused(told, 2, "SPY", "QQQ.parquet")
        assert not journal.parent.exists()

    def test_simulated_and_real_rows_never_come_to_lie_in_one_journal(
        self, door: Door, market: Market, kept: Path, tmp_path: Path
    ) -> None:
        before = tree(kept.parent)
        require_refused(door(*SIMULATED, "--output", kept), 2, str(kept), "simulated", KEEP)
        require_refused(door(*SIMULATED, "--output", kept, "--dry-run"), 2, str(kept), "simulated", KEEP)
        assert tree(kept.parent) == before
        demo = tmp_path / "demo" / "trades.csv"
        assert door(*SIMULATED, "--output", demo).code == 0
        before = tree(demo.parent)
        told = door(*market.call, "--symbol", "QQQ", *RANGE, "--output", demo)
        require_refused(told, 2, str(demo), "simulated", KEEP)
        assert tree(demo.parent) == before


NO_JOURNALS = {
    "nothing like it": b"date,price\n2025-11-04,1.5\n",
    "text": b"Dear diary,\n",
    "bars": b"timestamp,open,high,low,close,volume\n",
    "bytes": bytes(range(256)),
    "an archive": b"PK\x03\x04" + b"\0" * 100,
    "UTF-16": "trade_date,symbol\n".encode("utf-16"),
    "a quote left open": b'trade_date,"symbol\n',
    "JSON": b'{"trade_date": "2025-11-04"}\n',
}


class TestPlaces:
    @pytest.mark.parametrize("content", NO_JOURNALS.values(), ids=NO_JOURNALS)
    @pytest.mark.parametrize("more", [(), ("--revise",), ("--dry-run",)], ids=lambda more: " ".join(more) or "plainly")
    def test_an_output_that_is_no_journal_is_left_byte_for_byte(
        self, door: Door, tmp_path: Path, content: bytes, more: tuple[str, ...]
    ) -> None:
        path = tmp_path / "mine" / "diary.csv"
        path.parent.mkdir()
        path.write_bytes(content)
        before = tree(path.parent)
        require_refused(door(*SIMULATED, "--output", path, *more), 2, str(path))
        assert tree(path.parent) == before

    def test_half_a_journal_is_refused_naming_what_it_lacks(self, door: Door, kept: Path, market: Market) -> None:
        lines = [line.rsplit(",", 1)[0] for line in kept.read_text(encoding="utf-8").splitlines()]
        kept.write_text("\n".join(lines) + "\n", encoding="utf-8")
        before = tree(kept.parent)
        require_refused(door(*market.call, "--symbol", "QQQ", *RANGE, "--output", kept), 2, "revision", "left alone")
        assert tree(kept.parent) == before

    def test_an_empty_file_is_an_empty_journal(self, door: Door, tmp_path: Path) -> None:
        path = tmp_path / "trades.csv"
        path.touch()
        assert door(*SIMULATED, "--output", path).code == 0
        assert len(rows_of(path)) == 2

    @pytest.mark.parametrize(
        "place",
        ["file/trades.csv", "file/deeper/trades.csv", "/proc/trades.csv", "/proc/1/deeper/trades.csv", "/dev/null",
         "pipe", "/sys/trades.csv", "loop/trades.csv"],
    )  # fmt: skip
    def test_a_place_where_no_file_can_be_is_refused(self, door: Door, own_folder: Path, place: str) -> None:
        (own_folder / "file").write_text("a file is no folder", encoding="ascii")
        os.mkfifo(own_folder / "pipe")
        (own_folder / "loop").symlink_to("loop")
        before = tree(own_folder)
        require_refused(door(*SIMULATED, "--output", place), 2, place)
        assert tree(own_folder) == before

    def test_a_name_too_long_is_refused(self, door: Door, own_folder: Path) -> None:
        require_refused(door(*SIMULATED, "--output", "n" * 300 + ".csv"), 2, "too long")

    @pytest.mark.parametrize("length", [240, 247])
    def test_a_name_that_leaves_room_for_its_history_holds_a_journal(
        self, door: Door, own_folder: Path, length: int
    ) -> None:
        assert door(*SIMULATED, "--output", "n" * (length - 4) + ".csv").code == 0

    @pytest.mark.parametrize("place", ["gs://bucket/trades.csv", "s3://bucket/trades.csv", "https://host/trades.csv"])
    def test_an_address_is_no_path(self, door: Door, own_folder: Path, place: str) -> None:
        told = door(*SIMULATED, "--output", place)
        assert not list(own_folder.iterdir())
        require_refused(told, 2, place[:5])

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_not_be_written_is_refused(self, door: Door, tmp_path: Path) -> None:
        folder = tmp_path / "locked"
        folder.mkdir()
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        require_refused(door(*SIMULATED, "--output", folder / "trades.csv"), 2, str(folder), "Permission denied")
        assert not list(folder.iterdir())

    def test_a_folder_where_no_record_can_be_kept_is_refused_before_anything_is_written(
        self, door: Door, tmp_path: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "runs").write_text("mine", encoding="ascii")
        before = tree(tmp_path / "out")
        require_refused(door(*SIMULATED, "--output", tmp_path / "out" / "trades.csv"), 2, "runs")
        assert tree(tmp_path / "out") == before

    def test_a_journal_named_like_the_folder_of_its_records_is_refused(self, door: Door, tmp_path: Path) -> None:
        require_refused(door(*SIMULATED, "--output", tmp_path / "out" / "runs"), 2, "runs")
        assert not (tmp_path / "out").exists()

    def test_a_history_is_no_journal_to_write_to(self, door: Door, market: Market, kept: Path) -> None:
        call = (*market.call, "--symbol", "QQQ", *RANGE)
        market.set(DAYS[-1], "09:30", open=market.bars["QQQ"].low[market.at(DAYS[-1], "09:30")])
        market.closes["QQQ"] = {day: close + 1 for day, close in market.closes["QQQ"].items()}
        assert door(*market.save().call, "--symbol", "QQQ", *RANGE, "--revise", "--output", kept).code == 0
        history = kept.with_name("trades.history.csv")
        before = history.read_bytes()
        require_refused(door(*call, "--output", history), 2, "history")
        assert history.read_bytes() == before

    @pytest.mark.parametrize(
        "name",
        ["with blanks.csv", "it's \"quoted\".csv", "a#b.csv", "100%.csv", "%s %d.csv", "größe ☃.csv", "-", "$HOME.csv",
         "a;b&c.csv", "back\\slash.csv", "no suffix", ".hidden", "two.dots.csv", "line\nbreak.csv"],
    )  # fmt: skip
    def test_names_of_any_kind_hold_the_clean_rows(self, door: Door, tmp_path: Path, name: str) -> None:
        plain, path = tmp_path / "plain" / "trades.csv", tmp_path / f"folder {name}" / name
        assert door(*SIMULATED, "--output", plain).code == 0
        told = door(*SIMULATED, f"--output={path}")
        assert (told.code, told.err) == (0, "")
        assert path.read_bytes() == plain.read_bytes()
        assert newest_manifest(path.parent)["places"][0]["place"] == str(path)
        assert sorted(each.name for each in path.parent.iterdir()) == sorted([name, "runs"])

    @pytest.mark.parametrize("ending", ["", "/"])
    def test_a_folder_means_trades_csv_in_it(self, door: Door, tmp_path: Path, ending: str) -> None:
        (tmp_path / "out").mkdir()
        assert door(*SIMULATED, "--output", f"{tmp_path}/out{ending}").code == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["runs", "trades.csv"]

    def test_a_path_that_ends_like_a_folder_is_one_also_before_it_exists(self, door: Door, tmp_path: Path) -> None:
        assert door(*SIMULATED, "--output", f"{tmp_path}/a/b/").code == 0
        assert len(rows_of(tmp_path / "a" / "b" / "trades.csv")) == 2

    def test_without_a_place_the_journal_lies_in_output(self, door: Door, own_folder: Path) -> None:
        assert door(*SIMULATED).code == 0
        assert len(rows_of(own_folder / "output" / "trades.csv")) == 2

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
    def test_who_may_read_a_journal_stays_as_it_was(self, door: Door, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "trades.csv"
        assert door(*SIMULATED, "--output", path).code == 0
        path.chmod(mode)
        assert door(*SIMULATED, "--symbol", "SPY", "--output", path).code == 0
        assert stat.S_IMODE(path.stat().st_mode) == mode

    def test_a_link_is_followed(self, door: Door, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        link = tmp_path / "trades.csv"
        link.symlink_to(tmp_path / "real" / "mine.csv")
        assert door(*SIMULATED, "--output", link).code == 0
        assert link.is_symlink()
        assert len(rows_of(tmp_path / "real" / "mine.csv")) == 2

    def test_a_folder_to_work_in_that_is_gone_does_no_harm(self, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        (tmp_path / "sitecustomize.py").write_text(
            f"import os\nos.chdir({str(gone)!r})\nos.rmdir({str(gone)!r})\n", encoding="utf-8"
        )
        told = process(*SIMULATED, "--output", tmp_path / "trades.csv", cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert told.code == 0, told.err
        assert len(rows_of(tmp_path / "trades.csv")) == 2
