"""A double of Google Cloud Storage on loopback: its JSON API as Google's own client uses it, and its misbehaviours.

It holds what Google promises: generations that only grow, preconditions that are checked together with what they guard,
checksums that are compared before anything is stored, permissions, and errors in Google's own words.

    with GcsDouble(["playbook"]) as gcs:
        gcs.take_the_place_of_google(monkeypatch)
        gcs.misbehave(Status(503), kind="put", times=2)
        ...
        assert gcs.objects("playbook") == {"trades.csv": b"..."}
        assert gcs.kinds() == ["put", "put", "put"]
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

PERMISSIONS = frozenset(f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update"))
ACCOUNT = "playbook@project.iam.gserviceaccount.com"
TOKEN = "ya29.a-token-that-nobody-may-see"

Headers = dict[str, str]


class Call(NamedTuple):
    """A request: of which kind, and for which object; of a list, its prefix.

    kind: get (the bytes), stat (what is known of them), put (in one call), begin and chunk (of an upload session),
    delete, list, permissions, token.
    """

    method: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Status:
    """Refuse with this status; retry_after: what the header of that name says, text: what Google says of it."""

    status: int
    retry_after: str | None = None
    reason: str = "backendError"
    text: str = "We encountered an internal error. Please try again."


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the request, do nothing, answer nothing."""


