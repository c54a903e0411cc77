"""Ctrl-C and SIGTERM: in good order the first time, at once the second time."""

import os
import pty
import select
import signal
import subprocess

import pytest
from tests.unit.cli.process import MapProcess, read_until

pytestmark = pytest.mark.system

SOURCE = """
import asyncio, sys, threading, time

def say(word):
    sys.stderr.write(word + "\\n")
    sys.stderr.flush()

begun = set()
def begin(item):
    begun.add(item)
    if begun == {0, 1, 2, 3}: say("ready")
async def slow(item):
    begin(item)
    await asyncio.sleep(0.5)
    return item
def slow_blocking(item):
    begin(item)
    time.sleep(0.5)
    return item
def stuck(item):
    if item == 3:
        say("ready")
        threading.Event().wait()
    return item
async def stubborn(item):
    if item == 3:
        say("ready")
        while True:
            try: await asyncio.sleep(3600)
            except asyncio.CancelledError: pass
    return item
async def holds_the_loop(item):
    if item == 3:
        say("ready")
        threading.Event().wait()
    return item
def echo(item):
    say("ready")
    return item
"""


@pytest.fixture
def job(tmp_path):
    """A job that would take minutes."""
    process = MapProcess(tmp_path)
    process.write(SOURCE, range(2000))
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
@pytest.mark.parametrize("function", ["slow", "slow_blocking"])
def test_what_is_in_flight_is_finished_and_written(job, function, number, code):
    """Nothing new begins, nothing that ran is lost."""
    with job.start(function, "--limit", "4") as process:
        read_until(process.stderr, "ready")
        process.send_signal(number)
        said = process.stderr.read()

    assert process.returncode == code
    assert sorted(line["value"] for line in job.lines) == [0, 1, 2, 3]
    assert "4 done, 0 failed" in said


@pytest.mark.parametrize("function", ["stuck", "stubborn"])
def test_what_does_not_end_within_the_grace_is_given_up_and_named(job, function):
    """The others are written; a later run does the rest."""
    with job.start(function, "--limit", "4", "--grace", "0.3") as process:
        read_until(process.stderr, "ready")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert process.returncode == 130
    assert "1 item had begun and was given up (line 4), not written" in said
    assert 3 not in [line["value"] for line in job.lines]


@pytest.mark.parametrize("function", ["stuck", "stubborn", "holds_the_loop"])
def test_the_second_signal_ends_the_process_at_once(job, function):
    """Whatever hangs, and wherever; OUTPUT holds whole lines."""
    with job.start(function, "--limit", "4", "--grace", "3600") as process:
        read_until(process.stderr, "ready")
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)

    assert process.returncode == 130
    assert 3 not in [line["value"] for line in job.lines]


def test_a_function_that_holds_the_loop_does_not_hold_the_process(job):
    """An async function that blocks can't be cancelled; the process ends all the same."""
    with job.start("holds_the_loop", "--limit", "4", "--grace", "0.1") as process:
        read_until(process.stderr, "ready")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)

    assert process.returncode == 143


def test_a_pipe_that_says_nothing_does_not_hold_the_process(job):
    """The read that is under way is left behind."""
    with job.start("echo", source="-", stdin=subprocess.PIPE) as process:
        process.stdin.write("1\n")
        process.stdin.flush()
        read_until(process.stderr, "ready")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)

    assert process.returncode == 130
    assert [line["value"] for line in job.lines] == [1]


def test_ctrl_c_that_was_to_be_ignored_is_ignored(job):
    """A shell starts background jobs that way."""
    with job.start(
        "echo", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    ) as process:
        read_until(process.stderr, "ready")
        process.send_signal(signal.SIGINT)
        process.stderr.read()

    assert process.returncode == 0
    assert len(job.lines) == 2000


@pytest.mark.parametrize("signals", [1, 2])
def test_the_terminal_gets_its_cursor_back(job, signals):
    """After a run in good order, and after one that was ended at once."""
    ours, theirs = pty.openpty()
    function = "slow" if signals == 1 else "stuck"
    env = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}

    with job.start(function, "--limit", "4", stderr=theirs, env=env) as process:
        os.close(theirs)
        screen = read_screen(ours, lambda text: " in flight" in text and "ready" in text)
        process.send_signal(signal.SIGINT)
        screen += read_screen(ours, lambda text: "stopping" in text)
        if signals == 2:
            process.send_signal(signal.SIGINT)
        screen += read_screen(ours, lambda _: False)
    os.close(ours)

    assert process.returncode == 130
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")


def read_screen(fd, enough):
    """What comes from the terminal, until there is enough, or its other end is closed."""
    text = ""
    while not enough(text):
        ready, _, _ = select.select([fd], [], [], 20)
        assert ready, f"nothing more came after {text[-500:]!r}"
        try:
            piece = os.read(fd, 65536)
        except OSError:  # what Linux says when nobody has the other end any more
            break
        if not piece:
            break
        text += piece.decode()
    return text
