from __future__ import annotations

import base64
import logging
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from tests.support.clocks import ManualClock
from tests.support.gcs_double import (
    PERMISSIONS,
    TOKEN,
    AnswerLost,
    Damaged,
    Drip,
    Fault,
    GcsDouble,
    Hang,
    NoGeneration,
    Reset,
    Rival,
    Status,
    crc32c,
)
from trading_playbook.core.errors import FixConfig, PlaybookError, RetryLater
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.retries import ATTEMPTS, Temporary
from trading_playbook.ports import LostRace, Stored
from trading_playbook.stores import gcs as module
from trading_playbook.stores.gcs import GCSStore
from trading_playbook.system import SystemClock

BUCKET = "playbook"
KEY = "trades.csv"
NAME = "output/trades.csv"
ALWAYS = float("inf")


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsDouble]:
    with GcsDouble([BUCKET]) as double:
        double.take_the_place_of_google(monkeypatch)
        yield double


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def budget(clock: ManualClock) -> RetryBudget:
    return RetryBudget(clock, 100)


@pytest.fixture
def store(gcs: GcsDouble, clock: ManualClock, budget: RetryBudget) -> Iterator[GCSStore]:
    with closing(GCSStore(BUCKET, "output", clock, budget)) as store:
        yield store


@pytest.fixture
def hurried(gcs: GcsDouble) -> Iterator[GCSStore]:
    """A store on the machine's clock that may lose one second."""
    clock = SystemClock()
    with closing(GCSStore(BUCKET, "output", clock, RetryBudget(clock, 1))) as store:
        yield store


