"""What --cloud means, and what a run in the cloud must not do."""

from __future__ import annotations

import os

from trading_playbook.config.settings import Settings
from trading_playbook.core.errors import FixConfig
from trading_playbook.core.parsing import is_address

CACHE_FOLDER = "data/cache"
"""Of the bucket."""

_VANISHES = "lies on the local disk, which vanishes with this instance of Cloud Run"


def on_cloud_run() -> bool:
    """Whether this process is a service or a job of Cloud Run."""
    return any(os.environ.get(name, "").strip() for name in ("K_SERVICE", "CLOUD_RUN_JOB"))


def for_cloud(settings: Settings, output: str | None = None) -> Settings:
    """The settings of a run in the cloud: cache and journal in the bucket, logs as JSON, unless set otherwise.

    output: the journal's place where one was given by hand. A place that is a path means the csv writer.
    Raises FixConfig where a bucket is needed and none is set.
    """
    place = output or settings.output_location
    unset = Settings.model_fields.keys() - settings.model_fields_set
    changes: dict[str, object] = {}
    if "data_cache_dir" in unset:
        changes["data_cache_dir"] = f"gs://{_bucket(settings, 'the cache')}/{CACHE_FOLDER}"
    if "writer_type" in unset and (place is None or is_address(place)):
        changes["writer_type"] = ("gcs",)
        if place is None:
            _bucket(settings, "the journal")
    if "log_format" in unset:
        changes["log_format"] = "json"
    return settings.model_copy(update=changes)


def require_lasting(settings: Settings, output: str | None = None) -> None:
    """Raise FixConfig where the journal or the cache of a run on Cloud Run would lie on its disk."""
    if not is_address(settings.data_cache_dir):
        raise FixConfig(
            f"the cache at DATA_CACHE_DIR={settings.data_cache_dir} {_VANISHES}: leave it out, or set it to a place in "
            "a bucket, such as gs://BUCKET/data/cache"
        )
    if "csv" not in settings.writer_type:
        return
    if "writer_type" in settings.model_fields_set:
        named = f"the csv journal of WRITER_TYPE={','.join(settings.writer_type)}"
        mend = "set it to gcs or mongodb"
    else:
        named = f"the journal at {f'--output {output}' if output else f'OUTPUT_LOCATION={settings.output_location}'}"
        mend = "leave it out, or give a place in a bucket, such as gs://BUCKET/output/trades/"
    raise FixConfig(f"{named} {_VANISHES}: {mend}")


def _bucket(settings: Settings, what: str) -> str:
    if settings.gcs_bucket is None:
        raise FixConfig(f"{what} of a run in the cloud lies in a bucket, and none is named: set GCS_BUCKET to its name")
    return settings.gcs_bucket
