"""Calls of pools with an idempotency key."""

import asyncio
import concurrent.futures
import threading

import pytest

import holdfast
from holdfast.errors import Aborted, CallTimeout, PoolClosed, QueueFull, WouldDeadlock
from holdfast.flow.idempotency import Idempotent, MemoryStore, SQLiteStore
from holdfast.flow.single_flight import SingleFlight


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    """A store of each kind."""
    store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "calls.db")
    yield store
    store.close()


@pytest.fixture
def once(store):
    """Calls that are run once, as far as the store remembers."""
    with Idempotent(store) as once:
        yield once


class Count:
    """Functions that count their calls."""

    def __init__(self):
        self.seen = []

    async def double(self, n):
        """As a coroutine."""
        self.seen.append(n)
        await asyncio.sleep(0)
        return n * 2

    def double_sync(self, n):
        """In a thread."""
        self.seen.append(n)
        return n * 2


async def until(condition):
    """Let the loop turn until something is so."""
    while not condition():
        await asyncio.sleep(0)


# ---------------------------------------------------------------- run


def test_a_retry_gets_the_recorded_outcome(once):
    """In both kinds of pools, one after the other, over views with other options."""
    count = Count()

    async def main():
        async with (
            holdfast.AsyncPool(2, idempotency=once) as pool,
            holdfast.ThreadPool(2, idempotency=once) as threads,
        ):
            first = pool.options(idempotency_key="a")
            again = threads.options(timeout=5).options(idempotency_key="a")
            other = threads.options(idempotency_key="b").options(timeout=5)
            return [
                await first.run(count.double, 1),
                await again.run(count.double_sync, 1),
                await other.run(count.double_sync, 2),
                await other.run(count.double_sync, 2),
                await other.options(idempotency_key=None).run(count.double_sync, 2),
            ]

    assert asyncio.run(main()) == [2, 2, 4, 4, 4]
    assert count.seen == [1, 2, 2]


def test_duplicates_take_one_permit_and_share_the_result(once):
    """Of ten calls at one time nine wait outside of the pool, where they take neither permit nor place."""

    async def main():
        release, places = asyncio.Event(), []

        async def work():
            places.append((pool.stats().in_flight, pool.stats().queued))
            await release.wait()
            return object()

        async with holdfast.AsyncPool(1, max_queue=0, overflow="reject", idempotency=once) as pool:
            keyed = pool.options(idempotency_key="k")
            calls = [asyncio.ensure_future(keyed.run(work)) for _ in range(10)]
            await until(lambda: places and once.flight.stats().waiting == 10)
            release.set()
            results = await asyncio.gather(*calls)
        return results, places

    results, places = asyncio.run(main())
    assert all(result is results[0] for result in results)
    assert places == [(1, 0)]


def test_a_recorded_outcome_needs_no_permit(once):
    """It comes although the pool is full."""
    count = Count()

    async def main():
        release = asyncio.Event()
        async with holdfast.AsyncPool(1, idempotency=once) as pool:
            keyed = pool.options(idempotency_key="k")
            await keyed.run(count.double, 1)
            keeps = asyncio.ensure_future(pool.run(release.wait))
            await until(lambda: pool.stats().in_flight == 1)
            found = await keyed.run(count.double, 1)
            release.set()
            await keeps
            return found

    assert asyncio.run(main()) == 2
    assert count.seen == [1]


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_a_call_that_left_the_line_is_not_said_to_have_started(once, store, kind):
    """Its start is noted under its permit, which it never had; a retry runs."""
    count = Count()

    async def main():
        release = threading.Event()
        with holdfast.ThreadPool(1, idempotency=once) as threads:
            async with holdfast.AsyncPool(1, idempotency=once) as coroutines:
                pool = coroutines if kind == "async" else threads
                fn = count.double if kind == "async" else count.double_sync
                free = asyncio.Event()
                keeps = (
                    coroutines.run(free.wait) if kind == "async" else threads.run(release.wait, 20)
                )
                keeps = asyncio.ensure_future(keeps)
                await until(lambda: pool.stats().in_flight == 1)
                call = asyncio.ensure_future(pool.options(idempotency_key="k").run(fn, 3))
                await until(lambda: pool.stats().queued == 1)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await until(lambda: once.flight.stats().ending == 0)
                known = store.get("k")
                free.set()
                release.set()
                await keeps
                return known, await pool.options(idempotency_key="k").run(fn, 3)

    assert asyncio.run(main()) == (None, 6)
    assert count.seen == [3]


