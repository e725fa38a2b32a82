"""What the tests of the journal in MongoDB share."""

from __future__ import annotations

import traceback

from trading_playbook.core.errors import PlaybookError
from trading_playbook.core.journal import JournalRow
from trading_playbook.journals.mongo.journal import MongoJournal
from trading_playbook.ports import WriteResult

DATABASE, COLLECTION = "playbook", "trades"


def write(journal: MongoJournal, *rows: JournalRow, revise: bool = False) -> WriteResult:
    for row in rows:
        journal.write_trade(row)
    [result] = journal.finalize(revise=revise)
    assert not isinstance(result, PlaybookError)
    return result


def shown(error: BaseException) -> str:
    """All that a log could show of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
