"""Packets against dnspython, which is the reference: read the same, or not read at all."""

import random
from itertools import pairwise

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.answer import Answer, Status
from scoring.packet import KINDS, Reply, Trouble, decode, disguise, encode, encode_question
from scoring.resolve import read_message

QUESTION = b"\4mAil\7eXample\0\0\1\0\1"
ANSWERED = b"\x12\x34\x81\x80\0\1\0%c\0%c\0%c" + QUESTION

NAMES = (
    "mail.example.",
    "example.",
    "a.mail.example.",
    "b.example.",
    "other.test.",
    ".",
    r"e\013\.\"v.test.",
)
VALUES = {
    "A": ("127.0.0.2", "127.0.0.3", "203.0.113.1"),
    "AAAA": ("2001:db8::1", "::ffff:192.0.2.1", "::1.2.3.4", "::", "1:0:0:2::"),
    "TXT": ('"v=spf1 -all"', '"a" "b"', r'"\000\255"', '""', '"' + "x" * 255 + '" "y"'),
    "PTR": NAMES,
    "MX": ("10 mail.example.", "10 MAIL.example.", "0 .", "65535 other.test."),
    "CNAME": NAMES,
    "NS": NAMES,
    "SOA": tuple(f"{name} root.example. 1 2 3 4 {ttl}" for name in NAMES[:2] for ttl in (0, 90, 2**32 - 1)),
    "RP": ("mail.example. .",),
}


@st.composite
def rrsets(draw: st.DrawFn, kinds: tuple[str, ...], owners: tuple[str, ...] = NAMES) -> dns.rrset.RRset:
    kind = draw(st.sampled_from(kinds))
    most = 1 if kind in {"CNAME", "SOA"} else 3
    values = draw(st.lists(st.sampled_from(VALUES[kind]), min_size=1, max_size=most))
    ttl = draw(st.sampled_from([0, 1, 77, 2**31 - 1, 2**31, 2**32 - 1]))
    family = draw(st.sampled_from(["IN"] * 9 + ["CH"])) if kind == "TXT" else "IN"
    made = dns.rrset.from_text(draw(st.sampled_from(owners)), min(ttl, 2**31 - 1), family, kind, *values)
    made.ttl = ttl
    return made


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a question as it was sent, and a reply to it: a plausible one, or one with some bytes changed."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    name = draw(st.sampled_from(NAMES[:4]))
    plain = encode_question(name.rstrip("."), kind)
    assert plain is not None
    question = disguise(plain, draw(st.binary(min_size=len(plain), max_size=len(plain))))
    response = dns.message.make_response(dns.message.from_wire(encode(7, question)))
    response.flags |= draw(st.sampled_from([0] * 9 + [dns.flags.TC, dns.flags.AA]))
    response.set_rcode(dns.rcode.Rcode(draw(st.sampled_from([0] * 9 + [3] * 5 + [1, 2, 4, 5, 6, 16]))))
    usual = (kind, kind, kind, "CNAME")
    owners = (*NAMES, *[name] * len(NAMES))
    response.answer = draw(st.lists(rrsets((*usual * 3, "RP", "TXT"), owners), max_size=3))
    response.authority = draw(st.lists(rrsets(("SOA", "SOA", "NS", "NS", "A")), max_size=2))
    response.additional = draw(st.lists(rrsets(("A", "AAAA", "A", "AAAA", "RP")), max_size=2))
    if draw(st.sampled_from([False, False, True])):
        response.use_edns(False)
    wire = bytearray(response.to_wire(max_size=65535, want_shuffle=False))
    for at, byte in draw(st.lists(st.tuples(st.integers(2, len(wire) - 1), st.integers(0, 255)), max_size=2)):
        wire[at] = byte
    cut = draw(st.sampled_from([0] * 9 + [1, 5, 30]))
    return bytes(wire[: len(wire) - cut]) + draw(st.sampled_from([b""] * 9 + [b"\0", b"junk"])), question


def reference(wire: bytes, question: bytes) -> Answer | str:
    """Return what dnspython makes of a reply, or what it does instead."""
    query = dns.message.from_wire(encode(int.from_bytes(wire[:2], "big"), question))
    try:
        message = dns.message.from_wire(wire, raise_on_truncation=True)
    except dns.message.Truncated:
        return "truncated"
    except (dns.exception.DNSException, ValueError) as error:
        return type(error).__name__
    if not isinstance(message, dns.message.QueryMessage) or not query.is_response(message):
        return "forged"
    if message.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return dns.rcode.to_text(message.rcode())
    try:
        return read_message(message)
    except dns.exception.DNSException as error:
        return type(error).__name__


