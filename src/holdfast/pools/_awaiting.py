"""What a task waits for, and who waits for a future: read from asyncio's own objects.

Purpose: let the search for deadlocks follow the waits of coroutines without any record of them.

Guarantees: reads only, takes no lock, runs no code of the user, and may be called from any thread. An
answer of None means "can't be told", and so that the task may go on by itself; nobody is ever said to
wait for less than he does. Who is said to wait for a future is a guess that :func:`awaited` has to
confirm.

Known here: a task that is awaited, ``gather``, ``TaskGroup`` (anyio's too), ``wait``, ``wait_for``,
``shield``, ``as_completed``, ``wrap_future`` and ``run_coroutine_threadsafe``, from CPython 3.11 on. All
else (a queue, an event, a lock, a socket) can't be told.

Sources: ``asyncio/tasks.py``, ``taskgroups.py`` and ``futures.py`` of CPython.
"""

import asyncio
import concurrent.futures
import functools
import gc
import math
import os
from collections.abc import Callable, Iterable, Iterator
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

__all__ = (
    "RUNS_LOOP",
    "Link",
    "awaited",
    "awaiters",
    "callback_owners",
    "chain",
    "chained_task",
    "code_of",
    "follow",
    "frame_of",
    "is_asyncio",
    "is_concurrent",
    "is_task",
    "of_a_run",
    "seconds_left",
)

if TYPE_CHECKING:
    Link = (
        CoroutineType[Any, Any, Any] | GeneratorType[Any, Any, Any] | AsyncGeneratorType[Any, Any]
    )
else:  # can't be subscripted before CPython 3.13
    Link = CoroutineType | GeneratorType | AsyncGeneratorType
"""One coroutine, or what is like one, of those that a task is made of."""

RUNS_LOOP: Final = object()
"""Who waits for the task that a loop was started for: the thread that runs the loop."""

_RUNS: Final = ("_run_until_complete_cb", "run_until_complete.<locals>.done_cb")
"""What hears of the end of the task that a loop was started for: asyncio's, uvloop's."""

_DEEPEST: Final = 1000
_ASYNCIO: Final = os.path.dirname(asyncio.__file__)  # noqa: PTH120 - pathlib takes milliseconds to import

# Between an asynchronous generator, or the iterator of a coroutine, and who awaits it.
_BETWEEN: Final = frozenset(
    ("anext_awaitable", "async_generator_asend", "async_generator_athrow", "coroutine_wrapper")
)


def is_task(one: object) -> "TypeGuard[asyncio.Task[Any]]":
    """Whether ``one`` is a task."""
    return isinstance(one, asyncio.Task)


def is_asyncio(one: object) -> "TypeGuard[asyncio.Future[Any]]":
    """Whether ``one`` is a future of a loop, or a task."""
    return isinstance(one, asyncio.Future)


def is_concurrent(one: object) -> "TypeGuard[concurrent.futures.Future[Any]]":
    """Whether ``one`` is a future of a thread, ours or another."""
    return isinstance(one, concurrent.futures.Future)


# ---------------------------------------------------------------- the inside of a task


def chain(task: "asyncio.Task[Any]") -> list[Link]:
    """What a suspended task is made of, from its own coroutine to the one that waits.

    Of one that runs, its own coroutine alone: the rest is on the stack of its thread.
    """
    links: list[Link] = []
    root: Any = task.get_coro()
    one: object = root
    while one is not None and len(links) < _DEEPEST:
        if _is_link(one):
            links.append(one)
            one = _next(one, root)
        elif type(one).__name__ in _BETWEEN:
            one = next((part for part in gc.get_referents(one) if _is_link(part)), None)
        else:
            break
    return links


def _is_link(one: object) -> TypeGuard[Link]:
    return isinstance(one, (CoroutineType, GeneratorType, AsyncGeneratorType))


def _next(link: Link, root: Any) -> object:
    """What ``link`` waits for, in the task that begins with ``root``; None while that runs.

    CPython 3.12 crashes when it is asked what a coroutine that runs waits for. Whether it runs is asked
    without a call in between, during which the interpreter might go to the thread that runs it.
    """
    if type(root) is CoroutineType:
        if isinstance(link, CoroutineType):
            return None if root.cr_running else link.cr_await
        if isinstance(link, GeneratorType):
            return None if root.cr_running else link.gi_yieldfrom
        return None if root.cr_running else link.ag_await
    if isinstance(link, CoroutineType):
        return None if link.cr_running else link.cr_await
    if isinstance(link, GeneratorType):
        return None if link.gi_running else link.gi_yieldfrom
    return None  # inside of a coroutine that somebody else has written: it can't be told


