"""A double of MongoDB on loopback: its wire protocol as pymongo uses it, alone or as a replica set of one.

It holds what MongoDB promises of what we use: unique _ids, whole documents, transactions with a snapshot of their own
that conflicts end, majority reads that see nothing the majority lacks, SCRAM-SHA-256, and errors by MongoDB's numbers.

    with MongoDouble(Kind.REPLICA_SET) as mongo:
        mongo.misbehave(Refuse(10107), kind="insert")
        ...
        assert mongo.documents("playbook", "trades") == [{...}]
        assert mongo.kinds() == ["insert", "insert"]
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import bson

from tests.support.mongo_engine import (
    Collections,
    Document,
    Duplicate,
    Engine,
    Refused,
    Transaction,
    grouped,
    projected,
    sorted_by,
    was_upserted,
)

ALWAYS = 10**9
FIRST_BATCH = 101
BATCH = 5000
SALT = b"sixteen bytes..."
ROUNDS = 4096

_QUERY, _REPLY, _MESSAGE = 2004, 1, 2013
_SILENT = frozenset({"hello", "ismaster", "isMaster", "endSessions", "saslStart", "saslContinue", "killCursors"})
_OPEN_TO_ALL = frozenset({*_SILENT, "ping", "buildInfo", "connectionStatus"})


class Kind(Enum):
    """What the double says it is."""

    STANDALONE = "standalone"
    REPLICA_SET = "replica set"


class Call(NamedTuple):
    """A command: its name, the collection (or what stands there), and all of it."""

    kind: str
    collection: Any
    command: Document


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer by an error of this number, with nothing done."""

    code: int
    name: str = ""
    text: str = "refused"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RefuseDocument:
    """Answer that the first document could not be written, with nothing done."""

    code: int
    text: str = "refused"


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Do what is asked, and answer that the majority did not confirm it."""

    code: int = 64


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the command, do nothing, answer nothing."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Do what is asked, and answer after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection, with nothing done."""


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """Do what is asked, then break the connection."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Right before, let somebody else do this."""

    work: Callable[[], object]


Fault = Refuse | RefuseDocument | Unconfirmed | Hang | Slow | Reset | AnswerLost | Rival


@dataclass(slots=True)
class _Rule:
    fault: Fault
    kind: str | None
    left: int


class _Broken(Exception):
    """The connection is to be broken."""


