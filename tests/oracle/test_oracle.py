"""Cases worked out by hand, against which the oracle itself is held before anything is compared with it."""

import hashlib
import random
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.oracle.dp20 import OhlcBar, journal, journal_text, judge_session, number_text, params_hash
from tests.oracle.rows import COLUMNS
from tests.oracle.sessions import MinuteBar, calendar_slots, exit_slot

# The story that most cases are told with. Until 10:00 every bar closes at 100 with a range of 1, so EMA20 is 100 and
# ATR14 is 1. From there, with k = 2 / 21, every true range stays 1 and so does ATR14:
#   10:00 PULLBACK  close  99.58: EMA = 100   - 0.42 x 2/21 =  99.96, the close lies below it
#   10:02 REVERSAL  close 100.17: EMA =  99.96 + 0.21 x 2/21 =  99.98, above; (100.17 - 99.375) / 1 = 0.795 > 0.60
#   10:04 CONFIRM   close 100.19: EMA =  99.98 + 0.21 x 2/21 = 100.00, not below
#   10:06 ENTRY     open  100.50: stop = 100.50 - 1.2 x 1 = 99.30, risk 1.20
# QUIET bars after it have a low of 99.50 and leave the stop alone.
QUIET = (100.0, 100.5, 99.5, 100.0)
PULLBACK = (100.0, 100.5, 99.5, 99.58)
REVERSAL = (99.6, 100.375, 99.375, 100.17)
CONFIRM = (100.17, 100.625, 99.625, 100.19)
ENTRY = (100.5, 101.0, 100.0, 100.5)

D = date(2025, 11, 4)
P = date(2025, 11, 3)


def quiet(slots: int = 195) -> dict[int, OhlcBar]:
    return dict.fromkeys(range(slots), QUIET)


def story(changes: Mapping[int, OhlcBar | None] | None = None, slots: int = 195) -> dict[int, OhlcBar]:
    """The bars of the story, with some slots changed, or taken out where None."""
    bars = {**quiet(slots), 15: PULLBACK, 16: REVERSAL, 17: CONFIRM, 18: ENTRY}
    for slot, bar in (changes or {}).items():
        if bar is None:
            del bars[slot]
        else:
            bars[slot] = bar
    return bars


def daily(close: float, count: int = 200, before: date = D) -> list[tuple[date, float]]:
    """Closes of the days just before a date, newest first, since no order is promised."""
    return [(before - timedelta(days=back), close) for back in range(1, count + 1)]


def judge(
    bars: Mapping[int, OhlcBar],
    *,
    slots: int = 195,
    previous_bars: Mapping[int, OhlcBar] | None = None,
    closes: Sequence[tuple[date, float]] | None = None,
    splits: Sequence[tuple[date, float, float]] = (),
    parameters: Mapping[str, object] | None = None,
    cost: str = "none",
    public_url: str | None = None,
) -> dict[str, str]:
    return judge_session(
        symbol="QQQ",
        trade_date=D,
        session_slots=slots,
        previous_slots=195,
        previous_date=P,
        bars=bars,
        previous_bars=quiet() if previous_bars is None else previous_bars,
        closes=daily(90.0) if closes is None else closes,
        splits=splits,
        parameters=parameters,
        cost=cost,
        public_url=public_url,
    )


def filled(row: Mapping[str, str]) -> dict[str, str]:
    """What a row says beyond what any row says."""
    always = {"trade_date", "entry_window", "entered?", "notes", "symbol", "strategy", "params_hash", "trade_no"}
    always |= {"reason", "data_feed", "data_hash", "revision"}
    assert all(row[column] for column in always)
    return {column: text for column, text in row.items() if text and column not in always}


TREND = {"sma200_daily_at_open": "90.0", "trend_valid": "TRUE"}
UP_TO_CONFIRMATION = {
    **TREND,
    "first_close_below_time": "10:00",
    "reversal_candle_time": "10:02",
    "reversal_strength_ok": "TRUE",
    "confirmation_candle_time": "10:04",
}
UP_TO_ENTRY = {
    **UP_TO_CONFIRMATION,
    "entry_time_et": "10:06",
    "entry_price": "100.5",
    "shares": "20",
    "ema20_at_entry": "100.0",
    "atr_14_2m_at_entry": "1.0",
    "atr_pct_of_price": "0.00995",  # 1 / 100.5 = 0.009950249
    "stop_distance": "1.2",
    "stop_price": "99.3",
    "entry_bucket": "10:00-10:10",
    "bars_since_open": "18",
    "fees_slippage": "0.0",
    "risk_per_share": "1.2",
    "dist_to_ema_bps": "50.0",  # 0.5 / 100 x 10000
    "side": "long",
}


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (605.0, "605.0"),
            (0.3, "0.3"),
            (0.1 + 0.2, "0.3"),
            (-1.5, "-1.5"),
            (0.000012, "0.000012"),
            (100.10000049, "100.1"),
            (-0.0, "0.0"),
            (-0.0000004, "0.0"),
            (0.0000005, "0.0"),  # the double lies just below the tie: 4.99999999999999977e-07
            (2.0**-7, "0.007812"),  # 0.0078125, a true tie, goes to the even digit
            (3 * 2.0**-7, "0.023438"),  # 0.0234375, likewise
            (2000000.0, "2000000.0"),
            (1e22, "10000000000000000000000.0"),
        ],
    )
    def test_a_number_has_one_text(self, value: float, text: str) -> None:
        assert number_text(value) == text

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_what_is_not_finite_has_no_text(self, value: float) -> None:
        with pytest.raises(ValueError, match="no text"):
            number_text(value)


