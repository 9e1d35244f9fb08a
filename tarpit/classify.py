"""Who is this? The lists of the operator first, then scoring under its deadline; again at MAIL.

Everything fails open: what has not answered in time has no opinion. While the look-ups run, the peer
is listened to: whoever speaks before the banner is found out here.
"""

from ipaddress import ip_address
from typing import Final

import trio

from scoring import Conduct, Config, Finding, Result, Scorer, Verdict
from scoring.verdict import Address, to_address
from tarpit.errors import PeerGone, Stopping
from tarpit.settings import Mode, Settings
from tarpit.smtp.commands import Mail
from tarpit.smtp.lines import Lines
from tarpit.wire import Wire

EARLY: Final = 4096  # bytes of pregreet that are kept; more is read when its turn comes


def scoring_config(settings: Settings) -> Config:
    """Return what scoring is to do under *settings*."""
    return Config(
        zones=settings.dnsbl_zones,
        weights=settings.weights,
        suspect_at=settings.score_suspect,
        hold_at=settings.score_hold,
        wait=settings.score_wait,
    )


class Classifier:
    """Answers for one worker."""

    def __init__(self, settings: Settings, scorer: Scorer) -> None:
        self._settings = settings
        self._scorer = scorer

    def unscored(self, *findings: Finding) -> Verdict:
        """Return a verdict nobody was asked for."""
        config = self._scorer.config
        return Verdict(findings, config.suspect_at, config.hold_at)

    def known(self, address: Address) -> Verdict | None:
        """Return what the operator's own lists say, the allowlist first; None where they say nothing."""
        for network in self._settings.allow:
            if address.version == network.version and address in network:
                return self.unscored(Finding("allowlist", Result.PASS, 0.0, f"{network} is in TARPIT_ALLOW"))
        for network in self._settings.deny:
            if address.version == network.version and address in network:
                why = f"{network} is in TARPIT_DENY"
                return self.unscored(
                    Finding("denylist", Result.LISTED, self._settings.score_hold, why, conduct=True)
                )
        return None

    async def classify(self, wire: Wire, lines: Lines) -> tuple[Verdict, bool]:
        """Return the verdict on a new peer, and whether it was scored. What it says meanwhile is kept."""
        address = to_address(ip_address(wire.peer[0]))
        if self._settings.mode is Mode.OFF:
            return self.unscored(), False
        known = self.known(address)
        if known is not None:
            return known, False
        verdict: Verdict | None = None
        early = False

        async def listen() -> None:
            nonlocal early
            while len(lines) < EARLY:
                data = await wire.receive(EARLY, stoppable=True)
                if not data:
                    raise PeerGone("left before the banner")
                early = True
                lines.receive(data)

        ended: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                verdict = await self._scorer.score_connection(address)
                if not verdict.suspect and not early:
                    await trio.sleep(self._settings.greet_wait)
                nursery.cancel_scope.cancel()
        except* (PeerGone, Stopping) as group:
            ended = group.exceptions[0]
        if ended is not None:
            raise ended
        assert verdict is not None
        if early:
            verdict = self.with_pregreet(verdict)
        return verdict, True

    def with_pregreet(self, verdict: Verdict) -> Verdict:
        """Return *verdict* on a peer that spoke before the banner as well."""
        return verdict.with_findings(*self._scorer.conduct_findings(Conduct(pregreet=True)))

    async def at_mail(self, address: Address, helo: str | None, mail: Mail) -> tuple[Finding, ...]:
        """Return what the reverse-path adds, within TARPIT_SCORE_WAIT."""
        sender = str(mail.path.mailbox) if mail.path.mailbox else ""
        until = trio.current_time() + self._settings.score_wait
        return await self._scorer.score_mail(address, helo=helo or "", mail_from=sender, until=until)
