"""Names for the peers of the load: each has one that its address confirms, and an SPF record that lets it.

So every verdict is a clean one and is remembered, as that of a sender that writes every day. There is a
DNSBL, `dnsbl.test`, which lists its test point and nobody else. Answers come from a thread of the bench's
own process; once all is remembered it has nothing to do.
"""

import re
from contextlib import AbstractContextManager
from typing import Final

import dns.rdatatype

from bench.answering import answering

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


def name_server() -> AbstractContextManager[int]:
    """Answer queries, and return the port."""
    return answering(record)
