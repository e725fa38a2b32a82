"""Runs from the command line through the cache, against Alpaca's double: what is called, what is kept, and the rows."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.alpaca_double import AlpacaServer, alpaca_market, status
from tests.support.door import COMMAND, Door, environment_with, newest_manifest, process, rows_of
from tests.support.market import Market, make_market
from trading_playbook.core.bars import PRICES
from trading_playbook.core.daily import Split
from trading_playbook.feeds.cached.files import decode_month
from trading_playbook.stores import local

CACHE = Path("data/cache")
BARS = CACHE / "alpaca-sip/2Min/QQQ"
DAILY = CACHE / "alpaca-sip/1Day/QQQ.parquet"
RANGE = ("--start", "2025-10-27", "--end", "2025-11-12")
SESSIONS = 13


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return make_market(tmp_path / "bars", ("QQQ", "SPY"), "2025-10-20", "2025-11-14")


@pytest.fixture
def alpaca(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
    with AlpacaServer(alpaca_market(market)) as server:
        for name, value in {**server.settings, "RETRY_BUDGET_SECONDS": "2"}.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[Path]:
    """A new place for a journal each time."""
    return (tmp_path / "out" / str(number) / "trades.csv" for number in range(99))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Take keys and network away."""

    def cut() -> None:
        for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ALPACA_DATA_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("ALPACA_TRADING_URL", "http://127.0.0.1:9")

    return cut


def rows(journal: Path) -> list[dict[str, str]]:
    """The rows but for the name of the feed, which is another one where the bars are the same."""
    return [{name: text for name, text in row.items() if name != "data_feed"} for row in rows_of(journal)]


def cache_files(folder: Path = CACHE) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def days_asked(server: AlpacaServer, kind: str = "bars") -> list[tuple[str, str]]:
    """First and last New York date of each question."""
    return [(request.params["start"][:10], request.params["end"][:10]) for request in server.asked(kind)]


class TestAYear:
    def test_the_first_run_calls_a_little_the_second_not_at_all_and_both_have_the_rows_of_the_files(
        self, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Any
    ) -> None:
        market = make_market(tmp_path / "year", start="2024-10-31", end="2025-10-31")
        year = ("--symbol", "QQQ", "--start", "2024-11-01", "--end", "2025-10-31")
        cold, warm, files = (tmp_path / name / "trades.csv" for name in ("cold", "warm", "files"))
        with AlpacaServer(alpaca_market(market)) as server:
            for name, value in server.settings.items():
                monkeypatch.setenv(name, value)
            began = time.monotonic()
            assert door(*year, "--output", cold).code == 0
            seconds = time.monotonic() - began
            calls = {kind: server.calls(kind) for kind in ("bars", "daily", "splits", "assets", "calendar")}
            print(f"a year of one symbol: {calls}, {seconds:.1f} s")
            # A question a month, and one more for the session before the first.
            assert calls["bars"] <= 2 * 13
            assert (calls["daily"], calls["splits"], calls["assets"], calls["calendar"]) == (1, 1, 0, 0)
        offline()
        assert door(*year, "--output", warm).code == 0
        assert newest_manifest(warm.parent)["warnings"] == []
        assert newest_manifest(warm.parent)["api_calls"] == 0
        assert newest_manifest(warm.parent)["cache_hits"] >= 250
        assert warm.read_bytes() == cold.read_bytes()
        assert door(*market.call, *year, "--output", files).code == 0
        assert len(rows(warm)) == 250
        assert rows(warm) == rows(files)


