"""The one place that reads the clock: the system's by default, another one while it is in use."""

import threading
import time

import pytest

from holdfast._core import clock


class _StoppedClock:
    """A clock that shows one moment and notes how long it was asked to sleep."""

    def __init__(self, moment=7.0):
        self.moment = moment
        self.slept = []

    def now(self):
        return self.moment

    def sleep(self, seconds):
        self.slept.append(seconds)

    def acquire(self, latch, timeout):
        raise AssertionError(latch, timeout)


def test_the_clock_is_the_systems_monotonic_one_unless_told_otherwise():
    """``now`` lies between two readings of ``time.monotonic``."""
    before = time.monotonic()
    now = clock.now()
    after = time.monotonic()

    assert before <= now <= after
    assert isinstance(clock.current(), clock.SystemClock)


def test_wall_is_seconds_since_1970():
    """``wall`` lies between two readings of ``time.time``."""
    before = time.time()
    wall = clock.wall()
    after = time.time()

    assert before <= wall <= after


def test_a_clock_in_use_answers_now_and_sleep():
    """Inside the block everything goes to the clock in use."""
    stopped = _StoppedClock(7.0)

    with clock.use(stopped) as given:
        now = clock.now()
        clock.sleep(3600)
        current = clock.current()

    assert given is stopped
    assert current is stopped
    assert now == 7.0
    assert stopped.slept == [3600]


def test_uses_nest_and_each_end_brings_the_clock_before_back():
    """The inner block ends with the outer clock in use, the outer one with the system's."""
    outer, inner = _StoppedClock(1.0), _StoppedClock(2.0)

    with clock.use(outer):
        with clock.use(inner):
            deepest = clock.now()
        between = clock.now()

    assert (deepest, between) == (2.0, 1.0)
    assert isinstance(clock.current(), clock.SystemClock)


def test_an_error_in_the_block_brings_the_clock_before_back():
    """A failing test does not leave its clock behind for the next one."""
    with pytest.raises(KeyError), clock.use(_StoppedClock()):
        raise KeyError

    assert isinstance(clock.current(), clock.SystemClock)


def test_a_clock_in_use_is_seen_by_other_threads():
    """The clock is the process's, not the thread's."""
    seen = []

    with clock.use(_StoppedClock(5.0)):
        thread = threading.Thread(daemon=True, target=lambda: seen.append(clock.now()))
        thread.start()
        thread.join()

    assert seen == [5.0]


def test_the_system_clock_takes_a_free_latch_at_once():
    """A latch that is open needs no time, whatever the timeout."""
    for timeout in (None, 0.0, 5.0):
        assert clock.SystemClock.acquire(threading.Lock(), timeout)


def test_the_system_clock_gives_up_on_a_closed_latch():
    """A timeout that passes is False, and the latch stays closed."""
    latch = threading.Lock()
    latch.acquire()

    assert not clock.SystemClock.acquire(latch, 0.0)
    assert not clock.SystemClock.acquire(latch, 0.001)
    assert latch.locked()


@pytest.mark.parametrize("timeout", [1e7, 1e12, float("inf")])
def test_the_system_clock_cuts_a_timeout_that_the_platform_cannot_express(timeout):
    """A wait of a century is not an OverflowError."""
    assert clock.SystemClock.acquire(threading.Lock(), timeout)
