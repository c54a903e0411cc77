"""The work of a run as a task of its own, on the loop of the caller that leads.

It is a task of its own so that it outlives the caller that began it, while others wait. Its end is
heard in one of three ways, of which the first counts: from the coroutine itself; from the task, if it
was cancelled before its first step; from the loop, if that closes under it.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from holdfast._core.loops import LoopState, loop_state
from holdfast._core.on_loop import before_close, keep, kept
from holdfast.flow._flight_ring import INSIDE, ring_lock, shown
from holdfast.flow._flight_run import OPEN, Call, Run, Work
from holdfast.pools._threads import finalize
from holdfast.pools._timer import TIMER

__all__ = ("Host", "note_unheard", "start_task")

log = logging.getLogger("holdfast.flow")

_KEY = "_holdfast_flights"


class Host(Protocol):
    """What the work asks of its flight."""

    lock: threading.Lock
    ending: set[Work]

    @property
    def name(self) -> str: ...

    def end(self, run: Run, term: int, value: object, error: BaseException | None) -> bool:
        """The work has ended."""
        ...

    def abort(self, run: Run, term: int, error: BaseException | None, why: str) -> bool:
        """The work has gone without an outcome."""
        ...


class _TaskWork:
    """A task that runs the work, and can be told to stop."""

    __slots__ = ("future", "host", "led", "mailbox", "run", "term")

    def __init__(self, host: Host, run: Run, mailbox: LoopState, led: "set[_TaskWork]") -> None:
        self.host = host
        self.run = run
        self.term = run.term
        self.mailbox = mailbox
        self.led = led
        self.future: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Cancel the task; a loop that has closed has nothing left to cancel."""
        if self.mailbox.is_here():
            self.deliver()
        else:
            self.mailbox.post(self)

    def deliver(self) -> None:
        """On the loop."""
        if self.future is not None:
            self.future.cancel()

    def over(self, task: "asyncio.Task[None] | None") -> None:
        """The task has ended, or will never."""
        self.led.discard(self)
        if self.run.state == OPEN:
            error = asyncio.CancelledError()
            self.host.abort(self.run, self.term, error, "its work was cancelled before it began")
        with self.host.lock:  # only now: whoever tells it to stop does so while the run is OPEN
            self.host.ending.discard(self)
        if task is not None and not task.cancelled():
            task.exception()  # what the loop has been told already
        self.future = None

    def waiting(self) -> list[Any]:
        """The futures of those who wait for it, for the search for deadlocks; takes no lock."""
        return [one for group in tuple(self.run.groups) for one in group.futures()]

    def loop_closed(self) -> None:
        """The loop closes with the work unfinished."""
        self.host.abort(self.run, self.term, None, "the event loop that ran its work was closed")
        self.over(None)


def start_task(
    host: Host,
    run: Run,
    loop: asyncio.AbstractEventLoop,
    call: Call,
) -> None:
    """Begin the work of a run, in a task on ``loop``, which runs in this thread."""
    work = _TaskWork(host, run, loop_state(loop), _led_on(loop))
    body = _drive(host, run, work.term, *call)
    outer = INSIDE.set(run.mark)
    try:
        work.future = task = loop.create_task(body)
    except BaseException as error:
        body.close()
        host.abort(run, work.term, error, "its work could not be started")
        raise
    finally:
        INSIDE.reset(outer)
    work.led.add(work)
    task.add_done_callback(work.over)
    with host.lock:
        wanted = run.state == OPEN and run.term == work.term
        if wanted:
            run.work = work
        elif not task.done():
            host.ending.add(work)
    if not wanted:
        task.cancel()


async def _drive(
    host: Host,
    run: Run,
    term: int,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    try:
        value = await _awaitable(fn, fn(*args, **kwargs))
    except GeneratorExit as error:  # from the collector, perhaps in the midst of anything
        finalize(_Ended(host, run, term, error), host.lock, ring_lock(), TIMER.lock)
        raise
    except BaseException as error:
        heard = host.end(run, term, None, error)
        if not isinstance(error, Exception):
            raise
        if not heard:
            note_unheard(host, run, error)
    else:
        host.end(run, term, value, None)
    finally:
        del host, run, fn, args, kwargs  # the traceback of an error keeps this frame


def note_unheard(host: Host, run: Run, error: Exception) -> None:
    """Log an error that has nobody left to be raised to."""
    log.warning(
        "flight %r: the run for %s failed after everyone who waited for it had left",
        host.name,
        shown(run.key),
        exc_info=error,
    )


def _awaitable(fn: Callable[..., Any], made: Any) -> Awaitable[Any]:
    awaitable: Awaitable[Any] = made
    if hasattr(made, "__await__"):
        return awaitable
    msg = (
        f"{fn!r} returned a {type(made).__name__}, which can't be awaited: run() needs a coroutine "
        "function. pool.wrap(fn) makes one of a blocking function; run_sync() takes it as it is"
    )
    raise TypeError(msg)


class _Ended:
    """The end of a coroutine that was thrown away, to be told when no lock is in the way."""

    __slots__ = ("_error", "_host", "_run", "_term")

    def __init__(self, host: Host, run: Run, term: int, error: GeneratorExit) -> None:
        self._host = host
        self._run = run
        self._term = term
        self._error = error

    def __call__(self) -> None:
        self._host.end(self._run, self._term, None, self._error)


def _led_on(loop: asyncio.AbstractEventLoop) -> set[_TaskWork]:
    """The work that runs on ``loop``; what is left of it when the loop closes is aborted.

    ``asyncio.run`` cancels all tasks before. A loop that is simply closed does not, and nobody would
    ever tell those who wait in other loops and threads.
    """
    led: set[_TaskWork] | None = kept(loop, _KEY)
    return _hook_close(loop) if led is None else led


def _hook_close(loop: asyncio.AbstractEventLoop) -> set[_TaskWork]:
    led = set[_TaskWork]()
    keep(loop, _KEY, led)

    def abort() -> None:
        for work in tuple(led):
            work.loop_closed()

    before_close(loop, abort)
    return led
