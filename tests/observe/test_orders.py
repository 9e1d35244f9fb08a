"""The events about orders. That each writes what is documented of it is tested in test_events."""

import io
import json

from tarpit.choices import LogLevel
from tarpit.observe import log, orders


def test_reasons_are_one_line() -> None:
    """Whatever the system says is in the way cannot forge a line."""
    out = io.StringIO()
    orders.control_missing(log.configure(level=LogLevel.DEBUG, stream=out), path="/run/x", reason="no\nway")
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["event"], line["level"], line["reason"]) == ("control.missing", "warning", r"no\x0away")
