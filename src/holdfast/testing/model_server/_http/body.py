"""The second part of a request: a body of known length, or in chunks (RFC 9112, 6 and 7)."""

import re
from enum import Enum, auto

from holdfast.testing.model_server._http.head import Head, HttpError

__all__ = ("ChunkedBody", "SizedBody", "body_of")

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")
_LONGEST_SIZE_LINE = 1024
_LONGEST_TRAILERS = 8192


class SizedBody:
    """A body whose length the head has told."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.data = bytearray()

    def take(self, buffer: bytearray) -> bool:
        """Move what belongs to the body out of ``buffer``; True if the body is complete."""
        _move(buffer, self.data, self._length - len(self.data))
        return len(self.data) == self._length


class _Due(Enum):
    SIZE = auto()
    DATA = auto()
    CRLF = auto()
    TRAILERS = auto()
    NOTHING = auto()


class ChunkedBody:
    """A body that tells its length piece by piece. The fields after it are skipped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._due = _Due.SIZE
        self._left = 0
        self._trailer_bytes = 0
        self.data = bytearray()

    def take(self, buffer: bytearray) -> bool:
        """Move what belongs to the body out of ``buffer``; True if the body is complete.

        Raises:
            HttpError: 400 if it breaks the rules, 413 or 431 if it is too large.
        """
        steps = {
            _Due.SIZE: self._take_size,
            _Due.DATA: self._take_data,
            _Due.CRLF: self._take_crlf,
            _Due.TRAILERS: self._take_trailer,
        }
        while self._due is not _Due.NOTHING:
            if not steps[self._due](buffer):
                return False
        return True

    def _take_size(self, buffer: bytearray) -> bool:
        line = _take_line(buffer, _LONGEST_SIZE_LINE)
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            msg = f"bad chunk size {line[:40].decode('latin-1')!r}"
            raise HttpError(400, msg)
        self._left = int(match[1], 16)
        _check_size(len(self.data) + self._left, self._max_bytes)
        self._due = _Due.DATA if self._left else _Due.TRAILERS
        return True

    def _take_data(self, buffer: bytearray) -> bool:
        self._left -= _move(buffer, self.data, self._left)
        if self._left:
            return False
        self._due = _Due.CRLF
        return True

    def _take_crlf(self, buffer: bytearray) -> bool:
        if not b"\r\n".startswith(buffer[:2]):
            raise HttpError(400, "a chunk is longer than its size says")
        if len(buffer) < len(b"\r\n"):
            return False
        del buffer[:2]
        self._due = _Due.SIZE
        return True

    def _take_trailer(self, buffer: bytearray) -> bool:
        line = _take_line(buffer, _LONGEST_TRAILERS)
        if line is None:
            return False
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _LONGEST_TRAILERS:
            msg = f"the fields after the body are over {_LONGEST_TRAILERS} bytes"
            raise HttpError(431, msg)
        if not line:
            self._due = _Due.NOTHING
        return True


def body_of(head: Head, max_bytes: int) -> SizedBody | ChunkedBody:
    """Return the empty body that ``head`` announces.

    Raises:
        HttpError: 413 if it announces more than ``max_bytes``.
    """
    if head.length is None:
        return ChunkedBody(max_bytes)
    _check_size(head.length, max_bytes)
    return SizedBody(head.length)


def _check_size(size: int, max_bytes: int) -> None:
    """Refuse a body of more than ``max_bytes``."""
    if size > max_bytes:
        msg = f"the request's body is over {max_bytes} bytes"
        raise HttpError(413, msg)


def _move(source: bytearray, target: bytearray, most: int) -> int:
    moved = min(most, len(source))
    if moved:
        target += source[:moved]
        del source[:moved]
    return moved


def _take_line(buffer: bytearray, longest: int) -> bytes | None:
    end = buffer.find(b"\r\n", 0, longest + 2)
    if end < 0:
        if len(buffer) > longest:
            msg = f"a line in the body is over {longest} bytes"
            raise HttpError(400, msg)
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line
