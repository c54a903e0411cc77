"""Standard input and output, full disks, closed readers, and memory."""

import json
import os
import resource
import subprocess

import pytest
from tests.unit.cli.process import MapProcess

pytestmark = pytest.mark.system

SOURCE = """
async def later(item): return item
def block(item): return item
"""


@pytest.fixture
def job(tmp_path):
    """A job over 5,000 items."""
    process = MapProcess(tmp_path)
    process.write(SOURCE, range(5000))
    return process


@pytest.mark.parametrize("function", ["later", "block"])
def test_each_line_is_answered_before_the_next_one_is_asked(job, function):
    """``tail -f x | holdfast map ... - -o -`` shows each result at once."""
    answers = []

    with job.start(
        function, source="-", output="-", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        for item in range(5):
            process.stdin.write(f"{item}\n")
            process.stdin.flush()
            answers.append(json.loads(process.stdout.readline())["value"])
        process.stdin.close()
        process.stderr.read()

    assert process.returncode == 0
    assert answers == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("function", ["later", "block"])
def test_a_pipe_is_read_to_its_end(job, function):
    """Every line of it, the last one without an end included."""
    text = "\n".join(str(n) for n in range(3000))

    with job.start(function, source="-", stdin=subprocess.PIPE) as process:
        process.communicate(text)

    assert process.returncode == 0
    assert sorted(line["value"] for line in job.lines) == list(range(3000))


def test_a_reader_that_has_seen_enough_ends_the_run(job):
    """Like every program in a pipe: exit code 141, and no traceback."""
    with job.start("later", output="-", stdout=subprocess.PIPE) as process:
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()

    assert json.loads(first)["index"] == 0
    assert process.returncode == 141
    assert "Traceback" not in said
    assert "Exception" not in said


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has such a device")
def test_a_device_that_is_full_is_said_in_a_sentence(job):
    """There is nothing that could be mended there."""
    code, said = job.run("later", output="/dev/full")

    assert code == 1
    assert "the disk is full" in said
    assert "Traceback" not in said


def test_a_full_disk_loses_nothing_and_can_be_gone_on_from(job):
    """The file stops growing in the middle of a line; that line is taken off again."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_001, resource.RLIM_INFINITY))

    code, said = job.run("later", preexec_fn=small_files)
    halfway = job.output.read_bytes()
    again, _ = job.run("later", "--resume")

    assert code == 1
    assert "could not be written" in said
    assert halfway.endswith(b"\n")
    assert 19_000 < len(halfway) <= 20_001
    assert again == 0
    assert sorted(line["value"] for line in job.lines) == list(range(5000))


def test_a_closed_standard_output_is_bad_usage(job):
    """``>&-`` with ``-o -``."""
    code, said = job.run("later", output="-", preexec_fn=lambda: os.close(1))

    assert code == 2
    assert "there is no standard output" in said


def test_a_closed_standard_error_is_no_reason_to_fail(job):
    """Nobody can be told anything; the work is done all the same."""
    code, _ = job.run("later", preexec_fn=lambda: os.close(2))

    assert code == 0
    assert len(job.lines) == 5000


@pytest.mark.parametrize("function", ["later", "block"])
def test_memory_does_not_grow_with_the_input(job, function):
    """Ten times the lines take the memory of one time."""
    line = json.dumps({"text": "some words " * 20})
    peaks = []

    for count in (10_000, 100_000):
        (job.folder / "in.jsonl").write_text(f"{line}\n" * count)
        with job.start(function, "--overwrite", "--json", stdout=subprocess.PIPE) as process:
            summary = json.loads(process.communicate(timeout=50)[0])
        assert summary["done"] == count
        peaks.append(summary["peak_rss_bytes"])

    assert peaks[1] - peaks[0] < 5_000_000
