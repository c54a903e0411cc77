"""What holdfast keeps for each event loop: a mailbox that other threads post to, and one timer.

Purpose: bring results into a loop from any thread with one wake-up for a burst, and watch any
number of deadlines with one ``call_at``.

Guarantees: a posted letter is delivered exactly once on the loop's thread, or ``post`` returned
False and it never will be. The descriptor (an eventfd where the system has them: a third of the
cost of ``call_soon_threadsafe``) is closed when the loop shuts down its asynchronous generators, as
``asyncio.run`` does, or when the loop is collected.

States of a mailbox: idle -> armed (one wake-up is on its way) -> idle ...; closed from either.
``post`` appends first and looks at the flag second; ``_deliver`` clears the flag first and takes
letters second. So each letter is seen by the wake-up under way, or sends one of its own.

The wake-up is sent without a lock. To write to the descriptor lets go of the interpreter, so whoever
held one meanwhile would have to wait for the interpreter before letting go of it; with many threads in
line for the interpreter, all that have a result would then line up for that lock, and each hand-over of
it would cost a turn of the interpreter. Two threads may send a wake-up each, which does no harm. That
nobody writes to a descriptor that is closed, and perhaps somebody else's by then: who writes enters
itself in ``_writers`` first and reads the descriptor second; who closes takes the descriptor away first
and waits for those in ``_writers`` second, for as long as their writes take, which never block.
"""

import asyncio
import contextlib
import math
import os
import sys
import threading
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from holdfast._core.clock import SystemClock
from holdfast._core.on_loop import before_close, keep, kept
from holdfast._core.wheel import Wheel

__all__ = (
    "Deferred",
    "Due",
    "Letter",
    "LoopState",
    "at_loop_end",
    "end_pass_here",
    "loop_state",
)

_KEY = "_holdfast_state"


_process = object()
"""Another one in the child of a fork: what threads have begun before, none of them will end."""


def _begin_anew() -> None:
    global _process  # noqa: PLW0603 - the one place where it is kept
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


at_loop_end: "list[Callable[[asyncio.AbstractEventLoop], None]]" = []
"""Called with a loop that is about to close, on which no coroutine will go on."""


class Letter(Protocol):
    """Something to be done on the loop's thread."""

    def deliver(self) -> None:
        """Do it; called once, on the loop's thread, and must not raise."""
        ...


