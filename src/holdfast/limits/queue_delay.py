"""The queue-delay signal: as many calls as this process itself keeps up with."""

import math
from dataclasses import dataclass

from holdfast._core import check
from holdfast.limits.call_window import CallWindow

__all__ = ("QueueDelay", "QueueDelayState")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDelayState:
    """Where it is.

    Attributes:
        limit: The limit, not rounded.
    """

    limit: float

    alarm_s = math.inf  # running times say nothing to it


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDelay:
    """Down while a call that has its permit waits too long for its first step, up again otherwise.

    What is measured is the process's own lateness: how long a call that may run waits for the event
    loop, or for a thread to be given a processor. A slow server downstream does not show in it, so this
    is the law for work that is bounded by this process, and it does not mistake the one for the other.

    Args:
        target_s: Mean seconds that a call may wait for its first step, more than 0.
        cut: The limit is multiplied by this after a window above the target, 0 to 1.

    Source:
        Zhou et al., "Overload control for scaling WeChat microservices" (DAGOR, 2018): the mean queuing
        time, 20 ms, rather than the response time.
    """

    target_s: float = 0.02
    cut: float = 0.9

    def __post_init__(self) -> None:
        check.seconds("target_s", self.target_s)
        if not 0 < self.cut < 1:
            msg = f"cut must be between 0 and 1, not {self.cut!r}"
            raise ValueError(msg)

    def start(self, limit: int) -> QueueDelayState:
        """Return the state before any window."""
        return QueueDelayState(limit=float(limit))

    def step(self, state: QueueDelayState, window: CallWindow) -> QueueDelayState:
        """Return the state after ``window``; what is in it alone decides."""
        if window.delay_s is not None and window.delay_s > self.target_s:
            return QueueDelayState(limit=state.limit * self.cut)
        if not window.is_busy:
            return state
        raised = min(state.limit + 1.0, max(state.limit, 5.0 * window.most_in_flight))
        return QueueDelayState(limit=raised)
