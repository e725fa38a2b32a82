"""Reading the settings of this process, and telling what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from trading_playbook.config.env_file import require_pairs
from trading_playbook.config.settings import ENV_FILE, SECRETS, Settings
from trading_playbook.core.errors import FixConfig
from trading_playbook.core.secret_reference import SecretReference, is_reference

ReadReference = Callable[[str, SecretReference], str]
"""The text that lies at a reference, for the setting of this name. Raises FixConfig and RetryLater."""


def load_settings(env_file: Path = ENV_FILE, read: ReadReference | None = None) -> Settings:
    """The settings of this process; the environment stands above .env. FixConfig names every wrong one.

    read: for those that are no secrets and yet are written as sm://PROJECT/SECRET. Secrets that are written so are
    left as they are: whoever needs one asks for it.
    """
    referred: dict[str, SecretReference] = {}
    try:
        require_pairs(env_file)
        if _may_refer(env_file):
            referred = _references(env_file)
        values = {name: _read(name.upper(), reference, read) for name, reference in referred.items()}
        return Settings(_env_file=env_file, **values)  # type: ignore[arg-type] # texts, as in the environment
    except ValidationError as error:
        wrong = [
            f"{name.upper()} {_shown(name, detail['input'], detail['msg'].removeprefix('Value error, '), referred)}"
            for detail in error.errors()
            for name in (str(detail["loc"][0]),)
        ]
        raise FixConfig("; ".join(wrong)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(f"{env_file} cannot be read: {error}") from None


def _shown(name: str, value: object, message: str, referred: Mapping[str, SecretReference]) -> str:
    """What is wrong with a value. A secret, and what looks like an address with a password in it, is not shown."""
    if name in referred:
        # The message may repeat a part of what was read, and what lies among secrets may be one.
        return f"is wrong, as {referred[name]} has it: look there, and in .env.template for what is expected"
    if name in SECRETS or "@" in str(value):
        return f"is wrong: {message}" if "@" not in message else "is wrong"
    return f"is {str(value)[:60]!r}: {message}"


def _read(setting: str, reference: SecretReference, read: ReadReference | None) -> str:
    if read is None:
        raise FixConfig(f"{setting} is {reference}, and Secret Manager is not asked here: set it to a value")
    return read(setting, reference)


def _may_refer(env_file: Path) -> bool:
    """Whether any value at all may be a reference: a look that costs next to nothing."""
    if any(map(is_reference, os.environ.values())):
        return True
    return env_file.is_file() and "sm:" in env_file.read_text(encoding="utf-8-sig").lower()


def _references(env_file: Path) -> dict[str, SecretReference]:
    """The settings that are no secrets and yet written as references, by their fields."""
    from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

    given = {**DotEnvSettingsSource(Settings, env_file=env_file)(), **EnvSettingsSource(Settings)()}
    found: dict[str, SecretReference] = {}
    for name, value in given.items():
        if name in Settings.model_fields and name not in SECRETS and isinstance(value, str) and is_reference(value):
            try:
                found[name] = SecretReference.parse(value.strip())
            except ValueError as error:
                raise FixConfig(f"{name.upper()} is {value.strip()[:60]!r}: {error}") from None
    return found