class TestParamsHash:
    def test_the_published_hashes_come_out(self) -> None:
        assert params_hash(None, "none") == "p80720bba934c"
        assert params_hash({"stop_atr": 1.5, "window_end": "10:44"}, "none") == "pc0a720e5aaac"
        assert params_hash({}, "bps:1.5") == "p37dc09e94f5a"

    def test_what_is_at_its_default_does_not_count(self) -> None:
        assert params_hash({"shares": 20, "stop_atr": 1.2, "window_start": "10:00"}, "none") == "p80720bba934c"

    def test_a_float_stands_as_a_float(self) -> None:
        wanted = b'{"rules":1,"set":{"cost":"per_share:2.0","stop_atr":2.0},"strategy":"dp20"}'
        assert params_hash({"stop_atr": 2}, "per_share:2") == "p" + hashlib.sha256(wanted).hexdigest()[:12]

    def test_what_does_not_exist_is_refused(self) -> None:
        with pytest.raises(ValueError, match="stop_art"):
            params_hash({"stop_art": 1.0}, "none")
        with pytest.raises(ValueError, match="no cost model"):
            params_hash(None, "percent:1")
        with pytest.raises(TypeError):
            params_hash({"shares": True}, "none")


class TestRow:
    def test_it_has_the_columns_in_their_order(self) -> None:
        row = judge(story())
        assert tuple(row) == COLUMNS
        assert len(COLUMNS) == 29 + 14
        assert COLUMNS[28] == "chart_link_entry"

    def test_what_any_row_says(self) -> None:
        row = judge(quiet())
        assert row["trade_date"] == "2025-11-04"
        assert row["entry_window"] == "10:00-10:30"
        assert row["entered?"] == "FALSE"
        assert row["notes"] == row["reason"] == "no_pullback"
        assert (row["symbol"], row["strategy"], row["params_hash"]) == ("QQQ", "dp20", "p80720bba934c")
        assert (row["trade_no"], row["data_feed"], row["revision"]) == ("1", "files", "0")

    def test_data_hash_is_made_of_two_digests_and_the_closes(self) -> None:
        # Two slots of D are there, all the others up to the exit slot 192 are not; P has no bar and 195 places.
        missing = b"\x00\x00\x00\x00\x00\x00\xf8\x7f" * 4
        own = struct.pack("<4d", *QUIET) + missing + struct.pack("<4d", *PULLBACK) + missing * 190
        content = hashlib.sha256(missing * 195).digest() + hashlib.sha256(own).digest() + struct.pack("<2d", 80.0, 90.0)
        row = judge(
            {0: QUIET, 2: PULLBACK, 193: ENTRY},
            previous_bars={},
            closes=[(date(2025, 11, 3), 90.0), (date(2025, 10, 31), 80.0), (D, 70.0)],
        )
        assert row["data_hash"] == "d" + hashlib.sha256(content).hexdigest()[:12]

    def test_the_chart_is_linked_where_there_is_an_entry_and_an_address(self) -> None:
        address = "https://example.org/"
        assert judge(story(), public_url=address)["chart_link_entry"] == "https://example.org/charts/QQQ/2025-11-04"
        assert judge(quiet(), public_url=address)["chart_link_entry"] == ""

    def test_the_csv_form_is_sorted_and_ends_its_lines_with_lf(self) -> None:
        row = judge(quiet())
        older = {**row, "trade_date": "2025-11-03", "notes": 'a, "b"'}
        lines = journal_text([row, older]).split("\n")
        assert lines[0] == ",".join(COLUMNS)
        assert lines[1].startswith("2025-11-03,TRUE,90.0,10:00-10:30,,,,,FALSE,,")
        assert '"a, ""b"""' in lines[1]
        assert lines[2].startswith("2025-11-04,")
        assert lines[3:] == [""]


