"""`tarpit explain IP`: what is known of an address under the running settings, and what would be done to it.

The same look-ups as in a session, without one. What a peer does itself (speaking before the banner) is not
known here, so the real score may be higher.
"""

import json
import os
from ipaddress import ip_address
from typing import Annotated

import trio
import typer

from scoring.resolve import Resolver
from scoring.score import Peer, Scorer
from scoring.verdict import Address, Finding, Verdict, to_address
from tarpit.choices import Mode
from tarpit.cli.options import EnvFile, Json
from tarpit.policy import choose_treatment, explain_pace
from tarpit.settings import Settings, load

ROW = "{:>6}  {:<28}  {:<10}  {:>8}  {}"

Ip = Annotated[str, typer.Argument(metavar="IP", help="The peer's address.")]
Helo = Annotated[str | None, typer.Option("--helo", help="The HELO name, for SPF.")]
MailFrom = Annotated[str | None, typer.Option("--mail-from", help="The reverse-path, for SPF.")]


def command(
    ip: Ip, helo: Helo = None, mail_from: MailFrom = None, env_file: EnvFile = None, json_: Json = False
) -> None:
    """Print what is found about an address, points, reason and time, and the treatment it would get."""
    settings = load(os.environ, env_file)
    try:
        address = to_address(ip_address(ip))
    except ValueError:
        raise typer.BadParameter(f"{ip!r} is not an IPv4 or IPv6 address") from None
    verdict = trio.run(judge, settings, address, helo, mail_from)
    treatment = choose_treatment(verdict).value
    answer = as_json(address, verdict, treatment)
    if json_:
        print(json.dumps(answer, indent=2))
        return
    print(as_text(address, verdict, treatment, settings.mode))
    # imported here: the other commands do not need the path of a session
    from tarpit.services import patience_of  # noqa: PLC0415

    print("\n".join(f"  {line}" for line in explain_pace(verdict, patience_of(settings))))


async def judge(settings: Settings, address: Address, helo: str | None, mail_from: str | None) -> Verdict:
    """Return the verdict, as a session would reach it: what the peer does itself is not known here."""
    # imported here: the other commands do not need the path of a session
    from tarpit.classify import Classifier, Lists, scoring_config  # noqa: PLC0415
    from tarpit.store.memory import MemoryStore  # noqa: PLC0415

    scorer = Scorer(scoring_config(settings), Resolver(settings.dns_servers))
    known = Classifier(Lists(settings), scorer, MemoryStore()).known(address)
    return known or await scorer.score(Peer(address, helo, mail_from))


def as_json(address: Address, verdict: Verdict, treatment: str) -> dict[str, object]:
    """Return the answer as plain values; the field names are those of the event `session.closed`."""
    return {
        "peer": str(address),
        "host": verdict.host.name,
        "verdict": verdict.opinion.value,
        "score": verdict.score,
        "treatment": treatment,
        "findings": [
            {
                "signal": finding.signal,
                "result": finding.result.value,
                "points": finding.points,
                "why": finding.why,
                "ms": round(finding.seconds * 1000, 1),
            }
            for finding in verdict.findings
        ],
        "errors": list(verdict.errors),
    }


def as_text(address: Address, verdict: Verdict, treatment: str, mode: Mode) -> str:
    """Return the answer for a reader: a line a finding, then what they add up to."""
    rows = [ROW.format("points", "signal", "result", "ms", "why").rstrip()]
    rows += [_row(finding) for finding in verdict.findings]
    name = f" ({verdict.host.name})" if verdict.host.name else ""
    scale = f"suspect from {verdict.suspect_at:g}, hostile from {verdict.hold_at:g}"
    rows.append(f"{address}{name} is {verdict.opinion} with {verdict.score:g} points ({scale}): {treatment}")
    if mode is not Mode.ENFORCE:
        rows.append(f"TARPIT_MODE is {mode}: nobody is slowed")
    return "\n".join(rows)


def _row(finding: Finding) -> str:
    took = f"{finding.seconds * 1000:.1f}"
    return ROW.format(f"{finding.points:g}", finding.signal, finding.result, took, finding.why).rstrip()
