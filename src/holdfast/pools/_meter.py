"""Measures a pool's calls and moves its limit by them.

Purpose: an adaptive limit. Every call's function is called through a meter, in the pool, under its permit:
so each way into the pool is measured, calls and items of streams alike, and a pool with a fixed limit
pays nothing.

Guarantees: limits follow in the order in which windows end; nothing is called from here under the meter's
lock but the admission, which calls nobody back.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from holdfast._core.clock import Clock
from holdfast.limits.adaptive import Adaptive, LimitChange
from holdfast.limits.queue_delay import QueueDelay
from holdfast.pools._admission import Admission

__all__ = ("Meter",)

log = logging.getLogger("holdfast.pools")

_KEPT: Final = 256
"""Changes of a limit that are remembered."""

_JUST: Final = 0.99
"""A call that was cancelled after so much of its timeout was cancelled by it."""


class Meter:
    """What measures the calls of one pool. May be used from any thread.

    Args:
        adaptive: How the limit follows.
        admission: Whose limit it is.
        on_raise: Called without a lock when there may be room for more.
        clock: The pool's.
    """

    __slots__ = (
        "_admission",
        "_asks_loop",
        "_changes",
        "_clock",
        "_counter",
        "_delay_s",
        "_lock",
        "_on_raise",
        "_overload",
        "ceiling",
    )

    def __init__(
        self,
        adaptive: Adaptive,
        admission: Admission,
        on_raise: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._counter = adaptive.counter(clock.now())
        self._overload = adaptive.overload
        self._asks_loop = isinstance(adaptive.law, QueueDelay)
        self._admission = admission
        self._on_raise = on_raise
        self._clock = clock
        self._lock = threading.Lock()
        self._changes: deque[LimitChange] = deque(maxlen=_KEPT)
        self._delay_s: float | None = None
        self.ceiling = adaptive.max_limit

    def changes(self) -> tuple[LimitChange, ...]:
        """Return the last changes of the limit, the oldest first."""
        with self._lock:
            return tuple(self._changes)

    def bound(self, most: int) -> None:
        """Let the limit never be above ``most`` from now on."""
        with self._lock:
            self.ceiling = most
            self._admission.resize(min(self._counter.limit, most))
        self._on_raise()

    def around(
        self, fn: Callable[..., Awaitable[Any]], timeout: float | None
    ) -> Callable[..., Awaitable[Any]]:
        """Return ``fn`` with this meter around it.

        Args:
            fn: A coroutine function.
            timeout: After so many seconds the pool cancels the call, and that is a sign of overload.
        """
        return _Measured(self, fn, timeout)

    def begin(self) -> float:
        """A call begins; returns when."""
        began = self._clock.now()
        if self._asks_loop:
            asyncio.get_running_loop().call_soon(self._note_delay, began)
        with self._lock:
            self._counter.begin(self._admission.in_flight, self._delay_s)
            self._delay_s = None
        return began

    def end(self, began: float, *, overload: bool) -> None:
        """A call has ended, well or with a sign of overload."""
        now = self._clock.now()
        with self._lock:
            change = self._counter.end(began, now, overload=overload)
            if change is None:
                return
            self._changes.append(change)
            self._admission.resize(min(change.after, self.ceiling))
        log.debug(
            "pool %r: limit %d -> %d (%d calls, %d overloads, %s s each)",
            self._admission.name,
            change.before,
            change.after,
            change.window.calls,
            change.window.overloads,
            change.window.ran_s,
        )
        if change.after > change.before:
            self._on_raise()

    def is_overload(self, error: BaseException, began: float, timeout: float | None) -> bool | None:
        """Whether a call that raised shows overload; None if it shows nothing at all."""
        if isinstance(error, asyncio.CancelledError):
            late = timeout is not None and self._clock.now() - began >= _JUST * timeout
            return True if late else None
        return True if self._overload(error) else None

    def _note_delay(self, asked: float) -> None:
        """On the loop, when it comes to what was asked for."""
        self._delay_s = self._clock.now() - asked


class _Measured:
    """A coroutine function with a meter around it."""

    __slots__ = ("_fn", "_meter", "_timeout")

    def __init__(
        self, meter: Meter, fn: Callable[..., Awaitable[Any]], timeout: float | None
    ) -> None:
        self._meter = meter
        self._fn = fn
        self._timeout = timeout

    @property
    def __wrapped__(self) -> Callable[..., Awaitable[Any]]:
        return self._fn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fn, name)  # its name, its module: what messages show

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        meter = self._meter
        began = meter.begin()
        try:
            value = await self._fn(*args, **kwargs)
        except BaseException as error:
            overload = meter.is_overload(error, began, self._timeout)
            if overload is not None:
                meter.end(began, overload=overload)
            raise
        meter.end(began, overload=False)
        return value
