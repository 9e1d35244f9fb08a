"""The events about several groups. That each writes what is documented of it is tested in test_events."""

import io
import json

from tarpit.choices import LogLevel
from tarpit.observe import log, routing


def test_what_a_backend_said_is_harmless() -> None:
    """A reply with line ends in it is one line, escaped."""
    out = io.StringIO()
    logger = log.configure(level=LogLevel.DEBUG, stream=out)
    routing.message_divided(logger, id="1", taken_by=["a:25"], refused_by="b:25", reply=b"452-a\r\n452 b\r\n")
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["event"], line["taken_by"], line["refused_by"]) == ("message.divided", ["a:25"], "b:25")
    assert line["reply"] == "452-a\\x0d\\x0a452 b\\x0d\\x0a"
