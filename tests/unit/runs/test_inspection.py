"""Verifying a journal while others write it, and records that say odd things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.support.memory_store import MemoryStore
from tests.support.rows import no_trade
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.errors import FixRequest
from trading_playbook.journals.manifests import ManifestLog
from trading_playbook.journals.table import TableJournal
from trading_playbook.ports import JournalPlace, Manifest, RowQuery, WriteResult
from trading_playbook.runs.inspection import file_name, inspect_journal, last_settled, links_by_name
from trading_playbook.runs.report import place_facts

CALENDAR = Calendar()
START = datetime(2025, 11, 4, 22, tzinfo=UTC)


class Interrupted(ManifestLog):
    """Something happens right after the first look at the records."""

    happens: Callable[[], object] | None = None

    def list(self, *, since: datetime | None = None, limit: int | None = None) -> Sequence[Manifest]:
        found = super().list(since=since, limit=limit)
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return found


def write(store: MemoryStore, number: int) -> None:
    """A run that adds the row of the number's day and keeps its record."""
    journal = TableJournal(store, "trades.csv")
    journal.write_trade(no_trade(trade_date=date(2025, 11, number)))
    [result] = journal.finalize()
    assert isinstance(result, WriteResult)
    facts = {"places": [place_facts(result)]}
    started = START.replace(day=number)
    ManifestLog(store).append(Manifest(run_id=f"run{number}", started=started, outcome="done", facts=facts))


def test_a_run_that_writes_meanwhile_is_no_edit() -> None:
    store = MemoryStore()
    write(store, 3)
    log = Interrupted(store)
    log.happens = lambda: write(store, 4)
    found = inspect_journal(JournalPlace(TableJournal(store, "trades.csv"), log), RowQuery(), CALENDAR, None)
    assert found.well
    assert [file.last_write.run_id for file in found.files if file.last_write] == ["run4"]


def test_a_place_without_a_journal_is_refused() -> None:
    store = MemoryStore()
    with pytest.raises(FixRequest, match="holds no journal yet"):
        inspect_journal(JournalPlace(TableJournal(store, "trades.csv"), ManifestLog(store)), RowQuery(), CALENDAR, None)


@pytest.mark.parametrize("places", [None, "x", 5, {}, [1, None, "x", {}, {"place": 5, "sha256_after": "a"}]])
def test_records_that_tell_of_no_write_are_passed_over(places: object) -> None:
    assert links_by_name([Manifest(run_id="a", started=START, outcome="done", facts={"places": places})]) == {}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("output/trades.csv", "trades.csv"),
        ("gs://bucket/output/trades/dp20-QQQ.csv", "dp20-QQQ.csv"),
        ("mongodb://host/trading_playbook/trades", "trades"),
        ("trades.csv", "trades.csv"),
    ],
)
def test_a_file_is_known_by_the_last_part_of_its_address(address: str, name: str) -> None:
    assert file_name(address) == name


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2025-11-04T16:20:00-05:00", date(2025, 11, 4)),
        ("2025-11-04T16:19:00-05:00", date(2025, 11, 3)),
        ("2025-11-28T13:20:00-05:00", date(2025, 11, 28)),
        ("2025-11-30T12:00:00-05:00", date(2025, 11, 28)),
        ("1980-01-01T12:00:00-05:00", None),
    ],
)
def test_the_last_settled_session(now: str, day: date | None) -> None:
    assert last_settled(CALENDAR, datetime.fromisoformat(now), timedelta(minutes=20)) == day
