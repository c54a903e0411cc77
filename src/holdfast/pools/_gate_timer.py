"""Looks at a thread pool's line again when its rate allows the next start."""

from collections.abc import Callable

from holdfast.pools._admission import Admission
from holdfast.pools._timer import TIMER

__all__ = ("GateTimer",)


class GateTimer:
    """At most one entry in the timer for one pool."""

    __slots__ = ("_admission", "_on_open", "armed")

    def __init__(self, admission: Admission, on_open: Callable[[], None]) -> None:
        self._admission = admission
        self._on_open = on_open
        self.armed = False

    def is_closed(self) -> bool:
        """Under the lock: whether the rate denied the last start."""
        return self._admission.gate is not None and self._admission.gate_opens_in > 0.0

    def arm(self) -> None:
        """Under the lock: call back when the rate allows a start, if somebody waits for it."""
        if not self.armed and self._admission.has_work():
            self.armed = True
            TIMER.remind(self, self._admission.gate_opens_in)

    def expire(self) -> None:
        """On the timer's thread: the rate allows the next start."""
        with self._admission.lock:
            self.armed = False
            self._admission.gate_opens_in = 0.0
        self._on_open()
