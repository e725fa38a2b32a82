from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.object_store import ObjectStoreContract
from tests.support.memory_store import MemoryStore
from trading_playbook.ports import ObjectStore
from trading_playbook.stores.local import LocalStore
from trading_playbook.system import SystemClock


class TestLocalStore(ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path / "not" / "there", SystemClock(), patience_seconds=10)


class TestMemoryStore(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()
