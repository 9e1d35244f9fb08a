"""What a backend is told of a peer, to the byte."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.verdict import HostName, HostState
from tarpit.backend.introduce import (
    Introduction,
    proxy_v1_header,
    proxy_v2_header,
    xclient_commands,
    xtext,
)
from tarpit.errors import BackendUnavailable

POSTFIX = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"})
V4 = ip_address("192.0.2.9")
V6 = ip_address("2001:db8::9")
NAMED = HostName("mail.example.org", HostState.CONFIRMED)
NAMELESS = HostName(None, HostState.NONE)


@pytest.mark.parametrize(
    ("introduction", "offered", "line"),
    [
        pytest.param(
            Introduction(V4, 4711, NAMED, "mail.example.org"),
            POSTFIX,
            b"XCLIENT HELO=mail.example.org PROTO=ESMTP NAME=mail.example.org PORT=4711 ADDR=192.0.2.9\r\n",
            id="all that is known, ADDR last",
        ),
        pytest.param(
            Introduction(V4, 4711, NAMED, "x", esmtp=False),
            POSTFIX,
            b"XCLIENT HELO=x PROTO=SMTP NAME=mail.example.org PORT=4711 ADDR=192.0.2.9\r\n",
            id="HELO, not EHLO",
        ),
        pytest.param(
            Introduction(V6, 25, NAMELESS),
            POSTFIX,
            b"XCLIENT NAME=[UNAVAILABLE] PORT=25 ADDR=IPV6:2001:db8::9\r\n",
            id="IPv6, no name, nothing said yet",
        ),
        pytest.param(
            Introduction(V4, 25),
            POSTFIX,
            b"XCLIENT NAME=[TEMPUNAVAIL] PORT=25 ADDR=192.0.2.9\r\n",
            id="the name is not known yet",
        ),
        pytest.param(
            Introduction(V4, 25, HostName("mail.example.org", HostState.UNKNOWN)),
            POSTFIX,
            b"XCLIENT NAME=[TEMPUNAVAIL] PORT=25 ADDR=192.0.2.9\r\n",
            id="an unconfirmed name is not told",
        ),
        pytest.param(
            Introduction(V4, 25, HostName("mail.example.org.", HostState.CONFIRMED)),
            POSTFIX,
            b"XCLIENT NAME=mail.example.org PORT=25 ADDR=192.0.2.9\r\n",
            id="a rooted name loses its dot",
        ),
        pytest.param(
            Introduction(ip_address("::ffff:192.0.2.9"), 25, NAMELESS),
            POSTFIX,
            b"XCLIENT NAME=[UNAVAILABLE] PORT=25 ADDR=192.0.2.9\r\n",
            id="a mapped address is an IPv4 address",
        ),
        pytest.param(
            Introduction(V4, 25, NAMED, "x"),
            frozenset({"ADDR", "NAME"}),
            b"XCLIENT NAME=mail.example.org ADDR=192.0.2.9\r\n",
            id="only what the backend offered",
        ),
        pytest.param(
            Introduction(V4, 25, NAMELESS, "[UNAVAILABLE]"),
            POSTFIX,
            b"XCLIENT HELO=+5BUNAVAILABLE] PROTO=ESMTP NAME=[UNAVAILABLE] PORT=25 ADDR=192.0.2.9\r\n",
            id="a peer that says [UNAVAILABLE] has said something",
        ),
        pytest.param(
            Introduction(V4, 25, NAMELESS, "a\r\nADDR=127.0.0.1 +é"),
            POSTFIX,
            b"XCLIENT HELO=a+0D+0AADDR+3D127.0.0.1+20+2B+C3+A9 PROTO=ESMTP NAME=[UNAVAILABLE] PORT=25"
            b" ADDR=192.0.2.9\r\n",
            id="what could end a line or a value is encoded",
        ),
    ],
)
def test_one_command(introduction: Introduction, offered: frozenset[str], line: bytes) -> None:
    """ID-07 Each attribute the backend offered, in the order that keeps our right to say more."""
    assert xclient_commands(introduction, offered) == (line,)


@pytest.mark.parametrize(
    "name",
    [
        "a b.example",
        "a\r\nb",
        "x=y",
        "-a.example",
        "a..b",
        "192.0.2.1",
        "a" * 64,
        "ab." * 90 + "ab",
        "é.example",
        "a.\n",
    ],
)
def test_names_postfix_refuses(name: str) -> None:
    """A confirmed name that is no host name is not told: the backend would answer 501."""
    (line,) = xclient_commands(Introduction(V4, 25, HostName(name, HostState.CONFIRMED)), POSTFIX)
    assert line == b"XCLIENT NAME=[UNAVAILABLE] PORT=25 ADDR=192.0.2.9\r\n"


def test_split_over_two_commands() -> None:
    """ID-07 What does not fit into 512 octets goes on in another command, and ADDR is still last."""
    name = HostName(".".join(["a" * 62] * 4), HostState.CONFIRMED)
    first, second = xclient_commands(Introduction(V6, 25, name, "h" * 500), POSTFIX)
    assert first == b"XCLIENT HELO=" + b"h" * 255 + b" PROTO=ESMTP\r\n"
    assert second.startswith(b"XCLIENT NAME=aaa")
    assert second.endswith(b" PORT=25 ADDR=IPV6:2001:db8::9\r\n")


def test_backend_without_addr() -> None:
    """A backend that would take our address for the peer's is not used."""
    with pytest.raises(BackendUnavailable, match="ADDR"):
        xclient_commands(Introduction(V4, 25), frozenset({"NAME", "HELO"}))


