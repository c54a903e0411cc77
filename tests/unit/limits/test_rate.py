"""How often work may start: the bound holds in every window, and no start is lost."""

import itertools
import math

import pytest
from hypothesis import example, given, strategies as st

from holdfast.limits import Rate, RateGate

# One part in 10^9 of a period, or of a moment: what adding floats may cost, and no clock can show.
TINY = 1e-9


def _starts_at(gate, moments):
    return [now for now in moments if gate.take(now) == 0.0]


def _most_in_a_window(starts, length):
    """Most starts in any half-open window of ``length`` seconds, shorter by what floats may cost."""
    most = first = 0
    for last, moment in enumerate(starts):
        while moment - starts[first] >= length - TINY * max(1.0, moment):
            first += 1
        most = max(most, last - first + 1)
    return most


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "3", None])
def test_a_count_that_is_not_a_whole_number_from_one_is_refused(count):
    """The message shows what was given."""
    with pytest.raises((ValueError, TypeError), match="count must be"):
        Rate(count)


@pytest.mark.parametrize("per", [0, -1.0, math.nan, math.inf])
def test_a_period_that_is_not_more_than_zero_seconds_is_refused(per):
    """The message shows what was given."""
    with pytest.raises(ValueError, match="per must be more than 0 seconds"):
        Rate(1, per=per)


@pytest.mark.parametrize("per", ["1", None, [1]])
def test_a_period_that_is_not_a_number_is_refused(per):
    """A bad argument is a TypeError or a ValueError, when the rate is made and not when it is used."""
    with pytest.raises((TypeError, ValueError)):
        Rate(1, per=per)


@pytest.mark.parametrize("burst", [0, -3])
def test_a_burst_below_one_is_refused(burst):
    """A rate that may never start anything is a mistake."""
    with pytest.raises(ValueError, match="burst must be"):
        Rate(1, burst=burst)


@pytest.mark.parametrize("burst", [1.5, "2", True])
def test_a_burst_that_is_not_a_whole_number_is_refused(burst):
    """Half a start does not exist."""
    with pytest.raises((TypeError, ValueError), match="burst must be"):
        Rate(10, burst=burst)


def test_a_rate_is_a_value():
    """Two of the same figures are equal, and can't be changed."""
    rate = Rate(60, per=60)

    assert rate == Rate(60, per=60.0)
    with pytest.raises(AttributeError):
        rate.count = 5


# ---------------------------------------------------------------- by example


@pytest.mark.parametrize(("count", "per", "interval"), [(60, 60, 1.0), (10, 1, 0.1), (1, 30, 30.0)])
def test_the_interval_is_the_period_by_the_count(count, per, interval):
    """Starts are evenly spread."""
    assert Rate(count, per=per).interval == pytest.approx(interval)


@pytest.mark.parametrize(
    ("rate", "at_once"),
    [
        (Rate(60, per=60), 1),
        (Rate(5, per=60), 1),
        (Rate(10), 10),
        (Rate(600, per=60), 10),
        (Rate(10, burst=3), 3),
        (Rate(10, burst=1), 1),
        (Rate(1, per=60, burst=5), 5),
    ],
)
def test_a_fresh_gate_lets_a_burst_start_at_once(rate, at_once):
    """By default one second's worth, and at least one."""
    gate = rate.gate()

    started = sum(gate.take(100.0) == 0.0 for _ in range(at_once + 20))

    assert started == at_once


def test_a_refused_take_tells_the_seconds_until_the_next_start():
    """As many as one waits, and then a start is allowed."""
    gate = Rate(4, burst=1).gate()
    gate.take(10.0)

    assert gate.wait(10.1) == pytest.approx(0.15)
    assert gate.take(10.1) == pytest.approx(0.15)
    assert gate.wait(10.25) == 0.0
    assert gate.take(10.25) == 0.0


def test_asking_takes_nothing():
    """``wait`` can be called any number of times."""
    gate = Rate(1).gate()

    for _ in range(10):
        assert gate.wait(5.0) == 0.0
    assert gate.take(5.0) == 0.0


