"""Objects in a bucket of Google Cloud Storage; every write and delete names the generation that it stands on."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trading_playbook.core.errors import FixConfig
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.retries import TEMPORARY_STATUSES, Temporary, asked_wait, with_retries
from trading_playbook.ports import Clock, LostRace, Stored
from trading_playbook.stores.keys import require_key

MULTIPART_BYTES = 8 * 1024 * 1024
"""Up to so many bytes the library uploads in one call, more in a session of several."""

_CREATE = "storage.objects.create"
# Replacing an object takes the right to delete it, and without the right to list, Google refuses to say that an object
# is absent: it answers 403 where 404 would be the truth.
_PERMISSIONS = (_CREATE, "storage.objects.delete", "storage.objects.get", "storage.objects.list")
_ROLE = "the role Storage Object User (roles/storage.objectUser)"
_SIGN_IN = (
    "on a laptop run `gcloud auth application-default login`, on Cloud Run let the service run as a service account "
    f"that has {_ROLE} on the bucket"
)

_CONTENT_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
}
# Without it, Google serves what the public may read from caches, up to an hour old. Not no-cache either: that lets
# copies of a journal lie in the caches of others.
_CACHE_CONTROL = "no-store"

_RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


class GCSStore:
    """An ObjectStore on gs://bucket/prefix. A generation is Google's own, in decimal digits.

    The library is loaded and the credentials are looked for at the first call; from then on any thread may call. With
    STORAGE_EMULATOR_HOST set, Google's client talks to that server instead, without credentials.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        clock: Clock,
        budget: RetryBudget,
        *,
        threads: int = 16,
        seconds_between_writes: float = 0.0,
    ) -> None:
        """prefix: what all names begin with, empty for the whole bucket. threads: how many may call at once.

        seconds_between_writes: how long a put waits, not as lost time, after the last put of the same key.
        """
        self._bucket_name = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._clock = clock
        self._budget = budget
        self._threads = threads
        self._seconds_between_writes = seconds_between_writes
        self._written: dict[str, float] = {}
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def place(self) -> str:
        return f"gs://{self._bucket_name}/{self._prefix}".rstrip("/")

    def address(self, key: str) -> str:
        return f"gs://{self._bucket_name}/{self._name(key)}"

    def get(self, key: str) -> Stored | None:
        name = self._name(key)

        def attempt(seconds: float) -> Stored | None:
            try:
                with self._call(seconds, f"{self.address(key)} cannot be read") as (bucket, timeouts):
                    return _read(bucket, name, timeouts)
            except _Absent:
                return None
            except LostRace:
                raise Temporary(f"{self.address(key)} changes while it is read") from None

        return with_retries(attempt, self._budget)

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        name = self._name(key)
        unsure = False

        def attempt(seconds: float) -> str | None:
            nonlocal unsure
            try:
                with self._call(seconds, f"{self.address(key)} cannot be written") as (bucket, timeouts):
                    return _upload(bucket, name, content, expected, timeouts)
            except LostRace:
                return None
            except _Absent:
                raise self._no_bucket() from None
            except _Unsure:
                unsure = True
                raise

        generation = with_retries(attempt, self._budget, lambda: self._await_turn(name))
        if generation is not None:
            self._written[name] = self._clock.monotonic()
            return generation
        # An attempt whose answer was lost may have been the one that another one then found in its way.
        if unsure and (there := self.get(key)) is not None and there.content == content:
            return there.generation
        raise LostRace(self.address(key))

    def delete(self, key: str, *, expected: str) -> None:
        name = self._name(key)
        unsure = False

        def attempt(seconds: float) -> bool:
            nonlocal unsure
            try:
                with self._call(seconds, f"{self.address(key)} cannot be deleted") as (bucket, timeouts):
                    bucket.delete_blob(name, if_generation_match=int(expected), retry=None, timeout=timeouts)
            except LostRace:
                return False
            except _Absent:
                return unsure  # deleted by an attempt whose answer was lost
            except _Unsure:
                unsure = True
                raise
            return True

        if not with_retries(attempt, self._budget):
            raise LostRace(self.address(key))

    def keys(self, prefix: str) -> Sequence[str]:
        found: list[str] = []
        token: str | None = None
        while True:
            names, following = self._page(prefix, token)
            found.extend(name[len(self._prefix) :] for name in names)
            if not following:
                return sorted(filter(_is_key, found))
            token = following

    def require_writable(self, key: str) -> None:
        name = self._name(key)
        doing = f"{self.address(key)} cannot be written"

        def granted(seconds: float) -> frozenset[str] | None:
            try:
                # Who may not even ask, or asks a server that does not know the question, learns it by writing.
                with self._call(seconds, doing, absent=frozenset({403, 404, 405, 501})) as (bucket, timeouts):
                    return frozenset(bucket.test_iam_permissions(_PERMISSIONS, retry=None, timeout=timeouts))
            except _Absent:
                return None

        def begin(seconds: float) -> None:
            try:
                # Beginning an upload takes the right to create this very object, and writes nothing; nor could it ever
                # be ended, since no object is of this generation.
                with self._call(seconds, doing, absent=frozenset({404, 405, 501})) as (bucket, timeouts):
                    bucket.blob(name).create_resumable_upload_session(
                        size=0, if_generation_match=1, checksum=None, retry=None, timeout=timeouts
                    )
            except (LostRace, _Absent):
                return

        found = with_retries(granted, self._budget)
        missing = [permission for permission in _PERMISSIONS if found is not None and permission not in found]
        if _CREATE in missing:
            # The right may hold for some names of the bucket alone (IAM conditions, managed folders).
            with_retries(begin, self._budget)
        elif missing:
            raise FixConfig(
                f"{doing}: the credentials lack {', '.join(missing)} on the bucket {self._bucket_name}; "
                f"give their account {_ROLE} on that bucket"
            )

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _await_turn(self, name: str) -> None:
        """Return when an object may be written again."""
        written = self._written.get(name)
        if written is not None:
            wait = written + self._seconds_between_writes - self._clock.monotonic()
            if wait > 0:
                self._clock.sleep(wait)

    def _name(self, key: str) -> str:
        require_key(key)
        return self._prefix + key

    def _page(self, prefix: str, token: str | None) -> tuple[list[str], str | None]:
        """One page of names, and the token of the next one."""

        def attempt(seconds: float) -> tuple[list[str], str | None]:
            try:
                with self._call(seconds, f"{self.place} cannot be listed") as (bucket, timeouts):
                    pages = bucket.list_blobs(
                        prefix=self._prefix + prefix,
                        page_token=token,
                        fields="items(name),nextPageToken",
                        retry=None,
                        timeout=timeouts,
                    )
                    names = [blob.name for blob in next(pages.pages, ())]
                    following: str | None = pages.next_page_token
            except _Absent:
                raise self._no_bucket() from None
            if token is not None and following == token:  # the library would go round in a circle
                raise Temporary(f"{self.place} cannot be listed: a page leads back to itself")
            return names, following

        return with_retries(attempt, self._budget)

    @contextmanager
    def _call(
        self, seconds: float, doing: str, absent: frozenset[int] = frozenset({404})
    ) -> Iterator[tuple[Any, tuple[float, float]]]:
        """One call to Google, which ends within so many seconds; gives the bucket and the timeouts to hand over.

        doing: what is not done where it fails. Raises Temporary and FixConfig, LostRace where the generation is another
        one, and _Absent where the answer is of a status that is named as absent.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
        from urllib3.exceptions import HTTPError

        from trading_playbook.network.deadlines import ending_within
        from trading_playbook.network.google import without_token

        # What Google's errors say may hold addresses of upload sessions, which are as good as a key, and what its
        # credentials say is not ours to show: only what is taken from them here goes on.
        with ending_within(seconds) as deadline:
            try:
                yield self._open_bucket(), deadline.timeouts
            except GoogleAPICallError as error:
                raise self._answered(error, doing, absent) from None
            except GoogleAuthError as error:
                raise without_token(error, doing, f"{_SIGN_IN} {self._bucket_name}") from None
            except (OSError, HTTPError, DataCorruption, InvalidResponse) as error:
                if isinstance(error, InvalidSchema | InvalidURL | MissingSchema):
                    raise FixConfig(
                        f"{doing}: the address of Google's storage is none; mend STORAGE_EMULATOR_HOST, such as "
                        "http://localhost:9023, or unset it"
                    ) from None
                raise _Unsure(f"{doing}: the call to Google failed ({type(error).__name__})") from None
            if deadline.passed:  # what looks like an answer may be the half of one
                raise _Unsure(f"{doing}: the call to Google took too long")

    def _open_bucket(self) -> Any:
        """The library's bucket, with a client that is made at the first call."""
        with self._lock:
            if self._client is None:
                self._client = _client(self._threads)
            try:
                return self._client.bucket(self._bucket_name)
            except ValueError:
                raise FixConfig(f"{self._bucket_name!r} can be no name of a bucket: mend it") from None

    def _answered(self, error: Any, doing: str, absent: frozenset[int]) -> Exception:
        """What an answer that is no success means."""
        status = int(error.code or 0)
        said, reason = _said(error)
        headers = {} if error.response is None else error.response.headers
        told = f"{doing}: Google answers {status}{said and f' ({said})'}"
        wait = asked_wait(headers, self._clock.now())
        if status == 412:
            return LostRace(told)
        if status == 404 and "bucket does not exist" in said:
            return self._no_bucket()
        if status in absent and not _is_of_upload_session(error):
            return _Absent(told)
        if status == 429 or (status == 403 and reason in _RATE_REASONS):
            return Temporary(told, wait)
        # Bytes that were damaged on their way are refused as a bad request; an upload session may be gone.
        if status == 400 and "match calculated" in said:
            return Temporary(told)
        if status in TEMPORARY_STATUSES or status >= 500 or status < 400 or status in (404, 409, 410):
            return _Unsure(told, wait)
        if status == 401:
            return FixConfig(f"{told}: it does not accept the credentials; {_SIGN_IN} {self._bucket_name}")
        if status == 403:
            return FixConfig(f"{told}; give the credentials' account {_ROLE} on the bucket {self._bucket_name}")
        return FixConfig(f"{told}; look at the bucket {self._bucket_name} and at the name of the place")

    def _no_bucket(self) -> FixConfig:
        return FixConfig(
            f"there is no bucket {self._bucket_name}: make it (gcloud storage buckets create "
            f"gs://{self._bucket_name}), or name another one"
        )


