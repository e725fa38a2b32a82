"""Write the exchange calendar's table from exchange_calendars.

    python tools/generate_calendar.py                  write src/trading_playbook/core/calendar_table.py
    python tools/generate_calendar.py --check          compare, and exit 1 where the file says something else
    python tools/generate_calendar.py --through 2029   reach to another year

The reach is a choice, not a limit of the library: XNYS is bounded there by nothing, it goes on by rule for ever, and
left to itself it stops a year ahead of today, so that two days would make two tables. NYSE Group publishes its holidays
two to three years ahead; its notice of December 2025 tells 2026, 2027 and 2028. A year that the exchange has not
published is a guess, so the table ends with the last that it has. Raise THROUGH when the next notice is out.

The table tells scheduled hours and what closed the exchange for whole days. exchange_calendars knows neither its late
openings from 1990 on (1996-01-08 in the snow, 2002-09-11 for the memorial services) nor the days on which a storm, a
circuit breaker or a fault ended trading early (1994-02-11, 1997-10-27, 2005-06-01). pandas_market_calendars 5.5.0 tells
fourteen such days, the last in 2006. So the table has no place for a late opening, and one that shows up stops this
command.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

import exchange_calendars

TABLE = Path(__file__).parents[1] / "src" / "trading_playbook" / "core" / "calendar_table.py"
FROM = 1990
THROUGH = 2028
NEW_YORK = ZoneInfo("America/New_York")
OPENS, CLOSES = time(9, 30), time(16)
SATURDAY = 5

Hours = tuple[time, time]

TEMPLATE = '''\
"""Where XNYS departs from its rule: Monday to Friday, 09:30 to 16:00 in New York. Generated: do not edit.

Made by tools/generate_calendar.py, which tells how far the table reaches and why. Each text lists days of its year as
MM-DD, oldest first; FIRST and LAST are both ends in.
"""

SOURCE = "{source}"
GENERATED = "{generated}"
FIRST = "{first}"
LAST = "{last}"

# Weekdays without a session.
CLOSED: dict[int, str] = {{
{closed}
}}

# Sessions that end before 16:00, and when they do.
EARLY_CLOSES: dict[int, str] = {{
{early_closes}
}}
'''


def read_hours(first: date, last: date) -> dict[date, Hours]:
    """When each session from first to last, both ends in, opens and closes in New York, by exchange_calendars."""
    calendar = exchange_calendars.get_calendar("XNYS", start=first.isoformat(), end=last.isoformat())
    told = zip(calendar.sessions, calendar.opens, calendar.closes, strict=True)
    return {
        session.date(): (opens.astimezone(NEW_YORK).time(), closes.astimezone(NEW_YORK).time())
        for session, opens, closes in told
    }


def refuse_what_the_table_cannot_tell(hours: Mapping[date, Hours]) -> None:
    """Raise ValueError, naming the day, at a late opening, a week-end's session or a close off the 2-minute grid."""
    for day, (opens, closes) in hours.items():
        if opens != OPENS:
            raise ValueError(f"{day} opens at {opens}: the table has no place for another opening than {OPENS}")
        if day.weekday() >= SATURDAY:
            raise ValueError(f"{day} is a session at a week-end: the table has no place for it")
        if not OPENS < closes <= CLOSES or closes.minute % 2 or closes.second:
            raise ValueError(f"{day} closes at {closes}: the table only tells even minutes up to {CLOSES}")


def closed_weekdays(hours: Mapping[date, Hours], first: date, last: date) -> list[date]:
    """The days from Monday to Friday without a session, oldest first; first and last are both ends in."""
    days = (first + timedelta(days=passed) for passed in range((last - first).days + 1))
    return [day for day in days if day.weekday() < SATURDAY and day not in hours]


def lines_by_year(texts: Iterable[tuple[date, str]]) -> str:
    """One line of the table for each year that has something to tell; texts come oldest first."""
    years = groupby(texts, key=lambda dated: dated[0].year)
    return "\n".join(f'    {year}: "{" ".join(text for _, text in dated)}",' for year, dated in years)


def render(hours: Mapping[date, Hours], first: date, last: date, source: str, generated: date) -> str:
    """The table's source text. Raises ValueError where the hours do not fit it."""
    refuse_what_the_table_cannot_tell(hours)
    early = ((day, f"{day:%m-%d}={closes:%H:%M}") for day, (_, closes) in hours.items() if closes < CLOSES)
    return TEMPLATE.format(
        source=source,
        generated=generated,
        first=first,
        last=last,
        closed=lines_by_year((day, f"{day:%m-%d}") for day in closed_weekdays(hours, first, last)),
        early_closes=lines_by_year(early),
    )


def without_its_date(table: str) -> list[str]:
    """The table's lines but the one that tells when it was made, which differs from one day to the next."""
    return [line for line in table.splitlines() if not line.startswith("GENERATED")]


def check(table: str) -> int:
    """Print how the file differs from the table, the date it was made apart; 1 where it does, else 0."""
    stored = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    difference = list(
        difflib.unified_diff(without_its_date(stored), without_its_date(table), TABLE.name, "generated", lineterm="")
    )
    print("\n".join(difference) or f"{TABLE.name} is as exchange_calendars tells it")
    return 1 if difference else 0


def write(table: str) -> int:
    """Put the table where the package reads it; always 0."""
    TABLE.write_text(table, encoding="utf-8", newline="\n")
    print(f"wrote {TABLE}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the table as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description="Write the exchange calendar's table from exchange_calendars.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 where the file differs")
    parser.add_argument("--through", type=int, default=THROUGH, metavar="YEAR", help="last year (default %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.through < FROM:
        parser.error(f"--through {chosen.through}: the table begins in {FROM}")
    first, last = date(FROM, 1, 1), date(chosen.through, 12, 31)
    source = f"exchange_calendars {exchange_calendars.__version__}"
    table = render(read_hours(first, last), first, last, source, datetime.now(UTC).date())
    return check(table) if chosen.check else write(table)


if __name__ == "__main__":
    sys.exit(main())
