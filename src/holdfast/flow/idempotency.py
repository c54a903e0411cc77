"""Calls that are run once: a retry gets the outcome that was recorded, and a crash is not forgotten."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast, overload

from holdfast._core import check
from holdfast._core.future import CallFuture
from holdfast.flow._flight_future import submit_run
from holdfast.flow._idempotency_calls import IdempotentCore
from holdfast.flow._idempotency_memory import MemoryStore
from holdfast.flow._idempotency_record import Claim, IdempotencyStore, Record
from holdfast.flow._idempotency_sqlite import SQLiteStore
from holdfast.flow.single_flight import SingleFlight
from holdfast.flow.stream import is_async

__all__ = ("Claim", "IdempotencyStore", "Idempotent", "MemoryStore", "Record", "SQLiteStore")

P = ParamSpec("P")
R = TypeVar("R")


class Idempotent:
    """Calls by key, each of which is run once, as far as its store remembers.

    A key is a string that stands for one piece of work: an order, a message, an item of a run. What a
    call finds, and what it does:

    - **In flight in this process**: it joins, as in a :class:`~holdfast.flow.single_flight.SingleFlight`.
    - **Done**: it returns the recorded result, and does not run.
    - **Unknown**: the start is noted in the store, the function runs, the outcome is noted.
    - **Started and without an outcome**: an earlier run was cancelled, its process died, or another
      process runs it now. Nobody here knows, so the call raises :class:`~holdfast.errors.Aborted` and says
      who began when. Look, and ``store.forget(key)``; or make the work safe to repeat, and ask for
      ``unfinished="repeat"``.
    - **Done, but its result could not be kept**: :class:`~holdfast.errors.ResultLost`.

    What becomes of a function that raises: its own exceptions are an outcome that its caller has seen, so
    the key is forgotten and a retry runs anew; with ``keep_errors`` they are recorded, and each retry
    raises one like it. A :class:`~holdfast.errors.Rejected` never started, and is always forgotten. After a
    :class:`~holdfast.errors.Failed` (a timeout, a lost worker) or a cancellation the work may have had
    effects, so the key stays *started*.

    If the store fails as the start is noted, the call raises and nothing has run. If it fails as the
    outcome is noted, the caller gets the outcome, the failure is logged (``holdfast.flow``), and the key
    stays *started*: the store never says that less has happened than has.

    Args:
        store: Where outcomes are kept: a :class:`MemoryStore`, a :class:`SQLiteStore`, or your own. It
            stays yours to close.
        unfinished: What a call does with a key that was started and has no outcome: ``"raise"``, or
            ``"repeat"`` it.
        keep_errors: Whether the exceptions of the function are recorded as outcomes.
        flight: What brings concurrent calls of a key together, with its timeout and bounds; by default one
            of its own. Its keys are those of the store, so share it only with calls on the same store.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> calls = Idempotent(MemoryStore(max_records=1000, max_age=600))
        >>> charged = []
        >>> def charge(order):
        ...     charged.append(order)
        ...     return f"{order} is paid"
        >>> calls.run_sync("order-17", charge, 17), calls.run_sync("order-17", charge, 17)
        ('17 is paid', '17 is paid')
        >>> charged
        [17]
    """

    def __init__(
        self,
        store: IdempotencyStore,
        *,
        unfinished: Literal["raise", "repeat"] = "raise",
        keep_errors: bool = False,
        flight: SingleFlight | None = None,
    ) -> None:
        check.choice("unfinished", unfinished, ("raise", "repeat"))
        self.store = store
        self.flight = flight if flight is not None else SingleFlight()
        self._core = IdempotentCore(
            store, self.flight.name, repeat=unfinished == "repeat", keep_errors=keep_errors
        )

    async def run(
        self, key: str, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Await ``fn(*args, **kwargs)``, or return what is recorded for ``key``.

        Never blocks the loop: a store that waits for a disk is asked in a thread of its own.

        Returns:
            What ``fn`` returned, now or then.

        Raises:
            TypeError: The key is no string.
            Aborted: An earlier run of the key has started and left no outcome.
            ResultLost: An earlier run has ended, and its outcome could not be kept.
            QueueFull: Before start: the store is full of work without an outcome; see also
                :meth:`SingleFlight.run` for what a run in flight can raise.
            Exception: What ``fn`` raised, now or (with ``keep_errors``) then.
        """
        return cast("R", await self.flight.run(_text(key), self._core.once, key, fn, args, kwargs))

    def run_sync(self, key: str, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` in this thread, or return what is recorded for ``key``.

        Returns:
            What ``fn`` returned, now or then.

        Raises:
            TypeError: The key is no string, or ``fn`` is a coroutine function.
            Aborted: See :meth:`run`, also for all others.
        """
        if is_async(fn):
            msg = f"run_sync() takes a blocking function, and {fn!r} is a coroutine function: await run()"
            raise TypeError(msg)
        return cast(
            "R", self.flight.run_sync(_text(key), self._core.once_blocking, key, fn, args, kwargs)
        )

    @overload
    def wrap(
        self, fn: Callable[P, Coroutine[Any, Any, R]], /, *, key: Callable[P, str]
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def wrap(self, fn: Callable[P, R], /, *, key: Callable[P, str]) -> Callable[P, R]: ...
    @overload
    def wrap(self, /, *, key: Callable[..., str]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def wrap(self, fn: Any = None, /, *, key: Callable[..., str]) -> Any:
        """Return ``fn`` with its outcomes recorded; also a decorator.

        Args:
            fn: A coroutine function (it will go through :meth:`run`) or a blocking one (:meth:`run_sync`).
            key: Makes the key of the same arguments. Keys are the store's: functions that share it and
                give the same key share outcomes.

        Example:
            >>> calls = Idempotent(MemoryStore())
            >>> @calls.wrap(key=lambda order: f"charge-{order}")
            ... def charge(order):
            ...     return f"{order} is paid"
            >>> charge(17), calls.store.get("charge-17").state
            ('17 is paid', 'done')
        """
        check.callable_("key", key)
        if fn is None:
            return partial(self._wrapped, key=key)
        return self._wrapped(fn, key)

    def _wrapped(self, fn: Callable[..., Any], key: Callable[..., str]) -> Callable[..., Any]:
        check.callable_("fn", fn)
        return self._wrap_async(fn, key) if is_async(fn) else self._wrap_sync(fn, key)

    def _wrap_async(
        self, fn: Callable[..., Awaitable[Any]], key: Callable[..., str]
    ) -> Callable[..., Any]:
        @wraps(fn)
        async def once(*args: Any, **kwargs: Any) -> Any:
            return await self.run(key(*args, **kwargs), fn, *args, **kwargs)

        return once

    def _wrap_sync(self, fn: Callable[..., Any], key: Callable[..., str]) -> Callable[..., Any]:
        @wraps(fn)
        def once(*args: Any, **kwargs: Any) -> Any:
            return self.run_sync(key(*args, **kwargs), fn, *args, **kwargs)

        return once

    # ------------------------------------------------------------ for pools

    async def run_in(
        self,
        key: str,
        run: Callable[..., Awaitable[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        blocking: bool,
    ) -> Any:
        """Do the same as :meth:`run`, but that ``run(fn, *args, **kwargs)`` is what calls the function.

        What ``pool.options(idempotency_key=...).run`` does: joiners and recorded outcomes take no permit,
        and the start is noted when there is one, so a call that never came out of the line is not said to
        have started.

        Args:
            key: As for :meth:`run`.
            run: Runs the function somewhere, such as ``pool.run``.
            fn: The function.
            args: Its arguments.
            kwargs: Its named arguments.
            blocking: Whether ``fn`` is a blocking function, and ``run`` calls it in a thread.

        Raises:
            Exception: As :meth:`run`, and what ``run`` raises.
        """
        return await self.flight.run(
            _text(key), self._core.once_in, key, run, fn, args, kwargs, blocking
        )

    def submit_in(
        self,
        key: str,
        submit: Callable[..., CallFuture[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        blocking: bool,
    ) -> CallFuture[Any]:
        """Do the same as :meth:`run_in` with ``submit``, such as ``pool.submit``, and return a future.

        Each caller gets a future of its own; cancelling it touches nobody else, and the last one to leave
        takes the call with it, if that can be stopped. A recorded outcome takes a permit here.

        Raises:
            Exception: What ``submit`` raises, such as ``QueueFull``.
        """
        once = self._core.bound(_text(key), fn, blocking=blocking)
        flight = self.flight
        return submit_run(
            flight._core,  # noqa: SLF001 - the flight is this object's
            flight._timeout,  # noqa: SLF001 - as above
            key,
            lambda: submit(once, *args, **kwargs),
        )

    def close(self) -> None:
        """Let nobody in any more and end the thread of a store that blocks; the store stays open."""
        self.flight.close()
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _text(key: object) -> str:
    if not isinstance(key, str):
        msg = f"an idempotency key must be a string, which survives this process, not {key!r}"
        raise TypeError(msg)
    return key