def code_of(link: Link) -> CodeType:
    """The code of a link; does not make a frame, as asking for that would."""
    if isinstance(link, CoroutineType):
        return link.cr_code
    return link.gi_code if isinstance(link, GeneratorType) else link.ag_code


def frame_of(link: Link) -> FrameType | None:
    """The frame of a link; None once it has ended."""
    if isinstance(link, CoroutineType):
        return link.cr_frame
    return link.gi_frame if isinstance(link, GeneratorType) else link.ag_frame


def seconds_left(task: "asyncio.Task[Any]") -> float:
    """Until the nearest deadline that a coroutine of ``task`` has set itself; infinite without one."""
    nearest = math.inf
    for link in chain(task):
        for part in gc.get_referents(link):
            nearest = min(nearest, _when(part))
    return nearest - task.get_loop().time()


def _when(part: Any) -> float:
    """The moment of a deadline that lies among what a coroutine holds; infinite for anything else."""
    owner: Any = part.__self__ if type(part) is MethodType else part
    name = type(owner).__name__
    when: object = None
    if name in ("Timeout", "RunDeadline"):  # ours, asyncio's, and that of async_timeout
        when = owner.when() if hasattr(owner, "when") else owner.deadline
    elif name == "CancelScope":  # anyio's
        when = owner.deadline
    elif name == "TimerHandle" and not owner.cancelled():
        when = owner.when()
    elif name == "_GeneratorContextManager":  # anyio's fail_after
        return min(map(_when, gc.get_referents(owner.gen)), default=math.inf)
    return when if isinstance(when, (int, float)) else math.inf


# ---------------------------------------------------------------- what is waited for


def awaited(future: "asyncio.Future[Any]", links: list[Link] | None = None) -> list[Any] | None:
    """What could bring ``future`` about.

    Args:
        future: What somebody waits for; not a task, which is its own answer.
        links: What the task that waits is made of, where a task waits.

    Returns:
        Futures, any of which might; None if it can't be told, or if one of them has ended and those who
        wait are about to hear of it.
    """
    if type(future).__name__ == "_GatheringFuture":
        return _children(future)
    for callback, _ in _callbacks(future):
        if (cell := _CELLS.get(getattr(callback, "__qualname__", ""))) is not None:
            return _if_none_has_ended((_cell(callback, cell),))
    return _from_frame(links) if links else None


_CELLS: Final = {
    "shield.<locals>._outer_done_callback": "inner",
    "_chain_future.<locals>._call_check_cancel": "source",
}


def _children(gathering: Any) -> list[Any] | None:
    """What a ``gather`` still waits for; unless it has yet to hear of one that has ended."""
    children = set(gathering._children)  # noqa: SLF001 - asyncio has no other word of it
    left = [child for child in gathering._children if not child.done()]  # noqa: SLF001 - as above
    for callback, _ in _callbacks(left[0]) if left else ():
        if getattr(callback, "__qualname__", "") != "gather.<locals>._done_callback":
            continue
        if _cell(callback, "outer") is gathering:
            heard_of = _cell(callback, "nfinished")
            return left if len(children) - len(set(left)) == heard_of else None
    return None


def _if_none_has_ended(futures: Iterable[Any]) -> list[Any] | None:
    """All of them; None if one has ended, which who waits for it will hear of in this pass."""
    all_of_them = list(futures)
    return None if any(one.done() for one in all_of_them) else all_of_them or None


def _from_frame(links: list[Link]) -> list[Any] | None:
    """What the innermost coroutine waits for, if it is one of asyncio's that wait for others."""
    code, frame = code_of(links[-1]), frame_of(links[-1])
    if frame is not None and (find := _followed.get(code)) is not None:
        return _if_none_has_ended(find(frame.f_locals))
    known = _FRAMES.get(code.co_qualname)
    if known is None or frame is None:
        return None
    if not code.co_filename.startswith(_ASYNCIO) and "anyio" not in code.co_filename:
        return None
    return known(frame.f_locals, links)


def _tasks_of_group(names: dict[str, Any], _: list[Link]) -> list[Any] | None:
    return _if_none_has_ended(names["self"]._tasks)  # noqa: SLF001 - asyncio has no other word of it


def _set_of_wait(names: dict[str, Any], _: list[Link]) -> list[Any] | None:
    left = [one for one in names["fs"] if not one.done()]
    # With a timeout it returns by itself, and its caller goes on.
    if names["timeout_handle"] is not None or len(left) != names["counter"]:
        return None
    return left or None


