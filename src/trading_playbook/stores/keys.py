"""What may be a key."""

from __future__ import annotations


def require_key(key: str) -> None:
    """Raise ValueError for what is no relative path such as runs/a.json: no key leaves its store."""
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"{key[:80]!r} is no key; expected is a relative path such as runs/a.json")
