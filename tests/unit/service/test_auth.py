from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clocks import ManualClock
from tests.support.tokens import (
    AUDIENCE,
    GOOGLE_KEY,
    NOW,
    SCHEDULER,
    CertificateServer,
    SentHeaders,
    SigningKey,
    bearing,
    claims,
    encoded,
    signing_key,
    token,
    without_signature,
)
from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.service.auth import (
    ANYBODY,
    LONGEST_TOKEN,
    REMOVED,
    Authenticator,
    Forbidden,
    IamAuthenticator,
    OidcAuthenticator,
    Unauthorized,
    Unavailable,
    build_authenticator,
)
from trading_playbook.service.certificates import (
    LONGEST_SECONDS,
    PAUSE_SECONDS,
    SHORTEST_SECONDS,
    UNKNOWN_SECONDS,
    USUAL_SECONDS,
    Certificates,
)
from trading_playbook.system import SystemClock

ALLOWED = frozenset({SCHEDULER})
ON_CLOUD_RUN = {"K_SERVICE": "trading-playbook"}
INVALID = 'Bearer realm="trading-playbook", error="invalid_token"'
SECONDS = int(NOW.timestamp())
GOOGLE, STRANGER = signing_key(GOOGLE_KEY), signing_key("stranger")
THE_THREE = (Unauthorized, Forbidden, Unavailable)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server() -> Iterator[CertificateServer]:
    with CertificateServer(GOOGLE) as server:
        yield server


@pytest.fixture
def oidc(clock: ManualClock, server: CertificateServer) -> OidcAuthenticator:
    return OidcAuthenticator(AUDIENCE, clock, Certificates(clock, server.url))


@pytest.fixture
def iam(clock: ManualClock) -> IamAuthenticator:
    return IamAuthenticator(AUDIENCE, clock)


@pytest.fixture(scope="module")
def keys_at_hand() -> Iterator[OidcAuthenticator]:
    """One whose keys are fetched already, for tests of many tokens."""
    clock = ManualClock()
    with CertificateServer(GOOGLE) as server:
        certificates = Certificates(clock, server.url)
        assert certificates.key(GOOGLE.key_id)
        yield OidcAuthenticator(AUDIENCE, clock, certificates)


def _refused(authenticator: Authenticator, headers: SentHeaders) -> Unauthorized:
    with pytest.raises(Unauthorized) as caught:
        authenticator.caller(headers, ALLOWED)
    return caught.value


def _built(mode: str, environment: Mapping[str, str], **others: Any) -> Authenticator:
    given: dict[str, Any] = {"audience": AUDIENCE, "callers": (SCHEDULER,), "clock": ManualClock()}
    return build_authenticator(mode, environment=environment, **(given | others))


# --- a good token -----------------------------------------------------------------------------------------------------


def test_a_good_token_tells_its_caller(oidc: OidcAuthenticator) -> None:
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "accounts.google.com"])
def test_google_has_two_names_as_an_issuer(oidc: OidcAuthenticator, issuer: str) -> None:
    assert oidc.caller(bearing(token(claims(iss=issuer))), ALLOWED) == SCHEDULER


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_scheme_is_read_in_any_case_with_any_blanks(oidc: OidcAuthenticator, scheme: str) -> None:
    assert oidc.caller(SentHeaders(("AUTHORIZATION", f"{scheme}{token()} \t")), ALLOWED) == SCHEDULER


@pytest.mark.parametrize("listed", [SCHEDULER, SCHEDULER.upper(), SCHEDULER.title()])
@pytest.mark.parametrize("named", [SCHEDULER, SCHEDULER.upper()])
def test_the_case_of_an_address_does_not_matter(oidc: OidcAuthenticator, named: str, listed: str) -> None:
    assert oidc.caller(bearing(token(claims(email=named))), [listed]) == SCHEDULER


def test_other_claims_do_not_matter(oidc: OidcAuthenticator) -> None:
    held = claims(hd="example.com", google={"compute_engine": {"zone": "z"}}, jti=5, nbf=SECONDS)
    assert oidc.caller(bearing(token(held)), ALLOWED) == SCHEDULER


@pytest.mark.parametrize("header", [{"typ": None}, {"typ": "at+jwt"}, {"x": [1]}])
def test_other_parts_of_a_header_do_not_matter(oidc: OidcAuthenticator, header: dict[str, Any]) -> None:
    assert oidc.caller(bearing(token(headers=header)), ALLOWED) == SCHEDULER


def test_who_is_not_on_the_list_of_this_path_is_known_and_forbidden(oidc: OidcAuthenticator) -> None:
    for allowed in (["other@example.com"], [], [""], [f" {SCHEDULER}"]):
        with pytest.raises(Forbidden) as caught:
            oidc.caller(bearing(token()), allowed)
        assert caught.value.caller == SCHEDULER


