"""Settings from .env as people write it, and from the environment, which stands above it and below the options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.door import Door, Told, keys_of, rows_of
from tests.support.market import DAYS, END, START, Market

TWO_DAYS = ("--start", "2025-01-02", "--end", "2025-01-03")
COST_HASH = "p37dc09e94f5a"
"""params_hash of bps:1.5, as the specification publishes it."""

PLAIN = "DATA_FEED=simulated\nSYMBOLS=QQQ,SPY\nCOST=bps:1.5\nOUTPUT_DIR=./my out\n"
SAME: Mapping[str, str | bytes] = {
    "plain": PLAIN,
    "export": "".join(f"export {line}\n" for line in PLAIN.splitlines()),
    "quotes": "DATA_FEED=\"simulated\"\nSYMBOLS='QQQ,SPY'\nCOST=\"bps:1.5\"\nOUTPUT_DIR='./my out'\n",
    "blanks round =": PLAIN.replace("=", " = "),
    "blanks before": "".join(f"   {line}\n" for line in PLAIN.splitlines()),
    "comments behind": "".join(f"{line}   # why not\n" for line in PLAIN.splitlines()),
    "comments between": "# mine\n\n" + PLAIN.replace("\n", "\n\n# and so on\n"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + PLAIN,
    "no last newline": PLAIN.rstrip("\n"),
    "small letters": PLAIN.replace("DATA_FEED", "data_feed").replace("SYMBOLS", "symbols"),
    "blanks in the list": PLAIN.replace("QQQ,SPY", "QQQ, SPY ,"),
    "small symbols": PLAIN.replace("QQQ,SPY", "qqq,spy"),
    "twice, the last one counts": "COST=none\n" + PLAIN,
    "blank where there is a default": PLAIN + "STRATEGY=\nSETTLE_MINUTES=\nDATA_DIR=\nOUTPUT_LOCATION=\nPUBLIC_URL=\n",
    "settings of others": PLAIN + "ALPACA_API_KEY=abc\nEDITOR=vi\nPATH=/bin\n",
}
WRONG: Mapping[str, tuple[str | bytes, str]] = {
    "a cost": ("COST=cheap", "COST"),
    "two =": ("COST==bps:1.5", "COST"),
    "a cost and what follows": ("COST=bps:1.5;SYMBOLS=SPY", "COST"),
    "a feed": ("DATA_FEED=yahoo", "DATA_FEED"),
    "a list of JSON": ('SYMBOLS=["QQQ"]', "SYMBOLS"),
    "no symbols": ("SYMBOLS=", "SYMBOLS"),
    "a path for a symbol": ("SYMBOLS=../QQQ", "SYMBOLS"),
    "minutes with a unit": ("SETTLE_MINUTES=20m", "SETTLE_MINUTES"),
    "minutes before the close": ("SETTLE_MINUTES=-1", "SETTLE_MINUTES"),
    "no night": ("CATCH_UP_SESSIONS=0", "CATCH_UP_SESSIONS"),
    "half a night": ("CATCH_UP_SESSIONS=1.5", "CATCH_UP_SESSIONS"),
    "a budget of NaN": ("RETRY_BUDGET_SECONDS=nan", "RETRY_BUDGET_SECONDS"),
    "a budget of nothing": ("RETRY_BUDGET_SECONDS=0", "RETRY_BUDGET_SECONDS"),
    "a level": ("LOG_LEVEL=loud", "LOG_LEVEL"),
    "an override": ("CALENDAR_OVERRIDES=2025-01-09", "CALENDAR_OVERRIDES"),
    "an override of a Sunday": ("CALENDAR_OVERRIDES=2025-01-12:13:00", "CALENDAR_OVERRIDES"),
    "an override of an odd minute": ("CALENDAR_OVERRIDES=2025-01-09:12:59", "CALENDAR_OVERRIDES"),
    "an override twice": ("CALENDAR_OVERRIDES=2025-01-09:closed,2025-01-09:13:00", "CALENDAR_OVERRIDES"),
    "parameters of JSON": ('STRATEGY_PARAMS={"stop_atr":1.5}', "STRATEGY_PARAMS"),
    "a parameter twice": ("STRATEGY_PARAMS=shares=1,shares=2", "STRATEGY_PARAMS"),
    "an address": ("OUTPUT_LOCATION=gs://bucket/trades.csv", "OUTPUT_LOCATION"),
    "a public address": ("PUBLIC_URL=example.org", "PUBLIC_URL"),
    "writers": ("WRITER_TYPE=csv,csv", "WRITER_TYPE"),
    "UTF-16": ("COST=bps:1.5\n".encode("utf-16"), ".env"),
    "Latin letters": ("OUTPUT_DIR=./börse\n".encode("latin-1"), ".env"),
}


def env(content: str | bytes) -> None:
    Path(".env").write_bytes(content if isinstance(content, bytes) else content.encode())


def require_refused(told: Told, *words: str) -> None:
    assert told.code == 2, told.all
    assert "Traceback" not in told.all
    for each in words:
        assert each in told.err, told.err
    assert not Path("output").exists()


class TestEnvFile:
    @pytest.mark.parametrize("content", SAME.values(), ids=SAME)
    def test_every_way_to_write_it_means_the_same(self, door: Door, content: str) -> None:
        env(content)
        told = door(*TWO_DAYS)
        assert (told.code, told.err) == (0, "")
        rows = rows_of(Path("my out/trades.csv"))
        assert [(row["symbol"], row["params_hash"]) for row in rows] == [("QQQ", COST_HASH), ("SPY", COST_HASH)] * 2

    @pytest.mark.parametrize(("content", "name"), WRONG.values(), ids=WRONG)
    def test_a_wrong_value_is_named(self, door: Door, content: str | bytes, name: str) -> None:
        first = "" if "DATA_FEED" in str(content) else "DATA_FEED=simulated\n"
        env(content if isinstance(content, bytes) else first + content)
        require_refused(door(*TWO_DAYS), name)

    def test_every_wrong_value_is_named_at_once(self, door: Door) -> None:
        env("COST=cheap\nSETTLE_MINUTES=soon\nSYMBOLS=!\n")
        require_refused(door(*TWO_DAYS), "COST", "SETTLE_MINUTES", "SYMBOLS")

    @pytest.mark.parametrize(
        "line",
        ["COST: bps:1.5", "COST bps:1.5", "COST", 'COST="bps:1.5', "set COST=bps:1.5", "- COST=bps:1.5"],
    )
    def test_a_line_that_is_no_setting_is_refused_or_understood(self, door: Door, line: str) -> None:
        env(f"DATA_FEED=simulated\n{line}\n")
        told = door(*TWO_DAYS)
        if told.code == 0:
            assert {row["params_hash"] for row in rows_of(Path("output/trades.csv"))} == {COST_HASH}
        else:
            require_refused(told, ".env")

    @pytest.mark.parametrize(("key", "meant"), [("SYMBOL", "SYMBOLS"), ("COSTS", "COST"), ("DATADIR", "DATA_DIR")])
    def test_a_key_that_looks_like_ours_is_warned_about(self, door: Door, key: str, meant: str) -> None:
        env(f"DATA_FEED=simulated\n{key}=x\n")
        told = door(*TWO_DAYS)
        assert (told.code, f"{key} is no setting; is {meant} meant?" in told.out) == (0, True)
        assert door(*TWO_DAYS, "--json").json["warnings"] == [f".env: {key} is no setting; is {meant} meant?"]

    def test_it_is_warned_about_also_where_it_is_why_the_call_is_refused(self, door: Door) -> None:
        env("DATAFEED=simulated\n")
        assert "is DATA_FEED meant?" in door(*TWO_DAYS).all

    @pytest.mark.parametrize(
        "path", ["./a b", "./a#b", "./100%", "./it's", "./größe", "./a$b", "./a=b", "./a:b", "./a;b"]
    )
    def test_paths_of_any_kind_are_taken_as_they_stand(self, door: Door, path: str) -> None:
        env(f"DATA_FEED=simulated\nOUTPUT_DIR={path}\n")
        assert door(*TWO_DAYS).code == 0
        assert len(rows_of(Path(path) / "trades.csv")) == 2

    @pytest.mark.parametrize("name", ["OUTPUT_DIR", "OUTPUT_LOCATION"])
    def test_a_home_folder_is_understood_or_refused(
        self, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        env(f"DATA_FEED=simulated\n{name}=~/playbook/\n")
        told = door(*TWO_DAYS)
        assert not Path("~").exists()
        assert told.code == 2 or len(rows_of(tmp_path / "home" / "playbook" / "trades.csv")) == 2

    def test_a_folder_that_is_an_address_is_refused(self, door: Door) -> None:
        env("DATA_FEED=simulated\nOUTPUT_DIR=gs://bucket/output\n")
        told = door(*TWO_DAYS)
        assert not Path("gs:").exists()
        require_refused(told, "OUTPUT_DIR")

    def test_parameters_are_read_as_a_list(self, door: Door) -> None:
        env("DATA_FEED=simulated\nSTRATEGY_PARAMS= stop_atr=1.5 , window_end=10:44,\n")
        assert door(*TWO_DAYS).code == 0
        assert {row["params_hash"] for row in rows_of(Path("output/trades.csv"))} == {"pc0a720e5aaac"}

    def test_a_parameter_that_is_none_names_what_there_is(self, door: Door) -> None:
        env("DATA_FEED=simulated\nSTRATEGY_PARAMS=stop=1.5\n")
        require_refused(door(*TWO_DAYS), "stop", "stop_atr")

    def test_a_folder_named_env_is_none(self, door: Door) -> None:
        Path(".env").mkdir()
        assert door("--feed", "simulated", *TWO_DAYS).code == 0


class TestOrder:
    def test_the_environment_stands_above_the_file_and_an_option_above_both(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        env("DATA_FEED=files\nSYMBOLS=QQQ\nCOST=bps:9\nOUTPUT_LOCATION=file.csv\n")
        monkeypatch.setenv("DATA_FEED", "simulated")
        monkeypatch.setenv("SYMBOLS", "SPY, IWM,")
        monkeypatch.setenv("COST", "bps:8")
        assert door(*TWO_DAYS).code == 0
        assert {name for _, name in keys_of(Path("file.csv"))} == {"SPY", "IWM"}
        monkeypatch.setenv("OUTPUT_LOCATION", "environment.csv")
        assert door(*TWO_DAYS, "--cost", "bps:1.5", "--symbol", "DIA").code == 0
        assert [(row["symbol"], row["params_hash"]) for row in rows_of(Path("environment.csv"))] == [
            ("DIA", COST_HASH)] * 2  # fmt: skip
        assert door(*TWO_DAYS, "--output", "option.csv").code == 0
        assert len(rows_of(Path("option.csv"))) == 4

    def test_bars_and_journal_named_by_settings_give_the_same_as_by_options(
        self, door: Door, market: Market, journal: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dates = ("--start", START, "--end", END)
        assert door(*market.call, "--symbol", "QQQ", *dates, "--output", journal).code == 0
        env(f'DATA_FEED=files\nDATA_DIR="{market.root}"\nOUTPUT_LOCATION=mine.csv\n')
        assert door(*dates).code == 0
        assert Path("mine.csv").read_bytes() == journal.read_bytes()
        assert keys_of(journal) == [(day, "QQQ") for day in DAYS]

    def test_a_public_address_gives_trades_a_link_and_changes_no_other_cell(
        self, door: Door, market: Market, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--output")
        assert door(*call, journal).code == 0
        monkeypatch.setenv("PUBLIC_URL", "https://playbook.example.org/")
        linked = tmp_path / "linked.csv"
        assert door(*call, linked).code == 0
        before = journal.read_bytes()
        assert door(*call, journal).code == 0
        assert journal.read_bytes() == before
        for row, plain in zip(rows_of(linked), rows_of(journal), strict=True):
            link = row.pop("chart_link_entry")
            day = row["trade_date"]
            assert link == (f"https://playbook.example.org/charts/QQQ/{day}" if row["entered?"] == "TRUE" else "")
            assert plain.pop("chart_link_entry") == ""
            assert row == plain