class TestGates:
    def test_no_data(self) -> None:
        row = judge({})
        assert row["reason"] == "no_data"
        assert filled(row) == {}

    def test_insufficient_history(self) -> None:
        row = judge(story(), closes=daily(90.0, 199))
        assert row["reason"] == "insufficient_history"
        assert filled(row) == {}

    def test_a_close_of_the_day_itself_or_later_is_no_history(self) -> None:
        later = [(D, 90.0), (D + timedelta(days=1), 90.0)]
        assert judge(story(), closes=[*daily(90.0, 199), *later])["reason"] == "insufficient_history"
        assert judge(story(), closes=[*daily(90.0), *later]) == judge(story())

    def test_insufficient_warmup(self) -> None:
        # 15 bars of D open before 10:00; with 5 of P there are 20.
        row = judge(story(), previous_bars=dict.fromkeys(range(4), QUIET))
        assert row["reason"] == "insufficient_warmup"
        assert filled(row) == TREND
        assert judge(story(), previous_bars=dict.fromkeys(range(5), QUIET))["reason"] == "entered"

    def test_trend_down(self) -> None:
        # 200 closes of 100.0 give 100.0, and the open has to lie above it.
        row = judge({0: QUIET, 193: QUIET}, closes=daily(100.0))
        assert row["reason"] == "trend_down"
        assert filled(row) == {"sma200_daily_at_open": "100.0", "trend_valid": "FALSE"}

    def test_the_mean_takes_the_last_closes_in_their_order(self) -> None:
        # 100 at 80 (older) and 100 at 95 make 87.5; a close before the 200 does not count.
        closes = [*daily(95.0, 100), *daily(80.0, 100, D - timedelta(days=100)), (date(2020, 1, 2), 1.0)]
        assert judge(story(), closes=closes)["sma200_daily_at_open"] == "87.5"

    def test_the_trend_is_told_by_the_first_bar_that_exists(self) -> None:
        row = judge(story({0: None, 1: (89.0, 100.5, 88.0, 100.0)}))
        assert row["reason"] == "trend_down"

    def test_incomplete_session(self) -> None:
        # Three slots missing up to the confirmation bar: nothing of the walk is shown.
        row = judge(story({0: None, 1: None, 2: None}))
        assert row["reason"] == "incomplete_session"
        assert filled(row) == TREND
        assert judge(story({0: None, 1: None}))["reason"] == "entered"

    def test_slots_after_the_confirmation_bar_are_not_counted(self) -> None:
        assert judge(story({0: None, 1: None, 19: None, 20: None}))["reason"] == "entered"

    def test_without_a_confirmation_bar_the_whole_window_is_counted(self) -> None:
        bars = quiet()
        for slot in (0, 1, 30):
            del bars[slot]
        assert judge(bars)["reason"] == "incomplete_session"
        del bars[31]
        bars[30] = QUIET
        assert judge(bars)["reason"] == "no_pullback"


