"""trading-playbook cache, on caches that the product itself filled from Alpaca's double."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.support.alpaca_double import AlpacaServer, alpaca_market, status
from tests.support.door import Door, Told, tree
from tests.support.gcs_double import GcsDouble, Status
from tests.support.market import Market, make_market
from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.feeds.cached import files
from trading_playbook.ports import Stored
from trading_playbook.stores.local import LocalStore

CACHE = Path("data/cache")
OCTOBER, NOVEMBER = (CACHE / f"alpaca-sip/2Min/QQQ/2025-{month}.parquet" for month in ("10", "11"))
DAILY = CACHE / "alpaca-sip/1Day/QQQ.parquet"
SPY = CACHE / "alpaca-sip/2Min/SPY/2025-11.parquet"
RANGE = ("--start", "2025-10-27", "--end", "2025-11-07")
WEEK = ("--start", "2025-11-03", "--end", "2025-11-07")


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return make_market(tmp_path / "bars", ("QQQ", "SPY"), "2025-10-20", "2025-11-14")


@pytest.fixture
def alpaca(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
    with AlpacaServer(alpaca_market(market)) as server:
        for name, value in {**server.settings, "RETRY_BUDGET_SECONDS": "1"}.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def filled(alpaca: AlpacaServer, door: Door) -> AlpacaServer:
    """Nine sessions of two symbols in the cache, and the one before them; no call counted yet."""
    told = door("--symbol", "QQQ,SPY", *RANGE)
    assert told.code == 0, told.all
    alpaca.forget()
    return alpaca


@pytest.fixture
def cache(capsys: pytest.CaptureFixture[str]) -> Door:
    return Door(capsys, "cache")


@pytest.fixture
def no_keys(filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache alone, without keys or network."""
    for name in filled.settings:
        monkeypatch.delenv(name)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def require_narrow(told: Told) -> None:
    """Fail where a line does not fit a terminal of 80 columns."""
    assert [line for line in told.out.splitlines() if len(line) > 80] == []


