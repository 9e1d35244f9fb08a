"""From a peer to a verdict: all signals of a step at once, under one deadline, and remembered.

What has not answered when `Config.wait` seconds have passed has no opinion, and the verdict goes out
without it: mail never waits longer for DNS than that. What each signal looks at is in `signals`.

What others say (zones, names, SPF) is remembered for as long as the shortest-lived answer holds, within
bounds. What the peer does itself and how fast it comes is never remembered here: it is added to each
verdict anew.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import trio

from scoring.conduct import NO_CONDUCT, Conduct
from scoring.config import Config
from scoring.memory import Memory, NameKey, helo_key, mail_key
from scoring.resolve import Lookup, Resolver
from scoring.signals import dnsbl, rhsbl
from scoring.signals.conduct import find_conduct, is_conduct
from scoring.signals.dnsbl import ask_zone, set_aside
from scoring.signals.helo import check_helo
from scoring.signals.rate import Event, Rates
from scoring.signals.reverse_dns import check_host
from scoring.signals.rhsbl import ask_name_zone, asked_domain, wanted_by
from scoring.signals.spf import check_spf, check_spf_helo, identify, with_claim
from scoring.testpoints import Form, form_of
from scoring.verdict import (
    UNKNOWN_HOST,
    Address,
    Basis,
    Finding,
    HostName,
    Recalled,
    Result,
    Verdict,
    aged,
    errors_of,
    to_address,
)
from scoring.watch import Watch, ZoneChange
from scoring.zones import Identity, Zone, by_name

LONGEST_KEY: Final = 600  # characters of HELO name and reverse-path; SMTP allows 255 and 256

Signal = Callable[[], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is asked about. What is None is not known yet; an empty `mail_from` is the null sender."""

    address: str | Address
    helo: str | None = None
    mail_from: str | None = None
    conduct: Conduct = NO_CONDUCT


