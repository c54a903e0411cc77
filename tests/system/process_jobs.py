"""What the tests of process pools have done in workers: importable there, by its name."""

import ctypes
import os
import signal
import subprocess
import sys
import time


def same(value):
    """Return what it was given."""
    return value


def pid():
    """Return the worker's number."""
    return os.getpid()


def sleep(seconds):
    """Sleep."""
    time.sleep(seconds)
    return seconds


def spin():
    """Stay in a loop of C code, which no Python signal handler interrupts."""
    return sum(range(10**13))


def ignore_term(path):
    """Ignore SIGTERM, say so, and sleep."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(path, "w").close()
    time.sleep(60)


def leave(code):
    """End the process."""
    os._exit(code)


def kill(number):
    """End the process by a signal."""
    os.kill(os.getpid(), number)


def segfault():
    """End it by a fault."""
    ctypes.string_at(0)


def fail(text):
    """Raise."""
    raise ValueError(text)


def busy(seconds):
    """Raise what a service says that asks to wait."""
    error = RuntimeError("busy")
    error.retry_after = seconds
    raise error


def closure():
    """Return what can't be pickled."""
    return lambda: None


class Stubborn(Exception):
    """Can be pickled, but not be made again."""

    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


def fail_stubbornly():
    """Raise it."""
    raise Stubborn(1, 2)


class FarAway:
    """Is read as an error where it arrives."""

    def __reduce__(self):
        return (_only_here, (os.getpid(),))


def _only_here(number):
    if number != os.getpid():
        msg = "of another process"
        raise LookupError(msg)
    return number


def far_away():
    """Return it."""
    return FarAway()


def descriptors():
    """Return what the process has open."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


def environment():
    """Return all of it."""
    return dict(os.environ)


def threads_of(number):
    """How many threads a process has."""
    return len(os.listdir(f"/proc/{number}/task"))


def parent():
    """Return the zygote's number."""
    return os.getppid()


def start_tools(folder):
    """Start tools in every way in which they could be lost, note their numbers, and wait."""
    subprocess.run([sys.executable, "-c", DAEMON, folder], check=True)  # noqa: S603 - this very interpreter
    keep = [
        subprocess.Popen(["sleep", "600"]),  # noqa: S607 - any will do
        subprocess.Popen(["sleep", "600"], start_new_session=True),  # noqa: S607 - any will do
        subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"]),  # noqa: S607 - any will do
    ]
    while len(os.listdir(folder)) < 1:
        time.sleep(0.01)
    for tool in keep:
        open(f"{folder}/{tool.pid}", "w").close()
    open(f"{folder}/ready", "w").close()
    time.sleep(600)


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
        time.sleep(600)
    os._exit(0)
os.wait()
"""


def once(path):
    """End the process the first time; then return."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "done"
    os._exit(9)


def count(path):
    """Note a run, and end the process."""
    with open(path, "a") as file:
        file.write("x")
    os._exit(9)


def die_once(path, number):
    """End the process by a signal the first time; then return."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "done"
    os.kill(os.getpid(), number)
    return "alive"


def eat(path, size):
    """Note a run, and take so much memory."""
    with open(path, "a") as file:
        file.write("x")
    return len(b"x" * size)


def eat_these(item):
    """Do it with what a stream gives."""
    return eat(*item)


def hold(size):
    """Hold memory for a while."""
    held = bytearray(size)
    time.sleep(5)
    return len(held)


def note(path, index):
    """Note a run in one step."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"%08d\n" % index)
    os.close(fd)
    time.sleep(0.001)
    return index * 2


_known = []


def remember(value):
    """An initializer."""
    _known.append(value)


def remembered():
    """What it was given."""
    return _known


def die_at_start():
    """An initializer that ends the process."""
    os._exit(7)


def slow_at(index):
    """Be quick, but for one."""
    if index == 40:
        time.sleep(0.5)
    return index, os.getpid()


class Noting:
    """A call with a first argument, that can be sent."""

    def __init__(self, path):
        self.path = path

    def __call__(self, index):
        """Note a run."""
        return note(self.path, index)
