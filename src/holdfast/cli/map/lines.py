r"""Cut a stream of bytes into lines, whole ones only.

Guarantees: a line is what stands between two ends (``\n``, ``\r\n`` or ``\r``), however the
bytes arrive in pieces; it comes out as soon as its end has been fed; a last line without an end
counts too. Holds no more than the one line that is still open.
"""

__all__ = ("LONGEST_LINE_BYTES", "LineSplitter", "LineTooLongError")

LONGEST_LINE_BYTES = 64 * 1024 * 1024


class LineTooLongError(ValueError):
    """One line is longer than ``LONGEST_LINE_BYTES``: this is not a file of lines."""


class LineSplitter:
    """Takes pieces of bytes, gives lines without their ends."""

    __slots__ = ("_after_cr", "_open", "_open_bytes")

    def __init__(self) -> None:
        self._open: list[bytes] = []  # pieces of the line whose end has not come yet
        self._open_bytes = 0
        self._after_cr = False  # a "\n" that comes next belongs to the end that "\r" was

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that ``piece`` completes.

        Args:
            piece: The next bytes, at least one.

        Raises:
            LineTooLongError: The open line has grown past ``LONGEST_LINE_BYTES``.
        """
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        if not piece:
            self._after_cr = False
            return []
        self._after_cr = piece.endswith(b"\r")
        lines = piece.splitlines()  # for bytes: at "\n", "\r\n" and "\r", nothing else
        rest = b"" if self._after_cr or piece.endswith(b"\n") else lines.pop()
        if lines and self._open:
            lines[0] = b"".join([*self._open, lines[0]])
            self._open.clear()
            self._open_bytes = 0
        if rest:
            self._keep(rest)
        return lines

    def finish(self) -> list[bytes]:
        """Return the last line if it had no end, and start anew."""
        last = b"".join(self._open)
        self._open.clear()
        self._open_bytes = 0
        self._after_cr = False
        return [last] if last else []

    def _keep(self, rest: bytes) -> None:
        self._open.append(rest)
        self._open_bytes += len(rest)
        if self._open_bytes > LONGEST_LINE_BYTES:
            msg = f"longer than {LONGEST_LINE_BYTES // 1024 // 1024} MiB"
            raise LineTooLongError(msg)
