"""What every RunLog must do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from trading_playbook.ports import Manifest, RunLog

OpenLog = Callable[[], RunLog]
START = datetime(2025, 11, 4, 22, 0, 5, tzinfo=UTC)


class RunLogContract:
    """A subclass gives the fixture `open_log`: opens one and the same place, empty at first, anew each time."""

    def test_a_place_where_nothing_was_kept_lists_nothing(self, open_log: OpenLog) -> None:
        assert list(open_log().list()) == []

    def test_a_manifest_comes_back_with_every_fact(self, open_log: OpenLog) -> None:
        facts = {
            "request": {"symbols": ["QQQ", "SPY"], "start": None, "revise": False},
            "counts": {"judged": 2},
            "seconds": {"plan": 0.1},
            "warnings": ['über "alles"\n', "\ud800"],
        }
        open_log().append(Manifest(run_id="a1", started=START, outcome="done", facts=facts))
        [found] = open_log().list()
        assert (found.run_id, found.started, found.outcome) == ("a1", START, "done")
        assert {name: found.facts[name] for name in facts} == facts

    def test_the_address_is_where_the_manifest_lies(self, open_log: OpenLog) -> None:
        assert "a1" in open_log().append(_manifest("a1"))

    def test_the_same_run_twice_is_kept_once_as_it_was_first(self, open_log: OpenLog) -> None:
        first = open_log().append(_manifest("a1"))
        again = open_log().append(_manifest("a1", outcome="already_done"))
        assert again == first
        assert [found.outcome for found in open_log().list()] == ["done"]

    def test_the_newest_run_is_listed_first(self, open_log: OpenLog) -> None:
        for run_id, hours in (("c1", 0), ("a1", 2), ("b1", -48)):
            open_log().append(_manifest(run_id, hours=hours))
        assert _ids(open_log()) == ["a1", "c1", "b1"]

    def test_runs_of_one_second_are_listed_by_when_they_began(self, open_log: OpenLog) -> None:
        for run_id, microseconds in (("a1", 500), ("c1", 0), ("b1", 999_999)):
            open_log().append(_manifest(run_id, microseconds=microseconds))
        assert _ids(open_log()) == ["b1", "a1", "c1"]

    def test_a_limit_takes_the_newest(self, open_log: OpenLog) -> None:
        for hours in range(5):
            open_log().append(_manifest(f"r{hours}", hours=hours))
        assert [found.run_id for found in open_log().list(limit=2)] == ["r4", "r3"]
        assert list(open_log().list(limit=0)) == []

    def test_since_is_in(self, open_log: OpenLog) -> None:
        for microseconds in range(3):
            open_log().append(_manifest(f"r{microseconds}", microseconds=microseconds))
        open_log().append(_manifest("earlier", hours=-1))
        since = START + timedelta(microseconds=1)
        assert [found.run_id for found in open_log().list(since=since)] == ["r2", "r1"]
        assert [found.run_id for found in open_log().list(since=since, limit=1)] == ["r2"]

    def test_a_time_of_another_zone_means_the_same_moment(self, open_log: OpenLog) -> None:
        tokyo = timezone(timedelta(hours=9))
        open_log().append(Manifest(run_id="a1", started=START.astimezone(tokyo), outcome="done"))
        assert [found.started for found in open_log().list(since=START.astimezone(tokyo))] == [START]

    @pytest.mark.parametrize("run_id", ["", "../a1", "a/b", "a b", "a\n"])
    def test_a_run_id_that_could_lead_elsewhere_is_refused(self, open_log: OpenLog, run_id: str) -> None:
        with pytest.raises(ValueError, match="is no run id"):
            open_log().append(_manifest(run_id))
        assert list(open_log().list()) == []


def _manifest(run_id: str, *, outcome: str = "done", hours: int = 0, microseconds: int = 0) -> Manifest:
    started = START + timedelta(hours=hours, microseconds=microseconds)
    return Manifest(run_id=run_id, started=started, outcome=outcome, facts={"counts": {"judged": 1}})


def _ids(log: RunLog) -> list[str]:
    return [found.run_id for found in log.list()]
