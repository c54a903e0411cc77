"""What threads wait on: at most eight pipes for the process, locks for everybody else."""

import errno
import os
import select
import threading
import time

import pytest

from holdfast._core import clock, latch
from holdfast._core.future import CallFuture

needs_poll = pytest.mark.skipif(
    not hasattr(select, "poll"), reason="pipes can't be waited for here"
)


def _borrow_all():
    return list(iter(latch.borrow_latch, None))


def _give_back_all(latches):
    for borrowed in latches:
        latch.give_back_latch(borrowed)


# ---------------------------------------------------------------- one latch


# Made inside each test, because a fixture's value would outlive the check for open descriptors.
each_kind = pytest.mark.parametrize(
    "make", [pytest.param(latch.PipeLatch, marks=needs_poll), latch.closed_lock]
)


@each_kind
def test_a_latch_is_closed_at_first(make):
    """Nobody gets through before somebody lets them."""
    closed = make()

    assert not closed.acquire(blocking=False)
    assert not closed.acquire(timeout=0)
    assert not closed.acquire(timeout=0.001)


@each_kind
def test_a_release_lets_one_wait_through_and_no_more(make):
    """A release before the wait is not lost; the latch is closed again behind it."""
    closed = make()

    closed.release()

    assert closed.acquire(timeout=5)
    assert not closed.acquire(timeout=0)


@each_kind
def test_a_latch_can_be_used_again_and_again(make):
    """Each release pairs with one wait, with a timeout or without one."""
    closed = make()

    for timeout in (5, -1, 0, 5):
        closed.release()
        assert closed.acquire(timeout=timeout)
    assert not closed.acquire(blocking=False)


@each_kind
def test_a_wait_that_gave_up_leaves_the_latch_usable(make):
    """A release that comes after the timeout opens it for the next wait."""
    closed = make()

    assert not closed.acquire(timeout=0.001)

    closed.release()

    assert closed.acquire()


@each_kind
def test_a_release_wakes_a_thread_that_waits(make):
    """The thread comes through, without a timeout to help it."""
    closed = make()
    through = threading.Event()
    waiting = threading.Event()

    def wait():
        waiting.set()
        closed.acquire()
        through.set()

    thread = threading.Thread(daemon=True, target=wait)
    thread.start()
    waiting.wait()
    closed.release()
    thread.join()

    assert through.is_set()


@each_kind
@pytest.mark.parametrize("timeout", [3_000_000.0, 1e9])
def test_a_latch_can_be_waited_for_as_long_as_the_clock_asks(make, timeout):
    """A timeout of months is a long wait, not an OverflowError."""
    closed = make()
    closed.release()

    assert clock.SystemClock.acquire(closed, timeout)


# ---------------------------------------------------------------- the stock


@needs_poll
def test_the_stock_has_eight_latches_and_then_none():
    """The ninth borrower gets None, and uses a lock."""
    latches = _borrow_all()

    assert len(set(latches)) == len(latches) == 8
    assert latch.borrow_latch() is None
    _give_back_all(latches)


@needs_poll
def test_a_latch_given_back_serves_the_next_borrower():
    """No new descriptor is made while there is one in stock."""
    first = latch.borrow_latch()
    latch.give_back_latch(first)

    second = latch.borrow_latch()
    latch.give_back_latch(second)

    assert second is first


@needs_poll
def test_a_latch_whose_wait_was_broken_off_is_not_lent_again():
    """Its release may be yet to come, and would let the next borrower through for nothing."""
    latches = _borrow_all()
    broken = latches.pop()
    latch.give_back_latch(broken, broken_off=True)

    replacement = latch.borrow_latch()
    broken.release()

    assert replacement is not None
    assert replacement is not broken
    assert not replacement.acquire(timeout=0)
    assert latch.borrow_latch() is None
    _give_back_all([*latches, replacement])


@needs_poll
def test_a_broken_off_latch_frees_its_descriptor_when_it_is_dropped(count_pipes):
    """Replacing latches does not collect descriptors."""
    before = count_pipes()
    for _ in range(50):
        latch.give_back_latch(latch.borrow_latch(), broken_off=True)

    assert count_pipes() == before