def same(ours: Answer | Trouble | Reply, theirs: Answer | str) -> bool:
    match ours:
        case Answer():
            return isinstance(theirs, Answer) and ours == theirs and ours.life == theirs.life
        case Trouble(why):
            return theirs == why
        case Reply.TRUNCATED:
            return theirs in {"truncated", "forged"}
        case _:
            return True


@given(replies())
def test_reads_as_dnspython_does(reply: tuple[bytes, bytes]) -> None:
    """Whatever is read from a packet, dnspython reads as well, down to the time to live."""
    wire, question = reply
    theirs = reference(wire, question)
    ours = decode(wire, question)
    assert same(ours, theirs), (ours, theirs)
    if ours is Reply.FORGED:
        assert not isinstance(theirs, Answer)


@given(st.binary(max_size=100), st.integers(0, 3))
def test_garbage(data: bytes, records: int) -> None:
    """No datagram raises anything; one that is an answer but for its records is dnspython's to refuse."""
    assert decode(data, QUESTION) is Reply.FORGED or isinstance(decode(data, QUESTION), Trouble)
    wire = ANSWERED % (records, 0, 0) + data
    assert same(decode(wire, QUESTION), reference(wire, QUESTION))


ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=70)


@given(st.one_of(ASCII, st.lists(ASCII, max_size=6).map(".".join), st.text(max_size=80)))
def test_encode_question(name: str) -> None:
    """A question is written as dnspython writes it, or not at all."""
    ours = encode_question(name, "TXT")
    if ours is not None:
        reference = dns.message.make_query(name + ".", "TXT", use_edns=False).to_wire()
        assert ours == reference[12:]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "A"),
        ("a..example", "A"),
        ("x" * 64, "A"),
        (".".join(["x" * 63] * 4), "A"),
        ("ä.example", "A"),
        (r"a\.b", "A"),
        ("mail.example", "SRV"),
    ],
)
def test_out_of_the_ordinary(name: str, kind: str) -> None:
    """Odd names and other types are left to dnspython."""
    assert encode_question(name, kind) is None


def test_longest_name() -> None:
    """A name of 253 characters is 255 bytes on the wire, and as long as may be."""
    name = ".".join(["x" * 63] * 3 + ["x" * 61])
    assert len(encode_question(name, "A") or b"") == 255 + 4


def test_encode() -> None:
    """What is sent is what dnspython would send: recursion desired, and room for 1,232 bytes."""
    ours = dns.message.from_wire(encode(0x1234, QUESTION))
    assert (ours.id, ours.flags, ours.payload) == (0x1234, dns.flags.RD, 1232)
    assert str(ours.question[0]) == "mAil.eXample. IN A"


def test_disguise() -> None:
    """Noise turns the case of letters and of nothing else: 15 letters are 15 bits more to guess."""
    question = encode_question("2.0.0.127.zen-7.example", "A")
    assert question is not None
    seen = {disguise(question, random.randbytes(len(question))) for _ in range(300)}
    assert {wire.lower() for wire in seen} == {question}
    assert len(seen) > 200
    assert disguise(question, b"\0" * len(question)) == question
    assert disguise(question, b"\xff" * len(question)) == question.upper()


