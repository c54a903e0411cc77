"""Which resource an error speaks of: told from its type, its number and its words."""

import errno
from collections.abc import Iterator
from types import TracebackType
from typing import Final, cast

__all__ = ("Cause", "cause_of", "chain")

Cause = tuple[str, str]
"""The resource, and the sentence that says what the error means."""

_BY_NUMBER: Final[dict[int, Cause]] = {
    errno.EMFILE: (
        "descriptors",
        "This process has no descriptor left for a file or a connection.",
    ),
    errno.ENFILE: (
        "machine descriptors",
        "All programs of this machine together have no descriptor left.",
    ),
    errno.ENOMEM: ("memory", "The system refused memory."),
    errno.EADDRNOTAVAIL: (
        "connections",
        "No local port is left for a connection to this peer, or the address is not one of this machine.",
    ),
    errno.ENOSPC: (
        "disk",
        "The disk is full, or the user has no watch of files left (fs.inotify.max_user_watches).",
    ),
}

# Words of messages that libraries raise in types of their own.
_BY_WORDS: Final[tuple[tuple[str, Cause], ...]] = (
    ("can't start new thread", ("threads", "The system refused a thread.")),
    ("can't allocate lock", ("memory", "The system refused memory for a lock.")),
    (
        "unable to open database file",
        (
            "descriptors",
            "SQLite could not open the file: no descriptor is left, or its folder can't be written.",
        ),
    ),
    ("too many open files", ("descriptors", "This process has no descriptor left.")),
    (
        "queuepool limit",
        (
            "connections",
            "All connections of the database pool are lent out, and none came back in time.",
        ),
    ),
    (
        "terminated abruptly",
        ("memory", "A worker process was ended from outside: often by the kernel, for memory."),
    ),
)
_POOL_TIMEOUTS: Final = frozenset({"PoolTimeout", "EmptyPoolError"})
_POOL: Final[Cause] = (
    "connections",
    "All connections that the client may have are lent out, and none came back in time.",
)
_FORKS: Final = (
    "subprocess.py",
    "popen_fork.py",
    "popen_spawn_posix.py",
    "popen_forkserver.py",
    "util.py",
)


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, what it hides, and what groups hold; each once."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", each).exceptions
        left += [other for other in (each.__cause__, each.__context__) if other is not None]


def cause_of(error: BaseException) -> Cause | None:
    """Return the resource that ``error`` itself speaks of, without what it was raised from."""
    if type(error).__name__ in _POOL_TIMEOUTS:
        return _POOL
    if type(error).__name__ == "ConnectionTimeoutError":
        return (
            "connections",
            "No connection was had in time: all are lent out, or the peer is silent.",
        )
    if isinstance(error, MemoryError):
        return "memory", "Python asked for memory and did not get it."
    if isinstance(error, OSError):
        if error.errno == errno.EAGAIN and _forked(error.__traceback__):
            return "processes", "The system refused a child process."
        if error.errno in _BY_NUMBER:
            return _BY_NUMBER[error.errno]
    words = str(error).lower()
    return next((cause for told, cause in _BY_WORDS if told in words), None)


def _forked(traceback: TracebackType | None) -> bool:
    """Whether it was raised where a process is started; elsewhere EAGAIN only means "later"."""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.endswith(_FORKS) or traceback.tb_next is None:
            names = {*code.co_names, code.co_name}
            if names & {
                "fork",
                "fork_exec",
                "_fork_exec",
                "forkpty",
                "posix_spawn",
                "spawnv_passfds",
            }:
                return True
        traceback = traceback.tb_next
    return False
