"""One answer out of several."""

from tarpit.control.merging import merged
from tarpit.control.server import Answer


def backend(**more: object) -> dict[str, object]:
    return {"name": "a:25", "up": True, "usable": True, "reason": "", "taken": 2, "cap": 5} | more


def status(pid: int, **more: object) -> Answer:
    counts = {"sessions": 3, "held": 1, "max_sessions": 10, "waiting": 2, "load": 0.3}
    return {"version": "1", "pid": pid, "backends": [backend()], "zones_set_aside": [], **counts, **more}


def test_status() -> None:
    """What is counted is added up; each worker is named with what is its own."""
    zone = {"zone": "zen.test", "form": "ipv4", "reason": "silent"}
    one = merged({0: status(71, zones_set_aside=[zone]), 1: status(72, sessions=6, zones_set_aside=[zone])})
    assert one == {
        "version": "1",
        "pid": 71,
        "sessions": 9,
        "held": 2,
        "max_sessions": 20,
        "waiting": 4,
        "load": 0.45,
        "backends": [backend(taken=4, cap=10)],
        "zones_set_aside": [zone],
        "workers": [
            {"worker": 0, "leaves": False, "pid": 71, "sessions": 3, "load": 0.3},
            {"worker": 1, "leaves": False, "pid": 72, "sessions": 6, "load": 0.3},
        ],
    }


def test_who_leaves() -> None:
    """Its sessions and connections are there; what may be, and what is up, it does not know any more."""
    gone = status(61, sessions=4, backends=[backend(up=False, taken=1), backend(name="b:25", cap=3)])
    one = merged({0: status(71)}, [(0, gone)])
    assert [one[name] for name in ("pid", "sessions", "max_sessions", "load")] == [71, 7, 10, 0.3]
    assert one["backends"] == [backend(taken=3), backend(name="b:25", cap=3)]
    assert one["workers"] == [
        {"worker": 0, "leaves": False, "pid": 71, "sessions": 3, "load": 0.3},
        {"worker": 0, "leaves": True, "pid": 61, "sessions": 4, "load": 0.3},
    ]


def test_a_backend_is_up_where_any_finds_it_so() -> None:
    """The others know less of it, and what they know is not told."""
    down = backend(up=False, usable=False, reason="refused", taken=0)
    for pair in ((down, backend()), (backend(), down)):
        one = merged(dict(enumerate({"backends": [row, backend(name="b:25")]} for row in pair)))
        assert one == {"backends": [backend(cap=10), backend(name="b:25", taken=4, cap=10)]}


def test_a_ruling_is_told_once() -> None:
    """The sessions it meets are added up."""
    ruling = {"network": "192.0.2.0/24", "allowed": True, "seconds": None}
    one = merged({0: {"rulings": [ruling], "sessions": 0}, 1: {"rulings": [ruling], "sessions": 2}})
    assert one == {"rulings": [ruling], "sessions": 2}


def test_what_some_refuse() -> None:
    """It is refused only where everybody refuses it."""
    refused: Answer = {"error": "no such backend"}
    assert merged({0: refused, 1: refused}) == refused
    assert merged({0: refused, 1: {"mode": "off"}}) == {"mode": "off"}
    assert merged({0: refused}, [(0, {"mode": "off"})]) == {"mode": "off"}
    assert merged({}, [(0, refused)]) == refused
