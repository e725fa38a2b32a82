"""The edge between arrays and the journal: one row for each judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from trading_playbook.core.bars import IntArray
from trading_playbook.core.calendar import slot_label
from trading_playbook.core.costs import CostModel, NoCost
from trading_playbook.core.fingerprint import data_hashes
from trading_playbook.core.journal import ACCEPTED, JournalRow, KnownAt, params_hash
from trading_playbook.core.simulation import EXIT_REASONS, Fills, simulate_long
from trading_playbook.core.strategies.protocol import NONE, Judgements, SessionBatch, Strategy, end_of

LONG = "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """All that an owner chose and that can change a row: the strategy with its parameters, and the cost model."""

    strategy: Strategy
    cost: CostModel

    @property
    def params_hash(self) -> str:
        chosen = dict(self.strategy.chosen)
        if not isinstance(self.cost, NoCost):
            chosen["cost"] = self.cost.name
        return params_hash(self.strategy.name, self.strategy.rules, chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSessions:
    """Judgements of a batch and what became of its entries; entries: the rows of the batch that fills stand for."""

    judgements: Judgements
    entries: IntArray
    fills: Fills

    def known_at(self, session_slots: IntArray) -> dict[KnownAt, IntArray]:
        """For each row the moment (see Judgements) after which nothing may change a column; shape (rows,) each."""
        judged = self.judgements
        exits = judged.decided.copy()
        exits[self.entries] = end_of(self.fills.exit_known)
        return {
            KnownAt.ALWAYS: np.full_like(judged.decided, NONE),
            KnownAt.FIRST_OPEN: judged.trend_decided,
            KnownAt.WALK_END: judged.walk_decided,
            KnownAt.DECISION: judged.decided,
            KnownAt.ENTRY: judged.decided,
            KnownAt.EXIT: exits,
            KnownAt.SESSION_END: end_of(session_slots - 1),
        }


def judge_sessions(strategy: Strategy, batch: SessionBatch) -> JudgedSessions:
    """Judge a batch and carry each entry to its exit."""
    judged = strategy.judge(batch)
    entries = np.flatnonzero(judged.entered)
    fills = simulate_long(
        batch.session,
        rows=entries,
        entry_slot=judged.entry_slot[entries],
        entry_price=judged.entry_price[entries],
        stop_price=judged.stop_price[entries],
        exit_slot=judged.exit_slot[entries],
    )
    return JudgedSessions(judgements=judged, entries=entries, fills=fills)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMaker:
    """Makes journal rows of one play from one feed. public_url: the service's address, for the link to a chart."""

    play: Play
    data_feed: str
    public_url: str | None = None

    def rows(
        self, keys: Sequence[tuple[str, date]], batch: SessionBatch, judged: JudgedSessions, accepted: Sequence[bool]
    ) -> list[JournalRow]:
        """One row for each key (symbol, session) of the batch; accepted: whether it is judged by a person's leave."""
        strategy, answers, minutes = self.play.strategy, judged.judgements, batch.session.bar_minutes
        shared: dict[str, Any] = {
            "entry_window": strategy.entry_window,
            "strategy": strategy.name,
            "params_hash": self.play.params_hash,
            "data_feed": self.data_feed,
        }
        entry_of = {row: entry for entry, row in enumerate(judged.entries.tolist())}
        rows = []
        for row, ((symbol, session), data_hash) in enumerate(
            zip(keys, data_hashes(batch, answers.exit_slot), strict=True)
        ):
            reason = answers.reasons[answers.reason[row]]
            values = _walk_values(answers, row, minutes)
            if (entry := entry_of.get(row)) is not None:
                values |= _entry_values(answers, row, minutes)
                values |= _exit_values(answers, row, judged.fills, entry, self.play.cost, minutes)
                values["chart_link_entry"] = self._chart_link(symbol, session)
            rows.append(
                JournalRow(
                    symbol=symbol,
                    trade_date=session,
                    reason=reason,
                    entered=entry is not None,
                    notes=f"{reason}: {strategy.sentence(answers, row)}{ACCEPTED if accepted[row] else ''}",
                    data_hash=data_hash,
                    **shared,
                    **values,
                )
            )
        return rows

    def _chart_link(self, symbol: str, session: date) -> str | None:
        return f"{self.public_url.rstrip('/')}/charts/{symbol}/{session.isoformat()}" if self.public_url else None


