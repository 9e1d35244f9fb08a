"""Names for the peers of the load: each has one that its address confirms, and an SPF record that lets it.

So every verdict is a clean one and is remembered, as that of a sender that writes every day. There is a
DNSBL, `dnsbl.test`, which lists its test point and nobody else. Answers come from a thread of the bench's
own process; once all is remembered it has nothing to do.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_ADDRESS: Final = re.compile(r"1\.([0-9]+)\.8\.127\.in-addr\.arpa")
_HOST: Final = re.compile(r"mail\.n([0-9]+)\.test")
_DOMAIN: Final = re.compile(r"n([0-9]+)\.test")


def record(name: str, kind: dns.rdatatype.RdataType) -> str | None:
    """Return the record of *name*; "" for a name that has none of that kind, None for one that is not."""
    if found := _ADDRESS.fullmatch(name):
        return f"mail.n{found[1]}.test." if kind == dns.rdatatype.PTR else ""
    if found := _HOST.fullmatch(name):
        return f"127.8.{found[1]}.1" if kind == dns.rdatatype.A else ""
    if found := _DOMAIN.fullmatch(name):
        return f'"v=spf1 ip4:127.8.{found[1]}.1 -all"' if kind == dns.rdatatype.TXT else ""
    if name == "2.0.0.127.dnsbl.test":  # RFC 5782 section 5: without it a list is not believed
        return "127.0.0.2" if kind == dns.rdatatype.A else ""
    return None


@contextmanager
def name_server() -> Iterator[int]:
    """Answer queries, and return the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.2)
        stopping = threading.Event()
        thread = threading.Thread(target=_serve, args=(sock, stopping))
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


def _serve(sock: socket.socket, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            query, sender = sock.recvfrom(4096)
        except TimeoutError:
            continue
        sock.sendto(_answer(dns.message.from_wire(query)).to_wire(), sender)


def _answer(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    asked = query.question[0]
    text = record(asked.name.to_text(omit_final_dot=True).lower(), asked.rdtype)
    if text is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif text:
        reply.answer.append(dns.rrset.from_text(asked.name, 86_400, "IN", asked.rdtype, text))
    return reply
