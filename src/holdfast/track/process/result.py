"""What became of a program."""

import signal
from dataclasses import dataclass

__all__ = ("ProcessResult",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """What became of a program that was run.

    Attributes:
        args: The command, as it was given.
        pid: The number that its process had.
        returncode: Its exit status; negative, the number of the signal that ended it. None if it
            was not ended, or if other code of this program took the status.
        stdout: What was captured of its output. Of more than ``max_output_bytes`` the beginning and
            the end, with a line between them that says how much was left out.
        stderr: Likewise.
        stdout_bytes: How much output there was, kept or not.
        stderr_bytes: Likewise.
        truncated: Whether something of one of them was left out.
        seconds: How long it ran, from its start to the end of all that it started.
        cpu_s: Processor time of it and of what it waited for; None where it is unknown.
        peak_rss_bytes: Most resident memory of one of them. None where it is unknown, and where it
            was not more than this program's own peak: a child begins as a copy of its parent, and
            the kernel counts that.
        ended_children: How many processes it left behind, which were ended. 0 where there is no
            ``/proc`` to count them.
    """

    args: tuple[str, ...]
    pid: int
    returncode: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    truncated: bool = False
    seconds: float = 0.0
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    ended_children: int = 0

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.returncode == 0

    @property
    def signal(self) -> signal.Signals | int | None:
        """The signal that ended it, or None."""
        if self.returncode is None or self.returncode >= 0:
            return None
        try:
            return signal.Signals(-self.returncode)
        except ValueError:  # a real-time signal has no name
            return -self.returncode

    @property
    def text(self) -> str:
        """The captured standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")
