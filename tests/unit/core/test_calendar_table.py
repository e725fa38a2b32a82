"""The table against exchange_calendars, against the exchange's own notices, and against the command that writes it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from datetime import date, time, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import exchange_calendars
import pytest

from trading_playbook.core import calendar_table
from trading_playbook.core.calendar import Calendar

# exchange_calendars walks on ground that the newest pandas has deprecated: its business, not ours.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NEW_YORK = ZoneInfo("America/New_York")
GENERATOR = Path(__file__).parents[3] / "tools" / "generate_calendar.py"

# Written by hand from NYSE Group's notices "Holiday and Early Closings Calendar" of 2021-12-27 (2022 to 2024),
# 2024-11-08 (2025 to 2027) and 2025-12-23 (2026 to 2028), which mondovisione.com keeps, and the notice of 2024-12-30
# that closed the exchange for President Carter. The weekday in each line guards against a slip of the pen.
NOTICES = """
2024-01-01 Mon closed New Year's Day
2024-01-15 Mon closed Martin Luther King, Jr. Day
2024-02-19 Mon closed Washington's Birthday
2024-03-29 Fri closed Good Friday
2024-05-27 Mon closed Memorial Day
2024-06-19 Wed closed Juneteenth
2024-07-03 Wed 13:00  before Independence Day
2024-07-04 Thu closed Independence Day
2024-09-02 Mon closed Labor Day
2024-11-28 Thu closed Thanksgiving Day
2024-11-29 Fri 13:00  after Thanksgiving
2024-12-24 Tue 13:00  Christmas Eve
2024-12-25 Wed closed Christmas Day

2025-01-01 Wed closed New Year's Day
2025-01-09 Thu closed National Day of Mourning for President Carter
2025-01-20 Mon closed Martin Luther King, Jr. Day
2025-02-17 Mon closed Washington's Birthday
2025-04-18 Fri closed Good Friday
2025-05-26 Mon closed Memorial Day
2025-06-19 Thu closed Juneteenth
2025-07-03 Thu 13:00  before Independence Day
2025-07-04 Fri closed Independence Day
2025-09-01 Mon closed Labor Day
2025-11-27 Thu closed Thanksgiving Day
2025-11-28 Fri 13:00  after Thanksgiving
2025-12-24 Wed 13:00  Christmas Eve
2025-12-25 Thu closed Christmas Day

2026-01-01 Thu closed New Year's Day
2026-01-19 Mon closed Martin Luther King, Jr. Day
2026-02-16 Mon closed Washington's Birthday
2026-04-03 Fri closed Good Friday
2026-05-25 Mon closed Memorial Day
2026-06-19 Fri closed Juneteenth
2026-07-03 Fri closed Independence Day, a Saturday, observed; so no early close goes before it
2026-09-07 Mon closed Labor Day
2026-11-26 Thu closed Thanksgiving Day
2026-11-27 Fri 13:00  after Thanksgiving
2026-12-24 Thu 13:00  Christmas Eve
2026-12-25 Fri closed Christmas Day

2027-01-01 Fri closed New Year's Day
2027-01-18 Mon closed Martin Luther King, Jr. Day
2027-02-15 Mon closed Washington's Birthday
2027-03-26 Fri closed Good Friday
2027-05-31 Mon closed Memorial Day
2027-06-18 Fri closed Juneteenth, a Saturday, observed
2027-07-05 Mon closed Independence Day, a Sunday, observed
2027-09-06 Mon closed Labor Day
2027-11-25 Thu closed Thanksgiving Day
2027-11-26 Fri 13:00  after Thanksgiving
2027-12-24 Fri closed Christmas Day, a Saturday, observed