def test_a_call_that_was_cancelled_as_it_ran_stays_started(once, store):
    """It may have had effects: a retry is told; with unfinished="repeat" it runs again."""

    async def main():
        began = asyncio.Event()

        async def work():
            began.set()
            await asyncio.sleep(3600)

        async with holdfast.AsyncPool(1, idempotency=once) as pool:
            keyed = pool.options(idempotency_key="k")
            call = asyncio.ensure_future(keyed.run(work))
            await began.wait()
            call.cancel()
            await asyncio.wait([call])
            with pytest.raises(Aborted, match="has left no outcome"):
                await keyed.run(Count().double, 1)
        with Idempotent(store, unfinished="repeat") as repeats:
            async with holdfast.AsyncPool(1, idempotency=repeats) as pool:
                return await pool.options(idempotency_key="k").run(Count().double, 1)

    assert asyncio.run(main()) == 2


def test_a_thread_that_outlives_its_timeout_still_records_its_outcome(once, store):
    """The caller has its CallTimeout; the retry after the end gets the result and runs nothing."""

    async def main():
        release, runs = threading.Event(), []

        def work():
            runs.append(1)
            release.wait(20)
            return "late"

        with holdfast.ThreadPool(1, idempotency=once) as pool:
            keyed = pool.options(idempotency_key="k", timeout=0.02)
            with pytest.raises(CallTimeout):
                await keyed.run(work)
            (stuck,) = pool.abandoned()
            with pytest.raises(Aborted):
                await keyed.run(work)
            release.set()
            await until(lambda: store.get("k").state == "done")
            return await keyed.run(work), runs, stuck.function

    value, runs, name = asyncio.run(main())
    assert (value, runs) == ("late", [1])
    assert "work" in name


def test_a_coroutine_that_ran_into_its_timeout_stays_started(once, store):
    """It was cancelled in the midst of its work."""

    async def main():
        async with holdfast.AsyncPool(1, idempotency=once, timeout=0.02) as pool:
            with pytest.raises(CallTimeout):
                await pool.options(idempotency_key="k").run(asyncio.sleep, 3600)
        return store.get("k").state

    assert asyncio.run(main()) == "started"


def test_a_call_that_the_pool_refuses_leaves_nothing(once, store):
    """It never started, so the retry runs."""

    async def main():
        release = asyncio.Event()
        async with holdfast.AsyncPool(1, max_queue=0, overflow="reject", idempotency=once) as pool:
            keeps = asyncio.ensure_future(pool.run(release.wait))
            await until(lambda: pool.stats().in_flight == 1)
            with pytest.raises(QueueFull):
                await pool.options(idempotency_key="k").run(Count().double, 1)
            known = store.get("k")
            release.set()
            await keeps
            return known, await pool.options(idempotency_key="k").run(Count().double, 1)

    assert asyncio.run(main()) == (None, 2)


def test_an_error_of_the_function_is_not_kept_unless_asked_for(store):
    """By default a retry runs; with keep_errors it gets one like the recorded error."""
    runs = []

    async def fails():
        runs.append(1)
        raise KeyError("x")

    async def main(once):
        async with holdfast.AsyncPool(1, idempotency=once) as pool:
            for _ in range(2):
                with pytest.raises(KeyError, match="x"):
                    await pool.options(idempotency_key="k").run(fails)

    with Idempotent(store) as once:
        asyncio.run(main(once))
    assert len(runs) == 2
    with Idempotent(store, keep_errors=True) as once:
        asyncio.run(main(once))
    assert len(runs) == 3


def test_a_later_process_gets_the_outcome(tmp_path):
    """With a store in a file the pool of another process finds it."""
    count = Count()
    for _ in range(2):
        with (
            SQLiteStore(tmp_path / "calls.db") as store,
            Idempotent(store) as once,
            holdfast.ThreadPool(1, idempotency=once) as pool,
        ):
            assert pool.options(idempotency_key="k").submit(count.double_sync, 4).result() == 8
    assert count.seen == [4]


# ---------------------------------------------------------------- keys and options


