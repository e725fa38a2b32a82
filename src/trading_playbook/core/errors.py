"""The error family, named by what the reader should do next.

Every error carries its facts as attributes, so that doors can tell them apart without reading the sentence,
and every one pickles, since errors cross processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date


class PlaybookError(Exception):
    """Something a person or a scheduler can act on; the message says what to do, and never holds a secret."""

    def __init__(self, message: str, *, symbol: str | None = None, session: date | None = None) -> None:
        super().__init__(message)
        self.symbol = symbol
        self.session = session

    @property
    def message(self) -> str:
        return str(self.args[0])

    def facts(self) -> dict[str, object]:
        """The error as plain values for a manifest, a JSON answer or a log line; absent facts are left out."""
        told: dict[str, object] = {"type": type(self).__name__, "message": self.message}
        for name, value in vars(self).items():
            if value is not None:
                told[name] = value.isoformat() if isinstance(value, date) else value
        return told


class FixConfig(PlaybookError):
    """The configuration is wrong: a setting, a key, a permission. Mend it; asking again will not help."""


class FixRequest(PlaybookError):
    """The request is wrong and never will be right as it stands: mend the request."""


class ReviewConflict(PlaybookError):
    """A stored row differs from the judged one: look at both, then ask to revise or leave the stored one."""

    def __init__(
        self,
        message: str,
        *,
        symbol: str | None = None,
        session: date | None = None,
        columns: dict[str, tuple[str, str]] | None = None,
    ) -> None:
        """`columns` holds, for each column that differs, the stored text and the new one."""
        super().__init__(message, symbol=symbol, session=session)
        self.columns = columns


class CheckData(PlaybookError):
    """The bars are wrong and asking again will not mend them: look at the bar and the field named here.

    kind: bad_bar, bad_close, bad_split, bad_file, truncated_session, or no_data.
    bar: New York label of the bar (HH:MM), field: the column, both where the error has one.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "bad_bar",
        symbol: str | None = None,
        session: date | None = None,
        bar: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message, symbol=symbol, session=session)
        self.kind = kind
        self.bar = bar
        self.field = field


class NoData(CheckData):
    """An open session without bars: wait for the feed, or accept the session by name."""

    def __init__(self, message: str, *, symbol: str | None = None, session: date | None = None) -> None:
        super().__init__(message, kind="no_data", symbol=symbol, session=session)


class RetryLater(PlaybookError):
    """Temporary trouble: the same call may work later. retry_after_seconds is at least 1."""

    def __init__(
        self,
        message: str,
        *,
        symbol: str | None = None,
        session: date | None = None,
        retry_after_seconds: float = 60.0,
    ) -> None:
        super().__init__(message, symbol=symbol, session=session)
        self.retry_after_seconds = max(1.0, retry_after_seconds)


class TooEarly(RetryLater):
    """A session has not settled yet: nothing is wrong, come back after retry_after_seconds."""


# Gravest first. A bug of ours stands above them all and is whatever is no PlaybookError.
GRAVITY: tuple[type[PlaybookError], ...] = (FixConfig, FixRequest, ReviewConflict, CheckData, RetryLater)


def gravity(error: Exception) -> int:
    """Rank of an error, 0 being the gravest. Being merely too early ranks below all other trouble."""
    if not isinstance(error, PlaybookError):
        return 0
    if isinstance(error, TooEarly):
        return len(GRAVITY) + 1
    return 1 + next(rank for rank, kind in enumerate(GRAVITY) if isinstance(error, kind))


def gravest(errors: Iterable[Exception]) -> Exception | None:
    """The error that decides a run's outcome; the first of equals; None where there is none."""
    return min(errors, key=gravity, default=None)
