from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_playbook.core import calendar as calendar_module
from trading_playbook.core.calendar import Calendar, Session, new_york_date, parse_overrides, slot_label
from trading_playbook.core.errors import FixConfig, FixRequest

NEW_YORK = ZoneInfo("America/New_York")
ONE_DAY = timedelta(days=1)
CALENDAR = Calendar()
SOURCES = Path(calendar_module.__file__).parents[2]

Overrides = Mapping[date, time | None]


def session_of(day: str, calendar: Calendar = CALENDAR) -> Session:
    session = calendar.session(date.fromisoformat(day))
    assert session is not None
    return session


def dates_of(sessions: tuple[Session, ...]) -> list[str]:
    return [session.date.isoformat() for session in sessions]


def closes_in_new_york(session: Session) -> str:
    return f"{session.closes.astimezone(NEW_YORK):%H:%M}"


def in_a_fresh_interpreter(program: str, **environment: str) -> str:
    whole = {**os.environ, "PYTHONPATH": str(SOURCES), **environment}
    return subprocess.run([sys.executable, "-c", program], env=whole, check=True, capture_output=True, text=True).stdout


class TestSession:
    def test_a_full_session_runs_from_half_past_nine_to_four_in_new_york(self) -> None:
        session = session_of("2026-01-05")
        assert session.opens == datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
        assert session.closes == datetime(2026, 1, 5, 21, 0, tzinfo=UTC)
        assert session.opens.tzinfo is UTC
        assert session.closes.tzinfo is UTC

    def test_a_full_session_has_195_slots_of_two_minutes(self) -> None:
        session = session_of("2026-01-05")
        assert (session.minutes, session.slots(2), session.slots(1)) == (390, 195, 390)

    @pytest.mark.parametrize("day", ["2024-11-29", "2024-12-24", "2026-11-27"])
    def test_a_session_that_closes_at_one_has_105_slots_and_settles_after_that_close(self, day: str) -> None:
        session = session_of(day)
        assert (session.minutes, session.slots(2)) == (210, 105)
        one_o_clock = datetime.fromisoformat(f"{day}T18:00:00+00:00")
        assert session.closes == one_o_clock
        assert session.settles(timedelta(minutes=20)) == one_o_clock + timedelta(minutes=20)

    def test_a_last_slot_that_the_close_cuts_short_counts(self) -> None:
        assert session_of("2026-01-05").slots(60) == 7

    @pytest.mark.parametrize("bar_minutes", [0, -2])
    def test_a_bar_has_at_least_one_minute(self, bar_minutes: int) -> None:
        with pytest.raises(ValueError, match="1 or more"):
            session_of("2026-01-05").slots(bar_minutes)

    @pytest.mark.parametrize(
        ("opens", "closes"),
        [
            pytest.param(datetime(2026, 1, 5, 14, 30), datetime(2026, 1, 5, 21, 0), id="naive"),
            pytest.param(
                datetime(2026, 1, 5, 9, 30, tzinfo=NEW_YORK), datetime(2026, 1, 5, 21, 0, tzinfo=UTC), id="opens"
            ),
            pytest.param(
                datetime(2026, 1, 5, 14, 30, tzinfo=UTC), datetime(2026, 1, 5, 16, 0, tzinfo=NEW_YORK), id="closes"
            ),
            pytest.param(
                datetime(2026, 1, 5, 21, 0, tzinfo=UTC), datetime(2026, 1, 5, 14, 30, tzinfo=UTC), id="backwards"
            ),
        ],
    )
    def test_instants_that_are_not_utc_or_run_backwards_make_no_session(
        self, opens: datetime, closes: datetime
    ) -> None:
        with pytest.raises(ValueError, match="no session in UTC"):
            Session(date=date(2026, 1, 5), opens=opens, closes=closes)


class TestClockChanges:
    @pytest.mark.parametrize(
        ("day", "opens", "closes"),
        [
            pytest.param("2026-03-06", "14:30", "21:00", id="the last in winter"),
            pytest.param("2026-03-09", "13:30", "20:00", id="the first in summer"),
            pytest.param("2026-10-30", "13:30", "20:00", id="the last in summer"),
            pytest.param("2026-11-02", "14:30", "21:00", id="the first in winter"),
        ],
    )
    def test_a_session_keeps_its_hours_in_new_york_and_its_195_slots(self, day: str, opens: str, closes: str) -> None:
        session = session_of(day)
        assert (f"{session.opens:%H:%M}", f"{session.closes:%H:%M}") == (opens, closes)
        assert session.slots(2) == 195

    @pytest.mark.parametrize(("day", "before"), [("2026-03-09", "2026-03-06"), ("2026-11-02", "2026-10-30")])
    def test_the_session_before_a_change_is_the_previous_one_of_the_session_after(self, day: str, before: str) -> None:
        assert CALENDAR.previous(date.fromisoformat(day)) == session_of(before)


