"""What every TradeWriter must do, seen through the JournalReader of the same place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Protocol

import pytest

from tests.support.rows import days_of_rows, no_trade, trade
from trading_playbook.core.errors import FixRequest, PlaybookError
from trading_playbook.core.journal import JournalRow
from trading_playbook.ports import JournalReader, RowQuery, TradeWriter, WriteResult


class Journal(TradeWriter, JournalReader, Protocol):
    """Both ports of one place."""


OpenJournal = Callable[[], Journal]
EVERYTHING = RowQuery()


class TradeWriterContract:
    """A subclass gives the fixture `open_journal`: opens one and the same place, empty at first, anew each time."""

    def test_nothing_is_visible_before_finalize(self, open_journal: OpenJournal) -> None:
        writer = open_journal()
        writer.write_trade(trade())
        assert open_journal().rows(EVERYTHING) == []
        writer.finalize()
        assert open_journal().rows(EVERYTHING) == [trade()]

    def test_finalize_says_what_was_added(self, open_journal: OpenJournal) -> None:
        result = _write(open_journal(), *days_of_rows(5))
        assert (result.added, result.unchanged, result.revised) == (5, 0, 0)
        assert result.place.startswith(open_journal().place.rstrip("/"))
        assert result.before is None
        assert result.after is not None

    def test_rows_lie_in_the_order_of_their_keys_however_they_were_written(self, open_journal: OpenJournal) -> None:
        rows = [
            no_trade(trade_date=date(2025, 11, day), symbol=symbol, params_hash=params)
            for day in (3, 4)
            for symbol in ("QQQ", "SPY")
            for params in ("p37dc09e94f5a", "p80720bba934c")
        ]
        _write(open_journal(), *rows[::-2])
        _write(open_journal(), *rows[::2])
        assert open_journal().rows(EVERYTHING) == rows

    def test_a_second_run_changes_nothing(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), *days_of_rows(5))
        again = _write(open_journal(), *days_of_rows(5))
        assert (again.added, again.unchanged, again.revised) == (0, 5, 0)
        assert (again.before, again.after) == (None, None)
        assert open_journal().rows(EVERYTHING) == days_of_rows(5)

    def test_a_second_run_adds_what_is_missing(self, open_journal: OpenJournal) -> None:
        rows = days_of_rows(6)
        _write(open_journal(), *rows[::2])
        result = _write(open_journal(), *rows)
        assert (result.added, result.unchanged) == (3, 3)
        assert open_journal().rows(EVERYTHING) == rows

    def test_each_write_goes_on_from_the_bytes_of_the_one_before(self, open_journal: OpenJournal) -> None:
        first = _write(open_journal(), *days_of_rows(3))
        second = _write(open_journal(), *days_of_rows(4))
        assert second.before == first.after != second.after

    def test_rows_of_other_runs_stay(self, open_journal: OpenJournal) -> None:
        ours, theirs = open_journal(), open_journal()
        ours.write_trade(no_trade(symbol="QQQ"))
        theirs.write_trade(no_trade(symbol="SPY"))
        ours.finalize()
        theirs.finalize()
        assert open_journal().rows(EVERYTHING) == [no_trade(symbol="QQQ"), no_trade(symbol="SPY")]

    @pytest.mark.parametrize(
        "changes",
        [{"notes": "other words"}, {"chart_link_entry": "https://example.com/"}, {"data_feed": "alpaca-sip"}],
        ids=lambda changes: next(iter(changes)),
    )
    def test_rows_that_differ_only_in_what_does_not_decide_are_equal(
        self, open_journal: OpenJournal, changes: dict[str, str]
    ) -> None:
        _write(open_journal(), trade())
        result = _write(open_journal(), trade(**changes))
        assert (result.unchanged, result.conflicts, result.drifted, result.after) == (1, (), (), None)
        assert open_journal().rows(EVERYTHING) == [trade()]

    def test_a_row_judged_on_other_bars_is_kept_and_told(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade())
        result = _write(open_journal(), trade(data_hash="dba9876543210"), revise=True)
        assert (result.unchanged, result.drifted, result.after) == (1, (trade().key,), None)
        assert open_journal().rows(EVERYTHING) == [trade()]

    def test_a_row_that_differs_is_a_conflict_and_the_stored_one_stays(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade())
        result = _write(open_journal(), trade(entry_price=605.5, exit_reason=None))
        [conflict] = result.conflicts
        assert (conflict.symbol, conflict.session) == ("QQQ", date(2025, 11, 4))
        assert conflict.columns == {"entry_price": ("605.0", "605.5"), "exit_reason": ("time", "")}
        assert "entry_price 605.0 is now 605.5" in conflict.message
        assert "--revise" in conflict.message
        assert (result.added, result.unchanged, result.revised, result.after) == (0, 0, 0, None)
        assert open_journal().rows(EVERYTHING) == [trade()]

    def test_a_conflict_keeps_no_other_row_from_being_written(self, open_journal: OpenJournal) -> None:
        rows = days_of_rows(5)
        _write(open_journal(), rows[2])
        changed = [*rows[:2], replace(rows[2], sma200_daily_at_open=1.0), *rows[3:]]
        result = _write(open_journal(), *changed)
        assert (result.added, len(result.conflicts)) == (4, 1)
        assert open_journal().rows(EVERYTHING) == rows

    def test_a_revised_row_takes_the_old_ones_place_with_the_next_revision(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade(), no_trade(symbol="SPY"))
        result = _write(open_journal(), trade(entry_price=605.5), no_trade(symbol="SPY"), revise=True)
        assert (result.added, result.unchanged, result.revised, result.conflicts) == (0, 1, 1, ())
        assert open_journal().rows(EVERYTHING) == [trade(entry_price=605.5, revision=1), no_trade(symbol="SPY")]

    def test_the_history_holds_what_was_replaced_oldest_first(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade())
        for price in (605.5, 606.0, 605.0):
            _write(open_journal(), trade(entry_price=price), revise=True)
        assert open_journal().rows(EVERYTHING) == [trade(revision=3)]
        assert open_journal().history(trade().key) == [
            trade(),
            trade(entry_price=605.5, revision=1),
            trade(entry_price=606.0, revision=2),
        ]

    def test_a_row_that_bears_a_later_revision_replaces_an_equal_one_of_an_earlier(
        self, open_journal: OpenJournal
    ) -> None:
        _write(open_journal(), trade(), no_trade(symbol="SPY"))
        result = _write(open_journal(), trade(revision=2), trade(symbol="SPY", revision=2), revise=True)
        assert (result.added, result.unchanged, result.revised, result.conflicts) == (0, 0, 2, ())
        assert open_journal().rows(EVERYTHING) == [trade(revision=2), trade(symbol="SPY", revision=2)]
        assert open_journal().history(trade().key) == [trade()]
        again = _write(open_journal(), trade(), trade(symbol="SPY", revision=2), revise=True)
        assert (again.unchanged, again.after) == (2, None)

    def test_without_revise_a_later_revision_of_an_equal_row_changes_nothing(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade())
        assert _write(open_journal(), trade(revision=2)).unchanged == 1
        assert open_journal().rows(EVERYTHING) == [trade()]

    def test_revising_again_with_the_same_row_changes_nothing(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade())
        _write(open_journal(), trade(entry_price=605.5), revise=True)
        again = _write(open_journal(), trade(entry_price=605.5), revise=True)
        assert (again.unchanged, again.revised, again.after) == (1, 0, None)
        assert len(open_journal().history(trade().key)) == 1

    def test_a_stored_row_is_copied_with_its_revision(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade(revision=3))
        assert open_journal().rows(EVERYTHING) == [trade(revision=3)]

    def test_what_a_copied_row_had_replaced_goes_to_the_history(self, open_journal: OpenJournal) -> None:
        older = [trade(entry_price=605.5), trade(entry_price=606.0, revision=1)]
        for _ in range(2):
            writer = open_journal()
            for row in older:
                writer.write_replaced(row)
            _write(writer, trade(revision=2), no_trade(symbol="SPY"))
        assert open_journal().rows(EVERYTHING) == [trade(revision=2), no_trade(symbol="SPY")]
        assert open_journal().history(trade().key) == older
        assert open_journal().history(no_trade(symbol="SPY").key) == []

    def test_a_history_can_be_completed_without_any_row(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), trade(revision=1))
        writer = open_journal()
        writer.write_replaced(trade(entry_price=605.5))
        writer.finalize()
        assert open_journal().rows(EVERYTHING) == [trade(revision=1)]
        assert open_journal().history(trade().key) == [trade(entry_price=605.5)]

    def test_the_same_row_twice_is_one_row(self, open_journal: OpenJournal) -> None:
        assert _write(open_journal(), trade(), trade()).added == 1

    def test_two_rows_of_one_key_that_are_not_the_same_are_refused(self, open_journal: OpenJournal) -> None:
        writer = open_journal()
        writer.write_trade(trade())
        with pytest.raises(ValueError, match="QQQ 2025-11-04"):
            writer.write_trade(trade(notes="other words"))

    def test_a_writer_goes_on_after_finalize(self, open_journal: OpenJournal) -> None:
        writer = open_journal()
        rows = days_of_rows(2)
        _write(writer, rows[0])
        result = _write(writer, rows[1])
        assert (result.added, result.unchanged) == (1, 0)
        assert open_journal().rows(EVERYTHING) == writer.rows(EVERYTHING) == rows

    def test_finalize_without_a_row_writes_nothing(self, open_journal: OpenJournal) -> None:
        assert list(open_journal().finalize()) in ([], [WriteResult(place=open_journal().place)])

    @pytest.mark.parametrize(("stored", "judged"), [("simulated", "files"), ("files", "simulated")])
    def test_simulated_and_real_rows_never_lie_in_one_journal(
        self, open_journal: OpenJournal, stored: str, judged: str
    ) -> None:
        _write(open_journal(), no_trade(data_feed=stored))
        with pytest.raises(FixRequest) as refused:
            _write(open_journal(), no_trade(symbol="SPY", data_feed=judged))
        assert open_journal().place in refused.value.message
        assert open_journal().rows(EVERYTHING) == [no_trade(data_feed=stored)]

    def test_real_rows_of_several_feeds_may_lie_in_one_journal(self, open_journal: OpenJournal) -> None:
        _write(open_journal(), no_trade(data_feed="files"), no_trade(symbol="SPY", data_feed="alpaca-sip"))
        assert open_journal().feeds(EVERYTHING) == {"files", "alpaca-sip"}

    def test_every_value_comes_back_as_it_was(self, open_journal: OpenJournal) -> None:
        rows = [
            trade(
                symbol="BRK.B",
                notes='a, "b"; über\nzweite Zeile',
                chart_link_entry="https://example.com/charts/BRK.B/2025-11-04",
                atr_pct_of_price=0.000012,
                dist_to_ema_bps=-0.3,
                mfe=123456789.123456,
                shares=0,
            ),
            no_trade(trend_valid=None, sma200_daily_at_open=None, reversal_strength_ok=False),
        ]
        _write(open_journal(), *rows)
        assert open_journal().rows(EVERYTHING) == rows


def _write(writer: TradeWriter, *rows: JournalRow, revise: bool = False) -> WriteResult:
    """Write rows and return what became of them, of all files of the place together."""
    for row in rows:
        writer.write_trade(row)
    results = []
    for answer in writer.finalize(revise=revise):
        if isinstance(answer, PlaybookError):
            raise answer
        results.append(answer)
    if len(results) == 1:
        return results[0]
    return WriteResult(
        place=results[0].place,
        added=sum(result.added for result in results),
        unchanged=sum(result.unchanged for result in results),
        revised=sum(result.revised for result in results),
        conflicts=tuple(conflict for result in results for conflict in result.conflicts),
        drifted=tuple(key for result in results for key in result.drifted),
        before=next((result.before for result in results if result.before), None),
        after=next((result.after for result in results if result.after), None),
    )
