"""One run, from request to report: sessions, bars, grids, judgements, rows, writers, manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from trading_playbook.core.calendar import Session
from trading_playbook.core.errors import CheckData, FixConfig, FixRequest, RetryLater
from trading_playbook.core.history import History, Prepared, prepare
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.rows import RowMaker, judge_sessions
from trading_playbook.core.schedule import Schedule
from trading_playbook.core.statistics import summarize
from trading_playbook.core.strategies.protocol import SessionBatch
from trading_playbook.ports import Manifest, RowQuery, WriteResult
from trading_playbook.runs.closures import Closures
from trading_playbook.runs.fetching import Sessions, fetch
from trading_playbook.runs.harvest import Harvest
from trading_playbook.runs.places import Places, days_of
from trading_playbook.runs.plan import Plan, plan_run
from trading_playbook.runs.report import RunReport
from trading_playbook.runs.request import RunRequest, Tools
from trading_playbook.runs.stopwatch import Stopwatch

BATCH_ROWS = 1_000
"""Rows judged at once: few enough for the processor's cache, enough to spread the cost of a loop over slots."""

_LARGEST_KEPT = 32 * 2**20 - 2**16
"""Bytes; glibc learns from no larger block what to keep."""

WHOLE_FILE = frozenset({"bad_file", "bad_split"})
"""Kinds of CheckData where not bars but a whole file is wrong."""


def run(request: RunRequest, tools: Tools) -> RunReport:
    """Judge what is asked, write the rows, keep the record.

    Errors of single symbols and sessions are in the report, and harm no other. Raises FixRequest or FixConfig where
    the request, the configuration or the journal's place is wrong as a whole; then nothing was touched.
    """
    run_id, started, watch = os.urandom(6).hex(), tools.clock.now(), Stopwatch(tools.clock)
    places = Places(tools.places, dry_run=request.dry_run)
    with watch.stage("plan"):
        places.open(_rows_in_question(request), tools.feed.name)
    closures = Closures(tools.feed)
    while True:
        with watch.stage("plan"):
            plan = plan_run(
                request, tools.calendar, started, tools.settle_after, tools.catch_up_sessions, days_of(places.stored)
            )
        copied = places.copied(*plan.window)
        if not request.revise:
            plan = plan.without(copied)
        harvest = Harvest(stored={(key.symbol, key.trade_date): row for key, row in places.stored.items()})
        harvest.warnings += _idle_acceptances(request, tools, plan)
        if _judge(request, tools, plan, harvest, closures, watch):
            break
        # A day was no session after all: which sessions there are, and which lies before which, is another matter now.
        tools = replace(tools, calendar=tools.calendar.closed_on(closures.closed))
    harvest.warnings += closures.warnings
    harvest.rows.sort(key=lambda row: row.key)
    with watch.stage("write"):
        given = places.copy(copied)
        rows = [row for row in harvest.rows if request.revise or row.key not in places.contradictory]
        written = places.write(rows, revise=request.revise)
    harvest.warnings += places.told_lacks(copied)
    harvest.errors += [conflict for result in written for conflict in result.conflicts]
    harvest.errors += [plan.too_early] if plan.too_early else []
    report = RunReport(
        run_id=run_id,
        started=started,
        request=request,
        rows=tuple(harvest.rows),
        errors=(*places.errors, *harvest.errors),
        warnings=tuple(dict.fromkeys((*plan.warnings, *tools.feed.warnings, *harvest.warnings, *_drift(written)))),
        written=(*given, *written),
        copied=sum(result.added for result in given),
        not_durable=places.not_durable,
        statistics=summarize(harvest.rows, tools.calendar),
        closed_days=plan.closed_days,
        not_listed=harvest.not_listed,
        market_closed=plan.market_closed,
        usage=tools.feed.usage,
        seconds=watch.seconds,
        code_version=tools.code_version,
        calendar_version=tools.calendar.version,
        data_feed=tools.feed.name,
    )
    return _with_record(report, places)


def _rows_in_question(request: RunRequest) -> RowQuery:
    """The rows of this play and these symbols."""
    play = request.play
    return RowQuery(symbols=frozenset(request.symbols), strategy=play.strategy.name, params_hash=play.params_hash)


def _idle_acceptances(request: RunRequest, tools: Tools, plan: Plan) -> list[str]:
    """A warning for each session that was accepted by name though this run neither judges it nor needs it."""

    def is_idle(symbol: str, day: date) -> bool:
        planned = plan.sessions[symbol]
        return all(day not in (session.date, tools.calendar.previous(session.date).date) for session in planned)

    return [
        f"accepted {symbol}:{day}, which this run does not need"
        for symbol, day in sorted(request.accepted)
        if is_idle(symbol, day)
    ]


