"""A few numbers in memory that a worker shares."""

from tarpit.processes.sheet import Sheet


def test_what_is_written_is_read() -> None:
    """Each number has its place until it is cleared."""
    sheet = Sheet(["a:25", "b:25", "a:25"])
    sheet.count(7)
    sheet.claim("b:25", 3)
    assert (sheet.sessions, sheet.claimed("a:25"), sheet.claimed("b:25")) == (7, 0, 3)
    assert sheet.claims
    sheet.beat()
    sheet.beat()
    assert (sheet.beats, sheet.sessions) == (2, 7)
    sheet.clear()
    assert (sheet.sessions, sheet.claims) == (0, False)


def test_a_backend_that_is_not_there() -> None:
    """Of one that is not on the sheet nothing is claimed."""
    sheet = Sheet([])
    sheet.claim("a:25", 3)
    assert sheet.claimed("a:25") == 0
    assert not sheet.claims
