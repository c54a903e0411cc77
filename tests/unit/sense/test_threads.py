"""``holdfast.sense.threads`` and ``processes``: the tightest of all limits on tasks."""

import os
import sys
import threading

import pytest
from tests.unit.sense.crew import counts_threads
from tests.unit.sense.tree import STATUS

from holdfast.sense import process_bound, process_readings, thread_bound, thread_readings

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

ROOT_USER = STATUS.replace("1000", "0")


def limits(readings, source):
    """Those with one source."""
    return [each for each in readings if each.source.startswith(source)]


def test_the_users_limit_counts_all_of_the_users_threads(tree):
    """Those of two other processes of the user too, and not those of somebody else."""
    tree.process("11")
    tree.process("12", status=STATUS.replace("Threads:\t10", "Threads:\t25"))
    tree.process("13", status=STATUS.replace("1000", "1001"))

    (limit,) = limits(thread_readings(root=tree.root), "soft RLIMIT_NPROC")

    assert (limit.value, limit.bound, limit.scope) == (35, 100, "user 1000")


def test_what_other_processes_of_the_user_hold_is_not_left(tree):
    """A hundred for the user, 35 of them elsewhere and ten here."""
    tree.process("11", status=STATUS.replace("Threads:\t10", "Threads:\t35"))
    tree.process("12")

    bound = thread_bound(root=tree.root)

    assert (bound.value, bound.left) == (10, 55)
    assert bound.bound == 65
    assert bound.source == "soft RLIMIT_NPROC: 45 of 100 held by user 1000"


def test_root_is_not_held_to_the_users_limit(tree):
    """The reading says so, and the next tightest limit counts."""
    tree.process(status=ROOT_USER, nproc=5)

    (limit,) = limits(thread_readings(root=tree.root), "soft RLIMIT_NPROC")

    assert limit.bound is None
    assert limit.note == "the kernel does not hold user 0 to the limit of 5"
    assert thread_bound(root=tree.root).source.startswith("kernel.pid_max")


@pytest.mark.parametrize("bit", [21, 24])
def test_a_capability_exempts_a_user(tree, bit):
    """CAP_SYS_ADMIN and CAP_SYS_RESOURCE do."""
    tree.process(status=STATUS.replace("0000000000000000", f"{1 << bit:016x}"), nproc=5)

    (limit,) = limits(thread_readings(root=tree.root), "soft RLIMIT_NPROC")

    assert limit.bound is None


def test_the_root_of_a_user_namespace_is_held_to_it(tree):
    """Outside it is user 1000, and its capabilities do not count there."""
    status = ROOT_USER.replace("0000000000000000", "000001ffffffffff")
    tree.process(status=status, nproc=100)
    tree.write("/proc/self/uid_map", "         0       1000          1")

    (limit,) = limits(thread_readings(root=tree.root), "soft RLIMIT_NPROC")

    assert limit.bound == 100


def test_user_0_of_a_namespace_that_is_the_machines_user_0_is_exempt(tree):
    """A namespace may map it to itself."""
    tree.process(status=ROOT_USER, nproc=5)
    tree.write("/proc/self/uid_map", "0 0 1")

    (limit,) = limits(thread_readings(root=tree.root), "soft RLIMIT_NPROC")

    assert limit.bound is None


def test_the_whole_map_is_the_first_namespace(tree):
    """There an ordinary user without capabilities is bound."""
    tree.write("/proc/self/uid_map", "         0          0 4294967295")

    (limit,) = limits(thread_readings(root=tree.root), "soft RLIMIT_NPROC")

    assert limit.bound == 100


@pytest.mark.parametrize(("version", "point"), [(1, "/sys/fs/cgroup/pids"), (2, "/sys/fs/cgroup")])
def test_the_limit_of_a_parent_group_binds(tree, version, point):
    """Its child has none of its own, and a grandparent has more left."""
    if version == 1:
        tree.write("/proc/self/cgroup", "3:pids:/pod/box/job")
        tree.write("/proc/self/mountinfo", f"33 31 0:30 / {point} rw - cgroup cgroup rw,pids")
    else:
        tree.unified("/pod/box/job")
    tree.group(f"{point}/pod/box/job", pids__max="max", pids__current=12)
    tree.group(f"{point}/pod/box", pids__max=77, pids__current=60)
    tree.group(f"{point}/pod", pids__max=90, pids__current=70)

    bound = thread_bound(root=tree.root)

    assert (bound.value, bound.left) == (10, 17)
    assert bound.source == "pids.max: 60 of 77 held by cgroup /pod/box"