A_RECORD = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\x7f\0\0\2"


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        pytest.param(
            ANSWERED % (1, 0, 0) + A_RECORD, Answer(Status.FOUND, addresses=("127.0.0.2",)), id="plain"
        ),
        pytest.param(ANSWERED.replace(b"mAil", b"mail") % (1, 0, 0) + A_RECORD, Reply.UNUSUAL, id="case"),
        pytest.param(ANSWERED.replace(b"mAil", b"fail") % (1, 0, 0) + A_RECORD, Reply.FORGED, id="name"),
        pytest.param(b"\x12\x34\x81\x82" + b"\0" * 8, Trouble("SERVFAIL"), id="trouble without question"),
        pytest.param(b"\x12\x34\x81\x80" + b"\0" * 8, Reply.FORGED, id="nothing at all"),
        pytest.param((ANSWERED % (0, 0, 0)).replace(b"\x81\x80", b"\x01\x00"), Reply.FORGED, id="a query"),
        pytest.param((ANSWERED % (0, 0, 0)).replace(b"\x81\x80", b"\x83\x80"), Reply.TRUNCATED, id="TC"),
        pytest.param((ANSWERED % (0, 0, 0)).replace(b"\x81\x80", b"\x81\x86"), Reply.UNUSUAL, id="YXDOMAIN"),
        pytest.param(
            (ANSWERED % (1, 0, 0)).replace(b"\x81\x80", b"\x81\x83") + A_RECORD,
            Reply.UNUSUAL,
            id="NXDOMAIN and listed",
        ),
        pytest.param(ANSWERED % (1, 0, 0) + A_RECORD + b"\0", Reply.UNUSUAL, id="a byte too many"),
        pytest.param(ANSWERED % (1, 0, 0) + A_RECORD[:-1], Reply.UNUSUAL, id="a byte too few"),
        pytest.param(ANSWERED % (2, 0, 0) + A_RECORD, Reply.UNUSUAL, id="a record too few"),
        pytest.param(
            ANSWERED % (1, 0, 0) + A_RECORD.replace(b"\0\4\x7f\0\0\2", b"\0\3\x7f\0\0"),
            Reply.UNUSUAL,
            id="an address of three bytes",
        ),
        pytest.param(
            ANSWERED % (1, 0, 0) + A_RECORD.replace(b"\0\1\0\1", b"\0\1\0\3"), Reply.UNUSUAL, id="class CH"
        ),
        pytest.param(
            ANSWERED % (0, 1, 0) + A_RECORD.replace(b"\0\4\x7f\0\0\2", b"\0\0"), Reply.UNUSUAL, id="no NS"
        ),
        pytest.param(
            ANSWERED % (0, 1, 0) + b"\xc0\x0c\0\2\0\1\0\0\1\x2c\0\3\1a\0",
            Answer(Status.NOTHING, "no A record"),
            id="NS",
        ),
        pytest.param(
            ANSWERED % (0, 1, 0) + b"\xc0\x0c\0\2\0\1\0\0\1\x2c\0\4\1a\0\0", Reply.UNUSUAL, id="junk in NS"
        ),
        pytest.param(
            ANSWERED % (0, 1, 0) + b"\xc0\x0c\0\6\0\1\0\0\1\x2c\0\x17\0\0" + b"\0" * 21,
            Reply.UNUSUAL,
            id="junk in SOA",
        ),
        pytest.param(
            ANSWERED % (0, 0, 1) + b"\0\0\x29\4\xd0\1\0\0\0\0\0", Reply.UNUSUAL, id="an extended code"
        ),
        pytest.param(ANSWERED % (0, 0, 2) + b"\0\0\x29\4\xd0\0\0\0\0\0\0" * 2, Reply.UNUSUAL, id="two OPT"),
        pytest.param(
            ANSWERED % (1, 0, 0) + b"\xc0\x21" + A_RECORD[2:], Reply.UNUSUAL, id="a pointer forwards"
        ),
        pytest.param(ANSWERED % (1, 0, 0) + b"\x80\0" + A_RECORD[2:], Reply.UNUSUAL, id="a label of 128"),
        pytest.param(
            ANSWERED % (1, 0, 0) + b"\77" + b"x" * 63 + b"\xc0\x0c" + A_RECORD[2:],
            Answer(Status.NOTHING, "no A record"),
            id="another owner",
        ),
        pytest.param(
            ANSWERED % (1, 0, 0) + (b"\77" + b"x" * 63) * 4 + b"\0" + A_RECORD[2:],
            Reply.UNUSUAL,
            id="a name of 257 bytes",
        ),
    ],
)
def test_decode(wire: bytes, reply: Answer | Trouble | Reply) -> None:
    """What servers send, and what nobody should."""
    assert decode(wire, QUESTION) == reply
    assert same(decode(wire, QUESTION), reference(wire, QUESTION))