# --- no token ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, "", " ", "Basic dXNlcjpwYXNz", "Digest x", token(), "Bearerx y", "Token a.b.c", "\u00e9"]
)
def test_no_token_is_challenged_without_an_error(oidc: OidcAuthenticator, value: str | None) -> None:
    headers = SentHeaders() if value is None else SentHeaders(("authorization", value))
    assert _refused(oidc, headers).challenge == 'Bearer realm="trading-playbook"'


def test_two_headers_are_refused_even_where_both_are_good(oidc: OidcAuthenticator, iam: IamAuthenticator) -> None:
    good = f"Bearer {token()}"
    assert _refused(oidc, SentHeaders(("authorization", good), ("Authorization", good))).challenge == INVALID
    stripped = f"Bearer {without_signature(token())}"
    for name in ("authorization", "x-serverless-authorization"):
        assert _refused(iam, SentHeaders((name, stripped), (name, stripped))).challenge == INVALID


# --- forms that are no JWT --------------------------------------------------------------------------------------------

GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
NO_JWT = {
    "nothing": "",
    "dots": "..",
    "three dots": f"{GOOD}.",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts, as of JWE": "a.b.c.d.e",
    "two parts": f"{HEAD}.{BODY}",
    "no signature": f"{HEAD}.{BODY}.",
    "no header": f".{BODY}.{SIGNATURE}",
    "two tokens with a comma": f"{GOOD}, Bearer {GOOD}",
    "two tokens with a blank": f"{GOOD} {GOOD}",
    "enormous": f"{HEAD}.{'A' * 100_000}.{SIGNATURE}",
    "a little too long": f"{HEAD}.{'A' * LONGEST_TOKEN}.{SIGNATURE}",
    "not ASCII": f"{HEAD}.{BODY}.\u00e9",
    "digits of another script": f"{HEAD}.{BODY}.\u0661\u0662",
    "NUL": f"{HEAD}.{BODY}.\0",
    "newline": f"{GOOD}\n",
    "standard base64": f"{HEAD}.{BODY}.++//",
    "padding": f"{GOOD}==",
    "garbage": f"{HEAD}.!!!!.{SIGNATURE}",
    "an access token of Google's": "ya29.a0AfH6SMBx-abcdef",
    "percent signs": GOOD.replace(".", "%2E"),
}


@pytest.mark.parametrize("sent", NO_JWT.values(), ids=NO_JWT)
def test_what_is_no_jwt_is_refused_without_asking_google(
    oidc: OidcAuthenticator, iam: IamAuthenticator, server: CertificateServer, sent: str
) -> None:
    for authenticator in (oidc, iam):
        assert _refused(authenticator, bearing(sent)).challenge == INVALID
    assert server.calls == 0


def test_a_token_that_google_would_not_make_so_long_is_refused(oidc: OidcAuthenticator, iam: IamAuthenticator) -> None:
    sent = token(claims(more="x" * LONGEST_TOKEN))
    _refused(oidc, bearing(sent))
    _refused(iam, bearing(without_signature(sent)))


def test_an_enormous_token_costs_nothing(keys_at_hand: OidcAuthenticator) -> None:
    began = time.monotonic()
    for _ in range(100):
        _refused(keys_at_hand, bearing(f"{HEAD}.{'A' * 100_000}.{SIGNATURE}"))
    assert time.monotonic() - began < 1


NO_CLAIMS: dict[str, bytes | str] = {
    "no JSON": "{",
    "nothing": b" ",
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "a text": '"x"',
    "not UTF-8": b"\xff\xfe{}",
    "UTF-16": json.dumps(claims()).encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + json.dumps(claims()).encode(),
    "deep": "[" * 3000,
    "deep objects": '{"a":' * 800,
    "a number without end": '{"exp":' + "9" * 5500 + "}",
    "a name twice": json.dumps(claims())[:-1] + f', "email": "{SCHEDULER}"}}',
    "the expiry twice": '{"exp": 1, ' + json.dumps(claims())[1:],
    "a name twice, deeper": json.dumps(claims())[:-1] + ', "x": {"a": 1, "a": 2}}',
}


@pytest.mark.parametrize("text", NO_CLAIMS.values(), ids=NO_CLAIMS)
def test_claims_that_are_no_object_of_json_are_refused_though_signed(
    oidc: OidcAuthenticator, iam: IamAuthenticator, text: bytes | str
) -> None:
    sent = token(text)
    assert _refused(oidc, bearing(sent)).challenge == INVALID
    assert _refused(iam, bearing(without_signature(sent))).challenge == INVALID


# --- claims that do not hold ------------------------------------------------------------------------------------------

