"""Outcomes over an input of any length, in bounded memory: one object for ``for`` and ``async for``."""

import asyncio
import contextlib
from asyncio.events import _get_running_loop  # None outside a loop, without an exception
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

from holdfast._core.clock import Clock
from holdfast._core.latch import closed_lock
from holdfast._core.loops import LoopState, loop_state
from holdfast.pools._deadlock_notes import note_stream
from holdfast.pools._deadlock_waits import park
from holdfast.pools._window import Window

if TYPE_CHECKING:
    from holdfast._core.outcome import Outcome

__all__ = ("Engine", "Stream", "StreamStats")

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """One reading of a stream.

    Attributes:
        pulled: Items taken from the input.
        in_flight: Items that are being worked on, or wait for a permit.
        buffered: Outcomes that wait for the consumer.
        delivered: Outcomes that the consumer has taken.
        failed: Items whose last attempt raised.
    """

    pulled: int
    in_flight: int
    buffered: int
    delivered: int
    failed: int


class Engine(Protocol):
    """What runs a stream's items: one for coroutines, one for threads."""

    window: Window
    clock: Clock

    def start(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Begin, for a consumer in ``loop`` or in blocking code; True if it runs on that very loop."""
        ...

    def close_soon(self) -> None:
        """Stop pulling, cancel what can be cancelled, close the source; from any thread, at once."""
        ...

    def let_go(self) -> None:
        """Do the same from a ``__del__``, which may come at any moment in any thread."""
        ...

    async def wait_closed(self) -> None:
        """Wait until every coroutine of the stream has ended; blocking calls are not waited for."""
        ...

    def wait_closed_blocking(self) -> None:
        """Do the same in blocking code."""
        ...


class Stream(Generic[R]):
    """The outcomes of a function over many items, as they are asked for.

    Nothing runs before the first one is asked for. Between input and consumer there are never more
    than ``limit + buffer`` items, in either order; a consumer that pauses stops the pulling.

    Iterate it once, with ``async for`` in a coroutine or ``for`` in blocking code. Without
    ``outcomes=True`` the first error of an item raises: at its place when ordered, else as it comes.
    From that error on nothing new starts, and coroutines still running are cancelled. An error of
    the input raises behind the outcomes of what had been pulled.

    Leaving the loop early, by ``break`` or by an error, stops the pulling, cancels what is queued or
    is a coroutine, and closes a generator that was the input. It does not wait for blocking calls:
    they end by themselves, counted as abandoned. ``async with`` and ``with`` do the same at the end
    of their block, and wait for cancelled coroutines.

    Args:
        engine: What runs the items; made by a pool's ``stream``.
        pool: Whose permits it takes; kept for as long as somebody iterates, since a pool that is forgotten closes.

    Example:
        >>> from holdfast.pools import ThreadPool
        >>> with ThreadPool(4) as pool:
        ...     list(pool.stream(str.upper, ["a", "b"]))
        ['A', 'B']
    """

    __slots__ = ("_engine", "_pool", "_taken")

    def __init__(self, engine: Engine, pool: object) -> None:
        self._engine = engine
        self._pool = pool
        self._taken = False

    def __aiter__(self) -> AsyncIterator[R]:
        self._take()
        return _AsyncOutcomes(self._engine, self._pool)

    def __iter__(self) -> Iterator[R]:
        if _get_running_loop() is not None:
            msg = "a stream in a coroutine would freeze its event loop with `for`; use `async for`"
            raise RuntimeError(msg)
        self._take()
        return _BlockingOutcomes(self._engine, self._pool)

    def _take(self) -> None:
        if self._taken:
            msg = "a stream can be iterated once; make another one for another pass"
            raise RuntimeError(msg)
        self._taken = True

    async def gather(self, *, outcomes: bool) -> list[Any]:
        """Collect a stream of outcomes into a list in input order; without ``outcomes``, values."""
        found: dict[int, Any] = {}
        async with self:
            async for outcome in self:
                record = cast("Outcome[Any]", outcome)
                found[record.index] = record if outcomes else record.unwrap()
        return [found[index] for index in range(len(found))]

    def stats(self) -> StreamStats:
        """Return one reading; may be called from any thread, while the stream runs and after it."""
        window = self._engine.window
        pulled, ready, done = window.pulled, len(window.ready), window.next
        buffered = ready + len(window.held)
        return StreamStats(
            pulled=pulled,
            in_flight=0 if window.ended else max(0, pulled - done + ready - buffered),
            buffered=buffered,
            delivered=max(0, done - ready),
            failed=window.failed,
        )

    def close(self) -> None:
        """Stop, and wait for cancelled coroutines; for blocking code."""
        self._taken = True
        self._engine.close_soon()
        if _get_running_loop() is None:
            self._engine.wait_closed_blocking()

    async def aclose(self) -> None:
        """Stop, and wait for cancelled coroutines."""
        self._taken = True
        self._engine.close_soon()
        await self._engine.wait_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Outcomes:
    """The consumer's end. When it goes, by ``break`` or otherwise, the stream closes."""

    __slots__ = ("_engine", "_pool", "_pop", "_ready", "_window")

    def __init__(self, engine: Engine, pool: object) -> None:
        self._engine = engine
        self._pool = pool
        self._window = engine.window
        self._ready = engine.window.ready
        self._pop = engine.window.ready.popleft

    def _look(self) -> bool:
        """Whether there is something to take."""
        if self._window.express:
            self._window.release()
        return bool(self._ready)

    def __del__(self) -> None:
        if not self._window.ended:
            self._engine.let_go()


class _AsyncWaiter:
    """Wakes a consumer in a loop, from that loop or, through its mailbox, from any thread."""

    __slots__ = ("_future", "_mailbox")

    def __init__(self, future: "asyncio.Future[None]", mailbox: LoopState) -> None:
        self._future = future
        self._mailbox = mailbox

    def post(self) -> None:
        self._mailbox.post(self)

    def deliver(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class _AsyncOutcomes(_Outcomes):
    __slots__ = ("__weakref__", "_loop", "_same_loop")

    def __init__(self, engine: Engine, pool: object) -> None:
        super().__init__(engine, pool)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._same_loop = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        pop = (
            self._pop
        )  # read apart from the call: CPython 3.11 is slow at calling what a slot holds
        try:
            outcome = pop()
        except IndexError:
            return await self._wait()
        window = self._window
        if window.starved and window.hungry():
            window.feed()
        return outcome

    async def _wait(self) -> Any:
        window = self._window
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self._same_loop = self._engine.start(loop)
            note_stream(self)
        mailbox = loop_state(loop)
        while not self._look():
            if window.over():
                await self._finish()
            future: asyncio.Future[None] = loop.create_future()
            waiter = _AsyncWaiter(future, mailbox)
            window.waiter = waiter.deliver if self._same_loop else waiter.post
            if window.starved:
                window.feed()
            if self._look() or window.over():
                window.waiter = None
                continue
            try:
                await future
            except asyncio.CancelledError:
                window.waiter = None
                self._engine.close_soon()
                raise
        return await self.__anext__()

    async def _finish(self) -> None:
        """Raise what ends the stream, once all of its coroutines have ended."""
        self._engine.close_soon()
        await self._engine.wait_closed()
        error = _raisable(self._window.last_word())
        if error is None:
            raise StopAsyncIteration
        try:
            raise error
        finally:
            del error  # break the cycle with the traceback


class _BlockingWaiter:
    """Wakes a consumer in blocking code; apart from the consumer, which it must not keep alive."""

    __slots__ = ("latch",)

    def __init__(self) -> None:
        self.latch = closed_lock()

    def open(self) -> None:
        with contextlib.suppress(RuntimeError):  # open already: two workers saw the same waiter
            self.latch.release()


class _BlockingOutcomes(_Outcomes):
    __slots__ = ("_started", "_waiter")

    def __init__(self, engine: Engine, pool: object) -> None:
        super().__init__(engine, pool)
        self._started = False
        self._waiter = _BlockingWaiter()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        pop = self._pop
        try:
            outcome = pop()
        except IndexError:
            return self._wait()
        window = self._window
        if window.starved and window.hungry():
            window.feed()
        return outcome

    def _wait(self) -> Any:
        window = self._window
        if not self._started:
            self._started = True
            self._engine.start(None)
        while not self._look():
            if window.over():
                self._finish()
            window.waiter = self._waiter.open
            if window.starved:
                window.feed()
            if self._look() or window.over():
                window.waiter = None
                continue
            park(self._engine.clock, self._engine, self._waiter.latch, None)
        return self.__next__()

    def _finish(self) -> None:
        self._engine.close_soon()
        self._engine.wait_closed_blocking()
        error = _raisable(self._window.last_word())
        if error is None:
            raise StopIteration
        try:
            raise error
        finally:
            del error  # break the cycle with the traceback


def _raisable(error: BaseException | None) -> BaseException | None:
    """An item's StopIteration must not pass for the end of the stream."""
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        wrapped = RuntimeError(f"an item of the stream raised {type(error).__name__}")
        wrapped.__cause__ = error
        return wrapped
    return error
