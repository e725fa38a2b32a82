"""The queries of reads: nothing in them is passed over."""

from __future__ import annotations

import pytest

from tests.support.service import Service, problem_in


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("symbl=QQQ", "symbl"),
        ("symbol=QQQ&symbol=SPY", "twice"),
        ("limit=0", "limit"),
        ("limit=5001", "limit"),
        ("limit=many", "limit"),
        ("offset=-1", "offset"),
        ("entered=perhaps", "entered"),
        ("start=2025-13-01", "start"),
        ("symbol=../../etc/passwd", "symbol"),
        ("symbol=" + 6_001 * "Q", "symbol"),
    ],
)
def test_what_is_wrong_in_a_query_is_named(service: Service, query: str, named: str) -> None:
    assert named in problem_in(service.get(f"/journal?{query}"), 422, "usage")["detail"]


def test_the_records_of_runs_take_a_limit_alone(service: Service) -> None:
    assert service.get("/runs?limit=1").status_code == 200
    for query in ("limit=501", "since=2025-01-01"):
        problem_in(service.get(f"/runs?{query}"), 422, "usage")
