"""Who calls: the bearer token of a request, verified by ourselves (AUTH=oidc) or by Cloud Run (AUTH=iam).

Importing this loads no client: what verifies signatures is loaded with the first token.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from trading_playbook.core.errors import FixConfig
from trading_playbook.service.certificates import ALGORITHM, GOOGLE_CERTIFICATES, Certificates
from trading_playbook.service.certificates import Unavailable as Unavailable

if TYPE_CHECKING:
    from trading_playbook.ports import Clock

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
SKEW_SECONDS = 60
"""How far the clock of whoever made the token and ours may lie apart."""

LONGEST_TOKEN = 8192
"""Letters. Google's have about a thousand."""

REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
"""What Cloud Run puts in a signature's place once it has verified it."""

ANYBODY = "anybody"
"""The caller's name where nobody is asked for one."""

_AUTHORIZATION = "Authorization"
_SERVERLESS = "X-Serverless-Authorization"
_JWT = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_REALM = 'Bearer realm="trading-playbook"'


class Unauthorized(Exception):
    """Who calls is not known: there is no token, or none that holds. HTTP 401.

    reason: what is wrong, for the log alone, where it helps the caller's owner and no attacker; of our own words only.
    challenge: the value of WWW-Authenticate (RFC 6750, 3), which tells a token that failed from none at all.
    """

    def __init__(self, reason: str, *, token_given: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.challenge = f'{_REALM}, error="invalid_token"' if token_given else _REALM


class Forbidden(Exception):
    """Who calls is known, and not on the list of what was asked for. HTTP 403."""

    def __init__(self, caller: str) -> None:
        super().__init__(caller)
        self.caller = caller


class Headers(Protocol):
    """The headers of a request, as Starlette has them: by name in any case, a value for each time one was sent."""

    def getlist(self, key: str, /) -> list[str]: ...


class Authenticator(Protocol):
    """Tells who calls."""

    @property
    def warning(self) -> str | None:
        """What the log must say at start-up; None where there is nothing to warn of."""

    def caller(self, headers: Headers, allowed: Collection[str]) -> str:
        """The e-mail address of the caller, in lower case, who is one of those allowed.

        May wait for the network, for FETCH_SECONDS and the time of one fetch by another thread at most: call it where
        that holds nobody up. Raises Unauthorized, Forbidden or Unavailable, whatever the headers hold.
        """


def build_authenticator(
    mode: str,
    *,
    audience: str | None,
    callers: Collection[str],
    environment: Mapping[str, str],
    clock: Clock,
    certificates_url: str = GOOGLE_CERTIFICATES,
) -> Authenticator:
    """What AUTH=mode means. callers: OIDC_SERVICE_ACCOUNTS. Raises FixConfig where it would let the wrong ones in."""
    on_a_service = bool(environment.get("K_SERVICE"))
    if mode == "none":
        if on_a_service or environment.get("CLOUD_RUN_JOB"):
            raise FixConfig("AUTH is none, which would open it to the world on Cloud Run: set AUTH=oidc or iam")
        return OpenDoor()
    if mode not in ("oidc", "iam"):
        raise FixConfig("AUTH is none of oidc, iam and none")
    if not audience:
        raise FixConfig(
            f"OIDC_AUDIENCE is not set, and AUTH={mode} needs it: a name that callers have their tokens made out to, "
            "such as trading-playbook"
        )
    if not callers:
        raise FixConfig(
            f"OIDC_SERVICE_ACCOUNTS is not set, and AUTH={mode} needs it: the e-mail addresses of those who may call, "
            "with commas"
        )
    if mode == "oidc":
        return OidcAuthenticator(audience, clock, Certificates(clock, certificates_url))
    if not on_a_service:
        raise FixConfig(
            "AUTH is iam, which leaves signatures to Cloud Run, and this is no service of Cloud Run's (there is no "
            "K_SERVICE): set AUTH=oidc"
        )
    return IamAuthenticator(audience, clock)


class OpenDoor:
    """AUTH=none: everybody may do everything. For a laptop."""

    warning = "AUTH=none: whoever reaches this service may run it and read its journal"

    def caller(self, headers: Headers, allowed: Collection[str]) -> str:
        return ANYBODY


class OidcAuthenticator:
    """AUTH=oidc: the token in Authorization is verified here, whole.

    X-Serverless-Authorization is not looked at. It is meant for Cloud Run, which hands it on without its signature; a
    service that Cloud Run guards too is called with the token in both.
    """

    warning = None

    def __init__(self, audience: str, clock: Clock, certificates: Certificates) -> None:
        self._audience = audience
        self._clock = clock
        self._certificates = certificates

    def caller(self, headers: Headers, allowed: Collection[str]) -> str:
        token = _bearer_token(headers, _AUTHORIZATION)
        # First what costs nothing: a token that cannot hold anyway must not make us ask Google for keys.
        email = _email(token, self._audience, self._clock.now())
        self._require_signature(token)
        return _require_listed(email, allowed)

    def _require_signature(self, token: str) -> None:
        if token.endswith(f".{REMOVED}"):
            raise Unauthorized(
                "Cloud Run has verified the token and taken its signature away: set AUTH=iam, or have the token sent "
                f"in both {_AUTHORIZATION} and {_SERVERLESS}"
            )
        from jwt import PyJWS, PyJWTError

        jws = PyJWS(algorithms=[ALGORITHM], options={"enforce_minimum_key_length": True})
        try:
            key_id = jws.get_unverified_header(token).get("kid")
            key = self._certificates.key(key_id) if isinstance(key_id, str) and key_id else None
            if key is None:
                raise Unauthorized("the token is signed by a key that is not Google's")
            # The key and the algorithm are ours; jwk, jku and x5u of the token are never looked at.
            jws.decode_complete(token, key, algorithms=[ALGORITHM])
        except PyJWTError:
            raise Unauthorized("the token's signature or header does not hold") from None


class IamAuthenticator:
    """AUTH=iam: Cloud Run has verified the token, and put REMOVED in its signature's place; the rest is compared here.

    Where both headers are sent Cloud Run verifies X-Serverless-Authorization and leaves the other as it came, so that
    one counts. A token that still has a signature is one that Cloud Run did not verify, and is refused.
    """

    warning = None

    def __init__(self, audience: str, clock: Clock) -> None:
        self._audience = audience
        self._clock = clock

    def caller(self, headers: Headers, allowed: Collection[str]) -> str:
        token = _bearer_token(headers, _SERVERLESS if headers.getlist(_SERVERLESS) else _AUTHORIZATION)
        if not token.endswith(f".{REMOVED}"):
            raise Unauthorized(
                "the token still has its signature, so Cloud Run did not verify it: the service must not allow "
                "unauthenticated calls, or AUTH must be oidc"
            )
        return _require_listed(_email(token, self._audience, self._clock.now()), allowed)


def _bearer_token(headers: Headers, name: str) -> str:
    """The one token of a header (RFC 6750, 2.1), of a JWT's form."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise Unauthorized(f"{name} is given more than once")
    scheme, _, token = (values[0] if values else "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("there is no bearer token", token_given=False)
    token = token.strip(" \t")
    if len(token) > LONGEST_TOKEN or not _JWT.fullmatch(token):
        raise Unauthorized("the bearer token is no JWT")
    return token


def _email(token: str, audience: str, now: datetime) -> str:
    """The verified e-mail address that a token names, where its claims hold for this audience at this moment."""
    claims = _claims(token)
    if claims.get("iss") not in ISSUERS:
        raise Unauthorized("the token's issuer is not Google")
    if claims.get("aud") != audience:
        raise Unauthorized("the token is made out to another audience than OIDC_AUDIENCE")
    expires, issued, not_before = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    if not (_is_time(expires) and _is_time(issued) and _is_time(not_before)):
        raise Unauthorized("the token's times are not whole seconds")
    seconds = now.timestamp()
    if expires + SKEW_SECONDS <= seconds:
        raise Unauthorized("the token has expired")
    if max(issued, not_before) > seconds + SKEW_SECONDS:
        raise Unauthorized("the token is of the future")
    email = claims.get("email")
    # Some letters beyond ASCII become others in lower case: the Kelvin sign a k.
    if not isinstance(email, str) or not email.isascii():
        raise Unauthorized("the token names no e-mail address: have it made with --include-email, or format=full")
    if claims.get("email_verified") is not True:
        raise Unauthorized("the token's e-mail address is not verified")
    return email.lower()


def _claims(token: str) -> Mapping[str, Any]:
    encoded = token.split(".")[1]
    try:
        text = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        claims = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        raise Unauthorized("the token's claims are no JSON") from None
    if not isinstance(claims, dict):
        raise Unauthorized("the token's claims are no JSON object")
    return claims


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def _is_time(value: object) -> TypeGuard[int]:
    return type(value) is int


def _require_listed(email: str, allowed: Collection[str]) -> str:
    if email not in {one.lower() for one in allowed}:
        raise Forbidden(email)
    return email
