"""What the calls of a pool with a rate weigh, and what they learn of the service's own counters.

Purpose: a pool that is limited by a rate keeps to what the service says, too. An error that carries
``retry_after`` or an answer's headers pauses the pool; headers that tell of limits and of what is left of
them tighten its rates.

Every call's function is called through here, so that no call goes unseen; a pool without a rate pays nothing.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from holdfast._core import clock
from holdfast._core.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.limits.rate_headers import RateHint, rate_hints, retry_after_of
from holdfast.limits.rates import Rates, Weights
from holdfast.pools._admission import Admission

__all__ = ("Pace",)


class Pace:
    """The rates of one pool, and its calls on their way through them. May be used from any thread.

    Args:
        rates: The counters, which are the admission's.
        admission: Its lock guards them.
        timer: The pool's clock.
    """

    __slots__ = ("_admission", "_clock", "_rates")

    def __init__(self, rates: Rates, admission: Admission, timer: Clock) -> None:
        self._rates = rates
        self._admission = admission
        self._clock = timer

    def weights_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Weights | None:
        """What a call with these arguments weighs; None where all weigh the same.

        Raises:
            Exception: What a rate's ``weigh`` raised, or that it returned no weight.
        """
        return self._rates.weights_of(args, kwargs) if self._rates.weighs else None

    def around(self, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return a coroutine function that learns from the errors of ``fn``."""
        return _Paced(self, fn)

    def around_blocking(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Do the same for a blocking function."""
        return _PacedBlocking(self, fn)

    def around_item(self, fn: Callable[..., Any], *, blocking: bool) -> Callable[..., Any]:
        """Do the same for the function of a stream, whose items are weighed when they have their permit.

        What they weigh is paid back before the next one starts.
        """
        paced = self.around_blocking(fn) if blocking else self.around(fn)
        return _Weighed(self, paced) if self._rates.weighs else paced

    def charge(self, item: Any) -> None:
        """Take what an item weighs, beyond the one that its permit has taken."""
        weights = self._rates.weights_of((item,), {})
        with self._admission.lock:
            self._rates.charge(self._clock.now(), tuple(weight - 1.0 for weight in weights))

    def failed(self, error: BaseException) -> None:
        """Learn from an error: how long to wait, and what the service has left."""
        if isinstance(error, HoldfastError):
            return  # a pool's refusal is no word of the service
        headers = getattr(getattr(error, "response", None), "headers", None)
        wait = getattr(error, "retry_after", None)
        if not _is_seconds(wait):
            wait = None
        if isinstance(headers, Mapping):
            told = cast("Mapping[str, str]", headers)
            wait = wait if wait is not None else retry_after_of(told, now_wall=clock.wall())
            self.learn(told)
        if wait is not None:
            with self._admission.lock:
                self._rates.pause(self._clock.now() + wait)

    def learn(
        self, headers: Mapping[str, str], *, per: float | None = None
    ) -> tuple[RateHint, ...]:
        """Keep to what the headers of an answer say, where that is tighter.

        Args:
            headers: Of any answer of the service.
            per: Seconds that its limits are for; None takes those of the pool's own rates.

        Returns:
            What they said.
        """
        hints = rate_hints(headers, now_wall=clock.wall())
        with self._admission.lock:
            now = self._clock.now()
            for rate, gate in zip(self._rates.rates, self._rates.gates, strict=True):
                for hint in hints:
                    if (hint.what == "requests") == (rate.weigh is None):
                        period = rate.per if per is None else per
                        interval = period / hint.limit if hint.limit else None
                        gate.learn(
                            now, interval=interval, remaining=hint.remaining, reset_s=hint.reset_s
                        )
        return hints


def _is_seconds(wait: object) -> bool:
    return (
        isinstance(wait, (int, float))
        and not isinstance(wait, bool)
        and math.isfinite(wait)
        and wait >= 0
    )


class _Around:
    __slots__ = ("_fn", "_pace")

    def __init__(self, pace: Pace, fn: Callable[..., Any]) -> None:
        self._pace = pace
        self._fn = fn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fn, name)  # its name, its module: what messages show


class _Paced(_Around):
    __slots__ = ()

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return await self._fn(*args, **kwargs)
        except Exception as error:
            self._pace.failed(error)
            raise


class _PacedBlocking(_Around):
    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._fn(*args, **kwargs)
        except Exception as error:
            self._pace.failed(error)
            raise


class _Weighed(_Around):
    __slots__ = ()

    def __call__(self, item: Any, /) -> Any:
        self._pace.charge(item)
        return self._fn(item)
