"""What a look at this process costs: one sample, all bounds, a breakdown of the descriptors."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Generator
from unittest import mock

from benchmarks.claim import Case, Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast import sense
from holdfast.sense import _counts

CLAIM = Claim("sense", "A sample costs microseconds, whatever the number of descriptors.")

Look = Callable[[], object]

ROOM = 200
"""Descriptors for everything that a run needs beside those that it is measured with."""


@contextlib.contextmanager
def descriptors(count: int) -> Generator[None]:
    """Hold ``count`` descriptors: files, sockets, pipes, eventfds in turn."""
    limit = sense.raise_fd_limit(count + ROOM)
    assert limit.after is None or limit.after >= count + ROOM, limit.reason
    with contextlib.ExitStack() as stack:
        held = 0
        while held < count:
            for fd in _some():
                stack.callback(os.close, fd)
                held += 1
        yield


def _some() -> list[int]:
    one, other = (end.detach() for end in socket.socketpair())
    found = [os.open(os.devnull, os.O_RDONLY), os.open(__file__, os.O_RDONLY), one, other]
    found += os.pipe()
    if hasattr(os, "eventfd"):
        found.append(os.eventfd(0))
    return found


def _measure(meter: Meter, n: int, look: Look, fds: int) -> None:
    with descriptors(fds):
        look()  # opens what is kept, and compares what the kernel tells with a listing
        with meter.measure():
            for _ in range(n):
                look()


def sampled(meter: Meter, n: int, *, fds: int) -> None:
    with sense.Sampler() as sampler:
        _measure(meter, n, sampler.sample, fds)


def listed(meter: Meter, n: int, *, fds: int) -> None:
    """As on a kernel that does not tell the number of descriptors or threads."""
    told = {_counts.FD: False, _counts.TASK: False}
    with mock.patch.object(_counts, "_known", told), sense.Sampler() as sampler:
        _measure(meter, n, sampler.sample, fds)


def nothing_kept(meter: Meter, n: int, *, fds: int) -> None:
    _measure(meter, n, sense.read_own, fds)


def with_psutil(meter: Meter, n: int, *, fds: int) -> None:
    process = load("psutil").Process()

    def look() -> None:
        with process.oneshot():
            process.num_fds()
            process.num_threads()
            process.memory_info()
            process.cpu_times()

    _measure(meter, n, look, fds)


def of_bounds(meter: Meter, n: int, *, fds: int) -> None:
    _measure(meter, n, sense.bounds, fds)


def by_kind(meter: Meter, n: int, *, fds: int) -> None:
    _measure(meter, n, sense.descriptors_by_kind, fds)


def each_one(meter: Meter, n: int, *, fds: int) -> None:
    _measure(meter, n, sense.open_descriptors, fds)


def by_psutil(meter: Meter, n: int, *, fds: int) -> None:
    process = load("psutil").Process()

    def look() -> None:
        process.open_files()
        process.net_connections("all")

    _measure(meter, n, look, fds)


SAMPLE = "Sampler.sample"


def _add_all(case: Case, fds: int) -> None:
    case.add(SAMPLE, sampled, ours=True, fds=fds)
    case.add("Sampler.sample, by listing", listed, ours=True, fds=fds)
    case.add("read_own, nothing kept", nothing_kept, ours=True, fds=fds)
    case.add("psutil, oneshot", with_psutil, fds=fds)


FEW = CLAIM.case(
    "few", "one sample, 100 descriptors", n=5_000, quick_n=2_000, unit="sample", repeats=3
)
_add_all(FEW, 100)

# The warm run is as long as it takes to be done with imports: by listing, each sample costs so much.
MANY = CLAIM.case(
    "many",
    "one sample, 10,000 descriptors",
    n=300,
    quick_n=100,
    unit="sample",
    repeats=3,
    warm_n=20,
)
_add_all(MANY, 10_000)

BOUNDS = CLAIM.case(
    "bounds", "all bounds, 100 descriptors", n=200, quick_n=50, unit="look", repeats=3, warm_n=20
)
BOUNDS.add("sense.bounds", of_bounds, ours=True, fds=100)

KINDS = CLAIM.case(
    "kinds",
    "10,000 descriptors by kind (psutil: files and sockets alone)",
    n=5,
    quick_n=2,
    unit="look",
    warm_n=1,
)
KINDS.add("sense.descriptors_by_kind", by_kind, ours=True, fds=10_000)
KINDS.add("psutil, open_files + net_connections", by_psutil, fds=10_000)

EACH = CLAIM.case(
    "each",
    "each of 10,000 descriptors told (psutil: files and sockets alone)",
    n=5,
    quick_n=2,
    unit="look",
    warm_n=1,
)
EACH.add("sense.open_descriptors", each_one, ours=True, fds=10_000)
EACH.add("psutil, open_files + net_connections", by_psutil, fds=10_000)

if __name__ == "__main__":
    raise SystemExit(main(["sense", *sys.argv[1:]]))
