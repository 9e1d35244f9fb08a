"""What may be asked over the control socket, and what it does: the whole vocabulary, one case each.

    {"do": "status"}                                 how things stand
    {"do": "backends"}                               each backend, as it stands
    {"do": "drain" or "enable", "backend": NAME}     no new connections of mail to it; or again
    {"do": "allow" or "deny", "network": NET, "seconds": N}     before the lists of the settings, so long
    {"do": "rulings"}                                what of that holds
    {"do": "forget", "network": NET}                 what of that was said of the network holds no more
    {"do": "mode", "mode": MODE}                     all delays on or off; without "mode", how they are
    {"do": "orders"}                                 the requests that would make another worker like this one

All of it takes effect at once, in sessions that are open too, and is told as an event with the user id of
whoever said so. Nothing of it outlives the process: what is to stay stands in the settings.

How a request comes in, and from whom it is taken, is `control`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from math import inf
from typing import Final

import trio

from scoring.networks import Network
from tarpit.backend.server import Backend
from tarpit.control.server import Answer, Refused
from tarpit.observe import orders
from tarpit.observe.log import safe
from tarpit.policy import Treatment
from tarpit.rulings import MOST, Ruling, unmapped
from tarpit.services import Services
from tarpit.settings import Mode
from tarpit.units import parse_network

Request = Mapping[str, object]

SHOWN: Final = 10  # routes of a backend
LONGEST: Final = 10 * 365 * 86400.0  # seconds of a ruling with an end


def carry_out(services: Services, request: Mapping[str, object], uid: int) -> Answer:
    """Do what *request* of the user *uid* asks, and return the answer. Raises `Refused`."""
    match request:
        case {"do": "status"}:
            return status(services)
        case {"do": "backends"}:
            return {"backends": [backend_as_it_is(services, backend) for backend in services.pool.backends]}
        case {"do": "drain", "backend": str(name)}:
            return _drain(services, _backend(services, name), uid)
        case {"do": "enable", "backend": str(name)}:
            return _enable(services, _backend(services, name), uid)
        case {"do": "rulings"}:
            return {"rulings": [ruling_as_it_is(one) for one in services.classifier.lists.rulings]}
        case {"do": "allow" | "deny" as word, "network": str(text)}:
            ruling = Ruling(_network(text), word == "allow", _until(request.get("seconds")))
            return _rule(services, ruling, uid)
        case {"do": "forget", "network": str(text)}:
            return _forget(services, _network(text), uid)
        case {"do": "mode", "mode": str(text)}:
            return _switch(services, text, uid)
        case {"do": "mode"}:
            return {"mode": services.mode, "settings": services.settings.mode}
        case {"do": "orders"}:
            return {"orders": list(_standing_orders(services))}
    raise Refused("no such request")


# -- how things stand


def status(services: Services) -> Answer:
    """Return how things stand, in plain values."""
    lists, set_aside = services.classifier.lists, services.classifier.set_aside
    allowed = sum(ruling.allowed for ruling in lists.rulings)
    return {
        "version": version("tarpit-mx"),
        "pid": os.getpid(),
        "mode": services.mode,
        "sessions": len(services.open),
        "held": services.caps.held,
        "max_sessions": services.settings.max_sessions,
        "load": round(services.load, 3),
        "waiting": len(services.pool.queue),
        "backends": [backend_as_it_is(services, backend) for backend in services.pool.backends],
        "zones_set_aside": [
            {"zone": zone, "form": form, "reason": safe(reason, 200)}
            for (zone, form), reason in set_aside.items()
        ],
        "allowed": allowed,
        "denied": len(lists.rulings) - allowed,
    }


def backend_as_it_is(services: Services, backend: Backend) -> dict[str, object]:
    """Return a backend's state in plain values; `routes` say whose mail it gets, if not everybody's."""
    state = asdict(backend.state)
    state |= {"reason": safe(backend.state.reason), "since": round(backend.state.since, 1)}
    routes = services.routes.leading_to(backend.name) if services.settings.routes else ()
    more = [f"{len(routes) - SHOWN} more"] if len(routes) > SHOWN else []
    return state | {"routes": [*routes[:SHOWN], *more]}


def ruling_as_it_is(ruling: Ruling) -> dict[str, object]:
    """Return a ruling in plain values; `seconds` are left of it, null: it has no end."""
    left = None if ruling.until == inf else round(ruling.until - trio.current_time(), 1)
    return {"network": str(ruling.network), "allowed": ruling.allowed, "seconds": left}


def _standing_orders(services: Services) -> Iterator[Request]:
    """Yield what was ordered, and holds."""
    for backend in services.pool.backends:
        if backend.drained:
            yield {"do": "drain", "backend": backend.name}
    if services.mode is not services.settings.mode:
        yield {"do": "mode", "mode": services.mode}
    for ruling in services.classifier.lists.rulings:
        one = ruling_as_it_is(ruling)
        until = {} if one["seconds"] is None else {"seconds": one["seconds"]}
        yield {"do": "allow" if ruling.allowed else "deny", "network": one["network"]} | until


# -- backends


def _backend(services: Services, name: str) -> Backend:
    for backend in services.pool.backends:
        if backend.name == name:
            return backend
    known = ", ".join(backend.name for backend in services.pool.backends)
    raise Refused(f"{safe(name)} is not a backend; there are: {known}")


def _drain(services: Services, backend: Backend, uid: int) -> Answer:
    if not backend.drained:
        services.pool.drain(backend, drained=True)
        orders.backend_drained(services.log, uid=uid, backend=backend.name, sessions=backend.slots.taken)
    return {"backends": [backend_as_it_is(services, backend)]}


def _enable(services: Services, backend: Backend, uid: int) -> Answer:
    if backend.drained:
        services.pool.drain(backend, drained=False)
        orders.backend_enabled(services.log, uid=uid, backend=backend.name)
        backend.probe_wanted.ring()
    return {"backends": [backend_as_it_is(services, backend)]}


# -- networks


def _network(text: str) -> Network:
    try:
        return unmapped(parse_network(text))
    except ValueError as error:
        raise Refused(safe(str(error), 200)) from None


def _until(seconds: object) -> float:
    if seconds is None:
        return inf
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST:
        raise Refused(f"seconds are a number above 0, at most {LONGEST:.0f}")
    return trio.current_time() + seconds


def _rule(services: Services, ruling: Ruling, uid: int) -> Answer:
    if not services.classifier.lists.rulings.put(ruling):
        raise Refused(f"there are {MOST} already: put what is to stay into TARPIT_ALLOW or TARPIT_DENY")
    ruled = ruling_as_it_is(ruling)
    tell = orders.network_allowed if ruling.allowed else orders.network_denied
    left = None if ruling.until == inf else round(ruling.until - trio.current_time(), 1)
    count = _judge_again(services, ruling.network)
    tell(services.log, uid=uid, network=str(ruling.network), seconds=left, sessions=count)
    return {"rulings": [ruled], "sessions": count}


def _judge_again(services: Services, network: Network) -> int:
    """Have a new ruling hold for sessions of *network* that are open; return how many there are.

    Replies that have begun slowly to who is trusted now are finished at once.
    """
    met = [session for session in services.open if session.address in network]
    for session in met:
        if (verdict := services.classifier.ruled(session.address)) is not None:
            session.judgement.rule(verdict)
    services.wheel.hurry({one.wire for one in met if one.judgement.treatment is Treatment.PASS})
    return len(met)


def _forget(services: Services, network: Network, uid: int) -> Answer:
    gone = services.classifier.lists.rulings.forget(network)
    if not gone:
        raise Refused(f"nothing was said of {network} by `tarpit allow` or `tarpit deny`")
    orders.network_forgotten(services.log, uid=uid, network=str(network), rulings=len(gone))
    return {"rulings": [ruling_as_it_is(one) for one in gone]}


# -- all delays


def _switch(services: Services, text: str, uid: int) -> Answer:
    try:
        mode = Mode(text)
    except ValueError:
        raise Refused(f"{safe(text)} is not one of {', '.join(Mode)}") from None
    was, services.mode = services.mode, mode
    if mode is not was:
        orders.mode_changed(services.log, uid=uid, mode=mode, was=was)
    if mode is not Mode.ENFORCE:
        services.wheel.hurry()  # replies that have begun, too
    return {"mode": mode, "settings": services.settings.mode}
