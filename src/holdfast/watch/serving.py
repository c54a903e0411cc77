"""A local socket on which this process shows its snapshot and its stacks, to the same user alone.

Purpose: ``holdfast top`` shows the pools of a program that runs already.

Guarantees: only the same user, and root, get an answer: the folder is closed to all others, and where the
system tells who asks, that is looked at too. Requests and the time for each are bounded, one is answered
at a time, and whatever goes wrong is logged and never reaches the program. A child after a fork serves
nothing and may begin to. What killed processes have left in the folder is cleared away.

States: closed -> open (with the first who serves) -> closed (with the last, or at the interpreter's exit).
Under one lock. The thread ends when it finds its end of a pipe closed.
"""

import atexit
import contextlib
import json
import logging
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast._core import clock
from holdfast.pools._forked import forks
from holdfast.pools._threads import start_thread
from holdfast.watch._meeting import LONGEST_REQUEST, meeting_folder, peer_of, socket_name
from holdfast.watch._voice import Voice
from holdfast.watch.snapshot import snapshot
from holdfast.watch.stacks import stacks

__all__ = ("Serving", "serve")

_PATIENCE: Final = 2.0
_REST_MS: Final = 1000
_BACKLOG: Final = 8

_ANSWERS: Final[dict[str, Callable[[], str]]] = {
    "snapshot": lambda: snapshot().to_json(),
    "stacks": lambda: json.dumps(stacks()),
}


class _Door:
    """The socket of this process, as long as somebody wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._voice = Voice()
        self._wanted = 0
        self.path: Path | None = None
        self._listening: socket.socket | None = None
        self._ends: tuple[int, int] | None = None
        self._ended = threading.Event()
        self._ident: int | None = None
        forks(self)

    def open(self) -> Path:
        with self._lock:
            if self.path is None:
                self.path = self._begin()
            self._wanted += 1
            return self.path

    def close(self) -> None:
        with self._lock:
            self._wanted = max(0, self._wanted - 1)
            if not self._wanted:
                self._end()

    def end(self) -> None:
        """Close whoever wants it: the interpreter ends."""
        with self._lock:
            self._wanted = 0
            self._end()

    def after_fork(self) -> None:
        """Leave the socket to the parent."""
        self._lock = threading.Lock()
        self._wanted, self.path = 0, None
        self._let_go()

    # ------------------------------------------------------------ opening and closing

    def _begin(self) -> Path:
        folder = meeting_folder()
        _clear(folder)
        path = folder / socket_name(os.getpid())
        self._listening = listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        early = path.with_suffix(".early")  # others take it for left behind until it listens
        try:
            early.unlink(missing_ok=True)
            listening.bind(str(early))
            early.chmod(0o600)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
            self._ends = ends = os.pipe()
            early.rename(path)
            self._ended = ended = threading.Event()
            thread = start_thread("holdfast:serve", lambda: self._run(listening, ends[0], ended))
            self._ident = thread.ident
        except BaseException:
            early.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            self._let_go()
            raise
        return path

    def _end(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self.path = None
        listening, self._listening = self._listening, None
        ends, self._ends = self._ends, None
        if ends is not None:
            os.close(ends[1])  # the thread finds it closed, and closes the others
            if self._ident != threading.get_ident():
                self._ended.wait(_PATIENCE)
        elif listening is not None:
            listening.close()

    def _let_go(self) -> None:
        listening, self._listening = self._listening, None
        ends, self._ends = self._ends, None
        if listening is not None:
            listening.close()
        for end in ends or ():
            os.close(end)

    # ------------------------------------------------------------ answering

    def _run(self, listening: socket.socket, end: int, ended: threading.Event) -> None:
        try:
            waits, rests = select.poll(), select.poll()
            waits.register(listening, select.POLLIN)
            for each in (waits, rests):
                each.register(end, select.POLLIN)
            while end not in dict(waits.poll()):
                if not self._answer_one(listening) and rests.poll(_REST_MS):
                    break
        except BaseException as error:  # noqa: BLE001 - nothing of it may reach the program
            self._say("the socket is served no more", error)
        finally:
            listening.close()
            os.close(end)
            ended.set()

    def _answer_one(self, listening: socket.socket) -> bool:
        """Answer one request; False if something is wrong with the socket itself."""
        try:
            connection, _ = listening.accept()
        except BlockingIOError:
            return True  # who knocked has gone
        except OSError as error:
            self._say("a request could not be accepted", error)
            return False
        with connection:
            try:
                connection.settimeout(_PATIENCE)
                connection.sendall(_answer(connection).encode())
            except OSError:
                pass  # gone, or too slow
            except Exception as error:  # noqa: BLE001 - one answer that fails, not all of them
                self._say("a request could not be answered", error)
        return True

    def _say(self, text: str, error: BaseException) -> None:
        self._voice.say(clock.now(), logging.WARNING, f"{text}: {error}")


def _answer(connection: socket.socket) -> str:
    asked = b""  # read first: what is closed with something unread is reset, and the answer lost
    while b"\n" not in asked and len(asked) < LONGEST_REQUEST:
        part = connection.recv(LONGEST_REQUEST)
        if not part:
            break
        asked += part
    peer = peer_of(connection)
    if peer is not None and peer[1] not in {os.geteuid(), 0}:
        return json.dumps({"error": f"user {peer[1]} may not look at a process of {os.geteuid()}"})
    answer = _ANSWERS.get(asked.decode("ascii", "replace").strip())
    if answer is None:
        return json.dumps({"error": f"ask for one of {', '.join(_ANSWERS)}"})
    return answer()


def _clear(folder: Path) -> None:
    """Take away sockets at which nobody listens any more."""
    for path in folder.glob("*.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
            knocking.setblocking(False)
            try:
                knocking.connect(str(path))
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
            except OSError:
                pass  # busy, or not to be told


_DOOR: Final = _Door()
atexit.register(_DOOR.end)


class Serving:
    """That this process shows itself; a context manager. From :func:`serve`.

    Attributes:
        path: The socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        self._open = True

    def close(self) -> None:
        """Show nothing more, if nobody else wants it shown; may be repeated, from any thread."""
        mine, self._open = self._open, False
        if mine and self._pid == os.getpid():
            _DOOR.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def serve() -> Serving:
    """Show this process's snapshot and stacks to ``holdfast top``, on a local socket, until it is closed.

    Only the same user, and root, get an answer. One thread, and three descriptors, for the process, however
    often it is called. In a child after a fork nothing is served until it is called there. May be called
    from any thread.

    Returns:
        What to close.

    Raises:
        OSError: The socket can't be made: no folder of this user's own can be had, or its path is too
            long for a socket (set ``XDG_RUNTIME_DIR``), or no descriptor is left.
        RuntimeError: The system refused the thread.

    Example:
        >>> with serve() as serving:
        ...     serving.path.suffix
        '.sock'
    """
    return Serving(_DOOR.open())
