"""The doubles of Alpaca and of Google Cloud Storage, each in a process of its own, so that its memory is not ours.

    with double("alpaca", "2025-11-03", "2025-11-14", 503) as alpaca:
        run([...], scratch, alpaca.settings)
        alpaca.calls()  # by kind, since it was last asked

The process answers each line that it is sent with one line of JSON, and ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import harness

if TYPE_CHECKING:
    from tests.support.gcs_double import GcsDouble

BUCKET = "playbook"
PREFIX = "data/cache"


class Double:
    """A double's other end. settings: what a client must be told, by environment variable."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.settings: dict[str, str] = self._answer()

    def calls(self) -> dict[str, int]:
        """How many calls have come since this was last asked, by kind."""
        return {str(kind): int(count) for kind, count in self._ask("calls").items()}

    def hold(self, folder: Path) -> None:
        """Of the store alone: hold the files of this folder as a cache. Forgets the calls so far."""
        self._ask(f"hold {folder}")
        self.calls()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise harness.Failed("a double has ended; what it said of it stands above")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def double(*arguments: object) -> Iterator[Double]:
    """Start one: `alpaca`, first and last session, how many symbols, the first ones of symbols(); or `gcs`."""
    command = [sys.executable, "-m", "benchmarks.doubles", *map(str, arguments)]
    pipe, environment = subprocess.PIPE, harness.environment()
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Double(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def symbols(count: int) -> list[str]:
    """The symbols that the double of Alpaca has, so many of them."""
    from tests.support.alpaca_double import many_symbols

    return many_symbols(count)


def _alpaca(first: str, last: str, count: str) -> None:
    from tests.support.alpaca_double import AlpacaServer, generated_market

    with AlpacaServer(generated_market(symbols(int(count)), first, last)) as server:
        _tell(server.settings)
        for _ in sys.stdin:
            _tell(Counter(request.kind for request in server.asked()))
            server.forget()


def _gcs() -> None:
    from google_crc32c import value

    from tests.support import gcs_double

    # The double's own sum goes byte by byte through Python and would be most of what is measured.
    gcs_double.crc32c = lambda content: b64encode(value(content).to_bytes(4, "big")).decode()
    with gcs_double.GcsDouble([BUCKET]) as store:
        _tell({"STORAGE_EMULATOR_HOST": store.url, "DATA_CACHE_DIR": f"gs://{BUCKET}/{PREFIX}"})
        for line in sys.stdin:
            _tell(Counter(store.kinds()))
            store.calls.clear()
            if line.startswith("hold "):
                _hold(store, Path(line.removeprefix("hold ").strip()))


def _hold(store: GcsDouble, folder: Path) -> None:
    for path in folder.rglob("*.parquet"):
        store.write(BUCKET, f"{PREFIX}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def _tell(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _, which, *arguments = sys.argv
    if which == "alpaca":
        _alpaca(*arguments)
    else:
        _gcs()