def test_a_refused_take_takes_nothing():
    """A caller that hammers a closed gate does not push its own start away."""
    patient, hammered = Rate(1).gate(), Rate(1).gate()
    patient.take(0.0)
    hammered.take(0.0)

    for n in range(1, 100):
        assert hammered.take(n / 100) > 0.0

    assert patient.take(1.0) == hammered.take(1.0) == 0.0


def test_a_long_pause_is_not_saved_up():
    """After an hour no more than the burst may start at once."""
    gate = Rate(10, burst=4).gate()
    gate.take(0.0)

    assert len(_starts_at(gate, [3600.0] * 50)) == 4


def test_two_gates_of_one_rate_count_apart():
    """A rate is a figure; what it counts belongs to the gate."""
    rate = Rate(1)
    first, second = rate.gate(), rate.gate()

    assert isinstance(first, RateGate)
    assert first.take(0.0) == second.take(0.0) == 0.0
    assert first.take(0.0) > 0.0


def test_a_busy_caller_gets_the_whole_rate():
    """Who comes back when it was told to starts ``count`` times each period."""
    rate = Rate(50, per=10.0, burst=1)
    gate, now, starts = rate.gate(), 0.0, []

    while now < 100.0:
        wait = gate.take(now)
        if wait == 0.0:
            starts.append(now)
        now += wait + 1e-9

    assert len(starts) == pytest.approx(500, abs=1)


# ---------------------------------------------------------------- for any moments

rates = st.builds(
    Rate,
    count=st.integers(1, 50),
    per=st.floats(0.01, 1000.0),
    burst=st.none() | st.integers(1, 60),
)
# Gaps between takes in parts of the rate's interval, with the interesting ones often.
gaps = st.lists(st.floats(0.0, 3.0) | st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-12]), max_size=150)


def _moments(rate, gaps, start):
    return [start + rate.interval * way for way in itertools.accumulate(gaps, initial=0.0)]


def _burst(rate):
    return rate.burst if rate.burst is not None else max(1, int(rate.count / rate.per))


@given(rate=rates, gaps=gaps, start=st.floats(0.0, 1e6))
@example(rate=Rate(3, burst=1), gaps=[0.0, 1.0] * 10, start=0.0)
def test_no_window_of_one_period_has_more_starts_than_it_may(rate, gaps, start):
    """In any half-open window of ``per`` seconds at most ``count + burst - 1`` calls start."""
    gate = rate.gate()

    starts = _starts_at(gate, _moments(rate, gaps, start))

    assert _most_in_a_window(starts, rate.per) <= rate.count + _burst(rate) - 1


@given(rate=rates, start=st.floats(0.0, 1e6), takes=st.integers(1, 200))
def test_a_greedy_caller_never_exceeds_the_bound(rate, start, takes):
    """One that comes back in the very moment that it was told stays within the bound, too."""
    gate, now, starts = rate.gate(), start, []

    for _ in range(takes):
        wait = gate.take(now)
        if wait == 0.0:
            starts.append(now)
        else:
            now += wait

    assert _most_in_a_window(starts, rate.per) <= rate.count + _burst(rate) - 1


@given(rate=rates, gaps=gaps, start=st.floats(0.0, 1e6), tries=st.integers(0, 5))
def test_refused_takes_change_nothing(rate, gaps, start, tries):
    """A gate that is asked more often than it allows lets the same moments start."""
    asked_once, asked_often = rate.gate(), rate.gate()

    for now in _moments(rate, gaps, start):
        for _ in range(tries):
            if asked_often.wait(now) > 0.0:
                asked_often.take(now)

        assert asked_once.take(now) == asked_often.take(now)


@given(rate=rates, gaps=gaps, start=st.floats(0.0, 1e6))
def test_a_start_is_allowed_after_the_wait_that_was_told(rate, gaps, start):
    """Nobody is told to come back too early, or is kept for longer than one interval."""
    gate = rate.gate()

    for now in _moments(rate, gaps, start):
        wait = gate.take(now)

        assert 0.0 <= wait <= rate.interval * (1 + TINY) + TINY * max(1.0, now)
        assert gate.wait(now + wait + TINY * max(1.0, now)) <= rate.interval * (wait == 0.0) + TINY
