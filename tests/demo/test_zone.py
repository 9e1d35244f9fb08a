"""The toy name server: its table as questions and answers, and once over a real socket."""

import dns.flags
import dns.message
import dns.rcode
import pytest
import trio

from tarpit.demo.zone import Zone, answer, demo_zone, serve


@pytest.fixture
def zone() -> Zone:
    return demo_zone(
        listed=["127.0.0.20"], hosts={"127.0.0.10": "a.good.demo.test", "127.0.0.11": "a.good.demo.test"}
    )


@pytest.mark.parametrize(
    ("name", "kind", "texts"),
    [
        ("20.0.0.127.dnsbl.demo.test", "A", {"127.0.0.2"}),
        ("20.0.0.127.DNSBL.demo.TEST", "A", {"127.0.0.2"}),
        ("20.0.0.127.dnsbl.demo.test", "TXT", {'"127.0.0.20 is listed by the demo"'}),
        ("2.0.0.127.dnsbl.demo.test", "A", {"127.0.0.2"}),
        ("good.demo.test", "TXT", {'"v=spf1 ip4:127.0.0.0/8 -all"'}),
        ("forged.demo.test", "TXT", {'"v=spf1 -all"'}),
        ("10.0.0.127.in-addr.arpa", "PTR", {"a.good.demo.test."}),
        ("a.good.demo.test", "A", {"127.0.0.10", "127.0.0.11"}),
        ("good.demo.test", "A", set()),
        ("demo.test", "A", set()),
    ],
)
def test_known_names(zone: Zone, name: str, kind: str, texts: set[str]) -> None:
    """A name that exists is answered with its records, or with none of that type; case does not matter."""
    reply = answer(zone, dns.message.make_query(name, kind))
    assert reply.rcode() == dns.rcode.NOERROR
    assert {record.to_text() for rrset in reply.answer for record in rrset} == texts


@pytest.mark.parametrize("name", ["1.0.0.127.dnsbl.demo.test", "21.0.0.127.dnsbl.demo.test", "example.org"])
def test_unknown_names(zone: Zone, name: str) -> None:
    """Everything else does not exist; 127.0.0.1 is never listed."""
    reply = answer(zone, dns.message.make_query(name, "A"))
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert not reply.answer


def test_query_without_a_question(zone: Zone) -> None:
    """An empty query is a format error, not a crash."""
    assert answer(zone, dns.message.QueryMessage(id=7)).rcode() == dns.rcode.FORMERR


async def test_over_udp(zone: Zone) -> None:
    """Garbage and stray answers are passed over; the next query is answered."""
    query = dns.message.make_query("2.0.0.127.dnsbl.demo.test", "A")
    stray = dns.message.make_response(query)
    udp = (trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    with trio.socket.socket(*udp) as server, trio.socket.socket(*udp) as ours:
        await server.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, zone, server)
            with trio.fail_after(5):
                for wire in (b"garbage", stray.to_wire(), query.to_wire()):
                    await ours.sendto(wire, server.getsockname())
                reply = dns.message.from_wire((await ours.recvfrom(4_096))[0])
            nursery.cancel_scope.cancel()
    assert query.is_response(reply)
    assert reply.flags & dns.flags.AA
