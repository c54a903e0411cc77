"""What can be told of a task: of one that is suspended all of it, of one that runs its own coroutine."""

import asyncio

from holdfast.pools._awaiting import chain, code_of


async def _told(task):
    """As seen from below a coroutine and a generator, all of which have been suspended before."""
    await asyncio.sleep(0)
    return [code_of(link).co_name for link in chain(task or asyncio.current_task())]


async def _generator(task):
    await asyncio.sleep(0)
    yield await _told(task)


async def _outer(task=None):
    await asyncio.sleep(0)
    (told,) = [told async for told in _generator(task)]
    return told


async def test_of_a_task_that_runs_its_own_coroutine_is_told():
    """CPython 3.12 would crash over the next question."""
    assert await asyncio.create_task(_outer()) == ["_outer"]


async def test_of_a_suspended_task_all_is_told():
    """Through an asynchronous generator, too."""
    gate = asyncio.Event()

    async def below():
        await gate.wait()
        yield

    async def above():
        async for _ in below():
            pass

    waiting = asyncio.create_task(above())
    await asyncio.sleep(0)

    told = await _outer(waiting)
    gate.set()
    await waiting

    assert told == ["above", "below", "wait"]