@pytest.fixture
def small_multipart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let uploads take several calls from 1,001 bytes on."""
    import google.cloud.storage.blob

    assert google.cloud.storage.blob._MAX_MULTIPART_SIZE == module.MULTIPART_BYTES
    monkeypatch.setattr(google.cloud.storage.blob, "_MAX_MULTIPART_SIZE", 1000)
    monkeypatch.setattr(module, "MULTIPART_BYTES", 1000)


def _uses(store: GCSStore, generation: str = "1") -> dict[str, Callable[[], object]]:
    """A use of each kind of call, of the object under KEY where it is of this generation."""
    return {
        "get": lambda: store.get(KEY),
        "put": lambda: store.put(KEY, b"two", expected=generation),
        "delete": lambda: store.delete(KEY, expected=generation),
        "list": lambda: store.keys(""),
        "permissions": lambda: store.require_writable(KEY),
    }


USES = ["get", "put", "delete", "list", "permissions"]


def test_neither_importing_nor_building_loads_the_library() -> None:
    script = (
        "import sys; from trading_playbook.stores.gcs import GCSStore; from trading_playbook.system import SystemClock;"
        "from trading_playbook.network.budget import RetryBudget; clock = SystemClock();"
        "GCSStore('playbook', 'output', clock, RetryBudget(clock, 1));"
        "print([name for name in ('google', 'requests', 'urllib3', 'google_crc32c') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_begin_with_the_prefix(gcs: GcsDouble, store: GCSStore) -> None:
    generation = store.put("runs/a.json", b"{}", expected=None)
    assert gcs.objects(BUCKET) == {"output/runs/a.json": b"{}"}
    assert generation == str(gcs.held(BUCKET, "output/runs/a.json").generation)
    assert store.place == "gs://playbook/output"
    assert store.address(KEY) == "gs://playbook/output/trades.csv"


def test_a_store_can_have_a_whole_bucket(gcs: GcsDouble, clock: ManualClock, budget: RetryBudget) -> None:
    with closing(GCSStore(BUCKET, "", clock, budget)) as store:
        store.put(KEY, b"one", expected=None)
        assert gcs.objects(BUCKET) == {KEY: b"one"}
        assert store.place == "gs://playbook"
        assert store.address(KEY) == "gs://playbook/trades.csv"


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("trades.csv", "text/csv; charset=utf-8"),
        ("runs/a.json", "application/json"),
        ("2Min/QQQ/2025-11.parquet", "application/vnd.apache.parquet"),
        ("a.b/README", "application/octet-stream"),
        ("notes.txt", "application/octet-stream"),
    ],
)
def test_what_is_stored_says_what_it_is_and_that_nobody_may_keep_a_copy(
    gcs: GcsDouble, store: GCSStore, key: str, content_type: str
) -> None:
    store.put(key, b"one", expected=None)
    held = gcs.held(BUCKET, f"output/{key}")
    assert held.content_type == content_type
    assert held.cache_control == "no-store"


def test_each_use_is_one_call(gcs: GcsDouble, store: GCSStore) -> None:
    generation = store.put(KEY, b"one", expected=None)
    store.get(KEY)
    store.get("absent.csv")
    store.keys("")
    store.require_writable(KEY)
    store.delete(KEY, expected=generation)
    assert gcs.kinds() == ["put", "get", "get", "list", "permissions", "delete"]


def test_without_the_header_the_generation_is_asked_for_and_the_bytes_are_of_it(
    gcs: GcsDouble, store: GCSStore
) -> None:
    generation = store.put(KEY, b"one", expected=None)
    gcs.misbehave(NoGeneration(), kind="get", times=ALWAYS)
    assert store.get(KEY) == Stored(b"one", generation)
    assert store.get("absent.csv") is None
    assert gcs.kinds() == ["put", "get", "stat", "get", "get"]


def test_without_the_header_bytes_of_another_generation_are_read_again(gcs: GcsDouble, store: GCSStore) -> None:
    store.put(KEY, b"one", expected=None)
    gcs.misbehave(NoGeneration(), kind="get")
    gcs.misbehave(Rival(b"two"), kind="get")
    assert store.get(KEY) == Stored(b"two", str(gcs.held(BUCKET, NAME).generation))


TEMPORARY: list[Fault] = [
    *map(Status, (408, 429, 500, 502, 503, 504)),
    Status(403, reason="rateLimitExceeded"),
    Reset(),
]


@pytest.mark.parametrize(
    ("kind", "fault"),
    # Who is refused the question about permissions by 403 asks no more.
    [(kind, fault) for kind in USES for fault in TEMPORARY if (kind, fault) != ("permissions", TEMPORARY[6])],
    ids=str,
)
def test_what_may_pass_is_tried_again(
    gcs: GcsDouble, store: GCSStore, clock: ManualClock, budget: RetryBudget, kind: str, fault: Fault
) -> None:
    generation = str(gcs.write(BUCKET, NAME, b"one"))
    gcs.misbehave(fault, kind=kind, times=2)
    _uses(store, generation)[kind]()
    assert gcs.kinds() == [kind] * 3
    assert len(clock.slept) == 2
    assert budget.left < 100


@pytest.mark.parametrize("kind", USES)
def test_what_does_not_pass_is_told_after_some_attempts(gcs: GcsDouble, store: GCSStore, kind: str) -> None:
    gcs.misbehave(Status(503), times=ALWAYS)
    with pytest.raises(RetryLater, match=r"gs://playbook/output.* cannot be .*: Google answers 503 \(We encountered"):
        _uses(store)[kind]()
    assert gcs.kinds() == [kind] * ATTEMPTS


def test_a_wait_that_is_asked_for_is_kept(gcs: GcsDouble, store: GCSStore, clock: ManualClock) -> None:
    gcs.misbehave(Status(429, retry_after="17"), kind="get")
    assert store.get(KEY) is None
    assert clock.slept == [17]


def test_a_wait_that_the_budget_does_not_reach_for_is_left_to_the_caller(
    gcs: GcsDouble, store: GCSStore, clock: ManualClock
) -> None:
    gcs.misbehave(Status(429, retry_after="240"), kind="get")
    with pytest.raises(RetryLater) as late:
        store.get(KEY)
    assert late.value.retry_after_seconds == 240
    assert clock.slept == []


def test_writes_of_one_object_that_come_too_fast_are_spread(gcs: GcsDouble) -> None:
    gcs.one_write_a_second = True
    clock = SystemClock()
    with closing(GCSStore(BUCKET, "output", clock, RetryBudget(clock, 30))) as store:
        first = store.put(KEY, b"one", expected=None)
        second = store.put(KEY, b"two", expected=first)
    assert gcs.objects(BUCKET) == {NAME: b"two"}
    assert second == str(gcs.held(BUCKET, NAME).generation)


@pytest.mark.parametrize("lost", [AnswerLost(), AnswerLost(503), AnswerLost(408)], ids=["broken", "503", "408"])
class TestAnswerLost:
    def test_a_put_that_was_done_and_finds_itself_is_done(self, gcs: GcsDouble, store: GCSStore, lost: Fault) -> None:
        before = str(gcs.write(BUCKET, NAME, b"one"))
        gcs.misbehave(lost, kind="put")
        assert store.put(KEY, b"two", expected=before) == str(gcs.held(BUCKET, NAME).generation)
        assert gcs.objects(BUCKET) == {NAME: b"two"}
        assert gcs.kinds() == ["put", "put", "get"]

    def test_a_put_that_creates_too(self, gcs: GcsDouble, store: GCSStore, lost: Fault) -> None:
        gcs.misbehave(lost, kind="put")
        assert store.put(KEY, b"one", expected=None) == str(gcs.held(BUCKET, NAME).generation)

    def test_a_put_that_was_done_and_then_undone_by_a_rival_has_lost(
        self, gcs: GcsDouble, store: GCSStore, lost: Fault
    ) -> None:
        gcs.misbehave(lost, kind="put")
        gcs.misbehave(Rival(b"other"), kind="put")
        with pytest.raises(LostRace):
            store.put(KEY, b"one", expected=None)
        assert gcs.objects(BUCKET) == {NAME: b"other"}

    def test_a_delete_that_was_done_and_finds_nothing_is_done(
        self, gcs: GcsDouble, store: GCSStore, lost: Fault
    ) -> None:
        before = str(gcs.write(BUCKET, NAME, b"one"))
        gcs.misbehave(lost, kind="delete")
        store.delete(KEY, expected=before)
        assert gcs.objects(BUCKET) == {}
        assert gcs.kinds() == ["delete", "delete"]

    def test_a_delete_after_which_a_rival_creates_anew_has_lost(
        self, gcs: GcsDouble, store: GCSStore, lost: Fault
    ) -> None:
        before = str(gcs.write(BUCKET, NAME, b"one"))
        gcs.misbehave(lost, kind="delete")
        gcs.misbehave(Rival(b"other"), kind="delete")
        with pytest.raises(LostRace):
            store.delete(KEY, expected=before)
        assert gcs.objects(BUCKET) == {NAME: b"other"}

    @pytest.mark.usefixtures("small_multipart")
    def test_a_large_put_that_was_done_is_done(self, gcs: GcsDouble, store: GCSStore, lost: Fault) -> None:
        gcs.misbehave(lost, kind="chunk")
        assert store.put(KEY, b"x" * 2000, expected=None) == str(gcs.held(BUCKET, NAME).generation)
        assert gcs.kinds() == ["begin", "chunk", "begin", "get"]


def test_a_rivals_equal_bytes_are_a_lost_race_where_no_answer_was_lost(gcs: GcsDouble, store: GCSStore) -> None:
    gcs.misbehave(Status(429), kind="put")
    gcs.misbehave(Rival(b"one"), kind="put")
    with pytest.raises(LostRace):
        store.put(KEY, b"one", expected=None)
    assert gcs.kinds() == ["put", "put"]


def test_a_rival_who_writes_in_between_wins(gcs: GcsDouble, store: GCSStore) -> None:
    generation = store.put(KEY, b"one", expected=None)
    gcs.misbehave(Rival(b"other"), kind="put")
    with pytest.raises(LostRace, match=r"gs://playbook/output/trades\.csv"):
        store.put(KEY, b"two", expected=generation)
    gcs.misbehave(Rival(None), kind="put")
    with pytest.raises(LostRace):
        store.put(KEY, b"two", expected=str(gcs.held(BUCKET, NAME).generation))
    assert gcs.objects(BUCKET) == {}


def test_a_lost_race_costs_no_budget(gcs: GcsDouble) -> None:
    clock = SystemClock()
    budget = RetryBudget(clock, 5)
    with closing(GCSStore(BUCKET, "output", clock, budget)) as store:
        gcs.write(BUCKET, NAME, b"one")
        with pytest.raises(LostRace):
            store.put(KEY, b"two", expected=None)
        with pytest.raises(LostRace):
            store.delete(KEY, expected="1")
        assert store.get("absent.csv") is None
    assert budget.left == 5


def test_bytes_that_are_damaged_on_their_way_are_asked_for_again(gcs: GcsDouble, store: GCSStore) -> None:
    generation = store.put(KEY, b"one", expected=None)
    gcs.misbehave(Damaged(), kind="get")
    assert store.get(KEY) == Stored(b"one", generation)
    gcs.misbehave(Damaged(), kind="get", times=ALWAYS)
    with pytest.raises(RetryLater, match="DataCorruption"):
        store.get(KEY)


def test_bytes_that_are_damaged_on_their_way_to_google_are_sent_again(gcs: GcsDouble, store: GCSStore) -> None:
    gcs.misbehave(Damaged(), kind="put")
    store.put(KEY, b"one", expected=None)
    assert gcs.objects(BUCKET) == {NAME: b"one"}
    assert gcs.kinds() == ["put", "put"]


@pytest.mark.usefixtures("small_multipart")
class TestLargeUpload:
    CONTENT = bytes(range(256)) * 1000

    def test_it_is_stored_whole_and_says_what_it_is(self, gcs: GcsDouble, store: GCSStore) -> None:
        generation = store.put(KEY, self.CONTENT, expected=None)
        assert gcs.kinds() == ["begin", "chunk"]
        held = gcs.held(BUCKET, NAME)
        assert (held.content, str(held.generation)) == (self.CONTENT, generation)
        assert (held.content_type, held.cache_control) == ("text/csv; charset=utf-8", "no-store")

    def test_it_names_its_generation_at_the_beginning(self, gcs: GcsDouble, store: GCSStore) -> None:
        gcs.write(BUCKET, NAME, b"one")
        with pytest.raises(LostRace):
            store.put(KEY, self.CONTENT, expected=None)
        assert gcs.kinds() == ["begin"]

    def test_it_names_its_generation_at_the_end(self, gcs: GcsDouble, store: GCSStore) -> None:
        gcs.misbehave(Rival(b"other"), kind="chunk")
        with pytest.raises(LostRace):
            store.put(KEY, self.CONTENT, expected=None)
        assert gcs.objects(BUCKET) == {NAME: b"other"}

    def test_damaged_bytes_are_never_stored_nor_is_anything_deleted(self, gcs: GcsDouble, store: GCSStore) -> None:
        gcs.misbehave(Damaged(), kind="chunk", times=ALWAYS)
        with pytest.raises(RetryLater, match="match calculated"):
            store.put(KEY, self.CONTENT, expected=None)
        assert gcs.objects(BUCKET) == {}
        assert set(gcs.kinds()) == {"begin", "chunk"}

    def test_the_library_has_no_reason_to_delete_what_it_finds(
        self, gcs: GcsDouble, store: GCSStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = gcs._chunk

        def of_a_rival(*arguments: Any) -> Any:
            answer = whole(*arguments)
            return replace(answer, body=answer.body.replace(b'"crc32c": "', b'"crc32c": "A'))

        monkeypatch.setattr(gcs, "_chunk", of_a_rival)
        store.put(KEY, self.CONTENT, expected=None)
        assert gcs.kinds() == ["begin", "chunk"]

    @pytest.mark.parametrize("status", [404, 410])
    def test_a_session_that_is_gone_is_begun_anew(self, gcs: GcsDouble, store: GCSStore, status: int) -> None:
        gcs.misbehave(Status(status, text="gone"), kind="chunk")
        store.put(KEY, self.CONTENT, expected=None)
        assert gcs.kinds() == ["begin", "chunk", "begin", "chunk"]

    def test_the_address_of_a_session_is_shown_to_nobody(self, gcs: GcsDouble, store: GCSStore) -> None:
        gcs.misbehave(Reset(), kind="chunk", times=ALWAYS)
        with pytest.raises(RetryLater) as late:
            store.put(KEY, self.CONTENT, expected=None)
        assert "session-" not in _shown(late.value)


@pytest.mark.parametrize("kind", USES)
def test_a_bucket_that_is_not_there_is_named(
    gcs: GcsDouble, clock: ManualClock, budget: RetryBudget, kind: str
) -> None:
    with (
        closing(GCSStore("elsewhere", "output", clock, budget)) as store,
        pytest.raises(FixConfig, match=r"there is no bucket elsewhere: make it .* or name another one"),
    ):
        _uses(store)[kind]()
    assert clock.slept == []


@pytest.mark.parametrize("kind", ["put", "list"])
def test_what_is_not_found_is_the_bucket_where_no_object_was_asked_for(
    gcs: GcsDouble, store: GCSStore, kind: str
) -> None:
    gcs.misbehave(Status(404, text="Not Found"), kind=kind)
    with pytest.raises(FixConfig, match="there is no bucket playbook"):
        _uses(store)[kind]()


def test_a_name_that_can_be_no_bucket_is_refused(gcs: GcsDouble, clock: ManualClock, budget: RetryBudget) -> None:
    told = "'-' can be no name of a bucket"
    with closing(GCSStore("-", "output", clock, budget)) as store, pytest.raises(FixConfig, match=told):
        store.get(KEY)
    assert gcs.calls == []


@pytest.mark.parametrize(
    ("kind", "permission"),
    [
        ("get", "storage.objects.get"),
        ("put", "storage.objects.delete"),
        ("put", "storage.objects.create"),
        ("delete", "storage.objects.delete"),
        ("list", "storage.objects.list"),
        ("permissions", "storage.objects.create"),
        ("permissions", "storage.objects.delete"),
        ("permissions", "storage.objects.list"),
    ],
)
def test_a_permission_that_is_missing_is_named_with_the_role_that_gives_it(
    gcs: GcsDouble, store: GCSStore, clock: ManualClock, kind: str, permission: str
) -> None:
    gcs.write(BUCKET, NAME, b"one")
    gcs.granted = PERMISSIONS - {permission}
    with pytest.raises(FixConfig, match=rf"{permission}.*Storage Object User .* bucket") as told:
        _uses(store)[kind]()
    assert BUCKET in told.value.message
    assert clock.slept == []
    assert gcs.objects(BUCKET) == {NAME: b"one"}


def test_who_may_not_list_is_not_told_that_an_object_is_absent(gcs: GcsDouble, store: GCSStore) -> None:
    gcs.granted = PERMISSIONS - {"storage.objects.list"}
    with pytest.raises(FixConfig, match=r"storage\.objects\.list"):
        store.get(KEY)


def test_a_permission_that_holds_for_this_name_alone_is_enough(gcs: GcsDouble, store: GCSStore) -> None:
    gcs.granted_on_bucket = frozenset()
    store.require_writable(KEY)
    assert gcs.kinds() == ["permissions", "begin"]
    gcs.write(BUCKET, NAME, b"one")
    store.require_writable(KEY)
    assert gcs.objects(BUCKET) == {NAME: b"one"}


@pytest.mark.parametrize("status", [403, 404, 405, 501])
def test_where_permissions_cannot_be_asked_for_the_write_will_tell(
    gcs: GcsDouble, store: GCSStore, clock: ManualClock, status: int
) -> None:
    gcs.misbehave(Status(status, text="Not Implemented"), kind="permissions")
    store.require_writable(KEY)
    assert gcs.kinds() == ["permissions"]
    assert clock.slept == []


def test_a_request_that_is_refused_for_what_it_is_is_not_repeated(gcs: GcsDouble, store: GCSStore) -> None:
    gcs.misbehave(Status(400, reason="required", text="Bucket is a requester pays bucket"), times=ALWAYS)
    with pytest.raises(FixConfig, match=r"Google answers 400 \(Bucket is a requester pays bucket\)"):
        store.get(KEY)
    assert gcs.kinds() == ["get"]


def test_keys_of_many_pages_are_put_together(gcs: GcsDouble, store: GCSStore) -> None:
    gcs.page_size = 2
    keys = [f"runs/{number}.json" for number in range(7)]
    for key in keys:
        gcs.write(BUCKET, f"output/{key}", b"{}")
    gcs.write(BUCKET, "outputs/other.csv", b"")
    gcs.misbehave(Status(503), kind="list")
    assert store.keys("runs/") == keys
    assert gcs.kinds() == ["list"] * 5


def test_objects_that_stand_for_folders_are_no_keys(gcs: GcsDouble, store: GCSStore) -> None:
    for name in ("output/", "output/runs/", "output/a//b", "output/runs/a.json"):
        gcs.write(BUCKET, name, b"")
    assert store.keys("") == ["runs/a.json"]


def test_pages_that_go_round_in_a_circle_are_left(
    gcs: GcsDouble, store: GCSStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gcs._list
    gcs.page_size = 1
    for name in ("a", "b", "c"):
        gcs.write(BUCKET, f"output/{name}", b"")
    monkeypatch.setattr(gcs, "_list", lambda bucket, query: whole(bucket, {"prefix": query["prefix"]}))
    with pytest.raises(RetryLater, match="a page leads back to itself"):
        store.keys("")


@pytest.mark.parametrize(
    ("kind", "fault"),
    # What is deleted has no answer that could drip, and permissions a short one.
    [*((kind, Hang()) for kind in USES), *((kind, Drip(0.01)) for kind in ("get", "put", "list"))],
    ids=str,
)
def test_a_call_that_does_not_end_is_ended_in_time(gcs: GcsDouble, hurried: GCSStore, kind: str, fault: Fault) -> None:
    generation = str(gcs.write(BUCKET, NAME, b"one" * 1000))
    for number in range(10):
        gcs.write(BUCKET, f"output/{number}.csv", b"")
    gcs.misbehave(fault, times=ALWAYS)
    began = time.monotonic()
    with pytest.raises(RetryLater, match=r"cannot be (read|written|deleted|listed)"):
        _uses(hurried, generation)[kind]()
    assert time.monotonic() - began < 3


def test_what_looks_like_an_answer_after_the_end_is_none(gcs: GcsDouble, store: GCSStore) -> None:
    with pytest.raises(Temporary, match="took too long"), store._call(0.01, "nothing"):
        time.sleep(0.1)


def test_a_server_that_nobody_listens_at_may_come_back(
    store: GCSStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(RetryLater, match=r"the call to Google failed \(ConnectionError\)"):
        store.get(KEY)
    assert len(clock.slept) == ATTEMPTS - 1


@pytest.mark.parametrize("address", ["127.0.0.1:9", "localhost", "http://"])
def test_an_emulators_address_that_is_none_is_told(
    store: GCSStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    with pytest.raises(FixConfig, match="STORAGE_EMULATOR_HOST"):
        store.get(KEY)
    assert clock.slept == []


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsDouble]:
    """The double as Google itself, whose library does not really wait between its own attempts."""
    with GcsDouble([BUCKET]) as double:
        double.be_google(monkeypatch)
        monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
        yield double


@pytest.fixture
def signed(google: GcsDouble, clock: ManualClock, budget: RetryBudget) -> Iterator[GCSStore]:
    with closing(GCSStore(BUCKET, "output", clock, budget)) as store:
        yield store


def test_on_googles_machines_the_token_of_the_service_account_is_used(google: GcsDouble, signed: GCSStore) -> None:
    generation = signed.put(KEY, b"one", expected=None)
    assert signed.get(KEY) == Stored(b"one", generation)
    assert google.kinds().count("token") == 1


def test_without_credentials_it_is_told_how_to_get_some(
    google: GcsDouble, signed: GCSStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
    with pytest.raises(FixConfig, match=r"gcloud auth application-default login.*service account"):
        signed.get(KEY)
    assert clock.slept == []


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "anonymous"])
def test_credentials_that_are_not_accepted_are_not_shown(
    clock: ManualClock, budget: RetryBudget, monkeypatch: pytest.MonkeyPatch, signed_in: bool
) -> None:
    with GcsDouble([BUCKET]) as google:
        if signed_in:
            google.be_google(monkeypatch)
        else:
            google.take_the_place_of_google(monkeypatch)
        google.misbehave(Status(401, text="Invalid Credentials"), kind="get", times=ALWAYS)
        with closing(GCSStore(BUCKET, "output", clock, budget)) as store, pytest.raises(FixConfig) as told:
            store.get(KEY)
    assert "accept" in told.value.message
    assert "gcloud auth application-default login" in told.value.message
    assert TOKEN not in _shown(told.value)


@pytest.mark.parametrize("fault", [Status(503), Reset()], ids=["503", "reset"])
def test_trouble_with_a_token_may_pass(google: GcsDouble, signed: GCSStore, fault: Fault) -> None:
    google.misbehave(fault, kind="token", times=ALWAYS)
    with pytest.raises(RetryLater, match="Google gives no token"):
        signed.get(KEY)
    google.behave()
    signed.put(KEY, b"one", expected=None)
    assert google.objects(BUCKET) == {NAME: b"one"}


def test_a_token_that_does_not_come_is_not_waited_for(google: GcsDouble) -> None:
    clock = SystemClock()
    google.misbehave(Hang(), kind="token", times=ALWAYS)
    began = time.monotonic()
    with (
        closing(GCSStore(BUCKET, "output", clock, RetryBudget(clock, 1))) as store,
        pytest.raises(RetryLater, match="Google gives no token"),
    ):
        store.get(KEY)
    assert time.monotonic() - began < 3


def test_credentials_that_were_taken_back_are_to_be_mended(
    google: GcsDouble, signed: GCSStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.auth.compute_engine import Credentials
    from google.auth.exceptions import RefreshError

    def refuse(*_: Any) -> None:
        error: Any = RefreshError
        raise error("invalid_grant: Token has been expired or revoked.", {"error": "invalid_grant", "is": TOKEN})

    monkeypatch.setattr(Credentials, "_perform_refresh_token", refuse)
    with pytest.raises(FixConfig, match="gcloud auth application-default login") as told:
        signed.get(KEY)
    assert TOKEN not in _shown(told.value)
    assert clock.slept == []


@pytest.mark.parametrize("fault", [Status(403), Status(503), Reset(), Damaged()], ids=lambda fault: str(fault)[:12])
def test_no_error_shows_the_token(google: GcsDouble, signed: GCSStore, fault: Fault) -> None:
    google.write(BUCKET, NAME, b"one")
    google.misbehave(fault, kind="get", times=ALWAYS)
    with pytest.raises(PlaybookError) as told:
        signed.get(KEY)
    assert TOKEN not in _shown(told.value)


def test_many_threads_may_use_one_store(
    gcs: GcsDouble, clock: ManualClock, budget: RetryBudget, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    keys = [f"2Min/S{number}/2025-11.parquet" for number in range(100)]
    with closing(GCSStore(BUCKET, "cache", clock, budget, threads=16)) as store, ThreadPoolExecutor(16) as pool:
        generations = list(pool.map(lambda key: store.put(key, key.encode(), expected=None), keys))
        found = list(pool.map(store.get, keys))
    assert found == [Stored(key.encode(), generation) for key, generation in zip(keys, generations, strict=True)]
    assert caplog.records == []  # "Connection pool is full", for one


def test_a_closed_store_opens_again(gcs: GcsDouble, store: GCSStore) -> None:
    generation = store.put(KEY, b"one", expected=None)
    store.close()
    store.close()
    assert store.get(KEY) == Stored(b"one", generation)


def test_the_double_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    clock = SystemClock()
    with GcsDouble([BUCKET]) as gcs:
        gcs.take_the_place_of_google(monkeypatch)
        gcs.misbehave(Hang(), kind="get", times=ALWAYS)
        with closing(GCSStore(BUCKET, "output", clock, RetryBudget(clock, 0.2))) as store, pytest.raises(RetryLater):
            store.get(KEY)
    assert set(threading.enumerate()) <= before


def test_the_doubles_checksum_is_that_of_castagnoli() -> None:
    # The check value of CRC-32C over the digits 1 to 9, as lists of checksums tell it.
    assert crc32c(b"123456789") == base64.b64encode(bytes.fromhex("e3069283")).decode()


def _shown(error: BaseException) -> str:
    """All that a log could show of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
