"""`python -m scoring`, with a DNS server beside it."""

import io
import json
import os
import subprocess
import sys
import tempfile
from functools import partial

import pytest
import trio

from scoring.__main__ import _parse_server, _report, main
from scoring.testpoints import Form
from scoring.watch import ZoneChange
from tests.support.dns_zone import serving

RECORDS = {
    ("2.2.0.192.zen.example", "A"): ["127.0.0.2"],
    ("2.2.0.192.zen.example", "TXT"): ['"seen spamming"'],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mail.example."],
    ("mail.example", "A"): ["192.0.2.1"],
    ("bad.example", "TXT"): ['"v=spf1 -all"'],
    ("mail.example.secret.names.example", "A"): ["127.0.1.2"],
    ("2.2.0.192.world.example", "A"): ["127.0.0.2"],
    ("1.0.0.127.world.example", "A"): ["127.0.0.2"],
}


async def run(*arguments: str, zones: str = "zen.example*3") -> int:
    """Run the command in a thread, with its own trio, while the zone is served from here."""
    async with serving(RECORDS) as zone:
        server = f"{zone.address[0]}:{zone.address[1]}"
        command = partial(main, [*arguments, "--dns-server", server, "--zones", zones])
        return await trio.to_thread.run_sync(command)


async def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON names the peer, the score, the verdict and each finding; a suspect is exit code 1."""
    code = await run("192.0.2.2", "--mail-from", "a@bad.example")
    shown = json.loads(capsys.readouterr().out)
    assert code == 1
    assert set(shown) == {"peer", "score", "verdict", "findings", "errors"}
    assert (shown["peer"], shown["score"], shown["verdict"], shown["errors"]) == (
        "192.0.2.2",
        7,
        "suspect",
        [],
    )
    keys = [{"signal", "result", "points", "why", "ms"}] * 3
    assert [set(finding) for finding in shown["findings"]] == keys
    assert [(finding["signal"], finding["points"]) for finding in shown["findings"]] == [
        ("dnsbl:zen.example", 3),
        ("rdns", 1),
        ("spf", 3),
    ]
    assert shown["findings"][0]["result"] == "listed"
    assert shown["findings"][0]["why"] == "127.0.0.2: seen spamming"


async def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader gets a line a finding and the sum; a clean peer is exit code 0."""
    assert await run("192.0.2.1", "--timeout", "5", "--weights", "no-rdns=2", "--table") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["+0", "dnsbl:zen.example", "none"],
        ["+0", "rdns", "pass"],
        ["0", "clean", "(suspect"],
    ]


@pytest.mark.parametrize(
    ("flags", "table"),
    [([], True), (["--json"], False), (["--table"], True)],
    ids=["terminal", "json", "table"],
)
def test_terminal(flags: list[str], table: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the verdict is a table unless JSON is asked for."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["192.0.2.1", "--timeout", "0", *flags]) == 0
    assert terminal.getvalue().startswith("{") is not table


async def test_everything_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Lists of names, masks and allowed names are options too; a key is not shown."""
    options = ["--name-zones", "secret.names.example*2", "--masks", "secret.names.example=names.example"]
    await run("192.0.2.1", "--helo", "mail.example", "--allow-name", "other.example", *options)
    signals = {finding["signal"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert signals["rhsbl:names.example:helo"]["points"] == 2
    assert await run("192.0.2.1", "--allow-name", "mail.example") == 0
    allowed = json.loads(capsys.readouterr().out)
    assert (allowed["score"], allowed["findings"][-1]["why"]) == (0, "mail.example is allowed by name")


async def test_a_zone_that_lists_the_world(capsys: pytest.CaptureFixture[str]) -> None:
    """DNS-07: it is said on standard error, and nobody is listed; a zone without test points is believed."""
    assert await run("192.0.2.2", zones="world.example*9") == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("world.example is set aside: ")
    assert json.loads(shown.out)["verdict"] == "clean"


async def test_stream(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With --stdin each line is answered by one object, and the worst one is the exit code."""
    with tempfile.TemporaryFile() as peers:
        peers.write(b'192.0.2.1\n{"peer": "192.0.2.2", "mail_from": "a@bad.example"}\n')
        peers.seek(0)
        monkeypatch.setattr("sys.stdin", peers)
        assert await run("--stdin", "--at-once", "10") == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(answer["peer"], answer["score"]) for answer in answers] == [("192.0.2.1", 0), ("192.0.2.2", 7)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give one address, or --stdin"),
        (["192.0.2.1", "--stdin"], "give one address, or --stdin"),
        (["mail.example"], "does not appear to be an IPv4 or IPv6 address"),
        (["192.0.2.1", "--zones", "zen..example"], "is not a domain name"),
        (["192.0.2.1", "--name-zones", "dbl.example*x"], "is not a number of points"),
        (["192.0.2.1", "--masks", "dbl.example"], "mask is not zone=shown"),
        (["192.0.2.1", "--weights", "pregret=4"], "did you mean pregreet?"),
        (["192.0.2.1", "--dns-server", "ns.example"], "is not ip or ip:port"),
        (["192.0.2.1", "--timeout", "soon"], "--timeout: 'soon' is not a number of seconds up to 3600"),
        (["192.0.2.1", "--timeout", "-1"], "--timeout: '-1' is not a number of seconds up to 3600"),
        (["192.0.2.1", "--timeout", "nan"], "--timeout: 'nan' is not a number of seconds up to 3600"),
        (["--stdin", "--at-once", "0"], "--at-once: '0' is not a number from 1 to 100000"),
        (["--stdin", "--at-once", "many"], "--at-once: 'many' is not a number from 1 to 100000"),
    ],
)
def test_usage(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit code 2, and says what is wrong."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err


def test_back_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """A zone that works again is said too."""
    _report(ZoneChange("zen.example", usable=True, reason="in order", forms=(Form.IPV4,)))
    assert capsys.readouterr().err == "zen.example is back: in order\n"


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
    command = [sys.executable, "-W", "error", "-B", "-m", "scoring", "192.0.2.1", "--timeout", "0", "--table"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no-opinion" in done.stdout