def _judge(
    request: RunRequest, tools: Tools, plan: Plan, harvest: Harvest, closures: Closures, watch: Stopwatch
) -> bool:
    """Fetch and judge the planned sessions, batch by batch, so that memory does not grow with their number.

    False where a planned session turns out to be none, so that all must be planned again.
    """
    maker = RowMaker(play=request.play, data_feed=tools.feed.name, public_url=tools.public_url)
    accepted = request.accepted | {key for key, row in harvest.stored.items() if row.accepted}
    done, total = 0, sum(map(len, plan.sessions.values()))
    if total > BATCH_ROWS:
        keep_freed_memory()
    for sessions in in_batches(plan.sessions):
        if tools.deadline is not None and tools.clock.monotonic() >= tools.deadline:
            harvest.errors.append(_out_of_time(total - done))
            break
        with watch.stage("fetch"):
            fetched = fetch(request, tools, sessions, harvest)
        with watch.stage("judge"):
            prepared = [
                ready
                for history, schedule in fetched
                if (ready := _prepare(request, history, schedule, accepted, harvest)) is not None
            ]
            if closures.look(fetched, prepared):
                return False
            before = len(harvest.rows)
            for rows in _judged_rows(maker, prepared):
                harvest.rows += rows
                tools.progress(done + len(harvest.rows) - before, total)
        done += sum(map(len, sessions.values()))
    tools.progress(total, total)
    return True


def _out_of_time(left: int) -> RetryLater:
    return RetryLater(
        f"the time of this run is over, {left} sessions are left: the same call goes on from there",
        retry_after_seconds=1,
    )


def keep_freed_memory() -> None:
    """Let the allocator keep a batch's memory for the next one, instead of giving it back to the system each time.

    Fresh pages cost more than what is computed in them. glibc raises its bounds for keeping when a block of this size
    is given back to it; elsewhere this does nothing.
    """
    np.empty(_LARGEST_KEPT, dtype=np.uint8)


def in_batches(sessions: Sessions) -> Iterator[Sessions]:
    """The symbols in groups of about BATCH_ROWS sessions, in their order; symbols without a session are left out."""
    batch: dict[str, tuple[Session, ...]] = {}
    for symbol, own in sessions.items():
        if batch and sum(map(len, batch.values())) + len(own) > BATCH_ROWS:
            yield batch
            batch = {}
        if own:
            batch[symbol] = own
    if batch:
        yield batch


def _prepare(
    request: RunRequest,
    history: History,
    schedule: Schedule,
    accepted: frozenset[tuple[str, date]],
    harvest: Harvest,
) -> Prepared | None:
    """One symbol made ready to be judged. A bug that its data brings out is kept as an error and harms no other."""
    own = {session for symbol, session in accepted if symbol == history.symbol}
    try:
        prepared = prepare(history, schedule, request.play.strategy, own)
    except Exception as error:
        harvest.errors.append(error)
        return None
    harvest.refuse(history.symbol, prepared.refused)
    harvest.warnings += prepared.remarks
    return prepared


def _judged_rows(maker: RowMaker, prepared: Sequence[Prepared]) -> Iterator[list[JournalRow]]:
    """The rows of several symbols, judged as one batch; of a symbol with many sessions, part after part."""
    keys = [key for ready in prepared for key in ready.keys]
    if not keys:
        return
    whole = SessionBatch.side_by_side([ready.batch for ready in prepared])
    accepted = [flag for ready in prepared for flag in ready.accepted]
    for begin in range(0, len(keys), BATCH_ROWS):
        part = slice(begin, begin + BATCH_ROWS)
        batch = whole.take(np.arange(len(keys))[part])
        yield maker.rows(keys[part], batch, judge_sessions(maker.play.strategy, batch), accepted[part])


def _drift(written: Sequence[WriteResult]) -> list[str]:
    return [
        f"data_drift: {key} is equal to the stored row, though it was judged on other bars"
        for result in written
        for key in result.drifted
    ]


def _with_record(report: RunReport, places: Places) -> RunReport:
    """The report with its manifest kept, unless nothing may be touched.

    Where the request, a setting or a whole file is wrong and no row came out, no file is touched.
    """
    untouched = not report.rows and not report.copied and bool(report.errors) and all(map(_is_refusal, report.errors))
    if report.request.dry_run or untouched:
        return report
    manifest = Manifest(run_id=report.run_id, started=report.started, outcome=report.outcome, facts=report.facts())
    before = len(places.errors)
    kept = places.keep(manifest)
    return replace(report, manifests=kept, errors=(*report.errors, *places.errors[before:]))


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, CheckData):
        return error.kind in WHOLE_FILE
    return isinstance(error, FixConfig | FixRequest)
