"""The settings as a whole: defaults, every fault at once, what must hold between variables."""

import math
import resource
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from tarpit.cli.settings import page
from tarpit.errors import SettingsError
from tarpit.settings import BackendAddress, Introduce, Mode, Settings, load, unit_of
from tarpit.variables import Variables

DOCS = Path(__file__).parent.parent / "docs"

# Every name that other parts rely on, by the unit it is written in.
DURATIONS = [
    "BACKEND_QUEUE",
    "SCORE_WAIT",
    "GREET_WAIT",
    "PREGREET_WAIT",
    "PACE_BYTE",
    "PACE_DELAY",
    "PACE_BANNER",
    "PACE_REPLY",
    "PACE_DATA",
    "PACE_SESSION",
    "PACE_HOLD",
    "DRAIN",
    "HEALTH_EVERY",
    "TIMEOUT_COMMAND",
    "TIMEOUT_BLOCK",
    "TIMEOUT_SEND",
    "TIMEOUT_DIAL",
    "TIMEOUT_BANNER",
    "TIMEOUT_REPLY",
    "TIMEOUT_DOT",
]
SIZES = ["PACE_READ", "SPOOL_MESSAGE", "SPOOL_TOTAL"]
RATES = ["RATE_PEER", "RATE_NETWORK"]
COUNTS = [
    "MAX_SESSIONS",
    "MAX_SESSIONS_PEER",
    "MAX_SESSIONS_NETWORK",
    "MAX_HELD",
    "BACKEND_MAX",
    "BACKEND_CHECKS",
    "WORKERS",
]


