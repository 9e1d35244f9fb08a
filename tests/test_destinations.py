"""Backends and routes."""

import pytest

from tarpit import destinations
from tarpit.choices import BackendTls, Introduce
from tarpit.destinations import BackendAddress


def test_backend() -> None:
    """A backend has a weight and options."""
    backend = destinations.parse_backend("[2001:db8::1]:25*3;max=20;introduce=xclient;tls=require")
    assert backend == BackendAddress("2001:db8::1", 25, 3, 20, Introduce.XCLIENT, BackendTls.REQUIRE)
    assert backend.name == "[2001:db8::1]:25"


def test_backend_follows() -> None:
    """What a backend does not say itself it takes from the variables for all."""
    backend = destinations.parse_backend("mx:25;max=20").following(
        maximum=100, introduce=Introduce.XCLIENT, tls=BackendTls.OFF
    )
    assert (backend.max, backend.introduce) == (20, Introduce.XCLIENT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mx", "is not host:port"),
        ("mx:25*0", "at least 1"),
        ("mx:25;max=0", "at least 1"),
        ("mx:25;maximum=5", "is not an option of a backend"),
        ("mx:25;introduce=xforward", "is not one of"),
        ("mx:25;", "is not an option of a backend"),
    ],
)
def test_no_backend(text: str, words: str) -> None:
    """A backend's fault says which part is wrong."""
    with pytest.raises(ValueError, match=words):
        destinations.parse_backend(text)


@pytest.mark.parametrize("text", ["mx:25", "mx:25*2", "mx:25*2;max=5;introduce=proxy-v2;tls=off"])
def test_backends_are_written_as_read(text: str) -> None:
    """Options that were not said are not written."""
    assert destinations.BACKENDS.format(destinations.BACKENDS.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "example.org=mx:25*2,mx2:25",
        "*.example.org=mx:25;max=3",
        "user@example.org=mx:25 example.org=refuse",
        '"the user"@example.org=mx:25',
        "a=b@[192.0.2.1]=mx:25;introduce=xclient",
        "[ipv6:2001:db8::1]=mx:25",
        "*=refuse",
        "none",
    ],
)
def test_routes_are_written_as_read(text: str) -> None:
    """A route is written in the syntax it was read in."""
    assert destinations.ROUTES.format(destinations.ROUTES.parse(text)) == text


def test_routes_are_folded() -> None:
    """One domain has one form, however it is written."""
    text = "Example.ORG.=mx:25 *.BÜCHER.example=mx:25 Big.Boss@Example.org=mx:25"
    patterns = [route.pattern for route in destinations.ROUTES.parse(text)]
    assert patterns == ["example.org", "*.xn--bcher-kva.example", "big.boss@example.org"]


def test_routes_in_a_file() -> None:
    """They stand on lines of their own, with comments between and behind."""
    text = "# departments\n\nexample.org=mx:25  # sales\n  a#b@example.org=mx:25 *=refuse\n"
    patterns = [route.pattern for route in destinations.ROUTES.parse(text)]
    assert patterns == ["example.org", "a#b@example.org", "*"]


def test_every_fault_with_its_line() -> None:
    """All that is wrong is told at once."""
    text = "# departments\nexample.org\n\nx.example=mx a.example=mx:25\nA.example=mx2:25\nb.example=b:1,b:1"
    with pytest.raises(ValueError, match="line 2: ") as told:
        destinations.ROUTES.parse(text)
    assert str(told.value).split("; ") == [
        "line 2: 'example.org' is not a route: write example.org=192.0.2.1:25 or *=refuse",
        "line 4: 'mx' is not host:port: write 192.0.2.1:25, mx.example.org:25 or [::]:25",
        "line 5: a.example has a route already, in line 4",
        "line 6: 'b.example=b:1,b:1' has b:1 twice, which would double its cap",
    ]
    with pytest.raises(ValueError, match=r"^x.example has a route already$"):
        destinations.ROUTES.parse("x.example=a:1 x.example=b:1")


def test_every_backend_once() -> None:
    """Mail may go to those of routes, and to those for all others, unless a route has these."""
    rest = destinations.BACKENDS.parse("rest:25 a:25")
    for text, names in {
        "x.example=a:25,b:25 y.example=b:25": ["rest:25", "a:25", "b:25"],
        "x.example=a:25 *=c:25": ["a:25", "c:25"],
        "*=refuse": ["rest:25", "a:25"],
    }.items():
        assert [one.name for one in destinations.every(rest, destinations.ROUTES.parse(text))] == names


@pytest.mark.parametrize(
    "text",
    [
        "example.org",
        "=mx:25",
        "exa mple=mx:25",
        "example.org=",
        "*.*=mx:25",
        "*example.org=mx:25",
        "*.[192.0.2.1]=mx:25",
        "-x.example=mx:25",
        "a..example=mx:25",
        "@example.org=mx:25",
        "[192.0.2.256]=mx:25",
        "<user@example.org>=mx:25",
    ],
)
def test_no_route(text: str) -> None:
    """Half a route is none."""
    with pytest.raises(ValueError, match=r"is not a route|is not host:port"):
        destinations.parse_route(text)
