"""Bytes in, requests out; touches no socket.

Purpose: cut what a client sends into requests, whatever pieces it comes in.
Guarantees: holds at most one head, one body and what was fed since the last ``poll``; the work is
linear in the bytes fed; what breaks the rules or a bound is an ``HttpError``, nothing else.
Assumptions: after an ``HttpError`` the owner feeds nothing more, as where the next request would
begin is unknown then.
"""

from dataclasses import dataclass

from holdfast.testing.model_server._http.body import ChunkedBody, SizedBody, body_of
from holdfast.testing.model_server._http.head import Head, HttpError, parse_head

__all__ = ("Request", "RequestReader")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    head: Head
    body: bytes


class RequestReader:
    """Cuts a byte stream into requests.

    Args:
        max_head: Bytes of the request line and header fields together.
        max_body: Bytes of a body, after the chunks are joined.
    """

    def __init__(self, *, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = bytearray()
        self._searched = 0
        self._head: Head | None = None
        self._body: SizedBody | ChunkedBody = SizedBody(0)
        self._told_to_continue = False

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet part of a request."""
        return len(self._buffer)

    @property
    def started(self) -> bool:
        """Whether a part of a request is here, so that the rest of it is due."""
        return self._head is not None or bool(self._buffer)

    def take_continue(self) -> bool:
        """Tell, once per request, that the client waits for ``100 Continue``."""
        head = self._head
        if head is None or not head.expects_continue or self._told_to_continue:
            return False
        self._told_to_continue = True
        return not self._body.data and not self._buffer

    def poll(self) -> Request | None:
        """Return the next request if it has arrived whole.

        Raises:
            HttpError: What arrived is no request, or one beyond the bounds.
        """
        head = self._head or self._take_head()
        if head is None or not self._body.take(self._buffer):
            return None
        self._head = None
        self._told_to_continue = False
        return Request(head, bytes(self._body.data))

    def _take_head(self) -> Head | None:
        buffer = self._buffer
        # Some clients end a body with an empty line that belongs to nothing.
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
            self._searched = 0
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end > self._max_head or (end < 0 and len(buffer) > self._max_head):
            msg = f"the request's head is over {self._max_head} bytes"
            raise HttpError(431, msg)
        if end < 0:
            if buffer.find(b"\n\n", self._searched) >= 0:
                raise HttpError(400, "lines must end in CRLF, not in LF alone")
            self._searched = max(0, len(buffer) - 3)
            return None
        head = parse_head(bytes(buffer[:end]))
        del buffer[: end + 4]
        self._searched = 0
        self._body = body_of(head, self._max_body)
        self._head = head
        return head
