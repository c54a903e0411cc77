"""What the figures must reach: the only place where such numbers stand.

*Must* is the bar; *aim* is what prototypes have shown to be possible. A KB is
1024 bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ("TARGETS", "Comparison", "Target")

Comparison = Literal["faster", "cost", "added", "more", "value"]
"""How a target's number comes about:

- ``faster``: the peer's figure over ours; at least.
- ``cost``: our figure over the peer's; at most.
- ``added``: what the peer adds to its base over what we add to ours; at least.
- ``more``: our figure less the peer's; at most.
- ``value``: our figure; at most.
"""

KB = 1024.0
MB = 1024.0 * KB


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One bar.

    Attributes:
        claim: The benchmark file.
        case: The case in it.
        work: What is done, for the table.
        ours: The variant whose figure it is.
        peer: The variant it is compared with; None for a plain value.
        ours_base: With ``added``: our variant without the addition.
        peer_base: With ``added``: the peer's variant without it.
        figure: Which figure.
        comparison: How the number comes about.
        must: The bar.
        aim: The better bar.
    """

    claim: str
    case: str
    work: str
    ours: str
    comparison: Comparison
    must: float
    aim: float
    peer: str | None = None
    ours_base: str | None = None
    peer_base: str | None = None
    figure: str = "each_cpu_s"

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.comparison in {"faster", "added"}

    @property
    def variants(self) -> Sequence[str]:
        """Whose figures it needs."""
        names = (self.ours, self.ours_base, self.peer, self.peer_base)
        return [name for name in names if name is not None]


FLIGHT = "SingleFlight.run"
STREAM = "AsyncPool.stream"
GATHER = "Semaphore + gather"
RUN = "ThreadPool.run"
SUSPENDS = "stream, 10,000 items of sleep(0)"

