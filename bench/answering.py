"""A name server in a thread of the bench's own process, whose records a function makes up."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

LIFE: Final = 86_400  # seconds: longer than any run

# the text of a name's record; "" for a name that has none of that kind, None for one that is not
Records = Callable[[str, dns.rdatatype.RdataType], str | None]


@contextmanager
def answering(records: Records) -> Iterator[int]:
    """Answer queries by *records*, and return the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.2)
        stopping = threading.Event()
        thread = threading.Thread(target=_serve, args=(sock, records, stopping))
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


def _serve(sock: socket.socket, records: Records, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            query, sender = sock.recvfrom(4096)
        except TimeoutError:
            continue
        sock.sendto(_answer(dns.message.from_wire(query), records).to_wire(), sender)


def _answer(query: dns.message.Message, records: Records) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    asked = query.question[0]
    text = records(asked.name.to_text(omit_final_dot=True).lower(), asked.rdtype)
    if text is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif text:
        reply.answer.append(dns.rrset.from_text(asked.name, LIFE, "IN", asked.rdtype, text))
    return reply
