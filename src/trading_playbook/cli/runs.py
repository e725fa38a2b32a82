"""trading-playbook runs: what runs did, by the records that they keep beside the journal."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from trading_playbook.cli.answers import answering, show_json
from trading_playbook.cli.arguments import argument, path
from trading_playbook.cli.places import PLACE_OR_OURS, Desk, add_telling
from trading_playbook.cli.process import show
from trading_playbook.core.errors import FixRequest
from trading_playbook.core.parsing import parse_day

if TYPE_CHECKING:
    from trading_playbook.ports import Manifest

DESCRIPTION = """\
List the records of runs, the newest first: when each began (UTC), how it ended, what it judged and wrote, how long it
took and what it asked of the feed. With a RUN, all that its record tells.
"""
LISTED = 20
TITLES = (
    f"{'Began (UTC)':<16}  {'Run':<12}  {'Outcome':<12} "
    f"{'Judged':>6} {'Written':>7} {'Conflict':>8} {'s':>5} {'Calls':>5}"
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "runs",
        help="list what runs did",
        description=DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or its beginning")
    parser.add_argument("--place", type=path, metavar="PLACE", help=PLACE_OR_OURS)
    parser.add_argument("--limit", type=_limit, default=LISTED, metavar="N", help=f"at most N (default: {LISTED})")
    parser.add_argument("--since", type=argument(parse_day), metavar="YYYY-MM-DD", help="from this day on, UTC")
    add_telling(parser)
    parser.set_defaults(command=lambda chosen: answering(lambda: runs(chosen), as_json=chosen.json), parser=parser)


def runs(chosen: argparse.Namespace) -> int:
    place = Desk.of(chosen).place(chosen.place)
    if chosen.run:
        facts = _one(place.runs.list(), chosen.run, place.journal.place).facts
        if chosen.json:
            show_json(dict(facts))
        else:
            show(_as_text(facts))
        return 0
    since = datetime.combine(chosen.since, time(0), UTC) if chosen.since else None
    found = place.runs.list(since=since, limit=chosen.limit)
    if chosen.json:
        show_json({"place": place.journal.place, "runs": [dict(manifest.facts) for manifest in found]})
    elif not found:
        show(f"No record of a run beside {place.journal.place}.")
    else:
        show("\n".join([TITLES, *map(_line, found)]))
    return 0


def _one(manifests: Sequence[Manifest], run: str, place: str) -> Manifest:
    found = [manifest for manifest in manifests if manifest.run_id.startswith(run)]
    exact = [manifest for manifest in found if manifest.run_id == run]
    if len(exact or found) != 1:
        told = "no record of a run" if not found else f"{len(found)} records of runs that begin with"
        raise FixRequest(f"beside {place} there is {told} {run[:40]!r}: trading-playbook runs lists them")
    return (exact or found)[0]


def _line(manifest: Manifest) -> str:
    facts = manifest.facts
    counts = _mapping(facts.get("counts"))
    judged, added, conflicts = (counts.get(name, 0) for name in ("judged", "added", "conflicts"))
    if _is_number(added) and _is_number(counts.get("revised")):
        added += counts["revised"]
    seconds = sum(value for value in _mapping(facts.get("seconds")).values() if _is_number(value))
    return (
        f"{manifest.started:%Y-%m-%d %H:%M}  {manifest.run_id[:12]:<12}  {manifest.outcome[:12]:<12} {judged!s:>6} "
        f"{added!s:>7} {conflicts!s:>8} {seconds:>5.1f} {facts.get('api_calls', 0)!s:>5}"
    )


def _as_text(facts: Mapping[str, object]) -> str:
    """Every fact that is not empty, a line each."""
    lines: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            told = {key: each for key, each in value.items() if each not in (None, [], {}, 0, False)}
            if told:
                lines.append(name)
                lines += [f"  {key:<22} {_text(each)}" for key, each in told.items()]
        elif isinstance(value, list):
            lines += [name] if value else []
            for each in value:
                text = each["message"] if isinstance(each, dict) and "message" in each else _text(each)
                lines += textwrap.wrap(text, 80, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        else:
            lines.append(f"{name:<24} {_text(value)}")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items() if each not in (None, {}, []))
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of runs; expected 1 or more")
    return int(text)
