"""trading-playbook journal: look at a journal, hand it on, and make sure that it is what it should be."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trading_playbook.cli.answers import answering, show_json
from trading_playbook.cli.arguments import argument, path
from trading_playbook.cli.places import PLACE, Desk, add_filters, add_place, add_telling, query_of
from trading_playbook.cli.process import exit_code, show, tell
from trading_playbook.cli.settings import add_cloud, add_log_level
from trading_playbook.core.errors import CheckData, FixRequest, ReviewConflict, gravest
from trading_playbook.core.parsing import parse_accepted, parse_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trading_playbook.ports import JournalPlace

DIFFERENT = exit_code(ReviewConflict(""))
DAMAGED = exit_code(CheckData(""))
FORMATS = ("csv", "json", "parquet")

_CODES = {0: "done", 2: "mend the call or a setting", 4: "come back later"}
"""What every verb may end with; some have other words for it, and more."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "journal",
        help="show, export, compare, copy and verify journals",
        description="Look at journals, hand them on, and make sure that they are what they should be.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=True)
    for add in (_add_show, _add_export, _add_diff, _add_copy, _add_verify, _add_recheck):
        add(verbs)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    work: Callable[[argparse.Namespace], int],
    told: str,
    description: str,
    codes: Mapping[int, str] = MappingProxyType({}),
) -> argparse.ArgumentParser:
    meanings = sorted({**_CODES, **codes}.items())
    parser = verbs.add_parser(
        name,
        help=told,
        description=description,
        epilog=f"exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in meanings)}.",
        allow_abbrev=False,
    )

    def command(chosen: argparse.Namespace) -> int:
        return answering(lambda: work(chosen), as_json=getattr(chosen, "json", False))

    parser.set_defaults(command=command, parser=parser)
    return parser


def _add_show(verbs: Any) -> None:
    parser = _verb(
        verbs, "show", _show, "the rows as a table, with what they came to",
        "The rows of a journal, one line each: a trade, or the reason why there was none; then what they came to.",
    )  # fmt: skip
    add_place(parser)
    add_filters(parser)
    parser.add_argument(
        "--history",
        type=argument(parse_accepted),
        metavar="SYMBOL:DATE",
        help="instead: every revision of this session's row, oldest first, and what changed",
    )
    parser.add_argument("--last", type=_count, metavar="N", help="the last N rows alone, the figures of all")
    add_telling(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="with the notes: which rule, by how much")


def _add_export(verbs: Any) -> None:
    parser = _verb(
        verbs, "export", _export, "the rows as CSV, JSON or parquet",
        "Write the rows, with every column of the journal, to a file or to stdout. The file is there whole or not at\n"
        "all. In JSON and parquet values are typed, and what does not apply is null.",
    )  # fmt: skip
    add_place(parser)
    add_filters(parser)
    parser.add_argument("-o", "--output", type=path, metavar="FILE", help="where to (default: stdout)")
    parser.add_argument("--format", choices=FORMATS, help="default: by the ending of FILE; csv on stdout")
    add_log_level(parser)
    add_cloud(parser)


def _add_diff(verbs: Any) -> None:
    parser = _verb(
        verbs, "diff", _diff, "compare two journals, row by row",
        "Compare two journals key by key: rows that one of them lacks, and columns that differ with both values.\n"
        "Notes, links, the feed, the data's hash and the revision do not make rows different.",
        {0: "both hold equal rows", DIFFERENT: "they differ"},
    )  # fmt: skip
    parser.add_argument("one", type=path, metavar="A", help=PLACE)
    parser.add_argument("other", type=path, metavar="B", help="the same")
    add_filters(parser)
    add_telling(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="every row that differs")


