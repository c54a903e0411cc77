"""``holdfast.sense.cgroup``: which groups bind a process, and which of them can be seen."""

import os

import pytest

from holdfast.sense._process import Process
from holdfast.sense.cgroup import Group, lineage

TREE_1 = "33 31 0:30 {root} /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids"
TREE_2 = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"


def paths(tree, controller="pids"):
    """The names of the groups, the process's own first."""
    return [group.path for group in lineage(Process(None, tree.root), controller).groups]


def folders(tree, controller="pids"):
    """Where they are."""
    return [group.folder for group in lineage(Process(None, tree.root), controller).groups]


def test_version_2_every_parent_up_to_the_root(tree):
    """One tree has all controllers."""
    tree.unified("/user.slice/a.service/worker")
    tree.group("/sys/fs/cgroup/user.slice/a.service/worker")

    line = lineage(Process(None, tree.root), "pids")

    assert line.version == 2
    assert line.groups == (
        Group("/user.slice/a.service/worker", "/sys/fs/cgroup/user.slice/a.service/worker"),
        Group("/user.slice/a.service", "/sys/fs/cgroup/user.slice/a.service"),
        Group("/user.slice", "/sys/fs/cgroup/user.slice"),
        Group("/", "/sys/fs/cgroup"),
    )


def test_version_1_has_a_tree_for_each_controller(tree):
    """A tree can have several controllers, and the process another place in each."""
    tree.write("/proc/self/cgroup", "4:cpu,cpuacct:/fast\n3:pids:/jobs/7\n1:name=systemd:/x")
    tree.write(
        "/proc/self/mountinfo",
        TREE_1.format(root="/")
        + "\n34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
    )
    tree.group("/sys/fs/cgroup/pids/jobs/7")
    tree.group("/sys/fs/cgroup/cpu,cpuacct/fast")

    assert paths(tree) == ["/jobs/7", "/jobs", "/"]
    assert folders(tree, "cpu") == ["/sys/fs/cgroup/cpu,cpuacct/fast", "/sys/fs/cgroup/cpu,cpuacct"]
    assert lineage(Process(None, tree.root), "pids").version == 1


def test_hybrid_a_controller_is_where_version_1_has_it(tree):
    """The tree of version 2 is there too, for what version 1 has not."""
    tree.write("/proc/self/cgroup", "8:pids:/one\n0::/two")
    tree.write("/proc/self/mountinfo", TREE_1.format(root="/") + "\n" + TREE_2)
    tree.group("/sys/fs/cgroup/pids/one")
    tree.group("/sys/fs/cgroup/unified/two")

    assert paths(tree, "pids") == ["/one", "/"]
    assert paths(tree, "memory") == ["/two", "/"]
    assert paths(tree, None) == ["/two", "/"]


def test_a_cgroup_namespace_shows_the_own_group_as_the_root(tree):
    """What is above it can't be seen; the root is its own group, with its limits."""
    tree.unified("/")
    tree.group("/sys/fs/cgroup")

    assert folders(tree) == ["/sys/fs/cgroup"]


def test_a_container_without_a_namespace_has_a_part_of_the_tree_mounted(tree):
    """The process's path is that of the host, and so is the root of the mount."""
    tree.write("/proc/self/cgroup", "3:pids:/docker/abc/job")
    tree.write("/proc/self/mountinfo", TREE_1.format(root="/docker/abc"))
    tree.group("/sys/fs/cgroup/pids/job")

    assert paths(tree) == ["/docker/abc/job", "/docker/abc"]
    assert folders(tree) == ["/sys/fs/cgroup/pids/job", "/sys/fs/cgroup/pids"]


def test_a_group_with_a_longer_name_is_not_taken_for_the_mounted_one(tree):
    """``/docker/abcd`` does not lie in ``/docker/abc``."""
    tree.write("/proc/self/cgroup", "3:pids:/docker/abcd")
    tree.write("/proc/self/mountinfo", TREE_1.format(root="/docker/abc"))
    tree.group("/sys/fs/cgroup/pids")

    assert paths(tree) == []


