"""CallFuture: the whole protocol of ``concurrent.futures.Future``, and ``await``."""

import asyncio
import concurrent.futures
import gc
import logging
import threading
import time
import weakref
from concurrent.futures import CancelledError, Future, InvalidStateError

import pytest

from holdfast._core import clock
from holdfast._core.future import CallFuture
from holdfast.pools import ThreadPool


class _Withdrawable(CallFuture):
    """A call whose pool lets it go as long as it waits."""

    def _withdraw(self):
        return True


def _settled(value=None, error=None):
    future = CallFuture()
    future.settle(value, error)
    return future


def _cancelled():
    future = _Withdrawable()
    assert future.cancel()
    return future


class _Watched(clock.SystemClock):
    """Tells when a thread is about to wait, and lets a test act in that very moment."""

    def __init__(self, act=lambda: None):
        self.arrivals = threading.Semaphore(0)
        self.act = act

    def acquire(self, latch, timeout):
        self.act()
        self.arrivals.release()
        return clock.SystemClock.acquire(latch, timeout)

    def wait_for_arrivals(self, count):
        for _ in range(count):
            assert self.arrivals.acquire(timeout=20), "no thread came to wait"


# ---------------------------------------------------------------- states


def test_a_new_future_is_neither_running_nor_done_nor_cancelled():
    """It waits in line."""
    future = CallFuture()

    assert isinstance(future, Future)
    assert (future.running(), future.done(), future.cancelled()) == (False, False, False)


def test_a_future_that_runs_says_so_and_can_no_longer_be_cancelled():
    """A call that has started goes on, even where the pool would let a waiting one go."""
    future = _Withdrawable()

    future.mark_running()

    assert (future.running(), future.done(), future.cancelled()) == (True, False, False)
    assert not future.cancel()


def test_a_settled_future_has_a_result_and_no_exception():
    """None is a result like any other."""
    for value in (42, None, False):
        future = _settled(value)
        assert (future.running(), future.done(), future.cancelled()) == (False, True, False)
        assert future.result() is value
        assert future.result(timeout=0) is value
        assert future.exception() is None


def test_a_failed_future_raises_the_very_error_of_the_call():
    """``result`` raises it, ``exception`` returns it, as often as they are asked."""
    error = KeyError("k")
    future = _settled(error=error)

    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            future.result()
        assert caught.value is error
        assert future.exception(timeout=0) is error


def test_a_future_that_is_cancelled_says_so_everywhere():
    """Both questions raise the standard library's CancelledError."""
    future = _cancelled()

    assert (future.running(), future.done(), future.cancelled()) == (False, True, True)
    with pytest.raises(CancelledError):
        future.result()
    with pytest.raises(CancelledError):
        future.exception(timeout=1)


def test_cancelling_twice_is_true_both_times():
    """As in the standard class."""
    assert _cancelled().cancel()


def test_a_future_whose_pool_does_not_let_it_go_is_not_cancelled():
    """``cancel`` returns False and nothing changes."""
    future = CallFuture()

    assert not future.cancel()
    assert not future.done()


def test_a_settled_future_cannot_be_cancelled():
    """Its outcome stays."""
    future = _Withdrawable()
    future.settle("value", None)

    assert not future.cancel()
    assert future.result() == "value"


@pytest.mark.parametrize("first", ["value", "error", "cancelled"])
@pytest.mark.parametrize("second", ["value", "error", "cancelled"])
def test_only_the_first_outcome_counts(first, second):
    """A future is settled at most once: what comes second changes nothing and calls nobody."""
    calls = []
    future = CallFuture()
    future.add_done_callback(calls.append)
    settle = {
        "value": lambda n: future.settle(n, None),
        "error": lambda n: future.settle(None, KeyError(n)),
        "cancelled": lambda _: future.settle_cancelled(),
    }
    settle[first](1)
    state, result, error = future._state, future._result, future._exception

    settle[second](2)

    assert (future._state, future._result, future._exception) == (state, result, error)
    assert calls == [future]


@pytest.mark.parametrize("end", ["value", "cancelled"])
def test_a_call_that_is_marked_as_running_too_late_stays_settled(end):
    """Its deadline, or its caller, was faster than the worker that took it."""
    future = CallFuture()
    if end == "value":
        future.settle(1, None)
    else:
        future.settle_cancelled()

    future.mark_running()

    assert future.done()
    assert not future.running()


