"""Daily closes of files: each under its own New York date, or refused; and those that the bars stand in for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from tests.support.bars import (
    CALENDAR,
    NEW_YORK,
    closes_by_day,
    csv_text,
    daily_closes,
    joined,
    last_closes,
    minute_bars,
    nanoseconds,
    session_of,
    sessions_of,
    without,
    write_bars,
    write_closes,
    write_folder,
    write_parquet,
    write_text,
)
from tests.unit.feeds.asking import FAR, closes_in, require_refused
from trading_playbook.core.bars import MINUTE
from trading_playbook.core.daily import DailyCloses, check_closes
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.schedule import are_sessions
from trading_playbook.feeds.files import FilesFeed

# Over both changes of the clocks and some early closes.
CLOSES = daily_closes("2026-01-22", 300)
DAYS = list(CLOSES)

AtMoment = Callable[[date], datetime]


def at(wall: time, zone: ZoneInfo, days_later: int = 0) -> AtMoment:
    return lambda day: datetime.combine(day + timedelta(days=days_later), wall, zone)


def at_the_close(day: date) -> datetime:
    session = CALENDAR.session(day)
    assert session is not None
    return session.closes


UTC_ZONE = ZoneInfo("UTC")
CERTAIN: dict[str, AtMoment] = {
    "midnight in UTC": at(time(0), UTC_ZONE),
    "midnight in New York": at(time(0), NEW_YORK),
    "the opening": at(time(9, 30), NEW_YORK),
    "the close": at_the_close,
    "four o'clock": at(time(16), NEW_YORK),
    "a moment after the close": at(time(16, 0, 1), NEW_YORK),
    "the end of late trading": at(time(20), NEW_YORK),
    "21:00 UTC": at(time(21), UTC_ZONE),
}
UNCERTAIN: dict[str, AtMoment] = {
    "midnight in Berlin": at(time(0), ZoneInfo("Europe/Berlin")),
    "midnight in London": at(time(0), ZoneInfo("Europe/London")),
    "midnight in Tokyo": at(time(0), ZoneInfo("Asia/Tokyo")),
    "midnight in Los Angeles": at(time(0), ZoneInfo("America/Los_Angeles")),
    "six in the evening before": at(time(18), NEW_YORK, days_later=-1),
    "before the opening": at(time(9, 29, 59), NEW_YORK),
    "after late trading": at(time(20, 0, 1), NEW_YORK),
    "midnight or the close": lambda day: at(time(0), UTC_ZONE)(day) if day.day < 15 else at_the_close(day),
}


def as_parquet(path: Path, at: AtMoment, column: str) -> Path:
    moments = pa.array([at(day).astimezone(UTC) for day in DAYS], pa.timestamp("us", tz="UTC"))
    return write_parquet(path.with_suffix(".parquet"), {column: moments, "close": list(CLOSES.values())})


def as_csv(path: Path, at: AtMoment, column: str) -> Path:
    lines = [[at(day).isoformat(sep=" "), repr(close)] for day, close in CLOSES.items()]
    return write_text(path.with_suffix(".csv"), csv_text(lines, names=(column, "close")))


def as_csv_in_utc(path: Path, at: AtMoment, column: str) -> Path:
    return as_csv(path, lambda day: at(day).astimezone(UTC), column)


WRITERS = [as_parquet, as_csv, as_csv_in_utc]


@pytest.mark.parametrize("column", ["date", "timestamp"])
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("moment", CERTAIN)
def test_a_close_stamped_with_a_moment_of_its_day_stays_on_that_day(
    moment: str, write: Callable[[Path, AtMoment, str], Path], column: str, tmp_path: Path
) -> None:
    write(tmp_path / "1Day" / "QQQ", CERTAIN[moment], column)
    assert closes_by_day(closes_in(tmp_path)) == CLOSES


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("moment", UNCERTAIN)
def test_closes_stamped_with_any_other_moment_are_refused(
    moment: str, write: Callable[[Path, AtMoment, str], Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "1Day" / "QQQ", UNCERTAIN[moment], "timestamp")
    require_refused(closes_in(tmp_path), path, "timestamp", "expected is a `date` column")


def test_midnights_in_utc_of_a_summer_are_not_taken_for_the_end_of_late_trading(tmp_path: Path) -> None:
    closes = daily_closes("2025-08-01", 20)
    midnights = [datetime.combine(day, time(0), UTC) for day in closes]
    write_parquet(
        tmp_path / "1Day" / "QQQ.parquet",
        {"timestamp": pa.array(midnights, pa.timestamp("s", tz="UTC")), "close": list(closes.values())},
    )
    assert closes_by_day(closes_in(tmp_path)) == closes


def test_the_end_of_late_trading_in_a_summer_is_not_taken_for_midnights_in_utc(tmp_path: Path) -> None:
    closes = daily_closes("2025-08-01", 20)
    evenings = [datetime.combine(day, time(20), NEW_YORK).astimezone(UTC) for day in closes]
    assert all(evening.hour == 0 for evening in evenings)
    write_parquet(
        tmp_path / "1Day" / "QQQ.parquet",
        {"timestamp": pa.array(evenings, pa.timestamp("s", tz="UTC")), "close": list(closes.values())},
    )
    assert closes_by_day(closes_in(tmp_path)) == closes


DATES: dict[str, Callable[[list[date]], object]] = {
    "dates": lambda days: pa.array(days, pa.date32()),
    "dates in milliseconds": lambda days: pa.array(days, pa.date64()),
    "midnights without a zone": lambda days: pa.array([datetime.combine(day, time(0)) for day in days]),
    "midnights without a zone in nanoseconds": lambda days: pa.array(days, pa.date32()).cast(pa.timestamp("ns")),
    "texts": lambda days: [day.isoformat() for day in days],
    "texts with a midnight": lambda days: [f"{day} 00:00:00" for day in days],
}


@pytest.mark.parametrize("column", ["date", "timestamp", "Date", " DATE "])
@pytest.mark.parametrize("form", DATES)
def test_a_date_is_understood_in_every_usual_form(form: str, column: str, tmp_path: Path) -> None:
    columns = {column: DATES[form](DAYS), "close": list(CLOSES.values())}
    write_parquet(tmp_path / "1Day" / "QQQ.parquet", columns)
    assert closes_by_day(closes_in(tmp_path)) == CLOSES


@pytest.mark.parametrize("form", ["{}", " {} ", "{} 00:00:00", "{}T00:00:00", "{}T00:00:00.000", "{} 00:00"])
def test_a_date_in_a_text_file_is_understood(form: str, tmp_path: Path) -> None:
    lines = [[form.format(day), repr(close)] for day, close in reversed(CLOSES.items())]
    write_text(tmp_path / "1Day" / "QQQ.csv", "\ufeff" + csv_text(lines, names=("Date", "Close")).replace("\n", "\r\n"))
    assert closes_by_day(closes_in(tmp_path)) == CLOSES


@pytest.mark.parametrize(
    "text",
    [
        "01/02/2025",
        "20250102",
        "2025-1-2",
        "2025-02-30",
        "2025-W01-4",
        "1735776000",
        "1735776000000",
        "2025-01-02 16:00:00",
        "2025-01-02T23:00:00",
        "2 Jan 2025",
        "today",
        "",
    ],
)
@pytest.mark.parametrize("place", [0, 7])
def test_a_text_that_is_no_date_is_refused_by_line_and_text(text: str, place: int, tmp_path: Path) -> None:
    lines = [[day.isoformat(), repr(close)] for day, close in CLOSES.items()]
    lines[place][0] = text
    path = write_text(tmp_path / "1Day" / "QQQ.csv", csv_text(lines, names=("date", "close")))
    told = repr(text) if text else "is missing"
    require_refused(closes_in(tmp_path), path, f"line {place + 2}: date {told}", "a `date` column")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param([20250102, 20250103, 20250106], "date holds numbers", id="numbers"),
        pytest.param(pa.array([20090, None, 20094], pa.date32()), "row 2: date is missing", id="a gap"),
        pytest.param(
            [datetime(2025, 1, 2), datetime(2025, 1, 3, 16), datetime(2025, 1, 6)],
            "row 2: date 2025-01-03 16:00:00 is a time of day that tells no date",
            id="a time without a zone",
        ),
        pytest.param([date(2025, 1, 4), date(2025, 1, 5), date(2025, 1, 9)], "none of its dates", id="no session"),
        pytest.param(pa.array([20, 21, 22], pa.date32()), "none of its dates, 1970-01-21", id="another unit"),
    ],
)
def test_a_column_that_tells_no_dates_is_refused(values: object, told: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "1Day" / "QQQ.parquet", {"date": values, "close": [500.0, 501.0, 502.0]})
    require_refused(closes_in(tmp_path), path, told)


def test_of_a_date_and_a_timestamp_the_date_counts(tmp_path: Path) -> None:
    columns = {
        "timestamp": list(range(300)),
        "date": pa.array(DAYS, pa.date32()),
        "close": list(CLOSES.values()),
    }
    write_parquet(tmp_path / "1Day" / "QQQ.parquet", columns)
    assert closes_by_day(closes_in(tmp_path)) == CLOSES


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("day", "close"), "lacks the column date or timestamp; expected are date or timestamp, close"),
        (("date", "last"), "lacks the column close"),
        (("date;close", "x"), "separated by semicolons"),
    ],
)
def test_a_daily_file_without_dates_or_closes_is_refused(names: tuple[str, str], told: str, tmp_path: Path) -> None:
    lines = [[day.isoformat(), repr(close)] for day, close in CLOSES.items()]
    path = write_text(tmp_path / "1Day" / "QQQ.csv", csv_text(lines, names=names))
    require_refused(closes_in(tmp_path), path, told)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_closes_after_the_day_asked_for_are_left_out(suffix: str, tmp_path: Path) -> None:
    write_closes(tmp_path, "QQQ", CLOSES, suffix)
    through = DAYS[250]
    assert closes_by_day(closes_in(tmp_path, through=through)) == {d: c for d, c in CLOSES.items() if d <= through}


def test_the_first_session_is_the_first_date_that_is_one(tmp_path: Path) -> None:
    write_closes(tmp_path, "QQQ", {date(2025, 1, 4): 1.0, date(2025, 1, 9): 2.0, date(2025, 1, 13): 3.0})
    answer = closes_in(tmp_path, through=date(2025, 1, 5))
    assert isinstance(answer, DailyCloses)
    assert (answer.first_session, len(answer.days)) == (date(2025, 1, 13), 1)


class TestWithoutADailyFile:
    """Each session's last regular-hours bar stands in."""

    SESSIONS = sessions_of("2025-11-25", "2025-12-02")  # Thanksgiving and an early close among them

    @pytest.mark.parametrize("suffix", [".parquet", ".csv"])
    @pytest.mark.parametrize("minutes", [1, 2])
    def test_a_close_is_that_of_the_session_s_last_bar(self, minutes: int, suffix: str, tmp_path: Path) -> None:
        bars = minute_bars(self.SESSIONS, minutes=minutes)
        write_bars(tmp_path, bars, suffix)
        answer = closes_in(tmp_path)
        assert closes_by_day(answer) == last_closes(bars)
        assert getattr(answer, "first_session", None) == date(2025, 11, 25)

    def test_a_single_file_has_closes_too(self, tmp_path: Path) -> None:
        bars = minute_bars(self.SESSIONS)
        path = write_bars(tmp_path, bars)
        assert closes_by_day(closes_in(path)) == last_closes(bars)

    def test_bars_after_an_early_close_do_not_count(self, tmp_path: Path) -> None:
        bars = minute_bars(self.SESSIONS)
        early = session_of("2025-11-28")
        last = int(np.searchsorted(bars.opened, nanoseconds(early.closes))) - 1
        # Its last bar is moved to where a whole session would have its own.
        opened = bars.opened.copy()
        opened[last] = nanoseconds(early.closes) + 179 * MINUTE
        write_bars(tmp_path, replace(bars, opened=opened))
        assert closes_by_day(closes_in(tmp_path)) == {**last_closes(bars), early.date: float(bars.close[last - 1])}

    @pytest.mark.parametrize(("apart", "repeats", "faults"), [(0.0, 1, 0), (0.01, 0, 1)], ids=["equal", "contrary"])
    def test_every_bar_of_the_last_time_is_given(self, apart: float, repeats: int, faults: int, tmp_path: Path) -> None:
        bars = minute_bars(self.SESSIONS[:2])
        last = bars.take(slice(389, 390))
        write_bars(tmp_path, joined(replace(last, close=last.close + apart), bars).take(slice(None, None, -1)))
        answer = closes_in(tmp_path)
        assert isinstance(answer, DailyCloses)
        checked = check_closes(answer, partial(are_sessions, CALENDAR))
        assert (len(answer.days), checked.repeats, len(checked.faults)) == (3, repeats, faults)

    def test_a_session_without_a_bar_has_no_close(self, tmp_path: Path) -> None:
        bars = minute_bars(self.SESSIONS)
        rest = without(bars, range(390, 780))
        write_bars(tmp_path, rest)
        assert closes_by_day(closes_in(tmp_path)) == last_closes(rest)
        assert date(2025, 11, 26) not in last_closes(rest)

    def test_the_bars_stand_in_with_a_warning_where_other_symbols_have_daily_files(self, tmp_path: Path) -> None:
        bars = minute_bars(self.SESSIONS)
        write_folder(tmp_path, [bars], {"SPY": CLOSES})
        feed = FilesFeed(tmp_path, CALENDAR)
        for _ in range(2):
            answers = feed.daily_closes(["QQQ", "SPY"], before=FAR, count=200, through=FAR)
        assert closes_by_day(answers["QQQ"]) == last_closes(bars)
        assert closes_by_day(answers["SPY"]) == CLOSES
        (warning,) = feed.warnings
        assert warning.startswith("QQQ: 1Day has no file of it")

    def test_no_warning_is_given_where_nobody_has_a_daily_file(self, tmp_path: Path) -> None:
        write_bars(tmp_path, minute_bars(self.SESSIONS))
        feed = FilesFeed(tmp_path, CALENDAR)
        feed.daily_closes(["QQQ"], before=FAR, count=200, through=FAR)
        assert feed.warnings == ()

    def test_a_symbol_without_any_file_is_refused_and_not_warned_of(self, tmp_path: Path) -> None:
        write_closes(tmp_path, "SPY", CLOSES)
        feed = FilesFeed(tmp_path, CALENDAR)
        answer = feed.daily_closes(["QQQ"], before=FAR, count=200, through=FAR)["QQQ"]
        assert isinstance(answer, FixRequest)
        assert feed.warnings == ()
