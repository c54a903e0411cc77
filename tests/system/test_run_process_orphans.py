"""Nothing is left behind: by timeouts, by cancellations, by the end of a thread, a loop, or the program."""

import os
import signal

import pytest
from tests.system.failure_programs import run_program, start_program, wait_until
from tests.system.process_counts import sleepers

pytestmark = pytest.mark.system

__all__ = ("sleepers",)

STARTS_CHILDREN = """
import sys
deaf = f"trap '' TERM; sleep {sys.argv[1]}; sleep {sys.argv[1]}"
TOOLS = [
    ["sh", "-c", f"sleep {sys.argv[1]} & sleep {sys.argv[1]}"],
    ["sh", "-c", f"setsid sleep {sys.argv[1]} & sleep {sys.argv[1]}"],
    ["sh", "-c", f"(setsid sleep {sys.argv[1]} &) ; sleep {sys.argv[1]}"],
    ["sh", "-c", f"(setsid sh -c \\"{deaf}\\" &) ; sleep {sys.argv[1]}"],
    ["sleep", sys.argv[1]],
]
"""

HOLDINGS = """
import os
from holdfast._core.process_tree.keeper import KEEPER
from tests.system.process_counts import children_of

def held():
    return len(os.listdir("/proc/self/fd")), len(set(children_of(os.getpid())) - {KEEPER.pid})
"""

TIMEOUTS = (
    STARTS_CHILDREN
    + HOLDINGS
    + """
import asyncio
from collections import Counter
from holdfast import CallTimeout, run_process
from tests.system.failure_programs import report

async def tool(n):
    try:
        await run_process(TOOLS[n % len(TOOLS)], timeout=1.5, kill_grace=0.5)
    except CallTimeout as error:
        return f"timed out, stopped={error.stopped}"

async def main():
    await run_process(["true"])
    before = held()
    outcomes = Counter(await asyncio.gather(*[tool(n) for n in range(100)]))
    report(outcomes=outcomes, more=[now - then for now, then in zip(held(), before)])

asyncio.run(main())
"""
)


def test_100_tools_that_time_out_leave_no_orphan(sleepers):
    """Each has started children: in its group, in sessions of their own, as daemons, deaf ones."""
    figures = run_program(TIMEOUTS, sleepers.seconds).figures

    assert figures == {"outcomes": {"timed out, stopped=True": 100}, "more": [0, 0]}
    assert sleepers.living() == []


CANCELLATIONS = (
    STARTS_CHILDREN
    + HOLDINGS
    + """
import asyncio, random
from collections import Counter
from holdfast import run_process
from holdfast._core.loops import loop_state
from holdfast.pools import AsyncPool
from tests.system.failure_programs import report

async def main():
    chance = random.Random(int(sys.argv[2]))
    await run_process(["true"])
    loop_state(asyncio.get_running_loop())       # the mailbox of a loop with pools has a descriptor
    before = held()
    outcomes = Counter()
    async with AsyncPool(25, name="tools") as pool:

        async def one(n):
            cmd = TOOLS[n % len(TOOLS)] if n % 3 else ["true"]
            task = asyncio.ensure_future(
                run_process(cmd, pool=pool, kill_grace=0.05, input=b"x" * 100_000 if n % 4 else None)
            )
            done, _ = await asyncio.wait([task], timeout=chance.expovariate(1 / 0.02))
            if not done:
                task.cancel()
                if chance.random() < 0.3:                  # and again, while it is being ended
                    await asyncio.sleep(chance.random() * 0.01)
                    task.cancel()
            await asyncio.wait([task])
            outcomes["cancelled" if task.cancelled() else "ended"] += 1
            if not task.cancelled():
                task.result()

        async def some(start):
            for n in range(start, 500, 50):
                await one(n)

        await asyncio.gather(*[some(start) for start in range(50)])
        in_flight = pool.stats().in_flight
    report(all=sum(outcomes.values()), some=outcomes["cancelled"] > 50, in_flight=in_flight,
           more=[now - then for now, then in zip(held(), before)])

asyncio.run(main())
"""
)


@pytest.mark.parametrize("seed", [1, 2])
def test_1000_calls_cancelled_at_random_leave_nothing(seed, sleepers):
    """In two programs. No process, no zombie, no descriptor, no permit; some are cancelled again meanwhile."""
    figures = run_program(CANCELLATIONS, sleepers.seconds, seed).figures

    assert figures == {"all": 500, "some": True, "in_flight": 0, "more": [0, 0]}
    assert sleepers.living() == []


