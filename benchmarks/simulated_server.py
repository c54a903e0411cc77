"""A server whose capacity changes, and callers that always have more to ask, on a clock of its own.

It works on so many calls at once and lets the others queue, first come first served. So calls beyond its
capacity gain nothing and make all of them wait: the best fixed limit is its capacity, and one or two more, as
a call takes a moment to arrive.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from holdfast.limits.adaptive import Adaptive, AdaptiveLimit
from holdfast.limits.call_window import percentile_of

_ARRIVES_S: Final = 0.0003
"""Seconds from the caller to the server; without them calls of the same length would go in step for ever."""

__all__ = ("Busy", "Fixed", "Phase", "PhaseResult", "Run", "adaptive", "best_fixed", "simulate")


@dataclass(frozen=True, slots=True)
class Phase:
    """So long, the server works on so many calls at once."""

    capacity: int
    lasts_s: float


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """What came of one phase.

    Attributes:
        throughput: Calls that ended in it, a second.
        p99_s: What all but one in a hundred of them took at most, in seconds.
    """

    throughput: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Busy:
    """How late the process is in which callers and server are: a machine that others use too.

    Attributes:
        each_s: What each message takes of it, one after the other.
        every_s: It is held up so often, in the mean.
        lasts_s: For so long, in the mean.
        seed: Of when and how long.
    """

    each_s: float
    every_s: float
    lasts_s: float
    seed: int

    def held_up(self) -> Iterator[tuple[float, float]]:
        """From when to when, for ever; exponential both."""
        draw = random.Random(self.seed)  # noqa: S311 - load, not secrets
        at = 0.0
        while True:
            at += draw.expovariate(1.0 / self.every_s)
            yield at, at + draw.expovariate(1.0 / self.lasts_s)


@dataclass(slots=True)
class Run:
    """All phases, and how the limit went."""

    phases: list[PhaseResult]
    limits: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])


class Fixed:
    """A limit that stays."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def begin(self, in_flight: int) -> None:
        """It does not matter to it."""

    def end(self, began: float, now: float) -> None:
        """It does not matter to it."""


class _Adaptive:
    def __init__(self, counter: AdaptiveLimit) -> None:
        self._counter = counter

    @property
    def limit(self) -> int:
        return self._counter.limit

    def begin(self, in_flight: int) -> None:
        self._counter.begin(in_flight)

    def end(self, began: float, now: float) -> None:
        self._counter.end(began, now, overload=False)


def adaptive(options: Adaptive) -> _Adaptive:
    """A limit that follows how the calls go."""
    return _Adaptive(options.counter(0.0))


def service_times(mean_s: float, spread: float, seed: int) -> Callable[[], float]:
    """Seconds that calls take once they are worked on: lognormal, with this mean and sigma."""
    draw = random.Random(seed)  # noqa: S311 - load, not secrets
    return lambda: mean_s * draw.lognormvariate(-spread * spread / 2.0, spread)


def simulate(
    limit: Fixed | _Adaptive,
    phases: Sequence[Phase],
    service_s: Callable[[], float],
    busy: Busy | None = None,
) -> Run:
    """Run the phases one after the other under ``limit``, with more work than can ever be done."""
    state = _Server(limit, phases, service_s, busy)
    return state.run()


class _Server:
    def __init__(
        self,
        limit: Fixed | _Adaptive,
        phases: Sequence[Phase],
        service_s: Callable[[], float],
        busy: Busy | None,
    ) -> None:
        self._busy = busy
        self._held_up = busy.held_up() if busy is not None else iter(())
        self._stands = next(self._held_up, (math.inf, math.inf))  # from when to when
        self._free = 0.0  # when the process has done what it was told last
        self._limit = limit
        self._phases = phases
        self._service_s = service_s
        self._now = 0.0
        self._in_flight = 0
        self._worked_on = 0
        self._coming: deque[float] = deque()  # on their way to the server
        self._queue: deque[float] = deque()
        self._events: list[tuple[float, int, float | None]] = []  # an end has when the call began
        self._count = 0
        self._limits: list[tuple[float, int]] = [(0.0, limit.limit)]

    def run(self) -> Run:
        results: list[PhaseResult] = []
        until = 0.0
        for phase in self._phases:
            until += phase.lasts_s
            took = self._until(until, phase.capacity)
            results.append(
                PhaseResult(len(took) / phase.lasts_s, percentile_of(took, 99.0) if took else 0.0)
            )
        return Run(results, self._limits)

    def _until(self, until: float, capacity: int) -> list[float]:
        took: list[float] = []
        self._start()
        self._serve(capacity)
        while self._events and self._events[0][0] < until:
            at, _, began = heapq.heappop(self._events)
            self._now = self._heard(at)
            if began is None:
                self._queue.append(self._coming.popleft())
            else:
                self._worked_on -= 1
                self._in_flight -= 1
                took.append(self._now - began)
                self._limit.end(began, self._now)
                if self._limits[-1][1] != self._limit.limit:
                    self._limits.append((self._now, self._limit.limit))
                self._start()
            self._serve(capacity)
        self._now = until
        return took

    def _heard(self, at: float) -> float:
        """When the process hears of what happens at ``at``."""
        if self._busy is None:
            return at
        at = max(at, self._free)
        while self._stands[1] <= at:
            self._stands = next(self._held_up)
        if self._stands[0] <= at:
            at = self._stands[1]
        self._free = at + self._busy.each_s
        return at

    def _start(self) -> None:
        while self._in_flight < self._limit.limit:
            self._in_flight += 1
            self._limit.begin(self._in_flight)
            self._coming.append(self._now)
            self._at(self._now + _ARRIVES_S, None)

    def _serve(self, capacity: int) -> None:
        while self._worked_on < capacity and self._queue:
            self._worked_on += 1
            self._at(self._now + self._service_s(), self._queue.popleft())

    def _at(self, time: float, began: float | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (time, self._count, began))


def best_fixed(
    capacity: int, lasts_s: float, service_s: Callable[[], float], busy: Busy | None = None
) -> PhaseResult:
    """What the best fixed limit makes of a server that stays as it is: the most throughput."""
    limits = range(max(1, capacity - 1), capacity + 3)
    found = [
        simulate(Fixed(n), [Phase(capacity, lasts_s)], service_s, busy).phases[0] for n in limits
    ]
    return max(found, key=lambda result: result.throughput)
