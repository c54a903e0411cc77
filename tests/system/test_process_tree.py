"""Real trees of processes, ended."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.system.failure_programs import run_program, thread_limit, wait_until
from tests.system.process_counts import children_of, sleepers

from holdfast._core.process_tree import keeper_main, table as tables
from holdfast._core.process_tree.mark import mark_environment, new_mark
from holdfast._core.process_tree.register import Register
from holdfast._core.process_tree.tree import Tree
from holdfast._core.process_tree.waiting import end_tree_async, end_trees

pytestmark = pytest.mark.system

__all__ = ("sleepers",)

KINDS = {
    "children in the group": "sleep {s} & sleep {s} & wait",
    "a child in a session of its own": "setsid sleep {s} & wait",
    "a daemon": "(setsid sleep {s} &) ; sleep {s}",
    "a daemon whose starter has ended": "(setsid sh -c 'sleep {s} & sleep {s}; true' &) ; exit 0",
    "deaf ones": "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep {s}; sleep {s}' & sleep {s}; sleep {s}",
    "a stopped one": "sleep {s} & kill -STOP $!; wait",
    "without environment": "env -i sleep {s} & env -i setsid sleep {s} & wait",
}


def start(*words, mark=True):
    """Start something as holdfast starts it."""
    name = new_mark() if mark else None
    environment = mark_environment(os.environ, name) if name else None
    process = subprocess.Popen(words, start_new_session=True, env=environment)  # noqa: S603 - the tree under test
    return process, Tree(process.pid, name)


def shell(source, sleepers, least=1):
    process, tree = start("sh", "-c", source.format(s=sleepers.seconds))
    wait_until(lambda: len(sleepers.living()) >= least)
    return process, tree


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_a_tree(kind, sleepers):
    """Whatever its members have done to get away."""
    process, tree = shell(KINDS[kind], sleepers)
    wait_until(lambda: len(sleepers.living()) >= 2 or process.poll() is not None)

    left = end_trees([tree], grace=0.2)

    assert left == {tree: ()}
    assert sleepers.living() == []
    process.wait()


def test_the_root_is_left_to_be_reaped(sleepers):
    """By whoever started it, with its true status."""
    process, tree = shell("exec sleep {s}", sleepers)

    end_trees([tree], grace=1.0)

    assert process.pid in children_of(os.getpid())
    assert process.wait() == -signal.SIGTERM


def test_a_grace_of_zero_kills_at_once(sleepers):
    """Nobody is asked."""
    process, tree = shell("exec sleep {s}", sleepers)

    end_trees([tree], grace=0)

    assert process.wait() == -signal.SIGKILL


def test_a_program_may_clean_up_in_its_grace(tmp_path, sleepers):
    """SIGTERM comes first."""
    note = tmp_path / "note"
    process, tree = shell(f"trap 'echo clean > {note}; exit 7' TERM; sleep {{s}}; true", sleepers)

    end_trees([tree], grace=10.0)

    assert process.wait() == 7
    assert note.read_text() == "clean\n"


RUNS_AWAY = """
import os, sys, time
until = time.monotonic() + 20
while time.monotonic() < until:      # each process starts the next one, in a new session, and ends
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.002)
"""


def test_a_chain_that_forks_and_ends_all_the_time_is_caught(sleepers):
    """It is never where it was when it was looked for; it is stopped where it is."""
    process, tree = start(sys.executable, "-S", "-E", "-c", RUNS_AWAY, sleepers.seconds)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # the chain has moved on

    left = end_trees([tree], grace=0.05)

    assert left == {tree: ()}
    assert sleepers.living() == []
    process.wait()


GROWS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
until = time.monotonic() + 15
while time.monotonic() < until:
    try:
        if not os.fork():
            os.setsid()
    except OSError:                  # as many as the limit allows
        time.sleep(0.001)
"""

ENDS_WHAT_GROWS = f"""
import os, subprocess, sys
from holdfast._core.process_tree.mark import mark_environment, new_mark
from holdfast._core.process_tree.table import read_table
from holdfast._core.process_tree.register import Register
from holdfast._core.process_tree.tree import Tree
from holdfast._core.process_tree.waiting import end_trees
from tests.system.failure_programs import enter_thread_limit, report, wait_until

enter_thread_limit()
mark = new_mark()
process = subprocess.Popen([sys.executable, "-S", "-E", "-c", {GROWS!r}], start_new_session=True,
                           env=mark_environment(os.environ, mark))
tree = Tree(process.pid, mark)
wait_until(lambda: len(tree.find(read_table())) > 40)
left = end_trees([tree], grace=0.1)
process.wait()
report(left=len(left[tree]), living=len(tree.find(read_table())))
"""


def test_what_forks_for_all_it_is_worth_is_ended():
    """Deaf, each in a session of its own, and as many as its control group allows."""
    with thread_limit("pids.max", 64) as limit:
        figures = run_program(ENDS_WHAT_GROWS, limit=limit).figures

    assert figures == {"left": 0, "living": 0}


