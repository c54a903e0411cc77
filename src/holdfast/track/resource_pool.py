"""A pool of anything that is opened and closed: connections, clients, sessions, files."""

import asyncio
import contextvars
import itertools
import logging
import warnings
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from holdfast._core import check as checks, clock
from holdfast.errors import Leaked
from holdfast.pools._forked import forks
from holdfast.track._place import LoopPlace, ThreadPlace
from holdfast.track._pool_core import PoolCore
from holdfast.track._pool_door import Borrow, PoolDoor, Wait
from holdfast.track._pool_functions import PoolFunctions, belongs_to_a_loop
from holdfast.track._pool_lease import Lease
from holdfast.track._pool_options import checked_options, sizes
from holdfast.track._pool_readings import holders, stats_of
from holdfast.track._pool_slot import Holder
from holdfast.track._pool_stats import ResourceStats
from holdfast.track._pool_watch import PoolWatch
from holdfast.track._pool_words import leak_report
from holdfast.track._registry import REGISTRY
from holdfast.track._site import caller
from holdfast.track.descriptors import DESCRIPTORS
from holdfast.track.scopes import current_scope

__all__ = ("ResourcePool",)

T = TypeVar("T")

log = logging.getLogger("holdfast.track")
_names = itertools.count(1)


def fit_after(error: BaseException) -> bool:
    """Whether a resource may be lent again after its block ended with ``error``.

    Not after an error of the connection (``OSError``, ``EOFError``), and not after an interruption (a
    cancellation, Ctrl-C), which may have struck in the middle of an exchange: the next borrower would
    read the answer that was meant for this one.
    """
    return isinstance(error, Exception) and not isinstance(error, OSError | EOFError)


