"""Times as texts: whatever is understood is understood as Python's own reader of ISO 8601 does it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_playbook.feeds.files.columns import BadTable, Cells
from trading_playbook.feeds.files.timestamps import instants, moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2260, 1, 1))
ZONES = st.integers(-14 * 60 + 1, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def read(text: str) -> int:
    return int(instants(Cells("timestamp", [text]))[0])


def nanoseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1) * 1_000


@given(naive=MOMENTS, zone=ZONES, separator=st.sampled_from("T "), padding=st.sampled_from(["", " "]))
def test_every_aware_time_is_read_back_exactly(naive: datetime, zone: timezone, separator: str, padding: str) -> None:
    time = naive.replace(tzinfo=zone)
    assert read(f"{padding}{time.isoformat(sep=separator)}{padding}") == nanoseconds(time)


@given(naive=MOMENTS)
def test_no_time_without_a_zone_is_read(naive: datetime) -> None:
    with pytest.raises(BadTable, match="has no zone"):
        read(naive.isoformat())


@given(
    text=st.datetimes(datetime(1990, 1, 1), datetime(2028, 1, 1), timezones=ZONES).map(datetime.isoformat),
    place=st.integers(0, 32),
    put_in=st.text("0123456789-:+TZ. ,W/", max_size=2),
    cut=st.integers(0, 2),
)
def test_a_text_with_a_slip_of_the_pen_is_refused_or_means_what_it_says(
    text: str, place: int, put_in: str, cut: int
) -> None:
    slipped = text[:place] + put_in + text[place + cut :]
    try:
        found = read(slipped)
    except BadTable:
        return
    # Blanks round the time of day are understood here and not there.
    day, rest = slipped.strip()[:10], slipped.strip()[10:].replace(" ", "").removeprefix("T")
    assert moment(found) == datetime.fromisoformat(f"{day}T{rest}").astimezone(UTC)