@pytest.mark.usefixtures("no_keys")
class TestShow:
    def test_it_is_a_line_a_symbol_and_timeframe(self, cache: Door) -> None:
        told = cache("show")
        assert (told.code, told.err) == (0, "")
        require_narrow(told)
        bars = next(line for line in told.out.splitlines() if "2Min   QQQ" in line)
        assert bars.split()[3:7] == ["2025-10", "2025-11", "11", "2,145"]
        assert "2 symbols, 6 files" in told.out
        assert "-" in bars.split()[-2:]

    def test_it_tells_of_symbols_that_are_named(self, cache: Door) -> None:
        told = cache("show", "--symbol", "spy", "-v")
        assert "QQQ" not in told.out
        assert "alpaca-sip/2Min/SPY/2025-11.parquet  5 sessions, 975 bars" in told.out
        assert cache("show", "--symbol", "IWM").out == f"The cache at {CACHE} holds nothing of IWM.\n"

    def test_gaps_are_told(
        self, cache: Door, door: Door, filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in filled.settings.items():
            monkeypatch.setenv(name, value)
        assert door("--symbol", "QQQ", "--start", "2025-11-13", "--end", "2025-11-14").code == 0
        told = cache("show", "-v", "--symbol", "QQQ")
        assert "lacks: 2025-11-10, 2025-11-11" in told.out
        assert told.code == 0

    def test_json_is_whole(self, cache: Door) -> None:
        found = cache("show", "--json").json
        assert [file["key"] for file in found["files"]] == sorted(
            str(path.relative_to(CACHE)) for path in CACHE.rglob("*.parquet")
        )
        assert found["totals"]["size"] == sum(path.stat().st_size for path in CACHE.rglob("*.parquet"))
        assert found["totals"]["files"] == 6
        assert {own["symbol"] for own in found["holdings"]} == {"QQQ", "SPY"}
        first = next(own for own in found["files"] if own["month"] == "2025-11")
        assert (first["first"], first["last"], first["damage"]) == ("2025-11-03", "2025-11-07", None)

    def test_nothing_is_changed(self, cache: Door) -> None:
        flip(NOVEMBER)
        before = tree(Path())
        assert cache("show").code == 0
        assert cache("verify").code == 3
        assert cache("prune", "--symbol", "QQQ", "--dry-run").code == 0
        assert tree(Path()) == before

    def test_damage_is_told(self, cache: Door) -> None:
        flip(NOVEMBER)
        told = cache("show")
        assert told.code == 0
        assert "Damaged\n  alpaca-sip/2Min/QQQ/2025-11.parquet: it is damaged" in told.out

    def test_another_place_is_named(self, cache: Door, tmp_path: Path) -> None:
        shutil.copytree(CACHE, tmp_path / "other")
        told = cache("show", "--cache-dir", tmp_path / "other", "--json")
        assert told.json["place"] == str(tmp_path / "other")
        assert told.json["totals"]["files"] == 6
        for place in ("s3://bucket/cache", "gs://UPPER/cache"):
            told = cache("show", "--cache-dir", place)
            assert told.code == 2
            assert "expected a path, or gs://BUCKET/FOLDER" in told.err

    def test_names_that_move_a_cursor_are_escaped(self, cache: Door) -> None:
        (CACHE / "a\x1b[2Jb").write_text("mine")
        assert "\x1b" not in cache("show").out


class TestNothingThere:
    @pytest.mark.parametrize("verb", [["show"], ["verify"], ["prune", "--damaged"], ["prune", "--symbol", "QQQ"]])
    def test_an_absent_cache_is_told_plainly(self, cache: Door, verb: list[str]) -> None:
        told = cache(*verb)
        assert told.code == 0
        assert str(CACHE) in told.out
        assert cache(*verb, "--json").json["place"] == str(CACHE)
        assert not Path("data").exists()

    def test_what_lies_there_and_is_none_of_it_is_named(self, cache: Door) -> None:
        CACHE.mkdir(parents=True)
        (CACHE / "notes.txt").write_text("mine")
        told = cache("verify")
        assert told.code == 0
        assert "holds nothing" in told.out
        assert "1 file (notes.txt)" in told.out

    def test_a_place_that_is_a_file_is_a_wrong_setting(self, cache: Door) -> None:
        Path("file").write_text("mine")
        assert cache("show", "--cache-dir", "file").code == 2


@pytest.mark.usefixtures("no_keys")
class TestVerify:
    def test_a_sound_cache_ends_with_0(self, cache: Door) -> None:
        told = cache("verify")
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith("6 files read, ")
        assert "all sound" in told.out
        assert cache("verify", "--json").json["outcome"] == "done"

    def test_each_kind_of_damage_is_told_with_what_to_do(
        self, cache: Door, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = NOVEMBER.parent
        kinds = ("cut", "flipped", "empty", "text", "foreign", "another symbol", "newer", "another month")
        copies = {name: folder / f"2024-{month:02}.parquet" for month, name in enumerate(kinds, start=1)}
        for path in copies.values():
            shutil.copy(NOVEMBER, path)
        copies["cut"].write_bytes(NOVEMBER.read_bytes()[:1000])
        flip(copies["flipped"])
        copies["empty"].write_bytes(b"")
        copies["text"].write_text("timestamp,open\n")
        shutil.copy(market.root / "2Min" / "QQQ.parquet", copies["foreign"])
        shutil.copy(SPY, copies["another symbol"])
        with monkeypatch.context() as later:
            later.setattr(files, "SCHEMA", files.SCHEMA + 1)
            month = files.decode_month(NOVEMBER.read_bytes(), "alpaca-sip", "QQQ")
            copies["newer"].write_bytes(files.encode_month(month, "alpaca-sip"))
        (folder / "notes.txt").write_text("mine")

        told = cache("verify")
        assert told.code == 3
        assert "14 files read" in told.out
        assert "8 damaged" in told.out
        assert "Not of the cache, left alone: 1 file (alpaca-sip/2Min/QQQ/notes.txt)." in told.out
        found = cache("verify", "--json")
        assert found.code == 3
        assert (found.json["outcome"], found.json["read"]) == ("data", 14)
        reasons = {own["address"]: own["damage"] for own in found.json["damaged"]}
        assert set(reasons) == {str(path) for path in copies.values()}
        assert reasons[str(copies["foreign"])] == "it was not written by this program"
        assert "another symbol" in reasons[str(copies["another symbol"])]
        assert "newer version" in reasons[str(copies["newer"])]
        assert reasons[str(copies["another month"])] == "it is named 2024-08 and holds 2025-11-03"
        assert all(own["remedy"] for own in found.json["damaged"])
        assert [own["unsound"] for own in found.json["damaged"]] == [False] * 7 + [True]

    def test_once_a_run_has_mended_it_all_is_sound_again(
        self, cache: Door, door: Door, filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flip(NOVEMBER)
        assert cache("verify").code == 3
        for name, value in filled.settings.items():
            monkeypatch.setenv(name, value)
        assert door("--symbol", "QQQ", *RANGE).code == 0
        told = cache("verify")
        assert told.code == 0
        assert "Put aside as damaged: 1 file" in told.out
        assert len(cache("verify", "--json").json["aside"]) == 1

    @pytest.mark.parametrize("verb", ["show", "verify"])
    def test_a_file_that_may_not_be_read_is_a_wrong_setting_and_the_others_are_told(
        self, cache: Door, monkeypatch: pytest.MonkeyPatch, verb: str
    ) -> None:
        get = LocalStore.get

        def refusing(self: LocalStore, key: str) -> Stored | None:
            if "QQQ/2025-10" in key:
                raise FixConfig(f"{key} cannot be read")
            return get(self, key)

        monkeypatch.setattr(LocalStore, "get", refusing)
        flip(NOVEMBER)
        told = cache(verb)
        assert told.code == 2
        assert told.err == "error: alpaca-sip/2Min/QQQ/2025-10.parquet cannot be read\n"
        assert "it is damaged" in told.out
        found = cache(verb, "--json").json
        assert [error["type"] for error in found["errors"]] == ["FixConfig"]


class TestRefresh:
    def test_what_changed_is_told_by_symbol_and_kept(
        self, cache: Door, door: Door, filled: AlpacaServer, market: Market
    ) -> None:
        market.set("2025-10-31", "10:00", volume=1.0)
        market.set("2025-11-04", "10:02", high=530.0)
        market.set("2025-11-04", "11:02", high=530.0)
        market.closes["QQQ"][date(2025, 11, 5)] += 0.5
        told = cache("refresh", "--symbol", "QQQ,SPY", *WEEK)
        assert (told.code, told.err) == (0, "")
        require_narrow(told)
        assert "5 sessions asked for again" in told.out
        # The session before the first is part of it; two months are one line.
        assert "QQQ: 3 bars, the first 2025-10-31T14:00Z, by up to" in told.out
        assert "QQQ: 1 daily close, the first 2025-11-05, by up to" in told.out
        assert "SPY:" not in told.out
        filled.forget()
        assert door("--symbol", "QQQ,SPY", *RANGE, "--output", "fresh/").code == 0
        assert filled.calls() == 0
        assert cache("verify").code == 0

    def test_that_nothing_changed_is_told(self, cache: Door, filled: AlpacaServer) -> None:
        before = {path: path.read_bytes() for path in CACHE.rglob("2025-*.parquet")}
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 0
        assert "No bar and no daily close that the cache held has changed." in told.out
        assert filled.calls("bars") >= 1
        assert {path: path.read_bytes() for path in before} == before

    def test_json_holds_the_facts(self, cache: Door, filled: AlpacaServer, market: Market) -> None:
        own = float(market.bars["QQQ"].high[market.at("2025-11-04", "10:02")])
        market.set("2025-11-04", "10:02", high=own * 1.5)
        found = cache("refresh", "--symbol", "QQQ", *WEEK, "--json").json
        assert found["outcome"] == "done"
        assert found["changed"] == [
            {"symbol": "QQQ", "what": "bar", "number": 1, "first": "2025-11-04T15:02Z", "largest": pytest.approx(0.5)}
        ]
        assert found["sessions"] == ["2025-11-03", "2025-11-04", "2025-11-05", "2025-11-06", "2025-11-07"]
        assert (found["warnings"], found["errors"], found["api_calls"]) == ([], [], filled.calls())

    def test_the_last_close_is_asked_for_once_it_is_final(
        self, cache: Door, filled: AlpacaServer, market: Market
    ) -> None:
        market.closes["QQQ"][date(2025, 11, 7)] += 0.5
        assert "1 daily close" not in cache("refresh", "--symbol", "QQQ", *WEEK, "--now", "2025-11-07T18:00-05:00").out
        assert cache("refresh", "--symbol", "QQQ", *WEEK, "--now", "2025-11-10T12:00-05:00").code == 0
        (own,) = (own for own in cache("show", "--json", "--symbol", "QQQ").json["files"] if own["month"] is None)
        assert own["last"] == "2025-11-07"
        assert filled.calls("daily") >= 2

    def test_a_journal_is_never_touched(self, cache: Door, filled: AlpacaServer, market: Market) -> None:
        before = tree(Path("output"))
        market.set("2025-11-04", "10:02", high=530.0)
        assert cache("refresh", "--symbol", "QQQ", *WEEK).code == 0
        assert tree(Path("output")) == before

    def test_what_was_never_held_is_fetched(self, cache: Door, alpaca: AlpacaServer) -> None:
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 0
        assert alpaca.calls("bars") >= 1
        assert cache("show", "--json").json["totals"]["files"] == 3
        assert not Path("output").exists()

    def test_symbols_are_those_of_the_settings_where_none_is_named(
        self, cache: Door, filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SYMBOLS", "SPY")
        assert cache("refresh", *WEEK).out.startswith("SPY  2025-11-03 to 2025-11-07")
        assert all(request.symbols in ([], ["SPY"]) for request in filled.asked())

    def test_a_session_that_has_not_settled_is_left_and_the_others_are_done(
        self, cache: Door, filled: AlpacaServer
    ) -> None:
        told = cache("refresh", "--symbol", "QQQ", *WEEK, "--now", "2025-11-07T16:05-05:00", "--json")
        assert told.code == 4
        assert told.json["outcome"] == "too_early"
        assert told.json["sessions"][-1] == "2025-11-06"
        assert "come back" in told.err

    def test_without_keys_it_is_a_wrong_setting(
        self, cache: Door, filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
            monkeypatch.delenv(name)
        before = tree(CACHE)
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 2
        assert "ALPACA_API_KEY" in told.err
        assert "changed" not in told.out
        assert cache("refresh", "--symbol", "QQQ", *WEEK, "--json").json["outcome"] == "config"
        assert tree(CACHE) == before

    def test_trouble_upstream_is_for_later_and_harms_nothing(self, cache: Door, filled: AlpacaServer) -> None:
        filled.misbehave(status(503), times=None)
        before = tree(CACHE)
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 4
        assert "changed" not in told.out
        assert tree(CACHE) == before

    def test_an_unknown_symbol_is_a_wrong_request_and_harms_no_other(
        self, cache: Door, filled: AlpacaServer, market: Market
    ) -> None:
        market.set("2025-11-04", "10:02", high=530.0)
        told = cache("refresh", "--symbol", "QQQ,NONE", *WEEK)
        assert told.code == 2
        assert "NONE" in told.err
        assert "QQQ: 1 bar, " in told.out
        assert filled.calls("assets") >= 1

    @pytest.mark.parametrize(
        "call",
        [(), ("--start", "2025-11-03"), ("--start", "2025-11-07", "--end", "2025-11-03"),
         ("--start", "2025-11-08", "--end", "2025-11-09"), ("--start", "2025-11-03", "--end", "2027-11-03"),
         ("--start", "yesterday", "--end", "2025-11-09"), (*WEEK, "--symbol", "../QQQ")],
    )  # fmt: skip
    def test_a_wrong_request_is_refused(self, cache: Door, filled: AlpacaServer, call: tuple[str, ...]) -> None:
        told = cache("refresh", *call)
        assert told.code == 2
        assert "error" in told.err
        assert filled.calls() == 0

    def test_a_feed_without_a_cache_is_a_wrong_request(self, cache: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATA_FEED", "simulated")
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 2
        assert "no cache" in told.err

    def test_a_cache_that_cannot_be_written_is_told_before_anything_is_asked(
        self, cache: Door, alpaca: AlpacaServer
    ) -> None:
        Path("data").write_text("mine")
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 2
        assert alpaca.calls() == 0

    def test_a_cache_that_fills_up_meanwhile_is_an_error(
        self, cache: Door, filled: AlpacaServer, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(self: LocalStore, key: str, content: bytes, *, expected: str | None) -> str:
            raise RetryLater("no space left on device")

        monkeypatch.setattr(LocalStore, "put", full)
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 4
        assert "no space left" in told.err
        assert filled.calls("bars") >= 1

    def test_damage_is_put_aside_and_fetched_again(self, cache: Door, filled: AlpacaServer) -> None:
        flip(NOVEMBER)
        told = cache("refresh", "--symbol", "QQQ", *WEEK)
        assert told.code == 0
        assert "is kept as 2025-11.parquet.damaged-" in told.out
        assert filled.calls("bars") >= 1
        assert cache("verify").code == 0


@pytest.mark.usefixtures("no_keys")
class TestPrune:
    def test_something_must_be_named(self, cache: Door) -> None:
        before = tree(CACHE)
        for call in ((), ("--dry-run",), ("--json",)):
            told = cache("prune", *call)
            assert told.code == 2
            assert "--damaged, --symbol, --before" in told.err
        assert tree(CACHE) == before

    def test_a_symbol_goes_whole_and_no_other(self, cache: Door) -> None:
        (CACHE / "notes.txt").write_text("mine")
        told = cache("prune", "--symbol", "qqq")
        assert told.code == 0
        assert told.out.startswith("Removed 3 files, ")
        assert {path.name for path in CACHE.rglob("*") if path.is_file()} == {
            "notes.txt", "SPY.parquet", "2025-10.parquet", "2025-11.parquet",
        }  # fmt: skip
        assert cache("prune", "--symbol", "qqq").out == f"Nothing to remove: the cache at {CACHE} holds no such file.\n"

    @pytest.mark.parametrize("before", ["2025-11", "2025-11-01", "2025-11-15"])
    def test_months_wholly_before_one_go_and_closes_stay(self, cache: Door, before: str) -> None:
        found = cache("prune", "--before", before, "--json")
        assert found.code == 0
        keys = [f"alpaca-sip/2Min/{symbol}/2025-10.parquet" for symbol in ("QQQ", "SPY")]
        assert [own["key"] for own in found.json["removed"]] == keys
        assert not any((CACHE / key).exists() for key in keys)
        assert DAILY.exists()
        assert NOVEMBER.exists()

    @pytest.mark.parametrize("before", ["2025", "2025-13", "2025-11-31", "November", "2025-11-01T00:00"])
    def test_a_month_that_is_none_is_refused(self, cache: Door, before: str) -> None:
        told = cache("prune", "--before", before)
        assert told.code == 2
        assert "expected YYYY-MM" in told.err

    def test_a_dry_run_tells_the_bytes_and_touches_nothing(self, cache: Door) -> None:
        before = tree(CACHE)
        told = cache("prune", "--symbol", "QQQ", "--before", "2025-11", "--dry-run", "--json")
        assert (told.code, told.json["dry_run"]) == (0, True)
        assert told.json["size"] == OCTOBER.stat().st_size
        assert "Would remove 1 file" in cache("prune", "--symbol", "QQQ", "--before", "2025-11", "--dry-run").out
        assert tree(CACHE) == before

    def test_what_was_put_aside_goes_and_what_is_in_use_stays(self, cache: Door) -> None:
        aside = Path(f"{NOVEMBER}.damaged-1a2b3c4d")
        aside.write_bytes(b"old")
        before = set(CACHE.rglob("*.parquet"))
        flip(OCTOBER)  # damaged, and not put aside yet
        told = cache("prune", "--damaged")
        assert told.code == 0
        assert "Removed 1 file, 3 B" in told.out
        assert not aside.exists()
        assert set(CACHE.rglob("*.parquet")) == before

    def test_what_changes_meanwhile_stays_and_is_told(self, cache: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        delete = LocalStore.delete

        def raced(self: LocalStore, key: str, *, expected: str) -> None:
            if "2025-11" in key:
                NOVEMBER.write_bytes(b"another's")
            delete(self, key, expected=expected)

        monkeypatch.setattr(LocalStore, "delete", raced)
        told = cache("prune", "--symbol", "QQQ")
        assert told.code == 0
        assert "Removed 2 files" in told.out
        assert "Left, changed by another process\n  alpaca-sip/2Min/QQQ/2025-11.parquet" in told.out
        assert NOVEMBER.read_bytes() == b"another's"

    def test_what_cannot_go_is_an_error(self, cache: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(self: LocalStore, key: str, *, expected: str) -> None:
            raise FixConfig(f"{key} is not yours")

        monkeypatch.setattr(LocalStore, "delete", refused)
        told = cache("prune", "--symbol", "QQQ", "--json")
        assert told.code == 2
        assert (told.json["outcome"], told.json["removed"], len(told.json["errors"])) == ("config", [], 3)
        assert "is not yours" in told.err

    def test_what_went_is_fetched_again(
        self, cache: Door, door: Door, filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = NOVEMBER.read_bytes()
        assert cache("prune", "--symbol", "QQQ").code == 0
        for name, value in filled.settings.items():
            monkeypatch.setenv(name, value)
        assert door("--symbol", "QQQ", *RANGE).code == 0
        assert NOVEMBER.read_bytes() == before


class TestInABucket:
    @pytest.fixture
    def bucket(self, filled: AlpacaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsDouble]:
        """The cache of the disk, copied to where DATA_CACHE_DIR now points."""
        with GcsDouble(["playbook"]) as gcs:
            gcs.take_the_place_of_google(monkeypatch)
            for path in CACHE.rglob("*.parquet"):
                gcs.write("playbook", f"data/cache/{path.relative_to(CACHE)}", path.read_bytes())
            gcs.write("playbook", "data/journal.csv", b"mine")
            monkeypatch.setenv("DATA_CACHE_DIR", "gs://playbook/data/cache")
            yield gcs

    def test_it_is_shown_verified_refreshed_and_pruned_like_a_folder(
        self, cache: Door, bucket: GcsDouble, market: Market
    ) -> None:
        assert cache("show", "--json").json["files"] == [
            {**own, "address": f"gs://playbook/data/cache/{own['key']}", "generation": generation}
            for own, generation in (
                (own, str(bucket.held("playbook", f"data/cache/{own['key']}").generation))
                for own in cache("show", "--json", "--cache-dir", CACHE).json["files"]
            )
        ]
        market.set("2025-11-04", "10:02", high=530.0)
        assert "QQQ: 1 bar, " in cache("refresh", "--symbol", "QQQ", *WEEK).out
        assert cache("verify").code == 0
        bucket.write("playbook", "data/cache/alpaca-sip/1Day/SPY.parquet", b"no parquet")
        told = cache("verify")
        assert told.code == 3
        assert "gs://playbook/data/cache/alpaca-sip/1Day/SPY.parquet" in told.out
        assert cache("prune", "--symbol", "SPY").code == 0
        assert not [name for name in bucket.objects("playbook") if "SPY" in name]
        assert bucket.objects("playbook")["data/journal.csv"] == b"mine"

    def test_a_bucket_that_does_not_answer_is_for_later(self, cache: Door, bucket: GcsDouble) -> None:
        bucket.misbehave(Status(503), times=float("inf"))
        for call in (["show"], ["verify"], ["prune", "--symbol", "QQQ"], ["refresh", "--symbol", "QQQ", *WEEK]):
            told = cache(*call)
            assert told.code == 4, told.all
            assert "503" in told.err


class TestTheCommandItself:
    @pytest.mark.parametrize("call", [[], ["show"], ["verify"], ["refresh"], ["prune"]], ids=" ".join)
    def test_it_has_help(self, cache: Door, call: list[str]) -> None:
        told = cache(*call, "--help")
        assert told.code == 0
        assert "trading-playbook cache" in told.out

    @pytest.mark.parametrize("call", [[], ["clear"], ["show", "--now", "2025-11-03"]], ids=" ".join)
    def test_what_is_no_command_is_refused(self, cache: Door, call: list[str]) -> None:
        assert cache(*call).code == 2
