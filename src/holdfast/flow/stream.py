"""Streams without a pool of one's own: the right kind is made for the function, and goes with it."""

import functools
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, Literal, TypeVar, overload

from holdfast._core import check
from holdfast._core.outcome import Outcome
from holdfast.limits import Rate, Retry
from holdfast.pools import AsyncPool, Stream, ThreadPool

__all__ = ("gather", "is_async", "stream")

R = TypeVar("R")
T = TypeVar("T")


@overload
def stream(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ordered: bool = ...,
    outcomes: Literal[False] = ...,
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> Stream[R]: ...
@overload
def stream(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ordered: bool = ...,
    outcomes: Literal[True],
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> Stream[Outcome[R]]: ...
@overload
def stream(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ordered: bool = ...,
    outcomes: Literal[False] = ...,
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> Stream[R]: ...
@overload
def stream(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ordered: bool = ...,
    outcomes: Literal[True],
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> Stream[Outcome[R]]: ...
@overload
def stream(
    fn: Callable[[T], Any],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    ordered: bool = ...,
    outcomes: bool,
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> Stream[Any]: ...
def stream(
    fn: Callable[[Any], Any],
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    limit: int = 20,
    ordered: bool = True,
    outcomes: bool = False,
    buffer: int | None = None,
    timeout: float | None = None,
    retry: Retry | None = None,
    rate: Rate | None = None,
    name: str | None = None,
) -> Stream[Any]:
    """Run ``fn`` over ``items``, at most ``limit`` at once, in bounded memory. See :class:`Stream`.

    A coroutine function runs on the event loop (of the consumer; for ``for`` in blocking code, on one
    in a thread of its own), anything else on threads. Nothing starts before the first outcome is
    asked for.

    Args:
        fn: A function of one argument, ``async def`` or blocking.
        items: An iterable, a generator, an asynchronous iterable; may be endless. Pulled lazily:
            never more than ``limit + buffer`` items are between it and the consumer.
        limit: Most calls at once, at least 1.
        ordered: Deliver in input order; otherwise as they complete.
        outcomes: Deliver :class:`Outcome` records instead of values, and errors among them.
        buffer: Items beyond ``limit`` that may be in between, 0 or more. Default: ``limit``, or up to
            1,024 in all where a list, tuple or range is run through by blocking calls in less than
            20 microseconds an item.
        timeout: Longest run of one attempt in seconds; None is no bound.
        retry: Call again after an error, within the retry budget of the process.
        rate: How often calls may start.
        name: For logs and thread names.

    Returns:
        A stream, for one pass with ``async for`` or ``for``.

    Example:
        >>> list(stream(str.upper, ["a", "b"], limit=2))
        ['A', 'B']
    """
    check.callable_("fn", fn)
    check.count("limit", limit, least=1)
    pool: AsyncPool | ThreadPool
    if is_async(fn):
        pool = AsyncPool(limit, name=name, timeout=timeout, rate=rate)
    else:
        pool = ThreadPool(limit, name=name, timeout=timeout, rate=rate)
    return pool._stream(  # noqa: SLF001 - as stream(), but that the pool goes with the stream
        fn,
        items,
        limit=None,
        ordered=ordered,
        outcomes=outcomes,
        buffer=buffer,
        retry=retry,
        on_end=pool._close_quietly,  # noqa: SLF001 - see above
    )


@overload
async def gather(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    outcomes: Literal[False] = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> list[R]: ...
@overload
async def gather(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    outcomes: Literal[True],
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> list[Outcome[R]]: ...
@overload
async def gather(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    outcomes: Literal[False] = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> list[R]: ...
@overload
async def gather(
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    outcomes: Literal[True],
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> list[Outcome[R]]: ...
@overload
async def gather(
    fn: Callable[[T], Any],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = ...,
    outcomes: bool,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    rate: Rate | None = ...,
    name: str | None = ...,
) -> list[Any]: ...
async def gather(
    fn: Callable[[Any], Any],
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    limit: int = 20,
    outcomes: bool = False,
    timeout: float | None = None,
    retry: Retry | None = None,
    rate: Rate | None = None,
    name: str | None = None,
) -> list[Any]:
    """Run ``fn`` over ``items``, at most ``limit`` at once, and return a list in input order.

    The first error to happen is raised at once, and coroutines still running are cancelled; with
    ``outcomes`` nothing is raised. The arguments are those of :func:`stream`.
    """
    found = stream(
        fn,
        items,
        limit=limit,
        ordered=False,
        outcomes=True,
        timeout=timeout,
        retry=retry,
        rate=rate,
        name=name,
    )
    return await found.gather(outcomes=outcomes)


def is_async(fn: Callable[..., object]) -> bool:
    """Whether calling ``fn`` makes a coroutine: seen through partials, methods and callable objects."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isclass(fn):
        return False  # calling it makes an instance, however that is called
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004 - its kind is asked for, not whether there is one
    )
