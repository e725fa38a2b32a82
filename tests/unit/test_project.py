"""pyproject.toml, poetry.lock and both exports say the same; seen without a network and without Poetry."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[2]
PYPROJECT: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK: Mapping[str, Any] = tomllib.loads((ROOT / "poetry.lock").read_text(encoding="utf-8"))
# Each export, and the groups of the lock that it holds.
EXPORTS = {
    "requirements.txt": {"main", "build"},
    "requirements-dev.txt": {"main", "build", "dev", "bench"},
}
PINNED = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)"
)
PLACE = re.compile(
    r"://|--(?:index|extra-index|find-links|trusted-host)|file:|git\+|\b[\w-]+\.(?:org|com|net|io|dev)\b"
)
LINUX = [f"manylinux_2_{minor}" for minor in range(28, 16, -1)] + ["manylinux2014"]
PLATFORMS = {
    "Linux on x86-64": ("linux", [f"{name}_x86_64" for name in LINUX]),
    "Linux on ARM": ("linux", [f"{name}_aarch64" for name in LINUX]),
    "macOS on ARM": ("darwin", list(mac_platforms((14, 0), "arm64"))),
}


@dataclass(frozen=True)
class Requirement:
    name: str
    version: str
    marker: str | None
    hashes: frozenset[str]


def logical_lines(file: str) -> Iterator[str]:
    """Yield the file's lines that are no comment, those that a backslash continues as one."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", "")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield re.sub(r" +", " ", line)


def requirements(file: str) -> list[Requirement]:
    found = []
    for line in logical_lines(file):
        match = PINNED.fullmatch(line)
        assert match, f"{file}: not pinned with == and hashes: {line[:100]}"
        hashes = frozenset(match["hashes"].replace("--hash=", "").split())
        found.append(Requirement(match["name"], match["version"], match["marker"], hashes))
    return found


def locked(groups: set[str]) -> dict[tuple[str, str], frozenset[str]]:
    """Return the hashes of each locked package, by name and version, that one of the groups needs."""
    return {
        (package["name"], package["version"]): frozenset(file["hash"] for file in package["files"])
        for package in LOCK["package"]
        if groups & set(package["groups"])
    }


def names(dependencies: list[str]) -> set[str]:
    return {canonicalize_name(re.split(r"[^\w.-]", dependency, maxsplit=1)[0]) for dependency in dependencies}


def is_ignored(path: str, by: str) -> bool:
    """Tell whether the last pattern that fits the path ignores it; enough for a file at the root."""
    ignored = False
    for line in (ROOT / by).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and fnmatch(path, line.removeprefix("!").strip("/")):
            ignored = not line.startswith("!")
    return ignored


def test_the_lock_was_made_from_this_pyproject() -> None:
    project, poetry = PYPROJECT["project"], PYPROJECT["tool"]["poetry"]
    # As Poetry 2.3 and later does: what decides about dependencies, and nothing else.
    relevant = {
        "project": {
            key: project[key] for key in ("requires-python", "dependencies", "optional-dependencies") if key in project
        },
        "tool": {
            "poetry": {
                key: poetry[key]
                for key in ("dependencies", "source", "extras", "dev-dependencies", "group")
                if key in poetry
            }
        },
    }
    if groups := PYPROJECT.get("dependency-groups"):
        relevant["dependency-groups"] = groups
    content = json.dumps(relevant, sort_keys=True).encode()
    assert LOCK["metadata"]["content-hash"] == sha256(content).hexdigest(), "run `make lock`"


@pytest.mark.parametrize("file", EXPORTS)
def test_an_export_holds_each_package_that_the_lock_gives_its_groups_with_the_same_hashes(file: str) -> None:
    exported = {(found.name, found.version): found.hashes for found in requirements(file)}
    assert exported == locked(EXPORTS[file])


def test_no_requirement_is_exported_without_a_version_and_hashes() -> None:
    for file in EXPORTS:
        assert all(found.version and found.hashes for found in requirements(file))


def test_the_requirements_of_development_hold_those_of_running() -> None:
    assert set(requirements("requirements.txt")) <= set(requirements("requirements-dev.txt"))


def test_every_main_dependency_stands_in_the_requirements_of_running() -> None:
    assert names(PYPROJECT["project"]["dependencies"]) <= {found.name for found in requirements("requirements.txt")}


@pytest.mark.parametrize("file", EXPORTS)
def test_what_builds_the_project_stands_in_each_export(file: str) -> None:
    # The editable install goes without build isolation, so that nothing unpinned is ever fetched.
    assert names(PYPROJECT["build-system"]["requires"]) <= {found.name for found in requirements(file)}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_each_supported_python_gets_one_version_of_a_package_and_a_wheel_of_it(minor: int, platform: str) -> None:
    system, platforms = PLATFORMS[platform]
    environment = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0", "sys_platform": system}
    tags = {
        *cpython_tags((3, minor), platforms=platforms),
        *(Tag("py3", "none", place) for place in [*platforms, "any"]),
    }
    wheels = {
        (package["name"], package["version"]): [
            file["file"] for file in package["files"] if file["file"].endswith(".whl")
        ]
        for package in LOCK["package"]
    }
    chosen: dict[str, str] = {}
    for found in requirements("requirements-dev.txt"):
        if found.marker is None or Marker(found.marker).evaluate(environment):
            assert found.name not in chosen
            chosen[found.name] = found.version
            files = wheels[found.name, found.version]
            assert any(tags & parse_wheel_filename(file)[3] for file in files), f"{found.name} {found.version}"
    assert names(PYPROJECT["project"]["dependencies"]) <= chosen.keys()


@pytest.mark.parametrize("file", ["poetry.lock", *EXPORTS])
def test_neither_the_lock_nor_an_export_names_a_place_to_fetch_from(file: str) -> None:
    assert not PLACE.findall((ROOT / file).read_text(encoding="utf-8"))


def test_no_package_comes_from_a_source_of_its_own() -> None:
    assert "source" not in PYPROJECT["tool"]["poetry"]
    assert not any("source" in package for package in LOCK["package"])


@pytest.mark.parametrize("by", [".gitignore", ".dockerignore"])
def test_a_file_of_secrets_is_ignored(by: str) -> None:
    assert is_ignored(".env", by)


def test_the_template_of_settings_is_kept_in_git() -> None:
    assert not is_ignored(".env.template", ".gitignore")


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert newest
    assert newest[1] == PYPROJECT["project"]["version"]
