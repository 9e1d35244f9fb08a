"""A message is kept as it was given, within its budgets, and leaves nothing behind."""

import os
import resource
from pathlib import Path

import pytest
import trio

from tarpit import spool
from tarpit.spool import IN_MEMORY, PIECE, Overflow, Room, Shelf, Spool

BLOCK = bytes(range(256)) * 256


def shelf(directory: Path, *, total: int = 10_000_000, message: int = 5_000_000) -> Shelf:
    return Shelf(Room(total), message, directory)


def names_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def whole(kept: Spool) -> tuple[bytes, int]:
    """Return what is kept, and the largest piece it came in."""
    data, largest = b"", 0
    while piece := await kept.read(len(data)):
        data, largest = data + piece, max(largest, len(piece))
    return data, largest


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 1_000_003])
async def test_what_is_written_is_read(size: int, tmp_path: Path) -> None:
    """In memory or in a file, twice over, in pieces of a bounded size; the directory never shows a name."""
    content = (BLOCK * (size // len(BLOCK) + 1))[:size]
    here = shelf(tmp_path)
    async with Spool(here) as kept:
        for at in range(0, size, 50_000):
            assert await kept.write(content[at : at + 50_000]) is None
        for _ in range(2):
            data, largest = await whole(kept)
            assert data == content
            assert largest <= PIECE
        assert here.room.taken == kept.size == size
        assert not names_in(tmp_path)
    assert here.room.taken == 0


async def test_a_message_has_its_bound(tmp_path: Path) -> None:
    """Up to the byte; beyond it nothing is kept, nor taken any more, and its room is free again."""
    here = shelf(tmp_path, message=200_000)
    async with Spool(here) as kept:
        assert await kept.write(bytes(200_000)) is None
        assert await kept.write(b"x") is Overflow.MESSAGE
        assert here.room.taken == 0
        assert await kept.write(b"x") is Overflow.MESSAGE
        assert await kept.read(0) == b""


async def test_all_messages_have_a_bound(tmp_path: Path) -> None:
    """The second one that does not fit is told; when the first has gone, another fits."""
    here = shelf(tmp_path, total=300_000)
    async with Spool(here) as first, Spool(here) as second:
        assert await first.write(bytes(200_000)) is None
        assert await second.write(bytes(100_000)) is None
        assert await second.write(b"x") is Overflow.ROOM
        assert here.room.free == 100_000
    assert here.room.free == 300_000
    async with Spool(here) as third:
        assert await third.write(bytes(300_000)) is None


def test_a_declared_size_is_judged_early(tmp_path: Path) -> None:
    """Nothing is kept free for it: who declares much and sends nothing takes nothing."""
    here = shelf(tmp_path, total=100, message=80)
    assert here.refusal(81) is Overflow.MESSAGE
    assert here.refusal(80) is None
    here.room.take(50)
    assert here.refusal(51) is Overflow.ROOM
    assert here.refusal(0) is None


async def test_no_directory(tmp_path: Path) -> None:
    """A file that cannot be made is a disk that is full."""
    here = shelf(tmp_path / "gone")
    async with Spool(here) as kept:
        assert await kept.write(bytes(IN_MEMORY + 1)) is Overflow.DISK
    assert here.room.taken == 0


async def test_a_full_disk(tmp_path: Path) -> None:
    """SYS-11: a write that the kernel does not take whole ends in DISK, not in an exception."""
    here = shelf(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (IN_MEMORY * 2, hard))  # EFBIG; python ignores SIGXFSZ
    try:
        async with Spool(here) as kept:
            assert await kept.write(bytes(IN_MEMORY + 1)) is None
            assert await kept.write(bytes(IN_MEMORY + 1)) is Overflow.DISK
            assert kept.size == here.room.taken == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_file_cut_short_is_noticed(tmp_path: Path) -> None:
    """What is read is what was written, or an error: never less."""
    async with Spool(shelf(tmp_path)) as kept:
        await kept.write(bytes(IN_MEMORY + 1))
        assert kept._file is not None
        os.ftruncate(kept._file.fileno(), 0)
        with pytest.raises(OSError, match="shorter"):
            await kept.read(0)


async def test_closing_twice_gives_back_once(tmp_path: Path) -> None:
    """Room is counted exactly."""
    here = shelf(tmp_path)
    kept = Spool(here)
    await kept.write(bytes(IN_MEMORY + 1))
    await kept.close()
    await kept.close()
    assert here.room.taken == 0


async def test_cancelled_in_the_middle(tmp_path: Path) -> None:
    """A session that is cancelled while it waits for the disk leaves neither room nor file open."""
    here = shelf(tmp_path)
    await here.threads.acquire_on_behalf_of("busy 1")
    for number in range(2, spool.THREADS + 1):
        await here.threads.acquire_on_behalf_of(f"busy {number}")
    before = len(names_in(Path("/proc/self/fd")))
    with trio.move_on_after(0.05) as scope:
        async with Spool(here) as kept:
            await kept.write(bytes(IN_MEMORY + 1))
    assert scope.cancelled_caught
    assert here.room.taken == 0
    assert len(names_in(Path("/proc/self/fd"))) == before


async def test_few_threads_at_once(tmp_path: Path) -> None:
    """However many messages there are, the disk is asked by a handful of threads, and memory stays flat."""
    here = shelf(tmp_path, total=100_000_000)
    most = 0
    kept = [Spool(here) for _ in range(40)]

    async def fill(one: Spool) -> None:
        nonlocal most
        for _ in range(8):
            await one.write(BLOCK)
            most = max(most, here.threads.borrowed_tokens)
            assert len(one._tail) <= IN_MEMORY

    async with trio.open_nursery() as nursery:
        for one in kept:
            nursery.start_soon(fill, one)
    assert 0 < most <= spool.THREADS
    assert here.room.taken == 40 * 8 * len(BLOCK)
    for one in kept:
        await one.close()
    assert here.room.taken == 0