class TestHostZone:
    PROGRAM = """
from datetime import UTC, date, datetime
from trading_playbook.core.calendar import Calendar, new_york_date
print(datetime(2026, 1, 5, 12).astimezone().utcoffset())
print(Calendar().sessions(date(2026, 1, 1), date(2026, 12, 31)))
print([new_york_date(datetime(2026, month, 5, 4, 30, tzinfo=UTC)) for month in range(1, 13)])
"""

    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
    def test_the_zone_of_the_host_changes_nothing(self, zone: str) -> None:
        offset, _, answers = in_a_fresh_interpreter(self.PROGRAM, TZ=zone).partition("\n")
        utc_offset, _, utc_answers = in_a_fresh_interpreter(self.PROGRAM, TZ="UTC").partition("\n")
        assert offset != utc_offset
        assert answers == utc_answers


class TestNewYorkDate:
    @pytest.mark.parametrize(
        ("moment", "expected"),
        [
            ("2026-01-06T04:59:59+00:00", "2026-01-05"),
            ("2026-01-06T05:00:00+00:00", "2026-01-06"),
            ("2026-07-06T03:59:59+00:00", "2026-07-05"),
            ("2026-07-06T04:00:00+00:00", "2026-07-06"),
            ("2026-01-06T08:00:00+09:00", "2026-01-05"),
        ],
    )
    def test_a_day_begins_at_midnight_in_new_york(self, moment: str, expected: str) -> None:
        assert new_york_date(datetime.fromisoformat(moment)) == date.fromisoformat(expected)

    def test_a_naive_moment_has_no_date_in_new_york(self) -> None:
        with pytest.raises(ValueError, match="no zone"):
            new_york_date(datetime(2026, 1, 6, 5))


class TestSlotLabel:
    @pytest.mark.parametrize(
        ("slot", "bar_minutes", "label"),
        [(0, 2, "09:30"), (1, 2, "09:32"), (15, 2, "10:00"), (104, 2, "12:58"), (194, 2, "15:58"), (389, 1, "15:59")],
    )
    def test_a_slot_is_named_by_its_opening(self, slot: int, bar_minutes: int, label: str) -> None:
        assert slot_label(slot, bar_minutes) == label

    @pytest.mark.parametrize(("slot", "bar_minutes"), [(-1, 2), (195, 2), (0, 0)])
    def test_a_slot_that_no_session_has_is_refused(self, slot: int, bar_minutes: int) -> None:
        with pytest.raises(ValueError, match=r"outside a session|1 or more"):
            slot_label(slot, bar_minutes)

    @given(session=st.sampled_from(CALENDAR.sessions(date(2026, 1, 1), date(2026, 12, 31))), data=st.data())
    def test_a_label_is_the_wall_time_at_that_many_minutes_after_the_opening(
        self, session: Session, data: st.DataObject
    ) -> None:
        slot = data.draw(st.integers(0, session.slots(2) - 1))
        opening = (session.opens + slot * timedelta(minutes=2)).astimezone(NEW_YORK)
        assert slot_label(slot, 2) == f"{opening:%H:%M}"


