"""The data_hash of a row: which bars and closes it was judged on."""

from __future__ import annotations

import hashlib

import numpy as np

from trading_playbook.core.bars import PRICES, IntArray
from trading_playbook.core.grid import SessionGrid
from trading_playbook.core.strategies.protocol import SessionBatch

_FLOAT_BYTES = 8


def data_hashes(batch: SessionBatch, exit_slot: IntArray) -> list[str]:
    """For each row d and 12 hex digits of SHA-256(digest of P + digest of D + closes), all in D's price terms.

    A digest is the SHA-256 over open, high, low and close of slot after slot as little-endian float64: of P to the end
    of its session, of D up to and including exit_slot, shape (rows,).
    """
    previous = _digests(batch.previous, batch.previous.session_slots)
    # A live grid may end before the exit slot, whose missing bars count all the same.
    height = max(batch.session.slots, int(exit_slot.max(initial=-1)) + 1)
    session = _digests(batch.session.of_height(height), exit_slot + 1)
    closes = np.ascontiguousarray(batch.closes.T, dtype="<f8")
    exist = len(batch.closes) - np.sum(np.isnan(batch.closes), axis=0)
    return [
        "d" + hashlib.sha256(before + now + row[len(row) - count :].tobytes()).hexdigest()[:12]
        for before, now, row, count in zip(previous, session, closes, exist.tolist(), strict=True)
    ]


def _digests(grid: SessionGrid, slots: IntArray) -> list[bytes]:
    """Each row's digest over its first so many slots."""
    interleaved = np.empty((grid.rows, grid.slots, len(PRICES)), dtype="<f8")
    for place, name in enumerate(PRICES):
        interleaved[:, :, place] = getattr(grid, name).T
    # A missing bar has the same bits whatever arithmetic its NaN has been through.
    interleaved[np.isnan(interleaved)] = np.nan
    whole = interleaved.reshape(-1).data.cast("B")
    width = grid.slots * len(PRICES) * _FLOAT_BYTES
    return [
        hashlib.sha256(whole[row * width : row * width + count * len(PRICES) * _FLOAT_BYTES]).digest()
        for row, count in enumerate(slots.tolist())
    ]
