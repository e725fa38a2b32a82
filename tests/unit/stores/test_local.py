from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.clocks import ManualClock
from trading_playbook.core.errors import FixConfig, PlaybookError, RetryLater
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import LostRace
from trading_playbook.stores.local import LocalStore
from trading_playbook.system import SystemClock

KEY = "trades.csv"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def budget(clock: ManualClock) -> RetryBudget:
    return RetryBudget(clock, 5)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock, budget: RetryBudget) -> LocalStore:
    return LocalStore(tmp_path, clock, budget)


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


def test_an_address_is_the_path_as_it_was_given(clock: ManualClock, budget: RetryBudget) -> None:
    assert LocalStore(Path("output"), clock, budget).address("runs/a.json") == "output/runs/a.json"
    assert LocalStore(Path(), clock, budget).address(KEY) == KEY


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
    told = r"another process has been writing in .* for 5 seconds, .*lsof"
    with _locked(tmp_path), pytest.raises(RetryLater, match=told) as late:
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


def test_waiting_for_a_lock_is_lost_to_the_budget_of_the_run(
    tmp_path: Path, store: LocalStore, clock: ManualClock, budget: RetryBudget
) -> None:
    budget.lose(4)
    with _locked(tmp_path):
        with pytest.raises(RetryLater, match=r"for 1 seconds"):
            store.put(KEY, b"one", expected=None)
        assert 1 <= clock.monotonic() < 1.1
        assert budget.left == 0
        with pytest.raises(RetryLater, match=r"for 0 seconds"):
            store.put(KEY, b"one", expected=None)
    store.put(KEY, b"one", expected=None)


def test_threads_of_one_process_keep_each_other_out_of_a_folder(tmp_path: Path) -> None:
    clock = SystemClock()
    store = LocalStore(tmp_path, clock, RetryBudget(clock, 60))

    def add(who: int) -> None:
        while True:
            found = store.get(KEY)
            with suppress(LostRace):
                store.put(
                    KEY,
                    (found.content if found else b"") + b"%d\n" % who,
                    expected=found.generation if found else None,
                )
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert sorted(map(int, (tmp_path / KEY).read_bytes().split())) == list(range(24))
    assert _names(tmp_path) == [KEY]


def test_a_lock_that_one_thread_holds_keeps_another_one_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SystemClock()
    store = LocalStore(tmp_path, clock, RetryBudget(clock, 60))
    inside, most = 0, 0
    replace = os.replace

    def watched(*paths: Any) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        replace(*paths)
        inside -= 1

    monkeypatch.setattr(os, "replace", watched)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda who: store.put(f"{who}.csv", b"one", expected=None), range(6)))
    assert most == 1


def test_deleting_asks_for_the_folders_lock_and_makes_it_durable(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = store.put(KEY, b"one", expected=None)
    with _locked(tmp_path), pytest.raises(RetryLater, match="another process"):
        store.delete(KEY, expected=generation)
    done: list[str] = []
    fsync = os.fsync

    def told_fsync(handle: int) -> None:
        assert not (tmp_path / KEY).exists()
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", told_fsync)
    store.delete(KEY, expected=generation)
    assert done == ["folder"]
    assert _names(tmp_path) == []


def test_a_file_that_may_not_be_written_is_not_deleted(
    tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = store.put(KEY, b"one", expected=None)
    _forbid(monkeypatch, tmp_path / KEY)
    with pytest.raises(FixConfig, match=r"trades\.csv cannot be deleted: Permission denied"):
        store.delete(KEY, expected=generation)
    assert (tmp_path / KEY).read_bytes() == b"one"


def test_a_deleted_symbolic_link_stays_and_can_be_written_through_again(tmp_path: Path, store: LocalStore) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / KEY).symlink_to("elsewhere/real.csv")
    store.delete(KEY, expected=store.put(KEY, b"one", expected=None))
    assert store.keys("") == []
    store.put(KEY, b"two", expected=None)
    assert (tmp_path / "elsewhere" / "real.csv").read_bytes() == b"two"


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


def test_a_file_in_the_place_of_a_folder_is_refused_and_left_alone(
    tmp_path: Path, clock: ManualClock, budget: RetryBudget
) -> None:
    (tmp_path / "output").write_bytes(b"mine")
    store = LocalStore(tmp_path / "output", clock, budget)
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


def test_a_folder_that_cannot_be_made_is_refused(clock: ManualClock, budget: RetryBudget) -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("there is no /proc, where nobody can make a folder")
    store = LocalStore(Path("/proc/playbook/output"), clock, budget)
    with pytest.raises(FixConfig, match=r"the folder /proc/playbook cannot be made: .*; name another place"):
        store.put(KEY, b"one", expected=None)


def test_a_folder_that_is_not_there_yet_is_asked_for_by_the_one_above_it(
    tmp_path: Path, clock: ManualClock, budget: RetryBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "not" / "there", clock, budget)
    store.require_writable("runs/a.json")
    assert _names(tmp_path) == []
    _forbid(monkeypatch, tmp_path)
    with pytest.raises(FixConfig, match="cannot be written: Permission denied"):
        store.require_writable("runs/a.json")
    assert _names(tmp_path) == []


def test_a_folder_that_another_process_is_quicker_to_make_is_used(
    tmp_path: Path, clock: ManualClock, budget: RetryBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir

    def beaten(path: Path, *args: Any, **options: Any) -> None:
        os.mkdir(path)  # noqa: PTH102
        mkdir(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", beaten)
    LocalStore(tmp_path / "output", clock, budget).put(KEY, b"one", expected=None)


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
