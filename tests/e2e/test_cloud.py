"""Runs in the cloud: where they keep things, how they log, and keys that lie in Secret Manager. Google is a double."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.alpaca_double import KEY, SECRET, AlpacaServer, Fault, alpaca_market, hang, reset, says, status
from tests.support.door import Door, Told, rows_of, tree
from tests.support.gcs_double import TOKEN, Status
from tests.support.market import DAYS, END, START, Market
from tests.support.secrets_double import SecretsDouble
from trading_playbook import secret_manager

BUCKET = "playbook"
JOURNAL = "output/trades/dp20-QQQ.csv"
RANGE = ("--symbol", "QQQ", "--start", START, "--end", END)
REFERENCES = {"ALPACA_API_KEY": "sm://project/alpaca-key", "ALPACA_SECRET_KEY": "sm://project/alpaca-secret"}
FOREVER = float("inf")


@pytest.fixture(autouse=True)
def not_on_cloud_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("K_SERVICE", "CLOUD_RUN_JOB"):
        monkeypatch.delenv(name, raising=False)
    yield
    logging.getLogger().setLevel("WARNING")


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsDouble]:
    with SecretsDouble([BUCKET]) as double:
        double.be_google(monkeypatch)
        monkeypatch.setenv("GCS_BUCKET", BUCKET)
        yield double


@pytest.fixture
def alpaca(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
    with AlpacaServer(alpaca_market(market)) as server:
        for name, value in server.settings.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def vault(google: SecretsDouble, alpaca: AlpacaServer, monkeypatch: pytest.MonkeyPatch) -> SecretsDouble:
    """Google with the keys of Alpaca, which the settings name."""
    google.add("project", "alpaca-key", f"{KEY}\n".encode())
    google.add("project", "alpaca-secret", f"{SECRET}\n".encode())
    for name, reference in REFERENCES.items():
        monkeypatch.setenv(name, reference)
    return google


def lines_of(told: Told) -> list[dict[str, Any]]:
    """stderr as what it must be: one JSON object a line."""
    lines = [json.loads(line) for line in told.err.splitlines()]
    assert all({"severity", "message", "time"} <= line.keys() for line in lines)
    return lines


def forget_secrets() -> None:
    secret_manager._KEPT.clear()


class TestCloud:
    def test_cache_and_journal_lie_in_the_bucket_and_nothing_on_this_disk(
        self, door: Door, google: SecretsDouble, alpaca: AlpacaServer
    ) -> None:
        told = door(*RANGE, "--cloud", "--log-level", "info")
        assert told.code == 0, told.all
        objects = google.objects(BUCKET)
        assert [row["trade_date"] for row in rows_of(objects[JOURNAL])] == list(DAYS)
        assert any(name.startswith("data/cache/alpaca-sip/") for name in objects)
        assert any(name.startswith("output/trades/runs/") for name in objects)
        assert list(Path.cwd().iterdir()) == []
        (line,) = [line for line in lines_of(told) if line.get("event") == "run"]
        assert (line["severity"], line["outcome"], line["judged"]) == ("INFO", "done", len(DAYS))

    def test_a_second_run_asks_neither_alpaca_nor_for_a_secret(
        self, door: Door, vault: SecretsDouble, alpaca: AlpacaServer
    ) -> None:
        assert door(*RANGE, "--cloud").code == 0
        assert vault.asked() == ["project/alpaca-key/latest", "project/alpaca-secret/latest"]
        before, calls = vault.objects(BUCKET)[JOURNAL], alpaca.calls()
        forget_secrets()
        assert door(*RANGE, "--cloud").code == 0
        assert (len(vault.asked()), alpaca.calls()) == (2, calls)
        assert vault.objects(BUCKET)[JOURNAL] == before

    def test_the_same_rows_as_on_a_disk(self, door: Door, google: SecretsDouble, market: Market) -> None:
        call = (*market.call, *RANGE)
        assert door(*call, "--cloud").code == 0
        assert door(*call, "--output", "trades.csv").code == 0
        assert google.objects(BUCKET)[JOURNAL] == Path("trades.csv").read_bytes()

    def test_on_a_laptop_a_path_given_by_hand_stays_one(
        self, door: Door, google: SecretsDouble, market: Market
    ) -> None:
        assert door(*market.call, *RANGE, "--cloud", "--output", "trades.csv").code == 0
        assert len(rows_of(Path("trades.csv"))) == len(DAYS)
        assert google.objects(BUCKET) == {}

    def test_without_a_bucket_it_is_asked_for_in_a_log_line(self, door: Door, market: Market) -> None:
        told = door(*market.call, *RANGE, "--cloud")
        assert told.code == 2
        (line,) = lines_of(told)
        assert line["severity"] == "ERROR"
        assert "GCS_BUCKET" in line["message"]

    def test_a_place_in_a_bucket_for_the_csv_writer_is_refused(self, door: Door, market: Market) -> None:
        told = door(*market.call, *RANGE, "--output", "gs://playbook/journal/")
        assert told.code == 2
        assert "--output" in told.err
        assert "WRITER_TYPE=gcs" in told.err
        assert not Path("gs:").exists()

    def test_the_help_tells_of_it(self, door: Door) -> None:
        assert "--cloud" in door("--help").out


class TestCloudRun:
    @pytest.mark.parametrize("variable", ["K_SERVICE", "CLOUD_RUN_JOB"])
    def test_there_it_is_the_default(
        self, door: Door, google: SecretsDouble, market: Market, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "playbook")
        told = door(*market.call, *RANGE)
        assert told.code == 0, told.all
        assert JOURNAL in google.objects(BUCKET)

    @pytest.mark.parametrize(
        ("setting", "value", "option"),
        [
            ("DATA_CACHE_DIR", "./data/cache", ()),
            ("WRITER_TYPE", "csv", ()),
            ("OUTPUT_LOCATION", "./trades.csv", ()),
            ("--output", "", ("--output", "trades.csv")),
        ],
    )
    def test_what_would_vanish_is_refused_by_name_and_nothing_is_touched(
        self,
        door: Door,
        google: SecretsDouble,
        market: Market,
        monkeypatch: pytest.MonkeyPatch,
        setting: str,
        value: str,
        option: tuple[str, ...],
    ) -> None:
        monkeypatch.setenv("K_SERVICE", "playbook")
        if value:
            monkeypatch.setenv(setting, value)
        before = tree(Path.cwd())
        told = door(*market.call, *RANGE, *option)
        assert told.code == 2
        (line,) = lines_of(told)
        assert setting in line["message"]
        assert (google.objects(BUCKET), tree(Path.cwd())) == ({}, before)


class TestSecretManager:
    def test_a_plain_setting_is_read_from_it_at_the_start(
        self, door: Door, google: SecretsDouble, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        google.add("project", "symbols", b"QQQ\n")
        monkeypatch.setenv("SYMBOLS", "sm://project/symbols")
        told = door(*market.call, "--start", START, "--end", END, "--output", "trades.csv")
        assert told.code == 0, told.all
        assert len(rows_of(Path("trades.csv"))) == len(DAYS)

    @pytest.mark.parametrize("cloud", [(), ("--cloud",)], ids=["text", "json"])
    def test_a_missing_permission_names_setting_and_secret(
        self, door: Door, vault: SecretsDouble, alpaca: AlpacaServer, cloud: tuple[str, ...]
    ) -> None:
        vault.deny("project", "alpaca-secret")
        told = door(*RANGE, *cloud)
        assert told.code == 2
        for word in ("ALPACA_SECRET_KEY", "sm://project/alpaca-secret/latest", "roles/secretmanager.secretAccessor"):
            assert word in told.err
        assert SECRET not in told.all
        assert alpaca.calls() == 0

    def test_where_one_of_the_keys_is_not_set_the_other_is_not_asked_for(
        self, door: Door, vault: SecretsDouble, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("ALPACA_SECRET_KEY")
        told = door(*RANGE)
        assert told.code == 2
        assert "ALPACA_SECRET_KEY is not set" in told.err
        assert vault.calls == []

    def test_keys_that_were_rotated_are_read_again_without_a_restart(
        self, door: Door, vault: SecretsDouble, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert door(*RANGE).code == 0
        vault.add("project", "alpaca-key", b"PKTHENEWERKEY")
        vault.add("project", "alpaca-secret", b"the-newer-secret")
        with AlpacaServer(alpaca_market(market), key="PKTHENEWERKEY", secret="the-newer-secret") as rotated:
            for name in ("ALPACA_DATA_URL", "ALPACA_TRADING_URL"):
                monkeypatch.setenv(name, rotated.url)
            told = door(*RANGE, "--force-refresh")
            assert told.code == 0, told.all
            assert len(vault.asked()) == 4
            assert len({request.credentials for request in rotated.asked()}) == 2

    def test_keys_that_are_wrong_are_read_again_once(
        self, door: Door, vault: SecretsDouble, alpaca: AlpacaServer
    ) -> None:
        alpaca.misbehave(status(401, "request is not authorized"), times=None)
        told = door(*RANGE)
        assert told.code == 2
        assert "ALPACA_API_KEY and ALPACA_SECRET_KEY are a valid pair" in told.err
        assert vault.asked() == ["project/alpaca-key/latest", "project/alpaca-secret/latest"] * 2


SECRETS = {KEY, SECRET, "mongo-canary-password", TOKEN}
"""What no run may show: keys of Alpaca, a password of MongoDB, Google's token."""

