"""Histories: what it takes to be known as good, and how that fades."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarpit.store import DAY, ENOUGH, HALF_LIFE, NO_HISTORY, NOTHING, OCCASION, Deed, History, Remembered

HOUR = 3600.0


def history(*deeds: tuple[float, Deed]) -> History:
    """Return the history of who did each at its second."""
    so_far = NO_HISTORY
    for now, deed in deeds:
        so_far = so_far.after(deed, now)
    return so_far


def accepted(*times: float) -> History:
    return history(*((now, Deed.ACCEPTED) for now in times))


DAILY = accepted(*(day * DAY for day in range(30)))


@pytest.mark.parametrize(
    ("so_far", "known"),
    [
        pytest.param(NO_HISTORY, False, id="a stranger"),
        pytest.param(accepted(0), False, id="one message"),
        pytest.param(accepted(*range(1000)), False, id="a thousand messages in one night"),
        pytest.param(accepted(*(hour * HOUR for hour in range(24))), False, id="a day of messages"),
        pytest.param(accepted(*(hour * HOUR for hour in range(25))), True, id="the first of the next day"),
        pytest.param(accepted(0, OCCASION, DAY), True, id="three messages in a day"),
        pytest.param(accepted(0, OCCASION - 1, DAY), False, id="three messages, two of them close"),
        pytest.param(accepted(0, 7 * DAY), False, id="the second issue of a weekly letter"),
        pytest.param(accepted(0, 7 * DAY, 14 * DAY), True, id="the third"),
        pytest.param(accepted(*(month * 30 * DAY for month in range(24))), False, id="monthly"),
    ],
)
def test_known_as_good(so_far: History, known: bool) -> None:
    """Three occasions, at least twelve hours apart and not too long ago, whatever is sent on each."""
    assert so_far.known_good is known


def test_trust_fades() -> None:
    """A month of daily mail lasts for two more months, then its sender is a stranger; three days, a week."""
    last = 29 * DAY
    assert DAILY.faded(last + 60 * DAY).known_good
    assert not DAILY.faded(last + 100 * DAY).known_good
    assert accepted(0, DAY, 2 * DAY).faded(8 * DAY).known_good
    assert not accepted(0, DAY, 2 * DAY).faded(12 * DAY).known_good
    assert DAILY.faded(last + HALF_LIFE).good == pytest.approx(DAILY.good / 2)


def test_one_refusal_among_many() -> None:
    """Now and then a message is refused, from the best of senders."""
    often = accepted(*(hour * HOUR for hour in range(100)))
    assert often.after(Deed.REFUSED, 100 * HOUR).known_good
    for number in range(20):
        often = often.after(Deed.REFUSED, (100 + number) * HOUR)
    assert not often.known_good


@pytest.mark.parametrize("deed", [Deed.PREGREET, Deed.OUT_OF_TURN, Deed.HARVEST, Deed.TRAP])
def test_what_no_honest_client_does(deed: Deed) -> None:
    """Once is enough to lose what a month of mail has earned; each deed is one of its own."""
    assert not DAILY.after(deed, 30 * DAY).known_good
    assert deed.weight == 10.0
    assert len(Deed) == 6


def test_who_is_bad_stays_unknown() -> None:
    """Three accepted messages do not outweigh a trap."""
    assert not history(
        (0, Deed.TRAP), (1, Deed.ACCEPTED), (DAY, Deed.ACCEPTED), (2 * DAY, Deed.ACCEPTED)
    ).known_good


BAD = history((0, Deed.REFUSED))


@pytest.mark.parametrize(
    ("peer", "domain", "known", "messages"),
    [
        pytest.param(NO_HISTORY, NO_HISTORY, False, 0, id="strangers"),
        pytest.param(DAILY, NO_HISTORY, True, 22, id="a good peer"),
        pytest.param(DAILY, BAD, True, 22, id="a good peer that relays for a bad domain"),
        pytest.param(NO_HISTORY, DAILY, True, 22, id="a new address of a good domain"),
        pytest.param(accepted(0), DAILY, True, 22, id="an address that is good so far"),
        pytest.param(BAD, DAILY, False, 0, id="a bad address of a good domain"),
        pytest.param(accepted(0), accepted(0), False, 0, id="one message each"),
    ],
)
def test_peer_and_domain(peer: History, domain: History, known: bool, messages: int) -> None:
    """A domain speaks for an address that nothing speaks against."""
    remembered = Remembered.of(peer=peer, domain=domain)
    assert (remembered.known_good, remembered.good_before) == (known, messages)


def test_good_before_is_never_nothing() -> None:
    """Who is known as good has had a message, however faded."""
    faint = History(good=0.2, occasions=ENOUGH)
    assert Remembered.of(peer=faint).good_before == 1


@given(st.lists(st.tuples(st.floats(0, 1e7), st.sampled_from(Deed)), max_size=30))
def test_laws_of_histories(deeds: list[tuple[float, Deed]]) -> None:
    """No count is negative, no occasion without a message, and no trust before a day has passed."""
    deeds = sorted(deeds, key=lambda pair: pair[0])
    so_far = history(*deeds)
    assert min(so_far.good, so_far.bad, so_far.occasions) >= 0
    assert so_far.occasions <= so_far.good + 1e-9
    if so_far.known_good:
        good = [now for now, deed in deeds if deed is Deed.ACCEPTED]
        assert good[-1] - good[0] >= 2 * OCCASION


def test_a_refused_message_is_no_offence() -> None:
    """What happens to the best is not held against a peer as an offence; what no honest client does is."""
    refused = NO_HISTORY.after(Deed.REFUSED, 0)
    assert Remembered.of(peer=refused).bad_before == 0
    assert Remembered.of(peer=refused.after(Deed.TRAP, 0)).bad_before == 1


def test_what_all_share_cannot_be_written_to() -> None:
    """All strangers have one memory: nobody's session can leave anything in it."""
    for field in Remembered._fields:
        with pytest.raises(AttributeError):
            setattr(NOTHING, field, 3)
    assert Remembered.of() == NOTHING
