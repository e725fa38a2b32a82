from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.support.mongo_double import ALWAYS, AnswerLost, MongoDouble, Refuse, Unconfirmed
from tests.unit.journals.mongo import COLLECTION, DATABASE
from trading_playbook.core.errors import RetryLater
from trading_playbook.journals.mongo.connection import MongoPlace
from trading_playbook.journals.mongo.runs import MongoRunLog
from trading_playbook.network.budget import RetryBudget
from trading_playbook.ports import Manifest
from trading_playbook.system import SystemClock

START = datetime(2025, 11, 4, 22, 0, 5, 123456, tzinfo=UTC)


@pytest.fixture
def mongo() -> Iterator[MongoDouble]:
    with MongoDouble() as double:
        yield double


@pytest.fixture
def log(mongo: MongoDouble) -> Iterator[MongoRunLog]:
    clock = SystemClock()
    with closing(MongoPlace(mongo.connection, DATABASE, COLLECTION, clock, RetryBudget(clock, 10))) as place:
        yield MongoRunLog(place)


def _manifest(**facts: object) -> Manifest:
    return Manifest(run_id="a1", started=START, outcome="done", facts=facts)


def test_a_record_is_a_document_for_queries_too(mongo: MongoDouble, log: MongoRunLog) -> None:
    assert log.append(_manifest(counts={"added": 1})) == f"mongodb://{mongo.host}/playbook.runs/a1"
    [document] = mongo.documents(DATABASE, "runs")
    assert (document["_id"], document["outcome"]) == ("a1", "done")
    assert document["started"] == datetime(2025, 11, 4, 22, 0, 5, 123000)
    assert document["facts"]["counts"] == {"added": 1}


@pytest.mark.parametrize(
    "facts",
    [
        {"a.b": {"$c": 1}},
        {"": 1, "\0": 2},
        {"big": 2**70, "small": -(2**70), "huge": 10**400},
        {"half": "\ud800", "\ud800": 1},
    ],
)
def test_what_no_document_can_hold_comes_back_all_the_same(log: MongoRunLog, facts: dict[str, object]) -> None:
    log.append(_manifest(**facts))
    [found] = log.list()
    assert {name: found.facts[name] for name in facts} == facts


def test_facts_of_many_levels_come_back(log: MongoRunLog) -> None:
    deep: object = 1
    for _ in range(150):
        deep = {"d": deep}
    log.append(_manifest(deep=deep))
    assert log.list()[0].facts["deep"] == deep


def test_what_is_no_value_of_json_is_refused(mongo: MongoDouble, log: MongoRunLog) -> None:
    with pytest.raises(ValueError, match="JSON"):
        log.append(_manifest(worth=float("nan")))
    assert mongo.documents(DATABASE, "runs") == []


def test_an_answer_that_was_lost_makes_no_second_record(mongo: MongoDouble, log: MongoRunLog) -> None:
    mongo.misbehave(AnswerLost(), kind="insert")
    log.append(_manifest())
    assert mongo.kinds().count("insert") == 2
    assert [found.run_id for found in log.list()] == ["a1"]


def test_a_record_that_the_majority_did_not_confirm_is_not_kept_for_sure(mongo: MongoDouble, log: MongoRunLog) -> None:
    mongo.misbehave(Unconfirmed(), kind="insert")
    with pytest.raises(RetryLater, match="not confirmed by the majority"):
        log.append(_manifest())


def test_who_may_make_no_indexes_may_keep_records(mongo: MongoDouble, log: MongoRunLog) -> None:
    mongo.misbehave(Refuse(13, "Unauthorized"), kind="createIndexes", times=ALWAYS)
    log.append(_manifest())
    assert len(log.list()) == 1


def test_what_else_lies_in_the_collection_is_passed_over(mongo: MongoDouble, log: MongoRunLog) -> None:
    log.append(_manifest())
    for number, text in enumerate(["{}", 5, "no", None]):
        mongo.insert(DATABASE, "runs", {"_id": number, "started_utc": "2025", "json": text})
    mongo.insert(DATABASE, "runs", {"_id": "other"})
    assert [found.run_id for found in log.list()] == ["a1"]