@dataclass(frozen=True, slots=True)
class Drip:
    """Do what is asked, and answer one byte each so many seconds."""

    seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection, with nothing done."""


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """Do what is asked; then break the connection, or answer with this status."""

    status: int | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """Right before, let somebody else write these bytes to the object that is asked for; None: delete it."""

    content: bytes | None


@dataclass(frozen=True, slots=True)
class Damaged:
    """Change a byte on its way: of the answer to a get, of what a put brings."""


@dataclass(frozen=True, slots=True)
class NoGeneration:
    """Leave X-Goog-Generation out of the answer, as some emulators do."""


Fault = Status | Hang | Drip | Reset | AnswerLost | Rival | Damaged | NoGeneration


@dataclass(slots=True)
class Held:
    """An object as the bucket holds it."""

    content: bytes
    generation: int
    content_type: str
    cache_control: str | None
    crc32c: str


@dataclass(slots=True)
class _Rule:
    fault: Fault
    kind: str | None
    name: Callable[[str], bool]
    left: float


@dataclass(slots=True)
class _Session:
    """An upload in several calls, and what it was begun with."""

    bucket: str
    name: str
    resource: Mapping[str, Any]
    content_type: str
    query: Mapping[str, str]
    content: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=dict)


class GcsDouble:
    """The server; stopped, it leaves neither thread nor connection.

    calls: all requests, in the order in which they came. page_size: how many names one page of a list has at most.
    granted: the permissions that hold for objects; granted_on_bucket: those that are told of the bucket, where they are
    others. one_write_a_second: whether a second write of an object within one second is refused.
    """

    def __init__(self, buckets: Iterable[str]) -> None:
        self.calls: list[Call] = []
        self.page_size = 1000
        self.granted = PERMISSIONS
        self.granted_on_bucket: frozenset[str] | None = None
        self.one_write_a_second = False
        self._buckets: dict[str, dict[str, Held]] = {bucket: {} for bucket in buckets}
        self._rules: list[_Rule] = []
        self._sessions: dict[str, _Session] = {}
        self._written: dict[tuple[str, str], float] = {}
        self._token: str | None = None
        # As Google's, which are microseconds since 1970.
        self._generation = 1_762_293_605_000_000
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.release()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take_the_place_of_google(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Google's client talk to this server as to an emulator: without credentials."""
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", self.url)

    def be_google(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Google's client talk to this server as to Google, as on Cloud Run: with a token of the metadata server,
        which this one is too. Calls without the token are refused.
        """
        self._token = TOKEN
        host = self.url.removeprefix("http://")
        for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("API_ENDPOINT_OVERRIDE", self.url)
        monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
        monkeypatch.setenv("GCE_METADATA_IP", host)
        monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", host)
        monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", False)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What the bucket holds, by name."""
        with self._lock:
            return {name: held.content for name, held in sorted(self._buckets[bucket].items())}

    def held(self, bucket: str, name: str) -> Held:
        """One object, which must be there, with all that is known of it."""
        with self._lock:
            return self._buckets[bucket][name]

    def write(self, bucket: str, name: str, content: bytes) -> int:
        """What somebody else does, who asks for no generation; returns the new one."""
        with self._lock:
            return self._store(bucket, name, content, "application/octet-stream", None).generation

    def kinds(self) -> list[str]:
        """The kinds of all calls, in order."""
        return [call.kind for call in self.calls]

    def misbehave(
        self,
        fault: Fault,
        *,
        kind: str | None = None,
        name: str | Callable[[str], bool] | None = None,
        times: float = 1,
    ) -> None:
        """Meet the next calls of this kind and name (all, where nothing is said) so, each fault so many times.

        times: float("inf") for as long as the server lives, or until behave. The earliest fault that fits goes first.
        """
        fits = name if callable(name) else (lambda asked: name is None or asked == name)
        with self._lock:
            self._rules.append(_Rule(fault, kind, fits, times))

    def behave(self) -> None:
        """Forget all faults that are left."""
        with self._lock:
            self._rules.clear()

    def _fault(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls.append(call)
            for rule in self._rules:
                if rule.left > 0 and rule.kind in (None, call.kind) and rule.name(call.name):
                    rule.left -= 1
                    return rule.fault
        return None

    def _store(self, bucket: str, name: str, content: bytes, content_type: str, cache_control: str | None) -> Held:
        crc = crc32c(content)
        with self._lock:
            self._generation += 1
            held = Held(content, self._generation, content_type, cache_control, crc)
            self._buckets[bucket][name] = held
            return held

    # What follows answers one kind of call each. query: the parameters of the address, each once.

    def _get(self, bucket: str, name: str, query: Mapping[str, str]) -> _Answer:
        held = self._found(bucket, name, query)
        if isinstance(held, _Answer):
            return held
        headers = {
            "Content-Type": held.content_type,
            "ETag": _etag(held),
            "X-Goog-Generation": str(held.generation),
            "X-Goog-Metageneration": "1",
            "X-Goog-Hash": f"crc32c={held.crc32c},md5={_md5(held.content)}",
            "X-Goog-Stored-Content-Encoding": "identity",
            "X-Goog-Stored-Content-Length": str(len(held.content)),
            "X-Goog-Storage-Class": "STANDARD",
        }
        if held.cache_control:
            headers["Cache-Control"] = held.cache_control
        return _Answer(200, held.content, headers)

    def _stat(self, bucket: str, name: str, query: Mapping[str, str]) -> _Answer:
        held = self._found(bucket, name, query)
        return held if isinstance(held, _Answer) else _json(200, _resource(bucket, name, held, self.url))

    def _delete(self, bucket: str, name: str, query: Mapping[str, str]) -> _Answer:
        with self._lock:
            refused = self._forbidden("delete", bucket, name)
            held = refused or self._found(bucket, name, query, needs_get=False)
            if isinstance(held, _Answer):
                return held
            if refused := self._too_often(bucket, name):
                return refused
            del self._buckets[bucket][name]
            return _Answer(204)

    def _list(self, bucket: str, query: Mapping[str, str]) -> _Answer:
        with self._lock:
            if refused := self._forbidden("list", bucket):
                return refused
            after = base64.urlsafe_b64decode(query.get("pageToken", "")).decode()
            names = [
                name
                for name in sorted(self._buckets[bucket])
                if name.startswith(query.get("prefix", "")) and name > after
            ]
            size = min(int(query.get("maxResults", 1000)), self.page_size)
            page: dict[str, Any] = {"kind": "storage#objects"}
            if names:
                page["items"] = [
                    _resource(bucket, name, self._buckets[bucket][name], self.url) for name in names[:size]
                ]
            if len(names) > size:
                page["nextPageToken"] = base64.urlsafe_b64encode(names[size - 1].encode()).decode()
            return _json(200, page)

    def _permissions(self, bucket: str, asked: Iterable[str]) -> _Answer:
        if bucket not in self._buckets:
            return _no_bucket()
        granted = self.granted if self.granted_on_bucket is None else self.granted_on_bucket
        told = [permission for permission in asked if permission in granted]
        answer = {"kind": "storage#testIamPermissionsResponse"}
        return _json(200, answer | ({"permissions": told} if told else {}))

    def _put(
        self,
        bucket: str,
        name: str,
        content: bytes,
        resource: Mapping[str, Any],
        content_type: str,
        query: Mapping[str, str],
    ) -> _Answer:
        for kind, own in (("crc32c", crc32c(content)), ("md5Hash", _md5(content))):
            if resource.get(kind, own) != own:
                label = {"crc32c": "CRC32C", "md5Hash": "MD5 hash"}[kind]
                return _error(
                    400,
                    "invalid",
                    f'Provided {label} "{resource[kind]}" doesn\'t match calculated {label} "{own}".',
                )
        with self._lock:
            if refused := self._may_not_put(bucket, name, query) or self._too_often(bucket, name):
                return refused
            held = self._store(
                bucket, name, content, resource.get("contentType", content_type), resource.get("cacheControl")
            )
            return _json(200, _resource(bucket, name, held, self.url))

    def _begin(self, session: _Session) -> _Answer:
        with self._lock:
            if refused := self._may_not_put(session.bucket, session.name, session.query):
                return refused
            identity = f"session-{len(self._sessions)}"
            self._sessions[identity] = session
            place = f"{self.url}/upload/storage/v1/b/{session.bucket}/o?uploadType=resumable&upload_id={identity}"
            return _Answer(200, b"", {"Location": place, "X-GUploader-UploadID": identity})

    def _chunk(self, identity: str, content: bytes, headers: Message) -> _Answer:
        """A part of a session's bytes; the last one stores them, under what the session was begun with."""
        session = self._sessions.get(identity)
        if session is None:
            return _error(404, "notFound", "No such upload session.")
        told = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", headers.get("Content-Range", ""))
        if told is None:
            return _error(400, "invalid", "Failed to parse Content-Range header.")
        first, _, whole = told.groups()
        if first is not None and int(first) != len(session.content):
            return _error(503, "backendError", "The bytes do not follow those that came before.")
        session.content.extend(content)
        if whole == "*" or len(session.content) < int(whole):
            kept = {"Range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
            return _Answer(308, b"", kept)
        del self._sessions[identity]
        sent = dict(part.strip().split("=", 1) for part in headers.get("X-Goog-Hash", "").split(",") if part)
        resource = {**session.resource, **({"crc32c": sent["crc32c"]} if "crc32c" in sent else {})}
        return self._put(
            session.bucket, session.name, bytes(session.content), resource, session.content_type, session.query
        )

    def _metadata(self, path: str) -> _Answer:
        """As the metadata server of Google's machines answers."""
        flavor = {"Metadata-Flavor": "Google"}
        if path.endswith("/token"):
            content = json.dumps({"access_token": self._token, "expires_in": 3600, "token_type": "Bearer"})
            return _Answer(200, content.encode(), {"Content-Type": "application/json", **flavor})
        if "service-accounts" in path:
            content = json.dumps({"email": ACCOUNT, "scopes": [], "aliases": ["default"]})
            return _Answer(200, content.encode(), {"Content-Type": "application/json", **flavor})
        text = b"googleapis.com" if path.endswith("/universe-domain") else b"project"
        return _Answer(200, text, {"Content-Type": "application/text", **flavor})

    def _found(self, bucket: str, name: str, query: Mapping[str, str], *, needs_get: bool = True) -> Held | _Answer:
        """The object, or why it is not given."""
        with self._lock:
            if needs_get and (refused := self._forbidden("get", bucket, name)):
                return refused
            held = self._buckets[bucket].get(name)
            if held is None or query.get("generation", str(held.generation)) != str(held.generation):
                if "storage.objects.list" not in self.granted:
                    return _denied("list", f"{bucket}/{name}")
                return _error(404, "notFound", f"No such object: {bucket}/{name}")
            return self._condition(held, query) or held

    def _may_not_put(self, bucket: str, name: str, query: Mapping[str, str]) -> _Answer | None:
        refused = self._forbidden("create", bucket, name)
        if refused is None and name in self._buckets[bucket]:
            refused = self._forbidden("delete", bucket, name)
        return refused or self._condition(self._buckets[bucket].get(name), query)

    def _forbidden(self, verb: str, bucket: str, name: str = "") -> _Answer | None:
        if bucket not in self._buckets:
            return _no_bucket()
        return None if f"storage.objects.{verb}" in self.granted else _denied(verb, f"{bucket}/{name}")

    def _condition(self, held: Held | None, query: Mapping[str, str]) -> _Answer | None:
        """The refusal where the condition of the call does not hold; no other condition is known here."""
        if any(re.match(r"if(Meta|GenerationNot)", parameter) for parameter in query):
            return _error(501, "notImplemented", "The double knows ifGenerationMatch alone.")
        wanted = query.get("ifGenerationMatch")
        if wanted is None or int(wanted) == (0 if held is None else held.generation):
            return None
        return _error(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")

    def _too_often(self, bucket: str, name: str) -> _Answer | None:
        now = time.monotonic()
        if self.one_write_a_second and now < self._written.get((bucket, name), -1.0) + 1.0:
            return _error(
                429,
                "rateLimitExceeded",
                f"The object {bucket}/{name} exceeded the rate limit for object mutation operations (create, update, "
                "and delete). Please reduce your request rate. See https://cloud.google.com/storage/docs/gcs429.",
            )
        self._written[bucket, name] = now
        return None


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, double: GcsDouble) -> None:
        self.double = double
        self.open: set[socket.socket] = set()
        self.threads: list[threading.Thread] = []
        self.open_lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.threads.append(thread)
        with self.open_lock:
            self.open.add(request)
        thread.start()

    def release(self) -> None:
        """End all connections, and with them their threads."""
        with self.open_lock:
            for used in self.open:
                with suppress(OSError):
                    used.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave in the middle are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    wbufsize = -1  # one packet an answer

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        with self.server.open_lock:
            self.server.open.discard(self.request)

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        parameters = parse_qs(address.query, keep_blank_values=True)
        query = {name: values[-1] for name, values in parameters.items()}
        call, answer = self._understood(address.path, query, parameters.get("permissions", []), body)
        self._meet(call, self.server.double._fault(call), answer)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _understood(
        self, path: str, query: Mapping[str, str], permissions: list[str], body: bytes
    ) -> tuple[Call, Callable[[bool], _Answer]]:
        """The call that is meant, and how it is answered; that is told whether bytes are damaged on their way."""
        double = self.server.double
        if path == "/" or path.startswith("/computeMetadata/"):
            kind = "token" if path.endswith("/token") else "metadata"
            return Call(self.command, kind, path), lambda damaged: double._metadata(path)
        kind, name, answer = self._of_storage(path, query, permissions, body)

        def signed(damaged: bool) -> _Answer:
            if double._token is not None and self.headers.get("Authorization") != f"Bearer {double._token}":
                return _error(401, "authError", "Invalid Credentials")
            return answer(damaged)

        return Call(self.command, kind, name), signed

    def _of_storage(
        self, path: str, query: Mapping[str, str], permissions: list[str], body: bytes
    ) -> tuple[str, str, Callable[[bool], _Answer]]:
        double, method = self.server.double, self.command
        told = re.fullmatch(r"(/upload|/download|)/storage/v1/b/([^/]+)/(o|iam/testPermissions)(?:/([^/]+))?", path)
        if told is None:
            return "unknown", path, lambda damaged: _error(404, "notFound", "Not Found")
        door, bucket, what, name = told[1], unquote(told[2]), told[3], unquote(told[4] or "")
        if what != "o":
            return "permissions", "", lambda damaged: double._permissions(bucket, permissions)
        if door == "/upload":
            return self._of_upload(bucket, query, body)
        if method == "GET" and not name:
            return "list", query.get("prefix", ""), lambda damaged: double._list(bucket, query)
        if method == "GET" and query.get("alt") == "media":
            return "get", name, lambda damaged: double._get(bucket, name, query)
        if method == "GET":
            return "stat", name, lambda damaged: double._stat(bucket, name, query)
        if method == "DELETE":
            return "delete", name, lambda damaged: double._delete(bucket, name, query)
        return "unknown", path, lambda damaged: _error(501, "notImplemented", "Not Implemented")

    def _of_upload(
        self, bucket: str, query: Mapping[str, str], body: bytes
    ) -> tuple[str, str, Callable[[bool], _Answer]]:
        double = self.server.double
        if "upload_id" in query:
            identity = query["upload_id"]
            session = double._sessions.get(identity)
            name = session.name if session else ""
            headers = self.headers
            return (
                "chunk",
                name,
                lambda damaged: double._chunk(identity, _changed(body) if damaged else body, headers),
            )
        if query.get("uploadType") == "resumable":
            resource = json.loads(body or b"{}")
            name = query.get("name") or resource.get("name", "")
            content_type = self.headers.get("X-Upload-Content-Type") or "application/octet-stream"
            begun = _Session(bucket, name, resource, content_type, query)
            return "begin", name, lambda damaged: double._begin(begun)
        if query.get("uploadType") == "multipart":
            resource, content, content_type = _parts(body, str(self.headers["Content-Type"]))
        else:
            resource, content, content_type = {}, body, str(self.headers["Content-Type"])
        name = query.get("name") or resource["name"]
        return (
            "put",
            name,
            lambda damaged: double._put(
                bucket, name, _changed(content) if damaged else content, resource, content_type, query
            ),
        )

    def _meet(self, call: Call, fault: Fault | None, answer: Callable[[bool], _Answer]) -> None:
        """Answer a call as the fault has it."""
        double = self.server.double
        match fault:
            case Hang():
                double._stopping.wait()
                self.close_connection = True
            case Reset():
                self._break_off()
            case Status():
                asked = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
                self._send(_error(fault.status, fault.reason, fault.text, asked))
            case AnswerLost(status=None):
                answer(False)
                self._break_off()
            case AnswerLost(status=int(status)):
                answer(False)
                self._send(_error(status, "backendError", "We encountered an internal error. Please try again."))
            case Rival():
                for bucket in double._buckets:
                    if fault.content is not None:
                        double.write(bucket, call.name, fault.content)
                    else:
                        double._buckets[bucket].pop(call.name, None)
                self._send(answer(False))
            case Drip():
                self._send(answer(False), drip_seconds=fault.seconds)
            case Damaged():
                given = answer(call.kind != "get")
                self._send(_Answer(given.status, _changed(given.body), given.headers) if call.kind == "get" else given)
            case NoGeneration():
                given = answer(False)
                self._send(_Answer(given.status, given.body, _without(given.headers, "X-Goog-Generation")))
            case None:
                self._send(answer(False))

    def _send(self, answer: _Answer, drip_seconds: float = 0.0) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if not drip_seconds:
            self.wfile.write(answer.body)
            self.wfile.flush()
            return
        for place in range(len(answer.body)):
            self.wfile.write(answer.body[place : place + 1])
            self.wfile.flush()
            if self.server.double._stopping.wait(drip_seconds):
                break

    def _break_off(self) -> None:
        """End the connection by a reset, not by a polite end."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()
        self.close_connection = True


def _parts(body: bytes, content_type: str) -> tuple[Mapping[str, Any], bytes, str]:
    """A multipart upload: what is to be known of the object, its bytes, their type."""
    told = re.search(r'boundary="?([^";]+)"?', content_type)
    assert told, content_type
    edge = b"--" + told[1].encode()
    _, first, rest = body.split(edge, 2)
    resource = json.loads(first.split(b"\r\n\r\n", 1)[1])
    head, content = rest.split(b"\r\n\r\n", 1)
    end = content.rindex(b"\r\n" + edge + b"--")
    kind = re.search(rb"(?i)content-type: *([^\r\n]+)", head)
    return resource, content[:end], kind[1].decode() if kind else "application/octet-stream"


def _resource(bucket: str, name: str, held: Held, url: str) -> dict[str, Any]:
    """What Google tells of an object; its numbers are texts."""
    told = {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{held.generation}",
        "name": name,
        "bucket": bucket,
        "generation": str(held.generation),
        "metageneration": "1",
        "contentType": held.content_type,
        "storageClass": "STANDARD",
        "size": str(len(held.content)),
        "md5Hash": _md5(held.content),
        "crc32c": held.crc32c,
        "etag": _etag(held),
        "mediaLink": f"{url}/download/storage/v1/b/{bucket}/o/unused?generation={held.generation}&alt=media",
    }
    return told | ({"cacheControl": held.cache_control} if held.cache_control else {})


def _json(status: int, told: Mapping[str, Any], headers: Headers | None = None) -> _Answer:
    return _Answer(
        status, json.dumps(told).encode(), {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}
    )


def _error(status: int, reason: str, text: str, headers: Headers | None = None) -> _Answer:
    told = {"message": text, "domain": "global", "reason": reason}
    if status == 412:
        told |= {"locationType": "header", "location": "If-Match"}
    return _json(status, {"error": {"code": status, "message": text, "errors": [told]}}, headers)


def _denied(verb: str, what: str) -> _Answer:
    permission = f"storage.objects.{verb}"
    return _error(
        403,
        "forbidden",
        f"{ACCOUNT} does not have {permission} access to the Google Cloud Storage object. Permission '{permission}' "
        f"denied on resource '{what}' (or it may not exist).",
    )


def _no_bucket() -> _Answer:
    return _error(404, "notFound", "The specified bucket does not exist.")


def _etag(held: Held) -> str:
    return base64.b64encode(held.generation.to_bytes(8, "big")).decode()


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _changed(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:] if content else content


def _without(headers: Headers, name: str) -> Headers:
    return {key: value for key, value in headers.items() if key != name}


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(content: bytes) -> str:
    """The checksum of Castagnoli (RFC 3720, B.4), big end first, in base64, as Google writes it."""
    table, crc = _TABLE, 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()
