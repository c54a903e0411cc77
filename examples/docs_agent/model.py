"""Asks a model over HTTP: the local model server, or a real one.

What is asked follows from the environment:

    MODEL_BASE_URL       where, such as http://127.0.0.1:8080
    ANTHROPIC_API_KEY    a key: then the Anthropic protocol, and their service if no URL is given
    OPENAI_API_KEY       a key: then the OpenAI protocol, and their service if no URL is given
    MODEL_PROTOCOL       "anthropic" or "openai", where the keys do not say it or both are there
    MODEL_NAME           which model

With a key, and the company's own package installed, that package is used (`sdk.py`); otherwise the
small client in `http_client.py`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import sdk
from http_client import HttpClient, HttpError, Response
from protocols import ANTHROPIC, OPENAI, PROTOCOLS, Protocol

OK = 200


class ModelError(Exception):
    """The model gave no answer.

    Attributes:
        retry_after: Seconds after which another try may succeed, where the model said so;
            ``holdfast map --retries`` waits that long.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Settings:
    """Which model is asked, where and how."""

    protocol: Protocol
    base_url: str
    model: str
    key: str = field(default="", repr=False)

    @property
    def is_real(self) -> bool:
        """Whether each answer costs money."""
        return bool(self.key)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Raises:
        ModelError: They name no model, or a protocol that does not exist.
    """
    url = environment.get("MODEL_BASE_URL", "")
    keyed = [p for p in (ANTHROPIC, OPENAI) if environment.get(p.key_variable)]
    wanted = environment.get("MODEL_PROTOCOL") or (keyed[0].name if keyed else OPENAI.name)
    if wanted not in PROTOCOLS:
        message = f"MODEL_PROTOCOL is {wanted!r}, which is none of: {', '.join(PROTOCOLS)}"
        raise ModelError(message)
    protocol = PROTOCOLS[wanted]
    key = environment.get(protocol.key_variable, "")
    if not url and not key:
        message = (
            "there is no model to ask: set MODEL_BASE_URL to the address of one (start one here "
            f"with: python -m holdfast.testing.model_server), or {ANTHROPIC.key_variable} or "
            f"{OPENAI.key_variable} to a key"
        )
        raise ModelError(message)
    base_url = complete_url(url) if url else protocol.home
    return Settings(protocol, base_url, environment.get("MODEL_NAME") or protocol.model, key)


def complete_url(url: str) -> str:
    """Return a base URL with the version that both protocols have in their paths."""
    url = url.rstrip("/")
    return url if urlsplit(url).path else f"{url}/v1"


class Model:
    """A model that answers; connections are kept, and closed with the event loop.

    Args:
        settings: Which model; read from the environment by default, when it is first asked.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._client: HttpClient | sdk.Client | None = None

    async def ask(self, system: str, user: str) -> str:
        """Return the model's answer.

        Raises:
            ModelError: It can't be reached, refused, or answered with what is no answer.
        """
        settings = self._settings = self._settings or read_settings(os.environ)
        if self._client is None:
            self._client = open_client(settings)
        if not isinstance(self._client, HttpClient):
            return await self._client.ask(settings.model, system, user)
        protocol = settings.protocol
        request = protocol.request(settings.model, system, user)
        try:
            headers = protocol.headers(settings.key)
            response = await self._client.post(protocol.path, headers, request)
        except HttpError as error:
            raise ModelError(str(error)) from error
        return read_answer(protocol, response)

    async def close(self) -> None:
        """Close the connections now rather than with the event loop."""
        if self._client is not None:
            await self._client.close()


def open_client(settings: Settings) -> HttpClient | sdk.Client:
    """Choose between the company's own package and the small client; neither connects yet."""
    if settings.is_real and sdk.is_installed(settings.protocol):
        return sdk.Client(settings.protocol, settings.base_url, settings.key)
    return HttpClient(settings.base_url)


def read_answer(protocol: Protocol, response: Response) -> str:
    """Return the text of an answer.

    Raises:
        ModelError: The model refused, or the body is not what the protocol says.
    """
    if response.status != OK:
        text = response.body[:200].decode(errors="replace")
        message = f"the model answered {response.status}: {text}"
        raise ModelError(message, read_seconds(response.headers.get("retry-after")))
    try:
        return protocol.answer(json.loads(response.body))
    except (ValueError, LookupError, TypeError) as error:
        message = f"the model's answer is not {protocol.name}'s JSON: {response.body[:200]!r}"
        raise ModelError(message) from error


def read_seconds(header: str | None) -> float | None:
    """Return the seconds of a retry-after header; None for a date, or where there is none."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
