"""Waits that would never end: refused, with the ring named."""

import asyncio
import threading

import pytest

from holdfast.errors import WouldDeadlock
from holdfast.flow._flight_ring import INSIDE, Mark, tie, untie
from holdfast.flow.single_flight import SingleFlight
from holdfast.pools import ThreadPool


async def test_a_run_that_waits_for_its_own_key_is_refused():
    """Directly from its coroutine."""
    flight = SingleFlight(name="x")

    async def work():
        return await flight.run("k", work)

    with pytest.raises(WouldDeadlock, match="never end") as caught:
        await flight.run("k", work)

    assert caught.value.cycle == ("run 'k' of 'x' waits for run 'k' of 'x'",)
    assert flight.stats().rejected == {"deadlock": 1}
    assert (flight.stats().in_flight, flight.stats().joiners) == (0, 0)


async def test_the_work_may_handle_the_refusal():
    """And go on by itself."""
    flight = SingleFlight()

    async def work():
        try:
            return await flight.run("k", work)
        except WouldDeadlock:
            return "by itself"

    assert await flight.run("k", work) == "by itself"


async def test_re_entry_is_seen_in_tasks_and_threads_of_the_run():
    """In whatever inherits its context."""
    flight = SingleFlight()

    async def in_task():
        return await asyncio.create_task(flight.run("k", in_task))

    async def in_thread():
        return await asyncio.to_thread(flight.run_sync, "k", list)

    async def in_pool():
        async with ThreadPool(1) as pool:
            return await pool.run(flight.run_sync, "k", list)

    for work in (in_task, in_thread, in_pool):
        with pytest.raises(WouldDeadlock):
            await flight.run("k", work)


def test_re_entry_of_a_blocking_run_is_seen():
    """In the same thread, and afterwards the thread is as it was."""
    flight = SingleFlight()

    with pytest.raises(WouldDeadlock):
        flight.run_sync("k", lambda: flight.run_sync("k", list))

    assert flight.run_sync("k", lambda: 1) == 1


async def test_re_entry_is_seen_after_a_nested_run():
    """The inner run is over, and the code is in the outer one as before."""
    flight = SingleFlight()

    async def work():
        await flight.run("inner", asyncio.sleep, 0)
        return await flight.run("k", work)

    def blocking_work():
        flight.run_sync("inner", list)
        return flight.run_sync("k", list)

    with pytest.raises(WouldDeadlock):
        await flight.run("k", work)
    with pytest.raises(WouldDeadlock):
        await asyncio.to_thread(flight.run_sync, "k", blocking_work)


async def test_waits_that_are_over_are_forgotten():
    """A run that goes on for days does not collect them."""
    flight = SingleFlight()

    def blocking_work():
        flight.run_sync("leads", list)
        with flight.begin("joins") as lead:
            settler = threading.Timer(0, lead.settle, args=(None,))
            settler.start()
            flight.run_sync("joins", list)
            settler.join()
        return len(INSIDE.get().waits)

    async def work():
        await flight.run("leads", asyncio.sleep, 0)
        for end in ("settle", "cancel"):
            lead = flight.begin("joins")
            joining = asyncio.ensure_future(flight.run("joins", asyncio.sleep, 0))
            await asyncio.sleep(0)
            assert len(INSIDE.get().waits) == 1
            lead.settle(1) if end == "settle" else joining.cancel()
            await asyncio.wait([joining])
            lead.abort()
        return len(INSIDE.get().waits)

    assert await flight.run("k", work) == 0
    assert await asyncio.to_thread(flight.run_sync, "k", blocking_work) == 0


async def test_another_key_may_be_waited_for():
    """Nested runs are no ring, however deep."""
    flight = SingleFlight()

    async def work(depth):
        if depth == 0:
            return "bottom"
        return await flight.run(depth - 1, work, depth - 1)

    assert await flight.run(50, work, 50) == "bottom"


async def test_a_ring_over_several_runs_and_flights_is_refused():
    """Each waits for the next, and the last for the first."""
    one, two = SingleFlight(name="one"), SingleFlight(name="two")
    all_in = asyncio.Event()

    async def a():
        await all_in.wait()
        return await two.run("b", b)

    async def b():
        await all_in.wait()
        return await one.run("c", c)

    async def c():
        await all_in.wait()
        return await one.run("a", a)

    callers = [
        asyncio.ensure_future(flight.run(key, work))
        for flight, key, work in ((one, "a", a), (two, "b", b), (one, "c", c))
    ]
    await asyncio.sleep(0)
    all_in.set()
    errors = await asyncio.gather(*callers, return_exceptions=True)

    assert all(isinstance(error, WouldDeadlock) for error in errors)
    rings = {frozenset(error.cycle) for error in errors}
    assert rings == {
        frozenset(
            {
                "run 'a' of 'one' waits for run 'b' of 'two'",
                "run 'b' of 'two' waits for run 'c' of 'one'",
                "run 'c' of 'one' waits for run 'a' of 'one'",
            }
        )
    }


async def test_a_ring_over_threads_is_refused():
    """One run is in a loop, the other in a thread."""
    flight = SingleFlight()
    both_in = threading.Barrier(2)

    async def in_loop():
        await asyncio.to_thread(both_in.wait, 20)
        return await flight.run("thread", in_loop)

    def in_thread():
        both_in.wait(20)
        return flight.run_sync("loop", list)

    ended = await asyncio.gather(
        flight.run("loop", in_loop),
        asyncio.to_thread(flight.run_sync, "thread", in_thread),
        return_exceptions=True,
    )

    assert any(isinstance(error, WouldDeadlock) for error in ended)
    assert flight.stats().waiting == 0


async def test_a_wait_that_is_given_up_closes_no_ring():
    """The first run has stopped waiting for the second when that waits for the first."""
    flight = SingleFlight()
    started, given_up = asyncio.Event(), asyncio.Event()

    async def second():
        started.set()
        await given_up.wait()
        return await flight.run("first", first)

    async def first():
        await started.wait()
        waiting = asyncio.ensure_future(flight.run("second", second))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        given_up.set()
        return "first"

    found = await asyncio.gather(flight.run("second", second), flight.run("first", first))

    assert found == ["first", "first"]


async def test_what_outlives_its_run_may_wait_for_the_key():
    """A task that the run left behind is not inside it any more."""
    flight = SingleFlight()
    left_behind = []

    async def again():
        return "again"

    async def work():
        left_behind.append(asyncio.ensure_future(later()))

    async def later():
        await over.wait()
        return await flight.run("k", again)

    over = asyncio.Event()
    await flight.run("k", work)
    over.set()

    assert await left_behind[0] == "again"


def test_a_mark_that_is_over_takes_part_in_no_ring():
    """Nor keeps its key."""
    one, two, three = (Mark("x", key) for key in "abc")
    assert tie(one, two) == ()
    assert tie(two, three) == ()
    assert len(tie(three, one)) == 3

    two.end()

    assert tie(three, one) == ()
    assert two.key is None


def test_waits_are_counted():
    """Two waits for one run, of which one ends, are one."""
    one, two = Mark("x", "a"), Mark("x", "b")
    tie(one, two)
    tie(one, two)

    untie(one, two)
    assert tie(two, one) != ()
    untie(one, two)

    assert tie(two, one) == ()
    assert one.waits == {}
