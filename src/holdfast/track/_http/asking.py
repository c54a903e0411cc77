"""How a shared client is asked for: one set of options for all of them, checked in one place."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Generic, TypeVar, cast

from holdfast._core import check
from holdfast.track._http.plan import Plan

__all__ = ("SharedClients", "package_of", "required", "split")

C = TypeVar("C")

LIMITS: Final = {"aiohttp": 100, "httpx2": 50, "httpx": 20}
"""Beyond these the clients themselves get slow; aiohttp does not, and is bound for the server's sake."""

_OWN: Final = ("limit", "max_queue", "queue_timeout", "keepalive", "idle_timeout")


class SharedClients(Generic[C]):
    """Gives the shared client of one library for each purpose. ``holdfast.http.httpx2`` is one.

    Args:
        library: What is asked for.
        over: The library that it works over.
        get: Returns the client of a plan.
        blocking: Whether it is for threads.
    """

    def __init__(
        self, library: str, get: Callable[[Plan], Any], *, over: str = "", blocking: bool = False
    ) -> None:
        self._library = library
        self._usual = LIMITS[over or library]
        self._get = get
        self._blocking = blocking

    def __repr__(self) -> str:
        return f"<shared clients of {self._library}{', blocking' if self._blocking else ''}>"

    def __call__(
        self,
        purpose: str = "default",
        *,
        limit: int | None = None,
        max_queue: int = 10_000,
        queue_timeout: float | None = 30.0,
        keepalive: float = 15.0,
        idle_timeout: float = 60.0,
        **more: Any,
    ) -> C:
        """Return the shared client for a purpose.

        Args:
            purpose: What it is for; one for each service that you depend on.
            limit: Most requests under way at once, their responses' reading included; at least 1. Fewer
                where the process has not as many descriptors left, which is logged. Default: 100 with
                aiohttp, 50 with httpx2, 20 with httpx.
            max_queue: Most requests that wait. One more raises :class:`QueueFull`.
            queue_timeout: Longest wait in seconds. Then :class:`QueueTimeout`, which names the requests
                under way with their lines.
            keepalive: Seconds after which an idle connection is closed, whether or not another request
                comes.
            idle_timeout: Seconds after which a response that nobody reads on is closed, and the line
                that asked for it is logged.
            more: Arguments of the client's own, such as ``base_url`` or ``timeout``.

        Raises:
            ImportError: The library is not installed.
            RuntimeError: No event loop runs here, for a client that is awaited.
            UnderPressure: There is no descriptor left for it.
            ValueError: The purpose has a client with other options.

        Cost:
            ``benchmarks/bench_http.py``.
        """
        plan = Plan(
            library=self._library,
            purpose=purpose,
            limit=self._usual if limit is None else check.count("limit", limit, least=1),
            max_queue=check.count("max_queue", max_queue),
            queue_timeout=check.seconds("queue_timeout", queue_timeout),
            keepalive=_span("keepalive", keepalive),
            idle_timeout=_span("idle_timeout", idle_timeout),
            more=tuple(more.items()),
            blocking=self._blocking,
        )
        return cast("C", self._get(plan))


def _span(name: str, value: float) -> float:
    seconds = check.seconds(name, value)
    if seconds is None:
        msg = f"{name} must be a number of seconds: without it what is idle would stay for ever"
        raise ValueError(msg)
    return seconds


def split(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a shared client out of those that an SDK's client is made with."""
    return {name: options.pop(name) for name in _OWN if name in options}


def package_of(client: type[Any], base: str, kind: str, instead: str) -> str:
    """Return which SDK a class of clients belongs to.

    Args:
        client: The class, or one derived from it.
        base: The name of the class from which those of this kind derive.
        kind: The same in words.
        instead: What to do with others.

    Raises:
        TypeError: It belongs to none, or is of the other kind.
    """
    homes = (each.__module__.partition(".")[0] for each in client.__mro__)
    package = next((home for home in homes if home in {"anthropic", "openai"}), None)
    if package is None or not any(each.__name__ == base for each in client.__mro__):
        msg = (
            f"client must be {kind} client class of anthropic or openai, not {client!r}; {instead}"
        )
        raise TypeError(msg)
    return package


def required(name: str) -> ModuleType:
    """Import a package that the user has to install.

    Raises:
        ImportError: It is not installed; with the command that does it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        extra = " (or 'holdfast[http]')" if name == "aiohttp" else ""
        msg = f"this needs the package {name}: {sys.executable} -m pip install {name}{extra}"
        raise ImportError(msg) from error
