"""Whether a file is what a run left, by the hashes that runs recorded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from tests.support.rows import days_of_rows, trade
from trading_playbook.core.audit import Finding
from trading_playbook.core.chain import Link, audit_chain, last_write, rows_sha256
from trading_playbook.core.journal import JournalRow

START = datetime(2025, 11, 4, 22, tzinfo=UTC)
ROWS = days_of_rows(10)


def links(*edges: tuple[str | None, str]) -> list[Link]:
    """Writes, one a day."""
    return [
        Link(run_id=f"run{number}", started=START + timedelta(days=number), before=before, after=after)
        for number, (before, after) in enumerate(edges)
    ]


def audit(sha256: str, chain: Sequence[Link], rows: Sequence[JournalRow] = (), *, as_written: bool = True) -> list[str]:
    return [_told(finding) for finding in audit_chain(sha256, rows, chain, as_written)]


def _told(finding: Finding) -> str:
    return finding.kind if finding.grave else f"({finding.kind})"


class TestWhatARunLeft:
    def test_the_state_after_the_last_write_is_well(self) -> None:
        chain = links((None, "a"), ("a", "b"), ("b", "c"))
        assert audit("c", chain) == []
        found = last_write("c", chain)
        assert found is not None
        assert found.run_id == "run2"

    def test_runs_need_not_be_recorded_in_the_order_of_their_writes(self) -> None:
        assert audit("c", links((None, "a"), ("b", "c"), ("a", "b"))) == []

    def test_a_run_may_write_a_file_twice(self) -> None:
        twice = [
            Link(run_id="run0", started=START, before=None, after="a"),
            Link(run_id="run0", started=START, before="a", after="b"),
        ]
        assert audit("b", twice) == []

    def test_a_state_that_came_back_by_a_run_is_well(self) -> None:
        # The row that the second run added was taken out by hand, with something else, and the third made it good.
        assert audit("a", links((None, "a"), ("a", "b"), ("x", "a"))) == ["(unrecorded)"]

    def test_a_record_of_which_there_are_two_copies_counts_once(self) -> None:
        assert audit("a", links((None, "a"), ("a", "b"), ("a", "b"))) == ["put_back"]

    def test_a_journal_without_records_is_told_and_is_no_fault(self) -> None:
        assert audit("a", []) == ["(no_record)"]


class TestWhatElseBecameOfIt:
    def test_an_older_state_that_was_put_back_shows(self) -> None:
        [finding] = audit_chain("a", (), links((None, "a"), ("a", "b")), True)
        assert finding.kind == "put_back"
        assert "run run1 of 2025-11-05" in finding.told

    def test_an_edit_shows_and_another_programs_form_is_told(self) -> None:
        chain = links((None, "a"), ("a", "b"))
        assert audit("x", chain, ROWS) == ["edited"]
        [finding] = audit_chain("x", ROWS, chain, False)
        assert "another program" in finding.told
        assert "run1" in finding.told

    def test_an_edit_that_later_runs_wrote_over_is_told(self) -> None:
        assert audit("b", links((None, "a"), ("x", "b"))) == ["(unrecorded)"]


class TestRunsThatWereKilledBeforeTheirRecord:
    """All that is there but what such a run added is as recorded: so much can be told from the rows alone."""

    def test_a_night_is_told_by_its_session(self) -> None:
        chain = links((None, rows_sha256(ROWS[:9])))
        [finding] = audit_chain(rows_sha256(ROWS), ROWS, chain, True)
        assert (finding.kind, finding.grave) == ("unrecorded", False)
        assert f"1 row from {ROWS[9].trade_date} on" in finding.told

    def test_several_sessions_earlier_ones_a_symbol_and_a_play_are_told(self) -> None:
        spy = days_of_rows(10, symbol="SPY")
        wide = days_of_rows(10, params_hash="pc0a720e5aaac")
        for rows, known in (
            (ROWS, ROWS[:5]),
            (ROWS, ROWS[4:]),
            ([*ROWS, *spy], ROWS),
            ([*ROWS, *wide], ROWS),
        ):
            rows = sorted(rows, key=lambda row: row.key)
            assert audit(rows_sha256(rows), links((None, rows_sha256(known))), rows) == ["(unrecorded)"]

    def test_an_edit_beside_an_added_row_is_still_an_edit(self) -> None:
        edited = [trade(trade_date=ROWS[0].trade_date, entry_price=700.0), *ROWS[1:]]
        assert audit(rows_sha256(edited), links((None, rows_sha256(ROWS[:9]))), edited) == ["edited"]

    def test_a_deleted_row_is_an_edit(self) -> None:
        assert audit(rows_sha256(ROWS[1:]), links((None, rows_sha256(ROWS))), ROWS[1:]) == ["edited"]
