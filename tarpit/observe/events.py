"""Every event the proxy writes, one function each. docs/events.md is made of this file.

The function's name is the event's, with a dot for its first underscore; the return annotation is how grave it
is; each field's annotation says what it holds. A field is never renamed silently: dashboards read it.
What a peer or a backend said passes `safe` here, so that no caller can forget to.

Not here: how a line looks (`tarpit.observe.log`).
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from structlog.typing import FilteringBoundLogger as Log

from scoring.verdict import Finding
from tarpit.observe.findings import told
from tarpit.observe.log import known, safe

Debug = Annotated[None, "debug"]
Info = Annotated[None, "info"]
Warn = Annotated[None, "warning"]
Error = Annotated[None, "error"]

Ended = Literal["quit", "peer-left", "peer-silent", "backend", "stopped", "refused", "error", "full"]
Tested = Literal["passed", "failed", "unknown"]
BackendName = Annotated[str, "the backend, `host:port` as in the settings"]


# --- the server


def server_starting(
    log: Log,
    *,
    version: Annotated[str, "this version"],
    mode: Annotated[str, "TARPIT_MODE"],
    max_sessions: Annotated[int, "sessions at once"],
) -> Info:
    """The settings are right; the backends are looked at next."""
    log.info("server.starting", version=version, mode=mode, max_sessions=max_sessions)


def server_stopping(
    log: Log,
    *,
    signal: Annotated[str, "what told us to stop"],
    sessions: Annotated[int, "sessions that are open"],
    within: Annotated[float, "seconds that transfers may take to finish (TARPIT_DRAIN)"],
) -> Info:
    """No more connections are accepted; transfers may finish, the rest hears 421."""
    log.info("server.stopping", signal=signal, sessions=sessions, within=within)


def server_stopped(log: Log, *, cut: Annotated[int, "sessions that were cut when the time was over"]) -> Info:
    """The last line of a clean stop."""
    log.info("server.stopped", cut=cut)


def settings_pending(log: Log, *, name: Annotated[str, "the variable"]) -> Warn:
    """A variable is set whose feature is not in this version yet; it has no effect."""
    log.warning("settings.pending", name=name)


def settings_doubtful(
    log: Log, *, name: Annotated[str, "the variable"], message: Annotated[str, "what is odd about it"]
) -> Warn:
    """A setting is odd; everything works all the same."""
    log.warning("settings.doubtful", name=name, message=message)


# --- listening


def listener_opened(
    log: Log, *, host: Annotated[str, "address listened on"], port: Annotated[int, "port"]
) -> Info:
    """Peers can connect here from now on."""
    log.info("listener.opened", host=host, port=port)


def worker_started(
    log: Log, *, worker: Annotated[int, "number of the worker, from 0"], pid: Annotated[int, "its process"]
) -> Info:
    """A worker accepts connections."""
    log.info("worker.started", worker=worker, pid=pid)


def sessions_full(
    log: Log,
    *,
    peer: Annotated[str, "address of the last peer that heard 421"],
    limit: Annotated[str, "the variable whose limit is reached"],
    sessions: Annotated[int, "sessions that count against it"],
    refused: Annotated[int, "peers that heard so since the last such line"],
) -> Warn:
    """A cap is reached: 421 4.3.2 where we are full, 4.7.0 for theirs. A line in 10 s for each limit."""
    log.warning("sessions.full", peer=peer, limit=limit, sessions=sessions, refused=refused)


def header_refused(
    log: Log,
    *,
    proxy: Annotated[str, "address of the last such proxy, in TARPIT_PROXY_FROM"],
    reason: Annotated[str, "what was wrong with its header"],
    refused: Annotated[int, "connections that were closed so since the last such line"],
) -> Warn:
    """A trusted proxy sent no sound PROXY header, and was closed without a word. A line in 10 s."""
    log.warning("header.refused", proxy=proxy, reason=reason, refused=refused)


def accept_backoff(
    log: Log,
    *,
    error: Annotated[str, "the system's reason, as a rule `EMFILE`"],
    seconds: Annotated[float, "until the next try"],
) -> Warn:
    """The system does not let us accept: file descriptors or memory are used up."""
    log.warning("accept.backoff", error=error, seconds=seconds)


# --- backends


def backend_probed(
    log: Log,
    *,
    backend: BackendName,
    up: Annotated[bool, "whether it can be used"],
    reason: Annotated[str, "why not, bounded and escaped; empty when it can"] = "",
    keywords: Annotated[Iterable[str], "EHLO keywords it showed to our introduction"] = (),
    milliseconds: Annotated[float, "from dialling to the end of its EHLO reply"] = 0.0,
) -> Info:
    """A backend has gone up or down. Written when that changes, and at the start."""
    words = [safe(word) for word in keywords]
    said = {"up": up, "reason": safe(reason), "keywords": words, "milliseconds": round(milliseconds, 1)}
    (log.info if up else log.warning)("backend.probed", backend=backend, **said)


def backend_relay_tested(
    log: Log,
    *,
    backend: BackendName,
    result: Annotated[Tested, "`passed`: a foreign recipient is refused; `failed`: it relays for everybody"],
    recipient: Annotated[str, "the foreign recipient (TARPIT_RELAY_TEST_RCPT)"],
    reply: Annotated[str, "what the backend said to it, bounded and escaped"] = "",
) -> Info:
    """The relay test is over. `unknown`: it said nothing of that; where it broke off it is made again."""
    said = {"result": result, "recipient": safe(recipient), "reply": safe(reply)}
    (log.error if result == "failed" else log.info)("backend.relay-tested", backend=backend, **said)


def backend_unintroduced(
    log: Log,
    *,
    backend: BackendName,
    loses: Annotated[str, "what the backend cannot do without knowing its peers"],
) -> Warn:
    """The backend sees our address in the place of each peer's (TARPIT_BACKEND_INTRODUCE is `off`)."""
    log.warning("backend.unintroduced", backend=backend, loses=loses)


