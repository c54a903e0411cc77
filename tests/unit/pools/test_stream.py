"""What a stream promises, for coroutines and for threads, in coroutines and in blocking code."""

import asyncio
import contextlib
import contextvars
import itertools
import threading

import pytest

import holdfast
from holdfast.errors import CallTimeout, PoolClosed
from holdfast.limits import Rate, Retry
from holdfast.pools import AsyncPool, Outcome, ThreadPool


async def double_async(x):
    await asyncio.sleep(0)
    return 2 * x


def double(x):
    return 2 * x


async def many(n):
    for i in range(n):
        yield i


FUNCTIONS = pytest.mark.parametrize("fn", [double_async, double], ids=["coroutine", "blocking"])
ORDERS = pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
SOURCES = pytest.mark.parametrize(
    "source",
    [lambda n: range(n), lambda n: iter(range(n)), lambda n: (i for i in range(n)), many],
    ids=["range", "iterator", "generator", "async-generator"],
)


@FUNCTIONS
@ORDERS
@SOURCES
@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_every_item_gives_one_outcome_in_a_coroutine(fn, ordered, source, limit):
    """``async for`` over any function and any input."""
    found = [v async for v in holdfast.stream(fn, source(40), limit=limit, ordered=ordered)]

    assert (found if ordered else sorted(found)) == [2 * i for i in range(40)]


@FUNCTIONS
@ORDERS
@SOURCES
def test_every_item_gives_one_outcome_in_blocking_code(fn, ordered, source):
    """``for`` over the same object."""
    found = list(holdfast.stream(fn, source(40), limit=3, ordered=ordered))

    assert (found if ordered else sorted(found)) == [2 * i for i in range(40)]


@FUNCTIONS
@SOURCES
async def test_an_empty_input_gives_an_empty_stream(fn, source):
    """Nothing in, nothing out."""
    assert [v async for v in holdfast.stream(fn, source(0), limit=3)] == []


@FUNCTIONS
async def test_gather_gives_a_list_in_input_order(fn):
    """The short form."""
    assert await holdfast.gather(fn, range(100), limit=7) == [2 * i for i in range(100)]


@FUNCTIONS
async def test_outcomes_carry_index_item_value_and_error(fn):
    """With ``outcomes`` nothing raises."""

    def judge(x):
        if x == "bad":
            raise ValueError(x)
        return x

    async def judge_async(x):
        return judge(x)

    chosen = judge_async if fn is double_async else judge
    found = [o async for o in holdfast.stream(chosen, ["a", "bad", "c"], limit=2, outcomes=True)]

    assert [(o.index, o.item, o.value, o.ok, o.attempts) for o in found] == [
        (0, "a", "a", True, 1),
        (1, "bad", None, False, 1),
        (2, "c", "c", True, 1),
    ]
    assert isinstance(found[1].error, ValueError)
    assert all(o.seconds >= 0 for o in found)
    with pytest.raises(ValueError, match="bad"):
        found[1].unwrap()
    assert isinstance(found[0], Outcome)


@FUNCTIONS
async def test_ordered_values_before_the_error_come_first_then_it_raises(fn):
    """The error raises at its place, and nothing new starts after it."""
    started = []

    def fail_at_five(x):
        started.append(x)
        if x == 5:
            raise ValueError(x)
        return x

    async def fail_at_five_async(x):
        await asyncio.sleep(0)
        return fail_at_five(x)

    chosen = fail_at_five_async if fn is double_async else fail_at_five
    found = []
    with pytest.raises(ValueError, match="5"):
        async for value in holdfast.stream(chosen, itertools.count(), limit=2):
            found.append(value)

    assert found == [0, 1, 2, 3, 4]
    assert max(started) <= 9


@FUNCTIONS
async def test_an_error_of_the_input_raises_behind_what_was_pulled(fn):
    """Nothing that was pulled is lost."""

    def broken():
        yield 1
        yield 2
        raise OSError("the input broke")

    found = []
    with pytest.raises(OSError, match="the input broke"):
        async for value in holdfast.stream(fn, broken(), limit=5):
            found.append(value)

    assert found == [2, 4]


