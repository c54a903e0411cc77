"""The timer wheel: never early, late by at most 1/32 of the delay plus a millisecond."""

import gc
import weakref

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast._core.wheel import Wheel


class _Entry:
    """Something to remember; compares by identity."""


def _slack(delay):
    """How late an entry may be, with room for the rounding of floats."""
    return delay / 32 + 0.001 + 1e-9


def test_a_new_wheel_is_empty():
    """Nothing is remembered, and nothing is due."""
    wheel = Wheel()

    assert not wheel
    assert len(wheel) == 0
    assert wheel.next_due() is None
    assert wheel.pop_due(1e9) == []


@pytest.mark.parametrize("now", [0.0, 1.0, 12345.678, 1e9])
@pytest.mark.parametrize("delay", [0.0, 1e-6, 0.0005, 0.064, 0.0641, 1.0, 59.9, 3600.0, 1e6, 1e8])
def test_an_entry_is_due_within_a_thirty_second_part_of_its_delay(now, delay):
    """The moment that ``add`` returns is never before ``now + delay`` and hardly after it."""
    wheel = Wheel()

    when = wheel.add(_Entry(), now, delay)

    assert now + delay <= when <= now + delay + _slack(delay)
    assert wheel.next_due() == when


def test_an_entry_is_given_out_at_its_moment_and_not_before():
    """``pop_due`` is sharp: the moment itself counts as come."""
    wheel = Wheel()
    entry = _Entry()
    when = wheel.add(entry, 100.0, 5.0)

    before = wheel.pop_due(when - 1e-6)
    at = wheel.pop_due(when)
    after = wheel.pop_due(when + 1000)

    assert (before, at, after) == ([], [entry], [])
    assert not wheel


def test_entries_come_in_the_order_of_their_moments():
    """However they were added, the earliest comes first."""
    wheel = Wheel()
    delays = [50.0, 1.0, 20.0, 0.1, 300.0, 5.0]
    entries = {delay: _Entry() for delay in delays}
    for delay, entry in entries.items():
        wheel.add(entry, 0.0, delay)

    found = wheel.pop_due(1000.0)

    assert found == [entries[delay] for delay in sorted(delays)]


def test_a_discarded_entry_never_comes_due():
    """Its neighbours in the same moment still do."""
    wheel = Wheel()
    gone, stays = _Entry(), _Entry()
    when = wheel.add(gone, 0.0, 10.0)
    assert wheel.add(stays, 0.0, 10.0) == when

    wheel.discard(gone, when)

    assert len(wheel) == 1
    assert wheel.pop_due(100.0) == [stays]


def test_a_discarded_entry_is_let_go_at_once():
    """An entry that is taken back long before its moment is not kept in memory until then."""
    wheel = Wheel()
    entry = _Entry()
    trace = weakref.ref(entry)
    when = wheel.add(entry, 0.0, 3600.0)

    wheel.discard(entry, when)
    del entry
    gc.collect()

    assert trace() is None
    assert not wheel
    assert wheel.next_due() is None


def test_discarding_what_has_come_due_does_nothing():
    """A caller that loses the race against the timer harms nobody."""
    wheel = Wheel()
    entry, other = _Entry(), _Entry()
    when = wheel.add(entry, 0.0, 1.0)
    wheel.add(other, 0.0, 50.0)
    wheel.pop_due(10.0)

    wheel.discard(entry, when)
    wheel.discard(entry, when)

    assert len(wheel) == 1


def test_a_moment_can_be_used_again_after_it_was_emptied():
    """Add, discard and add again at one moment gives the entry out once."""
    wheel = Wheel()
    first, second = _Entry(), _Entry()
    when = wheel.add(first, 0.0, 1.0)
    wheel.discard(first, when)
    assert wheel.add(second, 0.0, 1.0) == when

    found = wheel.pop_due(10.0)

    assert found == [second]
    assert wheel.next_due() is None


def test_a_wheel_whose_entries_are_taken_back_does_not_grow():
    """A hundred thousand calls that end before their timeout leave no trail of moments behind."""
    wheel = Wheel()
    keep = _Entry()
    last = wheel.add(keep, 0.0, 1e6)

    for n in range(100_000):
        entry = _Entry()
        wheel.discard(entry, wheel.add(entry, n * 0.01, 30.0))

    assert len(wheel._order) < 200
    assert wheel.next_due() == last
    assert wheel.pop_due(2e6) == [keep]


class WheelMachine(RuleBasedStateMachine):
    """The wheel against a plain list of deadlines."""

    entries = Bundle("entries")

    def __init__(self):
        super().__init__()
        self.wheel = Wheel()
        self.now = 1000.0
        self.due = {}  # entry -> (exact deadline, latest moment)

    @rule(target=entries, delay=st.floats(0.0, 5000.0) | st.floats(0.0, 0.1))
    def add(self, delay):
        entry = _Entry()
        when = self.wheel.add(entry, self.now, delay)
        self.due[entry] = (self.now + delay, self.now + delay + _slack(delay))
        return entry, when

    @rule(added=consumes(entries))
    def discard(self, added):
        entry, when = added
        self.wheel.discard(entry, when)
        self.due.pop(entry, None)

    @rule(seconds=st.floats(0.0, 4000.0) | st.floats(0.0, 0.05))
    def let_time_pass(self, seconds):
        self.now += seconds
        self._take()

    @precondition(lambda self: self.due)
    @rule()
    def jump_to_the_next_moment(self):
        self.now = max(self.now, self.wheel.next_due())

        assert self._take()

    def _take(self):
        found = self.wheel.pop_due(self.now)

        assert len(found) == len(set(found))
        for entry in found:
            exact, _ = self.due.pop(
                entry
            )  # a KeyError is an entry that came twice, or after discard
            assert exact <= self.now
        assert all(latest > self.now for _, latest in self.due.values())
        return found

    @invariant()
    def it_holds_what_the_list_holds(self):
        assert len(self.wheel) == len(self.due)
        assert bool(self.wheel) == bool(self.due)
        next_due = self.wheel.next_due()
        if self.due:
            assert next_due is not None
            assert min(exact for exact, _ in self.due.values()) <= next_due
            assert next_due <= min(latest for _, latest in self.due.values())
        else:
            assert next_due is None


def test_the_wheel_remembers_what_a_list_would():
    """Adding, taking back and letting time pass in any order."""
    run_state_machine_as_test(WheelMachine, settings=settings(max_examples=80))
