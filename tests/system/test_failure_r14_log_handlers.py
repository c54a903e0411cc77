"""A log handler for each agent.

From hermes-agent #990, ray #65451 and lingtai #749: the constructor of an agent adds a ``FileHandler`` to
a logger of the process. 500 agents are 500 descriptors, although 499 of them are gone, and 500 lines for
each record.
"""

import pytest
from tests.system.failure_programs import run_program

pytestmark = pytest.mark.system

PROGRAM = """
import logging, os, sys, tempfile
import holdfast
from holdfast.track import add_log_handler, duplicate_log_handlers, guard_log_handlers
from tests.system.failure_programs import report

path = os.path.join(tempfile.mkdtemp(), "errors.log")

def fds():
    return len(os.listdir("/proc/self/fd"))

class Agent:
    def __init__(self):
        ADD

    def step(self):
        logging.getLogger("agent").warning("x" * 200)

before = fds()
GUARD
agents = [Agent() for _ in range(500)]
del agents[1:]
agents[0].step()
grown = fds() - before
found = [(one.count, one.destination == os.path.realpath(path)) for one in duplicate_log_handlers()]
with open(path) as lines:
    report(grown=grown, lines=sum(1 for _ in lines), found=found)
"""

UNCHANGED = 'logging.getLogger("agent").addHandler(logging.FileHandler(path))'
ADDED = 'add_log_handler("agent", logging.FileHandler(path))'


def _run(add, guard):
    return run_program(PROGRAM.replace("ADD", add).replace("GUARD", guard)).figures


def test_a_guard_refuses_them_in_a_program_that_is_not_changed():
    """One line at its start; the agents add their handlers as before."""
    figures = _run(UNCHANGED, "guard_log_handlers()")

    assert figures == {"grown": 1, "lines": 1, "found": []}


def test_adding_through_holdfast_can_stand_in_a_constructor():
    """One descriptor, and one line for each record."""
    figures = _run(ADDED, "")

    assert figures == {"grown": 1, "lines": 1, "found": []}


def test_in_a_program_that_is_not_guarded_they_are_found():
    """With their destination and number: the failure itself."""
    figures = _run(UNCHANGED, "")

    assert figures == {"grown": 500, "lines": 500, "found": [[500, True]]}
