"""What a fresh interpreter has loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.door import environment_with


def loaded_after(script: str, cwd: Path, **settings: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after a script, and the packages they are of."""
    told = "\nimport sys as _sys\n_sys.stdout.flush()\nprint('\\n' + '\\n'.join(_sys.modules), file=_sys.stderr)\n"
    done = subprocess.run(
        [sys.executable, "-c", script + told],
        cwd=cwd, env=environment_with(**settings), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    names = set(done.stderr.split("\n"))
    return names | {name.partition(".")[0] for name in names}