WRONG: dict[str, dict[str, Any]] = {
    "expired": {"exp": SECONDS - 3600, "iat": SECONDS - 7200},
    "expired a minute ago": {"exp": SECONDS - 60},
    "a clock an hour ahead": {"iat": SECONDS + 3600, "exp": SECONDS + 7200},
    "a clock more than a minute ahead": {"iat": SECONDS + 61},
    "not before an hour from now": {"nbf": SECONDS + 3600},
    "no expiry": {"exp": None},
    "no time of issue": {"iat": None},
    "expiry as text": {"exp": str(SECONDS + 3000)},
    "issued as text": {"iat": str(SECONDS)},
    "expiry as float": {"exp": SECONDS + 3000.5},
    "expiry NaN": {"exp": float("nan")},
    "expiry without end": {"exp": float("inf")},
    "expiry as bool": {"exp": True},
    "expiry as list": {"exp": [SECONDS + 3000]},
    "issued as object": {"iat": {}},
    "issued as bool": {"iat": True},
    "not before as bool": {"nbf": False},
    "not before as text": {"nbf": "0"},
    "not before NaN": {"nbf": float("nan")},
    "expiry below zero": {"exp": -1},
    "expiry enormous below zero": {"exp": -(10**400)},
    "issued enormous": {"iat": 10**400},
    "another audience": {"aud": "https://other-service.a.run.app"},
    "audience in another case": {"aud": AUDIENCE.upper()},
    "audience with a slash": {"aud": AUDIENCE + "/"},
    "audience with a blank": {"aud": AUDIENCE + " "},
    "no audience": {"aud": None},
    "empty audience": {"aud": ""},
    "a list of audiences": {"aud": [AUDIENCE]},
    "a list with others": {"aud": ["https://other", AUDIENCE]},
    "audience as object": {"aud": {AUDIENCE: 1}},
    "audience of gcloud": {"aud": "32555940559.apps.googleusercontent.com"},
    "another issuer": {"iss": "https://evil.example"},
    "an issuer that looks alike": {"iss": "https://accounts.google.com.evil.example"},
    "issuer over http": {"iss": "http://accounts.google.com"},
    "issuer with a slash": {"iss": "https://accounts.google.com/"},
    "no issuer": {"iss": None},
    "issuer as list": {"iss": ["https://accounts.google.com"]},
    "the issuer of firebase": {"iss": "https://securetoken.google.com/project"},
    "a service account as issuer": {"iss": SCHEDULER},
    "e-mail not verified": {"email_verified": False},
    "e-mail verified as text": {"email_verified": "true"},
    "e-mail verified as number": {"email_verified": 1},
    "no word on the e-mail": {"email_verified": None},
    "no e-mail": {"email": None},
    "e-mail as list": {"email": [SCHEDULER]},
    "e-mail as number": {"email": 5},
    "e-mail with a Kelvin sign": {"email": "\u212aim@example.com"},
    "e-mail with half a letter": {"email": "\ud800@example.com"},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_claims_that_do_not_hold_are_refused_without_asking_google(
    oidc: OidcAuthenticator, iam: IamAuthenticator, server: CertificateServer, changes: dict[str, Any]
) -> None:
    sent = token(claims(**changes))
    allowed = [SCHEDULER, "kim@example.com"]
    for authenticator, made in ((oidc, sent), (iam, without_signature(sent))):
        with pytest.raises(Unauthorized) as caught:
            authenticator.caller(bearing(made), allowed)
        assert caught.value.challenge == INVALID
    assert server.calls == 0


@pytest.mark.parametrize("skew", [-30, -59, 0, 30, 60])
def test_clocks_may_differ_by_some_seconds(oidc: OidcAuthenticator, iam: IamAuthenticator, skew: int) -> None:
    held = claims(iat=SECONDS + skew, nbf=SECONDS + skew) if skew > 0 else claims(exp=SECONDS + skew)
    sent = token(held)
    assert oidc.caller(bearing(sent), ALLOWED) == SCHEDULER
    assert iam.caller(bearing(without_signature(sent)), ALLOWED) == SCHEDULER


def test_a_token_is_good_for_its_hour_alone(clock: ManualClock, server: CertificateServer) -> None:
    oidc = OidcAuthenticator(AUDIENCE, clock, Certificates(clock, server.url))
    sent = token(claims(iat=SECONDS, exp=SECONDS + 3600))
    assert oidc.caller(bearing(sent), ALLOWED) == SCHEDULER
    clock.sleep(3600)
    assert oidc.caller(bearing(sent), ALLOWED) == SCHEDULER
    clock.sleep(60)
    assert "expired" in _refused(oidc, bearing(sent)).reason


# --- signatures and headers that do not hold --------------------------------------------------------------------------


def _flipped(signed: str) -> str:
    head, body, signature = signed.split(".")
    return f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


FORGED: dict[str, Callable[[], str]] = {
    "no algorithm": lambda: token(algorithm="none") + "AA",
    "NONE": lambda: token(headers={"alg": "NonE"}),
    "HS256 with the public key": lambda: token(algorithm="HS256", secret=GOOGLE.pem),
    "HS256 with the modulus": lambda: token(algorithm="HS256", secret=GOOGLE.jwk["n"].encode()),
    "HS256 with nothing": lambda: token(algorithm="HS256", secret=b"x"),
    "RS384": lambda: token(algorithm="RS384"),
    "RS512": lambda: token(algorithm="RS512"),
    "PS256": lambda: token(algorithm="PS256"),
    "RS384 that says RS256": lambda: token(algorithm="RS384", headers={"alg": "RS256"}),
    "RS256 that says ES256": lambda: token(headers={"alg": "ES256"}),
    "rs256 in lower case": lambda: token(headers={"alg": "rs256"}),
    "algorithm as list": lambda: token(headers={"alg": ["RS256"]}),
    "algorithm as null": lambda: token(headers={"alg": None}),
    "signed by another key": lambda: token(key=STRANGER),
    "another key under Google's id": lambda: token(key=SigningKey(GOOGLE.key_id, STRANGER.private)),
    "a key brought along": lambda: token(key=STRANGER, headers={"jwk": STRANGER.jwk, "kid": GOOGLE.key_id}),
    "a key brought along, no id": lambda: token(key=STRANGER, headers={"jwk": STRANGER.jwk}),
    "no key id": lambda: token(headers={"kid": None}),
    "an empty key id": lambda: token(headers={"kid": ""}),
    "key id as list": lambda: token(headers={"kid": [GOOGLE.key_id]}),
    "key id as number": lambda: token(headers={"kid": 1}),
    "key id that is a path": lambda: token(headers={"kid": "../../../../dev/null"}),
    "key id that is an address": lambda: token(headers={"kid": "http://127.0.0.1:1/key"}),
    "key id that is SQL": lambda: token(headers={"kid": "x' UNION SELECT 'secret"}),
    "key id with NUL": lambda: token(headers={"kid": f"{GOOGLE.key_id}\0"}),
    "an extension that must be known": lambda: token(headers={"crit": ["exp"], "exp": 1}),
    "an extension that nobody knows": lambda: token(headers={"crit": ["x"], "x": 1}),
    "no list of extensions": lambda: token(headers={"crit": "x"}),
    "an empty list of extensions": lambda: token(headers={"crit": []}),
    "a payload outside": lambda: token(headers={"crit": ["b64"], "b64": False}),
    "changed claims": lambda: f"{HEAD}.{encoded(json.dumps(claims(sub='1')).encode())}.{SIGNATURE}",
    "changed header": lambda: (
        f"{encoded(json.dumps({'alg': 'RS256', 'kid': GOOGLE.key_id}).encode())}.{BODY}.{SIGNATURE}"
    ),
    "changed signature": lambda: _flipped(GOOD),
    "a signature cut off": lambda: GOOD[:-4],
    "a signature with more": lambda: f"{GOOD}AAAA",
    "header is no JSON": lambda: f"{encoded(b'{')}.{BODY}.{SIGNATURE}",
    "header is a list": lambda: f"{encoded(b'[]')}.{BODY}.{SIGNATURE}",
    "header is not UTF-8": lambda: f"{encoded(bytes([255, 254]))}.{BODY}.{SIGNATURE}",
    "header is deep": lambda: f"{encoded(b'[' * 3000)}.{BODY}.{SIGNATURE}",
    "header is half a group": lambda: f"A.{BODY}.{SIGNATURE}",
    "the word for a removed signature": lambda: without_signature(GOOD),
}


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
def test_a_token_that_google_did_not_sign_is_refused(oidc: OidcAuthenticator, make: Callable[[], str]) -> None:
    refused = _refused(oidc, bearing(make()))
    assert refused.challenge == INVALID
    assert SCHEDULER not in refused.reason


@pytest.mark.parametrize("key_id", [None, "", 1, ["x"], {}])
def test_a_token_without_a_key_id_makes_nobody_ask(
    oidc: OidcAuthenticator, server: CertificateServer, key_id: object
) -> None:
    sent = token(headers={"kid": key_id})
    _refused(oidc, bearing(sent if key_id is not None else _without_key_id()))
    assert server.calls == 0


def _without_key_id() -> str:
    return f"{encoded(json.dumps({'alg': 'RS256'}).encode())}.{BODY}.{SIGNATURE}"


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_an_address_of_keys_that_a_token_names_is_never_called(oidc: OidcAuthenticator, name: str) -> None:
    with CertificateServer(STRANGER) as evil:
        _refused(oidc, bearing(token(key=STRANGER, headers={name: evil.url, "kid": GOOGLE.key_id})))
        _refused(oidc, bearing(token(key=STRANGER, headers={name: evil.url})))
        assert oidc.caller(bearing(token(headers={name: evil.url})), ALLOWED) == SCHEDULER
        assert evil.calls == 0


def test_the_address_is_not_told_before_the_signature_holds(oidc: OidcAuthenticator) -> None:
    # Else anybody could find out by 403 and 401 who is on the list.
    _refused(oidc, bearing(token(claims(email="nobody@example.com"), key=STRANGER)))


def test_short_keys_are_not_trusted(clock: ManualClock) -> None:
    short = signing_key("short", 1024)
    with CertificateServer(short) as server:
        oidc = OidcAuthenticator(AUDIENCE, clock, Certificates(clock, server.url))
        _refused(oidc, bearing(token(key=short)))


def test_a_removed_signature_says_what_to_do(oidc: OidcAuthenticator, server: CertificateServer) -> None:
    assert "AUTH=iam" in _refused(oidc, bearing(without_signature(token()))).reason
    assert server.calls == 0


# --- whatever the headers hold, nothing but the three -----------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
CHANGES = st.dictionaries(st.sampled_from([*claims(), "nbf", "jti"]), JSON, max_size=3)
HEADER = st.dictionaries(st.sampled_from(["alg", "kid", "crit", "b64", "typ", "cty", "jku", "zip"]), JSON, max_size=3)
LETTERS = st.text(st.characters(max_codepoint=255), max_size=60)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, header=HEADER)
def test_signed_nonsense_ends_in_one_of_the_three(
    keys_at_hand: OidcAuthenticator, iam: IamAuthenticator, changes: dict[str, Any], header: dict[str, Any]
) -> None:
    sent = token(json.dumps(claims() | changes), headers=header)
    for authenticator, made in ((keys_at_hand, sent), (iam, without_signature(sent))):
        with suppress(*THE_THREE):
            assert authenticator.caller(bearing(made), ALLOWED) == SCHEDULER


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.tuples(
            st.sampled_from(["authorization", "x-serverless-authorization"]),
            LETTERS
            | st.builds("Bearer {}".format, LETTERS)
            | st.builds("Bearer {}.{}.{}".format, *[st.binary(max_size=40).map(encoded)] * 3)
            | st.binary(max_size=40).map(lambda body: f"Bearer {HEAD}.{encoded(body)}.{REMOVED}"),
        ),
        max_size=3,
    )
)
def test_unsigned_nonsense_is_refused(
    keys_at_hand: OidcAuthenticator, iam: IamAuthenticator, values: list[tuple[str, str]]
) -> None:
    for authenticator in (keys_at_hand, iam):
        _refused(authenticator, SentHeaders(*values))


