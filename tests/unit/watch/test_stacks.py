"""Where threads and tasks stand."""

import asyncio
import json
import threading

from holdfast.watch.stacks import MOST_TASKS, stacks

WAIT = 10.0


def test_a_thread_is_shown_by_its_name_and_its_line():
    """The innermost frame first."""
    reached, stop = threading.Event(), threading.Event()

    def parked():
        reached.set()
        stop.wait(WAIT)

    thread = threading.Thread(target=parked, name="the-one")
    thread.start()
    reached.wait(WAIT)
    try:
        found = json.loads(json.dumps(stacks()))
    finally:
        stop.set()
        thread.join(WAIT)

    shown = next(each for each in found["threads"] if each["name"] == "the-one")
    lines = [line.rpartition(" in ")[2] for line in shown["stack"]]
    assert lines[0].endswith("wait")
    assert any("parked" in line for line in lines)


def test_tasks_of_a_loop_in_another_thread_are_shown_with_where_they_wait():
    """Of the coroutine that waits, not of the one that the task began with."""
    reached = threading.Event()
    done: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def inner():
        done.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        reached.set()
        await done[0].wait()

    async def outer():
        await asyncio.create_task(inner(), name="session-7")

    thread = threading.Thread(target=lambda: asyncio.run(outer()))
    thread.start()
    reached.wait(WAIT)
    try:
        found = stacks()
        while "Event.wait" not in str(found["tasks"]):
            found = stacks()  # it is on its way there
    finally:
        loops[0].call_soon_threadsafe(done[0].set)
        thread.join(WAIT)

    shown = next(each for each in found["tasks"] if each["name"] == "session-7")
    assert shown["stack"][0].endswith("in Event.wait")
    assert "inner" in shown["stack"][1]
    assert found["more_tasks"] == 0


async def test_of_very_many_tasks_the_first_are_shown_and_the_rest_is_counted():
    """An answer has an end."""
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(MOST_TASKS + 50)]
    await asyncio.sleep(0)
    try:
        found = stacks()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert len(found["tasks"]) == MOST_TASKS
    assert found["more_tasks"] == 51  # this one is a task too
