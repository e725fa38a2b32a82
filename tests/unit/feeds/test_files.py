"""The feed of files: which file it reads, for whom, how often, and what it says of the bars in it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.support.bars import (
    CALENDAR,
    bar_lines,
    closes_by_day,
    csv_text,
    daily_closes,
    joined,
    minute_bars,
    require_same_bars,
    session_of,
    sessions_of,
    without,
    write_bars,
    write_folder,
    write_text,
)
from tests.unit.feeds.asking import FAR, bars_in, closes_in
from trading_playbook.core.bars import MINUTE, Bars
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.errors import CheckData, FixRequest
from trading_playbook.core.grid import lay_out
from trading_playbook.core.schedule import Timetable
from trading_playbook.feeds.files import FilesFeed
from trading_playbook.feeds.files.contents import read_bars

SESSION = session_of("2025-11-04")
ONES, TWOS = minute_bars(SESSION), minute_bars(SESSION, minutes=2, seed=2)
SUFFIXES = [".parquet", ".csv"]
SOURCES = Path(__file__).parents[3] / "src"


class TestAFolder:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_bars_of_the_length_that_is_asked_for_come_before_finer_ones(self, suffix: str, tmp_path: Path) -> None:
        write_folder(tmp_path, [ONES, TWOS], suffix=suffix)
        require_same_bars(bars_in(tmp_path, minutes=2), TWOS)
        require_same_bars(bars_in(tmp_path, minutes=1), ONES)

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_finer_bars_are_given_where_there_are_no_others(self, suffix: str, tmp_path: Path) -> None:
        write_folder(tmp_path, [ONES, replace(TWOS, symbol="SPY")], suffix=suffix)
        require_same_bars(bars_in(tmp_path, minutes=2), ONES)

    def test_coarser_bars_are_not_given(self, tmp_path: Path) -> None:
        write_folder(tmp_path, [TWOS])
        assert isinstance(answer := bars_in(tmp_path, minutes=1), FixRequest)
        assert "looked for QQQ.parquet and QQQ.csv in" in str(answer)
        assert str(tmp_path / "1Min") in str(answer)
        assert str(tmp_path / "2Min") not in str(answer)

    def test_one_symbol_without_a_file_harms_no_other(self, tmp_path: Path) -> None:
        write_folder(tmp_path, [ONES])
        feed = FilesFeed(tmp_path, CALENDAR)
        answers = feed.bars(["SPY", "QQQ"], [], 2)
        assert isinstance(missing := answers["SPY"], FixRequest)
        assert missing.symbol == "SPY"
        assert str(missing).startswith("SPY: no file of bars; looked for SPY.parquet and SPY.csv in ")
        assert all(str(tmp_path / folder) in str(missing) for folder in ("1Min", "2Min"))
        require_same_bars(answers["QQQ"], ONES)
        assert isinstance(feed.daily_closes(["SPY"], before=FAR, count=200, through=FAR)["SPY"], FixRequest)

    def test_one_bad_file_harms_no_other_symbol(self, tmp_path: Path) -> None:
        write_folder(tmp_path, [ONES])
        write_text(tmp_path / "1Min" / "SPY.parquet", "no parquet")
        answers = FilesFeed(tmp_path, CALENDAR).bars(["SPY", "QQQ"], [], 2)
        assert isinstance(answers["SPY"], CheckData)
        require_same_bars(answers["QQQ"], ONES)

    @pytest.mark.parametrize("folder", ["1Min", "2Min", "1Day"])
    def test_two_files_of_one_symbol_and_timeframe_are_refused_by_both_names(self, folder: str, tmp_path: Path) -> None:
        for suffix in SUFFIXES:
            write_folder(tmp_path, [ONES, TWOS], {"QQQ": daily_closes("2025-11-04", 5)}, suffix=suffix)
        for other in {"1Min", "2Min", "1Day"} - {folder}:
            (tmp_path / other / "QQQ.csv").unlink()
        answer = closes_in(tmp_path) if folder == "1Day" else bars_in(tmp_path, minutes=int(folder[0]))
        assert isinstance(answer, FixRequest)
        assert f"both {tmp_path / folder / 'QQQ.parquet'} and {tmp_path / folder / 'QQQ.csv'}" in str(answer)

    @pytest.mark.parametrize("folder", ["1Min", "2Min"])
    def test_a_folder_under_a_file_s_name_is_no_file(self, folder: str, tmp_path: Path) -> None:
        (tmp_path / folder / "QQQ.parquet").mkdir(parents=True)
        assert isinstance(bars_in(tmp_path), FixRequest)

    @pytest.mark.parametrize(
        "symbol",
        [
            "../../etc/passwd",
            "../secret",
            "..",
            ".",
            "/etc/passwd",
            "1Min/QQQ",
            "QQQ/../../x",
            "",
            "qqq",
            "QQQ\0",
            "Q" * 99,
        ],
    )
    def test_no_symbol_leads_out_of_the_folder(self, symbol: str, tmp_path: Path) -> None:
        root = write_folder(tmp_path / "bars", [ONES])
        write_text(tmp_path / "secret.csv", csv_text(bar_lines(ONES)))
        for answer in (bars_in(root, symbol), closes_in(root, symbol)):
            assert isinstance(answer, FixRequest)
            assert "is no symbol" in str(answer)

    def test_a_symbol_with_a_point_has_its_file(self, tmp_path: Path) -> None:
        write_folder(tmp_path, [replace(ONES, symbol="BRK.B")])
        require_same_bars(bars_in(tmp_path, "BRK.B"), replace(ONES, symbol="BRK.B"))

    @pytest.mark.parametrize(
        "name", ["my bars", "a#b", "100%", 'say "x"', "it's", "Kurse für QQQ", "株", "a\nb", "gs:"]
    )
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_any_name_of_a_folder_will_do(self, name: str, suffix: str, tmp_path: Path) -> None:
        root = write_folder(tmp_path / name, [ONES], suffix=suffix)
        require_same_bars(bars_in(root), ONES)

    def test_a_relative_path_will_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_folder(tmp_path, [ONES])
        monkeypatch.chdir(tmp_path)
        require_same_bars(bars_in(Path()), ONES)

    def test_a_link_to_another_place_will_do(self, tmp_path: Path) -> None:
        path = write_bars(tmp_path / "elsewhere", ONES)
        (tmp_path / "bars" / "1Min").mkdir(parents=True)
        (tmp_path / "bars" / "1Min" / "QQQ.parquet").symlink_to(path)
        require_same_bars(bars_in(tmp_path / "bars"), ONES)


class TestASingleFile:
    @pytest.mark.parametrize("bars", [ONES, TWOS], ids=["1 minute", "2 minutes"])
    @pytest.mark.parametrize("suffix", [*SUFFIXES, ".PARQUET", ".Csv"])
    def test_its_timeframe_is_told_from_its_bars(self, bars: Bars, suffix: str, tmp_path: Path) -> None:
        path = write_bars(tmp_path, bars, suffix.lower()).rename(tmp_path / f"QQQ{suffix}")
        require_same_bars(bars_in(path), bars)

    def test_one_bar_on_an_odd_minute_makes_it_a_file_of_single_minutes(self, tmp_path: Path) -> None:
        sparse = joined(ONES.take(slice(0, None, 2)), ONES.take(slice(201, 202)))
        require_same_bars(bars_in(write_bars(tmp_path, sparse)), sparse)

    def test_bars_longer_than_those_that_are_asked_for_are_refused(self, tmp_path: Path) -> None:
        assert isinstance(answer := bars_in(write_bars(tmp_path, TWOS), minutes=1), FixRequest)
        assert "has bars of 2 minutes" in str(answer)

    @pytest.mark.parametrize("name", ["bars", "QQQ_1min", "qqq", "QQQ-2025", "2025", "QQQ.2025", "A" * 11])
    def test_a_name_that_is_no_symbol_is_nobody_s(self, name: str, tmp_path: Path) -> None:
        path = write_bars(tmp_path, ONES, ".csv").rename(tmp_path / f"{name}.csv")
        require_same_bars(bars_in(path), ONES)

    @pytest.mark.parametrize("name", ["SPY", "BRK.B", "Q"])
    def test_a_name_that_is_another_symbol_is_refused(self, name: str, tmp_path: Path) -> None:
        path = write_bars(tmp_path, ONES).rename(tmp_path / f"{name}.parquet")
        for answer in (bars_in(path), closes_in(path)):
            assert isinstance(answer, FixRequest)
            assert f"by its name a file of {name}" in str(answer)

    @pytest.mark.parametrize("name", ["QQQ", "bars"])
    def test_it_is_refused_for_several_symbols_at_once_and_one_after_the_other(self, name: str, tmp_path: Path) -> None:
        path = write_bars(tmp_path, ONES).rename(tmp_path / f"{name}.parquet")
        feed = FilesFeed(path, CALENDAR)
        with pytest.raises(FixRequest, match="is one file, of one symbol, and not of QQQ, SPY"):
            feed.bars(["QQQ", "SPY"], [], 2)
        feed = FilesFeed(path, CALENDAR)
        require_same_bars(feed.bars(["QQQ"], [], 2)["QQQ"], ONES)
        with pytest.raises(FixRequest, match="is one file, of one symbol"):
            feed.daily_closes(["SPY"], before=FAR, count=200, through=FAR)

    def test_it_has_no_splits(self, tmp_path: Path) -> None:
        path = write_bars(tmp_path, ONES)
        write_text(path.parent / "splits.csv", "nonsense")
        assert FilesFeed(path, CALENDAR).splits(["QQQ"], through=FAR) == {"QQQ": ()}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "does not exist"),
        ("nothing.parquet", "does not exist"),
        ("bars.txt", "is no file of bars"),
        ("x" * 300, "cannot be reached: File name too long|does not exist"),
    ],
)
def test_a_place_that_holds_no_bars_is_refused_at_once(name: str, told: str, tmp_path: Path) -> None:
    write_text(tmp_path / "bars.txt", "bars")
    with pytest.raises(FixRequest, match=told):
        FilesFeed(tmp_path / name, CALENDAR)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write_bars(tmp_path, ONES)
    path.chmod(0)
    assert isinstance(answer := bars_in(tmp_path), CheckData)
    assert str(answer) == f"QQQ: {path} cannot be read: Permission denied"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, in their order."""
    paths: list[Path] = []

    def counting(path: Path, symbol: str, minutes: int | None, calendar: Calendar) -> Bars:
        paths.append(path)
        return read_bars(path, symbol, minutes, calendar)

    monkeypatch.setattr("trading_playbook.feeds.files.feed.read_bars", counting)
    return paths


