import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from trading_playbook.config import (
    Settings,
    for_cloud,
    load_settings,
    on_cloud_run,
    require_lasting,
    unknown_settings,
)
from trading_playbook.config.loading import ReadReference
from trading_playbook.config.settings import SECRETS
from trading_playbook.core.errors import FixConfig
from trading_playbook.core.secret_reference import SecretReference


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


PLAIN = "SYMBOLS=QQQ,SPY\nSETTLE_MINUTES=30\nCOST=bps:1.5\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "export SYMBOLS=QQQ,SPY\nexport SETTLE_MINUTES=30\nexport COST=bps:1.5\n",
        'SYMBOLS="QQQ, SPY"\nSETTLE_MINUTES=\'30\'\nCOST="bps:1.5"\n',
        "SYMBOLS = qqq,spy,\nSETTLE_MINUTES = 30\nCOST = bps:1.5\n",
        "SYMBOLS=QQQ,SPY # both\nSETTLE_MINUTES=30 # half an hour\nCOST=bps:1.5  # a guess\n",
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        "# mine\n\n" + PLAIN.replace("SYMBOLS", "symbols"),
    ],
    ids=["plain", "export", "quotes", "blanks", "comments", "crlf", "bom", "small letters"],
)
def test_an_env_file_is_read_however_people_write_it(env_file: Path, text: str) -> None:
    env_file.write_bytes(text.encode())
    settings = load_settings(env_file)
    assert (settings.symbols, settings.settle_minutes, settings.cost) == (("QQQ", "SPY"), 30, "bps:1.5")


