"""The demo's child processes, and their end."""

import signal
import subprocess
import sys

import children
import pytest

pytestmark = pytest.mark.system


def start(program):
    """Start a Python program whose output can be read."""
    command = [sys.executable, "-u", "-c", program]
    return subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - this Python


@pytest.mark.parametrize(
    "line", ["http://127.0.0.1:81", "listening on http://127.0.0.1:81/", "'http://127.0.0.1:81'."]
)
def test_the_url_is_found_in_the_line_that_says_it(line):
    """Whatever stands around it."""
    process = start(f'print("{line}"); import time; time.sleep(99)')
    try:
        url = children.read_url(process)
    finally:
        children.end(process)

    assert url == "http://127.0.0.1:81"


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("raise SystemExit(3)", "did not start: it ended with exit code 3"),
        ("print('busy')", "did not start: it said 'busy', which is no address"),
    ],
)
def test_a_server_that_does_not_start_is_an_error_that_says_how(program, sentence):
    """In one sentence."""
    process = start(program)
    try:
        with pytest.raises(children.DemoError, match=sentence):
            children.read_url(process)
    finally:
        children.end(process)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch):
    """There is a bound."""
    monkeypatch.setattr(children, "READY_S", 0.05)
    process = start("import time; time.sleep(99)")
    try:
        with pytest.raises(children.DemoError, match=r"within 0\.05 s"):
            children.read_url(process)
    finally:
        children.end(process)


def test_a_child_that_does_not_end_when_asked_is_killed(monkeypatch):
    """It is gone in the end."""
    monkeypatch.setattr(children, "END_S", 0.05)
    process = start(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(1)\n"
        "time.sleep(99)"
    )
    process.stdout.readline()

    children.end(process)

    assert process.returncode == -signal.SIGKILL


def test_a_signal_that_came_while_it_was_kept_back_comes_after():
    """It is not lost."""
    steps = []

    def work():
        with children.signals_deferred():
            signal.raise_signal(signal.SIGINT)
            steps.append("went on")
        steps.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()

    assert steps == ["went on"]


def test_a_signal_is_passed_on_to_the_child():
    """This process goes on and waits for it."""
    process = start(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
        "print(1)\n"
        "time.sleep(99)"
    )
    process.stdout.readline()
    try:
        with children.signals_forwarded(process):
            signal.raise_signal(signal.SIGINT)
            code = process.wait(10)
    finally:
        children.end(process)

    assert code == 130


def test_sigterm_unwinds_the_stack():
    """What is open is closed on the way."""
    steps = []

    def work():
        with children.ending_on_signals():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                steps.append("closed")

    with pytest.raises(SystemExit) as caught:
        work()

    assert (caught.value.code, steps) == (143, ["closed"])
