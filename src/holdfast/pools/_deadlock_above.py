"""Who waits for a call in line, directly or through others, and which permits they hold meanwhile.

Purpose: tell the one wait in a thousand that could be part of a deadlock from all the others: somebody
above it holds a permit.

Guarantees: reads only. Whoever is found *may* wait; the search for a ring confirms it. A look at ten
thousand children of one ``gather`` goes up from each child one step, and from the first all the way.
"""

import asyncio
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, CoroutineType, FrameType
from typing import Any, Final, NamedTuple, cast

from holdfast._core.future import CallFuture
from holdfast.pools._admission import Admission
from holdfast.pools._awaiting import (
    RUNS_LOOP,
    Link,
    awaiters,
    callback_owners,
    chain,
    code_of,
    frame_of,
    is_asyncio,
    is_concurrent,
    is_task,
)
from holdfast.pools._deadlock_known import KNOWN, Holder, pool_of
from holdfast.pools._deadlock_stacks import all_stacks, blocked_in, is_ours, running_call
from holdfast.pools._entry import RUNNING, Entry
from holdfast.pools._stream_engine import StreamEngine

__all__ = ("Above", "Looker", "is_entry", "permits", "permits_of_stack")


class Above(NamedTuple):
    """Who waits for a call.

    Attributes:
        holders: The permits that they hold.
        waiters: The tasks and the calls of threads that wait, directly or not.
        anybody: Whether there is anyone at all.
    """

    holders: tuple[Holder, ...]
    waiters: tuple[Any, ...]
    anybody: bool


# ---------------------------------------------------------------- the permits of a task

_WAITING: Final = frozenset(("AsyncCore.wait_for_permit", "stand_in_line", "enter"))
_HOLDING: Final = frozenset(
    (
        "AsyncCalls.run",
        "ReservedAsyncCalls.run",
        "AsyncCall._run",
        "DeadlineAsyncCall._run",
        "AsyncWorker.work",
    )
)

_kinds: dict[int, tuple[CodeType, str]] = {}
"""What is known of code, by its id: "waits", "holds", or nothing; to ask for its name costs more."""

_MOST_KINDS: Final = 4096


def _kind(code: CodeType) -> str:
    known = _kinds.get(id(code))
    if known is not None:
        return known[1]
    name = code.co_qualname if is_ours(code) else ""
    kind = "waits" if name in _WAITING else "holds" if name in _HOLDING else ""
    if len(_kinds) >= _MOST_KINDS:  # somebody makes code at run time
        _kinds.clear()
    _kinds[id(code)] = code, kind
    return kind


def permits(task: "asyncio.Task[Any]") -> Iterator[tuple[Admission, Link]]:
    """The permits that a suspended task holds, each with the coroutine in which it does."""
    links = chain(task)
    for place, link in enumerate(links):
        if _kind(code_of(link)) != "holds":
            continue
        if place + 1 < len(links) and _kind(code_of(links[place + 1])) == "waits":
            continue
        frame = frame_of(link)
        if frame is not None and (admission := _admission(frame)) is not None:
            yield admission, link


def permits_of_stack(frame: FrameType | None) -> Iterator[Admission]:
    """The pools whose permits are held by the coroutines that run on a stack, from its innermost frame."""
    waits = False
    while frame is not None:
        kind = _kind(frame.f_code)
        if kind == "holds" and not waits and (admission := _admission(frame)) is not None:
            yield admission
        waits = kind == "waits"
        frame = frame.f_back


def _may_hold(task: "asyncio.Task[Any]") -> bool:
    """A quick answer for a task of plain coroutines: whether it is worth while to ask for its permits."""
    one: Any = task.get_coro()
    held = False
    while type(one) is CoroutineType:
        kind = _kind(one.cr_code)
        if held and kind != "waits":
            return True
        held = kind == "holds"
        one = None if one.cr_running else one.cr_await  # see _awaiting.py
    return held or hasattr(one, "ag_await") or type(one).__name__ != "FutureIter"


def _admission(frame: FrameType) -> Admission | None:
    """The pool whose permit is held in ``frame``; None if it has been passed on."""
    owner, core = frame.f_locals["self"], frame.f_locals.get("core")
    if frame.f_code.co_qualname == "AsyncWorker.work":
        return owner.engine.admission if owner.has_permit else None
    # A view whose calls go on one permit or another says which; else it is its own.
    admission: Admission = (core or owner._core).admission  # noqa: SLF001 - a view or a call of ours
    return admission


# ---------------------------------------------------------------- upwards