class MongoDouble:
    """A server on a port of its own. user: who may do anything, with a password; nobody else may then."""

    def __init__(self, kind: Kind = Kind.STANDALONE, *, user: str | None = None, password: str = "") -> None:
        self.kind = kind
        self.engine = Engine()
        self.calls: list[Call] = []
        self.privileges: list[Document] | None = None
        self._user, self._password = user, password
        self._majority: Collections | None = None
        self._rules: list[_Rule] = []
        self._cursors: dict[int, list[Document]] = {}
        self._committed: dict[bytes, Any] = {}
        self._numbers = count(1)
        self._sockets: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        double = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                double._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = False
            block_on_close = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with self._lock:
            for used in self._sockets:
                with suppress(OSError):
                    used.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def connection(self) -> str:
        who = f"{quote(self._user, safe='')}:{quote(self._password, safe='')}@" if self._user else ""
        return f"mongodb://{who}{self.host}/"

    def misbehave(self, fault: Fault, *, kind: str | None = None, times: int = 1) -> None:
        """Let the next so many commands, of one name or of any, fail like this."""
        self._rules.append(_Rule(fault, kind, times))

    def behave(self) -> None:
        self._rules.clear()

    def fall_behind(self) -> None:
        """From now on the majority gets nothing more: writes are not confirmed, majority reads do not see them."""
        self._majority = self.engine.snapshot()

    def catch_up(self) -> None:
        self._majority = None

    def documents(self, database: str, collection: str) -> list[Document]:
        found = self.engine.snapshot().get((database, collection), {}).values()
        return sorted(found, key=lambda document: str(document["_id"]))

    def insert(self, database: str, collection: str, document: Document) -> None:
        """Put a document there as somebody else."""
        self.engine.insert(None, (database, collection), document)

    def update(self, database: str, collection: str, condition: Document, change: Document) -> None:
        """Change a document as somebody else."""
        assert self.engine.update(None, (database, collection), {"q": condition, "u": change})[0]

    def kinds(self) -> list[str]:
        """The names of the commands so far, without those that pymongo sends by itself."""
        return [call.kind for call in self.calls]

    def _serve(self, used: socket.socket) -> None:
        with self._lock:
            self._sockets.add(used)
        session = _Session(self._user is None)
        try:
            while not self._stopping.is_set():
                request, form, command, more = _read(used)
                answer = self._answer(command, session)
                if not more:
                    used.sendall(_written(answer, request, form))
        except (OSError, _Broken, EOFError):
            pass
        finally:
            with self._lock:
                self._sockets.discard(used)
            # So that the other side sees it break, and not end.
            with suppress(OSError):
                used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            used.close()

    def _answer(self, command: Document, session: _Session) -> Document:
        kind = next(iter(command))
        fault = self._next_fault(kind)
        if kind not in _SILENT:
            self.calls.append(Call(kind, command[kind], command))
        if isinstance(fault, Hang):
            self._stopping.wait()
            raise _Broken
        if isinstance(fault, Reset):
            raise _Broken
        if isinstance(fault, Rival):
            fault.work()
        try:
            if isinstance(fault, Refuse):
                raise Refused(fault.code, fault.name, fault.text, fault.labels)
            if isinstance(fault, RefuseDocument):
                return {"ok": 1.0, "n": 0, "writeErrors": [_write_error(0, fault.code, fault.text)]}
            if not session.signed_in and kind not in _OPEN_TO_ALL:
                raise Refused(13, "Unauthorized", f"command {kind} requires authentication")
            answer = self._do(kind, command, session)
        except Refused as refused:
            self._end_by_error(command)
            answer = _error(refused)
        if isinstance(fault, AnswerLost):
            raise _Broken
        if isinstance(fault, Slow):
            self._stopping.wait(fault.seconds)
        unconfirmed = fault.code if isinstance(fault, Unconfirmed) else 64
        if answer["ok"] and (
            isinstance(fault, Unconfirmed) or (self._majority is not None and "writeConcern" in command)
        ):
            told = "waiting for replication timed out"
            answer["writeConcernError"] = {"code": unconfirmed, "errmsg": told, "errInfo": {"wtimeout": True}}
        return answer

    def _next_fault(self, kind: str) -> Fault | None:
        for rule in self._rules:
            if rule.left and (rule.kind == kind if rule.kind else kind not in _SILENT):
                rule.left -= 1
                return rule.fault
        return None

    def _do(self, kind: str, command: Document, session: _Session) -> Document:
        if kind in ("hello", "ismaster", "isMaster"):
            return self._hello(command)
        method = getattr(self, f"_{kind}", None)
        if method is None:
            raise Refused(59, "CommandNotFound", f"no such command: '{kind}'")
        answer: Document = method(command, session)
        return {**answer, "ok": 1.0}

    def _hello(self, command: Document) -> Document:
        told: Document = {
            "helloOk": True,
            "isWritablePrimary": True,
            "ismaster": True,
            "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "readOnly": False,
            "ok": 1.0,
        }
        if self.kind is Kind.REPLICA_SET:
            told |= {"setName": "rs0", "setVersion": 1, "hosts": [self.host], "primary": self.host, "me": self.host}
            told |= {"secondary": False, "electionId": bson.ObjectId("7fffffff0000000000000001")}
        if "saslSupportedMechs" in command:
            told["saslSupportedMechs"] = ["SCRAM-SHA-256"]
        return told

    def _ping(self, command: Document, session: _Session) -> Document:
        return {}

    def _endSessions(self, command: Document, session: _Session) -> Document:  # noqa: N802 - the command's name
        return {}

    def _connectionStatus(self, command: Document, session: _Session) -> Document:  # noqa: N802
        users = [{"user": self._user, "db": "admin"}] if self._user and session.signed_in else []
        told: Document = {"authenticatedUsers": users, "authenticatedUserRoles": []}
        if command.get("showPrivileges"):
            told["authenticatedUserPrivileges"] = self.privileges or []
        return {"authInfo": told}

    def _saslStart(self, command: Document, session: _Session) -> Document:  # noqa: N802
        first = bytes(command["payload"]).decode()
        bare = first.removeprefix("n,,")
        fields = _fields(bare)
        session.name = fields["n"].replace("=2C", ",").replace("=3D", "=")
        session.nonce = fields["r"] + secrets.token_hex(8)
        server_first = f"r={session.nonce},s={base64.b64encode(SALT).decode()},i={ROUNDS}"
        session.said = f"{bare},{server_first}"
        return {"conversationId": 1, "done": False, "payload": server_first.encode()}

    def _saslContinue(self, command: Document, session: _Session) -> Document:  # noqa: N802
        final = bytes(command["payload"]).decode()
        if not final:
            return {"conversationId": 1, "done": True, "payload": b""}
        without_proof, _, proof = final.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), SALT, ROUNDS)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        said = f"{session.said},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), said, "sha256")
        expected = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        if session.name != self._user or base64.b64decode(proof) != expected:
            raise Refused(18, "AuthenticationFailed", "Authentication failed.")
        session.signed_in = True
        server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
        payload = b"v=" + base64.b64encode(server_signature)
        return {"conversationId": 1, "done": True, "payload": payload}

    def _find(self, command: Document, session: _Session) -> Document:
        namespace = command["$db"], command["find"]
        found = self.engine.find(self._seen(command), namespace, command.get("filter", {}))
        found = sorted_by(found, command.get("sort", {}))
        if limit := command.get("limit"):
            found = found[:limit]
        first = command.get("batchSize", FIRST_BATCH)
        kept = [projected(each, command.get("projection", {})) for each in found]
        return self._cursor(".".join(namespace), kept, first)

    def _aggregate(self, command: Document, session: _Session) -> Document:
        namespace = command["$db"], command["aggregate"]
        found = grouped(self.engine.find(self._seen(command), namespace, {}), command["pipeline"])
        return self._cursor(".".join(namespace), list(found))

    def _cursor(self, namespace: str, found: list[Document], size: int = FIRST_BATCH) -> Document:
        first, rest = found[:size], found[size:]
        number = next(self._numbers) if rest else 0
        if rest:
            self._cursors[number] = rest
        return {"cursor": {"firstBatch": first, "id": bson.Int64(number), "ns": namespace}}

    def _getMore(self, command: Document, session: _Session) -> Document:  # noqa: N802
        number = int(command["getMore"])
        if number not in self._cursors:
            raise Refused(43, "CursorNotFound", f"cursor id {number} not found")
        found = self._cursors.pop(number)
        size = command.get("batchSize", BATCH)
        first, rest = found[:size], found[size:]
        if rest:
            self._cursors[number] = rest
        told = bson.Int64(number if rest else 0)
        return {"cursor": {"nextBatch": first, "id": told, "ns": f"{command['$db']}.{command['collection']}"}}

    def _killCursors(self, command: Document, session: _Session) -> Document:  # noqa: N802
        for number in command["cursors"]:
            self._cursors.pop(int(number), None)
        return {"cursorsKilled": command["cursors"]}

    def _insert(self, command: Document, session: _Session) -> Document:
        within = self._transaction(command)
        namespace = command["$db"], command["insert"]
        self._make(namespace)
        errors = []
        for index, document in enumerate(command["documents"]):
            try:
                self.engine.insert(within, namespace, document)
            except Duplicate as duplicate:
                if within is not None:
                    self.engine.abort(_session_of(command))
                    return {"n": 0, "writeErrors": [_write_error(index, duplicate.code, duplicate.told)]}
                errors.append(_write_error(index, duplicate.code, duplicate.told))
                if command.get("ordered", True):
                    break
        done = {"n": len(command["documents"]) - len(errors)}
        return {**done, "writeErrors": errors} if errors else done

    def _update(self, command: Document, session: _Session) -> Document:
        within = self._transaction(command)
        namespace = command["$db"], command["update"]
        self._make(namespace)
        found = modified = 0
        upserted = []
        for index, statement in enumerate(command["updates"]):
            matched, changed, identity = self.engine.update(within, namespace, statement)
            found, modified = found + matched, modified + changed
            if was_upserted(identity):
                upserted.append({"index": index, "_id": identity})
        answer: Document = {"n": found, "nModified": modified}
        return {**answer, "upserted": upserted} if upserted else answer

    def _delete(self, command: Document, session: _Session) -> Document:
        within = self._transaction(command)
        namespace = command["$db"], command["delete"]
        return {"n": sum(self.engine.delete(within, namespace, each["q"]) for each in command["deletes"])}

    def _createIndexes(self, command: Document, session: _Session) -> Document:  # noqa: N802
        namespace = command["$db"], command["createIndexes"]
        self._make(namespace)
        there = self.engine.indexes[namespace]
        for index in command["indexes"]:
            same = [each for each in there if each["key"] == index["key"]]
            if same and same[0]["name"] != index["name"]:
                raise Refused(85, "IndexOptionsConflict", "Index already exists with a different name")
            if not same:
                there.append({"v": 2, **index})
        return {"numIndexesAfter": len(there)}

    def _listIndexes(self, command: Document, session: _Session) -> Document:  # noqa: N802
        namespace = command["$db"], command["listIndexes"]
        if namespace not in self.engine.indexes:
            raise Refused(26, "NamespaceNotFound", f"ns does not exist: {'.'.join(namespace)}")
        return self._cursor(".".join(namespace), list(self.engine.indexes[namespace]))

    def _dropDatabase(self, command: Document, session: _Session) -> Document:  # noqa: N802
        self.engine.drop(command["$db"])
        return {}

    def _commitTransaction(self, command: Document, session: _Session) -> Document:  # noqa: N802
        known = _session_of(command)
        if known not in self.engine.transactions:
            if known in self._committed and self._committed[known] == command["txnNumber"]:
                return {}  # as it answers when it is asked again
            raise Refused(251, "NoSuchTransaction", "it was aborted", ["TransientTransactionError"])
        self.engine.commit(known)
        self._committed[known] = command["txnNumber"]
        return {}

    def _abortTransaction(self, command: Document, session: _Session) -> Document:  # noqa: N802
        if _session_of(command) not in self.engine.transactions:
            raise Refused(251, "NoSuchTransaction", "it was aborted")
        self.engine.abort(_session_of(command))
        return {}

    def _transaction(self, command: Document) -> Transaction | None:
        """The transaction that a command is in, begun where it says so."""
        if "txnNumber" not in command:
            return None
        if self.kind is Kind.STANDALONE:
            told = "Transaction numbers are only allowed on a replica set member or mongos"
            raise Refused(20, "IllegalOperation", told)
        if command.get("autocommit") is not False:
            raise Refused(72, "InvalidOptions", "a retryable write, which nobody asked for")
        known = _session_of(command)
        if command.get("startTransaction"):
            return self.engine.begin(known, command["txnNumber"])
        found = self.engine.transactions.get(known)
        if found is None:
            raise Refused(251, "NoSuchTransaction", "it was aborted", ["TransientTransactionError"])
        return found

    def _end_by_error(self, command: Document) -> None:
        """An error ends the transaction that it happens in."""
        if "txnNumber" in command:
            self.engine.abort(_session_of(command))

    def _seen(self, command: Document) -> Collections:
        if (within := self._transaction(command)) is not None:
            return within.view
        if command.get("readConcern", {}).get("level") == "majority" and self._majority is not None:
            return self._majority
        return self.engine.snapshot()

    def _make(self, namespace: tuple[str, str]) -> None:
        self.engine.indexes.setdefault(namespace, [{"v": 2, "key": {"_id": 1}, "name": "_id_"}])


