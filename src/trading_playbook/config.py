"""The settings, read once from the environment and .env, without any network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from trading_playbook.core.calendar import parse_overrides
from trading_playbook.core.costs import parse_cost
from trading_playbook.core.errors import FixConfig, PlaybookError
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


def _require_cost(text: str) -> str:
    parse_cost(text)
    return text


class Settings(BaseSettings):
    """Every setting with its default; its name in the environment and in .env is the field's in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_file_encoding="utf-8-sig")

    data_feed: Literal["files", "simulated"] | None = None
    data_dir: Path | None = None
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
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _reading(str.upper)] = "WARNING"

    @field_validator("*", mode="wrap")
    @classmethod
    def _blank_is_default(cls, value: Any, read: Callable[[Any], Any], info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return read(value)
        if not value.strip() and info.field_name not in _NEEDED:
            return cls.model_fields[str(info.field_name)].get_default(call_default_factory=True)
        return read(value.strip())


def load_settings(env_file: Path = ENV_FILE) -> Settings:
    """The settings of this process; the environment stands above .env. FixConfig names every wrong one."""
    try:
        _require_pairs(env_file)
        return Settings(_env_file=env_file)
    except ValidationError as error:
        wrong = [
            f"{str(detail['loc'][0]).upper()} is {str(detail['input'])[:60]!r}: "
            f"{detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors()
        ]
        raise FixConfig("; ".join(wrong)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(f"{env_file} cannot be read: {error}") from None


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
