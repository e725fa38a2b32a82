from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.memory_store import MemoryStore
from trading_playbook.journals.manifests import ManifestLog
from trading_playbook.ports import Manifest

START = datetime(2025, 11, 4, 22, 0, 5, 123456, tzinfo=UTC)


def _manifest(run_id: str = "0f3a", started: datetime = START) -> Manifest:
    return Manifest(run_id=run_id, started=started, outcome="done", facts={"counts": {"judged": 2}, "warnings": ["ü"]})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_manifest_lies_under_its_time_and_run_id(store: MemoryStore) -> None:
    assert ManifestLog(store).append(_manifest()) == "memory:runs/20251104T220005Z-0f3a.json"
    assert list(store.keys("")) == ["runs/20251104T220005Z-0f3a.json"]


def test_the_folder_may_be_another(store: MemoryStore) -> None:
    log = ManifestLog(store, "output/trades/runs")
    assert log.append(_manifest()) == "memory:output/trades/runs/20251104T220005Z-0f3a.json"
    assert [found.run_id for found in log.list()] == ["0f3a"]


def test_the_file_is_json_that_a_person_can_read(store: MemoryStore) -> None:
    ManifestLog(store).append(_manifest())
    content = store.content("runs/20251104T220005Z-0f3a.json")
    assert content.isascii()
    assert content.decode().splitlines()[:5] == [
        "{",
        '  "run_id": "0f3a",',
        '  "started": "2025-11-04T22:00:05.123456+00:00",',
        '  "outcome": "done",',
        '  "counts": {',
    ]
    assert content.endswith(b"}\n")
    assert json.loads(content)["warnings"] == ["ü"]


def test_facts_cannot_say_another_run_than_the_manifest(store: MemoryStore) -> None:
    facts = {"run_id": "other", "started": "never", "outcome": "other"}
    ManifestLog(store).append(Manifest(run_id="0f3a", started=START, outcome="done", facts=facts))
    [found] = ManifestLog(store).list()
    assert (found.run_id, found.started, found.outcome) == ("0f3a", START, "done")


def test_what_is_no_json_value_is_refused(store: MemoryStore) -> None:
    with pytest.raises(ValueError, match="JSON"):
        ManifestLog(store).append(Manifest(run_id="a", started=START, outcome="done", facts={"r": float("nan")}))
    assert list(store.keys("")) == []


def test_what_else_lies_in_the_folder_is_passed_over(store: MemoryStore) -> None:
    ManifestLog(store).append(_manifest())
    for name, content in {
        "20251104T220006Z-half.json": b'{"run_id": "half", "sta',
        "20251104T220007Z-list.json": b"[1, 2]",
        "20251104T220008Z-number.json": b"7",
        "20251104T220009Z-naive.json": b'{"run_id": "a", "started": "2025-11-04T22:00:09", "outcome": "done"}',
        "20251104T220010Z-types.json": b'{"run_id": 1, "started": "2025-11-04T22:00:10+00:00", "outcome": []}',
        "20251104T220011Z-time.json": b'{"run_id": "a", "started": 7, "outcome": "done"}',
        "20251104T220012Z-binary.json": b"\xff\xfe\0",
        "20251104T220013Z-empty.json": b"",
        "20251104T220014Z-text.txt": b"{}",
        "notes.json": b"{}",
        "old/20251104T220015Z-deep.json": b"{}",
    }.items():
        store.overwrite(f"runs/{name}", content)
    assert [found.run_id for found in ManifestLog(store).list()] == ["0f3a"]


def test_no_more_files_are_read_than_are_asked_for(store: MemoryStore) -> None:
    log = ManifestLog(store)
    for hours in range(20):
        log.append(_manifest(f"r{hours}", START + timedelta(hours=hours)))
    store.calls.clear()
    assert [found.run_id for found in log.list(limit=3)] == ["r19", "r18", "r17"]
    assert len(store.calls) == 3
    store.calls.clear()
    assert [found.run_id for found in log.list(since=START + timedelta(hours=18))] == ["r19", "r18"]
    assert len(store.calls) == 2
