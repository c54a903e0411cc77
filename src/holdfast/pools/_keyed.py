"""What a pool asks of whoever remembers outcomes by key, and how a call comes to its key.

The pool does not know what is kept, or where: it is given an object that does (``Idempotent``, of a room
that builds on this one), and hands it what runs a call here.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from holdfast._core.future import CallFuture

__all__ = ("IdempotencyKey", "Remembers", "check_key", "check_memory", "key_of")

IdempotencyKey = str | Callable[..., str]
"""The key of one call, or what makes it of the call's arguments."""


class Remembers(Protocol):
    """Runs calls once per key, as far as it remembers."""

    async def run_in(
        self,
        key: str,
        run: Callable[..., Awaitable[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        blocking: bool,
    ) -> Any:
        """Return the outcome that is known for ``key``, or that of ``run(fn, *args, **kwargs)``."""
        ...

    def submit_in(
        self,
        key: str,
        submit: Callable[..., CallFuture[Any]],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        blocking: bool,
    ) -> CallFuture[Any]:
        """The same with ``submit``, for a future."""
        ...


def check_memory(memory: object) -> Remembers | None:
    """Return what was given as a pool's ``idempotency``.

    Raises:
        TypeError: It does not remember calls.
    """
    if memory is None or hasattr(memory, "run_in"):
        return cast("Remembers | None", memory)
    msg = f"idempotency must be an Idempotent, such as Idempotent({type(memory).__name__}(...)), not {memory!r}"
    raise TypeError(msg)


def check_key(key: object, memory: Remembers | None, pool: str) -> Remembers:
    """Return what remembers the calls of a view.

    Raises:
        TypeError: The key is neither a string nor a function.
        ValueError: The pool has nothing that would remember.
    """
    if not isinstance(key, str) and not callable(key):
        msg = (
            f"idempotency_key must be a string, or a function of the call's arguments, not {key!r}"
        )
        raise TypeError(msg)
    if memory is None:
        msg = (
            f"idempotency_key would mean nothing: pool {pool!r} has no place to keep outcomes; make it "
            "with idempotency=Idempotent(store)"
        )
        raise ValueError(msg)
    return memory


def key_of(key: IdempotencyKey, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The key of a call with these arguments."""
    return key if isinstance(key, str) else key(*args, **kwargs)
