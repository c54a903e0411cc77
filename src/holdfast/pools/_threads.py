"""The one place that starts threads."""

import _thread
import contextlib
import sys
import threading
from collections.abc import Callable

__all__ = ("finalize", "name_thread", "run_apart", "start_thread")


def start_thread(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread named ``name``, so that py-spy and ``threading.enumerate`` show its owner.

    Threads are daemons, because a stuck call must not hold the interpreter at its exit; what has
    been accepted is finished there by the pools themselves. The stack has the system's size: 8 MB
    of it is address space, an idle thread holds 16 KB.

    Raises:
        RuntimeError: The system refused the thread; nothing was started.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    show_name(thread)
    return thread


def name_thread(name: str) -> None:
    """Give this thread another name: it works for somebody else now."""
    thread = threading.current_thread()
    thread.name = name
    show_name(thread)


def show_name(thread: threading.Thread) -> None:
    """Let ``top -H`` and ``ps -L`` show a thread's name too: 15 bytes of it, on Linux."""
    if sys.platform == "linux":
        shown = thread.name.removeprefix("holdfast:").encode()[:15]
        with contextlib.suppress(OSError):  # it may have ended, and it is only a name
            from pathlib import Path  # noqa: PLC0415 - milliseconds, for those who start threads

            Path(f"/proc/self/task/{thread.native_id}/comm").write_bytes(shown)


def finalize(fn: Callable[[], None], *locks: threading.Lock) -> None:
    """Run ``fn``, which takes ``locks``, from a ``__del__``.

    The collector may run a ``__del__`` in any thread between any two instructions, also while that
    very thread holds one of the locks; to wait for it then would be for ever. A lock that can be had
    at once is not held by this thread, and may be waited for. Otherwise ``fn`` runs on a bare thread.
    """
    for lock in locks:
        if not lock.acquire(blocking=False):
            run_apart(fn)
            return
        lock.release()
    fn()


def run_apart(fn: Callable[[], None]) -> None:
    """Run ``fn`` on a bare thread of its own, from a ``__del__`` where it may not run."""
    with contextlib.suppress(RuntimeError):  # no thread to be had: the process has other worries
        _thread.start_new_thread(fn, ())