def test_a_key_made_of_the_arguments_serves_wrap_gather_and_stream(once):
    """Each item has its own, so duplicates among the items run once."""
    count = Count()

    async def main():
        async with holdfast.AsyncPool(2, idempotency=once) as pool:
            keyed = pool.options(idempotency_key=lambda n: f"n-{n}")
            wrapped = keyed.wrap(count.double)
            return [
                await wrapped(5),
                await wrapped(5),
                await keyed.gather(count.double, [1, 2, 1, 5]),
                [n async for n in keyed.stream(count.double, iter([3, 1, 3]), limit=1)],
                [
                    (o.index, o.value)
                    async for o in keyed.stream(count.double, [7, 1], outcomes=True)
                ],
            ]

    assert asyncio.run(main()) == [10, 10, [2, 4, 2, 10], [6, 2, 6], [(0, 14), (1, 2)]]
    assert sorted(count.seen) == [1, 2, 3, 5, 7]


def test_blocking_code_streams_with_keys_as_well(once):
    """A thread pool's stream in a plain loop, and wrap_sync."""
    count = Count()
    with holdfast.ThreadPool(2, idempotency=once) as pool:
        keyed = pool.options(idempotency_key=lambda n: f"n-{n}")
        assert keyed.wrap_sync(count.double_sync)(2) == 4
        assert list(keyed.stream(count.double_sync, [1, 2, 3, 1])) == [2, 4, 6, 2]
    assert sorted(count.seen) == [1, 2, 3]


def test_one_key_for_all_items_of_a_stream_is_refused(once):
    """All items would get the outcome of the first."""
    with (
        holdfast.ThreadPool(1, idempotency=once) as pool,
        pytest.raises(ValueError, match="the key of one call"),
    ):
        pool.options(idempotency_key="k").stream(int, ["1", "2"])


def test_a_stream_whose_items_join_a_run_in_line_does_not_keep_it_there(once):
    """The run waits for the pool's only permit, which no item that joined it holds."""

    async def main():
        release = asyncio.Event()
        count = Count()
        async with holdfast.AsyncPool(1, idempotency=once) as pool:
            keyed = pool.options(idempotency_key=lambda n: f"n-{n}")
            keeps = asyncio.ensure_future(pool.run(release.wait))
            leader = asyncio.ensure_future(keyed.run(count.double, 1))
            await until(lambda: pool.stats().queued == 1)
            items = asyncio.ensure_future(keyed.gather(count.double, [1, 1, 1]))
            await until(lambda: once.flight.stats().waiting >= 2)
            release.set()
            return await leader, await items, await keeps, count.seen

    assert asyncio.run(main()) == (2, [2, 2, 2], True, [1])


def test_what_a_key_needs_is_said():
    """A pool without memory, a store in the place of an Idempotent, a key that is none."""
    with Idempotent(MemoryStore()) as once, holdfast.ThreadPool(1, name="db") as plain:
        with pytest.raises(ValueError, match=r"pool 'db' has no place .* idempotency=Idempotent"):
            plain.options(idempotency_key="k")
        for kind in (holdfast.ThreadPool, holdfast.AsyncPool):
            with pytest.raises(TypeError, match=r"Idempotent\(MemoryStore\(...\)\)"):
                kind(1, idempotency=MemoryStore())
        with holdfast.ThreadPool(1, idempotency=once) as pool:
            with pytest.raises(TypeError, match="must be a string, or a function"):
                pool.options(idempotency_key=17)
            with pytest.raises(TypeError, match="must be a string"):
                pool.options(idempotency_key=lambda n: n).submit(int, 1)


def test_sizes_are_told_from_the_callers_arguments(once):
    """What the pool is given has the function's own arguments."""
    seen = []

    def size(*args):
        seen.append(args)
        return 1

    with holdfast.ThreadPool(1, idempotency=once, max_queue_bytes=10, sizeof=size) as pool:
        pool.options(idempotency_key="k").submit(pow, 2, 3).result()
    assert seen == [(2, 3)]


# ---------------------------------------------------------------- submit