class TestGaps:
    def test_one_day_more_asks_for_that_day_alone(
        self, door: Door, alpaca: AlpacaServer, journals: Iterator[Path]
    ) -> None:
        assert door("--symbol", "QQQ", *RANGE, "--output", next(journals)).code == 0
        alpaca.forget()
        more = ("--start", "2025-10-27", "--end", "2025-11-13")
        assert door("--symbol", "QQQ", *more, "--output", next(journals)).code == 0
        assert days_asked(alpaca) == [("2025-11-13", "2025-11-13")]
        assert [first for first, _ in days_asked(alpaca, "daily")] == ["2025-11-12"]
        assert alpaca.calls() == 2

    def test_a_hole_asks_for_that_hole_alone(self, door: Door, alpaca: AlpacaServer, journals: Iterator[Path]) -> None:
        for part in (("2025-10-27", "2025-10-31"), ("2025-11-10", "2025-11-12")):
            assert door("--symbol", "QQQ", "--start", part[0], "--end", part[1], "--output", next(journals)).code == 0
        alpaca.forget()
        assert door("--symbol", "QQQ", *RANGE, "--output", next(journals)).code == 0
        assert days_asked(alpaca) == [("2025-11-03", "2025-11-06")]
        assert alpaca.calls() == 1

    def test_overlapping_ranges_give_the_files_of_one_big_range(
        self, door: Door, alpaca: AlpacaServer, journals: Iterator[Path]
    ) -> None:
        assert door("--symbol", "QQQ,SPY", *RANGE, "--output", next(journals)).code == 0
        whole = cache_files()
        shutil.rmtree(CACHE)
        ranges = [("2025-11-05", "2025-11-12"), ("2025-10-27", "2025-10-31"), ("2025-10-29", "2025-11-06")]
        for start, end in ranges:
            symbols = random.Random(start).choice(["QQQ,SPY", "SPY,QQQ"])
            assert door("--symbol", symbols, "--start", start, "--end", end, "--output", next(journals)).code == 0
        assert cache_files() == whole


@pytest.mark.usefixtures("alpaca")
class TestDamage:
    @pytest.mark.parametrize("what", ["cut", "empty", "text", "another symbol"])
    @pytest.mark.parametrize("place", ["bars", "daily"])
    def test_a_damaged_file_is_fetched_again_and_replaced_whole(
        self, door: Door, journals: Iterator[Path], what: str, place: str
    ) -> None:
        call = ("--symbol", "QQQ,SPY", *RANGE)
        first, second, third = (next(journals) for _ in range(3))
        assert door(*call, "--output", first).code == 0
        path = BARS / "2025-11.parquet" if place == "bars" else DAILY
        whole = cache_files()
        path.write_bytes(
            {
                "cut": path.read_bytes()[:-100],
                "empty": b"",
                "text": b"date,close\n",
                "another symbol": Path(str(path).replace("QQQ", "SPY")).read_bytes(),
            }[what]
        )
        told = door(*call, "--output", second)
        assert told.code == 0
        assert f"{path} is not used, " in told.out
        assert second.read_bytes() == first.read_bytes()
        left = cache_files()
        assert {name: left[name] for name in whole} == whole
        assert len(left) == len(whole) + 1
        assert "is not used" not in door(*call, "--output", third).out


@pytest.mark.usefixtures("alpaca")
class TestPlacesThatDoNotWork:
    CALL = ("--symbol", "QQQ", *RANGE)

    @pytest.fixture
    def right(self, door: Door, market: Market, journals: Iterator[Path]) -> list[dict[str, str]]:
        journal = next(journals)
        assert door(*market.call, *self.CALL, "--output", journal).code == 0
        return rows(journal)

    @pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO])
    @pytest.mark.parametrize("act", ["write", "read"])
    def test_the_run_still_gives_its_journal_with_a_warning(
        self,
        door: Door,
        journals: Iterator[Path],
        monkeypatch: pytest.MonkeyPatch,
        right: list[dict[str, str]],
        number: int,
        act: str,
    ) -> None:
        name = {"write": "_write", "read": "_content"}[act]
        real: Any = getattr(local, name)

        def failing(path: Path, *arguments: object) -> object:
            if path.is_relative_to(CACHE):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *arguments)

        monkeypatch.setattr(local, name, failing)
        if act == "write":
            monkeypatch.setattr(local, "_target", lambda path: path)
        journal = next(journals)
        told = door(*self.CALL, "--output", journal)
        assert told.code == 0, told.all
        assert rows(journal) == right
        (warning,) = newest_manifest(journal.parent)["warnings"]
        assert os.strerror(number) in warning
        assert warning in told.out
        assert [path for path in CACHE.rglob("*") if path.is_file()] == []

    def test_a_file_in_the_place_of_the_cache(
        self, door: Door, journals: Iterator[Path], right: list[dict[str, str]]
    ) -> None:
        CACHE.parent.mkdir(parents=True)
        CACHE.write_text("a file")
        journal = next(journals)
        told = door(*self.CALL, "--output", journal)
        assert told.code == 0
        assert "the cache was left out, it cannot be read" in told.out
        assert rows(journal) == right


