"""What shows, in the middle of the work, that a limit of the process has been met: told to whoever governs.

A refused thread, an error of a call that says that no descriptor or no memory was left. Where nobody
listens, telling costs one look.
"""

import errno
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.limits.governing import Event

__all__ = ("LISTENERS", "tell", "tell_of")

LISTENERS: "Final[list[Callable[[Event], None]]]" = []
"""Called with each event, on whatever thread it happens; must be quick, take no lock of a pool, and not raise."""

_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})


def tell(event: "Event") -> None:
    """Tell that a limit has been met."""
    for listener in tuple(LISTENERS):
        listener(event)


def tell_of(error: BaseException) -> None:
    """Tell, if that is what an error of a call says."""
    if isinstance(error, MemoryError):
        tell("memory_error")
    elif isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR:
        tell("no_descriptor")
    elif isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        tell("refused_thread")
