"""The form of the cache's files: what any tool reads, and what happens to them on a disk."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.bars import CALENDAR, sessions_of, write_text
from tests.support.door import environment_with
from tests.support.memory_store import MemoryStore
from tests.support.scripted_feed import ScriptedFeed, cached, closes_of, same_bars, same_closes, sparse_bars
from trading_playbook.core.bars import COLUMNS
from trading_playbook.core.daily import DailyCloses, Split, day_number
from trading_playbook.feeds.cached.files import (
    METADATA_KEY,
    SCHEMA,
    Answered,
    DailyHistory,
    Damaged,
    MonthOfBars,
    decode_daily,
    decode_month,
    encode_daily,
    encode_month,
)
from trading_playbook.feeds.cached.histories import daily_key
from trading_playbook.feeds.cached.months import month_key
from trading_playbook.feeds.files import FilesFeed

SOURCE = "scripted-x"
SESSIONS = sessions_of("2025-11-03", "2025-11-10")
KEY = month_key(SOURCE, 2, "QQQ", "2025-11")
DAILY_KEY = daily_key(SOURCE, "QQQ")
NOW = "2025-11-12"


def a_month() -> MonthOfBars:
    answered = {session.date: Answered(session.minutes, 3) for session in SESSIONS[2:]}
    empty = {SESSIONS[0].date: Answered(390, 0, False), SESSIONS[1].date: Answered(390, 0, True, date(2025, 11, 12))}
    return MonthOfBars(bars=sparse_bars(SESSIONS[2:]), sessions={**answered, **empty})


def a_history() -> DailyHistory:
    days = closes_of("QQQ", [session.date for session in sessions_of("2025-01-02", "2025-11-10")])
    return DailyHistory(
        closes=DailyCloses(
            symbol="QQQ",
            days=np.array(list(map(day_number, days)), dtype=np.int64),
            closes=np.array(list(days.values())),
            first_session=min(days),
        ),
        begin=date(2025, 1, 2),
        end=date(2025, 11, 7),
        whole=True,
        asked_through=date(2025, 11, 10),
        asked=date(2025, 11, 11),
        splits=(Split(date(2025, 3, 3), 1.0, 4.0), Split(date(2025, 6, 3), 3.0, 1.0)),
        splits_through=date(2025, 11, 11),
    )


MONTH, HISTORY = encode_month(a_month(), SOURCE), encode_daily(a_history(), SOURCE)


def require_month(found: MonthOfBars) -> None:
    same_bars(found.bars, a_month().bars)
    assert found.sessions == a_month().sessions


def require_history(found: DailyHistory) -> None:
    expected = a_history()
    same_closes(found.closes, expected.closes)
    assert replace(found, closes=expected.closes) == expected


def told_by(content: bytes) -> dict[str, Any]:
    told = json.loads(pq.read_metadata(pa.BufferReader(content)).metadata[METADATA_KEY])
    assert isinstance(told, dict)
    return told


def table_of(content: bytes) -> Any:
    return pq.read_table(pa.BufferReader(content))


def with_open(column: Any) -> Any:
    """The month's columns, one of them another."""
    return table_of(MONTH).set_column(1, "open", column)


