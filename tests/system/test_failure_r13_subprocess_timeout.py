"""A timeout around ``communicate()`` that stops nothing.

From hermes #34151, synthadoc #288, nanobot #2362 and CPython #83169: 20 timed-out tools leave 40 processes
and 40 descriptors; with ``kill()`` the grandchildren live on, hold the pipe, and reading its rest never ends.
"""

import pytest
from tests.system.failure_programs import run_program
from tests.system.process_counts import sleepers

pytestmark = pytest.mark.system

__all__ = ("sleepers",)

TIMEOUTS = """
import asyncio, os, sys
from collections import Counter
from holdfast import CallTimeout, run_process
from holdfast._core.process_tree.keeper import KEEPER
from tests.system.failure_programs import report
from tests.system.process_counts import children_of

async def tool():
    try:
        await run_process(f"echo said; sleep {sys.argv[1]} & sleep {sys.argv[1]}; true",
                          shell=True, timeout=0.2)
    except CallTimeout as error:
        return f"stopped={error.stopped}, said={error.result.text!r}"

async def main():
    await run_process(["true"])
    descriptors = len(os.listdir("/proc/self/fd"))
    outcomes = Counter([await tool() for _ in range(5)] + await asyncio.gather(*[tool() for _ in range(15)]))
    report(outcomes=outcomes, descriptors=len(os.listdir("/proc/self/fd")) - descriptors,
           children=len(set(children_of(os.getpid())) - {KEEPER.pid}))

asyncio.run(main())
"""


def test_timeouts_leave_no_process_and_no_descriptor(sleepers):
    """One after the other and side by side: each is ended with its children, read to its end, reaped."""
    figures = run_program(TIMEOUTS, sleepers.seconds).figures

    assert figures["outcomes"] == {"stopped=True, said='said\\n'": 20}
    assert figures["descriptors"] == 0
    assert figures["children"] == 0
    assert sleepers.living() == []