def test_closes_and_then_bars_of_a_symbol_read_its_file_once(tmp_path: Path, read: list[Path]) -> None:
    path = write_bars(tmp_path, ONES)
    feed = FilesFeed(tmp_path, CALENDAR)
    feed.daily_closes(["QQQ"], before=FAR, count=200, through=FAR)
    feed.bars(["QQQ"], [], 2)
    feed.bars(["QQQ"], [], 2)
    assert read == [path]


def test_a_file_that_changed_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    write_bars(tmp_path, ONES)
    feed = FilesFeed(tmp_path, CALENDAR)
    require_same_bars(feed.bars(["QQQ"], [], 2)["QQQ"], ONES)
    write_bars(tmp_path, without(ONES, [5]))
    require_same_bars(feed.bars(["QQQ"], [], 2)["QQQ"], without(ONES, [5]))
    assert len(read) == 2


class TestTheFirstSession:
    SESSIONS = sessions_of("2025-11-25", "2025-12-02")

    def test_it_is_that_of_the_whole_file(self, tmp_path: Path) -> None:
        write_bars(tmp_path, minute_bars(self.SESSIONS).take(slice(None, None, -1)))
        answer = FilesFeed(tmp_path, CALENDAR).bars(["QQQ"], self.SESSIONS[-1:], 2)["QQQ"]
        assert getattr(answer, "first_session", None) == self.SESSIONS[0].date

    @pytest.mark.parametrize(
        ("minutes", "counts"),
        [
            pytest.param(-30, False, id="a bar before the opening"),
            pytest.param(0, True, id="the first bar"),
            pytest.param(389, True, id="the last bar"),
            pytest.param(390, False, id="a bar after the close"),
            pytest.param(2 * 24 * 60, False, id="a bar on a holiday"),
        ],
    )
    def test_it_has_a_bar_in_its_regular_hours(self, minutes: int, counts: bool, tmp_path: Path) -> None:
        first = minute_bars(self.SESSIONS).take(slice(0, 1))
        rest = minute_bars(self.SESSIONS[-2:])
        write_bars(tmp_path, joined(replace(first, opened=first.opened + minutes * MINUTE), rest))
        expected = self.SESSIONS[0 if counts else -2].date
        assert getattr(bars_in(tmp_path), "first_session", None) == expected

    def test_there_is_none_where_no_bar_lies_in_regular_hours(self, tmp_path: Path) -> None:
        bars = minute_bars(session_of("2025-11-28"))
        write_bars(tmp_path, replace(bars, opened=bars.opened + 4 * 60 * MINUTE))
        answer = bars_in(tmp_path)
        assert isinstance(answer, Bars)
        assert answer.first_session is None

    def test_bars_before_the_calendar_are_left_aside(self, tmp_path: Path) -> None:
        bars = minute_bars(sessions_of("1990-01-02", "1990-01-03"))
        early = replace(bars, opened=bars.opened - round(timedelta(days=28).total_seconds()) * 10**9)
        write_bars(tmp_path, joined(early, bars))
        assert getattr(bars_in(tmp_path), "first_session", None) == bars.first_session
        assert sorted(closes_by_day(closes_in(tmp_path))) == [s.date for s in sessions_of("1990-01-02", "1990-01-03")]


