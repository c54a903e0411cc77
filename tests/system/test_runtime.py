"""Real processes: SIGTERM, and instances that share one limit on threads."""

import os
import signal
import subprocess
import sys

import pytest
from benchmarks.instances import GROUPS, LIMIT, end, go, group, instances

pytestmark = pytest.mark.system

PROGRAM = """
import asyncio, sys, threading, time
import holdfast

def slow(n):
    time.sleep(0.3)
    sys.stdout.write(f"done {n}\\n")
    sys.stdout.flush()

async def agent(rt, n):
    await asyncio.sleep(0.2)
    await rt.db.run(slow, n)

def numbers():
    for n in range(10**9):
        pulled.append(n)
        yield n

pulled = []

async def streamed(rt):
    came = []
    try:
        async for n in rt.llm.stream(lambda n: rt.db.run(same, n), numbers(), limit=20):
            came.append(n)
            if n == 30:
                print("ready", flush=True)
    except holdfast.PoolClosed:
        print("all came" if came == pulled else (len(came), len(pulled)), flush=True)
        raise

def same(n):
    time.sleep(0.01)
    return n

async def coroutines(mode):
    async with holdfast.Runtime() as rt:
        if mode == "stream":
            await streamed(rt)
        calls = [asyncio.ensure_future(rt.llm.run(agent, rt, n)) for n in range(5)]
        await asyncio.sleep(0)
        print("ready", flush=True)
        if mode == "wait":
            await rt.wait_ending()
            return
        if mode == "stuck":
            await rt.io.run(time.sleep, 60)
        await asyncio.sleep(60)

def blocking():
    with holdfast.Runtime() as rt:
        calls = [rt.io.submit(slow, n) for n in range(5)]
        print("ready", flush=True)
        threading.Event().wait()

mode = sys.argv[1]
blocking() if mode == "blocking" else asyncio.run(coroutines(mode))
"""


def started(mode, **env):
    """The program, ready."""
    process = subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, "-c", PROGRAM, mode],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("mode", ["sleep", "wait", "blocking"])
def test_sigterm_drains_and_ends_the_program(mode):
    """Every call that was accepted ends, also where it calls another pool."""
    process = started(mode)
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=30)

    assert sorted(said.splitlines()) == [f"done {n}" for n in range(5)]
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in errors


def test_sigterm_ends_a_stream_behind_what_it_has_pulled():
    """It pulls nothing more, loses nothing, and leaves nothing running."""
    process = started("stream", HOLDFAST_GRACE="25")
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=20)  # long before the grace is over

    assert said == "all came\n"
    assert process.returncode == 128 + signal.SIGTERM
    assert "still run" not in errors
    assert "Traceback" not in errors


def test_a_call_that_does_not_end_is_given_the_grace_and_no_more():
    """And is named."""
    process = started("stuck", HOLDFAST_GRACE="1")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 128 + signal.SIGTERM
    assert "time.sleep" in errors


def test_a_second_sigterm_ends_at_once():
    """Whoever asks twice means it."""
    process = started("stuck")
    process.send_signal(signal.SIGTERM)
    assert "done" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 128 + signal.SIGTERM


@pytest.fixture
def pids():
    """A group with a limit on threads that fits two instances."""
    if not os.access(GROUPS, os.W_OK):
        pytest.skip("no control groups with a limit on threads that this user may make")
    with group(LIMIT) as folder:
        yield folder


def test_three_instances_under_a_limit_that_fits_two_make_no_error(pids):
    """None is refused a thread, as none takes more than its share."""
    with instances(3, pids, tasks=400) as found:
        for process in found:
            go(process)
        told = [end(process) for process in found]

    assert sum(each.calls for each in told) > 3 * 400 * 10
    assert [each.failed for each in told] == [0, 0, 0]
    assert [each.refused for each in told] == [0, 0, 0]


def test_a_killed_instance_gives_its_threads_to_the_others(pids):
    """They get more of them than two that live would leave to each."""
    with instances(3, pids, tasks=400) as found:
        for process in found:
            go(process)
        found[0].kill()
        found[0].wait(20)
        told = [end(process) for process in found[1:]]

    assert [each.failed for each in told] == [0, 0]
    assert max(each.most_threads for each in told) > 16
