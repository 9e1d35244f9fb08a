"""A signal of your own: does the domain of the reverse-path take mail at all?

    python examples/write_a_signal.py 192.0.2.1 a@example.org

Who can be answered has an MX record or an address (RFC 5321, section 5.1) and no null MX (RFC 7505). Spammers
invent domains that have none. What a signal has to keep to is in `find_home`; docs/scoring.md says why.
"""

import sys
from typing import Final

import trio

from scoring import Config, Finding, Lookup, Peer, Resolver, Result, Scorer, Status, Verdict

NAME: Final = "mail-home"
POINTS: Final = 2.0  # below 3: it never makes a suspect alone


async def find_home(resolver: Lookup, domain: str, *, until: float) -> Finding:
    """Return whether *domain* takes mail, by *until* (trio's clock). Never raises for what DNS does."""
    mail = await resolver.query(domain, "MX", until=until)
    if mail.status is Status.UNKNOWN:
        return Finding(NAME, Result.NO_OPINION, 0.0, mail.why)  # silence never counts against a peer
    if mail.status is Status.FOUND:
        null = all(exchange in {"", "."} for _, exchange in mail.exchanges)
        return _taken("it says so itself (RFC 7505)") if null else _taken("")
    return await _find_address(resolver, domain, until=until)


async def _find_address(resolver: Lookup, domain: str, *, until: float) -> Finding:
    """Return the finding for a domain without MX records, whose address takes its mail."""
    answers = [await resolver.query(domain, kind, until=until) for kind in ("A", "AAAA")]
    if any(answer.status is Status.FOUND for answer in answers):
        return _taken("")
    if unknown := next((answer for answer in answers if answer.status is Status.UNKNOWN), None):
        return Finding(NAME, Result.NO_OPINION, 0.0, unknown.why)
    return _taken("it has no MX record and no address")


def _taken(but: str) -> Finding:
    """Return the finding; `why` may hold what a stranger's DNS says: it is made one printable line."""
    if but:
        return Finding(NAME, Result.FAIL, POINTS, f"nobody could answer: {but}")
    return Finding(NAME, Result.PASS, 0.0, "it takes mail")


async def judge(scorer: Scorer, resolver: Lookup, address: str, sender: str) -> Verdict:
    """Return the verdict of all signals and this one. An allowlisted or hostile peer stays what it is."""
    verdict = await scorer.score(Peer(address, mail_from=sender))
    until = trio.current_time() + scorer.config.wait
    return verdict.with_findings(await find_home(resolver, sender.rpartition("@")[2], until=until))


def main(address: str, sender: str) -> None:
    """Print the verdict on a peer that says MAIL FROM:<sender>."""
    resolver = Resolver()
    verdict = trio.run(judge, Scorer(Config(), resolver), resolver, address, sender)
    for finding in verdict.findings:
        print(f"{finding.points:+g}  {finding.signal}: {finding.result} ({finding.why})")
    print(f"{verdict.score:g}  {verdict.opinion}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