def test_extended_hours_do_not_matter_to_the_grid(tmp_path: Path) -> None:
    around = replace(ONES, opened=ONES.opened - 330 * MINUTE)
    late = replace(ONES, opened=ONES.opened + 390 * MINUTE)
    write_bars(tmp_path, joined(ONES, around.take(slice(0, 330)), late.take(slice(0, 240))), ".csv")
    answer = bars_in(tmp_path)
    assert isinstance(answer, Bars)
    timetable = Timetable.of([SESSION])
    laid, clean = lay_out(answer, timetable, 2), lay_out(ONES, timetable, 2)
    assert not laid.faults
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(laid.grid, name), getattr(clean.grid, name))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_the_host_s_time_zone_has_no_effect(zone: str, tmp_path: Path) -> None:
    write_folder(tmp_path, [minute_bars(sessions_of("2025-10-31", "2025-11-03"))], suffix=".csv")
    program = f"""
from pathlib import Path
from tests.unit.feeds.asking import bars_in, closes_in
bars, closes = bars_in(Path({str(tmp_path)!r})), closes_in(Path({str(tmp_path)!r}))
print(bars.opened[0], bars.opened[-1], bars.first_session, closes.days.tolist())
"""
    environment = {**os.environ, "TZ": zone, "PYTHONPATH": f"{SOURCES}{os.pathsep}{SOURCES.parent}"}
    told = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.split("\n")[0] == "1761917400000000000 1762203540000000000 2025-10-31 [20392, 20395]"
