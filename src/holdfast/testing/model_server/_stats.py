"""What a model server has counted."""

from dataclasses import asdict, dataclass, fields
from typing import cast

from holdfast.testing.model_server._jsontext import JsonObject

__all__ = ("Counters", "ServerStats")


@dataclass(frozen=True, slots=True)
class ServerStats:
    """What a model server did since it began.

    A *call* is a request for an answer (``/v1/messages``, ``/v1/chat/completions``). Every call
    counted in ``requests`` is counted once more by what became of it: ``answered``,
    ``bad_requests``, ``rate_limited``, ``errors``, ``disconnected``, ``unfinished`` or (still)
    ``in_flight``.

    Attributes:
        requests: Calls that arrived whole.
        in_flight: Calls accepted and not ended: waiting out their latency, streaming, or hanging.
        peak_in_flight: Most calls in flight at one time.
        answered: Calls whose answer was sent to its end; stalled ones count when they got there.
        bad_requests: Calls that asked for something impossible (400).
        rate_limited: Calls refused by the rate limit (429).
        errors: Calls answered by an injected error, by *overloaded*, or by an error event in the
            stream.
        hung: Calls chosen to get no answer.
        stalled: Calls chosen to stall.
        disconnected: Answers cut off on purpose.
        unfinished: Calls that ended before their answer was sent, as the client left or the server
            ended.
        connections: Open connections.
        peak_connections: Most connections open at one time.
        refused_connections: Connections turned away at ``max_connections``.
        input_tokens: Tokens of the prompts that were answered or are being answered.
        output_tokens: Tokens of those answers.
        malformed: What never became a request: not HTTP, too large (413, 431) or too slow (408).
    """

    requests: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    answered: int = 0
    bad_requests: int = 0
    rate_limited: int = 0
    errors: int = 0
    hung: int = 0
    stalled: int = 0
    disconnected: int = 0
    unfinished: int = 0
    connections: int = 0
    peak_connections: int = 0
    refused_connections: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    malformed: int = 0

    def to_json(self) -> JsonObject:
        """Return the figures by name."""
        return cast("JsonObject", asdict(self))

    @classmethod
    def from_json(cls, figures: JsonObject) -> "ServerStats":
        """Read the figures back; a name that is missing counts as 0.

        Args:
            figures: What the server's ``/stats`` answered.
        """
        known = {name: figures.get(name, 0) for name in (one.name for one in fields(cls))}
        return cls(**cast("dict[str, int]", known))


class Counters:
    """The figures of a ``ServerStats`` while they change."""

    def __init__(self) -> None:
        self._figures = {figure.name: 0 for figure in fields(ServerStats)}

    def __getitem__(self, name: str) -> int:
        return self._figures[name]

    def add(self, name: str, count: int = 1) -> None:
        """Count; a name that ``ServerStats`` does not have is a KeyError."""
        self._figures[name] += count

    def rise(self, name: str) -> None:
        """Count one more of what is open now, and the most that ever was."""
        self._figures[name] += 1
        peak = "peak_" + name
        self._figures[peak] = max(self._figures[peak], self._figures[name])

    def fall(self, name: str) -> None:
        """Count one less of what is open now."""
        self._figures[name] -= 1

    def snapshot(self) -> ServerStats:
        """Return the figures as they are now."""
        return ServerStats(**self._figures)