def test_a_mount_that_begins_above_the_namespace_is_a_parent(tree):
    """Which of its groups is ours can't be told, but it binds us."""
    tree.unified("/", mounted="/..")
    tree.group("/sys/fs/cgroup")

    assert folders(tree) == ["/sys/fs/cgroup"]


@pytest.mark.parametrize(("listed", "seen"), [(os.getpid(), ["/sys/fs/cgroup"]), (1, [])])
def test_names_from_two_namespaces_are_settled_by_the_group_itself(tree, listed, seen):
    """The mounted group is ours if it lists us."""
    tree.unified("/", mounted="/docker/abc")
    tree.group("/sys/fs/cgroup", cgroup__procs=listed)

    assert folders(tree) == seen


def test_a_process_outside_of_our_namespace_has_no_groups_that_we_see(tree):
    """Its path leads upwards."""
    tree.process("4711")
    tree.unified("/mine")
    tree.write("/proc/4711/cgroup", "0::/../other")
    tree.group("/sys/fs/cgroup/mine")

    line = lineage(Process(4711, tree.root), "pids")

    assert line.groups == ()
    assert "not mounted" in line.note


def test_of_several_mounts_the_one_that_shows_most_parents_is_read(tree):
    """The host's whole tree may be mounted beside the container's part."""
    tree.write("/proc/self/cgroup", "0::/docker/abc")
    tree.write(
        "/proc/self/mountinfo",
        "41 31 0:38 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "42 31 0:38 / /host/cgroup rw - cgroup2 cgroup2 rw",
    )
    tree.group("/sys/fs/cgroup")
    tree.group("/host/cgroup/docker/abc")

    assert folders(tree) == ["/host/cgroup/docker/abc", "/host/cgroup/docker", "/host/cgroup"]


def test_a_mount_with_the_own_group_is_read_before_one_that_begins_above(tree):
    """The host's tree, seen from a container, does not tell which of its groups is ours."""
    tree.write("/proc/self/cgroup", "0::/")
    tree.write(
        "/proc/self/mountinfo",
        "41 31 0:38 /../.. /host/cgroup rw - cgroup2 cgroup2 rw\n"
        "42 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
    )
    tree.group("/sys/fs/cgroup")
    tree.group("/host/cgroup")

    assert folders(tree) == ["/sys/fs/cgroup"]


def test_a_tree_that_is_not_mounted_is_said_to_be_so(tree):
    """Its limits bind nevertheless."""
    tree.write("/proc/self/cgroup", "3:pids:/jobs\n0::/")
    tree.write("/proc/self/mountinfo", TREE_2)

    line = lineage(Process(None, tree.root), "pids")

    assert line.groups == ()
    assert line.note == "its tree (version 1) is not mounted here"


def test_a_kernel_without_control_groups_is_said_to_be_so(tree):
    """There is nothing to mount."""
    assert lineage(Process(None, tree.root), "pids").note == (
        "the process is in no such control group"
    )


def test_a_missing_file_is_a_note_for_this_process_and_an_error_for_another(tree):
    """Of oneself one knows that one is there."""
    tree.remove("/proc/self/cgroup")

    line = lineage(Process(None, tree.root), "pids")

    assert "/proc/self/cgroup is not there" in line.note
    with pytest.raises(ProcessLookupError):
        lineage(Process(4711, tree.root), "pids")


def test_a_group_that_was_removed_leaves_its_parents(tree):
    """They go on binding whoever is in it."""
    tree.unified("/jobs/gone (deleted)")
    tree.group("/sys/fs/cgroup/jobs")

    assert paths(tree) == ["/jobs", "/"]


def test_a_mount_point_with_a_space_is_found(tree):
    """It stands there as a backslash and digits."""
    tree.unified("/a", point="/my\\040groups")
    tree.group("/my groups/a")

    assert folders(tree) == ["/my groups/a", "/my groups"]


def test_a_group_with_a_colon_in_its_name_is_found(tree):
    """Only the first two separate."""
    tree.unified("/a:b")
    tree.group("/sys/fs/cgroup/a:b")

    assert paths(tree) == ["/a:b", "/"]
