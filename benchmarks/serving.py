"""The service, from the start of its process to its first 200 on /health, against FastAPI alone and an eager one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.harness import LIMIT, ROOT, Failed, Pairs, Sample, alternate, environment
from benchmarks.table import Row, at_most, megabytes

UVICORN = ["-m", "uvicorn"]
COMMAND = ["-c", "import sys; from trading_playbook.cli.main import main; sys.exit(main())", "serve"]
OURS = [*UVICORN, "trading_playbook.service.app:app"]
BARE = [*UVICORN, "benchmarks.rivals.bare_service:app"]
EAGER = [*UVICORN, "benchmarks.rivals.eager_service:app"]

SETTINGS = {
    "AUTH": "oidc",
    "OIDC_AUDIENCE": "trading-playbook",
    "OIDC_SERVICE_ACCOUNTS": "caller@playbook.iam.gserviceaccount.com",
    "WRITER_TYPE": "gcs",
    "GCS_BUCKET": "playbook",
}
"""As in the cloud."""

# As harness.STARTER, a small interpreter that starts what is measured. It prints the seconds until the first 200,
# ru_maxrss, and the code with which the service ended once it was told to go.
STARTER = """
import json, os, signal, socket, sys, time
limit, errors, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, errors, write, 0o600)]

def answers():
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as call:
            call.sendall(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
            return call.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False

began = time.perf_counter()
child = os.posix_spawn(command[0], [*command, "--port", str(port)], os.environ, file_actions=actions)
while not (well := answers()) and time.perf_counter() - began < limit and not os.waitid(
    os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
):
    time.sleep(0.0005)
took = time.perf_counter() - began
os.kill(child, signal.SIGTERM if well else signal.SIGKILL)
_, status, usage = os.wait4(child, 0)
print(json.dumps([took, usage.ru_maxrss, well]))
"""


def cold_start(command: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None) -> Sample:
    """Start a service in a folder until its first 200 on /health, then stop it. Raises Failed where none comes."""
    errors = folder / "stderr.txt"
    starter = [sys.executable, "-I", "-S", "-c", STARTER, str(LIMIT), str(errors), sys.executable, *command]
    told = subprocess.run(
        starter, cwd=folder, env=environment(settings), check=True, capture_output=True, text=True, timeout=LIMIT + 10
    )
    took, peak, well = json.loads(told.stdout)
    if not well:
        end = errors.read_text(errors="replace").strip()[-600:]
        raise Failed(f"{' '.join(command)} does not answer: {end.replace(str(ROOT), '.')}")
    return Sample(seconds=took, peak=peak if sys.platform == "darwin" else peak * 1024)


def service(pairs: int) -> Iterator[Row | str]:
    """The service, from its start to the first 200."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        scratch = Path(name)

        def start(command: Sequence[str], settings: Mapping[str, str] | None = None) -> Callable[[], Sample]:
            return lambda: cold_start(command, scratch, settings)

        bare = alternate(start(OURS, SETTINGS), start(BARE), pairs)
        yield at_most(1.4, "uvicorn: FastAPI with one path", bare)
        command = alternate(start(COMMAND, SETTINGS), start(BARE), pairs)
        yield at_most(1.4, "trading-playbook serve: the same", command)
        eager = alternate(start(OURS, SETTINGS), start(EAGER), pairs)
        yield at_most(0.55, "uvicorn: every client at the top", eager)
        yield _peaks(bare, eager)


def _peaks(bare: Pairs, eager: Pairs) -> str:
    parts = {"product": bare.ours, "FastAPI with one path": bare.theirs, "every client at the top": eager.theirs}
    return "  peak memory: " + ", ".join(f"{name} {megabytes(samples):.0f} MB" for name, samples in parts.items())
