"""Secrets that lie in Google Secret Manager, against its double: read when needed, once, and renewed when refused."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.clocks import ManualClock
from tests.support.gcs_double import TOKEN, Drip, Fault, Hang, Reset, Status
from tests.support.secrets_double import SecretsDouble
from trading_playbook.core.errors import FixConfig, RetryLater
from trading_playbook.core.secret_reference import SecretReference
from trading_playbook.network.budget import RetryBudget
from trading_playbook.secret_manager import ENDPOINT_VARIABLE, SecretManager
from trading_playbook.system import SystemClock

KEY = "PKCANARYCANARYCANARY"
SETTINGS = {"ALPACA_API_KEY": "sm://playbook/alpaca-key", "ALPACA_SECRET_KEY": "sm://playbook/alpaca-secret/2"}
ALWAYS = float("inf")


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsDouble]:
    with SecretsDouble() as double:
        double.be_google(monkeypatch)
        monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
        double.add("playbook", "alpaca-key", KEY.encode())
        yield double


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def secrets(google: SecretsDouble, clock: ManualClock) -> SecretManager:
    return SecretManager(SETTINGS, clock, RetryBudget(clock, 100))


def shown(error: BaseException) -> str:
    """All that anybody may come to see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


class TestReading:
    def test_nothing_is_asked_before_a_secret_is_needed(self, google: SecretsDouble, secrets: SecretManager) -> None:
        assert google.calls == []
        assert secrets.get("ALPACA_API_KEY") == KEY
        assert google.asked() == ["playbook/alpaca-key/latest"]

    def test_it_is_kept_for_the_process(
        self, google: SecretsDouble, secrets: SecretManager, clock: ManualClock
    ) -> None:
        assert secrets.get("ALPACA_API_KEY") == KEY
        google.add("playbook", "alpaca-key", b"newer")
        assert SecretManager(SETTINGS, clock, RetryBudget(clock, 100)).get("ALPACA_API_KEY") == KEY
        assert len(google.asked()) == 1

    def test_threads_that_need_it_at_once_ask_once(self, google: SecretsDouble, secrets: SecretManager) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(secrets.get, ["ALPACA_API_KEY"] * 32)) == {KEY}
        assert len(google.asked()) == 1

    def test_one_token_does_for_two_secrets(self, google: SecretsDouble, secrets: SecretManager) -> None:
        google.add("playbook", "alpaca-secret", b"one")
        google.add("playbook", "alpaca-secret", b"two")
        google.add("playbook", "alpaca-secret", b"three")
        assert (secrets.get("ALPACA_API_KEY"), secrets.get("ALPACA_SECRET_KEY")) == (KEY, "two")
        assert google.kinds().count("token") == 1

    def test_a_setting_that_is_a_value_or_is_not_set_asks_nobody(
        self, google: SecretsDouble, clock: ManualClock
    ) -> None:
        secrets = SecretManager({"ALPACA_API_KEY": "PK1"}, clock, RetryBudget(clock, 100))
        assert (secrets.get("ALPACA_API_KEY"), secrets.get("MONGODB_CONNECTION")) == ("PK1", None)
        assert (secrets.renewed("ALPACA_API_KEY", "PK1"), secrets.renewed("MONGODB_CONNECTION", "")) == ("PK1", None)
        assert google.calls == []

    @pytest.mark.parametrize(
        "content",
        [f"{KEY}\n", f"{KEY}\r\n", f"  {KEY} \n\n", f"\ufeff{KEY}\r\n"],
        ids=["echo", "CRLF", "blanks", "BOM"],
    )
    def test_the_end_of_an_echoed_line_is_no_part_of_it(
        self, google: SecretsDouble, secrets: SecretManager, content: str
    ) -> None:
        google.add("playbook", "alpaca-key", content.encode())
        assert secrets.get("ALPACA_API_KEY") == KEY

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "empty"),
            (b" \r\n", "empty"),
            (b"\x89PNG\r\n\x1a\n\xff", "no text"),
            ("PKCANARY\n".encode("utf-16"), "no text"),
            (b"PKCANARY\0PKCANARY", "no key has"),
            (b"PKCANARY PKCANARY", "no key has"),
            (b"PKCANARY\nPKCANARY", "no key has"),
        ],
        ids=["empty", "blank", "binary", "UTF-16", "NUL", "two words", "two lines"],
    )
    def test_what_can_be_no_key_is_refused_and_not_shown(
        self, google: SecretsDouble, secrets: SecretManager, content: bytes, told: str
    ) -> None:
        google.add("playbook", "alpaca-key", content)
        with pytest.raises(FixConfig, match=told) as caught:
            secrets.get("ALPACA_API_KEY")
        assert "ALPACA_API_KEY" in caught.value.message
        assert "sm://playbook/alpaca-key/latest" in caught.value.message
        assert "CANARY" not in shown(caught.value)

    def test_who_hides_secrets_is_told_before_anybody_gets_one(self, google: SecretsDouble, clock: ManualClock) -> None:
        told: list[str] = []
        settings = {**SETTINGS, "MONGODB_CONNECTION": "mongodb://u:p@h/"}
        secrets = SecretManager(settings, clock, RetryBudget(clock, 100), handed_out=told.append)
        secrets.get("ALPACA_API_KEY")
        secrets.get("MONGODB_CONNECTION")
        assert told == [KEY, "mongodb://u:p@h/"]

    def test_a_text_for_a_plain_setting_may_hold_blanks_but_is_one_line(
        self, google: SecretsDouble, secrets: SecretManager
    ) -> None:
        google.add("playbook", "symbols", b"QQQ, SPY\n")
        google.add("playbook", "lines", b"QQQ\nSPY\n")
        assert secrets.read("SYMBOLS", SecretReference("playbook", "symbols")) == "QQQ, SPY"
        with pytest.raises(FixConfig, match=r"SYMBOLS.*no line of text"):
            secrets.read("SYMBOLS", SecretReference("playbook", "lines"))