# --- behind Cloud Run's own check -------------------------------------------------------------------------------------


def test_iam_takes_the_token_that_cloud_run_verified(iam: IamAuthenticator) -> None:
    assert iam.caller(bearing(without_signature(token())), ALLOWED) == SCHEDULER


def test_iam_refuses_a_token_that_still_has_its_signature(iam: IamAuthenticator) -> None:
    # Cloud Run did not look at it: the service lets anybody in.
    assert "did not verify" in _refused(iam, bearing(token())).reason
    for ending in (REMOVED.lower(), REMOVED[:-1], f"x{REMOVED}", f"{REMOVED}x"):
        _refused(iam, bearing(f"{HEAD}.{BODY}.{ending}"))


def test_iam_still_tells_strangers_from_callers(iam: IamAuthenticator) -> None:
    with pytest.raises(Forbidden):
        iam.caller(bearing(without_signature(token(claims(email="other@example.com")))), ALLOWED)


def test_iam_reads_the_header_that_cloud_run_verified(iam: IamAuthenticator) -> None:
    stranger = f"Bearer {without_signature(token(claims(email='other@example.com')))}"
    good = f"Bearer {without_signature(token())}"
    both = SentHeaders(("authorization", good), ("x-serverless-authorization", stranger))
    with pytest.raises(Forbidden) as caught:  # Authorization is as the caller wrote it, and so may be forged
        iam.caller(both, ALLOWED)
    assert caught.value.caller == "other@example.com"
    assert (
        iam.caller(SentHeaders(("x-serverless-authorization", good), ("authorization", "Basic x")), ALLOWED)
        == SCHEDULER
    )
    assert iam.caller(SentHeaders(("x-serverless-authorization", good)), ALLOWED) == SCHEDULER
    for empty in ("", "Bearer", "Basic x"):
        _refused(iam, SentHeaders(("x-serverless-authorization", empty), ("authorization", good)))


