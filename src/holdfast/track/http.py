"""Shared HTTP clients: one for each event loop and purpose, bounded before its pool, closed with the loop.

For aiohttp, httpx, httpx2, and the clients of the ``anthropic`` and ``openai`` packages. None of them is
imported before it is asked for.

Which one: with a thousand calls in flight, httpx looks at each of its connections for each request that
waits, and aiohttp does not (``benchmarks/bench_http.py``). So the SDKs' clients are made over aiohttp
where it is installed.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from holdfast._core import check
from holdfast.track._http.gate import HttpStats
from holdfast.track._http.shared import Plan, Shared, clients_here

if TYPE_CHECKING:
    import aiohttp
    import anthropic
    import httpx
    import httpx2
    import openai

__all__ = ("Http", "HttpStats", "http")

_LIMITS: Final = {"aiohttp": 100, "httpx2": 50, "httpx": 20}
"""Beyond these the clients themselves get slow; aiohttp does not, and is bound for the server's sake."""


class Http:
    """What ``holdfast.http`` is. Call it for a session of aiohttp, or one of its methods for another client.

    Every method must be called where the event loop runs, each time that the client is needed: the same
    purpose in the same loop gives the same client. Two calls for one purpose have to agree in their
    options. What you get is the library's own client, with two differences: a request waits before the
    client while ``limit`` others are under way, and the client is closed when its loop ends. (An ``async
    with`` over a shared client of httpx closes nothing; a session of aiohttp that somebody closes is
    replaced at the next call.)

    The options of all of them:

    - ``limit``: most requests under way at once, their responses' reading included; at least 1. Fewer
      where the process has not as many descriptors left, which is logged. Default: 100 with aiohttp, 50
      with httpx2, 20 with httpx.
    - ``max_queue``: most requests that wait; default 10,000. One more raises :class:`QueueFull`.
    - ``queue_timeout``: longest wait in seconds; default 30. Then :class:`QueueTimeout`, which names the
      requests under way with their lines.
    - ``keepalive``: seconds after which an idle connection is closed, whether or not another request
      comes; default 15.
    - ``idle_timeout``: seconds after which a response that nobody reads on is closed, and the line that
      asked for it is logged; default 60.
    """

    def __repr__(self) -> str:
        return "<holdfast.http: shared HTTP clients>"

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
    ) -> "aiohttp.ClientSession":
        """Return this loop's session of aiohttp for a purpose; needs ``holdfast[http]``.

        Args:
            purpose: What it is for; one for each service that you depend on.
            limit: See :class:`Http`.
            max_queue: See :class:`Http`.
            queue_timeout: See :class:`Http`.
            keepalive: See :class:`Http`.
            idle_timeout: See :class:`Http`.
            more: Arguments of ``aiohttp.ClientSession``, such as ``base_url`` or ``timeout``.

        Raises:
            ImportError: aiohttp is not installed.
            RuntimeError: No event loop runs here.
            UnderPressure: There is no descriptor left for it.
            ValueError: The purpose has a client with other options.

        Cost:
            ``benchmarks/bench_http.py``.
        """
        own = (limit, max_queue, queue_timeout, keepalive, idle_timeout)
        return cast("aiohttp.ClientSession", self._get("aiohttp", purpose, own, more))

    def httpx(
        self,
        purpose: str = "default",
        *,
        limit: int | None = None,
        max_queue: int = 10_000,
        queue_timeout: float | None = 30.0,
        keepalive: float = 15.0,
        idle_timeout: float = 60.0,
        **more: Any,
    ) -> "httpx.AsyncClient":
        """Return this loop's client of httpx for a purpose. See :meth:`__call__`.

        Args:
            purpose: What it is for.
            limit: See :class:`Http`; beyond 20 httpx itself gets slow.
            max_queue: See :class:`Http`.
            queue_timeout: See :class:`Http`.
            keepalive: See :class:`Http`.
            idle_timeout: See :class:`Http`.
            more: Arguments of ``httpx.AsyncClient``.
        """
        own = (limit, max_queue, queue_timeout, keepalive, idle_timeout)
        return cast("httpx.AsyncClient", self._get("httpx", purpose, own, more))

    def httpx2(
        self,
        purpose: str = "default",
        *,
        limit: int | None = None,
        max_queue: int = 10_000,
        queue_timeout: float | None = 30.0,
        keepalive: float = 15.0,
        idle_timeout: float = 60.0,
        **more: Any,
    ) -> "httpx2.AsyncClient":
        """Return this loop's client of httpx2 for a purpose. See :meth:`__call__`.

        Args:
            purpose: What it is for.
            limit: See :class:`Http`; beyond 50 httpx2 itself gets slow.
            max_queue: See :class:`Http`.
            queue_timeout: See :class:`Http`.
            keepalive: See :class:`Http`.
            idle_timeout: See :class:`Http`.
            more: Arguments of ``httpx2.AsyncClient``.
        """
        own = (limit, max_queue, queue_timeout, keepalive, idle_timeout)
        return cast("httpx2.AsyncClient", self._get("httpx2", purpose, own, more))

    def anthropic(self, purpose: str = "anthropic", **options: Any) -> "anthropic.AsyncAnthropic":
        """Return an ``anthropic.AsyncAnthropic`` over this loop's shared client for a purpose.

        Args:
            purpose: What it is for.
            options: Those of :class:`Http`, and arguments of ``AsyncAnthropic``.
        """
        made = self.client_for(_import("anthropic").AsyncAnthropic, purpose, **options)
        return cast("anthropic.AsyncAnthropic", made)

    def openai(self, purpose: str = "openai", **options: Any) -> "openai.AsyncOpenAI":
        """Return an ``openai.AsyncOpenAI`` over this loop's shared client for a purpose.

        Args:
            purpose: What it is for.
            options: Those of :class:`Http`, and arguments of ``AsyncOpenAI``.
        """
        made = self.client_for(_import("openai").AsyncOpenAI, purpose, **options)
        return cast("openai.AsyncOpenAI", made)

    def client_for(self, client: type[Any], purpose: str | None = None, **options: Any) -> Any:
        """Return a client of an SDK over this loop's shared client for a purpose.

        The SDK's object is new and light; its connections are shared. ``async with`` over it, or its
        ``close``, closes nothing of what others use.

        Args:
            client: A class of ``anthropic`` or ``openai``, or one derived from theirs, such as
                ``AsyncAnthropicBedrock`` or ``AsyncAzureOpenAI``.
            purpose: What it is for; default the name of the package.
            options: Those of :class:`Http`, and arguments of ``client``.

        Raises:
            TypeError: It is no asynchronous client of these packages.
            Exception: As :meth:`__call__`.
        """
        package = next(
            (
                kind.__module__.partition(".")[0]
                for kind in client.__mro__
                if kind.__module__.partition(".")[0] in {"anthropic", "openai"}
            ),
            None,
        )
        if package is None or not any(k.__name__ == "AsyncAPIClient" for k in client.__mro__):
            msg = (
                f"client must be an asynchronous client class of anthropic or openai, not {client!r}; for "
                "others use holdfast.http.httpx() or httpx2(), and pass it on"
            )
            raise TypeError(msg)
        own = (
            options.pop("limit", None),
            options.pop("max_queue", 10_000),
            options.pop("queue_timeout", 30.0),
            options.pop("keepalive", 15.0),
            options.pop("idle_timeout", 60.0),
        )
        shared = self._get(package, purpose or package, own, {})
        return client(http_client=shared, **options)

    def stats(self) -> tuple[HttpStats, ...]:
        """Return a reading of each shared client of this loop.

        Raises:
            RuntimeError: No event loop runs here.
        """
        return clients_here().stats()

    async def aclose(self) -> None:
        """Close this loop's shared clients now; the next call makes new ones."""
        await clients_here().aclose()

    def _get(self, library: str, purpose: str, own: tuple[Any, ...], more: dict[str, Any]) -> Any:
        limit, max_queue, queue_timeout, keepalive, idle_timeout = own
        clients = clients_here()
        usual = _LIMITS[library if library in _LIMITS else _under_sdks()]
        plan = Plan(
            library=library,
            purpose=purpose,
            limit=usual if limit is None else check.count("limit", limit, least=1),
            max_queue=check.count("max_queue", max_queue),
            queue_timeout=check.seconds("queue_timeout", queue_timeout),
            keepalive=_span("keepalive", keepalive),
            idle_timeout=_span("idle_timeout", idle_timeout),
            more=tuple(more.items()),
        )
        return clients.get(plan, _make).client