class _Session:
    """What is known of a connection."""

    def __init__(self, signed_in: bool) -> None:
        self.signed_in = signed_in
        self.name = self.nonce = self.said = ""


def _session_of(command: Mapping[str, Any]) -> bytes:
    return bytes(command["lsid"]["id"])


def _fields(text: str) -> dict[str, str]:
    return {part[0]: part[2:] for part in text.split(",")}


def _write_error(index: int, code: int, told: str) -> Document:
    return {"index": index, "code": code, "errmsg": told}


def _error(refused: Refused) -> Document:
    answer: Document = {"ok": 0.0, "errmsg": refused.told, "code": refused.code, "codeName": refused.name}
    return {**answer, "errorLabels": list(refused.labels)} if refused.labels else answer


def _exactly(used: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        piece = used.recv(min(1 << 20, length - len(found)))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


def _read(used: socket.socket) -> tuple[int, int, Document, bool]:
    """A message: its number, its form, the command in it, and whether no answer is wanted."""
    length, request, _, form = struct.unpack("<iiii", _exactly(used, 16))
    if form not in (_QUERY, _MESSAGE):
        raise _Broken
    body = _exactly(used, length - 16)
    if form == _QUERY:
        end = body.index(b"\0", 4) + 1
        return request, form, bson.decode(body[end + 8 :]), False
    flags = struct.unpack_from("<I", body)[0]
    command: Document = {}
    place = 4
    while place < len(body) - (4 if flags & 1 else 0):
        kind = body[place]
        size = struct.unpack_from("<i", body, place + 1)[0]
        if kind == 0:
            command = {**bson.decode(body[place + 1 : place + 1 + size]), **command}
        else:
            end = body.index(b"\0", place + 5)
            documents = bson.decode_all(body[end + 1 : place + 1 + size])
            command[body[place + 5 : end].decode()] = documents
        place += 1 + size
    return request, form, command, bool(flags & 2)


def _written(answer: Document, request: int, form: int) -> bytes:
    content = bson.encode(answer)
    if form == _QUERY:
        body = struct.pack("<iqii", 8, 0, 0, 1) + content
        return struct.pack("<iiii", 16 + len(body), 0, request, _REPLY) + body
    body = struct.pack("<IB", 0, 0) + content
    return struct.pack("<iiii", 16 + len(body), 0, request, _MESSAGE) + body
