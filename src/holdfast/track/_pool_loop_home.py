"""Where the functions of a resource run that belongs to an event loop: tasks in that loop.

Purpose: what was opened in a loop is reset, checked and closed in it, and while it ends too.

Guarantees, beside those of ``_pool_homes.py``
- when a loop shuts down, what is idle in it is closed in it, and so is whatever is on its way to it:
  another thread decides under the lock, and posts the job a moment later. So the shutdown waits until no
  slot is on its way, by the states, and not only until no task runs;
- when a loop closes with a job before its end (it was closed by hand, or the job came too late), the job
  is broken off there, and what belonged to that loop can't be closed any more, and is dropped. So no
  place stays taken by a job that will not go on.
"""

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from holdfast._core.loops import LoopState, at_loop_end, loop_state
from holdfast.track._closing import close_async, closer_of
from holdfast.track._loop_end import LoopEnd
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_functions import PoolFunctions, awaited, made
from holdfast.track._pool_homes import ROOM_WAIT, AnyHome
from holdfast.track._pool_reports import tell_failure
from holdfast.track._pool_slot import CLOSING, OPENING, RESETTING, Slot
from holdfast.track._site import Site
from holdfast.track.descriptors import DESCRIPTORS, Draw

__all__ = ("LoopHome",)

T = TypeVar("T")

_POST_WAIT = 5.0
"""Seconds for which a loop that shuts down waits for a job that another thread has yet to post."""

_TRIES = 3
"""How often a closing that was cancelled is begun again."""

_ON_ITS_WAY = frozenset((OPENING, RESETTING, CLOSING))


