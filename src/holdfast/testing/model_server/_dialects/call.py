"""What a dialect is: how it reads a call, and how it writes an answer or an error."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from holdfast.testing.model_server._answers.answer import Answer
from holdfast.testing.model_server._answers.prompt import Prompt
from holdfast.testing.model_server._dialects.errors import ApiError
from holdfast.testing.model_server._jsontext import JsonObject

__all__ = ("Call", "Dialect", "Event", "Ids")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model.

    Attributes:
        model: The name asked for, which the answer repeats.
        prompt: What is asked.
        stream: Whether the answer is to come as events.
        include_usage: Whether a stream ends with its token counts (where that is a choice).
    """

    model: str
    prompt: Prompt
    stream: bool
    include_usage: bool = False


class Ids(NamedTuple):
    """Names and date of one answer; unique within a server, the same in each run of it."""

    serial: str
    created: int


class Event(NamedTuple):
    """One event of a stream, ready to be sent.

    Attributes:
        token: Whether it carries a token, so that time passes before it.
        data: The event as it goes over the wire.
    """

    token: bool
    data: bytes


class Dialect(Protocol):
    """One vendor's protocol."""

    def read(self, body: JsonObject) -> Call:
        """Read a call.

        Raises:
            ApiError: It asks for something impossible.
        """
        ...

    def whole(self, call: Call, answer: Answer, ids: Ids) -> JsonObject:
        """Write an answer in one piece."""
        ...

    def events(self, call: Call, answer: Answer, ids: Ids) -> Iterator[Event]:
        """Write an answer as events, lazily."""
        ...

    def error(self, error: ApiError, ids: Ids) -> tuple[int, JsonObject]:
        """Write an error: its status and its body."""
        ...

    def error_event(self, error: ApiError, ids: Ids) -> bytes:
        """Write an error that breaks off a stream."""
        ...

    def models(self) -> JsonObject:
        """Write the list of models."""
        ...

    def model(self, name: str) -> JsonObject | None:
        """Write one model, or None if there is none of that name."""
        ...

    request_id_field: str
