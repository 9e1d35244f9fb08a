"""Recipients by name, and what a hold says."""

import pytest

from scoring.verdict import Basis, Finding, Result, Verdict
from tarpit.recipients import Recipients, hold_refusal
from tarpit.smtp.addresses import parse_forward_path

LISTED = Finding("dnsbl:zen.example", Result.LISTED, 3, "127.0.0.2: see https://zen.example/q")
EARLY = Finding("pregreet", Result.FAIL, 4, "spoke before the banner", basis=Basis.CONDUCT)


@pytest.mark.parametrize(
    ("path", "among"),
    [
        pytest.param(b"<abuse@example.org>", True, id="a local part, at any domain"),
        pytest.param(b"<Abuse@Example.ORG>", True, id="in any case"),
        pytest.param(b'<"abuse"@example.org>', True, id="quoted without need"),
        pytest.param(b"<help@example.org>", True, id="an address"),
        pytest.param(b"<help@example.net>", False, id="that address at another domain"),
        pytest.param(b"<abuse.x@example.org>", False, id="a longer local part"),
        pytest.param(b"<postmaster>", False, id="postmaster is not listed here"),
    ],
)
def test_recipients_are_found_by_local_part_or_address(path: bytes, among: bool) -> None:
    """`abuse` stands for every domain, `help@example.org` for one mailbox."""
    parsed = parse_forward_path(path)
    assert parsed is not None
    assert (parsed in Recipients(("abuse", "help@example.org"))) is among


def test_postmaster_needs_no_domain() -> None:
    """`<postmaster>` is the postmaster (RFC 5321 section 4.1.1.3)."""
    path = parse_forward_path(b"<Postmaster>")
    assert path is not None
    assert path in Recipients(("postmaster",))
    assert path not in Recipients(())


def test_a_hold_says_why_and_whom_to_turn_to() -> None:
    """The weightiest reason first, with the list's own text; the contact last; one code throughout."""
    verdict = Verdict((Finding("rdns", Result.PASS, 0, "mail.example"), LISTED, EARLY), 3, 8)
    assert hold_refusal(verdict, code=450, contact="write to postmaster").encode() == (
        b"450-4.7.1 pregreet: spoke before the banner\r\n"
        b"450-4.7.1 dnsbl:zen.example: 127.0.0.2: see https://zen.example/q\r\n"
        b"450 4.7.1 write to postmaster\r\n"
    )
