"""What every JournalReader must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from tests.contracts.trade_writer import EVERYTHING, OpenJournal
from tests.support.rows import no_trade, trade
from trading_playbook.core.journal import JournalRow
from trading_playbook.ports import JournalFile, RowQuery, WriteResult

ROWS = [
    trade(trade_date=date(2025, 11, 3)),
    no_trade(trade_date=date(2025, 11, 3), symbol="SPY"),
    no_trade(trade_date=date(2025, 11, 4)),
    no_trade(trade_date=date(2025, 11, 4), params_hash="pc0a720e5aaac"),
    no_trade(trade_date=date(2025, 11, 5), strategy="other", data_feed="alpaca-sip"),
]


class JournalReaderContract:
    """A subclass gives the fixture `open_journal`: opens one and the same place, empty at first, anew each time."""

    def test_a_place_where_nothing_was_written_is_an_empty_journal(self, open_journal: OpenJournal) -> None:
        reader = open_journal()
        reader.require_writable()
        assert reader.rows(EVERYTHING) == []
        assert reader.history(trade().key) == []
        assert reader.feeds(EVERYTHING) == frozenset()

    @pytest.mark.parametrize(
        ("query", "taken"),
        [
            (RowQuery(), lambda row: True),
            (RowQuery(symbols=frozenset({"SPY", "NVDA"})), lambda row: row.symbol == "SPY"),
            (RowQuery(symbols=frozenset()), lambda row: False),
            (RowQuery(start=date(2025, 11, 4)), lambda row: row.trade_date >= date(2025, 11, 4)),
            (RowQuery(end=date(2025, 11, 4)), lambda row: row.trade_date <= date(2025, 11, 4)),
            (RowQuery(strategy="other"), lambda row: row.strategy == "other"),
            (RowQuery(params_hash="pc0a720e5aaac"), lambda row: row.params_hash == "pc0a720e5aaac"),
            (
                RowQuery(symbols=frozenset({"QQQ"}), start=date(2025, 11, 4), end=date(2025, 11, 4), strategy="dp20"),
                lambda row: row in ROWS[2:4],
            ),
        ],
        ids=["all", "symbols", "no symbol", "start", "end", "strategy", "parameters", "several at once"],
    )
    def test_a_query_takes_the_rows_that_fit_all_that_it_names(
        self, open_journal: OpenJournal, query: RowQuery, taken: Callable[[JournalRow], bool]
    ) -> None:
        _fill(open_journal)
        assert open_journal().rows(query) == list(filter(taken, ROWS))

    def test_no_file_lies_where_nothing_was_written(self, open_journal: OpenJournal) -> None:
        assert list(open_journal().files(EVERYTHING)) == []

    def test_the_files_hold_every_row_and_what_was_replaced(self, open_journal: OpenJournal) -> None:
        _fill(open_journal)
        writer = open_journal()
        writer.write_trade(replace(ROWS[0], entry_price=606.0))
        [result] = [each for each in writer.finalize(revise=True) if isinstance(each, WriteResult)]
        files = [each for each in open_journal().files(RowQuery(symbols=frozenset())) if isinstance(each, JournalFile)]
        files = files or [each for each in open_journal().files(EVERYTHING) if isinstance(each, JournalFile)]
        assert sorted(row.key for file in files for row in file.rows) == [row.key for row in ROWS]
        assert [row for file in files for row in file.replaced] == [ROWS[0]]
        assert all(file.as_written for file in files)
        # What a run records of a write is what the file is known by.
        assert result.after in [file.sha256 for file in files if file.place == result.place]

    def test_a_reader_that_stays_open_sees_what_others_write(self, open_journal: OpenJournal) -> None:
        reader = open_journal()
        assert reader.rows(EVERYTHING) == []
        _fill(open_journal)
        assert reader.rows(EVERYTHING) == ROWS

    def test_feeds_are_those_of_all_rows(self, open_journal: OpenJournal) -> None:
        _fill(open_journal)
        assert open_journal().feeds(EVERYTHING) == {"files", "alpaca-sip"}

    def test_a_row_that_was_never_replaced_has_no_history(self, open_journal: OpenJournal) -> None:
        _fill(open_journal)
        assert open_journal().history(ROWS[0].key) == []

    def test_a_journal_that_can_be_written_may_be_asked_about_without_a_change(self, open_journal: OpenJournal) -> None:
        _fill(open_journal)
        open_journal().require_writable()
        assert open_journal().rows(EVERYTHING) == ROWS


def _fill(open_journal: OpenJournal) -> None:
    writer = open_journal()
    for row in ROWS:
        writer.write_trade(row)
    writer.finalize()
