"""trading-playbook status: in five lines how the journals stand."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trading_playbook.cli.answers import answering, show_json
from trading_playbook.cli.places import PLACE, Desk, add_place, add_telling
from trading_playbook.cli.process import exit_code, show
from trading_playbook.core.errors import CheckData, gravest

if TYPE_CHECKING:
    from trading_playbook.ports import Manifest
    from trading_playbook.runs.standing import PlaceStanding, Standing, Stretches

DESCRIPTION = """\
In five lines how the journals stand: last night, gaps, the last run and the last error, the trades of the month, and
where it all lies. A night is missing where a configured symbol lacks its row of the last settled session, or of one of
the CATCH_UP_SESSIONS, in any configured journal. Reads only; asks no feed and needs no keys.
"""
EXIT_CODES = """\
exit codes: 0 no night is missing; 2 mend the call or a setting; 3 a night is missing; 4 a journal cannot be read now.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "status",
        help="how the journals stand; ends with 3 where a night is missing",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    add_place(parser, f"{PLACE} (default: all journals of WRITER_TYPE)")
    add_telling(parser, now=True)
    parser.set_defaults(command=lambda chosen: answering(lambda: status(chosen), as_json=chosen.json), parser=parser)


def status(chosen: argparse.Namespace) -> int:
    from trading_playbook.core.calendar import Calendar
    from trading_playbook.runs.standing import standing_of
    from trading_playbook.wiring import build_expected

    desk = Desk.of(chosen)
    calendar = Calendar(desk.settings.calendar_overrides)
    found = standing_of(desk.places(chosen.place), build_expected(desk.settings), calendar, desk.clock.now())
    if chosen.json:
        show_json(_as_json(found))
    else:
        show(_as_text(found))
    missing = [CheckData("a night is missing", kind="no_data")] if found.missing else []
    return exit_code(gravest([*missing, *(place.error for place in found.places if place.error)]))


def _as_text(found: Standing) -> str:
    month, several = found.month, len(found.places) > 1
    lines = {
        "last night": f"{found.night}: {_night(found, several)}",
        "gaps": _gaps(found, several),
        "last run": _last_run(found, several),
        f"{found.night:%B}": f"{_count(month.trades, 'trade')} in {_count(month.sessions, 'session')}, "
        f"{month.total_r:+.2f} R, {month.net_pnl:+,.2f} $",
        "journal": _where(found),
    }
    return "\n".join(f"{name:<11} {told}" for name, told in lines.items())


def _night(found: Standing, several: bool) -> str:
    told = []
    for place in found.places:
        where = f" in {place.place}" if several else ""
        if place.error:
            told.append(f"{place.error.message}")
        elif not place.begun and place.lacking:
            told.append(f"no row yet{where}")
        elif place.lacking:
            told.append(f"MISSING for {_symbols(place.lacking)}{where}")
    every = "every row is there" if len(found.symbols) > 1 else f"the row of {found.symbols[0]} is there"
    return "; ".join(told) or every


def _gaps(found: Standing, several: bool) -> str:
    told = []
    for place in found.places:
        where = f" in {place.place}" if several else ""
        if place.recent:
            told.append(f"MISSING {_stretches(place.recent)}{where}; backtest --today fills that")
        if place.older:
            told.append(f"older: {_stretches(place.older)}{where}; backtest --start --end fills that")
    return "; ".join(told) or "none"


def _last_run(found: Standing, several: bool) -> str:
    runs = [place.last_run for place in found.places if place.last_run]
    errors = [place.last_error for place in found.places if place.last_error]
    if not runs:
        return "no record of any"
    last = max(runs, key=lambda manifest: manifest.started)
    counts = last.facts.get("counts")
    added = counts.get("added", 0) if isinstance(counts, dict) else 0
    told = f"{last.started:%Y-%m-%d %H:%M} UTC {last.outcome}, {added} added"
    if not errors:
        return f"{told}; no error"
    error = max(errors, key=lambda manifest: manifest.started)
    if error.run_id == last.run_id:
        return f"{told}: {_message(error)}"
    return f"{told}; last error {error.started:%Y-%m-%d %H:%M} UTC {error.outcome}: {_message(error)}"


def _message(manifest: Manifest) -> str:
    errors = manifest.facts.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    message = str(first.get("message", "")) if isinstance(first, dict) else ""
    return message if len(message) <= 100 else f"{message[:100]}..."


def _where(found: Standing) -> str:
    others: dict[tuple[str, str], int] = {}
    for place in found.places:
        for play, count in (place.others or {}).items():
            others[play] = max(others.get(play, 0), count)
    told = f"{', '.join(place.place for place in found.places)}: {found.play.strategy.name} {found.play.params_hash}"
    told += f" on {found.data_feed}"
    if others:
        told += "; it also holds " + ", ".join(
            f"{_count(count, 'row')} of {strategy} {params}" for (strategy, params), count in sorted(others.items())
        )
    return told


def _as_json(found: Standing) -> dict[str, object]:
    return {
        "outcome": "missing" if found.missing else "well",
        "now": found.now.isoformat(),
        "night": found.night.isoformat(),
        "symbols": list(found.symbols),
        "strategy": found.play.strategy.name,
        "params_hash": found.play.params_hash,
        "data_feed": found.data_feed,
        "month": {
            "trades": found.month.trades,
            "sessions": found.month.sessions,
            "total_r": round(found.month.total_r, 6),
            "net_pnl": round(found.month.net_pnl, 6),
        },
        "places": [_place_json(place) for place in found.places],
    }


def _place_json(place: PlaceStanding) -> dict[str, object]:
    def days(stretches: Mapping[str, Stretches] | None) -> dict[str, list[list[str]]]:
        return {symbol: [[str(first), str(last)] for first, last in own] for symbol, own in (stretches or {}).items()}

    return {
        "place": place.place,
        "error": place.error.facts() if place.error else None,
        "lacking": list(place.lacking),
        "missing": days(place.recent),
        "older_gaps": days(place.older),
        "others": [
            {"strategy": strategy, "params_hash": params, "rows": count}
            for (strategy, params), count in sorted((place.others or {}).items())
        ],
        "last_run": _run_json(place.last_run),
        "last_error": _run_json(place.last_error),
    }


def _run_json(manifest: Manifest | None) -> dict[str, object] | None:
    if manifest is None:
        return None
    return {"run_id": manifest.run_id, "started": manifest.started.isoformat(), "outcome": manifest.outcome,
            "message": _message(manifest)}  # fmt: skip


def _stretches(found: Mapping[str, Stretches]) -> str:
    from trading_playbook.core.audit import told_stretches

    told = [f"{symbol} {told_stretches(own, 3)}" for symbol, own in list(found.items())[:5]]
    return ", ".join(told + ([f"and {len(found) - 5} more symbols"] if len(found) > 5 else []))


def _symbols(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - 10} more" if len(symbols) > 10 else ""
    return f"{', '.join(symbols[:10])}{more}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