def test_each_submitter_has_a_future_of_its_own(once):
    """One that is cancelled touches nobody else, whoever came first."""
    release, runs = threading.Event(), []

    def work():
        runs.append(1)
        release.wait(20)
        return object()

    with holdfast.ThreadPool(1, idempotency=once) as pool:
        keyed = pool.options(idempotency_key="k")
        futures = [keyed.submit(work) for _ in range(4)]
        assert futures[0].cancel()
        assert futures[2].cancel()
        release.set()
        assert futures[1].result(20) is futures[3].result(20)
        assert futures[0].cancelled()
        assert not futures[1].cancel()
    assert runs == [1]
    assert once.flight.stats().left == 2


def test_the_last_to_leave_takes_a_waiting_call_with_it(once, store):
    """It leaves the pool's line and never runs."""
    release = threading.Event()
    with holdfast.ThreadPool(1, idempotency=once) as pool:
        keeps = pool.submit(release.wait, 20)
        futures = [pool.options(idempotency_key="k").submit(int) for _ in range(2)]
        assert pool.stats().queued == 1
        assert [future.cancel() for future in futures] == [True, True]
        assert pool.stats().queued == 0
        assert once.flight.stats().in_flight == 0
        release.set()
        keeps.result()
    assert store.get("k") is None


def test_a_running_thread_that_everyone_left_records_its_outcome(once, store):
    """It can't be stopped; the flight counts it as ending, and what it returns is kept."""
    release, began = threading.Event(), threading.Event()

    def work():
        began.set()
        release.wait(20)
        return 5

    with holdfast.ThreadPool(1, idempotency=once) as pool:
        future = pool.options(idempotency_key="k").submit(work)
        assert began.wait(20)
        assert future.cancel()
        assert once.flight.stats().ending == 1
        release.set()
    assert store.get("k").value == 5
    assert once.flight.stats().ending == 0


def test_an_error_reaches_each_submitter_as_its_own():
    """The first gets it as it was raised, the others one like it with the original as cause."""
    release = threading.Event()

    def fails():
        release.wait(20)
        raise KeyError("x")

    with Idempotent(MemoryStore()) as once, holdfast.ThreadPool(1, idempotency=once) as pool:
        futures = [pool.options(idempotency_key="k").submit(fails) for _ in range(3)]
        release.set()
        first, *rest = [future.exception(20) for future in futures]
    assert len({id(error) for error in (first, *rest)}) == 3
    assert [error.__cause__ for error in rest] == [first, first]


def test_a_submission_that_is_refused_raises_and_tells_those_who_joined(once):
    """The pool is full; the flight is free again."""
    release = threading.Event()
    with holdfast.ThreadPool(1, max_queue=0, overflow="reject", idempotency=once) as pool:
        keeps = pool.submit(release.wait, 20)
        with pytest.raises(QueueFull):
            pool.options(idempotency_key="k").submit(int)
        assert once.flight.stats().in_flight == once.flight.stats().waiting == 0
        release.set()
        keeps.result()
    with pytest.raises(PoolClosed):
        pool.options(idempotency_key="k").submit(int)


def test_coroutines_submit_and_await(once):
    """In a loop, and from blocking code by the loop that pools share."""
    count = Count()

    async def main(pool):
        futures = [pool.options(idempotency_key="k").submit(count.double, 1) for _ in range(3)]
        return [await future for future in futures]

    with holdfast.AsyncPool(1, idempotency=once) as pool:
        assert asyncio.run(main(pool)) == [2, 2, 2]
        assert pool.options(idempotency_key="b").submit(count.double, 3).result(20) == 6
        assert pool.options(idempotency_key="b").submit(count.double, 3).result(20) == 6
    assert count.seen == [1, 3]


def test_a_submitters_time_is_its_own():
    """The flight's timeout ends the wait of a future, and not the work, while another one waits."""
    release = threading.Event()
    with (
        Idempotent(MemoryStore(), flight=SingleFlight(timeout=0.05)) as once,
        holdfast.ThreadPool(1, idempotency=once) as pool,
    ):
        future = pool.options(idempotency_key="k").submit(release.wait, 20)
        with pytest.raises(CallTimeout, match=r"after a timeout of 0.05 s"):
            future.result(20)
        assert once.flight.stats().timeouts == 1
        release.set()


def test_a_call_that_the_pool_takes_out_of_its_line_aborts_the_run(once, store):
    """The first submitter is cancelled like its call; those who joined are told, and nothing has started."""
    release = threading.Event()
    with holdfast.ThreadPool(1, idempotency=once) as pool:
        pool.submit(release.wait, 20)
        first, second = (pool.options(idempotency_key="k").submit(int) for _ in range(2))
        pool.shutdown(wait=False, cancel_futures=True)
        assert first.cancelled()
        assert isinstance(second.exception(20), Aborted)
        release.set()
    assert store.get("k") is None


