"""A coroutine's way into a pool when there is more to it than to any other: a size, a rank, a deadline."""

import asyncio
from typing import Any

from holdfast.limits.rates import Weights
from holdfast.pools._async_core import AsyncCore, Waiter
from holdfast.pools._deadline_left import Left, came_late, check_time, tighter, waited_longer
from holdfast.pools._options import Options

__all__ = ("RankedWaiter", "enter", "stand_in_line")


class RankedWaiter(Waiter):
    """A waiter that says who it is, how large its call, and whose bound its patience is.

    A class of its own, so that a plain waiter is no larger for it.
    """

    __slots__ = ("patience", "rank", "size", "weights")

    def __init__(
        self,
        core: AsyncCore,
        options: Options,
        size: int,
        patience: float | None,
        weights: Weights | None = None,
    ) -> None:
        super().__init__(core, asyncio.get_running_loop())
        self.rank: Any = options.rank
        self.size = size
        self.weights = weights
        self.patience = patience

    def expire(self) -> None:
        """On the loop: its patience is at an end."""
        if not isinstance(self.patience, Left):
            super().expire()
        elif self.core.admission.withdraw(self):
            self.error = waited_longer(self.core.admission)
            if not self.future.done():
                self.future.set_result(None)


async def enter(
    core: AsyncCore,
    options: Options,
    until: float | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> float | None:
    """Get a permit for a call that has to be over at ``until``; returns for how long it may run, or None.

    Raises:
        Rejected: There is none in time, or no place, or the pool is closed.
        Exception: What the pool's ``sizeof``, or a rate's ``weigh``, raised.
    """
    size, weights = options.size_of(args, kwargs), options.weights_of(args, kwargs)
    if until is not None:
        now = core.clock.now()
        check_time(core.admission, until - now, now, weights)
    if not core.admission.try_enter():
        await _wait_for_permit(core, options, size, until, weights)
    return options.timeout if until is None else tighter(options.timeout, until - core.clock.now())


async def _wait_for_permit(
    core: AsyncCore,
    options: Options,
    size: int,
    until: float | None,
    weights: Weights | None,
) -> None:
    patience = options.queue_timeout
    if until is not None:
        patience = tighter(patience, until - core.clock.now())
    waiter = RankedWaiter(core, options, size, patience, weights)
    await stand_in_line(waiter, patience)
    if until is not None and core.clock.now() >= until:
        core.pass_on_unused(waiter)
        raise came_late(core.admission)


async def stand_in_line(waiter: Waiter, patience: float | None) -> None:
    """Wait with ``waiter`` for its permit, up to ``patience`` seconds; raises if there is none."""
    core = waiter.core
    core.admission.line_up(waiter, may_block=True)
    if patience is not None:
        waiter.due = waiter.mailbox.watch(waiter, patience)
    # The permit may have come free since the caller looked, and a rate always goes this way.
    core.pump()
    try:
        await waiter.future
    except BaseException as error:
        waiter.broken_off(error)
        raise
    waiter.come()
