"""Clean-up calls of a pool of coroutines: on any permit that is free, or on one of those that are kept."""

from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from holdfast._core.future import CallFuture
from holdfast.pools._async_view import AsyncCalls
from holdfast.pools._deadline_left import check_time, tighter
from holdfast.pools._deadline_run import run_within
from holdfast.pools._ranked_wait import enter
from holdfast.pools.deadline import inherited

__all__ = ("ReservedAsyncCalls",)

P = ParamSpec("P")
R = TypeVar("R")


class ReservedAsyncCalls(AsyncCalls):
    """What can be asked of an :class:`AsyncPool` for clean-up work. Streams use the kept permits alone."""

    async def run(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn(*args, **kwargs)`` in this task; see :meth:`AsyncCalls.run`."""
        core, options, until = self._pool._core, self._options, inherited()  # noqa: SLF001 - its own view
        timeout = options.timeout
        if until is not None:
            now = core.clock.now()
            check_time(self._core.admission, until - now, now)
            timeout = tighter(timeout, until - now)
        timing = core.admission.timings.begin(core.clock.now, core.admission.in_line())
        if not core.admission.try_enter():
            core = self._core
            timeout = await enter(core, options, until, args, kwargs)
        if timing is not None:
            timing.start()
        try:
            if timeout is None:
                value = await fn(*args, **kwargs)
            else:
                value = await run_within(core, timeout, fn, args, kwargs)
        except BaseException as error:
            core.safely(error, core.fail)
            raise
        finally:
            if timing is not None:
                timing.end()
        core.leave(ok=True)
        return value

    def submit(
        self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> CallFuture[R]:
        """Queue ``fn(*args, **kwargs)`` and return its future; see :meth:`AsyncCalls.submit`."""
        loop = _get_running_loop()
        pool = self._pool
        call = self._new_call(loop if loop is not None else pool._bridge_loop(), fn, args, kwargs)  # noqa: SLF001 - its own view
        if not call.line_up_if_free(pool._core):  # noqa: SLF001 - likewise
            call.line_up(may_block=loop is None)
        return call
