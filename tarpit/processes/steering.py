"""Which of several sockets on one address a connection goes to: always the same one for a peer's network.

The kernel hands connections to the sockets of an SO_REUSEPORT group by a hash of both ends, so a peer would
meet another worker each time. A classic BPF program on the group takes its place: the source address, cut to
its /24 or /64, modulo the number of sockets. So what is counted a peer or a network is counted by one worker,
exactly, and nothing is shared between processes. Networks side by side go to different workers.

Rejected: counts in shared memory for all workers. Every connection would pay for them, and a worker that dies
in the middle of one would have to be cleaned up after.
"""

import socket
import struct
from array import array
from collections.abc import Sequence
from typing import Final

SO_ATTACH_REUSEPORT_CBPF: Final = 51  # asm-generic/socket.h; the module `socket` does not have it
INSTRUCTION: Final = struct.Struct("HBBI")  # struct sock_filter: code, two jumps, operand
PROGRAM: Final = struct.Struct("HP")  # struct sock_fprog: length, pointer

IP_HEADER: Final = 0xFFF00000  # SKF_NET_OFF: offsets from here are in the header of IP (linux/filter.h)
LOAD, RIGHT, XOR, MODULO, KEEP, RETURN = 0x20, 0x74, 0xAC, 0x94, 0x07, 0x16  # linux/bpf_common.h
SOURCE_IPV4: Final = IP_HEADER + 12  # RFC 791 section 3.1
SOURCE_IPV6: Final = IP_HEADER + 8  # RFC 8200 section 3

Instruction = tuple[int, int]  # code, operand


def steer(sockets: Sequence[socket.socket]) -> bool:
    """Have a network's connections always go to the same of *sockets*, which listen on one address.

    Return whether the system lets us: without it the kernel's hash decides.
    """
    program = program_for(sockets[0].family, len(sockets))
    code = b"".join(INSTRUCTION.pack(code, 0, 0, operand) for code, operand in program)
    buffer = array("B", code)  # whose address can be had without ctypes, which wants memory to execute
    pointer = PROGRAM.pack(len(program), buffer.buffer_info()[0])
    try:
        sockets[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, pointer)
    except OSError:
        return False
    return True


def program_for(family: int, count: int) -> tuple[Instruction, ...]:
    """Return the program that chooses among so many sockets; they count in the order in which they listen."""
    choose = ((MODULO, count), (RETURN, 0))
    if family == socket.AF_INET6:
        # Of a /64 all 64 bits count: a provider's customers may differ in any of them.
        folded = ((LOAD, SOURCE_IPV6), (KEEP, 0), (LOAD, SOURCE_IPV6 + 4), (XOR, 0))
        return (*folded, (KEEP, 0), (RIGHT, 16), (XOR, 0), *choose)
    return ((LOAD, SOURCE_IPV4), (RIGHT, 8), *choose)
