"""The reasons of the play in words: which rule decided, its value, its threshold, the distance."""

from __future__ import annotations

import numpy as np

from trading_playbook.core.calendar import slot_label
from trading_playbook.core.numbers import number_text
from trading_playbook.core.strategies.dp20.parameters import BAR_MINUTES, Dp20Parameters
from trading_playbook.core.strategies.protocol import NONE, Judgements


def sentence(rules: Dp20Parameters, judged: Judgements, row: int) -> str:
    """What decided one row, for people."""
    value, limit = float(judged.measured[row]), float(judged.threshold[row])
    line, window = f"EMA{rules.ema_period}", f"{rules.window_start:%H:%M}-{rules.window_end:%H:%M}"
    bar = _label(judged.measured_slot[row])
    match judged.reasons[judged.reason[row]]:
        case "no_data":
            return "the session has no bar"
        case "insufficient_history":
            return f"{int(value)} earlier daily closes, {int(limit)} needed, {int(limit - value)} short"
        case "insufficient_warmup":
            return f"{int(value)} bars before {window[:5]}, {int(limit)} needed, {int(limit - value)} short"
        case "trend_down":
            mean = f"SMA{rules.sma_period} {number_text(limit)}"
            return f"first open {number_text(value)} at {bar} is not above {mean}, {number_text(limit - value)} short"
        case "incomplete_session":
            over = int(value - limit)
            return f"{int(value)} slots without a bar up to {bar}, at most {int(limit)} allowed, {over} too many"
        case "no_pullback":
            if not bar:
                return f"no bar in {window}"
            return f"no close below {line} in {window}; nearest at {bar}, {_held(value, limit)} above"
        case "no_reversal":
            return _no_reversal(rules, judged, row)
        case "no_confirmation":
            reversal = _label(judged.reversal[row])
            if judged.reversal[row] == rules.last_slot:
                return f"the reversal came at {reversal}, the last slot of {window}"
            return f"no bar in the slot after the reversal at {reversal}"
        case "invalidated":
            return f"the confirmation at {bar} went below {line}, {_held(value, limit)} below"
        case "no_entry_bar":
            return f"no bar to enter on in the slot after the confirmation at {_label(judged.confirmation[row])}"
        case "zero_risk":
            if np.isnan(value):
                return f"ATR{rules.atr_period} is undefined at {_label(judged.confirmation[row])}, too few bars"
            return f"no risk to take at {bar}: {number_text(value)} where more than 0.0 is needed for a stop"
        case _:
            return _entered(judged, row)


def _no_reversal(rules: Dp20Parameters, judged: Judgements, row: int) -> str:
    value, limit = float(judged.measured[row]), float(judged.threshold[row])
    line, bar = f"EMA{rules.ema_period}", _label(judged.measured_slot[row])
    after = f"after the pullback at {_label(judged.first_close_below[row])}"
    if not bar:
        return f"{after} no bar came in the window"
    if judged.reversal_strength_ok[row] == 0:
        return (
            f"{after} every close above {line} was weak; strongest at {bar}, strength {number_text(value)} where more "
            f"than {number_text(limit)} is needed, {number_text(limit - value)} short"
        )
    return f"{after} no close above {line}; nearest at {bar}, {_held(value, limit)} short"


def _entered(judged: Judgements, row: int) -> str:
    entry, stop = number_text(judged.entry_price[row]), number_text(judged.stop_price[row])
    return (
        f"long {judged.shares} at {_label(judged.entry_slot[row])} for {entry}, stop {stop}; "
        f"pullback {_label(judged.first_close_below[row])}, reversal {_label(judged.reversal[row])}, "
        f"confirmation {_label(judged.confirmation[row])}"
    )


def _held(close: float, line: float) -> str:
    """A close held against the line, and the distance between them."""
    return f"close {number_text(close)} against {number_text(line)}, {number_text(abs(close - line))}"


def _label(slot: int) -> str:
    return slot_label(int(slot), BAR_MINUTES) if slot != NONE else ""
