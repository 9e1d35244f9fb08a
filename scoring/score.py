"""From a peer to a verdict: all connection-level signals at once, under one deadline.

What has not answered when `Config.wait` seconds have passed has no opinion, and the verdict goes out
without it: mail never waits longer for DNS than that. What each signal looks at is in `signals`.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

import trio

from scoring.config import Config
from scoring.resolve import Lookup, Resolver
from scoring.signals.dnsbl import ask_zone, by_name
from scoring.signals.pregreet import find_pregreet
from scoring.signals.reverse_dns import find_host, judge_host
from scoring.signals.spf import check_spf
from scoring.verdict import UNKNOWN_HOST, Address, Conduct, Finding, HostName, Verdict, errors_of, to_address

NO_CONDUCT = Conduct()


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is asked about. Without `helo` and `mail_from`, SPF is not asked; "" is the null sender."""

    address: str | Address
    helo: str | None = None
    mail_from: str | None = None
    conduct: Conduct = NO_CONDUCT


class Scorer:
    """Asks the signals about peers, under one configuration and through one resolver."""

    def __init__(self, config: Config, resolver: Lookup) -> None:
        self.config = config
        self._resolver = resolver
        self._zones = by_name(config.zones)

    async def score_connection(self, address: str | Address, conduct: Conduct = NO_CONDUCT) -> Verdict:
        """Return the verdict on a peer that has just connected, within `Config.wait` seconds."""
        peer, until = to_address(address), trio.current_time() + self.config.wait
        found: dict[str, Finding] = {}
        host = UNKNOWN_HOST

        async def ask_dnsbl(name: str) -> None:
            zone = ask_zone(self._resolver, peer, name, self._zones[name], until=until)
            found[name] = await _timed(zone)

        async def ask_name() -> None:
            nonlocal host
            started = trio.current_time()
            host = await find_host(self._resolver, peer, until=until)
            found[""] = replace(judge_host(host, self.config), seconds=trio.current_time() - started)

        async with trio.open_nursery() as nursery:
            for name in self._zones:
                nursery.start_soon(ask_dnsbl, name)
            nursery.start_soon(ask_name)
        findings = tuple(found[name] for name in (*self._zones, ""))
        return self._verdict((*findings, *self.conduct_findings(conduct)), host)

    async def score_mail(
        self, address: str | Address, *, helo: str, mail_from: str, until: float
    ) -> tuple[Finding, ...]:
        """Return what MAIL adds, at the latest at *until*: SPF. An empty *mail_from* is the null sender."""
        check = check_spf(
            self._resolver, to_address(address), self.config, helo=helo, mail_from=mail_from, until=until
        )
        return (await _timed(check),)

    def conduct_findings(self, conduct: Conduct) -> tuple[Finding, ...]:
        """Return what the peer's own conduct weighs."""
        return find_pregreet(conduct, self.config)

    def _verdict(self, findings: tuple[Finding, ...], host: HostName) -> Verdict:
        return Verdict(findings, self.config.suspect_at, self.config.hold_at, errors_of(findings), host)


async def score(peer: Peer, config: Config, resolver: Lookup | None = None) -> Verdict:
    """Return the verdict on *peer*: connection, conduct and, where it is given, reverse-path.

    Takes at most twice `Config.wait` seconds. Raises ValueError if the peer's address is not an address.
    """
    scorer = Scorer(config, resolver or Resolver())
    verdict = await scorer.score_connection(peer.address, peer.conduct)
    if peer.helo is None and peer.mail_from is None:
        return verdict
    until = trio.current_time() + config.wait
    helo, mail_from = peer.helo or "", peer.mail_from or ""
    return verdict.with_findings(
        *await scorer.score_mail(peer.address, helo=helo, mail_from=mail_from, until=until)
    )


async def _timed(signal: Awaitable[Finding]) -> Finding:
    started = trio.current_time()
    finding = await signal
    return replace(finding, seconds=trio.current_time() - started)