FAULTS: dict[str, Fault | None] = {
    "none": None,
    "refused, and told the key": says(json.dumps({"message": f"key {KEY} / {SECRET} is wrong"}), status=401),
    "a question called wrong, and told the key": says(json.dumps({"message": f"{SECRET} is no symbol"}), status=422),
    "an error page with the key": says(f"<html>{KEY} {SECRET}</html>", status=500, content_type="text/html"),
    "reset": reset(),
    "hanging": hang(),
}


@pytest.mark.parametrize("held", ["in the environment", "in Secret Manager"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_shows_whatever_goes_wrong(
    door: Door,
    vault: SecretsDouble,
    alpaca: AlpacaServer,
    monkeypatch: pytest.MonkeyPatch,
    held: str,
    fault: Fault | None,
    form: str,
) -> None:
    connection = "mongodb+srv://trader:mongo-canary-password@cluster0.example.net/"
    if held == "in the environment":
        for name, value in alpaca.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MONGODB_CONNECTION", connection)
    monkeypatch.setenv("LOG_FORMAT", form)
    monkeypatch.setenv("RETRY_BUDGET_SECONDS", "1")
    if fault is not None:
        alpaca.misbehave(fault, times=None)
    vault.misbehave(Status(503), kind="put", times=1)
    told = door(*RANGE, "--cloud", "--json", "-v", "--log-level", "debug")
    kept = "".join(f"{name}\n{content!r}" for name, content in vault.objects(BUCKET).items())
    assert told.err
    for secret in SECRETS:
        assert secret not in told.all
        assert secret not in kept
