"""The budget in a process that was forked."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

FORKED = """
import os, threading, warnings
from holdfast.pools import budget

warnings.simplefilter("ignore")  # of a fork beside threads, which is what this is about
held, done = threading.Event(), threading.Event()

def detect():
    with budget._lock:
        held.set()
        done.wait()

thread = threading.Thread(target=detect)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    budget.current_budget()
    os._exit(7)
_, status = os.waitpid(child, 0)
done.set()
thread.join()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_child_does_not_wait_for_a_thread_that_stayed_behind():
    """It detects its own budget."""
    done = subprocess.run([sys.executable, "-c", FORKED], check=False, timeout=30)  # noqa: S603 - ours

    assert done.returncode == 7
