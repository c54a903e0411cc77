"""How many asyncio tasks an event loop has that are not done."""

import asyncio

from holdfast.sense.reading import Reading

__all__ = ("task_reading",)


def task_reading(loop: asyncio.AbstractEventLoop | None = None) -> Reading:
    """Return the number of tasks of one loop.

    May be called from any thread if the loop is given. It costs as much as ``asyncio.all_tasks``:
    some milliseconds for ten thousand tasks.

    Args:
        loop: Whose tasks; None is the running loop.

    Returns:
        The count, which nothing bounds; None with a note if no loop was given and none runs here.
    """
    name = "asyncio tasks"
    if loop is None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            note = "no event loop runs in this thread: give one"
            return Reading(name, None, "tasks", scope="event loop", note=note)
    return Reading(name, len(asyncio.all_tasks(loop)), "tasks", scope="event loop")
