"""``holdfast.sense.memory``: the scarcest of groups and machine."""

import os
import sys

import pytest

from holdfast.sense import memory_bound, memory_readings, pss_bytes

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
ENDLESS = 9223372036854771712


def named(readings, name):
    """Those of one name."""
    return [each for each in readings if each.name == name]


def version_1(tree, path):
    """Put the process into a group of version 1."""
    tree.write("/proc/self/cgroup", f"4:memory:{path}")
    tree.write(
        "/proc/self/mountinfo", "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    )
    return "/sys/fs/cgroup/memory"


def test_without_groups_the_machine_bounds(tree):
    """What all programs hold of it; the process's own is told apart."""
    own, *_ = memory_readings(root=tree.root)
    bound = memory_bound(root=tree.root)

    assert (own.name, own.value) == ("resident memory", 1000 * PAGE)
    assert (bound.value, bound.bound) == (4000 * 1024, 16000 * 1024)
    assert (bound.source, bound.scope) == ("the machine's memory", "machine")


def test_version_2_the_tightest_limit_of_all_parents_binds(tree):
    """The parent's is lower than the child's; page cache that is not in use is no pressure."""
    tree.unified("/pod/box")
    tree.group("/sys/fs/cgroup/pod/box", memory__max=9 * MB, memory__current=5 * MB)
    tree.group(
        "/sys/fs/cgroup/pod",
        memory__max=8 * MB,
        memory__current=7 * MB,
        memory__stat=f"anon 4\ninactive_file {MB}",
    )

    bound = memory_bound(root=tree.root)

    assert (bound.value, bound.bound, bound.left) == (6 * MB, 8 * MB, 2 * MB)
    assert (bound.source, bound.scope) == ("memory.max", "cgroup /pod")
    assert "1,048,576 bytes of page cache" in bound.note


def test_version_2_the_line_at_which_a_group_is_slowed_down_is_a_bound(tree):
    """It is reached before the limit."""
    tree.unified("/box")
    tree.group(
        "/sys/fs/cgroup/box", memory__max=9 * MB, memory__high=6 * MB, memory__current=5 * MB
    )

    bound = memory_bound(root=tree.root)

    assert (bound.bound, bound.source) == (6 * MB, "memory.high")


def test_resident_memory_beyond_what_the_group_tells_counts(tree):
    """The larger of the two: what moved in from another group is not charged to this one."""
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", memory__max=9 * MB, memory__current=MB)

    bound = memory_bound(root=tree.root)

    assert bound.value == 1000 * PAGE


def test_version_2_no_limit_is_no_bound(tree):
    """The word is max."""
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", memory__max="max", memory__current=MB)

    assert memory_bound(root=tree.root).scope == "machine"


def test_version_1_the_tightest_limit_of_all_parents_binds(tree):
    """An endless limit there is a very large number."""
    folder = version_1(tree, "/pod/box")
    tree.group(
        f"{folder}/pod/box",
        memory__limit_in_bytes=ENDLESS,
        memory__usage_in_bytes=5 * MB,
        memory__stat=f"inactive_file 0\ntotal_inactive_file {MB}\nhierarchical_memory_limit {8 * MB}",
    )
    tree.group(f"{folder}/pod", memory__limit_in_bytes=8 * MB, memory__usage_in_bytes=6 * MB)

    bound = memory_bound(root=tree.root)

    assert (bound.value, bound.bound, bound.scope) == (6 * MB, 8 * MB, "cgroup /pod")
    assert bound.source == "memory.limit_in_bytes"


def test_version_1_the_limit_of_a_parent_that_is_not_mounted_is_known(tree):
    """The kernel tells the tightest of all in the group's statistics."""
    folder = version_1(tree, "/box")
    tree.group(
        f"{folder}/box",
        memory__limit_in_bytes=ENDLESS,
        memory__usage_in_bytes=5 * MB,
        memory__stat=f"hierarchical_memory_limit {7 * MB}",
    )

    bound = memory_bound(root=tree.root)

    assert (bound.bound, bound.scope) == (7 * MB, "cgroup /box")
    assert "of a parent that is not visible" in bound.source


def test_version_1_a_parent_that_does_not_count_its_children_does_not_bind(tree):
    """As older kernels had it unless it was switched on."""
    folder = version_1(tree, "/pod/box")
    tree.group(f"{folder}/pod/box", memory__limit_in_bytes=9 * MB, memory__usage_in_bytes=5 * MB)
    tree.group(
        f"{folder}/pod",
        memory__limit_in_bytes=6 * MB,
        memory__usage_in_bytes=5 * MB,
        memory__use_hierarchy=0,
    )

    assert memory_bound(root=tree.root).bound == 9 * MB


def test_groups_that_cannot_be_seen_are_told(tree):
    """A limit may be there that nobody here can read."""
    tree.write("/proc/self/cgroup", "4:memory:/box")

    hidden, _ = named(memory_readings(root=tree.root), "memory")

    assert hidden.bound is None
    assert "not mounted" in hidden.note


def test_a_group_whose_use_is_hidden_has_a_bound_all_the_same(tree):
    """The process's own memory is in it for sure."""
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", memory__max=5 * MB)

    group, _ = named(memory_readings(root=tree.root), "memory")

    assert (group.value, group.note) == (None, "its usage can't be read")
    assert memory_bound(root=tree.root).value == 1000 * PAGE


def test_swap_is_that_of_the_machine_and_of_the_groups(tree):
    """In version 1 a group bounds both together."""
    tree.unified("/box")
    tree.group("/sys/fs/cgroup/box", memory__swap__max=2 * MB, memory__swap__current=MB)

    group, machine = named(memory_readings(root=tree.root), "swap")

    assert (group.value, group.bound, group.scope) == (MB, 2 * MB, "cgroup /box")
    assert (machine.value, machine.bound) == (1000 * 1024, 4000 * 1024)


def test_version_1_bounds_memory_and_swap_together(tree):
    """So it says so."""
    folder = version_1(tree, "/box")
    tree.group(
        f"{folder}/box", memory__memsw__limit_in_bytes=3 * MB, memory__memsw__usage_in_bytes=MB
    )

    (both,) = named(memory_readings(root=tree.root), "memory and swap")

    assert (both.value, both.bound) == (MB, 3 * MB)


def test_strict_overcommit_bounds_what_is_promised(tree):
    """There an allocation can fail although memory is free."""
    tree.write("/proc/sys/vm/overcommit_memory", 2)
    tree.write("/proc/meminfo", "MemTotal: 9 kB\nCommitLimit:  5000 kB\nCommitted_AS: 4000 kB")

    (promised,) = named(memory_readings(root=tree.root), "committed memory")

    assert (promised.value, promised.bound) == (4000 * 1024, 5000 * 1024)


def test_address_space_is_told_where_it_is_limited(tree):
    """``ulimit -v`` makes allocations fail long before memory is short."""
    tree.process(space=300_000 * 1024)

    (space,) = named(memory_readings(root=tree.root), "address space")

    assert (space.value, space.bound) == (200_000 * 1024, 300_000 * 1024)


def test_proportional_memory_is_read_where_it_may_be(tree):
    """It is a file of the process's owner."""
    without = pss_bytes(root=tree.root)
    tree.write("/proc/self/smaps_rollup", "00400000-7ff ---p [rollup]\nRss:  900 kB\nPss:  700 kB")

    assert without.value is None
    assert "smaps_rollup is not there" in without.note
    assert pss_bytes(root=tree.root).value == 700 * 1024


def test_a_process_that_has_ended_is_an_error(tree):
    """There is nothing to say of it."""
    with pytest.raises(ProcessLookupError, match="4711"):
        memory_bound(4711, root=tree.root)
    with pytest.raises(ProcessLookupError, match="4711"):
        pss_bytes(4711, root=tree.root)


@linux_only
def test_real_memory_that_is_touched_shows_up():
    """Forty megabytes more are resident, also proportionally."""
    before, shared = memory_readings()[0].value, pss_bytes().value

    held = bytearray(os.urandom(1)) * 40_000_000
    after, shared_after = memory_readings()[0].value, pss_bytes().value
    size = len(held)

    assert after - before > size * 0.9
    assert shared_after - shared > size * 0.9
    assert memory_bound().bound > size
