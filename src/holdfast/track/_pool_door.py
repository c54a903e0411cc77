"""How a resource is borrowed: at once, or in line; checked; in blocking code and in a coroutine."""

import asyncio
import threading
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from contextvars import Context
from types import TracebackType
from typing import Final, Generic, Literal, TypeVar

from holdfast._core import check
from holdfast._core.loops import LoopState, loop_state
from holdfast.pools.deadline import remaining
from holdfast.track._place import LoopPlace, ThreadPlace
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_functions import PoolFunctions
from holdfast.track._pool_homes import ThreadHome
from holdfast.track._pool_lease import Lease
from holdfast.track._pool_loop_home import LoopHome
from holdfast.track._pool_probe import Probe
from holdfast.track._pool_reports import tell_failure
from holdfast.track._pool_slot import Asked
from holdfast.track._pool_words import blocking_refusal, timeout_refusal
from holdfast.track._registry import REGISTRY
from holdfast.track._site import Site, caller
from holdfast.track.scopes import current_scope

__all__ = ("Borrow", "PoolDoor", "Wait")

T = TypeVar("T")

Wait = float | Literal["pool"] | None
"""Longest wait in seconds; ``"pool"`` is the pool's own ``timeout``, None is no bound."""


class PoolDoor(Generic[T]):
    """Finds the home of whoever comes, and brings a lease. Every method from any thread."""

    def __init__(
        self,
        core: PoolCore[T],
        functions: PoolFunctions[T],
        context: Context,
        site: Site,
        *,
        in_loops: bool,
        helpers: int,
    ) -> None:
        self._core: Final = core
        self._functions: Final = functions
        self._context: Final = context
        self._site: Final = site
        self._homes: dict[LoopState, LoopHome[T]] = {}
        self.threads: ThreadHome[T] | None = None
        if not in_loops:
            self.threads = ThreadHome(core, functions, context, site, helpers)

    def home_of_thread(self) -> ThreadHome[T]:
        """Where blocking code borrows.

        Raises:
            TypeError: The resources belong to loops.
        """
        if self.threads is None:
            msg = (
                f"the resources of {self._core.options.owner} belong to event loops: borrow in a coroutine, "
                "with `async with` or `await`"
            )
            raise TypeError(msg)
        return self.threads

    def home_of_loop(self) -> ThreadHome[T] | LoopHome[T]:
        """Where a coroutine of the running loop borrows."""
        if self.threads is not None:
            return self.threads
        state = loop_state(asyncio.get_running_loop())
        home = self._homes.get(state)
        if home is None:
            for other in [state for state, home in self._homes.items() if home.is_over]:
                del self._homes[other]
            home = LoopHome(self._core, self._functions, self._context, self._site)
            self._homes[state] = home
        return home

    def close(self) -> None:
        """No slot is left: let the helpers go."""
        if self.threads is not None:
            self.threads.helpers.close(0.0)

    # ------------------------------------------------------------ in blocking code

    def acquire(self, wait: Wait, *, in_block: bool) -> Lease[T]:
        """Return a lease, blocking until there is one."""
        core, home = self._core, self.home_of_thread()
        asked = Asked(home, caller(), threading.get_ident(), in_block=in_block)
        longest, began, again = self._longest(wait), core.clock.now(), False
        lease = core.take(asked)
        while True:
            if lease is None:
                left = self._left(longest, began, again=again)
                if _get_running_loop() is not None:
                    raise core.refuse_unasked(blocking_refusal(core))
                place: ThreadPlace[Lease[T]] = ThreadPlace(began, asked)
                core.line_up(place, again=again)
                lease = place.wait(core, core.clock, left)
            if (
                self._functions.probe is None
                or not self._is_due(lease)
                or self._passes(home, lease)
            ):
                return self._kept(lease, asked)
            lease, again = None, True

    def _passes(self, home: ThreadHome[T], lease: Lease[T]) -> bool:
        try:
            fit = home.probe(lease.resource)
        except BaseException as error:
            self._reject(lease, error)
            if not isinstance(error, Exception):
                raise
            return False
        if not fit:
            self._reject(lease, None)
        return fit

    # ------------------------------------------------------------ in a coroutine

    async def aacquire(self, wait: Wait, *, in_block: bool) -> Lease[T]:
        """Return a lease, as soon as there is one."""
        core, home = self._core, self.home_of_loop()
        loop = asyncio.get_running_loop()
        asked = Asked(home, caller(), asyncio.current_task() or 0, in_block=in_block)
        longest, began, again = self._longest(wait), core.clock.now(), False
        lease = core.take(asked)
        while True:
            if lease is None:
                left = self._left(longest, began, again=again)
                place: LoopPlace[Lease[T]] = LoopPlace(began, loop, core, asked)
                core.line_up(place, again=again)
                lease = await place.wait(left)
            if self._functions.probe is None or not self._is_due(lease):
                return self._kept(lease, asked)
            if await self._apasses(home, lease):
                return self._kept(lease, asked)
            lease, again = None, True

    async def _apasses(self, home: ThreadHome[T] | LoopHome[T], lease: Lease[T]) -> bool:
        if isinstance(home, ThreadHome):
            slot = lease.forget()
            assert slot is not None  # noqa: S101 - it has just been lent
            probe = Probe(self._core, slot, home.probe)
            if await probe.passed(home.submit_check):
                lease.take(slot)
                return True
            lease.take(slot)
            self._reject(lease, None)
            return False
        try:
            async with asyncio.timeout(self._core.options.open_timeout):
                fit = await home.aprobe(lease.resource)
        except BaseException as error:
            self._reject(lease, error)
            if not isinstance(error, Exception):
                raise
            return False
        if not fit:
            self._reject(lease, None)
        return fit

    # ------------------------------------------------------------ both

    def _longest(self, wait: Wait) -> float | None:
        own = (
            self._core.options.timeout
            if wait == "pool"
            else check.seconds("timeout", wait, zero=True)
        )
        left = remaining()
        return own if left is None else left if own is None else min(own, left)

    def _left(self, longest: float | None, began: float, *, again: bool) -> float | None:
        """How long the caller may still wait; refused where that is nothing."""
        if longest is None:
            return None
        waited = self._core.clock.now() - began
        if longest - waited <= 0.0:
            with self._core:
                refusal = timeout_refusal(self._core, waited)
            raise self._core.refuse_unasked(refusal)
        return longest - waited if again else longest

    def _is_due(self, lease: Lease[T]) -> bool:
        options = self._core.options
        return options.check_after <= 0.0 or lease.was_idle_s >= options.check_after

    def _reject(self, lease: Lease[T], error: BaseException | None) -> None:
        """A check has failed, or was broken off."""
        slot = lease.forget()
        if slot is None:
            return
        if error is not None and isinstance(error, Exception):
            tell_failure(self._core.options.owner, "checking a resource", error)
        self._core.found_broken(slot)

    def _kept(self, lease: Lease[T], asked: Asked) -> Lease[T]:
        """Let the scope around the caller answer for the lease, if there is one."""
        keeper = current_scope()
        if keeper is not None:
            record = REGISTRY.add(
                lease,
                site=asked.site,
                owner=keeper.path,
                kind="lease",
                name=self._core.options.name,
            )
            lease.record = record
            keeper.take(record)
        return lease


class Borrow(Generic[T]):
    """What :meth:`ResourcePool.borrow` returns: ``with`` or ``async with``, again and again, not nested."""

    __slots__ = ("_door", "_lease", "_wait")

    def __init__(self, door: PoolDoor[T], wait: Wait) -> None:
        self._door = door
        self._wait: Wait = wait
        self._lease: Lease[T] | None = None

    def __enter__(self) -> T:
        self._check_free()
        self._lease = self._door.acquire(self._wait, in_block=True)
        return self._lease.resource

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.__exit__(kind, error, traceback)

    async def __aenter__(self) -> T:
        self._check_free()
        self._lease = await self._door.aacquire(self._wait, in_block=True)
        return self._lease.resource

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.__aexit__(kind, error, traceback)

    def _check_free(self) -> None:
        if self._lease is not None:
            msg = "this borrow is in use; make one for each block: `with pool.borrow() as ...`"
            raise RuntimeError(msg)