def test_many_trees_end_within_one_grace(sleepers):
    """All are asked before anybody's grace is over, and all are killed in the same step."""
    source = "trap '' TERM; setsid sleep {s} & sleep {s}; sleep {s}"
    pairs = [start("sh", "-c", source.format(s=sleepers.seconds)) for _ in range(40)]
    wait_until(lambda: len(sleepers.living()) >= 120)

    left = end_trees([tree for _, tree in pairs], grace=0.3)

    assert set(left.values()) == {()}
    assert sleepers.living() == []
    assert {process.wait() for process, _ in pairs} == {-signal.SIGKILL}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start another user's process")
def test_a_process_of_another_user_is_told_as_left(sleepers):
    """A user may not signal what belongs to another one; nobody waits for it, and the rest is ended."""
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    source = """
import os, subprocess, sys
from holdfast._core.process_tree.register import Register
from holdfast._core.process_tree.tree import Tree
from holdfast._core.process_tree.waiting import end_trees
from tests.system.failure_programs import report

process = subprocess.Popen(["sh", "-c", f"sleep {sys.argv[1]} & sleep {sys.argv[1]}"],
                           start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
tree = Tree(process.pid)
helper = subprocess.Popen(["setpriv", "--reuid=54321", "--clear-groups", "true"])
helper.wait()
os.seteuid(0)
import ctypes
ctypes.CDLL(None).prctl(4, 1)
os.setresuid(54322, 54322, 54322)
left = end_trees([tree], grace=0.1)
report(left=len(left[tree]), denied=all(one.denied for one in left[tree]))
"""
    figures = run_program(source, sleepers.seconds).figures

    assert figures == {"left": len(sleepers.living()), "denied": True}
    assert figures["left"] >= 2


def test_on_a_loop_trees_end_side_by_side_and_a_cancelled_wait_kills(sleepers):
    """The cancellation goes on when the tree has ended, without the rest of its grace."""
    process, tree = shell("trap '' TERM; sleep {s}; sleep {s}", sleepers)

    async def main():
        ending = asyncio.ensure_future(end_tree_async(tree, grace=3600.0))
        await asyncio.sleep(0.05)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending

    asyncio.run(main())

    assert sleepers.living() == []
    assert process.wait() == -signal.SIGKILL


def test_without_a_proc_the_group_is_ended(sleepers, monkeypatch):
    """As on macOS: what has left it is not found, and would be in vain looked for."""
    monkeypatch.setattr(tables, "HAS_TABLE", False)
    process, tree = shell("trap '' TERM; sleep {s} & sleep {s}; sleep {s}", sleepers, least=3)

    end_trees([tree], grace=0.1)

    wait_until(lambda: not sleepers.living())
    assert process.wait() == -signal.SIGKILL


def test_a_keeper_without_a_proc_ends_the_groups_it_was_told_of(sleepers, monkeypatch):
    """As on macOS; what is deaf is killed after the grace, and what only was about to start is nobody."""
    monkeypatch.setattr(tables, "HAS_TABLE", False)
    monkeypatch.setattr(keeper_main, "_GRACE", 0.05)
    mild, _ = shell("sleep {s} & sleep {s}", sleepers, least=3)
    deaf, _ = shell("trap '' TERM; sleep {s} & sleep {s}; true", sleepers, least=6)
    register = Register()
    for pid in (mild.pid, deaf.pid):
        register.put(register.take(), pid, -1)
    register.take()

    keeper_main.end_all(register, "nobody")

    wait_until(lambda: not sleepers.living())
    register.close()
    assert (mild.wait(), deaf.wait()) == (-signal.SIGTERM, -signal.SIGKILL)


def test_where_the_end_can_only_be_seen_by_reaping_the_status_is_kept(sleepers, monkeypatch):
    """As on macOS before Python 3.13."""
    monkeypatch.setattr(tables, "HAS_TABLE", False)
    monkeypatch.delattr(os, "waitid")
    process, tree = shell("sleep {s} & sleep {s}", sleepers, least=3)

    end_trees([tree], grace=0.1)

    code, _ = tree.reap_root()
    assert os.waitstatus_to_exitcode(code) == -signal.SIGTERM
    wait_until(lambda: not sleepers.living())
    process.returncode = 0


def test_orphans_that_come_to_a_subreaper_are_reaped():
    """In a program that the kernel gives its orphans, nothing of the tree stays a zombie."""
    source = """
import ctypes, os, subprocess
from holdfast._core.process_tree.mark import mark_environment, new_mark
from holdfast._core.process_tree.register import Register
from holdfast._core.process_tree.tree import Tree
from holdfast._core.process_tree.waiting import end_trees
from tests.system.failure_programs import report, wait_until
from tests.system.process_counts import children_of

assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
mark = new_mark()
process = subprocess.Popen(["sh", "-c", "(setsid sleep 60 &) ; (sleep 60 &) ; exit 0"],
                           start_new_session=True, env=mark_environment(os.environ, mark))
tree = Tree(process.pid, mark)
wait_until(lambda: len(children_of(os.getpid())) >= 3)
end_trees([tree], grace=5.0)
process.wait()
report(children=children_of(os.getpid()))
"""
    assert run_program(source).figures == {"children": []}


def test_ending_takes_no_other_childs_status():
    """Only what belongs to the tree is waited for."""
    other = subprocess.Popen(["/bin/true"])
    process, tree = start("sleep", "60")
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)

    end_trees([tree], grace=1.0)

    assert other.wait() == 0
    assert process.wait() == -signal.SIGTERM
