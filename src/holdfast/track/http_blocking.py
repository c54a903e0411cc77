"""Shared HTTP clients for blocking code: one for the process and each purpose, bounded before its pool.

For httpx, httpx2, and the blocking clients of the ``anthropic`` and ``openai`` packages. None of them is
imported before it is asked for.
"""

from typing import TYPE_CHECKING, Any, Final, cast

from holdfast.track._http.asking import SharedClients, package_of, required, split
from holdfast.track._http.plan import Plan
from holdfast.track._http.process_wide import PROCESS_CLIENTS, BlockingShared
from holdfast.track._http.tickets import HttpStats

if TYPE_CHECKING:
    from typing import TypeAlias

    import anthropic
    import httpx
    import httpx2
    import openai

    _Httpx: TypeAlias = httpx.Client
    _Httpx2: TypeAlias = httpx2.Client

__all__ = ("BlockingHttp", "http_blocking")


class BlockingHttp:
    """What ``holdfast.http.blocking`` is: the same words, for clients that block. From any thread.

    The same purpose gives the same client in the whole process, however many threads ask. It is closed
    with the :class:`holdfast.Runtime` that was asked for it, by :meth:`close`, or with the process. A
    ``with`` block over a shared client, or its ``close``, closes nothing of what others use. Options are
    those of :meth:`SharedClients.__call__`.

    A thread that runs an event loop does not wait before a client: it gets :class:`QueueFull`, since its
    loop would stand still. In a child after a fork a client of the parent raises :class:`PoolClosed`;
    ask for it again there.

    Attributes:
        httpx: Gives an ``httpx.Client``; with a ``limit`` beyond 20 httpx itself gets slow.
        httpx2: Gives an ``httpx2.Client``; with a ``limit`` beyond 50 httpx2 itself gets slow.
    """

    httpx: "SharedClients[_Httpx]"
    httpx2: "SharedClients[_Httpx2]"

    def __init__(self) -> None:
        self.httpx = SharedClients("httpx", _get, blocking=True)
        self.httpx2 = SharedClients("httpx2", _get, blocking=True)

    def __repr__(self) -> str:
        return "<holdfast.http.blocking: shared HTTP clients for threads>"

    def anthropic(self, purpose: str = "anthropic", **options: Any) -> "anthropic.Anthropic":
        """Return an ``anthropic.Anthropic`` over the shared client for a purpose.

        Args:
            purpose: What it is for.
            options: Those of :meth:`SharedClients.__call__`, and arguments of ``Anthropic``.
        """
        made = self.client_for(required("anthropic").Anthropic, purpose, **options)
        return cast("anthropic.Anthropic", made)

    def openai(self, purpose: str = "openai", **options: Any) -> "openai.OpenAI":
        """Return an ``openai.OpenAI`` over the shared client for a purpose.

        Args:
            purpose: What it is for.
            options: Those of :meth:`SharedClients.__call__`, and arguments of ``OpenAI``.
        """
        made = self.client_for(required("openai").OpenAI, purpose, **options)
        return cast("openai.OpenAI", made)

    def client_for(self, client: type[Any], purpose: str | None = None, **options: Any) -> Any:
        """Return a blocking client of an SDK over the shared client for a purpose.

        The SDK's object is new and light; its connections are shared.

        Args:
            client: A class of ``anthropic`` or ``openai``, or one derived from theirs, such as
                ``AnthropicBedrock`` or ``AzureOpenAI``.
            purpose: What it is for; default the name of the package.
            options: Those of :meth:`SharedClients.__call__`, and arguments of ``client``.

        Raises:
            TypeError: It is no blocking client of these packages.
            Exception: As :meth:`SharedClients.__call__`.
        """
        package = package_of(
            client,
            "SyncAPIClient",
            "a blocking",
            "for others use holdfast.http.blocking.httpx() or httpx2(), and pass it on; for "
            "asynchronous ones holdfast.http.client_for()",
        )
        clients = SharedClients[Any](package, _get, over="httpx2", blocking=True)
        shared = clients(purpose or package, **split(options))
        return client(http_client=shared, **options)

    def stats(self) -> tuple[HttpStats, ...]:
        """Return a reading of each shared blocking client."""
        return PROCESS_CLIENTS.stats()

    def close(self, timeout: float = 5.0) -> None:
        """Close the shared blocking clients; the next call makes new ones.

        What waits is refused at once (:class:`PoolClosed`). What is under way has ``timeout`` seconds
        to end; what is left then is logged, and closed.

        Args:
            timeout: Seconds, 0 or more.
        """
        PROCESS_CLIENTS.close(timeout)

    async def aclose(self, timeout: float = 5.0) -> None:
        """Do the same as :meth:`close` without holding the loop."""
        await PROCESS_CLIENTS.aclose(timeout)


def _get(plan: Plan) -> Any:
    return PROCESS_CLIENTS.get(plan, _make).client


def _make(plan: Plan) -> BlockingShared:
    from holdfast.track._http.with_httpx_blocking import make_blocking  # noqa: PLC0415 - when it is needed

    module = required(plan.library)
    if plan.library in {"httpx", "httpx2"}:
        return make_blocking(module.Client, module, plan)
    return make_blocking(module.DefaultHttpxClient, required("httpx2"), plan)


http_blocking: Final = BlockingHttp()
"""The shared blocking clients of this process; ``holdfast.http.blocking``."""
