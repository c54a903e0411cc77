"""The one place that starts threads."""

import threading
from collections.abc import Callable

__all__ = ("start_thread",)


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
    return thread