def test_oidc_reads_the_header_that_cloud_run_leaves_alone(oidc: OidcAuthenticator) -> None:
    stripped, whole = f"Bearer {without_signature(token())}", f"Bearer {token()}"
    both = SentHeaders(("x-serverless-authorization", stripped), ("authorization", whole))
    assert oidc.caller(both, ALLOWED) == SCHEDULER
    _refused(oidc, SentHeaders(("x-serverless-authorization", whole)))


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "environment", "others", "named"),
    [
        ("oidc", {}, {"audience": None}, "OIDC_AUDIENCE"),
        ("oidc", {}, {"audience": ""}, "OIDC_AUDIENCE"),
        ("oidc", ON_CLOUD_RUN, {"callers": ()}, "OIDC_SERVICE_ACCOUNTS"),
        ("iam", ON_CLOUD_RUN, {"audience": None}, "OIDC_AUDIENCE"),
        ("iam", ON_CLOUD_RUN, {"callers": ()}, "OIDC_SERVICE_ACCOUNTS"),
        ("iam", {}, {}, "K_SERVICE"),
        ("iam", {"K_SERVICE": ""}, {}, "K_SERVICE"),
        ("iam", {"CLOUD_RUN_JOB": "job"}, {}, "K_SERVICE"),
        ("none", ON_CLOUD_RUN, {}, "AUTH"),
        ("none", {"CLOUD_RUN_JOB": "job"}, {}, "AUTH"),
        ("off", {}, {}, "AUTH"),
        ("", {}, {}, "AUTH"),
        ("None", {}, {}, "AUTH"),
    ],
)
def test_settings_that_would_let_the_wrong_ones_in_are_refused(
    mode: str, environment: Mapping[str, str], others: dict[str, Any], named: str
) -> None:
    with pytest.raises(FixConfig, match=named):
        _built(mode, environment, **others)