def test_a_deadline_that_passes_as_the_worker_begins_costs_no_worker(monkeypatch):
    """The call ends by its timeout or by itself, and the pool serves the next one."""
    mark_running = CallFuture.mark_running

    def lose_the_processor_until_the_deadline(future):
        concurrent.futures.wait([future], timeout=1)
        mark_running(future)

    pool = ThreadPool(1, max_abandoned=0)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(CallFuture, "mark_running", lose_the_processor_until_the_deadline)
            late = pool.options(timeout=0.01).submit(int)
            ended, _ = concurrent.futures.wait([late], timeout=5)
        deadline = time.monotonic() + 5
        while pool.stats().in_flight and time.monotonic() < deadline:
            time.sleep(0.001)

        assert ended == {late}
        assert pool.submit(pow, 2, 5).result(timeout=5) == 32
    finally:
        pool.close(1)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (CallFuture, "state=pending"),
        (lambda: _settled(3), "state=finished returned int"),
        (lambda: _settled(error=KeyError()), "state=finished raised KeyError"),
        (_cancelled, "state=cancelled"),
    ],
)
def test_repr_shows_the_state(make, shown):
    """Like the standard class: state, and the type of what came back."""
    assert shown in repr(make())


def test_repr_shows_a_running_call():
    """A call that runs is told apart from one that waits."""
    future = CallFuture()
    future.mark_running()

    assert "state=running" in repr(future)


# ---------------------------------------------------------------- waiting


@pytest.mark.parametrize("ask", ["result", "exception"])
@pytest.mark.parametrize("timeout", [0, 0.001, -1])
def test_a_wait_that_is_too_short_raises_timeout_error_and_the_call_goes_on(ask, timeout):
    """Later the outcome comes all the same."""
    future = CallFuture()

    with pytest.raises(TimeoutError):
        getattr(future, ask)(timeout=timeout)

    future.settle("late", None)
    assert future.result() == "late"


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_waiter_that_timed_out_leaves_nothing_parked(ask):
    """A thousand polls do not pile up a thousand locks in the future."""
    future = CallFuture()

    for _ in range(50):
        with pytest.raises(TimeoutError):
            getattr(future, ask)(timeout=0)

    assert not future._parked


def test_an_interrupt_while_waiting_leaves_the_future_usable():
    """Ctrl-C during ``result`` locks nothing and parks nothing."""
    future = CallFuture()

    def interrupt():
        raise KeyboardInterrupt

    with clock.use(_Watched(interrupt)), pytest.raises(KeyboardInterrupt):
        future.result()
    future.settle("after", None)

    assert future.result() == "after"
    assert not future._parked


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda future: future.settle(5, None), 5),
        (lambda future: future.settle(None, KeyError()), KeyError),
        (lambda future: future.settle_cancelled(), CancelledError),
    ],
)
def test_an_outcome_between_look_and_park_is_not_missed(act, expected):
    """The call ends after the waiter has seen that it runs, and before the waiter sleeps."""
    future = CallFuture()

    with clock.use(_Watched(lambda: act(future))):
        if isinstance(expected, type):
            with pytest.raises(expected):
                future.result(timeout=20)
        else:
            assert future.result(timeout=20) == expected


class _LateClock(clock.SystemClock):
    """The outcome comes just after the wait has timed out, before the waiter is told."""

    def __init__(self, act):
        self.act = act

    def acquire(self, latch, timeout):
        in_time = clock.SystemClock.acquire(latch, 0.0)
        self.act()
        return in_time


def test_an_outcome_in_the_moment_of_the_timeout_is_returned():
    """A waiter that would give up looks once more; what is there is not thrown away."""
    future = CallFuture()

    with clock.use(_LateClock(lambda: future.settle("just", None))):
        assert future.result(timeout=1) == "just"


def test_a_cancellation_in_the_moment_of_the_timeout_is_raised():
    """The same for a call that was taken back."""
    future = CallFuture()

    with clock.use(_LateClock(future.settle_cancelled)), pytest.raises(CancelledError):
        future.result(timeout=1)


def test_a_release_that_comes_too_late_wakes_no_other_waiter():
    """The latch of a wait that timed out is not lent on while its release is yet to come."""
    first, second = CallFuture(), CallFuture()

    with clock.use(_LateClock(lambda: first.settle(1, None))):
        first.result(timeout=1)

    with pytest.raises(TimeoutError):
        second.result(timeout=0.001)


def test_many_threads_wait_for_one_outcome_and_all_get_it():
    """Each of forty waiters gets the value; the future is asked in both ways."""
    future = CallFuture()
    got = []
    watched = _Watched()

    def wait(number):
        got.append(future.result() if number % 2 else future.exception() or "value")

    threads = [threading.Thread(daemon=True, target=wait, args=(number,)) for number in range(40)]
    with clock.use(watched):
        for thread in threads:
            thread.start()
        watched.wait_for_arrivals(40)

    future.settle("value", None)
    for thread in threads:
        thread.join()

    assert got == ["value"] * 40