def test_the_environment_stands_above_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text(PLAIN)
    monkeypatch.setenv("SYMBOLS", "NVDA")
    assert load_settings(env_file).symbols == ("NVDA",)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WRITER_TYPE", "", "csv"),
        ("WRITER_TYPE", ",", "csv"),
        ("WRITER_TYPE", "csv,csv", "each once"),
        ("WRITER_TYPE", "floppy", "csv"),
        ("SYMBOLS", " ", "QQQ,SPY"),
        ("SYMBOLS", "../../etc/passwd", "no symbol"),
        ("SYMBOLS", '["QQQ"]', "no symbol"),
        ("SETTLE_MINUTES", "soon", "integer"),
        ("SETTLE_MINUTES", "-1", "greater than or equal to 0"),
        ("CATCH_UP_SESSIONS", "0", "greater than or equal to 1"),
        ("RETRY_BUDGET_SECONDS", "nan", "finite"),
        ("CALENDAR_OVERRIDES", "2025-1-9:closed", "YYYY-MM-DD"),
        ("STRATEGY_PARAMS", "stop_atr", "name=value"),
        ("COST", "free", "bps:NUMBER"),
        ("DATA_FEED", "carrier pigeon", "'files'"),
        ("PUBLIC_URL", "example.org", "http"),
        ("OUTPUT_LOCATION", "s3://bucket/trades.csv", "gs://BUCKET/FOLDER"),
        ("OUTPUT_LOCATION", "gs://", "gs://BUCKET/FOLDER"),
        ("OUTPUT_DIR", "gs://bucket/output", "a folder on a disk"),
        ("GCS_BUCKET", "gs://bucket", "pattern"),
        ("LOG_FORMAT", "xml", "'json'"),
        ("ALPACA_API_KEY", "sm://playbook", "sm://PROJECT/SECRET/VERSION"),
        ("SYMBOLS", "sm:playbook/symbols", "sm://PROJECT/SECRET/VERSION"),
        ("LOG_LEVEL", "chatty", "'WARNING'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(FixConfig, match=name) as caught:
        load_settings(env_file)
    assert expected in caught.value.message


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    monkeypatch.setenv("SETTLE_MINUTES", "soon")
    monkeypatch.setenv("COST", "free")
    with pytest.raises(FixConfig, match=r"(?s)SETTLE_MINUTES.*COST|COST.*SETTLE_MINUTES"):
        load_settings(env_file)


def test_a_blank_setting_is_its_default_where_none_is_needed(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    for name in Settings.model_fields.keys() - {"writer_type", "symbols"}:
        monkeypatch.setenv(name.upper(), "  ")
    assert load_settings(env_file) == Settings()


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("value", ["can ary", "cañary", "sm://canary", "mongodb://me:canary@host/ and more"])
def test_a_wrong_secret_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(FixConfig, match=f"{name.upper()} is wrong") as caught:
        load_settings(env_file)
    assert "ary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "line", ["ALPACA_SECRET_KEY: canary", "ALPACA_SECRET_KEY canary", "- ALPACA_SECRET_KEY canary"]
)
def test_a_line_that_is_no_setting_is_named_and_not_shown(env_file: Path, line: str) -> None:
    env_file.write_text(f"SYMBOLS=QQQ\n{line}\n")
    with pytest.raises(FixConfig, match=r"line 2.*ALPACA_SECRET_KEY") as caught:
        load_settings(env_file)
    assert "canary" not in caught.value.message


def test_secrets_show_in_no_print_of_the_settings(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name.upper(), "canary")
    settings = load_settings(env_file)
    assert settings.secrets() == {name.upper(): "canary" for name in SECRETS}
    assert "canary" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


class TestReferences:
    """Settings that are written as sm://PROJECT/SECRET."""

    @pytest.fixture
    def held(self) -> dict[str, str]:
        return {"sm://playbook/symbols/latest": "QQQ,SPY", "sm://playbook/minutes/3": "30", "sm://playbook/bad/1": "!x"}

    @pytest.fixture
    def asked(self) -> list[str]:
        return []

    @pytest.fixture
    def read(self, held: dict[str, str], asked: list[str]) -> ReadReference:
        def answer(setting: str, reference: SecretReference) -> str:
            asked.append(setting)
            return held[str(reference)]

        return answer

    def test_those_that_are_no_secrets_are_read_with_the_rest(
        self, env_file: Path, monkeypatch: pytest.MonkeyPatch, read: ReadReference
    ) -> None:
        env_file.write_text("symbols = sm://playbook/symbols\nSETTLE_MINUTES=99\n")
        monkeypatch.setenv("SETTLE_MINUTES", " sm://playbook/minutes/3 ")
        settings = load_settings(env_file, read)
        assert (settings.symbols, settings.settle_minutes) == (("QQQ", "SPY"), 30)

    def test_one_that_a_variable_stands_above_is_not_asked_for(
        self, env_file: Path, monkeypatch: pytest.MonkeyPatch, read: ReadReference, asked: list[str]
    ) -> None:
        env_file.write_text("SYMBOLS=sm://playbook/symbols\n")
        monkeypatch.setenv("SYMBOLS", "NVDA")
        assert (load_settings(env_file, read).symbols, asked) == (("NVDA",), [])

    def test_secrets_are_left_for_whoever_needs_one(
        self, env_file: Path, read: ReadReference, asked: list[str]
    ) -> None:
        env_file.write_text("".join(f"{name.upper()}=sm://playbook/{name}\n" for name in SECRETS))
        assert load_settings(env_file, read).secrets() == {name.upper(): f"sm://playbook/{name}" for name in SECRETS}
        assert asked == []

    def test_a_wrong_value_is_told_and_not_shown(self, env_file: Path, read: ReadReference) -> None:
        env_file.write_text("SYMBOLS=sm://playbook/bad/1\n")
        with pytest.raises(FixConfig, match="SYMBOLS is wrong, as sm://playbook/bad/1 has it") as caught:
            load_settings(env_file, read)
        assert "!x" not in caught.value.message

    def test_where_nobody_can_be_asked_it_is_told(self, env_file: Path) -> None:
        env_file.write_text("SYMBOLS=sm://playbook/symbols\n")
        with pytest.raises(FixConfig, match="SYMBOLS is sm://playbook/symbols/latest"):
            load_settings(env_file)


class TestCloud:
    """What --cloud makes of settings, and what a run on Cloud Run must not be told to do."""

    BUCKET: ClassVar = {"GCS_BUCKET": "playbook"}

    @pytest.fixture
    def settings(self, monkeypatch: pytest.MonkeyPatch, env_file: Path) -> Callable[..., Settings]:
        def load(**given: str) -> Settings:
            for name, value in given.items():
                monkeypatch.setenv(name, value)
            return load_settings(env_file)

        return load

    def test_cache_journal_and_log_go_where_the_cloud_wants_them(self, settings: Callable[..., Settings]) -> None:
        changed = for_cloud(settings(**self.BUCKET))
        assert changed.data_cache_dir == "gs://playbook/data/cache"
        assert (changed.writer_type, changed.log_format) == (("gcs",), "json")
        require_lasting(changed)

    def test_what_is_blank_is_not_set(self, settings: Callable[..., Settings]) -> None:
        changed = for_cloud(settings(**self.BUCKET, DATA_CACHE_DIR=" ", LOG_FORMAT="", OUTPUT_LOCATION=""))
        assert (changed.data_cache_dir, changed.log_format) == ("gs://playbook/data/cache", "json")
        assert changed.writer_type == ("gcs",)

    def test_what_is_set_otherwise_stays(self, settings: Callable[..., Settings]) -> None:
        given = settings(DATA_CACHE_DIR="gs://other/bars", WRITER_TYPE="mongodb", LOG_FORMAT="text")
        assert for_cloud(given) == given

    @pytest.mark.parametrize("output", ["trades.csv", "gs://other/journal/", None])
    @pytest.mark.parametrize("by", ["option", "setting"])
    def test_the_place_that_was_given_chooses_the_writer(
        self, settings: Callable[..., Settings], output: str | None, by: str
    ) -> None:
        named = {"OUTPUT_LOCATION": output} if by == "setting" and output else {}
        changed = for_cloud(settings(**self.BUCKET, **named), output if by == "option" else None)
        assert changed.writer_type == (("csv",) if output == "trades.csv" else ("gcs",))

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"DATA_CACHE_DIR": "gs://other/bars"},
            {"WRITER_TYPE": "mongodb"},
            {"OUTPUT_LOCATION": "gs://other/journal/"},
        ],
    )
    def test_without_a_bucket_where_one_is_needed_it_is_asked_for(
        self, settings: Callable[..., Settings], given: dict[str, str]
    ) -> None:
        with pytest.raises(FixConfig, match="GCS_BUCKET"):
            for_cloud(settings(**given))

    @pytest.mark.parametrize(
        ("given", "output", "named"),
        [
            ({"DATA_CACHE_DIR": "./data/cache"}, None, "DATA_CACHE_DIR"),
            ({"WRITER_TYPE": "csv"}, None, "WRITER_TYPE"),
            ({"WRITER_TYPE": "gcs,csv"}, None, "WRITER_TYPE"),
            ({"OUTPUT_LOCATION": "trades.csv"}, None, "OUTPUT_LOCATION"),
            ({}, "trades.csv", "--output"),
        ],
    )
    def test_what_would_vanish_with_an_instance_is_named(
        self, settings: Callable[..., Settings], given: dict[str, str], output: str | None, named: str
    ) -> None:
        with pytest.raises(FixConfig, match=f"{named}.*vanishes"):
            require_lasting(for_cloud(settings(**self.BUCKET, **given), output), output)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [("K_SERVICE", "playbook", True), ("CLOUD_RUN_JOB", "nightly", True), ("K_SERVICE", "", False)],
    )
    def test_cloud_run_is_known_by_its_variables(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: bool
    ) -> None:
        for variable in ("K_SERVICE", "CLOUD_RUN_JOB"):
            monkeypatch.delenv(variable, raising=False)
        assert not on_cloud_run()
        monkeypatch.setenv(name, value)
        assert on_cloud_run() is expected


def test_a_key_that_looks_like_a_setting_is_warned_about(env_file: Path) -> None:
    env_file.write_text("SYMBOL=QQQ\nSETTLE_MINUTE=3\nHOME_TOWN=Utrecht\n")
    warnings = unknown_settings(env_file)
    assert len(warnings) == 2
    assert "SYMBOLS" in warnings[0]
    assert "SETTLE_MINUTES" in warnings[1]


def test_a_file_that_is_no_text_is_the_configurations_fault(env_file: Path) -> None:
    env_file.write_bytes(b"\xff\xfe\x00SYMBOLS")
    with pytest.raises(FixConfig, match="cannot be read"):
        load_settings(env_file)


def test_the_template_names_every_setting_with_its_default_and_no_other(env_file: Path) -> None:
    template = (Path(__file__).parents[2] / ".env.template").read_text()
    lines = re.findall(r"^(# )?([A-Z_]+)=(.*)$", template, flags=re.MULTILINE)
    assert {name for _, name, _ in lines} == {name.upper() for name in Settings.model_fields}
    env_file.write_text("".join(f"{name}={value}\n" for commented, name, value in lines if commented))
    assert load_settings(env_file) == Settings()
