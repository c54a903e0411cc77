"""The model server as a test uses it."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from holdfast.testing.model_server._child import Child
from holdfast.testing.model_server._http.listener import Bounds, Listener
from holdfast.testing.model_server._options import Options
from holdfast.testing.model_server._service import Service
from holdfast.testing.model_server._stats import Counters, ServerStats

__all__ = ("ModelServer",)


@dataclass(eq=False)
class _Running:
    """What there is of a server while it runs, and the figures it left."""

    url: str | None = None
    listener: Listener | None = None
    counters: Counters | None = None
    child: Child | None = None
    last_stats: ServerStats | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelServer(Options):
    """A local server that speaks the Anthropic Messages and OpenAI Chat Completions protocols.

    ``async with`` runs it in this process, on the running event loop: no thread, no child, and
    nothing is left of it after the block. ``with`` runs it as a child process, for blocking code or
    where the server must not share the client's processor time and descriptors; it blocks until the
    child takes connections. The child is reaped on exit however the block ends, and ends by itself
    if this process dies. A server can be entered again after it has ended, and then counts from
    nothing. The blocking form may be used from any thread, the other one from its loop's.

    What a model says here is decided by the prompt alone: it quotes the sentences of the given
    context that match the question best. ``docs/model_server.md`` has the rule, and what of the two
    protocols is covered.

    Args:
        host: Address or name to listen on.
        port: 0 to 65535; 0 takes a free one, which ``base_url`` tells.
        seed: 0 or more. Decides which call meets which latency and fault, by the order of arrival.
        latency: Seconds until an answer begins (until the first token of a stream), 0 to 600; or
            ``"uniform:LOW:HIGH"``, ``"exponential:MEAN"``, ``"lognormal:MEDIAN:SIGMA"``.
        token_latency: Seconds between the tokens of a stream; same forms.
        rate_limit: Calls per ``rate_period``, at least 1: so many at once, then as they trickle in
            again. Past it 429 with ``retry-after``. None: no limit of the rate.
        rate_period: Seconds, more than 0.
        error_rate: Share of calls, 0 to 1, answered by an error: half of them 500, half overloaded
            (529 for Anthropic, 503 for OpenAI).
        hang_rate: Share of calls that get no answer; they end when the client leaves.
        disconnect_rate: Share of calls whose answer is cut off after half of its body.
        stall_rate: Share of calls whose answer stalls. These four rates together: at most 1.
        stall_mode: ``"dribble"`` sends the body byte by byte, ``"pause"`` stops after half of it,
            ``"mix"`` does one or the other.
        stall_time: Seconds by which a stalled answer takes longer, more than 0.
        stream_error_rate: Share of the streams not hit by those faults, 0 to 1, that end in an
            error event after half of their events.
        max_concurrent: Calls in flight, at least 1; one more is answered as overloaded. None: as
            many as there are connections.
        max_connections: Open connections, at least 1; one more gets 503 and is closed.
        max_request_bytes: Size of a request's body, at least 1; past it 413.
        max_head_bytes: Size of a request's head, at least 1024; past it 431.
        idle_timeout: Seconds, more than 0, after which a connection is closed that has no request
            in progress, or whose client does not read.
        request_timeout: Seconds, more than 0, for a request to arrive whole; past it 408.
        grace: Seconds, 0 or more, that the end of the server gives to answers in progress. A call
            that hangs is not waited for.
        access_log: Log a line per request to the logger ``holdfast.testing.model_server``.

    Raises:
        ValueError: An option is out of its range.
        TypeError: An option is of the wrong type.

    Example:
        >>> import urllib.request
        >>> with ModelServer(latency=0.01) as server:
        ...     with urllib.request.urlopen(server.base_url + "/v1/models") as response:
        ...         response.status
        200
    """

    _running: _Running = field(init=False, repr=False, default_factory=_Running)

    @property
    def base_url(self) -> str:
        """Where the server is, such as ``http://127.0.0.1:40123``: what an Anthropic client needs.

        Raises:
            RuntimeError: The server is not running.
        """
        if self._running.url is None:
            msg = "the model server is not running; use it inside `with` or `async with`"
            raise RuntimeError(msg)
        return self._running.url

    @property
    def openai_base_url(self) -> str:
        """``base_url`` with ``/v1``: what an OpenAI client needs."""
        return self.base_url + "/v1"

    def stats(self) -> ServerStats:
        """Return what was counted since the server was entered, also after it has ended.

        With a child process this asks it over HTTP and blocks for about a millisecond.

        Raises:
            RuntimeError: The server has never run, or its child process has died.
        """
        running = self._running
        if running.counters is not None:
            return running.counters.snapshot()
        if running.child is not None:
            return running.child.stats()
        if running.last_stats is not None:
            return running.last_stats
        msg = "the model server has not run, or its process was ended before it could count up"
        raise RuntimeError(msg)

    # ------------------------------------------------------------ in this process

    async def __aenter__(self) -> Self:
        self._check_not_running()
        counters = Counters()
        bounds = Bounds(
            max_connections=self.max_connections,
            max_head_bytes=self.max_head_bytes,
            max_request_bytes=self.max_request_bytes,
            idle_timeout=self.idle_timeout,
            request_timeout=self.request_timeout,
        )
        listener = Listener(Service(self, counters), counters, bounds)
        await listener.open(self.host, self.port)
        self._running.listener = listener
        self._running.counters = counters
        self._running.url = listener.url
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running = self._running
        listener, running.listener, running.url = running.listener, None, None
        try:
            if listener is not None:
                await listener.aclose(self.grace)
        finally:
            if running.counters is not None:
                running.last_stats = running.counters.snapshot()
                running.counters = None

    # ------------------------------------------------------------ as a child process

    def __enter__(self) -> Self:
        self._check_not_running()
        child = Child.start(self)
        self._running.child = child
        self._running.url = child.url
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running = self._running
        child, running.child, running.url = running.child, None, None
        if child is not None:
            running.last_stats = child.stop()

    def _check_not_running(self) -> None:
        if self._running.url is not None:
            msg = f"this model server is running already, at {self._running.url}; make another one"
            raise RuntimeError(msg)
        self._running.last_stats = None