class LoopHome(AnyHome[T]):
    """For functions of a loop: tasks in it. Made in the loop."""

    def __init__(
        self, core: PoolCore[T], functions: PoolFunctions[T], context: Context, site: Site
    ) -> None:
        super().__init__(core, functions, context, site)
        loop = asyncio.get_running_loop()
        self.mailbox: LoopState = loop_state(loop)
        self._loop = weakref.ref(loop)
        self._tasks: dict[asyncio.Task[None], Slot[T]] = {}
        self._news = asyncio.Event()  # a job has begun or ended
        here: weakref.ref[LoopHome[Any]] = weakref.ref(self)
        self._end = LoopEnd(lambda: _end(here))

    def open(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        self._start(self._open, slot)

    def destroy(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        self._start(self._destroy, slot)

    def reset(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        self._start(self._reset, slot)

    async def areset(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        if self.mailbox.is_here():
            try:
                await self._reset(slot)
            finally:
                self._news.set()
        else:
            self._start(self._reset, slot)

    async def aprobe(self, resource: T) -> bool:
        """Whether ``check`` finds it fit; in the loop."""
        if self.functions.probe is None:
            return True
        return await awaited(self.functions.probe(resource)) is not False

    # ------------------------------------------------------------ into the loop

    def _start(self, job: Callable[[Slot[T]], Coroutine[Any, Any, None]], slot: Slot[T]) -> None:
        if self.mailbox.is_here() and not self.mailbox.closing:
            self.begin(job, slot)
        elif not self.mailbox.post(_Job(self, job, slot)):
            self.lose(slot)

    def begin(self, job: Callable[[Slot[T]], Coroutine[Any, Any, None]], slot: Slot[T]) -> None:
        """On the loop: run the job as a task of its own."""
        loop = self._loop()
        if loop is None or loop.is_closed() or self.mailbox.closing:
            self.lose(slot)
            return
        task = loop.create_task(job(slot), context=self.context.copy())
        self._tasks[task] = slot
        self.mailbox.kept.add(self)
        state = slot.state

        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[task]
            if not self._tasks:
                self.mailbox.kept.discard(self)
            self._news.set()
            # A job that has ended well has reported, and its slot may be in the same state once more.
            if slot.state == state and (task.cancelled() or task.exception() is not None):
                self._broken_off(slot)

        task.add_done_callback(ended)
        self._news.set()

    def _broken_off(self, slot: Slot[T]) -> None:
        """A job was cancelled, as every task is when its loop shuts down; what is open is closed even so."""
        if slot.state == CLOSING and slot.tries < _TRIES:
            slot.tries += 1
            self.begin(self._destroy, slot)
        else:
            self.lose(slot, asyncio.CancelledError())

    def lose(self, slot: Slot[T], error: BaseException | None = None) -> None:
        """The loop is closed: nothing can be done with what belongs to it."""
        error = error or RuntimeError("its event loop is closed")
        if slot.state == OPENING:
            self.core.open_failed(slot, error)
        elif slot.state == RESETTING:
            self.core.was_reset(slot, error)  # and then it comes here again, to be destroyed
        elif slot.state == CLOSING:
            self.core.gone(slot, error)

    @property
    def is_over(self) -> bool:
        """Whether its loop is closed."""
        loop = self._loop()
        return loop is None or loop.is_closed()

    async def end(self) -> None:
        """The loop shuts down: close what is idle here, and wait for what is on its way."""
        while self._close_idle():
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._tasks else _POST_WAIT):
                    await self._news.wait()
                continue
            return  # whoever was to post it was interrupted, or comes too late: see let_go

    def _close_idle(self) -> bool:
        """Have what is idle here closed; whether anything is on its way to an end here."""
        core = self.core
        with core:
            if core.fill_home is self:
                core.fill_home = None
            while self.idle:
                core.idle_count -= 1
                core.close_slot(self.idle.pop(), "loop_ended" if not core.closed else "closed")
            busy = any(slot.home is self and slot.state in _ON_ITS_WAY for slot in core.slots)
        return busy or bool(self._tasks)

    def let_go(self) -> None:
        """The loop closes, and no task will go on: break off what they do, and report that."""
        self.mailbox.kept.discard(self)
        tasks, self._tasks = self._tasks, {}
        for task, slot in tasks.items():
            state = slot.state
            coroutine: Any = task.get_coro()  # None for an eager task that has ended at once
            if coroutine is not None:
                with contextlib.suppress(Exception):  # one that insists on awaiting
                    coroutine.close()
            if slot.state == state:
                self.lose(slot)

    # ------------------------------------------------------------ in the loop

    async def _open(self, slot: Slot[T]) -> None:
        core = self.core
        draw: Draw | None = None
        try:
            if core.options.descriptors:
                draw = await DESCRIPTORS.atake(
                    core.options.descriptors, owner=core.options.owner, timeout=ROOM_WAIT
                )
            began = core.clock.now()
            async with asyncio.timeout(core.options.open_timeout):
                resource: T = made(await awaited(self.functions.create()), awaitable=True)
            self.recorded(slot, resource, draw)
        except BaseException as error:
            if draw is not None:
                draw.give_back()
            if isinstance(error, Exception):  # no cancellation, and no end of the loop
                tell_failure(core.options.owner, "opening a resource", error)
            core.open_failed(slot, error)
            if not isinstance(error, Exception):
                raise
        else:
            core.opened(slot, resource, core.clock.now() - began)

    async def _destroy(self, slot: Slot[T]) -> None:
        error: Exception | None = None
        try:
            async with asyncio.timeout(self.core.options.close_timeout):
                await self._close(slot.resource)
        except Exception as raised:  # noqa: BLE001 - it is logged and counted
            error = raised
            tell_failure(self.core.options.owner, "closing a resource", raised)
        self.core.gone(slot, error)

    async def _close(self, resource: T | None) -> None:
        destroy = self.functions.destroy
        if destroy is not None:
            await awaited(destroy(resource))
        elif (closer := closer_of(resource, awaitable=True)) is not None:
            await close_async(closer)

    async def _reset(self, slot: Slot[T]) -> None:
        error: BaseException | None = None
        try:
            if self.functions.reset is not None:
                async with asyncio.timeout(self.core.options.open_timeout):
                    await awaited(self.functions.reset(slot.resource))
        except BaseException as raised:
            error = raised
            if isinstance(raised, Exception):
                tell_failure(self.core.options.owner, "resetting a resource", raised)
            if not isinstance(raised, Exception):
                raise
        finally:
            self.core.was_reset(slot, error)


class _Job:
    """Carries a job into its loop."""

    __slots__ = ("_home", "_job", "_slot")

    def __init__(self, home: LoopHome[Any], job: Any, slot: Slot[Any]) -> None:
        self._home = home
        self._job = job
        self._slot = slot

    def deliver(self) -> None:
        """On the loop."""
        self._home.begin(self._job, self._slot)


async def _end(home: "weakref.ref[LoopHome[Any]]") -> None:
    alive = home()
    if alive is not None:
        await alive.end()


def _let_go(loop: asyncio.AbstractEventLoop) -> None:
    """On the thread that is about to close ``loop``."""
    for kept in tuple(loop_state(loop).kept):
        if isinstance(kept, LoopHome):
            kept.let_go()


at_loop_end.append(_let_go)
