from __future__ import annotations

import gc
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.clocks import ManualClock
from tests.support.mongo_double import ALWAYS, AnswerLost, Fault, Hang, Kind, MongoDouble, Refuse, Reset, Slow
from tests.support.rows import trade
from tests.unit.journals.mongo import COLLECTION, DATABASE, shown, write
from trading_playbook.core.errors import FixConfig, PlaybookError, RetryLater
from trading_playbook.journals.mongo.connection import MongoPlace
from trading_playbook.journals.mongo.journal import MongoJournal
from trading_playbook.journals.mongo.runs import MongoRunLog
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.retries import ATTEMPTS
from trading_playbook.ports import RowQuery
from trading_playbook.system import SystemClock

SECRET = "p@ss:w/rd?#[]%100 ü$"
LAST = 0.8


def _place(connection: str, seconds: float = 5, collection: str = COLLECTION) -> MongoPlace:
    clock = SystemClock()
    return MongoPlace(connection, DATABASE, collection, clock, RetryBudget(clock, seconds))


@pytest.fixture(params=Kind, ids=lambda kind: kind.value)
def mongo(request: pytest.FixtureRequest) -> Iterator[MongoDouble]:
    with MongoDouble(request.param) as double:
        yield double


def test_the_library_is_not_loaded_before_the_first_call() -> None:
    script = (
        "import sys; from trading_playbook.journals.mongo import connection, journal, runs\n"
        "from trading_playbook.network.budget import RetryBudget\n"
        "from trading_playbook.system import SystemClock\n"
        "clock = SystemClock()\n"
        "place = connection.MongoPlace('mongodb://u:p@h/', 'd', 'trades', clock, RetryBudget(clock, 1))\n"
        "journal.MongoJournal(place).place, runs.MongoRunLog(place)\n"
        "sys.exit('pymongo' in sys.modules or 'bson' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("connection", "place"),
    [
        ("mongodb://localhost", "mongodb://localhost/playbook.trades"),
        ("mongodb://u:p@one:27017,two:27018/admin?replicaSet=rs", "mongodb://one:27017,two:27018/playbook.trades"),
        ("mongodb+srv://u:p@c0.abcde.mongodb.net/?w=majority", "mongodb+srv://c0.abcde.mongodb.net/playbook.trades"),
        ("mongodb://u:p%40%3A%2F@[::1]:27017", "mongodb://[::1]:27017/playbook.trades"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock", "mongodb://%2Ftmp%2Fmongodb-27017.sock/playbook.trades"),
        ("mongodb://host?tls=true", "mongodb://host/playbook.trades"),
    ],
)
def test_the_place_shows_hosts_database_and_collection_alone(connection: str, place: str) -> None:
    assert _place(connection).place == place


@pytest.mark.parametrize(
    "connection",
    [
        "",
        "localhost:27017",
        "postgres://u:SECRET@host/",
        "mongodb://",
        "mongodb://u:SECRET@",
        "mongodb://u:SECRET@/db",
        "mongodb://u:SEC@RET@host/",
        "mongodb://u:12/34SECRET@host/",
        "mongodb://u:12?34SECRET@host/",
        "mongodb://u:SEC/RET@host/",
        "mongodb://u:SECRET@ho st/",
        "mongodb://u:SECRET@host:port/",
        "mongodb://u:SECRET@host,,other/",
        "mongodb://host/?authSource=admin&x=u:SECRET@host",
    ],
)
def test_a_string_that_is_none_is_refused_at_once_and_not_shown(connection: str) -> None:
    with pytest.raises(FixConfig, match=r"MONGODB_CONNECTION .* expected is mongodb://USER:PASSWORD@HOST") as told:
        _place(connection)
    assert "SECRET" not in shown(told.value)
    assert "12" not in told.value.message


@pytest.mark.parametrize(
    "connection",
    [
        "mongodb://u:SE:CRET@host/",
        "mongodb://u:SECRET%@host/",
        "mongodb://:SECRET@host/",
        "mongodb://u:SECRET@host:99999/",
        "mongodb://u:SECRET@host/?tls=tru",
        "mongodb://u:SECRET@host/?unheardOf=1",
        "mongodb://u:SECRET@host/?tls",
        "mongodb://u:SECRET@host/?tls=true&ssl=false",
        "mongodb://u:SECRET@host/?tls=true&tlsCAFile=/not/there.pem",
        "mongodb://u:SECRET@host/?authMechanism=SECRET",
        "mongodb+srv://u:SECRET@host:27017/",
        "mongodb+srv://u:SECRET@127.0.0.1/",
        "mongodb://u:SECRET@one,two/?directConnection=true",
    ],
)
def test_what_the_library_cannot_use_is_refused_at_the_first_call_and_not_shown(connection: str) -> None:
    with pytest.raises(FixConfig, match="MONGODB_CONNECTION") as told:
        MongoJournal(_place(connection)).rows(RowQuery())
    assert "SECRET" not in shown(told.value)


@pytest.mark.parametrize("collection", ["runs", "trades_history"])
def test_the_names_of_what_lies_beside_are_kept(collection: str) -> None:
    with pytest.raises(FixConfig, match="MONGODB_COLLECTION"):
        _place("mongodb://host/", collection=collection)


def test_a_password_of_any_signs_opens_and_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        MongoDouble(Kind.REPLICA_SET, user="trader@home", password=SECRET) as mongo,
        closing(_place(mongo.connection)) as place,
    ):
        write(MongoJournal(place), trade())
        mongo.misbehave(Refuse(13, "Unauthorized"), times=ALWAYS)
        with pytest.raises(FixConfig) as told:
            MongoJournal(place).rows(RowQuery())
        seen = shown(told.value) + caplog.text + repr(place) + place.place + str(place.address("runs"))
        assert mongo.connection not in seen
    for secret in (SECRET, "p%40ss"):
        assert secret not in seen


