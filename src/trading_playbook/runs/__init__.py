"""The use case: judge sessions and journal them. Doors call `run`; it knows ports and core, nothing else."""

from trading_playbook.runs.execution import run
from trading_playbook.runs.report import RunReport
from trading_playbook.runs.request import RunRequest, Tools

__all__ = ["RunReport", "RunRequest", "Tools", "run"]
