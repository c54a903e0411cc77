"""Processes and threads one by one, out of a copy of ``/proc`` and out of the real one."""

import os
import subprocess
import sys
import threading

import pytest
from tests.unit.sense.tree import Tree

from holdfast.sense import (
    ThreadState,
    appending,
    family,
    kernel_readings,
    list_threads,
    process_state,
)
from holdfast.sense._system_calls import waits_in

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

STAT = "{pid} ({name}) {state} {parent} 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 9 1000 {pages}"


def add(tree, pid, *, name="python", state="S", parent=1, threads=1, pages=100, children=""):
    """Add a process to the copy."""
    tree.write(
        f"/proc/{pid}/stat",
        STAT.format(pid=pid, name=name, state=state, parent=parent, threads=threads, pages=pages),
    )
    tree.write(f"/proc/{pid}/cmdline", f"{name}\0agent.py\0")
    tree.write(f"/proc/{pid}/task/{pid}/children", children)


@pytest.fixture
def tree(tmp_path):
    """An empty copy."""
    return Tree(tmp_path)


def test_a_family_is_told_from_the_top_down(tree):
    """Each followed by its children; one that has just ended is left out."""
    add(tree, 10, children="11 12 99")
    add(tree, 11, name="sh", parent=10, children="13")
    add(tree, 12, name="git", state="Z", parent=10)
    add(tree, 13, name="cat", parent=11, threads=3)

    told = family(10, root=tree.root)

    assert [(each.pid, each.depth, each.state) for each in told] == [
        (10, 0, "S"),
        (11, 1, "S"),
        (13, 2, "S"),
        (12, 1, "Z"),
    ]
    assert told[2].threads == 3
    assert told[0].rss_bytes == 100 * os.sysconf("SC_PAGE_SIZE")
    assert told[1].command.startswith("sh agent.py")


def test_a_name_may_hold_brackets_and_spaces(tree):
    """The last bracket ends it."""
    add(tree, 10, name="a) S (b", state="R")

    told = process_state(10, root=tree.root)

    assert (told.name, told.state, told.parent) == ("a) S (b", "R", 1)


def test_processes_that_name_each_other_are_told_once(tree):
    """Numbers may be taken again while one reads."""
    add(tree, 10, children="11")
    add(tree, 11, children="10")

    assert [each.pid for each in family(10, root=tree.root)] == [10, 11]


def test_threads_have_a_name_a_state_and_what_they_wait_in(tree):
    """Out of two files each; one that has ended meanwhile is left out."""
    for tid, state in ((10, "R"), (12, "S"), (11, "D")):
        tree.write(f"/proc/10/task/{tid}/stat", f"{tid} (worker {tid}) {state} 1 1")
        tree.write(f"/proc/10/task/{tid}/syscall", f"{_A_LOCK} 0x1 0x2")
    (tree.folder / "proc/10/task/13").mkdir()

    assert list_threads(10, root=tree.root) == (
        ThreadState(10, "worker 10", "R"),
        ThreadState(11, "worker 11", "D", "a lock"),
        ThreadState(12, "worker 12", "S", "a lock"),
    )


_A_LOCK = {"x86_64": 202}.get(os.uname().machine, 98)


@pytest.mark.parametrize(
    ("text", "machine", "said"),
    [
        ("202 0x7f 0x80", "x86_64", "a lock"),
        ("98 0x7f 0x80", "aarch64", "a lock"),
        ("232 0x4", "x86_64", "events"),
        ("63 0x4", "riscv64", "a read"),
        ("4000 0x4", "x86_64", "system call 4000"),
        ("202 0x4", "mips", "system call 202"),
        ("running", "x86_64", ""),
        ("-1 0x7f 0x0", "x86_64", ""),
        ("", "x86_64", ""),
    ],
)
def test_a_system_call_is_said_in_words(text, machine, said):
    """By the table of the machine."""
    assert waits_in(text, machine) == said


def test_own_threads_have_the_names_that_python_gave():
    """In every version of Python; and one that waits says in what."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="a name of more than fifteen letters")
    thread.start()
    try:
        while not any(each.waits_in for each in list_threads() if each.tid == thread.native_id):
            pass
        (told,) = (each for each in list_threads() if each.tid == thread.native_id)
    finally:
        stop.set()
        thread.join()

    assert told == ThreadState(
        thread.native_id, "a name of more than fifteen letters", "S", "a lock"
    )


def test_a_real_child_is_found_until_it_has_been_waited_for():
    """As a zombie at the end."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:  # noqa: S607 - of the system
        running = {each.pid: each for each in family()}
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        ended = {each.pid: each.state for each in family()}
    gone = {each.pid for each in family()}

    assert running[child.pid].parent == os.getpid()
    assert ended[child.pid] == "Z"
    assert child.pid not in gone


def test_a_process_that_is_not_there_can_not_be_looked_at():
    """The message says so."""
    with subprocess.Popen(["true"]) as gone:  # noqa: S607 - of the system
        gone.wait()

    for look in (family, process_state, list_threads):
        with pytest.raises(ProcessLookupError, match="has ended"):
            look(gone.pid)


def test_descriptors_that_append_are_told_from_those_that_read(tmp_path):
    """In this process and in another one; what is closed is left out."""
    file = tmp_path / "agent.log"
    with open(file, "a") as added, open(file) as read, open(file, "w") as written:
        fds = [added.fileno(), read.fileno(), written.fileno()]
        wanted = frozenset({added.fileno(), written.fileno()})
        assert appending([*fds, 999_999]) == wanted
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=fds) as child:  # noqa: S607 - of the system
            assert appending([*fds, 999_999], child.pid) == wanted
            child.stdin.close()


def test_limits_of_the_kernel_are_told_where_it_tells_them(tree):
    """What it does not tell is left out."""
    tree.write("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999")
    tree.write("/proc/sys/fs/inotify/max_user_instances", 128)

    told = {each.source: each.bound for each in kernel_readings(root=tree.root)}

    assert told == {"net.ipv4.ip_local_port_range": 28_232, "fs.inotify.max_user_instances": 128}
