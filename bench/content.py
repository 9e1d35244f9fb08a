"""How fast a slowed message's content is read and written anew, on one core, in MB/s.

`python -m bench.content [--megabytes 32]` does both to what mail is made of: base64 in lines of 76
columns, and HTML in short lines; then to what needs more work: bare newlines in every line, and a dot to be
stuffed at every line's start. Pieces are as large as reads from the network are. The best of several runs
counts: what is measured is the code, not what else the machine is doing.
"""

import argparse
import base64
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from tarpit.smtp.content import END, Decoder, Encoder

PIECE: Final = 65536  # bytes
RUNS: Final = 5
GOAL: Final = 200.0  # MB/s a core
HTML: Final = b"<tr>\r\n<td>x.y</td>\r\n<td class=a>&nbsp;</td>\r\n<br>\r\n\r\n</tr>\r\n"


def bodies(size: int) -> Mapping[str, bytes]:
    """Return what mail is made of, about *size* bytes each."""
    encoded = base64.encodebytes(random.Random(5).randbytes(size * 57 // 78))
    return {
        "base64, 76 columns": encoded.replace(b"\n", b"\r\n"),
        "HTML, short lines": HTML * (size // len(HTML)),
        "base64, bare LF": encoded,
        "a dot starts each line": (b"." + b"x" * 60 + b"\r\n") * (size // 63),
    }


def pieces(data: bytes) -> list[bytes]:
    """Return *data* as it comes from the network."""
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


def decode(wire: list[bytes]) -> bytes:
    """Read a whole message."""
    decoder = Decoder()
    return b"".join([decoder.receive(piece) for piece in wire])


def encode(content: list[bytes]) -> bytes:
    """Write a whole message."""
    encoder = Encoder()
    return b"".join([encoder.encode(piece) for piece in content]) + encoder.end()


def rate(work: Callable[[list[bytes]], bytes], data: bytes) -> float:
    """Return the best MB/s of several runs, of CPU time."""
    parts, best = pieces(data), float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        work(parts)
        best = min(best, time.process_time() - began)
    return len(data) / best / 1e6


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--megabytes", type=int, default=32, help="of each kind")
    print(f"{f'MB/s a core (goal: {GOAL:.0f})':28}{'decode':>10}{'encode':>10}")
    for name, body in bodies(options.parse_args().megabytes * 1_000_000).items():
        wire = body + END
        content = decode(pieces(wire))
        print(f"{name:28}{rate(decode, wire):10.0f}{rate(encode, content):10.0f}")


if __name__ == "__main__":
    main()
