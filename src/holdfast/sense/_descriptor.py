"""One open descriptor."""

from dataclasses import dataclass

from holdfast.sense.sockets import Socket

__all__ = ("Descriptor",)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One open descriptor and what it is.

    Attributes:
        fd: Its number.
        kind: ``"file"``, ``"deleted file"`` (open, with no name left), ``"directory"``,
            ``"device"``, ``"socket"``, ``"pipe"``, ``"eventfd"``, ``"epoll"``, ``"inotify"``,
            ``"memfd"``, ``"timerfd"``, ``"signalfd"``, ``"pidfd"``, or ``"other"``.
        target: The path, or what the kernel calls it (``pipe:[4711]``).
        socket: What is known of a socket; None for everything else.
        size_bytes: The size of a deleted file, whose space comes back when it is closed; None for
            everything else.
    """

    fd: int
    kind: str
    target: str
    socket: Socket | None = None
    size_bytes: int | None = None
