"""The exit code reaches the shell, whatever hangs on the way out."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system


def ended(code, **popen):
    """Run ``code`` as a program of its own."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", code],
        check=False,
        timeout=30,
        **{"stderr": subprocess.PIPE, "env": env, **popen},
    )


def test_exit_hooks_run():
    """The user's libraries flush their traces there."""
    done = ended(
        "import atexit, sys\n"
        "from holdfast.cli.leave import leave\n"
        "atexit.register(lambda: sys.stderr.write('flushed'))\n"
        "leave(3)\n"
    )

    assert (done.returncode, done.stderr) == (3, b"flushed")


@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_that_never_ends_does_not_hold_the_process(daemon):
    """Neither one of the pools nor one of the user's."""
    done = ended(
        "import threading\n"
        "from holdfast.cli import leave\n"
        "leave.PATIENCE_S = 0.3\n"
        f"threading.Thread(target=threading.Event().wait, daemon={daemon}).start()\n"
        "leave.leave(3)\n"
    )

    assert (done.returncode, done.stderr) == (3, b"")


def test_an_exit_hook_that_never_returns_does_not_hold_the_process():
    """It has its time, and no more."""
    done = ended(
        "import atexit, threading\n"
        "from holdfast.cli import leave\n"
        "leave.PATIENCE_S = 0.3\n"
        "atexit.register(threading.Event().wait)\n"
        "leave.leave(3)\n"
    )

    assert done.returncode == 3


def test_a_reader_that_has_gone_does_not_change_the_exit_code():
    """Python would exit with 120, and complain."""
    reader, writer = os.pipe()
    os.close(reader)

    done = ended(
        "from holdfast.cli.leave import leave\nprint('x' * 100)\nleave(3)\n", stdout=writer
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (3, b"")


def test_the_alarm_can_be_taken_back():
    """What was to be over soon was over in time."""
    done = ended(
        "import signal\n"
        "from holdfast.cli.leave import disarm, end_after\n"
        "end_after(3600, 9)\n"
        "disarm()\n"
        "assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)\n"
    )

    assert (done.returncode, done.stderr) == (0, b"")
