"""What the service loads when: next to nothing until it has answered its first /health."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.door import environment_with
from tests.support.modules import loaded_after

CLIENTS = {"alpaca", "google", "jwt", "cryptography", "prometheus_client", "pymongo", "requests", "urllib3"}
HEAVY = CLIENTS | {"pydantic.v1", "numpy", "pandas", "pyarrow", "polars", "plotly", "exchange_calendars", "httpx"}
OURS = {f"trading_playbook.{name}" for name in ("runs", "feeds", "stores", "journals", "secret_manager", "api")}
OURS |= {"trading_playbook.service.calls", "trading_playbook.service.metrics", "trading_playbook.core.bars"}

SETTINGS = {
    "AUTH": "oidc",
    "OIDC_AUDIENCE": "trading-playbook",
    "OIDC_SERVICE_ACCOUNTS": "caller@project.iam.gserviceaccount.com",
    "DATA_FEED": "alpaca",
    "ALPACA_API_KEY": "sm://playbook/key",
    "ALPACA_SECRET_KEY": "secret",
    "WRITER_TYPE": "csv,gcs,mongodb",
    "GCS_BUCKET": "bucket",
    "MONGODB_CONNECTION": "mongodb://localhost",
    "CALENDAR_OVERRIDES": "2025-01-09:closed",
}

START_AND_ASK = """
import asyncio
from trading_playbook.service.app import app

async def ask(path):
    answers = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        answers.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": ""}
    await app(scope, receive, send)
    return answers[0]["status"]

async def main(*calls):
    async with app.router.lifespan_context(app):
        assert [await ask(path) for path, _ in calls] == [status for _, status in calls]
"""


def test_importing_the_service_reads_no_setting(tmp_path: Path) -> None:
    found = loaded_after("import trading_playbook.service.app", tmp_path, AUTH="nonsense", SETTLE_MINUTES="soon")
    assert not found & (HEAVY | OURS | {"pydantic_settings", "trading_playbook.config", "trading_playbook.wiring"})


def test_the_first_health_loads_no_client_no_numpy_and_nothing_of_a_run(tmp_path: Path) -> None:
    found = loaded_after(f"{START_AND_ASK}\nasyncio.run(main(('/health', 200)))", tmp_path, **SETTINGS)
    assert "trading_playbook.service.app" in found
    assert not found & (HEAVY | OURS)


def test_a_call_without_a_token_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    calls = "('/health', 200), ('/journal', 401), ('/backtest', 401), ('/metrics', 401), ('/nothing', 401)"
    found = loaded_after(f"{START_AND_ASK}\nasyncio.run(main({calls}))", tmp_path, **SETTINGS)
    assert not found & (HEAVY | OURS)


def test_reading_a_journal_on_a_disk_loads_no_client(tmp_path: Path) -> None:
    calls = "('/journal', 200), ('/runs', 200), ('/stats', 200), ('/ready', 200)"
    found = loaded_after(f"{START_AND_ASK}\nasyncio.run(main({calls}))", tmp_path, AUTH="none", DATA_FEED="simulated")
    assert "trading_playbook.service.calls" in found
    assert not found & (CLIENTS | {"pandas", "pyarrow"})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("STRATEGY", "dp21", "STRATEGY or STRATEGY_PARAMS: there is no strategy 'dp21'"),
        ("STRATEGY_PARAMS", "ema_period=0", "STRATEGY or STRATEGY_PARAMS: parameter ema_period"),
        ("CALENDAR_OVERRIDES", "2099-01-09:closed", "CALENDAR_OVERRIDES"),
        ("SETTLE_MINUTES", "soon", "SETTLE_MINUTES"),
        ("OIDC_AUDIENCE", "", "OIDC_AUDIENCE"),
    ],
)
@pytest.mark.parametrize("way", ["uvicorn", "serve"])
def test_a_wrong_setting_keeps_the_service_from_starting_and_is_told(
    tmp_path: Path, way: str, name: str, value: str, told: str
) -> None:
    words = {
        "uvicorn": ["-m", "uvicorn", "trading_playbook.service.app:app", "--port", "0"],
        "serve": ["-c", "import sys; from trading_playbook.cli.main import main; sys.exit(main(['serve']))"],
    }
    environment = environment_with(**{**SETTINGS, "PORT": "18080", name: value})
    done = subprocess.run(
        [sys.executable, *words[way]], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == (2 if way == "serve" else 3)
    assert told in done.stderr
