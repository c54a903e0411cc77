"""The user's functions of a resource pool, and whether they belong to event loops."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from holdfast._core import check

__all__ = ("PoolFunctions", "awaited", "belongs_to_a_loop", "made")

T = TypeVar("T")

Maker = Callable[[], T] | Callable[[], Awaitable[T]]
Worker = Callable[[T], Any]


class PoolFunctions(Generic[T]):
    """``create`` and what goes with it.

    Args:
        create: Returns a resource, or something that can be awaited for one.
        destroy: Closes one; None is its own ``aclose`` or ``close``.
        reset: Makes one fit for the next borrower.
        probe: Says whether one still works: False, or an error, if it does not. (``check``.)
    """

    __slots__ = ("create", "destroy", "probe", "reset")

    def __init__(
        self,
        create: Maker[T],
        destroy: Worker[T] | None,
        reset: Worker[T] | None,
        probe: Worker[T] | None,
    ) -> None:
        self.create: Callable[[], Any] = check.callable_("create", create)
        self.destroy = None if destroy is None else check.callable_("destroy", destroy)
        self.reset = None if reset is None else check.callable_("reset", reset)
        self.probe = None if probe is None else check.callable_("check", probe)


def belongs_to_a_loop(*functions: Callable[..., Any] | None) -> bool:
    """Whether any of these is a coroutine function."""
    return any(function is not None and _is_coroutine_function(function) for function in functions)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


async def awaited(result: Any) -> Any:
    """Return what a function has returned, awaited if it can be."""
    return await result if inspect.isawaitable(result) else result


def made(resource: Any, *, awaitable: bool) -> Any:
    """Return what ``create`` has returned, if that is a resource."""
    if resource is None:
        msg = "create returned None; it has to return the resource"
        raise TypeError(msg)
    if not awaitable and inspect.isawaitable(resource):
        if inspect.iscoroutine(resource):
            resource.close()  # it has not begun
        msg = "create returned something to be awaited: say bound_to_loop=True, or give an async function"
        raise TypeError(msg)
    return resource
