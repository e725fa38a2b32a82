import re
from pathlib import Path

import pytest

from trading_playbook.config import Settings, load_settings, unknown_settings
from trading_playbook.core.errors import FixConfig


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
        ("OUTPUT_LOCATION", "gs://bucket/trades.csv", "path"),
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
