"""Whether the rows of a journal can be what a run wrote: identity, types, filled columns, times, arithmetic, gaps."""

from __future__ import annotations

from collections.abc import Sequence

from trading_playbook.core.audit.arithmetic import wrong_sums
from trading_playbook.core.audit.columns import wrong_columns, wrong_identity, wrong_types
from trading_playbook.core.audit.findings import Finding as Finding
from trading_playbook.core.audit.findings import finding_of
from trading_playbook.core.audit.series import audit_across as audit_across
from trading_playbook.core.audit.series import audit_endings as audit_endings
from trading_playbook.core.audit.series import audit_history as audit_history
from trading_playbook.core.audit.series import gaps_in, wrong_origins, wrong_trade_numbers
from trading_playbook.core.audit.series import told_stretches as told_stretches
from trading_playbook.core.audit.times import wrong_times
from trading_playbook.core.calendar import Calendar
from trading_playbook.core.journal import JournalRow


def audit(rows: Sequence[JournalRow], calendar: Calendar) -> list[Finding]:
    """All that is wrong with these rows, which are whole series: those of some symbols, strategies and parameters.

    Raises nothing, whatever the rows hold.
    """
    findings: list[Finding] = []
    sound: list[JournalRow] = []
    for row in rows:
        wrong = list(wrong_types(row))
        if not wrong:
            sound.append(row)
            wrong = [*wrong_identity(row), *wrong_columns(row), *wrong_times(row, calendar), *wrong_sums(row)]
        findings += (finding_of(row, kind, told) for kind, told in wrong)
    findings += wrong_origins(sound)
    findings += wrong_trade_numbers(sound)
    findings += gaps_in(sound, calendar)
    return findings
