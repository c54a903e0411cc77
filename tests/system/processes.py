"""Programs of the tests, started and ended."""

import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def started(*args):
    """Start a Python program, wait for its first line, and end it afterwards."""
    with subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()
