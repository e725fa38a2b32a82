from datetime import UTC, date, datetime, timedelta

import pytest

from trading_playbook.core.calendar import Calendar
from trading_playbook.core.costs import NoCost, parse_cost
from trading_playbook.core.errors import FixConfig, FixRequest
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.runs.plan import Plan, plan_run
from trading_playbook.runs.request import RunRequest

CALENDAR = Calendar()
PLAY = Play(strategy=build_strategy("dp20", {}), cost=NoCost())
SETTLE = timedelta(minutes=20)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def night(now: str, stored: dict[str, list[date]] | None = None, **request: object) -> Plan:
    wanted = RunRequest(**{"symbols": ("QQQ",), "play": PLAY, **request})  # type: ignore[arg-type]
    return plan_run(wanted, CALENDAR, at(now), SETTLE, 10, stored or {})


def dates(plan: Plan, symbol: str = "QQQ") -> list[str]:
    return [session.date.isoformat() for session in plan.sessions[symbol]]


def rows_of(start: str, end: str) -> list[date]:
    return [session.date for session in CALENDAR.sessions(date.fromisoformat(start), date.fromisoformat(end))]


class TestNightly:
    def test_without_any_row_it_judges_the_last_settled_session_alone(self) -> None:
        plan = night("2025-11-04T17:00-05:00")
        assert dates(plan) == ["2025-11-04"]
        assert plan.too_early is None

    def test_missed_nights_are_made_good(self) -> None:
        stored = {"QQQ": rows_of("2025-10-27", "2025-10-30")}
        assert dates(night("2025-11-04T17:00-05:00", stored)) == ["2025-10-31", "2025-11-03", "2025-11-04"]

    def test_it_does_not_reach_back_before_the_first_row(self) -> None:
        stored = {"QQQ": rows_of("2025-11-03", "2025-11-03")}
        assert dates(night("2025-11-04T17:00-05:00", stored)) == ["2025-11-04"]

    def test_a_hole_inside_the_last_sessions_is_filled(self) -> None:
        stored = {"QQQ": [day for day in rows_of("2025-10-27", "2025-11-04") if day != date(2025, 10, 29)]}
        assert dates(night("2025-11-04T17:00-05:00", stored)) == ["2025-10-29"]

    def test_every_symbol_has_its_own_gaps(self) -> None:
        stored = {"QQQ": rows_of("2025-11-03", "2025-11-04")}
        plan = night("2025-11-04T17:00-05:00", stored, symbols=("QQQ", "SPY"))
        assert dates(plan) == []
        assert dates(plan, "SPY") == ["2025-11-04"]

    def test_older_gaps_are_named_with_the_command_that_fills_them(self) -> None:
        stored = {"QQQ": rows_of("2025-09-02", "2025-09-04") + rows_of("2025-09-08", "2025-11-04")}
        play = Play(strategy=build_strategy("dp20", {"stop_atr": "1.5"}), cost=parse_cost("bps:1"))
        (warning,) = night("2025-11-04T17:00-05:00", stored, play=play).warnings
        assert "2025-09-05" in warning
        assert (
            "trading-playbook backtest --symbol QQQ --strategy dp20 --param stop_atr=1.5 --cost bps:1.0 "
            "--start 2025-09-05 --end 2025-09-05" in warning
        )

    @pytest.mark.parametrize(
        ("now", "wait"),
        [
            ("2025-11-04T16:19:59-05:00", 1),
            ("2025-11-04T08:00:00-05:00", 8 * 3600 + 20 * 60),
            ("2024-11-29T13:19:59-05:00", 1),
            ("2024-12-24T13:19:59-05:00", 1),
            ("2026-11-27T13:00:00-05:00", 1200),
        ],
    )
    def test_before_close_and_settling_today_waits_exactly_so_long(self, now: str, wait: int) -> None:
        plan = night(now, {"QQQ": rows_of("2024-11-01", "2026-11-25")})
        assert plan.too_early is not None
        assert plan.too_early.retry_after_seconds == wait
        assert dates(plan) == []

    @pytest.mark.parametrize("now", ["2025-11-04T16:20:00-05:00", "2024-11-29T13:20:00-05:00"])
    def test_at_the_moment_of_settling_today_is_judged(self, now: str) -> None:
        plan = night(now)
        assert plan.too_early is None
        assert dates(plan) == [now[:10]]

    def test_before_today_has_settled_the_missed_nights_are_done_all_the_same(self) -> None:
        plan = night("2025-11-04T12:00-05:00", {"QQQ": rows_of("2025-10-27", "2025-10-30")})
        assert dates(plan) == ["2025-10-31", "2025-11-03"]
        assert plan.too_early is not None

    def test_a_closed_day_with_nothing_missing_is_known_as_closed(self) -> None:
        plan = night("2025-11-27T17:00-05:00", {"QQQ": rows_of("2025-11-03", "2025-11-26")})
        assert plan.market_closed
        assert dates(plan) == []
        assert plan.too_early is None

    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            ("2026-03-06T17:00-05:00", "2026-03-06"),
            ("2026-03-09T16:20-04:00", "2026-03-09"),
            ("2026-10-30T16:20-04:00", "2026-10-30"),
            ("2026-11-02T16:20-05:00", "2026-11-02"),
        ],
    )
    def test_changes_of_the_clock_move_nothing(self, now: str, expected: str) -> None:
        assert dates(night(now)) == [expected]

    def test_the_calendars_coming_end_is_told_in_its_last_days(self) -> None:
        assert not night("2028-07-03T17:00-04:00").warnings
        (warning,) = night("2028-07-05T17:00-04:00").warnings
        assert "179 days" in warning

    def test_after_the_calendars_end_it_is_the_configuration_that_needs_mending(self) -> None:
        with pytest.raises(FixConfig, match="2028-12-31"):
            night("2029-01-02T17:00-05:00")