def test_each_mode_is_built() -> None:
    assert isinstance(_built("oidc", {}), OidcAuthenticator)
    assert isinstance(_built("oidc", ON_CLOUD_RUN), OidcAuthenticator)
    assert isinstance(_built("iam", ON_CLOUD_RUN), IamAuthenticator)
    assert _built("oidc", {}).warning is None
    assert _built("iam", ON_CLOUD_RUN).warning is None


def test_an_open_door_is_said_aloud_and_asks_nobody() -> None:
    door = _built("none", {}, audience=None, callers=())
    assert door.warning is not None
    assert "AUTH=none" in door.warning
    assert door.caller(SentHeaders(), ()) == ANYBODY
    assert door.caller(bearing("junk"), ALLOWED) == ANYBODY


def test_building_asks_nobody_and_fails_closed_later(clock: ManualClock, server: CertificateServer) -> None:
    server.refuses()
    oidc = _built("oidc", {}, clock=clock, certificates_url=server.url)
    with pytest.raises(Unavailable):
        oidc.caller(bearing(token()), ALLOWED)


@pytest.mark.parametrize("module", ["auth", "certificates"])
def test_importing_it_loads_no_client(module: str) -> None:
    code = f"import sys, trading_playbook.service.{module}\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "google",
        "cryptography",
        "jwt",
        "requests",
        "urllib3",
        "numpy",
        "pydantic",
        "fastapi",
        "ssl",
        "http.client",
    }
    assert heavy.isdisjoint(loaded)


# --- Google's keys ----------------------------------------------------------------------------------------------------


def test_keys_are_fetched_once_for_as_long_as_google_says(clock: ManualClock, server: CertificateServer) -> None:
    server.headers = {"Cache-Control": "public, max-age=1000, must-revalidate, no-transform", "Age": "400"}
    certificates = Certificates(clock, server.url)
    for _ in range(3):
        assert certificates.key(GOOGLE.key_id) is not None
        clock.sleep(199)
    assert server.calls == 1
    clock.sleep(3)
    assert certificates.key(GOOGLE.key_id) is not None
    assert server.calls == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, USUAL_SECONDS),
        ({"Cache-Control": "no-store"}, USUAL_SECONDS),
        ({"Cache-Control": "max-age=0"}, SHORTEST_SECONDS),
        ({"Cache-Control": "max-age=100", "Age": "5000"}, SHORTEST_SECONDS),
        ({"Cache-Control": "public,MAX-AGE=900"}, 900),
        ({"Cache-Control": 'max-age="900"'}, 900),
        ({"Cache-Control": "s-maxage=5, x-max-age=7"}, USUAL_SECONDS),
        ({"Cache-Control": "max-age=900", "Age": "-5"}, 900),
        ({"Cache-Control": "max-age=900", "Age": "soon"}, 900),
        ({"Cache-Control": "max-age=999999999"}, LONGEST_SECONDS),
        ({"Cache-Control": "max-age=-1"}, USUAL_SECONDS),
    ],
)
def test_how_long_keys_are_kept(
    clock: ManualClock, server: CertificateServer, headers: dict[str, str], seconds: float
) -> None:
    server.headers = headers
    certificates = Certificates(clock, server.url)
    certificates.key(GOOGLE.key_id)
    clock.sleep(seconds - 1)
    certificates.key(GOOGLE.key_id)
    assert server.calls == 1
    clock.sleep(1)
    certificates.key(GOOGLE.key_id)
    assert server.calls == 2


