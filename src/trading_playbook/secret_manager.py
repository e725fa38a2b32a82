"""Secrets that are settings, and those that lie in Google Secret Manager, which is asked when one is needed.

Google's own client for it imports grpc whatever transport it is told to use. One documented GET is all that is needed
of it, by the session of google-auth, which the storage client brings along.
https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from trading_playbook.core.errors import FixConfig
from trading_playbook.core.secret_reference import SecretReference, is_reference
from trading_playbook.network.budget import RetryBudget
from trading_playbook.network.retries import TEMPORARY_STATUSES, Temporary, asked_wait, with_retries
from trading_playbook.ports import Clock

ENDPOINT = "https://secretmanager.googleapis.com"
ENDPOINT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER"
"""Names another address for Google's own tools, and for us: of a private endpoint, or of a test's double."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SIGN_IN = (
    "on a laptop run `gcloud auth application-default login`, on Cloud Run let the service run as a service account "
    "that may read the secret"
)
_KEPT: dict[SecretReference, str] = {}
"""What was read in this process."""

_LOCK = threading.Lock()


class SecretManager:
    """The secret settings of this process. From any thread; one call to Google a secret.

    The library is loaded and the credentials are looked for when the first secret is read that lies at Google.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        clock: Clock,
        budget: RetryBudget,
        *,
        handed_out: Callable[[str], None] = lambda value: None,
        kept: MutableMapping[SecretReference, str] = _KEPT,
    ) -> None:
        """settings: what is set, by name: a value, or sm://PROJECT/SECRET[/VERSION].

        handed_out: told of each value before anybody else gets it. kept: the values that are known already, by default
        those of the process.
        """
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self._handed_out = handed_out
        self._kept = kept
        self._refusals: dict[SecretReference, FixConfig] = {}
        self._session: Any = None

    def get(self, setting: str) -> str | None:
        given = self._settings.get(setting)
        if given is None:
            return None
        if not is_reference(given):
            self._handed_out(given)
            return given
        return self._value(setting, _reference(setting, given))

    def renewed(self, setting: str, refused: str) -> str | None:
        given = self._settings.get(setting)
        if given is None or not is_reference(given):
            return given
        reference = _reference(setting, given)
        with _LOCK:
            # A numbered version never changes, and another thread may have read the newest one since.
            if self._kept.get(reference) == refused and not reference.version.isdecimal():
                del self._kept[reference]
        return self._value(setting, reference)

    def read(self, setting: str, reference: SecretReference) -> str:
        """The text at a reference, for a setting that is no secret by itself."""
        text = self._text(setting, reference)
        if not text.isprintable():
            raise FixConfig(f"{_doing(setting, reference)}: it is no line of text; add a version that is one")
        return text

    def _value(self, setting: str, reference: SecretReference) -> str:
        value = self._text(setting, reference)
        self._handed_out(value)
        if not re.fullmatch(r"[!-~]+", value):
            raise FixConfig(
                f"{_doing(setting, reference)}: it holds blanks, line breaks or signs that no key has; add a version "
                "with the key alone"
            )
        return value

    def _text(self, setting: str, reference: SecretReference) -> str:
        with _LOCK:
            if reference in self._refusals:
                raise self._refusals[reference]
            if reference not in self._kept:
                try:
                    self._kept[reference] = self._asked(setting, reference)
                except FixConfig as error:
                    self._refusals[reference] = error
                    raise
            return self._kept[reference]

    def _asked(self, setting: str, reference: SecretReference) -> str:
        """What Google holds, without the blanks and the line's end that come in where a value is echoed or pasted."""
        doing = _doing(setting, reference)
        content = with_retries(lambda seconds: self._fetched(seconds, reference, doing), self._budget)
        try:
            text = content.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise FixConfig(f"{doing}: it is no text; add a version that is the value alone, in UTF-8") from None
        if not text:
            raise FixConfig(f"{doing}: it is empty; add a version that holds the value")
        return text

    def _fetched(self, seconds: float, reference: SecretReference, doing: str) -> bytes:
        """The bytes of a version, by one call that ends within so many seconds."""
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema
        from urllib3.exceptions import HTTPError

        from trading_playbook.network.deadlines import ending_within
        from trading_playbook.network.google import without_token

        address = f"projects/{reference.project}/secrets/{reference.secret}/versions/{reference.version}"
        endpoint = (os.environ.get(ENDPOINT_VARIABLE, "").strip() or ENDPOINT).rstrip("/")
        # What errors of the libraries say may hold what was sent: only what is taken from them here goes on.
        with ending_within(seconds) as deadline:
            try:
                response = self._opened().get(
                    f"{endpoint}/v1/{address}:access", timeout=deadline.timeouts, allow_redirects=False
                )
            except GoogleAuthError as error:
                raise without_token(error, doing, _SIGN_IN) from None
            except (InvalidSchema, InvalidURL, MissingSchema):
                raise FixConfig(
                    f"{doing}: {ENDPOINT_VARIABLE} holds no address; mend it, such as {ENDPOINT}, or unset it"
                ) from None
            except PermissionError:
                raise FixConfig(f"{doing}: the file of the credentials cannot be read; {_SIGN_IN}") from None
            except (OSError, HTTPError) as error:
                raise Temporary(f"{doing}: the call to Google failed ({type(error).__name__})") from None
            if deadline.passed:  # what looks like an answer may be the half of one
                raise Temporary(f"{doing}: the call to Google took too long")
        if response.status_code != 200:
            wait = asked_wait(response.headers, self._clock.now())
            raise _refusal(response.status_code, *_said(response.content), reference, doing, wait)
        return _payload(response.content, doing)

    def _opened(self) -> Any:
        """A session with this machine's credentials, made at the first call."""
        if self._session is None:
            from google.auth import default
            from google.auth.transport.requests import AuthorizedSession, Request
            from requests import Session

            from trading_playbook.network.google import let_end

            asking = Session()
            let_end(asking)
            credentials, _ = default(scopes=[_SCOPE], request=Request(asking))
            session: Any = AuthorizedSession(credentials)  # type: ignore[no-untyped-call] # it has types in part
            let_end(session)
            self._session = session
        return self._session


