"""A double of Google Secret Manager on loopback, as its REST interface answers: states, permissions, checksums, words.

It stands on the double of Google's storage, from which it has its misbehaviours and the metadata server that gives the
token, so that one server can be all of Google that a run in the cloud meets.

    with SecretsDouble() as google:
        google.be_google(monkeypatch)
        google.add("playbook", "alpaca-key", b"PK123\\n")
        ...
        assert google.asked() == ["playbook/alpaca-key/latest"]
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c
import pytest

from tests.support.gcs_double import Call, GcsDouble, _Answer, _Handler
from trading_playbook import secret_manager

NUMBER = "123456789012"
"""Of each project: Google tells it in the place of the name that was asked for."""


@dataclass(slots=True)
class Version:
    """A version of a secret; state: ENABLED, DISABLED or DESTROYED."""

    content: bytes
    state: str = "ENABLED"


class SecretsDouble(GcsDouble):
    """The server. switched_off: whether the service is off in the project. damaged: whether values come changed."""

    def __init__(self, buckets: Iterable[str] = ()) -> None:
        super().__init__(buckets)
        self.switched_off = False
        self.damaged = False
        self.without_checksum = False
        self._secrets: dict[str, list[Version]] = {}
        self._denied: set[str] = set()
        self._server.RequestHandlerClass = _SecretsHandler

    def be_google(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the storage's double; and what this process has read of secrets so far is forgotten."""
        super().be_google(monkeypatch)
        monkeypatch.setenv(secret_manager.ENDPOINT_VARIABLE, self.url)
        for held in list(secret_manager._KEPT):
            monkeypatch.delitem(secret_manager._KEPT, held)

    def add(self, project: str, secret: str, content: bytes, state: str = "ENABLED") -> None:
        """Add a version, which is then the latest one."""
        with self._lock:
            self._secrets.setdefault(f"{project}/{secret}", []).append(Version(content, state))

    def deny(self, project: str, secret: str) -> None:
        """Take the right to read a secret away."""
        self._denied.add(f"{project}/{secret}")

    def asked(self) -> list[str]:
        """The versions that were asked for, as PROJECT/SECRET/VERSION, in order."""
        return [call.name for call in self.calls if call.kind == "access"]

    def _access(self, project: str, secret: str, version: str) -> _Answer:
        name = f"projects/{NUMBER}/secrets/{secret}"
        with self._lock:
            if self.switched_off:
                return _error(
                    403,
                    "PERMISSION_DENIED",
                    f"Secret Manager API has not been used in project {project} before or it is disabled. Enable it by "
                    "visiting https://console.developers.google.com/apis/api/secretmanager.googleapis.com/overview "
                    "then retry.",
                    "SERVICE_DISABLED",
                )
            if f"{project}/{secret}" in self._denied:
                return _error(
                    403,
                    "PERMISSION_DENIED",
                    f"Permission 'secretmanager.versions.access' denied for resource 'projects/{project}/secrets/"
                    f"{secret}/versions/{version}' (or it may not exist).",
                    "IAM_PERMISSION_DENIED",
                )
            versions = self._secrets.get(f"{project}/{secret}", [])
            if not versions:
                return _error(404, "NOT_FOUND", f"Secret [{name}] not found or has no versions.")
            number = len(versions) if version == "latest" else int(version) if version.isdecimal() else 0
            if not 0 < number <= len(versions):
                return _error(404, "NOT_FOUND", f"Secret Version [{name}/versions/{version}] not found.")
            held = versions[number - 1]
            if held.state != "ENABLED":
                told = f"Secret Version [{name}/versions/{number}] is in {held.state} state."
                return _error(400, "FAILED_PRECONDITION", told)
            payload = {"data": base64.b64encode(held.content).decode()}
            if not self.without_checksum:
                payload["dataCrc32c"] = str(google_crc32c.value(held.content) ^ self.damaged)
            return _json(200, {"name": f"{name}/versions/{number}", "payload": payload})


class _SecretsHandler(_Handler):
    def _of_storage(
        self, path: str, query: Mapping[str, str], permissions: list[str], body: bytes
    ) -> tuple[str, str, Callable[[bool], _Answer]]:
        told = re.fullmatch(r"/v1/projects/([^/]+)/secrets/([^/]+)/versions/([^/]+):access", path)
        double = self.server.double
        if told is None or self.command != "GET" or not isinstance(double, SecretsDouble):
            return super()._of_storage(path, query, permissions, body)
        project, secret, version = told.groups()
        return "access", f"{project}/{secret}/{version}", lambda damaged: double._access(project, secret, version)

    def _understood(
        self, path: str, query: Mapping[str, str], permissions: list[str], body: bytes
    ) -> tuple[Call, Callable[[bool], _Answer]]:
        call, answer = super()._understood(path, query, permissions, body)
        if call.kind != "access":
            return call, answer
        # Without a token this interface answers in words of its own.
        token = self.server.double._token
        if token is None or self.headers.get("Authorization") == f"Bearer {token}":
            return call, answer
        words = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        return call, lambda damaged: _error(401, "UNAUTHENTICATED", words)


def _json(status: int, told: Mapping[str, Any]) -> _Answer:
    return _Answer(status, json.dumps(told).encode(), {"Content-Type": "application/json; charset=UTF-8"})


def _error(status: int, name: str, text: str, reason: str | None = None) -> _Answer:
    told: dict[str, Any] = {"code": status, "message": text, "status": name}
    if reason is not None:
        domain = "googleapis.com"
        told["details"] = [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain},
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": text},
        ]
    return _json(status, {"error": told})
