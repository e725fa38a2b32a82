"""Proof that no decision used the future: sessions judged again with everything after a moment replaced.

A moment counts half slots (see Judgements). For every moment of a session, what the whole session's row says of the
columns known by then must stand unchanged in the row of the session that was altered after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from trading_playbook.core.bars import COLUMNS as BAR_COLUMNS
from trading_playbook.core.bars import BoolArray, FloatArray, IntArray
from trading_playbook.core.grid import SessionGrid
from trading_playbook.core.journal import COLUMNS, JournalRow, KnownAt
from trading_playbook.core.rows import Play, RowMaker, judge_sessions
from trading_playbook.core.strategies.protocol import SessionBatch, opening_of

Future = Callable[[FloatArray], FloatArray]
"""What replaces one column of bars, shape (slots, copies), after a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A column that something later than its known-at moment has changed."""

    symbol: str
    session: date
    moment: int
    future: str
    column: str
    whole: object
    altered: object

    def __str__(self) -> str:
        when = f"{'end' if self.moment % 2 else 'open'} of slot {self.moment // 2}"
        return (
            f"{self.symbol} {self.session}: {self.column} is {self.whole!r} by the {when}, "
            f"and {self.altered!r} with a future of {self.future}"
        )


def futures(seed: int) -> Mapping[str, Future]:
    """The futures that a sweep puts in place of the true one: none at all, absurd prices, random ones near the true."""
    random = np.random.default_rng(seed)
    return {
        "nothing": lambda column: np.full_like(column, np.nan),
        "1e9": lambda column: np.full_like(column, 1e9),
        "random bars": lambda column: column * random.uniform(0.9, 1.1, column.shape),
    }


def sweep(
    play: Play, keys: Sequence[tuple[str, date]], batch: SessionBatch, replaced_by: Mapping[str, Future]
) -> list[Leak]:
    """Every leak found in these sessions, over every moment and every future; none is the proof."""
    leaks: list[Leak] = []
    for row, (symbol, session) in enumerate(keys):
        alone = batch.take(np.array([row]))
        whole, whole_known = _judge(play, [(symbol, session)], alone)
        moments = np.arange(2 * int(alone.session.session_slots[0]))
        for name, future in replaced_by.items():
            altered = _altered(alone, moments, future)
            rows, known = _judge(play, [(symbol, session)] * len(moments), altered)
            for moment, column, true, other in _differences(whole[0], whole_known, rows, known, moments):
                leaks.append(
                    Leak(
                        symbol=symbol,
                        session=session,
                        moment=moment,
                        future=name,
                        column=column,
                        whole=true,
                        altered=other,
                    )
                )
        leaks.extend(_late_entries(play, symbol, session, alone))
    return leaks


def _differences(
    whole: JournalRow,
    whole_known: Mapping[KnownAt, IntArray],
    rows: Sequence[JournalRow],
    known: Mapping[KnownAt, IntArray],
    moments: IntArray,
) -> list[tuple[int, str, object, object]]:
    """Columns that are known by a moment in one of the two rows and do not stand so in the other."""
    found: list[tuple[int, str, object, object]] = []
    for column in COLUMNS:
        by_whole: BoolArray = whole_known[column.known_at][0] <= moments
        by_altered: BoolArray = known[column.known_at] <= moments
        true = getattr(whole, column.attribute)
        for place in np.flatnonzero(by_whole | by_altered).tolist():
            other = getattr(rows[place], column.attribute)
            if other != true or by_whole[place] != by_altered[place]:
                found.append((int(moments[place]), column.name, true, other))
    return found


def _late_entries(play: Play, symbol: str, session: date, alone: SessionBatch) -> list[Leak]:
    """An entry that was decided only after the open at which it is filled."""
    judged = play.strategy.judge(alone)
    late = judged.entered & (judged.decided > opening_of(judged.entry_slot))
    return [
        Leak(
            symbol=symbol,
            session=session,
            moment=int(judged.decided[0]),
            future="its own",
            column="entry_price",
            whole=float(judged.entry_price[0]),
            altered=None,
        )
        for _ in np.flatnonzero(late)
    ]


def _judge(
    play: Play, keys: Sequence[tuple[str, date]], batch: SessionBatch
) -> tuple[list[JournalRow], Mapping[KnownAt, IntArray]]:
    judged = judge_sessions(play.strategy, batch)
    rows = RowMaker(play=play, data_feed="verification").rows(keys, batch, judged, [False] * len(keys))
    return rows, judged.known_at(batch.session.session_slots)


def _altered(alone: SessionBatch, moments: IntArray, future: Future) -> SessionBatch:
    """Copies of one session, one for each moment, with another future after it."""
    copies = alone.take(np.zeros(len(moments), dtype=np.int64))
    slots = np.arange(copies.session.slots)[:, np.newaxis]
    inside = slots < copies.session.session_slots
    columns = {}
    for name in BAR_COLUMNS:
        column = getattr(copies.session, name)
        known_from = 2 * slots if name == "open" else 2 * slots + 1
        columns[name] = np.where(inside & (known_from > moments), future(column), column)
    session = SessionGrid(bar_minutes=copies.session.bar_minutes, session_slots=copies.session.session_slots, **columns)
    return SessionBatch(session=session, previous=copies.previous, closes=copies.closes)