class TestRotation:
    def test_a_refused_value_is_read_again(self, google: SecretsDouble, secrets: SecretManager) -> None:
        assert secrets.get("ALPACA_API_KEY") == KEY
        google.add("playbook", "alpaca-key", b"PKNEWER")
        assert secrets.renewed("ALPACA_API_KEY", KEY) == "PKNEWER"
        assert secrets.get("ALPACA_API_KEY") == "PKNEWER"
        assert len(google.asked()) == 2

    def test_where_somebody_else_has_read_it_since_it_is_not_asked_again(
        self, google: SecretsDouble, secrets: SecretManager
    ) -> None:
        secrets.get("ALPACA_API_KEY")
        assert secrets.renewed("ALPACA_API_KEY", "an older one") == KEY
        assert len(google.asked()) == 1

    def test_where_there_is_no_newer_one_it_is_the_same(self, google: SecretsDouble, secrets: SecretManager) -> None:
        secrets.get("ALPACA_API_KEY")
        assert secrets.renewed("ALPACA_API_KEY", KEY) == KEY
        assert len(google.asked()) == 2

    def test_a_numbered_version_is_never_another_one(self, google: SecretsDouble, secrets: SecretManager) -> None:
        google.add("playbook", "alpaca-secret", b"one")
        google.add("playbook", "alpaca-secret", b"two")
        assert secrets.get("ALPACA_SECRET_KEY") == "two"
        assert secrets.renewed("ALPACA_SECRET_KEY", "two") == "two"
        assert len(google.asked()) == 1


def refuse_reading(google: SecretsDouble) -> None:
    google.deny("playbook", "alpaca-key")


def switch_off(google: SecretsDouble) -> None:
    google.switched_off = True


def take_away(google: SecretsDouble) -> None:
    google._secrets.clear()


def disable(google: SecretsDouble) -> None:
    google.add("playbook", "alpaca-key", KEY.encode(), "DISABLED")


def destroy(google: SecretsDouble) -> None:
    google.add("playbook", "alpaca-key", KEY.encode(), "DESTROYED")


