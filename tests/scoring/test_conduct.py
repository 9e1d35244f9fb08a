"""The value that a server hands in."""

from dataclasses import fields

from scoring.conduct import NO_CONDUCT, Conduct


def test_nothing_yet() -> None:
    """A peer that has done nothing has no fact against it, and is equal to any other such peer."""
    assert Conduct() == NO_CONDUCT
    assert not any(getattr(NO_CONDUCT, field.name) for field in fields(Conduct))


def test_a_plain_value() -> None:
    """It can be compared and kept: two sessions that saw the same hand in the same."""
    assert {Conduct(junk=3, left="rcpt"), Conduct(junk=3, left="rcpt")} == {Conduct(left="rcpt", junk=3)}
