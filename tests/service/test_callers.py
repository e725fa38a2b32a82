"""Who is let in at the door: before the body is read, by what path, and when the service does not start at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clocks import ManualClock
from tests.support.door import environment_with
from tests.support.service import JSON, SERVING, Service, chunks, problem_in
from tests.support.tokens import (
    AUDIENCE,
    GOOGLE_KEY,
    SCHEDULER,
    CertificateServer,
    claims,
    signing_key,
    token,
    without_signature,
)
from trading_playbook.service.auth import build_authenticator
from trading_playbook.service.routes import router

VIEWER = "viewer@example.com"
OPEN = ("/health", "/healthz", "/ready")
BARE = (sys.executable, "-m", "uvicorn", "trading_playbook.service.app:app", "--port", "0")


def closed_paths() -> list[tuple[str, str]]:
    found = [
        (method, path.replace("{run_id}", "0"))
        for route in router.routes
        for path in [getattr(route, "path", "")]
        for method in getattr(route, "methods", ())
        if path not in OPEN
    ]
    return sorted([*found, ("GET", "/openapi.json"), ("GET", "/nothing"), ("GET", "/health/"), ("GET", "//health")])


@pytest.fixture
def oidc(settings: Callable[..., None], clock: ManualClock) -> Iterator[Service]:
    settings(AUTH="oidc", OIDC_AUDIENCE=AUDIENCE, OIDC_SERVICE_ACCOUNTS=SCHEDULER, VIEWERS=VIEWER)
    service = Service(clock)
    with CertificateServer(signing_key(GOOGLE_KEY)) as server:
        service.state.authenticator = build_authenticator(
            "oidc", audience=AUDIENCE, callers=[SCHEDULER], environment={}, clock=clock, certificates_url=server.url
        )
        yield service


def bearer(clock: ManualClock, **others: object) -> dict[str, str]:
    return {"authorization": f"Bearer {token(claims(clock.now(), **others))}"}


@pytest.mark.parametrize(("method", "path"), closed_paths())
def test_without_a_token_every_path_but_the_open_ones_is_401(oidc: Service, method: str, path: str) -> None:
    answer = oidc(method, path)
    problem_in(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_who_is_not_known_is_told_so_before_the_body_is_read(oidc: Service) -> None:
    taken: list[int] = []
    answer = oidc("POST", "/backtest", content=chunks(b"{}", 10, taken), headers=JSON)
    problem_in(answer, 401)
    assert taken == []


@pytest.mark.parametrize("path", OPEN)
def test_health_and_readiness_are_open_to_all_in_both_methods(oidc: Service, path: str) -> None:
    for method in ("GET", "HEAD"):
        assert oidc(method, path).status_code == 200
    problem_in(oidc("POST", path), 405)


def test_the_scheduler_may_call_and_a_stranger_may_not(oidc: Service, clock: ManualClock) -> None:
    assert oidc("POST", "/backtest", headers=bearer(clock)).status_code == 200
    stranger = bearer(clock, email="stranger@example.com")
    problem_in(oidc("POST", "/backtest", headers=stranger), 403, "forbidden")
    problem_in(oidc("GET", "/journal", headers=stranger), 403)
    for other in ({"aud": "another"}, {"iss": "https://evil"}, {"exp": 1}, {"email_verified": False}):
        problem_in(oidc("POST", "/backtest", headers=bearer(clock, **other)), 401)
    removed = without_signature(token(claims(clock.now())))
    problem_in(oidc("POST", "/backtest", headers={"authorization": f"Bearer {removed}"}), 401)


def test_viewers_read_and_run_nothing(oidc: Service, clock: ManualClock) -> None:
    viewer = bearer(clock, email=VIEWER)
    for path in ("/metrics", "/journal", "/runs", "/stats", "/openapi.json"):
        assert oidc("GET", path, headers=viewer).status_code == 200
        assert oidc("GET", path, headers=bearer(clock)).status_code == 200
    problem_in(oidc("POST", "/backtest", headers=viewer), 403)


def test_iam_takes_a_token_whose_signature_cloud_run_took_away(
    settings: Callable[..., None], clock: ManualClock
) -> None:
    settings(AUTH="iam", OIDC_AUDIENCE=AUDIENCE, OIDC_SERVICE_ACCOUNTS=SCHEDULER)
    service = Service(clock, {"K_SERVICE": "trading-playbook"})
    removed = without_signature(token(claims(clock.now())))
    assert service("POST", "/backtest", headers={"authorization": f"Bearer {removed}"}).status_code == 200
    problem_in(service("POST", "/backtest", headers=bearer(clock)), 401)


def test_certificates_that_cannot_be_had_are_503_and_health_is_not_held_up(oidc: Service, clock: ManualClock) -> None:
    oidc.state.authenticator = build_authenticator(
        "oidc", audience=AUDIENCE, callers=[SCHEDULER], environment={}, clock=clock,
        certificates_url="http://127.0.0.1:9/none",
    )  # fmt: skip
    answer = oidc("POST", "/backtest", headers=bearer(clock))
    problem_in(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1


def test_none_is_said_aloud(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert service.state.authenticator.warning
    Service()
    assert "AUTH=none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "OIDC_AUDIENCE"),
        ({"OIDC_AUDIENCE": AUDIENCE}, "OIDC_SERVICE_ACCOUNTS"),
        ({"AUTH": "iam", "OIDC_AUDIENCE": AUDIENCE, "OIDC_SERVICE_ACCOUNTS": SCHEDULER}, "K_SERVICE"),
        ({"AUTH": "none", "K_SERVICE": "x", "GCS_BUCKET": "bucket"}, "AUTH"),
        ({"AUTH": "none", "WRITER_TYPE": "paper"}, "WRITER_TYPE"),
        ({"AUTH": "none", "PORT": "none"}, "PORT"),
    ],
)
def test_a_service_that_would_let_the_wrong_ones_in_does_not_start(
    own_folder: Path, environment: dict[str, str], told: str
) -> None:
    own = environment_with(**environment)
    served = subprocess.run(SERVING, cwd=own_folder, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert served.returncode == 2, served.stderr
    assert told in served.stderr
    assert "Traceback" not in served.stderr
    if "PORT" in environment:
        return
    bare = subprocess.run(BARE, cwd=own_folder, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert bare.returncode not in (0, 1)
    assert "Traceback" not in bare.stderr
    said = served.stderr.strip().splitlines()[-1]
    message = json.loads(said)["message"] if said.startswith("{") else said.removeprefix("error: ")
    assert message in bare.stderr
