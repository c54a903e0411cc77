"""The official packages ``anthropic`` and ``openai``, where installed; neither is needed."""

import importlib
import importlib.util
from typing import Any

from loop_end import Parked, at_loop_end
from protocols import ANTHROPIC, MAX_TOKENS, Protocol


def is_installed(protocol: Protocol) -> bool:
    """Say whether the package of the company that made a protocol is there."""
    return importlib.util.find_spec(protocol.name) is not None


class Client:
    """One client of the package for all sessions, closed with the event loop.

    The package tries again by itself where that is safe, and honours ``retry-after``.
    """

    def __init__(self, protocol: Protocol, base_url: str, key: str) -> None:
        self._protocol = protocol
        # Anthropic's package adds the version to the path by itself.
        url = base_url.removesuffix("/v1") if protocol is ANTHROPIC else base_url
        self._options = {"api_key": key, "base_url": url, "timeout": 60.0}
        self._client: Any = None
        self._at_end: Parked | None = None

    async def ask(self, model: str, system: str, user: str) -> str:
        """Return the model's answer; errors are the package's own."""
        if self._client is None:
            # Slow to import: once, and no session could go on without it.
            package = importlib.import_module(self._protocol.name)
            kind = "AsyncAnthropic" if self._protocol is ANTHROPIC else "AsyncOpenAI"
            self._client = getattr(package, kind)(**self._options)
            self._at_end = await at_loop_end(self._close)
        if self._protocol is ANTHROPIC:
            return await self._ask_anthropic(model, system, user)
        return await self._ask_openai(model, system, user)

    async def close(self) -> None:
        """Close its connections."""
        if self._at_end is not None:
            await self._at_end.aclose()

    async def _close(self) -> None:
        client, self._client, self._at_end = self._client, None, None
        if client is not None:
            await client.close()

    async def _ask_anthropic(self, model: str, system: str, user: str) -> str:
        reply = await self._client.messages.create(
            model=model,
            max_tokens=MAX_TOKENS,
            system=system,
            messages=[{"role": "user", "content": user}],
        )
        return "".join(block.text for block in reply.content if block.type == "text")

    async def _ask_openai(self, model: str, system: str, user: str) -> str:
        reply = await self._client.chat.completions.create(
            model=model,
            max_completion_tokens=MAX_TOKENS,
            messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
        )
        return str(reply.choices[0].message.content or "")
