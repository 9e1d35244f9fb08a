"""Who is this? The operator's lists first, then what is remembered, then scoring under its deadline.

Again at HELO and at MAIL, when there is more to ask about. Everything fails open: what has not answered in
time has no opinion. Networks are looked up before anything else, so nobody in TARPIT_ALLOW waits for DNS.

What a peer does meanwhile (speak before the banner) is seen by `session`; what follows is `policy`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import trio
from cachetools import LRUCache

from scoring import Basis, Config, Finding, Result, Scorer, Verdict
from scoring.networks import Network, Networks, NetworksError
from scoring.networks import load as load_networks
from scoring.rates import Rate
from scoring.verdict import Address, HostName, Recalled
from scoring.watch import ZoneChange
from tarpit.errors import Fault, SettingsError
from tarpit.rulings import Rulings
from tarpit.settings import Settings
from tarpit.smtp.commands import Mail
from tarpit.store import Remembered, Store
from tarpit.units import Rate as RateSetting


def scoring_config(settings: Settings) -> Config:
    """Return what scoring is to do under *settings*."""
    return Config(
        zones=settings.dnsbl_zones,
        name_zones=settings.rhsbl_zones,
        weights=settings.weights,
        suspect_at=settings.score_suspect,
        hold_at=settings.score_hold,
        wait=settings.score_wait,
        allow_names=settings.allow_names,
        our_names=_our_names(settings),
        rate_peer=_rate(settings.rate_peer),
        rate_network=_rate(settings.rate_network),
    )


def _our_names(settings: Settings) -> frozenset[str]:
    """Return the names and addresses that nobody but we may use; each host has a loopback of its own."""
    names = {settings.hostname.lower()}
    for host, _ in settings.listen:
        address = _address(host)
        if address is None or not (address.is_loopback or address.is_unspecified):
            names.add(host.lower())
    return frozenset(names)


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _rate(rate: RateSetting) -> Rate | None:
    return Rate(rate.count, rate.seconds) if rate.count else None


class Lists:
    """TARPIT_ALLOW and TARPIT_DENY, the files among them included; before both, the rulings."""

    def __init__(self, settings: Settings) -> None:
        """Read both. Raises `SettingsError` with every fault of every file."""
        self._settings = settings
        self.rulings = Rulings()
        self.allow, self.deny = self._read()

    def reload(self) -> None:
        """Read both again. Raises `SettingsError`; then those read before stay in force."""
        self.allow, self.deny = self._read()

    def allows(self, address: Address) -> bool:
        """Whether the operator trusts *address*."""
        if self.rulings and (ruling := self.rulings.find(address)):
            return ruling.allowed
        return self.allow.find(address) is not None

    def _read(self) -> tuple[Networks, Networks]:
        faults: list[Fault] = []
        allow = _networks("TARPIT_ALLOW", self._settings.allow, faults)
        deny = _networks("TARPIT_DENY", self._settings.deny, faults)
        if faults:
            raise SettingsError(faults)
        return allow, deny


def _networks(variable: str, sources: Sequence[Network | Path], faults: list[Fault]) -> Networks:
    try:
        return load_networks(sources)
    except NetworksError as wrong:
        faults += [Fault(variable, fault) for fault in wrong.faults]
        return Networks()


class Classifier:
    """Answers for one worker."""

    def __init__(self, lists: Lists, scorer: Scorer, store: Store) -> None:
        self.lists = lists
        self._scorer = scorer
        self._store = store
        # Handed on as they are: a recipient counted, what a HELO name adds where that is remembered, conduct.
        self.count_recipient = scorer.count_recipient
        self.known_helo = scorer.known_helo
        self.conduct_findings = scorer.conduct_findings
        self.unscored = self._verdict()
        self._made: LRUCache[tuple[Network, str], Verdict] = LRUCache(1000)
        self.set_aside: dict[tuple[str, str], str] = {}  # zone as shown and what it is asked about: why not

    def known(self, address: Address) -> Verdict | None:
        """Return what the operator says of *address*: a ruling, the allowlist, the denylist; or nothing."""
        lists = self.lists
        if lists.rulings.given and (ruled := self.ruled(address)) is not None:
            return ruled
        if network := lists.allow.find(address):
            return self._shared(network, self._allowed)
        if network := lists.deny.find(address):
            return self._shared(network, self._denied)
        return None

    def ruled(self, address: Address) -> Verdict | None:
        """Return what the operator has said of *address* while we run, if anything."""
        if self.lists.rulings and (ruling := self.lists.rulings.find(address)):
            return self._shared(ruling.network, self._let_in if ruling.allowed else self._shut_out)
        return None

    def _shared(self, network: Network, made_by: Callable[[Network], Verdict]) -> Verdict:
        """Return one verdict object for all peers of a network: thousands of them may be held at once."""
        key = network, made_by.__name__
        verdict = self._made.get(key)
        if verdict is None:
            verdict = self._made[key] = made_by(network)
        return verdict

    def _allowed(self, network: Network) -> Verdict:
        return self._trusted(f"{network} is in TARPIT_ALLOW")

    def _let_in(self, network: Network) -> Verdict:
        return self._trusted(f"{network}: tarpit allow")

    def _denied(self, network: Network) -> Verdict:
        return self._hostile(f"{network} is in TARPIT_DENY")

    def _shut_out(self, network: Network) -> Verdict:
        return self._hostile(f"{network}: tarpit deny")

    def health_check(self, proxy: Address) -> Verdict:
        """Return the verdict on a trusted proxy that comes for nobody but itself."""
        return self._trusted(f"a health check of {proxy}, which is in TARPIT_PROXY_FROM")

    def _trusted(self, why: str) -> Verdict:
        return self._verdict(Finding("allowlist", Result.PASS, 0.0, why, basis=Basis.ALLOWED))

    def _hostile(self, why: str) -> Verdict:
        points = self._scorer.config.hold_at
        return self._verdict(Finding("denylist", Result.LISTED, points, why, basis=Basis.CONDUCT))

    async def at_connection(self, address: Address) -> tuple[Verdict, Remembered]:
        """Return the verdict on a new peer, within TARPIT_SCORE_WAIT, and what is remembered of it.

        Findings that are remembered are as they were found: the remembered verdict's age has passed since.
        """
        too_fast = self._scorer.count_connection(address)
        remembered = self._store.recall_now(address) or await self._store.recall(address)
        if (known := remembered.verdict) is not None:
            return known.with_findings(*too_fast) if too_fast else known, remembered
        verdict = await self._scorer.score_connection(address)
        await self._store.remember(address, _lasting(verdict))
        return self.ruled(address) or verdict, remembered  # the operator may have spoken meanwhile

    def known_mail(self, address: Address, helo: str | None, mail: Mail) -> Recalled | None:
        """Return what the reverse-path adds, where that is remembered."""
        return self._scorer.known_mail(address, helo=helo or "", mail_from=_sender(mail))

    async def at_hello(self, address: Address, helo: str, host: HostName) -> tuple[Finding, ...]:
        """Return what the HELO name adds, within TARPIT_SCORE_WAIT."""
        return await self._scorer.score_helo(address, helo=helo, host=host, until=self._until())

    async def at_mail(self, address: Address, helo: str | None, mail: Mail) -> tuple[Finding, ...]:
        """Return what the reverse-path adds, within TARPIT_SCORE_WAIT."""
        until = self._until()
        return await self._scorer.score_mail(address, helo=helo or "", mail_from=_sender(mail), until=until)

    async def watch_zones(self, report: Callable[[ZoneChange], None]) -> None:
        """Have the DNSBL zones tested again and again; *report* is told of each that is set aside or back."""

        def changed(change: ZoneChange) -> None:
            self._store.forget_verdicts()  # some may rest on what the zone said
            for form in change.forms:
                self.set_aside.pop((change.zone, form), None)
                if not change.usable:
                    self.set_aside[change.zone, form] = change.reason
            report(change)

        await self._scorer.run(changed)

    def count_errors(self, address: Address, count: int) -> None:
        """Count *count* things that *address* did wrong against its rate."""
        for _ in range(count):
            self._scorer.count_error(address)

    def _until(self) -> float:
        return trio.current_time() + self._scorer.config.wait

    def _verdict(self, *findings: Finding) -> Verdict:
        config = self._scorer.config
        return Verdict(findings, config.suspect_at, config.hold_at)


def _sender(mail: Mail) -> str:
    return str(mail.path.mailbox) if mail.path.mailbox else ""


def _lasting(verdict: Verdict) -> Verdict:
    """Return *verdict* without what will be counted anew: the same object where there is nothing of that."""
    lasting = tuple(one for one in verdict.findings if one.basis is not Basis.VOLUME)
    return verdict if len(lasting) == len(verdict.findings) else replace(verdict, findings=lasting)