@given(
    helo=st.none()
    | st.text(max_size=600)
    | st.binary(max_size=600).map(lambda b: b.decode("ascii", "surrogateescape")),
    name=st.none() | st.text(max_size=300),
    state=st.sampled_from(HostState),
    offered=st.frozensets(st.sampled_from(sorted(POSTFIX))),
)
def test_nothing_is_injected(
    helo: str | None, name: str | None, state: HostState, offered: frozenset[str]
) -> None:
    """ID-07 DNS-14 Whatever peer and DNS say: short lines, known attributes once each, ADDR last."""
    commands = xclient_commands(
        Introduction(V4, 25, HostName(name, state), helo), frozenset({"ADDR", "NAME"}) | offered
    )
    seen = [word for command in commands for word in _words(command)]
    keys = [key for key, _ in seen]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= offered | {"ADDR", "NAME"}
    assert "NAME" in keys
    assert seen[-1] == ("ADDR", "192.0.2.9")


def _words(command: bytes) -> list[tuple[str, str]]:
    assert len(command) <= 512
    assert command.startswith(b"XCLIENT ")
    assert command.endswith(b"\r\n")
    inner = command.removesuffix(b"\r\n")
    assert all(0x20 <= octet <= 0x7E for octet in inner)
    pairs = [word.split("=") for word in inner.decode("ascii").split(" ")[1:]]
    assert all(len(pair) == 2 and all(pair) for pair in pairs)
    return [(key, value) for key, value in pairs]


@given(st.text(max_size=80))
def test_xtext_comes_back(text: str) -> None:
    """What was not cut can be decoded to the same octets."""
    octets = text.encode()
    pieces = xtext(text).split("+")
    decoded = pieces[0].encode("ascii") + b"".join(
        bytes([int(piece[:2], 16)]) + piece[2:].encode("ascii") for piece in pieces[1:]
    )
    assert octets.startswith(decoded)
    assert len(xtext(text)) > 252 or decoded == octets


@pytest.mark.parametrize(
    ("source", "destination", "tail"),
    [
        pytest.param(
            ("192.0.2.9", 4711),
            ("198.51.100.1", 25),
            "21 11 000c c0000209 c6336401 1267 0019",
            id="IPv4",
        ),
        pytest.param(
            ("2001:db8::9", 4711),
            ("2001:db8::1", 25),
            "21 21 0024 20010db8000000000000000000000009 20010db8000000000000000000000001 1267 0019",
            id="IPv6",
        ),
        pytest.param(
            ("2001:db8::9", 4711),
            ("192.0.2.1", 25),
            "21 21 0024 20010db8000000000000000000000009 00000000000000000000ffffc0000201 1267 0019",
            id="two families",
        ),
        pytest.param(
            ("::ffff:192.0.2.9", 4711),
            ("::ffff:198.51.100.1", 25),
            "21 11 000c c0000209 c6336401 1267 0019",
            id="IPv4 peers of an IPv6 socket",
        ),
    ],
)
def test_proxy_header(source: tuple[str, int], destination: tuple[str, int], tail: str) -> None:
    """The header of proxy-protocol.txt 2.2, to the byte."""
    assert proxy_v2_header(source, destination) == b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex(tail)


@pytest.mark.parametrize(
    ("source", "destination", "line"),
    [
        (("192.0.2.9", 4711), ("198.51.100.1", 25), b"TCP4 192.0.2.9 198.51.100.1 4711 25"),
        (("2001:db8::9", 4711), ("2001:db8::1", 25), b"TCP6 2001:db8::9 2001:db8::1 4711 25"),
        (("2001:db8::9", 4711), ("192.0.2.1", 25), b"TCP6 2001:db8::9 ::ffff:192.0.2.1 4711 25"),
        (("192.0.2.9", 4711), ("2001:db8::1", 25), b"TCP6 ::ffff:192.0.2.9 2001:db8::1 4711 25"),
        (("::ffff:192.0.2.9", 4711), ("::ffff:198.51.100.1", 25), b"TCP4 192.0.2.9 198.51.100.1 4711 25"),
    ],
    ids=["IPv4", "IPv6", "two families", "two families again", "IPv4 peers of an IPv6 socket"],
)
def test_proxy_header_as_text(source: tuple[str, int], destination: tuple[str, int], line: bytes) -> None:
    """The header of proxy-protocol.txt 2.1, to the byte."""
    assert proxy_v1_header(source, destination) == b"PROXY " + line + b"\r\n"
