"""What can be asked of a SingleFlight, with one set of options."""

from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from holdfast._core import check
from holdfast.flow._flight_blocking import run_blocking
from holdfast.flow._flight_core import FlightCore
from holdfast.flow._flight_ring import INSIDE
from holdfast.flow._flight_run import Call
from holdfast.flow._flight_stats import FlightStats
from holdfast.flow._flight_ticket import Ticket
from holdfast.flow._flight_wrap import wrap
from holdfast.flow.stream import is_async
from holdfast.pools._awaiting import follow

if TYPE_CHECKING:
    from holdfast.flow._flight_group import LoopGroup

__all__ = ("FlightCalls",)

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class _Valued(Protocol[R_co]):
    """What has a value once it is over."""

    @property
    def value(self) -> R_co: ...


class _Seat(Protocol[R_co]):
    """What a caller asks of the group that it waits in."""

    @property
    def run(self) -> _Valued[R_co]: ...
    def outcome(self, future: "Future[bool]") -> R_co: ...
    def left(self, future: "Future[bool]") -> None: ...
    def thrown_away(self, future: "Future[bool]") -> None: ...


class FlightCalls:
    """What can be asked of a :class:`SingleFlight`, with one set of options.

    ``flight.options(timeout=5)`` returns one of these: it shares the flight's runs and statistics, and
    costs a few hundred nanoseconds to make.
    """

    __slots__ = ("__weakref__", "_core", "_timeout")

    _core: FlightCore
    _timeout: float | None

    def options(self, *, timeout: float | None) -> "FlightCalls":
        """Return a light view of this flight whose callers wait for another time.

        Args:
            timeout: Longest wait of one caller in seconds; None is no bound.
        """
        view = FlightCalls()
        view._core = self._core
        view._timeout = check.seconds("timeout", timeout)
        return view

    async def run(
        self, key: Hashable, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn(*args, **kwargs)``, or, if a run for ``key`` is in flight, the outcome of that.

        The work runs in a task of its own on the loop of the caller that leads, with a copy of its
        context; the callers wait without holding a thread. Calls with equal keys share a run, so ``key``
        has to name all that the result depends on. A caller that is cancelled touches nobody
        else; the last one to leave takes the work with it.

        Returns:
            What ``fn`` returned: the same object for all callers.

        Raises:
            ValueError: Before start: the key does not equal itself.
            QueueFull: Before start: ``max_joiners`` wait already; or ``mode="reject"`` or
                ``scope="object"``, and a run is in flight.
            WouldDeadlock: Before start: the run waits for this caller, directly or over other runs.
            PoolClosed: Before start: the flight is closed.
            CallTimeout: No outcome within ``timeout`` seconds; the run goes on while others wait.
            Aborted: The run was cancelled, or its loop closed, before it had an outcome.
            Exception: What ``fn`` raised: the error itself for the caller that leads, for each other
                one an error of the same class with that as its cause.

        Cost:
            ``benchmarks/bench_single_flight.py``.
        """
        seat, future = self._enter(key, fn, args, kwargs)
        try:
            if await future:
                return seat.run.value
        except GeneratorExit:
            seat.thrown_away(future)
            raise
        except BaseException:
            seat.left(future)
            raise
        try:
            return seat.outcome(future)
        finally:
            del seat, future  # the traceback of an error keeps this frame

    def _enter(
        self,
        key: Hashable,
        fn: Callable[..., Awaitable[R]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "tuple[_Seat[R], Future[bool]]":
        """Where the caller waits, and the future that wakes it: with True if there is a value.

        What most callers of a storm find at the first look, they find here; the rest is the core's.
        """
        # Of the running loop, which is found in C, at half the cost of asking for it first.
        future: Future[bool] = Future()
        core = self._core
        lock = core.lock
        lock.acquire()  # not `with`, which takes twice as long
        try:
            run = core.joinable.get(key)
            if run is not None and INSIDE.get() is None:
                group: LoopGroup | None = run.latest
                if (
                    group is not None
                    and group.loop is future.get_loop()
                    and group.timeout is self._timeout
                    and run.places < core.max_joiners
                ):
                    core.counters.joiners += 1
                    run.places += 1
                    group.add(future)
                    return group, future
        finally:
            lock.release()
        return core.enter(future, self._timeout, key, Call(fn, args, kwargs)), future

    def run_sync(
        self, key: Hashable, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call ``fn(*args, **kwargs)`` in this thread, or wait here for the run of ``key`` in flight.

        The caller that leads runs ``fn`` itself: its ``timeout`` can't stop it. One that joins blocks
        its own thread and no other, whether the leader is a thread or a coroutine. As with :meth:`run`,
        ``key`` has to name all that the result depends on.

        Returns:
            What ``fn`` returned: the same object for all callers.

        Raises:
            TypeError: ``fn`` is a coroutine function.
            ValueError: Before start: the key does not equal itself.
            QueueFull: Before start: see :meth:`run`.
            WouldDeadlock: Before start: the run waits for this caller; or this thread runs an event
                loop, which would stand still while it waits.
            PoolClosed: Before start: the flight is closed.
            CallTimeout: A joiner had no outcome within ``timeout`` seconds.
            Aborted: The run that was joined ended without an outcome.
            Exception: What ``fn`` raised; see :meth:`run`.
        """
        if is_async(fn):
            msg = (
                f"run_sync() takes a blocking function, and {fn!r} is a coroutine function: await run(), "
                "or give run_sync() one that submits it to an AsyncPool and returns the result"
            )
            raise TypeError(msg)
        return cast("R", run_blocking(self._core, self._timeout, key, fn, args, kwargs))

    def begin(self, key: Hashable) -> Ticket:
        """Take the lead of a run for ``key``, or a place among those who wait for the one in flight.

        For those who drive the work themselves, such as a stream; :class:`Ticket` says how it is ended
        and joined. Never waits, and may be called from any thread.

        Args:
            key: Calls with equal keys share one run.

        Raises:
            ValueError: The key does not equal itself.
            QueueFull: See :meth:`run`.
            PoolClosed: The flight is closed.
        """
        return Ticket(self._core, self._timeout, key)

    @overload
    def wrap(
        self,
        fn: Callable[P, Coroutine[Any, Any, R]],
        /,
        *,
        key: Callable[P, Hashable] | None = ...,
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def wrap(
        self, fn: Callable[P, R], /, *, key: Callable[P, Hashable] | None = ...
    ) -> Callable[P, R]: ...
    @overload
    def wrap(
        self, /, *, key: Callable[..., Hashable] | None = ...
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def wrap(self, fn: Any = None, /, *, key: Any = None) -> Any:
        """Return ``fn`` with one run at a time for equal arguments; also a decorator.

        A coroutine function becomes one that goes through :meth:`run`, any other function one that goes
        through :meth:`run_sync`. Functions that share a flight do not share runs.

        Args:
            fn: The function.
            key: Makes the key from the same arguments; by default the arguments are the key, which then
                have to be hashable, and ``f(1)`` is not the same call as ``f(x=1)``.

        Example:
            >>> from holdfast.flow.single_flight import SingleFlight
            >>> flight = SingleFlight()
            >>> @flight.wrap(key=lambda path, *, verbose=False: path)
            ... def size(path, *, verbose=False):
            ...     return len(path)
            >>> size("/etc/hosts", verbose=True)
            10
        """
        return wrap(self, fn, key)

    def stats(self) -> FlightStats:
        """Return one consistent reading of the flight, with the keys in flight and their age."""
        return self._core.stats()


def _awaited(names: dict[str, Any]) -> list[Any]:
    """What a caller of ``run`` waits for."""
    awaited: list[Any] = names["seat"].run.awaited() if "seat" in names else []
    return awaited


follow(FlightCalls.run, _awaited)
