from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.clocks import ManualClock
from trading_playbook.core.errors import FixConfig, PlaybookError, RetryLater
from trading_playbook.ports import LostRace
from trading_playbook.stores.local import LocalStore

KEY = "trades.csv"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> LocalStore:
    return LocalStore(tmp_path, clock, patience_seconds=5)


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_the_folders_of_a_key_are_made(tmp_path: Path, store: LocalStore) -> None:
    store.put("a/b/c.csv", b"one", expected=None)
    assert (tmp_path / "a" / "b" / "c.csv").read_bytes() == b"one"


def test_nothing_stays_beside_the_file(tmp_path: Path, store: LocalStore) -> None:
    generation = store.put(KEY, b"one", expected=None)
    store.put(KEY, b"two", expected=generation)
    assert _names(tmp_path) == [KEY]


def test_an_address_is_the_path_as_it_was_given(clock: ManualClock) -> None:
    assert LocalStore(Path("output"), clock, 1).address("runs/a.json") == "output/runs/a.json"
    assert LocalStore(Path(), clock, 1).address(KEY) == KEY


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_rights_that_the_umask_leaves(
    tmp_path: Path, store: LocalStore, mask: int, mode: int
) -> None:
    with _umask(mask):
        store.put(KEY, b"one", expected=None)
    assert _mode(tmp_path / KEY) == mode


def test_an_old_file_keeps_its_rights(tmp_path: Path, store: LocalStore) -> None:
    generation = store.put(KEY, b"one", expected=None)
    (tmp_path / KEY).chmod(0o640)
    store.put(KEY, b"two", expected=generation)
    assert _mode(tmp_path / KEY) == 0o640


def test_a_file_that_may_not_be_written_is_not_replaced(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = store.put(KEY, b"one", expected=None)
    # Not by its mode: tests may run as root, who may write everything.
    _forbid(monkeypatch, tmp_path / KEY)
    with pytest.raises(FixConfig, match=r"trades\.csv cannot be written: Permission denied; give this user the right"):
        store.put(KEY, b"two", expected=generation)
    with pytest.raises(FixConfig, match="cannot be written"):
        store.require_writable(KEY)
    assert (tmp_path / KEY).read_bytes() == b"one"
    assert _names(tmp_path) == [KEY]


def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path, store: LocalStore) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / KEY).symlink_to("elsewhere/real.csv")
    generation = store.put(KEY, b"one", expected=None)
    store.put(KEY, b"two", expected=generation)
    assert (tmp_path / KEY).is_symlink()
    assert _names(elsewhere) == ["real.csv"]
    assert (elsewhere / "real.csv").read_bytes() == b"two"
    assert store.keys("") == ["elsewhere/real.csv", KEY]


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path, store: LocalStore) -> None:
    (tmp_path / KEY).symlink_to("other.csv")
    (tmp_path / "other.csv").symlink_to(KEY)
    for use in _uses(store):
        with pytest.raises(FixConfig, match="symbolic link"):
            use()


def test_what_killed_writers_left_is_no_key_and_is_removed_by_the_next_put_into_that_folder(
    tmp_path: Path, store: LocalStore
) -> None:
    left = [".playbook-0123456789abcdef.tmp", ".playbook-ffffffffffffffff.tmp"]
    others = [
        ".playbook-mine.tmp",
        ".trades.csv.0123456789abcdef.tmp",
        ".trades.csv.swp",
        "trades.csv.tmp",
        "0123456789abcdef.tmp",
    ]
    for name in (*left, *others):
        (tmp_path / name).write_bytes(b"half")
    assert store.keys("") == sorted(others)
    store.put("runs/a.json", b"one", expected=None)
    assert _names(tmp_path) == sorted(["a.json", "runs", *left, *others])
    store.put(KEY, b"one", expected=None)
    assert _names(tmp_path) == sorted(["a.json", "runs", KEY, *others])


def test_a_put_waits_for_who_holds_the_folders_lock(tmp_path: Path, store: LocalStore, clock: ManualClock) -> None:
    store.put(KEY, b"one", expected=None)
    with _locked(tmp_path), pytest.raises(RetryLater, match=r"another process has been writing in .*lsof") as late:
        store.put("other.csv", b"two", expected=None)
    assert str(tmp_path) in late.value.message
    assert 5 <= clock.monotonic() < 5.1
    assert store.get("other.csv") is None
    store.put("other.csv", b"two", expected=None)


def test_a_put_goes_on_when_the_lock_is_given_back(tmp_path: Path, store: LocalStore, clock: ManualClock) -> None:
    with _locked(tmp_path) as handle:

        def sleep(seconds: float) -> None:
            if len(clock.slept) == 3:
                fcntl.flock(handle, fcntl.LOCK_UN)
            ManualClock.sleep(clock, seconds)

        clock.sleep = sleep  # type: ignore[method-assign]
        store.put(KEY, b"one", expected=None)
    assert len(clock.slept) == 4


def test_reading_asks_for_no_lock(tmp_path: Path, store: LocalStore) -> None:
    store.put(KEY, b"one", expected=None)
    with _locked(tmp_path):
        assert store.get(KEY) is not None
        assert store.keys("") == [KEY]
        store.require_writable(KEY)


