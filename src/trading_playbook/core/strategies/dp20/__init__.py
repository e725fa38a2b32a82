"""DP20, deep pullback 20: an intraday, long-only continuation play, one trade a session, on 2-minute bars.

The session opens above its 200-day mean, pulls back below its EMA inside the window, closes back above it with
strength, and is not refused by the next bar; the bar after that is bought.

What judges is imported when there is something to judge: checking parameters, as a service does where it wakes, needs
no numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from trading_playbook.core.strategies.dp20.parameters import BAR_MINUTES, Dp20Parameters, exit_slot
from trading_playbook.core.strategies.parameters import chosen_parameters, parse_parameters

if TYPE_CHECKING:
    from trading_playbook.core.bars import IntArray
    from trading_playbook.core.strategies.protocol import Judgements, Needs, SessionBatch


@dataclass(frozen=True, slots=True)
class Dp20:
    """The play with its parameters, a Strategy."""

    parameters: Dp20Parameters = field(default_factory=Dp20Parameters)

    name: ClassVar[str] = "dp20"
    rules: ClassVar[int] = 1

    @classmethod
    def with_parameters(cls, given: Mapping[str, object]) -> Dp20:
        """The play with these parameters, as on a command line or in JSON; FixRequest naming an impossible one."""
        return cls(parse_parameters(Dp20Parameters, cls.name, given))

    @property
    def chosen(self) -> Mapping[str, object]:
        return chosen_parameters(self.parameters)

    @property
    def needs(self) -> Needs:
        from trading_playbook.core.strategies.protocol import Needs

        return Needs(bar_minutes=BAR_MINUTES, closes=self.parameters.sma_period)

    @property
    def entry_window(self) -> str:
        return f"{self.parameters.window_start:%H:%M}-{self.parameters.window_end:%H:%M}"

    def exit_slot(self, session_slots: IntArray) -> IntArray:
        return exit_slot(session_slots, self.parameters.exit_minutes_before_close)

    def judge(self, batch: SessionBatch) -> Judgements:
        from trading_playbook.core.strategies.dp20.rules import judge

        return judge(self.parameters, batch)

    def sentence(self, judgements: Judgements, row: int) -> str:
        from trading_playbook.core.strategies.dp20.sentences import sentence

        return sentence(self.parameters, judgements, row)