TARGETS: Sequence[Target] = (
    Target(
        claim="streams",
        case="suspends",
        work=SUSPENDS,
        ours=STREAM,
        peer="bare loop of workers",
        comparison="cost",
        must=1.6,
        aim=1.3,
    ),
    Target(
        claim="streams",
        case="suspends",
        work=SUSPENDS,
        ours=STREAM,
        peer=GATHER,
        comparison="faster",
        must=5,
        aim=7,
    ),
    Target(
        claim="streams",
        case="suspends",
        work=SUSPENDS,
        ours=STREAM,
        peer="aiometer.amap",
        comparison="faster",
        must=15,
        aim=25,
    ),
    Target(
        claim="streams",
        case="suspends",
        work=SUSPENDS,
        ours=STREAM,
        peer="anyio task group + limiter",
        comparison="faster",
        must=15,
        aim=25,
    ),
    Target(
        claim="streams",
        case="million",
        work="the same with 1,000,000 items",
        ours=STREAM,
        peer=GATHER,
        comparison="faster",
        must=10,
        aim=15,
    ),
    Target(
        claim="streams",
        case="at-once",
        work="items that return at once",
        ours=STREAM,
        peer=GATHER,
        comparison="faster",
        must=8,
        aim=20,
    ),
    *(
        Target(
            claim="memory",
            case=case,
            work=f"added peak memory, {items}",
            ours=STREAM,
            comparison="value",
            figure="peak_rss_bytes",
            must=2 * MB,
            aim=1 * MB,
        )
        for case, items in (
            ("small", "10,000 items"),
            ("large", "1,000,000 items"),
            ("endless", "endless input"),
        )
    ),
    Target(
        claim="memory",
        case="stall",
        work="longest stall of the loop, 100,000 items",
        ours=STREAM,
        comparison="value",
        figure="stall_s",
        must=0.010,
        aim=0.003,
    ),
    Target(
        claim="deadlines",
        case="each",
        work="a deadline for each item, added cost",
        ours="stream with timeout",
        ours_base="stream",
        peer="bare loop + asyncio.timeout",
        peer_base="bare loop",
        comparison="added",
        must=10,
        aim=30,
    ),
    *(
        Target(
            claim="threads",
            case=case,
            work=f"await run, no-op, one at a time{where}",
            ours=RUN,
            peer="asyncio.to_thread",
            comparison="faster",
            must=1.7,
            aim=2.5,
        )
        for case, where in (("one", ""), ("one-core", ", on one core"))
    ),
    Target(
        claim="threads",
        case="sixteen",
        work="no-ops, 16 at once",
        ours=RUN,
        peer="asyncio.to_thread",
        comparison="faster",
        must=3,
        aim=5,
    ),
    Target(
        claim="threads",
        case="sixteen",
        work="no-ops, 16 at once",
        ours=RUN,
        peer="anyio.to_thread",
        comparison="faster",
        must=6,
        aim=10,
    ),
    Target(
        claim="threads",
        case="many",
        work="no-ops, 256 at once",
        ours=RUN,
        peer="asyncio.to_thread",
        comparison="faster",
        must=6,
        aim=10,
    ),
    Target(
        claim="threads",
        case="many",
        work="no-ops, 256 at once",
        ours=RUN,
        peer="anyio.to_thread",
        comparison="faster",
        must=12,
        aim=20,
    ),
    Target(
        claim="threads",
        case="sleeps",
        work="1 ms sleeps, 256 at once, wall",
        ours=RUN,
        peer="asyncio.to_thread",
        comparison="faster",
        figure="each_wall_s",
        must=2,
        aim=2.8,
    ),
    *(
        Target(
            claim="blocking",
            case=case,
            work=f"submit().result(), one at a time{where}",
            ours="ThreadPool.submit",
            peer="ThreadPoolExecutor.submit",
            comparison="faster",
            must=1.5,
            aim=3,
        )
        for case, where in (("one", ""), ("one-core", ", on one core"))
    ),
    Target(
        claim="blocking",
        case="window",
        work="submit, 16 outstanding",
        ours="ThreadPool.submit",
        peer="ThreadPoolExecutor.submit",
        comparison="faster",
        must=3,
        aim=10,
    ),
    Target(
        claim="blocking",
        case="map",
        work="stream in blocking code, no-op",
        ours="ThreadPool.stream",
        peer="ThreadPoolExecutor.map",
        comparison="faster",
        must=10,
        aim=80,
    ),
    Target(
        claim="single_flight",
        case="crowd",
        work="10,000 callers of one key with a deadline each",
        ours=FLIGHT,
        peer="bare future, no deadline",
        comparison="cost",
        must=1.3,
        aim=1.1,
    ),
    Target(
        claim="single_flight",
        case="crowd",
        work="10,000 callers of one key with a deadline each",
        ours=FLIGHT,
        peer="wait_for + shield",
        comparison="faster",
        must=2,
        aim=3,
    ),
    Target(
        claim="single_flight",
        case="threads",
        work="10,000 callers of one key, coroutines or threads",
        ours=FLIGHT,
        peer="a parked thread each",
        comparison="faster",
        must=50,
        aim=300,
    ),
    Target(
        claim="single_flight",
        case="held",
        work="10,000 callers of one key that wait, each",
        ours=FLIGHT,
        comparison="value",
        figure="session_bytes",
        must=1.2 * KB,
        aim=1.0 * KB,
    ),
    Target(
        claim="single_flight",
        case="held",
        work="10,000 callers of one key that wait: threads beyond those of a bare future",
        ours=FLIGHT,
        peer="bare future, no deadline",
        comparison="more",
        figure="threads",
        must=0,
        aim=0,
    ),
    Target(
        claim="sessions",
        case="waiting",
        work="100,000 sessions waiting with a deadline, each",
        ours="AsyncPool.run",
        comparison="value",
        figure="session_bytes",
        must=1.6 * KB,
        aim=1.1 * KB,
    ),
    Target(
        claim="sessions",
        case="waiting",
        work="threads for 100,000 waiting sessions",
        ours="AsyncPool.run",
        comparison="value",
        figure="threads",
        must=1,
        aim=1,
    ),
    Target(
        claim="import",
        case="fresh",
        work="import, more than asyncio, wall",
        ours="import holdfast",
        peer="import asyncio",
        comparison="more",
        figure="each_wall_s",
        must=0.040,
        aim=0.015,
    ),
    *(
        Target(
            claim="sense",
            case=case,
            work=f"one sample, {fds} descriptors",
            ours="Sampler.sample",
            comparison="value",
            must=10e-6,
            aim=6e-6,
        )
        for case, fds in (("few", "100"), ("many", "10,000"))
    ),
    Target(
        claim="sense",
        case="few",
        work="one sample, 100 descriptors",
        ours="Sampler.sample",
        peer="psutil, oneshot",
        comparison="faster",
        must=5,
        aim=10,
    ),
    Target(
        claim="sense",
        case="many",
        work="one sample, 10,000 descriptors",
        ours="Sampler.sample",
        peer="psutil, oneshot",
        comparison="faster",
        must=300,
        aim=600,
    ),
    Target(
        claim="sense",
        case="kinds",
        work="10,000 descriptors by kind",
        ours="sense.descriptors_by_kind",
        peer="psutil, open_files + net_connections",
        comparison="faster",
        must=1.5,
        aim=2,
    ),
    Target(
        claim="sense",
        case="each",
        work="each of 10,000 descriptors told",
        ours="sense.open_descriptors",
        peer="psutil, open_files + net_connections",
        comparison="faster",
        must=2,
        aim=2.2,
    ),
    Target(
        claim="plugin",
        case="tests",
        work="the check of one test, on top of pytest",
        ours="pytest --holdfast",
        peer="pytest",
        comparison="more",
        must=0.001,
        aim=0.0005,
    ),
    *(
        Target(
            claim="sqlite",
            case=case,
            work=f"reads by key, {who}",
            ours="holdfast.sqlite",
            peer=peer,
            comparison="faster",
            must=must,
            aim=aim,
        )
        for case, who, peer, must, aim in (
            ("read-one", "one session", "aiosqlite", 5, 15),
            ("read-one", "one session", "a connection each", 20, 60),
            ("read-many", "50 sessions at once", "aiosqlite", 5, 8),
            ("read-many", "50 sessions at once", "a connection each", 20, 30),
        )
    ),
    Target(
        claim="sqlite",
        case="write-many",
        work="durable writes, 200 sessions at once, wall",
        ours="holdfast.sqlite",
        peer="aiosqlite",
        comparison="faster",
        figure="each_wall_s",
        must=2,
        aim=3,
    ),
    Target(
        claim="sqlite",
        case="write-alone",
        work="durable writes that share nothing, 200 sessions at once, wall",
        ours="holdfast.sqlite",
        peer="aiosqlite, locked",
        comparison="faster",
        figure="each_wall_s",
        must=10,
        aim=50,
    ),
    *(
        Target(
            claim="http",
            case="thousand",
            work="calls, 1,000 at once",
            ours=ours,
            peer=peer,
            comparison="faster",
            must=must,
            aim=aim,
        )
        for ours, peer, must, aim in (
            ("holdfast.http.httpx", "httpx", 3, 7),
            ("holdfast.http.httpx2", "httpx2", 3, 7),
        )
    ),
    Target(
        claim="http",
        case="thousand",
        work="calls, 1,000 at once, beside the bare client",
        ours="holdfast.http, limit=1000",
        peer="aiohttp",
        comparison="cost",
        must=1.5,
        aim=1.1,
    ),
    Target(
        claim="http",
        case="sdk",
        work="calls of the openai package, 1,000 at once",
        ours="holdfast.http.openai",
        peer="AsyncOpenAI",
        comparison="faster",
        must=2,
        aim=4,
    ),
    Target(
        claim="subprocess",
        case="timeouts",
        work="processes left after 100 timed-out tools that started children",
        ours="run_process",
        comparison="value",
        figure="orphans",
        must=0,
        aim=0,
    ),
    Target(
        claim="subprocess",
        case="one",
        work="`true`, one after the other",
        ours="run_process",
        peer="asyncio.create_subprocess_exec",
        comparison="cost",
        must=1.3,
        aim=1.1,
    ),
    *(
        Target(
            claim="watch",
            case=case,
            work=f"one sample of the monitor, {fds} descriptors",
            ours="Monitor.tick",
            comparison="value",
            must=150e-6,
            aim=80e-6,
        )
        for case, fds in (("few", "100"), ("many", "10,000"))
    ),
    Target(
        claim="watch",
        case="second",
        work="monitor at ten samples a second, each second",
        ours="Monitor(interval=0.1)",
        comparison="value",
        must=0.002,
        aim=0.001,
    ),
    *(
        Target(
            claim="processes",
            case="one",
            work="a no-op there and back, one worker",
            ours="ProcessPool",
            peer=peer,
            comparison="faster",
            figure="each_wall_s",
            must=must,
            aim=aim,
        )
        for peer, must, aim in (
            ("ProcessPoolExecutor", 6, 12),
            ("pebble.ProcessPool", 6, 12),
            ("loky", 10, 20),
        )
    ),
    *(
        Target(
            claim="processes",
            case="many",
            work="no-ops, two workers",
            ours="ProcessPool.stream",
            peer=peer,
            comparison="faster",
            figure="each_wall_s",
            must=must,
            aim=aim,
        )
        for peer, must, aim in (("ProcessPoolExecutor", 6, 10), ("multiprocessing.Pool", 2, 4))
    ),
    *(
        Target(
            claim="processes",
            case="large",
            work="1 MiB there and back",
            ours="ProcessPool",
            peer=peer,
            comparison="faster",
            figure="each_wall_s",
            must=must,
            aim=aim,
        )
        for peer, must, aim in (("ProcessPoolExecutor", 4, 8), ("mpire", 2, 4.5))
    ),
    *(
        Target(
            claim="processes",
            case=case,
            work=work,
            ours="ProcessPool",
            comparison="value",
            figure=figure,
            must=must,
            aim=aim,
        )
        for case, work, figure, must, aim in (
            (
                "recover",
                "from a stuck call's timeout to another's result",
                "usable_s",
                0.010,
                0.001,
            ),
            ("start", "the first worker", "first_s", 0.060, 0.025),
            ("start", "each further worker", "further_s", 0.010, 0.003),
            ("four", "four stuck C loops, 1 s each: all callers know", "told_s", 1.3, 1.05),
            ("four", "four stuck C loops, 1 s each: four workers usable", "usable_s", 1.5, 1.1),
            ("tools", "processes left after 100 timed-out tools", "orphans", 0, 0),
        )
    ),
)
