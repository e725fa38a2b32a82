"""Keys, tokens of every kind, and Google's certificates on loopback.

with CertificateServer(google) as server:  # google: a SigningKey, or several
    Certificates(clock, server.url)
    ...
    server.status = 503  # down; server.refuses(): no connection at all
    assert server.calls == 2
"""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWS
from jwt.algorithms import RSAAlgorithm

from tests.support.clocks import ManualClock
from trading_playbook.service.auth import REMOVED

AUDIENCE = "trading-playbook"
SCHEDULER = "scheduler@project.iam.gserviceaccount.com"
NOW = ManualClock().now()


@dataclass(frozen=True)
class SigningKey:
    """A key pair and the id that it is published under."""

    key_id: str
    private: RSAPrivateKey = field(repr=False)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as Google's JWK set has it."""
        public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": "RSA", "n": public["n"], "e": public["e"], "alg": "RS256", "use": "sig", "kid": self.key_id}

    @property
    def pem(self) -> bytes:
        """The public half as text, which careless verifiers take for a secret of HS256."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


GOOGLE_KEY = "google-1"


@cache
def signing_key(key_id: str, bits: int = 2048) -> SigningKey:
    """A key, made once in a process for each id."""
    return SigningKey(key_id, generate_private_key(65537, bits))


def claims(now: datetime = NOW, **others: Any) -> dict[str, Any]:
    """What Cloud Scheduler's token holds, five minutes old; others replace, None takes away."""
    seconds = int(now.timestamp()) - 300
    usual = {
        "aud": AUDIENCE,
        "azp": "100000000000000000001",
        "email": SCHEDULER,
        "email_verified": True,
        "exp": seconds + 3600,
        "iat": seconds,
        "iss": "https://accounts.google.com",
        "sub": "100000000000000000001",
    }
    return {name: value for name, value in (usual | others).items() if value is not None}


def token(
    held: Mapping[str, Any] | str | bytes | None = None,
    *,
    key: SigningKey | None = None,
    headers: Mapping[str, Any] | None = None,
    algorithm: str = "RS256",
    secret: bytes | None = None,
) -> str:
    """A signed token. held: claims, or the very text to sign in their place. secret: for HS256."""
    key = key or signing_key(GOOGLE_KEY)
    text = held if isinstance(held, (str, bytes)) else json.dumps(claims() if held is None else held)
    payload = text.encode() if isinstance(text, str) else text
    header = {"typ": "JWT", "kid": key.key_id, "alg": algorithm, **(headers or {})}
    signing_input = f"{encoded(json.dumps(header).encode())}.{encoded(payload)}"
    if algorithm == "none":
        return f"{signing_input}."
    signer = PyJWS().get_algorithm_by_name(algorithm)
    signature = _hmac(signing_input, secret) if secret else signer.sign(signing_input.encode(), key.private)
    return f"{signing_input}.{encoded(signature)}"


def without_signature(signed: str) -> str:
    """The token as Cloud Run hands it on once it has verified it."""
    return f"{signed.rpartition('.')[0]}.{REMOVED}"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _hmac(text: str, secret: bytes) -> bytes:
    return hmac.digest(secret, text.encode(), "sha256")


class SentHeaders:
    """Headers as Starlette has them."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = pairs

    def getlist(self, key: str, /) -> list[str]:
        return [value for name, value in self._pairs if name.lower() == key.lower()]


def bearing(sent: str) -> SentHeaders:
    return SentHeaders(("authorization", f"Bearer {sent}"))


class CertificateServer:
    """Google's address of certificates. Its attributes may be changed while it serves."""

    def __init__(self, *keys: SigningKey, max_age: int | None = 20_000) -> None:
        self.keys: Sequence[SigningKey] = keys
        self.status = 200
        self.body: bytes | None = None
        """Sent in the place of the keys."""
        self.headers: dict[str, str] = {} if max_age is None else {"Cache-Control": f"public, max-age={max_age}"}
        self.calls = 0
        self.answering = threading.Event()
        """While it is not set, calls are taken and get no answer."""
        self.answering.set()
        self.asked = threading.Event()
        """Set by each call."""
        self.drips = False
        """Send a letter now and then, and never the end."""
        self._going = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.calls += 1
                server.asked.set()
                with suppress(OSError):
                    server._answer(self)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._closed = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/oauth2/v3/certs"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        while not self.answering.wait(0.02):
            if self._going.is_set():
                return
        body = self.body if self.body is not None else json.dumps({"keys": [key.jwk for key in self.keys]}).encode()
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) + (1000 if self.drips else 0)))
        handler.end_headers()
        handler.wfile.write(body)
        while self.drips and not self._going.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    def refuses(self) -> None:
        """From now on nobody listens at the address."""
        if not self._closed:
            self._closed = True
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going.set()
        self.refuses()
