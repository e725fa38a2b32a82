from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contracts.object_store import ObjectStoreContract
from tests.support.gcs_double import GcsDouble
from tests.support.memory_store import MemoryStore
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import ObjectStore
from trading_playbook.stores.gcs import GCSStore
from trading_playbook.stores.local import LocalStore
from trading_playbook.system import SystemClock


class TestLocalStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "not" / "there", SystemClock(), RetryBudget(SystemClock(), 10))


class TestMemoryStore(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()


@pytest.mark.parametrize("prefix", ["output/trades", ""], ids=["prefix", "whole bucket"])
class TestGCSStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
        clock = SystemClock()
        with GcsDouble(["playbook"]) as gcs:
            gcs.take_the_place_of_google(monkeypatch)
            with closing(GCSStore("playbook", prefix, clock, RetryBudget(clock, 10))) as store:
                yield store
