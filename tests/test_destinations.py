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
    "text", ["example.org=mx:25*2,mx2:25", "*.example.org=mx:25", "user@example.org=mx:25", "*=refuse"]
)
def test_routes_are_written_as_read(text: str) -> None:
    """A route is written in the syntax it was read in."""
    assert destinations.ROUTES.format(destinations.ROUTES.parse(text)) == text


@pytest.mark.parametrize("text", ["example.org", "=mx:25", "exa mple=mx:25", "example.org="])
def test_no_route(text: str) -> None:
    """Half a route is none."""
    with pytest.raises(ValueError, match=r"is not a route|is not host:port"):
        destinations.parse_route(text)
