"""A worker that the system ends for want of memory: its call is told so, and nothing else is lost."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
LIMIT = 150 << 20

PROGRAM = """
import operator, os, signal, sys, time

with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))

from holdfast import ProcessPool, WorkerLost
from tests.system import process_jobs as jobs

with ProcessPool(2, name="hungry") as pool:
    beside = pool.submit(time.sleep, 1.0)
    eats = pool.submit(operator.mul, b"x", 1 << 30)
    waiting = [pool.submit(pow, 2, n) for n in range(20)]
    error = eats.exception(30)
    assert isinstance(error, WorkerLost), error
    print(error.exitcode, error.out_of_memory, "the system was out of memory" in str(error))
    print(beside.exception(30), [call.result(30) for call in waiting] == [2**n for n in range(20)])

    killed = pool.submit(jobs.ignore_term, sys.argv[2])
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    os.kill(killed.worker.pid, signal.SIGKILL)
    error = killed.exception(30)
    print(error.exitcode, error.out_of_memory)
    print(pool.submit(abs, -1).result(30))
"""

AGAIN = """
import os, signal, sys, time

with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))

from holdfast import ProcessPool, Retry, WorkerLost
from tests.system import process_jobs as jobs

folder = sys.argv[2]

def runs(name):
    return len(open(folder + "/" + name).read())

with ProcessPool(1, name="hungry") as pool:
    again = pool.options(idempotent=True)
    error = again.submit(jobs.eat, folder + "/call", 1 << 30).exception(60)
    assert isinstance(error, WorkerLost), error
    print(runs("call"), error.out_of_memory, "the system was out of memory" in str(error))
    print("idempotent=True" in str(error))

    [outcome] = again.stream(jobs.eat_these, [(folder + "/item", 1 << 30)], outcomes=True)
    print(runs("item"), outcome.error.out_of_memory)

    twice = pool.options(retry=Retry(2, wait=0.0, idempotent=True))
    print(twice.submit(jobs.eat, folder + "/retry", 1 << 30).exception(60).out_of_memory, runs("retry"))

    print(again.submit(jobs.die_once, folder + "/once", signal.SIGKILL).result(60))
    print(pool.submit(jobs.kill, signal.SIGKILL).exception(60).out_of_memory)
"""


@pytest.fixture
def group():
    """A memory control group of 150 MB, of either version."""
    try:
        made = _make_group()
    except (OSError, RuntimeError) as error:
        pytest.skip(f"needs a memory control group of its own: {error}")
    yield made
    give_up = time.monotonic() + 15.0
    while (made / "cgroup.procs").read_text():
        assert time.monotonic() < give_up, "a process is left in the group"
        time.sleep(0.01)
    made.rmdir()


def _make_group():
    base = Path("/sys/fs/cgroup/memory")
    bounds = {"memory.limit_in_bytes": LIMIT, "memory.memsw.limit_in_bytes": LIMIT}
    if not base.is_dir():
        base = Path("/sys/fs/cgroup")
        bounds = {"memory.max": LIMIT, "memory.swap.max": 0}
        (base / "cgroup.subtree_control").write_text("+memory")
    made = base / f"holdfast-hungry-{os.getpid()}"
    made.mkdir()
    first, swap = bounds
    try:
        (made / first).write_text(str(bounds[first]))
    except OSError:
        made.rmdir()
        raise
    with contextlib.suppress(OSError):  # no swap is counted here
        (made / swap).write_text(str(bounds[swap]))
    return made


def _run(program, *args):
    return subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", program, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=ROOT,
    )


def test_memory_is_named_as_the_cause_and_nothing_else_is_lost(group, tmp_path):
    """The kernel ends the worker that holds most; calls beside it and behind it come to their ends."""
    ended = _run(PROGRAM, group, tmp_path / "begun")

    assert ended.stdout.splitlines() == [
        "-9 True True",
        "None True",
        "-9 False",
        "1",
    ], ended.stderr[-2000:]


def test_a_call_that_needs_too_much_memory_is_not_run_again(group, tmp_path):
    """Idempotent or not, it would kill one worker after the other; who asks for attempts has as many."""
    ended = _run(AGAIN, group, tmp_path)

    assert ended.stdout.splitlines() == [
        "1 True True",
        "False",
        "1 True",
        "True 2",
        "done",
        "False",
    ], ended.stderr[-2000:]