def test_a_lost_race_leaves_no_temporary_file(tmp_path: Path, store: LocalStore) -> None:
    store.put(KEY, b"one", expected=None)
    with pytest.raises(LostRace):
        store.put(KEY, b"two", expected=None)
    assert _names(tmp_path) == [KEY]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "fchmod", "replace"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, RetryLater),
        (errno.EDQUOT, RetryLater),
        (errno.EIO, RetryLater),
        (errno.EFBIG, RetryLater),
        (errno.EMFILE, RetryLater),
        (errno.EAGAIN, RetryLater),
        (errno.EACCES, FixConfig),
        (errno.EPERM, FixConfig),
        (errno.EROFS, FixConfig),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_a_failing_system_call_is_told_and_leaves_the_old_bytes_and_nothing_else(
    tmp_path: Path,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    kind: type[PlaybookError],
) -> None:
    generation = store.put(KEY, b"one", expected=None)
    with monkeypatch.context() as broken:
        _break(broken, call, number)
        with pytest.raises(kind) as told:
            store.put(KEY, b"two", expected=generation)
    assert f"{tmp_path / KEY} cannot be written: {os.strerror(number)}" in told.value.message
    assert (tmp_path / KEY).read_bytes() == b"one"
    assert _names(tmp_path) == [KEY]
    store.put(KEY, b"two", expected=generation)


def test_a_write_in_parts_is_carried_on(tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: whole(handle, bytes(content[:3])))
    store.put(KEY, b"0123456789", expected=None)
    assert (tmp_path / KEY).read_bytes() == b"0123456789"


def test_an_interrupted_put_leaves_the_old_bytes_and_nothing_else(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = store.put(KEY, b"one", expected=None)

    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.put(KEY, b"two", expected=generation)
    assert (tmp_path / KEY).read_bytes() == b"one"
    assert _names(tmp_path) == [KEY]
    store.put(KEY, b"two", expected=generation)


def test_the_file_is_durable_before_it_takes_its_place_and_the_folder_after(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def told_fsync(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def told_replace(*paths: Any) -> None:
        done.append("replace")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(os, "replace", told_replace)
    store.put(KEY, b"one", expected=None)
    assert done == ["file", "replace", "folder"]
    store.put("new/folder/a.csv", b"one", expected=None)
    assert done[3:] == ["folder", "folder", "file", "replace", "folder"]


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path, store: LocalStore) -> None:
    (tmp_path / KEY).mkdir()
    for use in _uses(store):
        with pytest.raises(FixConfig, match=r"trades\.csv is no file but a folder: name another place"):
            use()


def test_a_pipe_in_the_place_of_the_file_is_refused_and_holds_nobody_up(tmp_path: Path, store: LocalStore) -> None:
    os.mkfifo(tmp_path / KEY)
    for use in _uses(store):
        with pytest.raises(FixConfig, match="is no file but a device"):
            use()


def test_a_file_in_the_place_of_a_folder_is_refused_and_left_alone(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "output").write_bytes(b"mine")
    store = LocalStore(tmp_path / "output", clock, 1)
    for use in _uses(store):
        with pytest.raises(FixConfig, match="output"):
            use()
    with pytest.raises(FixConfig, match="Not a directory"):
        store.keys("runs/")
    assert (tmp_path / "output").read_bytes() == b"mine"


def test_a_name_that_is_too_long_is_refused(store: LocalStore) -> None:
    for use in _uses(store, "x" * 300):
        with pytest.raises(FixConfig, match="too long"):
            use()


def test_a_folder_that_cannot_be_made_is_refused(clock: ManualClock) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc, where nobody can make a folder")
    store = LocalStore(Path("/proc/playbook/output"), clock, 1)
    with pytest.raises(FixConfig, match=r"the folder /proc/playbook cannot be made: .*; name another place"):
        store.put(KEY, b"one", expected=None)


def test_a_folder_that_is_not_there_yet_is_asked_for_by_the_one_above_it(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "not" / "there", clock, 1)
    store.require_writable("runs/a.json")
    assert _names(tmp_path) == []
    _forbid(monkeypatch, tmp_path)
    with pytest.raises(FixConfig, match="cannot be written: Permission denied"):
        store.require_writable("runs/a.json")
    assert _names(tmp_path) == []


def test_a_folder_that_another_process_is_quicker_to_make_is_used(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir

    def beaten(path: Path, *args: Any, **options: Any) -> None:
        os.mkdir(path)  # noqa: PTH102
        mkdir(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", beaten)
    LocalStore(tmp_path / "output", clock, 1).put(KEY, b"one", expected=None)


def test_a_file_that_vanishes_while_it_is_read_is_absent(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(KEY, b"one", expected=None)
    read = Path.read_bytes

    def vanished(path: Path) -> bytes:
        path.unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanished)
    assert store.get(KEY) is None


def _uses(store: LocalStore, key: str = KEY) -> tuple[Callable[[], object], ...]:
    return (
        lambda: store.get(key),
        lambda: store.put(key, b"two", expected=None),
        lambda: store.require_writable(key),
    )


def _forbid(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Take the right to write away, from root too."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, rights: Path(path) != place and access(path, rights))


def _break(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """Let a system call fail; of opening only that of new files."""
    whole = getattr(os, call)

    def broken(*args: Any, **options: Any) -> Any:
        if call == "open" and not args[1] & os.O_CREAT:
            return whole(*args, **options)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, broken)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
