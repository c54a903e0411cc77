"""How things are closed, and whether they are: what is known of any object with a ``close``."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ("Closer", "close_async", "close_blocking", "closer_of", "is_closed", "kind_of")

Closer = Callable[[], Any]
"""Closes a thing; what it returns is awaited, if that can be done."""


def closer_of(thing: object, *, awaitable: bool) -> Closer | None:
    """Return what closes ``thing``, or None.

    Args:
        thing: The object.
        awaitable: Whether ``aclose`` is wanted rather than ``close``, if there are both.
    """
    names = ("aclose", "close") if awaitable else ("close", "aclose")
    for name in names:
        closer: Closer | None = getattr(thing, name, None)
        if callable(closer):
            return closer
    return None


def is_closed(thing: object) -> bool:
    """Whether ``thing`` says that it is closed; False where it does not say."""
    for name in ("closed", "is_closed", "is_closing"):
        try:
            said: Any = getattr(thing, name, None)
            if callable(said):
                said = said()
        except Exception:  # noqa: BLE001, S112 - a thing that can't say has not said that it is closed
            continue
        if isinstance(said, int):  # a bool; psycopg has a number
            return bool(said)
        if inspect.iscoroutine(said):
            said.close()
    try:
        fileno: Any = getattr(thing, "fileno", None)
        return callable(fileno) and fileno() == -1  # a socket
    except Exception:  # noqa: BLE001 - see above
        return False


def close_blocking(closer: Closer) -> None:
    """Close a thing from blocking code.

    Raises:
        TypeError: It can only be closed in a coroutine.
    """
    result = closer()
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # it has not begun
        msg = "it can only be closed in a coroutine: use `async with`, or, for a pool, bound_to_loop=True"
        raise TypeError(msg)


async def close_async(closer: Closer) -> None:
    """Close a thing from a coroutine."""
    result = closer()
    if inspect.isawaitable(result):
        awaited: Awaitable[Any] = result
        await awaited


def kind_of(thing: object) -> str:
    """Return the name of its type, with the module unless it is a builtin one."""
    kind = type(thing)
    return (
        kind.__qualname__
        if kind.__module__ in {"builtins", "_io"}
        else f"{kind.__module__}.{kind.__qualname__}"
    )
