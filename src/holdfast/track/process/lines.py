"""Lines out of pieces of output, bounded in length and in number.

A line is handed on with its line end. One that is longer than the bound comes in pieces: each but the
last has no line end.
"""

from collections import deque

__all__ = ("Lines",)


class Lines:
    """Cuts output into lines, and keeps them until they are taken.

    Args:
        max_line_bytes: Longest piece.
        max_buffer_bytes: So many bytes of lines are kept before no more are wanted.
    """

    __slots__ = ("_held", "_held_bytes", "_max_buffer", "_max_line", "_rest", "total")

    def __init__(self, max_line_bytes: int, max_buffer_bytes: int) -> None:
        self._max_line = max_line_bytes
        self._max_buffer = max_buffer_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._rest = b""
        self.total = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def hungry(self) -> bool:
        """Whether more is wanted."""
        return self._held_bytes < self._max_buffer

    def feed(self, data: bytes) -> bool:
        """Take what has come; returns whether more is wanted now."""
        self.total += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hold(line + b"\n")
        while len(self._rest) >= self._max_line:
            self._keep(self._rest[: self._max_line])
            self._rest = self._rest[self._max_line :]
        return self.hungry

    def _hold(self, line: bytes) -> None:
        for start in range(0, len(line), self._max_line):
            self._keep(line[start : start + self._max_line])

    def _keep(self, piece: bytes) -> None:
        self._held.append(piece)
        self._held_bytes += len(piece)

    def end(self) -> None:
        """Nothing more will come: what is left is the last line."""
        rest, self._rest = self._rest, b""
        if rest:
            self._keep(rest)

    def take(self) -> list[bytes]:
        """Return what is kept, and keep it no longer."""
        lines = list(self._held)
        self._held.clear()
        self._held_bytes = 0
        return lines
