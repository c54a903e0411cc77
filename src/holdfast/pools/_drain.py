"""Waiting for a pool to fall idle, in blocking code and in a coroutine."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Final

from holdfast._core import on_loop
from holdfast._core.clock import Clock
from holdfast._core.loops import loop_state
from holdfast.pools._admission import Admission
from holdfast.pools._deadlock_stacks import running_call
from holdfast.pools._timer import patient

__all__ = (
    "finish",
    "finish_async",
    "is_called_by_a_loop",
    "is_inside",
    "wait_idle",
    "wait_idle_async",
    "wait_posted",
)


_LOOPS: Final = (os.path.dirname(asyncio.__file__), on_loop.__file__)  # noqa: PTH120 - pathlib takes milliseconds
"""Where a loop is closed: the hook of our own stands in between."""


def wait_idle(admission: Admission, clock: Clock, timeout: float | None) -> bool:
    """Block until nothing waits and nothing but abandoned work is in flight; False after ``timeout``.

    Called from inside of one of the pool's own calls, it waits for the others.
    """
    idle = threading.Lock()
    idle.acquire()
    inside = is_inside(admission)
    admission.on_idle(idle.release, inside=inside)
    try:
        return patient(clock, idle, timeout)
    finally:
        admission.off_idle(inside)


def is_inside(admission: Admission) -> bool:
    """Whether this thread runs a call of that pool: then it does not wait for itself."""
    call = running_call(sys._getframe())  # noqa: SLF001 - the stack of whoever asks
    host = None if call is None else getattr(call, "core", None) or getattr(call, "engine", None)
    return host is not None and host.admission is admission


def is_called_by_a_loop(caller: FrameType | None) -> bool:
    """Whether it is an event loop, on its way to close, that shuts its default executor down.

    asyncio does so in ``BaseEventLoop.close`` and, on a thread made for it, in ``_do_shutdown``; of
    uvloop, which is compiled, only what called it is seen: asyncio's runner, or the start of a thread.
    """
    if caller is None:
        return False
    file = caller.f_code.co_filename
    return file.startswith(_LOOPS) or (
        file == threading.__file__ and caller.f_code.co_name == "run"
    )


def finish(
    halves: Iterable[Admission], clock: Clock, timeout: float | None, *, refuse_waiting: bool
) -> bool:
    """Close one admission after the other, each when the one before is idle or the time is up.

    Of a stream what it has pulled was accepted. Where the time is bounded it pulls nothing more; else it
    goes on for as long as it keeps the pool busy.
    """
    until, idle = None if timeout is None else clock.now() + timeout, True
    for admission in halves:
        _begin(admission, refuse_waiting=refuse_waiting, bounded=timeout is not None)
        idle = wait_idle(admission, clock, _left(until, clock)) and idle
        admission.end_turns()
    return idle


async def finish_async(
    halves: Iterable[Admission], clock: Clock, timeout: float | None, *, refuse_waiting: bool
) -> bool:
    """Do the same without holding the loop."""
    until, idle = None if timeout is None else clock.now() + timeout, True
    for admission in halves:
        _begin(admission, refuse_waiting=refuse_waiting, bounded=timeout is not None)
        idle = await wait_idle_async(admission, _left(until, clock)) and idle
        admission.end_turns()
    return idle


def _begin(admission: Admission, *, refuse_waiting: bool, bounded: bool) -> None:
    admission.close(refuse_waiting=refuse_waiting, keep_turns=not refuse_waiting)
    if bounded and not refuse_waiting:
        admission.cut_off_streams()


def _left(until: float | None, clock: Clock) -> float | None:
    return None if until is None else max(0.0, until - clock.now())


class _Idle:
    """Carries the news into a loop."""

    __slots__ = ("_future", "_mailbox")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[bool]") -> None:
        self._mailbox = loop_state(loop)
        self._future = future

    def send(self) -> None:
        self._mailbox.post(self)

    def deliver(self) -> None:
        if not self._future.done():
            self._future.set_result(True)

    def expire(self) -> None:
        if not self._future.done():
            self._future.set_result(False)

    def watch(self, timeout: float) -> float:
        return self._mailbox.watch(self, timeout)

    def unwatch(self, key: float) -> None:
        self._mailbox.unwatch(self, key)


async def wait_idle_async(admission: Admission, timeout: float | None) -> bool:
    """Wait for the same without holding the loop; a coroutine in flight does not wait for itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    idle = _Idle(loop, future)
    inside = permits_here(admission)
    admission.on_idle(idle.send, inside=inside)
    key = None if timeout is None else idle.watch(timeout)
    try:
        return await future
    finally:
        admission.off_idle(inside)
        if key is not None:
            idle.unwatch(key)


async def wait_posted(watch: Callable[[Callable[[], None]], object], timeout: float) -> bool:
    """Wait until what was given to ``watch`` is called, from any thread; False after ``timeout``."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    idle = _Idle(loop, future)
    watch(idle.send)
    key = idle.watch(timeout)
    try:
        return await future
    finally:
        idle.unwatch(key)


def permits_here(admission: Admission) -> int:
    """How many permits of that pool the running task holds."""
    from holdfast.pools._deadlock_above import permits_of_stack  # noqa: PLC0415 - asked at a pool's end

    held = permits_of_stack(sys._getframe())  # noqa: SLF001 - the stack of whoever asks
    return sum(pool is admission for pool in held)
