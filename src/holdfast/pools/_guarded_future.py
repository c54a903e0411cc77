"""The future of a submitted call that is tried again, or has a fallback.

The first attempt is submitted by the caller, like any other call: so a full pool holds it back, or refuses
it, as it does everybody. Only when that fails, and there is something to do about it, a coroutine goes on
from there: on the loop that runs in the thread that brings the news, or on the one for blocking code. How
many of those there are is bounded by the budget of retries, and by the attempts that fail.

States: first attempt -> settled; or first attempt -> the rest -> settled. Whoever holds the future may cancel
it in each: then the attempt of that moment is cancelled.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from holdfast._core.future import CallFuture
from holdfast.errors import Rejected
from holdfast.pools._guarded import Ended, Guard

__all__ = ("submit_guarded",)


def submit_guarded(
    guard: Guard,
    plain: Any,
    make_pool: Callable[..., Any],
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> CallFuture[Any]:
    """Submit a call with a guard around it.

    Args:
        guard: How it is tried again, and what stands in for it.
        plain: The view without the guard.
        make_pool: Makes the pool of one coroutine in which the rest runs.
        fn: The function.
        args: Its arguments.
        kwargs: Its named arguments.

    Raises:
        Rejected: Before start: the first attempt was refused, and nothing is to be done about that.
    """
    future = _GuardedFuture(guard, plain, make_pool, (fn, args, kwargs))
    guard.called()
    try:
        first = plain.submit(fn, *args, **kwargs)
    except Rejected as error:
        if not guard.may_help(error):
            raise
        future.go_on(error)
    else:
        future.follow(first)
        first.add_done_callback(future.first_ended)
    return future


class _GuardedFuture(CallFuture[Any]):
    def __init__(
        self,
        guard: Guard,
        plain: Any,
        make_pool: Callable[..., Any],
        call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]],
    ) -> None:
        super().__init__()
        self._guard = guard
        self._plain = plain
        self._make_pool = make_pool
        self._call = call
        self._now: CallFuture[Any] | None = None

    def follow(self, attempt: CallFuture[Any]) -> None:
        """From now on, cancelling means to cancel ``attempt``."""
        self._now = attempt
        if self.cancelled():
            attempt.cancel()

    def first_ended(self, first: Any) -> None:
        """The first attempt is settled; on the thread that has settled it."""
        if first.cancelled():
            self.settle_cancelled()
            return
        error = first.exception()
        if error is None:
            self.settle(first.result(), None)
        elif isinstance(error, Exception) and self._guard.may_help(error):
            self.go_on(error)
        else:
            self.settle(None, error)

    def go_on(self, error: Exception) -> None:
        """Do what is to be done about a first attempt that failed."""
        room = self._make_pool(1, f"{self._plain._core.admission.name}:guarded")  # noqa: SLF001 - its own view
        try:
            rest = room.submit(self._rest, error)
        except Rejected:  # the interpreter is on its way out
            self.settle(None, error)
            return
        self.follow(rest)
        rest.add_done_callback(self._over)
        rest.add_done_callback(partial(_close, room))

    async def _rest(self, error: Exception) -> Ended:
        return await self._guard.go_on(self._plain.run, *self._call, failed=error)

    def _over(self, rest: Any) -> None:
        if rest.cancelled():
            self.settle_cancelled()
        elif (error := rest.exception()) is not None:
            self.settle(None, error)
        else:
            ended: Ended = rest.result()
            self.settle(ended.value, ended.error)

    def _withdraw(self) -> bool:
        return self._now is None or self._now.cancel()


def _close(room: Any, _: object) -> None:
    room._close_quietly()  # noqa: SLF001 - made for one call
