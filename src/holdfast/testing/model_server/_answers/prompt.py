"""What a request asks, whatever protocol it came in."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from holdfast.testing.model_server._jsontext import JsonObject

__all__ = ("Piece", "Prompt", "Source", "Tool", "tokens_in")

TOKEN_CHARS = 4

Source: TypeAlias = Literal["system", "user", "assistant", "tool", "document"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the prompt's text.

    Attributes:
        source: Who said it; ``"tool"`` is a tool's result, ``"document"`` an attached text.
        text: As sent.
        turn: Number of the message it came in; -1 for what stands before all messages.
    """

    source: Source
    text: str
    turn: int


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that may be called, with the JSON schema of its arguments."""

    name: str
    description: str
    schema: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a request asks.

    Attributes:
        pieces: All texts, in the order of the request.
        must_call: Tools of which the answer has to call one; empty if it is to be text.
        schema: JSON schema that the text of the answer has to fit, or None for prose.
        max_tokens: Most tokens of the answer.
        stop: Texts that end the answer before they appear in it.
        input_tokens: Tokens of the whole prompt.
    """

    pieces: tuple[Piece, ...]
    must_call: tuple[Tool, ...]
    schema: JsonObject | None
    max_tokens: int
    stop: tuple[str, ...]
    input_tokens: int


def tokens_in(characters: int) -> int:
    """Count tokens: every four characters are one, and so is a rest."""
    return -(-characters // TOKEN_CHARS)