def test_a_key_that_is_new_is_fetched_at_once(
    oidc: OidcAuthenticator, server: CertificateServer, clock: ManualClock
) -> None:
    oidc.caller(bearing(token()), ALLOWED)
    new = signing_key("google-2")
    server.keys = [new]
    assert oidc.caller(bearing(token(key=new)), ALLOWED) == SCHEDULER
    assert server.calls == 2
    _refused(oidc, bearing(token()))  # Google has taken it back


def test_ids_that_somebody_invents_make_us_ask_seldom(
    oidc: OidcAuthenticator, server: CertificateServer, clock: ManualClock
) -> None:
    oidc.caller(bearing(token()), ALLOWED)
    for number in range(200):
        _refused(oidc, bearing(token(headers={"kid": f"invented-{number}"})))
    assert server.calls == 2
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER
    clock.sleep(UNKNOWN_SECONDS)
    new = signing_key("google-2")
    server.keys = [GOOGLE, new]
    assert oidc.caller(bearing(token(key=new)), ALLOWED) == SCHEDULER
    assert server.calls == 3


def test_with_keys_at_hand_an_endpoint_that_is_down_harms_nobody(
    oidc: OidcAuthenticator, server: CertificateServer
) -> None:
    oidc.caller(bearing(token()), ALLOWED)
    server.refuses()
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER
    _refused(oidc, bearing(token(claims(aud="other"))))
    with pytest.raises(Unavailable):  # it may be a new key of Google's
        oidc.caller(bearing(token(key=STRANGER)), ALLOWED)
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER


def test_keys_that_are_too_old_are_not_trusted(
    oidc: OidcAuthenticator, server: CertificateServer, clock: ManualClock
) -> None:
    oidc.caller(bearing(token()), ALLOWED)
    server.refuses()
    clock.sleep(20_000)
    with pytest.raises(Unavailable):
        oidc.caller(bearing(token(claims(clock.now()))), ALLOWED)


BROKEN: dict[str, Callable[[CertificateServer], None]] = {
    "refuses": lambda server: server.refuses(),
    "503": lambda server: setattr(server, "status", 503),
    "404": lambda server: setattr(server, "status", 404),
    "nothing": lambda server: setattr(server, "body", b""),
    "HTML": lambda server: setattr(server, "body", b"<html>"),
    "not UTF-8": lambda server: setattr(server, "body", b"\xff\xff\xff"),
    "a list": lambda server: setattr(server, "body", b"[]"),
    "null": lambda server: setattr(server, "body", b"null"),
    "no keys": lambda server: setattr(server, "body", b'{"keys": []}'),
    "keys as object": lambda server: setattr(server, "body", b'{"keys": {"a": 1}}'),
    "keys as number": lambda server: setattr(server, "body", b'{"keys": 5}'),
    "keys that are none": lambda server: setattr(server, "body", b'{"keys": [1, null, "x", {}, []]}'),
    "deep": lambda server: setattr(server, "body", b"[" * 100_000),
    "certificates": lambda server: setattr(server, "body", b'{"google-1": "-----BEGIN CERTIFICATE-----"}'),
    "a secret": lambda server: _sets(server, {"kty": "oct", "k": "c2VjcmV0", "kid": "google-1", "alg": "HS256"}),
    "a secret for RS256": lambda server: _sets(
        server, {"kty": "oct", "k": "c2VjcmV0", "kid": "google-1", "alg": "RS256"}
    ),
    "for encryption": lambda server: _sets(server, GOOGLE.jwk | {"use": "enc"}),
    "another algorithm": lambda server: _sets(server, GOOGLE.jwk | {"alg": "RS512"}),
    "algorithm as list": lambda server: _sets(server, GOOGLE.jwk | {"alg": ["RS256"]}),
    "id as number": lambda server: _sets(server, GOOGLE.jwk | {"kid": 7}),
    "modulus as number": lambda server: _sets(server, GOOGLE.jwk | {"n": 7}),
    "modulus as list": lambda server: _sets(server, GOOGLE.jwk | {"n": []}),
    "modulus of one": lambda server: _sets(server, GOOGLE.jwk | {"n": "AQ"}),
    "no exponent": lambda server: _sets(server, {k: v for k, v in GOOGLE.jwk.items() if k != "e"}),
    "type as list": lambda server: _sets(server, GOOGLE.jwk | {"kty": ["RSA"]}),
}


