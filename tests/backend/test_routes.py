"""Which group of backends a recipient's mail goes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.backend.routes import Group, Routes
from tarpit.destinations import parse_routes
from tarpit.smtp.addresses import ForwardPath, parse_forward_path

TABLE = """
boss@example.org=b:25  "the boss"@example.org=b:25
example.org=a:25
*.example.org=s:25
*.deep.example.org=d:25
bücher.example=u:25
xn--strae-oqa.example=ss:25
[192.0.2.1]=l:25 [IPv6:2001:DB8:0::1]=l6:25
gone.example.org=refuse
spam@ok.example=refuse
"""


def path(text: str) -> ForwardPath:
    """Return *text* as the path of a RCPT."""
    parsed = parse_forward_path(f"<{text}>".encode())
    assert parsed is not None
    return parsed


def routes(text: str, *backends: str) -> Routes:
    """Return the routes of a setting."""
    return Routes(parse_routes(text), backends or ("rest:25",))


@pytest.mark.parametrize(
    ("recipient", "group"),
    [
        ("info@example.org", "a:25"),
        ("Info@EXAMPLE.Org", "a:25"),
        ("boss@example.org", "b:25"),
        ("Boss@Example.org", "b:25"),
        ('"boss"@example.org', "b:25"),
        ('"the boss"@example.org', "b:25"),
        ('"the\\ boss"@example.org', "b:25"),
        ("@relay.example:boss@example.org", "b:25"),
        ("boss@sub.example.org", "s:25"),
        ("x@deep.example.org", "s:25"),
        ("x@very.deep.example.org", "d:25"),
        ("x@most.very.deep.example.org", "d:25"),
        ("x@gone.example.org", None),
        ("x@below.gone.example.org", "s:25"),
        ("x@notexample.org", "rest:25"),
        ("x@bücher.example", "u:25"),
        ("x@BÜCHER.Example", "u:25"),
        ("x@bu\u0308cher.example", "u:25"),
        ("x@xn--bcher-kva.example", "u:25"),
        ("x@straße.example", "ss:25"),
        ("x@strasse.example", "rest:25"),
        ("x@[192.0.2.1]", "l:25"),
        ("x@[192.0.2.2]", "rest:25"),
        ("x@[IPv6:2001:db8::1]", "l6:25"),
        ("x@[ipv6:2001:db8:0:0::1]", "l6:25"),
        ("spam@ok.example", None),
        ("ham@ok.example", "rest:25"),
        ("postmaster", "rest:25"),
        ("postmaster@example.org", "a:25"),
    ],
)
def test_find(recipient: str, group: str | None) -> None:
    """An address goes before its domain, that before the longest one it is below, that before all others."""
    found = routes(TABLE).find(path(recipient))
    assert (str(found) if found else None) == group


def test_all_others() -> None:
    """`*` is where they go, postmaster without a domain too; without it, TARPIT_BACKENDS."""
    some = routes("example.org=a:25 *=b:25,c:25")
    assert str(some.find(path("x@elsewhere.example"))) == "b:25,c:25"
    assert str(some.find(path("postmaster"))) == "b:25,c:25"
    assert str(routes("").find(path("x@elsewhere.example"))) == "rest:25"


def test_all_others_refused() -> None:
    """But not postmaster, who must be reachable."""
    some = routes("example.org=a:25 *=refuse")
    assert some.find(path("x@elsewhere.example")) is None
    assert some.find(path("x@[192.0.2.1]")) is None
    assert str(some.find(path("postmaster"))) == "rest:25"


def test_one_group_by_any_name() -> None:
    """The same backends are the same group, in whatever order they are written."""
    some = routes("a.example=x:25,y:25 b.example=y:25,x:25", "x:25", "y:25")
    assert not some.several
    assert some.groups == (Group(("x:25", "y:25")),)
    assert some.find(path("u@a.example")) == some.find(path("u@b.example")) == some.default


def test_what_groups_share() -> None:
    """The backends that may have the mail of either, in the order of the first."""
    assert Group(("x", "y", "z"), 1).shared_with(Group(("z", "w", "y"), 2)) == Group(("y", "z"), 1)


@pytest.mark.parametrize(
    ("text", "several", "refusing"),
    [
        ("", False, False),
        ("a.example=rest:25", False, False),
        ("a.example=refuse", False, True),
        ("a.example=rest:25 *=refuse", False, True),
        ("a.example=x:25", True, False),
        ("a.example=x:25 *=x:25", False, False),
        ("a.example=x:25,rest:25", True, False),
    ],
)
def test_what_it_takes(text: str, several: bool, refusing: bool) -> None:
    """Whether recipients must be seen, and whether some are refused."""
    some = routes(text)
    assert (some.several, some.refusing) == (several, refusing)


def test_groups_are_numbered_as_written() -> None:
    """Connections to several are had in this order; the one for all others comes last."""
    some = routes("a.example=x:25 b.example=y:25 c.example=x:25")
    assert [(group.number, str(group)) for group in some.groups] == [(0, "x:25"), (1, "y:25"), (2, "rest:25")]


@given(st.binary(max_size=60))
def test_any_path_has_an_answer(text: bytes) -> None:
    """Whatever can be a recipient is found a place for, or refused."""
    parsed = parse_forward_path(b"<" + text + b">")
    if parsed is not None:
        routes(TABLE).find(parsed)


def test_whose_mail_a_backend_gets() -> None:
    """All patterns that lead to it, and what is left over."""
    some = routes("example.org=a:25,b:25 x.example=refuse *.example.org=b:25")
    assert [list(some.leading_to(name)) for name in ("a:25", "b:25", "rest:25")] == [
        ["example.org"],
        ["example.org", "*.example.org"],
        ["*"],
    ]
    refusing = routes("example.org=a:25 *=refuse")
    assert list(refusing.leading_to("rest:25")) == ["<postmaster>"]
