"""The table of variables: which there are, and that each says what it means."""

import pytest

from tarpit.settings import unit_of
from tarpit.variables import Computed, Variables

# Every name that other parts and operators' set-ups rely on: none is ever dropped or renamed silently.
NAMES = """
    MODE LISTEN HOSTNAME BACKENDS BALANCE ROUTES ROUTES_MIXED BACKEND_INTRODUCE RELAY_TEST
    RELAY_TEST_RCPT BACKEND_MAX BACKEND_CHECKS BACKEND_QUEUE
    BACKEND_TLS BACKEND_CA HEALTH_EVERY HEALTH_RISE HEALTH_FALL
    ALLOW DENY ALLOW_NAMES EXEMPT_RCPT TRAP_RCPT DNS_SERVERS ZONE_MASKS DNSBL_ZONES RHSBL_ZONES
    SCORE_SUSPECT SCORE_HOLD SCORE_WAIT
    WEIGHTS GREET_WAIT PREGREET_WAIT PACE_BYTE PACE_DELAY PACE_BANNER PACE_REPLY PACE_DATA
    PACE_SESSION PACE_HOLD PACE_JITTER PACE_READ RATE_PEER RATE_NETWORK MAX_SESSIONS
    MAX_SESSIONS_PEER MAX_SESSIONS_NETWORK MAX_HELD BARE_NEWLINE SPOOL_MESSAGE SPOOL_TOTAL SPOOL_DIR
    HOLD_CODE HOLD_TEXT HEADER STATE_DIR DRAIN PROXY_FROM TLS TLS_CERT TLS_KEY STORE ADMIN
    LOG_FORMAT LOG_LEVEL WORKERS USER TIMEOUT_COMMAND TIMEOUT_BLOCK TIMEOUT_SEND TIMEOUT_DIAL
    TIMEOUT_TLS TIMEOUT_BANNER TIMEOUT_REPLY TIMEOUT_DOT
"""


def test_every_name_is_known() -> None:
    """The variables are these, no more and no less."""
    assert {field.upper() for field in Variables.model_fields} == set(NAMES.split())


@pytest.mark.parametrize("field", Variables.model_fields)
def test_entry(field: str) -> None:
    """Each has a unit, a meaning, and a default that can be written or is described."""
    info = Variables.model_fields[field]
    assert info.description
    assert unit_of(field).name
    computed = any(isinstance(mark, Computed) for mark in info.metadata)
    assert computed or unit_of(field).format(info.get_default(call_default_factory=True))