def forget_the_token(google: SecretsDouble) -> None:
    google.misbehave(Status(401, text="Request had invalid authentication credentials."), kind="access", times=ALWAYS)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            (refuse_reading, ["403", "roles/secretmanager.secretAccessor", "alpaca-key --project=playbook"]),
            (switch_off, ["403", "gcloud services enable secretmanager.googleapis.com --project=playbook"]),
            (take_away, ["404", "not found or has no versions"]),
            (disable, ["400", "is in DISABLED state", "enable that version"]),
            (destroy, ["400", "is in DESTROYED state", "add a newer one"]),
            (forget_the_token, ["401", "gcloud auth application-default login"]),
        ],
        ids=lambda value: value.__name__ if callable(value) else "",
    )
    def test_what_a_person_must_mend_is_told_at_once_and_once(
        self, google: SecretsDouble, secrets: SecretManager, clock: ManualClock, fault: object, words: list[str]
    ) -> None:
        assert callable(fault)
        fault(google)
        with pytest.raises(FixConfig) as told:
            secrets.get("ALPACA_API_KEY")
        for word in ["ALPACA_API_KEY", "sm://playbook/alpaca-key/latest", *words]:
            assert word in told.value.message
        assert KEY not in shown(told.value)
        assert TOKEN not in shown(told.value)
        assert clock.slept == []
        asked = len(google.asked())
        with pytest.raises(FixConfig):
            secrets.get("ALPACA_API_KEY")
        assert len(google.asked()) == asked

    def test_a_version_that_is_not_there_is_named(self, google: SecretsDouble, secrets: SecretManager) -> None:
        google.add("playbook", "alpaca-secret", b"one")
        with pytest.raises(FixConfig, match=r"ALPACA_SECRET_KEY.*sm://playbook/alpaca-secret/2.*404"):
            secrets.get("ALPACA_SECRET_KEY")

    def test_without_credentials_it_is_told_how_to_get_some(
        self, google: SecretsDouble, secrets: SecretManager, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
        with pytest.raises(FixConfig, match=r"ALPACA_API_KEY.*gcloud auth application-default login.*service account"):
            secrets.get("ALPACA_API_KEY")
        assert (google.asked(), clock.slept) == ([], [])

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_what_may_pass_is_tried_again(
        self, google: SecretsDouble, secrets: SecretManager, clock: ManualClock, status: int
    ) -> None:
        google.misbehave(Status(status, retry_after="7"), kind="access", times=2)
        assert secrets.get("ALPACA_API_KEY") == KEY
        assert clock.slept == [7.0, 7.0]

    @pytest.mark.parametrize("fault", [Status(503), Reset()], ids=["503", "reset"])
    @pytest.mark.parametrize("kind", ["access", "token"])
    def test_what_does_not_pass_is_left_for_a_later_call(
        self, google: SecretsDouble, secrets: SecretManager, fault: Fault, kind: str
    ) -> None:
        google.misbehave(fault, kind=kind, times=ALWAYS)
        with pytest.raises(RetryLater, match="ALPACA_API_KEY"):
            secrets.get("ALPACA_API_KEY")
        google.behave()
        assert secrets.get("ALPACA_API_KEY") == KEY

    @pytest.mark.parametrize(("fault", "kind"), [(Hang(), "access"), (Drip(0.2), "access"), (Hang(), "token")])
    def test_an_answer_that_does_not_come_is_not_waited_for(
        self, google: SecretsDouble, fault: Fault, kind: str
    ) -> None:
        clock = SystemClock()
        google.misbehave(fault, kind=kind, times=ALWAYS)
        began = time.monotonic()
        with pytest.raises(RetryLater):
            SecretManager(SETTINGS, clock, RetryBudget(clock, 1)).get("ALPACA_API_KEY")
        assert time.monotonic() - began < 4

    def test_a_value_that_was_damaged_on_its_way_is_not_used(
        self, google: SecretsDouble, secrets: SecretManager
    ) -> None:
        google.damaged = True
        with pytest.raises(RetryLater, match="damaged"):
            secrets.get("ALPACA_API_KEY")
        google.damaged = False
        assert secrets.get("ALPACA_API_KEY") == KEY

    def test_a_value_without_a_checksum_is_taken(self, google: SecretsDouble, secrets: SecretManager) -> None:
        google.without_checksum = True
        assert secrets.get("ALPACA_API_KEY") == KEY

    @pytest.mark.parametrize("endpoint", ["nowhere", "https://", "ftp://localhost/"])
    def test_an_endpoint_that_is_none_is_told(
        self, google: SecretsDouble, secrets: SecretManager, monkeypatch: pytest.MonkeyPatch, endpoint: str
    ) -> None:
        monkeypatch.setenv(ENDPOINT_VARIABLE, endpoint)
        with pytest.raises(FixConfig, match=ENDPOINT_VARIABLE):
            secrets.get("ALPACA_API_KEY")

    def test_a_server_that_is_none_of_googles_is_told(self, google: SecretsDouble, secrets: SecretManager) -> None:
        google.misbehave(Status(405, text="nobody here"), kind="access")
        with pytest.raises(FixConfig, match=ENDPOINT_VARIABLE):
            secrets.get("ALPACA_API_KEY")
