"""Ctrl-C and SIGTERM: the first one asks the run to stop, the second one ends the process.

Guarantees: the process ends within the grace and ``BACKSTOP_S`` after the first signal, even if
the function blocks the event loop or the reader of a pipe stands still; a second signal ends it
where it stands. A line of OUTPUT is one write, so at most the last one is torn then.
Assumptions: used in the main thread. A handler runs between two bytecodes of it, and so may only
set flags and hand over to the loop.
"""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from holdfast.cli.leave import disarm, end_after, end_now

__all__ = ("BACKSTOP_S", "Interrupts")

BACKSTOP_S = 3.0


class Interrupts:
    """A context in which the two signals are orders to this run.

    Args:
        grace: Seconds that the run may take to stop.
        on_first: Called in the signal handler: must only set flags or wake the loop.
        on_second: The last thing that is called before the process ends.

    Attributes:
        received: Name of the first signal that came, such as ``"SIGINT"``, or None.
        exit_code: What a shell shows for a program that this signal ended, 0 without one.
    """

    def __init__(
        self, *, grace: float, on_first: Callable[[], None], on_second: Callable[[], None]
    ) -> None:
        self.received: str | None = None
        self.exit_code = 0
        self._grace = grace
        self._on_first = on_first
        self._on_second = on_second
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell starts background jobs with Ctrl-C ignored; so it has to stay.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        disarm()

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            self._on_second()
            end_now(self.exit_code)
        self.received = signal.Signals(signum).name
        self.exit_code = 128 + signum
        end_after(self._grace + BACKSTOP_S, self.exit_code)
        self._on_first()
