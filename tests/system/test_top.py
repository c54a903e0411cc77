"""``holdfast top`` on a terminal, on a pipe, and where there is nothing to see."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import pytest
from tests.system.processes import started

pytestmark = pytest.mark.system

PROGRAM = str(Path(__file__).with_name("leaking.py"))
BUSY = (
    "import time, holdfast\n"
    "from holdfast.watch import Monitor\n"
    "with holdfast.ThreadPool(2, name='db') as db, Monitor(serve=True):\n"
    "    calls = [db.submit(time.sleep, 60) for _ in range(5)]\n"
    "    print('ready', flush=True)\n"
    "    time.sleep(60)\n"
)
WAIT = 20.0


@pytest.fixture(autouse=True)
def interruptible():
    """Who runs the tests in the background may have Ctrl-C ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def folder(monkeypatch):
    """A place of the test's own for sockets."""
    with tempfile.TemporaryDirectory(prefix="hf") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield


def run(*args):
    command = [sys.executable, "-m", "holdfast", "top", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)  # noqa: S603


class Terminal:
    """A terminal of 80 by 24 with the screen in it."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(self.master, (24, 80))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(  # noqa: S603 - a program of our own
            [sys.executable, "-m", "holdfast", "top", "--interval", "0.2", *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )
        self.slave = slave
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def until(self, pattern):
        """Read until the pattern is seen in what is new; return all that was new."""
        until, new = time.monotonic() + WAIT, ""
        while not re.search(pattern, new):
            assert time.monotonic() < until, f"no {pattern!r} in {new!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                new += os.read(self.master, 1 << 16).decode("utf-8", "replace")
        return new

    def press(self, keys):
        os.write(self.master, keys)

    def rest(self):
        """All that came until it had ended."""
        while select.select([self.master], [], [], 0.2)[0]:
            self.seen += os.read(self.master, 1 << 16).decode("utf-8", "replace")
        return self.seen

    def ended(self):
        """Wait for its end, reading on; its exit code."""
        until = time.monotonic() + WAIT
        while self.process.poll() is None:
            assert time.monotonic() < until
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 1 << 16).decode("utf-8", "replace")
        return self.process.returncode


def test_the_screen_shows_pools_and_stacks_and_leaves_the_terminal_as_it_was():
    """Keys as they come: stacks, back, sorted, frozen, and the end."""
    with started("-c", BUSY) as process, Terminal(str(process.pid)) as screen:
        first = screen.until("sorted: as made")
        assert "from inside" in first
        assert "LIMITS" in first
        assert "2/2" in first
        assert "3/1,000" in first
        screen.press(b"d")
        assert "threads holdfast:db/#" in screen.until("page up")
        screen.press(b"\x1b[B\x1b")
        screen.until("sorted: as made")
        screen.press(b"s")
        screen.until("sorted: name")
        screen.press(b"f")
        screen.until("frozen")
        screen.press(b"q")

        assert screen.ended() == 0
        assert termios.tcgetattr(screen.slave) == screen.before
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_an_interrupt_ends_it_and_leaves_the_terminal_as_it_was(number):
    """As the key does."""
    with started(PROGRAM, "idle", "60") as process, Terminal(str(process.pid)) as screen:
        assert "from outside" in screen.until("sorted: as made")
        os.kill(screen.process.pid, number)

        assert screen.ended() == 0
        assert termios.tcgetattr(screen.slave) == screen.before


def test_the_end_of_the_process_is_told():
    """With a sentence, on the usual screen, and exit code 2."""
    with started(PROGRAM, "idle", "60") as process, Terminal(str(process.pid)) as screen:
        screen.until("sorted: as made")
        process.kill()
        process.wait()

        assert screen.ended() == 2
        assert f"process {process.pid}" in screen.rest()
        assert termios.tcgetattr(screen.slave) == screen.before


def test_json_is_one_snapshot_from_inside_or_from_outside():
    """With who holds what."""
    with started("-c", BUSY) as process:
        inside = json.loads(run("--json", str(process.pid)).stdout)
    with started(PROGRAM, "idle", "60") as process:
        outside = json.loads(run("--json", str(process.pid)).stdout)

    assert inside["whence"] == "inside"
    assert [pool["stats"]["in_flight"] for pool in inside["pools"]] == [2]
    assert outside["whence"] == "outside"
    # Its 50, and its standard input.
    assert {"place": "device /dev/null", "held": 51} in outside["holders"]


def test_once_prints_one_screen_as_text():
    """So does a pipe: there is no terminal to draw on."""
    with started("-c", BUSY) as process:
        done = run("--once", str(process.pid))
        piped = run(str(process.pid))

    for each in (done, piped):
        assert each.returncode == 0
        assert "db " in each.stdout
        assert "\x1b" not in each.stdout


def test_without_a_pid_it_is_the_one_that_shows_itself():
    """Of several it names all, of none it says how to become one."""
    none = run("--json")
    with started("-c", BUSY) as first:
        one = run("--json")
        with started("-c", BUSY) as second:
            several = run("--json")

    assert none.returncode == several.returncode == 2
    assert "Monitor(serve=True)" in none.stderr
    assert json.loads(one.stdout)["pid"] == first.pid
    assert f"  {first.pid}  " in several.stderr
    assert f"  {second.pid}  " in several.stderr


def test_a_process_that_is_not_there_is_told_in_a_sentence():
    """With exit code 2."""
    with started(PROGRAM, "idle", "60") as process:
        pass

    done = run("--once", str(process.pid))

    assert done.returncode == 2
    assert f"no process {process.pid} can be seen" in done.stderr
