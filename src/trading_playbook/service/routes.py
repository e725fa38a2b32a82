"""The paths of the service, each a small function over Calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from trading_playbook.service.bodies import read_run_body
from trading_playbook.service.fields import query_of
from trading_playbook.service.problems import problem, problem_of
from trading_playbook.service.queries import JournalQuery, RunsQuery, read_query

if TYPE_CHECKING:
    from trading_playbook.core.journal import JournalRow
    from trading_playbook.ports import Manifest
    from trading_playbook.runs import RunReport
    from trading_playbook.service.app import State

READ_SECONDS = 60.0
READY_SECONDS = 5.0

router = APIRouter()


def _state(request: Request) -> State:
    state: State = request.app.state.playbook
    return state


@router.post("/backtest", summary="Judge sessions and journal them")
async def backtest(request: Request) -> Response:
    """An empty body is the nightly run: the last settled session, and nights that were missed.

    200 only once every journal is durable. The same call twice changes nothing and answers 200 twice.
    """
    state = _state(request)
    body = read_run_body(await request.body(), request.headers.get("content-type", ""))
    report = await state.backtest(body)
    if report.error is not None:
        did = _summary(report)
        return problem_of(report.error, run_id=report.run_id, others=report.errors, report=did, paths=state.paths)
    return JSONResponse(report.values())


@router.get("/journal", summary="Rows of the journal")
async def journal(request: Request) -> Response:
    """JSON, or CSV where Accept asks for text/csv; in pages, the next one in the header Link."""
    state = _state(request)
    asked = read_query(JournalQuery, request.query_params.multi_items())
    query = query_of(asked.symbol, asked.start, asked.end, asked.strategy, asked.params_hash)
    rows = await state.reads.do(lambda: state.calls.rows(query), READ_SECONDS)
    rows = [row for row in rows if asked.entered is None or row.entered == asked.entered]
    end = asked.offset + asked.limit
    page = rows[asked.offset : end]
    headers = {"X-Total-Count": str(len(rows)), "Vary": "Accept"}
    if end < len(rows):
        following = request.url.include_query_params(offset=end)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    if "text/csv" in request.headers.get("accept", ""):
        return _tagged(request, _as_csv(page), "text/csv; charset=utf-8", headers)
    from trading_playbook.core.journal import row_values

    content = {"total": len(rows), "offset": asked.offset, "rows": list(map(row_values, page))}
    return _tagged(request, _json(content), "application/json", headers)


@router.get("/runs", summary="Records of runs, newest first")
async def runs(request: Request) -> Response:
    """The head of each record; GET /runs/{id} has all of one."""
    state = _state(request)
    asked = read_query(RunsQuery, request.query_params.multi_items())
    found = await state.reads.do(lambda: state.calls.runs(asked.limit), READ_SECONDS)
    return JSONResponse({"runs": [_head(manifest) for manifest in found]})


@router.get("/runs/{run_id}", summary="The record of one run")
async def one_run(request: Request) -> Response:
    """All that is known of a run."""
    state = _state(request)
    found = await state.reads.do(lambda: state.calls.run_of(request.path_params["run_id"]), READ_SECONDS)
    if found is None:
        return problem(404, "no_run", "There is no such run", "no record has this run_id")
    return JSONResponse(dict(found.facts))


@router.get("/stats", summary="How the play has done")
async def stats(request: Request) -> Response:
    """Figures after costs of the configured symbols and play: of the trailing 30 sessions, and of all."""
    state = _state(request)
    standing = await state.reads.do(lambda: state.calls.standing(), READ_SECONDS)
    from trading_playbook.runs.report import statistics_facts  # by now it is loaded

    return JSONResponse(
        {
            "strategy": state.calls.play.strategy.name,
            "params_hash": state.calls.play.params_hash,
            "symbols": list(state.calls.settings.symbols),
            "trailing_30_sessions": statistics_facts(standing.trailing),
            "all": statistics_facts(standing.whole),
        }
    )


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def metrics(request: Request) -> Response:
    """Counters of this instance, and gauges that come from the journal."""
    state = _state(request)
    return Response(await state.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.head("/health", include_in_schema=False)
@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", include_in_schema=False)
@router.get("/health", summary="Alive")
async def health() -> Response:
    """Whether the process answers; it asks nothing and nobody."""
    return JSONResponse({"status": "ok"})


@router.head("/ready", include_in_schema=False)
@router.get("/ready", summary="Able to run")
async def ready(request: Request) -> Response:
    """Whether the configuration holds and the journals can be reached; remembered for a few seconds."""
    if await _state(request).is_ready():
        return JSONResponse({"status": "ready"})
    return problem(503, "not_ready", "Not ready", "the log tells why", headers={"Retry-After": "10"})


def _summary(report: RunReport) -> Mapping[str, object]:
    """Of a run that did not do all it was asked for: what it did all the same."""
    facts = report.facts()
    return {name: facts[name] for name in ("outcome", "counts", "places", "warnings")}


def _head(manifest: Manifest) -> Mapping[str, object]:
    names = ("run_id", "started", "outcome", "counts", "seconds", "api_calls", "cache_hits", "code_version")
    return {name: manifest.facts[name] for name in names if name in manifest.facts}


def _as_csv(rows: Sequence[JournalRow]) -> bytes:
    from trading_playbook.core.journal_csv import StoredJournal, StoredRow, write_journal

    return write_journal(StoredJournal(rows=tuple(map(StoredRow, rows))))


def _json(content: object) -> bytes:
    return json.dumps(content, allow_nan=False).encode()


def _tagged(request: Request, content: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """The content with its ETag; 304 where the caller has it already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    own = {**headers, "ETag": tag, "Cache-Control": "private, no-cache"}
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or tag in known:
        return Response(status_code=304, headers=own)
    return Response(content, media_type=media_type, headers=own)
