"""Two and three instances of one program under a limit on threads that fits two of them.

``python -m benchmarks.instances`` prints, for each number of instances, the calls that failed and the calls that
were made each second by all of them together. It needs a control group with the ``pids`` controller (and root).
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import holdfast
from holdfast.config import Config, PoolConfig, PoolsConfig

__all__ = ("Told", "group", "instances", "main")

ROOT = Path(__file__).resolve().parents[1]
GROUPS = Path("/sys/fs/cgroup/pids")
WORKERS = 24
LIMIT = 70
"""Two times the workers, and some threads that each instance has beside them."""


@dataclass(frozen=True)
class Told:
    """What one instance says at its end."""

    calls: int
    failed: int
    first_at: float
    last_at: float
    most_threads: int
    refused: int


async def task(rt: holdfast.Runtime, seed: int, failed: list[str]) -> int:
    """10 to 50 calls, one after the other."""
    chance = random.Random(seed)  # noqa: S311 - the same work in each run
    calls = chance.randint(10, 50)
    for _ in range(calls):
        try:
            await rt.io.run(time.sleep, chance.uniform(0.004, 0.010))
        except Exception as error:  # noqa: BLE001 - counted
            failed.append(repr(error))
    return calls


async def instance(share: str, tasks: int) -> Told:
    """What each of them runs."""
    config = Config(share=share, pools=PoolsConfig(io=PoolConfig(size=WORKERS)))
    failed: list[str] = []
    most = 0
    async with holdfast.Runtime(config) as rt:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        first_at = time.time()

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, rt.snapshot().worker_threads)
                await asyncio.sleep(0.25)

        watching = asyncio.ensure_future(watch())
        calls = await asyncio.gather(*(task(rt, seed, failed) for seed in range(tasks)))
        last_at = time.time()
        watching.cancel()
        refused = sum("refused" in each.reason for each in rt.snapshot().decisions)
    return Told(sum(calls), len(failed), first_at, last_at, most, refused)


@contextlib.contextmanager
def group(limit: int) -> Generator[Path]:
    """A control group of so many threads; those that are left in it are ended.

    Raises:
        OSError: There is no such thing here.
    """
    folder = GROUPS / f"holdfast-instances-{os.getpid()}-{random.randrange(1 << 30):x}"  # noqa: S311 - a name
    folder.mkdir()
    try:
        (folder / "pids.max").write_text(str(limit))
        yield folder
    finally:
        for _ in range(500):
            for pid in (folder / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.01)
            else:
                break


@contextlib.contextmanager
def instances(count: int, folder: Path, *, tasks: int) -> Generator[list["subprocess.Popen[str]"]]:
    """So many of them, ready in one group and with one share, waiting for a line each."""
    with contextlib.ExitStack() as stack:
        shared = stack.enter_context(tempfile.TemporaryDirectory())
        env = {**os.environ, "XDG_RUNTIME_DIR": shared}
        found: list[subprocess.Popen[str]] = []
        for _ in range(count):
            process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "benchmarks.instances", str(folder), str(tasks)],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            found.append(process)
        for process in found:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield found


def go(process: "subprocess.Popen[str]") -> None:
    """Have it begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def end(process: "subprocess.Popen[str]") -> Told:
    """Wait for its end, and return what it says."""
    assert process.stdout is not None
    return Told(**json.loads(process.stdout.readline()))


def main() -> None:
    """Print the figures."""
    if len(sys.argv) > 1:
        folder, tasks = sys.argv[1:]
        (Path(folder) / "cgroup.procs").write_text(str(os.getpid()))
        print(json.dumps(vars(asyncio.run(instance("instances", int(tasks))))), flush=True)
        return
    for count in (2, 3, 2, 3):
        with group(LIMIT) as folder, instances(count, folder, tasks=400) as found:
            for process in found:
                go(process)
            told = [end(process) for process in found]
        calls, failed = sum(each.calls for each in told), sum(each.failed for each in told)
        seconds = max(each.last_at for each in told) - min(each.first_at for each in told)
        print(
            f"{count} instances, {LIMIT} threads: {failed} of {calls:,} calls failed, "
            f"{calls / seconds:,.0f} calls a second; most workers "
            f"{' + '.join(str(each.most_threads) for each in told)}; "
            f"threads refused {sum(each.refused for each in told)} times"
        )


if __name__ == "__main__":
    main()
