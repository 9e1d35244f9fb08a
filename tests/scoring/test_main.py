"""`python -m scoring`, with a DNS server beside it."""

import json
import os
import subprocess
import sys
from functools import partial

import pytest
import trio

from scoring.__main__ import _parse_server, main
from tests.support.dns_zone import serving

RECORDS = {
    ("2.2.0.192.zen.example", "A"): ["127.0.0.2"],
    ("2.2.0.192.zen.example", "TXT"): ['"seen spamming"'],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mail.example."],
    ("mail.example", "A"): ["192.0.2.1"],
    ("bad.example", "TXT"): ['"v=spf1 -all"'],
}


async def run(*arguments: str) -> int:
    """Run the command in a thread, with its own trio, while the zone is served from here."""
    async with serving(RECORDS) as zone:
        server = f"{zone.address[0]}:{zone.address[1]}"
        command = partial(main, [*arguments, "--dns-server", server, "--zones", "zen.example*3"])
        return await trio.to_thread.run_sync(command)


async def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON names the peer, the score, the verdict and each finding; a suspect is exit code 1."""
    code = await run("192.0.2.2", "--helo", "x.example", "--mail-from", "a@bad.example", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert code == 1
    assert (shown["peer"], shown["score"], shown["verdict"], shown["errors"]) == (
        "192.0.2.2",
        7,
        "suspect",
        [],
    )
    assert [set(finding) for finding in shown["findings"]] == [
        {"signal", "result", "points", "why", "ms"}
    ] * 3
    assert [(finding["signal"], finding["result"], finding["points"]) for finding in shown["findings"]] == [
        ("dnsbl:zen.example", "listed", 3),
        ("rdns", "fail", 1),
        ("spf", "fail", 3),
    ]
    assert shown["findings"][0]["why"] == "127.0.0.2: seen spamming"


async def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader gets a line a finding and the sum; a clean peer is exit code 0."""
    assert await run("192.0.2.1", "--timeout", "5", "--weights", "no-rdns=2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["+0", "dnsbl:zen.example", "none"],
        ["+0", "rdns", "pass"],
        ["0", "clean", "(suspect"],
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: ip"),
        (["mail.example"], "does not appear to be an IPv4 or IPv6 address"),
        (["192.0.2.1", "--zones", "zen..example"], "is not a domain name"),
        (["192.0.2.1", "--weights", "pregret=4"], "did you mean pregreet?"),
        (["192.0.2.1", "--dns-server", "ns.example"], "is not ip or ip:port"),
        (["192.0.2.1", "--timeout", "soon"], "invalid"),
        (["192.0.2.1", "--timeout", "-1"], "invalid"),
    ],
)
def test_usage(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit code 2, and says what is wrong."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_parse_server(text: str, server: tuple[str, int]) -> None:
    """A DNS server is an address, with a port if it is not 53."""
    assert _parse_server(text) == server


@pytest.mark.parametrize("text", ["", "ns.example:53", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:dns"])
def test_parse_server_refuses(text: str) -> None:
    """Names and impossible ports are no DNS servers."""
    with pytest.raises(ValueError, match="is not ip or ip:port"):
        _parse_server(text)


def test_command() -> None:
    """The module runs as a command, with warnings as errors: pyspf's own do not stop it."""
    command = [sys.executable, "-W", "error", "-B", "-m", "scoring", "192.0.2.1", "--timeout", "0"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no-opinion" in done.stdout