def test_cancelling_wakes_every_waiter():
    """They raise; none is left asleep."""
    future = _Withdrawable()
    got = []
    watched = _Watched()

    def wait():
        try:
            future.result()
        except CancelledError as error:
            got.append(type(error))

    threads = [threading.Thread(daemon=True, target=wait) for _ in range(5)]
    with clock.use(watched):
        for thread in threads:
            thread.start()
        watched.wait_for_arrivals(5)

    assert future.cancel()
    for thread in threads:
        thread.join()

    assert got == [CancelledError] * 5


def test_an_error_that_was_raised_keeps_no_future_alive():
    """``result`` breaks the cycle between the error, its traceback and the future."""
    future = _settled(error=ValueError("v"))
    trace = weakref.ref(future)
    gc.disable()
    try:
        try:
            future.result()
        except ValueError as error:
            kept = error
        del future

        assert kept.__traceback__ is not None
        assert trace() is None
    finally:
        gc.enable()


class _Capped(_Watched):
    """Waits a second at most, and notes for each wait whether somebody ended it."""

    def __init__(self):
        super().__init__()
        self.woken = []

    def acquire(self, latch, timeout):
        self.woken.append(super().acquire(latch, 1.0))
        return self.woken[-1]


@pytest.mark.parametrize("how", ["set_result", "set_exception"])
def test_the_standard_setters_wake_who_waits(how):
    """They are part of the protocol: a parked waiter does not sleep through them."""
    future = CallFuture()
    capped = _Capped()
    thread = threading.Thread(daemon=True, target=future.exception)
    with clock.use(capped):
        thread.start()
        capped.wait_for_arrivals(1)

    assert future.set_running_or_notify_cancel()
    getattr(future, how)(KeyError())
    thread.join()

    assert capped.woken == [True]


def test_the_standard_setters_refuse_a_second_outcome():
    """As in the standard class: InvalidStateError, and the first outcome stays."""
    future = _settled("first")

    with pytest.raises(InvalidStateError):
        future.set_result("second")

    assert future.result() == "first"


# ---------------------------------------------------------------- callbacks


def test_a_callback_added_before_the_end_is_called_once_with_the_future():
    """In the order in which they were added."""
    calls = []
    future = CallFuture()
    future.add_done_callback(lambda done: calls.append(("first", done)))
    future.add_done_callback(lambda done: calls.append(("second", done)))

    future.settle(1, None)

    assert calls == [("first", future), ("second", future)]


@pytest.mark.parametrize("make", [_settled, _cancelled])
def test_a_callback_added_after_the_end_is_called_at_once(make):
    """In the thread that adds it."""
    calls = []
    future = make()

    future.add_done_callback(calls.append)

    assert calls == [future]


def test_a_callback_is_called_when_the_future_is_cancelled():
    """Cancellation is an end like any other."""
    calls = []
    future = _Withdrawable()
    future.add_done_callback(lambda done: calls.append(done.cancelled()))

    future.cancel()

    assert calls == [True]


def test_a_callback_finds_the_future_done_and_may_ask_it():
    """``result`` inside a callback neither waits nor locks up."""
    results = []
    future = CallFuture()
    future.add_done_callback(lambda done: results.append(done.result(timeout=0)))

    future.settle("value", None)

    assert results == ["value"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_callback_that_fails_is_logged_and_the_others_are_called(when, caplog):
    """The worker that settles the future never sees the error."""
    calls = []

    def fail(_future):
        msg = "callback"
        raise LookupError(msg)

    future = CallFuture()
    if when == "after":
        future.settle(1, None)
    with caplog.at_level(logging.ERROR):
        future.add_done_callback(fail)
        future.add_done_callback(calls.append)
        if when == "before":
            future.settle(1, None)

    assert calls == [future]
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]


