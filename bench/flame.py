"""A flame graph that hangs: `trio` above, below each function those that it calls, system calls at the tips.

A box is as wide as the share of samples in which its function was there. What is narrower than a bar of the
frame is left out, and so is the name where there is no room for it: it is in the box's title, which a browser
shows to who points there. Neighbours stand in the order of their names, so that pictures of two days can be
laid side by side, and the same stacks make the same picture, to the byte.

It is a drawing and no program: it holds no script, and pages that show pictures only show it as well.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from bench.stacks import Frame, Layer, Stack, Stacks, alone

NARROWEST: Final = 0.003  # of all samples
WIDTH: Final = 1200  # pixels, of all samples
MARGIN: Final = 10
ROW: Final = 17
LETTER: Final = 6.7  # of the font below
COLOURS: Final[Mapping[Layer, str]] = {
    Layer.TRIO: "#f2c14e",
    Layer.TARPIT: "#8ecae6",
    Layer.SMTP: "#90d4a0",
    Layer.SCORING: "#c3a6e0",
    Layer.STANDARD: "#d0d0c8",
    Layer.OTHERS: "#e8d5b5",
    Layer.KERNEL: "#ee8866",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A function below one caller. Left edge, width and what is its own are in samples."""

    frame: Frame
    depth: int
    left: int
    samples: int
    alone: int


def boxes(stacks: Stacks, narrowest: float = NARROWEST) -> list[Box]:
    """Return all that are wide enough, each before those that it calls."""
    least, found = narrowest * sum(stacks.values()), list[Box]()

    def hang(some: Stacks, depth: int, left: int) -> None:
        for frame, inner in sorted(_by_caller(some).items()):
            samples = sum(inner.values())
            if samples >= least:
                found.append(Box(frame, depth, left, samples, inner[()]))
                hang(inner, depth + 1, left)
            left += samples

    hang(stacks, 0, 0)
    return found


def draw(stacks: Stacks, title: str, caption: Sequence[str]) -> str:
    """Return the picture, SVG: *title*, the lines of the *caption*, whose colour is which, and the boxes."""
    total, hung = sum(stacks.values()), boxes(stacks)
    top = MARGIN + ROW * (len(caption) + 3)
    height = top + ROW * (1 + max((box.depth for box in hung), default=0)) + MARGIN
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * MARGIN}" height="{height}" '
        f'viewBox="0 0 {WIDTH + 2 * MARGIN} {height}" font-family="monospace" font-size="11">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 8}" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    lines = [_text(MARGIN, MARGIN + ROW * number + 8, line) for number, line in enumerate(caption, 1)]
    key = _key(stacks, MARGIN + ROW * (len(caption) + 1))
    return "\n".join([*head, *lines, *key, *(_drawn(box, total, top) for box in hung), "</svg>", ""])


def _by_caller(stacks: Stacks) -> Mapping[Frame, Counter[Stack]]:
    """Return, for each outermost frame, the stacks below it; the empty one is the frame itself at work."""
    inner: defaultdict[Frame, Counter[Stack]] = defaultdict(Counter)
    for stack, count in stacks.items():
        if stack:
            inner[stack[0]][stack[1:]] += count
    return inner


def _drawn(box: Box, total: int, top: int) -> str:
    left, width = MARGIN + WIDTH * box.left / total, WIDTH * box.samples / total
    above = top + ROW * box.depth
    share = f"{box.samples / total:.1%}"
    said = f"{box.frame}: {share}, {box.alone / total:.1%} alone"
    return (
        f'<g><title>{escape(said)}</title><rect x="{left:.1f}" y="{above}" width="{width:.1f}" '
        f'height="{ROW - 1}" fill="{COLOURS[box.frame.layer]}" stroke="#fff" stroke-width=".5"/>'
        f"{_text(left + 3, above + 12, _label(box.frame, share, int((width - 4) / LETTER)))}</g>"
    )


def _label(frame: Frame, share: str, room: int) -> str:
    """Return as much of the name as *room* letters hold; nothing where it would tell nothing."""
    name = frame.function
    for label in (f"{frame} {share}", f"{name} {share}", name, name.rpartition(".")[2]):
        if len(label) <= room:
            return label
    return f"{name.rpartition('.')[2][: room - 1]}…" if room > 3 else ""


def _key(stacks: Stacks, above: int) -> list[str]:
    """Return which colour is whose, and what each is of all samples by itself."""
    total, own = sum(stacks.values()), Counter[Layer]()
    for frame, count in alone(stacks).items():
        own[frame.layer] += count
    drawn, left = list[str](), float(MARGIN)
    for layer, colour in COLOURS.items():
        label = f"{layer.value} {own[layer] / max(total, 1):.0%}"
        drawn.append(f'<rect x="{left:.1f}" y="{above}" width="11" height="11" fill="{colour}"/>')
        drawn.append(_text(left + 16, above + 10, label))
        left += 16 + LETTER * (len(label) + 3)
    return drawn


def _text(left: float, base: int, text: str) -> str:
    return f'<text x="{left:.1f}" y="{base}">{escape(text)}</text>' if text else ""