def _walk_values(judged: Judgements, row: int, bar_minutes: int) -> dict[str, Any]:
    """What a row shows before any entry."""
    strength_ok = judged.reversal_strength_ok[row]
    values: dict[str, Any] = {
        "first_close_below_time": _label(judged.first_close_below[row], bar_minutes),
        "reversal_candle_time": _label(judged.reversal[row], bar_minutes),
        "reversal_strength_ok": None if strength_ok == NONE else bool(strength_ok),
        "confirmation_candle_time": _label(judged.confirmation[row], bar_minutes),
    }
    if not np.isnan(judged.trend_mean[row]):
        values["sma200_daily_at_open"] = float(judged.trend_mean[row])
        values["trend_valid"] = bool(judged.trend_valid[row])
    return values


def _entry_values(judged: Judgements, row: int, bar_minutes: int) -> dict[str, Any]:
    """What is known at the open of the entry bar."""
    slot = int(judged.entry_slot[row])
    entry, stop = float(judged.entry_price[row]), float(judged.stop_price[row])
    ema, atr = float(judged.ema[row]), float(judged.atr[row])
    return {
        "side": LONG,
        "entry_time_et": slot_label(slot, bar_minutes),
        "entry_price": entry,
        "shares": judged.shares,
        "ema20_at_entry": ema,
        "atr_14_2m_at_entry": atr,
        "atr_pct_of_price": atr / entry,
        "stop_distance": float(judged.stop_distance[row]),
        "stop_price": stop,
        "entry_bucket": _ten_minutes(slot_label(slot, bar_minutes)),
        "bars_since_open": slot,
        "risk_per_share": entry - stop,
        "dist_to_ema_bps": (entry - ema) / ema * 10000,
    }


def _exit_values(
    judged: Judgements, row: int, fills: Fills, entry_place: int, cost: CostModel, bar_minutes: int
) -> dict[str, Any]:
    """What the trade came to; nothing while no bar of it is whole."""
    if fills.exit_slot[entry_place] == NONE:
        return {}
    entry, stop, shares = float(judged.entry_price[row]), float(judged.stop_price[row]), judged.shares
    exit_price = float(fills.exit_price[entry_place])
    mae, mfe = float(fills.mae[entry_place]), float(fills.mfe[entry_place])
    risk = entry - stop
    gross, fees = (exit_price - entry) * shares, cost.fees(entry, exit_price, shares)
    return {
        "exit_reason": EXIT_REASONS[fills.exit_reason[entry_place]],
        "eod_exit_time": slot_label(int(fills.exit_slot[entry_place]), bar_minutes),
        "eod_exit_price": exit_price,
        "gross_pnl": gross,
        "fees_slippage": fees,
        "net_pnl": gross - fees,
        "r_multiple": (exit_price - entry) / risk,
        "mae": mae,
        "mfe": mfe,
        "mae_r": mae / risk,
        "mfe_r": mfe / risk,
    }


def _label(slot: int, bar_minutes: int) -> str | None:
    return None if slot == NONE else slot_label(int(slot), bar_minutes)


def _ten_minutes(label: str) -> str:
    """The ten minutes, counted from the full hour and half open, that hold a time: 10:00-10:10."""
    minutes = (int(label[:2]) * 60 + int(label[3:])) // 10 * 10
    return "-".join(f"{moment // 60:02d}:{moment % 60:02d}" for moment in (minutes, minutes + 10))