def test_a_wrong_password_is_a_setting_to_mend() -> None:
    with MongoDouble(user="trader", password="right") as mongo:
        wrong = mongo.connection.replace("right", "SECRETandWRONG")
        with closing(_place(wrong)) as place, pytest.raises(FixConfig, match=r"18 .*user and the password") as told:
            MongoJournal(place).rows(RowQuery())
    assert "SECRET" not in shown(told.value)


def test_reads_are_of_the_primary_and_writes_to_the_majority_whatever_the_string_says(mongo: MongoDouble) -> None:
    weak = (
        "?w=1&journal=false&readPreference=secondaryPreferred&readConcernLevel=local&retryWrites=true&retryReads=true"
    )
    with closing(_place(f"{mongo.connection}{weak}&timeoutMS=1&socketTimeoutMS=1&wTimeoutMS=1")) as place:
        write(MongoJournal(place), trade())
        write(MongoJournal(place), trade(entry_price=605.5), revise=True)
    for call in mongo.calls:
        if call.kind == "find":
            assert call.command["readConcern"] == {"level": "majority"}
            assert call.command.get("$readPreference", {"mode": "primary"})["mode"] in ("primary", "primaryPreferred")
        if call.kind == "commitTransaction" or (call.kind in ("insert", "update") and "txnNumber" not in call.command):
            assert call.command["writeConcern"] == {"w": "majority", "j": True}


def test_every_command_says_how_long_it_may_take(mongo: MongoDouble) -> None:
    with closing(_place(mongo.connection)) as place:
        write(MongoJournal(place), trade())
    for call in mongo.calls:
        assert 0 < call.command["maxTimeMS"] <= 5000


@pytest.mark.parametrize("fault", [Hang(), Reset(), AnswerLost(), Refuse(10107, "NotWritablePrimary")], ids=repr)
@pytest.mark.parametrize("kind", ["find", "listIndexes", "insert"])
def test_trouble_that_does_not_end_ends_with_the_budget(kind: str, fault: Fault) -> None:
    with MongoDouble() as mongo, closing(_place(mongo.connection, LAST)) as place:
        mongo.misbehave(fault, kind=kind, times=ALWAYS)
        began = time.monotonic()
        with pytest.raises(RetryLater, match=r"/playbook\.trades cannot be"):
            write(MongoJournal(place), trade())
        assert time.monotonic() - began < LAST + 2


def test_a_server_that_nobody_listens_at_may_come_back() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = _place(f"mongodb://u:SECRET@127.0.0.1:{unused.getsockname()[1]}/", LAST)
        began = time.monotonic()
        with closing(place), pytest.raises(RetryLater, match="cannot be reached") as late:
            MongoJournal(place).rows(RowQuery())
        assert time.monotonic() - began < LAST + 2
    assert "SECRET" not in shown(late.value)


def test_a_server_that_takes_connections_and_says_nothing_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = _place(f"mongodb://127.0.0.1:{silent.getsockname()[1]}/", LAST)
        began = time.monotonic()
        with closing(place), pytest.raises(RetryLater):
            MongoJournal(place).rows(RowQuery())
        assert time.monotonic() - began < LAST + 2


def test_a_server_without_tls_is_told_where_tls_is_asked_for() -> None:
    with (
        MongoDouble() as mongo,
        closing(_place(f"{mongo.connection}?tls=true", LAST)) as place,
        pytest.raises(RetryLater, match="in the handshake of tls"),
    ):
        MongoJournal(place).rows(RowQuery())