async def test_an_error_of_an_async_input_raises_too():
    """The same for an asynchronous input."""

    async def broken():
        yield 1
        raise OSError("the input broke")

    with pytest.raises(OSError, match="the input broke"):
        async for _ in holdfast.stream(double, broken(), limit=5):
            pass


async def ended(n, *, breaks=False):
    """An input that has ended, or broken, before the first of its items is done."""
    for i in range(n):
        yield i
    if breaks:
        raise OSError("the input broke")


@ORDERS
@pytest.mark.parametrize("rate", [None, Rate(1000, per=1)], ids=["plain", "rate"])
@pytest.mark.parametrize("breaks", [False, True], ids=["ends", "breaks"])
@pytest.mark.parametrize("make", [AsyncPool, ThreadPool])
async def test_all_that_an_async_input_gave_is_run_however_it_ended(make, breaks, rate, ordered):
    """What lay in line when the input ended is neither lost nor waited for without end."""
    pool, begun, found = make(1, rate=rate), asyncio.Event(), []
    loop = asyncio.get_running_loop()

    async def later(item):
        await asyncio.sleep(0.001)
        return item

    def blocking(item):
        asyncio.run_coroutine_threadsafe(begun.wait(), loop).result(20)
        return item

    fn = later if make is AsyncPool else blocking
    stream = pool.stream(fn, ended(5, breaks=breaks), buffer=10, ordered=ordered)
    loop.call_later(0.01, begun.set)
    with pytest.raises(OSError, match="broke") if breaks else contextlib.nullcontext():
        async for value in stream:
            found.append(value)

    assert found == list(range(5))
    assert pool.stats().in_flight == 0


async def test_a_stream_ends_when_its_last_item_was_given_up_and_its_input_had_ended():
    """The thread that would have found the end of the input is left behind."""
    release, pool = threading.Event(), ThreadPool(1, timeout=0.02)

    def stuck(_):
        release.wait(20)

    stream = pool.stream(stuck, ended(2), buffer=10, outcomes=True)
    outcomes = [outcome async for outcome in stream]

    assert [type(outcome.error) for outcome in outcomes] == [CallTimeout, CallTimeout]
    assert all("stuck" in call.function for call in pool.abandoned())
    release.set()
    pool.drain()


@FUNCTIONS
@ORDERS
async def test_the_input_is_pulled_lazily(fn, ordered):
    """Never more than limit + buffer items are between input and consumer."""
    pulled = 0

    def count():
        nonlocal pulled
        for i in itertools.count():
            pulled += 1
            yield i

    taken = 0
    async for _ in holdfast.stream(fn, count(), limit=3, buffer=4, ordered=ordered):
        taken += 1
        for _ in range(3):
            await asyncio.sleep(0)
        assert pulled - taken <= 7
        if taken == 50:
            break


@FUNCTIONS
def test_the_input_is_pulled_lazily_in_blocking_code(fn):
    """The same bound, with a consumer that is not a coroutine."""
    pulled = 0

    def count():
        nonlocal pulled
        for i in itertools.count():
            pulled += 1
            yield i

    for taken, _ in enumerate(holdfast.stream(fn, count(), limit=3), 1):
        assert pulled - taken <= 6
        if taken == 50:
            break


async def test_a_slow_head_does_not_grow_the_window():
    """Ordered: what is done behind a slow item waits in a bounded window."""
    gate, started = asyncio.Event(), []

    async def head_is_slow(x):
        started.append(x)
        if x == 0:
            await gate.wait()
        return x

    stream = holdfast.stream(head_is_slow, itertools.count(), limit=2, buffer=3)
    outcomes = aiter(stream)
    first = asyncio.ensure_future(anext(outcomes))
    for _ in range(50):
        await asyncio.sleep(0)

    assert started == [0, 1, 2, 3, 4]
    gate.set()
    assert await first == 0
    await stream.aclose()


async def test_one_stuck_item_does_not_keep_the_others_from_running_unordered():
    """All but one permit stay useful, for as long as one wants."""
    gate = asyncio.Event()

    async def some_are_slow(x):
        if x == 0:
            await gate.wait()
        return x

    found = []
    async for value in holdfast.stream(some_are_slow, range(100), limit=2, buffer=0, ordered=False):
        found.append(value)
        if len(found) == 99:
            gate.set()

    assert sorted(found) == list(range(100))
    assert found[-1] == 0


