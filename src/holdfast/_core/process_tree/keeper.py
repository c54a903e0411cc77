"""This program's end of the keeper: a process that ends what was started when this one is gone.

Purpose: SIGKILL of this program leaves no tool and no worker behind. The kernel's parent-death signal
is not used: it comes when the *thread* that started the child ends, it reaches the child alone and
not what that started, and setting it means running Python between fork and exec of a program with
threads.

Guarantees: what is about to start is announced before it does, so there is no moment in which it is
unknown. A keeper that was killed is replaced with the next start, and told of all that runs.

One keeper for a program, started with the first tool: a Python without packages, in a session of its
own, that sleeps in ``poll``. Where there is no interpreter to start (a frozen program), there is none.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from typing import Final

from holdfast._core.process_tree.mark import owner_mark
from holdfast._core.process_tree.signals import send_own
from holdfast._core.process_tree.tree import Tree

__all__ = ("KEEPER", "Keeper")

_ROOM: Final = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is not needed for it

# The packages stand there empty, so that nothing is imported but what the keeper needs.
_PROGRAM: Final = """
import sys, types, os
room = sys.argv[1]
for name, up in ("holdfast", "../.."), ("holdfast._core", ".."), ("holdfast._core.process_tree", "."):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [os.path.normpath(os.path.join(room, up))]
from holdfast._core.process_tree.keeper_main import main
main()
"""


class Keeper:
    """The line to the keeper. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._pid = 0
        self._running: dict[str, Tree | None] = {}

    @property
    def pid(self) -> int:
        """The keeper's process, or 0 if there is none."""
        return self._pid

    def announce(self, mark: str) -> None:
        """Something with this mark is about to start; the keeper is started if there is none.

        Raises:
            OSError: There is no keeper and none can be started; nothing is announced.
        """
        with self._lock:
            if not self._say(f"?{mark}"):
                self._start()
                self._say(f"?{mark}")
            self._running[mark] = None

    def started(self, mark: str, tree: Tree) -> None:
        """It runs."""
        with self._lock:
            self._running[mark] = tree
            self._say(f"+{mark} {tree.root} {tree.started}")

    def ended(self, mark: str) -> None:
        """It has ended with all that it started, or was not started at all."""
        with self._lock:
            if self._running.pop(mark, self) is not self:
                self._say(f"-{mark}")

    def release(self) -> bool:
        """Let the keeper end, if nothing runs that it is there for; returns whether there is none now."""
        with self._lock:
            if self._running:
                return False
            self._drop()
            return True

    # ------------------------------------------------------------ under the lock

    def _say(self, *lines: str) -> bool:
        if self._line is None:
            return False
        text = "".join(f"{line}\n" for line in lines).encode()
        try:
            self._line.sendall(text, getattr(socket, "MSG_NOSIGNAL", 0))
        except OSError:  # it is gone: somebody killed it
            self._drop()
            return False
        return True

    def _start(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            return
        ours, its = socket.socketpair()
        try:
            arguments = [sys.executable, "-I", "-S", "-c", _PROGRAM]
            arguments += [_ROOM, str(os.getpid()), owner_mark()]
            # Whatever else it inherits it closes before anything else.
            self._pid = os.posix_spawn(
                sys.executable,
                arguments,
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, its.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsigmask=(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        ours.setblocking(False)  # a keeper that does not read is replaced, not waited for
        self._line = ours
        for mark, tree in self._running.items():
            self._say(f"?{mark}" if tree is None else f"+{mark} {tree.root} {tree.started}")

    def _drop(self) -> None:
        line, self._line = self._line, None
        pid, self._pid = self._pid, 0
        if line is None:
            return
        line.close()
        if self._running:
            send_own(pid, signal.SIGKILL)  # else it would end them
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)  # with nothing to do it ends at once

    def after_fork(self) -> None:
        """Start clean in a child: the keeper is the parent's, and so is what runs."""
        line, self._line, self._pid = self._line, None, 0
        self._lock = threading.Lock()  # the other may be held by a thread that is not here
        self._running = {}
        if line is not None:
            line.close()


KEEPER: Final = Keeper()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=KEEPER.after_fork)
