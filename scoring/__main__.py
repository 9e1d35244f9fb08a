"""`python -m scoring 192.0.2.1 --helo mx.example --mail-from a@example --zones "zen.example*3" --json`

Exit code 0: clean; 1: suspect or hostile; 2: wrong usage.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address

import trio

from scoring.config import Config, parse_weights, parse_zones
from scoring.resolve import Resolver
from scoring.score import Peer, score
from scoring.verdict import Finding, Verdict, to_address


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the verdict on one peer and return the exit code. Raises SystemExit(2) for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        peer = Peer(to_address(options.ip), options.helo, options.mail_from)
        servers = [_parse_server(server) for server in options.dns_server] or None
        weights = parse_weights(options.weights)
        config = Config(zones=parse_zones(options.zones), weights=weights, wait=options.timeout)
    except ValueError as fault:
        parser.error(str(fault))
    verdict = trio.run(partial(score, peer, config, Resolver(servers)))
    text = json.dumps(as_json(str(peer.address), verdict)) if options.json else as_table(verdict)
    sys.stdout.write(text + "\n")
    return int(verdict.suspect)


def as_json(peer: str, verdict: Verdict) -> dict[str, object]:
    """Return the verdict as plain JSON values; `ms` are milliseconds."""
    findings = [
        {
            "signal": finding.signal,
            "result": finding.result.value,
            "points": finding.points,
            "why": finding.why,
            "ms": round(finding.seconds * 1000, 1),
        }
        for finding in verdict.findings
    ]
    return {
        "peer": peer,
        "score": verdict.score,
        "verdict": verdict.opinion.value,
        "findings": findings,
        "errors": list(verdict.errors),
    }


def as_table(verdict: Verdict) -> str:
    """Return the verdict for a reader: a line a finding, then the sum."""
    lines = [_as_row(finding) for finding in verdict.findings]
    thresholds = f"suspect at {verdict.suspect_at:g}, hold at {verdict.hold_at:g}"
    return "\n".join([*lines, f"{verdict.score:6g}  {verdict.opinion} ({thresholds})"])


def _as_row(finding: Finding) -> str:
    measured = f"{finding.seconds * 1000:7.1f} ms"
    return f"{finding.points:+6g}  {finding.signal:<28} {finding.result:<11} {measured}  {finding.why}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scoring", description="Score one mail peer.")
    parser.add_argument("ip", help="the peer's address")
    parser.add_argument("--helo", help="its HELO name; with it, or with --mail-from, SPF is asked")
    parser.add_argument("--mail-from", help="its reverse-path; empty for the null sender")
    parser.add_argument(
        "--dns-server", action="append", default=[], help="host[:port]; default /etc/resolv.conf"
    )
    parser.add_argument("--zones", default="", help="DNSBL zones: zone[=codes][*weight] ...")
    parser.add_argument("--weights", default="", help="points a signal, such as no-rdns=0")
    parser.add_argument("--timeout", type=_parse_seconds, default=3.0, help="seconds to wait for DNS (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _parse_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def _parse_server(text: str) -> tuple[str, int]:
    """Return (ip, port) of `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text, "53"
    try:
        ip, number = str(ip_address(host.strip("[]"))), int(port)
    except ValueError:
        ip, number = "", 0
    if not 0 < number < 65536:
        raise ValueError(f"{text!r} is not ip or ip:port of a DNS server")
    return ip, number


if __name__ == "__main__":  # pragma: no cover - the tests run it in a process of its own
    sys.exit(main())
