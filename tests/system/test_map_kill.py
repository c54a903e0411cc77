"""``holdfast map`` is killed, and goes on: every item exactly once."""

import signal
import subprocess
import sys

import pytest
from tests.unit.cli.process import MapProcess

pytestmark = pytest.mark.system

ITEMS = 400
SOURCE = """
import asyncio, time
async def later(item):
    await asyncio.sleep(0.005)
    return {"n": item, "text": "x" * (item % 300)}
def block(item):
    time.sleep(0.005)
    return {"n": item, "text": "x" * (item % 300)}
def fails(item):
    raise ValueError(item)
"""


@pytest.fixture
def job(tmp_path):
    """A job of some hundred items."""
    process = MapProcess(tmp_path)
    process.write(SOURCE, range(ITEMS))
    return process


def wait_for_lines(process, path, count):
    """Wait until OUTPUT has ``count`` lines, or the process has ended."""
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return


@pytest.mark.parametrize("function", ["later", "block"])
@pytest.mark.parametrize("options", [(), ("--ordered",)])
def test_killed_again_and_again_every_item_stands_there_once(job, function, options):
    """Five kills at different places, then a run to the end."""
    for lines in (1, 40, 41, 150, 300):
        with job.start(function, "--resume", "--limit", "8", *options) as process:
            wait_for_lines(process, job.output, lines)
            process.send_signal(signal.SIGKILL)
    before = job.output.read_bytes()

    code, said = job.run(function, "--resume", "--limit", "8", *options)

    whole = before[: before.rfind(b"\n") + 1]
    assert code == 0, said
    assert job.output.read_bytes().startswith(whole)
    assert sorted(line["index"] for line in job.lines) == list(range(ITEMS))
    assert all(line["value"]["n"] == line["index"] for line in job.lines)


def test_killed_in_the_middle_of_a_line_only_that_item_is_run_again(job):
    """As the disk may be left by a kill between two pieces of a write."""
    job.run("later")
    whole = job.output.read_bytes()
    job.output.write_bytes(whole[:-50])

    code, said = job.run("later", "--resume", "--json", stdout=subprocess.DEVNULL)

    assert code == 0
    assert "torn" in said
    assert f"1 done, 0 failed, {ITEMS - 1:,} skipped" in said
    assert sorted(line["index"] for line in job.lines) == list(range(ITEMS))


@pytest.mark.parametrize("moment", ["os.fsync", "sync_folder"])
def test_killed_while_failed_lines_are_taken_out_the_file_is_whole(job, moment):
    """Before the new file takes the name, and right after it."""
    job.run("fails")
    code = (
        "import os, signal, sys\n"
        "from holdfast.cli.map import rewrite\n"
        "from holdfast.cli.main import run\n"
        f"rewrite.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run(sys.argv[1:])\n"
    )
    args = ["map", "agent.py:later", "in.jsonl", "-o", "out.jsonl", "--resume", "--retry-failed"]
    before = job.output.read_bytes()

    killed = subprocess.run(  # noqa: S603 - the program under test
        [sys.executable, "-c", code, *args], cwd=job.folder, check=False, stderr=subprocess.PIPE
    )
    between = job.output.read_bytes()
    code, said = job.run("later", "--resume", "--retry-failed")

    assert killed.returncode == -signal.SIGKILL
    assert between == (before if moment == "os.fsync" else b"")
    assert code == 0, said
    assert sorted(line["index"] for line in job.lines) == list(range(ITEMS))
    assert all("value" in line for line in job.lines)
    assert {path.name for path in job.folder.glob("*out*")} == {"out.jsonl"}
