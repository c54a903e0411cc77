"""What runs, what ran at most, and what must not begin."""

import asyncio
import threading

import pytest

from holdfast.cli.map.calls import NOT_STARTED, Calls, TargetExitError
from holdfast.cli.map.item import Item
from holdfast.cli.map.target import Target


def item(value=None, bad=None):
    """An item as the intake would make it."""
    return Item(0, 1, '"k"', value, bad)


def blocking(function):
    """Calls, and ``function`` wrapped by them as a plain one."""
    calls = Calls()
    return calls, calls.wrap(Target("t", function, is_async=False))


def on_loop(function):
    """Calls, and ``function`` wrapped by them as a coroutine function."""
    calls = Calls()
    return calls, calls.wrap(Target("t", function, is_async=True))


def test_blocking_calls_are_counted_while_they_run():
    """Three at once, then none; the peak stays."""
    release = threading.Event()
    running = threading.Semaphore(0)

    def work(_):
        running.release()
        release.wait()

    calls, call = blocking(work)
    threads = [threading.Thread(target=call, args=(item(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in threads:
        running.acquire()

    during = calls.in_flight
    release.set()
    for thread in threads:
        thread.join()

    assert during == 3
    assert (calls.in_flight, calls.peak) == (0, 3)


async def test_coroutines_are_counted_while_they_run():
    """A coroutine that is cancelled counts no more."""

    async def work(_):
        await asyncio.sleep(3600)

    calls, call = on_loop(work)
    tasks = [asyncio.ensure_future(call(item())) for _ in range(3)]
    await asyncio.sleep(0)

    during = calls.in_flight
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert during == 3
    assert (calls.in_flight, calls.peak) == (0, 3)


async def test_what_a_call_has_returned_stays_on_its_item():
    """So that a run that is cut short can still write it."""

    async def work(value):
        return value + 1

    _, call = on_loop(work)
    one = item(1)

    result = await call(one)

    assert result == one.result == 2
    assert one.finished
    assert one.attempts == 1
    assert one.ended >= one.began > 0


def test_a_failure_is_not_finished_and_every_attempt_is_counted():
    """An item that only failed is run again by the next run."""

    def work(_):
        raise ValueError

    _, call = blocking(work)
    one = item()

    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            call(one)

    assert not one.finished
    assert one.attempts == 2


async def test_nothing_begins_once_the_run_is_stopping():
    """Neither kind of function is called any more."""
    called = []

    async def later(value):
        called.append(value)

    (blocking_calls, block), (loop_calls, call) = blocking(called.append), on_loop(later)
    blocking_calls.stopping = loop_calls.stopping = True

    assert block(item()) is NOT_STARTED
    assert await call(item()) is NOT_STARTED
    assert called == []


async def test_a_line_that_could_not_be_read_is_never_run():
    """It goes through the stream only to keep its place in the order."""
    called = []

    async def later(value):
        called.append(value)

    assert blocking(called.append)[1](item(bad="is not JSON")) is NOT_STARTED
    assert await on_loop(later)[1](item(bad="is not JSON")) is NOT_STARTED
    assert called == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_the_function_cannot_end_the_process(error):
    """``sys.exit`` in a tool is that item's error, and no end of the run."""

    def work(_):
        raise error

    async def later(_):
        raise error

    with pytest.raises(TargetExitError, match="can't end a run"):
        blocking(work)[1](item())
    with pytest.raises(TargetExitError, match="can't end a run"):
        await on_loop(later)[1](item())
