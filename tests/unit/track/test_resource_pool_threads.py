"""The resource pool in blocking code, in several loops, and in a child after a fork."""

import asyncio
import os
import queue
import threading

import pytest

from holdfast import PoolClosed, QueueFull, QueueTimeout, ResourcePool, WouldDeadlock


def make(shop, **options):
    options.setdefault("descriptors", 0)
    return ResourcePool(shop.create, shop.destroy, name="db", **options)


def run_threads(count, work):
    """Run ``work`` in so many threads, and raise what any of them raised."""
    errors = queue.SimpleQueue()

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.put(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if not errors.empty():
        raise errors.get()


def test_threads_share_it(blocking_shop):
    """Each has one for itself, and never more than ``max_size`` exist."""

    def work(_):
        for _ in range(50):
            with pool.borrow() as thing:
                thing.users += 1
                assert thing.users == 1
                thing.users -= 1

    with make(blocking_shop, max_size=3) as pool:
        run_threads(8, work)
        stats = pool.stats()

    assert stats.served == 400
    assert len(blocking_shop.made) <= 3
    assert blocking_shop.live == []


def test_coroutines_and_threads_stand_in_one_line(blocking_shop):
    """One pool, one bound, for both."""

    def work(number):
        if number % 2:
            for _ in range(20):
                with pool.borrow():
                    pass
        else:
            asyncio.run(coroutines())

    async def coroutines():
        async def one():
            async with pool.borrow():
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(20)))

    with make(blocking_shop, max_size=2) as pool:
        run_threads(6, work)
        assert pool.stats().peak_size <= 2
        assert pool.stats().served == 120


def test_a_thread_that_waits_too_long_is_told_who_holds_what(blocking_shop):
    """By the name of the thread, and the line."""
    told = r"by thread 'MainThread'"
    with make(blocking_shop, max_size=1) as pool, pool.borrow():
        with pytest.raises(QueueTimeout, match=told) as caught:
            pool.acquire(timeout=0.02)
        assert __file__ in str(caught.value)


def test_a_thread_that_holds_all_is_refused(blocking_shop):
    """It would wait for itself."""
    with (
        make(blocking_shop, max_size=1) as pool,
        pool.borrow(),
        pytest.raises(WouldDeadlock),
        pool.borrow(),
    ):
        pass


async def test_blocking_code_in_a_loop_is_never_blocked(blocking_shop):
    """What is idle can be had; to wait would freeze the loop, and is refused with the way out."""
    with make(blocking_shop, max_size=1) as pool:
        with pytest.raises(QueueFull, match="async with"):
            pool.acquire()
        async with pool.borrow():
            pass
        with pool.borrow() as thing:
            assert thing is blocking_shop.made[0]
        assert pool.stats().rejected == {"full": 1}
        await pool.aclose()


def test_resources_of_loops_cannot_be_borrowed_by_blocking_code(loop_shop):
    """It says so, and what to do."""
    pool = make(loop_shop)
    with pytest.raises(TypeError, match="belong to event loops"):
        pool.acquire()
    pool.close()


def test_what_is_idle_in_a_loop_is_closed_when_the_loop_shuts_down(loop_shop):
    """In that loop, and the next loop gets its own."""
    pool = make(loop_shop)

    async def use():
        async with pool.borrow() as thing:
            assert not thing.closed
            return thing.number

    assert [asyncio.run(use()) for _ in range(3)] == [0, 1, 2]
    assert loop_shop.live == []
    assert pool.stats().closed == {"loop_ended": 3}
    assert pool.stats().size == 0
    pool.close()


def test_two_loops_share_max_size_and_neither_starves(loop_shop):
    """At the bound, the idle resource of one loop makes room for one of the other."""

    def work(_):
        asyncio.run(many())

    async def many():
        async def one():
            async with pool.borrow() as thing:
                thing.users += 1
                assert thing.users == 1
                await asyncio.sleep(0)
                thing.users -= 1

        await asyncio.gather(*(one() for _ in range(30)))

    pool = make(loop_shop, max_size=2)
    run_threads(3, work)

    assert pool.stats().served == 90
    assert pool.stats().peak_size <= 2
    assert loop_shop.live == []
    pool.close()


def test_a_loop_that_is_closed_by_hand_costs_no_place(loop_shop):
    """Nothing can be closed in it any more; the place comes free all the same."""
    pool = make(loop_shop, max_size=1, idle_timeout=0.2)
    loop = asyncio.new_event_loop()

    async def use():
        async with pool.borrow():
            pass

    loop.run_until_complete(use())
    loop.close()  # without shutting down its asynchronous generators
    asyncio.run(use())

    assert pool.stats().served == 2
    pool.close()


