"""``holdfast.sense.cpus``: affinity and quotas."""

import os
import sys

import pytest
from tests.unit.sense.tree import STATUS

from holdfast.sense import cpu_bound, cpu_readings, usable_cpus
from holdfast.sense.cpus import parse_cpu_list

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
TICKS = os.sysconf("SC_CLK_TCK")


def test_without_a_quota_the_affinity_counts(tree):
    """Four CPUs."""
    bound = cpu_bound(root=tree.root)

    assert (bound.bound, bound.source) == (4, "affinity")
    assert usable_cpus(root=tree.root) == 4.0


def test_cpus_that_are_off_or_not_there_do_not_count(tree):
    """An affinity may name all that the machine could ever have."""
    tree.process(status=STATUS.replace("0-3", "0-127"))
    tree.write("/sys/devices/system/cpu/online", "0,2-3")

    assert usable_cpus(root=tree.root) == 3.0


def test_version_2_the_tightest_quota_of_all_parents_binds(tree):
    """The parent's is lower than the child's."""
    tree.unified("/pod/box")
    tree.group("/sys/fs/cgroup/pod/box", cpu__max="300000 100000")
    tree.group("/sys/fs/cgroup/pod", cpu__max="150000 100000")
    tree.group("/sys/fs/cgroup", cpu__max="max 100000")

    bound = cpu_bound(root=tree.root)

    assert (bound.bound, bound.source) == (1.5, "cpu.max of cgroup /pod")
    assert [each.bound for each in cpu_readings(root=tree.root)] == [4, 3.0, 1.5]


def test_version_1_the_tightest_quota_of_all_parents_binds(tree):
    """Minus one is no quota."""
    tree.write("/proc/self/cgroup", "4:cpu,cpuacct:/pod/box")
    tree.write("/proc/self/mountinfo", "33 31 0:30 / /cpu rw - cgroup cgroup rw,cpu,cpuacct")
    tree.group("/cpu/pod/box", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    tree.group("/cpu/pod", cpu__cfs_quota_us=25000, cpu__cfs_period_us=50000)

    bound = cpu_bound(root=tree.root)

    assert (bound.bound, bound.source) == (0.5, "cpu.cfs_quota_us of cgroup /pod")


@pytest.mark.parametrize("text", ["", "max 100000", "0 100000", "100000 0", "100000 x", "x"])
def test_a_quota_of_another_form_is_none(tree, text):
    """Affinity is left."""
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", cpu__max=text)

    assert usable_cpus(root=tree.root) == 4.0


def test_use_is_the_mean_since_the_process_began(tree):
    """It began 100 seconds ago and has used 150 CPU seconds; its name has a bracket and spaces."""
    fields = ["S", *["0"] * 10, 100 * TICKS, 50 * TICKS, *["0"] * 6, 900 * TICKS, "0"]
    tree.write("/proc/self/stat", f"7 (my) agent) {' '.join(map(str, fields))}")
    tree.write("/proc/uptime", "1000.25 3000.00")

    bound = cpu_bound(root=tree.root)

    assert (bound.value, bound.left) == (1.5, 2.5)
    assert bound.note == "the mean since the process began"


def test_the_least_bound_counts_also_when_more_is_used(tree):
    """Nothing is left of either, and yet one of them is lower."""
    fields = ["S", *["0"] * 10, 500 * TICKS, 0, *["0"] * 6, 900 * TICKS, "0"]
    tree.write("/proc/self/stat", f"7 (agent) {' '.join(map(str, fields))}")
    tree.write("/proc/uptime", "1000.0 0")
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", cpu__max="200000 100000")

    assert cpu_bound(root=tree.root).bound == 2.0


def test_a_process_that_has_ended_is_an_error(tree):
    """There is nothing to say of it."""
    with pytest.raises(ProcessLookupError, match="4711"):
        usable_cpus(4711, root=tree.root)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3,8", {0, 1, 2, 3, 8}),
        ("5", {5}),
        ("", set()),
        ("3-1", set()),
        ("0-99999999", set()),
        ("a,2,-,4-", {2}),
    ],
)
def test_a_list_of_cpus_may_hold_garbage(text, cpus):
    """What is no number or range is left out."""
    assert parse_cpu_list(text) == cpus


@linux_only
def test_this_machine_gives_what_the_scheduler_says():
    """Never more than the affinity."""
    assert 0 < usable_cpus() <= len(os.sched_getaffinity(0))
    assert cpu_readings()[0].bound == len(os.sched_getaffinity(0))


@linux_only
def test_a_number_that_the_user_puts_in_its_place_counts(monkeypatch):
    """As Python 3.13 has it with PYTHON_CPU_COUNT and -X cpu_count."""
    wanted = len(os.sched_getaffinity(0)) + 5
    monkeypatch.setattr(os, "process_cpu_count", lambda: wanted, raising=False)

    affinity = cpu_readings()[0]

    assert (affinity.bound, affinity.source) == (wanted, "PYTHON_CPU_COUNT or -X cpu_count")