class Due(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """The deadline has come; called on the loop's thread, and must not raise."""
        ...


def loop_state(loop: asyncio.AbstractEventLoop) -> "LoopState":
    """Return what holdfast keeps for ``loop``; the first call must come from the running loop.

    The state lives on the loop object, so that it lives exactly as long.
    """
    try:
        state: LoopState = getattr(loop, _KEY)
    except AttributeError:
        state = LoopState(loop)
        keep(loop, _KEY, state)
    return state


def end_pass_here() -> None:
    """Do what the loop that runs in this thread, if one does, has put off to the end of its pass."""
    loop = _get_running_loop()
    if loop is not None and (state := kept(loop, _KEY)) is not None:
        state.end_pass()


class Deferred(Protocol):
    """Something to be done once at the end of a pass of the loop, however often it was asked for."""

    def at_pass_end(self) -> None:
        """Do it; called on the loop's thread, and must not raise. Again, if it was interrupted."""
        ...


class LoopState:
    """The mailbox and the timer of one loop."""

    __slots__ = (
        "__weakref__",
        "_closer",
        "_lock",
        "_loop",
        "_release_fd",
        "_timer",
        "_timer_at",
        "_wake_fd",
        "_wheel",
        "_writers",
        "armed",
        "burst",
        "closing",
        "deferred",
        "kept",
        "letters",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self.letters: deque[Letter] = deque()
        self._lock = threading.RLock()  # a loop may be closed from within its own wake-up
        self.armed = False
        self.deferred: list[Deferred] = []
        self.burst: Deferred | None = (
            None  # what was deferred last in this pass, for whoever adds to it
        )
        self._wheel: Wheel[Due] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._wake_fd = -1
        self._writers: dict[object, tuple[object, int]] = {}  # who is about to use the descriptor
        self.closing = False
        self.kept: set[object] = set()  # what runs here, and nobody else may hold: asyncio does not
        self._closer: AsyncGenerator[None] | None = None
        self._hook_close(loop)
        if hasattr(os, "eventfd"):
            self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._release_fd = weakref.finalize(self, os.close, self._wake_fd)
            self._release_fd.atexit = (
                False  # what pools have accepted is finished at exit, through here
            )
            loop.add_reader(self._wake_fd, self._on_wake)
            self._closer = _close_at_shutdown(weakref.ref(self))
            with contextlib.suppress(StopIteration):
                self._closer.__anext__().__await__().send(None)

    def is_here(self) -> bool:
        """Whether the loop runs in this thread."""
        loop = _get_running_loop()
        return loop is not None and loop is self._loop()

    # ------------------------------------------------------------ mailbox

    def post(self, letter: Letter) -> bool:
        """Have ``letter`` delivered on the loop's thread; False if the loop is closed.

        May be called from any thread. Costs one append, and one wake-up for a whole burst.
        """
        self.letters.append(letter)
        if not self.armed:
            return self._post_first(letter)
        return not self.closing or self._take_back(letter)

    def release(self) -> None:
        """Wake the loop for what was put into ``letters`` directly, which is lost with the loop.

        Named as a latch's method, because worker threads keep it among those they have to release.
        """
        if not self.armed and self.letters:
            self._wake()

    def _post_first(self, letter: Letter) -> bool:
        return self._wake() or self._take_back(letter)

    def _wake(self) -> bool:
        """Send a wake-up; False if the loop is closed."""
        loop = self._loop()
        if self.closing or loop is None or loop.is_closed():
            return False
        if self._wake_fd < 0:
            return self._wake_plainly(loop)
        token = object()
        try:
            self._writers[token] = (_process, threading.get_ident())
            fd = self._wake_fd
            if fd >= 0:
                # Set before the write, because the loop may run before the write returns.
                self.armed = True
                os.eventfd_write(fd, 1)
                return True
        finally:
            self._writers.pop(token, None)
        return self._wake_plainly(loop)

    def _wake_plainly(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Do the same without a descriptor."""
        with self._lock:
            if self.armed:
                return True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # closed since
                return False
            self.armed = True  # the delivery that clears it waits for our lock
            return True

    def _take_back(self, letter: Letter) -> bool:
        """The loop is closed: whether the letter was delivered all the same, just before."""
        try:
            self.letters.remove(letter)
        except ValueError:
            return True
        return False

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        self._deliver()

    def _deliver(self) -> None:
        if self._wake_fd >= 0:
            self.armed = False
        else:
            with self._lock:
                self.armed = False
        letters = self.letters
        for _ in range(len(letters)):
            try:
                letter = letters.popleft()
            except IndexError:  # taken back by its sender, which found the loop closed
                return
            letter.deliver()

    # ------------------------------------------------------------ once for each pass

    def defer(self, work: Deferred) -> None:
        """Have ``work.at_pass_end()`` called when the loop has run what is ready now."""
        deferred = self.deferred
        if work not in deferred:
            if not deferred:
                loop = self._loop()
                assert loop is not None  # noqa: S101 - it is running this very call
                loop.call_soon(self.end_pass)
            deferred.append(work)

    def end_pass(self) -> None:
        """Do now what was put off to the end of this pass; on the loop's thread."""
        works, self.deferred = self.deferred, []
        self.burst = None
        try:
            _end_all(works)
        except BaseException:  # an interrupt: the loop may go on, and so may these
            self.deferred[:0] = works
            loop = self._loop()
            if loop is not None and not loop.is_closed():
                loop.call_soon(self.end_pass)
            raise

    # ------------------------------------------------------------ timer

    def watch(self, entry: Due, delay: float) -> float:
        """Call ``entry.expire()`` on the loop in ``delay`` seconds; returns :meth:`unwatch`'s key."""
        loop = self._loop()
        assert loop is not None  # noqa: S101 - it is running this very call
        when = self._wheel.add(entry, loop.time(), delay)
        if when < self._timer_at:
            self._set_timer(loop, when)
        return when

    def _set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._tick)
        self._timer_at = when

    def unwatch(self, entry: Due, when: float) -> None:
        """Forget ``entry``. The timer may fire once in vain; it is never moved for one entry."""
        self._wheel.discard(entry, when)

    def _tick(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        loop = self._loop()
        if loop is None:
            return
        for entry in self._wheel.pop_due(loop.time()):
            entry.expire()
        due = self._wheel.next_due()
        # What expired may have set the timer for something of its own, later than this.
        if due is not None and due < self._timer_at:
            self._set_timer(loop, due)

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Deliver what has been posted and release the descriptor; called on the loop's thread.

        The loop may still run a little: what is posted from now on goes the plain way.
        """
        loop = self._loop()
        fd, self._wake_fd = self._wake_fd, -1
        self._wait_for_writers()
        with self._lock:
            self.armed = False  # by those writers, perhaps: what they have woken us for comes below
        if fd >= 0:
            if loop is not None and not loop.is_closed():
                loop.remove_reader(fd)
            self._release_fd()
        self._deliver()

    def _wait_for_writers(self) -> None:
        """Wait for other threads; not for those that a fork, or the end of the interpreter, has cut off."""
        me = (_process, threading.get_ident())
        while any(one[0] is _process and one != me for one in self._writers.copy().values()):
            if sys.is_finalizing():
                return
            SystemClock.sleep(0)  # lets them have the interpreter; a fake clock would not

    def _hook_close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have :meth:`end` called before the loop closes."""
        state = weakref.ref(self)

        def end() -> None:
            if (alive := state()) is not None:
                alive.end()

        before_close(loop, end)

    def end(self) -> None:
        """The loop is about to close: deliver what has been posted, refuse everything from now on.

        A coroutine on the loop will not run again. Who delivers something that must not be lost, a
        permit, looks at ``closing``.
        """
        with self._lock:
            self.closing = True
        # Letters of senders that saw the flag too late are here too, or are taken back by them.
        while self.letters:
            try:
                letter = self.letters.popleft()
            except IndexError:
                break
            letter.deliver()
        if (loop := self._loop()) is not None:
            for tell in at_loop_end:
                tell(loop)
        closer, self._closer = self._closer, None
        if closer is not None:
            # Run to its end here, which calls close(): left to the collector, it would want a loop.
            with contextlib.suppress(StopIteration):
                closer.aclose().__await__().send(None)
        self.close()


def _end_all(works: list[Deferred]) -> None:
    while works:
        works[0].at_pass_end()  # done again, if it is interrupted
        del works[0]


async def _close_at_shutdown(state: "weakref.ref[LoopState]") -> AsyncGenerator[None]:
    """Stand in the loop's list of asynchronous generators until the loop shuts them down."""
    try:
        yield
    finally:
        alive = state()
        if alive is not None:
            alive.close()
