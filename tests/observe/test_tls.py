"""The events about TLS. That each writes what is documented of it is tested in test_events."""

import io
import json

from tarpit.choices import LogLevel
from tarpit.observe import log, tls


def test_what_a_backend_said_is_harmless() -> None:
    """A reason, a keyword or a name with a line end in it is one line, escaped."""
    out = io.StringIO()
    logger = log.configure(level=LogLevel.DEBUG, stream=out)
    tls.backend_unsecured(logger, backend="127.0.0.1:25", reason="454 no\r\nforged")
    tls.backend_exposed(logger, backend="127.0.0.1:25", keywords=["XCLIENT\n"])
    tls.certificate_loaded(logger, names=["mx.example\n"], days=12.3456)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["backend.unsecured", "backend.exposed", "certificate.loaded"]
    assert lines[0]["reason"] == "454 no\\x0d\\x0aforged"
    assert (lines[1]["keywords"], lines[2]["names"]) == (["XCLIENT\\x0a"], ["mx.example\\x0a"])
    assert lines[2]["days"] == 12.3
