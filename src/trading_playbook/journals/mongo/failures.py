"""What the errors of MongoDB and its library mean to a run. None goes on as it is: they may tell too much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.network.retries import Temporary
from trading_playbook.ports import LostRace

SETTING = "MONGODB_CONNECTION"
SHOWN = 200
"""Of what the server says of an error that is not known here, so many characters are shown."""

DUPLICATE_KEY = 11000
_TLS_REASON = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")

# Numbers of errors, as src/mongo/base/error_codes.yml of the server tells them.
_REFUSED_CREDENTIALS = frozenset({11, 18, 31, 334})  # UserNotFound, AuthenticationFailed, RoleNotFound, Mechanism...
_FORBIDDEN = frozenset({13, 33, 8000})  # Unauthorized, AuthSchemaIncompatible, AtlasError
_NO_SPACE = frozenset({12501, 14031})  # a quota, and OutOfDiskSpace
_NO_TRANSACTIONS = frozenset({20, 59, 115, 263})  # IllegalOperation, an unknown command, one not supported in them
_OTHERS_WON = frozenset({112, DUPLICATE_KEY})  # WriteConflict
_TEMPORARY = frozenset(
    {
        *(6, 7, 89, 9001),  # the network between its servers
        *(91, 189, 10058, 10107, 11600, 11602, 13435, 13436),  # it shuts down, or another one is the primary now
        *(24, 46, 50, 202, 262, 290),  # LockTimeout, LockBusy, MaxTimeMSExpired, NetworkInterfaceExceeded..., lifetimes
        *(43, 225, 237, 246, 251),  # a cursor, a transaction or a snapshot is gone
        *(63, 133, 134, 13388),  # stale routing, ReadPreference, ReadConcernMajorityNotAvailableYet
        *(462, 16500),  # it has too much to do
    }
)


class Taken(LostRace):
    """Documents of these _ids were there already; all others of the same call were added."""

    def __init__(self, message: str, ids: frozenset[str]) -> None:
        super().__init__(message)
        self.ids = ids


class NoTransactions(Exception):
    """The server answers that it has no transactions, whatever it said before."""


@contextmanager
def as_ours(doing: str, database: str) -> Iterator[None]:
    """Turn what the library raises into what the caller can act on.

    doing: what is not done where it fails; database: to which a role may be missing. Raises Temporary where the same
    call may work at once, RetryLater where it may work in a later run, FixConfig, LostRace where another writer came in
    between, and NoTransactions.
    """
    from bson.errors import InvalidBSON
    from pymongo.errors import ConfigurationError, ConnectionFailure, OperationFailure, ProtocolError

    # Not even as the cause: an error of the library may hold the command with its rows, or the connection's options.
    try:
        yield
    except OperationFailure as error:
        raise _answered(error, doing, database) from None
    except ConnectionFailure as error:
        raise _unreachable(error, doing) from None
    except ConfigurationError as error:
        raise _not_found(error, doing) from None
    except (ProtocolError, InvalidBSON) as error:
        raise Temporary(f"{doing}: what the server answers cannot be understood ({type(error).__name__})") from None


def _answered(error: Any, doing: str, database: str) -> Exception:
    """What an answer that is an error means."""
    details = error.details or {}
    if waited := details.get("writeConcernErrors") or details.get("writeConcernError") or _is_write_concern(error):
        told = waited[0] if isinstance(waited, list) else waited
        number = told.get("code", 64) if isinstance(told, dict) else error.code
        if number in _NO_SPACE:
            return _no_space(doing, number)
        return RetryLater(
            f"{doing}: it was not confirmed by the majority of the servers in time ({number}); the next run will find "
            "what was kept, and write what was not"
        )
    refused = details.get("writeErrors") or []
    if refused and all(each.get("code") == DUPLICATE_KEY for each in refused):
        return Taken(doing, frozenset(each.get("op", {}).get("_id", "") for each in refused))
    answer = next((each for each in refused if each.get("code") != DUPLICATE_KEY), details)
    number = answer.get("code", error.code)
    name = answer.get("codeName", "")
    told = f"{doing}: the server answers {number}{name and f' ({name})'}"
    said = str(answer.get("errmsg", ""))[:SHOWN]
    if number in _NO_SPACE or "space quota" in said:
        return _no_space(doing, number)
    if number in _REFUSED_CREDENTIALS or "bad auth" in said:
        return FixConfig(
            f"{told}: it does not accept the user and the password of {SETTING}; mend them, percent-encoded where they "
            "hold signs such as @ : / or %, and authSource where the user is kept in another database"
        )
    if number in _FORBIDDEN:
        return FixConfig(f"{told}; give the user of {SETTING} the role readWrite on the database {database}")
    if number in _OTHERS_WON:
        return LostRace(told)
    if number in _NO_TRANSACTIONS and "ransaction" in said:
        return NoTransactions(told)
    labels = ("TransientTransactionError", "RetryableWriteError", "SystemOverloadedError")
    if number in _TEMPORARY or any(map(error.has_error_label, labels)):
        return Temporary(told)
    return FixConfig(f"{told}: {said!r}; look at the server, the database and the collection")


def _is_write_concern(error: Any) -> bool:
    from pymongo.errors import WriteConcernError

    return isinstance(error, WriteConcernError)


def _no_space(doing: str, number: int) -> RetryLater:
    return RetryLater(f"{doing}: the server has no space left ({number}); make room, then run again")


def _unreachable(error: Any, doing: str) -> Exception:
    """What it means that no answer came."""
    # Where no server can be chosen, the library keeps what each said in its sentence alone.
    said = str(error)
    reason = _TLS_REASON.search(said)
    if reason and reason[1] != "UNEXPECTED_EOF_WHILE_READING":  # the server went away
        return FixConfig(
            f"{doing}: no secure connection comes about ({reason[1]}); look at tls and its options in {SETTING}, and "
            "with Atlas at the addresses that may connect"
        )
    where = ", in the handshake of tls, which a server may not know" if "SSL handshake" in said else ""
    return Temporary(f"{doing}: the server cannot be reached, or the connection broke ({type(error).__name__}){where}")


def _not_found(error: Any, doing: str) -> Exception:
    """What it means that the library cannot use the connection string: its name may not be found."""
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, NoAnswer

    cause = error.__cause__
    if isinstance(cause, NXDOMAIN | NoAnswer):
        return FixConfig(f"{doing}: the name in {SETTING} (mongodb+srv) is not found; mend it")
    if isinstance(cause, DNSException | OSError):
        how = type(cause).__name__
        return Temporary(f"{doing}: the name in {SETTING} (mongodb+srv) could not be looked up ({how})")
    return unusable()


def unusable() -> FixConfig:
    """A connection string that cannot be used; what it holds is shown to nobody."""
    return FixConfig(
        f"{SETTING} is no connection string that can be used; expected is "
        "mongodb://USER:PASSWORD@HOST:PORT/?OPTIONS or mongodb+srv://USER:PASSWORD@NAME/?OPTIONS, user and password "
        "percent-encoded where they hold signs such as @ : / ? or %, every option one that MongoDB's library knows"
    )