class TestLookUp:
    @pytest.mark.parametrize("day", ["2026-01-03", "2026-01-04", "2026-01-01", "1990-01-01", "2028-12-31"])
    def test_a_week_end_and_a_holiday_have_no_session(self, day: str) -> None:
        assert CALENDAR.session(date.fromisoformat(day)) is None

    def test_a_range_takes_both_ends_in_and_leaves_closed_days_out(self) -> None:
        found = CALENDAR.sessions(date(2025, 12, 24), date(2025, 12, 29))
        assert dates_of(found) == ["2025-12-24", "2025-12-26", "2025-12-29"]

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            pytest.param(date(2026, 1, 3), date(2026, 1, 4), id="a week-end"),
            pytest.param(date(2026, 1, 9), date(2026, 1, 5), id="an end before the start"),
        ],
    )
    def test_a_range_without_a_session_is_empty(self, start: date, end: date) -> None:
        assert CALENDAR.sessions(start, end) == ()

    def test_the_previous_session_of_a_monday_is_fridays(self) -> None:
        assert CALENDAR.previous(date(2026, 1, 12)) == session_of("2026-01-09")

    def test_the_previous_session_of_a_closed_day_is_the_last_before_it(self) -> None:
        assert CALENDAR.previous(date(2001, 9, 13)) == session_of("2001-09-10")

    def test_the_last_sessions_include_the_day_itself_and_come_oldest_first(self) -> None:
        found = CALENDAR.last_sessions(3, through=date(2026, 1, 6))
        assert dates_of(found) == ["2026-01-02", "2026-01-05", "2026-01-06"]

    def test_the_last_sessions_are_fewer_at_the_beginning_of_the_table(self) -> None:
        assert dates_of(CALENDAR.last_sessions(10, through=date(1990, 1, 3))) == ["1990-01-02", "1990-01-03"]
        assert CALENDAR.last_sessions(10, through=date(1990, 1, 1)) == ()

    def test_a_negative_number_of_sessions_is_refused(self) -> None:
        with pytest.raises(ValueError, match="-1"):
            CALENDAR.last_sessions(-1, through=date(2026, 1, 6))

    def test_the_days_left_are_counted_to_the_last_day_and_beyond_it(self) -> None:
        last = CALENDAR.last
        assert CALENDAR.days_left(last - timedelta(days=180)) == 180
        assert CALENDAR.days_left(last) == 0
        assert CALENDAR.days_left(last + ONE_DAY) == -1


class TestReach:
    def test_the_calendar_reaches_from_1990_to_the_end_of_2028(self) -> None:
        assert (CALENDAR.first, CALENDAR.last) == (date(1990, 1, 1), date(2028, 12, 31))

    def test_a_day_after_the_end_is_refused_with_the_reach_and_what_to_do(self) -> None:
        with pytest.raises(FixRequest) as caught:
            CALENDAR.session(date(2031, 1, 2))
        assert caught.value.session == date(2031, 1, 2)
        for part in ("2031-01-02", "1990-01-01 to 2028-12-31", "update", "generate_calendar.py --through 2031"):
            assert part in caught.value.message

    def test_a_day_before_the_beginning_is_refused_with_the_reach(self) -> None:
        with pytest.raises(FixRequest) as caught:
            CALENDAR.session(date(1989, 12, 29))
        for part in ("1989-12-29", "1990-01-01 to 2028-12-31", "later"):
            assert part in caught.value.message

    def test_a_range_is_refused_where_either_end_lies_outside(self) -> None:
        with pytest.raises(FixRequest, match="2029-01-01 lies after"):
            CALENDAR.sessions(date(2028, 12, 1), date(2029, 1, 1))
        with pytest.raises(FixRequest, match="1989-12-31 lies before"):
            CALENDAR.sessions(date(1989, 12, 31), date(1990, 1, 5))

    @pytest.mark.parametrize("day", [date.min, date(1989, 12, 31), date(2029, 1, 1), date.max])
    def test_no_question_about_a_day_outside_is_answered(self, day: date) -> None:
        with pytest.raises(FixRequest, match="lies"):
            CALENDAR.session(day)
        with pytest.raises(FixRequest, match="lies"):
            CALENDAR.sessions(day, day)
        with pytest.raises(FixRequest, match="lies"):
            CALENDAR.previous(day)
        with pytest.raises(FixRequest, match="lies"):
            CALENDAR.last_sessions(1, through=day)

    @pytest.mark.parametrize("day", [date(1990, 1, 1), date(1990, 1, 2)])
    def test_the_first_session_has_no_known_previous_one(self, day: date) -> None:
        with pytest.raises(FixRequest, match=f"no session before {day}"):
            CALENDAR.previous(day)


