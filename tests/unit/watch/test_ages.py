"""Ages: who lives since when, at which place, and how many were closed at which age."""

import pytest

from holdfast.watch._ages import AGES, MOST_PLACES, Ages, Living

TEN_MINUTES = AGES.index(600.0)


def test_what_is_there_at_the_first_look_is_older_than_can_be_known():
    """It lives, but its birth is not among the births: everything would seem to be born at once."""
    ages = Ages()

    ages.see(0.0, [Living(n, "here") for n in range(50)])
    ages.see(60.0, [Living(n, "here") for n in range(51)])

    assert len(ages) == 51
    assert ages.places["here"].births == [60.0]


def test_a_birth_that_is_told_counts_from_then_on():
    """Who learns of every opening says when it was, also of what was there at the first look."""
    ages = Ages()

    ages.see(100.0, [Living(1, "here", born=40.0), Living(2, "here", born=500.0)])

    assert ages.places["here"].births == [40.0, 100.0]  # never in the future


def test_what_is_no_longer_seen_was_closed_at_the_age_that_it_had():
    """It is counted once for each age that it had reached."""
    ages = Ages()
    ages.see(0.0, [])
    ages.see(10.0, [Living(1, "here"), Living(2, "here")])

    ages.see(10.0 + 700.0, [Living(2, "here")])

    here = ages.places["here"]
    assert [here.closed(nth, 710.0) for nth in range(len(AGES))] == [1.0, 1.0, 1.0, 0, 0, 0, 0, 0]
    assert here.births == [10.0]


def test_closings_fade():
    """Half of what was closed is forgotten in twelve hours."""
    ages = Ages()
    ages.see(0.0, [])
    ages.see(1.0, [Living(1, "here")])
    ages.see(601.0, [])

    assert ages.places["here"].closed(TEN_MINUTES, 601.0 + 12 * 3600) == pytest.approx(0.5)


def test_a_number_that_is_used_again_is_another_thing():
    """The identity holds more than the descriptor's number."""
    ages = Ages()
    ages.see(0.0, [])
    ages.see(10.0, [Living((7, "socket:[1]"), "here")])
    ages.see(700.0, [Living((7, "socket:[2]"), "here")])

    assert ages.places["here"].births == [700.0]
    assert ages.places["here"].closed(TEN_MINUTES, 700.0) == 1.0


def test_half_closed_counts_from_when_the_peer_closed():
    """A socket that leaves CLOSE_WAIT, or is closed, is half-closed no more."""
    ages = Ages()
    ages.see(0.0, [])
    ages.see(10.0, [Living(1, "here", "ESTABLISHED"), Living(2, "here", "CLOSE_WAIT")])
    ages.see(20.0, [Living(1, "here", "CLOSE_WAIT"), Living(2, "here", "CLOSE_WAIT")])
    assert ages.places["here"].half_closed == [10.0, 20.0]

    ages.see(30.0, [Living(2, "here", "LAST_ACK")])

    assert ages.places["here"].half_closed == []


def test_places_are_bounded():
    """A program whose places are all different does not grow the memory without end."""
    ages = Ages()
    ages.see(0.0, [])

    ages.see(1.0, [Living(n, f"place {n}") for n in range(2 * MOST_PLACES)])
    ages.see(2.0, [])
    ages.see(3.0, [Living("new", "a new place")])

    assert len(ages.places) <= MOST_PLACES + 1
    assert "a new place" in ages.places


def test_each_opening_and_closing_told_is_the_same_as_looking():
    """Events and looks lead to the same ages."""
    seen, told = Ages(), Ages()
    seen.see(0.0, [])
    told.change(0.0, [], [])

    seen.see(1.0, [Living(1, "a"), Living(2, "b", "LISTEN")])
    told.change(1.0, [Living(1, "a"), Living(2, "b", "LISTEN")], [])
    seen.see(900.0, [Living(2, "b", "CLOSE_WAIT")])
    told.change(900.0, [Living(2, "b", "CLOSE_WAIT")], [1, "never there"])

    for name in "ab":
        one, other = seen.places[name], told.places[name]
        assert (one.births, one.half_closed) == (other.births, other.half_closed)
        assert one.closed(0, 900.0) == other.closed(0, 900.0)
