"""Settings whose value lies in Google Secret Manager, written as sm://PROJECT/SECRET or sm://PROJECT/SECRET/VERSION."""

from __future__ import annotations

import re
from dataclasses import dataclass

EXPECTED = "expected sm://PROJECT/SECRET, or sm://PROJECT/SECRET/VERSION"

_FORM = (
    r"sm://(?P<project>([a-z0-9.-]+:)?[a-z0-9-]{1,63})/(?P<secret>[A-Za-z0-9_-]{1,255})"
    r"(/(?P<version>[A-Za-z0-9_-]{1,63}))?"
)


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A version of a secret; `latest` is the newest one."""

    project: str
    secret: str
    version: str = "latest"

    def __str__(self) -> str:
        return f"sm://{self.project}/{self.secret}/{self.version}"

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        """Raises ValueError, which does not hold the text, where it is none."""
        found = re.fullmatch(_FORM, text)
        if found is None:
            raise ValueError(EXPECTED)
        return cls(found["project"], found["secret"], found["version"] or "latest")


def is_reference(text: str) -> bool:
    """Whether a setting's text is meant as a reference, be it a right one or not."""
    return text.strip()[:3].lower() == "sm:"
