"""Score mail peers from the command line: one of them, or a stream.

    python -m scoring 192.0.2.1 --helo mx.example --mail-from a@example --zones "zen.example*3"
    python -m scoring --stdin --zones "zen.example*3" < peers > verdicts

On a terminal the verdict is a table, elsewhere one JSON object.

Each line of the stream is an address, or a JSON object with `peer` and, where they are known, `helo` and
`mail_from`. The answer to each is one JSON object a line, in the order of the questions; a line that is
neither has an answer with `error`. How a stream is worked off is `scoring.stream`.

Exit code 0: clean, or nobody had an opinion; 1: suspect or hostile, or one of the stream was; 2: wrong
usage, or a line of the stream was not understood.
"""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeVar

import trio

from scoring.config import Config
from scoring.resolve import Resolver
from scoring.score import Peer, Scorer
from scoring.stream import AT_ONCE, as_json, score_stream
from scoring.verdict import Finding, Verdict, to_address
from scoring.watch import Watch, ZoneChange
from scoring.weights import parse_weights
from scoring.zones import NO_TEST, Zone, masked, parse_masks, parse_zones

LONGEST_WAIT: Final = 3600  # seconds
MOST_AT_ONCE: Final = 100_000

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the verdicts and return the exit code. Raises SystemExit(2) for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        peer = _peer(options)
        servers = [_parse_server(server) for server in options.dns_server] or None
        config = _config(options)
    except ValueError as fault:
        parser.error(str(fault))
    resolver = Resolver(servers)
    scorer = Scorer(config, resolver, watch=Watch(config.zones, config.name_zones, resolver))
    if peer is None:
        stream = partial(score_stream, scorer, sys.stdin.fileno(), sys.stdout, at_once=options.at_once)
        return trio.run(_watched, scorer, partial(stream, wait_turn=resolver.wait_room))
    verdict = trio.run(_watched, scorer, partial(scorer.score, peer))
    table = options.table or (sys.stdout.isatty() and not options.json)
    sys.stdout.write((as_table(verdict) if table else json.dumps(as_json(str(peer.address), verdict))) + "\n")
    return int(verdict.suspect)


async def _watched(scorer: Scorer, work: Callable[[], Awaitable[T]]) -> T:
    """Do *work* while the zones are tested; what is wrong with one is said on standard error."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scorer.run, _report)
        done = await work()
        nursery.cancel_scope.cancel()
    return done


def _report(change: ZoneChange) -> None:
    state = "back" if change.usable else "set aside"
    sys.stderr.write(f"{change.zone} is {state}: {change.reason}\n")


def as_table(verdict: Verdict) -> str:
    """Return the verdict for a reader: a line a finding, then the sum."""
    lines = [_as_row(finding) for finding in verdict.findings]
    thresholds = f"suspect at {verdict.suspect_at:g}, hold at {verdict.hold_at:g}"
    return "\n".join([*lines, f"{verdict.score:6g}  {verdict.opinion} ({thresholds})"])


def _as_row(finding: Finding) -> str:
    measured = f"{finding.seconds * 1000:7.1f} ms"
    return f"{finding.points:+6g}  {finding.signal:<28} {finding.result:<11} {measured}  {finding.why}"


def _peer(options: argparse.Namespace) -> Peer | None:
    """Return the peer asked about; None for a stream of them. Raises ValueError."""
    if options.stdin == (options.ip is not None):
        raise ValueError("give one address, or --stdin")
    return None if options.stdin else Peer(to_address(options.ip), options.helo, options.mail_from)


def _config(options: argparse.Namespace) -> Config:
    """Return the configuration that the options amount to. Raises ValueError."""
    masks = parse_masks(options.masks)
    return Config(
        zones=_zones(options.zones, masks),
        name_zones=_zones(options.name_zones, masks),
        weights=parse_weights(options.weights),
        wait=options.timeout,
        allow_names=tuple(options.allow_name),
    )


def _zones(text: str, masks: Mapping[str, str]) -> tuple[Zone, ...]:
    """Return zones that need no test point: who asks once wants an answer, though not the world's list's."""
    return tuple(replace(zone, test=zone.test or NO_TEST) for zone in masked(parse_zones(text), masks))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scoring", description="Score mail peers.")
    add = parser.add_argument
    add("ip", nargs="?", help="the peer's address")
    add("--stdin", action="store_true", help="score a peer a line: an address, or {peer, helo, mail_from}")
    add("--helo", help="its HELO name; with it, or with --mail-from, SPF is asked")
    add("--mail-from", help="its reverse-path; empty for the null sender")
    add("--dns-server", action="append", default=[], help="host[:port]; default /etc/resolv.conf")
    add("--zones", default="", help="lists of addresses: zone[=codes][*weight] ...")
    add("--name-zones", default="", help="lists of names (HELO, reverse name, reverse-path)")
    add("--masks", default="", help="zones not to be shown: key.zen.example=zen.example ...")
    add("--weights", default="", help="points a signal, such as no-rdns=0")
    add("--allow-name", action="append", default=[], help="a domain whose own hosts are never suspects")
    add("--timeout", type=_parse_seconds, default=3.0, help="seconds to wait for DNS (3)")
    add("--at-once", type=_parse_count, default=AT_ONCE, help=f"peers of --stdin at once ({AT_ONCE})")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, as without a terminal")
    form.add_argument("--table", action="store_true", help="print a table, as on a terminal")
    return parser


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to {LONGEST_WAIT}")
    return seconds


def _parse_count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_AT_ONCE}")
    return count


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
