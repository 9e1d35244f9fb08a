"""Where message content ends: at CRLF.CRLF, and nowhere else (RFC 5321 section 4.1.1.4).

Content is looked at block by block, never parsed into lines. The last four bytes are remembered, so
that an end cut in two by the network is found all the same.
"""

from typing import Final

END: Final = b"\r\n.\r\n"


class EndOfData:
    """Watches one message's content go by."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the end of the DATA line: ".CRLF" right after it is an empty message

    def find(self, block: bytes) -> int:
        """Return how many bytes of *block* belong to the message, its end included; -1 without an end."""
        seam = self._tail + block[:4]
        at = seam.find(END)
        if at >= 0:
            return at + len(END) - len(self._tail)
        at = block.find(END)
        if at >= 0:
            return at + len(END)
        self._tail = seam[-4:] if len(block) < 4 else block[-4:]
        return -1