class TestRange:
    def plan(self, start: str, end: str, now: str = "2026-02-01T12:00-05:00") -> Plan:
        return night(now, start=date.fromisoformat(start), end=date.fromisoformat(end))

    def test_closed_days_are_left_out_and_counted(self) -> None:
        plan = self.plan("2025-11-26", "2025-12-01")
        assert dates(plan) == ["2025-11-26", "2025-11-28", "2025-12-01"]
        assert plan.closed_days == 3

    def test_unscheduled_closures_have_no_session(self) -> None:
        assert dates(self.plan("2001-09-10", "2001-09-17")) == ["2001-09-10", "2001-09-17"]

    @pytest.mark.parametrize(
        ("start", "end", "told"),
        [
            ("2025-11-29", "2025-11-30", "closed from 2025-11-29"),
            ("2025-12-25", "2025-12-25", "closed from 2025-12-25"),
            ("2026-01-30", "2026-02-02", "after today"),
            ("2029-01-02", "2029-01-03", "2028-12-31"),
            ("1989-12-29", "1990-01-05", "1990-01-01"),
            ("1990-01-02", "1990-01-05", "no session before"),
        ],
    )
    def test_ranges_that_cannot_be_judged_are_refused(self, start: str, end: str, told: str) -> None:
        with pytest.raises(FixRequest, match=told):
            self.plan(start, end)

    def test_an_end_before_the_start_is_refused(self) -> None:
        with pytest.raises(FixRequest, match="before the start"):
            self.plan("2025-11-05", "2025-11-04")

    def test_an_unsettled_end_is_left_for_later_and_the_rest_is_done(self) -> None:
        plan = self.plan("2026-01-28", "2026-01-30", now="2026-01-30T16:10-05:00")
        assert dates(plan) == ["2026-01-28", "2026-01-29"]
        assert plan.too_early is not None
        assert plan.too_early.retry_after_seconds == 600

    def test_a_session_accepted_by_name_must_be_one(self) -> None:
        with pytest.raises(FixRequest, match="2025-11-27"):
            night("2025-11-28T17:00-05:00", accepted=frozenset({("QQQ", date(2025, 11, 27))}))