2028-01-17 Mon closed Martin Luther King, Jr. Day; New Year's Day, a Saturday, is not observed
2028-02-21 Mon closed Washington's Birthday
2028-04-14 Fri closed Good Friday
2028-05-29 Mon closed Memorial Day
2028-06-19 Mon closed Juneteenth
2028-07-03 Mon 13:00  before Independence Day
2028-07-04 Tue closed Independence Day
2028-09-04 Mon closed Labor Day
2028-11-23 Thu closed Thanksgiving Day
2028-11-24 Fri 13:00  after Thanksgiving
2028-12-25 Mon closed Christmas Day
"""

# Whole days on which the exchange stayed closed for no holiday.
ONE_OFF_CLOSURES = {
    "1994-04-27": "the funeral of President Nixon",
    "2001-09-11": "the attack on the World Trade Center",
    "2001-09-12": "the attack on the World Trade Center",
    "2001-09-13": "the attack on the World Trade Center",
    "2001-09-14": "the attack on the World Trade Center",
    "2004-06-11": "the funeral of President Reagan",
    "2007-01-02": "mourning for President Ford",
    "2012-10-29": "Hurricane Sandy",
    "2012-10-30": "Hurricane Sandy",
    "2018-12-05": "mourning for President Bush",
    "2025-01-09": "mourning for President Carter",
}

# Days before the notices above that a rule of thumb gets wrong.
ODD_DAYS = {
    "1990-12-24": "14:00",  # until 1992 an early close was at 14:00
    "1992-11-27": "14:00",  # the first early close after a Thanksgiving
    "1993-11-26": "13:00",
    "1997-01-20": "16:00",  # Martin Luther King, Jr. Day is observed from 1998 on
    "1998-01-19": "closed",
    "1997-12-26": "13:00",
    "1999-12-31": "13:00",  # decided by the exchange's board, told on 1999-06-04
    "2002-07-05": "13:00",  # the day after Independence Day, while that fell on a Thursday
    "2003-12-26": "13:00",
    "2013-07-03": "13:00",
    "2013-07-05": "16:00",
    "2014-12-26": "16:00",
    "2021-06-18": "16:00",  # Juneteenth is observed from 2022 on
    "2022-06-20": "closed",
    "2010-12-31": "16:00",  # New Year's Day on a Saturday is not observed
    "2021-12-31": "16:00",
    "2025-12-26": "16:00",
    "2027-12-31": "16:00",
}


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return Calendar()


def told(calendar: Calendar, day: date) -> str:
    """When the session of a day closes in New York, HH:MM; `closed` where there is none."""
    session = calendar.session(day)
    return "closed" if session is None else f"{session.closes.astimezone(NEW_YORK):%H:%M}"


def test_every_session_opens_and_closes_at_the_instants_that_exchange_calendars_tells(calendar: Calendar) -> None:
    reference = exchange_calendars.get_calendar("XNYS", start=calendar_table.FIRST, end=calendar_table.LAST)
    expected = [
        (day.date(), opens.to_pydatetime(), closes.to_pydatetime())
        for day, opens, closes in zip(reference.sessions, reference.opens, reference.closes, strict=True)
    ]
    sessions = calendar.sessions(calendar.first, calendar.last)
    assert [(session.date, session.opens, session.closes) for session in sessions] == expected
    assert expected[0][0] == date(1990, 1, 2)
    assert expected[-1][0] == date(2028, 12, 29)


def notices() -> list[tuple[date, str, str]]:
    lines = (line.split(maxsplit=3) for line in NOTICES.splitlines() if line)
    return [(date.fromisoformat(day), weekday, hours) for day, weekday, hours, _ in lines]


def test_the_hand_made_list_names_each_day_by_its_weekday() -> None:
    assert [f"{day:%a}" for day, _, _ in notices()] == [weekday for _, weekday, _ in notices()]


@pytest.mark.parametrize("year", range(2024, 2029))
def test_a_year_departs_from_the_rule_on_the_days_of_the_exchanges_notices_and_on_no_other(
    calendar: Calendar, year: int
) -> None:
    days = (date(year, 1, 1) + timedelta(days=passed) for passed in range(366))
    hours = {day: told(calendar, day) for day in days if day.year == year and day.weekday() < 5}
    unusual = {day: closes for day, closes in hours.items() if closes != "16:00"}
    assert unusual == {day: closes for day, _, closes in notices() if day.year == year}


@pytest.mark.parametrize(("day", "why"), ONE_OFF_CLOSURES.items())
def test_a_one_off_closure_is_no_session(calendar: Calendar, day: str, why: str) -> None:
    assert calendar.session(date.fromisoformat(day)) is None, why


@pytest.mark.parametrize(("day", "hours"), ODD_DAYS.items())
def test_a_day_that_a_rule_of_thumb_gets_wrong_is_as_it_was(calendar: Calendar, day: str, hours: str) -> None:
    assert told(calendar, date.fromisoformat(day)) == hours


def test_no_day_stands_in_the_table_twice_or_at_a_week_end() -> None:
    closed = dates(calendar_table.CLOSED)
    early = dates(calendar_table.EARLY_CLOSES)
    assert len(closed + early) == len(set(closed + early))
    assert all(day.weekday() < 5 for day in closed + early)


def dates(texts_by_year: Mapping[int, str]) -> list[date]:
    return [date.fromisoformat(f"{year}-{entry[:5]}") for year, text in texts_by_year.items() for entry in text.split()]


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_calendar", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the table, which the generator takes for the real one."""
    path = tmp_path / "calendar_table.py"
    path.write_bytes(Path(calendar_table.__file__).read_bytes())
    monkeypatch.setattr(generator, "TABLE", path)
    return path