class TestOverrides:
    def test_an_override_closes_a_session(self) -> None:
        calendar = Calendar({date(2026, 1, 6): None})
        assert calendar.session(date(2026, 1, 6)) is None
        assert dates_of(calendar.sessions(date(2026, 1, 5), date(2026, 1, 7))) == ["2026-01-05", "2026-01-07"]
        assert calendar.previous(date(2026, 1, 7)).date == date(2026, 1, 5)

    @pytest.mark.parametrize(
        ("day", "closes", "slots"),
        [
            pytest.param(date(2026, 1, 6), time(13), 105, id="a full session shortened"),
            pytest.param(date(2026, 12, 24), time(16), 195, id="an early close lengthened"),
            pytest.param(date(2025, 1, 9), time(16), 195, id="a holiday opened"),
            pytest.param(date(2026, 1, 6), time(15, 36), 183, id="another hour"),
        ],
    )
    def test_an_override_sets_the_close_of_a_session(self, day: date, closes: time, slots: int) -> None:
        session = session_of(day.isoformat(), Calendar({day: closes}))
        assert closes_in_new_york(session) == f"{closes:%H:%M}"
        assert session.slots(2) == slots

    def test_an_override_is_known_to_its_own_calendar_alone(self) -> None:
        Calendar({date(2026, 1, 6): None}).session(date(2026, 1, 6))
        assert Calendar().session(date(2026, 1, 6)) is not None

    def test_a_mapping_that_is_changed_later_changes_no_calendar(self) -> None:
        overrides: dict[date, time | None] = {date(2026, 1, 6): None}
        calendar = Calendar(overrides)
        overrides.clear()
        assert calendar.session(date(2026, 1, 6)) is None

    def test_the_version_tells_the_source_the_date_it_was_made_and_the_overrides_by_date(self) -> None:
        plain = CALENDAR.version
        assert plain.startswith("XNYS 20")
        assert " exchange_calendars " in plain
        overridden = Calendar({date(2026, 12, 24): time(13), date(2025, 1, 9): None}).version
        assert overridden == f"{plain} +2025-01-09:closed,2026-12-24:13:00"

    @pytest.mark.parametrize("day", [date(1989, 12, 29), date(2029, 1, 2)])
    def test_an_override_outside_the_reach_is_refused(self, day: date) -> None:
        with pytest.raises(FixConfig, match=f"CALENDAR_OVERRIDES, '{day}:closed'.*1990-01-01 to 2028-12-31"):
            Calendar({day: None})

    @pytest.mark.parametrize(
        ("day", "closes"),
        [
            pytest.param(date(2026, 1, 10), time(16), id="a Saturday"),
            pytest.param(date(2026, 1, 9), time(16, 2), id="after the usual close"),
            pytest.param(date(2026, 1, 9), time(13, 0, 30), id="half a minute"),
        ],
    )
    def test_a_calendar_refuses_what_the_setting_would(self, day: date, closes: time) -> None:
        with pytest.raises(FixConfig, match=str(day)):
            Calendar({day: closes})


class TestParseOverrides:
    @pytest.mark.parametrize(
        "text",
        [
            "2025-01-09:closed,2026-12-24:13:00",
            "2025-01-09:closed,2026-12-24:13:00,",
            " 2025-01-09:closed , 2026-12-24:13:00 ",
            "2026-12-24: 13:00,\n2025-01-09 :closed\n",
        ],
    )
    def test_blanks_order_and_a_trailing_comma_do_no_harm(self, text: str) -> None:
        assert parse_overrides(text) == {date(2025, 1, 9): None, date(2026, 12, 24): time(13)}

    @pytest.mark.parametrize("text", ["", "  ", ","])
    def test_nothing_overrides_nothing(self, text: str) -> None:
        assert parse_overrides(text) == {}

    @pytest.mark.parametrize(
        "part",
        [
            "20250109:closed",
            "2025-1-9:closed",
            "2025-02-30:closed",
            "2025-W02-4:closed",
            "1736380800:closed",
            "09/01/2025:closed",
            "\N{FULLWIDTH DIGIT TWO}025-01-09:closed",
            "2025-01-09T00:00:closed",
            "2025-01-09",
            "2025-01-09:",
            ":closed",
            "2025-01-09:Closed",
            "2025-01-09:open",
            "2025-01-09=13:00",
            "2025-01-09:13",
            "2025-01-09:1300",
            "2025-01-09:1:00",
            "2025-01-09:13:00:00",
            "2025-01-09:13:00Z",
            "2025-01-09:25:00",
            "2025-01-09:closed;2026-12-24:13:00",
        ],
    )
    def test_another_form_is_refused_naming_setting_part_and_form(self, part: str) -> None:
        with pytest.raises(FixConfig) as caught:
            parse_overrides(f"2026-01-05:closed,{part}")
        for told in ("CALENDAR_OVERRIDES", repr(part), "YYYY-MM-DD:closed or YYYY-MM-DD:HH:MM"):
            assert told in caught.value.message

    @pytest.mark.parametrize("closes", ["09:30", "08:00", "00:00", "13:01", "16:02", "17:00", "23:58"])
    def test_a_close_that_no_session_can_have_is_refused(self, closes: str) -> None:
        with pytest.raises(FixConfig, match=f"'2026-01-05:{closes}': expected a close on an even minute after 09:30"):
            parse_overrides(f"2026-01-05:{closes}")

    @pytest.mark.parametrize("closes", ["09:32", "13:00", "16:00"])
    def test_any_even_minute_of_a_session_can_end_it(self, closes: str) -> None:
        assert parse_overrides(f"2026-01-05:{closes}") == {date(2026, 1, 5): time.fromisoformat(closes)}

    @pytest.mark.parametrize("part", ["2026-01-10:closed", "2026-01-11:13:00"])
    def test_a_week_end_is_refused(self, part: str) -> None:
        with pytest.raises(FixConfig, match=f"'{part}': expected a weekday"):
            parse_overrides(part)

    def test_a_date_named_twice_is_refused(self) -> None:
        with pytest.raises(FixConfig, match=r"'2026-01-05:13:00'.*named twice"):
            parse_overrides("2026-01-05:closed,2026-01-05:13:00")


