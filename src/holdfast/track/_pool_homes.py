"""Where the user's functions run: on helper threads, or in the loop to which a resource belongs.

Purpose: ``create``, ``destroy``, ``reset`` and ``check`` never run under the pool's lock, and never
freeze a loop: blocking ones run on a few threads of the pool, those of a loop as tasks in it.

Guarantees
- each job reports to the core once, whatever it raises: ``opened`` or ``open_failed``, ``was_reset``,
  ``gone``;
- they run in a copy of the context in which the pool was made, not in that of the borrower who happened
  to come first: no deadline and no scope of a session reaches what everybody shares;
- the descriptors of a resource are drawn before ``create`` and given back after ``destroy``;
- when a loop shuts down, what is idle in it is closed in it. When it was closed by hand, what belonged
  to it can't be closed any more, and is dropped.
"""

import asyncio
import weakref
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, TypeVar

from holdfast._core.loops import LoopState, loop_state
from holdfast.pools.thread_pool import ThreadPool
from holdfast.track._closing import close_async, close_blocking, closer_of
from holdfast.track._loop_end import LoopEnd
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_functions import PoolFunctions, awaited, made
from holdfast.track._pool_reports import tell_failure
from holdfast.track._pool_slot import CLOSING, OPENING, RESETTING, Slot
from holdfast.track._registry import REGISTRY
from holdfast.track._site import Site
from holdfast.track.descriptors import DESCRIPTORS, Draw

__all__ = ("LoopHome", "ThreadHome")

T = TypeVar("T")

_ROOM_WAIT = 5.0
"""Seconds for which one attempt to open waits for room in the descriptor budget."""

_TRIES = 3
"""How often a closing that was cancelled is begun again."""


class _AnyHome(Generic[T]):
    """What both have in common."""

    def __init__(
        self, core: PoolCore[T], functions: PoolFunctions[T], context: Context, site: Site
    ) -> None:
        self.core = core
        self.functions = functions
        self.context = context
        self.site = site
        self.idle: list[Slot[T]] = []
        self.opening = 0

    def recorded(self, slot: Slot[T], resource: T, draw: Draw | None) -> None:
        """Enter a new resource into the registry, at the line that made the pool."""
        if draw is not None:
            draw.opened()
        slot.record = REGISTRY.add(
            resource, site=self.site, owner=self.core.options.owner, draw=draw
        )
        # Something that has a record already keeps it, and does not take these descriptors over.
        if draw is not None and slot.record.draw is not draw:
            slot.record.draw = slot.record.draw or draw