@FUNCTIONS
async def test_break_closes_a_generator_that_was_the_input(fn):
    """Its ``finally`` runs."""
    closed = []

    def source():
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    async for value in holdfast.stream(fn, source(), limit=2):
        if value == 6:
            break
    while not closed:
        await asyncio.sleep(0)

    assert closed == [True]


async def test_break_cancels_running_coroutines():
    """Nothing of the stream runs on."""
    ended = []

    async def wait(x):
        if x == 0:
            return x
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(x)

    async for _ in holdfast.stream(wait, range(10), limit=3):
        break
    while len(ended) < 2:
        await asyncio.sleep(0)

    assert set(ended) <= {1, 2, 3}


def test_break_does_not_wait_for_a_blocking_call():
    """It goes on by itself, counted as abandoned, and its thread ends after it."""
    gate = threading.Event()

    def first_is_quick(x):
        if x:
            gate.wait(20)
        return x

    pool = ThreadPool(2)
    for value in pool.stream(first_is_quick, range(10)):
        assert value == 0
        break

    assert pool.stats().abandoned >= 1
    gate.set()
    assert pool.drain() in (True, False)
    pool._core.crew.join(None)
    assert pool.stats().in_flight == 0
    assert pool.stats().abandoned == 0


async def test_async_with_waits_for_cancelled_coroutines():
    """After the block nothing of the stream is left."""
    running = 0

    async def wait(x):
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            running -= 1

    stream = holdfast.stream(wait, range(10), limit=3)
    async with stream:
        task = asyncio.ensure_future(anext(aiter(stream)))
        while running < 3:
            await asyncio.sleep(0)
        task.cancel()

    assert running == 0


async def test_a_cancelled_consumer_stops_the_stream():
    """Cancelling who waits for the next outcome cancels the rest."""
    running = 0

    async def wait(x):
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1

    async def consume():
        async for _ in holdfast.stream(wait, itertools.count(), limit=3):
            pass

    task = asyncio.ensure_future(consume())
    while running < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while running:
        await asyncio.sleep(0)


async def test_a_stream_can_be_iterated_once():
    """A second pass is an error that says what to do."""
    stream = holdfast.stream(double_async, range(3), limit=1)
    assert [v async for v in stream] == [0, 2, 4]

    with pytest.raises(RuntimeError, match="once"):
        aiter(stream)


async def test_for_in_a_coroutine_is_refused():
    """It would freeze the loop; the error names ``async for``."""
    with pytest.raises(RuntimeError, match="async for"):
        iter(holdfast.stream(double, range(3)))


@FUNCTIONS
async def test_a_stream_that_is_never_iterated_costs_nothing(fn):
    """Making and closing one is fine."""
    stream = holdfast.stream(fn, range(3))
    await stream.aclose()


@FUNCTIONS
async def test_each_item_sees_the_callers_context_and_no_other_items(fn):
    """What an item sets in its context is gone for the next one."""
    variable = contextvars.ContextVar("variable", default=0)

    def change(x):
        seen = variable.get()
        variable.set(seen + 1)
        return seen

    async def change_async(x):
        return change(x)

    variable.set(7)
    chosen = change_async if fn is double_async else change
    found = [v async for v in holdfast.stream(chosen, range(20), limit=3)]

    assert found == [7] * 20
    assert variable.get() == 7


async def test_a_context_value_that_refuses_comparison_is_no_obstacle():
    """As arrays do, whose truth is ambiguous."""

    class Array:
        def __eq__(self, other):
            raise ValueError("ambiguous")

        __hash__ = None

    variable = contextvars.ContextVar("variable")

    async def set_it(x):
        variable.set(Array())
        return x

    variable.set(Array())
    assert [v async for v in holdfast.stream(set_it, range(5), limit=2)] == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------- deadlines and retries


async def test_a_coroutine_past_its_deadline_is_cancelled_and_the_rest_goes_on():
    """Its outcome is a CallTimeout that says it has stopped."""

    async def sleep(x):
        await asyncio.sleep(x)
        return x

    stream = holdfast.stream(sleep, [0, 60, 0], limit=2, timeout=0.02, outcomes=True)
    found = [o async for o in stream]

    assert [o.value for o in found] == [0, None, 0]
    assert isinstance(found[1].error, CallTimeout)
    assert found[1].error.stopped is True


