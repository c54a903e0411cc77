"""Threads that do nothing but be there."""

import contextlib
import threading
from collections.abc import Callable, Generator


@contextlib.contextmanager
def idle_threads(count: int) -> Generator[None]:
    """Have ``count`` threads more, for as long as the block lasts."""
    release = threading.Event()
    threads = [threading.Thread(target=release.wait) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        release.set()
        for thread in threads:
            thread.join()


def counts_threads(read: Callable[[], int | None]) -> bool:
    """Whether three more threads make a figure three larger.

    The kernel counts a thread for a moment after it was joined. One of an earlier test may go
    between the two readings, so they are repeated; those of this test stay until the end.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            before = read()
            stack.enter_context(idle_threads(3))
            if before is not None and read() == before + 3:
                return True
    return False
