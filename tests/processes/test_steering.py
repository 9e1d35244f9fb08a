"""Which socket a network's connections go to: the program, run here, and the kernel asked."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from tarpit.processes import steering
from tarpit.processes.steering import IP_HEADER, program_for, steer
from tests.support.servers import ipv6_or_skip


def chosen(address: str, count: int) -> int:
    """Run the program as the kernel would, for a packet from *address*."""
    source = ip_address(address)
    if isinstance(source, IPv6Address):
        family, header = socket.AF_INET6, bytes(8) + source.packed + bytes(16)
    else:
        family, header = socket.AF_INET, bytes(12) + source.packed + bytes(4)
    accumulator = index = 0
    for code, operand in program_for(family, count):
        match code:
            case steering.LOAD:
                offset = operand - IP_HEADER
                accumulator = int.from_bytes(header[offset : offset + 4])
            case steering.RIGHT:
                accumulator >>= operand
            case steering.XOR:
                accumulator ^= index
            case steering.MODULO:
                accumulator %= operand
            case steering.KEEP:
                index = accumulator
            case steering.RETURN:
                return accumulator
    raise AssertionError("the program does not return")


@pytest.mark.parametrize("count", [2, 3, 4, 7, 64])
def test_a_network_has_one_socket(count: int) -> None:
    """All of a /24 or /64 go to one socket."""
    assert len({chosen(f"192.0.2.{host}", count) for host in range(256)}) == 1
    assert len({chosen(f"2001:db8:1:2::{host:x}", count) for host in range(256)}) == 1


@pytest.mark.parametrize("count", [2, 3, 4, 16])
def test_networks_are_spread(count: int) -> None:
    """Networks side by side go round all sockets, whatever part of a /64 they differ in."""
    first = int(IPv4Address("198.51.0.0"))
    assert [chosen(str(IPv4Address(first + 256 * n)), count) for n in range(count)] == [
        (first // 256 + n) % count for n in range(count)
    ]
    for form in ("2001:db8:1:{:x}::1", "2001:db8:{:x}::1", "2001:{:x}::1", "{:x}::1"):
        sockets = [chosen(form.format(n), count) for n in range(1, 257)]
        assert max(sockets.count(one) for one in range(count)) < 2.5 * 256 / count


IPV4 = [f"127.{a}.{b}.{c}" for a in (0, 9) for b in range(6) for c in (1, 200)]


@pytest.mark.parametrize(("host", "sources"), [("127.0.0.1", IPV4), ("::1", ["::1"])], ids=["IPv4", "IPv6"])
def test_the_kernel_does_as_the_program_says(host: str, sources: list[str]) -> None:
    """Connections from loopback addresses arrive where the program run here says."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET6:
        ipv6_or_skip()
    sockets = []
    port = 0
    for _ in range(3):
        sock = socket.socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        port = sock.getsockname()[1]
        sock.settimeout(5)
        sockets.append(sock)
    for sock in sockets:
        sock.listen()
    assert steer(sockets)
    for source in sources:
        with socket.create_connection((host, port), 5, (source, 0)):
            accepted, (peer, *_) = sockets[chosen(source, 3)].accept()
            accepted.close()
            assert peer == source
    for sock in sockets:
        sock.close()


def test_a_system_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not know the option is told apart, and nothing is raised."""
    monkeypatch.setattr(steering, "SO_ATTACH_REUSEPORT_CBPF", 9999)
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as sock:
        assert not steer([sock])