async def test_a_blocking_call_past_its_deadline_is_left_behind_and_the_rest_goes_on():
    """Its outcome says that it still runs; a replacement carries on."""
    gate = threading.Event()

    def wait(x):
        if x == 1:
            gate.wait(20)
        return x

    pool = ThreadPool(1, timeout=0.02)
    found = [o async for o in pool.stream(wait, range(4), outcomes=True)]

    assert [o.value for o in found] == [0, None, 2, 3]
    assert isinstance(found[1].error, CallTimeout)
    assert found[1].error.stopped is False
    assert pool.stats().abandoned == 1
    gate.set()
    await pool.adrain()
    pool._core.crew.join(None)
    assert pool.stats().abandoned == 0


@FUNCTIONS
async def test_retry_calls_again_and_counts(fn):
    """The outcome carries the number of attempts."""
    calls = []

    def third_time(x):
        calls.append(x)
        if calls.count(x) < 3:
            raise ConnectionError(x)
        return x

    async def third_time_async(x):
        return third_time(x)

    chosen = third_time_async if fn is double_async else third_time
    stream = holdfast.stream(
        chosen, ["a", "b"], limit=2, outcomes=True, retry=Retry(3, wait=0.001, idempotent=True)
    )

    assert [(o.value, o.attempts) async for o in stream] == [("a", 3), ("b", 3)]


async def test_retry_gives_up_with_the_last_error():
    """After the last attempt the error stands."""
    calls = []

    async def fail(x):
        calls.append(x)
        raise ConnectionError(len(calls))

    found = [
        o
        async for o in holdfast.stream(
            fail, ["a"], outcomes=True, retry=Retry(3, wait=0.001, idempotent=True)
        )
    ]

    assert found[0].attempts == 3
    assert str(found[0].error) == "3"


async def test_a_deadline_is_for_each_attempt():
    """A first attempt that hangs is followed by one that does not."""
    calls = []

    async def hang_once(x):
        calls.append(x)
        if len(calls) == 1:
            await asyncio.sleep(60)
        return x

    stream = holdfast.stream(
        hang_once, ["a"], timeout=0.02, outcomes=True, retry=Retry(2, wait=0.001, idempotent=True)
    )

    assert [(o.value, o.attempts) async for o in stream] == [("a", 2)]


async def test_an_items_own_cancelled_error_is_its_outcome():
    """A coroutine that raises CancelledError by itself does not end the stream."""

    async def cancel_itself(x):
        if x == 1:
            raise asyncio.CancelledError
        return x

    found = [o async for o in holdfast.stream(cancel_itself, range(3), limit=1, outcomes=True)]

    assert [type(o.error) for o in found] == [type(None), asyncio.CancelledError, type(None)]


async def test_a_worker_cancelled_from_outside_ends_the_stream():
    """As when a loop shuts down: the items are not pulled on and on."""

    async def wait(x):
        await asyncio.sleep(60)

    async def consume():
        async for _ in holdfast.stream(wait, itertools.count(), limit=2):
            pass

    consumer = asyncio.ensure_future(consume())
    for _ in range(10):
        await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {consumer, asyncio.current_task()}:
        task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await consumer


def test_a_loop_can_shut_down_under_a_stream():
    """``asyncio.run`` ends although a stream of endless items was left open."""

    async def main():
        stream = holdfast.stream(double_async, itertools.count(), limit=3)
        await anext(aiter(stream))
        return stream

    asyncio.run(main())


# ---------------------------------------------------------------- in a pool that others use


@FUNCTIONS
async def test_a_streams_items_count_in_the_pools_figures(fn):
    """Completed and failed, while it runs and after."""
    pool = AsyncPool(3) if fn is double_async else ThreadPool(3)

    assert len([v async for v in pool.stream(fn, range(25))]) == 25

    stats = pool.stats()
    assert (stats.completed, stats.failed) == (25, 0)
    await pool.aclose()
    assert pool.stats().in_flight == 0


