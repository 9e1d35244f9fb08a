"""Reverse-paths and forward-paths of MAIL and RCPT, as values.

The one idea: a path is judged, never repaired. What cannot be read here is refused by us, because
two servers that read one path differently is how commands are smuggled; what can be read goes on as
the bytes it came in. So the parser is strict where a backend could be misled (quotes, brackets,
control characters, what follows the domain) and tolerant where only taste is offended: dots may
stand anywhere in a local part (`a..b@`, `a.@`: a large Japanese provider gave out such addresses),
and host names may have underscores.

Percent hack (`a%b@c`) and bang path (`b!a@c`) are ordinary local parts: only the backend knows
whether it routes by them. So are, in a forward-path, `a@b@c`, whose last domain counts, and a local part
alone, which a server may complete: a recipient that is none in RFC 5321, but that no two readers can end in
different places, is the backend's to refuse. A reverse-path of that kind is not taken: SPF and the lists
would be asked about a domain that nobody has said.

All patterns are possessive or a single class, hence linear in time.

Not here: the command around the path (`commands`), and whether the recipient exists.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from tarpit.smtp.values import value

PATH_LIMIT: Final = (
    256  # octets, with the brackets: RFC 5321 section 4.5.3.1.3; so a domain is below its own 255
)
# Octets, quoting aside. RFC 5321 section 4.5.3.1.1 says 64, but senders rewritten by VERP or SRS are longer,
# and a backend takes them or not; the path limit holds in any case.
LOCAL_LIMIT: Final = 254
LABEL_LIMIT: Final = 63

# "Over" is everything beyond ASCII (RFC 6531) but the C1 controls: U+0085 is a line end to some readers.
_OVER: Final = "\u00a0-\U0010ffff"
_ATEXT: Final = rf"A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~{_OVER}-"  # and dots
_ATOMS: Final = re.compile(rf"[{_ATEXT}]+")
_QUOTED: Final = re.compile(rf'"((?:[ !#-\[\]-~{_OVER}]|\\[ -~])*+)"')
_PAIR: Final = re.compile(r"\\(.)")
_ADDRESSES: Final = re.compile(rf"[{_ATEXT}][@{_ATEXT}]*+")
_LABEL: Final = re.compile(rf"[A-Za-z0-9_{_OVER}-]+")
_Parsed: TypeAlias = tuple["Mailbox", tuple[str, ...]]
# What is between the brackets of nearly all paths, as octets, in two groups: atoms, and a host name that is
# short enough to be one label. Both parsers below read it as it stands, so `commands` can do without them.
_USUAL_LOCAL: Final = rb"([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,190}+)"
_USUAL_HOST: Final = rb"(?=[^>]{1,63}+>)([A-Za-z0-9_]++(?:(?:\.|-++)[A-Za-z0-9_]++)*+)"
USUAL: Final = _USUAL_LOCAL + rb"@" + _USUAL_HOST
_PATH: Final = re.compile(rb'<(?:[^<>"]|"(?:[^"\\]|\\.)*+")*+>', re.DOTALL)


@value
class Mailbox:
    """A mailbox: the local part without its quoting, and the domain or address literal as received.

    Without a domain it is a recipient's local part alone. `str()` is the mailbox as it should be sent, quoted
    where it must be.
    """

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{_quote(self.local)}@{self.domain}" if self.domain else _quote(self.local)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()


@value
class ReversePath:
    """Where a bounce would go. No mailbox is the null sender, `<>`."""

    mailbox: Mailbox | None
    route: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "" if self.mailbox is None else str(self.mailbox)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        return (self.mailbox is None or self.mailbox.is_ascii) and all(map(str.isascii, self.route))


@value
class ForwardPath:
    """One recipient. No mailbox is `<postmaster>` without a domain (RFC 5321 section 4.1.1.3)."""

    mailbox: Mailbox | None
    route: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "postmaster" if self.mailbox is None else str(self.mailbox)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        return (self.mailbox is None or self.mailbox.is_ascii) and all(map(str.isascii, self.route))


def parse_reverse_path(text: bytes) -> ReversePath | None:
    """Return the path in *text*, brackets included, or None when it cannot be read. Never raises."""
    if text == b"<>":
        return ReversePath(None)
    parsed = _parse_path(text, _parse_mailbox)
    return None if parsed is None else ReversePath(*parsed)


def parse_forward_path(text: bytes) -> ForwardPath | None:
    """Return the path in *text*, brackets included, or None when it cannot be read. Never raises."""
    parsed = _parse_path(text, _parse_recipient)
    if parsed is None:
        return None
    mailbox, route = parsed
    return ForwardPath(None if str(mailbox).lower() == "postmaster" else mailbox, route)


def split_path(text: bytes) -> tuple[bytes, bytes] | None:
    """Divide *text* after the bracket that closes its path; a bracket inside quotes closes nothing."""
    match = _PATH.match(text)
    return None if match is None else (match[0], text[match.end() :])


def _parse_path(octets: bytes, parse: Callable[[str], Mailbox | None]) -> _Parsed | None:
    if len(octets) > PATH_LIMIT or not (octets.startswith(b"<") and octets.endswith(b">")):
        return None
    try:
        text = octets[1:-1].decode()
    except UnicodeDecodeError:
        return None
    route: tuple[str, ...] = ()
    if text.startswith("@"):
        hops, _, text = text[1:].partition(":")
        route = tuple(hops.split(",@"))
        if not all(_is_host(hop) or _is_literal(hop) for hop in route):
            return None
    mailbox = parse(text)
    return None if mailbox is None else (mailbox, route)


def _parse_mailbox(text: str) -> Mailbox | None:
    if quoted := _QUOTED.match(text):
        local, rest = _PAIR.sub(r"\1", quoted[1]), text[quoted.end() :]
    elif atoms := _ATOMS.match(text):
        local, rest = atoms[0], text[atoms.end() :]
    else:
        return None
    domain = rest[1:]
    if not rest.startswith("@") or len(local.encode()) > LOCAL_LIMIT:
        return None
    return Mailbox(local, domain) if _is_host(domain) or _is_literal(domain) else None


def _parse_recipient(text: str) -> Mailbox | None:
    """Return a mailbox, or what a server may take for one: `a@b@c`, a local part alone."""
    if (mailbox := _parse_mailbox(text)) is not None:
        return mailbox
    local, _, domain = text.rpartition("@")
    if _ADDRESSES.fullmatch(local) and (_is_host(domain) or _is_literal(domain)):
        return Mailbox(local, domain)
    if quoted := _QUOTED.fullmatch(text):
        return Mailbox(_PAIR.sub(r"\1", quoted[1]), "")
    return Mailbox(text, "") if _ATOMS.fullmatch(text) else None


def _is_host(name: str) -> bool:
    return all(map(_is_label, name.split(".")))


def _is_label(label: str) -> bool:
    """Whether *label* may stand between the dots of a host name. A U-label's length is for IDNA to judge."""
    if not _LABEL.fullmatch(label) or label.startswith("-") or label.endswith("-"):
        return False
    return len(label) <= LABEL_LIMIT or not label.isascii()


def _is_literal(text: str) -> bool:
    """Whether *text* is `[192.0.2.1]` or `[IPv6:2001:db8::1]`; a scope id is no part of one."""
    if not (text.startswith("[") and text.endswith("]")) or "%" in text:
        return False
    inner = text[1:-1]
    try:
        if inner[:5].upper() == "IPV6:":
            IPv6Address(inner[5:])
        else:
            IPv4Address(inner)
    except ValueError:
        return False
    return True


def _quote(local: str) -> str:
    if _ATOMS.fullmatch(local):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
