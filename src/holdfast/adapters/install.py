"""``holdfast.install()``: default executors and anyio's worker threads join the budget."""

import threading

from holdfast.adapters._anyio_workers import share_anyio_workers
from holdfast.adapters._asyncio_executor import bound_default_executors
from holdfast.adapters._patches import Patches
from holdfast.adapters._shared_pool import let_go

__all__ = ("install", "uninstall")

_lock = threading.Lock()
_installed: Patches | None = None


def install() -> None:
    """Let ``asyncio.to_thread``, every loop's default executor and anyio's worker threads join the budget.

    From now on such calls run on one pool for the whole process, ``"default"``: 40 at once, fewer where
    the budget of threads is small, and up to 10,000 that wait. One more is refused
    (:class:`~holdfast.errors.QueueFull`; it never ran). The pool shows in :func:`holdfast.snapshot`.

    A loop to which the program has given an executor keeps it. anyio's limiters keep their meaning, but
    a token is held until the thread has ended its call, not until the caller gave up. It is of no effect
    to install it twice. May be called from any thread, before or after loops are made; what a loop has
    already started stays where it is.

    Example:
        >>> import asyncio
        >>> install()
        >>> asyncio.run(asyncio.to_thread(pow, 2, 10))
        1024
        >>> uninstall()
    """
    global _installed  # noqa: PLW0603 - the process's own
    with _lock:
        if _installed is None:
            _installed = Patches()
            bound_default_executors(_installed)
            share_anyio_workers(_installed)


def uninstall() -> None:
    """Undo :func:`install`, and end the pool's threads after their calls; of no effect without it.

    It waits up to ten seconds for calls that run. A loop that has used the pool already goes on with a new
    one. May be called from any thread but a loop's.
    """
    global _installed  # noqa: PLW0603 - see above
    with _lock:
        if _installed is not None:
            _installed.undo()
            _installed = None
            let_go(10.0)
