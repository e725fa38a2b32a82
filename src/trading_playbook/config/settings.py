"""Every setting, its default, and what is taken for its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trading_playbook.core.calendar import parse_overrides
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixRequest, PlaybookError
from trading_playbook.core.parsing import is_address, parse_choices, parse_symbols
from trading_playbook.core.secret_reference import SecretReference, is_reference

ENV_FILE = Path(".env")
WRITERS = ("csv", "gcs", "mongodb")

_BUCKET = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
_IN_A_BUCKET = re.compile(rf"gs://{_BUCKET}(/[^/\0]+)*/?")

_NEEDED = frozenset({"writer_type", "symbols"})
"""Settings that may not be blank: a blank one is more likely a slip than the wish for the default."""

Parsed = TypeVar("Parsed")


def _reading(parse: Callable[[str], Parsed]) -> BeforeValidator:
    """Read a setting by one of the core's parsers, whose errors then bear the setting's name."""

    def read(value: Any) -> Any:
        try:
            return parse(value) if isinstance(value, str) else value
        except PlaybookError as error:
            raise ValueError(error.message) from None

    return BeforeValidator(read)


def _parse_writers(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if not names or set(names) - set(WRITERS) or len(set(names)) < len(names):
        raise ValueError(f"expected one or several of {', '.join(WRITERS)}, each once")
    return names


def _parse_symbols(text: str) -> tuple[str, ...]:
    symbols = parse_symbols([text])
    if not symbols:
        raise ValueError("expected one or several symbols with commas, such as QQQ,SPY")
    return symbols


def _parse_emails(text: str) -> tuple[str, ...]:
    addresses = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if any(not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", address) for address in addresses):
        raise ValueError("expected e-mail addresses with commas, such as name@project.iam.gserviceaccount.com")
    return addresses


def _parse_folder(text: str) -> str:
    """A path on this disk; kept as text, for a slash at its end means a folder."""
    if is_address(text):
        raise ValueError("expected a path: this is a folder on a disk")
    return text


def _parse_place(text: str) -> str:
    """A path on this disk, or a place in a bucket."""
    if is_address(text) and not _IN_A_BUCKET.fullmatch(text):
        raise ValueError("expected a path, or gs://BUCKET/FOLDER")
    return text


def _read_secret(text: str) -> SecretStr:
    """A key: letters that a header can hold; or the place of one in Secret Manager, which is not asked here.

    The message never shows it.
    """
    if is_reference(text):
        SecretReference.parse(text)
    elif not re.fullmatch(r"[!-~]+", text):
        raise ValueError("expected letters, digits and signs without blanks")
    return SecretStr(text)


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _require_cost(text: str) -> str:
    parse_cost(text)
    return text


Secret = Annotated[SecretStr, _reading(_read_secret)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]


class Settings(BaseSettings):
    """Every setting with its default; its name in the environment and in .env is the field's in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8-sig")

    alpaca_api_key: Secret | None = None
    alpaca_secret_key: Secret | None = None
    alpaca_paper: bool = True
    alpaca_feed: Annotated[Literal["sip", "iex", "otc"], _reading(str.lower)] = "sip"
    alpaca_calls_per_minute: int = Field(200, ge=1, le=100_000)
    alpaca_data_url: Address | None = None
    alpaca_trading_url: Address | None = None
    data_feed: Annotated[Literal["alpaca", "files", "simulated"], _reading(str.lower)] = "alpaca"
    data_dir: Path | None = None
    data_cache_dir: Annotated[str, _reading(_parse_place)] = "./data/cache"
    gcs_bucket: Annotated[str, Field(pattern=rf"^{_BUCKET}$")] | None = None
    mongodb_connection: Secret | None = None
    mongodb_database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")] = "trading_playbook"
    mongodb_collection: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,120}$")] = "trades"
    output_dir: Annotated[str, _reading(_parse_folder)] = "./output"
    output_location: Annotated[str, _reading(_parse_place)] | None = None
    writer_type: Annotated[tuple[str, ...], NoDecode, _reading(_parse_writers)] = ("csv",)
    symbols: Annotated[tuple[str, ...], NoDecode, _reading(_parse_symbols)] = ("QQQ",)
    strategy: str = "dp20"
    strategy_params: Annotated[
        Mapping[str, str], NoDecode, _reading(lambda text: parse_choices(filter(None, map(str.strip, text.split(",")))))
    ] = Field(default_factory=dict)
    cost: Annotated[str, _reading(_require_cost)] = "none"
    settle_minutes: int = Field(20, ge=0, le=1440)
    catch_up_sessions: int = Field(10, ge=1, le=250)
    calendar_overrides: Annotated[Mapping[date, time | None], NoDecode, _reading(parse_overrides)] = Field(
        default_factory=dict
    )
    retry_budget_seconds: float = Field(100.0, gt=0, allow_inf_nan=False)
    run_deadline_seconds: float = Field(540.0, ge=5, le=3_600)
    auth: Annotated[Literal["oidc", "iam", "none"], _reading(str.lower)] = "oidc"
    oidc_audience: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] | None = None
    oidc_service_accounts: Annotated[tuple[str, ...], NoDecode, _reading(_parse_emails)] = ()
    viewers: Annotated[tuple[str, ...], NoDecode, _reading(_parse_emails)] = ()
    public_url: Address | None = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _reading(str.upper)] = "WARNING"
    log_format: Annotated[Literal["text", "json"], _reading(str.lower)] = "text"

    def secrets(self) -> Mapping[str, str]:
        """What is set of the secret settings, by their names in the environment: keys, or where they lie."""
        found = {name: getattr(self, name) for name in SECRETS}
        return {name.upper(): value.get_secret_value() for name, value in found.items() if value is not None}

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if name in _NEEDED or not _is_blank(value)}

    @field_validator("*", mode="before")
    @classmethod
    def _without_blanks(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value


SECRETS = frozenset(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))
"""The fields that hold keys and the like, which are never shown."""


def with_cache_at(settings: Settings, place: str) -> Settings:
    """The settings with the cache at another folder or bucket. FixRequest where it can lie at none such."""
    try:
        return settings.model_copy(update={"data_cache_dir": _parse_place(place.strip())})
    except ValueError as error:
        raise FixRequest(f"the cache cannot lie at {place[:60]!r}: {error}") from None
