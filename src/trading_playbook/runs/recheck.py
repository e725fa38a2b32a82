"""Judging stored rows again: whether today's bars and code give the same, and what differs and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from trading_playbook.core.calendar import new_york_date
from trading_playbook.core.comparison import Comparison, Difference, compare
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixRequest, PlaybookError, gravest
from trading_playbook.core.journal import SIMULATED, JournalRow, RowKey
from trading_playbook.core.rows import Play
from trading_playbook.core.strategies import build_strategy
from trading_playbook.ports import JournalPlace, Manifest, RowQuery
from trading_playbook.runs.execution import run
from trading_playbook.runs.reading import rows_of
from trading_playbook.runs.request import RunRequest, Tools

CATCH_UP_DAYS = 30
"""A nightly run that tells no range may have judged sessions so far back."""


@dataclass(frozen=True, slots=True)
class Different:
    """A row that is judged otherwise now, and what can be told of why."""

    difference: Difference
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """Stored rows against the same sessions judged again.

    equal: rows that come out the same. drifted: those of them that were judged on other bars. unjudged: rows that were
    not judged again, for the errors. unknown: sets of parameters that no record and no flag tells, with their rows.
    """

    place: str
    equal: int
    different: tuple[Different, ...]
    drifted: tuple[RowKey, ...]
    unjudged: tuple[RowKey, ...]
    unknown: Mapping[tuple[str, str], int]
    errors: tuple[Exception, ...]
    warnings: tuple[str, ...]
    code_version: str
    data_feed: str

    @property
    def error(self) -> Exception | None:
        """The gravest error, FixRequest where parameters are unknown; None where all rows could be judged."""
        unknown = [
            FixRequest(f"{count} rows of {strategy} {params} were not judged: name their parameters with --param")
            for (strategy, params), count in self.unknown.items()
        ]
        return gravest([*unknown, *self.errors])


def recheck_journal(place: JournalPlace, query: RowQuery, play: Play, tools: Tools) -> Recheck:
    """Judge the rows again that the query takes, each by its own strategy and parameters; nothing is written.

    play: that of the settings or of the call; the others are found in the records beside the journal. tools: their
    places are those of a run that must find no row there. Raises FixRequest where the place holds no journal, or the
    feed is of another sort than the rows.
    """
    rows = rows_of(place.journal, query)
    _require_same_sort(rows, tools.feed.name, place.journal.place)
    manifests = place.runs.list()
    plays = {play.params_hash: play, **_recorded_plays(manifests)}
    accepted = {row.key for row in place.journal.rows(replace(query, start=None, end=None)) if row.accepted}
    judged: list[JournalRow] = []
    errors: list[Exception] = []
    warnings: list[str] = []
    known = [row for row in rows if row.params_hash in plays]
    for params, symbols, own in _portions(known):
        report = run(_request(plays[params], symbols, own, accepted, tools), tools)
        keys = {row.key for row in own}
        sessions = {(row.symbol, row.trade_date) for row in own}
        judged += [row for row in report.rows if row.key in keys]
        errors += [error for error in report.errors if _is_of(error, sessions)]
        warnings += report.warnings
    found = compare(known, judged)
    return Recheck(
        place=place.journal.place,
        equal=found.equal,
        different=tuple(
            Different(each, tuple(_why(each, _writer_of(each.one, manifests), tools))) for each in found.different
        ),
        drifted=found.drifted,
        unjudged=tuple(row.key for row in found.only_one),
        unknown=_unknown(rows, plays),
        errors=(*errors, *_unexplained(found, errors)),
        warnings=tuple(dict.fromkeys(warnings)),
        code_version=tools.code_version,
        data_feed=tools.feed.name,
    )


def _require_same_sort(rows: Iterable[JournalRow], feed: str, place: str) -> None:
    stored = {row.data_feed for row in rows}
    if stored and (SIMULATED in stored) != (feed == SIMULATED):
        raise FixRequest(
            f"{place} holds rows of {', '.join(sorted(stored))}, which bars of {feed} cannot give: choose with --feed"
        )


def _recorded_plays(manifests: Iterable[Manifest]) -> dict[str, Play]:
    """The plays of earlier runs by their params_hash, as far as this version's rules are those of the record."""
    plays: dict[str, Play] = {}
    for manifest in manifests:
        request = manifest.facts.get("request")
        if not isinstance(request, dict) or request.get("params_hash") in plays:
            continue
        strategy, parameters, cost = (request.get(name) for name in ("strategy", "parameters", "cost"))
        if isinstance(strategy, str) and isinstance(parameters, dict) and isinstance(cost, str):
            try:
                play = Play(strategy=build_strategy(strategy, parameters), cost=parse_cost(cost))
            except PlaybookError:  # a strategy or parameter that this version does not have
                continue
            plays[play.params_hash] = play
    return plays


