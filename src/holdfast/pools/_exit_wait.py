"""The interpreter's exit waits for what pools have accepted, and says so if that takes long.

A call that never ends holds the interpreter for ever, as nothing that was accepted is thrown away. Then
whoever looks at the silent process has to be told what it waits for, and where that stands.
"""

import logging
from collections.abc import Callable
from typing import Final

from holdfast._core.clock import Clock
from holdfast.pools._admission import Admission
from holdfast.pools._drain import wait_idle

__all__ = ("finish_at_exit",)

log = logging.getLogger("holdfast.pools")

_SILENCE: Final = 5.0
"""Seconds after which it is said, once for each pool."""


def finish_at_exit(admission: Admission, clock: Clock, where: Callable[[], str]) -> None:
    """Wait until all that a pool has accepted has ended, but for abandoned calls.

    Args:
        admission: Of the pool; it is closed.
        clock: The pool's.
        where: Says what runs, and where it stands.
    """
    if wait_idle(admission, clock, _SILENCE):
        return
    log.warning(  # on standard error, where nobody has set up another place for it
        "the interpreter is about to exit, and waits for pool %r: %d of its calls run, %d wait: %s; give "
        "what they wait for a timeout of its own, or close the pool with a timeout before the end",
        admission.name,
        admission.in_flight - admission.abandoned,
        admission.in_line(),
        where() or "where they stand can't be told",
    )
    wait_idle(admission, clock, None)
