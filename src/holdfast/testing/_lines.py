"""Who made what: the line of the user's code that started a thread or opened a descriptor.

Purpose: say of what a test left behind where it came from. Guarantees: while :meth:`Lines.install` is
in force each maker notes its caller's line, and does what it did before; :meth:`Lines.remove` puts all
back. Costs a microsecond or two for each thing that is made. Not noted: what C code makes by itself
(uvloop, gRPC).
"""

import asyncio
import builtins
import functools
import io
import multiprocessing.process
import os
import selectors
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from holdfast.testing._held import Identity, identity

if TYPE_CHECKING:
    from types import FrameType

__all__ = ("Lines", "Place", "label_of")

Place = tuple[str, int, str]
"""File, line, name of the function."""

_ASYNCIO: Final = os.path.dirname(asyncio.__file__)  # noqa: PTH120 - compared with names of code
_FOREIGN: Final = tuple(
    {
        os.path.join(path, "")  # noqa: PTH118 - as above
        for key in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_path(key))
    }
)
_OWN: Final = __file__
_ENDING: Final = "_cancel_all_tasks"
"""What a runner calls at its end with its loop, in all versions so far."""
_FDS: Final = ("dup", "pipe", "pipe2", "memfd_create", "eventfd", "pidfd_open", "open")