class ResourcePool(Generic[T]):
    """At most ``max_size`` resources, opened when they are needed, lent to one borrower at a time.

    One object for coroutines in any loop and for blocking code in any thread, first come, first served
    over all of them. Where the functions are blocking, a resource may be lent anywhere, and must not
    insist on one thread (``sqlite3``: ``check_same_thread=False``); they run on a few threads of the
    pool, never on a loop. If one of the functions is a coroutine function, resources belong to the loop
    in which they were opened, and are lent there alone: blocking code can't borrow, the loops share
    ``max_size``, and each loop's idle resources are closed when it shuts down.

    **Opening.** One at a time, only while somebody waits whom no resource serves, or while ``min_size``
    is not reached after ``open``. When it fails, the next attempt follows after a pause with jitter, 0.1
    to 30 s, as long as it is needed; those who wait stay in line, and the last failure is the cause of
    their error.

    **Lending.** The one that came back last is lent first, so the others age: what was not needed for
    ``idle_timeout`` is closed. At the end of the block it is reset and lent to the next. After an error
    that spoils it (see ``keep_after``) it is closed and replaced.

    **Limits.** Each open resource holds ``descriptors`` of the process's budget. Where there are none
    left, opening waits, and idle resources of other pools are closed to make room.

    Used as a context manager, plain or ``async``, it is opened at the beginning and closed at the end.
    Made inside a :func:`holdfast.scope`, it is closed with it.

    Args:
        create: Opens a resource: a function, or a coroutine function.
        destroy: Closes one; None is its own ``aclose`` or ``close``.
        max_size: Most resources, at least 1. One that is being opened or closed counts.
        min_size: How many to keep open once the pool is open, 0 or more.
        reset: Called with a resource that came back, before it is lent again; an error closes it.
        check: Called with a resource before it is lent; False or an error closes it, and the borrower
            gets another one.
        check_after: Check only what has been idle for so many seconds; 0 is always.
        timeout: Longest wait of a borrower in seconds; 0 is none, None is no bound. An inherited
            :func:`holdfast.deadline` counts too.
        max_waiting: Most borrowers that wait; one more is refused. 0: nobody waits.
        max_lifetime: Seconds after which a resource is closed, when idle or when it comes back; up to 5 %
            less, so that they don't all end at once. None is no bound.
        idle_timeout: Seconds after which a resource beyond ``min_size`` is closed when it was not
            needed. None is never.
        leak_after: Seconds after which a loan is logged as leaked, with the line of the borrower; or a
            pair, after how many it is slow, and leaked. A late return is logged, too. None is never.
        max_opening: Most resources being opened at once, at least 1.
        open_timeout: Longest time for a coroutine function to open or to reset, in seconds. Blocking
            ones can't be stopped: give the driver a timeout of its own.
        close_timeout: Longest time for a coroutine function to close one, in seconds.
        descriptors: How many descriptors each resource has open, 0 or more.
        bound_to_loop: Whether resources belong to loops; None: whether one of the functions is a
            coroutine function. Say True for a plain function that returns something to be awaited.
        keep_after: Says whether a resource may be lent again after its block ended with the given error.
            Default: not after ``OSError``, ``EOFError``, or a cancellation or interruption.
        helpers: Most threads for blocking functions, at least 1. They end when they are idle.
        name: For logs, reports and statistics.

    Raises:
        TypeError: An option is of the wrong type.
        ValueError: An option is out of its range.

    Example:
        >>> import io
        >>> with ResourcePool(io.StringIO, max_size=2, descriptors=0, name="notes") as pool:
        ...     with pool.borrow() as notes:
        ...         notes.write("hello")
        5
    """

    def __init__(  # noqa: PLR0913 - the options of a pool, keyword-only
        self,
        create: Callable[[], Awaitable[T]] | Callable[[], T],
        destroy: Callable[[T], Any] | None = None,
        *,
        max_size: int = 10,
        min_size: int = 0,
        reset: Callable[[T], Any] | None = None,
        check: Callable[[T], Any] | None = None,
        check_after: float = 0.0,
        timeout: float | None = 30.0,
        max_waiting: int = 1000,
        max_lifetime: float | None = 3600.0,
        idle_timeout: float | None = 600.0,
        leak_after: float | tuple[float | None, float | None] | None = None,
        max_opening: int = 1,
        open_timeout: float = 30.0,
        close_timeout: float = 10.0,
        descriptors: int = 1,
        bound_to_loop: bool | None = None,
        keep_after: Callable[[BaseException], bool] = fit_after,
        helpers: int = 3,
        name: str | None = None,
    ) -> None:
        options = checked_options(
            name=name if name is not None else f"resources-{next(_names)}",
            min_size=min_size,
            max_size=max_size,
            max_waiting=max_waiting,
            max_opening=max_opening,
            timeout=timeout,
            open_timeout=open_timeout,
            close_timeout=close_timeout,
            max_lifetime=max_lifetime,
            idle_timeout=idle_timeout,
            check_after=check_after,
            leak_after=leak_after,
            descriptors=descriptors,
            resets=reset is not None,
            keep_after=keep_after,
        )
        self._core: PoolCore[T] = PoolCore(options, clock.current())
        self._functions: PoolFunctions[T] = PoolFunctions(create, destroy, reset, check)
        self._context = contextvars.copy_context()
        self._site = caller()
        self._helpers = checks.count("helpers", helpers, least=1)
        in_loops = belongs_to_a_loop(create, destroy, reset, check)
        self._in_loops = in_loops if bound_to_loop is None else bound_to_loop
        self._parents: list[object] = []
        self._begin()
        if options.descriptors:
            DESCRIPTORS.lends(self)
        keeper = current_scope()
        if keeper is not None:
            record = REGISTRY.add(
                self, site=self._site, owner=keeper.path, kind="pool", name=options.name
            )
            keeper.take(record)
        forks(self)

    def _begin(self) -> None:
        core = self._core
        self._watch = PoolWatch(core)
        core.watch, core.watch_retry = self._watch.start, self._watch.retry
        core.watch_line = self._watch.somebody_waits
        self._door = PoolDoor(
            core,
            self._functions,
            self._context,
            self._site,
            in_loops=self._in_loops,
            helpers=self._helpers,
        )

    # ------------------------------------------------------------ what it is

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._core.options.name

    @property
    def closed(self) -> bool:
        """Whether it lends nothing any more."""
        return self._core.closed

    def stats(self) -> ResourceStats:
        """Return what it has and what it has counted, as one frozen record."""
        with self._core:
            return stats_of(self._core)

    def holders(self) -> tuple[Holder, ...]:
        """Return who has a resource now, and where it was borrowed; who has held longest first."""
        return holders(self._core)

    def __repr__(self) -> str:
        s = self.stats()
        closed = ", closed" if self.closed else ""
        state = f"{s.lent} of {s.max_size} lent, {s.idle} idle, {s.waiting} waiting"
        return f"<ResourcePool {s.name!r}: {state}{closed}>"

    # ------------------------------------------------------------ borrowing

    def borrow(self, *, timeout: Wait = "pool") -> Borrow[T]:
        """Borrow a resource for a block: ``with pool.borrow() as it``, or ``async with``.

        Nothing happens before the block begins; then it waits its turn as :meth:`acquire` does.

        Args:
            timeout: Longest wait in seconds; ``"pool"`` is the pool's own, None is no bound.

        Cost:
            ``benchmarks/bench_resources.py``.
        """
        return Borrow(self._door, timeout)

    def acquire(self, *, timeout: Wait = "pool") -> Lease[T]:
        """Borrow a resource, blocking until there is one; for blocking code.

        Prefer :meth:`borrow`, which can't forget to give back. In a thread that runs an event loop it
        never blocks: there it is refused unless something is idle.

        Args:
            timeout: Longest wait in seconds; ``"pool"`` is the pool's own, None is no bound.

        Returns:
            The lease: ``lease.resource``, and ``lease.release()`` or ``lease.discard()``.

        Raises:
            QueueTimeout: Nothing came free in time. The message names the holders and their lines.
            QueueFull: ``max_waiting`` wait already, or waiting would freeze a loop.
            UnderPressure: Nothing could be opened in time, because there are no descriptors left.
            WouldDeadlock: The caller holds all resources itself, in blocks around this one.
            PoolClosed: The pool is closed.
            TypeError: The resources belong to loops.
        """
        return self._door.acquire(timeout, in_block=False)

    async def aacquire(self, *, timeout: Wait = "pool") -> Lease[T]:
        """Do the same as :meth:`acquire` in a coroutine, without holding the loop."""
        return await self._door.aacquire(timeout, in_block=False)

    # ------------------------------------------------------------ sizes

    def resize(self, max_size: int, *, min_size: int | None = None) -> None:
        """Set the sizes now: who waits is served if there is room, surplus resources close as they come free.

        Args:
            max_size: Most resources from now on, at least 1.
            min_size: How many to keep open; None leaves it, or lowers it to ``max_size``.
        """
        core = self._core
        with core:
            fewest = min(core.options.min_size, max_size) if min_size is None else min_size
            core.options.min_size, core.options.max_size = sizes(fewest, max_size)
        while core.open_count() > max_size and core.close_one_idle("shrunk"):
            pass
        core.pump()

    def lend(self) -> int:
        """Have one idle resource closed because its descriptors are needed elsewhere; see ``Lender``."""
        return self._core.options.descriptors if self._core.close_one_idle("lent") else 0

    # ------------------------------------------------------------ opening and closing

    def open(self) -> Self:
        """Begin to open ``min_size`` resources, without waiting for them; may be left out."""
        if self._core.options.min_size:
            self._core.fill_home = self._door.home_of_thread()
            self._core.pump()
        return self

    async def aopen(self) -> Self:
        """Do the same as :meth:`open` for the running loop."""
        if self._core.options.min_size:
            self._core.fill_home = self._door.home_of_loop()
            self._core.pump()
        return self

    def close(self, timeout: float | None = 10.0) -> None:
        """Refuse those who wait, close what is idle, and wait for what is lent to come back.

        What comes back later is closed then. May be called from any thread, and again. In a thread that
        runs an event loop it does not wait; ``await pool.aclose()`` does.

        Args:
            timeout: Longest wait in seconds; None is no bound.

        Raises:
            Leaked: Not all came back in time. ``held`` says who has what, and where it was borrowed.
        """
        core = self._core
        core.close()
        if _get_running_loop() is not None:
            timeout = 0.0
        place: ThreadPlace[bool] = ThreadPlace(core.clock.now())
        core.when_empty(place)
        self._closed(place.wait(core, core.clock, timeout))

    async def aclose(self, timeout: float | None = 10.0) -> None:
        """Do the same as :meth:`close` without holding the loop."""
        core = self._core
        core.close()
        place: LoopPlace[bool] = LoopPlace(core.clock.now(), asyncio.get_running_loop(), core)
        core.when_empty(place)
        self._closed(await place.wait(timeout))

    def _closed(self, empty: bool) -> None:
        report = None if empty else leak_report(self._core)
        if report is None:
            self._watch.end()
            self._door.close()
        else:
            raise report

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Leaked as leaked:
            _raise_beside(leaked, error)

    async def __aenter__(self) -> Self:
        return await self.aopen()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Leaked as leaked:
            _raise_beside(leaked, error)

    # ------------------------------------------------------------ forks and forgetting

    def after_fork(self) -> None:
        """Start clean in a child: what is open is the parent's, and is neither used nor closed here."""
        self._parents.append(
            list(self._core.slots)
        )  # kept, so that no finalizer says goodbye for it
        self._core.start_clean()
        self._core.fill_home = None
        self._begin()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is None or not core.slots or core.closed:
            return
        for slot in list(core.slots):
            if slot.record is not None:
                slot.record.drop(in_finalizer=True)
        msg = f"unclosed {core.options.owner} with {len(core.slots)} resources; use `with`, or close it"
        warnings.warn(msg, ResourceWarning, source=self, stacklevel=1)


def _raise_beside(leaked: Leaked, error: BaseException | None) -> None:
    """Raise a report, or, where an error is on its way already, say it beside that one."""
    if error is None:
        raise leaked
    log.warning("%s", leaked)
    error.add_note(str(leaked))
