"""Whatever opens a descriptor, replaced by one that takes note of it, and helps when none is left.

Replaced are names of modules (``open``, ``os.open``, ``os.pipe``, ``sqlite3.connect``) and methods of
classes that are written in Python (``socket.socket``, ``selectors``), so that nobody's ``isinstance`` or
subclass changes. What C code opens by itself is not seen.
"""

import builtins
import io
import os
import selectors
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast
from weakref import ref

from holdfast.adapters._patches import Patches
from holdfast.adapters.guard.lines import Lines
from holdfast.adapters.guard.shortage import Shortage, is_shortage
from holdfast.track._site import frames_from

__all__ = ("Opened", "note_openers")

Opened = Callable[..., None]
"""Takes the number of a descriptor, the object that has it, and its kind."""


class Opener:
    """A function of C code with something around it; no method when it is kept in a class."""

    def __init__(
        self,
        original: Callable[..., Any],
        note: Callable[[Any], None] | None,
        shortage: Shortage,
        home: str,
    ) -> None:
        self.__wrapped__ = original
        self.__name__ = original.__name__
        self.__qualname__ = original.__qualname__
        self.__module__ = home  # where it is found by its name, and so by pickle
        self.__doc__ = original.__doc__
        self._original = original
        self._note = note
        self._shortage = shortage

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; with no descriptor left, once more."""
        original, note = self._original, self._note
        try:
            made = original(*args, **kwargs) if kwargs else original(*args)
        except OSError as error:
            if not self._relieved(error):
                raise
            made = original(*args, **kwargs)
        if note is not None:
            note(made)
        return made

    def _relieved(self, error: OSError) -> bool:
        """Whether to call the function once more."""
        return is_shortage(error) and self._shortage.relieve(error)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return repr(self._original)


class FileOpener(Opener):
    """``open``, which takes note in the same function, as it is called for each file."""

    def __init__(
        self, original: Callable[..., Any], lines: Lines, shortage: Shortage, home: str
    ) -> None:
        super().__init__(original, None, shortage, home)
        self._lines = lines

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Open a file."""
        original, lines = self._original, self._lines
        try:
            made = original(*args, **kwargs) if kwargs else original(*args)
        except OSError as error:
            if not self._relieved(error):
                raise
            made = original(*args, **kwargs)
        frame, fd = sys._getframe(1), made.fileno()  # noqa: SLF001 - the stack of whoever opens
        frames = lines.known.get(id(frame.f_code) + frame.f_lasti)
        if frames is None:
            frames = frames_from(frame, lines.known)
        if not frames:  # one of our own
            lines.by_fd.pop(fd, None)
            return made
        lines.by_fd[fd] = (frames, ref(made), "file", lines.now())
        if fd >= lines.mark:
            lines.look()
        return made


def note_openers(patches: Patches, lines: Lines | None, shortage: Shortage) -> None:
    """Replace them.

    Args:
        patches: Where to note what is replaced.
        lines: Are told of each descriptor; None if they are not wanted.
        shortage: Called where none is left.
    """
    opened = lines.opened if lines is not None else None

    def of_kind(kind: str) -> Callable[[Any], None]:
        def note(made: Any) -> None:
            fds = (made,) if isinstance(made, int) else made
            for fd in fds:
                opened(fd, None, kind)  # type: ignore[misc] # likewise

        return note

    files = (
        Opener(io.open, None, shortage, io.__name__)
        if lines is None
        else FileOpener(io.open, lines, shortage, io.__name__)
    )
    for owner in (io, builtins):
        patches.set(owner, "open", files)
    for name, kind in {
        "open": "any",
        "pipe": "pipe",
        "pipe2": "pipe",
        "dup": "any",
        "openpty": "device",
        "eventfd": "eventfd",
        "memfd_create": "memfd",
        "pidfd_open": "pidfd",
        "timerfd_create": "timerfd",
    }.items():
        original = getattr(os, name, None)
        if original is not None:
            note = of_kind(kind) if opened is not None else None
            patches.set(os, name, Opener(original, note, shortage, os.__name__))
    _sockets(patches, lines, shortage)
    patches.after_import("sqlite3", lambda module: _sqlite(patches, module, opened, shortage))


def _sockets(patches: Patches, lines: Lines | None, shortage: Shortage) -> None:
    opened = lines.opened if lines is not None else None
    accept = socket.socket.accept
    patches.set(socket.socket, "__init__", _new_socket(accept, lines, shortage))
    patches.set(socket.socket, "accept", _accept(accept, lines, shortage))
    epoll = getattr(selectors, "EpollSelector", None)
    if opened is not None and epoll is not None:
        begin = epoll.__init__

        def selector(self: Any) -> None:
            begin(self)
            opened(self.fileno(), self, "epoll")

        patches.set(epoll, "__init__", selector)


def _accept(
    accept: Callable[[Any], Any], lines: Lines | None, shortage: Shortage
) -> Callable[[Any], Any]:
    def relieved(error: OSError) -> bool:
        return is_shortage(error) and shortage.relieve(error)

    def accept_again(self: Any) -> Any:
        try:
            return accept(self)
        except BlockingIOError:  # how each burst of connections ends
            raise
        except OSError as error:
            if not relieved(error):
                raise
            return accept(self)

    return accept_again if lines is None else lines.accepting(accept, relieved)


def _new_socket(accept: Any, lines: Lines | None, shortage: Shortage) -> Callable[..., None]:
    opened = lines.opened if lines is not None else None
    make, accepting, frame_above = socket.socket.__init__, accept.__code__, sys._getframe  # noqa: SLF001 - the only way to see a caller

    # With the arguments by name: to pass on whatever comes costs more than all else here.
    def __init__(  # noqa: N807 - replaces one of that name
        self: Any,
        family: int = -1,
        type: int = -1,  # noqa: A002 - likewise
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        try:
            make(self, family, type, proto, fileno)
        except OSError as error:
            if not is_shortage(error) or not shortage.relieve(error):
                raise
            make(self, family, type, proto, fileno)
        # What `accept` makes is noted by what stands in for it.
        if opened is not None and (fileno is None or frame_above(1).f_code is not accepting):
            opened(self.fileno(), self, "socket")

    return __init__


def _sqlite(
    patches: Patches, module: ModuleType, opened: Opened | None, shortage: Shortage
) -> None:
    connect = module.connect

    def note(database: object) -> None:
        if opened is not None and isinstance(database, str | bytes | os.PathLike):
            path = os.fsdecode(cast("str | bytes | os.PathLike[str]", database))
            if path and ":memory:" not in path:
                shortage.lines_of_databases(path)

    class Connect(Opener):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            try:
                made = connect(*args, **kwargs)
            except module.OperationalError as error:
                if not shortage.is_exhausted() or not shortage.relieve(error):
                    raise
                made = connect(*args, **kwargs)
            note(args[0] if args else kwargs.get("database"))
            return made

    opener = Connect(connect, None, shortage, module.__name__)
    patches.set(module, "connect", opener)
    patches.set(module.dbapi2, "connect", opener)