def _doing(setting: str, reference: SecretReference) -> str:
    return f"{setting} cannot be read from {reference}"


def _reference(setting: str, given: str) -> SecretReference:
    try:
        return SecretReference.parse(given)
    except ValueError as error:
        raise FixConfig(f"{setting} is wrong: {error}") from None


def _payload(content: bytes, doing: str) -> bytes:
    """The secret in an answer, its checksum compared where there is one."""
    try:
        payload = json.loads(content)["payload"]
        value = base64.b64decode(payload.get("data", ""), validate=True)
        expected = payload.get("dataCrc32c")
        damaged = expected is not None and int(expected) != _crc32c(value)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise Temporary(f"{doing}: Google's answer is none of Secret Manager's") from None
    if damaged:
        raise Temporary(f"{doing}: it was damaged on its way")
    return value


def _crc32c(content: bytes) -> int:
    import google_crc32c

    value: int = google_crc32c.value(content)
    return value


def _refusal(
    status: int, said: str, reason: str, reference: SecretReference, doing: str, wait_seconds: float
) -> FixConfig | Temporary:
    """What an answer that is no success means."""
    told = f"{doing}: Google answers {status}{said and f' ({said})'}"
    if status in TEMPORARY_STATUSES or status > 504:
        return Temporary(told, wait_seconds)
    if status == 401:
        return FixConfig(f"{told}: it does not accept the credentials; {_SIGN_IN}")
    if status == 403 and reason == "SERVICE_DISABLED":
        return FixConfig(
            f"{told}; switch the service on: gcloud services enable secretmanager.googleapis.com "
            f"--project={reference.project}"
        )
    if status == 403:
        return FixConfig(
            f"{told}; give the credentials' account the role Secret Manager Secret Accessor on it: gcloud secrets "
            f"add-iam-policy-binding {reference.secret} --project={reference.project} "
            "--role=roles/secretmanager.secretAccessor --member=serviceAccount:..."
        )
    if status == 404:
        return FixConfig(f"{told}; mend the names of project, secret and version in the setting, or make the secret")
    if status == 400 and reason == "FAILED_PRECONDITION":
        return FixConfig(f"{told}; enable that version, add a newer one, or name another one in the setting")
    return FixConfig(f"{told}; look at the setting{', and at ' + ENDPOINT_VARIABLE if status != 400 else ''}")


def _said(content: bytes) -> tuple[str, str]:
    """What Google says of an error, for people, and its reason in one word."""
    try:
        error = json.loads(content)["error"]
        details = [each["reason"] for each in error.get("details", ()) if "reason" in each]
        said = "".join(letter if letter.isprintable() else " " for letter in str(error["message"]))[:300].strip()
        return said, str((details or [error.get("status", "")])[0])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", ""
