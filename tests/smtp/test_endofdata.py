"""The end of content: CRLF.CRLF, wherever the network cuts it, and nothing that merely resembles it."""

import pytest

from tarpit.smtp.endofdata import END, EndOfData


def length(blocks: list[bytes]) -> int:
    """Return how many bytes of *blocks* are the message, or -1."""
    end, before = EndOfData(), 0
    for block in blocks:
        found = end.find(block)
        if found >= 0:
            return before + found
        before += len(block)
    return -1


MESSAGES = [
    pytest.param(b".\r\n", 3, id="empty message"),
    pytest.param(b"a\r\n.\r\n", 6, id="one line"),
    pytest.param(b"a\r\n.\r\nQUIT\r\n", 6, id="a command behind it"),
    pytest.param(b"a\r\n.\r\n\r\n.\r\n", 6, id="the first end counts"),
    pytest.param(b"\r\n.\r\n", 5, id="one empty line"),
    pytest.param(b"a\r\n\r\n.\r\n", 8, id="empty line before"),
    pytest.param(b"..\r\n.\r\n", 7, id="a stuffed dot at the start"),
    pytest.param(b"", -1, id="nothing"),
    pytest.param(b".", -1, id="dot alone"),
    pytest.param(b".\r", -1, id="dot CR"),
    pytest.param(b".\n", -1, id="smuggled: dot LF at the start"),
    pytest.param(b"a\n.\n", -1, id="smuggled: LF dot LF"),
    pytest.param(b"a\n.\r\n", -1, id="smuggled: LF dot CRLF"),
    pytest.param(b"a\r\n.\n", -1, id="smuggled: CRLF dot LF"),
    pytest.param(b"a\r\n.\r", -1, id="smuggled: CRLF dot CR"),
    pytest.param(b"a\r.\r\n", -1, id="smuggled: CR dot CRLF"),
    pytest.param(b"a\r.\r", -1, id="smuggled: CR dot CR"),
    pytest.param(b"a\r\n.\r\r\n", -1, id="smuggled: CR CR LF"),
    pytest.param(b"a\r\n.\0\r\n", -1, id="smuggled: NUL after the dot"),
    pytest.param(b"a\r\n..\r\n", -1, id="stuffed dot"),
    pytest.param(b"a\r\n. \r\n", -1, id="dot and space"),
    pytest.param(b"a.\r\n", -1, id="dot ends a line"),
]


@pytest.mark.parametrize(("content", "size"), MESSAGES)
def test_at_once(content: bytes, size: int) -> None:
    """The message is this long, its end included; without an end, it is not over."""
    assert length([content]) == size


@pytest.mark.parametrize(("content", "size"), MESSAGES)
def test_every_cut_in_two(content: bytes, size: int) -> None:
    """One cut anywhere hides no end and makes none."""
    assert [length([content[:i], content[i:]]) for i in range(len(content))] == [size] * len(content)


@pytest.mark.parametrize(("content", "size"), MESSAGES)
def test_byte_by_byte(content: bytes, size: int) -> None:
    """An end of which each byte comes alone is found."""
    assert length([content[i : i + 1] for i in range(len(content))]) == size


@pytest.mark.parametrize("before", range(8))
def test_end_over_two_large_blocks(before: int) -> None:
    """The end is found at the seam of two blocks larger than itself."""
    content = b"x" * 100 + END + b"y" * 100
    cut = 100 - 2 + before
    assert length([content[:cut], content[cut:]]) == 100 + len(END)


def test_an_empty_block_changes_nothing() -> None:
    """No bytes are no news."""
    assert length([b"", b"a\r\n", b"", b".\r", b"", b"\n"]) == 6
