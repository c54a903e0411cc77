"""Additive increase, multiplicative decrease: as many calls as the server takes without refusing any."""

import math
from dataclasses import dataclass, replace

from holdfast.limits.call_window import CallWindow

__all__ = ("Aimd", "AimdState")


@dataclass(frozen=True, slots=True, kw_only=True)
class AimdState:
    """Where it is.

    Attributes:
        limit: The limit, not rounded.
        refused_at: The limit at which calls were last refused; None before the first time.
    """

    limit: float
    refused_at: float | None = None

    alarm_s = math.inf  # running times say nothing to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Aimd:
    """Up by ``step_calls`` for each window without overload, down to ``cut`` of it for one with.

    For servers that refuse rather than queue: a model's API with its 429. Below the limit at which
    calls were last refused it goes half of the way in each window, so that it is back soon after a
    cut that went too deep; from there on by ``step_calls``. It is not raised while the program itself has
    no more to do, nor above five times what is in flight.

    Args:
        step_calls: Calls by which the limit is raised, more than 0.
        cut: The limit is multiplied by this after a window with overloads, 0 to 1.
        tolerance: The share of refused calls in a window up to which nothing is done, 0 to 1.

    Source:
        Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in
        computer networks" (1989); the way back to the last limit is that of TCP's CUBIC (RFC 9438)
        in its plainest form.
    """

    step_calls: float = 1.0
    cut: float = 0.7
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step_calls) and self.step_calls > 0):
            msg = f"step_calls must be more than 0, not {self.step_calls!r}"
            raise ValueError(msg)
        if not 0 < self.cut < 1:
            msg = f"cut must be between 0 and 1, not {self.cut!r}"
            raise ValueError(msg)
        if not 0 <= self.tolerance < 1:
            msg = f"tolerance must be a share from 0 to below 1, not {self.tolerance!r}"
            raise ValueError(msg)

    def start(self, limit: int) -> AimdState:
        """Return the state before any window."""
        return AimdState(limit=float(limit))

    def step(self, state: AimdState, window: CallWindow) -> AimdState:
        """Return the state after ``window``; what is in it alone decides."""
        if window.overloads > self.tolerance * (window.calls + window.overloads):
            return AimdState(limit=state.limit * self.cut, refused_at=state.limit)
        if not window.is_busy:
            return state
        step = self.step_calls
        if state.refused_at is not None and state.refused_at > state.limit:
            step = max(step, (state.refused_at - state.limit) / 2.0)
        return replace(
            state, limit=min(state.limit + step, max(state.limit, 5.0 * window.most_in_flight))
        )
