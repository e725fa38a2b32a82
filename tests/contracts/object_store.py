"""What every ObjectStore must do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from trading_playbook.ports import LostRace, ObjectStore

KEY = "journal/QQQ.csv"


class ObjectStoreContract:
    """A subclass gives the fixture `store`: an empty one."""

    def test_a_key_that_was_never_written_is_absent(self, store: ObjectStore) -> None:
        assert store.get(KEY) is None
        assert list(store.keys("")) == []

    @pytest.mark.parametrize(
        "content", [b"one\n", b"", bytes(range(256)) * 4_000], ids=["text", "nothing", "a megabyte"]
    )
    def test_what_was_put_is_got_byte_for_byte(self, store: ObjectStore, content: bytes) -> None:
        generation = store.put(KEY, content, expected=None)
        stored = store.get(KEY)
        assert stored is not None
        assert stored.content == content
        assert stored.generation == generation

    def test_other_bytes_are_of_another_generation(self, store: ObjectStore) -> None:
        first = store.put(KEY, b"one", expected=None)
        assert store.put(KEY, b"two", expected=first) != first

    def test_a_write_that_names_the_newest_generation_replaces_it(self, store: ObjectStore) -> None:
        first = store.put(KEY, b"one, which is longer", expected=None)
        store.put(KEY, b"two", expected=first)
        assert _content(store) == b"two"

    def test_a_write_that_names_an_older_generation_is_refused(self, store: ObjectStore) -> None:
        first = store.put(KEY, b"one", expected=None)
        store.put(KEY, b"two", expected=first)
        with pytest.raises(LostRace):
            store.put(KEY, b"three", expected=first)
        assert _content(store) == b"two"

    def test_a_write_that_expects_nothing_is_refused_where_something_is(self, store: ObjectStore) -> None:
        store.put(KEY, b"one", expected=None)
        with pytest.raises(LostRace):
            store.put(KEY, b"two", expected=None)
        with pytest.raises(LostRace):
            store.put(KEY, b"one", expected=None)
        assert _content(store) == b"one"

    def test_a_write_that_expects_something_is_refused_where_nothing_is(self, store: ObjectStore) -> None:
        elsewhere = store.put("journal/SPY.csv", b"one", expected=None)
        with pytest.raises(LostRace):
            store.put(KEY, b"one", expected=elsewhere)
        assert store.get(KEY) is None

    def test_what_was_deleted_is_gone_and_the_rest_stays(self, store: ObjectStore) -> None:
        generation = store.put(KEY, b"one", expected=None)
        store.put("journal/SPY.csv", b"two", expected=None)
        store.delete(KEY, expected=generation)
        assert store.get(KEY) is None
        assert list(store.keys("")) == ["journal/SPY.csv"]

    def test_a_delete_that_names_an_older_generation_is_refused(self, store: ObjectStore) -> None:
        first = store.put(KEY, b"one", expected=None)
        second = store.put(KEY, b"two", expected=first)
        with pytest.raises(LostRace):
            store.delete(KEY, expected=first)
        assert _content(store) == b"two"
        store.delete(KEY, expected=second)
        assert store.get(KEY) is None

    def test_a_delete_is_refused_where_nothing_is(self, store: ObjectStore) -> None:
        elsewhere = store.put("journal/SPY.csv", b"one", expected=None)
        for key in (KEY, "other/QQQ.csv"):
            with pytest.raises(LostRace):
                store.delete(key, expected=elsewhere)
        store.delete("journal/SPY.csv", expected=elsewhere)
        with pytest.raises(LostRace):
            store.delete("journal/SPY.csv", expected=elsewhere)

    def test_a_deleted_key_is_created_anew_and_other_bytes_are_of_another_generation(self, store: ObjectStore) -> None:
        first = store.put(KEY, b"one", expected=None)
        store.delete(KEY, expected=first)
        with pytest.raises(LostRace):
            store.put(KEY, b"two", expected=first)
        second = store.put(KEY, b"two", expected=None)
        assert second != first
        with pytest.raises(LostRace):
            store.delete(KEY, expected=first)
        assert _content(store) == b"two"

    def test_of_many_who_delete_a_key_at_once_one_succeeds(self, store: ObjectStore) -> None:
        generation = store.put(KEY, b"one", expected=None)
        assert _winners(8, lambda who: store.delete(KEY, expected=generation)) == 1
        assert store.get(KEY) is None

    def test_many_threads_write_keys_of_their_own_at_once(self, store: ObjectStore) -> None:
        keys = [f"{folder}/2Min/{name}.parquet" for folder in ("QQQ", "SPY", "NVDA") for name in range(8)]
        assert _winners(len(keys), lambda who: store.put(keys[who], keys[who].encode(), expected=None)) == len(keys)
        assert list(store.keys("")) == sorted(keys)
        assert all(_content(store, key) == key.encode() for key in keys)

    def test_keys_are_those_that_begin_with_the_prefix_in_order(self, store: ObjectStore) -> None:
        for key in ("runs/b.json", "runs/a.json", "running.txt", "trades.csv", "runs/old/a.json"):
            store.put(key, b"{}", expected=None)
        assert list(store.keys("runs/")) == ["runs/a.json", "runs/b.json", "runs/old/a.json"]
        assert list(store.keys("run")) == ["running.txt", "runs/a.json", "runs/b.json", "runs/old/a.json"]
        assert list(store.keys("runs/b")) == ["runs/b.json"]
        assert len(store.keys("")) == 5
        assert list(store.keys("absent/")) == []

    def test_names_of_any_letters_are_kept(self, store: ObjectStore) -> None:
        keys = sorted(["a b/ü.csv", "100%.csv", "#1/it's.csv", "BRK.B.csv", ".hidden", "x.tmp"])
        for key in keys:
            store.put(key, key.encode(), expected=None)
        assert list(store.keys("")) == keys
        assert all(_content(store, key) == key.encode() for key in keys)

    @pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "runs/../../x", "runs//x", "runs/", "./x", "a\0b"])
    def test_what_could_leave_the_store_is_no_key(self, store: ObjectStore, key: str) -> None:
        for use in (store.get, store.address, store.require_writable):
            with pytest.raises(ValueError, match="is no key"):
                use(key)
        with pytest.raises(ValueError, match="is no key"):
            store.put(key, b"", expected=None)
        with pytest.raises(ValueError, match="is no key"):
            store.delete(key, expected="1")

    def test_an_address_holds_the_place_and_the_key(self, store: ObjectStore) -> None:
        assert store.address(KEY).startswith(store.place)
        assert store.address(KEY).endswith(KEY)

    def test_asking_whether_a_key_can_be_written_writes_nothing(self, store: ObjectStore) -> None:
        store.require_writable(KEY)
        assert list(store.keys("")) == []
        store.put(KEY, b"one", expected=None)
        store.require_writable(KEY)
        assert _content(store) == b"one"

    def test_of_many_who_create_a_key_at_once_one_succeeds(self, store: ObjectStore) -> None:
        barrier = threading.Barrier(8)

        def create(who: int) -> bool:
            barrier.wait()
            try:
                store.put(KEY, b"%d" % who, expected=None)
            except LostRace:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = [who for who, first in enumerate(pool.map(create, range(8))) if first]
        assert len(won) == 1
        assert _content(store) == b"%d" % won[0]

    def test_a_reader_sees_the_old_bytes_or_the_new_ones(self, store: ObjectStore) -> None:
        versions = [bytes([65 + version]) * 300_000 for version in range(20)]
        generation = store.put(KEY, versions[0], expected=None)
        done = threading.Event()

        def read() -> set[bytes]:
            seen = set()
            while not done.is_set():
                seen.add(_content(store))
            return seen

        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                for version in versions[1:]:
                    generation = store.put(KEY, version, expected=generation)
            finally:
                done.set()
        assert all(reader.result() <= set(versions) for reader in readers)


def _winners(count: int, act: Callable[[int], object]) -> int:
    """How many of so many threads, all at once, lose no race."""
    barrier = threading.Barrier(count)

    def run(who: int) -> bool:
        barrier.wait()
        try:
            act(who)
        except LostRace:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(run, range(count)))


def _content(store: ObjectStore, key: str = KEY) -> bytes:
    stored = store.get(key)
    assert stored is not None
    return stored.content