def _add_copy(verbs: Any) -> None:
    parser = _verb(
        verbs, "copy", _copy, "copy rows, with their history, from one journal to another",
        "Give B the rows of A that it lacks, with their revisions and all that they have replaced. Equal rows stay as\n"
        "they are, different ones are conflicts and stay too. Again, it changes nothing. A record is kept beside B.",
        {0: "B holds all of them", DIFFERENT: "rows differ and were kept as they are in B"},
    )  # fmt: skip
    parser.add_argument("one", type=path, metavar="A", help=PLACE)
    parser.add_argument("other", type=path, metavar="B", help="the same; made where there is none")
    add_filters(parser)
    add_telling(parser)


def _add_verify(verbs: Any) -> None:
    parser = _verb(
        verbs, "verify", _verify, "is the journal whole, sound, and what a run left",
        "Check identity, types, filled columns, times, arithmetic and gaps of the rows, and by the records of runs\n"
        "beside the journal whether it is what a run left, so that a later edit shows. Nothing is written.",
        {0: "all is well", DAMAGED: "something is wrong or missing"},
    )  # fmt: skip
    add_place(parser)
    add_filters(parser)
    add_telling(parser, now=True)


def _add_recheck(verbs: Any) -> None:
    parser = _verb(
        verbs, "recheck", _recheck, "judge stored rows again: are they still what the bars give",
        "Judge stored rows again, from the cache or from fresh bars, and say equal, or what differs and why. Nothing\n"
        "is written. Each row is judged by the parameters that the records beside the journal tell, or the flags.",
        {0: "every row comes out the same", DAMAGED: "the bars are wrong", DIFFERENT: "rows come out otherwise"},
    )  # fmt: skip
    add_place(parser)
    add_filters(parser, strategy=False)
    bars = parser.add_argument_group("where bars come from")
    bars.add_argument("--feed", choices=("alpaca", "files", "simulated"), help="default: DATA_FEED")
    bars.add_argument("--data-dir", type=path, metavar="DIR", help="for files (default: DATA_DIR)")
    bars.add_argument("--force-refresh", action="store_true", help="fetch again what the cache holds")
    play = parser.add_argument_group("the play, for rows of which no record tells it")
    play.add_argument("--strategy", metavar="NAME", help="the strategy (default: STRATEGY)")
    play.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a strategy's parameter; may be repeated"
    )
    play.add_argument("--cost", metavar="MODEL", help="none, bps:NUMBER or per_share:DOLLARS (default: COST)")
    add_telling(parser, now=True)
    parser.add_argument("-v", "--verbose", action="store_true", help="every row that differs")