class Looker:
    """One look at many waits.

    Args:
        remember: Pass over those above whom nobody holds a permit when they are met again.
    """

    def __init__(self, *, remember: bool = True) -> None:
        self._remember = remember
        self._barren: dict[int, object] = {}  # held, so that an id stays whose it is
        self._threads: dict[int, list[Entry]] | None = None

    def holders_above(self, entry: Any) -> tuple[Holder, ...] | None:
        """The permits above a call in line; None if nobody waits for it at all."""
        future = getattr(entry, "future", None)
        task = _sole_awaiter(future) if future is not None else None
        if task is not None:
            callbacks = task._callbacks  # noqa: SLF001 - asyncio has no other word of it
            known = not callbacks or (len(callbacks) == 1 and id(callbacks[0][0]) in self._barren)
            if known and not _may_hold(task):
                return ()
        above = self.above(entry)
        if task is not None and not above.holders:
            # Children of one gather share one callback: the next child need not go up again.
            self._barren.update((id(callback), callback) for callback, _ in task._callbacks or ())  # noqa: SLF001 - asyncio has no other word of it
        return above.holders if above.anybody else None

    def above(self, entry: object) -> Above:
        """Who waits for ``entry``."""
        seen: dict[int, object] = {id(entry): entry}
        holders: list[Holder] = []
        waiters: list[object] = []
        todo = [entry]
        anybody = False
        while todo:
            for other in self._waiters(todo.pop()):
                anybody = True
                if id(other) in seen or id(other) in self._barren or not _can_wait(other):
                    continue
                seen[id(other)] = other
                todo.append(other)
                waiters.append(other)
                holders += _holders(other)
        if not holders and self._remember:
            del seen[id(entry)]  # it may hold a permit itself
            self._barren.update(seen)
        return Above(tuple(holders), tuple(waiters), anybody)

    def _waiters(self, one: Any) -> Iterator[Any]:
        """Who waits for ``one``: a future, a call, a turn or a stream."""
        if is_asyncio(one):
            for owner in awaiters(one):
                if owner is RUNS_LOOP:
                    yield from self._in_threads(one)
                else:
                    yield owner
            return
        for wait in KNOWN.waits_for(one):
            yield wait.call
        if is_concurrent(one):
            yield from self._of_future(one)
        elif isinstance(one, StreamEngine):
            yield from _consumer(one)
        elif (engine := getattr(one, "engine", None)) is not None:
            yield engine
        elif (future := getattr(one, "future", None)) is not None:
            yield future

    def _of_future(self, future: Any) -> Iterator[Any]:
        if not isinstance(future, CallFuture):
            yield from self._in_threads(future)
        elif future._lazy_condition is None:  # noqa: SLF001 - nobody has asked for a callback
            return
        else:
            for waiter in tuple(future._waiters):  # noqa: SLF001 - of concurrent.futures.wait
                for wait in KNOWN.waits_for(waiter):
                    yield wait.call
        for callback in tuple(future._done_callbacks):  # noqa: SLF001 - the standard class has it
            yield from callback_owners(callback)

    def _in_threads(self, target: object) -> Iterator[Any]:
        """The calls whose threads wait for ``target`` in a way that nobody has told us of."""
        if self._threads is None:
            self._threads = {}
            for frame in all_stacks().values():
                for one in blocked_in(frame) or ():
                    if (call := running_call(frame)) is not None:
                        self._threads.setdefault(id(one), []).append(call)
        yield from self._threads.get(id(target), ())


def _sole_awaiter(future: Any) -> Any:
    """The task that awaits ``future``, if that is all who hears of it."""
    callbacks = future._callbacks  # noqa: SLF001 - asyncio has no other word of it
    if callbacks is not None and len(callbacks) == 1:
        callback: Any = callbacks[0][0]
        owner: Any = callback.__self__ if type(callback) is BuiltinFunctionType else None
        if type(owner) is asyncio.Task:
            return cast("Any", owner)
    return None


def is_entry(one: object) -> bool:
    """Whether ``one`` is a call, or the turn of a stream; asks nothing of an object that is not ours."""
    return type(one).__module__.startswith("holdfast.pools.") and hasattr(one, "counted")


def _can_wait(one: object) -> bool:
    """Whether ``one`` is of those that wait; what else hears of a future's end is somebody's own."""
    if is_asyncio(one) or is_concurrent(one):
        return not one.done()
    return isinstance(one, StreamEngine) or is_entry(one)


def _consumer(engine: StreamEngine) -> Iterator[Any]:
    """Who waits for the next outcome of a stream, if it is a coroutine."""
    waiter = getattr(engine.window.waiter, "__self__", None)
    if (future := getattr(waiter, "_future", None)) is not None:
        yield future


def _holders(one: Any) -> list[Holder]:
    """The permits of a task, or of a call that a thread runs."""
    if is_task(one):
        return [KNOWN.hold(admission, link, one) for admission, link in permits(one)]
    if is_entry(one) and one.state == RUNNING and hasattr(one, "work"):
        return [KNOWN.hold(pool_of(one), one, None)]
    return []