def retold(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The same columns under other metadata, as a person makes it who edits by hand."""
    facts = told_by(content)
    facts = change(facts) or facts
    text = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    return parquet(table_of(content).replace_schema_metadata({METADATA_KEY: text}))


def sealed(table: Any, facts: Mapping[str, Any]) -> bytes:
    """Any columns and facts under a checksum that is right, as only a forger makes it."""
    unknown = 64 * "0"
    text = json.dumps({**facts, "checksum": unknown})
    content = parquet(table.replace_schema_metadata({METADATA_KEY: text}))
    before, _, after = content.rpartition(unknown.encode())
    return before + hashlib.sha256(content).hexdigest().encode() + after


def parquet(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


class TestForm:
    def test_what_is_written_is_read(self) -> None:
        require_month(decode_month(MONTH, SOURCE, "QQQ"))
        require_history(decode_daily(HISTORY, SOURCE, "QQQ"))

    def test_the_same_content_has_the_same_bytes(self) -> None:
        other_order = replace(a_month(), sessions=dict(reversed([*a_month().sessions.items()])))
        assert encode_month(other_order, SOURCE) == MONTH
        assert encode_month(decode_month(MONTH, SOURCE, "QQQ"), SOURCE) == MONTH
        assert encode_daily(decode_daily(HISTORY, SOURCE, "QQQ"), SOURCE) == HISTORY

    def test_nothing_at_all_and_strange_values_are_kept(self) -> None:
        for bars in (
            sparse_bars([]),
            replace(
                sparse_bars(SESSIONS[:1], slots=[0, 0, 1, 2]),
                close=np.array([np.nan, -0.0, np.inf, 5e-324]),
                volume=np.array([1e300, 2.0**53 + 2, 0.1, -1.0]),
            ),
        ):
            month = MonthOfBars(bars=bars, sessions={})
            same_bars(decode_month(encode_month(month, SOURCE), SOURCE, "QQQ").bars, bars)
        never = DailyHistory(
            closes=DailyCloses(symbol="QQQ", days=np.empty(0, dtype=np.int64), closes=np.empty(0)),
            begin=date(2025, 1, 2),
            end=date(2025, 1, 1),
        )
        found = decode_daily(encode_daily(never, SOURCE), SOURCE, "QQQ")
        same_closes(found.closes, never.closes)
        assert replace(found, closes=never.closes) == never

    def test_columns_are_typed_and_never_null(self) -> None:
        schema = pq.read_schema(pa.BufferReader(MONTH))
        assert [(field.name, str(field.type), field.nullable) for field in schema] == [
            ("timestamp", "timestamp[us, tz=UTC]", False), *((name, "double", False) for name in COLUMNS)
        ]  # fmt: skip
        daily = pq.read_schema(pa.BufferReader(HISTORY))
        assert [(field.name, str(field.type), field.nullable) for field in daily] == [
            ("date", "date32[day]", False), ("close", "double", False)
        ]  # fmt: skip

    def test_the_metadata_are_json_with_schema_coverage_and_checksum(self) -> None:
        told = told_by(MONTH)
        assert (told["schema"], told["source"], told["symbol"], told["minutes"]) == (SCHEMA, SOURCE, "QQQ", 2)
        assert told["sessions"]["2025-11-03"] == {"minutes": 390, "bars": 0, "begun": False}
        assert told["sessions"]["2025-11-04"] == {"minutes": 390, "bars": 0, "begun": True, "asked": "2025-11-12"}
        assert told["sessions"]["2025-11-05"] == {"minutes": 390, "bars": 3}
        assert len(told["checksum"]) == 64
        assert told_by(HISTORY)["splits"] == [["2025-03-03", 1.0, 4.0], ["2025-06-03", 3.0, 1.0]]

    def test_any_tool_opens_them(self, tmp_path: Path) -> None:
        path, daily = tmp_path / "2Min" / "QQQ" / "2025-11.parquet", tmp_path / "1Day" / "QQQ.parquet"
        write_text(path, MONTH)
        write_text(daily, HISTORY)
        bars = a_month().bars
        for close in (
            pq.read_table(path)["close"].to_numpy(),
            pd.read_parquet(path)["close"].to_numpy(),
            pl.read_parquet(path)["close"].to_numpy(),
        ):
            np.testing.assert_array_equal(close, bars.close)
        frame = pd.read_parquet(path)
        assert str(frame["timestamp"].dtype) == "datetime64[us, UTC]"
        assert frame["timestamp"].iloc[0].value == bars.opened[0]
        assert pl.read_parquet(path).schema["timestamp"] == pl.Datetime("us", "UTC")
        assert pl.read_parquet(daily).schema == {"date": pl.Date, "close": pl.Float64}
        assert pd.read_parquet(daily)["date"].iloc[0] == date(2025, 1, 2)

    def test_the_feed_of_files_reads_them(self, tmp_path: Path) -> None:
        path = write_text(tmp_path / "cache" / SOURCE / "2Min" / "QQQ" / "2025-11.parquet", MONTH)
        found = FilesFeed(path, CALENDAR).bars(["QQQ"], SESSIONS, 2)["QQQ"]
        same_bars(found, a_month().bars)

    def test_no_pandas_and_no_dataset_is_loaded_to_write_and_to_read_them(self, tmp_path: Path) -> None:
        script = (
            "import sys\n"
            "from trading_playbook.feeds.cached.files import *\n"
            f"content = open({str(write_text(tmp_path / 'month', MONTH))!r}, 'rb').read()\n"
            f"daily = open({str(write_text(tmp_path / 'daily', HISTORY))!r}, 'rb').read()\n"
            f"assert encode_month(decode_month(content, {SOURCE!r}, 'QQQ'), {SOURCE!r}) == content\n"
            f"assert encode_daily(decode_daily(daily, {SOURCE!r}, 'QQQ'), {SOURCE!r}) == daily\n"
            "print(*sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path, env=environment_with(), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        heavy = {"pandas", "pyarrow.dataset", "pyarrow.compute", "pyarrow.pandas_compat", "polars", "numpy.ma"}
        assert not heavy & set(done.stdout.split())


def damages(content: bytes, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """So many of each kind of damage that a disk or a copy does."""
    luck = random.Random(seed)
    for _ in range(count):
        place = luck.randrange(len(content))
        flipped = bytearray(content)
        flipped[place] ^= 1 << luck.randrange(8)
        yield f"bit in byte {place}", bytes(flipped)
        many = bytearray(content)
        for _ in range(luck.randint(2, 8)):
            many[luck.randrange(len(many))] = luck.randrange(256)
        yield "several bytes", bytes(many)
        begin, end = sorted(luck.sample(range(len(content)), 2))
        yield f"{begin} to {end} missing", content[:begin] + content[end:]
        yield f"{begin} to {end} zero", content[:begin] + bytes(end - begin) + content[end:]
        yield f"{begin} to {end} twice", content[:end] + content[begin:]


def read_month(content: bytes) -> None:
    require_month(decode_month(content, SOURCE, "QQQ"))


def read_history(content: bytes) -> None:
    require_history(decode_daily(content, SOURCE, "QQQ"))


KINDS = [pytest.param(MONTH, read_month, id="month"), pytest.param(HISTORY, read_history, id="daily")]
Reader = Callable[[bytes], None]


@pytest.mark.parametrize(("content", "read"), KINDS)
class TestDamage:
    """Damaged files are told as such, or give what was written: never other values, never another error."""

    @pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.soak)])
    def test_one_that_was_cut_is_damaged(self, content: bytes, read: Reader, step: int) -> None:
        for length in {*range(0, len(content), step), *range(8), *range(len(content) - 8, len(content))}:
            with pytest.raises(Damaged):
                read(content[:length])

    @pytest.mark.parametrize("step", [101, pytest.param(1, marks=pytest.mark.soak)])
    def test_a_flipped_bit_is_seen_or_does_no_harm(self, content: bytes, read: Reader, step: int) -> None:
        seen = 0
        for bit in range(0, 8 * len(content), step):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            try:
                read(bytes(flipped))
            except Damaged:
                seen += 1
        assert seen > 0.6 * 8 * len(content) / step

    @pytest.mark.parametrize("count", [40, pytest.param(10_000, marks=pytest.mark.soak)])
    def test_other_damage_is_seen_or_does_no_harm(self, content: bytes, read: Reader, count: int) -> None:
        for what, damaged in damages(content, seed=count, count=count):
            try:
                read(damaged)
            except Damaged:
                continue
            except BaseException:
                print(what)
                raise


def foreign_table() -> Any:
    return pa.table({"timestamp": pa.array([1, 2], pa.timestamp("us", "UTC")), "open": [1.0, 2.0]})


def deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def without(name: str) -> Callable[[dict[str, Any]], None]:
    def change(facts: dict[str, Any]) -> None:
        del facts[name]

    return change


def setting(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts.update(values)


STRANGERS: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is damaged"),
    "text": (b"timestamp,open\n1,2\n", "it is damaged"),
    "a foreign parquet": (parquet(foreign_table()), "it was not written by this program"),
    "an empty parquet": (parquet(pa.table({})), "it was not written by this program"),
    "one of pandas": (parquet(pa.Table.from_pandas(pd.DataFrame({"a": [1]}))), "it was not written by this program"),
    "a newer schema": (retold(MONTH, setting(schema=SCHEMA + 1)), f"it is of schema {SCHEMA + 1}, written by a newer"),
    "no schema": (retold(MONTH, setting(schema=None)), "what it says of itself cannot be read"),
    "a list": (retold(MONTH, lambda _: b"[1, 2]"), "what it says of itself cannot be read"),
    "no JSON": (retold(MONTH, lambda _: b"{schema: 1}"), "it is damaged"),
    "no text": (retold(MONTH, lambda _: b"\xff\xfe"), "it is damaged"),
    "a deep nest": (retold(MONTH, lambda _: deep()), "it is damaged"),
    "another symbol": (encode_month(replace(a_month(), bars=sparse_bars(SESSIONS, "SPY")), SOURCE), "another symbol"),
    "another source": (encode_month(a_month(), "scripted-y"), "another source: 'scripted-y' in the place of"),
    "closes in the place of bars": (HISTORY, "another kind: 'daily' in the place of 'bars'"),
    "an edited coverage": (retold(MONTH, lambda facts: facts["sessions"].pop("2025-11-10") and None), "checksum"),
    "an edited symbol": (
        retold(encode_month(replace(a_month(), bars=sparse_bars(SESSIONS, "SPY")), SOURCE), setting(symbol="QQQ")),
        "checksum",
    ),
    "an edited date": (retold(MONTH, lambda facts: facts["sessions"]["2025-11-04"].pop("asked") and None), "checksum"),
    "no checksum": (retold(MONTH, without("checksum")), "checksum"),
    "an edited price": (parquet(with_open(pa.array(a_month().bars.open + 1, pa.float64()))), "checksum"),
    "a missing column": (sealed(table_of(MONTH).drop_columns(["volume"]), told_by(MONTH)), "it is damaged"),
    "another type": (sealed(with_open(pa.array(["1"] * 12)), told_by(MONTH)), "it is damaged"),
    "a null": (sealed(with_open(pa.array([None, *[1.0] * 11], pa.float64())), told_by(MONTH)), "it is damaged"),
}  # fmt: skip


class TestStrangersInTheCache:
    """A file that cannot be used is put aside with a warning, fetched again and replaced whole."""

    @pytest.fixture
    def feed(self) -> ScriptedFeed:
        bars = {symbol: sparse_bars(SESSIONS, symbol) for symbol in ("QQQ", "SPY")}
        days = [session.date for session in sessions_of("2024-06-03", "2025-11-11")]
        return ScriptedFeed(bars, {symbol: dict(closes_of(symbol, days)) for symbol in bars})

    @pytest.mark.parametrize("name", STRANGERS)
    def test_in_the_place_of_a_month(self, feed: ScriptedFeed, name: str) -> None:
        content, why = STRANGERS[name]
        store = MemoryStore()
        store.overwrite(KEY, content)
        through = cached(feed, store, NOW)
        same_bars(through.bars(["QQQ"], SESSIONS, 2)["QQQ"], sparse_bars(SESSIONS))
        (warning,) = through.warnings
        assert warning.startswith(f"memory:{KEY} is not used, ")
        assert why in warning
        (aside,) = (key for key in store.keys("") if key != KEY)
        assert aside.startswith(f"{KEY}.damaged-")
        assert warning.endswith(f"; its bars are fetched again, and the file is kept as {aside.rpartition('/')[2]}")
        assert store.content(aside) == content
        feed.forget()
        again = cached(feed, store, NOW)
        same_bars(again.bars(["QQQ"], SESSIONS, 2)["QQQ"], sparse_bars(SESSIONS))
        assert (feed.calls, again.warnings) == (0, ())
        clean = MemoryStore()
        cached(feed, clean, NOW).bars(["QQQ"], SESSIONS, 2)
        assert store.content(KEY) == clean.content(KEY)

    @pytest.mark.parametrize("name", ["nothing", "text", "a foreign parquet", "cut", "a month", "SPY's", "edited"])
    def test_in_the_place_of_the_closes(self, feed: ScriptedFeed, name: str) -> None:
        clean = MemoryStore()
        question: Any = {"before": date(2025, 11, 3), "count": 200, "through": date(2025, 11, 7)}
        right = cached(feed, clean, NOW).daily_closes(["QQQ", "SPY"], **question)["QQQ"]
        whole = clean.content(DAILY_KEY)
        content = {
            **{own: STRANGERS[own][0] for own in ("nothing", "text", "a foreign parquet")},
            "cut": whole[:-5],
            "a month": MONTH,
            "SPY's": clean.content(daily_key(SOURCE, "SPY")),
            "edited": retold(whole, setting(splits=[["2025-11-05", 1, 2]])),
        }[name]
        store = MemoryStore()
        store.overwrite(DAILY_KEY, content)
        through = cached(feed, store, NOW)
        same_closes(through.daily_closes(["QQQ"], **question)["QQQ"], right)
        assert through.splits(["QQQ"], through=date(2025, 11, 10))["QQQ"] == ()
        assert len(through.warnings) == 1
        assert store.content(DAILY_KEY) == whole
        assert len(store.keys(f"{DAILY_KEY}.damaged-")) == 1

    def test_bars_of_a_length_that_does_not_fit(self, feed: ScriptedFeed) -> None:
        store = MemoryStore()
        longer = replace(a_month(), bars=replace(a_month().bars, minutes=5))
        store.overwrite(KEY, encode_month(longer, SOURCE))
        through = cached(feed, store, NOW)
        same_bars(through.bars(["QQQ"], SESSIONS, 2)["QQQ"], sparse_bars(SESSIONS))
        assert "is not used, its bars have 5 minutes;" in through.warnings[0]

    def test_one_that_is_damaged_while_another_process_writes_is_replaced(self, feed: ScriptedFeed) -> None:
        store = MemoryStore()
        store.rivals.append(lambda: store.overwrite(KEY, MONTH[:-1]))
        through = cached(feed, store, NOW)
        same_bars(through.bars(["QQQ"], SESSIONS, 2)["QQQ"], sparse_bars(SESSIONS))
        assert "it is damaged" in through.warnings[0]
        assert len(decode_month(store.content(KEY), SOURCE, "QQQ").sessions) == len(SESSIONS)

    def test_the_same_damage_twice_is_kept_once(self, feed: ScriptedFeed) -> None:
        store = MemoryStore()
        for _ in range(2):
            store.overwrite(KEY, MONTH[:99])
            cached(feed, store, NOW).bars(["QQQ"], SESSIONS, 2)
        assert len(store.keys(KEY)) == 2


def test_facts_that_only_a_forger_could_plant_are_no_crash() -> None:
    def forged(content: bytes, **facts: Any) -> bytes:
        return sealed(table_of(content), {**told_by(content), **facts})

    require_month(decode_month(forged(MONTH), SOURCE, "QQQ"))
    facts: dict[str, Any]
    for facts in (
        {"minutes": 0}, {"minutes": -2}, {"minutes": None}, {"sessions": []}, {"sessions": {"today": {}}},
        {"sessions": {"2025-11-03": None}}, {"sessions": {"2025-11-03": {}}},
    ):  # fmt: skip
        with pytest.raises(Damaged):
            decode_month(forged(MONTH, **facts), SOURCE, "QQQ")
    for facts in (
        {"begin": None}, {"end": 5}, {"splits": [["2025-11-05", "a", 2]]}, {"splits": 5}, {"asked": "yesterday"}
    ):  # fmt: skip
        with pytest.raises(Damaged):
            decode_daily(forged(HISTORY, **facts), SOURCE, "QQQ")