def test_a_flight_that_closes_while_a_submission_is_blocked_takes_it_back(once, store):
    """Its place comes too late: the call is cancelled, and its future says why."""
    release, futures = threading.Event(), []
    with holdfast.ThreadPool(1, max_queue=0, idempotency=once) as pool:
        keeps = pool.submit(release.wait, 20)
        keyed = pool.options(idempotency_key="k")
        blocked = threading.Thread(target=lambda: futures.append(keyed.submit(int)))
        blocked.start()
        while pool.stats().blocked == 0:
            blocked.join(0.001)
        once.flight.close()
        release.set()
        blocked.join(20)
        keeps.result()
        with pytest.raises(Aborted, match="the flight was closed"):
            futures[0].result(20)
    assert once.flight.stats().ending == 0


def test_a_call_may_wait_for_another_key(once):
    """The wait is noted for as long as it lasts, in threads and in coroutines."""

    async def main():
        async with (
            holdfast.AsyncPool(2, idempotency=once) as pool,
            holdfast.ThreadPool(2, idempotency=once) as threads,
        ):
            leaf = threads.options(idempotency_key="leaf")

            def blocks():
                return leaf.submit(int, "4").result(20)

            async def awaits():
                return await leaf.submit(int, "5")

            return [
                await threads.options(idempotency_key="a").run(blocks),
                await pool.options(idempotency_key="b").run(awaits),
            ]

    assert asyncio.run(main()) == [4, 4]


def test_waiting_for_several_futures_at_once(once):
    """concurrent.futures.wait and as_completed take them like any other."""
    with holdfast.ThreadPool(2, idempotency=once) as pool:
        keyed = pool.options(idempotency_key=lambda n: f"n-{n}")
        futures = [keyed.submit(Count().double_sync, n % 3) for n in range(9)]
        done, _ = concurrent.futures.wait(futures, 20)
        assert len(done) == 9
        assert sorted(one.result() for one in concurrent.futures.as_completed(futures)) == [
            0, 0, 0, 2, 2, 2, 4, 4, 4,
        ]  # fmt: skip


# ---------------------------------------------------------------- waits that would never end


def test_a_worker_that_waits_for_its_own_full_pool_by_key_is_told(once):
    """The search for deadlocks sees through the key's future."""
    with holdfast.ThreadPool(1, idempotency=once) as pool:
        keyed = pool.options(idempotency_key="inner")

        def outer():
            return keyed.submit(int).result()

        with pytest.raises(WouldDeadlock):
            pool.submit(outer).result(20)


def test_a_coroutine_that_waits_for_its_own_full_pool_by_key_is_told(once):
    """Awaited or submitted."""

    async def main():
        async with holdfast.AsyncPool(1, idempotency=once) as pool:
            keyed = pool.options(idempotency_key=lambda n: f"n-{n}")

            async def runs():
                return await keyed.run(Count().double, 1)

            async def submits():
                return await keyed.submit(Count().double, 2)

            for fn in (runs, submits):
                with pytest.raises(WouldDeadlock):
                    await pool.run(fn)

    asyncio.run(main())


def test_a_call_that_waits_for_its_own_key_is_told(once):
    """Over run and over submit, in threads."""
    with holdfast.ThreadPool(3, idempotency=once) as pool:
        keyed = pool.options(idempotency_key="k")

        def again():
            return keyed.submit(int).result()

        with pytest.raises(WouldDeadlock, match="run 'k'"):
            keyed.submit(again).result(20)
        with pytest.raises(WouldDeadlock, match="run 'k'"):
            asyncio.run(keyed.run(again))


def test_a_loop_that_would_stand_still_for_its_own_call_is_told(once):
    """result() in the loop that has to run the coroutine."""

    async def main():
        async with holdfast.AsyncPool(1, idempotency=once) as pool:
            future = pool.options(idempotency_key="k").submit(asyncio.sleep, 0, 1)
            with pytest.raises(WouldDeadlock, match="stand still"):
                future.result()
            return await future

    assert asyncio.run(main()) == 1
