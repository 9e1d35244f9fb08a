"""Choices, and values with a form of their own."""

import pytest
from pydantic import SecretStr

from tarpit import choices
from tarpit.choices import Mode


def test_choice() -> None:
    """A choice is read in any case of letters; another word is refused with the list."""
    assert choices.MODE.parse("Observe") is Mode.OBSERVE
    with pytest.raises(ValueError, match="'on' is not one of enforce, observe, off"):
        choices.MODE.parse("on")


@pytest.mark.parametrize("text", ["451", "4.5", ""])
def test_no_hold_code(text: str) -> None:
    """A hold ends in 450 or 550."""
    with pytest.raises(ValueError, match="450, 550"):
        choices.parse_hold_code(text)


def test_optional() -> None:
    """A value that may be absent is written as its word."""
    assert choices.ADMIN.parse("off") is None
    assert choices.ADMIN.parse("127.0.0.1:9525") == ("127.0.0.1", 9525)
    assert choices.ADMIN.format(None) == "off"


def test_workers() -> None:
    """Auto is one a core; else a count."""
    assert choices.parse_workers("auto") >= 1
    assert choices.parse_workers("3") == 3


def test_store_password_is_masked() -> None:
    """A store's password is never written."""
    store = choices.parse_store("redis://user:secret@127.0.0.1:6379/0")
    assert choices.format_store(store) == "redis://***@127.0.0.1:6379/0"
    assert "secret" not in repr(store)
    assert choices.format_store(SecretStr("memory:")) == "memory:"


def test_no_store() -> None:
    """Another scheme is refused, without repeating what may be a password."""
    with pytest.raises(ValueError, match=r"^is not a store") as caught:
        choices.parse_store("mysql://user:secret@db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["X Tarpit", "X-Tarpit:", "", "ä"])
def test_no_header(text: str) -> None:
    """A header field's name is letters, digits and hyphens."""
    with pytest.raises(ValueError, match="not a header field's name"):
        choices.HEADER.parse(text)


def test_recipients() -> None:
    """Local parts and addresses, in lower case."""
    assert choices.RECIPIENTS.parse("Postmaster abuse@Example.org") == ("postmaster", "abuse@example.org")
    with pytest.raises(ValueError, match="neither a local part nor an address"):
        choices.parse_recipient("a@b@c")


@pytest.mark.parametrize(
    "text",
    ["zen.example", "zen.example=127.0.0.[2..11;14]*3", "list.example*-2", "a.example=127.0.[1..2].5*0.5"],
)
def test_zones_are_written_as_read(text: str) -> None:
    """A zone is written in the syntax it was read in."""
    assert choices.ZONES.format(choices.ZONES.parse(text)) == text


def test_masks() -> None:
    """What a mask hides is not written."""
    masks = choices.MASKS.parse("secret.zen.example=zen.example")
    assert masks == {"secret.zen.example": "zen.example"}
    assert choices.MASKS.format(masks) == "***=zen.example"
    assert choices.MASKS.parse(" none ") == {}


def test_weights() -> None:
    """Signals that are not named keep their points; what is written is read back."""
    weights = choices.WEIGHTS.parse("pregreet=6")
    assert weights["pregreet"] == 6
    assert weights["spf-fail"] == 3
    assert choices.WEIGHTS.parse(choices.WEIGHTS.format(weights)) == weights
