"""A call that is tried again, and gives something else when that was of no use."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from holdfast._core import clock
from holdfast.limits import Retry
from holdfast.limits.fallback import Fallback
from holdfast.pools._retries import RETRIES
from holdfast.pools.deadline import inherited

__all__ = ("Ended", "Guard")


class Ended(NamedTuple):
    """What became of a call with all its attempts.

    Attributes:
        value: What it returned, or its fallback.
        error: What it raised, where there was no fallback for it.
        attempts: How often it was tried, from 1.
        instead_of: The error that the fallback stands for; None for a value of its own.
    """

    value: Any
    error: Exception | None
    attempts: int
    instead_of: Exception | None

    def unwrap(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Guard(NamedTuple):
    """How calls are tried again, and what stands in for them."""

    retry: Retry | None
    fallback: Fallback | None

    async def run(
        self,
        run: Callable[..., Awaitable[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Ended:
        """Await ``run(fn, *args, **kwargs)`` as often as it takes; never raises an ``Exception`` of it.

        Between two attempts it holds no permit, and no thread. It does not wait beyond the deadline that it
        has inherited, nor without a retry left in the budget of the process.
        """
        self.called()
        try:
            return Ended(await run(fn, *args, **kwargs), None, 1, None)
        except Exception as error:  # noqa: BLE001 - judged by what was asked for
            failed = error
        try:
            return await self.go_on(run, fn, args, kwargs, failed=failed)
        finally:
            del failed  # break the cycle with the traceback

    async def go_on(
        self,
        run: Callable[..., Awaitable[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        failed: Exception,
    ) -> Ended:
        """Do the same when the first attempt has been made, and ``failed`` is what it raised."""
        attempts = 1
        while (wait := self._wait(attempts, failed)) is not None:
            attempts += 1
            await asyncio.sleep(wait)
            try:
                return Ended(await run(fn, *args, **kwargs), None, attempts, None)
            except Exception as error:  # noqa: BLE001 - judged by what was asked for
                failed = error
        try:
            return await self._fall_back(failed, attempts, args, kwargs)
        finally:
            del failed  # break the cycle with the traceback

    def called(self) -> None:
        """Note a first attempt."""
        if self.retry is not None:
            RETRIES.called()

    def may_help(self, error: Exception) -> bool:
        """Whether there is anything to be done about a first attempt that raised ``error``."""
        if self.fallback is not None and self.fallback.stands_for(error):
            return True
        return self.retry is not None and self.retry.attempts > 1 and self.retry.is_worth(error)

    def _wait(self, attempt: int, error: Exception) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        if self.retry is None:
            return None
        wait = self.retry.delay(attempt, error)
        if wait is None:
            return None
        until = inherited()
        if until is not None and clock.now() + wait >= until:
            error.add_note(
                f"not tried again: {wait:.3f} s from now the inherited deadline has passed"
            )
            return None
        return wait if RETRIES.spend_on(error) else None

    async def _fall_back(
        self, error: Exception, attempts: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Ended:
        if self.fallback is None or not self.fallback.stands_for(error):
            return Ended(None, error, attempts, None)
        try:
            value = self.fallback.make(args, kwargs)
            if inspect.isawaitable(value):
                value = await value
        except Exception as second:  # noqa: BLE001 - the caller's own function
            second.__context__ = error
            return Ended(None, second, attempts, None)
        return Ended(value, None, attempts, error)
