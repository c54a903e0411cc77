"""Programs from coroutines and blocking code: what one costs, and what is left after a timeout."""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.claim import Claim
from benchmarks.command import main
from benchmarks.meter import Meter
from benchmarks.peers import load
from holdfast import CallTimeout, process_lines, run_process, run_process_sync

CLAIM = Claim(
    "subprocess",
    "A program costs about what asyncio takes for it, and a timeout leaves nothing behind.",
)

Tool = Callable[[], Awaitable[object]]

TRUE = ["/bin/true"]


async def holdfast_run() -> None:
    await run_process(TRUE, timeout=60)


async def asyncio_exec() -> None:
    process = await asyncio.create_subprocess_exec(
        *TRUE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # as one does who wants to kill the group
    )
    async with asyncio.timeout(60):
        await process.communicate()


async def anyio_run() -> None:
    await load("anyio").run_process(TRUE, stdin=subprocess.DEVNULL, start_new_session=True)


async def one_by_one(meter: Meter, n: int, *, tool: Tool) -> None:
    await tool()
    with meter.measure():
        for _ in range(n):
            await tool()


async def at_once(meter: Meter, n: int, *, tool: Tool) -> None:
    async def some(share: int) -> None:
        for _ in range(share):
            await tool()

    await tool()
    with meter.measure():
        await asyncio.gather(*[some(n // 16) for _ in range(16)])


def blocking(meter: Meter, n: int, *, tool: Callable[[], object]) -> None:
    tool()
    with meter.measure():
        for _ in range(n):
            tool()


def subprocess_run() -> None:
    subprocess.run(TRUE, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)  # noqa: S603 - fixed


def holdfast_sync() -> None:
    run_process_sync(TRUE, timeout=60)


ONE = CLAIM.case("one", "`true`, one after the other", n=200, quick_n=60, unit="call", warm_n=5)
ONE.add("run_process", one_by_one, ours=True, tool=holdfast_run)
ONE.add("run_process_sync", blocking, ours=True, tool=holdfast_sync)
ONE.add("asyncio.create_subprocess_exec", one_by_one, tool=asyncio_exec)
ONE.add("anyio.run_process", one_by_one, tool=anyio_run)
ONE.add("subprocess.run", blocking, tool=subprocess_run)

MANY = CLAIM.case("many", "`true`, 16 at once", n=320, quick_n=96, unit="call", warm_n=16)
MANY.add("run_process", at_once, ours=True, tool=holdfast_run)
MANY.add("asyncio.create_subprocess_exec", at_once, tool=asyncio_exec)
MANY.add("anyio.run_process", at_once, tool=anyio_run)


# ---------------------------------------------------------------- lines


def _seq(n: int) -> list[str]:
    return ["seq", str(n)]


async def holdfast_lines(meter: Meter, n: int) -> None:
    with meter.measure():
        async with process_lines(_seq(n)) as lines:
            async for _ in lines:
                pass


async def asyncio_lines(meter: Meter, n: int) -> None:
    with meter.measure():
        process = await asyncio.create_subprocess_exec(*_seq(n), stdout=subprocess.PIPE)
        assert process.stdout is not None
        async for _ in process.stdout:
            pass
        await process.wait()


LINES = CLAIM.case("lines", "lines of `seq`, as they come", n=200_000, quick_n=50_000, unit="line")
LINES.add("process_lines", holdfast_lines, ours=True)
LINES.add("asyncio's StreamReader", asyncio_lines)


# ---------------------------------------------------------------- timeouts

_numbers = itertools.count(1)
TIMEOUT = 0.5


def _shell(seconds: str) -> str:
    """A tool that starts two children, one of them in a session of its own, and waits."""
    return f"sleep {seconds} & setsid sleep {seconds} & sleep {seconds}"


def _living(seconds: str) -> list[int]:
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            words = (folder / "cmdline").read_bytes()
            if seconds.encode() in words and state != "Z" and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


async def timed_out(meter: Meter, n: int, *, tool: Callable[[str], Awaitable[object]]) -> None:
    seconds = f"63.{os.getpid():08d}{next(_numbers):03d}"
    with meter.measure():
        await asyncio.gather(*[tool(_shell(seconds)) for _ in range(n)])
    left = _living(seconds)
    meter.note(orphans=len(left))
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def holdfast_timeout(source: str) -> None:
    with contextlib.suppress(CallTimeout):
        await run_process(source, shell=True, timeout=TIMEOUT)  # noqa: S604 - our own words


async def asyncio_kill(source: str) -> None:
    """What one writes by hand; waiting for the process would wait for whoever holds its pipes."""
    process = await asyncio.create_subprocess_shell(
        source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            await process.communicate()
    except TimeoutError:
        process.kill()


def _in_worker(source: str) -> None:
    subprocess.run(["/bin/sh", "-c", source], stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own words


async def pebble_timeout(meter: Meter, n: int) -> None:
    pebble = load("pebble")
    seconds = f"63.{os.getpid():08d}{next(_numbers):03d}"
    with meter.measure(), pebble.ProcessPool(max_workers=8) as pool:
        futures = [pool.schedule(_in_worker, [_shell(seconds)], timeout=TIMEOUT) for _ in range(n)]
        for future in futures:
            with contextlib.suppress(TimeoutError):
                await asyncio.wrap_future(future)
    left = _living(seconds)
    meter.note(orphans=len(left))
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


TIMEOUTS = CLAIM.case(
    "timeouts",
    f"tools that started two children each, all at once, timed out after {TIMEOUT:g} s",
    n=100,
    quick_n=25,
    unit="tool",
    warm_n=2,
    most_rounds=3,
    compared="each_wall_s",
)
TIMEOUTS.add("run_process", timed_out, ours=True, tool=holdfast_timeout)
TIMEOUTS.add("create_subprocess_shell, killed", timed_out, tool=asyncio_kill)
TIMEOUTS.add("pebble.ProcessPool, 8 workers", pebble_timeout)

if __name__ == "__main__":
    raise SystemExit(main(["subprocess", *sys.argv[1:]]))
