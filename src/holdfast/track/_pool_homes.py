"""Where the user's functions run: on helper threads, or in the loop to which a resource belongs.

Purpose: ``create``, ``destroy``, ``reset`` and ``check`` never run under the pool's lock, and never
freeze a loop: blocking ones run on a few threads of the pool, those of a loop as tasks in it.

Guarantees
- each job reports to the core once, whatever it raises: ``opened`` or ``open_failed``, ``was_reset``,
  ``gone``;
- they run in a copy of the context in which the pool was made, not in that of the borrower who happened
  to come first: no deadline and no scope of a session reaches what everybody shares;
- the descriptors of a resource are drawn before ``create`` and given back after ``destroy``; what belongs to
  a loop is in ``_pool_loop_home.py``.
"""

from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

from holdfast.pools.thread_pool import ThreadPool
from holdfast.track._closing import close_blocking, closer_of
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_functions import PoolFunctions, made
from holdfast.track._pool_reports import tell_failure
from holdfast.track._pool_slot import Slot
from holdfast.track._registry import REGISTRY
from holdfast.track._site import Site
from holdfast.track.descriptors import DESCRIPTORS, Draw

__all__ = ("ROOM_WAIT", "AnyHome", "ThreadHome")

T = TypeVar("T")

ROOM_WAIT = 5.0
"""Seconds for which one attempt to open waits for room in the descriptor budget."""


class AnyHome(Generic[T]):
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


class ThreadHome(AnyHome[T]):
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
                    core.options.descriptors, owner=core.options.owner, timeout=ROOM_WAIT
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
