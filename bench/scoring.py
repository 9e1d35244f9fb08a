"""What a verdict costs: eight DNSBL zones, a forward-confirmed name and SPF, against a real rbldnsd.

`python -m bench.scoring [--peers 2000] [--pydnsbl PYTHON]` starts rbldnsd on loopback and has the same
questions about the same peers asked by scoring, by plain dnspython (with pyspf in threads for SPF) and, if
an interpreter that has it is named, by pydnsbl. Cold means that nothing is remembered, warm that each peer
has been seen before, with dnspython's own cache for dnspython. CPU is that of the asking process alone;
rbldnsd has the other core, and answers faster than anybody here asks.

A quarter of the peers is listed, in one zone, whose text is asked for as well. Lost datagrams would show
as verdicts/s far below what the CPU allows.
"""

import argparse
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import trio

from bench.askers import FIRST, ZONES, Ours, Plain, Server, ask_pydnsbl, domain_of, number_of
from scoring import Resolver, Status

AT_ONCE: Final = 50  # peers; with ten questions each, more than the 200 look-ups that are let fly
WARM_ROUNDS: Final = 20
START: Final = 60.0  # seconds for rbldnsd to answer


@dataclass(frozen=True, slots=True)
class Figures:
    """What one program took for all peers. `found` counts what came out, and should be the same for all."""

    cpu: float  # milliseconds a peer
    rate: float  # peers a second
    found: int


Ask = Callable[[IPv4Address], Awaitable[int]]


async def ask_all(ask: Ask, peers: Sequence[IPv4Address], rounds: int = 1) -> Figures:
    """Ask about all *peers*, AT_ONCE of them at a time."""
    left, found = iter([*peers] * rounds), 0

    async def work() -> None:
        nonlocal found
        for peer in left:
            here = await ask(peer)
            found += here
            if rounds > 1:  # what is remembered is answered without a checkpoint
                await trio.lowlevel.checkpoint()

    cpu, wall = time.process_time(), time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(work)
    asked = len(peers) * rounds
    return Figures(
        (time.process_time() - cpu) / asked * 1000, asked / (time.monotonic() - wall), found // rounds
    )


async def measure(ask: Ask, peers: Sequence[IPv4Address], *, warm: bool = False) -> Figures:
    """Ask about all *peers* once; *warm*, once without counting and then WARM_ROUNDS times."""
    if warm:
        await ask_all(ask, peers)
    return await ask_all(ask, peers, WARM_ROUNDS if warm else 1)


@contextmanager
def rbldnsd(peers: Sequence[IPv4Address]) -> Iterator[Server]:
    """Run rbldnsd with all zones, a name and an SPF record for each of *peers*."""
    program = shutil.which("rbldnsd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise SystemExit("rbldnsd is missing; `make servers` installs it")
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server: Server = sock.getsockname()
        sock.close()
        specifications = _write_zones(Path(folder), peers)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [program, "-n", "-q", *user, "-r", folder, "-b", f"127.0.0.1/{server[1]}", *specifications]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            trio.run(_wait_until_it_answers, server)
            yield server
        finally:
            process.terminate()
            process.wait()


def _write_zones(folder: Path, peers: Sequence[IPv4Address]) -> list[str]:
    """Write rbldnsd's data files; return what it is to be told of them."""
    folder.chmod(0o755)
    for number, zone in enumerate(ZONES):
        listed = [f"{peer} :127.0.0.4:listed" for peer in peers if int(peer) % 32 == number * 4]
        (folder / zone).write_text("\n".join(["127.0.0.2 :127.0.0.2:test", *listed]) + "\n")
    names = [f"{_reverse(peer)} PTR p{number_of(peer)}.hosts.test" for peer in peers]
    hosts = [f"p{number_of(peer)} A {peer}" for peer in peers]
    records = [f'{domain_of(peer).split(".")[0]} TXT "v=spf1 ip4:{peer} -all"' for peer in peers]
    for name, lines in (("names", names), ("hosts", hosts), ("spf", records)):
        (folder / name).write_text("\n".join(lines) + "\n")
    lists = [f"{zone}:ip4set:{zone}" for zone in ZONES]
    return [*lists, "10.in-addr.arpa:generic:names", "hosts.test:generic:hosts", "spf.test:generic:spf"]


def _reverse(peer: IPv4Address) -> str:
    return peer.reverse_pointer.removesuffix(".10.in-addr.arpa")


async def _wait_until_it_answers(server: Server) -> None:
    with trio.fail_after(START):
        while True:
            answer = await Resolver([server]).query(
                f"2.0.0.127.{ZONES[0]}", "A", until=trio.current_time() + 1
            )
            if answer.status is Status.FOUND:
                return
            await trio.sleep(0.1)


def compare(what: str, ours: Figures, **others: Figures) -> bool:
    """Print a line for each program; return whether all found the same."""
    for name, one in {"scoring": ours, **others}.items():
        ratio = one.cpu / ours.cpu
        print(f"{what:30}{name:12}{one.cpu:10.3f}{one.rate:10.0f}{one.found:8}{ratio:8.1f}", flush=True)
    return {one.found for one in others.values()} == {ours.found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if the programs do not agree on what they found."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scoring", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--peers", type=int, default=2000)
    parser.add_argument("--pydnsbl", metavar="PYTHON", help="an interpreter that has pydnsbl")
    options = parser.parse_args(arguments)
    peers = [FIRST + number for number in range(options.peers)]
    print(f"{'':42}{'CPU ms':>10}{'a second':>10}{'found':>8}{'ratio':>8}")
    agreed: list[bool] = []
    with rbldnsd(peers) as server:

        def ask(ours: Ask, plain: Ask, *, warm: bool = False) -> tuple[Figures, Figures]:
            run = partial(measure, peers=peers, warm=warm)
            return trio.run(run, ours), trio.run(run, plain)

        ours, plain = ask(Ours(server, len(peers)).zones, Plain(server).zones)
        others = {"dnspython": plain}
        if options.pydnsbl:
            cpu, wall, found = ask_pydnsbl(options.pydnsbl, server, peers, at_once=AT_ONCE)
            others["pydnsbl"] = Figures(cpu / len(peers) * 1000, len(peers) / wall, found)
        agreed.append(compare("8 zones, cold", ours, **others))
        ours, plain = ask(Ours(server, len(peers)).connection, Plain(server).connection)
        agreed.append(compare("8 zones and name, cold", ours, dnspython=plain))
        ours, plain = ask(Ours(server, len(peers)).mail, Plain(server).mail)
        agreed.append(compare("8 zones, name and SPF, cold", ours, dnspython=plain))
        ours, plain = ask(Ours(server, len(peers)).mail, Plain(server, cached=True).mail, warm=True)
        agreed.append(compare("8 zones, name and SPF, warm", ours, dnspython=plain))
        ours, plain = ask(
            Ours(server, len(peers)).connection, Plain(server, cached=True).connection, warm=True
        )
        agreed.append(compare("8 zones and name, warm", ours, dnspython=plain))
    print("CPU ms: of the asking process, a peer. ratio: that of the program to that of scoring.")
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