def faults_of(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load({f"TARPIT_{name}": text for name, text in variables.items()})
    return [str(fault) for fault in caught.value.faults]


def loaded(**variables: str) -> Settings:
    return load({f"TARPIT_{name}": text for name, text in variables.items()})


@pytest.fixture
def limit() -> Iterator[int]:
    """A descriptor limit that is known."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, before[1]))
    yield 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_defaults() -> None:
    """Without any variable the settings stand, on loopback."""
    settings = load({})
    assert settings.mode is Mode.ENFORCE
    assert settings.listen == (("127.0.0.1", 2525),)
    assert settings.backends == (BackendAddress("127.0.0.1", 10025),)
    assert settings.allow == (ip_network("127.0.0.0/8"), ip_network("::1"))
    assert settings.pace_session == 240.0
    assert settings.warnings() == ()
    assert settings.pending() == ()


@pytest.mark.parametrize("name", [*DURATIONS, *RATES, "PACE_READ", "SPOOL_MESSAGE"])
def test_bare_zero(name: str) -> None:
    """A bare 0 is a valid duration, size and rate."""
    assert loaded(**{name: "0"}).text(name.lower()) == "0"


@pytest.mark.parametrize("name", COUNTS)
def test_no_zero_count(name: str) -> None:
    """None of what the proxy lives on is a fault."""
    assert faults_of(**{name: "0"}) == [f"TARPIT_{name}: must be at least 1"]


@pytest.mark.parametrize("field", Variables.model_fields)
def test_defaults_are_read_as_written(field: str) -> None:
    """What `tarpit settings` prints is what would be read as the same value."""
    settings = load({})
    again = unit_of(field).parse(settings.text(field))
    assert again == getattr(settings, field)


@pytest.mark.parametrize("field", Variables.model_fields)
def test_garbage(field: str) -> None:
    """No variable takes everything: a control character and a bracket are a fault of that variable."""
    (fault,) = faults_of(**{field.upper(): "[\x01"})
    assert fault.startswith(f"TARPIT_{field.upper()}: ")


def test_time_out_without_end() -> None:
    """A time-out of 0 never comes."""
    assert loaded(TIMEOUT_COMMAND="0").timeout_command == math.inf


def test_all_faults_at_once() -> None:
    """A mistyped name, a wrong value and a contradiction are told together, by name."""
    assert faults_of(PACE_BYT="1s", MAX_SESSIONS="0", SCORE_HOLD="3", LISTEN="25") == [
        "TARPIT_LISTEN: '25' is not host:port: write 192.0.2.1:25, mx.example.org:25 or [::]:25",
        "TARPIT_MAX_SESSIONS: must be at least 1",
        "TARPIT_PACE_BYT: is not a setting: did you mean TARPIT_PACE_BYTE?",
        "TARPIT_SCORE_HOLD: must be at least 4, 1 above TARPIT_SCORE_SUSPECT",
    ]


def test_nothing_follows_from_a_fault() -> None:
    """A wrong variable is told once; what would follow from it is not guessed."""
    assert len(faults_of(BACKENDS="mx", BACKEND_CHECKS="50")) == 1
    assert faults_of(SCORE_SUSPECT="x", SCORE_HOLD="1") == ["TARPIT_SCORE_SUSPECT: 'x' is not a number"]


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"BACKEND_CHECKS": "101"}, "TARPIT_BACKEND_CHECKS: is more than the smallest cap"),
        ({"BACKENDS": "mx:25;max=5", "BACKEND_CHECKS": "6"}, "TARPIT_BACKEND_CHECKS: is more than"),
        ({"SPOOL_MESSAGE": "2g"}, "TARPIT_SPOOL_TOTAL: must be at least TARPIT_SPOOL_MESSAGE, which is 2g"),
        (
            {"ALLOW": "192.0.2.0/24", "DENY": "192.0.2.0/24"},
            "TARPIT_DENY: 192.0.2.0/24 is in TARPIT_ALLOW too",
        ),
        ({"BACKENDS": "mx:25 mx:25*2"}, "TARPIT_BACKENDS: mx:25 is listed twice"),
        ({"LISTEN": "127.0.0.1:10025"}, "TARPIT_LISTEN: 127.0.0.1:10025 is our own backend"),
        ({"LISTEN": "0.0.0.0:10025"}, "TARPIT_LISTEN: 0.0.0.0:10025 is our own backend"),
        (
            {"LISTEN": "[::]:10025", "BACKENDS": "localhost:10025"},
            "TARPIT_LISTEN: [::]:10025 is our own backend",
        ),
        ({"LISTEN": "127.0.0.1:9525"}, "TARPIT_ADMIN: is where TARPIT_LISTEN has us listen"),
        ({"DNS_SERVERS": "none"}, "TARPIT_DNS_SERVERS: needs at least one name server"),
        (
            {"WEIGHTS": "pregret=4"},
            "TARPIT_WEIGHTS: 'pregret' is not a signal's weight; did you mean pregreet?",
        ),
        ({"DNSBL_ZONES": "zen.example=127.0.0.2*x"}, "TARPIT_DNSBL_ZONES: "),
        (
            {"BACKEND_TLS": "may"},
            "TARPIT_BACKEND_TLS: 127.0.0.1:10025: may is TLS of ours, and no peer's passes",
        ),
        ({"BACKENDS": "mx:25;tls=require"}, "TARPIT_BACKEND_TLS: mx:25: require is TLS of ours"),
        ({"TLS": "terminate"}, "TARPIT_TLS: terminate needs TARPIT_TLS_CERT and TARPIT_TLS_KEY"),
        ({"TLS_CERT": "/c"}, "TARPIT_TLS_CERT: goes together with TARPIT_TLS_KEY"),
        ({"TLS": "pass", "ROUTES": "a.example=mx:25"}, "TARPIT_TLS: pass hides recipients"),
        ({"ROUTES": "a.example=mx:25 *=refuse"}, "TARPIT_ROUTES: *=refuse needs TARPIT_BACKENDS"),
        (
            {"ROUTES": "a.example=mx:25 b.example=mx:25*2"},
            "TARPIT_ROUTES: mx:25 has different options in two places",
        ),
        (
            {"LISTEN": "127.0.0.1:25", "ROUTES": "a.example=127.0.0.1:25"},
            "TARPIT_LISTEN: 127.0.0.1:25 is our",
        ),
        ({"ROUTES": "a.example=mx:25;max=3", "BACKEND_CHECKS": "4"}, "TARPIT_BACKEND_CHECKS: is more than"),
    ],
)
def test_contradictions(variables: dict[str, str], fault: str) -> None:
    """What cannot hold together is a fault of one variable."""
    (told,) = faults_of(**variables)
    assert told.startswith(fault)


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({}, "pass"),
        ({"TLS_CERT": "/c", "TLS_KEY": "/k"}, "terminate"),
        ({"TLS": "pass", "TLS_CERT": "/c", "TLS_KEY": "/k"}, "pass"),
        ({"TLS": "off"}, "off"),
        ({"ROUTES": "a.example=mx:25"}, "off"),
        ({"ROUTES": "a.example=127.0.0.1:10025"}, "pass"),
        ({"ROUTES": "a.example=127.0.0.1:10025 b.example=refuse"}, "off"),
        ({"ROUTES": "a.example=mx:25 *=mx:25"}, "pass"),
    ],
)
def test_who_ends_tls(variables: dict[str, str], mode: str) -> None:
    """`auto` is decided by whether there is a certificate; what is said is said."""
    settings = load({f"TARPIT_{name}": text for name, text in variables.items()})
    assert settings.starttls == mode


def test_a_pinned_authority_without_use() -> None:
    """TARPIT_BACKEND_CA is odd where no backend has to speak TLS."""
    variables = {"TARPIT_BACKEND_CA": "/ca.pem", "TARPIT_TLS": "off"}
    (doubt,) = load(variables).warnings()
    assert doubt.name == "TARPIT_BACKEND_CA"
    assert not load(variables | {"TARPIT_BACKEND_TLS": "require"}).warnings()


def test_pending() -> None:
    """What cannot be done yet and is harmless is told by name; the default's own value is no wish."""
    settings = loaded(STORE="memory:", RATE_PEER="60/m", STATE_DIR="/var/lib/tarpit")
    assert settings.pending() == ("TARPIT_STORE",)


def test_backends_follow() -> None:
    """A backend takes what it does not say itself from TARPIT_BACKEND_*."""
    settings = loaded(
        BACKENDS="a:25 b:25*2;max=5;introduce=off", BACKEND_MAX="30", BACKEND_INTRODUCE="xclient"
    )
    assert settings.backends == (
        BackendAddress("a", 25, 1, 30, Introduce.XCLIENT),
        BackendAddress("b", 25, 2, 5, Introduce.OFF),
    )
    assert settings.backend_checks == 1  # a tenth of the smallest cap, at least one


def test_routes_follow() -> None:
    """So do the backends of routes; all of them count where room is worked out."""
    settings = loaded(BACKEND_MAX="30", ROUTES="a.example=mx:25;max=7 b.example=mx2:25")
    (a,), (b,) = (route.backends for route in settings.routes)
    assert (a.max, b.max) == (7, 30)
    assert [backend.max for backend in settings.all_backends] == [30, 7, 30]
    assert settings.backend_checks == 1


def test_routes_for_all_leave_nothing_to_the_others() -> None:
    """TARPIT_BACKENDS beside `*=...` is odd."""
    settings = loaded(BACKENDS="a:25", ROUTES="*=b:25")
    assert [fault.name for fault in settings.warnings()] == ["TARPIT_BACKENDS"]
    assert [backend.name for backend in settings.all_backends] == ["b:25"]


def test_a_fault_in_a_file_names_it(tmp_path: Path) -> None:
    """The file, and the line as an editor counts it."""
    file = tmp_path / "routes"
    file.write_text("\n# ours\na.example=mx:25\nb.example\n")
    with pytest.raises(SettingsError) as told:
        load({"TARPIT_ROUTES_FILE": str(file)})
    (fault,) = told.value.faults
    assert str(fault).startswith(f"TARPIT_ROUTES: {file}: line 4: 'b.example' is not a route")


def test_default_backend_follows() -> None:
    """The default backend does so too."""
    assert loaded(BACKEND_INTRODUCE="xclient").backends[0].introduce is Introduce.XCLIENT


def test_room_for_sessions(limit: int) -> None:
    """By default there are as many sessions as descriptors leave room for, and three quarters may be held."""
    settings = loaded(BACKENDS="a:25;max=50 b:25;max=150")
    assert settings.max_sessions == limit - 200 - 100
    assert settings.max_held == 525


def test_more_sessions_than_room(limit: int) -> None:
    """A larger explicit value is a warning, not a fault."""
    settings = loaded(MAX_SESSIONS=str(limit))
    assert settings.max_sessions == limit
    assert [fault.name for fault in settings.warnings()] == ["TARPIT_MAX_SESSIONS"]


def test_directories_of_systemd() -> None:
    """Systemd's directories are the defaults; a variable goes before them."""
    environ = {"STATE_DIRECTORY": "/var/lib/tarpit:/x", "CACHE_DIRECTORY": "/var/cache/tarpit"}
    settings = load(environ)
    assert settings.state_dir == Path("/var/lib/tarpit")
    assert settings.spool_dir == Path("/var/cache/tarpit")
    assert settings.store.get_secret_value() == "sqlite:////var/lib/tarpit/tarpit.db"
    assert load(environ | {"TARPIT_STATE_DIR": "/srv"}).state_dir == Path("/srv")


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is handed in counts."""
    monkeypatch.setenv("TARPIT_MODE", "off")
    assert load({}).mode is Mode.ENFORCE


def test_frozen() -> None:
    """Settings do not change while they hold."""
    with pytest.raises(ValueError, match="frozen"):
        load({}).mode = Mode.OFF  # type: ignore[misc]


def test_docs_are_fresh() -> None:
    """docs/settings.md is what `make docs` would write."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == "\n".join(page()) + "\n"
