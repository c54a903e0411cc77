"""What the stack of a thread says: which call of a pool it runs, and what it waits for.

Purpose: let the search for deadlocks follow the waits of threads without any record of them.

Guarantees: reads only, and may be called for any thread from any other; what it says is true of the moment
at which it looked. Whatever it does not know is not waiting, as far as it can tell.

Known here: ``result()`` and ``exception()`` without a timeout (of our futures and of the standard
ones), ``concurrent.futures.wait`` and ``as_completed`` without one, a submission before a full queue, a
stream in a ``for`` loop, and ``asyncio.run``.
"""

import asyncio
import concurrent.futures
import os
import selectors
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from holdfast.pools._deadlock_steady import STEADY
from holdfast.pools._entry import Entry

__all__ = (
    "all_stacks",
    "blocked_in",
    "is_ours",
    "on_worker_thread",
    "running_call",
    "stacks_by_call",
    "upwards",
    "users_line",
    "waiting_calls",
)

_HERE: Final = os.path.dirname(__file__)  # noqa: PTH120 - pathlib takes milliseconds to import
_PACKAGE: Final = os.path.dirname(_HERE)  # noqa: PTH120 - likewise
_ASYNCIO: Final = os.path.dirname(asyncio.__file__)  # noqa: PTH120 - likewise
_FUTURES: Final = os.path.dirname(concurrent.futures.__file__)  # noqa: PTH120 - likewise

_MACHINERY: Final = (_PACKAGE, _ASYNCIO, _FUTURES, threading.__file__, selectors.__file__)
"""Where a stack may go on above whatever waits, without being anybody's work."""

_WORK: Final = frozenset(("LoopCall.work", "SubmittedCall.work", "ThreadTurn.work"))


def all_stacks() -> dict[int, FrameType]:
    """The innermost frame of every thread."""
    with STEADY:
        return sys._current_frames()  # noqa: SLF001 - the only way to another thread's stack


def is_ours(code: CodeType) -> bool:
    """Whether this is code of the pools."""
    return code.co_filename.startswith(_HERE)


# ---------------------------------------------------------------- what it runs


def running_call(frame: FrameType | None) -> Entry | None:
    """The call, or the turn of a stream, that the thread with this stack runs; None if it runs none."""
    with STEADY:
        while frame is not None:
            code = frame.f_code
            if code.co_qualname in _WORK and is_ours(code):
                call: Entry | None = frame.f_locals.get("self")
                return call
            frame = frame.f_back
    return None


def stacks_by_call() -> dict[int, FrameType]:
    """The stacks of all threads that run a call, by the id of the call."""
    stacks = all_stacks().values()
    return {id(call): stack for stack in stacks if (call := running_call(stack)) is not None}


def waiting_calls() -> list[Entry]:
    """The calls, and the turns of streams, whose threads wait for something that is known here."""
    stacks = [frame for frame in all_stacks().values() if blocked_in(frame) is not None]
    return [call for frame in stacks if (call := running_call(frame)) is not None]


class _OfThread(threading.local):
    ours: bool | None = None


_of_thread: Final = _OfThread()


def on_worker_thread() -> bool:
    """Whether this thread is one that the pools have started; found out once for each thread."""
    ours = _of_thread.ours
    if ours is None:
        ours = _of_thread.ours = _began_in_pools(sys._getframe())  # noqa: SLF001 - the stack that asks
    return ours


def _began_in_pools(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_qualname == "ThreadCrew.serve" and is_ours(frame.f_code):
            return True
        frame = frame.f_back
    return False


# ---------------------------------------------------------------- what it waits for


def blocked_in(frame: FrameType | None) -> list[Any] | None:
    """What the thread with this stack waits for, as long as it takes; None if that can't be told."""
    with STEADY:
        while frame is not None and frame.f_code.co_filename.startswith(_MACHINERY):
            known = _WAITS.get(frame.f_code.co_qualname)
            if known is not None:
                return known(frame.f_locals)
            frame = frame.f_back
    return None


def _result(names: dict[str, Any]) -> list[Any] | None:
    return [names["self"]] if names.get("timeout") is None and "self" in names else None


def _concurrent_wait(names: dict[str, Any]) -> list[Any] | None:
    if names.get("timeout") is not None or "waiter" not in names or names["waiter"].event.is_set():
        return None
    among = names["pending"] if "pending" in names else names["fs"]
    return [future for future in tuple(among) if not future.done()] or None


def _acceptance(names: dict[str, Any]) -> list[Any] | None:
    call = names["self"]
    # Set before the thread waits, and before it is let go.
    waits = call._accept_lock is not None and not call._is_accepted  # noqa: SLF001 - a call of ours
    return [call] if waits else None


def _stream(names: dict[str, Any]) -> list[Any] | None:
    return [names["self"]._engine]  # noqa: SLF001 - the consumer's end of a stream of ours


def _loop(names: dict[str, Any]) -> list[Any] | None:
    task = names.get("future", names.get("task"))
    return [task] if isinstance(task, asyncio.Task) and not task.done() else None


_WAITS: Final[dict[str, Callable[[dict[str, Any]], list[Any] | None]]] = {
    "CallFuture._wait": _result,
    "Future.result": _result,
    "Future.exception": _result,
    "wait": _concurrent_wait,
    "as_completed": _concurrent_wait,
    "SubmittedCall.wait_accepted": _acceptance,
    "AsyncCall.line_up": _acceptance,
    "_BlockingOutcomes._wait": _stream,
    "BaseEventLoop.run_until_complete": _loop,
    "Runner.run": _loop,
}


# ---------------------------------------------------------------- where it stands


def users_line(frames: list[FrameType]) -> str:
    """File, line and function of the first of ``frames`` that is nobody's machinery; or nothing."""
    for frame in frames:
        name = frame.f_code.co_filename
        if not name.startswith(_MACHINERY) and "/anyio/" not in name:
            return f"{name}:{frame.f_lineno} in {frame.f_code.co_qualname}"
    return ""


def upwards(frame: FrameType | None) -> list[FrameType]:
    """The frames of a stack, innermost first."""
    frames: list[FrameType] = []
    with STEADY:
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
    return frames