def _sets(server: CertificateServer, *keys: object) -> None:
    server.body = json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize("breaks", BROKEN.values(), ids=BROKEN)
def test_without_keys_nobody_passes(
    oidc: OidcAuthenticator, server: CertificateServer, breaks: Callable[[CertificateServer], object]
) -> None:
    breaks(server)
    with pytest.raises(Unavailable) as caught:
        oidc.caller(bearing(token()), ALLOWED)
    assert isinstance(caught.value, RetryLater)
    assert 1 <= caught.value.retry_after_seconds <= PAUSE_SECONDS
    assert SCHEDULER not in caught.value.message


def test_a_redirect_is_not_followed(oidc: OidcAuthenticator, server: CertificateServer) -> None:
    with CertificateServer(GOOGLE) as elsewhere:
        server.status = 302
        server.headers["Location"] = elsewhere.url
        with pytest.raises(Unavailable):
            oidc.caller(bearing(token()), ALLOWED)
        assert elsewhere.calls == 0


def test_good_keys_are_kept_where_others_beside_them_are_not(
    oidc: OidcAuthenticator, server: CertificateServer
) -> None:
    _sets(server, 5, {"kty": "new"}, GOOGLE.jwk | {"kid": "x", "n": "!"}, GOOGLE.jwk)
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER


def test_after_a_failure_nobody_asks_for_some_seconds(
    oidc: OidcAuthenticator, server: CertificateServer, clock: ManualClock
) -> None:
    server.status = 503
    with pytest.raises(Unavailable):
        oidc.caller(bearing(token()), ALLOWED)
    calls, now = server.calls, clock.now()
    for _ in range(20):
        with pytest.raises(Unavailable):
            oidc.caller(bearing(token()), ALLOWED)
    assert (server.calls, clock.now()) == (calls, now)
    server.status = 200
    clock.sleep(PAUSE_SECONDS)
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER


def test_trouble_that_passes_is_not_seen(
    oidc: OidcAuthenticator, server: CertificateServer, clock: ManualClock
) -> None:
    server.status = 503
    whole, tries = clock.sleep, []

    def sleep(seconds: float) -> None:
        tries.append(seconds)
        server.status = 200
        whole(seconds)

    clock.sleep = sleep  # type: ignore[method-assign]
    assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER
    assert len(tries) == 1


@pytest.mark.parametrize("slowness", ["silent", "drips"])
def test_a_slow_endpoint_ends_in_time(
    server: CertificateServer, slowness: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_playbook.service.certificates.FETCH_SECONDS", 0.4)
    if slowness == "silent":
        server.answering.clear()
    server.drips = slowness == "drips"
    began = time.monotonic()
    with pytest.raises(Unavailable):
        Certificates(SystemClock(), server.url).key(GOOGLE.key_id)
    assert time.monotonic() - began < 3


def test_many_at_once_fetch_once(oidc: OidcAuthenticator, server: CertificateServer) -> None:
    server.answering.clear()
    with ThreadPoolExecutor(20) as pool:
        callers = [pool.submit(oidc.caller, bearing(token()), ALLOWED) for _ in range(20)]
        assert server.asked.wait(5)
        time.sleep(0.1)
        server.answering.set()
        assert {caller.result(timeout=10) for caller in callers} == {SCHEDULER}
    assert server.calls == 1


def test_who_has_a_known_key_does_not_wait_for_a_fetch(oidc: OidcAuthenticator, server: CertificateServer) -> None:
    oidc.caller(bearing(token()), ALLOWED)
    server.answering.clear()
    server.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        stranger = pool.submit(oidc.caller, bearing(token(key=STRANGER)), ALLOWED)
        assert server.asked.wait(5)
        for _ in range(5):
            assert oidc.caller(bearing(token()), ALLOWED) == SCHEDULER
        assert not stranger.done()
        server.answering.set()
        with pytest.raises(Unauthorized):
            stranger.result(timeout=10)


def test_keys_that_grow_old_while_many_ask_are_never_unknown(server: CertificateServer) -> None:
    clock = ManualClock()
    certificates = Certificates(clock, server.url)
    keys: Sequence[SigningKey] = [GOOGLE, signing_key("google-2")]
    server.keys = keys
    server.headers = {"Cache-Control": "max-age=60"}
    stop = threading.Event()

    def turn() -> int:
        seen = 0
        while not stop.is_set():
            for key in keys:
                assert certificates.key(key.key_id) is not None
                seen += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        turning = [pool.submit(turn) for _ in range(4)]
        for _ in range(10):
            clock.sleep(60)
            time.sleep(0.02)
        stop.set()
        assert all(one.result(timeout=10) for one in turning)
