"""Short ways to ask a feed of files, for the tests beside this file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.support.bars import CALENDAR
from trading_playbook.core.bars import Bars
from trading_playbook.core.daily import DailyCloses
from trading_playbook.core.errors import CheckData, PlaybookError
from trading_playbook.feeds.files import FilesFeed

FAR = date(2028, 12, 29)


def bars_in(root: Path, symbol: str = "QQQ", minutes: int = 2) -> Bars | PlaybookError:
    """What a new feed answers when it is asked for a symbol's bars. The sessions asked for do not matter to it."""
    return FilesFeed(root, CALENDAR).bars([symbol], [], minutes)[symbol]


def closes_in(root: Path, symbol: str = "QQQ", through: date = FAR) -> DailyCloses | PlaybookError:
    """What a new feed answers when it is asked for a symbol's daily closes."""
    return FilesFeed(root, CALENDAR).daily_closes([symbol], before=through, count=200, through=through)[symbol]


def require_refused(answer: object, path: Path, *told: str) -> None:
    """Fail unless the answer says that the file is bad, by its name and with each of these words."""
    assert isinstance(answer, CheckData), answer
    assert (answer.kind, answer.symbol) == ("bad_file", "QQQ")
    assert str(answer).startswith(f"QQQ: {path}")
    for words in told:
        assert words in str(answer)
