"""What it costs to be watched: one tick of the monitor, one snapshot, one look of a trend."""

import contextlib
import sys
from collections.abc import Generator

import holdfast
from benchmarks.bench_sense import descriptors
from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from holdfast.testing import FakeClock
from holdfast.watch import Living, Monitor, Trend

CLAIM = Claim("watch", "A monitor's sample costs microseconds, and trends little more.")


@contextlib.contextmanager
def pools(count: int) -> Generator[None]:
    """Have so many pools."""
    with contextlib.ExitStack() as stack:
        for n in range(count):
            stack.enter_context(holdfast.ThreadPool(4, name=f"pool {n}"))
        yield


def ticks(meter: Meter, n: int, *, fds: int) -> None:
    """Ticks between the dear readings, which have an interval of their own."""
    with descriptors(fds), pools(4):
        monitor = Monitor()
        monitor.tick()
        with meter.measure():
            for _ in range(n):
                monitor.tick()
        monitor.close()


def seconds(meter: Meter, n: int, *, fds: int) -> None:
    """Seconds of a monitor that ticks ten times in each, with all that is due in them."""
    with FakeClock() as time, descriptors(fds), pools(4):
        monitor = Monitor(interval=0.1)
        monitor.tick()
        with meter.measure():
            for _ in range(n * 10):
                time.advance(0.1)
                monitor.tick()
        monitor.close()


def snapshots(meter: Meter, n: int, *, fds: int) -> None:
    with descriptors(fds), pools(4):
        holdfast.snapshot()
        with meter.measure():
            for _ in range(n):
                holdfast.snapshot()


def looks(meter: Meter, n: int, *, living: int) -> None:
    """All that lives is told again, and the trend looks at it."""
    things = [Living((fd, "socket"), f"place {fd % 50}") for fd in range(living)]
    trend = Trend("descriptors", limit=65_536)
    trend.see(0.0, [])
    with meter.measure():
        for look in range(1, n + 1):
            trend.see(look * 30.0, things)
            trend.add(look * 30.0, living)


TICK = "Monitor.tick"

for name, fds in (("few", 100), ("many", 10_000)):
    CLAIM.case(
        name,
        f"one sample of the monitor, {fds:,} descriptors, 4 pools",
        n=2_000,
        quick_n=500,
        unit="sample",
        repeats=3,
        warm_n=20,
    ).add(TICK, ticks, ours=True, fds=fds)

CLAIM.case(
    "second",
    "a second at ten samples, dear readings included, 100 descriptors",
    n=120,
    quick_n=60,
    unit="second",
    warm_n=2,
).add("Monitor(interval=0.1)", seconds, ours=True, fds=100)

CLAIM.case(
    "snapshot",
    "holdfast.snapshot(), no monitor, 100 descriptors",
    n=100,
    quick_n=30,
    unit="snapshot",
    warm_n=5,
).add("holdfast.snapshot", snapshots, ours=True, fds=100)

CLAIM.case(
    "look",
    "a trend is told of 10,000 that live, and looks",
    n=50,
    quick_n=20,
    unit="look",
    warm_n=2,
).add("Trend.see + add", looks, ours=True, living=10_000)

if __name__ == "__main__":
    raise SystemExit(main(["watch", *sys.argv[1:]]))