def _show(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.journal_text import Shown, history_json, history_text
    from trading_playbook.runs.reading import rows_of

    desk, query = Desk.of(chosen), query_of(chosen)
    place = desk.place(chosen.place)
    rows = rows_of(place.journal, query)
    if chosen.history:
        revisions = [[*place.journal.history(row.key), row] for row in rows if _names(row, chosen.history)]
        if not revisions:
            symbol, day = chosen.history
            raise FixRequest(f"{place.journal.place} holds no row of {symbol} {day}")
        _tell(chosen, history_json(place.journal.place, revisions), lambda: history_text(revisions))
        return 0
    shown = Shown.of(place.journal.place, rows, desk.settings.calendar_overrides, chosen.last)
    _tell(chosen, shown.as_json(), lambda: shown.as_text(sys.stdout, notes=chosen.verbose))
    return 0


def _export(chosen: argparse.Namespace) -> int:
    named = chosen.format or (Path(chosen.output).suffix.lower()[1:] if chosen.output else "csv")
    if named not in FORMATS:
        chosen.parser.error(f"{chosen.output} tells no format by its ending: give --format {'|'.join(FORMATS)}")
    if named == "parquet" and not chosen.output:
        chosen.parser.error("parquet is no text for a terminal: give -o FILE")
    from trading_playbook.cli.exports import FORMATS as WRITERS
    from trading_playbook.runs.reading import rows_of

    desk, query = Desk.of(chosen), query_of(chosen)
    place = desk.place(chosen.place)
    rows = rows_of(place.journal, query)
    content = WRITERS[named](rows)
    if not chosen.output:
        show(content.decode().removesuffix("\n"))
        return 0
    from trading_playbook.wiring import write_file

    _require_other_file(chosen.output, place)
    written = write_file(chosen.output, content, desk.clock, desk.budget)
    show(f"{len(rows):,} row{'' if len(rows) == 1 else 's'} as {named} in {written}")
    return 0


def _diff(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.journal_text import diff_json, diff_text
    from trading_playbook.core.comparison import compare
    from trading_playbook.runs.reading import rows_of

    desk, query = Desk.of(chosen), query_of(chosen)
    one, other = desk.place(chosen.one), desk.place(chosen.other)
    found = compare(rows_of(one.journal, query), rows_of(other.journal, query))
    names = one.journal.place, other.journal.place
    _tell(chosen, diff_json(names, found), lambda: diff_text(names, found, whole=chosen.verbose))
    return 0 if found.is_equal else DIFFERENT


def _copy(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.journal_text import copy_text
    from trading_playbook.runs.copying import copy_journal
    from trading_playbook.version import VERSION

    desk, query = Desk.of(chosen), query_of(chosen)
    report = copy_journal(desk.place(chosen.one), desk.place(chosen.other), query, desk.clock, VERSION)
    _tell(chosen, {**report.facts(), "manifest": report.manifest}, lambda: copy_text(report))
    if not chosen.json:
        for error in report.errors[:10]:
            tell(f"error: {error.message}")
    return exit_code(report.error)


def _verify(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.journal_text import verify_json, verify_text
    from trading_playbook.core.calendar import Calendar
    from trading_playbook.runs.inspection import inspect_journal, last_settled

    desk, query = Desk.of(chosen), query_of(chosen)
    calendar = Calendar(desk.settings.calendar_overrides)
    places = desk.places(chosen.place)
    through = last_settled(calendar, desk.clock.now(), timedelta(minutes=desk.settings.settle_minutes))
    found = [inspect_journal(place, query, calendar, through) for place in places]
    _tell(chosen, verify_json(found), lambda: verify_text(found))
    return 0 if all(inspection.well for inspection in found) else DAMAGED


def _recheck(chosen: argparse.Namespace) -> int:
    from trading_playbook.cli.journal_text import recheck_json, recheck_text
    from trading_playbook.cli.progress import progress_line
    from trading_playbook.runs.recheck import recheck_journal
    from trading_playbook.wiring import build_play, build_tools, journal_in_memory

    # --strategy names a play here, and leaves no row out.
    desk, query = Desk.of(chosen), replace(query_of(chosen), strategy=None)
    play = build_play(desk.settings, chosen.strategy, parse_choices(chosen.param), chosen.cost)
    tools = build_tools(
        desk.settings,
        clock=desk.clock,
        budget=desk.budget,
        places=journal_in_memory(),
        feed=chosen.feed,
        data_dir=Path(chosen.data_dir) if chosen.data_dir else None,
        refresh=chosen.force_refresh,
        progress=progress_line(desk.clock),
    )
    found = recheck_journal(desk.place(chosen.place), query, play, tools)
    _tell(chosen, recheck_json(found), lambda: recheck_text(found, whole=chosen.verbose))
    if found.different:
        return DIFFERENT
    return exit_code(gravest([found.error] if found.error else []))


def _tell(chosen: argparse.Namespace, facts: object, text: Callable[[], str]) -> None:
    if chosen.json:
        show_json(facts)
    else:
        show(text())


def _names(row: Any, session: tuple[str, Any]) -> bool:
    return (row.symbol, row.trade_date) == session


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of rows; expected 1 or more")
    return int(text)


def _require_other_file(output: str, place: JournalPlace) -> None:
    """An export over its own journal would lose all that the filters leave out."""
    target, source = Path(output).expanduser(), Path(place.journal.place)
    history = source.with_name(source.name.removesuffix(".csv") + ".history.csv")
    if target.resolve() in (source.resolve(), history.resolve()):
        raise FixRequest(f"{output} is the journal itself, or its history: give the export another name")
