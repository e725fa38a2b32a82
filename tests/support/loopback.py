"""Servers on loopback that speak bytes and not HTTP, so that they can do what no server should; and what is left over.

with loopback(lambda peer: peer.hang()) as url:
    ...
"""

from __future__ import annotations

import gc
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Peer:
    """One connection of a client. Every wait ends when the server is stopped or the client has gone."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self.connection = connection
        self._stopped = stopped

    def request(self) -> bytes:
        """The head of the next request; empty where none comes any more."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (piece := self.connection.recv(4096)):
                return b""
            head += piece
        return head

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def drip(self, data: bytes, every: float = 0.02) -> None:
        """A byte at a time, for ever: the data over and over."""
        while True:
            for at in range(len(data)):
                if self._stopped.wait(every):
                    return
                self.send(data[at : at + 1])

    def hang(self) -> None:
        self._stopped.wait()

    def answer_all(self, answer: bytes = GOOD) -> None:
        """The same answer to each request of the connection."""
        while self.request():
            self.send(answer)


@contextmanager
def loopback(
    serve: Callable[[Peer], None], *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A server with a thread for each connection; gives its address, by the name of localhost with TLS."""
    stopped, threads = threading.Event(), list[threading.Thread]()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    open_ones: list[socket.socket] = []

    def serve_one(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            serve(Peer(connection, stopped))

    def accept() -> None:
        while True:
            with suppress(OSError):
                connection, _ = listening.accept()
                if stopped.is_set():
                    connection.close()
                    return
                if tls:
                    connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                open_ones.append(connection)
                threads.append(threading.Thread(target=serve_one, args=(connection,)))
                threads[-1].start()

    with socket.create_server((address, 0), family=family) as listening:
        port = listening.getsockname()[1]
        accepting = threading.Thread(target=accept)
        accepting.start()
        host = f"[{address}]" if family == socket.AF_INET6 else address
        try:
            yield f"{'https' if tls else 'http'}://{'localhost' if tls else host}:{port}"
        finally:
            stopped.set()
            socket.create_connection((address, port)).close()
            accepting.join()
            for connection in open_ones:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server at localhost shows, made on the spot, and the file by which a client trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    own, trusted = folder / "own.pem", folder / "trusted.pem"
    trusted.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own.write_bytes(private + trusted.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    return context, trusted


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail where a thread or a socket that came inside is still there a moment later."""
    threads, sockets = set(threading.enumerate()), _open_sockets()
    yield
    gc.collect()  # the traceback of an error that was caught may still hold a socket
    until = time.monotonic() + 2
    while time.monotonic() < until and (set(threading.enumerate()) - threads or _open_sockets() - sockets):
        time.sleep(0.01)
    assert not set(threading.enumerate()) - threads
    assert not _open_sockets() - sockets


def _open_sockets() -> set[tuple[int, int]]:
    """Descriptor and inode of each socket of this process."""
    found = set()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 # pathlib would open no fewer
        with suppress(OSError):
            told = os.fstat(int(name))
            if stat.S_ISSOCK(told.st_mode):
                found.add((int(name), told.st_ino))
    return found