def test_the_committed_table_passes_the_generators_check(
    generator: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().out


def test_the_check_overlooks_the_date_on_which_the_table_was_made(generator: ModuleType, copy: Path) -> None:
    copy.write_text(copy.read_text().replace(calendar_table.GENERATED, "2020-02-29"))
    assert generator.main(["--check"]) == 0


@pytest.mark.parametrize(("was", "is_now"), [("01-09 ", ""), ("12-24=13:00", "12-24=14:00"), ("4.13.2", "4.0.0")])
def test_the_check_fails_and_shows_the_line_where_the_table_was_changed(
    generator: ModuleType, copy: Path, capsys: pytest.CaptureFixture[str], was: str, is_now: str
) -> None:
    copy.write_text(copy.read_text().replace(was, is_now))
    changed = copy.read_bytes()
    assert generator.main(["--check"]) == 1
    assert was in capsys.readouterr().out
    assert copy.read_bytes() == changed


def test_the_check_fails_where_there_is_no_table(generator: ModuleType, copy: Path) -> None:
    copy.unlink()
    assert generator.main(["--check"]) == 1


def test_writing_the_table_gives_the_committed_bytes_the_date_apart(generator: ModuleType, copy: Path) -> None:
    copy.unlink()
    assert generator.main([]) == 0
    committed = Path(calendar_table.__file__).read_text()
    assert generator.without_its_date(copy.read_text()) == generator.without_its_date(committed)


def test_the_table_reaches_as_far_as_it_is_told_to(generator: ModuleType, copy: Path) -> None:
    assert generator.main(["--through", "1991"]) == 0
    written = copy.read_text()
    assert 'LAST = "1991-12-31"' in written
    assert '1991: "01-01 02-18 03-29 05-27 07-04 09-02 11-28 12-25",' in written
    assert "1992" not in written


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        pytest.param(date(2002, 9, 11), time(12), time(16), id="a late opening"),
        pytest.param(date(2002, 9, 14), time(9, 30), time(16), id="a session on a Saturday"),
        pytest.param(date(1997, 10, 27), time(9, 30), time(15, 35), id="a close on an odd minute"),
        pytest.param(date(2002, 9, 11), time(9, 30), time(17), id="a close after the usual one"),
    ],
)
def test_hours_that_the_table_cannot_tell_stop_the_generator(
    generator: ModuleType, day: date, opens: time, closes: time
) -> None:
    with pytest.raises(ValueError, match=str(day)):
        generator.render({day: (opens, closes)}, day, day, "a library", date(2026, 1, 1))
