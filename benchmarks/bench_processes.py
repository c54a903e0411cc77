"""Calls in worker processes: there and back, many, large, stuck, and how soon there is a worker."""

import contextlib
import functools
import itertools
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast import CallTimeout, ProcessPool
from holdfast.pools import _process_payload, _process_setup

CLAIM = Claim("processes", "Work that can be killed costs a pipe there and a pipe back.")

TIMEOUT = 60.0
MEBIBYTE = b"x" * (1 << 20)


def no_op(item: object) -> object:
    """The smallest call: what is measured is the way there and back."""
    return item


SPIN = (sum, range(10**13))
"""A loop of C code, which no Python signal handler interrupts. What is built in has no module that each
new worker would have to import; what is measured is the pool."""


# ---------------------------------------------------------------- callers

Call = Callable[[object], object]
Opened = Generator[tuple[Call, Callable[[Iterable[object]], Iterable[object]]]]
"""One call and its result; many of them, in order."""


@contextlib.contextmanager
def holdfast_pool(workers: int) -> Opened:
    with ProcessPool(workers, name="bench", timeout=TIMEOUT) as pool:
        yield (
            (lambda item: pool.submit(no_op, item).result()),
            (lambda items: pool.stream(no_op, items)),
        )


@contextlib.contextmanager
def holdfast_submit(workers: int) -> Opened:
    with ProcessPool(workers, name="bench", timeout=TIMEOUT, max_queue=1_000_000) as pool:
        yield (
            (lambda item: pool.submit(no_op, item).result()),
            (lambda items: pool.map(no_op, items)),
        )


@contextlib.contextmanager
def standard(workers: int, method: str | None = None) -> Opened:
    context = mp.get_context(method)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield (
            (lambda item: pool.submit(no_op, item).result()),
            (lambda items: pool.map(no_op, items)),
        )


@contextlib.contextmanager
def mp_pool(workers: int) -> Opened:
    with mp.Pool(workers) as pool:
        yield (lambda item: pool.apply(no_op, (item,))), (lambda items: pool.imap(no_op, items))


@contextlib.contextmanager
def pebble_pool(workers: int) -> Opened:
    pebble = load("pebble")
    with pebble.ProcessPool(max_workers=workers) as pool:

        def call(item: object) -> object:
            return pool.schedule(no_op, args=[item], timeout=TIMEOUT).result()

        def many(items: Iterable[object]) -> Iterable[object]:
            futures = [pool.schedule(no_op, args=[item], timeout=TIMEOUT) for item in items]
            return (future.result() for future in futures)

        yield call, many


@contextlib.contextmanager
def loky_pool(workers: int) -> Opened:
    pool = load("loky").ProcessPoolExecutor(workers)
    try:
        yield (
            (lambda item: pool.submit(no_op, item).result()),
            (lambda items: pool.map(no_op, items)),
        )
    finally:
        pool.shutdown()


@contextlib.contextmanager
def mpire_pool(workers: int) -> Opened:
    with load("mpire").WorkerPool(workers) as pool:
        yield (lambda item: pool.apply(no_op, (item,))), (lambda items: pool.imap(no_op, items))


_ECHO = """
import os
while data := os.read(0, 100):
    os.write(1, data)
"""