class TestWalk:
    def test_no_pullback(self) -> None:
        # A close of 100 is not below an EMA of 100.
        row = judge(quiet())
        assert row["reason"] == "no_pullback"
        assert filled(row) == TREND

    def test_a_pullback_before_or_after_the_window_is_none(self) -> None:
        assert judge({**quiet(), 14: PULLBACK})["first_close_below_time"] == ""
        assert judge({**quiet(), 30: PULLBACK})["first_close_below_time"] == "10:30"
        assert judge({**quiet(), 31: PULLBACK})["first_close_below_time"] == ""

    def test_no_reversal_with_weak_bars_only(self) -> None:
        # After the pullback every QUIET bar closes at 100, above the EMA, at half of its range.
        row = judge({**quiet(), 15: PULLBACK})
        assert row["reason"] == "no_reversal"
        assert filled(row) == {**TREND, "first_close_below_time": "10:00", "reversal_strength_ok": "FALSE"}

    def test_no_reversal_without_a_close_above(self) -> None:
        row = judge({**quiet(), **dict.fromkeys(range(15, 31), PULLBACK)})
        assert row["reason"] == "no_reversal"
        assert filled(row) == {**TREND, "first_close_below_time": "10:00"}

    def test_a_close_at_the_ema_is_not_above_it(self) -> None:
        # With a period of 2, k = 2/3: EMA 100 - 2 = 98 at the pullback, and closes of 98 leave it there.
        bars = {**quiet(), 15: (100.0, 100.5, 96.0, 97.0), **dict.fromkeys(range(16, 31), (97.0, 98.0, 96.0, 98.0))}
        row = judge(bars, parameters={"ema_period": 2})
        assert row["reason"] == "no_reversal"
        assert row["reversal_strength_ok"] == ""

    def test_a_bar_without_a_range_is_never_strong(self) -> None:
        flat = (100.1, 100.1, 100.1, 100.1)
        row = judge({**quiet(), 15: PULLBACK, **dict.fromkeys(range(16, 31), flat)})
        assert row["reason"] == "no_reversal"
        assert row["reversal_strength_ok"] == "FALSE"

    def test_strength_is_rounded_before_it_is_compared(self) -> None:
        # (100.37 - 100.07) / (100.57 - 100.07) is 0.6000000000000227 in doubles, and 0.6 is not above 0.60.
        assert (100.37 - 100.07) / (100.57 - 100.07) > 0.6
        assert judge(story({16: (100.2, 100.57, 100.07, 100.37)}))["reversal_candle_time"] != "10:02"
        assert judge(story({16: (100.2, 100.57, 100.07, 100.38)}))["reversal_candle_time"] == "10:02"

    def test_weak_bars_are_passed_over(self) -> None:
        row = judge({**quiet(), 15: PULLBACK, 17: REVERSAL, 18: CONFIRM, 19: ENTRY})
        assert row["reversal_candle_time"] == "10:04"
        assert row["reversal_strength_ok"] == "TRUE"
        assert row["entry_time_et"] == "10:08"

    def test_no_confirmation_without_a_bar_in_the_next_slot(self) -> None:
        row = judge(story({17: None}))
        assert row["reason"] == "no_confirmation"
        reversal = {"first_close_below_time": "10:00", "reversal_candle_time": "10:02", "reversal_strength_ok": "TRUE"}
        assert filled(row) == {**TREND, **reversal}
        # Its own slot and two later ones of the window make three.
        assert judge(story({17: None, 29: None, 30: None}))["reason"] == "incomplete_session"

    def test_no_confirmation_after_a_reversal_in_the_last_window_slot(self) -> None:
        row = judge({**quiet(), 29: PULLBACK, 30: REVERSAL, 31: CONFIRM, 32: ENTRY})
        assert row["reason"] == "no_confirmation"
        assert (row["reversal_candle_time"], row["confirmation_candle_time"]) == ("10:30", "")

    def test_invalidated_and_no_second_attempt(self) -> None:
        # EMA = 99.98 - 0.08 x 2/21 = 99.972, and 99.90 lies below it.
        row = judge(story({17: (100.17, 100.625, 99.625, 99.9), 20: REVERSAL, 21: CONFIRM}))
        assert row["reason"] == "invalidated"
        assert filled(row) == UP_TO_CONFIRMATION

    def test_a_confirmation_that_equals_the_ema_holds(self) -> None:
        # With a period of 2, k = 2/3: EMA 100, then 97 + 1 = 98 of a close of 97, then 98 + 2 = 100 of a close of 101.
        # A confirmation at 100 leaves it at 100.
        bars = story({15: (100.0, 101.0, 96.0, 97.0), 16: (97.0, 102.0, 96.0, 101.0), 17: (100.0, 101.0, 99.0, 100.0)})
        row = judge(bars, parameters={"ema_period": 2})
        assert row["ema20_at_entry"] == "100.0"
        assert row["reason"] == "entered"

    def test_no_entry_bar(self) -> None:
        row = judge(story({18: None}))
        assert row["reason"] == "no_entry_bar"
        assert filled(row) == UP_TO_CONFIRMATION

    @pytest.mark.parametrize(
        "parameters",
        [
            {"stop_atr": 100.5},  # 100.5 - 100.5 x 1 = 0: no stop above nothing
            {"atr_period": 214},  # 195 bars of P and 18 of D make 213 true ranges: the ATR is not defined yet
        ],
    )
    def test_zero_risk(self, parameters: dict[str, object]) -> None:
        row = judge(story(), parameters=parameters)
        assert row["reason"] == "zero_risk"
        assert filled(row) == UP_TO_CONFIRMATION

    def test_an_atr_defined_at_the_confirmation_bar_is_enough(self) -> None:
        assert judge(story(), parameters={"atr_period": 213})["atr_14_2m_at_entry"] == "1.0"

    @pytest.mark.parametrize("last_of_previous", [(100.0, 100.5, 80.0, 80.0), (100.0, 120.0, 99.5, 120.0)])
    def test_the_true_range_reaches_across_the_night(self, last_of_previous: OhlcBar) -> None:
        # The last bar of P and the first of D have a true range of 20.5 each, the other 211 one of 1: 252 / 213.
        # The period of 2 makes the EMA forget the night before the window opens.
        parameters = {"ema_period": 2, "atr_period": 213}
        row = judge(story(), previous_bars={**quiet(), 194: last_of_previous}, parameters=parameters)
        assert row["atr_14_2m_at_entry"] == "1.183099"

    def test_an_atr_goes_on_as_wilder_has_it(self) -> None:
        # A period of 3: (1 + 1 + 1) / 3 = 1 up to the pullback; a true range of 2.5 makes (2 x 1 + 2.5) / 3 = 1.5,
        # and the confirmation bar's of 1 makes (2 x 1.5 + 1) / 3 = 1.333333.
        row = judge(
            story({16: (99.6, 101.375, 98.875, 101.0), 17: (101.0, 101.5, 100.5, 101.0)}), parameters={"atr_period": 3}
        )
        assert row["atr_14_2m_at_entry"] == "1.333333"

    def test_the_bucket_is_the_ten_minutes_that_hold_the_entry(self) -> None:
        row = judge({**quiet(), 20: PULLBACK, 21: REVERSAL, 22: CONFIRM, 23: ENTRY})
        assert (row["entry_time_et"], row["entry_bucket"], row["bars_since_open"]) == ("10:16", "10:10-10:20", "23")

    def test_the_last_entry_there_can_be(self) -> None:
        row = judge({**quiet(), 28: PULLBACK, 29: REVERSAL, 30: CONFIRM, 31: ENTRY})
        assert (row["entry_time_et"], row["entry_bucket"], row["bars_since_open"]) == ("10:32", "10:30-10:40", "31")


