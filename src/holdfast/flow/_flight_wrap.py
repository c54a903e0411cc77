"""A function with a single-flight around it."""

from collections.abc import Awaitable, Callable, Hashable
from functools import partial, wraps
from typing import Any, Protocol

from holdfast._core import check
from holdfast.flow.stream import is_async

__all__ = ("Runs", "wrap")


class Runs(Protocol):
    """What a wrapped function asks of its flight."""

    async def run(
        self, key: Hashable, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run it, or join the run in flight."""
        ...

    def run_sync(self, key: Hashable, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """The same, blocking."""
        ...


def wrap(
    runs: Runs, fn: Callable[..., Any] | None, key: Callable[..., Hashable] | None
) -> Callable[..., Any]:
    """Return ``fn`` with ``runs`` around it; without ``fn``, what takes it."""
    if key is not None:
        check.callable_("key", key)
    if fn is None:
        return partial(wrap, runs, key=key)
    check.callable_("fn", fn)
    key_of = _arguments if key is None else key
    return _wrap_async(runs, fn, key_of) if is_async(fn) else _wrap_sync(runs, fn, key_of)


def _wrap_async(
    runs: Runs, fn: Callable[..., Any], key_of: Callable[..., Hashable]
) -> Callable[..., Any]:
    @wraps(fn)
    async def one_at_a_time(*args: Any, **kwargs: Any) -> Any:
        return await runs.run((fn, key_of(*args, **kwargs)), fn, *args, **kwargs)

    return one_at_a_time


def _wrap_sync(
    runs: Runs, fn: Callable[..., Any], key_of: Callable[..., Hashable]
) -> Callable[..., Any]:
    @wraps(fn)
    def one_at_a_time(*args: Any, **kwargs: Any) -> Any:
        return runs.run_sync((fn, key_of(*args, **kwargs)), fn, *args, **kwargs)

    return one_at_a_time


def _arguments(*args: Any, **kwargs: Any) -> Hashable:
    return args, frozenset(kwargs.items())
