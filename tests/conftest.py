"""Fixtures that tests of all kinds share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trading_playbook import observability

REAL_BARS = "TRADING_PLAYBOOK_BARS"


@pytest.fixture(scope="session")
def real_bars() -> Path:
    """A folder of real bars of QQQ, NVDA and others in the layout that the feed of files reads. They are not ours to
    keep in the project, so a test that wants them is skipped where they are not at hand.
    """
    named = os.environ.get(REAL_BARS)
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data" / "bars"
    if not folder.is_dir():
        pytest.skip(f"no real bars: set {REAL_BARS} to a folder with 1Min/QQQ.parquet and 1Day/QQQ.parquet in it")
    return folder


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's settings hold as a secret is hidden from log lines for as long as a process lives."""
    monkeypatch.setattr(observability, "_hidden", set())
    monkeypatch.setattr(observability, "_pattern", None)
