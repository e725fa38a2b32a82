"""The data_hash by hand: which bars and closes a row was judged on, to the last bit."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from hashlib import sha256

import numpy as np
import pytest

from tests.support.stories import Ohlc, history_of, prepared, quiet, sessions_before, steady_closes, story
from trading_playbook.core.daily import Split
from trading_playbook.core.fingerprint import data_hashes
from trading_playbook.core.strategies.protocol import SessionBatch

P, D = date(2025, 11, 3), date(2025, 11, 4)
MISSING = bytes.fromhex("000000000000f87f") * 4
EXIT_SLOT = 192


def digest(bars: Mapping[int, Ohlc], slots: int) -> bytes:
    """SHA-256 over open, high, low, close of slot 0, then of slot 1, and so on, as little-endian float64."""
    told = (struct.pack("<4d", *bars[slot]) if slot in bars else MISSING for slot in range(slots))
    return sha256(b"".join(told)).digest()


def by_hand(
    previous: Mapping[int, Ohlc],
    bars: Mapping[int, Ohlc],
    closes: Sequence[float],
    previous_slots: int = 195,
    slots: int = EXIT_SLOT + 1,
) -> str:
    content = digest(previous, previous_slots) + digest(bars, slots) + struct.pack(f"<{len(closes)}d", *closes)
    return "d" + sha256(content).hexdigest()[:12]


def batch_of(
    previous: Mapping[int, Ohlc],
    bars: Mapping[int, Ohlc],
    closes: Sequence[tuple[date, float]],
    *,
    days: tuple[date, date] = (P, D),
    splits: Sequence[Split] = (),
    minutes: int = 2,
    accepted: Sequence[date] = (),
) -> SessionBatch:
    known = history_of({days[0]: previous, days[1]: bars}, closes=closes, splits=splits, minutes=minutes)
    return prepared(known, [days[1]], accepted=accepted).batch


def hash_of(batch: SessionBatch, exit_slot: int = EXIT_SLOT) -> str:
    (found,) = data_hashes(batch, np.full(batch.rows, exit_slot))
    return found


CLOSES = [(day, 90.0 + place / 7) for place, day in enumerate(sessions_before(D, 230))]
LAST_200 = [close for _, close in CLOSES[-200:]]


def test_it_is_made_of_two_digests_and_the_closes() -> None:
    assert hash_of(batch_of(quiet(), story(), CLOSES)) == by_hand(quiet(), story(), LAST_200)


def test_a_slot_without_a_bar_is_four_nan_of_the_named_bits() -> None:
    holed = {slot: bar for slot, bar in story().items() if slot not in (0, 7, 100, 192)}
    before = {slot: bar for slot, bar in quiet().items() if slot % 3}
    assert hash_of(batch_of(before, holed, CLOSES)) == by_hand(before, holed, LAST_200)


def test_a_nan_of_other_bits_is_no_difference() -> None:
    batch = batch_of(quiet(), {slot: bar for slot, bar in story().items() if slot != 50}, CLOSES)
    expected = hash_of(batch)
    for column in (batch.session.open, batch.session.high, batch.session.low, batch.session.close):
        column.view(np.uint64)[50, 0] = 0xFFF8000000000001
    assert np.isnan(batch.session.open[50, 0])
    assert hash_of(batch) == expected


def test_a_session_before_without_bars_stands_with_all_its_slots() -> None:
    bars = {**quiet(), 185: (100.0, 100.5, 99.5, 100.0)}
    known = history_of({D: bars}, closes=CLOSES)
    assert hash_of(prepared(known, [D]).batch) == by_hand({}, bars, LAST_200)


def test_of_the_session_what_comes_after_the_exit_slot_does_not_count_and_of_the_one_before_it_does() -> None:
    other: Ohlc = (1.0, 2.0, 0.5, 1.5)
    plain = hash_of(batch_of(quiet(), story(), CLOSES))
    assert hash_of(batch_of(quiet(), story({193: other, 194: None}), CLOSES)) == plain
    assert hash_of(batch_of(quiet(), story({192: other}), CLOSES)) != plain
    assert hash_of(batch_of({**quiet(), 194: other}, story(), CLOSES)) != plain


def test_an_early_close_before_stands_with_105_slots_and_an_early_close_with_its_own_exit() -> None:
    before, friday, monday = date(2025, 11, 26), date(2025, 11, 28), date(2025, 12, 1)
    closes = steady_closes(before)
    found = hash_of(batch_of(quiet(105), story(), closes, days=(friday, monday)))
    assert found == by_hand(quiet(105), story(), [90.0] * 200, previous_slots=105)
    found = hash_of(batch_of(quiet(), story(slots=105), closes, days=(before, friday)), exit_slot=102)
    assert found == by_hand(quiet(), story(slots=105), [90.0] * 200, slots=103)


def test_fewer_closes_than_the_period_are_those_that_exist() -> None:
    for count in (0, 1, 199):
        found = hash_of(batch_of(quiet(), story(), CLOSES[len(CLOSES) - count :]))
        assert found == by_hand(quiet(), story(), [close for _, close in CLOSES[len(CLOSES) - count :]])


def test_all_of_it_is_in_the_sessions_own_terms() -> None:
    # 7 for 5 on the day: dividing by 1.4 leaves prices that no one wrote down.
    raw = {slot: (140.1 + slot, 150.0 + slot, 130.0, 141.3) for slot in range(195)}
    own = {slot: (o / 1.4, h / 1.4, low / 1.4, c / 1.4) for slot, (o, h, low, c) in raw.items()}
    found = hash_of(batch_of(raw, story(), CLOSES, splits=[Split(D, 5.0, 7.0)]))
    assert found == by_hand(own, story(), [close / 1.4 for close in LAST_200])


def test_one_minute_and_two_minute_bars_give_the_same_hash() -> None:
    fine: dict[int, Ohlc] = {}
    for slot, (opened, high, low, close) in story().items():
        if slot % 5 == 0:
            fine[2 * slot + 1] = (opened, high, low, close)
        else:
            fine[2 * slot], fine[2 * slot + 1] = (opened, high, low, low), (low, close, low, close)
    before = dict.fromkeys(range(390), (100.0, 100.5, 99.5, 100.0))
    from_minutes = hash_of(batch_of(before, fine, CLOSES, minutes=1))
    assert from_minutes == hash_of(batch_of(quiet(), story(), CLOSES)) == by_hand(quiet(), story(), LAST_200)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_rows_hash_does_not_depend_on_the_rows_beside_it(rows: int) -> None:
    before, friday = date(2025, 11, 26), date(2025, 11, 28)
    short = batch_of(quiet(), story(slots=105), steady_closes(friday), days=(before, friday))
    plain = batch_of(quiet(), story(), CLOSES)
    together = SessionBatch.side_by_side([short, *[plain] * rows])
    exits = np.array([102, *[EXIT_SLOT] * rows])
    assert data_hashes(together, exits) == [hash_of(short, 102), *[hash_of(plain)] * rows]


def test_a_grid_cut_off_before_the_exit_slot_counts_the_bars_it_lacks_as_missing() -> None:
    batch = batch_of(quiet(), story(), CLOSES)
    shown = {name: getattr(batch.session, name)[:40] for name in ("open", "high", "low", "close", "volume")}
    cut = replace(batch, session=replace(batch.session, **shown))
    early = {slot: bar for slot, bar in story().items() if slot < 40}
    assert hash_of(cut) == by_hand(quiet(), early, LAST_200)
