"""The journal and the records of runs in MongoDB, on the double and on the server of TEST_MONGODB_CONNECTION."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.contracts.journal_reader import JournalReaderContract
from tests.contracts.run_log import OpenLog, RunLogContract
from tests.contracts.trade_writer import OpenJournal, TradeWriterContract
from tests.support.mongo_double import Kind, MongoDouble
from trading_playbook.journals.mongo.connection import MongoPlace
from trading_playbook.journals.mongo.journal import MongoJournal
from trading_playbook.journals.mongo.runs import MongoRunLog
from trading_playbook.network.budget import RetryBudget
from trading_playbook.system import SystemClock

SERVER = "TEST_MONGODB_CONNECTION"
CONNECTION = os.environ.get(SERVER)


@pytest.fixture(params=[*Kind, *([SERVER] if CONNECTION else [])], ids=lambda kind: getattr(kind, "value", kind))
def place(request: pytest.FixtureRequest) -> Iterator[MongoPlace]:
    clock = SystemClock()
    budget = RetryBudget(clock, 30)
    if CONNECTION and request.param == SERVER:
        with closing(MongoPlace(CONNECTION, f"playbook_test_{secrets.token_hex(6)}", "trades", clock, budget)) as place:
            yield place
            place.call("the scratch database is dropped", lambda reach: reach.client.drop_database(place.database))
    else:
        with (
            MongoDouble(request.param) as mongo,
            closing(MongoPlace(mongo.connection, "playbook", "trades", clock, budget)) as place,
        ):
            yield place


class TestMongoJournal(TradeWriterContract, JournalReaderContract):
    @pytest.fixture
    def open_journal(self, place: MongoPlace) -> OpenJournal:
        return lambda: MongoJournal(place)


class TestMongoRunLog(RunLogContract):
    @pytest.fixture
    def open_log(self, place: MongoPlace) -> OpenLog:
        return lambda: MongoRunLog(place)


@pytest.mark.skipif(not CONNECTION, reason=f"{SERVER} names no server: all was tested on the double alone")
def test_a_server_of_somebody_else_is_tested_too(place: MongoPlace) -> None:
    assert place.place
