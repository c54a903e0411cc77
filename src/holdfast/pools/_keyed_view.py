"""Views of a pool whose calls have an idempotency key: a path of their own, so that others pay nothing.

A call goes to whoever remembers outcomes first. What joins a run in flight, or finds its outcome recorded,
takes no permit; what has to run is handed back to the pool like any other call, and its start is noted when
it has its permit.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, ParamSpec, TypeVar, cast

from holdfast._core import check
from holdfast._core.future import CallFuture
from holdfast.limits import Retry
from holdfast.pools._async_view import AsyncCalls
from holdfast.pools._keyed import IdempotencyKey, Remembers, key_of
from holdfast.pools._options import UNSET, Unset
from holdfast.pools._thread_view import ThreadCalls
from holdfast.pools.stream import Stream

__all__ = ("KeyedAsyncCalls", "KeyedThreadCalls", "MakePool")

P = ParamSpec("P")
R = TypeVar("R")

MakePool = Callable[[int, str], Any]
"""Makes the pool of coroutines in which the items of a stream wait: of so many at once, with that name."""


class _Keyed:
    """What the two kinds of views share.

    Attributes:
        _plain: The same view without a key.
        _memory: What remembers.
        _key: The key, or what makes it.
        _make_pool: For streams.
    """

    _plain: Any
    _memory: Remembers
    _key: IdempotencyKey
    _make_pool: MakePool

    def _take_over(
        self, plain: Any, memory: Remembers, key: IdempotencyKey, make_pool: MakePool
    ) -> None:
        self._core = plain._core  # noqa: SLF001 - it is the same view
        self._options = plain._options  # noqa: SLF001 - as above
        self._owner = plain._pool  # noqa: SLF001 - as above
        self._plain = plain
        self._memory = memory
        self._key = key
        self._make_pool = make_pool

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
        """Each item is a call of ``run``; at most ``limit`` of them are under way.

        They wait in a pool of their own and not under this pool's permits: one that joins a run in flight
        would keep the permit that the run may need.
        """
        check.callable_("fn", fn)
        if isinstance(self._key, str):
            msg = (
                f"idempotency_key={self._key!r} is the key of one call; for a stream give a function that "
                "makes each item's, such as idempotency_key=lambda item: item['id']"
            )
            raise ValueError(msg)  # noqa: TRY004 - the type is right, and the use is not
        if limit is not None:
            check.count("limit", limit, least=1)
        run: Callable[..., Awaitable[Any]] = cast("Any", self).run  # of the view

        async def keyed(item: Any) -> Any:
            return await run(fn, item)

        admission = self._plain._core.admission  # noqa: SLF001 - it is the same view
        waiting = self._make_pool(
            admission.limit if limit is None else limit, f"{admission.name}:keyed"
        )

        def end() -> None:
            waiting._close_quietly()  # noqa: SLF001 - made here
            if on_end is not None:
                on_end()

        stream: Stream[Any] = waiting._stream(  # noqa: SLF001 - made here
            keyed,
            items,
            limit=None,
            ordered=ordered,
            outcomes=outcomes,
            buffer=buffer,
            retry=retry,
            on_end=end,
        )
        return stream


class KeyedAsyncCalls(_Keyed, AsyncCalls):
    """What can be asked of an ``AsyncPool`` with an idempotency key."""

    def __init__(
        self, plain: AsyncCalls, memory: Remembers, key: IdempotencyKey, make_pool: MakePool
    ) -> None:
        self._take_over(plain, memory, key, make_pool)

    def options(
        self, *, idempotency_key: IdempotencyKey | Unset | None = UNSET, **others: Any
    ) -> AsyncCalls:
        """Return a view with other options; the key stays unless another one, or None, is given."""
        key = self._key if isinstance(idempotency_key, Unset) else idempotency_key
        return cast("AsyncCalls", self._plain.options(idempotency_key=key, **others))

    async def run(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the outcome known for the key, or await ``fn(*args, **kwargs)`` in the pool."""
        key = key_of(self._key, args, kwargs)
        return cast(
            "R", await self._memory.run_in(key, self._plain.run, fn, args, kwargs, blocking=False)
        )

    def submit(
        self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> CallFuture[R]:
        """Queue ``fn(*args, **kwargs)``, or join what is in flight for the key; a future of one's own."""
        key = key_of(self._key, args, kwargs)
        return self._memory.submit_in(key, self._plain.submit, fn, args, kwargs, blocking=False)


class KeyedThreadCalls(_Keyed, ThreadCalls):
    """What can be asked of a ``ThreadPool`` with an idempotency key."""

    def __init__(
        self, plain: ThreadCalls, memory: Remembers, key: IdempotencyKey, make_pool: MakePool
    ) -> None:
        self._take_over(plain, memory, key, make_pool)

    def options(
        self, *, idempotency_key: IdempotencyKey | Unset | None = UNSET, **others: Any
    ) -> ThreadCalls:
        """Return a view with other options; the key stays unless another one, or None, is given."""
        key = self._key if isinstance(idempotency_key, Unset) else idempotency_key
        return cast("ThreadCalls", self._plain.options(idempotency_key=key, **others))

    async def run(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the outcome known for the key, or call ``fn(*args, **kwargs)`` on a worker thread."""
        key = key_of(self._key, args, kwargs)
        return cast(
            "R", await self._memory.run_in(key, self._plain.run, fn, args, kwargs, blocking=True)
        )

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[R]:
        """Queue ``fn(*args, **kwargs)``, or join what is in flight for the key; a future of one's own."""
        key = key_of(self._key, args, kwargs)
        return self._memory.submit_in(key, self._plain.submit, fn, args, kwargs, blocking=True)
