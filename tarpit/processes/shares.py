"""What each of several workers may take of what is limited for all of them.

What is counted a peer or a network needs no division: `steering` has a network always meet the same worker.
What is counted for everybody (sessions, slowed sessions, a backend's connections, spooled messages) is cut
into as many parts as there are workers, which differ by one at most and add up to the whole. A worker whose
part is used up refuses while another has places left; a flood from many networks fills them alike.

Rejected: one count for all in shared memory. What a worker holds that has just been killed would have to be
taken off by somebody who knows what it was.
"""

from collections.abc import Sequence
from dataclasses import replace

from tarpit.destinations import BackendAddress
from tarpit.settings import Settings


def share_of(settings: Settings, number: int) -> Settings:
    """Return the settings of the worker *number*, of TARPIT_WORKERS."""
    if settings.workers == 1:
        return settings
    total = part(settings.spool_total, number, settings.workers)
    return settings.model_copy(
        update={
            "max_sessions": max(part(settings.max_sessions, number, settings.workers), 1),
            "max_held": max(part(settings.max_held, number, settings.workers), 1),
            "spool_total": total,
            "spool_message": min(settings.spool_message, total),  # what SIZE promises must fit
            "backend_checks": max(part(settings.backend_checks, number, settings.workers), 1),
            "backends": _shared(settings.backends, number, settings.workers),
            "routes": tuple(
                replace(route, backends=_shared(route.backends, number, settings.workers))
                for route in settings.routes
            ),
        }
    )


def _shared(backends: Sequence[BackendAddress], number: int, of: int) -> tuple[BackendAddress, ...]:
    return tuple(replace(backend, max=part(backend.max, number, of)) for backend in backends)


def part(total: int, number: int, of: int) -> int:
    """Return the part *number*, of so many, of *total*."""
    return total // of + (number < total % of)
