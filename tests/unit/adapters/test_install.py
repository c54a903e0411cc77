"""Default executors and anyio's workers on the shared pool."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

import holdfast


@pytest.fixture(autouse=True)
def installed():
    holdfast.install()
    yield
    holdfast.uninstall()


def where() -> str:
    return threading.current_thread().name


def test_loops_share_one_pool():
    """Each loop that comes and goes uses the same threads, and closes nothing."""
    names = {asyncio.run(asyncio.to_thread(where)) for _ in range(3)}
    assert all(name.startswith("holdfast:default/") for name in names)


def test_an_executor_of_the_programs_own_is_kept():
    """``set_default_executor`` means what it says."""

    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1, "mine"))
        return await asyncio.to_thread(where)

    assert asyncio.run(main()).startswith("mine")


def test_the_end_of_a_loop_waits_for_its_calls():
    """What a loop has given away has ended when ``asyncio.run`` returns."""
    go, done = threading.Event(), threading.Event()

    def call() -> None:
        go.wait()
        done.set()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, call)
        go.set()

    asyncio.run(main())
    assert done.is_set()


def test_after_its_end_a_loops_executor_takes_no_call():
    """As the standard one."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(where)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError):
            loop.run_in_executor(None, where)

    asyncio.run(main())


def test_anyios_workers_are_of_the_pool_and_find_their_loop():
    """Results, errors, and calls back into the loop."""

    async def main() -> None:
        assert (await anyio.to_thread.run_sync(where)).startswith("holdfast:default/")
        assert await anyio.to_thread.run_sync(anyio.from_thread.run_sync, lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await anyio.to_thread.run_sync(lambda: 1 / 0)

    anyio.run(main)


def test_an_abandoned_call_of_anyio_holds_its_token_until_its_thread_has_ended():
    """So who gives up can't start threads beyond the limiter."""
    stop = threading.Event()

    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        def call() -> None:
            loop.call_soon_threadsafe(started.set)
            stop.wait()

        async with anyio.create_task_group() as group:

            async def abandoned() -> None:
                await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)

            group.start_soon(abandoned)
            await started.wait()
            group.cancel_scope.cancel()
        assert limiter.borrowed_tokens == 1
        stop.set()
        async with limiter:
            assert limiter.borrowed_tokens == 1

    anyio.run(main)


def test_uninstall_puts_back_what_was_there():
    """Names are those of before."""
    ours = asyncio.base_events.BaseEventLoop.run_in_executor
    holdfast.uninstall()
    theirs = asyncio.base_events.BaseEventLoop.run_in_executor
    holdfast.install()
    assert ours is not theirs
    assert theirs.__module__ == "asyncio.base_events"
    assert asyncio.base_events.BaseEventLoop.run_in_executor is not theirs