def _make(plan: Plan) -> Shared:
    if plan.library == "aiohttp":
        _import("aiohttp")
        from holdfast.track._http.with_aiohttp import make_session  # noqa: PLC0415 - needs aiohttp

        return make_session(plan)
    from holdfast.track._http.with_httpx import make_client  # noqa: PLC0415 - when it is needed

    module = _import(plan.library)
    if plan.library in {"httpx", "httpx2"}:
        return make_client(module.AsyncClient, module, plan)
    return make_client(_sdk_client(module), _import("httpx2"), plan)


def _under_sdks() -> str:
    """What the SDKs' clients are made over."""
    return "httpx2" if find_spec("aiohttp") is None else "aiohttp"


def _sdk_client(package: ModuleType) -> type[Any]:
    """The HTTP client of an SDK: over aiohttp, if that is installed."""
    if _under_sdks() == "httpx2":
        return cast("type[Any]", package.DefaultAsyncHttpxClient)
    return cast("type[Any]", package.DefaultAioHttpClient)


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        extra = " (or 'holdfast[http]')" if name == "aiohttp" else ""
        msg = f"this needs the package {name}: {sys.executable} -m pip install {name}{extra}"
        raise ImportError(msg) from error


def _span(name: str, value: float) -> float:
    seconds = check.seconds(name, value)
    if seconds is None:
        msg = f"{name} must be a number of seconds: without it what is idle would stay for ever"
        raise ValueError(msg)
    return seconds


http: Final = Http()
"""The shared clients of this process; ``holdfast.http``."""