class ThreadHome(_AnyHome[T]):
    """For blocking functions: a few threads of the pool's own, which end when they are idle."""

    def __init__(
        self,
        core: PoolCore[T],
        functions: PoolFunctions[T],
        context: Context,
        site: Site,
        helpers: int,
    ) -> None:
        super().__init__(core, functions, context, site)
        self.helpers = ThreadPool(
            helpers,
            name=f"{core.options.name}-helpers",
            max_queue=10 * core.options.max_size + 1000,
            idle_timeout=1.0,
        )

    is_over = False

    def open(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        self._submit(self._open, slot, self.core.open_failed)

    def destroy(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        self._submit(self._destroy, slot, None)

    def reset(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        if _get_running_loop() is None:
            self._reset(slot)
        else:
            self._submit(self._reset, slot, None)

    async def areset(self, slot: Slot[T]) -> None:
        """See :class:`holdfast.track._pool_home.Home`."""
        self._submit(self._reset, slot, None)

    def probe(self, resource: T) -> bool:
        """Whether ``check`` finds it fit; in this thread."""
        if self.functions.probe is None:
            return True
        return self.functions.probe(resource) is not False

    def submit_check(self, job: Callable[[], None]) -> None:
        """Have a check run on a helper's thread."""
        _ = self.context.copy().run(self.helpers.submit, job)

    def _submit(
        self,
        job: Callable[[Slot[T]], None],
        slot: Slot[T],
        refused: Callable[[Slot[T], BaseException], None] | None,
    ) -> None:
        try:
            _ = self.context.copy().run(self.helpers.submit, job, slot)
        except Exception as error:  # noqa: BLE001 - no thread to be had, or no place for one more job
            if refused is not None:
                refused(slot, error)
            else:
                job(slot)  # it has to be done, so it is done here

    # ------------------------------------------------------------ on a helper's thread

    def _open(self, slot: Slot[T]) -> None:
        core = self.core
        draw: Draw | None = None
        try:
            if core.options.descriptors:
                draw = DESCRIPTORS.take(
                    core.options.descriptors, owner=core.options.owner, timeout=_ROOM_WAIT
                )
            began = core.clock.now()
            resource = self.functions.create()
            self.recorded(slot, made(resource, awaitable=False), draw)
        except BaseException as error:  # noqa: BLE001 - a helper's thread has nobody to raise it to
            if draw is not None:
                draw.give_back()
            tell_failure(core.options.owner, "opening a resource", error)
            core.open_failed(slot, error)
        else:
            core.opened(slot, resource, core.clock.now() - began)

    def _destroy(self, slot: Slot[T]) -> None:
        error: BaseException | None = None
        resource = slot.resource
        try:
            if self.functions.destroy is not None:
                close_blocking(lambda: self.functions.destroy(resource))  # type: ignore[misc] # not None, as was just seen
            elif (closer := closer_of(resource, awaitable=False)) is not None:
                close_blocking(closer)
        except BaseException as raised:  # noqa: BLE001 - see _open
            error = raised
            tell_failure(self.core.options.owner, "closing a resource", raised)
        self.core.gone(slot, error)

    def _reset(self, slot: Slot[T]) -> None:
        error: BaseException | None = None
        try:
            if self.functions.reset is not None:
                self.functions.reset(slot.resource)
        except BaseException as raised:
            error = raised
            tell_failure(self.core.options.owner, "resetting a resource", raised)
            if not isinstance(raised, Exception):
                self.core.was_reset(slot, raised)
                raise  # Ctrl-C in the borrower's own thread
        self.core.was_reset(slot, error)


class LoopHome(_AnyHome[T]):
    """For functions of a loop: tasks in it. Made in the loop."""

    def __init__(
        self, core: PoolCore[T], functions: PoolFunctions[T], context: Context, site: Site
    ) -> None:
        super().__init__(core, functions, context, site)
        loop = asyncio.get_running_loop()
        self.mailbox: LoopState = loop_state(loop)
        self._loop = weakref.ref(loop)
        self._tasks: set[asyncio.Task[None]] = set()
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
            await self._reset(slot)
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
        state = slot.state
        task = loop.create_task(job(slot), context=self.context.copy())
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if slot.state == state:  # cancelled, perhaps before its first step
                self._broken_off(slot)

        task.add_done_callback(ended)

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
        """The loop shuts down: close what is idle here, and wait for it."""
        core = self.core
        with core:
            if core.fill_home is self:
                core.fill_home = None
            while self.idle:
                core.idle_count -= 1
                core.close_slot(self.idle.pop(), "loop_ended" if not core.closed else "closed")
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    # ------------------------------------------------------------ in the loop

    async def _open(self, slot: Slot[T]) -> None:
        core = self.core
        draw: Draw | None = None
        try:
            if core.options.descriptors:
                draw = await DESCRIPTORS.atake(
                    core.options.descriptors, owner=core.options.owner, timeout=_ROOM_WAIT
                )
            began = core.clock.now()
            async with asyncio.timeout(core.options.open_timeout):
                resource: T = made(await awaited(self.functions.create()), awaitable=True)
            self.recorded(slot, resource, draw)
        except BaseException as error:
            if draw is not None:
                draw.give_back()
            if not isinstance(error, asyncio.CancelledError):
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
            if not isinstance(raised, asyncio.CancelledError):
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