class TestExit:
    def test_time(self) -> None:
        # 15:54 closes at 100: (100 - 100.5) x 20 = -10, -0.5 / 1.2 R. Lowest low 99.5, highest high 101 (entry bar).
        row = judge(story())
        assert row["entered?"] == "TRUE"
        assert row["notes"] == row["reason"] == "entered"
        assert filled(row) == {
            **UP_TO_ENTRY,
            "eod_exit_time": "15:54",
            "eod_exit_price": "100.0",
            "gross_pnl": "-10.0",
            "net_pnl": "-10.0",
            "R_multiple": "-0.416667",
            "exit_reason": "time",
            "mae": "1.0",
            "mfe": "0.5",
            "mae_R": "0.833333",
            "mfe_R": "0.416667",
        }

    def test_stop(self) -> None:
        # At 10:30 the low is 99 <= 99.3; the bar opened above, so the fill is the stop: -1.2 x 20 = -24, -1 R.
        # The low after the fill does not count, the high of 102 does: 102 - 100.5 = 1.5.
        row = judge(story({30: (100.0, 102.0, 99.0, 99.2)}))
        assert filled(row) == {
            **UP_TO_ENTRY,
            "eod_exit_time": "10:30",
            "eod_exit_price": "99.3",
            "gross_pnl": "-24.0",
            "net_pnl": "-24.0",
            "R_multiple": "-1.0",
            "exit_reason": "stop",
            "mae": "1.2",
            "mfe": "1.5",
            "mae_R": "1.0",
            "mfe_R": "1.25",
        }

    def test_a_bar_that_opens_below_the_stop_fills_at_its_open(self) -> None:
        # 98.7 - 100.5 = -1.8: -36 dollars, -1.5 R.
        row = judge(story({30: (98.7, 99.0, 98.0, 98.5)}))
        assert (row["eod_exit_price"], row["gross_pnl"], row["R_multiple"]) == ("98.7", "-36.0", "-1.5")
        assert (row["mae"], row["mae_R"], row["mfe"]) == ("1.8", "1.5", "0.5")

    def test_the_entry_bar_can_stop(self) -> None:
        row = judge(story({18: (100.5, 103.5, 99.0, 103.0)}))
        assert (row["eod_exit_time"], row["eod_exit_price"], row["exit_reason"]) == ("10:06", "99.3", "stop")
        assert (row["mae"], row["mfe"]) == ("1.2", "3.0")

    def test_a_low_that_equals_the_stop_stops(self) -> None:
        # 100.5 - 1.0 x 1 = 99.5, exactly the low of the first QUIET bar after the entry.
        row = judge(story(), parameters={"stop_atr": 1.0})
        assert (row["eod_exit_time"], row["eod_exit_price"], row["exit_reason"]) == ("10:08", "99.5", "stop")

    def test_the_exit_slot_can_stop_and_nothing_after_it_can(self) -> None:
        crash = (100.0, 100.5, 50.0, 60.0)
        assert judge(story({192: crash}))["exit_reason"] == "stop"
        assert judge(story({193: crash})) == judge(story())

    def test_last_bar(self) -> None:
        row = judge(story({192: None, 191: None, 190: (100.0, 100.5, 99.5, 100.25)}))
        assert (row["eod_exit_time"], row["eod_exit_price"], row["exit_reason"]) == ("15:50", "100.25", "last_bar")
        assert row["R_multiple"] == "-0.208333"  # -0.25 / 1.2

    def test_last_bar_may_be_the_entry_bar(self) -> None:
        row = judge({slot: bar for slot, bar in story().items() if slot <= 18})
        assert (row["eod_exit_time"], row["eod_exit_price"], row["exit_reason"]) == ("10:06", "100.5", "last_bar")
        assert (row["gross_pnl"], row["R_multiple"]) == ("0.0", "0.0")

    def test_an_early_close(self) -> None:
        row = judge(story(slots=105), slots=105)
        assert (row["eod_exit_time"], row["exit_reason"]) == ("12:54", "time")

    @pytest.mark.parametrize(
        ("slots", "minutes", "slot"),
        [
            (195, 5, 192),  # 15:54 ends at 15:56, the first end at or after 15:55
            (195, 4, 192),  # 15:56 is an end itself
            (195, 3, 193),
            (195, 0, 194),
            (195, 60, 164),  # 14:58 ends at 15:00
            (105, 5, 102),  # 12:54
            (135, 5, 132),  # a close at 14:00: 13:54
            (180, 5, 177),  # a close at 15:30: 15:24
        ],
    )
    def test_the_exit_slot_ends_at_or_just_after_the_minute(self, slots: int, minutes: int, slot: int) -> None:
        assert exit_slot(slots, minutes) == slot

    def test_costs(self) -> None:
        # Gross -10. 1.5 bps of (100.5 + 100) x 20 = 4010 are 0.6015; half a cent on each of 2 x 20 shares is 0.2.
        row = judge(story(), cost="bps:1.5")
        assert (row["gross_pnl"], row["fees_slippage"], row["net_pnl"]) == ("-10.0", "0.6015", "-10.6015")
        row = judge(story(), cost="per_share:0.005")
        assert (row["gross_pnl"], row["fees_slippage"], row["net_pnl"]) == ("-10.0", "0.2", "-10.2")


