"""The three journals of WRITER_TYPE=csv,gcs,mongodb: a file, a bucket and a database that are doubles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.door import rows_of
from tests.support.gcs_double import GcsDouble
from tests.support.mongo_double import Kind, MongoDouble
from trading_playbook.core.journal import HEADER

BUCKET, FOLDER = "playbook", "output/trades/"
DATABASE, COLLECTION = "trading_playbook", "trades"
WRITERS = ("csv", "gcs", "mongodb")

Cells = dict[str, str]


@dataclass(slots=True)
class Three:
    """The places and what they hold. folder: that of the CSV journal."""

    folder: Path
    gcs: GcsDouble
    mongo: MongoDouble

    @property
    def settings(self) -> dict[str, str]:
        """The environment that names all three."""
        return {
            "WRITER_TYPE": ",".join(WRITERS),
            "OUTPUT_DIR": str(self.folder),
            "GCS_BUCKET": BUCKET,
            "STORAGE_EMULATOR_HOST": self.gcs.url,
            "MONGODB_CONNECTION": self.mongo.connection,
            "MONGODB_DATABASE": DATABASE,
            "MONGODB_COLLECTION": COLLECTION,
        }

    @property
    def addresses(self) -> dict[str, str]:
        """By writer, the journal's address as people see it."""
        return {
            "csv": str(self.csv),
            "gcs": f"gs://{BUCKET}/{FOLDER}",
            "mongodb": f"mongodb://{self.mongo.host}/{DATABASE}.{COLLECTION}",
        }

    @property
    def csv(self) -> Path:
        return self.folder / "trades.csv"

    def objects(self) -> dict[str, bytes]:
        """The journals in the bucket by symbol."""
        found = {name.removeprefix(FOLDER): content for name, content in self.gcs.objects(BUCKET).items()}
        return {
            name.removeprefix("dp20-").removesuffix(".csv"): content
            for name, content in found.items()
            if "/" not in name and name.endswith(".csv") and not name.endswith(".history.csv")
        }

    def rows(self) -> dict[str, list[Cells]]:
        """By writer, all rows as text in the order of their keys, read without the product's own readers."""
        in_bucket = [row for content in self.objects().values() for row in rows_of(content)]
        documents = self.mongo.documents(DATABASE, COLLECTION)
        return {
            "csv": rows_of(self.csv) if self.csv.exists() else [],
            "gcs": sorted(in_bucket, key=_place),
            "mongodb": sorted(map(_cells, documents), key=_place),
        }

    def histories(self) -> dict[str, list[Cells]]:
        """By writer, what was replaced, in the order of keys and revisions."""
        history = self.csv.with_name("trades.history.csv")
        in_bucket = [
            row
            for name, content in self.gcs.objects(BUCKET).items()
            if name.endswith(".history.csv")
            for row in rows_of(content)
        ]
        documents = map(_cells, self.mongo.documents(DATABASE, f"{COLLECTION}_history"))
        found = {"csv": rows_of(history) if history.exists() else [], "gcs": in_bucket, "mongodb": list(documents)}
        # Of one revision there may be several, in any order.
        return {writer: sorted(own, key=lambda row: (_place(row), *row.values())) for writer, own in found.items()}

    def outcomes(self) -> dict[str, list[str]]:
        """By writer, how the runs of its manifests ended, in the order of the runs' ids."""
        on_disk = [json.loads(path.read_bytes()) for path in (self.folder / "runs").glob("*.json")]
        objects = self.gcs.objects(BUCKET)
        in_bucket = [json.loads(objects[name]) for name in objects if name.startswith(f"{FOLDER}runs/")]
        documents = [json.loads(each["json"]) for each in self.mongo.documents(DATABASE, "runs")]
        return {
            writer: [each["outcome"] for each in sorted(found, key=lambda each: str(each["run_id"]))]
            for writer, found in (("csv", on_disk), ("gcs", in_bucket), ("mongodb", documents))
        }

    def require_equal(self) -> list[Cells]:
        """Fail unless all three hold the same rows, as values, and file and bucket as bytes for each symbol."""
        rows = self.rows()
        assert rows["csv"] == rows["gcs"]
        assert rows["csv"] == rows["mongodb"]
        keys = [_place(row)[:-1] for row in rows["csv"]]
        assert keys == sorted(set(keys))
        if not rows["csv"]:
            return []
        header, *lines = self.csv.read_bytes().splitlines(keepends=True)
        assert len(lines) == len(rows["csv"])
        for symbol, content in self.objects().items():
            own = [line for line, row in zip(lines, rows["csv"], strict=True) if row["symbol"] == symbol]
            assert content == b"".join([header, *own])
        return rows["csv"]

    def state(self) -> Mapping[str, object]:
        """Everything that a run could change of the journals and their histories: bytes, generations, documents."""
        held = {
            name: (self.gcs.held(BUCKET, name).generation, content)
            for name, content in self.gcs.objects(BUCKET).items()
            if "/runs/" not in name
        }
        return {
            "csv": {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in self.folder.glob("*.csv")},
            "gcs": held,
            "mongodb": [self.mongo.documents(DATABASE, name) for name in (COLLECTION, f"{COLLECTION}_history")],
        }


@contextmanager
def three_journals(folder: Path, kind: Kind = Kind.REPLICA_SET) -> Iterator[Three]:
    with GcsDouble([BUCKET]) as gcs, MongoDouble(kind) as mongo:
        yield Three(folder, gcs, mongo)


def _cells(document: Mapping[str, Any]) -> Cells:
    return {name: _text(document.get(name)) for name in HEADER}


def _text(value: object) -> str:
    """A typed value as the journal's file has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0") + ("0" if value == int(value) else "")
    return str(value)


def _place(row: Cells) -> tuple[str, str, str, str, int, int]:
    names = ("trade_date", "symbol", "strategy", "params_hash")
    day, symbol, strategy, params_hash = (row[name] for name in names)
    return day, symbol, strategy, params_hash, int(row["trade_no"]), int(row["revision"])
