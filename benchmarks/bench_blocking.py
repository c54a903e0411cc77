"""A pool of threads in blocking code: ``submit`` and ``stream``."""

import contextlib
import multiprocessing.pool
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from benchmarks.bare import BareFuture, BareThreads
from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from holdfast import ThreadPool
from holdfast._core.latch import PipeLatch, closed_lock

CLAIM = Claim("blocking", "As an executor in blocking code, a pool is cheaper than the standard's.")

WORKERS = 16


def no_op(item: int) -> int:
    """The smallest call: what is measured is the way there and back."""
    return item


# ---------------------------------------------------------------- submit


Bounded = Executor | contextlib.closing[BareThreads]


def _one_at_a_time(meter: Meter, n: int, bounded: Bounded) -> None:
    with bounded as executor:
        executor.submit(no_op, 0).result()
        with meter.measure():
            for item in range(n):
                executor.submit(no_op, item).result()


def _windowed(meter: Meter, n: int, bounded: Bounded) -> None:
    outstanding: deque[Future[int] | BareFuture] = deque()
    with bounded as executor:
        executor.submit(no_op, 0).result()
        with meter.measure():
            for item in range(n):
                if len(outstanding) == WORKERS:
                    outstanding.popleft().result()
                outstanding.append(executor.submit(no_op, item))
            while outstanding:
                outstanding.popleft().result()


def holdfast_one(meter: Meter, n: int) -> None:
    _one_at_a_time(meter, n, ThreadPool(WORKERS, name="bench"))


def standard_one(meter: Meter, n: int) -> None:
    _one_at_a_time(meter, n, ThreadPoolExecutor(WORKERS))


def holdfast_window(meter: Meter, n: int) -> None:
    _windowed(meter, n, ThreadPool(WORKERS, name="bench"))


def standard_window(meter: Meter, n: int) -> None:
    _windowed(meter, n, ThreadPoolExecutor(WORKERS))


def bare_one(meter: Meter, n: int) -> None:
    _one_at_a_time(meter, n, contextlib.closing(BareThreads(WORKERS)))


def bare_window(meter: Meter, n: int) -> None:
    _windowed(meter, n, contextlib.closing(BareThreads(WORKERS)))


# On one core as well, for the reason that bench_threads.py gives.
ONE = CLAIM.case(
    "one", "`submit().result()`, one at a time", n=1_000, quick_n=1_000, unit="call", repeats=7
)
ONE_CORE = CLAIM.case(
    "one-core",
    "`submit().result()`, one at a time, all threads on one core",
    n=1_000,
    quick_n=1_000,
    unit="call",
    repeats=7,
    one_core=True,
)
for _case in (ONE, ONE_CORE):
    _case.add("ThreadPool.submit", holdfast_one, ours=True)
    _case.add("ThreadPoolExecutor.submit", standard_one)
    _case.add("bare threads, no promises", bare_one)

WINDOW = CLAIM.case(
    "window", "`submit` with 16 outstanding", n=10_000, quick_n=10_000, unit="call", repeats=3
)
WINDOW.add("ThreadPool.submit", holdfast_window, ours=True)
WINDOW.add("ThreadPoolExecutor.submit", standard_window)
WINDOW.add("bare threads, no promises", bare_window)

# ---------------------------------------------------------------- stream


def holdfast_stream(meter: Meter, n: int, *, buffer: int | None) -> None:
    with ThreadPool(WORKERS, name="bench") as pool, meter.measure():
        results = list(pool.stream(no_op, range(n), buffer=buffer))
    assert len(results) == n


def standard_map(meter: Meter, n: int) -> None:
    with ThreadPoolExecutor(WORKERS) as executor, meter.measure():
        results = list(executor.map(no_op, range(n)))
    assert len(results) == n


def multiprocessing_imap(meter: Meter, n: int) -> None:
    with multiprocessing.pool.ThreadPool(WORKERS) as pool:
        with meter.measure():
            results = list(pool.imap(no_op, range(n)))
        pool.close()
        pool.join()
    assert len(results) == n


def inline(meter: Meter, n: int) -> None:
    with meter.measure():
        results = [no_op(item) for item in range(n)]
    assert len(results) == n


MAP = CLAIM.case("map", "no-ops over an input, in order", n=20_000, quick_n=10_000, repeats=3)
MAP.add("ThreadPool.stream", holdfast_stream, ours=True, buffer=None)
MAP.add("ThreadPool.stream, buffer=1024", holdfast_stream, ours=True, buffer=1024)
MAP.add("ThreadPoolExecutor.map", standard_map)
MAP.add("multiprocessing ThreadPool.imap", multiprocessing_imap)
MAP.add("a loop, no threads", inline)

# ---------------------------------------------------------------- one thread wakes another


class _Event:
    """A latch over an eventfd."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0)

    def acquire(self) -> None:
        os.eventfd_read(self._fd)

    def release(self) -> None:
        os.eventfd_write(self._fd, 1)

    def __del__(self) -> None:
        os.close(self._fd)


def hop(meter: Meter, n: int, *, make: Callable[[], Any]) -> None:
    there, back = make(), make()

    def answer() -> None:
        for _ in range(n):
            there.acquire()
            back.release()

    thread = threading.Thread(target=answer)
    thread.start()
    with meter.measure():
        for _ in range(n):
            there.release()
            back.acquire()
    thread.join()


# What all of the above rests on: there and back, without a call.
HOP = CLAIM.case(
    "hop",
    "one thread wakes another, and waits for it",
    n=2_000,
    quick_n=1_000,
    unit="hop",
    repeats=7,
)
HOP.add("pipe", hop, ours=True, make=PipeLatch)
HOP.add("eventfd", hop, make=_Event)
HOP.add("lock", hop, make=closed_lock)

if __name__ == "__main__":
    raise SystemExit(main(["blocking", *sys.argv[1:]]))
