"""What a sampler saw, made readable: whose code a frame is, and no frame that nobody asks about.

py-spy writes a line for each stack, outermost first, and behind it in how many samples it was seen:

    run (trio/_core/_run.py:2532);Session.run (tarpit/session.py:119);send (libc.so.6) 7

Here the lines of a function are one frame, and all that leads to trio's loop is one, `trio`. Of what is not
Python system calls are kept, and the interpreter's own functions left out: what C does for a function is the
function's. An awaited function stands under who awaits it, as if it had been called.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

KERNEL: Final = "kernel"  # stands for the file of a system call
LOOP: Final = "trio/_core/_run.py"
_FRAME: Final = re.compile(r"(.*) \((.*?)(?::\d+)?\)")
# The names that libc gives to those of a proxy; others of its functions are no system calls.
_LIBC: Final = ("libc.", "libc-", "ld-musl-")
_CALLS: Final = re.compile(
    "accept4?|bind|brk|close|connect|epoll_(ctl|p?wait)|f(cntl(64)?|sync)|futex|get(peername|sockname|sockopt)"
    "|ioctl|listen|madvise|mmap(64)?|munmap|open(at)?(64)?|pipe2|poll|read|recv(from|msg)?|send(to|msg|file64)?"
    "|setsockopt|shutdown|socket|splice|stat(64)?|unlink|writev?"
)


class Layer(Enum):
    """Whose code it is."""

    TRIO = "trio"
    TARPIT = "tarpit"
    SMTP = "tarpit.smtp"
    SCORING = "scoring"
    STANDARD = "standard library"
    OTHERS = "other libraries"
    KERNEL = "system calls"


_FOLDERS: Final = (
    ("tarpit/smtp/", Layer.SMTP),
    ("tarpit/", Layer.TARPIT),
    ("scoring/", Layer.SCORING),
    ("trio/", Layer.TRIO),
    ("outcome/", Layer.TRIO),  # what it resumes its tasks with
    ("<attrs generated methods trio.", Layer.TRIO),
    ("<string>", Layer.STANDARD),  # the methods that dataclasses writes
    ("<frozen ", Layer.STANDARD),
)


class Frame(NamedTuple):
    """A function, and the file that it is in, from the folder of its package on."""

    function: str
    file: str

    def __str__(self) -> str:
        """Return it as it is written in tables."""
        return f"{self.function} ({self.file})"

    @property
    def layer(self) -> Layer:
        """Whose it is."""
        if self.file == KERNEL:
            return Layer.KERNEL
        for folder, layer in _FOLDERS:
            if self.file.startswith(folder):
                return layer
        package = self.file.partition("/")[0].removesuffix(".py")
        return Layer.STANDARD if package in sys.stdlib_module_names else Layer.OTHERS


Stack = tuple[Frame, ...]
Stacks = Mapping[Stack, int]  # and in how many samples each was seen
TRIO: Final = Frame("trio", LOOP)


def read(folded: Iterable[str]) -> Counter[Stack]:
    """Return the stacks of py-spy's lines."""
    stacks = Counter[Stack]()
    for line in folded:
        stack, _, count = line.rpartition(" ")
        frames = [frame for text in stack.split(";") if (frame := _frame(text))]
        stacks[_from_loop(frames)] += int(count)
    return stacks


def alone(stacks: Stacks) -> Counter[Frame]:
    """Return in how many samples each was the innermost, whoever had called it."""
    samples = Counter[Frame]()
    for stack, count in stacks.items():
        samples.update({stack[-1]: count} if stack else {})
    return samples


def shares(stacks: Stacks, rows: int) -> list[str]:
    """Return a table: each function's share, with its callees and alone. Who is in nearly all is left out."""
    within, own, total = Counter[Frame](), alone(stacks), sum(stacks.values())
    for stack, count in stacks.items():
        within.update(dict.fromkeys(stack, count))
    table = [f"{total} samples", "  with what it calls   alone   function"]
    most = [(frame, count) for frame, count in within.most_common() if count < 0.97 * total]
    for frame, count in most[:rows]:
        table.append(f"  {count / total:17.1%} {own[frame] / total:7.1%}   {frame.function}  ({frame.file})")
    return table


def leaves(stacks: Stacks, share: float = 0.05) -> str:
    """Return in a line who takes more than *share* alone, whether the kernel does it, and who comes next."""
    own, total = alone(stacks).most_common(), sum(stacks.values())
    large = [f"{frame} {count / total:.1%}" for frame, count in own if count > share * total]
    rest = [(frame, count) for frame, count in own if count <= share * total and frame.file != KERNEL]
    line = f"Alone more than {share:.0%}: {', '.join(large) or 'nothing'}."
    return f"{line} Next that is no system call: {rest[0][0]} {rest[0][1] / total:.1%}." if rest else line


def _frame(text: str) -> Frame | None:
    """Return the frame, or None: it is C, and no system call."""
    if (parts := _FRAME.fullmatch(text)) is None:
        return Frame(text, "<string>")
    function, file = parts.groups()
    if file.endswith(".py") or file.startswith("<"):
        return Frame(function, "/".join(file.split("/")[-2:]) if file.startswith("/") else file)
    return Frame(function, KERNEL) if file.startswith(_LIBC) and _CALLS.fullmatch(function) else None


def _from_loop(frames: list[Frame]) -> Stack:
    """Merge all that leads to trio's loop; a thread has none, and stays as it is."""
    for number, frame in enumerate(frames):
        if frame.file == LOOP:
            inner = number + 1
            while inner < len(frames) and frames[inner] == Frame("unrolled_run", LOOP):
                inner += 1
            return (TRIO, *frames[inner:])
    return tuple(frames)
