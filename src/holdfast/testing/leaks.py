"""What a process holds, before a test and after it."""

import asyncio
import gc
import multiprocessing
import threading
from pathlib import Path

from holdfast._core import clock
from holdfast.testing._held import let_go

__all__ = ("assert_no_leaks", "holdings")


def holdings() -> dict[str, str]:
    """Return the threads, child processes, descriptors and tasks that this process has now."""
    let_go()
    held = {f"thread {thread.ident}": thread.name for thread in threading.enumerate()}
    held |= {f"child {child.pid}": child.name for child in multiprocessing.active_children()}
    for fd in Path("/dev/fd").iterdir():
        try:
            held[f"descriptor {fd.name}"] = str(fd.readlink())
        except OSError:  # the one that listdir itself had open, or not a link on this system
            continue
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return held
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    return held | {f"task {id(task)}": repr(task) for task in others}


def assert_no_leaks(before: dict[str, str], *, patience: float = 5.0) -> None:
    """Fail if more is held than :func:`holdings` found ``before``.

    Threads that are about to end get ``patience`` seconds (real ones) to do so.

    Raises:
        AssertionError: Names each thing that was left behind.
    """
    system = clock.SystemClock()
    give_up = system.now() + patience
    while True:
        left = {key: what for key, what in holdings().items() if before.get(key) != what}
        if not left:
            return
        if system.now() >= give_up:
            msg = "left behind: " + "; ".join(f"{key} ({what})" for key, what in left.items())
            raise AssertionError(msg)
        gc.collect()
        system.sleep(0.002)