def backend_lost(
    log: Log, *, backend: BackendName, reason: Annotated[str, "what happened, bounded and escaped"]
) -> Warn:
    """A backend could not be used for a session, which ended in 421 or 451."""
    log.warning("backend.lost", backend=backend, reason=safe(reason))


# --- scoring


def zone_tested(
    log: Log,
    *,
    zone: Annotated[str, "the DNSBL zone, an API key in its name masked"],
    usable: Annotated[bool, "whether it is asked from now on"],
    reason: Annotated[str, "why not: a self-test that failed (RFC 5782 section 5), silence"] = "",
) -> Warn:
    """A zone is set aside, or is back. Meanwhile it has no opinion, and nobody waits for it."""
    log.warning("zone.tested", zone=zone, usable=usable, reason=safe(reason, 200))


def lists_loaded(
    log: Log,
    *,
    allow: Annotated[int, "networks in TARPIT_ALLOW, files included"],
    deny: Annotated[int, "networks in TARPIT_DENY, files included"],
) -> Info:
    """The operator's lists have been read, at the start or again at HUP."""
    log.info("lists.loaded", allow=allow, deny=deny)


def lists_kept(log: Log, *, message: Annotated[str, "what is wrong, with file and line"]) -> Error:
    """The operator's lists could not be read again; those read before stay in force."""
    log.error("lists.kept", message=message)


# --- sessions


def message_ambiguous(
    log: Log,
    *,
    id: Annotated[str, "the session"],  # noqa: A002 - the field's name
    backend: BackendName,
    reason: Annotated[str, "what happened, bounded and escaped"],
    reply: Annotated[str | bytes, "the backend's reply to the end of data, if one came"] = "",
) -> Warn:
    """It is not known on both sides whether a message was taken: the sender may send it once more."""
    log.warning("message.ambiguous", id=id, backend=backend, reason=safe(reason), reply=safe(reply))


def session_opened(
    log: Log,
    *,
    id: Annotated[str, "the session"],  # noqa: A002 - the field's name
    peer: Annotated[str, "address"],
    port: Annotated[int, "port"],
) -> Debug:
    """A connection has been accepted."""
    log.debug("session.opened", id=id, peer=peer, port=port)


def session_failed(
    log: Log, *, error: Annotated[BaseException, "the exception; its traceback is in `exception`"]
) -> Error:
    """A bug of ours has ended one session, no other. Please report the traceback."""
    log.error("session.failed", error=repr(error), exc_info=error)


