"""Sessions as arrays: each once, oldest first, with the one before each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from tests.support.stories import CALENDAR, session_of
from trading_playbook.core.daily import day_number
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.schedule import Schedule, Timetable, are_sessions

NOVEMBER = CALENDAR.sessions(date(2025, 11, 1), date(2025, 12, 1))


def nanoseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 1_000_000_000


def test_a_timetable_tells_opens_and_closes_in_nanoseconds_and_slots_by_their_length() -> None:
    found = Timetable.of([session_of(date(2025, 11, 26)), session_of(date(2025, 11, 28))])
    assert found.days.tolist() == [day_number(date(2025, 11, 26)), day_number(date(2025, 11, 28))]
    assert found.opens.tolist() == [nanoseconds(datetime(2025, 11, day, 14, 30, tzinfo=UTC)) for day in (26, 28)]
    assert found.closes.tolist()[1] == nanoseconds(datetime(2025, 11, 28, 18, 0, tzinfo=UTC))
    assert [found.slots(minutes).tolist() for minutes in (1, 2, 4)] == [[390, 210], [195, 105], [98, 53]]


def test_a_schedule_holds_each_session_once_and_the_one_before_each() -> None:
    found = Schedule.of(NOVEMBER, CALENDAR)
    days = [session.date for session in found.timetable.sessions]
    assert days == sorted(set(days)) == [date(2025, 10, 31), *(session.date for session in NOVEMBER)]
    assert [days[place] for place in found.own.tolist()] == [session.date for session in NOVEMBER]
    assert [days[place] for place in found.before.tolist()] == days[:-1]


def test_sessions_that_do_not_follow_each_other_bring_the_ones_between_them_along() -> None:
    found = Schedule.of([session_of(date(2025, 11, 3)), session_of(date(2025, 11, 6))], CALENDAR)
    assert [session.date.day for session in found.timetable.sessions] == [31, 3, 5, 6]
    assert (found.own.tolist(), found.before.tolist()) == ([1, 3], [0, 2])


def test_before_the_calendars_first_session_nothing_can_be_judged() -> None:
    first = CALENDAR.sessions(CALENDAR.first, CALENDAR.first + timedelta(days=7))[0]
    with pytest.raises(FixRequest, match="no session before"):
        Schedule.of([first], CALENDAR)


class TestAreSessions:
    def test_they_are_what_the_calendar_says_of_each_day(self) -> None:
        days = [date(2024, 12, 20) + timedelta(days=passed) for passed in range(400)]
        found = are_sessions(CALENDAR, np.array([day_number(day) for day in days]))
        assert found.tolist() == [CALENDAR.is_open(day) for day in days]

    @pytest.mark.parametrize(
        "days",
        [
            [date(1985, 1, 2)],
            [date(1969, 12, 31)],
            [date(1970, 1, 1)],
            [date(1969, 12, 31), date(1970, 1, 1)],
            [date(2050, 1, 3)],
            [date(1900, 1, 2), date(2090, 1, 2)],
            [],
        ],
    )
    def test_outside_the_calendars_reach_there_is_none(self, days: list[date]) -> None:
        found = are_sessions(CALENDAR, np.array([day_number(day) for day in days], dtype=np.int64))
        assert found.tolist() == [False] * len(days)
