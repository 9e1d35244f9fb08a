"""The proxy on the simulator's stage beside the proxy on sockets: the same seconds, the same end."""

from typing import Final

import pytest
import trio
from trio.testing import MockClock

from bench.clients import ZOO, Client, Step
from bench.fleet.mailserver import BANNER, KEYWORDS, OK, Processes
from bench.fleet.memory import pair
from bench.fleet.names import BLOCKLIST, Names
from bench.fleet.ours import SURROUNDINGS, Bugs, policy_of_file, running, settings_for
from tarpit.backend.health import probe
from tarpit.errors import SettingsError
from tarpit.session import Session
from tests.support.backend import Answer, fake_backend
from tests.support.wires import PEER, load, stage, wire_pair
from tests.support.zoo import Outcome, deliver

ANSWERS: Final[dict[str, Answer]] = {
    "BANNER": BANNER,
    "EHLO": KEYWORDS,
    **dict.fromkeys(("MAIL", "RCPT", "DOT", "RSET"), OK),
}
VARIABLES: Final = {name.removeprefix("TARPIT_"): value for name, value in SURROUNDINGS.items()}
ODD: Final = [client for client in ZOO if client.name in {"Postfix", "mox", "KumoMTA", "Haraka"}]


def names() -> Names:
    """Return a DNS in which the peer is listed."""
    found = Names()
    found.list(PEER[0], BLOCKLIST)
    return found


async def over_sockets(client: Client) -> Outcome:
    """Return how *client* fares with the real wire, poller and wheel."""
    async with fake_backend(ANSWERS) as backend:
        place = {"BACKENDS": "{}:{}".format(*backend.address)}
        async with (
            stage(load(**VARIABLES | place, SCORE_WAIT="3s"), names()) as around,
            wire_pair(around.poller) as (wire, far),
            trio.open_nursery() as nursery,
        ):
            await probe(around.services.pool, around.services.pool.backends[0])
            session = Session(wire, around.services, 1)
            around.services.began(session)
            nursery.start_soon(session.run)
            outcome = await deliver(client, far.stream)
            await far.stream.aclose()
            return outcome


async def in_memory(client: Client) -> Outcome:
    """Return how *client* fares on the simulator's stage."""
    bugs = Bugs()
    settings = settings_for({"TARPIT_PACE_JITTER": "0"})
    async with running(settings, names(), Processes(10), bugs) as ours:
        near, far = pair()
        ours.serve(near, PEER[0])
        outcome = await deliver(client, far)
        await far.aclose()
    assert not bugs.found
    return outcome


@pytest.mark.parametrize("client", ODD, ids=lambda client: client.name)
async def test_a_simulated_session_takes_as_long_as_a_real_one(
    client: Client, autojump_clock: MockClock
) -> None:
    """Reply by reply, to half a second; the mail server's own time for a message, 0.1 s, is extra."""
    real, simulated = await over_sockets(client), await in_memory(client)
    assert real.delivered
    assert simulated.delivered
    assert {step: seconds for step, seconds in simulated.seconds.items() if step is not Step.DOT} == {
        step: pytest.approx(seconds, abs=0.5)
        for step, seconds in real.seconds.items()
        if step is not Step.DOT
    }
    assert simulated.seconds[Step.DOT] == pytest.approx(real.seconds[Step.DOT], abs=0.6)


def test_of_recorded_settings_the_policy_is_taken(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where things are is the simulator's choice, and left out by name; what cannot be read is named."""
    path = tmp_path_factory.mktemp("recorded") / "tarpit.env"
    path.write_text("TARPIT_PACE_BYTE=2s\nTARPIT_BACKENDS=10.0.0.1:25\nPATH=/bin\n")
    assert policy_of_file(path) == ({"TARPIT_PACE_BYTE": "2s"}, ["PATH", "TARPIT_BACKENDS"])
    with pytest.raises(SettingsError, match="cannot be read"):
        policy_of_file(path / "nowhere")