PROGRAM = (
    STARTS_CHILDREN
    + """
import asyncio
from holdfast import run_process
from holdfast._core.process_tree.keeper import KEEPER
from holdfast._core.process_tree.register import ABOUT
from tests.system.failure_programs import say

def all_are_known(count):
    return KEEPER._register is not None and sum(pid != ABOUT for pid, _ in KEEPER._register) == count

async def main():
    tools = [asyncio.ensure_future(run_process(cmd, timeout=None)) for cmd in TOOLS]
    tools.append(asyncio.ensure_future(run_process(["env", "-i", "sleep", sys.argv[1]], timeout=None)))
    while not all_are_known(len(tools)):
        await asyncio.sleep(0.001)
    say("running")
    await asyncio.gather(*tools)

asyncio.run(main())
"""
)


def test_a_killed_program_leaves_no_tool_behind(sleepers):
    """SIGKILL, so that it can do nothing itself: the keeper does it."""
    with start_program(PROGRAM, sleepers.seconds) as program:
        program.wait_for("running")
        wait_until(lambda: len(sleepers.living()) >= 11)
        program.process.kill()
        program.process.wait()
        wait_until(lambda: not sleepers.living())


def test_a_copy_of_the_line_in_a_forked_child_does_not_hide_the_end(sleepers):
    """A child of ``multiprocessing`` has all descriptors, and lives on."""
    source = PROGRAM.replace(
        '    say("running")',
        """
    import os, time
    while os.environ.get("never") is None:                 # until the keeper is there
        from holdfast._core.process_tree.keeper import KEEPER
        if KEEPER.pid: break
        await asyncio.sleep(0.001)
    import ctypes
    if not ctypes.CDLL(None).fork():                       # no word to Python's own hooks
        time.sleep(20)
        os._exit(0)
    say("running")""",
    )

    with start_program(source, sleepers.seconds) as program:
        program.wait_for("running")
        wait_until(lambda: len(sleepers.living()) >= 12)
        program.process.kill()
        program.process.wait()
        fork = [pid for pid in sleepers.living() if _is_python(pid)]
        wait_until(lambda: sorted(sleepers.living()) == fork)

    assert len(fork) == 1
    os.kill(fork[0], signal.SIGKILL)


def _is_python(pid):
    from pathlib import Path

    return b"asyncio" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_killed_keeper_is_replaced_and_told_of_all_that_runs(sleepers):
    """With the next start; so the end of the program is still the end of its tools."""
    source = """
import asyncio, os, signal, sys
from holdfast import run_process
from holdfast._core.process_tree.keeper import KEEPER
from tests.system.failure_programs import say

async def main():
    first = asyncio.ensure_future(run_process(["env", "-i", "sleep", sys.argv[1]], timeout=None))
    while not KEEPER.pid:
        await asyncio.sleep(0.001)
    os.kill(KEEPER.pid, signal.SIGKILL)
    os.waitid(os.P_PID, KEEPER.pid, os.WEXITED | os.WNOWAIT)
    gone = KEEPER.pid
    await run_process(["true"])
    assert KEEPER.pid != gone
    say("running")
    await first

asyncio.run(main())
"""
    with start_program(source, sleepers.seconds) as program:
        program.wait_for("running")
        program.process.kill()
        program.process.wait()
        wait_until(lambda: not sleepers.living())


def test_a_tool_outlives_the_thread_that_started_it(sleepers):
    """The kernel's parent-death signal would kill it with that thread; it ends with the program alone."""
    source = """
import asyncio, sys, threading
from holdfast import run_process
from holdfast.track.process.spec import make_spec
from holdfast.track.process.start import start
from tests.system.failure_programs import report

started = []
thread = threading.Thread(
    target=lambda: started.append(asyncio.run(start(make_spec(["sleep", sys.argv[1]]))))
)
thread.start()
thread.join()
import time
time.sleep(0.05)
runs = started[0].process.poll() is None
started[0].process.kill()
started[0].process.wait()
report(runs=runs)
"""
    figures = run_program(source, sleepers.seconds).figures

    assert figures == {"runs": True}
    assert sleepers.living() == []


