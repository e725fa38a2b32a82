"""The reasons of the play in words: which rule decided, its value, its threshold, the distance."""

from __future__ import annotations

import numpy as np

from trading_playbook.core.calendar import slot_label
from trading_playbook.core.numbers import number_text
from trading_playbook.core.strategies.dp20.parameters import BAR_MINUTES, Dp20Parameters
from trading_playbook.core.strategies.protocol import NONE, Judgements


def sentence(rules: Dp20Parameters, judged: Judgements, row: int) -> str:
    """What decided one row, for people."""
    reason = judged.reasons[judged.reason[row]]
    value, limit = float(judged.measured[row]), float(judged.threshold[row])
    told, held_against, by = number_text(value), number_text(limit), number_text(abs(value - limit))
    bar = _label(judged.measured_slot[row])
    line, window = f"EMA{rules.ema_period}", f"{rules.window_start:%H:%M}-{rules.window_end:%H:%M}"
    pullback, reversal = _label(judged.first_close_below[row]), _label(judged.reversal[row])
    confirmation = _label(judged.confirmation[row])
    match reason:
        case "no_data":
            return "the session has no bar"
        case "insufficient_history":
            return f"{int(value)} earlier daily closes, {int(limit)} needed, {int(limit - value)} short"
        case "insufficient_warmup":
            return (
                f"{int(value)} bars before {rules.window_start:%H:%M}, {int(limit)} needed, {int(limit - value)} short"
            )
        case "trend_down":
            return f"first open {told} at {bar} is not above SMA{rules.sma_period} {held_against}, {by} short"
        case "incomplete_session":
            over = int(value - limit)
            return f"{int(value)} slots without a bar up to {bar}, at most {int(limit)} allowed, {over} too many"
        case "no_pullback" if bar:
            return (
                f"no close below {line} in {window}; nearest at {bar}, close {told} against {held_against}, {by} above"
            )
        case "no_pullback":
            return f"no bar in {window}"
        case "no_reversal" if judged.reversal_strength_ok[row] == 0:
            return (
                f"after the pullback at {pullback} every close above {line} was weak; strongest at {bar}, "
                f"strength {told}, more than {held_against} needed, {by} short"
            )
        case "no_reversal" if bar:
            return (
                f"after the pullback at {pullback} no close above {line}; nearest at {bar}, "
                f"close {told} against {held_against}, {by} short"
            )
        case "no_reversal":
            return f"the pullback came at {pullback}, the last bar of {window}"
        case "no_confirmation" if judged.reversal[row] == rules.last_slot:
            return f"the reversal came at {reversal}, the last slot of {window}"
        case "no_confirmation":
            return f"no bar in the slot after the reversal at {reversal}"
        case "invalidated":
            return f"the confirmation at {bar} closed at {told}, below {line} {held_against} by {by}"
        case "no_entry_bar":
            return f"no bar to enter on in the slot after the confirmation at {confirmation}"
        case "zero_risk":
            if np.isnan(value):
                return f"ATR{rules.atr_period} is undefined at {confirmation}, too few bars"
            return f"ATR{rules.atr_period} or the stop leaves no risk to take at {bar}: {told}, more than 0.0 needed"
        case _:
            return (
                f"long {judged.shares} at {_label(judged.entry_slot[row])} for {number_text(judged.entry_price[row])}, "
                f"stop {number_text(judged.stop_price[row])}; pullback {pullback}, reversal {reversal}, "
                f"confirmation {confirmation}"
            )


def _label(slot: int) -> str:
    return slot_label(int(slot), BAR_MINUTES) if slot != NONE else ""
