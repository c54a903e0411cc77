"""What a thread pool says when its initializer has failed."""

from concurrent.futures.thread import BrokenThreadPool

from holdfast.errors import PoolClosed

__all__ = ("BrokenPool",)


class BrokenPool(PoolClosed, BrokenThreadPool):
    """The pool's initializer raised, so that no thread of it can work: never started, safe to repeat.

    Also the standard library's ``BrokenThreadPool``, which callers of an executor look for.
    """

    reason = "broken"
