"""Calls to Google with the credentials of this machine or account: how they end in time, what trouble means."""

from __future__ import annotations

from typing import Any

from trading_playbook.core.errors import FixConfig
from trading_playbook.network.deadlines import DeadlineAdapter
from trading_playbook.network.retries import Temporary

_WRONG_CREDENTIALS = ("invalid_grant", "invalid_client", "unauthorized_client", "deleted_client", "account_not_found")


def let_end(session: Any, pool_size: int = 10) -> None:
    """Let the calls of one of Google's sessions, those for a token too, end when `ending_within` says so."""
    for used in (session, getattr(session, "_auth_request_session", None)):
        if used is not None:
            for scheme in ("https://", "http://"):
                used.mount(scheme, DeadlineAdapter(pool_maxsize=pool_size))


def without_token(error: Exception, doing: str, sign_in: str) -> Temporary | FixConfig:
    """What trouble with the credentials means.

    error: a GoogleAuthError; what it says is not shown. doing: what is not done. sign_in: how to get other credentials.
    """
    from google.auth.exceptions import ReauthFailError, RefreshError, ResponseError, TimeoutError, TransportError

    refused = isinstance(error, ReauthFailError) or any(word in str(error) for word in _WRONG_CREDENTIALS)
    if isinstance(error, RefreshError | ResponseError | TimeoutError | TransportError) and not refused:
        return Temporary(f"{doing}: Google gives no token for the credentials ({type(error).__name__})")
    return FixConfig(f"{doing}: there are no credentials that Google accepts; {sign_in}")
