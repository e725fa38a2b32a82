"""Objects as files of a folder: written beside their place, made durable, and put there in one step."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import Clock, LostRace, Stored
from trading_playbook.stores.keys import require_key

POLL_SECONDS = 0.02
RETRY_AFTER_SECONDS = 60.0

_LASTING = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSYS,
        errno.ENOTDIR,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Trouble that stays until a person mends it. All other, such as a full disk, may pass."""

_TEMPORARY = re.compile(r"\.playbook-[0-9a-f]{16}\.tmp")


Sync = Callable[[int], None]
"""What makes an open file's content durable."""


class LocalStore:
    """An ObjectStore on a folder, which is made when it is first written to. A generation is the content's SHA-256.

    Writers hold an advisory lock on the folder itself that they write in, so that no lock file stays behind, and remove
    what killed ones left there. A symbolic link to a file is followed: what it points to is replaced or removed. Who
    may read and write a file stays as it was. Waiting for other writers is time lost to the budget.
    durable: whether a write has reached the disk when it returns. Where content can be had again, as in a cache, that
    is not worth its time; a killed process leaves whole files all the same.
    """

    def __init__(self, root: Path, clock: Clock, budget: RetryBudget, *, durable: bool = True) -> None:
        self._root = root
        self._clock = clock
        self._budget = budget
        self._sync: Sync = _reach_the_disk if durable else _leave_to_the_system
        self._tidied: set[Path] = set()

    @property
    def place(self) -> str:
        return str(self._root)

    def address(self, key: str) -> str:
        return str(self._path(key))

    def get(self, key: str) -> Stored | None:
        path = self._path(key)
        with _told(path, "read"):
            content = _content(path)
        return None if content is None else Stored(content, _generation(content))

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        path = self._path(key)
        with _told(path, "written"):
            target = _target(path)
            _make_folder(target.parent, self._sync)
            with self._locked(target.parent) as folder:
                self._tidy(target.parent)
                old = _content(target)
                if expected != (None if old is None else _generation(old)):
                    raise LostRace(str(path))
                _replace(target, content, self._sync)
                self._sync(folder)
        return _generation(content)

    def delete(self, key: str, *, expected: str) -> None:
        path = self._path(key)
        with _told(path, "deleted"):
            target = _target(path)
            if not _is_there(target):
                raise LostRace(str(path))
            with self._locked(target.parent) as folder:
                self._tidy(target.parent)
                old = _content(target)
                if old is None or expected != _generation(old):
                    raise LostRace(str(path))
                _require_rights(target, os.W_OK)
                target.unlink()
                self._sync(folder)

    def keys(self, prefix: str) -> Sequence[str]:
        folder, _, beginning = prefix.rpartition("/")
        path = self._path(folder) if folder else self._root
        with _told(path, "read"):
            return sorted(_keys(path, f"{folder}/" if folder else "", beginning))

    def require_writable(self, key: str) -> None:
        path = self._path(key)
        with _told(path, "written"):
            target = _target(path)
            if _is_there(target):
                _require_rights(target, os.R_OK | os.W_OK)
            folder = next(folder for folder in target.parents if folder.exists())
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder")
            _require_rights(folder, os.R_OK | os.W_OK | os.X_OK)

    def _tidy(self, folder: Path) -> None:
        """Remove what killed writers left, at the first write there. Only for who holds the folder's lock."""
        if folder not in self._tidied:
            _remove_leftovers(folder)
            self._tidied.add(folder)

    def _path(self, key: str) -> Path:
        require_key(key)
        return self._root / key

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[int]:
        """Hold the folder's lock; gives the open folder."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._wait_for_lock(handle, folder)
            yield handle
        finally:
            os.close(handle)

    def _wait_for_lock(self, handle: int, folder: Path) -> None:
        began = self._clock.monotonic()
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._budget.left <= 0:
                    raise RetryLater(
                        f"another process has been writing in {folder} for {self._clock.monotonic() - began:.0f} "
                        f"seconds, and this run can wait no longer: wait for it, or end it where it hangs "
                        f"(lsof {folder} names it)",
                        retry_after_seconds=RETRY_AFTER_SECONDS,
                    ) from None
            self._budget.wait(POLL_SECONDS)


def _generation(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _target(path: Path) -> Path:
    """The file that a path means, which is another one where the path is a symbolic link."""
    return Path(os.path.realpath(path))


def _content(path: Path) -> bytes | None:
    """The file's bytes, None where there is none."""
    try:
        return path.read_bytes() if _is_there(path) else None
    except FileNotFoundError:  # removed since
        return None


def _is_there(path: Path) -> bool:
    """Whether there is a file; FixConfig where there is something else, such as a folder, or a pipe without an end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        raise FixConfig(f"{path} is no file but a {'folder' if stat.S_ISDIR(mode) else 'device'}: name another place")
    return True


def _require_rights(path: Path, rights: int) -> None:
    if not os.access(path, rights):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _reach_the_disk(handle: int) -> None:
    os.fsync(handle)


def _leave_to_the_system(handle: int) -> None:
    """In the place of fsync."""


def _make_folder(folder: Path, sync: Sync) -> None:
    """Make a folder and those above it, where they are absent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, sync)
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise FixConfig(f"the folder {folder} cannot be made: {error.strerror}; name another place") from None
    handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def _remove_leftovers(folder: Path) -> None:
    with os.scandir(folder) as entries:
        leftovers = [entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for name in leftovers:
        (folder / name).unlink(missing_ok=True)


def _replace(target: Path, content: bytes, sync: Sync) -> None:
    """Put content in the place of a file in one step; only the folder's entry is not durable yet."""
    temporary = target.with_name(f".playbook-{os.urandom(8).hex()}.tmp")
    try:
        _write(temporary, content, target, sync)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes, like: Path, sync: Sync) -> None:
    """Write a new file, to be used by whom the file `like` is used by where there is one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if _is_there(like):
            # A rename asks the folder alone, but whoever took the right to write a file away meant it.
            _require_rights(like, os.W_OK)
            os.fchmod(handle, stat.S_IMODE(like.stat().st_mode))
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        sync(handle)
    finally:
        os.close(handle)


def _keys(folder: Path, parent: str, beginning: str = "") -> Iterator[str]:
    """The keys under a folder whose names in it begin so; parent: the folder's own key and a slash."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if not entry.name.startswith(beginning) or _TEMPORARY.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _keys(folder / entry.name, f"{parent}{entry.name}/")
        elif entry.is_file():
            yield parent + entry.name


@contextmanager
def _told(path: Path, done: str) -> Iterator[None]:
    """Turn the system's errors into those that say what to do."""
    try:
        yield
    except OSError as error:
        told = f"{path} cannot be {done}: {error.strerror or error}"
        if error.errno in _LASTING:
            raise FixConfig(f"{told}; give this user the right to it, or name another place") from error
        raise RetryLater(
            f"{told}; make room or mend the disk, then call again", retry_after_seconds=RETRY_AFTER_SECONDS
        ) from error
