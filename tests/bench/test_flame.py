"""The flame graph: that its boxes add up, are legible, and say whose they are."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Final

from bench.flame import COLOURS, MARGIN, WIDTH, Box, boxes, draw
from bench.stacks import KERNEL, TRIO, Frame, Layer, Stacks

RUN: Final = Frame("Session.run", "tarpit/session.py")
CLOSE: Final = Frame("Session._close", "tarpit/session.py")
SEND: Final = Frame("send", KERNEL)
STACKS: Final[Stacks] = {
    (TRIO,): 5,
    (TRIO, RUN): 10,
    (TRIO, RUN, SEND): 40,
    (TRIO, RUN, CLOSE): 15,
    (TRIO, RUN, CLOSE, SEND): 20,
    (TRIO, Frame("Poller.run", "tarpit/poller.py")): 10,
}
SVG: Final = "{http://www.w3.org/2000/svg}"


def drawn(stacks: Stacks) -> dict[str, ET.Element]:
    """Return the boxes of a picture by their titles."""
    groups = ET.fromstring(draw(stacks, "A day", ["made so"])).findall(f"{SVG}g")
    return {group.findtext(f"{SVG}title", ""): group for group in groups}


def test_boxes() -> None:
    """A box begins where its caller or its neighbour ends, and is as wide as those below and its own."""
    assert boxes(STACKS) == [
        Box(TRIO, 0, 0, 100, 5),
        Box(Frame("Poller.run", "tarpit/poller.py"), 1, 0, 10, 10),
        Box(RUN, 1, 10, 85, 10),
        Box(CLOSE, 2, 10, 35, 15),
        Box(SEND, 3, 10, 20, 20),
        Box(SEND, 2, 45, 40, 40),
    ]


def test_boxes_are_inside_their_callers() -> None:
    """However deep: no box is wider than what it hangs below, and own samples are all the samples."""
    deep = {tuple(Frame(f"f{n}", "a.py") for n in range(depth + 1)): depth + 1 for depth in range(60)}
    found = boxes(deep, narrowest=0)
    assert [box.depth for box in found] == list(range(60))
    assert all(inner.samples <= box.samples for box, inner in pairwise(found))
    assert sum(box.alone for box in found) == sum(deep.values())


def test_narrow_ones_are_left_out() -> None:
    """A box that nobody could see is not drawn; its neighbours stay where they are."""
    rare = Frame("A", "a.py")
    stacks: Stacks = {(rare, SEND): 2, (RUN,): 998}
    assert boxes(stacks) == [Box(RUN, 0, 2, 998, 998)]
    assert rare in [box.frame for box in boxes(stacks, narrowest=0.001)]


def test_the_picture_is_to_scale() -> None:
    """Left edge and width are shares of the whole, rows are equal, and what is called is below."""
    pictured = drawn(STACKS)
    rect = {title: group.find(f"{SVG}rect") for title, group in pictured.items()}
    trio, close = (
        rect[title]
        for title in (
            "trio (trio/_core/_run.py): 100.0%, 5.0% alone",
            "Session._close (tarpit/session.py): 35.0%, 15.0% alone",
        )
    )
    assert trio is not None
    assert close is not None
    assert (trio.get("x"), trio.get("width")) == (f"{MARGIN:.1f}", f"{WIDTH:.1f}")
    assert (close.get("x"), close.get("width")) == (f"{MARGIN + WIDTH * 0.1:.1f}", f"{WIDTH * 0.35:.1f}")
    assert int(close.get("y", "")) - int(trio.get("y", "")) == 2 * 17


def test_colours_by_layer() -> None:
    """Each layer has a colour of its own, and the key says what it takes by itself."""
    assert set(COLOURS) == set(Layer)
    assert len(set(COLOURS.values())) == len(Layer)
    rect = drawn(STACKS)["send (kernel): 40.0%, 40.0% alone"].find(f"{SVG}rect")
    assert rect is not None
    assert rect.get("fill") == COLOURS[Layer.KERNEL]
    picture = draw(STACKS, "A day", [])
    for said in ("trio 5%", "tarpit 35%", "system calls 60%", "scoring 0%"):
        assert f">{said}</text>" in picture


def test_names_are_escaped_and_cut() -> None:
    """A name is in the title whole; in the box as far as it fits, the method before its class."""
    odd = Frame("__create_fn__.<locals>.__init__", "<string>")
    stacks: Stacks = {(odd,): 60, (RUN,): 35, (CLOSE,): 4, (SEND,): 1}
    labels = {title.partition(":")[0]: group.findtext(f"{SVG}text") for title, group in drawn(stacks).items()}
    assert labels == {
        str(odd): f"{odd} 60.0%",
        str(RUN): f"{RUN} 35.0%",
        str(CLOSE): "_close",
        str(SEND): None,
    }
    assert "<locals>" not in draw(stacks, "<locals>", ["<locals>"])
    assert drawn({(CLOSE,): 3, (RUN,): 97})[f"{CLOSE}: 3.0%, 3.0% alone"].findtext(f"{SVG}text") == "_cl…"


def test_a_picture_is_the_same_twice_and_only_a_picture() -> None:
    """Equal stacks in any order are equal bytes, with no script in them; there is room for the caption."""
    picture = draw(STACKS, "A day", ["made so", "and so"])
    assert draw(dict(list(STACKS.items())[::-1]), "A day", ["made so", "and so"]) == picture
    assert "<script" not in picture
    texts = [int(y) for y in re.findall(r'<text x="10[.0]*" y="(\d+)"', picture)]
    assert texts[:3] == [18, 35, 52]
    top = min(int(y) for y in re.findall(r'</title><rect x="[\d.]+" y="(\d+)"', picture))
    assert top > 52 + 17


def test_nothing_was_seen() -> None:
    """A worker that slept leaves a picture without boxes."""
    assert ET.fromstring(draw({}, "A night", [])).findall(f"{SVG}g") == []
