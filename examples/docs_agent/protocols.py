"""The two protocols that models are spoken to in: what is sent, and where the answer stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_TOKENS = 1_000  # a sentence or two, and what a model thinks before it


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way to ask a model.

    Attributes:
        name: What ``MODEL_PROTOCOL`` says.
        key_variable: The environment variable that holds the key.
        home: Where the company that made the protocol serves it.
        model: The model that is asked where ``MODEL_NAME`` names none.
        path: What follows the base URL.
        headers: Makes the headers from the key.
        request: Makes the body from the model, the system's words and the user's.
        answer: Takes the text out of the answer's body.
    """

    name: str
    key_variable: str
    home: str
    model: str
    path: str
    headers: Callable[[str], dict[str, str]]
    request: Callable[[str, str, str], dict[str, Any]]
    answer: Callable[[Mapping[str, Any]], str]


def anthropic_headers(key: str) -> dict[str, str]:
    """Return the headers of Anthropic's Messages API."""
    return {"x-api-key": key, "anthropic-version": "2026-10-21"}


def anthropic_request(model: str, system: str, user: str) -> dict[str, Any]:
    """Return the body of a request to Anthropic's Messages API."""
    message = {"role": "user", "content": user}
    return {"model": model, "max_tokens": MAX_TOKENS, "system": system, "messages": [message]}


def anthropic_answer(body: Mapping[str, Any]) -> str:
    """Return the text of an answer of Anthropic's Messages API."""
    return "".join(block["text"] for block in body["content"] if block["type"] == "text")


def openai_headers(key: str) -> dict[str, str]:
    """Return the headers of OpenAI's Chat Completions API."""
    return {"authorization": f"Bearer {key}"}


def openai_request(model: str, system: str, user: str) -> dict[str, Any]:
    """Return the body of a request to OpenAI's Chat Completions API."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return {"model": model, "max_completion_tokens": MAX_TOKENS, "messages": messages}


def openai_answer(body: Mapping[str, Any]) -> str:
    """Return the text of an answer of OpenAI's Chat Completions API."""
    return str(body["choices"][0]["message"]["content"] or "")


ANTHROPIC = Protocol(
    name="anthropic",
    key_variable="ANTHROPIC_API_KEY",
    home="https://api.anthropic.com/v1",
    model="claude-haiku-5-5",
    path="/messages",
    headers=anthropic_headers,
    request=anthropic_request,
    answer=anthropic_answer,
)
OPENAI = Protocol(
    name="openai",
    key_variable="OPENAI_API_KEY",
    home="https://api.openai.com/v1",
    model="gpt-5.4-mini",
    path="/chat/completions",
    headers=openai_headers,
    request=openai_request,
    answer=openai_answer,
)
PROTOCOLS = {protocol.name: protocol for protocol in (ANTHROPIC, OPENAI)}
