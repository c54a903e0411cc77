"""``holdfast.sense.tasks``: the tasks of one loop."""

import asyncio

from holdfast.sense import task_reading


async def test_the_running_loops_tasks_are_counted():
    """Three more, and none of them once they are done."""
    before = task_reading().value
    release = asyncio.Event()
    tasks = [asyncio.create_task(release.wait()) for _ in range(3)]

    during = task_reading().value
    release.set()
    await asyncio.gather(*tasks)

    assert during == before + 3
    assert task_reading().value == before


async def test_another_thread_names_the_loop():
    """It has none of its own."""
    loop = asyncio.get_running_loop()

    without = await asyncio.to_thread(task_reading)
    named = await asyncio.to_thread(task_reading, loop)
    await loop.shutdown_default_executor()

    assert (without.value, without.note) == (
        None,
        "no event loop runs in this thread: give one",
    )
    assert named.value >= 1
