"""Measuring: whole processes and functions, in alternating pairs, with medians and the machine they are from.

Only the standard library is imported here, so that an import costs nothing and the environment can still be mended.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600  # seconds that one process may take
BARE = ["-c", "import numpy, pyarrow.parquet, pydantic_settings"]  # what the command line cannot do without
KEPT = re.compile(r"PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|DYLD_\w+|SSL_CERT_\w+|BENCHMARKS_CLEAN")

# A child's peak as the kernel tells it includes what its parent held when the child was started. So a small
# interpreter, not this one with its data frames, starts what is measured. It prints seconds, ru_maxrss, exit code.
STARTER = """
import json, os, signal, sys, time
limit, errors, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, errors, write, 0o600)]
began = time.perf_counter()
child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
signal.alarm(limit)
_, status, usage = os.wait4(child, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


class Failed(Exception):
    """What should be measured did not work; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement: wall time in seconds and, of a process, its peak resident memory in bytes."""

    seconds: float
    peak: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Samples of two contenders, taken in turn: ours[i] just before theirs[i]."""

    ours: tuple[Sample, ...]
    theirs: tuple[Sample, ...]

    def ratio(self) -> float:
        """Return the median of the pairs' ratios of time, ours / theirs."""
        return median(a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True))

    def peak_ratio(self) -> float:
        """Return the median of the pairs' ratios of peak memory, ours / theirs. Raises ValueError for functions."""
        return median(a / b for a, b in zip(peaks(self.ours), peaks(self.theirs), strict=True))


def peaks(samples: Sequence[Sample]) -> list[int]:
    """Return the samples' peak memory in bytes. Raises ValueError where they are of functions, which have none."""
    found = [sample.peak for sample in samples if sample.peak is not None]
    if len(found) < len(samples):
        raise ValueError("a function has no peak memory of its own")
    return found


def seconds(samples: Sequence[Sample]) -> float:
    """Return the samples' median wall time."""
    return median(sample.seconds for sample in samples)


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment that everything is measured in, with these settings of the product.

    Little is kept of the caller's: nothing that slows a library (the BLAS overrides of some machines do), and none of
    the product's own settings, which could send a benchmark's journal to a real place.
    """
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    ways = [str(ROOT), str(ROOT / "src")]
    return {**kept, "PYTHONPATH": os.pathsep.join(ways), "BENCHMARKS_CLEAN": "1", **(settings or {})}


def start_clean(module: str) -> None:
    """Start this program again in environment(), once; to be called before numpy is imported."""
    if "BENCHMARKS_CLEAN" not in os.environ:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], environment())


def run(command: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None) -> Sample:
    """Run Python with these arguments as a whole process that has folder as its working directory.

    settings: of the product, by environment variable.

    Its output is thrown away. Raises Failed with the end of its stderr where it exits with anything but 0 or takes
    longer than LIMIT seconds.
    """
    errors = folder / "stderr.txt"
    starter = [sys.executable, "-I", "-S", "-c", STARTER, str(LIMIT), str(errors), sys.executable, *command]
    told = subprocess.run(
        starter, cwd=folder, env=environment(settings), check=True, capture_output=True, text=True, timeout=LIMIT + 10
    )
    wall, peak, code = json.loads(told.stdout)
    if code:
        end = errors.read_text(errors="replace").strip()[-600:]
        raise Failed(f"exit {code} after {wall:.1f} s: {end.replace(str(ROOT), '.').replace(str(folder), '.')}")
    return Sample(seconds=wall, peak=peak if sys.platform == "darwin" else peak * 1024)


def call(function: Callable[[], object], scale: float = 1.0) -> Sample:
    """Call a function once and return its wall time, times scale (for one that does a part of the work).

    What it returns is let go after the clock has stopped.
    """
    gc.collect()
    began = time.perf_counter()
    result = function()
    took = time.perf_counter() - began
    del result
    return Sample(seconds=took * scale)


def alternate(ours: Callable[[], Sample], theirs: Callable[[], Sample], count: int) -> Pairs:
    """Measure ours, theirs, ours, theirs ... count times each, after one round that is not counted."""
    ours(), theirs()
    taken = [(ours(), theirs()) for _ in range(count)]
    return Pairs(ours=tuple(pair[0] for pair in taken), theirs=tuple(pair[1] for pair in taken))


def processor() -> str:
    """Return the processor's name as the system tells it."""
    if sys.platform == "darwin":
        told = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], check=False, capture_output=True, text=True)
        return told.stdout.strip() or platform.machine()
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def system() -> str:
    """Return the operating system's name and version."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def facts() -> str:
    """Return the machine's facts in two lines: processor, cores, load and system; Python and libraries."""
    libraries = []
    for name in ("numpy", "pyarrow", "pandas", "polars", "backtesting"):
        try:
            libraries.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            libraries.append(f"no {name}")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return (
        f"{processor()}, {cores} cores, load {os.getloadavg()[0]:.1f}, {system()}\n"
        f"Python {platform.python_version()}, {', '.join(libraries)}; BLAS overrides removed"
    )