class Scorer:
    """Asks the signals about peers, under one configuration and through one resolver.

    With a *watch*, which has to `run`, zones are tested before they are asked; without, all are believed.
    *clock* is trio's, in seconds, however it is asked.
    What is remembered is answered without a checkpoint: who loops over peers makes one himself.
    """

    def __init__(
        self,
        config: Config,
        resolver: Lookup,
        *,
        watch: Watch | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.config = config
        self._clock = clock
        self._resolver = resolver
        self._watch = watch
        self._zones = by_name(config.zones)
        self._name_zones = by_name(config.name_zones)
        self._rates = Rates(config)
        self._connections = Memory(config.cache_size)
        self._names = Memory(config.cache_size)

    async def run(self, report: Callable[[ZoneChange], None]) -> None:
        """Test the zones now and again, and *report* each that is set aside or back; until cancelled."""

        def changed(change: ZoneChange) -> None:
            self._connections.clear()  # what a zone has said that lists the world is not worth keeping
            self._names.clear()
            report(change)

        if self._watch:
            await self._watch.run(changed)

    async def score(self, peer: Peer) -> Verdict:
        """Return the verdict on *peer*: connection, conduct and, where given, HELO name and reverse-path.

        All is asked at once, so it takes at most `Config.wait` seconds. Raises ValueError if the peer's
        address is not an address.
        """
        address, helo, mail_from = to_address(peer.address), peer.helo, peer.mail_from
        until = self._clock() + self.config.wait
        verdict = self._verdict((), UNKNOWN_HOST)
        found: dict[str, tuple[Finding, ...]] = {}

        async def ask_connection() -> None:
            nonlocal verdict
            verdict = await self.score_connection(address, peer.conduct)

        async def ask_helo(helo: str) -> None:
            found["helo"] = await self.score_helo(address, helo=helo, host=UNKNOWN_HOST, until=until)

        async def ask_mail(mail_from: str) -> None:
            found["mail"] = await self.score_mail(address, helo=helo or "", mail_from=mail_from, until=until)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_connection)
            if helo is not None:
                nursery.start_soon(ask_helo, helo)
            if mail_from is not None:
                nursery.start_soon(ask_mail, mail_from)
        return verdict.with_findings(*found.get("helo", ())).with_findings(*found.get("mail", ()))

    async def score_connection(self, address: str | Address, conduct: Conduct = NO_CONDUCT) -> Verdict:
        """Return the verdict on a peer that has just connected, within `Config.wait` seconds."""
        peer = to_address(address)
        verdict = self._connections.recall(peer.packed, self._clock())
        if verdict is None:
            verdict = await self._ask(peer, until=self._clock() + self.config.wait)
            self._connections.keep(peer.packed, verdict, self._clock())
        own = self.conduct_findings(conduct) + self._rates.findings(peer, self._clock())
        return verdict.with_findings(*own)

    def known_helo(self, address: Address, *, helo: str, host: HostName) -> Recalled | None:
        """Return what `score_helo` would return, where it is remembered; no task has to be made for that.

        The findings are not `aged` yet: they are the same objects to all who ask.
        """
        known, age = self._names.kept(helo_key(address, helo, host), self._clock())
        return None if known is None else (known.findings, age)

    def known_mail(self, address: Address, *, helo: str, mail_from: str) -> Recalled | None:
        """Return what `score_mail` would return, where it is remembered; not `aged` either."""
        known, age = self._names.kept(mail_key(address, helo, mail_from), self._clock())
        return None if known is None else (known.findings, age)

    async def score_helo(
        self, address: str | Address, *, helo: str, host: HostName, until: float
    ) -> tuple[Finding, ...]:
        """Return what the HELO name adds, at the latest at *until*: lies, SPF and the lists of names."""
        peer = to_address(address)
        signals: list[Signal] = [
            partial(check_helo, self._resolver, peer, self.config, helo=helo, host=host, until=until),
            partial(check_spf_helo, self._resolver, peer, self.config, helo=helo, until=until),
            *self._about_name(helo, Identity.HELO, until),
        ]
        return await self._remembered(helo_key(peer, helo, host), partial(_together, signals))

    async def score_mail(
        self, address: str | Address, *, helo: str, mail_from: str, until: float
    ) -> tuple[Finding, ...]:
        """Return what MAIL adds, at the latest at *until*: SPF and the lists of names.

        An empty *mail_from* is the null sender: SPF is then about the HELO name (RFC 7208, section 2.4).
        Then, and where HELO name and reverse-path have one domain, `spf-helo` weighs nothing more.
        """
        peer = to_address(address)
        signals: list[Signal] = [
            partial(self._ask_spf, peer, helo=helo, mail_from=mail_from, until=until),
            *self._about_name(mail_from, Identity.MAIL, until),
        ]

        async def ask() -> tuple[Finding, ...]:
            return with_claim(await _together(signals), helo, mail_from)

        return await self._remembered(mail_key(peer, helo, mail_from), ask)

    def conduct_findings(self, conduct: Conduct) -> tuple[Finding, ...]:
        """Return what the peer's own conduct weighs."""
        return find_conduct(conduct, self.config)

    def with_conduct(self, verdict: Verdict, conduct: Conduct) -> Verdict:
        """Return *verdict* with what *conduct* weighs now, and without what it was found to weigh before.

        A peer whose first recipient was mistyped, and whose others were taken, has made that good.
        """
        if any(map(is_conduct, verdict.findings)):
            others = tuple(finding for finding in verdict.findings if not is_conduct(finding))
            verdict = replace(verdict, findings=others)
        return verdict.with_findings(*self.conduct_findings(conduct))

    def rate_findings(self, address: str | Address) -> tuple[Finding, ...]:
        """Return what weighs how fast the peer and its network come."""
        return self._rates.findings(to_address(address), self._clock())

    def count_connection(self, address: str | Address) -> tuple[Finding, ...]:
        """Count a connection of *address* against its rates; return what weighs how fast it comes now."""
        peer, now = to_address(address), self._clock()
        self._rates.count(Event.CONNECTION, peer, now)
        return self._rates.findings(peer, now)

    def count_recipient(self, address: str | Address) -> None:
        """Count a recipient that *address* asked for."""
        self._rates.count(Event.RECIPIENT, to_address(address), self._clock())

    def count_error(self, address: str | Address) -> None:
        """Count a refused or malformed command of *address*."""
        self._rates.count(Event.ERROR, to_address(address), self._clock())

    async def _ask(self, peer: Address, *, until: float) -> Verdict:
        """Return what others say of *peer*."""
        zones = [partial(self._ask_zone, peer, name, until) for name in self._zones]
        host, named = UNKNOWN_HOST, tuple[Finding, ...]()

        async def ask_name() -> None:
            nonlocal host, named
            host, named = await self._ask_host(peer, until=until)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_name)
            listed = await _together(zones)
        return self._verdict((*listed, *named), host)

    async def _ask_zone(self, peer: Address, name: str, until: float) -> Finding:
        filters = self._zones[name]
        signal = partial(ask_zone, self._resolver, peer, name, filters, until=until)
        return await self._ask_if_usable(
            signal, dnsbl.signal_of(filters), filters, form_of(peer), until=until
        )

    async def _ask_name_zone(self, domain: str, name: str, identity: Identity, until: float) -> Finding:
        filters = wanted_by(self._name_zones[name], identity)
        signal = partial(ask_name_zone, self._resolver, domain, filters, identity, until=until)
        return await self._ask_if_usable(
            signal, rhsbl.signal_of(filters, identity), filters, Form.NAMES, until=until
        )

    async def _ask_if_usable(
        self, signal: Signal, called: str, filters: Sequence[Zone], form: Form, *, until: float
    ) -> Finding:
        """Return what a zone says, unless it is out of order."""
        if self._watch is None:
            return await signal()
        name = filters[0].name
        if not await self._watch.wait_usable(name, form, until=until):
            return set_aside(filters, called, self._watch.checkup(name, form).why)
        finding = await _timed(signal)
        self._watch.learn(name, finding)
        return finding

    async def _ask_host(self, peer: Address, *, until: float) -> tuple[HostName, tuple[Finding, ...]]:
        """Return the peer's name, what it weighs, and what lists of names say of it."""
        started = self._clock()
        host, finding = await check_host(self._resolver, peer, self.config, until=until)
        finding = replace(finding, seconds=self._clock() - started)
        listed = await _together(self._about_name(host.name, Identity.RDNS, until))
        return host, (self._allowed(finding, host.name or ""), *listed)

    async def _ask_spf(self, peer: Address, *, helo: str, mail_from: str, until: float) -> Finding:
        spf = await check_spf(self._resolver, peer, self.config, helo=helo, mail_from=mail_from, until=until)
        return self._allowed(spf, identify(mail_from, helo).domain)

    async def _remembered(
        self, key: NameKey, ask: Callable[[], Awaitable[tuple[Finding, ...]]]
    ) -> tuple[Finding, ...]:
        """Return the findings that are remembered under *key*, or else what *ask* returns."""
        known, age = self._names.kept(key, self._clock())
        if known is not None:
            return aged(known.findings, age)
        findings = await ask()
        if sum(len(part) for part in key if isinstance(part, str)) <= LONGEST_KEY:
            self._names.keep(key, self._verdict(findings, UNKNOWN_HOST), self._clock())
        return findings

    def _about_name(self, name: str | None, identity: Identity, until: float) -> list[Signal]:
        """Return the questions to the lists of names about *name*; none if it is not a domain."""
        domain = asked_domain(name)
        return [
            partial(self._ask_name_zone, domain, zone, identity, until)
            for zone, filters in self._name_zones.items()
            if domain and wanted_by(filters, identity)
        ]

    def _allowed(self, finding: Finding, name: str) -> Finding:
        """Return *finding*, as the operator's word where it passed for a *name* that he trusts."""
        if finding.result is not Result.PASS or not self.config.allows(name):
            return finding
        return replace(finding, points=0.0, why=f"{name} is allowed by name", basis=Basis.ALLOWED)

    def _verdict(self, findings: tuple[Finding, ...], host: HostName) -> Verdict:
        return Verdict(findings, self.config.suspect_at, self.config.hold_at, errors_of(findings), host)


async def score(peer: Peer, config: Config, resolver: Lookup | None = None) -> Verdict:
    """Return the verdict on one *peer*, as `Scorer.score` does."""
    return await Scorer(config, resolver or Resolver()).score(peer)


async def _together(signals: Sequence[Signal]) -> tuple[Finding, ...]:
    """Return the findings of all *signals*, asked at once, in their order, each with its time."""
    found: dict[int, Finding] = {}

    async def ask(number: int, signal: Signal) -> None:
        found[number] = await _timed(signal)

    async with trio.open_nursery() as nursery:
        for number, signal in enumerate(signals):
            nursery.start_soon(ask, number, signal)
    return tuple(found[number] for number in range(len(signals)))


async def _timed(signal: Signal) -> Finding:
    started = trio.current_time()
    finding = await signal()
    return replace(finding, seconds=trio.current_time() - started)
