"""The resource pool, with blocking functions and with those of a loop."""

import asyncio
import threading

import pytest
from tests.unit.track.conftest import pass_time

from holdfast import (
    Leaked,
    PoolClosed,
    QueueFull,
    QueueTimeout,
    ResourcePool,
    UnderPressure,
    WouldDeadlock,
    deadline,
)


def make(shop, **options):
    options.setdefault("descriptors", 0)
    return ResourcePool(shop.create, shop.destroy, name="db", **options)


async def until(condition):
    """Let the loop and the threads go on until something is so."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


# ---------------------------------------------------------------- lending


async def test_a_resource_is_opened_when_it_is_needed_and_lent_again(shop):
    """None before somebody asks, and one for any number of borrowers that come one by one."""
    async with make(shop) as pool:
        assert shop.made == []
        for _ in range(5):
            async with pool.borrow() as thing:
                assert not thing.closed
        stats = pool.stats()

    assert len(shop.made) == 1
    assert (stats.requests, stats.served, stats.opened) == (5, 5, 1)
    assert shop.live == []


async def test_never_more_than_max_size_and_one_borrower_each(shop):
    """A hundred borrowers of three: each has one for itself, and waits for no longer than it has to."""
    peak = 0

    async def use(pool):
        nonlocal peak
        async with pool.borrow() as thing:
            thing.users += 1
            assert thing.users == 1
            peak = max(peak, len(shop.live))
            await asyncio.sleep(0)
            thing.users -= 1

    async with make(shop, max_size=3) as pool:
        await asyncio.gather(*(use(pool) for _ in range(100)))
        stats = pool.stats()

    assert peak <= 3
    assert stats.peak_lent <= 3
    assert stats.peak_size <= 3
    assert stats.served == 100


async def test_first_come_first_served(shop):
    """Those who wait are served in the order in which they came."""
    served = []

    async def use(pool, number):
        async with pool.borrow():
            served.append(number)

    async with make(shop, max_size=1) as pool:
        async with pool.borrow():
            tasks = []
            for number in range(20):
                tasks.append(asyncio.create_task(use(pool, number)))
                await asyncio.sleep(0)
            assert pool.stats().waiting == 20
        await asyncio.gather(*tasks)

    assert served == list(range(20))


async def test_what_came_back_last_is_lent_first(shop):
    """So the others age, and what is not needed can be seen."""
    async with make(shop, max_size=3) as pool:
        leases = [await pool.aacquire() for _ in range(3)]
        things = [lease.resource for lease in leases]
        for lease in leases:
            await lease.arelease()
        async with pool.borrow() as again:
            assert again is things[-1]


async def test_growth_is_one_at_a_time(shop):
    """However many wait, one resource is being opened."""
    async with make(shop, max_size=10) as pool:
        leases = await asyncio.gather(*(pool.aacquire() for _ in range(10)))
        assert shop.peak_opening == 1
        for lease in leases:
            lease.release()


async def test_more_can_be_opened_at_once_if_asked_for(shop):
    """``max_opening`` of them, for who wants a quick start."""
    shop.gate.clear()
    async with make(shop, max_size=10, max_opening=3) as pool:
        tasks = [asyncio.create_task(pool.aacquire()) for _ in range(10)]
        await until(lambda: shop.opening == 3)
        assert pool.stats().opening == 3
        shop.gate.set()
        for lease in await asyncio.gather(*tasks):
            lease.release()
        assert shop.peak_opening <= 3


async def test_min_size_is_opened_when_the_pool_is_and_kept(shop):
    """And opened again when one has broken."""
    async with make(shop, min_size=2, max_size=3) as pool:
        await until(lambda: pool.stats().idle == 2)
        lease = await pool.aacquire()
        lease.discard()
        await until(lambda: pool.stats().idle == 2)

        assert len(shop.live) == 2
        assert pool.stats().closed == {"discarded": 1}


async def test_a_pool_in_a_scope_goes_with_it(shop):
    """And so does what was borrowed and not given back."""
    import holdfast

    async with holdfast.scope("session"):
        pool = make(shop)
        lease = await pool.aacquire()

    assert lease.closed
    assert pool.closed
    assert shop.live == []


# ---------------------------------------------------------------- waiting


async def test_who_waits_too_long_is_told_who_holds_what(shop):
    """The error names the holders, their lines, and how long they have had it."""
    async with make(shop, max_size=2, timeout=0.02) as pool:
        async with pool.borrow(), pool.borrow():
            with pytest.raises(QueueTimeout, match=r"2 of 2 are lent") as caught:
                await asyncio.create_task(pool.aacquire())
        assert str(caught.value).count("test_resource_pool.py") == 1  # one line for both
        assert caught.value.stats.lent == 2
        assert pool.stats().rejected == {"queue_timeout": 1}


async def test_a_wait_of_nothing_is_refused_at_once(shop):
    """``timeout=0`` takes what is idle, or is refused."""
    async with make(shop, max_size=1) as pool:
        with pytest.raises(QueueTimeout):
            await pool.aacquire(timeout=0)
        async with pool.borrow():
            pass
        async with pool.borrow(timeout=0) as thing:
            assert thing is shop.made[0]


async def test_an_inherited_deadline_bounds_the_wait(shop):
    """Whatever the pool's own timeout is."""
    async with make(shop, max_size=1, timeout=None) as pool, pool.borrow():
        with deadline(0.02), pytest.raises(QueueTimeout):
            await pool.aacquire()


