"""The service as people call it: in this process for most tests, in one of its own where sockets and signals count."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from tests.support.door import environment_with
from trading_playbook.ports import Clock
from trading_playbook.service.app import State, create_app

JSON = {"content-type": "application/json"}


class Service:
    """The application in this process, without sockets. Each call has an event loop of its own."""

    def __init__(self, clock: Clock | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.app: FastAPI = create_app()
        self.state = State(environment or {}, clock)
        self.app.state.playbook = self.state

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, **more)

        return asyncio.run(call())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self("GET", path, **more)

    def post(self, body: object = None, **more: Any) -> httpx.Response:
        """POST /backtest: JSON of a body, text as it stands, or nothing at all."""
        content = body if isinstance(body, str | bytes) else None if body is None else json.dumps(body)
        return self("POST", "/backtest", content=content, headers=JSON, **more)


async def chunks(piece: bytes, times: int, told: list[int] | None = None) -> AsyncIterator[bytes]:
    """A body of unknown length; told counts what was taken of it."""
    for number in range(times):
        if told is not None:
            told.append(number)
        yield piece


def problem_in(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    """The problem that an answer must be, as JSON that any reader takes."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    assert answer.status_code == status, (answer.status_code, answer.text[:2000])
    assert answer.headers["content-type"] == "application/problem+json"
    found = json.loads(answer.content.decode("ascii"), parse_constant=refuse)
    assert {"type", "title", "status", "detail"} <= found.keys()
    assert found["status"] == status
    if kind is not None:
        assert found["type"] == f"urn:trading-playbook:{kind}"
    assert "Traceback" not in answer.text
    assert isinstance(found, dict)
    return found


class ServiceProcess:
    """The service in a process of its own, with a log to read."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self.process = process
        self._log = log
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def post(self, body: object = None, **more: Any) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        return self.client.post("/backtest", content=content, headers=JSON, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


@contextmanager
def service_process(cwd: Path, /, *command: str, **environment: str | None) -> Iterator[ServiceProcess]:
    """The service on a free port until the block ends; AUTH=none where nothing else is said.

    command: how it is started, PORT standing for the port; under bare uvicorn where nothing is said.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = command or (sys.executable, "-m", "uvicorn", "trading_playbook.service.app:app", "--port", str(port))
    cwd.mkdir(exist_ok=True)
    log = cwd / f"service-{port}.log"
    settings: dict[str, str | None] = {"AUTH": "none", "LOG_FORMAT": "json", "LOG_LEVEL": "INFO", **environment}
    arguments = [part.replace("PORT", str(port)) for part in given]
    with (
        log.open("wb") as sink,
        subprocess.Popen(arguments, cwd=cwd, env=environment_with(**settings), stdout=sink, stderr=sink) as process,
    ):
        made = ServiceProcess(f"http://127.0.0.1:{port}", process, log)
        try:
            wait_until_alive(made)
            yield made
        finally:
            made.client.close()
            process.kill()


SERVING = (sys.executable, "-c", "from trading_playbook.cli.main import main; raise SystemExit(main())", "serve")
"""trading-playbook serve."""


def wait_until_alive(service: ServiceProcess, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            if service.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert service.process.poll() is None, service.log
        assert time.monotonic() < until, service.log
        time.sleep(0.02)