class _Absent(Exception):
    """There is no such object, or no such question."""


class _Unsure(Temporary):
    """The call failed in a way that leaves open whether it was done."""


def _client(threads: int) -> Any:
    """Google's client, whose calls, those for a token too, end when ours must."""
    from google.cloud.storage import Client

    from trading_playbook.network.google import let_end

    # Objects are named by their bucket alone; without this the client looks for a project, and fails where none is set.
    client = Client(project=None)
    # For traces that nobody collects here, the library asks for the bucket itself: in a thread of its own that no
    # deadline ends, again after each failure, and by a right (storage.buckets.get) that we have no need of.
    client._bucket_metadata_cache = None
    session = client._http
    session.hooks["response"].append(_read_refusal)
    let_end(session, threads)
    return client


def _read_refusal(response: Any, *_: object, **__: object) -> None:
    """Read what a refusal says at once: the library drops some of them unread, and with them their connections."""
    if response.status_code >= 400:
        _ = response.content


def _read(bucket: Any, name: str, timeouts: tuple[float, float]) -> Stored:
    # Raw: the bytes as they are stored, which the checksum is of, even where somebody stored them compressed.
    how = {"raw_download": True, "single_shot_download": True, "checksum": "crc32c", "retry": None, "timeout": timeouts}
    blob = bucket.blob(name)
    content = blob.download_as_bytes(**how)
    if blob.generation is None:  # some emulators leave the header out
        blob.reload(retry=None, timeout=timeouts)
        content = bucket.blob(name).download_as_bytes(if_generation_match=blob.generation, **how)
    return Stored(content, str(blob.generation))


