"""Where every thread, and every task of asyncio, of this process stands now: for people to read."""

import asyncio
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from holdfast.pools._awaiting import chain, frame_of
from holdfast.pools._deadlock_stacks import all_stacks, upwards
from holdfast.pools._deadlock_steady import STEADY

__all__ = ("MOST_TASKS", "stacks")

MOST_TASKS: Final = 1000
_MOST_FRAMES: Final = 40
_RUNS: Final = ("BaseEventLoop.run_forever", "Runner.run")


def stacks() -> dict[str, Any]:
    """Return the stack of each thread and each task, as JSON can hold it.

    Reads only, and may be called from any thread; what begins or ends meanwhile is told or not. Tasks are
    those of loops that run now. Of uvloop's loops only those are found that ``asyncio.run`` has started.

    Returns:
        ``"threads"`` and ``"tasks"``: for each its ``"name"`` and its ``"stack"``, lines of
        ``file:line in function``, the innermost first, at most 40; of tasks at most 1,000, and
        ``"more_tasks"`` says how many there are besides.

    Example:
        >>> any(each["name"] == "MainThread" for each in stacks()["threads"])
        True
    """
    names = {each.ident: each.name for each in threading.enumerate()}
    threads: list[dict[str, Any]] = []
    loops: dict[int, asyncio.AbstractEventLoop] = {}
    for ident, frame in all_stacks().items():
        frames = upwards(frame)
        threads.append({"name": names.get(ident, f"thread {ident}"), "stack": _lines(frames)})
        loops |= {id(loop): loop for loop in _loops(frames)}
    tasks = [task for loop in loops.values() for task in _tasks(loop)]
    return {
        "threads": sorted(threads, key=lambda each: each["name"]),
        "tasks": [_told(task) for task in tasks[:MOST_TASKS]],
        "more_tasks": max(0, len(tasks) - MOST_TASKS),
    }


def _lines(frames: list[FrameType]) -> list[str]:
    return [
        f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        for frame in frames[:_MOST_FRAMES]
    ]


def _loops(frames: list[FrameType]) -> Iterator[asyncio.AbstractEventLoop]:
    """The loops that a thread runs, by its stack."""
    for frame in frames:
        if frame.f_code.co_qualname in _RUNS and "asyncio" in frame.f_code.co_filename:
            with STEADY:
                owner = frame.f_locals.get("self")
            loop = getattr(owner, "_loop", owner)
            if isinstance(loop, asyncio.AbstractEventLoop):
                yield loop


def _tasks(loop: asyncio.AbstractEventLoop) -> "list[asyncio.Task[Any]]":
    try:
        return sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    except RuntimeError:  # they come and go too quickly to be listed from another thread
        return []


def _told(task: "asyncio.Task[Any]") -> dict[str, Any]:
    frames = [frame for link in reversed(chain(task)) if (frame := frame_of(link)) is not None]
    return {"name": task.get_name(), "stack": _lines(frames)}
