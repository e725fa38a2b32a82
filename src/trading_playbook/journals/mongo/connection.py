"""The way to one collection of a MongoDB server and to those beside it."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from trading_playbook.core.errors import FixConfig
from trading_playbook.journals.mongo.failures import SETTING, as_ours, unusable
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.retries import with_retries
from trading_playbook.ports import Clock

HISTORY_ENDING = "_history"
"""After the journal's name, of the collection that keeps the replaced rows."""

RUNS = "runs"
"""The collection that keeps the records of runs."""

READ_ROWS = 5000
CALL_SECONDS = 30.0
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0

_STRING = re.compile(
    r"(?P<scheme>mongodb(?:\+srv)?)://(?:[^@/?\s]*@)?(?P<hosts>[^@/?\s]+)(?:/[^@?\s]*)?(?:\?(?P<options>[^@\s]*))?"
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|%2[Ff][A-Za-z0-9._%-]+)(?::[0-9]{1,5})?")

Answer = TypeVar("Answer")


class Reach(NamedTuple):
    """A connected client, and the database by it: read from the primary, written to the majority."""

    client: Any
    database: Any


class MongoPlace:
    """One collection and its server. The library is loaded at the first call; any thread may call.

    Whatever the connection string says of reading and writing, reads are of the primary and see what the majority has,
    writes are on the disks of the majority, and a call is repeated by us alone, within the run's budget.
    """

    def __init__(self, connection: str, database: str, collection: str, clock: Clock, budget: RetryBudget) -> None:
        """Raises FixConfig where the connection string is none, or the collection's name is needed otherwise."""
        self._scheme, self._hosts = _shown_parts(connection)
        if collection == RUNS or collection.endswith(HISTORY_ENDING):
            raise FixConfig(
                f"MONGODB_COLLECTION is {collection!r}: {RUNS} and names that end with {HISTORY_ENDING} are kept for "
                "what lies beside a journal; give another one"
            )
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._reach: Reach | None = None
        self._closing: Callable[[], object] | None = None
        self._transactions: bool | None = None
        self.database = database
        self.collection = collection
        self.budget = budget

    @property
    def history(self) -> str:
        """The collection of the replaced rows."""
        return f"{self.collection}{HISTORY_ENDING}"

    @property
    def place(self) -> str:
        """The journal's address without user, password and options."""
        return self.address(self.collection)

    def address(self, collection: str) -> str:
        return f"{self._scheme}://{self._hosts}/{self.database}.{collection}"

    def call(self, doing: str, work: Callable[[Reach], Answer]) -> Answer:
        """What `work` answers, tried again where it fails in a way that may pass: it does no harm when done twice.

        doing: what is not done where it fails. Raises as `as_ours` does, but no Temporary.
        """
        from pymongo import timeout

        def attempt(seconds: float) -> Answer:
            # The library counts this over all that it does inside, the choice of a server too, hands what is left of it
            # to the server as maxTimeMS, and leaves wtimeout out, since waiting for the majority is part of it.
            with as_ours(doing, self.database), timeout(min(CALL_SECONDS, seconds)):
                return work(self._open())

        return with_retries(attempt, self.budget)

    def read(self, doing: str, find: Callable[[Reach], Any]) -> list[Any]:
        """The documents of the cursor that `find` opens, all from its beginning again where one part fails.

        Each part has the time of a call, since many rows may take longer than one should wait for a single answer.
        """
        from pymongo import timeout

        def attempt(seconds: float) -> list[Any]:
            limit = min(CALL_SECONDS, seconds)
            found: list[Any] = []
            with as_ours(doing, self.database):
                with timeout(limit):
                    cursor = find(self._open()).batch_size(READ_ROWS)
                while True:
                    with timeout(limit):
                        part = list(islice(cursor, READ_ROWS))
                    found += part
                    if len(part) < READ_ROWS:
                        return found

        return with_retries(attempt, self.budget)

    def has_transactions(self) -> bool:
        """Whether the server is one of a replica set or of a sharded cluster: one that stands alone has none."""
        if self._transactions is None:
            told = self.call(f"{self.place} cannot be reached", lambda reach: reach.client.admin.command("hello"))
            self._transactions = "setName" in told or told.get("msg") == "isdbgrid"
        return self._transactions

    def do_without_transactions(self) -> None:
        """Believe a server that said it had them, and then that it has not."""
        self._transactions = False

    def require_rights(self, collections: Sequence[str], actions: Sequence[str]) -> None:
        """Raise FixConfig where the server says that its user may not do these things to these collections.

        Where it knows no users, or tells nobody what they may do, writing will show it.
        """
        doing = f"{self.place} cannot be written"
        asked = {"connectionStatus": 1, "showPrivileges": True}
        try:
            told = self.call(doing, lambda reach: reach.client.admin.command(asked))["authInfo"]
        except FixConfig:
            self.call(doing, lambda reach: reach.client.admin.command("ping"))
            return
        granted = told.get("authenticatedUserPrivileges")
        if not told.get("authenticatedUsers") or granted is None:
            return
        for collection in collections:
            if missing := sorted(set(actions) - _actions_on(granted, self.database, collection)):
                raise FixConfig(
                    f"{doing}: the user of {SETTING} lacks {', '.join(missing)} on {self.database}.{collection}; "
                    f"give it the role readWrite on the database {self.database}"
                )

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            if self._closing is not None:
                self._closing()
            self._reach = self._closing = None

    def _open(self) -> Reach:
        with self._lock:
            if self._reach is None:
                client = _client(self._connection)
                self._reach = Reach(client, _database(client, self.database))
                # The library warns of a client that nobody closed: this one is closed with the place, or at the end.
                self._closing = weakref.finalize(self, _close, client)
            return self._reach