class Lines:
    """What has been made since :meth:`forget`, with the line that made it.

    Attributes:
        fds: By descriptor: the last that was opened under that number, and which file it was.
        paths: By path: databases, whose descriptors SQLite keeps to itself.
        threads: By the thread.
        tasks: Each task that was made, with its line.
        children: By process id; empty if nothing was started.
        cut_off: Tasks that were still running when their loop ended, with their line.
    """

    def __init__(self) -> None:
        self.fds: dict[int, tuple[Place, Identity | None]] = {}
        self.paths: dict[str, Place] = {}
        self.threads: weakref.WeakKeyDictionary[threading.Thread, Place] = (
            weakref.WeakKeyDictionary()
        )
        self.tasks: list[tuple[weakref.ref[asyncio.Task[Any]], Place]] = []
        self.children: dict[int, Place] = {}
        self.cut_off: list[tuple[str, Place | None]] = []
        self._undo: list[tuple[Any, str, Any]] = []
        self._foreign: dict[str, bool] = {}

    def forget(self) -> None:
        """Forget what was made by what has ended, or is somebody else's."""
        self.tasks.clear()
        self.children.clear()
        self.cut_off.clear()
        self.fds.clear()
        self.paths.clear()

    # ------------------------------------------------------------ whose line

    def place(self) -> Place:
        """Return the innermost line that is neither this library's, the standard one's nor installed."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way in the standard library to the caller
        innermost: Place | None = None
        while frame is not None:
            code = frame.f_code
            name = code.co_filename
            if not self._is_foreign(name):
                return name, frame.f_lineno, code.co_qualname
            if name != _OWN and innermost is None:
                innermost = (name, frame.f_lineno, code.co_qualname)
            if code.co_name == "_run" and name.startswith(_ASYNCIO):
                made = self._of_current_task()
                if made is not None:
                    return made
            frame = frame.f_back
        return innermost or ("<unknown>", 0, "")

    def _is_foreign(self, name: str) -> bool:
        known = self._foreign.get(name)
        if known is None:
            known = name == _OWN or name.startswith((*_FOREIGN, "<frozen"))
            self._foreign[name] = known
        return known

    def _of_current_task(self) -> Place | None:
        """A library made it in a task of its own: the line that made the task."""
        try:
            current = asyncio.current_task()
        except RuntimeError:
            return None
        return next((place for ref, place in self.tasks if ref() is current), None)

    def of_task(self, task: asyncio.Task[Any]) -> Place | None:
        """Return the line that made a task."""
        return next((place for ref, place in self.tasks if ref() is task), None)

    # ------------------------------------------------------------ the makers

    def install(self) -> None:
        """Have all makers note who calls them."""
        self._put(builtins, "open", self._file(builtins.open))
        self._put(io, "open", builtins.open)
        for name in _FDS:
            if hasattr(os, name):
                self._put(os, name, self._numbered(getattr(os, name)))
        os.supports_dir_fd.add(os.open)
        self._after(socket.socket, "__init__", self._note_fileno)
        for name in ("EpollSelector", "KqueueSelector"):
            if hasattr(selectors, name):
                self._after(getattr(selectors, name), "__init__", self._note_fileno)
        self._put(sqlite3, "connect", self._database(sqlite3.connect))
        self._before(threading.Thread, "start", self._note_thread)
        self._after(subprocess.Popen, "__init__", self._note_child)
        self._after(multiprocessing.process.BaseProcess, "start", self._note_child)
        for name in ("fork", "posix_spawn", "posix_spawnp"):
            if hasattr(os, name):
                self._put(os, name, self._starting(getattr(os, name)))
        self._put(
            asyncio.BaseEventLoop, "create_task", self._tasks(asyncio.BaseEventLoop.create_task)
        )
        if hasattr(asyncio.runners, _ENDING):
            self._put(asyncio.runners, _ENDING, self._ending())

    def remove(self) -> None:
        """Put back what was there before."""
        os.supports_dir_fd.discard(os.open)
        while self._undo:
            where, name, before = self._undo.pop()
            setattr(where, name, before)

    def _put(self, where: Any, name: str, wrapper: Any) -> None:
        self._undo.append((where, name, getattr(where, name)))
        setattr(where, name, wrapper)

    def _before(self, where: Any, name: str, note: Callable[[Any], None]) -> None:
        inner = getattr(where, name)

        @functools.wraps(inner)
        def wrapper(it: Any, /, *args: Any, **kwargs: Any) -> Any:
            note(it)
            return inner(it, *args, **kwargs)

        self._put(where, name, wrapper)

    def _after(self, where: Any, name: str, note: Callable[[Any], None]) -> None:
        inner = getattr(where, name)

        @functools.wraps(inner)
        def wrapper(it: Any, /, *args: Any, **kwargs: Any) -> Any:
            result = inner(it, *args, **kwargs)
            note(it)
            return result

        self._put(where, name, wrapper)

    def _note_fileno(self, it: Any) -> None:
        fd = it.fileno()
        if fd >= 0:
            self.fds[fd] = self.place(), identity(fd)

    def _note_thread(self, it: threading.Thread) -> None:
        self.threads[it] = self.place()

    def _note_child(self, it: Any) -> None:
        if it.pid is not None:
            self.children[it.pid] = self.place()

    def _file(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def opener(*args: Any, **kwargs: Any) -> Any:
            opened = inner(*args, **kwargs)
            self._note_fileno(opened)
            return opened

        return opener

    def _numbered(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def opener(*args: Any, **kwargs: Any) -> Any:
            opened = inner(*args, **kwargs)
            place = self.place()
            for fd in (opened,) if isinstance(opened, int) else opened:
                self.fds[fd] = place, identity(fd)
            return opened

        return opener

    def _database(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def connect(*args: Any, **kwargs: Any) -> Any:
            connection = inner(*args, **kwargs)
            path = args[0] if args else kwargs.get("database", "")
            if isinstance(path, str | os.PathLike):
                self.paths[os.path.realpath(path)] = self.place()
            return connection

        return connect

    def _starting(self, inner: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(inner)
        def start(*args: Any, **kwargs: Any) -> int:
            pid = inner(*args, **kwargs)
            if pid:  # in the child of a fork it is 0
                self.children[pid] = self.place()
            return pid

        return start

    def _tasks(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(inner)
        def create_task(loop: Any, coro: Any, **kwargs: Any) -> Any:
            task = inner(loop, coro, **kwargs)
            self.tasks.append((weakref.ref(task), self.place()))
            return task

        return create_task

    def _ending(self) -> Callable[[asyncio.AbstractEventLoop], None]:
        """What a runner ends with: it cancels whatever nobody has waited for."""
        inner: Callable[[asyncio.AbstractEventLoop], None] = getattr(asyncio.runners, _ENDING)

        @functools.wraps(inner)
        def cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
            for task in asyncio.all_tasks(loop):
                self.cut_off.append((label_of(task), self.of_task(task)))
            inner(loop)

        return cancel_all_tasks


def label_of(task: asyncio.Task[Any]) -> str:
    """Return the name of a task's coroutine."""
    coro = task.get_coro()
    return str(getattr(coro, "__qualname__", None) or task.get_name())
