"""One soak: so many sessions through a stream, samples on the way, and a verdict."""

import asyncio
import contextlib
import gc
import itertools
import os
import sys
import tempfile
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.kinds import KINDS, Session
from tests.soak.slopes import Slope, slope_of

import holdfast
from holdfast._core.latch import close_stock
from holdfast.pools._timer import TIMER
from holdfast.sense import read_own

__all__ = ("BARS", "Soak", "Verdict")

SAMPLES = 60
WARM = 0.2
"""The share of the sessions in which everything may still grow to its size."""

BARS = {"fds": 0.0, "threads": 0.0, "rss_bytes": 1e6, "blocks": 1000.0}
"""What may come with a million sessions at most: a byte of memory for each, a block for each thousand."""

FLOORS = {"fds": 10.0, "threads": 3.0, "rss_bytes": 512 * 1024.0, "blocks": 2000.0}
"""What is no growth however few sessions there were: pools that fill, pages touched for the first time."""


@dataclass(slots=True)
class Verdict:
    """What became of a soak.

    Attributes:
        sessions: How many there were.
        outcomes: How they ended.
        slopes: How each series went, from the warm part on.
        left: What was still there at the end, in words; nothing if all is well.
        faults: What is wrong, in words.
    """

    sessions: int
    outcomes: Counter[str] = field(default_factory=Counter)
    slopes: dict[str, Slope] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Soak:
    """Runs sessions of some kinds, ``limit`` at once.

    Args:
        sessions: How many.
        kinds: Names out of ``KINDS``.
        limit: How many at once.
        plant: What to do in each session besides: a leak, to see that it is found.
        show: Called with a line now and then.
    """

    def __init__(
        self,
        sessions: int,
        kinds: Iterable[str] = tuple(KINDS),
        *,
        limit: int = 50,
        plant: Callable[[int], None] | None = None,
        show: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._sessions = sessions
        self._kinds = tuple(kinds)
        self._limit = limit
        self._plant = plant
        self._show = show
        # All room that samples need is taken before the first session: they must not be what grows.
        self._at = array("q", [0] * (SAMPLES + 1))
        self._series = {name: array("d", [0.0] * (SAMPLES + 1)) for name in BARS}
        self._taken = 0
        self._outcomes: Counter[str] = Counter()

    def run(self) -> Verdict:
        """Run it, in a loop of its own."""
        asyncio.run(self._warm_up())
        before = self._holdings()
        asyncio.run(self._all())
        verdict = Verdict(self._sessions, self._outcomes)
        self._judge(verdict, before)
        return verdict

    async def _warm_up(self) -> None:
        """Have everything imported and made that the process makes once."""
        async with self._opened() as sessions:
            for number in range(200):
                with contextlib.suppress(Exception):
                    await sessions[number % len(sessions)](number)

    @contextlib.asynccontextmanager
    async def _opened(self):
        """Enter the kinds; give their sessions, each as often as its share says."""
        async with contextlib.AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shares: list[Session] = []
            for name in self._kinds:
                kind, share = KINDS[name]
                own = folder / name
                own.mkdir()
                shares += [await stack.enter_async_context(kind(own))] * share
            yield shares

    async def _all(self) -> None:
        every = max(1, self._sessions // SAMPLES)
        async with self._opened() as sessions:
            order = itertools.cycle(range(0, len(sessions) * 7, 7))  # kinds one among the other

            async def session(number: int) -> None:
                if self._plant is not None:
                    self._plant(number)
                await sessions[next(order) % len(sessions)](number)

            done = 0
            stream = holdfast.stream(
                session, range(self._sessions), limit=self._limit, ordered=False, outcomes=True
            )
            async for outcome in stream:
                done += 1
                self._outcomes[
                    "fine" if outcome.error is None else type(outcome.error).__name__
                ] += 1
                if (
                    done % every == 0 and done < self._sessions - self._limit
                ):  # not while it empties
                    self._sample(done)

    def _sample(self, done: int) -> None:
        """Descriptors first: a collection would hide what only it closes."""
        own, at = read_own(), self._taken
        self._series["fds"][at] = own.fds or 0
        self._series["threads"][at] = own.threads or 0
        gc.collect()
        self._series["rss_bytes"][at] = read_own().rss_bytes or 0
        self._series["blocks"][at] = sys.getallocatedblocks()
        self._at[at] = done
        self._taken += 1
        if self._taken % 10 == 0:
            self._show(
                f"{done:>10,} sessions: {own.fds} descriptors, {own.threads} threads, "
                f"{self._series['rss_bytes'][at] / 2**20:.1f} MiB, "
                f"{self._series['blocks'][at]:,.0f} blocks, {len(holdfast.track.opened())} open"
            )

    # ------------------------------------------------------------ afterwards

    def _holdings(self) -> tuple[set[str], set[int | None]]:
        TIMER.settle()
        close_stock()
        gc.collect()
        fds = {f"{fd} {_target(fd)}" for fd in os.listdir("/dev/fd")}
        return fds, {thread.ident for thread in threading.enumerate()}

    def _judge(self, verdict: Verdict, before: tuple[set[str], set[int | None]]) -> None:
        start = int(self._taken * WARM)
        at = self._at[start : self._taken]
        for name, bar in BARS.items():
            values = list(self._series[name][start : self._taken])
            slope = verdict.slopes[name] = slope_of(at, values)
            third = len(values) // 3
            grown = max(values[-third:]) - max(values[:third])
            sure = slope.per_million - 3.1 * slope.error > bar
            if slope.rises and sure and grown > FLOORS[name]:
                verdict.faults.append(
                    f"{name} grow by {slope.per_million:,.0f} +- {slope.error:,.0f} for each million of sessions"
                )
        fds, threads = self._holdings()
        listing = {one for one in fds - before[0] if one.split(" ", 1)[1]}
        verdict.left += [f"descriptor {one}" for one in sorted(listing)]
        verdict.left += [f"thread {one}" for one in threads - before[1]]
        verdict.left += [str(one) for one in holdfast.track.opened()]
        verdict.left += [
            f"{count} drawn by {owner}" for owner, count in holdfast.track.DESCRIPTORS.holders()
        ]
        verdict.faults += [f"left at the end: {one}" for one in verdict.left]
        if verdict.outcomes.total() != verdict.sessions:
            verdict.faults.append(f"{verdict.outcomes.total()} outcomes of {verdict.sessions}")
        verdict.faults += [
            f"{count} sessions ended with {name}"
            for name, count in verdict.outcomes.items()
            if name not in ("fine", "Mishap")
        ]


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/dev/fd/{fd}")
    except OSError:  # the one that listed them
        return ""