class TestSplits:
    """F20: warm and cold give the same rows, and those of the feed of files."""

    @pytest.mark.parametrize(
        "splits",
        [
            [("2025-11-05", 1, 4)],
            [("2025-10-27", 1, 4)],
            [("2025-11-12", 1, 4)],
            [("2025-11-13", 1, 4)],
            [("2025-11-05", 10, 1)],
            [("2025-06-03", 1, 2), ("2025-11-05", 3, 2)],
            [("2024-01-03", 1, 2)],
        ],
        ids=["between", "on the first day", "on the last", "after", "reverse", "two in a window", "long before"],
    )
    def test_warm_cold_and_files(
        self,
        door: Door,
        market: Market,
        alpaca: AlpacaServer,
        journals: Iterator[Path],
        offline: Any,
        splits: list[tuple[str, float, float]],
    ) -> None:
        market.splits["QQQ"] = [Split(date.fromisoformat(day), old, new) for day, old, new in splits]
        market.save()
        alpaca.market.splits = market.splits
        cold, warm, files, early, whole = (next(journals) for _ in range(5))
        call = ("--symbol", "QQQ", *RANGE)
        assert door(*call, "--output", cold).code == 0
        shutil.rmtree(CACHE)
        # Years were cached before it.
        assert door("--symbol", "QQQ", "--start", "2025-10-27", "--end", "2025-11-04", "--output", early).code == 0
        assert door(*call, "--output", whole).code == 0
        offline()
        assert door(*call, "--output", warm).code == 0
        assert warm.read_bytes() == whole.read_bytes() == cold.read_bytes()
        assert door(*market.call, *call, "--output", files).code == 0
        assert rows(warm) == rows(files)
        assert len(rows(warm)) == SESSIONS


class TestRefresh:
    def test_a_corrected_bar_is_reported_and_the_journal_changes_only_when_revised(
        self, door: Door, market: Market, alpaca: AlpacaServer, journals: Iterator[Path]
    ) -> None:
        """F11."""
        call = ("--symbol", "QQQ", *RANGE, "--output", next(journals))
        journal = Path(call[-1])
        assert door(*call).code == 0
        before = journal.read_bytes()
        day = next(row["trade_date"] for row in rows_of(journal) if row["reason"] == "entered")
        bars, places = market.bars["QQQ"], market.of_day(day)
        columns: Any = {name: getattr(bars, name).copy() for name in PRICES}
        for column in columns.values():
            column[places] *= 1.01
        market.bars["QQQ"] = replace(bars, **columns)
        alpaca.forget()
        assert door(*call).code == 0
        assert (alpaca.calls(), journal.read_bytes()) == (0, before)
        told = door(*call, "--force-refresh")
        assert f"QQQ: {len(places)} bars changed, came or went at the feed, the first {day}T" in told.out
        assert "the largest change of a value 0.01 of it" in told.out
        assert (told.code, journal.read_bytes()) == (5, before)
        # The cache has the new ones now, and says no more of it.
        told = door(*call, "--revise")
        assert told.code == 0
        assert "came or went" not in told.out
        assert {row["trade_date"]: row["revision"] for row in rows_of(journal)}[day] == "1"
        alpaca.forget()
        again = next(journals)
        assert door("--symbol", "QQQ", *RANGE, "--output", again).code == 0
        assert alpaca.calls() == 0

    def test_it_asks_again_for_what_a_run_needs_once(
        self, door: Door, alpaca: AlpacaServer, journals: Iterator[Path]
    ) -> None:
        assert door("--symbol", "QQQ", *RANGE, "--output", next(journals)).code == 0
        calls, files = alpaca.calls(), cache_files()
        alpaca.forget()
        journal = next(journals)
        assert door("--symbol", "QQQ", *RANGE, "--output", journal, "--force-refresh").code == 0
        assert newest_manifest(journal.parent)["warnings"] == []
        assert alpaca.calls() == calls
        assert cache_files() == files


