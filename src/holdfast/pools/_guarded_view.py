"""Views of a pool whose calls are tried again or have a fallback: a path of their own, so others pay nothing.

Each attempt is a call like any other: it stands in line, and gives its permit back before the next one. So
the items of a stream wait in a pool of coroutines of their own, and not under this pool's permits.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

from holdfast._core import check
from holdfast._core.future import CallFuture
from holdfast._core.outcome import Outcome
from holdfast.limits import Retry
from holdfast.limits.fallback import Fallback
from holdfast.pools._async_view import AsyncCalls
from holdfast.pools._guarded import Ended, Guard
from holdfast.pools._guarded_future import submit_guarded
from holdfast.pools._options import UNSET
from holdfast.pools._thread_view import ThreadCalls
from holdfast.pools.stream import Stream

__all__ = (
    "GuardedAsyncCalls",
    "GuardedStream",
    "GuardedThreadCalls",
    "guard_of",
)

P = ParamSpec("P")
R = TypeVar("R")


def guard_of(retry: object, fallback: object) -> Guard:
    """Return the guard for what was given as options; UNSET and None are none.

    Raises:
        TypeError: ``retry`` is no :class:`Retry`.
    """
    retry, fallback = (None if option is UNSET else option for option in (retry, fallback))
    if retry is not None:
        check.kind("retry", retry, Retry, "a Retry such as Retry(3), or None")
    stand_in = (
        fallback if fallback is None or isinstance(fallback, Fallback) else Fallback(fallback)
    )
    return Guard(cast("Retry | None", retry), stand_in)


class _Guarded:
    """What the two kinds of views share.

    Attributes:
        _plain: The same view without a guard.
        _guard: How its calls are tried again, and what stands in for them.
        _make_pool: Makes a pool of coroutines, of so many at once, with a name and other options.
    """

    _plain: Any
    _guard: Guard
    _make_pool: Callable[..., Any]

    def _take_over(self, plain: Any, guard: Guard, make_pool: Callable[..., Any]) -> None:
        self._core = plain._core  # noqa: SLF001 - it is the same view
        self._options = plain._options  # noqa: SLF001 - as above
        self._owner = plain._pool  # noqa: SLF001 - as above
        self._plain = plain
        self._guard = guard
        self._make_pool = make_pool

    def _with(self, others: dict[str, Any]) -> Any:
        """The same guard, or what is given in its place, around a view with other options."""
        retry = others.pop("retry", self._guard.retry)
        fallback = others.pop("fallback", self._guard.fallback)
        return self._plain.options(retry=retry, fallback=fallback, **others)

    def _stream(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        limit: int | None,
        ordered: bool,
        outcomes: bool,
        buffer: int | None,
        retry: Retry | None,
        on_end: Callable[[], None] | None,
    ) -> Stream[Any]:
        """Each item is a guarded call; at most ``limit`` of them are under way."""
        check.callable_("fn", fn)
        if limit is not None:
            check.count("limit", limit, least=1)
        guard = self._guard if retry is None else Guard(retry, self._guard.fallback)
        run: Callable[..., Awaitable[Any]] = self._plain.run

        async def guarded(item: Any) -> Ended:
            ended = await guard.run(run, fn, (item,), {})
            if not outcomes:
                ended.unwrap()
            return ended

        admission = self._plain._core.admission  # noqa: SLF001 - it is the same view
        room = self._make_pool(
            admission.own_limit if limit is None else limit, f"{admission.name}:guarded"
        )

        def end() -> None:
            room._close_quietly()  # noqa: SLF001 - made here
            if on_end is not None:
                on_end()

        inner: Stream[Any] = room._stream(  # noqa: SLF001 - made here
            guarded,
            items,
            limit=None,
            ordered=ordered,
            outcomes=outcomes,
            buffer=buffer,
            retry=None,
            on_end=end,
        )
        return GuardedStream(inner, outcomes=outcomes)


class GuardedAsyncCalls(_Guarded, AsyncCalls):
    """What can be asked of an ``AsyncPool`` with ``retry`` or ``fallback``."""

    def __init__(self, plain: AsyncCalls, guard: Guard, make_pool: Callable[..., Any]) -> None:
        self._take_over(plain, guard, make_pool)

    def options(self, **others: Any) -> AsyncCalls:
        """Return a view with other options; the guard stays unless another one is given."""
        return cast("AsyncCalls", self._with(others))

    async def run(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn(*args, **kwargs)`` in the pool, again where that is asked for; or give the fallback."""
        ended = await self._guard.run(self._plain.run, fn, args, kwargs)
        return cast("R", ended.unwrap())

    def submit(
        self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> CallFuture[R]:
        """Do the same as :meth:`run` and return the future of it all."""
        return submit_guarded(self._guard, self._plain, self._make_pool, fn, args, kwargs)


class GuardedThreadCalls(_Guarded, ThreadCalls):
    """What can be asked of a ``ThreadPool`` with ``retry`` or ``fallback``."""

    def __init__(self, plain: ThreadCalls, guard: Guard, make_pool: Callable[..., Any]) -> None:
        self._take_over(plain, guard, make_pool)

    def options(self, **others: Any) -> ThreadCalls:
        """Return a view with other options; the guard stays unless another one is given."""
        return cast("ThreadCalls", self._with(others))

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` on a worker thread, again where that is asked for; or give the fallback."""
        ended = await self._guard.run(self._plain.run, fn, args, kwargs)
        return cast("R", ended.unwrap())

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[R]:
        """Do the same as :meth:`run` and return the future of it all."""
        return submit_guarded(self._guard, self._plain, self._make_pool, fn, args, kwargs)


class GuardedStream(Stream[Any]):
    """A stream of guarded calls: their values, or outcomes that tell of all attempts and of fallbacks."""

    __slots__ = ("_inner", "_outcomes")

    def __init__(self, inner: Stream[Any], *, outcomes: bool) -> None:
        super().__init__(inner._engine, inner._pool)  # noqa: SLF001 - a stream around a stream
        self._inner = inner
        self._outcomes = outcomes

    def __aiter__(self) -> AsyncIterator[Any]:
        return _AsyncTold(aiter(self._inner), self._tell)

    def __iter__(self) -> Iterator[Any]:
        return map(self._tell, iter(self._inner))

    def _tell(self, found: Any) -> Any:
        if not self._outcomes:
            ended: Ended = found
            return ended.value
        outcome: Outcome[Any] = found
        if outcome.error is not None:  # cancelled, or ended with the stream
            return outcome
        return _told(outcome)


def _told(outcome: Outcome[Any]) -> Outcome[Any]:
    ended = cast("Ended", outcome.value)
    return outcome._replace(
        value=ended.value,
        error=ended.error,
        attempts=ended.attempts,
        instead_of=ended.instead_of,
    )


class _AsyncTold(AsyncIterator[Any]):
    def __init__(self, inner: AsyncIterator[Any], tell: Callable[[Any], Any]) -> None:
        self._inner = inner
        self._tell = tell

    async def __anext__(self) -> Any:
        return self._tell(await anext(self._inner))
