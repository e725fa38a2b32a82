from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contracts.journal_reader import JournalReaderContract
from tests.contracts.run_log import OpenLog, RunLogContract
from tests.contracts.trade_writer import OpenJournal, TradeWriterContract
from tests.support.gcs_double import GcsDouble
from tests.support.memory_store import MemoryStore
from trading_playbook.journals.manifests import ManifestLog
from trading_playbook.journals.partitioned import PartitionedJournal
from trading_playbook.journals.table import TableJournal
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import ObjectStore
from trading_playbook.stores.gcs import GCSStore
from trading_playbook.stores.local import LocalStore
from trading_playbook.system import SystemClock


@pytest.fixture(params=["local", "memory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    budget = RetryBudget(SystemClock(), 10)
    if request.param == "local":
        yield LocalStore(tmp_path / "output", SystemClock(), budget)
    elif request.param == "memory":
        yield MemoryStore()
    else:
        with GcsDouble(["b"]) as gcs:
            gcs.take_the_place_of_google(monkeypatch)
            with closing(GCSStore("b", "output/trades", SystemClock(), budget)) as bucket:
                yield bucket


class TestTableJournal(TradeWriterContract, JournalReaderContract):
    @pytest.fixture
    def open_journal(self, store: ObjectStore) -> OpenJournal:
        return lambda: TableJournal(store, "trades/dp20-QQQ.csv")


class TestPartitionedJournal(TradeWriterContract, JournalReaderContract):
    @pytest.fixture
    def open_journal(self, store: ObjectStore) -> OpenJournal:
        return lambda: PartitionedJournal(store, threads=4)


class TestManifestLog(RunLogContract):
    @pytest.fixture
    def open_log(self, store: ObjectStore) -> OpenLog:
        return lambda: ManifestLog(store)
