"""Moves the limits of pools: down under pressure, and up again after it."""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, cast

from holdfast._core import check, clock
from holdfast.limits.governing import Event, Governing, GovernState, cap_of
from holdfast.pools._forked import forks
from holdfast.pools._living import living_pools
from holdfast.pools._pressure import LISTENERS
from holdfast.watch._reclaiming import MemoryWatch
from holdfast.watch._ticker import TICKER
from holdfast.watch.monitor import Monitor
from holdfast.watch.thresholds import Level, Threshold

__all__ = ("Decision", "Governor", "Weight", "decisions")

log = logging.getLogger("holdfast.governor")

_KEPT: Final = 256
_MOST_EVENTS: Final = 64
_RESOURCES: Final = ("descriptors", "threads", "processes", "memory pressure")
"""What the monitor is asked for; memory is looked at by the governor itself, and more often."""

_GOVERNORS: Final[list["Governor"]] = []
"""Those that run, for whoever shows what they have decided."""


@dataclass(frozen=True, slots=True)
class Weight:
    """How one pool is governed.

    Args:
        weight: How much of the pulling in is its own, 0 (none: it is left alone) to 1 (all).
        floor: Calls that it keeps under any pressure but a pause, at least 1.
    """

    weight: float = 1.0
    floor: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            msg = f"weight must be from 0 to 1, not {self.weight!r}"
            raise ValueError(msg)
        check.count("floor", self.floor, least=1)


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing that a governor has done.

    Attributes:
        at: When, in seconds since 1970.
        share: How much of each limit is left from then on, 0 (the floors) to 1.
        paused: Whether nothing may start.
        reason: Why, in one line.
        limits: What the pools may have in flight from then on, by name.
        freed_bytes: What the process gave back to the system; None if nothing was tried.
    """

    at: float
    share: float
    paused: bool
    reason: str
    limits: Mapping[str, int]
    freed_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "at": self.at,
            "share": self.share,
            "paused": self.paused,
            "reason": self.reason,
            "limits": dict(self.limits),
            "freed_bytes": self.freed_bytes,
        }


class Governor:
    """Lowers the limits of all pools of this process under pressure, and raises them again after it.

    Events cut at once: a thread that the system refuses, a call that ends for want of a descriptor or of
    memory. Readings near a limit hold what there is (caution), or bring everything to its floor and pause the
    starting of calls (critical); when it has been quiet, limits rise step by step. Memory that is short is
    given back first. Work that was accepted is never dropped: it waits. The rules are those of
    :class:`~holdfast.limits.governing.Governing`.

    Each change is a :class:`Decision`, kept, and one record of the logger ``holdfast.governor``. It runs on the
    monitor's thread. Use it as a context manager, or ``start`` and ``close`` it; when it is closed, every pool
    has its limit back.

    Args:
        monitor: Tells of descriptors, threads and processes; None makes one, which this governor runs.
        rules: How far limits go, and how they come back.
        weights: How single pools are governed, by name; all others fully, down to one call.
        memory: When memory is short, and when it is critical, as parts of the bound.
        interval: Seconds between two looks at memory, more than 0; a tenth of that while it is short.

    Example:
        >>> with Governor() as governor:
        ...     governor.share
        1.0
    """

    def __init__(
        self,
        monitor: Monitor | None = None,
        *,
        rules: Governing | None = None,
        weights: Mapping[str, Weight] | None = None,
        memory: Threshold | None = None,
        interval: float = 0.1,
    ) -> None:
        self._own = monitor is None
        self._monitor = Monitor() if monitor is None else monitor
        self._rules = rules or Governing()
        self._weights = dict(weights or {})
        self._threshold = memory or Threshold(0.75, 0.88, margin=0.05, calm_s=1.0)
        self._interval = check.seconds("interval", interval) or 0.1
        self._clock = clock.current()
        self._forget()
        forks(self)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._memory = MemoryWatch(self._threshold, self._clock)
        self._state = GovernState()
        self._decisions: deque[Decision] = deque(maxlen=_KEPT)
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)

    # ------------------------------------------------------------ life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> bool:
        """Govern from now on.

        Returns:
            Whether it does: False if the system refused the thread; then it can be tried again.
        """
        if self in TICKER:
            return True
        if self._own and not self._monitor.start():
            return False
        try:
            TICKER.add(self, 0.0)
        except RuntimeError:
            return False
        LISTENERS.append(self._heard)
        _GOVERNORS.append(self)
        return True

    def close(self) -> None:
        """Govern no more, and give every pool its limit back. May be called again."""
        for where, one in ((LISTENERS, self._heard), (_GOVERNORS, self)):
            if one in where:
                cast("list[object]", where).remove(one)
        TICKER.remove(self, 5.0)
        if self._own:
            self._monitor.close()
        with self._lock:
            if self._state.share < 1.0 or self._state.paused:
                self._state = GovernState(reason="the governor was closed")
                self._decide(self._apply())

    def after_fork(self) -> None:
        """Start clean in a child; called by the interpreter."""
        if self in _GOVERNORS:
            _GOVERNORS.remove(self)
            LISTENERS.remove(self._heard)
        self._forget()
        for _, pool in living_pools():
            cast("Any", pool).restrict(None)

    # ------------------------------------------------------------ what it knows

    @property
    def share(self) -> float:
        """How much of each limit is left now, 0 (the floors) to 1."""
        return self._state.share

    @property
    def paused(self) -> bool:
        """Whether nothing may start now."""
        return self._state.paused

    def decisions(self) -> tuple[Decision, ...]:
        """Return the last 256 things that it has done, the oldest first."""
        with self._lock:
            return tuple(self._decisions)

    # ------------------------------------------------------------ inside

    def _heard(self, event: Event) -> None:
        """On any thread: the next tick is told."""
        self._events.append(event)

    def tick(self) -> float:
        """Look, and decide; called by the ticker, never raises, returns when to come again in seconds."""
        try:
            with self._lock:
                self._look()
        except Exception:  # nothing of it may reach the program
            log.exception("a look of the governor failed")
            return self._interval
        busy = self._memory.level != "ok" or self._state.paused
        return self._interval / 10.0 if busy else self._interval

    def _look(self) -> None:
        self._memory.look()
        freed = self._memory.give_back()
        if freed is not None:
            reason = (
                f"memory {self._told_memory()}: {freed / 1e6:.1f} MB were given back to the system"
            )
            self._decide(self._limits(), reason=reason, freed=freed)
        events: list[Event] = [self._events.popleft() for _ in range(len(self._events))]
        in_flight, ended, used = self._work()
        before = self._state
        self._state = self._rules.step_on(
            before,
            self._clock.now(),
            levels=self._levels(),
            events=events,
            in_flight=in_flight,
            ended=ended,
            used=used,
        )
        moved = (before.share, before.paused) != (self._state.share, self._state.paused)
        if moved or self._state.share < 1.0:  # pools may have been made since
            limits = self._apply()
            if moved:
                self._decide(limits)

    def _levels(self) -> dict[str, Level]:
        found = self._monitor.levels
        levels: dict[str, Level] = {name: found[name] for name in _RESOURCES if name in found}
        levels["memory"] = self._memory.level
        return levels

    def _told_memory(self) -> str:
        used = self._memory.used
        return (
            self._memory.level
            if used is None
            else f"{self._memory.level} ({used:.0%} of its bound)"
        )

    def _governed(self) -> list[tuple[Any, Weight]]:
        pools = [cast("Any", pool) for _, pool in living_pools()]
        found = [
            (pool, self._weights.get(pool.name, Weight())) for pool in pools if not pool.closed
        ]
        return [(pool, weight) for pool, weight in found if weight.weight > 0]

    def _work(self) -> tuple[int, int, float]:
        """Calls in flight that will end, calls that have ended, and how much of the limits is used."""
        in_flight = ended = limits = 0
        for pool, _ in self._governed():
            stats = pool.stats()
            in_flight += stats.in_flight - stats.abandoned
            ended += stats.completed + stats.failed
            limits += pool.set_limit
        return in_flight, ended, min(1.0, in_flight / limits) if limits else 1.0

    def _limits(self) -> dict[str, int]:
        return {pool.name: pool.stats().limit for pool, _ in self._governed()}

    def _apply(self) -> dict[str, int]:
        """Tell every pool what it may have in flight now."""
        state = self._state
        told: dict[str, int] = {}
        for pool, weight in self._governed():
            limit = pool.set_limit
            cap = cap_of(limit, share=state.share, weight=weight.weight, floor=weight.floor)
            cap = 0 if state.paused else cap
            pool.restrict(cap if cap < limit else None)
            told[pool.name] = min(cap, limit)
        return told

    def _decide(
        self, limits: Mapping[str, int], *, reason: str | None = None, freed: int | None = None
    ) -> None:
        state = self._state
        decision = Decision(
            clock.wall(), state.share, state.paused, reason or state.reason, limits, freed
        )
        self._decisions.append(decision)
        level = logging.INFO if state.share >= 1.0 and not state.paused else logging.WARNING
        log.log(
            level,
            "%s (share %.0f %%%s)",
            decision.reason,
            100 * state.share,
            ", paused" if state.paused else "",
        )


def decisions() -> tuple[Decision, ...]:
    """Return what the governors of this process have done lately, the oldest first."""
    found = [decision for governor in tuple(_GOVERNORS) for decision in governor.decisions()]
    return tuple(sorted(found, key=lambda decision: decision.at))
