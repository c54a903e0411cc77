"""The libraries that we are measured against, loaded only in the process that runs them."""

import importlib
from importlib import metadata
from typing import Any

__all__ = ("NAMES", "PeerMissingError", "load", "versions")

NAMES = (
    "aiohttp",
    "aiometer",
    "aiosqlite",
    "anyio",
    "httpx",
    "httpx2",
    "openai",
    "psutil",
    "streamable",
)


class PeerMissingError(Exception):
    """The library is not installed here; its rows stay empty."""


def load(module: str) -> Any:
    """Import ``module`` of a peer.

    Raises:
        PeerMissingError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        msg = f"{error.name} is not installed (it is in the group `bench` of pyproject.toml)"
        raise PeerMissingError(msg) from None


def versions() -> dict[str, str]:
    """The versions of the peers that are installed."""
    found: dict[str, str] = {}
    for name in NAMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
