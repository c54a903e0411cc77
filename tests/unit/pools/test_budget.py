"""The budget of the process: detected, settable, behind every pool."""

import threading

import pytest

import holdfast
from holdfast.pools import Budget, ThreadPool
from holdfast.pools._supply import SUPPLY


@pytest.fixture
def threads():
    """Set the budget's threads, and set it back."""
    before = holdfast.current_budget()

    def set_threads(count):
        holdfast.set_budget(
            Budget(threads=count, processes=1, descriptors=100, memory_bytes=1 << 20)
        )

    yield set_threads
    holdfast.set_budget(before)
    assert SUPPLY.threads == 0


def _wait_for(what):
    """Let other threads run until it is so."""
    for _ in range(20_000):
        if what():
            return True
        threading.Event().wait(0.001)
    return False


def test_a_budget_is_within_what_the_machine_leaves():
    """Each figure is at least one, and no more than the tightest bound."""
    from holdfast.sense import bounds

    budget, found = Budget.detect(), bounds()

    assert 1 <= budget.threads <= 1024
    for mine, reading in (
        (budget.threads, found.threads),
        (budget.processes, found.processes),
        (budget.descriptors, found.descriptors),
        (budget.memory_bytes, found.memory),
    ):
        assert mine >= 1
        assert reading.bound is None or mine <= reading.bound


@pytest.mark.parametrize("figure", ["threads", "processes", "descriptors", "memory_bytes"])
def test_a_budget_of_nothing_is_refused(figure):
    """0 never means unlimited."""
    figures = {"threads": 1, "processes": 1, "descriptors": 1, "memory_bytes": 1, figure: 0}

    with pytest.raises(ValueError, match=f"{figure} must be a whole number of at least 1"):
        Budget(**figures)


def test_the_budget_that_was_set_is_the_current_one(threads):
    """And set_budget returns the one before it."""
    threads(7)
    seven = holdfast.current_budget()
    before = holdfast.set_budget(Budget(threads=8, processes=1, descriptors=1, memory_bytes=1))

    assert seven.threads == 7
    assert before == seven
    assert SUPPLY.limit == 8


def test_a_raised_budget_is_used_at_once(threads):
    """Calls that waited for a thread get one."""
    threads(1)
    meet = threading.Barrier(2)
    with ThreadPool(1) as one, ThreadPool(1) as other:
        futures = [one.submit(meet.wait, 20), other.submit(meet.wait, 20)]
        threads(2)

        assert sorted(future.result(20) for future in futures) == [0, 1]


def test_threads_beyond_a_lowered_budget_end_with_their_calls(threads):
    """Nobody is stopped, idle ones go at once, and the pool goes on with what is left."""
    threads(4)
    meet, gate = threading.Barrier(5), threading.Event()

    def call():
        meet.wait(20)
        assert gate.wait(20)

    with ThreadPool(4) as pool:
        futures = [pool.submit(call) for _ in range(4)]
        meet.wait(20)
        threads(1)
        busy = pool.stats().threads
        more = [pool.submit(int) for _ in range(20)]
        gate.set()
        for future in [*futures, *more]:
            future.result(20)

        assert busy == 4
        assert _wait_for(lambda: pool.stats().threads <= 1)
        assert pool.submit(str, 5).result(20) == "5"