def message(*records: str, kind: str = "A", rcode: str = "NOERROR") -> tuple[bytes, bytes]:
    """Return a reply of *records*, such as `a.test. CNAME b.test.`, and the question for a.test."""
    question = encode_question("a.test", kind)
    assert question is not None
    response = dns.message.make_response(dns.message.from_wire(encode(7, question)))
    response.set_rcode(dns.rcode.from_text(rcode))
    for record in records:
        owner, word, value = record.split(" ", 2)
        section = response.authority if word == "SOA" else response.answer
        section.append(dns.rrset.from_text(owner, 300, "IN", word, value))
    return response.to_wire(max_size=65535), question


@pytest.mark.parametrize(
    ("length", "reply"),
    [
        (1, Answer(Status.FOUND, addresses=("127.0.0.2",))),
        (15, Answer(Status.FOUND, addresses=("127.0.0.2",))),
        (16, Reply.UNUSUAL),
    ],
)
def test_aliases(length: int, reply: Answer | Reply) -> None:
    """DNS-12: 15 aliases are followed, as far as dnspython goes."""
    names = ["a.test.", *(f"{n}.test." for n in range(length))]
    links = [f"{owner} CNAME {target}" for owner, target in pairwise(names)]
    wire, question = message(*links, f"{names[-1]} A 127.0.0.2")
    assert decode(wire, question) == reply
    assert same(decode(wire, question), reference(wire, question))


def test_alias_loop() -> None:
    """DNS-12: aliases that go round are no answer."""
    wire, question = message("a.test. CNAME b.test.", "b.test. CNAME a.test.")
    assert decode(wire, question) is Reply.UNUSUAL


def test_two_targets() -> None:
    """An alias with two targets is nothing to choose from here."""
    wire, question = message("a.test. CNAME b.test.", "a.test. CNAME c.test.")
    assert decode(wire, question) is Reply.UNUSUAL


@pytest.mark.parametrize(
    ("soa", "life"),
    [
        ("test. SOA ns.test. root.test. 1 2 3 4 90", 90),
        ("a.test. SOA ns.test. root.test. 1 2 3 4 0", 60),
        (". SOA ns.test. root.test. 1 2 3 4 100000", 300),
        ("other. SOA ns.test. root.test. 1 2 3 4 90", 300),
    ],
)
def test_nothing_holds_as_the_zone_says(soa: str, life: float) -> None:
    """DNS-13, RFC 2308: the zone's own SOA says for how long there is nothing."""
    wire, question = message(soa, rcode="NXDOMAIN")
    answer = decode(wire, question)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.why, answer.life) == (Status.NOTHING, "no such name", life)


@pytest.mark.parametrize(
    ("kind", "values", "answer"),
    [
        ("A", ["127.0.0.3", "127.0.0.2"], Answer(Status.FOUND, addresses=("127.0.0.2", "127.0.0.3"))),
        ("AAAA", ["2001:db8::1"], Answer(Status.FOUND, addresses=("2001:db8::1",))),
        ("TXT", ['"a" "b"', '""'], Answer(Status.FOUND, texts=(b"", b"ab"))),
        ("PTR", [".", r"E\010\.vil.a.Test."], Answer(Status.FOUND, names=(".", r"e\010\.vil.a.test"))),
        ("MX", ["10 mx.a.test.", "0 ."], Answer(Status.FOUND, exchanges=((0, "."), (10, "mx.a.test")))),
    ],
)
def test_found(kind: str, values: list[str], answer: Answer) -> None:
    """Each type as its values, in order and in lower case."""
    wire, question = message(*(f"a.test. {kind} {value}" for value in values), kind=kind)
    assert decode(wire, question) == answer
    assert same(decode(wire, question), reference(wire, question))


@pytest.mark.parametrize("kind", ["TXT", "PTR", "MX", "A"])
def test_value_of_nothing(kind: str) -> None:
    """A record without a value is dnspython's to refuse."""
    question = encode_question("a.test", kind)
    assert question is not None
    head = b"\0\7\x81\x80\0\1\0\1\0\0\0\0"
    wire = head + question + b"\xc0\x0c" + question[-4:] + b"\0\0\0\1\0\0"
    assert decode(wire, question) is Reply.UNUSUAL
    assert isinstance(reference(wire, question), str)


def test_many_records() -> None:
    """DNS-11: of many records 100 are kept."""
    wire, question = message(*(f"a.test. A 127.0.{n // 250}.{n % 250}" for n in range(1000)))
    answer = decode(wire, question)
    assert isinstance(answer, Answer)
    assert len(answer.addresses) == 100