def _portions(rows: Sequence[JournalRow]) -> Iterator[tuple[str, tuple[str, ...], list[JournalRow]]]:
    """The rows by parameters, and among these the symbols together whose rows reach from one day to another."""
    series: dict[tuple[str, str], list[JournalRow]] = {}
    for row in rows:
        series.setdefault((row.params_hash, row.symbol), []).append(row)
    portions: dict[tuple[str, date, date], dict[str, list[JournalRow]]] = {}
    for (params, symbol), own in series.items():
        portions.setdefault((params, own[0].trade_date, own[-1].trade_date), {})[symbol] = own
    for (params, _, _), by_symbol in portions.items():
        yield params, tuple(by_symbol), [row for own in by_symbol.values() for row in own]


def _request(
    play: Play, symbols: tuple[str, ...], rows: Sequence[JournalRow], accepted: set[RowKey], tools: Tools
) -> RunRequest:
    return RunRequest(
        symbols=symbols,
        play=play,
        start=min(row.trade_date for row in rows),
        end=max(row.trade_date for row in rows),
        accepted=frozenset(
            (key.symbol, key.trade_date)
            for key in accepted
            if key.params_hash == play.params_hash and key.symbol in symbols and tools.calendar.is_open(key.trade_date)
        ),
        dry_run=True,
    )


def _is_of(error: Exception, sessions: set[tuple[str, date]]) -> bool:
    """Whether an error concerns these sessions; one without a session concerns all."""
    if not isinstance(error, PlaybookError) or error.session is None or error.symbol is None:
        return True
    return (error.symbol, error.session) in sessions


def _unexplained(found: Comparison, errors: Sequence[Exception]) -> list[FixRequest]:
    """An error for rows that were not judged though nothing went wrong: their days are no sessions any more."""
    told: set[tuple[str | None, date | None]] = set()
    for error in errors:
        told.add((error.symbol, error.session) if isinstance(error, PlaybookError) else (None, None))
    if any(symbol is None for symbol, _ in told):
        return []
    lost = [row.key for row in found.only_one if not {(row.symbol, row.trade_date), (row.symbol, None)} & told]
    if not lost:
        return []
    days = ", ".join(f"{key.symbol} {key.trade_date}" for key in lost[:5])
    return [
        FixRequest(
            f"{len(lost)} rows were not judged again, their days being no sessions of these symbols now: {days}; see "
            "CALENDAR_OVERRIDES"
        )
    ]


def _unknown(rows: Iterable[JournalRow], plays: Mapping[str, Play]) -> dict[tuple[str, str], int]:
    unknown: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.params_hash not in plays:
            play = row.strategy, row.params_hash
            unknown[play] = unknown.get(play, 0) + 1
    return unknown


def _writer_of(row: JournalRow, manifests: Sequence[Manifest]) -> Manifest | None:
    """The run that wrote a row, as far as records tell: of a first row the earliest that may, of a revised the last."""
    may = sorted(
        (manifest for manifest in manifests if _may_have_written(manifest.facts, manifest, row)),
        key=lambda manifest: manifest.started,
    )
    return (may[-1] if row.revision else may[0]) if may else None


def _may_have_written(facts: Mapping[str, object], manifest: Manifest, row: JournalRow) -> bool:
    request, counts = facts.get("request"), facts.get("counts")
    if not isinstance(request, dict) or not isinstance(counts, dict):
        return False
    if request.get("params_hash") != row.params_hash or row.symbol not in (request.get("symbols") or ()):
        return False
    if not counts.get("revised" if row.revision else "added"):
        return False
    day, start, end = row.trade_date, request.get("start"), request.get("end")
    if isinstance(start, str) and isinstance(end, str):
        return start <= day.isoformat() <= end
    ran = new_york_date(manifest.started)
    return day <= ran <= day + timedelta(days=CATCH_UP_DAYS)


def _why(found: Difference, writer: Manifest | None, tools: Tools) -> Iterator[str]:
    """What can be told of why a row is judged otherwise now."""
    stored, judged = found.one, found.other
    if found.same_bars:
        yield "judged on the same bars and closes, so that the code, the calendar or an edit of the row made it"
    elif stored.sma200_daily_at_open != judged.sma200_daily_at_open:
        yield "the earlier daily closes are others now, corrected or by a split, and the bars may be"
    else:
        yield (
            "bars of the session or of the one before are others now, or closes that leave their mean as it was; the "
            "hash does not tell which, --force-refresh names bars that the source has changed"
        )
    if stored.data_feed != judged.data_feed:
        yield f"it was judged on {stored.data_feed}, and now on {judged.data_feed}"
    if writer is None:
        yield "no record tells which run wrote it"
        return
    told: Callable[[str], str] = lambda name: str(writer.facts.get(name))  # noqa: E731
    versions = (("code", told("code_version"), tools.code_version),
                ("calendar", told("calendar_version"), tools.calendar.version))  # fmt: skip
    changed = [f"{what} was {then}, is {now}" for what, then, now in versions if then != now]
    same = f"by the same code ({tools.code_version}) and calendar"
    yield f"written by run {writer.run_id}, {'; '.join(changed) or same}"