@pytest.mark.race
@pytest.mark.usefixtures("tiny_switches")
def test_a_callback_added_while_the_call_ends_is_called_exactly_once():
    """Whoever comes first, the adder or the settler, one of the two calls it."""
    wrong = []
    for _ in range(300):
        calls = []
        future = CallFuture()
        start = threading.Barrier(3)

        def add(future=future, calls=calls, start=start):
            start.wait()
            future.add_done_callback(calls.append)

        def settle(future=future, start=start):
            start.wait()
            future.settle(1, None)

        threads = [threading.Thread(daemon=True, target=run) for run in (add, add, settle)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(calls) != 2:
            wrong.append(len(calls))

    assert not wrong


@pytest.mark.race
@pytest.mark.usefixtures("tiny_switches")
def test_a_waiter_that_comes_while_the_call_ends_gets_the_outcome():
    """No wake-up is lost between three waiters and the settler."""
    wrong = []
    for _ in range(300):
        future = CallFuture()
        start = threading.Barrier(4)

        def wait(future=future, start=start):
            start.wait()
            try:
                future.result(timeout=20)
            except TimeoutError:
                wrong.append("lost")

        def settle(future=future, start=start):
            start.wait()
            future.settle(1, None)

        threads = [threading.Thread(daemon=True, target=run) for run in (wait, wait, wait, settle)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert not wrong


# ---------------------------------------------------------------- with the standard library


def test_futures_wait_sees_settled_and_running_ones():
    """``wait`` returns them in two sets, mixed with futures of the standard class."""
    standard = Future()
    done, pending = _settled(1), CallFuture()

    found = concurrent.futures.wait([done, pending, standard], timeout=0)

    assert found.done == {done}
    assert found.not_done == {pending, standard}


@pytest.mark.parametrize(
    ("how", "finish", "settled"),
    [
        (concurrent.futures.FIRST_COMPLETED, lambda future: future.settle(1, None), 1),
        (concurrent.futures.FIRST_EXCEPTION, lambda future: future.settle(None, KeyError()), 1),
        (concurrent.futures.ALL_COMPLETED, lambda future: future.settle_cancelled(), 3),
    ],
)
def test_futures_wait_is_woken_by_what_it_waits_for(how, finish, settled):
    """A value, an error and a cancellation reach a thread that is already waiting."""
    futures = [CallFuture() for _ in range(3)]
    entered = threading.Event()
    found = []

    def wait():
        entered.set()
        found.append(concurrent.futures.wait(futures, timeout=20, return_when=how))

    thread = threading.Thread(daemon=True, target=wait)
    thread.start()
    entered.wait()
    for future in futures[:settled]:
        finish(future)
    thread.join()

    assert found[0].done == set(futures[:settled])


def test_as_completed_yields_them_as_they_end():
    """First those that are done, then each as it is settled."""
    futures = [CallFuture() for _ in range(3)]
    futures[2].settle("c", None)
    order = []

    for future in concurrent.futures.as_completed(futures, timeout=20):
        order.append(future)
        if future is futures[2]:
            futures[0].settle(None, KeyError())
        elif future is futures[0]:
            futures[1].settle_cancelled()

    assert order == [futures[2], futures[0], futures[1]]


def test_as_completed_times_out_and_leaves_the_future_usable():
    """The waiter that it had put into the future is taken out again."""
    future = CallFuture()

    with pytest.raises(TimeoutError):
        list(concurrent.futures.as_completed([future], timeout=0))
    future.settle(1, None)

    assert not future._waiters
    assert future.result() == 1


async def test_a_settled_future_can_be_awaited():
    """``await`` gives the value, or raises the error."""
    assert await _settled("value") == "value"
    with pytest.raises(KeyError):
        await _settled(error=KeyError())


async def test_awaiting_a_cancelled_future_is_a_cancellation():
    """Asyncio's CancelledError, as for any awaited future that was cancelled."""
    with pytest.raises(asyncio.CancelledError):
        await _cancelled()


async def test_awaiting_waits_without_holding_the_loop():
    """The loop runs other things until another thread settles the future."""
    future = CallFuture()
    turned = []

    async def settle_later():
        turned.append("loop runs")
        await asyncio.to_thread(future.settle, "value", None)

    helper = asyncio.create_task(settle_later())
    value = await future
    await helper

    assert value == "value"
    assert turned == ["loop runs"]


async def test_two_coroutines_can_await_one_future():
    """A future can be awaited more than once."""
    future = CallFuture()

    async def wait():
        return await future

    waits = [asyncio.create_task(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    future.settle("both", None)

    assert await asyncio.gather(*waits) == ["both", "both"]


async def test_wrap_future_of_asyncio_takes_it():
    """It is a concurrent.futures.Future to asyncio."""
    future = CallFuture()
    wrapped = asyncio.wrap_future(future)

    future.settle("value", None)

    assert await wrapped == "value"


async def test_cancelling_who_awaits_takes_the_call_back():
    """A call whose only waiter has gone leaves the line."""
    future = _Withdrawable()

    async def wait():
        return await future

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert future.cancelled()


async def test_an_outcome_after_the_awaiting_task_was_cancelled_harms_nobody():
    """A call that runs on ends in peace; the loop logs nothing."""
    future = CallFuture()  # its pool does not let it go
    future.mark_running()

    async def wait():
        return await future

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    future.settle("late", None)
    await asyncio.sleep(0)

    assert future.result() == "late"
