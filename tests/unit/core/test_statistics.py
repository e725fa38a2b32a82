"""What a journal's trades came to, after costs, worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.support.stories import CALENDAR
from trading_playbook.core.journal import JournalRow
from trading_playbook.core.statistics import Statistics, drawdown, net_r, summarize

DAYS = [session.date for session in CALENDAR.sessions(date(2025, 11, 3), date(2025, 12, 31))]


def row(day: date, reason: str = "no_pullback", symbol: str = "QQQ") -> JournalRow:
    """A row without a trade."""
    return JournalRow(
        trade_date=day,
        entry_window="10:00-10:30",
        entered=reason == "entered",
        notes=f"{reason}: told",
        symbol=symbol,
        strategy="dp20",
        params_hash="p80720bba934c",
        reason=reason,
        data_feed="files",
        data_hash="d000000000000",
    )


def trade(
    day: date, net: float, *, fees: float = 0.0, risk: float = 1.0, shares: int = 20, exit_time: str = "15:54"
) -> JournalRow:
    """A row with a trade that made so many dollars after costs; risk in dollars a share."""
    return replace(
        row(day, "entered"),
        shares=shares,
        risk_per_share=risk,
        gross_pnl=net + fees,
        fees_slippage=fees,
        net_pnl=net,
        r_multiple=(net + fees) / shares / risk,
        entry_time_et="10:06",
        eod_exit_time=exit_time,
        exit_reason="time",
        side="long",
    )


def trades(*nets: float) -> list[JournalRow]:
    return [trade(day, net) for day, net in zip(DAYS, nets, strict=False)]


def summary(*nets: float) -> Statistics:
    return summarize(trades(*nets), CALENDAR)


class TestEmpty:
    def test_an_empty_journal_has_counts_of_zero_and_no_means(self) -> None:
        found = summarize([], CALENDAR)
        assert (found.sessions, found.trades, found.wins, found.longest_losing_streak) == (0, 0, 0, 0)
        assert (found.total_r, found.net_pnl, found.fees, found.max_drawdown_r, found.max_drawdown) == (0,) * 5
        assert (found.win_rate, found.average_r, found.expectancy, found.profit_factor, found.exposure) == (None,) * 5
        assert found.reasons == {}

    def test_a_journal_without_a_trade_counts_its_sessions_by_the_rule_that_failed_most_frequent_first(self) -> None:
        told = ["trend_down", "no_pullback", "no_pullback", "no_reversal", "no_pullback", "trend_down"]
        found = summarize([row(day, reason) for day, reason in zip(DAYS, told, strict=False)], CALENDAR)
        assert list(found.reasons.items()) == [("no_pullback", 3), ("trend_down", 2), ("no_reversal", 1)]
        assert (found.sessions, found.trades, found.win_rate, found.exposure) == (6, 0, None, 0.0)


class TestOnlyLosers:
    def test_every_figure_is_sane(self) -> None:
        found = summary(-10.0, -20.0, -30.0)
        assert (found.trades, found.wins, found.win_rate) == (3, 0, 0.0)
        assert (found.net_pnl, found.expectancy) == (-60.0, -20.0)
        assert found.profit_factor == 0.0
        assert (found.max_drawdown, found.longest_losing_streak) == (60.0, 3)
        # A risk of a dollar on 20 shares is 20 dollars: -0.5, -1 and -1.5 R.
        assert (found.total_r, found.average_r, found.max_drawdown_r) == (-3.0, -1.0, 3.0)


class TestOnlyWinners:
    def test_nothing_was_lost_and_so_there_is_no_profit_factor(self) -> None:
        found = summary(10.0, 20.0)
        assert (found.trades, found.wins, found.win_rate) == (2, 2, 1.0)
        assert found.profit_factor is None
        assert (found.max_drawdown, found.max_drawdown_r, found.longest_losing_streak) == (0.0, 0.0, 0)
        assert (found.net_pnl, found.expectancy, found.total_r, found.average_r) == (30.0, 15.0, 1.5, 0.75)


class TestByHand:
    # Running totals 40, 20, 30, -10, -30, 50: the highest so far is 40 until the end, the deepest fall 40 + 30 = 70.
    nets = (40.0, -20.0, 10.0, -40.0, -20.0, 80.0)

    def test_drawdown_and_streak(self) -> None:
        found = summary(*self.nets)
        assert (found.max_drawdown, found.max_drawdown_r) == (70.0, 3.5)
        assert found.longest_losing_streak == 2

    def test_the_other_figures(self) -> None:
        found = summary(*self.nets)
        assert (found.trades, found.wins, found.win_rate) == (6, 3, 0.5)
        assert (found.net_pnl, found.total_r) == (50.0, 2.5)
        assert found.expectancy == pytest.approx(50 / 6)
        assert found.average_r == pytest.approx(2.5 / 6)
        assert found.profit_factor == 130.0 / 80.0

    def test_a_fall_before_any_gain_counts_from_zero(self) -> None:
        assert drawdown([-1.0, 0.5, -2.0, 5.0]) == 2.5
        assert drawdown([]) == 0.0
        assert drawdown([3.0]) == 0.0

    def test_a_trade_that_made_nothing_is_no_win_and_ends_a_streak(self) -> None:
        found = summary(-1.0, -1.0, 0.0, -1.0)
        assert (found.wins, found.longest_losing_streak, found.win_rate) == (0, 2, 0.0)

    def test_sessions_without_a_trade_do_not_end_a_streak(self) -> None:
        rows = [trade(DAYS[0], -1.0), row(DAYS[1]), trade(DAYS[2], -1.0)]
        assert summarize(rows, CALENDAR).longest_losing_streak == 2


class TestCosts:
    def test_a_trade_that_its_costs_eat_up_is_a_loss(self) -> None:
        found = summarize([trade(DAYS[0], -0.5, fees=2.5)], CALENDAR)
        assert (found.wins, found.net_pnl, found.fees) == (0, -0.5, 2.5)
        assert found.total_r == -0.5 / 20

    def test_r_is_net_dollars_over_the_dollars_at_risk(self) -> None:
        assert net_r(trade(DAYS[0], 12.0, fees=3.0, risk=0.5, shares=8)) == 3.0
        assert net_r(row(DAYS[0])) == 0.0


class TestOrder:
    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        rows = [*trades(40.0, -20.0, 10.0, -40.0, -20.0, 80.0), *(row(day) for day in DAYS[10:14])]
        expected = summarize(rows, CALENDAR)
        for seed in range(5):
            assert summarize(random.Random(seed).sample(rows, len(rows)), CALENDAR) == expected

    def test_trades_of_one_day_count_in_the_order_of_their_exits(self) -> None:
        late = replace(trade(DAYS[0], 30.0, exit_time="15:54"), symbol="AAA")
        early = replace(trade(DAYS[0], -30.0, exit_time="10:30"), symbol="ZZZ")
        # First -30, then back to 0: a fall of 30 from zero. The other way round it would be one from 30, as deep.
        before = trade(DAYS[1], -10.0)
        assert summarize([late, early, before], CALENDAR).max_drawdown == 30.0
        assert summarize([replace(late, eod_exit_time="10:20"), early, before], CALENDAR).max_drawdown == 40.0


class TestExposure:
    def test_it_is_the_time_from_entry_to_exit_over_the_time_of_all_sessions(self) -> None:
        # 10:06 to 15:54 are 348 minutes, 10:06 to 10:30 are 24; two whole sessions and one without a trade.
        rows = [trade(DAYS[0], 1.0), trade(DAYS[1], 1.0, exit_time="10:30"), row(DAYS[2])]
        assert summarize(rows, CALENDAR).exposure == (348 + 24) / (3 * 390)

    def test_a_session_with_an_early_close_is_shorter(self) -> None:
        assert summarize([trade(date(2025, 11, 28), 1.0, exit_time="12:54")], CALENDAR).exposure == 168 / 210

    def test_a_row_of_a_day_that_the_calendar_does_not_know_as_open_counts_no_time(self) -> None:
        assert summarize([row(date(2025, 11, 27))], CALENDAR).exposure is None
        beyond = CALENDAR.last + timedelta(days=30)
        assert summarize([row(beyond)], CALENDAR).exposure is None
