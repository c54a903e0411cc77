"""Who has started this task, this thread, this call on a worker: the frames of the application.

Libraries open sockets in tasks of their own: there the stack ends at the event loop. The task that awaits
such a task stands still, and its coroutines keep their frames; so the walk goes on there, from task to
task. On a worker thread it goes on at the line that gave the call to the worker.
"""

import asyncio
import inspect
import threading
import weakref
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, Final, cast

from holdfast.adapters._patches import Patches
from holdfast.track._site import BEYOND, Frames, Site, caller, is_application

__all__ = ("STARTED_AT", "await_frames", "carry", "follow_callers", "parent_of")

_parents: dict[int, "weakref.ref[asyncio.Task[Any]]"] = {}
"""By the address of a task the one that made it. Written anew whenever an address is used again: cheaper
than an attribute, which costs each task a dictionary of its own."""

_MOST_PARENTS: Final = 100_000

STARTED_AT: Final = "_holdfast_frames"
"""The attribute of a thread that holds the frames of the line at which it was started; set by ``threads``."""

_OPTIONS: Final = ("name", "context")
_GENERATIONS: Final = 8
_FRAMES: Final = 3


class _Call(threading.local):
    site: Site | None = None  # of the class: to miss an attribute costs more than all else


_call = _Call()

_current_task: Callable[[Any], Any] = asyncio.current_task
if isinstance(asyncio.current_task, FunctionType):  # until 3.12; what it reads, C code keeps
    _tasks: Any = asyncio.tasks
    _current_task = _tasks._current_tasks.get  # noqa: SLF001 - a call less, for each task


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
    make, current = kind.create_task, _current_task
    refer: Any = weakref.ref
    parents, left = _parents, 0
    last: Any = _nobody

    def remember(loop: Any, task: Any) -> Any:
        nonlocal left, last
        parent = current(loop)
        if parent is None:
            parents.pop(id(task), None)
        else:
            of = last  # who makes a task most often makes another
            if of() is not parent:
                of = last = refer(parent)
            parents[id(task)] = of
        left -= 1
        if left <= 0:
            left = created()
            if len(parents) > _MOST_PARENTS:
                _forget_the_dead()
        return task

    # With the options by name, where they are known: to pass on whatever comes makes a dictionary.
    def create_task(self: Any, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        return remember(self, make(self, coro, name=name, context=context))

    def create_task_with(self: Any, coro: Any, **options: Any) -> Any:
        return remember(self, make(self, coro, **options))

    by_name = _options_of(make) == _OPTIONS
    patches.set(kind, "create_task", create_task if by_name else create_task_with)


def _options_of(function: Any) -> tuple[str, ...]:
    """The names of all its options, if it is written in Python and takes no others."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return ()
    first = code.co_argcount
    return tuple(code.co_varnames[first : first + code.co_kwonlyargcount])


def _nobody() -> None:
    return None


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
    site = _call.site
    if site is not None:
        return site.frames
    loop = asyncio._get_running_loop()  # noqa: SLF001 - documented for such as us
    if loop is None:
        thread = cast("Any", threading._active.get(threading.get_ident()))  # type: ignore[attr-defined] # noqa: SLF001
        return cast("Frames", getattr(thread, STARTED_AT, ()))
    task = _current_task(loop)
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
    # Of one that runs (an eager task's maker) CPython 3.12 can't be asked for more: it would crash.
    runs = getattr(coro, "cr_running", False) or getattr(coro, "gi_running", False)
    while coro is not None:
        for prefix in ("cr", "ag", "gi"):
            frame = getattr(coro, f"{prefix}_frame", None)
            if frame is not None:
                if is_application(frame.f_code):
                    frames.append((frame.f_code, frame.f_lasti))
                inner = "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await"
                coro = None if runs else getattr(coro, inner, None)
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
