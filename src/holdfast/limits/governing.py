"""How far limits are pulled in under pressure, and how they come back. Numbers in, numbers out.

States, by what is pressing:

- *open*: every limit is what it was set to (``share`` is 1);
- *held*: there was caution, or a cut, not long ago: nothing is raised;
- *cut*: an event (a refused thread, no descriptor left, a MemoryError) has multiplied the share, at most
  once in ``cut_every_s``, as one cause shows in many calls at once;
- *critical*: the share is 0, so every limit is at its floor, and admission pauses;
- *recovering*: after ``quiet_s`` without any of that the share rises by ``step``, each ``step_every_s``; from
  half of where it last became critical on by a quarter of that, so that caution is met before the wall is.

A pause ends when the pressure does. It also ends when nothing is in flight any more, and after
``longest_pause_s``: work that is not started can't make room, and a program that waits for room that
nobody makes would hang. Then calls go on one by one, at the floors. Where no call ends there either for so
long, as one may wait for another that has no place, the share rises by a step although it is critical.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal

__all__ = ("Event", "GovernState", "Governing", "Level", "cap_of")

Level = Literal["ok", "caution", "critical"]
"""How near something is to its limit."""

Event = Literal["refused_thread", "no_descriptor", "memory_error"]
"""Something that shows that a limit has been met already."""

_SHOWS: Final[Mapping[str, str]] = {
    "refused_thread": "the system refused a thread",
    "no_descriptor": "no descriptor was left",
    "memory_error": "an allocation failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernState:
    """Where the governor is.

    Attributes:
        share: How much of each limit is left, 0 to 1; 0 is the floors.
        paused: Whether nothing may start at all.
        reason: Why the last change was made.
        changed_at: When.
        bad_at: When there was pressure last.
        cut_at: When an event cut the share last.
        paused_at: When the pause began.
        pause_spent: Whether this spell of critical pressure has had its pause.
        wall: How much of all limits was in use when it last became critical.
        ended: Calls that had ended at the last look at which there were more of them.
        ended_at: When that was.
    """

    share: float = 1.0
    paused: bool = False
    reason: str = "nothing presses"
    changed_at: float = -math.inf
    bad_at: float = -math.inf
    cut_at: float = -math.inf
    paused_at: float = -math.inf
    pause_spent: bool = False
    wall: float = 1.0
    ended: int = 0
    ended_at: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing:
    """The rules, as above.

    Args:
        cut: The share is multiplied by this after an event, 0 to 1.
        cut_every_s: Seconds within which several events are one.
        quiet_s: Seconds without pressure after which the share may rise again.
        step: By how much it rises, more than 0.
        step_every_s: Seconds from one rise to the next.
        longest_pause_s: Seconds after which a pause ends although it is still critical.

    Source:
        Additive increase and multiplicative decrease as in Chiu and Jain (1989); four states with
        hysteresis as Dask's workers have them for memory.
    """

    cut: float = 0.5
    cut_every_s: float = 1.0
    quiet_s: float = 10.0
    step: float = 0.1
    step_every_s: float = 2.0
    longest_pause_s: float = 5.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (math.isfinite(value) and value >= 0):
                msg = f"{each.name} must be a number of at least 0, not {value!r}"
                raise ValueError(msg)
        if not (0 < self.cut < 1 and self.step > 0):
            msg = f"cut must be between 0 and 1 and step more than 0, not {self.cut!r} and {self.step!r}"
            raise ValueError(msg)

    def step_on(
        self,
        state: GovernState,
        now: float,
        *,
        levels: Mapping[str, Level],
        events: Sequence[Event] = (),
        in_flight: int = 0,
        ended: int = 0,
        used: float = 1.0,
    ) -> GovernState:
        """Return the state after one look.

        Args:
            state: The state before it.
            now: Seconds on a clock that never goes back.
            levels: How near each resource is to its limit, by name.
            events: What has happened since the last look.
            in_flight: Calls in flight in the pools that are governed.
            ended: Calls that have ended there, of all time.
            used: How much of the limits that were set is in flight, 0 to 1.
        """
        if ended != state.ended:
            state = replace(state, ended=ended, ended_at=now)
        critical = sorted(name for name, level in levels.items() if level == "critical")
        if critical:
            if not state.paused and not state.pause_spent:
                state = replace(state, wall=min(state.share, used))
            return self._critical(state, now, " and ".join(critical), in_flight)
        state = _resumed(state, now)
        if events and now - state.cut_at >= self.cut_every_s:
            reason = f"{_SHOWS[events[0]]}: limits are cut to {self.cut:g} of what they were"
            return replace(
                state,
                share=state.share * self.cut,
                reason=reason,
                changed_at=now,
                bad_at=now,
                cut_at=now,
            )
        if events or any(level == "caution" for level in levels.values()):
            return replace(state, bad_at=now)
        return self._recover(state, now)

    def _critical(self, state: GovernState, now: float, what: str, in_flight: int) -> GovernState:
        state = replace(state, bad_at=now)
        if not state.paused and not state.pause_spent:
            reason = f"{what} critical: limits go to their floors, and nothing starts for now"
            return replace(
                state, share=0.0, paused=True, reason=reason, changed_at=now, paused_at=now
            )
        waited = now - state.paused_at
        if state.paused and (in_flight == 0 or waited >= self.longest_pause_s):
            why = "nothing is in flight" if in_flight == 0 else f"it has been so for {waited:.0f} s"
            reason = f"{what} still critical, but {why}: calls go on at the floors"
            return replace(state, paused=False, pause_spent=True, reason=reason, changed_at=now)
        stuck_s = now - max(state.ended_at, state.changed_at)
        if not state.paused and in_flight and stuck_s >= self.longest_pause_s and state.share < 1.0:
            share = min(1.0, round(state.share + self.step, 9))
            reason = (
                f"{what} critical, but no call has ended for {stuck_s:.0f} s: {share:.0%} may run"
            )
            return replace(state, share=share, reason=reason, changed_at=now)
        return state

    def _recover(self, state: GovernState, now: float) -> GovernState:
        due = now - state.bad_at >= self.quiet_s and now - state.changed_at >= self.step_every_s
        if state.share >= 1.0 or not due:
            return state
        step = self.step if state.share < state.wall / 2.0 else self.step / 4.0
        share = min(1.0, round(state.share + step, 9))
        reason = f"quiet for {now - state.bad_at:.0f} s: limits are raised to {share:.0%} of what was set"
        return replace(state, share=share, reason=reason, changed_at=now)


def _resumed(state: GovernState, now: float) -> GovernState:
    """The critical pressure is over."""
    if not state.paused:
        return replace(state, pause_spent=False)
    reason = "no longer critical: calls start again, at the floors"
    return replace(state, paused=False, pause_spent=False, reason=reason, changed_at=now)


def cap_of(limit: int, *, share: float, weight: float = 1.0, floor: int = 1) -> int:
    """Return the most that a pool may have in flight while only ``share`` of all limits is left.

    Args:
        limit: What the pool may have without pressure, at least 1.
        share: 0 to 1.
        weight: How much of the pulling in is this pool's, 0 (none) to 1 (all).
        floor: What it keeps in any case, at least 1.

    Example:
        >>> cap_of(40, share=0.5), cap_of(40, share=0.5, weight=0.2), cap_of(40, share=0.0, floor=3)
        (20, 36, 3)
    """
    return min(limit, max(floor, math.floor(limit * (1.0 - weight * (1.0 - share)) + 1e-9)))
