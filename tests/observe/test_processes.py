"""The events about our own processes. That each writes what is documented of it is tested in test_events."""

import io
import json

from tarpit.choices import LogLevel
from tarpit.observe import log, processes


def test_a_list_of_variables() -> None:
    """What has changed is a list in JSON, empty where only files may have."""
    out = io.StringIO()
    logger = log.configure(level=LogLevel.DEBUG, stream=out)
    processes.settings_reloaded(logger, changed=["TARPIT_MODE", "TARPIT_DENY"])
    processes.settings_reloaded(logger, changed=[])
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["changed"] for line in lines] == [["TARPIT_MODE", "TARPIT_DENY"], []]


def test_faults_are_one_line() -> None:
    """Whatever stands in a file of settings cannot forge a line."""
    out = io.StringIO()
    logger = log.configure(level=LogLevel.DEBUG, stream=out)
    processes.settings_kept(logger, message="TARPIT_X: is\nwrong")
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["event"], line["message"]) == ("settings.kept", r"TARPIT_X: is\x0awrong")