def test_groups_that_cannot_be_seen_are_told(tree):
    """A limit may be there that nobody here can read."""
    tree.write("/proc/self/cgroup", "3:pids:/pod")

    (limit,) = limits(thread_readings(root=tree.root), "pids.max")

    assert limit.bound is None
    assert "not mounted" in limit.note


def test_the_machines_limits_count_all_threads(tree):
    """Both of them."""
    found = thread_readings(root=tree.root)

    assert [(each.source, each.value, each.bound) for each in found if each.scope == "machine"] == [
        ("kernel.threads-max", 500, 60000),
        ("kernel.pid_max", 500, 32768),
    ]


def test_memory_maps_bound_the_threads_of_the_process(tree):
    """Two maps for each thread: six more are three more."""
    tree.write("/proc/sys/vm/max_map_count", 9)
    tree.write("/proc/self/maps", "a\nb\nc")

    bound = thread_bound(root=tree.root)

    assert (bound.bound, bound.left) == (13, 3)
    assert bound.source.startswith("vm.max_map_count: 3 of 9 maps held")


def test_address_space_bounds_the_threads_of_the_process(tree):
    """A stack of 8 MB each: 20 MB are two more."""
    tree.process(space=200_000 * 1024 + (20 << 20))

    bound = thread_bound(root=tree.root)

    assert bound.left == 2
    assert bound.source.startswith("soft RLIMIT_AS: 8,192 KB")


def test_without_any_limit_there_is_no_bound(tmp_path, tree):
    """An endless RLIMIT_NPROC on a machine that tells nothing."""
    tree.process(nproc="unlimited")
    for path in ("kernel/threads-max", "kernel/pid_max"):
        tree.remove(f"/proc/sys/{path}")

    bound = thread_bound(root=tree.root)

    assert (bound.value, bound.bound, bound.left) == (10, None, None)


def test_another_process_is_read_like_this_one(tree):
    """By its own limits."""
    tree.process("4711", status=STATUS.replace("Threads:\t10", "Threads:\t3"), nproc=40)

    bound = thread_bound(4711, root=tree.root)

    assert (bound.value, bound.left) == (3, 37)


def test_a_process_that_has_ended_is_an_error(tree):
    """There is nothing to say of it."""
    with pytest.raises(ProcessLookupError, match="4711"):
        thread_bound(4711, root=tree.root)
    with pytest.raises(ProcessLookupError, match="4711"):
        process_bound(4711, root=tree.root)


def test_without_proc_python_counts_its_own_threads(tmp_path):
    """With a note that there may be more."""
    own, *_ = thread_readings(root=str(tmp_path))

    assert own.value == threading.active_count()
    assert "only those that Python knows of" in own.note


def test_processes_are_counted_downwards(tree):
    """Children, their children, and those that a second thread has started."""
    tree.write("/proc/self/task/1/children", "21 22 ")
    tree.write("/proc/self/task/2/children", "23 ")
    tree.write("/proc/22/task/22/children", "24 ")

    own, *_ = process_readings(root=tree.root)

    assert own.value == 5


def test_processes_have_the_limits_of_tasks(tree):
    """A hundred tasks of the user, ten of them threads of this process."""
    tree.process("11", status=STATUS.replace("Threads:\t10", "Threads:\t30"))

    bound = process_bound(root=tree.root)

    assert (bound.value, bound.left) == (1, 70)


@linux_only
def test_real_threads_are_counted_one_by_one():
    """Three more make the figure three larger."""
    assert counts_threads(lambda: thread_bound().value)


@linux_only
def test_this_process_by_its_pid_is_this_process():
    """Both ways give the same limits."""
    named = {each.source: each.bound for each in thread_readings(os.getpid())}
    own = {each.source: each.bound for each in thread_readings()}

    assert named.keys() == own.keys()
