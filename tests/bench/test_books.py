"""The books of the sweep: each promise that is broken is found."""

from bench.books import Attempt, Books


def books(*ledger: str, acknowledged: bool = False, codes: tuple[int, ...] = (), told: bool = False) -> Books:
    """Return the books of one attempt."""
    one = Attempt("m1-0", acknowledged=acknowledged, codes=list(codes), hash="abc")
    events: list[dict[str, object]] = [{"event": "session.closed", "id": "s", "helo": "m1-0.test"}]
    if told:
        events.append({"event": "message.ambiguous", "id": "s"})
    return Books({"m1-0": one}, ledger=[line.split() for line in ledger], events=events)


def broken(one: Books) -> list[str]:
    """Return the promises that are broken."""
    return [promise for promise, count in one.wrong() if count]


def test_sound_books() -> None:
    """A message that was stored and acknowledged, one that was refused, and a doubt that was told."""
    assert not broken(books("dot m1-0", "stored m1-0 abc", acknowledged=True, codes=(250,)))
    assert not broken(books("dot m1-0", "refused m1-0", codes=(451,)))
    assert not broken(books("dot m1-0", told=True))


def test_broken_books() -> None:
    """Lost, made twice, altered, a doubt that nobody told of, a refusal that nobody made."""
    assert broken(books(acknowledged=True)) == ["acknowledged minus stored"]
    twice = ("dot m1-0", "stored m1-0 abc", "stored m1-0 abc")
    assert broken(books(*twice, acknowledged=True)) == ["stored more than once an attempt"]
    assert broken(books("stored m1-0 xyz", acknowledged=True)) == ["stored with another content"]
    assert broken(books("dot m1-0", "stored m1-0 abc", codes=(451,))) == ["ambiguous without an event"]
    assert broken(books(codes=(550,))) == ["5xx invented"]