def test_importing_the_calendar_loads_no_library_and_reads_no_zone() -> None:
    program = "import sys, trading_playbook.core.calendar; print(*sys.modules)"
    loaded = in_a_fresh_interpreter(program).split()
    assert not {"numpy", "pandas", "pyarrow", "exchange_calendars", "pydantic", "tzdata"} & set(loaded)


days = st.dates(CALENDAR.first, CALENDAR.last)
weekdays = days.filter(lambda day: day.weekday() < 5)
even_minutes = st.sampled_from([*(time.fromisoformat(slot_label(slot, 2)) for slot in range(1, 195)), time(16)])
some_overrides = st.dictionaries(weekdays, st.none() | even_minutes, max_size=5)


@given(start=days, end=days)
def test_the_sessions_of_a_range_lie_in_it_and_come_oldest_first(start: date, end: date) -> None:
    found = [session.date for session in CALENDAR.sessions(start, end)]
    assert found == sorted(set(found))
    assert all(start <= day <= end for day in found)


@given(start=days, length=st.integers(0, 400), data=st.data())
def test_two_ranges_that_meet_hold_what_the_whole_holds(start: date, length: int, data: st.DataObject) -> None:
    end = min(start + length * ONE_DAY, CALENDAR.last - ONE_DAY)
    middle = data.draw(st.dates(min(start, end), end))
    first_part, second_part = CALENDAR.sessions(start, middle), CALENDAR.sessions(middle + ONE_DAY, end + ONE_DAY)
    assert first_part + second_part == CALENDAR.sessions(start, end + ONE_DAY)


@given(day=days)
def test_a_day_has_the_session_that_a_range_of_it_alone_has(day: date) -> None:
    session = CALENDAR.session(day)
    assert CALENDAR.sessions(day, day) == (() if session is None else (session,))


@given(day=st.dates(date(1990, 1, 3), CALENDAR.last))
def test_no_session_lies_between_a_day_and_its_previous_session(day: date) -> None:
    previous = CALENDAR.previous(day)
    assert previous == session_of(previous.date.isoformat())
    assert previous.date < day
    assert CALENDAR.sessions(previous.date + ONE_DAY, day - ONE_DAY) == ()


@given(count=st.integers(0, 300), through=st.dates(CALENDAR.first, date(1994, 12, 31)))
def test_the_last_sessions_are_the_end_of_all_sessions_up_to_a_day(count: int, through: date) -> None:
    so_far = CALENDAR.sessions(CALENDAR.first, through)
    assert CALENDAR.last_sessions(count, through) == so_far[max(0, len(so_far) - count) :]


@given(day=days)
def test_a_session_opens_at_half_past_nine_of_the_new_york_date_that_names_it(day: date) -> None:
    session = CALENDAR.session(day)
    if session is not None:
        assert new_york_date(session.opens) == new_york_date(session.closes) == day
        assert f"{session.opens.astimezone(NEW_YORK):%H:%M}" == slot_label(0, 2)
        assert session.minutes % 2 == 0


@given(offset=st.integers(-23, 23), moment=st.datetimes(datetime(1990, 1, 2), datetime(2028, 12, 30)))
def test_a_moment_has_one_date_in_new_york_whatever_zone_tells_it(offset: int, moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert new_york_date(aware.astimezone(timezone(timedelta(hours=offset)))) == new_york_date(aware)


@given(overrides=some_overrides)
def test_the_version_holds_the_setting_that_makes_the_same_calendar(overrides: Overrides) -> None:
    _, _, setting = Calendar(overrides).version.partition("+")
    assert parse_overrides(setting) == overrides


@given(overrides=some_overrides, day=days)
def test_overrides_decide_their_own_days_and_leave_every_other_as_it_was(overrides: Overrides, day: date) -> None:
    calendar = Calendar(overrides)
    for overridden, closes in overrides.items():
        session = calendar.session(overridden)
        assert closes == (None if session is None else session.closes.astimezone(NEW_YORK).time())
    if day not in overrides:
        assert calendar.session(day) == CALENDAR.session(day)