def test_waits_are_the_runs_own(mongo: MongoDouble) -> None:
    clock = ManualClock()
    mongo.misbehave(Refuse(11600, "InterruptedAtShutdown"), kind="find", times=ALWAYS)
    with (
        closing(MongoPlace(mongo.connection, DATABASE, COLLECTION, clock, RetryBudget(clock, 60))) as place,
        pytest.raises(RetryLater, match=r"11600 \(InterruptedAtShutdown\)|cannot be reached"),
    ):
        MongoJournal(place).rows(RowQuery())
    assert mongo.kinds() == ["find"] * ATTEMPTS
    assert len(clock.slept) == ATTEMPTS - 1


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (Refuse(13, "Unauthorized", "not authorized on playbook to execute SECRET"), FixConfig, "role readWrite"),
        (Refuse(8000, "AtlasError", "bad auth : authentication failed"), FixConfig, "user and the password"),
        (Refuse(8000, "AtlasError", "you are over your space quota, using 513 MB"), RetryLater, "no space left"),
        (Refuse(14031, "OutOfDiskSpace"), RetryLater, "no space left"),
        (Refuse(12501, "Location12501", "quota exceeded"), RetryLater, "no space left"),
        (Refuse(166, "CommandNotSupportedOnView", "is a view"), FixConfig, "is a view"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_refusal_says_who_has_to_do_what(
    mongo: MongoDouble, fault: Refuse, error: type[PlaybookError], told: str
) -> None:
    mongo.misbehave(fault, kind="find", times=ALWAYS)
    with closing(_place(mongo.connection)) as place, pytest.raises(error, match=told) as raised:
        MongoJournal(place).rows(RowQuery())
    assert "SECRET" not in shown(raised.value)
    assert mongo.kinds() == ["find"]


def _privilege(actions: str, database: str = DATABASE, collection: str = "") -> dict[str, object]:
    return {"resource": {"db": database, "collection": collection}, "actions": actions.split()}


@pytest.mark.parametrize(
    ("privileges", "missing"),
    [
        ([_privilege("find insert update remove")], None),
        ([_privilege("find insert update", database="")], None),
        ([{"resource": {"anyResource": True}, "actions": ["find", "insert", "update"]}], None),
        ([{"resource": {"cluster": True}, "actions": ["find", "insert", "update"]}], "find, insert, update"),
        ([_privilege("find")], "insert, update on playbook.trades"),
        ([_privilege("find insert update", collection="trades")], "find, insert, update on playbook.trades_history"),
        ([_privilege("find insert update", database="other")], "find, insert, update on playbook.trades"),
        ([_privilege("find"), _privilege("insert update")], None),
    ],
)
def test_rights_that_are_missing_are_told_without_writing(
    privileges: list[dict[str, object]], missing: str | None
) -> None:
    with MongoDouble(user="trader", password="x") as mongo, closing(_place(mongo.connection)) as place:
        mongo.privileges = privileges
        journal = MongoJournal(place)
        if missing is None:
            journal.require_writable()
            MongoRunLog(place).require_writable()
        else:
            with pytest.raises(FixConfig, match=f"lacks {missing}.*role readWrite on the database playbook"):
                journal.require_writable()
        assert set(mongo.kinds()) == {"connectionStatus"}


def test_where_rights_cannot_be_asked_for_the_write_will_tell(mongo: MongoDouble) -> None:
    mongo.misbehave(Refuse(59, "CommandNotFound", "no such command"), kind="connectionStatus")
    with closing(_place(mongo.connection)) as place:
        MongoJournal(place).require_writable()


def test_a_server_that_is_down_cannot_be_asked_whether_it_can_be_written(mongo: MongoDouble) -> None:
    mongo.misbehave(Reset(), times=ALWAYS)
    with closing(_place(mongo.connection, LAST)) as place, pytest.raises(RetryLater):
        MongoJournal(place).require_writable()


def test_a_closed_place_opens_again(mongo: MongoDouble) -> None:
    place = _place(mongo.connection)
    write(MongoJournal(place), trade())
    place.close()
    place.close()
    assert MongoJournal(place).rows(RowQuery()) == [trade()]
    place.close()


def test_a_place_that_nobody_closes_closes_itself_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with MongoDouble(Kind.REPLICA_SET) as mongo:
        place = _place(mongo.connection)
        write(MongoJournal(place), trade())
        del place
        gc.collect()
        mongo.misbehave(Slow(0.01))
    end = time.monotonic() + 3
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before
