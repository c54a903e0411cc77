"""What becomes of resources that belong to a loop, and of jobs on their way to it, when the loop ends."""

import asyncio
import threading

import pytest

from holdfast import Leaked, ResourcePool
from holdfast.track import DESCRIPTORS
from holdfast.track._pool_slot import IDLE, RESETTING

PASSES = 50
"""More passes than a loop makes between the end of its generators and its own."""


async def passes():
    for _ in range(PASSES):
        await asyncio.sleep(0)


@pytest.fixture
def door(loop_shop):
    """A pool whose functions take more passes than a loop has left once its generators are closed."""

    async def create():
        await passes()
        return await loop_shop.create()

    async def destroy(thing):
        await passes()
        await loop_shop.destroy(thing)

    return ResourcePool(create, destroy, max_size=2, name="late")


async def use(pool):
    async with pool.borrow():
        pass


def decided_elsewhere(pool):
    """Decide that the idle resource is closed, as another thread does, which is then held up.

    Returns:
        What that thread does next.
    """
    core = pool._core
    with core.lock:
        core.close_slot(core.oldest_idle(None), "replaced")
        todo, core.todo = core.todo, []

    def go_on():
        thread = threading.Thread(target=lambda: [do(argument) for do, argument in todo])
        thread.start()
        thread.join()

    return go_on


def end_slowly(pool, loop, go_on):
    """Let another thread go on when the home of ``loop`` has had its time to end."""
    (home,) = pool._core.homes
    end = home.end

    async def end_and_be_late():
        ending = loop.create_task(end())
        await passes()
        go_on()
        await ending

    home.end = end_and_be_late


def test_a_job_that_comes_while_its_loop_shuts_down_is_done(door, loop_shop):
    """Who decides that an idle resource is closed posts that a moment later: the loop waits for it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(door))
    end_slowly(door, loop, decided_elsewhere(door))

    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()

    assert loop_shop.live == []
    assert door.stats().closed == {"replaced": 1}
    door.close(0.0)


def test_a_job_that_comes_after_its_loop_has_shut_down_is_given_up(door, loop_shop):
    """It is begun in the last passes and does not go on: its place is free all the same."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(door))
    lease = loop.run_until_complete(door.aacquire())
    loop.run_until_complete(loop.shutdown_asyncgens())
    lease.discard()
    loop.run_until_complete(asyncio.sleep(0))

    loop.close()

    assert len(loop_shop.live) == 1  # dropped, as nothing can be awaited there
    assert door.stats().size == 0
    assert "pool 'late'" not in dict(DESCRIPTORS.holders())
    door.close(0.0)


@pytest.mark.parametrize("steps", [0, 1, PASSES // 2])
def test_an_opening_is_given_up_when_its_loop_is_closed_by_hand(door, steps):
    """At whatever step: nothing is being opened from then on, and the descriptors are back."""
    loop = asyncio.new_event_loop()
    borrowing = loop.create_task(use(door))

    async def some_passes():
        while not door.stats().opening:
            await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)

    loop.run_until_complete(some_passes())
    borrowing.cancel()
    loop.run_until_complete(asyncio.wait([borrowing]))
    assert door.stats().opening == 1

    loop.close()

    assert (door.stats().opening, door.stats().size) == (0, 0)
    assert "pool 'late'" not in dict(DESCRIPTORS.holders())
    door.close(0.0)


def test_a_reset_is_given_up_when_its_loop_is_closed_by_hand(loop_shop):
    """Its place is free, and nobody gets what was half reset."""

    async def reset(_):
        await passes()

    pool = ResourcePool(loop_shop.create, loop_shop.destroy, reset=reset, descriptors=0)
    loop = asyncio.new_event_loop()
    lease = loop.run_until_complete(pool.aacquire())
    lease.release()
    loop.run_until_complete(asyncio.sleep(0))

    loop.close()

    stats = pool.stats()
    assert (stats.size, stats.idle, stats.resets_failed) == (0, 0, 1)
    pool.close(0.0)


async def test_a_reset_that_has_ended_is_not_taken_for_the_next_one(loop_shop):
    """A resource may be lent and back before the loop is told that its first reset is over."""
    gates = [asyncio.Event(), asyncio.Event()]
    begun = 0

    async def reset(_):
        nonlocal begun
        begun += 1
        await gates[begun - 1].wait()

    async with ResourcePool(
        loop_shop.create, loop_shop.destroy, reset=reset, max_size=1, descriptors=0
    ) as pool:
        lease = await pool.aacquire()
        (slot,) = pool._core.slots

        async def borrow_and_give_back():
            next_lease = await pool.aacquire()
            await next_lease.arelease()

        waiting = asyncio.create_task(borrow_and_give_back())
        await asyncio.sleep(0)
        lease.release()
        gates[0].set()
        while begun < 2:
            await asyncio.sleep(0)
        await passes()

        assert slot.state == RESETTING
        gates[1].set()
        await waiting
        assert slot.state == IDLE


def test_closing_tells_what_is_on_its_way(door):
    """Neither lent nor idle: the message counts it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(door))

    with pytest.raises(Leaked, match="still in use: 1 being opened, reset or closed;"):
        door.close(0.0)

    loop.close()
    door.close(0.0)