async def test_no_more_wait_than_max_waiting(shop):
    """One more is refused at once."""
    async with make(shop, max_size=1, max_waiting=1) as pool:
        async with pool.borrow():
            waiting = asyncio.create_task(pool.aacquire())
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="1 wait already"):
                await pool.aacquire()
        (await waiting).release()


async def test_a_waiter_that_is_cancelled_leaves_the_line(shop):
    """And its turn goes to the next."""
    async with make(shop, max_size=1) as pool:
        async with pool.borrow():
            first, second = (asyncio.create_task(pool.aacquire()) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
            assert pool.stats().waiting == 1
        (await second).release()
        assert pool.stats().withdrawn == 1


async def test_a_hand_over_to_one_that_has_just_left_goes_to_the_next(shop):
    """The resource was given to a task that is cancelled before it can take it."""
    async with make(shop, max_size=1) as pool:
        lease = await pool.aacquire()
        first, second = (asyncio.create_task(pool.aacquire()) for _ in range(2))
        await asyncio.sleep(0)
        lease.release()  # it is the first one's from here on
        first.cancel()
        taken = await second

        assert first.cancelled()
        assert pool.stats().lent == 1
        taken.release()


async def test_a_waiter_that_is_thrown_away_leaves_the_line(shop):
    """A coroutine that is closed instead of being run to its end."""
    async with make(shop, max_size=1) as pool:
        async with pool.borrow():
            waiter = pool.aacquire()
            waiter.send(None)
            assert pool.stats().waiting == 1
            waiter.close()
            assert pool.stats().waiting == 0
        async with pool.borrow():
            pass


async def test_who_holds_all_and_asks_for_more_is_refused(shop):
    """Its block can't end before it gets what only the end of that block frees."""
    async with make(shop, max_size=2) as pool, pool.borrow(), pool.borrow():
        with pytest.raises(WouldDeadlock, match="holds all 2 itself") as caught:
            async with pool.borrow():
                pass
    assert len(caught.value.cycle) == 3


async def test_leases_that_somebody_else_may_give_back_are_no_deadlock(shop):
    """A dispatcher that holds them all waits until a worker is done."""
    async with make(shop, max_size=1) as pool:
        lease = await pool.aacquire()
        asyncio.get_running_loop().call_later(0.01, lease.release)
        (await pool.aacquire()).release()


# ---------------------------------------------------------------- the state of what comes back


@pytest.mark.parametrize("error", [ConnectionResetError, EOFError, asyncio.CancelledError])
async def test_a_resource_is_not_lent_again_after_an_error_that_spoils_it(shop, error):
    """Of the connection, or an interruption in the middle of an exchange."""
    async with make(shop) as pool:
        with pytest.raises(error):
            async with pool.borrow():
                raise error
        async with pool.borrow() as thing:
            assert thing.number == 1
        assert pool.stats().closed == {"discarded": 1}


async def test_other_errors_leave_it_in_use(shop):
    """A mistake in the block says nothing of the connection."""
    async with make(shop) as pool:
        with pytest.raises(ValueError, match="mine"):
            async with pool.borrow():
                raise ValueError("mine")
        async with pool.borrow() as thing:
            assert thing.number == 0


async def test_what_spoils_it_can_be_told(shop):
    """By ``keep_after``."""
    async with make(shop, keep_after=lambda error: isinstance(error, OSError)) as pool:
        for error, number in ((OSError, 0), (ValueError, 0), (OSError, 1)):
            with pytest.raises(error):
                async with pool.borrow() as thing:
                    assert thing.number == number
                    raise error


async def test_it_is_reset_before_it_is_lent_again(shop):
    """Also when somebody waits for it already."""
    async with make(shop, max_size=1, reset=shop.reset) as pool:
        for n in range(3):
            async with pool.borrow() as thing:
                assert thing.resets == n
        await asyncio.gather(*(use_once(pool) for _ in range(5)))
    assert shop.made[0].resets == 8


async def use_once(pool):
    async with pool.borrow():
        await asyncio.sleep(0)


async def test_what_cannot_be_reset_is_replaced(shop):
    """And nobody hears of it."""
    async with make(shop, max_size=1, reset=shop.reset) as pool:
        async with pool.borrow() as thing:
            thing.works = False
        async with pool.borrow() as other:
            assert other is not thing
        assert pool.stats().resets_failed == 1
        assert thing.closed


async def test_a_check_finds_what_has_broken_while_it_was_idle(shop):
    """All that do not work are closed, and the borrower gets one that does."""
    async with make(shop, max_size=3, check=shop.check) as pool:
        leases = [await pool.aacquire() for _ in range(3)]
        for lease in leases:
            lease.release()
        for thing in shop.made:
            thing.works = False
        async with pool.borrow() as thing:
            assert thing.number == 3
        stats = pool.stats()

    assert stats.checks_failed == 3
    assert stats.closed == {"broken": 3}
    assert stats.served == 4


async def test_only_what_has_been_idle_is_checked_if_asked_for(shop, fake_clock):
    """``check_after`` spares those that have just been in use."""
    async with make(shop, check=shop.check, check_after=5.0) as pool:
        async with pool.borrow():
            pass
        async with pool.borrow():
            pass
        assert shop.checks == 0
        fake_clock.advance(6)
        async with pool.borrow():
            pass
        assert shop.checks == 1


async def test_a_borrower_that_is_cancelled_in_a_check_leaves_nothing_lent():
    """A check on a thread can't be stopped, so it gives back itself what it has looked at."""
    started, go_on = threading.Event(), threading.Event()

    def check(thing):
        started.set()
        assert go_on.wait(20)
        return True

    async with ResourcePool(list, list.clear, max_size=1, check=check, descriptors=0) as pool:
        borrower = asyncio.create_task(pool.aacquire())
        await until(started.is_set)
        borrower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await borrower
        assert pool.stats().lent == 1  # truthfully: the check still uses it
        go_on.set()
        await until(lambda: pool.stats().size == 0)


# ---------------------------------------------------------------- opening that fails


async def test_an_opening_that_fails_is_tried_again_for_those_who_wait(shop):
    """They keep their place in line, and are served when it works again."""
    shop.fail = ConnectionRefusedError("nobody there")
    async with make(shop, max_size=2) as pool:
        waiting = [asyncio.create_task(pool.aacquire()) for _ in range(2)]
        await until(lambda: shop.attempts >= 1)
        shop.fail = None
        for lease in await asyncio.gather(*waiting):
            lease.release()
        assert pool.stats().open_failures >= 1


async def test_pauses_between_attempts_grow(blocking_shop, fake_clock):
    """No busy loop against a server that is down."""
    blocking_shop.fail = ConnectionRefusedError("nobody there")
    loop_time = []
    with make(blocking_shop, max_size=1) as pool:
        thread = threading.Thread(target=lambda: loop_time.append(refused(pool, 20.0)))
        thread.start()
        while thread.is_alive():
            fake_clock.advance(0.02)
            thread.join(0.002)

    # 0.1, 0.2, 0.4 ... and so on: eight attempts in 20 seconds, one or two more for the jitter.
    assert 6 <= blocking_shop.attempts <= 9
    assert isinstance(loop_time[0], QueueTimeout)


def refused(pool, timeout):
    try:
        pool.acquire(timeout=timeout).release()
    except QueueTimeout as error:
        return error
    return None


async def test_the_error_of_who_waited_in_vain_says_why_nothing_could_be_opened(shop):
    """With the last failure as its cause."""
    shop.fail = ConnectionRefusedError("nobody there")
    async with make(shop, timeout=0.05) as pool:
        with pytest.raises(QueueTimeout, match="nobody there") as caught:
            await pool.aacquire()
    assert caught.value.__cause__ is shop.fail


async def test_a_create_that_returns_nothing_is_a_mistake():
    """It is told, and not lent."""
    async with ResourcePool(lambda: None, timeout=0.1) as pool:
        with pytest.raises(QueueTimeout, match="create returned None"):
            await pool.aacquire()


async def test_a_create_that_returns_something_to_be_awaited_has_to_say_so():
    """A plain function may return a coroutine, with ``bound_to_loop=True``."""

    async def connect():
        return [1]

    async with ResourcePool(lambda: connect(), timeout=0.1) as pool:
        with pytest.raises(QueueTimeout, match="bound_to_loop=True"):
            await pool.aacquire()
    async with (
        ResourcePool(lambda: connect(), list.clear, bound_to_loop=True) as pool,
        pool.borrow() as found,
    ):
        assert found == [1]


# ---------------------------------------------------------------- times


async def test_what_was_not_needed_for_idle_timeout_is_closed(shop, fake_clock):
    """Down to ``min_size``: those that were in use meanwhile stay."""
    async with make(shop, max_size=4, min_size=1, idle_timeout=60.0) as pool:
        leases = [await pool.aacquire() for _ in range(4)]
        for lease in leases:
            lease.release()
        for _ in range(8):
            await pass_time(fake_clock, 10, pool)
            async with pool.borrow():  # one is needed all the time
                pass
        await until(lambda: pool.stats().size == 1)

        assert pool.stats().closed == {"idle": 3}
        assert len(shop.live) == 1


async def test_a_life_ends_while_it_is_idle(shop, fake_clock):
    """And not only when somebody gives it back."""
    async with make(shop, max_lifetime=100.0, idle_timeout=None) as pool:
        async with pool.borrow():
            pass
        await pass_time(fake_clock, 101, pool)
        await until(lambda: pool.stats().size == 0)
        assert pool.stats().closed == {"expired": 1}


async def test_a_life_ends_when_it_comes_back(shop, fake_clock):
    """It is not lent again, and nobody is interrupted."""
    async with make(shop, max_lifetime=100.0) as pool:
        async with pool.borrow() as thing:
            fake_clock.advance(101)
            assert not thing.closed
        await until(lambda: thing.closed)


async def test_lives_do_not_all_end_at_once(shop, fake_clock):
    """Up to 5 percent less than ``max_lifetime``, each another length."""
    async with make(shop, max_size=20, max_lifetime=100.0) as pool:
        leases = [await pool.aacquire() for _ in range(20)]
        ends = {lease._slot.expires_at - fake_clock.now() for lease in leases}
        for lease in leases:
            lease.release()

    assert len(ends) > 10
    assert all(95.0 <= end <= 100.0 for end in ends)


async def test_a_loan_that_lasts_is_reported_as_slow_then_as_leaked(shop, fake_clock, caplog):
    """With the line of the borrower; and as unleaked when it comes back."""
    caplog.set_level("INFO", logger="holdfast.track")
    async with make(shop, leak_after=(10.0, 60.0)) as pool:
        async with pool.borrow():
            await pass_time(fake_clock, 15, pool)
            await until(lambda: pool.stats().slow == 1)
            await pass_time(fake_clock, 60, pool)
            await until(lambda: pool.stats().leaked == 1)
            assert pool.stats().leaked_now == 1
            assert pool.holders()[0].leaked
        stats = pool.stats()

    assert (stats.unleaked, stats.leaked_now) == (1, 0)
    slow, leaked, back = [record.getMessage() for record in caplog.records]
    assert "slow" in slow
    assert "leaked?" in leaked
    assert "test_resource_pool.py" in leaked
    assert "unleaked" in back


async def test_a_lease_that_is_dropped_is_found(shop, caplog):
    """Its resource is closed, as nobody knows its state, and its line is logged."""
    async with make(shop, max_size=1) as pool:
        lease = await pool.aacquire()
        thing = lease.resource
        del lease
        async with pool.borrow() as other:
            assert other is not thing
        assert pool.stats().closed == {"lost": 1}
    assert "without having been given back" in caplog.text
    assert "test_resource_pool.py" in caplog.text


# ---------------------------------------------------------------- sizes and the end


async def test_resize_serves_those_who_now_fit(shop):
    """And closes what is too many as it comes back."""
    async with make(shop, max_size=1) as pool:
        first = await pool.aacquire()
        waiting = asyncio.create_task(pool.aacquire())
        await asyncio.sleep(0)
        pool.resize(2)
        second = await waiting
        pool.resize(1)
        second.release()
        await until(lambda: pool.stats().size == 1)
        first.release()
        assert pool.stats().closed == {"shrunk": 1}


async def test_close_refuses_those_who_wait_and_says_who_still_holds_what(shop):
    """It comes back within its time, and what is given back later is closed then."""
    pool = make(shop, max_size=1)
    lease = await pool.aacquire()
    waiting = asyncio.create_task(pool.aacquire())
    await asyncio.sleep(0)

    with pytest.raises(Leaked, match="1 of its resources are still in use") as caught:
        await pool.aclose(timeout=0.01)
    with pytest.raises(PoolClosed):
        await waiting
    with pytest.raises(PoolClosed):
        await pool.aacquire()
    assert "test_resource_pool.py" in caught.value.held[0]

    lease.release()
    await pool.aclose()
    assert shop.live == []


async def test_close_waits_for_what_is_lent(shop):
    """It is closed as soon as it comes back."""
    pool = make(shop)
    lease = await pool.aacquire()
    asyncio.get_running_loop().call_later(0.01, lease.release)

    await pool.aclose()

    assert shop.live == []
    assert pool.stats().size == 0


async def test_an_error_of_the_block_is_not_hidden_by_the_report(shop, monkeypatch):
    """The report becomes a note of it."""
    pool = make(shop)
    with pytest.raises(ValueError, match="mine") as caught:
        async with pool:
            lease = await pool.aacquire()
            monkeypatch.setattr(pool, "aclose", lambda: ResourcePool.aclose(pool, timeout=0.01))
            raise ValueError("mine")
    assert "still in use" in caught.value.__notes__[0]
    lease.release()
    monkeypatch.undo()
    await pool.aclose()


async def test_a_destroy_that_fails_frees_the_place_all_the_same(shop):
    """It is logged and counted."""
    shop.close_error = OSError("already gone")
    async with make(shop, max_size=1) as pool:
        (await pool.aacquire()).discard()
        async with pool.borrow():
            pass
        assert pool.stats().close_failures == 1


async def test_statistics_add_up_and_can_be_subtracted(shop):
    """What happened between two readings."""
    async with make(shop, max_size=1) as pool:
        async with pool.borrow():
            pass
        earlier = pool.stats()
        await asyncio.gather(*(use_once(pool) for _ in range(3)))
        between = pool.stats().since(earlier)

    assert (between.requests, between.served, between.opened) == (3, 3, 0)
    assert between.usage.count == 3
    assert between.wait.count == 3
    with pytest.raises(ValueError, match="not an earlier reading"):
        earlier.since(pool.stats())


# ---------------------------------------------------------------- descriptors


async def test_resources_are_drawn_from_the_descriptor_budget(shop):
    """As many as are open, not as many as there may be."""
    from holdfast.track import DESCRIPTORS

    async with make(shop, descriptors=3, max_size=5) as pool, pool.borrow(), pool.borrow():
        assert dict(DESCRIPTORS.holders())["pool 'db'"] == 6
    assert "pool 'db'" not in dict(DESCRIPTORS.holders())


async def test_without_descriptors_who_waits_is_told_so(shop, monkeypatch):
    """``UnderPressure``, with the holders; the same pool works again when there are some."""
    from holdfast.track import DESCRIPTORS

    monkeypatch.setattr(DESCRIPTORS, "_bound", lambda: 0)
    async with make(shop, descriptors=1, timeout=0.1) as pool:
        with pytest.raises(UnderPressure, match="descriptor"):
            await pool.aacquire()
        monkeypatch.undo()
        async with pool.borrow(timeout=5):
            pass


async def test_an_idle_resource_of_another_pool_makes_room(shop, monkeypatch):
    """So nobody waits for what nobody uses."""
    from holdfast.track import DESCRIPTORS

    bound = DESCRIPTORS.drawn + 1
    monkeypatch.setattr(DESCRIPTORS, "_bound", lambda: bound)
    async with make(shop, descriptors=1) as idle, make(shop, descriptors=1) as needy:
        async with idle.borrow():
            pass
        async with needy.borrow(timeout=10):
            assert idle.stats().closed == {"lent": 1}
