"""One worker process, as its pool sees it: its pipes, its memory, its call.

States, moved under the pool's lock:

    STARTING -> IDLE <-> BUSY -> IDLE ...
    any of these -> LEAVING (its pipe is closed, so it ends by itself) -> DEAD
    any of these -> DOOMED (it is being ended, for a reason) -> DEAD

``DEAD`` is entered once, when the zygote says so. A call is the worker's from the moment that it is
written to its pipe until its reply was read or the worker is dead.

Who reads its replies: the hub, while ``attended``; else the thread that waits for the call (``reader``),
if there is one; else nobody, for the few milliseconds until the hub looks.
"""

import math
import os
import select
import sys
from typing import TYPE_CHECKING, Final

from holdfast.pools._child import wire
from holdfast.pools._child.arena import Arena, make_arena_fd

if TYPE_CHECKING:
    from holdfast.pools._process_calls import ProcessEntry

__all__ = ("BUSY", "DEAD", "DOOMED", "IDLE", "LEAVING", "STARTING", "WorkerProcess")

STARTING: Final = 0
IDLE: Final = 1
BUSY: Final = 2
LEAVING: Final = 3
DOOMED: Final = 4
DEAD: Final = 5

_READ_SIZE: Final = 65536


def _size_of(fd: int) -> int:
    """Bytes that a pipe takes while it is empty; 0 where the system does not tell.

    Most pipes have sixteen pages. Who has very many pipes gets two for each, or one.
    """
    if sys.platform != "linux":
        return 0
    from fcntl import F_GETPIPE_SZ, fcntl  # noqa: PLC0415 - where there is such a thing

    return fcntl(fd, F_GETPIPE_SZ)


class WorkerProcess:
    """Its descriptors are closed when it is dead.

    Raises:
        OSError: No descriptor is left for its pipes.
    """

    __slots__ = (
        "__weakref__",
        "arena",
        "attended",
        "body",
        "born",
        "call",
        "calls",
        "due",
        "expires",
        "got",
        "greedy",
        "idle_since",
        "inbox",
        "into",
        "listened",
        "number",
        "pending",
        "pid",
        "poll",
        "reader",
        "reading_fd",
        "ready",
        "room",
        "sending",
        "slots",
        "started",
        "state",
        "status",
        "to_send",
        "why",
        "writing_fd",
        "written",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid: int | None = None
        self.state = STARTING
        self.why: str | None = None  # for what it is being ended
        self.call: ProcessEntry | None = None
        self.sending = False  # somebody is about to write the call
        self.written = True  # it was written whole
        self.calls = 0
        self.due = math.inf  # when its call has run for too long
        self.started = 0.0  # when its call was written
        self.born = 0.0
        self.expires = math.inf
        self.idle_since = 0.0
        self.greedy = False
        self.ready = False
        self.attended = True  # for its first word
        self.listened = False
        self.reader = False
        self.status: tuple[int, bool] | None = None
        self.pending = bytearray()
        self.inbox = bytearray(_READ_SIZE)
        self.into = (self.inbox,)  # as it is read into
        self.body = memoryview(self.inbox)[wire.HEAD_SIZE :]  # of a message in there
        self.got = 0  # bytes that were read into the inbox last
        self.to_send: tuple[int, ...] = ()
        self.writing_fd = self.reading_fd = -1
        self._open()
        self.poll = select.poll() if hasattr(select, "poll") else None
        if self.poll is not None:
            self.poll.register(self.reading_fd, select.POLLIN)

    def _open(self) -> None:
        opened: list[int] = []
        try:
            opened += os.pipe()
            opened += os.pipe()
            arena = make_arena_fd()
            if arena >= 0:
                opened.append(arena)
                opened.append(os.dup(arena))
                os.set_inheritable(opened[-1], False)
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        theirs, self.writing_fd, self.reading_fd, answers = opened[:4]
        self.to_send = (theirs, answers, *opened[5:])
        self.arena = Arena(opened[4] if arena >= 0 else -1)
        self.measure()

    def measure(self) -> None:
        """See how much its pipe takes."""
        size = _size_of(self.writing_fd)
        # Half of it is sure to be taken: a page that was read in part is still full.
        self.slots = max(1, size // (2 * wire.SLOT))
        # Without an arena everything goes through the pipe, and writing may have to wait.
        self.room: float = size if size and self.arena.usable else math.inf

    def close_theirs(self) -> None:
        """Its ends are with the process now, or will never be."""
        for fd in self.to_send:
            os.close(fd)
        self.to_send = ()

    def hang_up(self) -> None:
        """Send nothing more: the process ends when it has read everything."""
        if self.writing_fd >= 0:
            os.close(self.writing_fd)
            self.writing_fd = -1

    def close(self) -> None:
        """It is dead."""
        self.close_theirs()
        self.hang_up()
        if self.reading_fd >= 0:
            os.close(self.reading_fd)
            self.reading_fd = -1
        self.arena.close()

    # ------------------------------------------------------------ messages

    def send(self, kind: int, body: bytes) -> None:
        """Write a call. Its pipe is empty and takes it whole, so this does not wait.

        Raises:
            BrokenPipeError: The process is gone; it has not read the call.
        """
        message = wire.HEAD.pack(len(body), kind) + body
        done = os.write(self.writing_fd, message)
        while done < len(message):  # only where there is no arena
            done += os.write(self.writing_fd, message[done:])

    def send_message(self, data: bytes) -> None:
        """Write a call that has its head; where it is more than this pipe takes, by way of the arena.

        Raises:
            BrokenPipeError: The process is gone.
        """
        if len(data) <= self.room:
            self.send_raw(data)
        else:
            self.send(wire.CALL_WHOLE, self.arena.put(data, []))

    def send_raw(self, data: bytes) -> None:
        """Write messages that have their heads, in slots. There is room for them.

        Raises:
            BrokenPipeError: The process is gone.
        """
        done = os.write(self.writing_fd, data)
        while done < len(data):
            done += os.write(self.writing_fd, data[done:])

    def take_back(self) -> bytes:
        """Take out of its pipe what the process has not read: it never will."""
        try:
            fd = os.open(
                f"/proc/self/fd/{self.writing_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError:  # the system does not know that way, or has no descriptor left
            return b""
        taken = b""
        try:
            while part := os.read(fd, wire.SLOT):
                taken += part
        except BlockingIOError:
            pass
        finally:
            os.close(fd)
        return taken

    def read(self) -> bool:
        """Take what there is to read, without waiting if the caller knows that there is something.

        Returns:
            False at the end: the process will never say anything again.
        """
        data = os.read(self.reading_fd, _READ_SIZE)
        self.pending += data
        return bool(data)

    def read_rest(self) -> None:
        """Take all that there is, of a process that is dead."""
        os.set_blocking(self.reading_fd, False)
        try:
            while self.read():
                pass
        except BlockingIOError:  # somebody else holds the other end, and will say nothing
            pass

    def take_message(self) -> tuple[int, bytes] | None:
        """Return the next whole message: its kind and body; None if there is none yet."""
        pending = self.pending
        if len(pending) < wire.HEAD_SIZE:
            return None
        size, kind = wire.HEAD.unpack_from(pending)
        end = wire.HEAD_SIZE + size
        if len(pending) < end:
            return None
        if len(pending) == end:
            body = bytes(memoryview(pending)[wire.HEAD_SIZE :])
            self.pending = bytearray()
        else:
            body = bytes(memoryview(pending)[wire.HEAD_SIZE : end])
            del pending[:end]
        return kind, body