class TestSplits:
    def test_past_prices_are_brought_into_the_sessions_own_terms(self) -> None:
        # 3 for 1 some days before, 2 for 1 on D itself: P is halved, closes before the first are divided by 6.
        doubled = {slot: (2 * bar[0], 2 * bar[1], 2 * bar[2], 2 * bar[3]) for slot, bar in quiet().items()}
        first = D - timedelta(days=5)
        closes = [(day, 180.0 if day >= first else 540.0) for day, _ in daily(90.0)]
        splits = [(D, 1.0, 2.0), (first, 1.0, 3.0)]
        assert judge(story(), previous_bars=doubled, closes=closes, splits=splits) == judge(story())

    def test_a_split_after_the_session_is_not_known(self) -> None:
        assert judge(story(), splits=[(D + timedelta(days=1), 1.0, 2.0)]) == judge(story())


class TestLookAhead:
    @pytest.mark.parametrize("seed", range(20))
    def test_a_gate_that_shut_stays_shut_whatever_comes_after(self, seed: int) -> None:
        dice = random.Random(seed)
        bars = story({17: (100.17, 100.625, 99.625, 99.9)})
        row = judge(bars)
        for slot in range(18, 195):
            price = dice.uniform(1.0, 1000.0)
            bars[slot] = (price, price * 2, price / 2, price)
            if dice.random() < 0.3:
                del bars[slot]
        changed = judge(bars)
        assert {**changed, "data_hash": ""} == {**row, "data_hash": ""}


def minutes_of(session: date, bars: Mapping[int, OhlcBar]) -> list[MinuteBar]:
    """1-minute bars of a session in winter time, by minutes since 09:30."""
    opened = datetime(session.year, session.month, session.day, 14, 30, tzinfo=UTC)
    return [(opened + timedelta(minutes=minute), *bar) for minute, bar in bars.items()]


def quiet_minutes(session: date, minutes: int = 390) -> list[MinuteBar]:
    return minutes_of(session, dict.fromkeys(range(minutes), QUIET))


WEEK_AND_BEFORE = ((10, 29), (10, 30), (10, 31), (11, 3), (11, 4), (11, 5), (11, 6), (11, 7))


