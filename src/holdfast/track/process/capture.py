"""Output that is kept within a bound: its beginning and its end, and how much there was."""

from collections import deque

__all__ = ("Capture",)


class Capture:
    """Keeps at most so many bytes: the first half of them, and the latest.

    Args:
        most: Most bytes to keep.
    """

    __slots__ = ("_head", "_head_room", "_tail", "_tail_kept", "_tail_room", "total")

    def __init__(self, most: int) -> None:
        self._head: list[bytes] = []
        self._head_room = most - most // 2
        self._tail: deque[bytes] = deque()
        self._tail_room = most // 2
        self._tail_kept = 0
        self.total = 0

    @property
    def truncated(self) -> bool:
        """Whether something was left out."""
        return self.left_out > 0

    @property
    def left_out(self) -> int:
        """How many bytes were."""
        head = sum(map(len, self._head))
        return self.total - head - min(self._tail_kept, self._tail_room)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self.total += len(data)
        if self._head_room:
            first = data[: self._head_room]
            self._head.append(first)
            self._head_room -= len(first)
            data = data[len(first) :]
        if not data:
            return
        self._tail.append(data)
        self._tail_kept += len(data)
        # The oldest piece goes when the others alone fill the room: at most one piece too many stays.
        while self._tail and self._tail_kept - len(self._tail[0]) >= self._tail_room:
            self._tail_kept -= len(self._tail.popleft())

    def value(self) -> bytes:
        """Return what was kept, with a line in place of what was not."""
        head, tail = b"".join(self._head), b"".join(self._tail)
        if not self.truncated:
            return head + tail
        mark = b"\n[... %d bytes left out ...]\n" % self.left_out
        return head + mark + tail[len(tail) - self._tail_room :]
