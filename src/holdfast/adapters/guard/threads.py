"""Threads that the program starts: their line, and patience where the system, or the budget, refuses one.

A refused thread waits and is asked for again, instead of raising: for two seconds in a thread that runs an
event loop, for thirty in others. Beyond the budget a thread waits as long, and is then asked for all the
same: what it would free others may wait for.

A pool that has workers needs no further one to get its work done: its call stays in the queue. Without
this, ``submit`` raises although its call is queued, and runs.
"""

import asyncio
import itertools
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

from holdfast._core import clock
from holdfast.adapters._patches import Patches
from holdfast.adapters.guard.starters import Starters
from holdfast.pools import current_budget
from holdfast.pools._threads import start_thread
from holdfast.track._site import caller

__all__ = ("POOL", "ThreadGuard", "is_refusal", "number_of")

POOL: Final = "_holdfast_pool"
"""The attribute of a thread, or of a future, that tells the executor it is of."""

_IN_LOOP: Final = 2.0
_ELSEWHERE: Final = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_LONGEST_LINE: Final = 1000
_STANDSTILL: Final = 1.0
_STARTER: Final = start_thread.__code__


_numbers = itertools.count(1)


def number_of(pool: Any) -> int:
    """Return a number that no other executor has, also after this one has gone."""
    number: int | None = getattr(pool, POOL, None)
    if number is None:
        number = next(_numbers)
        setattr(pool, POOL, number)
    return number


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that the system has refused a thread."""
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


class ThreadGuard:
    """What is known of, and done about, the threads that a program starts.

    Args:
        lines: Whether to note the line of each.
        act: Whether to wait, and to bound; else it is only noted.
        tell: Called with the first refusal.
    """

    def __init__(self, *, lines: bool, act: bool, tell: Callable[[BaseException], None]) -> None:
        self._lines = lines
        self._act = act
        self._tell = tell
        self._inside: dict[int, Any] = {}  # by thread the executor that is about to start a worker
        self.executors: weakref.WeakSet[ThreadPoolExecutor] = weakref.WeakSet()
        self.refused = self.waited = self.held_back = 0
        self.full: dict[str, int] = {}  # by line, the longest queue at which somebody had to wait
        self.held_s: dict[str, float] = {}  # by line, for how long that was, in all
        self._still: weakref.WeakKeyDictionary[ThreadPoolExecutor, int] = (
            weakref.WeakKeyDictionary()
        )

    def install(self, patches: Patches) -> None:
        """Replace what starts threads."""
        adjust = ThreadPoolExecutor._adjust_thread_count  # noqa: SLF001 - replaced as a whole
        submit = ThreadPoolExecutor.submit
        guard = self

        def adjust_thread_count(self: Any) -> None:
            guard.adjust(self, adjust)

        def submit_bounded(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            queue = getattr(self, "_work_queue", None)
            if queue is not None and queue.qsize() >= _LONGEST_LINE:
                guard.wait_for_room(self, queue)
            future = submit(self, fn, *args, **kwargs)
            setattr(future, POOL, number_of(self))
            return future

        patches.set(threading.Thread, "start", self._start(threading.Thread.start))
        patches.set(ThreadPoolExecutor, "_adjust_thread_count", adjust_thread_count)
        if self._act:
            patches.set(ThreadPoolExecutor, "submit", submit_bounded)

    # ------------------------------------------------------------ one thread

    def _start(self, start: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what stands in for ``Thread.start``: all that each thread costs is in this one function."""
        guard, lines, act, inside = self, self._lines, self._act, self._inside
        frames = Starters().frames
        frame_above, me, modules = sys._getframe, threading.get_ident, cast("Any", threading)  # noqa: SLF001 - the stack of whoever starts it
        active, limbo = modules._active, modules._limbo  # noqa: SLF001 - what ``active_count`` counts, with a lock

        def start_waiting(self: Any) -> None:
            frame = frame_above(1)
            code = frame.f_code
            pool = inside.get(me()) if inside else None
            if pool is not None:
                setattr(self, POOL, number_of(pool))
            elif code is _STARTER:  # it waits by itself
                start(self)
                return
            if lines:
                self._holdfast_frames = frames(frame, code)  # STARTED_AT, without a call
            patient = act and (pool is None or not pool._threads)  # noqa: SLF001 - it has workers
            if patient and len(active) + len(limbo) >= current_budget().threads:
                guard.hold_back()
            try:
                start(self)
            except RuntimeError as error:
                if not is_refusal(error):
                    raise
                if not guard.start_again(self, start, error, patient=patient):
                    raise

        return start_waiting

    def hold_back(self) -> None:
        """Wait until the budget has room for one more thread, as long as that is waited for."""
        self.held_back += 1
        _wait(lambda: threading.active_count() < current_budget().threads)

    def start_again(
        self, thread: Any, start: Callable[[Any], None], error: BaseException, *, patient: bool
    ) -> bool:
        """Take note of a refused thread, and start it as soon as it can be had; whether it runs."""
        self._note(error)
        if not patient or not _wait(lambda: _started(thread, start)):
            return False
        self.waited += 1
        return True

    def forget(self) -> None:
        """In a child after a fork: who was about to start a worker is another thread, which stayed behind."""
        self._inside.clear()

    def _note(self, error: BaseException) -> None:
        self.refused += 1
        if self.refused == 1:
            self._tell(error)

    # ------------------------------------------------------------ executors

    def adjust(self, pool: Any, adjust: Callable[[Any], None]) -> None:
        """Let an executor start one more worker, if it needs one to get on."""
        self.executors.add(pool)
        has_workers = bool(pool._threads)  # noqa: SLF001 - of an executor of the standard library
        if self._act and has_workers and threading.active_count() >= current_budget().threads:
            self.held_back += 1
            return
        me = threading.get_ident()
        self._inside[me] = pool
        try:
            adjust(pool)
        except RuntimeError as error:
            if not (self._act and has_workers and is_refusal(error)):
                raise
            self.held_back += 1
        finally:
            self._inside.pop(me, None)

    def wait_for_room(self, pool: Any, queue: Any) -> None:
        """Hold back who submits faster than the workers work: for as long as these get on.

        Not in a loop, which would freeze, nor in a worker of the pool. Where nothing moves for a second
        the call is let through: who submits may be who the workers wait for.
        """
        line = str(caller())
        self.full[line] = max(self.full.get(line, 0), queue.qsize())
        if threading.current_thread() in pool._threads or _runs_a_loop():  # noqa: SLF001 - see above
            return
        least = queue.qsize()
        if least >= self._still.get(pool, least + 1):
            return  # it stands still since it was last waited for
        began = moved_at = clock.now()
        while (size := queue.qsize()) >= _LONGEST_LINE:
            if size < least:
                least, moved_at = size, clock.now()
            elif clock.now() - moved_at >= _STANDSTILL:
                self._still[pool] = least
                break
            clock.sleep(0.002)
        else:
            self._still.pop(pool, None)
        self.held_s[line] = self.held_s.get(line, 0.0) + clock.now() - began


def _started(thread: Any, start: Callable[[Any], None]) -> bool:
    renew = getattr(threading, "_ThreadHandle", None)
    if renew is not None:  # since 3.13: what was refused once can't be started again
        thread._handle = renew()  # noqa: SLF001 - of the standard library
    try:
        start(thread)
    except RuntimeError as error:
        if not is_refusal(error):
            raise
        return False
    return True


def _wait(until: Callable[[], bool]) -> bool:
    """Ask again and again; whether it came true in time."""
    ends = clock.now() + (_IN_LOOP if _runs_a_loop() else _ELSEWHERE)
    pause = _FIRST_PAUSE
    while clock.now() < ends:
        clock.sleep(pause)
        if until():
            return True
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return False


def _runs_a_loop() -> bool:
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - documented for such as us
