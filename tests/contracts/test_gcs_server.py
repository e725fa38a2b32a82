"""The store in a bucket on the server of TEST_GCS_ENDPOINT, such as http://127.0.0.1:4443, with the bucket playbook."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.contracts.journal_reader import JournalReaderContract
from tests.contracts.object_store import ObjectStoreContract
from tests.contracts.run_log import OpenLog, RunLogContract
from tests.contracts.trade_writer import OpenJournal, TradeWriterContract
from trading_playbook.journals.manifests import ManifestLog
from trading_playbook.journals.partitioned import PartitionedJournal
from trading_playbook.journals.table import TableJournal
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import LostRace, ObjectStore
from trading_playbook.stores.gcs import GCSStore
from trading_playbook.system import SystemClock

SERVER = "TEST_GCS_ENDPOINT"
ENDPOINT = os.environ.get(SERVER)


OF_DELETES = frozenset(
    {
        "test_a_delete_that_names_an_older_generation_is_refused",
        "test_a_deleted_key_is_created_anew_and_other_bytes_are_of_another_generation",
    }
)
"""What a server cannot show that deletes an object whatever generation is named, as fake-gcs-server does (1.56)."""


@pytest.mark.skipif(not ENDPOINT, reason=f"{SERVER} names no server: all was tested on the double alone")
def test_a_server_of_somebody_else_is_tested_too() -> None:
    assert TestGCSServer.__test__


class TestGCSServer(ObjectStoreContract):
    __test__ = bool(ENDPOINT)

    @pytest.fixture
    def store(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
        assert ENDPOINT
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", ENDPOINT)
        clock = SystemClock()
        with closing(GCSStore("playbook", secrets.token_hex(6), clock, RetryBudget(clock, 10))) as store:
            if request.node.name in OF_DELETES and not _guards_deletes(store):
                pytest.skip("this server deletes an object of any generation; the double refuses to")
            yield store


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An empty folder of the bucket."""
    assert ENDPOINT
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", ENDPOINT)
    clock = SystemClock()
    with closing(GCSStore("playbook", secrets.token_hex(6), clock, RetryBudget(clock, 10))) as store:
        yield store


class TestGCSServerTable(TradeWriterContract, JournalReaderContract):
    __test__ = bool(ENDPOINT)

    @pytest.fixture
    def open_journal(self, bucket: ObjectStore) -> OpenJournal:
        return lambda: TableJournal(bucket, "trades.csv")


class TestGCSServerPartitioned(TradeWriterContract, JournalReaderContract):
    __test__ = bool(ENDPOINT)

    @pytest.fixture
    def open_journal(self, bucket: ObjectStore) -> OpenJournal:
        return lambda: PartitionedJournal(bucket, threads=4)


class TestGCSServerRunLog(RunLogContract):
    __test__ = bool(ENDPOINT)

    @pytest.fixture
    def open_log(self, bucket: ObjectStore) -> OpenLog:
        return lambda: ManifestLog(bucket)


def _guards_deletes(store: ObjectStore) -> bool:
    first = store.put("probe", b"one", expected=None)
    store.put("probe", b"two", expected=first)
    try:
        store.delete("probe", expected=first)
    except LostRace:
        return True
    return False
