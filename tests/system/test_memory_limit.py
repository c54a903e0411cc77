"""Two hundred megabytes: a program of many items lives in them, and the same without bounds is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

LIMIT = 200 << 20

PROGRAM = """
import asyncio, json, re, sys
import holdfast
from holdfast.limits.governing import Governing

how, count = sys.argv[1], int(sys.argv[2])


async def item(n):
    block = bytearray(b"x" * (1 << 20))
    await asyncio.sleep(0.02 if how == "bounded" else 1.0)
    return n + 0 * len(block)


async def arriving():
    for n in range(count):
        await asyncio.sleep(0.003)  # 330 a second, each of which takes a second: 330 MB
        yield n


async def take(stream):
    got = 0
    async for n in stream:
        assert n == got
        got += 1
        if got % 50 == 0:
            await asyncio.sleep(0.002)  # slow to take
    return got


async def main():
    if how == "gather":
        return len(await asyncio.gather(*(item(n) for n in range(count))))
    limit, items = (100, iter(range(count))) if how == "bounded" else (400, arriving())
    async with holdfast.AsyncPool(limit, name="agents") as pool:
        return await take(pool.stream(item, items))


if how == "governed":
    with holdfast.Governor(rules=Governing(quiet_s=1.0, step_every_s=1.0)) as governor:
        got = asyncio.run(main())
    decisions = [decision.to_dict() for decision in governor.decisions()]
else:
    got, decisions = asyncio.run(main()), []
print(json.dumps({
    "got": got,
    "decisions": decisions,
    "peak_mb": int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024,
}))
"""


@pytest.fixture
def group():
    """A memory control group of 200 MB."""
    base = Path("/sys/fs/cgroup/memory")
    if not base.is_dir() or os.geteuid() != 0 or not os.access(base, os.W_OK):
        pytest.skip("needs root and a memory control group (version 1)")
    made = base / f"holdfast-test-{os.getpid()}"
    try:
        made.mkdir()
        (made / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"no memory control group can be made here: {error}")
    yield made
    made.rmdir()


def run(group, how, count):
    """Run the program inside of the group."""
    starts = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    program = [sys.executable, "-c", PROGRAM, how, str(count)]
    return subprocess.run(  # noqa: S603 - a program of our own
        ["/bin/sh", "-c", starts, str(group), *program],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def test_a_stream_of_a_megabyte_each_is_never_killed_and_all_of_it_is_done(group):
    """A limit that fits is enough."""
    done = run(group, "bounded", 3000)

    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["got"] == 3000
    assert found["peak_mb"] < 200


def test_where_the_limit_does_not_fit_the_governor_makes_it_fit(group):
    """Four hundred at once would be twice the memory that there is."""
    done = run(group, "governed", 1000)

    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["got"] == 1000
    reasons = [each["reason"] for each in found["decisions"]]
    assert any("given back to the system" in reason for reason in reasons)
    assert any(reason.startswith("memory critical") for reason in reasons)
    assert any("limits are raised" in reason for reason in reasons)


@pytest.mark.parametrize("how", ["gather", "arriving"])
def test_the_same_without_a_bound_is_killed(group, how):
    """By the kernel, with all that it had done: at once, or when enough of them have come."""
    assert run(group, how, 1500).returncode == -signal.SIGKILL
