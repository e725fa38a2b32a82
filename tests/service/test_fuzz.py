"""Requests that a program makes up from our own description of the interface: none brings a bug out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as configured
from schemathesis.core.result import Ok

from tests.support.clocks import ManualClock
from tests.support.market import END, START
from tests.support.service import JSON, Service
from tests.support.tokens import AUDIENCE, SCHEDULER, claims, token, without_signature

CONFIG = """
[generation]
with-security-parameters = false
[checks]
# Upstream trouble is 502 and 503; 500 is a bug, or a configuration that is wrong.
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502", "503"]
# What a schema can say is less than what we ask: dates that are sessions, symbols that have bars.
positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "415", "422", "425", "5xx"]
"""
QUIET = [
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.function_scoped_fixture,
    HealthCheck.data_too_large,
]


@pytest.mark.filterwarnings("ignore:Using `httpx` with")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    "examples", [pytest.param(10, id="few"), pytest.param(600, id="thousands", marks=pytest.mark.soak)]
)
def test_every_answer_to_a_made_up_request_is_one_that_we_describe(
    settings: Callable[..., None], clock: ManualClock, mode: schemathesis.GenerationMode, examples: int
) -> None:
    settings(LOG_LEVEL="ERROR", AUTH="iam", OIDC_AUDIENCE=AUDIENCE, OIDC_SERVICE_ACCOUNTS=SCHEDULER)
    service = Service(clock, {"K_SERVICE": "trading-playbook"})
    sent = {"Authorization": f"Bearer {without_signature(token(claims(clock.now())))}"}
    body = f'{{"symbol": "QQQ", "start": "{START}", "end": "{END}"}}'
    assert service("POST", "/backtest", content=body, headers={**sent, **JSON}).status_code == 200
    config = schemathesis.Config.from_str(CONFIG)
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.app, config=config, headers=sent)
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        cases = found.ok().as_strategy(generation_mode=mode)

        @given(case=cases)
        @configured(
            max_examples=examples, deadline=None, phases=[Phase.generate], suppress_health_check=QUIET, database=None
        )
        def holds(case: Any) -> None:
            case.call_and_validate(headers=sent)

        try:
            holds()
            tried += 1
        except Exception as error:
            if type(error).__name__ != "Unsatisfiable":
                raise
    assert tried