def test_the_end_of_a_loop_is_the_end_of_its_tools(sleepers):
    """``asyncio.run`` cancels what is left; a program that just ends does it by the keeper."""
    source = """
import asyncio, sys
from holdfast import run_process

async def main():
    asyncio.ensure_future(run_process(["sleep", sys.argv[1]], timeout=None))
    await asyncio.sleep(0.05)

asyncio.run(main())
"""
    stopped = """
import asyncio, os, sys
from holdfast import run_process

async def main():
    asyncio.ensure_future(run_process(["sleep", sys.argv[1]], timeout=None))
    await asyncio.sleep(0.05)
    os._exit(0)

asyncio.run(main())
"""
    run_program(source, sleepers.seconds)
    after_run = sleepers.living()
    run_program(stopped, sleepers.seconds)
    wait_until(lambda: not sleepers.living())

    assert after_run == []


@pytest.mark.parametrize("loop", ["open", "closed"])
def test_a_coroutine_that_is_thrown_away_ends_its_tool(loop, sleepers):
    """Nobody can await any more; it is killed on the spot, and its two pipes and its descriptor closed."""
    source = """
import asyncio, os, sys
from holdfast.track.process.run import run
from holdfast.track.process.spec import make_spec
from tests.system.failure_programs import report
from tests.system.process_counts import children_of
from holdfast._core.process_tree.keeper import KEEPER

loop = asyncio.new_event_loop()
call = run(make_spec(["sleep", sys.argv[1]]))

async def until_it_runs():
    task = asyncio.current_task()
    call.send(None)

loop.run_until_complete(until_it_runs())
before = len(children_of(os.getpid()))
if sys.argv[2] == "closed":
    loop.close()
descriptors = len(os.listdir("/proc/self/fd"))
call.close()
report(pipes=descriptors - len(os.listdir("/proc/self/fd")), before=before,
       after=set(children_of(os.getpid())) == {KEEPER.pid})
"""
    figures = run_program(source, sleepers.seconds, loop).figures

    assert figures == {"before": 2, "after": True, "pipes": 3}
    assert sleepers.living() == []


def test_a_tool_that_can_not_be_attended_is_ended_on_the_spot(sleepers):
    """The loop refuses to watch its pipes: what was started is ended, and nothing stays open."""
    source = """
import asyncio, os, sys
from holdfast import run_process
from holdfast._core.process_tree.keeper import KEEPER
from tests.system.failure_programs import report
from tests.system.process_counts import children_of

async def main():
    await run_process(["true"])
    loop = asyncio.get_running_loop()
    before = len(os.listdir("/proc/self/fd"))
    refusals = []
    for accepted in range(3):
        left = [accepted]
        add = type(loop).add_reader

        def refuses(fd, *what):
            if not left[0]:
                raise OSError(28, "No space left on device")
            left[0] -= 1
            return add(loop, fd, *what)

        loop.add_reader = refuses
        try:
            await run_process(["sleep", sys.argv[1]])
        except OSError as error:
            refusals.append(error.errno)
        del loop.add_reader
        fine = await run_process(["echo", "fine"])
        assert fine.text == "fine\\n"
    report(refusals=refusals, more=len(os.listdir("/proc/self/fd")) - before,
           children=children_of(os.getpid()) == [KEEPER.pid])

asyncio.run(main())
"""
    figures = run_program(source, sleepers.seconds).figures

    assert figures == {"refusals": [28, 28, 28], "more": 0, "children": True}
    assert sleepers.living() == []


def test_a_forked_child_has_a_keeper_of_its_own(sleepers):
    """And what the child runs is none of the parent's: each ends with its own."""
    source = """
import os, sys
from holdfast import run_process_sync
from holdfast._core.process_tree.keeper import KEEPER
from tests.system.failure_programs import report

run_process_sync(["true"])
mine = KEEPER.pid
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    done = run_process_sync(["echo", "from the child"])
    os.write(writing, f"{done.text.strip()}, another keeper: {KEEPER.pid != mine}".encode())
    os._exit(0)
said = os.read(reading, 100).decode()
os.waitpid(child, 0)
report(said=said, same=KEEPER.pid == mine, fine=run_process_sync(["true"]).ok)
"""
    figures = run_program(source, sleepers.seconds).figures

    assert figures == {"said": "from the child, another keeper: True", "same": True, "fine": True}