@needs_poll
def test_closing_the_stock_closes_its_descriptors(count_pipes):
    """What tests of descriptors count is the same before and after; the stock fills up again."""
    before = count_pipes()
    _give_back_all(_borrow_all())
    stocked = count_pipes()

    latch.close_stock()

    assert stocked == before + 8
    assert count_pipes() == before
    again = _borrow_all()
    assert len(again) == 8
    _give_back_all(again)


@needs_poll
def test_a_process_out_of_descriptors_gets_no_latch_and_no_error(monkeypatch):
    """A caller falls back to a lock; the stock is not smaller for it afterwards."""

    def refuse(*_args):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", refuse)
        refused = [latch.borrow_latch() for _ in range(20)]
    latches = _borrow_all()

    assert refused == [None] * 20
    assert len(latches) == 8
    _give_back_all(latches)


@pytest.mark.usefixtures("no_poll")
def test_a_system_without_poll_has_no_latches():
    """Everybody uses a lock there."""
    assert latch.borrow_latch() is None


# ---------------------------------------------------------------- in use by futures


class _CountingClock(clock.SystemClock):
    """Tells when a thread is about to wait."""

    def __init__(self):
        self.arrivals = threading.Semaphore(0)

    def acquire(self, waited_for, timeout):
        self.arrivals.release()
        return clock.SystemClock.acquire(waited_for, timeout)


def _all_wait(count):
    """Return ``count`` futures, the threads that wait for them, and the list of what they got."""
    futures = [CallFuture() for _ in range(count)]
    got = []
    watched = _CountingClock()
    threads = [
        threading.Thread(daemon=True, target=lambda future=future: got.append(future.result()))
        for future in futures
    ]
    with clock.use(watched):
        for thread in threads:
            thread.start()
        for _ in threads:
            assert watched.arrivals.acquire(timeout=20)
    return futures, threads, got


def test_thirty_waiting_threads_hold_at_most_eight_descriptors(count_pipes):
    """Whoever comes when the pipes are out waits on a lock, and is woken alike."""
    before = count_pipes()
    futures, threads, got = _all_wait(30)
    during = count_pipes()

    for number, future in enumerate(futures):
        future.settle(number, None)
    for thread in threads:
        thread.join()

    assert during - before == 8
    assert sorted(got) == list(range(30))


@pytest.mark.usefixtures("no_poll")
def test_waiting_works_without_poll():
    """On a system where pipes can't be waited for the same calls work on locks."""
    futures, threads, got = _all_wait(12)

    for number, future in enumerate(futures):
        future.settle(number, None)
    for thread in threads:
        thread.join()

    assert sorted(got) == list(range(12))


def test_timeouts_that_are_kept_hold_no_descriptors(count_pipes):
    """Who collects the TimeoutErrors of twenty waits does not collect twenty pipes."""
    before = count_pipes()
    errors = []
    future = CallFuture()

    for _ in range(20):
        try:
            future.result(timeout=0)
        except TimeoutError as error:
            errors.append(error)

    assert len(errors) == 20
    assert count_pipes() - before <= 8


class _InterruptingClock(clock.SystemClock):
    """Ctrl-C comes as soon as anybody waits."""

    def acquire(self, waited_for, timeout):
        raise KeyboardInterrupt


def test_interrupted_waits_hold_no_descriptors(count_pipes):
    """Twenty calls that still run, but whose waits were broken off, hold no twenty pipes."""
    before = count_pipes()
    futures = [CallFuture() for _ in range(20)]

    with clock.use(_InterruptingClock()):
        for future in futures:
            with pytest.raises(KeyboardInterrupt):
                future.result()

    assert count_pipes() - before <= 8


@pytest.mark.race
@pytest.mark.usefixtures("tiny_switches")
def test_a_latch_given_back_is_never_open():
    """Many threads that borrow, are let through and give back never find a latch left open."""
    wrong = []
    until = time.monotonic() + 0.5

    def borrow_and_wait():
        while time.monotonic() < until and not wrong:
            borrowed = latch.borrow_latch()
            if borrowed is None:
                continue
            if borrowed.acquire(timeout=0):
                wrong.append("open")
            releaser = threading.Thread(daemon=True, target=borrowed.release)
            releaser.start()
            if not borrowed.acquire(timeout=20):
                wrong.append("lost")
            releaser.join()
            latch.give_back_latch(borrowed)

    threads = [threading.Thread(daemon=True, target=borrow_and_wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
