"""``holdfast map --idempotent`` is killed, and knows afterwards what had begun."""

import signal
from collections import Counter

import pytest
from tests.unit.cli.process import MapProcess

pytestmark = pytest.mark.system

ITEMS = 120
SOURCE = """
import asyncio, os, time
def note(item):
    fd = os.open("calls.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{item}\\n".encode())
    os.close(fd)
async def later(item):
    note(item)
    await asyncio.sleep(0.02)
    return {"n": item}
def block(item):
    note(item)
    time.sleep(0.02)
    return {"n": item}
"""


@pytest.fixture
def job(tmp_path):
    """A job of some items."""
    process = MapProcess(tmp_path)
    process.write(SOURCE, range(ITEMS))
    return process


def calls(job):
    """How often the function was called, by item."""
    return Counter(map(int, (job.folder / "calls.log").read_text().split()))


@pytest.mark.parametrize("function", ["later", "block"])
def test_killed_again_and_again_nothing_runs_twice(job, function):
    """Each item has one line, and was called once at most; those cut short are told by name."""
    options = ("--resume", "--idempotent", "calls.db", "--limit", "4")
    for lines in (1, 20, 50):
        with job.start(function, *options) as process:
            while process.poll() is None:
                if job.output.exists() and job.output.read_bytes().count(b"\n") >= lines:
                    process.send_signal(signal.SIGKILL)
                    break

    code, said = job.run(function, *options)

    assert max(calls(job).values()) == 1
    assert sorted(line["index"] for line in job.lines) == list(range(ITEMS))
    told = [line["index"] for line in job.lines if "error" in line]
    kinds = {line["error"]["type"] for line in job.lines if "error" in line}
    assert kinds <= {"Unfinished"}
    assert len(told) <= 3 * 4  # at most what was in flight at each kill
    assert code == (1 if told else 0), said

    code, said = job.run(function, *options, "--retry-failed", "--on-unfinished", "repeat")

    assert code == 0, said
    assert sorted(line["value"]["n"] for line in job.lines) == list(range(ITEMS))
    twice = {item for item, count in calls(job).items() if count > 1}
    assert twice <= set(told)  # and not those that were cut short before their first call
    assert len(calls(job)) == ITEMS
