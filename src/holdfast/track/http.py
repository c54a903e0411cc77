"""Shared HTTP clients: one for each event loop and purpose, bounded before its pool, closed with the loop.

For aiohttp, httpx, httpx2, and the clients of the ``anthropic`` and ``openai`` packages. None of them is
imported before it is asked for. Those for blocking code are ``http.blocking``.

Which one: with a thousand calls in flight, httpx looks at each of its connections for each request that
waits, and aiohttp does not (``benchmarks/bench_http.py``). So the SDKs' clients are made over aiohttp
where it is installed.
"""

from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from holdfast.track._http.asking import SharedClients, package_of, required, split
from holdfast.track._http.plan import Plan
from holdfast.track._http.shared import Shared, clients_here
from holdfast.track._http.tickets import HttpStats

if TYPE_CHECKING:
    from typing import TypeAlias

    import aiohttp
    import anthropic
    import httpx
    import httpx2
    import openai

    from holdfast.track.http_blocking import BlockingHttp

    _Session: TypeAlias = aiohttp.ClientSession
    _Httpx: TypeAlias = httpx.AsyncClient
    _Httpx2: TypeAlias = httpx2.AsyncClient

__all__ = ("Http", "HttpStats", "SharedClients", "http")


class Http(SharedClients["_Session"]):
    """What ``holdfast.http`` is. Call it for a session of aiohttp, or one of its attributes for another client.

    ``holdfast.http("model")`` needs ``holdfast[http]``; ``holdfast.http.httpx2("model")`` needs httpx2.

    Each must be called where the event loop runs, each time that the client is needed: the same purpose
    in the same loop gives the same client. Two calls for one purpose have to agree in their options,
    which are those of :meth:`SharedClients.__call__` for all of them. What you get is the library's own
    client, with two differences: a request waits before the client while ``limit`` others are under way,
    and the client is closed when its loop ends. (An ``async with`` over a shared client of httpx closes
    nothing; a session of aiohttp that somebody closes is replaced at the next call.)

    Attributes:
        httpx: Gives an ``httpx.AsyncClient``; with a ``limit`` beyond 20 httpx itself gets slow.
        httpx2: Gives an ``httpx2.AsyncClient``; with a ``limit`` beyond 50 httpx2 itself gets slow.
    """

    httpx: "SharedClients[_Httpx]"
    httpx2: "SharedClients[_Httpx2]"

    def __init__(self) -> None:
        super().__init__("aiohttp", _get)
        self.httpx = SharedClients("httpx", _get)
        self.httpx2 = SharedClients("httpx2", _get)

    def __repr__(self) -> str:
        return "<holdfast.http: shared HTTP clients>"

    @property
    def blocking(self) -> "BlockingHttp":
        """The shared clients for blocking code: ``holdfast.http.blocking.httpx2()``."""
        from holdfast.track.http_blocking import http_blocking  # noqa: PLC0415 - when it is needed

        return http_blocking

    def anthropic(self, purpose: str = "anthropic", **options: Any) -> "anthropic.AsyncAnthropic":
        """Return an ``anthropic.AsyncAnthropic`` over this loop's shared client for a purpose.

        Args:
            purpose: What it is for.
            options: Those of :class:`Http`, and arguments of ``AsyncAnthropic``.
        """
        made = self.client_for(required("anthropic").AsyncAnthropic, purpose, **options)
        return cast("anthropic.AsyncAnthropic", made)

    def openai(self, purpose: str = "openai", **options: Any) -> "openai.AsyncOpenAI":
        """Return an ``openai.AsyncOpenAI`` over this loop's shared client for a purpose.

        Args:
            purpose: What it is for.
            options: Those of :class:`Http`, and arguments of ``AsyncOpenAI``.
        """
        made = self.client_for(required("openai").AsyncOpenAI, purpose, **options)
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
        package = package_of(
            client,
            "AsyncAPIClient",
            "an asynchronous",
            "for others use holdfast.http.httpx() or httpx2(), and pass it on; for blocking ones "
            "holdfast.http.blocking.client_for()",
        )
        clients = SharedClients[Any](package, _get, over=_under_sdks())
        shared = clients(purpose or package, **split(options))
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


def _get(plan: Plan) -> Any:
    return clients_here().get(plan, _make).client


def _make(plan: Plan) -> Shared:
    if plan.library == "aiohttp":
        required("aiohttp")
        from holdfast.track._http.with_aiohttp import make_session  # noqa: PLC0415 - needs aiohttp

        return make_session(plan)
    from holdfast.track._http.with_httpx import make_shared  # noqa: PLC0415 - when it is needed

    module = required(plan.library)
    if plan.library in {"httpx", "httpx2"}:
        return make_shared(module.AsyncClient, module, plan)
    return make_shared(_sdk_client(module), required("httpx2"), plan)


def _under_sdks() -> str:
    """What the SDKs' clients are made over."""
    return "httpx2" if find_spec("aiohttp") is None else "aiohttp"


def _sdk_client(package: ModuleType) -> type[Any]:
    """The HTTP client of an SDK: over aiohttp, if that is installed."""
    if _under_sdks() == "httpx2":
        return cast("type[Any]", package.DefaultAsyncHttpxClient)
    return cast("type[Any]", package.DefaultAioHttpClient)


http: Final = Http()
"""The shared clients of this process; ``holdfast.http``."""
