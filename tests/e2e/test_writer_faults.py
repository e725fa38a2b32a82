"""What goes wrong at one of several writers, its exit code, and that no row is lost, doubled or half written."""

from __future__ import annotations

import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import gcs_double, mongo_double
from tests.support.door import COMMAND, Door, Told, environment_with
from tests.support.gcs_double import PERMISSIONS
from tests.support.market import DAYS, Market, make_market
from tests.support.mongo_double import Kind, MongoDouble
from tests.support.three import BUCKET, COLLECTION, DATABASE, FOLDER, WRITERS, Three, three_journals

SYMBOLS = ("QQQ", "SPY")
FOREVER = 10**9
BUDGET = 6
START, MIDDLE, END = DAYS[0], DAYS[4], DAYS[9]
ROWS = 2 * 10

Harm = Callable[[Three], object]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return make_market(tmp_path_factory.mktemp("market") / "bars", SYMBOLS)


@pytest.fixture(params=Kind, ids=lambda kind: kind.value)
def three(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    with three_journals(tmp_path / "out", request.param) as three:
        three.mongo.engine.lifetime_seconds = 1.0  # a server waits a minute before it ends what a client left open
        for name, value in three.settings.items():
            monkeypatch.setenv(name, value)
        yield three


Judge = Callable[..., Told]


@pytest.fixture
def judge(door: Door, market: Market, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Runs; short: with a small budget, which is kept."""

    def judge(*more: object, end: str = END, short: bool = False) -> Told:
        # A machine that has much to do besides may take long for a call that goes well.
        monkeypatch.setenv("RETRY_BUDGET_SECONDS", str(BUDGET if short else 60))
        began = time.monotonic()
        told = door(*market.call, "--symbol", ",".join(SYMBOLS), "--start", START, "--end", end, *more)
        assert not short or time.monotonic() - began < BUDGET + 2
        assert "Traceback" not in told.all
        return told

    return judge


def of_rows(name: str) -> bool:
    """Whether an object holds rows, and no record of a run."""
    return "/runs/" not in name


def gcs(fault: gcs_double.Fault, kind: str | None = "put", times: float = 1) -> Harm:
    return lambda three: three.gcs.misbehave(fault, kind=kind, name=of_rows, times=times)


def mongo(fault: mongo_double.Fault, kind: str | None = None, times: int = 1) -> Harm:
    return lambda three: three.mongo.misbehave(fault, kind=kind, times=times)


ONCE: Mapping[str, Harm] = {
    "gcs 429": gcs(gcs_double.Status(429)),
    "gcs 503": gcs(gcs_double.Status(503)),
    "gcs 503 while reading": gcs(gcs_double.Status(503), kind="get"),
    "gcs 403 of the rate": gcs(gcs_double.Status(403, reason="rateLimitExceeded")),
    "gcs reset": gcs(gcs_double.Reset()),
    "gcs reset while reading": gcs(gcs_double.Reset(), kind="get"),
    "gcs reset after the write was applied": gcs(gcs_double.AnswerLost()),
    "gcs 503 after the write was applied": gcs(gcs_double.AnswerLost(503)),
    "gcs damaged on its way": gcs(gcs_double.Damaged()),
    "gcs damaged on its way back": gcs(gcs_double.Damaged(), kind="get"),
    "mongo not primary": mongo(mongo_double.Refuse(10107, "NotWritablePrimary"), kind="insert"),
    "mongo steps down": mongo(mongo_double.Refuse(11602, "InterruptedDueToReplStateChange"), kind="insert"),
    "mongo reset": mongo(mongo_double.Reset(), kind="insert"),
    "mongo reset while reading": mongo(mongo_double.Reset(), kind="find"),
    "mongo reset after the write was applied": mongo(mongo_double.AnswerLost(), kind="insert"),
    "mongo reset after the commit was applied": mongo(mongo_double.AnswerLost(), kind="commitTransaction"),
    "mongo write conflict": mongo(mongo_double.Refuse(112, "WriteConflict"), kind="insert"),
    "mongo too busy": mongo(mongo_double.Refuse(462, "IngressRequestRateLimitExceeded"), kind="insert"),
}


@pytest.mark.parametrize("harm", ONCE.values(), ids=ONCE)
def test_what_happens_once_is_overcome_and_leaves_what_nothing_would_have(
    three: Three, judge: Judge, harm: Harm
) -> None:
    assert judge(end=MIDDLE).code == 0
    harm(three)
    told = judge()
    assert (told.code, told.err) == (0, "")
    assert len(three.require_equal()) == ROWS
    before = three.state()
    assert judge().code == 0
    assert three.state() == before


def no_space(three: Three) -> None:
    three.mongo.misbehave(mongo_double.Refuse(14031, "OutOfDiskSpace"), kind="insert", times=FOREVER)


FOR_EVER: Mapping[str, tuple[str, int, Harm]] = {
    "412 storms": ("gcs", 4, gcs(gcs_double.Status(412, reason="conditionNotMet"), times=FOREVER)),
    "429": ("gcs", 4, gcs(gcs_double.Status(429), times=FOREVER)),
    "429 that asks for an hour": ("gcs", 4, gcs(gcs_double.Status(429, retry_after="3600"), times=FOREVER)),
    "503": ("gcs", 4, gcs(gcs_double.Status(503), times=FOREVER)),
    "503 while reading": ("gcs", 4, gcs(gcs_double.Status(503), kind="get", times=FOREVER)),
    "reset": ("gcs", 4, gcs(gcs_double.Reset(), times=FOREVER)),
    "answers that are lost after the write was applied": ("gcs", 4, gcs(gcs_double.AnswerLost(), times=FOREVER)),
    "hanging writes": ("gcs", 4, gcs(gcs_double.Hang(), times=FOREVER)),
    "hanging": ("gcs", 4, gcs(gcs_double.Hang(), kind=None, times=FOREVER)),
    "an answer that drips": ("gcs", 4, gcs(gcs_double.Drip(0.3), kind="get", times=FOREVER)),
    "permission denied": ("gcs", 2, lambda three: setattr(three.gcs, "granted", frozenset())),
    "permission to read alone": (
        "gcs", 2, lambda three: setattr(three.gcs, "granted", PERMISSIONS - {"storage.objects.create"}),
    ),
    "permission denied at the write": ("gcs", 2, gcs(gcs_double.Status(403, reason="forbidden"), times=FOREVER)),
    "no bucket": ("gcs", 2, lambda three: three.gcs._buckets.clear()),
    "not the primary": ("mongodb", 4, mongo(mongo_double.Refuse(10107), kind="insert", times=FOREVER)),
    "mongo reset": ("mongodb", 4, mongo(mongo_double.Reset(), times=FOREVER)),
    "mongo hanging": ("mongodb", 4, mongo(mongo_double.Hang(), times=FOREVER)),
    "mongo hanging writes": ("mongodb", 4, mongo(mongo_double.Hang(), kind="insert", times=FOREVER)),
    "mongo not saying hello": ("mongodb", 4, mongo(mongo_double.Hang(), kind="hello", times=FOREVER)),
    "mongo answers lost after the write was applied": (
        "mongodb", 4, mongo(mongo_double.AnswerLost(), kind="insert", times=FOREVER),
    ),
    "no space left": ("mongodb", 4, no_space),
    "quota": ("mongodb", 4, mongo(mongo_double.Refuse(12501, "", "quota exceeded"), kind="insert", times=FOREVER)),
    "a space quota of Atlas": (
        "mongodb", 4,
        mongo(mongo_double.Refuse(8000, "AtlasError", "you are over your space quota"), kind="insert", times=FOREVER),
    ),
    "mongo permission denied": (
        "mongodb", 2, mongo(mongo_double.Refuse(13, "Unauthorized"), kind="insert", times=FOREVER),
    ),
    "wrong password": ("mongodb", 2, mongo(mongo_double.Refuse(18, "AuthenticationFailed"), times=FOREVER)),
    "a document that is refused": (
        "mongodb", 2, mongo(mongo_double.RefuseDocument(121, "failed validation"), kind="insert", times=FOREVER),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("three", "writer", "code", "harm"),
    [
        pytest.param(kind, *case, id=f"{name}-{kind.value}")
        for name, case in FOR_EVER.items()
        for kind in (Kind if case[0] == "mongodb" else (Kind.REPLICA_SET,))
    ],
    indirect=["three"],
)
def test_what_goes_on_ends_in_time_by_its_exit_code_and_the_next_run_completes_all(
    three: Three, judge: Judge, writer: str, code: int, harm: Harm
) -> None:
    assert judge(end=MIDDLE).code == 0
    before = three.rows()
    kept = dict(three.gcs._buckets)
    harm(three)
    told = judge("--json", short=code == 4)
    assert told.code == code
    assert told.json["not_durable"] == [three.addresses[writer]]
    after = {**dict.fromkeys(WRITERS, before[writer]), **_rows(three)}
    whole = after["csv"]
    assert len(whole) == ROWS
    for other in WRITERS:
        if other == writer:
            # What was applied though its answer was lost is there, whole; all else is as it was.
            assert all(row in whole for row in after[other])
            assert [row for row in after[other] if row in before[other]] == before[other]
        else:
            assert after[other] == whole
    three.gcs._buckets.update(kept)
    three.gcs.granted = PERMISSIONS
    three.gcs.behave()
    three.mongo.behave()
    told = judge("--json")
    assert (told.code, told.json["not_durable"]) == (0, [])
    assert three.require_equal() == whole


def _rows(three: Three) -> Mapping[str, list[dict[str, str]]]:
    return three.rows() if three.gcs._buckets else _without_bucket(three)


def _without_bucket(three: Three) -> Mapping[str, list[dict[str, str]]]:
    three.gcs._buckets[BUCKET] = {}
    rows = three.rows()
    three.gcs._buckets.clear()
    del rows["gcs"]
    return rows


class TestRaces:
    @pytest.mark.parametrize("equal", [True, False], ids=["equal", "other content"])
    def test_rows_that_somebody_writes_first_are_found_equal_or_in_conflict(
        self, three: Three, judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, equal: bool
    ) -> None:
        """F21, F22 and F32: another run is quicker between our look and our write."""
        assert judge().code == 0
        objects = three.gcs.objects(BUCKET)
        documents = three.mongo.documents(DATABASE, COLLECTION)
        expected = three.rows()["csv"]
        with three_journals(tmp_path / "other", three.mongo.kind) as other:
            for name, value in other.settings.items():
                monkeypatch.setenv(name, value)
            theirs = objects[f"{FOLDER}dp20-QQQ.csv"]
            ours = next(each for each in documents if each["symbol"] == "QQQ")
            if not equal:
                value = next(row["sma200_daily_at_open"] for row in expected if row["symbol"] == "QQQ")
                theirs = theirs.replace(f",{value},".encode(), b",1.5,", 1)
                ours = {**ours, "sma200_daily_at_open": 1.5}
            other.gcs.misbehave(gcs_double.Rival(theirs), kind="put", name=lambda name: name == f"{FOLDER}dp20-QQQ.csv")
            other.mongo.misbehave(
                mongo_double.Rival(lambda: other.mongo.insert(DATABASE, COLLECTION, dict(ours))), kind="insert"
            )
            told = judge("--json")
            rows = other.rows()
            if equal:
                assert (told.code, rows["gcs"], rows["mongodb"]) == (0, expected, expected)
                return
            assert told.code == 5
            assert [error["type"] for error in told.json["errors"]] == ["ReviewConflict"] * 2
            assert {error["symbol"] for error in told.json["errors"]} == {"QQQ"}
            assert rows["csv"] == expected
            assert [row["sma200_daily_at_open"] for row in rows["gcs"]].count("1.5") == 1
            assert rows["mongodb"] == rows["gcs"]
            assert sum(row not in expected for row in rows["gcs"]) == 1
            assert judge("--revise").code == 0
            assert {row["revision"] for row in other.require_equal()} == {"0", "1"}

    def test_a_write_that_the_majority_did_not_confirm_is_found_by_the_next_run(
        self, three: Three, judge: Judge
    ) -> None:
        """F33."""
        assert judge(end=MIDDLE).code == 0
        kind = "commitTransaction" if three.mongo.kind is Kind.REPLICA_SET else "insert"
        three.mongo.misbehave(mongo_double.Unconfirmed(), kind=kind, times=FOREVER)
        told = judge("--json", short=True)
        assert (told.code, told.json["not_durable"]) == (4, [three.addresses["mongodb"]])
        three.mongo.behave()
        assert judge().code == 0
        assert len(three.require_equal()) == ROWS

    def test_a_majority_that_fell_behind_gets_no_row_twice(self, three: Three, judge: Judge) -> None:
        assert judge(end=MIDDLE).code == 0
        three.mongo.fall_behind()
        for _ in range(2):
            assert judge(short=True).code == 4
        three.mongo.catch_up()
        assert judge().code == 0
        assert len(three.require_equal()) == ROWS


class TestTheDisk:
    def limited(self, largest: int, market: Market, tmp_path: Path, three: Three) -> Told:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

        call = (*market.call, "--symbol", ",".join(SYMBOLS), "--start", START, "--end", END)
        done = subprocess.run(
            [*COMMAND, *call], cwd=tmp_path, env=environment_with(**three.settings), capture_output=True, text=True,
            timeout=60, check=False, preexec_fn=limit,
        )  # fmt: skip
        return Told(done.returncode, done.stdout, done.stderr)

    def test_one_that_is_full_keeps_the_others_from_nothing(
        self, three: Three, judge: Judge, market: Market, tmp_path: Path
    ) -> None:
        assert judge(end=MIDDLE).code == 0
        before = three.csv.read_bytes()
        told = self.limited(len(before) + 1000, market, tmp_path, three)
        assert (told.code, f"{three.csv} cannot be written: File too large" in told.err) == (4, True)
        assert three.csv.read_bytes() == before
        assert [path.name for path in three.folder.iterdir() if path.is_file()] == ["trades.csv"]
        rows = three.rows()
        assert len(rows["gcs"]) == ROWS
        assert rows["gcs"] == rows["mongodb"]
        assert judge().code == 0
        assert three.require_equal() == rows["gcs"]

    def test_one_that_is_read_only_is_told_of_as_configuration(
        self, three: Three, judge: Judge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert judge(end=MIDDLE).code == 0
        before = three.csv.read_bytes()

        def read_only(*_: object) -> None:
            raise PermissionError(30, "Read-only file system")

        with monkeypatch.context() as patched:
            patched.setattr("trading_playbook.stores.local._require_rights", read_only)
            told = judge("--json")
        assert (told.code, told.json["not_durable"]) == (2, [str(three.csv)])
        assert three.csv.read_bytes() == before
        assert judge().code == 0
        assert len(three.require_equal()) == ROWS


def test_a_password_that_is_refused_shows_nowhere(
    tmp_path: Path, door: Door, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "a canary/with@signs:100%"
    with (
        three_journals(tmp_path / "out") as three,
        MongoDouble(Kind.REPLICA_SET, user="trader", password=password) as guarded,
    ):
        guarded.privileges = [{"resource": {"db": "", "collection": ""}, "actions": ["find", "insert", "update"]}]
        for name, value in three.settings.items():
            monkeypatch.setenv(name, value)
        call = (*market.call, "--symbol", "QQQ", "--start", START, "--end", END, "--log-level", "debug", "-v")
        wrong = "another canary"
        monkeypatch.setenv("MONGODB_CONNECTION", guarded.connection.replace(quoted(password), quoted(wrong)))
        told = door(*call)
        assert (told.code, "MONGODB_CONNECTION" in told.err, guarded.host in told.err) == (2, True, True)
        monkeypatch.setenv("MONGODB_CONNECTION", guarded.connection)
        told_well = door(*call)
        assert told_well.code == 0
        kept = "".join(path.read_text() for path in three.folder.rglob("*") if path.is_file())
        kept += "".join(f"{name}{content!r}" for name, content in three.gcs.objects(BUCKET).items())
        for text in (told.all, told_well.all, kept, str(guarded.documents(DATABASE, "runs"))):
            for secret in (password, quoted(password), wrong, quoted(wrong)):
                assert secret not in text
        assert guarded.host in told_well.out


def quoted(text: str) -> str:
    return quote(text, safe="")


def test_nothing_is_left_running_after_servers_that_hang(three: Three, judge: Judge) -> None:
    before = threading.active_count()
    three.gcs.misbehave(gcs_double.Hang(), times=FOREVER)
    three.mongo.misbehave(mongo_double.Hang(), times=FOREVER)
    assert judge(short=True).code == 4
    ended = time.monotonic() + 10
    while threading.active_count() > before + 30 and time.monotonic() < ended:
        time.sleep(0.1)
    assert [thread.name for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name] == []
