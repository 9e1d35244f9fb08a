"""Paths: what is read, what is refused, and that reading never raises."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.smtp.addresses import (
    ForwardPath,
    Mailbox,
    ReversePath,
    parse_forward_path,
    parse_reverse_path,
    split_path,
)

READ = [
    pytest.param(b"<u@a.example>", "u", "a.example", id="plain"),
    pytest.param(b"<U@A.Example>", "U", "A.Example", id="case is kept"),
    pytest.param(b"<u@localhost>", "u", "localhost", id="one label"),
    pytest.param(b"<a.b+c=d/e-f_g@x.example>", "a.b+c=d/e-f_g", "x.example", id="every day atoms"),
    pytest.param(b"<!#$%&'*+-/=?^_`{|}~@x>", "!#$%&'*+-/=?^_`{|}~", "x", id="all specials of an atom"),
    pytest.param(b"<a..b@x>", "a..b", "x", id="two dots"),
    pytest.param(b"<.a.@x>", ".a.", "x", id="dots at the ends"),
    pytest.param(b"<a%b@c>", "a%b", "c", id="percent hack"),
    pytest.param(b"<b!a@c>", "b!a", "c", id="bang path"),
    pytest.param(b'<"a b"@x>', "a b", "x", id="quoted space"),
    pytest.param(b'<""@x>', "", "x", id="quoted nothing"),
    pytest.param(b'<"a@b"@x>', "a@b", "x", id="quoted at sign"),
    pytest.param(b'<"a\\"\\\\>b"@x>', 'a"\\>b', "x", id="quoted pairs and a bracket"),
    pytest.param(b"<u@host_1.example>", "u", "host_1.example", id="underscore in a host name"),
    pytest.param(b"<u@[192.0.2.1]>", "u", "[192.0.2.1]", id="IPv4 literal"),
    pytest.param(b"<u@[IPv6:2001:db8::1]>", "u", "[IPv6:2001:db8::1]", id="IPv6 literal"),
    pytest.param(b"<u@[ipv6:::1]>", "u", "[ipv6:::1]", id="IPv6 literal, small letters"),
    pytest.param("<ü@münchen.example>".encode(), "ü", "münchen.example", id="SMTPUTF8"),
    pytest.param(
        b"<" + b"l" * 65 + b"@x>", "l" * 65, "x", id="CMD-21 local part of 65, as VERP and SRS make"
    ),
    pytest.param(b"<" + b"l" * 252 + b"@x>", "l" * 252, "x", id="local part that fills the path"),
    pytest.param(b"<u@" + b"d" * 63 + b".x>", "u", "d" * 63 + ".x", id="label of 63"),
    pytest.param(f"<u@{'ü' * 64}>".encode(), "u", "ü" * 64, id="a long U-label is for IDNA to judge"),
    pytest.param(
        b"<u@" + b".".join([b"d" * 49] * 5) + b".ef>", "u", ".".join(["d" * 49] * 5) + ".ef", id="path of 256"
    ),
]

UNREADABLE = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"u@x", id="no brackets"),
    pytest.param(b"<u@x", id="not closed"),
    pytest.param(b"u@x>", id="not opened"),
    pytest.param(b"<u@>", id="empty domain"),
    pytest.param(b"<@x>", id="no local part"),
    pytest.param(b"<u@a..b>", id="empty label"),
    pytest.param(b"<u@a.>", id="dot after the domain"),
    pytest.param(b"<u@-a>", id="label starts with a hyphen"),
    pytest.param(b"<u@a->", id="label ends with a hyphen"),
    pytest.param(b"<u@a b>", id="space in the domain"),
    pytest.param(b"<a b@x>", id="space, not quoted"),
    pytest.param(b"< u@x>", id="space before"),
    pytest.param(b"<u@x >", id="space after"),
    pytest.param(b"<<u@x>>", id="brackets twice"),
    pytest.param(b'<"a"b@x>', id="text after the quotes"),
    pytest.param(b'<"a@x>', id="quotes not closed"),
    pytest.param(b'<"a\\"@x>', id="closing quote escaped"),
    pytest.param(b'<"a\\', id="ends in a backslash"),
    pytest.param(b'<"a\r\nb"@x>', id="CMD-20 line end in quotes"),
    pytest.param(b'<"a\\\nb"@x>', id="escaped line end in quotes"),
    pytest.param(b"<a\0@x>", id="NUL"),
    pytest.param("<a\u0085@x>".encode(), id="C1 control"),
    pytest.param(b"<\xff@x>", id="not UTF-8"),
    pytest.param(b"<\xc0\xbe@x>", id="overlong UTF-8"),
    pytest.param(b"<u@[]>", id="empty literal"),
    pytest.param(b"<u@[1.2.3]>", id="short IPv4 literal"),
    pytest.param(b"<u@[01.2.3.4]>", id="octal IPv4 literal"),
    pytest.param(b"<u@[2001:db8::1]>", id="IPv6 literal without its tag"),
    pytest.param(b"<u@[IPv6:1.2.3.4]>", id="IPv4 under the IPv6 tag"),
    pytest.param(b"<u@[IPv6:fe80::1%eth0]>", id="IPv6 literal with a scope"),
    pytest.param(b"<u@[x:y]>", id="literal with another tag"),
    pytest.param(b"<u@[1.2.3.4>", id="literal not closed"),
    pytest.param(b"<" + b"l" * 253 + b"@x>", id="CMD-21 local part that bursts the path"),
    pytest.param(b"<u@" + b"d" * 64 + b".x>", id="label of 64"),
    pytest.param(b"<u@" + b".".join([b"d" * 49] * 5) + b".efg>", id="CMD-21 path of 257"),
    pytest.param(b"<@a>", id="route only"),
    pytest.param(b"<@a:>", id="route without a mailbox"),
    pytest.param(b"<@:u@c>", id="empty route"),
    pytest.param(b"<@a,b:u@c>", id="hop without its at sign"),
    pytest.param(b"<@a,@:u@c>", id="empty hop"),
    pytest.param(b"<@[1.2.3]:u@c>", id="a hop that is neither a host nor a literal"),
]


@pytest.mark.parametrize(("text", "local", "domain"), READ)
def test_mailbox_is_read(text: bytes, local: str, domain: str) -> None:
    """Both paths read the mailbox alike, and keep what it says."""
    assert parse_reverse_path(text) == ReversePath(Mailbox(local, domain))
    assert parse_forward_path(text) == ForwardPath(Mailbox(local, domain))


@pytest.mark.parametrize(("text", "local", "domain"), READ)
def test_mailbox_is_written_as_it_was_read(text: bytes, local: str, domain: str) -> None:
    """`str()` of a mailbox is what stood between the brackets."""
    assert f"<{Mailbox(local, domain)}>".encode() == text


@pytest.mark.parametrize("text", UNREADABLE)
def test_unreadable_path(text: bytes) -> None:
    """A path that two servers could read differently, or not at all, is no path."""
    assert parse_reverse_path(text) is None
    assert parse_forward_path(text) is None


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        pytest.param(b"<u>", "u", "", id="no domain"),
        pytest.param(b'<"u@a">', "u@a", "", id="all of it quoted"),
        pytest.param(b"<u@a@b>", "u@a", "b", id="two at signs"),
        pytest.param(b"<u@a@[192.0.2.1]>", "u@a", "[192.0.2.1]", id="two at signs and a literal"),
        pytest.param(b"<a!u>", "a!u", "", id="bang path alone"),
    ],
)
def test_only_a_recipient(text: bytes, local: str, domain: str) -> None:
    """ID-10 What is no mailbox, but cannot be misread either, is a recipient for the backend to judge."""
    assert parse_forward_path(text) == ForwardPath(Mailbox(local, domain))
    assert parse_forward_path(f"<{Mailbox(local, domain)}>".encode()) == ForwardPath(Mailbox(local, domain))
    assert parse_reverse_path(text) is None


@pytest.mark.parametrize("text", [b"<@u@a>", b"<u@a@>", b"<u@a@b c>", b'<"u"@a@b>', b"<@>", b"<u@a@-b>"])
def test_not_even_a_recipient(text: bytes) -> None:
    """The last domain has to be one, and the first character no at sign."""
    assert parse_forward_path(text) is None


def test_null_sender() -> None:
    """`<>` is a reverse-path, and no forward-path."""
    assert parse_reverse_path(b"<>") == ReversePath(None)
    assert str(ReversePath(None)) == ""
    assert parse_forward_path(b"<>") is None


def test_postmaster_without_a_domain() -> None:
    """`<Postmaster>` is a forward-path in any case of letters, and no reverse-path."""
    assert parse_forward_path(b"<PostMaster>") == ForwardPath(None)
    assert str(ForwardPath(None)) == "postmaster"
    assert parse_forward_path(b'<"postmaster">') == ForwardPath(None)
    assert parse_reverse_path(b"<postmaster>") is None


def test_postmaster_with_a_domain() -> None:
    """With a domain it is a mailbox like any other."""
    assert parse_forward_path(b"<postmaster@x>") == ForwardPath(Mailbox("postmaster", "x"))


@pytest.mark.parametrize(
    ("text", "route"),
    [
        (b"<@a.example:u@c>", ("a.example",)),
        (b"<@a,@b:u@c>", ("a", "b")),
        (b"<@[1.2.3.4]:u@c>", ("[1.2.3.4]",)),
    ],
)
def test_source_route(text: bytes, route: tuple[str, ...]) -> None:
    """The hops are kept apart from the mailbox, and are not part of what is sent on."""
    assert parse_reverse_path(text) == ReversePath(Mailbox("u", "c"), route)
    assert str(ForwardPath(Mailbox("u", "c"), route)) == str(ReversePath(Mailbox("u", "c"), route)) == "u@c"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<u@x>", True),
        ("<ü@x>", False),
        ("<u@ü>", False),
        ("<@ü:u@x>", False),
        ("<@a:u@x>", True),
    ],
)
def test_is_ascii(text: str, plain: bool) -> None:
    """A path says whether SMTPUTF8 is needed for it."""
    reverse, forward = parse_reverse_path(text.encode()), parse_forward_path(text.encode())
    assert reverse is not None
    assert forward is not None
    assert reverse.is_ascii is forward.is_ascii is plain


def test_paths_without_a_mailbox_are_ascii() -> None:
    """The null sender and the bare postmaster never need SMTPUTF8."""
    assert ReversePath(None).is_ascii
    assert ForwardPath(None).is_ascii


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"<>", (b"<>", b"")),
        (b"<u@x> SIZE=1", (b"<u@x>", b" SIZE=1")),
        (b"<u@x>>", (b"<u@x>", b">")),
        (b'<"a>b"@x> B', (b'<"a>b"@x>', b" B")),
        (b'<"a\\">b"@x> B', (b'<"a\\">b"@x>', b" B")),
        (b"<u@x", None),
        (b'<"u@x>', None),
        (b"u@x", None),
        (b"", None),
    ],
)
def test_split_path(text: bytes, parts: tuple[bytes, bytes] | None) -> None:
    """The path ends at its bracket, not at one inside quotes."""
    assert split_path(text) == parts


@pytest.mark.parametrize(
    "text", [b"<" * 50_000, b'<"' + b"\\" * 50_000, b'<""' * 25_000, b'<"a' * 25_000, b"<" + b"@a," * 25_000]
)
def test_time_is_linear(text: bytes) -> None:
    """Text made to send a backtracking parser astray costs no more than its length."""
    began = time.process_time()
    split_path(text)
    parse_reverse_path(text)
    assert time.process_time() - began < 0.5


@given(st.binary(max_size=300))
def test_garbage_never_raises(text: bytes) -> None:
    """Any bytes are a path or None, with brackets or without."""
    for candidate in (text, b"<" + text + b">"):
        parse_reverse_path(candidate)
        parse_forward_path(candidate)
        split_path(candidate)


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@given(PRINTABLE)
def test_every_printable_local_part_survives(local: str) -> None:
    """What is written is read back as the same mailbox, and ends where it should."""
    mailbox = Mailbox(local, "x.example")
    text = f"<{mailbox}>".encode()
    assert parse_forward_path(text) == ForwardPath(mailbox)
    assert split_path(text + b" SIZE=1") == (text, b" SIZE=1")


@given(st.text(st.sampled_from('<>"\\@:,.[] au1-'), max_size=25))
def test_what_is_read_is_read_again(text: str) -> None:
    """A path that was read is written in a form that reads the same."""
    recipient = parse_forward_path(f"<{text}>".encode())
    if recipient is not None:
        assert parse_forward_path(f"<{recipient}>".encode()) == ForwardPath(recipient.mailbox)
    path = parse_reverse_path(f"<{text}>".encode())
    if path is not None:
        assert parse_reverse_path(f"<{path}>".encode()) == ReversePath(path.mailbox)
