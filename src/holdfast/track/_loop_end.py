"""Something to be awaited when an event loop shuts down.

How: an asynchronous generator that stands in the loop's list until ``loop.shutdown_asyncgens()``, which
``asyncio.run`` and uvloop call when all tasks have been cancelled and before the loop closes. There is
no other word of that.

Guarantees: ``work()`` is awaited once, in the loop; not if the loop is closed by hand without shutting
down its generators, nor after :meth:`LoopEnd.forget`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ("LoopEnd",)


class LoopEnd:
    """Has ``work`` awaited at the end of the running loop. Make it in that loop.

    Args:
        work: Called without arguments; what it returns is awaited. Refer to owners weakly in it.
    """

    __slots__ = ("_generator", "_work")

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        asyncio.get_running_loop()  # it is this one whose hooks will see the generator
        self._work: Callable[[], Awaitable[object]] | None = work
        self._generator = self._stand_by()
        with contextlib.suppress(StopIteration):
            self._generator.__anext__().__await__().send(None)

    def forget(self) -> None:
        """Nothing is left to be done; on the loop's thread, or when the loop is closed."""
        self._work = None
        generator = self._generator
        with contextlib.suppress(StopIteration, RuntimeError):
            generator.aclose().__await__().send(None)

    async def _stand_by(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            work, self._work = self._work, None
            if work is not None:
                await work()
