"""The settings, read once from the environment and .env, without any network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trading_playbook.core.calendar import parse_overrides
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixConfig, FixRequest, PlaybookError
from trading_playbook.core.parsing import is_address, parse_choices, parse_symbols

if TYPE_CHECKING:
    from dotenv.parser import Binding

ENV_FILE = Path(".env")
WRITERS = ("csv",)

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


def _parse_place(text: str) -> str:
    """A path on this disk; kept as text, for a slash at its end means a folder."""
    if is_address(text):
        raise ValueError("expected a path: the csv writer writes to a disk")
    return text


def _require_store(text: str) -> str:
    """A folder or a bucket, where files can be kept."""
    if is_address(text) and not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^/\0]+)*/?", text):
        raise ValueError("expected a folder, or gs://BUCKET/FOLDER")
    return text


def _read_secret(text: str) -> SecretStr:
    """A key: letters that a header can hold. The message never shows it."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("expected letters, digits and signs without blanks")
    return SecretStr(text)


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
    data_cache_dir: Annotated[str, _reading(_require_store)] = "./data/cache"
    output_dir: Annotated[str, _reading(_parse_place)] = "./output"
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
    public_url: Address | None = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _reading(str.upper)] = "WARNING"

    @field_validator("*", mode="wrap")
    @classmethod
    def _blank_is_default(cls, value: Any, read: Callable[[Any], Any], info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return read(value)
        if not value.strip() and info.field_name not in _NEEDED:
            return cls.model_fields[str(info.field_name)].get_default(call_default_factory=True)
        return read(value.strip())


def with_cache_at(settings: Settings, place: str) -> Settings:
    """The settings with the cache at another folder or bucket. FixRequest where it can lie at none such."""
    try:
        return settings.model_copy(update={"data_cache_dir": _require_store(place.strip())})
    except ValueError as error:
        raise FixRequest(f"the cache cannot lie at {place[:60]!r}: {error}") from None


_SECRETS = frozenset(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))


def load_settings(env_file: Path = ENV_FILE) -> Settings:
    """The settings of this process; the environment stands above .env. FixConfig names every wrong one."""
    try:
        _require_pairs(env_file)
        return Settings(_env_file=env_file)
    except ValidationError as error:
        wrong = [
            f"{name.upper()} {_shown(name, detail['input'])}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors()
            for name in (str(detail["loc"][0]),)
        ]
        raise FixConfig("; ".join(wrong)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(f"{env_file} cannot be read: {error}") from None


def _shown(name: str, value: object) -> str:
    """A wrong value for people, unless it is a secret or looks like an address with a password in it."""
    return "is wrong" if name in _SECRETS or "@" in str(value) else f"is {str(value)[:60]!r}"


def unknown_settings(env_file: Path = ENV_FILE) -> Sequence[str]:
    """A warning for each key of .env that is no setting but looks like one; none where the file cannot be read."""
    try:
        keys = [binding.key for binding in _bindings(env_file) if binding.key]
    except (OSError, UnicodeDecodeError):
        return ()
    known = _known()
    unknown = [key for key in dict.fromkeys(keys) if key.upper() not in known]
    if not unknown:
        return ()
    from difflib import get_close_matches

    likely = ((key, get_close_matches(key.upper(), known, n=1, cutoff=0.8)) for key in unknown)
    return tuple(f"{env_file}: {key} is no setting; is {match[0]} meant?" for key, match in likely if match)


def _known() -> list[str]:
    return [name.upper() for name in Settings.model_fields]


def _require_pairs(env_file: Path) -> None:
    """FixConfig where a line of .env speaks of a setting and is no NAME=value: else it would be passed over."""
    for binding in _bindings(env_file):
        told = binding.original.string.strip()
        if not binding.error and binding.value is not None:
            continue
        if any(word in _known() for word in re.findall(r"[A-Z_]+", told.upper())):
            raise FixConfig(
                f"{env_file}, line {binding.original.line}: {told[:60]!r} is no setting; expected NAME=value"
            )


def _bindings(env_file: Path) -> Sequence[Binding]:
    """The lines of .env as its reader takes them apart; none where there is no such file."""
    if not env_file.is_file():
        return ()
    from dotenv.parser import parse_stream

    with env_file.open(encoding="utf-8-sig") as stream:
        return [binding for binding in parse_stream(stream) if not binding.original.string.strip().startswith("#")]
