"""The command line as people call it: in this process for most tests, in one of its own where that is the point."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from trading_playbook.cli.main import main
from trading_playbook.config import Settings

PROJECT = Path(__file__).parents[2]
SETTINGS = tuple(name.upper() for name in Settings.model_fields)
COMMAND = (sys.executable, "-m", "trading_playbook.cli.backtest")

Tree = Mapping[str, tuple[bytes | None, int]]
"""Everything under a folder by its relative path: bytes, None for a folder, and the time of its last change."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> dict[str, Any]:
        """stdout as the one JSON object that it must be, without the constants that JSON does not have."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is no JSON")

        found = json.loads(self.out, parse_constant=refuse)
        assert isinstance(found, dict)
        return found


class Door:
    """`trading-playbook backtest`, or another of its commands, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *command: str) -> None:
        self._capsys = capsys
        self._command = command or ("backtest",)

    def __call__(self, *arguments: object) -> Told:
        """Call the command and hear it out. Fails where it ends by anything but an exit code."""
        return self.command(*self._command, *arguments)

    def command(self, *arguments: object) -> Told:
        """Any command of `trading-playbook`, in the same way."""
        self._capsys.readouterr()
        try:
            code: object = main([*map(str, arguments)])
        except SystemExit as end:
            code = end.code
        assert isinstance(code, int), code
        said = self._capsys.readouterr()
        return Told(code, said.out, said.err)


def process(*arguments: object, cwd: Path, input_text: str = "", **environment: str | None) -> Told:
    """The command in a process of its own, its environment that of this one but for what is named here."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment_with(**environment),
        input=input_text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
        check=False,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def environment_with(**changes: str | None) -> dict[str, str]:
    """This process's environment without settings of ours, then with these changes; None takes a variable out."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in SETTINGS}
    for name, value in changes.items():
        kept.pop(name, None)
        if value is not None:
            kept[name] = value
    return kept


def tree(folder: Path) -> Tree:
    """All that lies under a folder, its own time too; empty where there is none."""
    if not folder.exists():
        return {}
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else None, path.lstat().st_mtime_ns)
        for path in (folder, *folder.rglob("*"))
    }


def rows_of(journal: Path | bytes) -> list[dict[str, str]]:
    """A journal's rows as text, read with the standard library alone."""
    content = journal if isinstance(journal, bytes) else journal.read_bytes()
    return list(csv.DictReader(StringIO(content.decode("utf-8"), newline="")))


def keys_of(journal: Path) -> list[tuple[str, str]]:
    """(trade_date, symbol) of each row, in the file's order."""
    return [(row["trade_date"], row["symbol"]) for row in rows_of(journal)]


def manifests(folder: Path) -> list[dict[str, Any]]:
    """The records of the runs beside a journal, in the order of their names."""
    return [json.loads(path.read_text(encoding="ascii")) for path in sorted((folder / "runs").glob("*.json"))]


def newest_manifest(folder: Path) -> dict[str, Any]:
    """The record of the run that was written last."""
    paths = list((folder / "runs").glob("*.json"))
    found = json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text(encoding="ascii"))
    assert isinstance(found, dict)
    return found
