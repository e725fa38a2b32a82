"""The OpenAPI document: valid, complete, and true of what the service answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from schemathesis.core.result import Ok

from tests.support.market import END, START
from tests.support.service import Service
from trading_playbook.service.openapi import ANSWERS
from trading_playbook.service.routes import router

RANGE = {"symbol": "QQQ", "start": START, "end": END}


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    answer = service.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def schema_of(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of the document with the components that it may point to."""
    return {**schema, "components": document["components"]}


def answers_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]["responses"]
    return found


def test_the_document_is_a_valid_one(document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert {operation.path for operation in operations} == set(document["paths"])


def test_each_path_that_is_told_of_has_its_answers_and_a_text(document: dict[str, Any]) -> None:
    paths = {getattr(route, "path", "") for route in router.routes if getattr(route, "include_in_schema", False)}
    assert paths == set(document["paths"]) == set(ANSWERS)
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]


def test_every_schema_is_one_and_every_pointer_points_to_one(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.validator_for(schema_of(document, {"$ref": f"#/components/schemas/{name}"}))


def test_examples_of_bodies_and_problems_are_such(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    bodies = schemas["RunBody"]["examples"]
    assert len(bodies) >= 3
    for body in bodies:
        jsonschema_rs.validate(schemas["RunBody"], body)
    for path, methods in document["paths"].items():
        for method in methods:
            for status, answer in answers_of(document, method, path).items():
                if status >= "400":
                    told = answer["content"]["application/problem+json"]
                    assert told["example"]["status"] == int(status)
                    jsonschema_rs.validate(schema_of(document, told["schema"]), told["example"])


def test_only_health_and_ready_need_no_token(document: dict[str, Any]) -> None:
    open_ones = {
        path for path, methods in document["paths"].items() for each in methods.values() if not each["security"]
    }
    assert open_ones == {"/health", "/ready"}


def test_the_document_itself_is_behind_a_token(settings: Callable[..., None]) -> None:
    settings(AUTH="oidc", OIDC_AUDIENCE="trading-playbook", OIDC_SERVICE_ACCOUNTS="caller@example.org")
    closed_service = Service()
    for path in ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"):
        assert closed_service.get(path).status_code == 401
    assert closed_service.get("/health").status_code == 200


def test_what_is_answered_fits_the_document(service: Service, document: dict[str, Any]) -> None:
    run = service.post(RANGE)
    told = [
        ("/backtest", "post", run),
        ("/backtest", "post", service.post(RANGE)),
        ("/backtest", "post", service.post({**RANGE, "dry_run": True})),
        ("/backtest", "post", service.post({**RANGE, "end": "2025-13-01"})),
        ("/backtest", "post", service.post("{")),
        ("/journal", "get", service.get("/journal", params={"limit": 2})),
        ("/runs", "get", service.get("/runs")),
        ("/runs/{run_id}", "get", service.get(f"/runs/{run.json()['run_id']}")),
        ("/runs/{run_id}", "get", service.get("/runs/none")),
        ("/stats", "get", service.get("/stats")),
        ("/health", "get", service.get("/health")),
        ("/ready", "get", service.get("/ready")),
    ]
    for path, method, answer in told:
        media_type = answer.headers["content-type"].partition(";")[0]
        schema = answers_of(document, method, path)[str(answer.status_code)]["content"][media_type]["schema"]
        jsonschema_rs.validate(schema_of(document, schema), answer.json())
    assert [answer.status_code for *_, answer in told] == [200, 200, 200, 422, 400, 200, 200, 200, 404, 200, 200, 200]
