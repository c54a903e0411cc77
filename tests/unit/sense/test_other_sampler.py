"""Samples of another process: its figures, and never those of a later one with its number."""

import os
import subprocess
import sys

import pytest

from holdfast.sense.other_sampler import OtherSampler

PROGRAM = (
    "import os, threading, sys\n"
    "kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(40)]\n"
    "held = bytearray(30_000_000)\n"
    "stop = threading.Event()\n"
    "threads = [threading.Thread(target=stop.wait) for _ in range(3)]\n"
    "[each.start() for each in threads]\n"
    "print(len(os.listdir('/proc/self/fd')) - 1, flush=True)\n"
    "sys.stdin.read()\n"
    "stop.set()\n"
)


@pytest.fixture
def program():
    with subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.held = int(process.stdout.readline())
        yield process
        process.kill()


def test_it_tells_what_the_process_holds(program):
    """As the process itself counts."""
    found = OtherSampler(program.pid).sample()

    assert found.fds == program.held
    assert found.threads == 4
    assert 30_000_000 < found.rss_bytes < 500_000_000
    assert found.cpu_s >= 0.0


def test_a_process_that_has_ended_is_told_also_before_it_is_reaped(program):
    """A zombie holds nothing."""
    sampler = OtherSampler(program.pid)
    program.stdin.close()
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises(ProcessLookupError, match="has ended"):
        sampler.sample()
    with pytest.raises(ProcessLookupError, match="has ended"):
        OtherSampler(program.pid)

    program.wait()
    with pytest.raises(ProcessLookupError, match="no process"):
        sampler.sample()


def test_a_later_process_with_the_same_number_is_not_taken_for_it(tmp_path):
    """Its start time is another one."""
    folder = tmp_path / "proc" / "77"
    (folder / "fd").mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir()
    fields = ["S", "1"] + ["0"] * 15 + ["5", "0", "1000", "0", "25"]

    def write(started):
        fields[19] = started
        (folder / "stat").write_text(f"77 (a) b) {' '.join(fields)}")

    write("1000")
    sampler = OtherSampler(77, root=str(tmp_path))
    assert sampler.sample().threads == 5
    assert sampler.sample().fds == 0

    write("2000")
    with pytest.raises(ProcessLookupError, match="has ended"):
        sampler.sample()


def test_nothing_is_kept_open(program):
    """So there is nothing to leave out of a count, and nothing to close."""
    sampler = OtherSampler(program.pid)
    sampler.sample()

    assert sampler.kept() == ()
    sampler.close()
