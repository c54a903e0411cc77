"""What becomes of a call: admission, its fate, and its answer as a script."""

from collections.abc import Iterator

from holdfast._core import clock
from holdfast.limits.rate import Rate
from holdfast.testing.model_server._answers.answer import Answer, answer
from holdfast.testing.model_server._dialects.call import Call, Dialect, Event, Ids
from holdfast.testing.model_server._dialects.errors import ApiError, Kind
from holdfast.testing.model_server._faults import Fate, Fates, Fault, break_off, dribble, stall
from holdfast.testing.model_server._http.head import Head
from holdfast.testing.model_server._http.reply import (
    LAST_CHUNK,
    NEVER,
    Reply,
    Step,
    chunk,
    reply_head,
)
from holdfast.testing.model_server._jsontext import JsonObject
from holdfast.testing.model_server._latency import Latency
from holdfast.testing.model_server._options import Options
from holdfast.testing.model_server._replies import error_reply, id_field, json_reply
from holdfast.testing.model_server._stats import Counters

__all__ = ("Calls",)

_ERRORS = (Fault.ERROR, Fault.OVERLOADED, Fault.STREAM_ERROR)
_STALLS = (Fault.DRIBBLE, Fault.PAUSE)


class Calls:
    """Takes calls of the model and replies to them.

    Guarantees: each call is counted in ``requests`` once, and once by what became of it; one that
    is refused (400, 429, too many in flight) draws no fate, so that refusals do not shift the fates
    of the calls after them.
    """

    def __init__(self, options: Options, counters: Counters) -> None:
        self._options = options
        self._counters = counters
        self._fates = Fates(options)
        self._latency = Latency.parse(options.latency)
        self._token_latency = Latency.parse(options.token_latency)
        self._gate = (
            None
            if options.rate_limit is None
            else Rate(options.rate_limit, per=options.rate_period, burst=options.rate_limit).gate()
        )

    def take(self, body: JsonObject, *, to: Head, dialect: Dialect, ids: Ids) -> Reply:
        """Admit one call and reply to it.

        Raises:
            ApiError: It asks for something impossible, or comes too soon, or is one too many.
        """
        self._counters.add("requests")
        try:
            call = dialect.read(body)
        except ApiError:
            self._counters.add("bad_requests")
            raise
        self._admit()
        fate = self._fates.draw(stream=call.stream)
        said = answer(call.prompt)
        reply = self._reply(call, said, fate, to=to, dialect=dialect, ids=ids)
        self._counters.rise("in_flight")
        reply.ended = lambda whole: self._ended(fate, whole=whole)
        return reply

    def _admit(self) -> None:
        options = self._options
        wait = self._gate.take(clock.now()) if self._gate is not None else 0.0
        if wait > 0:
            self._counters.add("rate_limited")
            msg = (
                f"over the rate limit of {options.rate_limit} requests per "
                f"{options.rate_period:g} s; try again in {wait:.3f} s"
            )
            raise ApiError(Kind.RATE_LIMITED, msg, retry_after=wait)
        most = options.max_concurrent
        if most is not None and self._counters["in_flight"] >= most:
            self._counters.add("errors")
            msg = f"overloaded: {most} requests are in flight, which is the most; try again later"
            raise ApiError(Kind.OVERLOADED, msg)

    def _ended(self, fate: Fate, *, whole: bool) -> None:
        self._counters.fall("in_flight")
        if not whole:
            self._counters.add("unfinished")
        elif fate.fault in _ERRORS:
            self._counters.add("errors")
        else:
            broken = fate.fault is Fault.DISCONNECT
            self._counters.add("disconnected" if broken else "answered")

    # ------------------------------------------------------------ scripts

    def _reply(
        self, call: Call, said: Answer, fate: Fate, *, to: Head, dialect: Dialect, ids: Ids
    ) -> Reply:
        pause = self._latency.draw(fate.rng)
        if fate.fault is Fault.HANG:
            self._counters.add("hung")
            return Reply(200, iter([(NEVER, b"")]), keep_alive=False)
        if fate.fault in {Fault.ERROR, Fault.OVERLOADED}:
            error = _injected(fate.fault)
            return error_reply(error, to=to, dialect=dialect, ids=ids, pause=pause)
        self._counters.add("input_tokens", call.prompt.input_tokens)
        self._counters.add("output_tokens", said.tokens)
        if call.stream:
            events = dialect.events(call, said, ids)
            if fate.fault is Fault.STREAM_ERROR:
                events = _ending_in_error(events, dialect, ids)
            keep_alive = to.keep_alive and to.chunked_reply
            steps = self._stream(events, fate, pause, to, id_field(dialect, ids))
            reply = Reply(200, steps, keep_alive)
        else:
            whole = dialect.whole(call, said, ids)
            reply = json_reply(whole, to=to, fields=(id_field(dialect, ids),), pause=pause)
        return self._disturbed(reply, fate.fault)

    def _stream(
        self, events: Iterator[Event], fate: Fate, pause: float, to: Head, field: tuple[str, str]
    ) -> Iterator[Step]:
        fields = (("content-type", "text/event-stream"), ("cache-control", "no-cache"), field)
        keep_alive = to.keep_alive and to.chunked_reply
        yield pause, reply_head(200, fields, to=to, length=None, keep_alive=keep_alive)
        spoken = False
        for event in events:
            # The first token comes with the head: until then it took ``latency``.
            wait = self._token_latency.draw(fate.rng) if event.token and spoken else 0.0
            spoken = spoken or event.token
            yield wait, chunk(event.data) if to.chunked_reply else event.data
        if to.chunked_reply:
            yield 0.0, LAST_CHUNK

    def _disturbed(self, reply: Reply, fault: Fault) -> Reply:
        if fault in _STALLS:
            self._counters.add("stalled")
            slow = dribble if fault is Fault.DRIBBLE else stall
            reply.steps = slow(reply.steps, self._options.stall_time)
        elif fault is Fault.DISCONNECT:
            reply.steps = break_off(reply.steps)
            reply.keep_alive = False
        return reply


def _injected(fault: Fault) -> ApiError:
    if fault is Fault.OVERLOADED:
        return ApiError(Kind.OVERLOADED, "overloaded (by the error rate that was asked for)")
    return ApiError(Kind.INTERNAL, "internal error (by the error rate that was asked for)")


def _ending_in_error(events: Iterator[Event], dialect: Dialect, ids: Ids) -> Iterator[Event]:
    """Cut the events after half of them, and say in the stream that something went wrong."""
    every = list(events)
    yield from every[: max(1, len(every) // 2)]
    error = ApiError(Kind.OVERLOADED, "overloaded (by the stream error rate that was asked for)")
    yield Event(token=False, data=dialect.error_event(error, ids))