def _upload(bucket: Any, name: str, content: bytes, expected: str | None, timeouts: tuple[float, float]) -> str:
    blob = bucket.blob(name)
    blob.cache_control = _CACHE_CONTROL
    ending = name[name.rfind(".") :] if "." in name else ""
    # Google compares the checksum that it is given before it stores. The library's own check of a large upload comes
    # after, and deletes what it then finds, of whatever generation: it is never asked for.
    large = len(content) > MULTIPART_BYTES
    blob.upload_from_string(
        content,
        content_type=_CONTENT_TYPES.get(ending, "application/octet-stream"),
        if_generation_match=0 if expected is None else int(expected),
        checksum=None if large else "crc32c",
        crc32c_checksum_value=_crc32c(content) if large else None,
        retry=None,
        timeout=timeouts,
    )
    return str(blob.generation)


def _crc32c(content: bytes) -> str:
    """The checksum as Google writes it: big end first, in base64."""
    import google_crc32c

    value: int = google_crc32c.value(content)
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def _said(error: Any) -> tuple[str, str]:
    """What Google says of an error, for people, and its reason in one word."""
    try:
        told = error.response.json()["error"]
        return str(told["message"])[:300], str(told["errors"][0]["reason"])
    except (AttributeError, ValueError, KeyError, IndexError, TypeError):
        text = "" if error.response is None else str(error.response.text)
        return ("" if "<" in text else " ".join(text.split())[:300]), ""


def _is_of_upload_session(error: Any) -> bool:
    return error.response is not None and "upload_id=" in str(error.response.request.url)


def _is_key(text: str) -> bool:
    """Whether it can be a key at all; consoles make empty objects such as runs/ to show a folder."""
    try:
        require_key(text)
    except ValueError:
        return False
    return True