def _future_of_wait_for(names: dict[str, Any], _: list[Link]) -> list[Any] | None:
    return _if_none_has_ended((names["fut"],))


def _left_of_as_completed(names: dict[str, Any], links: list[Link]) -> list[Any] | None:
    """Of the frames above ``Queue.get``: where ``as_completed`` keeps what is still to come."""
    above = links[-2] if len(links) > 1 else None
    frame = frame_of(above) if above is not None else None
    if above is None or frame is None or "_wait_for_one" not in code_of(above).co_qualname:
        return None
    if (iterator := frame.f_locals.get("self")) is not None:  # CPython 3.13
        return _if_none_has_ended(iterator._todo)  # noqa: SLF001 - asyncio has no other word of it
    for part in gc.get_referents(links[-3]) if len(links) > 2 else ():  # noqa: PLR2004 - who loops over it
        if isinstance(part, GeneratorType) and part.gi_frame is not None:
            inside = part.gi_frame.f_locals
            if inside.get("done") is names["self"]:
                return _if_none_has_ended(inside["todo"])
    return None


_FRAMES: Final[dict[str, Callable[[dict[str, Any], list[Link]], list[Any] | None]]] = {
    "TaskGroup.__aexit__": _tasks_of_group,
    "_wait": _set_of_wait,
    "wait_for": _future_of_wait_for,
    "Queue.get": _left_of_as_completed,
}


def of_a_run(one: object, name: str) -> bool:
    """Whether ``one`` is a part of somebody's run, and can be asked for ``name``; runs no foreign code."""
    kind = type(one)
    return kind.__module__.startswith("holdfast.flow.") and hasattr(kind, name)


_followed: dict[CodeType, Callable[[dict[str, Any]], Iterable[Any]]] = {}


def follow(function: Callable[..., Any], find: Callable[[dict[str, Any]], Iterable[Any]]) -> None:
    """Let the search see through a coroutine function that waits for what others bring about.

    The other way goes over the callbacks of what it waits for: one whose owner is ours and has
    ``waiting()`` names the futures of those who wait.

    Args:
        function: What awaits a future as its innermost step.
        find: Given the names in its frame, says which futures could end the wait; none if it can't be told.
    """
    _followed[function.__code__] = find


# ---------------------------------------------------------------- who waits


def awaiters(future: "asyncio.Future[Any]") -> Iterator[Any]:
    """Whoever may wait for ``future``: tasks, futures, and other owners of its callbacks."""
    for callback, _ in _callbacks(future):
        yield from callback_owners(callback)


def callback_owners(callback: Any) -> Iterator[Any]:
    """Whoever hears of a future's end through ``callback``."""
    if isinstance(callback, (BuiltinFunctionType, MethodType)):
        yield from _owner(callback.__self__)
    elif isinstance(callback, functools.partial):
        yield from callback.args
    elif getattr(callback, "__qualname__", "").endswith(_RUNS):
        yield RUNS_LOOP
    elif isinstance(callback, FunctionType):
        for cell in callback.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            yield from _owner(content)


def _owner(one: Any) -> Iterator[Any]:
    name = type(one).__name__
    if name == "TaskGroup":
        if hasattr(one, "cancel_scope"):  # anyio's
            one = getattr(one.cancel_scope, "_host_task", None)
        else:
            one = getattr(one, "_parent_task", None)
    elif name == "_AsCompletedIterator":
        one = one._done  # noqa: SLF001 - asyncio has no other word of it
    if of_a_run(one, "waiting"):
        yield from one.waiting()
    elif isinstance(one, asyncio.Queue):
        yield from tuple(cast("Any", one)._getters)  # noqa: SLF001 - asyncio has no other word of it
    elif one is not None:
        yield one


def _callbacks(future: "asyncio.Future[Any]") -> Iterable[tuple[Any, Any]]:
    return future._callbacks or ()  # noqa: SLF001 - asyncio has no other word of it


def _cell(function: Any, name: str) -> Any:
    """What a closure knows under ``name``."""
    place = function.__code__.co_freevars.index(name)
    return function.__closure__[place].cell_contents


def chained_task(future: "concurrent.futures.Future[Any]") -> "asyncio.Future[Any] | None":
    """The task that brings a thread's future about, as ``run_coroutine_threadsafe`` links them."""
    for callback in tuple(getattr(future, "_done_callbacks", ())):
        if getattr(callback, "__qualname__", "") == "_chain_future.<locals>._call_check_cancel":
            source = _cell(callback, "source")
            if is_asyncio(source):
                return source
    return None