class TestJournal:
    """A week in winter time: 3 to 7 November 2025, with a mean of two closes."""

    week = tuple(date(2025, 11, day) for day in (3, 4, 5, 6, 7))
    closes = tuple((date(2025, month, day), 90.0) for month, day in WEEK_AND_BEFORE)

    def run(
        self,
        minute_bars: Sequence[MinuteBar],
        *,
        closes: Sequence[tuple[date, float]] | None = None,
        accepted: Sequence[date] = (),
        bar_minutes: int = 1,
    ) -> dict[date, str]:
        """Each session's reason, or in capitals the word for why it has no row."""
        rows, without_row = journal(
            symbol="QQQ",
            minute_bars=minute_bars,
            closes=self.closes if closes is None else closes,
            splits=[],
            start=self.week[0],
            end=date(2025, 11, 9),
            parameters={"sma_period": 2},
            accepted=accepted,
            bar_minutes=bar_minutes,
        )
        dates = [date.fromisoformat(row["trade_date"]) for row in rows]
        assert dates == sorted(dates)
        reasons = dict(zip(dates, [row["reason"] for row in rows], strict=True))
        assert not set(reasons) & set(without_row)
        found = {**reasons, **{day: word.upper() for day, word in without_row.items()}}
        assert sorted(found) == list(self.week)
        return found

    def words(self, minute_bars: Sequence[MinuteBar], **options: Sequence[date]) -> list[str]:
        return [word for _, word in sorted(self.run(minute_bars, accepted=options.get("accepted", ())).items())]

    def whole_week(self, but: Mapping[date, Sequence[MinuteBar]] | None = None) -> list[MinuteBar]:
        bars: list[MinuteBar] = []
        for session in self.week:
            bars += (but or {}).get(session, quiet_minutes(session))
        return bars

    def test_the_first_session_of_a_file_has_only_its_own_bars(self) -> None:
        assert self.words(self.whole_week()) == ["insufficient_warmup"] + ["no_pullback"] * 4

    def test_order_repeats_and_extended_hours_change_nothing(self) -> None:
        bars = self.whole_week()
        early = (datetime(2025, 11, 4, 14, 29, tzinfo=UTC), 1.0, 2.0, 3.0, float("nan"))
        late = (datetime(2025, 11, 4, 21, 0, tzinfo=UTC), 1.0, 2.0, 3.0, float("nan"))
        on_sunday = (datetime(2025, 11, 9, 15, 0, tzinfo=UTC), 1.0, 2.0, 3.0, float("nan"))
        mixed = [*bars, *bars[:1000], early, late, on_sunday]
        random.Random(1).shuffle(mixed)
        assert self.run(mixed) == self.run(bars)

    def test_a_two_minute_bar_needs_one_of_its_minutes(self) -> None:
        minutes: dict[int, OhlcBar] = {
            30: (100.0, 101.0, 99.0, 100.5),
            31: (100.5, 103.0, 100.0, 102.0),
            35: (100.0, 101.0, 99.0, 100.5),
        }
        for number in (*range(30), *range(36, 390)):
            minutes[number] = QUIET
        slots = {**dict.fromkeys(range(0, 390, 2), QUIET), 30: (100.0, 103.0, 99.0, 102.0), 34: minutes[35]}
        del slots[32]
        assert self.row(minutes, 1) == self.row(slots, 2)

    def row(self, bars: Mapping[int, OhlcBar], bar_minutes: int) -> dict[str, str]:
        """The row of the second session, with a mean of two closes, warmed up by its own bars."""
        rows, without_row = journal(
            symbol="QQQ",
            minute_bars=minutes_of(self.week[1], bars),
            closes=self.closes,
            splits=[],
            start=self.week[1],
            end=self.week[1],
            parameters={"sma_period": 2, "ema_period": 10},
            bar_minutes=bar_minutes,
        )
        assert without_row == {}
        assert rows[0]["reason"] == "no_reversal"
        return rows[0]

    def test_no_data_and_the_session_after_it(self) -> None:
        assert self.words(self.whole_week({self.week[2]: []})) == [
            "insufficient_warmup",
            "no_pullback",
            "NO_DATA",
            "NO_DATA",  # the session before it has no bar, though the feed's bars begin earlier
            "no_pullback",
        ]

    def test_no_data_can_be_accepted(self) -> None:
        assert self.words(self.whole_week({self.week[2]: []}), accepted=[self.week[2]]) == [
            "insufficient_warmup",
            "no_pullback",
            "no_data",
            "insufficient_warmup",
            "no_pullback",
        ]

    def test_truncated_session_and_the_session_after_it(self) -> None:
        # The eight slots 15:40 to 15:54 are minutes 370 to 385; bars after the exit slot do not help.
        short = [*quiet_minutes(self.week[2], 370), *quiet_minutes(self.week[2])[386:]]
        bars = self.whole_week({self.week[2]: short})
        words = ["insufficient_warmup", "no_pullback", "TRUNCATED_SESSION", "TRUNCATED_SESSION", "no_pullback"]
        assert self.words(bars) == words
        assert self.words(bars, accepted=[self.week[2]]) == ["insufficient_warmup"] + ["no_pullback"] * 4
        assert self.words(self.whole_week({self.week[2]: quiet_minutes(self.week[2], 371)}))[2:4] == ["no_pullback"] * 2

    def test_accepting_a_session_does_not_accept_the_one_before_it(self) -> None:
        for lacking, word, by_leave in (
            ([], "NO_DATA", ["no_data", "insufficient_warmup"]),
            (quiet_minutes(self.week[2], 370), "TRUNCATED_SESSION", ["no_pullback", "no_pullback"]),
        ):
            bars = self.whole_week({self.week[2]: lacking})
            assert self.words(bars, accepted=[self.week[3]])[2:4] == [word, word]
            assert self.words(bars, accepted=[self.week[2], self.week[3]])[2:4] == by_leave

    @pytest.mark.parametrize(
        "bar",
        [
            (100.0, 100.5, 99.5, float("nan")),
            (100.0, float("inf"), 99.5, 100.0),
            (100.0, 100.5, 0.0, 100.0),
            (100.0, 100.5, -1.0, 100.0),
            (100.0, 99.0, 99.5, 100.0),
            (101.0, 100.5, 99.5, 100.0),
            (100.0, 100.5, 99.5, 99.0),
        ],
    )
    def test_a_bad_bar_is_one_of_its_session_and_of_the_next(self, bar: OhlcBar) -> None:
        # Also in the last minute, which no rule looks at.
        bars = self.whole_week({self.week[2]: [*quiet_minutes(self.week[2], 389)]})
        bars += minutes_of(self.week[2], {389: bar})
        words = ["insufficient_warmup", "no_pullback", "BAD_BAR", "BAD_BAR", "no_pullback"]
        assert self.words(bars) == words
        assert self.words(bars, accepted=self.week) == words

    def test_a_time_that_comes_twice_or_lies_between_is_a_bad_bar(self) -> None:
        for extra in (
            (datetime(2025, 11, 5, 15, 0, tzinfo=UTC), 100.0, 100.5, 99.5, 100.25),
            (datetime(2025, 11, 5, 15, 0, 30, tzinfo=UTC), *QUIET),
        ):
            assert self.words([*self.whole_week(), extra])[1:] == ["no_pullback", "BAD_BAR", "BAD_BAR", "no_pullback"]
        assert set(self.run(quiet_minutes(self.week[4])[1::2], bar_minutes=2).values()) == {"NO_DATA", "BAD_BAR"}

    def test_a_bad_close_harms_the_sessions_that_would_use_it(self) -> None:
        for bad in ([(self.week[1], -1.0)], [(self.week[1], 90.0), (self.week[1], 91.0)]):
            closes = [daily for daily in self.closes if daily[0] != self.week[1]] + bad
            words = [word for _, word in sorted(self.run(self.whole_week(), closes=closes).items())]
            assert words == ["insufficient_warmup", "no_pullback", "BAD_BAR", "BAD_BAR", "no_pullback"]

    def test_a_repeated_close_and_one_of_a_closed_day_are_left_out(self) -> None:
        closes = [*self.closes, *self.closes, (date(2025, 11, 2), 5000.0)]
        assert self.run(self.whole_week(), closes=closes) == self.run(self.whole_week())

    def test_before_the_first_daily_bar_a_symbol_is_not_listed(self) -> None:
        closes = [(day, 90.0) for day in self.week[1:]]
        words = [word for _, word in sorted(self.run(self.whole_week(), closes=closes).items())]
        assert words == ["NOT_LISTED"] + ["insufficient_history"] * 2 + ["no_pullback"] * 2

    def test_without_daily_closes_the_last_regular_bar_tells_them(self) -> None:
        rows, without_row = journal(
            symbol="QQQ",
            minute_bars=[
                *minutes_of(self.week[0], {**dict.fromkeys(range(389), QUIET), 389: (92.0, 92.0, 92.0, 92.0)}),
                *minutes_of(self.week[1], {**dict.fromkeys(range(388), QUIET), 388: (95.0, 95.0, 95.0, 95.0)}),
                *quiet_minutes(self.week[2]),
            ],
            closes=[],
            splits=[],
            start=date(2025, 10, 31),
            end=self.week[2],
            parameters={"sma_period": 2},
        )
        assert without_row == {date(2025, 10, 31): "not_listed"}
        assert [row["reason"] for row in rows] == ["insufficient_history", "insufficient_history", "no_pullback"]
        assert rows[2]["sma200_daily_at_open"] == "93.5"

    def test_the_asked_range_has_no_effect(self) -> None:
        bars = self.whole_week({self.week[2]: []})
        whole = self.run(bars)
        for day in self.week:
            rows, without_row = journal(
                symbol="QQQ",
                minute_bars=bars,
                closes=self.closes,
                splits=[],
                start=day,
                end=day,
                parameters={"sma_period": 2},
            )
            assert [row["reason"] for row in rows] + [word.upper() for word in without_row.values()] == [whole[day]]


class TestCalendar:
    def test_early_closes(self) -> None:
        slots = calendar_slots()
        assert slots[date(2025, 11, 26)] == 195
        assert date(2025, 11, 27) not in slots
        assert slots[date(2025, 11, 28)] == 105
        assert slots[date(1992, 12, 24)] == 135
