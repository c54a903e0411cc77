"""A reply as a script: pauses and bytes, played by a connection."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import TypeAlias

from holdfast._core import clock
from holdfast.testing.model_server._http.head import Head

__all__ = ("LAST_CHUNK", "NEVER", "REASONS", "Reply", "Step", "chunk", "reply_head")

NEVER = math.inf
LAST_CHUNK = b"0\r\n\r\n"

Step: TypeAlias = tuple[float, bytes]
"""Seconds to wait, then bytes to send. ``NEVER`` means that nothing more comes."""

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
    529: "Overloaded",
}


def _ignore(_whole: bool) -> None:
    """Nobody asked how it ended."""


@dataclass(slots=True)
class Reply:
    """What to send, and what to do after it.

    Attributes:
        status: The status that the head in the script says, for logs.
        steps: The script; pulled step by step, so a long one is never held whole.
        keep_alive: Whether the connection serves on when all steps are sent.
        ended: Called exactly once: with True when all steps were handed to the system, with False
            when the connection ended before.
    """

    status: int
    steps: Iterator[Step]
    keep_alive: bool
    ended: Callable[[bool], None] = _ignore


def reply_head(
    status: int,
    fields: Iterable[tuple[str, str]],
    *,
    to: Head | None,
    length: int | None,
    keep_alive: bool,
) -> bytes:
    """Write the status line and header fields.

    Args:
        status: One of ``REASONS``.
        fields: Fields beyond date, connection and the body's framing.
        to: The request that is answered, None if it could not be read.
        length: Bytes of the body; None for one that is sent in chunks, or to a client that does not
            know chunks, until the connection closes.
        keep_alive: Whether the connection serves on afterwards.
    """
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"date: {_date(int(clock.wall()))}"]
    lines += [f"{name}: {value}" for name, value in fields]
    if length is not None:
        lines.append(f"content-length: {length}")
    elif to is None or to.chunked_reply:
        lines.append("transfer-encoding: chunked")
    if not keep_alive:
        lines.append("connection: close")
    elif to is not None and not to.chunked_reply:
        lines.append("connection: keep-alive")  # for HTTP/1.0 it is not the rule
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def chunk(data: bytes) -> bytes:
    """Frame ``data`` as one chunk; it must not be empty, as that would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
