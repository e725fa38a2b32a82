import pytest

from trading_playbook.core.secret_reference import SecretReference, is_reference


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sm://playbook/alpaca-key", "sm://playbook/alpaca-key/latest"),
        ("sm://playbook/alpaca-key/latest", "sm://playbook/alpaca-key/latest"),
        ("sm://123456789012/ALPACA_KEY/7", "sm://123456789012/ALPACA_KEY/7"),
        ("sm://example.com:playbook/k/blue", "sm://example.com:playbook/k/blue"),
    ],
)
def test_a_version_is_named_or_the_latest(text: str, meant: str) -> None:
    assert str(SecretReference.parse(text)) == meant


@pytest.mark.parametrize(
    "text",
    ["sm://", "sm://playbook", "sm://playbook/", "sm://playbook/a/b/c", "sm:playbook/key", "SM://playbook/key",
     "sm://playbook/key/", "sm://play book/key", "sm://playbook/key?x=1", "sm://playbook/../key",
     "sm://projects/playbook/secrets/key", "sm://playbook/" + "k" * 256, "sm://playbook/ké"],
)  # fmt: skip
def test_what_is_meant_as_one_and_is_none_is_not_repeated(text: str) -> None:
    assert is_reference(text)
    with pytest.raises(ValueError, match="sm://PROJECT/SECRET") as told:
        SecretReference.parse(text)
    assert "playbook" not in str(told.value)


@pytest.mark.parametrize("text", ["", "QQQ", "./sm:", "gs://playbook/journal", "smile", "s3://playbook"])
def test_all_else_is_meant_as_it_stands(text: str) -> None:
    assert not is_reference(text)
