"""What the figures must reach: the only place where such numbers stand.

*Must* is the bar; *aim* is what prototypes have shown to be possible. A KB is
1024 bytes.
"""

from collections.abc import Mapping, Sequence
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

Row = tuple[str, str, str | None, float, float]
"""Case, work, peer, must, aim: of targets that are alike in all else."""


def _bars(
    claim: str, ours: str, comparison: Comparison, *rows: Row, figure: str = "each_cpu_s"
) -> Sequence[Target]:
    return [
        Target(
            claim=claim,
            case=case,
            work=work,
            ours=ours,
            peer=peer,
            figure=figure,
            comparison=comparison,
            must=must,
            aim=aim,
        )
        for case, work, peer, must, aim in rows
    ]


_PROCESS_VALUES: Sequence[tuple[str, Row]] = (
    ("usable_s", ("recover", "from a stuck call's timeout to another's result", None, 0.01, 0.001)),
    ("first_s", ("start", "the first worker", None, 0.06, 0.025)),
    ("further_s", ("start", "each further worker", None, 0.01, 0.003)),
    ("told_s", ("four", "four stuck C loops, 1 s each: all callers know", None, 1.3, 1.05)),
    ("usable_s", ("four", "four stuck C loops, 1 s each: four workers usable", None, 1.5, 1.1)),
    ("orphans", ("tools", "processes left after 100 timed-out tools", None, 0, 0)),
)
"""Figure and row: one of each."""

_GUARDED: Mapping[str, str] = {
    "keep": "aiohttp, one connection",
    "close": "aiohttp, a connection each",
    "uvicorn-keep": "uvicorn, one connection",
    "uvicorn-close": "uvicorn, a connection each",
    "streams-keep": "streams of asyncio, one connection",
    "streams-close": "streams of asyncio, a connection each",
    "threads-keep": "`ThreadingHTTPServer`, one connection",
    "threads-close": "`ThreadingHTTPServer`, a connection and a thread each",
}

