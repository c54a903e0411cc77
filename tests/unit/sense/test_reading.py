"""``holdfast.sense.reading``: what is left, and which bound is the tightest."""

import dataclasses

import pytest

from holdfast.sense import Reading, narrowest, tightest

OWN = Reading("threads", 10, "threads")


def shared(value, bound, source="pids.max", scope="cgroup /a"):
    """A limit that the process shares."""
    return Reading("threads", value, "threads", bound, source, scope)


@pytest.mark.parametrize(
    ("value", "bound", "left", "used"),
    [(30, 100, 70, 0.3), (100, 100, 0, 1.0), (120, 100, 0, 1.2), (0, 0, 0, 1.0)],
)
def test_what_is_left_is_never_below_zero(value, bound, left, used):
    """Above the bound nothing is left, and more than all of it is used."""
    reading = shared(value, bound)

    assert (reading.left, reading.used) == (left, used)


@pytest.mark.parametrize(("value", "bound"), [(None, 100), (30, None), (None, None)])
def test_without_a_value_or_a_bound_nobody_knows_what_is_left(value, bound):
    """None is no number to calculate with."""
    reading = shared(value, bound)

    assert reading.left is None
    assert reading.used is None


def test_the_tightest_is_the_one_with_least_left():
    """Not the one with the lowest bound: others may have used up a higher one."""
    low, full = shared(0, 50), shared(990, 1000)

    assert tightest([low, full, shared(5, None)]) is full


def test_of_two_that_are_exhausted_the_lower_bound_is_the_tightest():
    """Both leave nothing."""
    lower = shared(60, 50)

    assert tightest([shared(60, 55), lower]) is lower


def test_without_any_bound_there_is_no_tightest():
    """None, and not a guess."""
    assert tightest([OWN, shared(3, None)]) is None


def test_what_others_hold_of_a_shared_limit_is_taken_off():
    """Of a hundred, 60 are held by all: 10 of one's own and 40 more make 50."""
    bound = narrowest(OWN, [shared(60, 100)])

    assert (bound.value, bound.bound, bound.left) == (10, 50, 40)
    assert bound.source == "pids.max: 60 of 100 held by cgroup /a"


def test_a_limit_of_the_process_alone_stays_as_it_is():
    """Nobody else holds any of it."""
    bound = narrowest(OWN, [shared(10, 32, "RLIMIT", "process"), shared(10, 500)])

    assert (bound.bound, bound.left, bound.source) == (32, 22, "RLIMIT")


def test_a_shared_limit_whose_use_is_unknown_counts_what_the_process_holds():
    """One's own ten are among them for sure."""
    bound = narrowest(OWN, [shared(None, 100)])

    assert (bound.bound, bound.left) == (100, 90)
    assert bound.source == "pids.max: 100 for cgroup /a"


def test_a_shared_limit_never_counts_less_than_the_process_holds():
    """Two figures that were read a moment apart may contradict each other."""
    bound = narrowest(OWN, [shared(4, 100)])

    assert bound.bound == 100


def test_without_a_limit_the_own_reading_is_returned():
    """It says that there is no bound."""
    assert narrowest(OWN, [shared(3, None)]) is OWN


def test_a_reading_cannot_be_changed():
    """It is a record of one moment."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        OWN.value = 11
