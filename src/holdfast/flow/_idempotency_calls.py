"""One call of one key: ask the store, run, note the outcome. Concurrent calls of a key don't come here.

The order in which things happen is what the promise rests on: the start is noted before the function is
called, and the outcome after it has ended and before anybody is told. So whatever moment a process dies
at, the store says at least that the work had started.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from holdfast.errors import Aborted, Failed, Rejected, ResultLost
from holdfast.flow._flight_error import own_copy
from holdfast.flow._flight_ring import shown
from holdfast.flow._idempotency_record import Claim, IdempotencyStore, Record
from holdfast.pools import ThreadPool

__all__ = ("IdempotentCore",)

log = logging.getLogger("holdfast.flow")

T = TypeVar("T")

_IDLE = 1.0
"""Seconds after which the thread of an idle store ends."""
_PATIENCE = 10.0
"""Longest wait in seconds for what the store has been told, in blocking code."""


class IdempotentCore:
    """Runs calls against one store. Every method may be called from any thread."""

    __slots__ = ("_keep_errors", "_lock", "_name", "_repeat", "_store", "_threads")

    def __init__(
        self, store: IdempotencyStore, name: str, *, repeat: bool, keep_errors: bool
    ) -> None:
        self._store = store
        self._name = name
        self._repeat = repeat
        self._keep_errors = keep_errors
        self._lock = threading.Lock()
        self._threads: ThreadPool | None = None

    # ------------------------------------------------------------ one call

    async def once(
        self,
        key: str,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Await the function and note its outcome, unless the store knows one."""
        claim = await self.begin(key)
        if isinstance(claim, Record):
            return _answer(claim)
        try:
            value = await fn(*args, **kwargs)
        except Exception as error:
            await self.ask(self.note, key, claim, None, error)
            raise
        await self.ask(self.note, key, claim, value, None)
        return value

    def once_blocking(
        self, key: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The same in this thread."""
        claim = self.take(key)
        if isinstance(claim, Record):
            return _answer(claim)
        try:
            value = fn(*args, **kwargs)
        except Exception as error:
            self.note(key, claim, None, error)
            raise
        self.note(key, claim, value, None)
        return value

    async def once_in(
        self,
        key: str,
        run: Callable[..., Awaitable[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        blocking: bool,
    ) -> Any:
        """The same inside of a pool: a recorded outcome takes no permit, and a start is noted under one."""
        known = await self.ask(self._store.get, key)
        if known is not None and not (self._repeat and known.state == "started"):
            return _answer(known)
        return await run(self.bound(key, fn, blocking=blocking), *args, **kwargs)

    def bound(self, key: str, fn: Callable[..., Any], *, blocking: bool) -> Callable[..., Any]:
        """Return the function with the store around it; of its own name and kind."""
        return self._bound_blocking(key, fn) if blocking else self._bound(key, fn)

    def _bound(self, key: str, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(fn)
        async def once(*args: Any, **kwargs: Any) -> Any:
            return await self.once(key, fn, args, kwargs)

        return once

    def _bound_blocking(self, key: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(fn)
        def once(*args: Any, **kwargs: Any) -> Any:
            return self.once_blocking(key, fn, args, kwargs)

        return once

    def note(self, key: str, claim: Claim, value: Any, error: BaseException | None) -> None:
        """Tell the store how it ended. Never raises: the caller has an outcome, whatever the store does."""
        try:
            if error is None:
                counted = self._store.settle(key, claim, value, None)
            elif isinstance(error, Failed):
                return  # nobody knows how far it came: the key stays started
            elif self._keep_errors and not isinstance(error, Rejected):
                counted = self._store.settle(key, claim, None, error)
            else:
                counted = self._store.forget(key, claim)
        except Exception:
            log.exception(
                "flight %r: the outcome of %s could not be noted; the store says that it has started",
                self._name,
                shown(key),
            )
            return
        if not counted:
            log.warning(
                "flight %r: the outcome of %s came too late for the store: its key had expired, was "
                "forgotten, or was taken over",
                self._name,
                shown(key),
            )

    def forget(self, key: str, claim: Claim) -> None:
        """Say that what was to start has not. Never raises: then the store says more than there was."""
        try:
            self._store.forget(key, claim)
        except Exception:
            log.exception("flight %r: %s is noted as started and was not", self._name, shown(key))

    # ------------------------------------------------------------ asking the store

    async def begin(self, key: str) -> Claim | Record:
        """Do the same as :meth:`take` where it blocks no loop; a caller that is cancelled takes nothing."""
        if not self._store.blocking:
            return self.take(key)
        asking = asyncio.ensure_future(self.ask(self.take, key))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            claim = await asking
            if isinstance(claim, Claim):  # noted as started, and now it will not start
                await self.ask(self._store.forget, key, claim)
            raise

    def take(self, key: str) -> Claim | Record:
        """Note a start, or return what is known of the key instead."""
        return self._store.begin(key, take_over=self._repeat)

    async def ask(self, fn: Callable[..., T], *args: Any) -> T:
        """Call a function of the store where it blocks no loop, and to its end."""
        if not self._store.blocking:
            return fn(*args)
        return await asyncio.shield(asyncio.ensure_future(self._pool().run(fn, *args)))

    def _pool(self) -> ThreadPool:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPool(1, name=f"{self._name}:store", idle_timeout=_IDLE)
            return self._threads

    def close(self) -> None:
        """End the thread, once it has done what was asked of it."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.drain(_PATIENCE)


def _answer(record: Record) -> Any:
    """Return the recorded result, or raise what there is to be said instead."""
    if record.state == "done":
        return record.value
    if record.error is not None:
        raise own_copy(record.error)
    if record.state == "started":
        msg = (
            f"work for {shown(record.key)} began {record.age_s:.3g} s ago (attempt {record.attempt}, "
            f"{record.owner}) and has left no outcome: it runs there still, or it was cut short. Look, and "
            "forget() the key in the store; or have it repeated (unfinished='repeat')"
        )
        raise Aborted(msg)
    msg = f"work for {shown(record.key)} has ended, and its outcome is lost: {record.note}"
    raise ResultLost(msg)