class TestProcesses:
    CALL = ("--symbol", "QQQ,SPY", *RANGE, "--output")

    @pytest.fixture
    def settings(self, alpaca: AlpacaServer, tmp_path: Path) -> dict[str, str]:
        return {**alpaca.settings, "RETRY_BUDGET_SECONDS": "20", "DATA_CACHE_DIR": str(tmp_path / "cache")}

    def start(self, journal: Path, settings: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *self.CALL, str(journal)],
            env=environment_with(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def test_two_that_fill_the_same_months_at_once_both_finish_and_lose_no_bar(
        self, tmp_path: Path, settings: dict[str, str], alpaca: AlpacaServer
    ) -> None:
        running = [self.start(tmp_path / f"{number}" / "trades.csv", settings) for number in range(2)]
        for each in running:
            out, err = each.communicate(timeout=60)
            assert (each.returncode, err) == (0, ""), out
        assert (tmp_path / "0" / "trades.csv").read_bytes() == (tmp_path / "1" / "trades.csv").read_bytes()
        month = (tmp_path / "cache/alpaca-sip/2Min/SPY/2025-11.parquet").read_bytes()
        assert len(decode_month(month, "alpaca-sip", "SPY").bars.opened) == 8 * 195
        alpaca.forget()
        assert process(*self.CALL, tmp_path / "2.csv", cwd=tmp_path, **settings).code == 0
        assert alpaca.calls() == 0

    @pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.soak)])
    def test_one_that_was_killed_leaves_nothing_that_a_later_run_trusts_wrongly(
        self, tmp_path: Path, settings: dict[str, str], kills: int
    ) -> None:
        right = tmp_path / "right.csv"
        began = time.monotonic()
        assert process(*self.CALL, right, cwd=tmp_path, **settings).code == 0
        lasted = time.monotonic() - began
        whole = cache_files(tmp_path / "cache")
        luck = np.random.default_rng(kills)
        for number in range(kills):
            own = {**settings, "DATA_CACHE_DIR": str(tmp_path / f"cache {number}")}
            journal = tmp_path / str(number) / "trades.csv"
            with self.start(journal, own) as running:
                time.sleep(luck.uniform(0.4, 1.0) * lasted)
                running.kill()
            told = process(*self.CALL, journal, cwd=tmp_path, **own)
            assert (told.code, told.err) == (0, "")
            assert journal.read_bytes() == right.read_bytes()
            assert cache_files(Path(own["DATA_CACHE_DIR"])) == whole


class TestTroubleAtTheFeed:
    def test_what_came_before_it_is_kept_and_not_asked_for_again(
        self, door: Door, alpaca: AlpacaServer, journals: Iterator[Path]
    ) -> None:
        journal = next(journals)
        # The first month comes, the second does not.
        alpaca.misbehave(lambda request, answer: answer(request), kind="bars")
        alpaca.misbehave(status(503), kind="bars", times=50)
        told = door("--symbol", "QQQ", *RANGE, "--output", journal)
        assert told.code == 4
        assert not journal.exists()
        assert sorted(cache_files()) == ["alpaca-sip/1Day/QQQ.parquet", "alpaca-sip/2Min/QQQ/2025-10.parquet"]
        alpaca.behave()
        alpaca.forget()
        assert door("--symbol", "QQQ", *RANGE, "--output", journal).code == 0
        assert days_asked(alpaca) == [("2025-11-03", "2025-11-12")]
        assert alpaca.calls() == 1