def test_waiters_of_a_closed_loop_cost_nobody_a_resource(loop_shop, blocking_shop):
    """What was on its way to a coroutine that will never run goes to the next."""
    pool = make(blocking_shop, max_size=1)
    lease = pool.acquire()
    loop = asyncio.new_event_loop()
    waiter = loop.create_task(pool.aacquire())
    loop.run_until_complete(asyncio.sleep(0))
    assert pool.stats().waiting == 1
    lease.release()  # a letter to the loop, which never reads it
    loop.close()

    with pool.borrow(timeout=10):
        pass
    pool.close()
    waiter._log_destroy_pending = False
    del waiter, loop


def test_close_from_blocking_code_waits(blocking_shop):
    """Until the last one has come back, from another thread."""
    pool = make(blocking_shop)
    lease = pool.acquire()
    timer = threading.Timer(0.05, lease.release)
    timer.start()
    pool.close()
    timer.join()

    assert blocking_shop.live == []
    with pytest.raises(PoolClosed):
        pool.acquire()


def test_a_child_after_a_fork_has_a_pool_of_its_own(blocking_shop):
    """What is open is the parent's: the child neither uses nor closes it."""
    with make(blocking_shop, max_size=2) as pool:
        with pool.borrow() as parents:
            pass
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with pool.borrow() as childs:
                    fine = childs is not parents and not parents.closed
                pool.close()
                code = 0 if fine and childs.closed and not parents.closed else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        with pool.borrow() as again:
            assert again is parents


def test_a_pool_that_is_forgotten_warns(blocking_shop):
    """As an unclosed file does."""
    pool = make(blocking_shop, idle_timeout=0.1)
    with pool.borrow():
        pass
    with pytest.warns(ResourceWarning, match="unclosed pool 'db' with 1 resources"):
        del pool


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_size": 0}, ValueError),
        ({"min_size": 11}, ValueError),
        ({"max_waiting": -1}, ValueError),
        ({"max_opening": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"open_timeout": None}, TypeError),
        ({"close_timeout": 0}, ValueError),
        ({"leak_after": (5, 1)}, ValueError),
        ({"leak_after": (1, 2, 3)}, ValueError),
        ({"leak_after": "soon"}, TypeError),
        ({"descriptors": -1}, ValueError),
        ({"helpers": 0}, ValueError),
        ({"reset": 1}, TypeError),
        ({"check": 1}, TypeError),
    ],
)
def test_options_are_checked_when_the_pool_is_made(blocking_shop, options, error):
    """Not when somebody borrows at night."""
    with pytest.raises(error):
        make(blocking_shop, **options)


def test_create_and_destroy_are_checked_too():
    """They have to be callable."""
    with pytest.raises(TypeError, match="create"):
        ResourcePool(None)
    with pytest.raises(TypeError, match="destroy"):
        ResourcePool(list, "close")


def test_a_lease_tells_when_it_has_ended(blocking_shop):
    """Its resource can't be used by accident."""
    with make(blocking_shop) as pool:
        with pool.acquire() as thing:
            assert thing.number == 0
        lease = pool.acquire()
        assert "ended" not in repr(lease)
        lease.release()
        lease.release()
        assert "ended" in repr(lease)
        with pytest.raises(RuntimeError, match="borrow again"):
            lease.resource  # noqa: B018 - asking is the test


def test_a_borrow_is_for_one_block_at_a_time(blocking_shop):
    """It can be used again, but not inside of itself."""
    with make(blocking_shop, max_size=2) as pool:
        borrow = pool.borrow()
        for _ in range(2):
            with borrow:
                pass
        with borrow, pytest.raises(RuntimeError, match="one for each block"):
            borrow.__enter__()
        assert "0 of 2 lent, 1 idle" in repr(pool)
        assert pool.name == "db"


def test_create_runs_in_the_context_of_the_pool_and_not_of_the_borrower():
    """What a shared connection tracks does not belong to the session that came first."""
    import holdfast

    things = []

    class Tracked:
        closed = False

        def close(self):
            self.closed = True

    def create():
        thing = holdfast.track(Tracked())
        things.append(thing)
        return thing

    with ResourcePool(create, name="shared", descriptors=0) as pool:
        with holdfast.scope("session"), pool.borrow():
            pass
        assert not things[0].closed
    assert things[0].closed