async def test_a_stream_shares_the_permits_with_other_calls():
    """A call gets its turn while an endless stream runs in the same pool."""
    async with AsyncPool(2) as pool:
        stream = pool.stream(double_async, itertools.count())
        async with stream:
            outcomes = aiter(stream)
            for _ in range(100):
                await anext(outcomes)
            call = asyncio.ensure_future(pool.run(double_async, 21))
            while not call.done():
                await anext(outcomes)
            assert call.result() == 42
        assert pool.stats().peak_in_flight <= 2


def test_a_blocking_stream_shares_the_permits_with_other_calls():
    """The same with threads: no call starves behind a stream."""
    with ThreadPool(1) as pool, pool.stream(double, itertools.count()) as stream:
        outcomes = iter(stream)
        next(outcomes)
        future = pool.submit(double, 21)
        while not future.done():
            next(outcomes)
        assert future.result() == 42


async def test_two_streams_share_one_pool():
    """Both come to their end, and never more run than the limit."""
    async with AsyncPool(3) as pool:

        async def use(n):
            return [v async for v in pool.stream(double_async, range(n))]

        found = await asyncio.gather(use(200), use(300))

    assert [len(values) for values in found] == [200, 300]
    assert pool.stats().peak_in_flight <= 3


async def test_a_streams_limit_is_its_own():
    """``limit`` narrows one stream inside a wider pool."""
    now = most = 0

    async def note(x):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    async with AsyncPool(10) as pool:
        async for _ in pool.stream(note, range(50), limit=2):
            pass

    assert most == 2


@FUNCTIONS
async def test_a_closed_pool_refuses_a_stream(fn):
    """The consumer hears PoolClosed."""
    pool = AsyncPool(1) if fn is double_async else ThreadPool(1)
    await pool.aclose()

    with pytest.raises(PoolClosed):
        async for _ in pool.stream(fn, range(3)):
            pass


@FUNCTIONS
async def test_a_rate_holds_for_a_stream(fn):
    """Starts are spread, whatever the limit."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = [
        v async for v in holdfast.stream(fn, range(4), limit=4, rate=Rate(1, per=0.02, burst=1))
    ]

    assert found == [0, 2, 4, 6]
    assert loop.time() - began >= 0.06


async def test_stats_show_where_the_items_are():
    """Pulled, in flight, buffered, delivered."""
    gate = asyncio.Event()

    async def wait(x):
        if x >= 2:
            await gate.wait()
        return x

    stream = holdfast.stream(wait, range(10), limit=2, buffer=2)
    async with stream:
        outcomes = aiter(stream)
        assert [await anext(outcomes), await anext(outcomes)] == [0, 1]
        for _ in range(10):
            await asyncio.sleep(0)
        stats = stream.stats()
        assert (stats.delivered, stats.in_flight, stats.buffered, stats.pulled) == (2, 2, 0, 4)
        gate.set()


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 2.5}, {"buffer": -1}, {"timeout": -1}])
def test_bad_options_are_told_at_once(bad):
    """Before anything is pulled."""
    with pytest.raises((TypeError, ValueError)):
        holdfast.stream(double, [1], **bad)


def test_a_function_that_cannot_be_called_is_told_at_once():
    """With what was given."""
    with pytest.raises(TypeError, match="fn must be callable"):
        holdfast.stream("nothing", [1])


def test_items_that_a_list_gets_while_it_is_streamed_are_run_too():
    """Work that finds more work: as many as there are when somebody looks for the next one."""
    todo = [3]

    async def visit(depth):
        await asyncio.sleep(0)
        if depth:
            todo.extend([depth - 1, depth - 1])
        return depth

    async def main():
        async with AsyncPool(4) as pool:
            return [depth async for depth in pool.stream(visit, todo)]

    assert sorted(asyncio.run(main())) == sorted(todo) == [0] * 8 + [1] * 4 + [2] * 2 + [3]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("kind", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_no_more_coroutines_begin_than_there_are_items(count, kind):
    """Nobody is hired to find a counted input empty; and no item is missed for it."""
    tasks = set()

    async def note(item):
        tasks.add(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.update(task for task in asyncio.all_tasks() if task.get_name() == "holdfast:stream")
        return item

    async def main():
        async with AsyncPool(10) as pool:
            return [item async for item in pool.stream(note, kind(list(range(count))))]

    assert asyncio.run(main()) == list(range(count))
    assert len(tasks) <= count
