"""The file .env as people write it: what in it is no setting, and what only looks like one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trading_playbook.config.settings import ENV_FILE, Settings
from trading_playbook.core.errors import FixConfig

if TYPE_CHECKING:
    from dotenv.parser import Binding


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


def require_pairs(env_file: Path) -> None:
    """FixConfig where a line of .env speaks of a setting and is no NAME=value: else it would be passed over."""
    known = _known()
    for binding in _bindings(env_file):
        if not binding.error and binding.value is not None:
            continue
        # The line is not shown: a key may stand in it.
        words = re.findall(r"[A-Z_]+", binding.original.string.upper())
        if named := next((word for word in words if word in known), None):
            raise FixConfig(
                f"{env_file}, line {binding.original.line}: what it says of {named} is no setting; expected "
                f"{named}=value"
            )


def _known() -> list[str]:
    return [name.upper() for name in Settings.model_fields]


def _bindings(env_file: Path) -> Sequence[Binding]:
    """The lines of .env as its reader takes them apart; none where there is no such file."""
    if not env_file.is_file():
        return ()
    from dotenv.parser import parse_stream

    with env_file.open(encoding="utf-8-sig") as stream:
        return [binding for binding in parse_stream(stream) if not binding.original.string.strip().startswith("#")]
