"""Copying, verifying, judging again and standing, on each form of a journal: one file, one a symbol, a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.support.clocks import ManualClock
from tests.support.memory_store import MemoryStore
from tests.support.mongo_double import Kind, MongoDouble
from trading_playbook.config import Settings
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.comparison import compare
from trading_playbook.core.costs import NoCost
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.journals.manifests import ManifestLog
from trading_playbook.journals.mongo.connection import MongoPlace
from trading_playbook.journals.mongo.journal import MongoJournal
from trading_playbook.journals.mongo.runs import MongoRunLog
from trading_playbook.journals.partitioned import PartitionedJournal
from trading_playbook.journals.table import TableJournal
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import JournalPlace, RowQuery
from trading_playbook.runs import RunRequest, Tools, run
from trading_playbook.runs.copying import copy_journal
from trading_playbook.runs.inspection import inspect_journal
from trading_playbook.runs.recheck import recheck_journal
from trading_playbook.runs.standing import Expected, standing_of
from trading_playbook.system import SystemClock
from trading_playbook.wiring import build_budget, build_clock, build_tools, journal_in_memory

CALENDAR = Calendar()
EVERYTHING = RowQuery()
PLAY = Play(strategy=build_strategy("dp20", {}), cost=NoCost())
REQUEST = RunRequest(symbols=("QQQ", "SPY"), play=PLAY, start=date(2025, 11, 17), end=date(2025, 12, 5))


def tools(*places: JournalPlace) -> Tools:
    settings = Settings(_env_file=None)
    clock = build_clock()
    budget = build_budget(settings, clock)
    return build_tools(settings, clock=clock, budget=budget, places=places or journal_in_memory(), feed="simulated")


def table() -> JournalPlace:
    store = MemoryStore()
    return JournalPlace(TableJournal(store, "trades.csv"), ManifestLog(store))


def write_unrecorded(place: JournalPlace, row: JournalRow) -> None:
    """Write another row in the place of one, as somebody does who is no run and leaves no record."""
    place.journal.write_trade(row)
    place.journal.finalize(revise=True)


@pytest.fixture(params=["table", "partitioned", *Kind], ids=lambda kind: getattr(kind, "value", kind))
def place(request: pytest.FixtureRequest) -> Iterator[JournalPlace]:
    if request.param == "table":
        yield table()
    elif request.param == "partitioned":
        store = MemoryStore()
        yield JournalPlace(PartitionedJournal(store, threads=4), ManifestLog(store))
    else:
        clock = SystemClock()
        with (
            MongoDouble(request.param) as mongo,
            closing(MongoPlace(mongo.connection, "playbook", "trades", clock, RetryBudget(clock, 30))) as mongo_place,
        ):
            yield JournalPlace(MongoJournal(mongo_place), MongoRunLog(mongo_place))


def test_what_runs_left_is_well_and_rows_come_out_the_same(place: JournalPlace) -> None:
    assert run(REQUEST, tools(place)).outcome == "done"
    found = inspect_journal(place, EVERYTHING, CALENDAR, date(2025, 12, 5))
    assert (found.findings, len(found.rows)) == ((), 28)
    assert all(file.last_write is not None for file in found.files)
    checked = recheck_journal(place, EVERYTHING, PLAY, tools())
    assert (checked.equal, checked.different, checked.error) == (28, (), None)


def test_a_row_that_no_run_wrote_shows(place: JournalPlace) -> None:
    run(REQUEST, tools(place))
    row = place.journal.rows(EVERYTHING)[0]
    write_unrecorded(place, replace(row, sma200_daily_at_open=1.5))
    found = inspect_journal(place, EVERYTHING, CALENDAR, None)
    assert [finding.kind for _, finding in found.findings] == ["edited"]
    checked = recheck_journal(place, EVERYTHING, PLAY, tools())
    assert [each.difference.columns.keys() for each in checked.different] == [{"sma200_daily_at_open"}]


def test_a_copy_holds_the_same_rows_histories_and_a_record(place: JournalPlace) -> None:
    source = table()
    run(REQUEST, tools(source))
    row = source.journal.rows(EVERYTHING)[3]
    for value in (1.5, 2.5):
        write_unrecorded(source, replace(row, sma200_daily_at_open=value))
    report = copy_journal(source, place, EVERYTHING, ManualClock(), "0.1.0")
    assert (report.outcome, report.added, report.replaced) == ("copied", 28, 2)
    assert place.journal.rows(EVERYTHING) == source.journal.rows(EVERYTHING)
    assert place.journal.history(row.key) == source.journal.history(row.key)
    assert [manifest.outcome for manifest in place.runs.list()] == ["copied"]
    assert inspect_journal(place, EVERYTHING, CALENDAR, None).findings == ()
    again = copy_journal(source, place, EVERYTHING, ManualClock(), "0.1.0")
    assert (again.outcome, again.added, again.replaced) == ("already_done", 0, 0)
    back = table()
    copy_journal(place, back, EVERYTHING, ManualClock(), "0.1.0")
    assert compare(back.journal.rows(EVERYTHING), source.journal.rows(EVERYTHING)).is_equal


@pytest.mark.parametrize(("day", "missing"), [(5, False), (8, True)])
def test_a_night_without_a_run_is_found(place: JournalPlace, day: int, missing: bool) -> None:
    run(REQUEST, tools(place))
    expected = Expected(
        symbols=("QQQ", "SPY"), play=PLAY, data_feed="simulated", settle_after=timedelta(minutes=20),
        catch_up_sessions=10,
    )  # fmt: skip
    now = datetime(2025, 12, day, 22, tzinfo=UTC)
    standing = standing_of([place], expected, CALENDAR, now)
    assert standing.missing is missing
    assert standing.places[0].lacking == (("QQQ", "SPY") if missing else ())
