"""Fixtures of the HTTP door's tests: a folder to work in, no settings but those of the test, a market, a service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clocks import ManualClock
from tests.support.door import SETTINGS
from tests.support.market import Market, make_market
from tests.support.service import Service

EVENING = datetime(2025, 12, 5, 22, 0, 5, tzinfo=UTC)
"""A Friday, an hour after the close."""

MakeService = Callable[..., Service]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test works in a folder of its own, without settings of whoever runs the tests."""
    for name in (*SETTINGS, "K_SERVICE", "CLOUD_RUN_JOB", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    logging.getLogger().setLevel("WARNING")


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """QQQ on 2-minute bars, fourteen sessions."""
    return make_market(tmp_path / "bars")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(EVENING)


@pytest.fixture
def settings(market: Market, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets settings in the environment; from the start those of a service that reads the market's folder."""

    def set_all(**given: str) -> None:
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    set_all(AUTH="none", DATA_FEED="files", DATA_DIR=str(market.root), OUTPUT_DIR="journal", LOG_FORMAT="json")
    return set_all


@pytest.fixture
def service(settings: Callable[..., None], clock: ManualClock) -> Service:
    return Service(clock)


@pytest.fixture
def journal(own_folder: Path) -> Path:
    return own_folder / "journal" / "trades.csv"