def session_closed(
    log: Log,
    *,
    id: Annotated[str, "the session"],  # noqa: A002 - the field's name
    peer: Annotated[str, "address"],
    port: Annotated[int, "port"],
    proxy: Annotated[str | None, "address of the load balancer that announced it (TARPIT_PROXY_FROM)"] = None,
    host: Annotated[str | None, "forward-confirmed name of the address"] = None,
    helo: Annotated[str | bytes, "HELO name, bounded and escaped"] = "",
    verdict: Annotated[str, "`clean`, `suspect`, `hostile`, or `unscored` where nobody asked"] = "unscored",
    score: Annotated[float, "points"] = 0.0,
    findings: Annotated[
        Iterable[tuple[Finding, float]], "each with `signal`, `result`, `points`, `why` `ms`, `age`"
    ] = (),
    treatment: Annotated[str, "what was done: `pass`, `slow`, `hold`"] = "pass",
    would_be: Annotated[str, "the treatment that `enforce` mode gives; differs in `observe` mode"] = "pass",
    seconds: Annotated[float, "from accept to close"] = 0.0,
    held_seconds: Annotated[float, "of these, added by us"] = 0.0,
    dripped_bytes: Annotated[int, "bytes of replies sent at a pace"] = 0,
    backend_seconds: Annotated[float, "seconds for which a backend's connection was kept"] = 0.0,
    pregreet: Annotated[bool, "whether the peer spoke before the banner"] = False,
    phase: Annotated[str, "the last state of the dialogue that was reached"] = "",
    ended: Annotated[
        Ended,
        "`quit`: in order; `peer-left`, `peer-silent`; `backend`: lost or not there; `stopped`: with us; "
        "`refused`: by a reply, without QUIT; `error`: a bug; `full`: a cap was reached",
    ] = "quit",
    transactions: Annotated[int, "messages begun (MAIL accepted)"] = 0,
    recipients_accepted: Annotated[int, "recipients accepted"] = 0,
    recipients_refused: Annotated[int, "recipients refused"] = 0,
    messages_accepted: Annotated[int, "messages that a backend has acknowledged"] = 0,
    messages_mended: Annotated[int, "messages with bare newlines that were mended (TARPIT_BARE_NEWLINE)"] = 0,
    reverse_path: Annotated[
        str | bytes | None, "the last one, bounded and escaped; empty: the null sender"
    ] = None,
    backend: Annotated[str | None, "the backend that it was joined to"] = None,
    backend_reply: Annotated[str | bytes, "the backend's last reply, bounded and escaped"] = "",
    bytes_from_peer: Annotated[int, "bytes"] = 0,
    bytes_to_peer: Annotated[int, "bytes"] = 0,
    blind: Annotated[bool, "whether STARTTLS was passed through: from there on we saw nothing"] = False,
    tls: Annotated[str, "version of TLS that ended with us, as `TLSv1.3`; empty without"] = "",
    cipher: Annotated[str, "its cipher suite"] = "",
    tls_failure: Annotated[str, "why a handshake came to nothing"] = "",
    errors: Annotated[Iterable[str], "what went wrong on our side: broken DNSBL zones, a backend"] = (),
) -> Info:
    """One connection is over, however it ended. Each has exactly one of these: the whole story."""
    story = {
        "id": id,
        "peer": peer,
        "port": port,
        "proxy": proxy,
        "host": None if host is None else known(host),
        "helo": known(helo),
        "verdict": verdict,
        "score": score,
        "findings": told(findings),
        "treatment": treatment,
        "would_be": would_be,
        "seconds": round(seconds * 1000) / 1000,
        "held_seconds": round(held_seconds * 1000) / 1000,
        "dripped_bytes": dripped_bytes,
        "backend_seconds": round(backend_seconds * 1000) / 1000,
        "pregreet": pregreet,
        "phase": phase,
        "ended": ended,
        "transactions": transactions,
        "recipients_accepted": recipients_accepted,
        "recipients_refused": recipients_refused,
        "messages_accepted": messages_accepted,
        "messages_mended": messages_mended,
        "reverse_path": None if reverse_path is None else known(reverse_path),
        "backend": backend,
        "backend_reply": known(backend_reply),
        "bytes_from_peer": bytes_from_peer,
        "bytes_to_peer": bytes_to_peer,
        "blind": blind,
        "tls": tls,
        "cipher": cipher,
        "tls_failure": known(tls_failure),
        "errors": [safe(error, 200) for error in errors] if errors else [],
    }
    log.info("session.closed", story=story)