@contextlib.contextmanager
def bare_pipe(_workers: int) -> Opened:
    """The floor: a byte to another interpreter and back, without anything else."""
    command = [sys.executable, "-I", "-S", "-c", _ECHO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as echo:  # noqa: S603 - our own
        assert echo.stdin is not None
        assert echo.stdout is not None
        to, back = echo.stdin.fileno(), echo.stdout.fileno()

        def call(_: object) -> object:
            os.write(to, b"x")
            return os.read(back, 100)

        yield call, lambda items: map(call, items)


Open = Callable[[int], Any]


def one_after_the_other(meter: Meter, n: int, *, pool: Open, payload: object = 0) -> None:
    with pool(1) as (call, _):
        for _ in range(5):
            call(payload)
        with meter.measure():
            for _ in range(n):
                call(payload)


def many_at_once(meter: Meter, n: int, *, pool: Open) -> None:
    with pool(2) as (_, many):
        for _ in many(range(200)):
            pass
        with meter.measure():
            for _ in many(range(n)):
                pass


ONE = CLAIM.case(
    "one",
    "no-ops, one at a time, one worker, with a timeout where there is one",
    n=2_000,
    quick_n=500,
    unit="call",
    repeats=3,
    warm_n=50,
    compared="each_wall_s",
)
ONE_CORE = CLAIM.case(
    "one-core",
    "the same with everybody on one core: what a call costs beside the wake-ups of another core",
    n=2_000,
    quick_n=500,
    unit="call",
    repeats=3,
    warm_n=50,
    one_core=True,
    compared="each_wall_s",
)
MANY = CLAIM.case(
    "many",
    "no-ops, many at once, two workers",
    n=10_000,
    quick_n=2_000,
    unit="call",
    repeats=3,
    warm_n=50,
    compared="each_wall_s",
)
LARGE = CLAIM.case(
    "large",
    "1 MiB of bytes there and back, one at a time",
    n=100,
    quick_n=40,
    unit="call",
    repeats=3,
    warm_n=10,
    compared="each_wall_s",
)
for _name, _pool, _ours in (
    ("ProcessPool", holdfast_pool, True),
    ("ProcessPoolExecutor", standard, False),
    ("multiprocessing.Pool", mp_pool, False),
    ("pebble.ProcessPool", pebble_pool, False),
    ("loky", loky_pool, False),
    ("mpire", mpire_pool, False),
):
    ONE.add(_name, one_after_the_other, ours=_ours, pool=_pool)
    ONE_CORE.add(_name, one_after_the_other, ours=_ours, pool=_pool)
    MANY.add("ProcessPool.stream" if _ours else _name, many_at_once, ours=_ours, pool=_pool)
    LARGE.add(_name, one_after_the_other, ours=_ours, pool=_pool, payload=MEBIBYTE)
ONE.add("bare pipe", one_after_the_other, pool=bare_pipe)
ONE_CORE.add("bare pipe", one_after_the_other, pool=bare_pipe)
MANY.add("ProcessPool.map", many_at_once, ours=True, pool=holdfast_submit)


@contextlib.contextmanager
def holdfast_up_to(workers: int, *, most: int) -> Opened:
    before = _process_payload.INLINE
    _process_payload.INLINE = _process_setup.INLINE = most  # type: ignore[misc] # to see where it pays
    try:
        with holdfast_pool(workers) as pool:
            yield pool
    finally:
        _process_payload.INLINE = _process_setup.INLINE = before  # type: ignore[misc] # as it was


for _kib in (1, 8, 16, 32, 60):
    _sized = CLAIM.case(
        f"kib-{_kib}",
        f"{_kib} KiB of bytes there and back: through the pipe, or through shared memory",
        n=500,
        quick_n=200,
        unit="call",
        repeats=3,
        warm_n=20,
        compared="each_wall_s",
    )
    for _name, _most in (("the pipe", 63 << 10), ("shared memory", 512)):
        _sized.add(
            _name,
            one_after_the_other,
            ours=_most > 512,
            pool=functools.partial(holdfast_up_to, most=_most),
            payload=MEBIBYTE[: _kib << 10],
        )


# ---------------------------------------------------------------- stuck calls

STUCK_S = 0.3


def holdfast_recovers(meter: Meter, n: int) -> None:
    with ProcessPool(1, name="bench") as pool:
        pool.submit(abs, 0).result()
        stuck = pool.options(timeout=STUCK_S)
        _recover(meter, n, lambda: stuck.submit(*SPIN), lambda: pool.submit(abs, 0))


def pebble_recovers(meter: Meter, n: int) -> None:
    pebble = load("pebble")
    with pebble.ProcessPool(max_workers=1) as pool:
        pool.schedule(abs, args=[0]).result()
        _recover(
            meter,
            n,
            lambda: pool.schedule(SPIN[0], args=SPIN[1:], timeout=STUCK_S),
            lambda: pool.schedule(abs, args=[0]),
        )


def _recover(meter: Meter, n: int, stuck: Callable[[], Any], usable: Callable[[], Any]) -> None:
    took: list[float] = []
    with meter.measure():
        for _ in range(n):
            began = time.perf_counter()
            with contextlib.suppress(TimeoutError):
                stuck().result()
            usable().result()
            took.append(time.perf_counter() - began - STUCK_S)
            time.sleep(0.1)  # a spare is made
    meter.note(usable_s=sorted(took)[len(took) // 2])


RECOVER = CLAIM.case(
    "recover",
    f"a call stuck in C code, timed out after {STUCK_S:g} s: seconds from then to another call's result",
    n=9,
    quick_n=5,
    unit="call",
    warm_n=1,
    most_rounds=3,
    compared="usable_s",
)
RECOVER.add("ProcessPool", holdfast_recovers, ours=True)
RECOVER.add("pebble.ProcessPool", pebble_recovers)


def holdfast_four(meter: Meter, n: int) -> None:
    with ProcessPool(n, name="bench") as pool:
        list(pool.map(abs, range(n)))
        time.sleep(0.3)
        began = time.perf_counter()
        with meter.measure():
            calls = [pool.options(timeout=1).submit(*SPIN) for _ in range(n)]
            for call in calls:
                with contextlib.suppress(CallTimeout):
                    call.result()
            told = time.perf_counter() - began
            list(pool.map(abs, range(n)))
        meter.note(told_s=told, usable_s=time.perf_counter() - began)


def pebble_four(meter: Meter, n: int) -> None:
    pebble = load("pebble")
    with pebble.ProcessPool(max_workers=n) as pool:
        for future in [pool.schedule(abs, args=[0]) for _ in range(n)]:
            future.result()
        began = time.perf_counter()
        with meter.measure():
            calls = [pool.schedule(SPIN[0], args=SPIN[1:], timeout=1) for _ in range(n)]
            for call in calls:
                with contextlib.suppress(TimeoutError):
                    call.result()
            told = time.perf_counter() - began
            for future in [pool.schedule(abs, args=[0]) for _ in range(n)]:
                future.result()
        meter.note(told_s=told, usable_s=time.perf_counter() - began)


FOUR = CLAIM.case(
    "four",
    "four loops of C code, each timed out after 1 s: seconds until all callers know",
    n=4,
    quick_n=4,
    unit="call",
    warm_n=1,
    most_rounds=3,
    compared="told_s",
)
FOUR.add("ProcessPool", holdfast_four, ours=True)
FOUR.add("pebble.ProcessPool", pebble_four)


# ---------------------------------------------------------------- start


def holdfast_starts(meter: Meter, n: int) -> None:
    with meter.measure(), ProcessPool(1, name="bench", max_calls_per_worker=1, spares=0) as pool:
        began = time.perf_counter()
        pool.submit(abs, 0).result()
        first = time.perf_counter() - began
        time.sleep(0.2)
        began = time.perf_counter()
        for _ in range(n):
            pool.submit(abs, 0).result()
        further = (time.perf_counter() - began) / n
    meter.note(first_s=first, further_s=further)


def standard_starts(meter: Meter, n: int) -> None:
    del n
    began = time.perf_counter()
    with meter.measure(), standard(1, "spawn") as (call, _):
        call(0)
        first = time.perf_counter() - began
    meter.note(first_s=first, further_s=first)


START = CLAIM.case(
    "start",
    "the first worker, and each further one, in seconds",
    n=20,
    quick_n=10,
    unit="worker",
    warm_n=1,
    compared="first_s",
)
START.add("ProcessPool", holdfast_starts, ours=True)
START.add("ProcessPoolExecutor, spawn", standard_starts)


# ---------------------------------------------------------------- what is left behind

_numbers = itertools.count(1)


def tool(seconds: str) -> None:
    """Start a tool that starts two children, one of them in a session of its own, and wait for it."""
    subprocess.run(  # noqa: S603 - our own words
        ["/bin/sh", "-c", f"sleep {seconds} & setsid sleep {seconds} & sleep {seconds}"],
        check=False,
    )


def holdfast_tools(meter: Meter, n: int) -> None:
    with ProcessPool(8, name="bench", timeout=0.5) as pool:
        _tools(meter, n, lambda seconds: pool.submit(tool, seconds))


def pebble_tools(meter: Meter, n: int) -> None:
    pebble = load("pebble")
    with pebble.ProcessPool(max_workers=8) as pool:
        _tools(meter, n, lambda seconds: pool.schedule(tool, args=[seconds], timeout=0.5))


def _tools(meter: Meter, n: int, start: Callable[[str], Any]) -> None:
    seconds = f"64.{os.getpid():08d}{next(_numbers):03d}"
    with meter.measure():
        for call in [start(seconds) for _ in range(n)]:
            with contextlib.suppress(TimeoutError):
                call.result()
    left = _living(seconds)
    meter.note(orphans=len(left))
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _living(seconds: str) -> list[int]:
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            words = (folder / "cmdline").read_bytes()
            if seconds.encode() in words and state != "Z":
                found.append(int(folder.name))
    return found


TOOLS = CLAIM.case(
    "tools",
    "calls that run a tool which starts two children, timed out after 0.5 s, eight at once",
    n=100,
    quick_n=24,
    unit="call",
    warm_n=1,
    most_rounds=1,
    compared="each_wall_s",
)
TOOLS.add("ProcessPool", holdfast_tools, ours=True)
TOOLS.add("pebble.ProcessPool", pebble_tools)

if __name__ == "__main__":
    raise SystemExit(main(["processes", *sys.argv[1:]]))
