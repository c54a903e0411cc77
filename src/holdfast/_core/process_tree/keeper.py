"""This program's end of the keeper: a process that ends what was started when this one is gone.

Purpose: SIGKILL of this program leaves no tool and no worker behind. The kernel's parent-death signal
is not used: it comes when the *thread* that started the child ends, it reaches the child alone and
not what that started, and setting it means running Python between fork and exec of a program with
threads.

Guarantees: what is about to start is announced before it does, so there is no moment in which it is
unknown, but for what clears its environment in the very moment after its start: until its number stands
in the register, only the mark tells whose it is. A keeper that was killed is replaced with the next
start, and told of all that runs.

One keeper for a program, started with the first tool: a Python without packages, in a session of its
own, that sleeps in ``poll``. Where there is no interpreter to start (a frozen program), there is none.
"""

import contextlib
import os
import sys
import threading
from typing import Final

from holdfast._core.process_tree.mark import owner_mark
from holdfast._core.process_tree.register import Register
from holdfast._core.process_tree.tree import Tree

__all__ = ("KEEPER", "Keeper")

_ROOM: Final = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is not needed for it

_NEEDED: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Without them an interpreter may not find its own library; nothing else is the keeper's business."""

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
        self._line = -1
        self._pid = 0
        self._register: Register | None = None
        self._places: dict[str, int] = {}

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
            if not self._is_there():
                self._start()
            if self._register is not None:
                self._places[mark] = self._register.take()

    def started(self, mark: str, tree: Tree) -> None:
        """It runs."""
        with self._lock:
            if self._register is not None:
                self._register.put(self._places.get(mark, -1), tree.root, tree.started)

    def ended(self, mark: str) -> None:
        """It has ended with all that it started, or was not started at all."""
        with self._lock:
            place = self._places.pop(mark, -1)
            if self._register is not None:
                self._register.give_back(place)

    def release(self) -> bool:
        """Let the keeper end, if nothing runs that it is there for; returns whether there is none now."""
        with self._lock:
            if self._places:
                return False
            self._let_go()
            return True

    # ------------------------------------------------------------ under the lock

    def _is_there(self) -> bool:
        if self._pid == 0:
            return False
        try:
            ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # other code of this program has taken its status
            ended = True
        if ended:
            self._pid = 0
        return not ended

    def _start(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            return
        if self._register is None:
            self._register = Register()
        self._close_line()
        its, ours = os.pipe()
        try:
            arguments = [sys.executable, "-I", "-S", "-c", _PROGRAM]
            arguments += [_ROOM, str(os.getpid()), owner_mark()]
            # Whatever else it inherits it closes before anything else.
            self._pid = os.posix_spawn(
                sys.executable,
                arguments,
                {name: os.environ[name] for name in _NEEDED if name in os.environ},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, its, 0),
                    (os.POSIX_SPAWN_DUP2, self._register.fd, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setsigmask=(),
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(its)
        self._line = ours

    def _close_line(self) -> None:
        line, self._line = self._line, -1
        if line >= 0:
            os.close(line)

    def _let_go(self) -> None:
        """With nothing to do the keeper ends when its line does; then the memory goes too."""
        self._close_line()
        pid, self._pid = self._pid, 0
        if pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        register, self._register = self._register, None
        if register is not None:
            register.close()

    def after_fork(self) -> None:
        """Start clean in a child: the keeper is the parent's, and so is what runs."""
        self._lock = threading.Lock()  # the other may be held by a thread that is not here
        self._pid = 0
        self._places = {}
        self._close_line()
        register, self._register = self._register, None
        if register is not None:
            register.close()


KEEPER: Final = Keeper()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=KEEPER.after_fork)