def _actions_on(granted: Iterable[Any], database: str, collection: str) -> set[str]:
    """What privileges allow on a collection; an empty name in a resource stands for every one."""
    return {
        action
        for privilege in granted
        for where in (privilege["resource"],)
        if where.get("anyResource")
        or (where.get("db") in ("", database) and where.get("collection") in ("", collection))
        for action in privilege["actions"]
    }


def in_transaction(reach: Reach, work: Callable[[Any], None]) -> None:
    """Do all that `work` does with the session that it is handed, or nothing."""
    from pymongo import ReadPreference, WriteConcern
    from pymongo.read_concern import ReadConcern

    with (
        reach.client.start_session() as session,
        session.start_transaction(
            read_concern=ReadConcern("snapshot"),
            write_concern=WriteConcern("majority", j=True),
            read_preference=ReadPreference.PRIMARY,
        ),
    ):
        work(session)


def _client(connection: str) -> Any:
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError, InvalidURI
    from pymongo.uri_parser import split_options

    found = _STRING.fullmatch(connection)
    try:
        # The library would only warn of an option that it cannot use, and go on without: without tls, for one.
        if found and found["options"]:
            split_options(found["options"])
        return MongoClient(
            connection,
            appname="trading-playbook",
            connectTimeoutMS=int(CONNECT_SECONDS * 1000),
            datetime_conversion="DATETIME_AUTO",
            # Ours would not see its tries, nor count their time; and what is repeated here does no harm on any server,
            # where the library's own way of it takes a replica set.
            retryReads=False,
            retryWrites=False,
            serverMonitoringMode="poll",
            serverSelectionTimeoutMS=int(CONNECT_SECONDS * 2000),
            socketTimeoutMS=int(CALL_SECONDS * 1000),
        )
    except ConfigurationError as error:
        if error.__cause__ is not None and not isinstance(error, InvalidURI):
            raise  # the name of a server was looked up
        raise unusable() from None
    except (TypeError, ValueError, OSError):  # OSError: a file of certificates that is not there
        raise unusable() from None


def _database(client: Any, name: str) -> Any:
    from pymongo import ReadPreference, WriteConcern
    from pymongo.read_concern import ReadConcern

    return client.get_database(
        name,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority"),
        # j: a server that stands alone is its own majority, and would answer before the row is on its disk.
        write_concern=WriteConcern("majority", j=True),
    )


def _close(client: Any) -> None:
    """Close a client; it says so to the server, but not for long."""
    from pymongo import timeout

    with timeout(CLOSE_SECONDS):
        client.close()


def _shown_parts(connection: str) -> tuple[str, str]:
    """The scheme and the hosts of a connection string, sure to hold no part of a password.

    An @ after the hosts would mean that what looks like hosts may be the beginning of a password with a sign in it.
    """
    found = _STRING.fullmatch(connection)
    if found is None or not all(map(_HOST.fullmatch, found["hosts"].split(","))):
        raise unusable()
    return found["scheme"], found["hosts"]