TARGETS: Sequence[Target] = (
    *_bars("streams", STREAM, "cost", ("suspends", SUSPENDS, "bare loop of workers", 1.6, 1.3)),
    *_bars(
        "streams",
        STREAM,
        "faster",
        ("suspends", SUSPENDS, GATHER, 5, 7),
        ("suspends", SUSPENDS, "aiometer.amap", 15, 25),
        ("suspends", SUSPENDS, "anyio task group + limiter", 15, 25),
        ("million", "the same with 1,000,000 items", GATHER, 10, 15),
        ("at-once", "items that return at once", GATHER, 8, 20),
    ),
    *_bars(
        "memory",
        STREAM,
        "value",
        ("small", "added peak memory, 10,000 items", None, 2 * MB, 1 * MB),
        ("large", "added peak memory, 1,000,000 items", None, 2 * MB, 1 * MB),
        ("endless", "added peak memory, endless input", None, 2 * MB, 1 * MB),
        figure="peak_rss_bytes",
    ),
    *_bars(
        "memory",
        STREAM,
        "value",
        ("stall", "longest stall of the loop, 100,000 items", None, 0.01, 0.003),
        figure="stall_s",
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
    *_bars(
        "threads",
        RUN,
        "faster",
        ("one", "await run, no-op, one at a time", "asyncio.to_thread", 1.7, 2.5),
        ("one-core", "await run, no-op, one at a time, on one core", "asyncio.to_thread", 1.7, 2.5),
        ("sixteen", "no-ops, 16 at once", "asyncio.to_thread", 3, 5),
        ("sixteen", "no-ops, 16 at once", "anyio.to_thread", 6, 10),
        ("many", "no-ops, 256 at once", "asyncio.to_thread", 6, 10),
        ("many", "no-ops, 256 at once", "anyio.to_thread", 12, 20),
    ),
    *_bars(
        "threads",
        RUN,
        "faster",
        ("sleeps", "1 ms sleeps, 256 at once, wall", "asyncio.to_thread", 2, 2.8),
        figure="each_wall_s",
    ),
    *_bars(
        "blocking",
        "ThreadPool.submit",
        "faster",
        ("one", "submit().result(), one at a time", "ThreadPoolExecutor.submit", 1.5, 3),
        (
            "one-core",
            "submit().result(), one at a time, on one core",
            "ThreadPoolExecutor.submit",
            1.5,
            3,
        ),
        ("window", "submit, 16 outstanding", "ThreadPoolExecutor.submit", 3, 10),
    ),
    *_bars(
        "blocking",
        "ThreadPool.stream",
        "faster",
        ("map", "stream in blocking code, no-op", "ThreadPoolExecutor.map", 10, 80),
    ),
    *_bars(
        "single_flight",
        FLIGHT,
        "cost",
        (
            "crowd",
            "10,000 callers of one key with a deadline each",
            "bare future, no deadline",
            1.3,
            1.1,
        ),
    ),
    *_bars(
        "single_flight",
        FLIGHT,
        "faster",
        ("crowd", "10,000 callers of one key with a deadline each", "wait_for + shield", 2, 3),
        (
            "threads",
            "10,000 callers of one key, coroutines or threads",
            "a parked thread each",
            50,
            300,
        ),
    ),
    *_bars(
        "single_flight",
        FLIGHT,
        "value",
        ("held", "10,000 callers of one key that wait, each", None, 1.2 * KB, 1 * KB),
        figure="session_bytes",
    ),
    *_bars(
        "single_flight",
        FLIGHT,
        "more",
        (
            "held",
            "10,000 callers of one key that wait: threads beyond those of a bare future",
            "bare future, no deadline",
            0,
            0,
        ),
        figure="threads",
    ),
    *_bars(
        "sessions",
        "AsyncPool.run",
        "value",
        ("waiting", "100,000 sessions waiting with a deadline, each", None, 1.6 * KB, 1.1 * KB),
        figure="session_bytes",
    ),
    *_bars(
        "sessions",
        "AsyncPool.run",
        "value",
        ("waiting", "threads for 100,000 waiting sessions", None, 1, 1),
        figure="threads",
    ),
    *_bars(
        "import",
        "import holdfast",
        "more",
        ("fresh", "import, more than asyncio, wall", "import asyncio", 0.04, 0.015),
        figure="each_wall_s",
    ),
    *_bars(
        "sense",
        "Sampler.sample",
        "value",
        ("few", "one sample, 100 descriptors", None, 10e-6, 6e-6),
        ("many", "one sample, 10,000 descriptors", None, 10e-6, 6e-6),
    ),
    *_bars(
        "sense",
        "Sampler.sample",
        "faster",
        ("few", "one sample, 100 descriptors", "psutil, oneshot", 5, 10),
        ("many", "one sample, 10,000 descriptors", "psutil, oneshot", 300, 600),
    ),
    *_bars(
        "sense",
        "sense.descriptors_by_kind",
        "faster",
        ("kinds", "10,000 descriptors by kind", "psutil, open_files + net_connections", 1.5, 2),
    ),
    *_bars(
        "sense",
        "sense.open_descriptors",
        "faster",
        ("each", "each of 10,000 descriptors told", "psutil, open_files + net_connections", 2, 2.2),
    ),
    *_bars(
        "plugin",
        "pytest --holdfast",
        "more",
        ("tests", "the check of one test, on top of pytest", "pytest", 0.001, 500e-6),
    ),
    *_bars(
        "sqlite",
        "holdfast.sqlite",
        "faster",
        ("read-one", "reads by key, one session", "aiosqlite", 5, 15),
        ("read-one", "reads by key, one session", "a connection each", 20, 60),
        ("read-many", "reads by key, 50 sessions at once", "aiosqlite", 5, 8),
        ("read-many", "reads by key, 50 sessions at once", "a connection each", 20, 30),
    ),
    *_bars(
        "sqlite",
        "holdfast.sqlite",
        "faster",
        ("write-fifty", "durable writes, 50 sessions at once, wall", "aiosqlite", 2, 3),
        ("write-many", "durable writes, 200 sessions at once, wall", "aiosqlite", 2, 3),
        ("write-thousand", "durable writes, 1,000 sessions at once, wall", "aiosqlite", 2, 3),
        (
            "write-alone",
            "durable writes that share nothing, 200 sessions at once, wall",
            "aiosqlite, locked",
            10,
            50,
        ),
        figure="each_wall_s",
    ),
    *_bars(
        "http", "holdfast.http.httpx", "faster", ("thousand", "calls, 1,000 at once", "httpx", 3, 7)
    ),
    *_bars(
        "http",
        "holdfast.http.httpx2",
        "faster",
        ("thousand", "calls, 1,000 at once", "httpx2", 3, 7),
    ),
    *_bars(
        "http",
        "holdfast.http, limit=1000",
        "cost",
        ("thousand", "calls, 1,000 at once, beside the bare client", "aiohttp", 1.5, 1.1),
    ),
    *_bars(
        "http",
        "holdfast.http.openai",
        "faster",
        ("sdk", "calls of the openai package, 1,000 at once", "AsyncOpenAI", 2, 4),
    ),
    *_bars(
        "subprocess",
        "run_process",
        "value",
        ("timeouts", "processes left after 100 timed-out tools that started children", None, 0, 0),
        figure="orphans",
    ),
    *_bars(
        "subprocess",
        "run_process",
        "cost",
        ("one", "`true`, one after the other", "asyncio.create_subprocess_exec", 1.3, 1.1),
    ),
    *_bars(
        "watch",
        "Monitor.tick",
        "value",
        ("few", "one sample of the monitor, 100 descriptors", None, 150e-6, 80e-6),
        ("many", "one sample of the monitor, 10,000 descriptors", None, 150e-6, 80e-6),
    ),
    *_bars(
        "watch",
        "Monitor(interval=0.1)",
        "value",
        ("second", "monitor at ten samples a second, each second", None, 0.002, 0.001),
    ),
    *_bars(
        "guard",
        "guarded",
        "cost",
        *(
            (f"{case}-instructions", f"a request under `holdfast run`: {work}", "plain", 1.07, 1.05)
            for case, work in _GUARDED.items()
        ),
        figure="request_instructions",
    ),
    *_bars(
        "processes",
        "ProcessPool",
        "faster",
        ("one", "a no-op there and back, one worker", "ProcessPoolExecutor", 6, 12),
        ("one", "a no-op there and back, one worker", "pebble.ProcessPool", 6, 12),
        ("one", "a no-op there and back, one worker", "loky", 10, 20),
        ("one-core", "the same, everybody on one core", "ProcessPoolExecutor", 6, 12),
        ("one-core", "the same, everybody on one core", "pebble.ProcessPool", 6, 12),
        ("one-core", "the same, everybody on one core", "loky", 10, 20),
        figure="each_wall_s",
    ),
    *_bars(
        "processes",
        "ProcessPool.stream",
        "faster",
        ("many", "no-ops, two workers", "ProcessPoolExecutor", 6, 10),
        ("many", "no-ops, two workers", "multiprocessing.Pool", 2, 4),
        figure="each_wall_s",
    ),
    *_bars(
        "processes",
        "ProcessPool",
        "faster",
        ("large", "1 MiB there and back", "ProcessPoolExecutor", 4, 8),
        ("large", "1 MiB there and back", "mpire", 2, 4.5),
        figure="each_wall_s",
    ),
    *(
        target
        for figure, row in _PROCESS_VALUES
        for target in _bars("processes", "ProcessPool", "value", row, figure=figure)
    ),
)
