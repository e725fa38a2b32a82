"""The document that GET /openapi.json gives: what each path answers, with examples. Made when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from trading_playbook.core.journal import COLUMNS, Kind
from trading_playbook.service.bodies import RunBody
from trading_playbook.service.guard import LARGEST_BODY, OPEN_PATHS
from trading_playbook.service.queries import JournalQuery, RunsQuery

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_DAY: Schema = {"type": "string", "format": "date"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_WAIT: Schema = {"Retry-After": {"description": "Seconds until the same call may work.", "schema": _COUNT}}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(optional: Mapping[str, Schema] | None = None, /, **required: Schema) -> Schema:
    return {"type": "object", "required": [*required], "properties": {**required, **(optional or {})}}


def _map_of(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_KINDS: Mapping[Kind, Schema] = {
    Kind.TEXT: _TEXT,
    Kind.DATE: _DAY,
    Kind.TIME: {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}$"},
    Kind.FLAG: _FLAG,
    Kind.COUNT: {"type": "integer"},
    Kind.NUMBER: _NUMBER,
}

_STATISTICS = _object(
    sessions=_COUNT,
    trades=_COUNT,
    wins=_COUNT,
    win_rate=_or_null(_NUMBER),
    total_r=_NUMBER,
    average_r=_or_null(_NUMBER),
    net_pnl=_NUMBER,
    fees=_NUMBER,
    expectancy=_or_null(_NUMBER),
    profit_factor=_or_null(_NUMBER),
    max_drawdown_r=_NUMBER,
    max_drawdown=_NUMBER,
    longest_losing_streak=_COUNT,
    exposure=_or_null(_NUMBER),
    reasons=_map_of(_COUNT),
)

_PLACE = _object(
    place=_TEXT,
    added=_COUNT,
    unchanged=_COUNT,
    revised=_COUNT,
    conflicts=_COUNT,
    sha256_before=_or_null(_HASH),
    sha256_after=_or_null(_HASH),
)

_RECORD = {
    "run_id": _TEXT,
    "started": _MOMENT,
    "outcome": {**_TEXT, "examples": ["done", "already_done", "closed"]},
    "request": {"type": "object"},
    "code_version": _TEXT,
    "calendar_version": _TEXT,
    "data_feed": _TEXT,
    "data_hashes": _map_of(_HASH),
    "counts": _map_of(_COUNT),
    "reasons": _map_of(_COUNT),
    "errors": _list_of({"type": "object"}),
    "warnings": _list_of(_TEXT),
    "places": _list_of(_named("Place")),
    "statistics": _named("Statistics"),
    "seconds": _map_of(_NUMBER),
    "api_calls": _COUNT,
    "cache_hits": _COUNT,
    "estimated_cost": _object(dollars=_NUMBER, source=_TEXT, as_of=_DAY),
}
_HEAD = ("started", "outcome", "counts", "seconds", "api_calls", "cache_hits", "code_version")

SCHEMAS: Mapping[str, Schema] = {
    "Problem": {
        "description": "What went wrong (RFC 9457). Further members are facts of it, such as symbol and session.",
        **_object(
            {
                "run_id": {**_TEXT, "description": "The run's, under which the log has more."},
                "errors": {**_list_of({"type": "object"}), "description": "All that went wrong in the run."},
                "report": {"type": "object", "description": "What the run did all the same."},
            },
            type={**_TEXT, "pattern": "^urn:trading-playbook:[a-z_]+$"},
            title=_TEXT,
            status={"type": "integer"},
            detail=_TEXT,
        ),
    },
    "Row": {
        "description": "A row of the journal; docs/journal.md tells each column. In the answer of a run without nulls.",
        "type": "object",
        "properties": {column.name: _or_null(_KINDS[column.kind]) for column in COLUMNS},
    },
    "Statistics": {"description": "Figures after costs; R is the risk of a trade, the rest dollars.", **_STATISTICS},
    "Place": {"description": "What became of one file or collection.", **_PLACE},
    "Record": {
        "description": "The record of a run.",
        **_object({name: schema for name, schema in _RECORD.items() if name != "run_id"}, run_id=_TEXT),
    },
    "Report": {
        "description": "The record of a run, with where it is kept and the judged rows.",
        **_object(**_RECORD, manifest=_or_null(_TEXT), manifests=_list_of(_TEXT), rows=_list_of(_named("Row"))),
    },
    "RunBody": RunBody.model_json_schema(),
}

_EXAMPLES = {
    400: ("no_json", "The body is no JSON", "expected is one JSON object in UTF-8"),
    401: ("unauthorized", "Who calls is not known", "a bearer token is needed"),
    403: ("forbidden", "The caller may not do this", "the caller is not on the list of this path"),
    404: ("no_run", "There is no such run", "no record has this run_id"),
    405: ("http", "The path does not take this method", "The path does not take this method"),
    408: ("slow", "The body came too slowly", "a body comes within 10 seconds"),
    409: ("conflict", "A stored row differs", "QQQ 2025-11-04: the stored row differs in entry_price"),
    413: ("too_large", "The body is too large", f"a body has at most {LARGEST_BODY} bytes"),
    415: ("media_type", "Not JSON", "the body must be application/json, or empty for the nightly run"),
    422: ("usage", "The request is wrong", "start: '2025-13-01' is no date; expected YYYY-MM-DD"),
    425: ("too_early", "The session has not settled yet", "the session of 2025-11-04 is judged 20 minutes after"),
    500: ("config", "The configuration is wrong", "ALPACA_API_KEY and ALPACA_SECRET_KEY are not both set"),
    502: ("data", "The bars are wrong", "QQQ 2025-11-04 10:12: high is 0.0"),
    503: ("retry", "Temporary trouble: the same call may work later", "Alpaca did not answer within 100 seconds"),
}
"""By status, the end of a type, a title and a detail."""

_ANY = (400, 401, 403, 404, 405, 408, 413, 422, 500, 502, 503)
_STATUSES: Mapping[str, tuple[int, ...]] = {
    "/backtest": (*_ANY, 409, 415, 425),
    "/ready": (405, 503),
    "/health": (405,),
}


def _answer(description: str, schema: Schema, media_type: str = "application/json") -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


_JOURNAL = {
    **_answer("A page of rows, in the order of their keys.", _object(
        total=_COUNT, offset=_COUNT, rows=_list_of(_named("Row"))
    )),
    "headers": {
        "ETag": {"description": "Of this page; send it as If-None-Match.", "schema": _TEXT},
        "Link": {"description": 'The next page, rel="next"; absent on the last one.', "schema": _TEXT},
        "X-Total-Count": {"description": "Rows on all pages.", "schema": _COUNT},
    },
}  # fmt: skip
_JOURNAL["content"] = {**_JOURNAL["content"], "text/csv": {"schema": _TEXT}}

ANSWERS: Mapping[str, Mapping[str, Schema]] = {
    "/backtest": {"200": _answer("Done, or done before: every journal is durable.", _named("Report"))},
    "/journal": {"200": _JOURNAL, "304": {"description": "The page has the ETag that If-None-Match names."}},
    "/runs": {
        "200": _answer(
            "The newest first.",
            _object(runs=_list_of(_object({name: _RECORD[name] for name in _HEAD}, run_id=_TEXT))),
        )
    },
    "/runs/{run_id}": {"200": _answer("The whole record.", _named("Record"))},
    "/stats": {
        "200": _answer(
            "Of the trailing 30 sessions, and of all.",
            _object(
                strategy=_TEXT,
                params_hash=_TEXT,
                symbols=_list_of(_TEXT),
                trailing_30_sessions=_named("Statistics"),
                all=_named("Statistics"),
            ),
        )
    },
    "/metrics": {"200": _answer("Prometheus' text form.", _TEXT, "text/plain")},
    "/health": {"200": _answer("It answers.", _object(status={"const": "ok"}))},
    "/ready": {"200": _answer("A run could write its journals.", _object(status={"const": "ready"}))},
}
"""What each path answers where nothing went wrong."""


def _query(kind: type[BaseModel]) -> tuple[Schema, ...]:
    """The parameters of a query. None of them can be null: what is not wanted is left out."""
    told = kind.model_json_schema()["properties"]
    return tuple(
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", schema["title"]),
            "schema": schema["anyOf"][0] if "anyOf" in schema else schema,
        }
        for name, schema in told.items()
    )


PARAMETERS: Mapping[str, tuple[Schema, ...]] = {
    "/journal": _query(JournalQuery),
    "/runs": _query(RunsQuery),
    "/runs/{run_id}": (
        {"name": "run_id", "in": "path", "required": True, "description": "Of an answer.", "schema": _TEXT},
    ),
}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the service's paths, the same one each time."""
    if app.openapi_schema:
        return app.openapi_schema
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for path, methods in made["paths"].items():
        for operation in methods.values():
            problems = {str(status): _problem(status) for status in _STATUSES.get(path, _ANY)}
            operation["responses"] = {**ANSWERS[path], **problems}
            operation["parameters"] = PARAMETERS.get(path, ())
            operation["security"] = [] if path in OPEN_PATHS else [{"bearer": []}]
    made["paths"]["/backtest"]["post"]["requestBody"] = {
        "description": "Empty, of any content type: the nightly run.",
        "required": False,
        "content": {"application/json": {"schema": _named("RunBody")}},
    }
    made["components"] = {
        "schemas": dict(SCHEMAS),
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A Google ID token for OIDC_AUDIENCE, with a verified e-mail address that is listed.",
            }
        },
    }
    app.openapi_schema = made
    return made


def _problem(status: int) -> Schema:
    kind, title, detail = _EXAMPLES[status]
    example = {"type": f"urn:trading-playbook:{kind}", "title": title, "status": status, "detail": detail}
    content = {"application/problem+json": {"schema": _named("Problem"), "example": example}}
    headers = {"headers": _WAIT} if status in (425, 503) else {}
    return {"description": title, "content": content, **headers}
