"""Fixtures of the tests at the doors: a folder to work in, no settings but those of the test, a market of bars."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.door import SETTINGS, Door
from tests.support.market import Market, make_market


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in a folder of its own, without .env, and without settings of whoever runs the tests."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def door(capsys: pytest.CaptureFixture[str]) -> Door:
    return Door(capsys)


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """QQQ on 2-minute bars, fourteen sessions."""
    return make_market(tmp_path / "bars")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where a test's journal comes to lie; nothing is there yet, nor its folder."""
    return tmp_path / "out" / "trades.csv"
