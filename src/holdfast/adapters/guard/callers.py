"""Who has started this task, this thread, this call on a worker: the frames of the application.

Libraries open sockets in tasks of their own: there the stack ends at the event loop. The task that awaits
such a task stands still, and its coroutines keep their frames; so the walk goes on there, from task to
task. On a worker thread it goes on at the line that gave the call to the worker.
"""

import asyncio
import threading
import weakref
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, cast

from holdfast.adapters._patches import Patches
from holdfast.track._site import BEYOND, Frames, Site, caller, is_application

__all__ = ("STARTED_AT", "await_frames", "carry", "follow_callers", "parent_of")

_parents: dict[int, "weakref.ref[asyncio.Task[Any]]"] = {}
"""By the address of a task the one that made it. Written anew whenever an address is used again: cheaper
than an attribute, which costs each task a dictionary of its own."""

_MOST_PARENTS: Final = 100_000

STARTED_AT: Final = "_holdfast_site"
"""The attribute of a thread that holds the line at which it was started."""

_GENERATIONS: Final = 8
_FRAMES: Final = 3

_call = threading.local()


def follow_callers(patches: Patches, created: Callable[[], int]) -> None:
    """Let :func:`~holdfast.track._site.caller` go on where a task or a thread begins.

    Args:
        patches: Where to note what is replaced.
        created: Called now and then as tasks are made; returns at the how manieth to call it again.
    """
    _remember_parents(patches, BaseEventLoop, created)
    patches.after_import("uvloop", lambda module: _uvloop(patches, module, created))
    if beyond not in BEYOND:
        BEYOND.append(beyond)


def _uvloop(patches: Patches, module: ModuleType, created: Callable[[], int]) -> None:
    _remember_parents(patches, module.Loop, created)


def _remember_parents(patches: Patches, kind: Any, created: Callable[[], int]) -> None:
    make, current, refer = kind.create_task, asyncio.current_task, weakref.ref
    parents, left = _parents, 0

    def create_task(self: Any, coro: Any, **options: Any) -> Any:
        nonlocal left
        task = make(self, coro, **options) if options else make(self, coro)
        parent = current(self)
        if parent is not None:
            parents[id(task)] = refer(parent)
        else:
            parents.pop(id(task), None)
        left -= 1
        if left <= 0:
            left = created()
            if len(parents) > _MOST_PARENTS:
                _forget_the_dead()
        return task

    patches.set(kind, "create_task", create_task)


def _forget_the_dead() -> None:
    for address, refer in list(_parents.items()):
        if refer() is None:
            _parents.pop(address, None)


def parent_of(task: Any) -> Any:
    """Return the task that made a task, or None."""
    refer = _parents.get(id(task))
    return None if refer is None else refer()


def beyond() -> Frames:
    """Return the application's frames of whoever has started this task, call or thread."""
    site: Site | None = getattr(_call, "site", None)
    if site is not None:
        return site.frames
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        thread = cast("Any", threading._active.get(threading.get_ident()))  # type: ignore[attr-defined] # noqa: SLF001
        site = getattr(thread, STARTED_AT, None)
        return () if site is None else site.frames
    return () if task is None else await_frames(parent_of(task))


def await_frames(task: Any) -> Frames:
    """Return where a task stands in the application, or else the nearest of those that made it."""
    for _ in range(_GENERATIONS):
        if task is None:
            break
        frames = _chain(task.get_coro())
        if frames:
            return frames
        task = parent_of(task)
    return ()


def _chain(coro: Any) -> Frames:
    frames: list[Any] = []
    while coro is not None:
        for prefix in ("cr", "ag", "gi"):
            frame = getattr(coro, f"{prefix}_frame", None)
            if frame is not None:
                if is_application(frame.f_code):
                    frames.append((frame.f_code, frame.f_lasti))
                coro = getattr(coro, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await", None)
                break
        else:
            break
    return tuple(reversed(frames[-_FRAMES:]))


def carry(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[[], Any]:
    """Return a call that knows, on a worker, the line at which it was given away: here."""
    site = caller()

    def call() -> Any:
        _call.site = site
        try:
            return fn(*args, **kwargs)
        finally:
            _call.site = None

    return call
